//! Whom to ask about which room, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::frame::Why;
use crate::id::{PeerId, RoomTag};

/// Before another member is asked.
const NEXT: Duration = Duration::from_millis(100);
/// How long a member may take to say what it holds before another one is asked as well.
pub const SILENT: Duration = Duration::from_secs(3);
/// For how long the digests of somebody are not believed with whom an exchange brought nothing: the
/// first time, and at most.
const VAIN_FIRST: Duration = Duration::from_secs(30);
const VAIN_MAX: Duration = Duration::from_secs(3600);
/// Before it is tried again where too much is under way.
const LATER: Duration = Duration::from_secs(1);
/// How often those who had no time are asked anew, after twice as long each time.
const BUSY_MAX: u32 = 6;
/// How long a plan waits for somebody to ask.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often somebody is asked again whose connection went away, as one of two does where both
/// dial at once.
const AGAIN_MAX: u32 = 3;
/// Members asked in vain, one after the other.
const TRIES_MAX: usize = 6;
/// Two digests that differ for longer than this are compared even if they change meanwhile.
const RESTLESS: Duration = Duration::from_secs(10);
/// Peers whose digests are remembered.
const DIFFERS_MAX: usize = 4096;

/// What is to be asked about one room.
pub struct Plan {
    /// Why.
    pub why: Why,
    /// Whom first.
    pub prefer: Option<PeerId>,
    /// Who was asked.
    pub tried: BTreeSet<PeerId>,
    /// Who of them had no time.
    busy: BTreeSet<PeerId>,
    /// Who of them is asked because what they tell says that they hold something else.
    doubted: BTreeSet<PeerId>,
    /// How often those who had no time were asked anew.
    rounds: u32,
    due: Option<Instant>,
    /// How many are to be asked still.
    left: u32,
    /// How often somebody may be asked again.
    again: u32,
    until: Instant,
}

/// Since when two nodes differ about a room.
struct Differs {
    own: [u8; 8],
    theirs: [u8; 8],
    /// Since when both are as they are, and since when they differ.
    still: Instant,
    since: Instant,
}

/// What is to be asked about all rooms.
#[derive(Default)]
pub struct Plans {
    all: BTreeMap<RoomTag, Plan>,
    differs: BTreeMap<(RoomTag, PeerId), Differs>,
    /// With whom an exchange brought nothing: until when their digests are not believed, and for
    /// how long the next time.
    vain: BTreeMap<(RoomTag, PeerId), (Instant, Duration)>,
}

impl Plans {
    /// A newcomer asks two members; who was away, one of them, or all that came back.
    pub fn plan(&mut self, room: RoomTag, why: Why, prefer: Option<PeerId>, at: Instant) {
        let left = if why == Why::Join { 2 } else { 1 };
        let plan = self.all.entry(room).or_insert_with(|| Plan {
            why,
            prefer,
            tried: BTreeSet::new(),
            busy: BTreeSet::new(),
            doubted: BTreeSet::new(),
            rounds: 0,
            due: Some(at),
            left,
            again: AGAIN_MAX,
            until: at + PATIENCE,
        });
        let is_new = |peer: &PeerId| plan.prefer != Some(*peer) || plan.tried.contains(peer);
        if let Some(peer) = prefer.filter(is_new) {
            // Another one of whom something is to be had, or one that was asked before it had it.
            plan.prefer = Some(peer);
            plan.left = (plan.left + 1).min(4);
            plan.tried.remove(&peer);
            plan.busy.remove(&peer);
        }
        plan.until = plan.until.max(at + PATIENCE);
        plan.due = Some(plan.due.map_or(at, |due| due.min(at)));
    }

    /// This node is not in the room any more.
    pub fn forget(&mut self, room: &RoomTag) {
        self.all.remove(room);
        self.differs.retain(|(of, _), _| of != room);
        self.vain.retain(|(of, _), _| of != room);
    }

    /// Somebody can be asked who could not before.
    pub fn somebody(&mut self, now: Instant, wait: Duration) {
        for plan in self.all.values_mut().filter(|plan| plan.due.is_none()) {
            plan.due = Some(now + wait);
        }
    }

    /// The plan for a room.
    #[must_use]
    pub fn get(&self, room: &RoomTag) -> Option<&Plan> {
        self.all.get(room)
    }

    /// The rooms that are due.
    #[must_use]
    pub fn due(&mut self, now: Instant) -> Vec<RoomTag> {
        self.all.retain(|_, plan| now < plan.until);
        let due = self.all.iter();
        let due = due.filter(|(_, plan)| plan.due.is_some_and(|at| at <= now));
        due.map(|(&room, _)| room).collect()
    }

    /// Too much is under way.
    pub fn put_off(&mut self, now: Instant, room: &RoomTag) {
        if let Some(plan) = self.all.get_mut(room) {
            plan.due = Some(now + LATER);
            plan.until = plan.until.max(now + PATIENCE);
        }
    }

    /// Nobody is there to be asked: waits for somebody. Who had no time is asked anew after a while
    /// that `chance`, in 0 to 1, makes up to twice as long: who was refused together would come
    /// together again.
    pub fn nobody(&mut self, now: Instant, room: &RoomTag, chance: f64) {
        if let Some(plan) = self.all.get_mut(room) {
            if plan.rounds < BUSY_MAX && !plan.busy.is_empty() {
                let least = LATER * 2u32.pow(plan.rounds);
                plan.due = Some(now + least.mul_f64(1.0 + chance));
                plan.until = plan.until.max(now + PATIENCE);
                plan.rounds += 1;
                for peer in std::mem::take(&mut plan.busy) {
                    plan.tried.remove(&peer);
                }
            }
            if plan.due.is_some_and(|due| due > now) {
                return;
            }
            plan.due = None;
            plan.until = plan.until.min(now + PATIENCE);
        }
    }

    /// This one is being asked; looked at again soon, in case it says nothing.
    pub fn asking(&mut self, now: Instant, room: &RoomTag, peer: PeerId) {
        if let Some(plan) = self.all.get_mut(room) {
            plan.tried.insert(peer);
            plan.due = Some(now + SILENT);
            plan.until = plan.until.max(now + PATIENCE);
        }
    }

    /// What this one tells of a room says that it holds something else: it is asked at `at`.
    pub fn doubt(&mut self, (room, peer): (RoomTag, PeerId), at: Instant) {
        self.plan(room, Why::Heal, Some(peer), at);
        if let Some(plan) = self.all.get_mut(&room) {
            plan.doubted.insert(peer);
        }
    }

    /// An exchange with this one is over; `fruitful`: something went either way. Where nothing did
    /// although it told that it holds something else, its digests are not believed for a while,
    /// longer each time. One for another reason, as on joining, says nothing against it.
    pub fn went(&mut self, now: Instant, of: (RoomTag, PeerId), fruitful: bool) {
        let plan = self.all.get(&of.0);
        if fruitful || plan.is_some_and(|plan| plan.busy.contains(&of.1)) {
            self.vain.remove(&of);
            return;
        }
        if !plan.is_some_and(|plan| plan.doubted.contains(&of.1)) {
            return;
        }
        if self.vain.len() >= DIFFERS_MAX && !self.vain.contains_key(&of) {
            self.vain.pop_first();
        }
        let (until, wait) = self.vain.entry(of).or_insert((now, VAIN_FIRST));
        *until = now + *wait;
        *wait = (*wait * 2).min(VAIN_MAX);
    }

    /// This one was asked; `done`: and gave all that it claimed to hold.
    pub fn asked(&mut self, now: Instant, room: RoomTag, peer: PeerId, done: bool) {
        let Some(plan) = self.all.get_mut(&room) else {
            return;
        };
        plan.tried.insert(peer);
        plan.until = now + PATIENCE;
        plan.left -= u32::from(done && plan.left > 0);
        let in_vain = plan.tried.difference(&plan.busy).count();
        if plan.left == 0 || in_vain >= TRIES_MAX {
            self.all.remove(&room);
        } else {
            plan.due = Some(now + NEXT);
        }
    }

    /// This one, who is being asked, has no time: whoever else can be asked is asked first.
    pub fn busy(&mut self, room: RoomTag, peer: PeerId) {
        if let Some(plan) = self.all.get_mut(&room) {
            plan.busy.insert(peer);
        }
    }

    /// The connection to this one went away while it was asked, which says nothing against it.
    pub fn again(&mut self, now: Instant, room: RoomTag, peer: PeerId) {
        let Some(plan) = self.all.get_mut(&room).filter(|plan| plan.again > 0) else {
            return;
        };
        plan.again -= 1;
        plan.tried.remove(&peer);
        plan.due = Some(now + NEXT);
        self.vain.remove(&(room, peer));
    }

    /// Whether an exchange with this one brought nothing lately.
    #[must_use]
    pub fn is_vain(&self, now: Instant, of: (RoomTag, PeerId)) -> bool {
        self.vain.get(&of).is_some_and(|(until, _)| now < *until)
    }

    /// A member's digest of a room came; `own` is this node's. Whether they differ for long enough
    /// to be compared: both stood still for `d`, or they never do.
    pub fn compare(
        &mut self,
        now: Instant,
        (room, peer): (RoomTag, PeerId),
        (own, theirs): ([u8; 8], [u8; 8]),
        d: Duration,
    ) -> bool {
        let of = (room, peer);
        if own == theirs {
            self.differs.remove(&of);
            // What was told was true, or is by now.
            if let Some((_, wait)) = self.vain.get_mut(&of) {
                *wait = VAIN_FIRST;
            }
            return false;
        }
        if self.is_vain(now, of) {
            return false;
        }
        if self.differs.len() >= DIFFERS_MAX && !self.differs.contains_key(&of) {
            self.differs.pop_first();
        }
        let fresh = || Differs {
            own,
            theirs,
            still: now,
            since: now,
        };
        let differs = self.differs.entry(of).or_insert_with(fresh);
        if (differs.own, differs.theirs) != (own, theirs) {
            (differs.own, differs.theirs, differs.still) = (own, theirs, now);
        }
        let long = now >= differs.still + d || now >= differs.since + RESTLESS;
        if long {
            self.differs.remove(&of);
        }
        long
    }

    /// When something is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.all.values().filter_map(|plan| plan.due).min()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn whose_connection_went_away_is_asked_again_a_few_times() {
        let (mut plans, now) = (Plans::default(), Instant::now());
        let (room, peer) = (RoomTag([1; 8]), PeerId([2; 32]));
        plans.plan(room, Why::Join, None, now);
        for round in 0..=AGAIN_MAX {
            plans.asking(now, &room, peer);
            plans.went(now, (room, peer), false);
            plans.asked(now, room, peer, false);
            plans.again(now, room, peer);
            let is_tried = plans
                .get(&room)
                .is_some_and(|plan| plan.tried.contains(&peer));
            assert_eq!(is_tried, round == AGAIN_MAX, "round {round}");
        }
    }

    #[test]
    fn only_who_told_of_a_difference_is_believed_less_where_there_is_none() {
        let (mut plans, now) = (Plans::default(), Instant::now());
        let of = (RoomTag([1; 8]), PeerId([2; 32]));
        let d = Duration::from_millis(1);
        let differs = |plans: &mut Plans, at: Instant| {
            plans.compare(at, of, ([1; 8], [2; 8]), d);
            plans.compare(at + d, of, ([1; 8], [2; 8]), d)
        };
        // On joining: nobody had said anything yet.
        plans.plan(of.0, Why::Join, None, now);
        plans.went(now, of, false);
        assert!(differs(&mut plans, now));
        let mut at = now;
        for wait in [VAIN_FIRST, VAIN_FIRST * 2, VAIN_FIRST * 4] {
            plans.doubt(of, at);
            plans.went(at, of, false);
            assert!(!differs(&mut plans, at + wait - d * 2), "{wait:?}");
            assert!(differs(&mut plans, at + wait), "{wait:?}");
            at += wait;
        }
        // It tells the same as is held here: it is not one who never does.
        plans.compare(at, of, ([1; 8], [1; 8]), d);
        plans.doubt(of, at);
        plans.went(at, of, false);
        assert!(differs(&mut plans, at + VAIN_FIRST));
    }

    #[test]
    fn who_was_asked_and_has_more_since_is_asked_again() {
        let (now, room, peer) = (Instant::now(), RoomTag([1; 8]), PeerId([2; 32]));
        let mut plans = Plans::default();
        plans.plan(room, Why::Heal, Some(peer), now);
        plans.asking(now, &room, peer);
        plans.asked(now, room, peer, false);
        plans.nobody(now, &room, 0.0);
        assert!(plans.get(&room).expect("not done").tried.contains(&peer));
        // It was away, and is back.
        plans.plan(room, Why::Heal, Some(peer), now);
        plans.somebody(now, Duration::ZERO);
        assert_eq!(plans.due(now), [room]);
        assert!(plans.get(&room).expect("not done").tried.is_empty());
    }

    #[test]
    fn who_had_no_time_is_asked_again_once_nobody_else_is_left() {
        let (now, room) = (Instant::now(), RoomTag([1; 8]));
        let (one, other) = (PeerId([2; 32]), PeerId([3; 32]));
        let mut plans = Plans::default();
        plans.plan(room, Why::Heal, None, now);
        plans.asking(now, &room, one);
        plans.busy(room, one);
        plans.went(now, (room, one), false);
        plans.asked(now, room, one, false);
        assert!(!plans.is_vain(now, (room, one)));
        plans.asking(now, &room, other);
        plans.asked(now, room, other, false);
        plans.nobody(now, &room, 0.0);
        assert_eq!(plans.due(now), []);
        assert_eq!(plans.due(now + LATER), [room]);
        let tried = &plans.get(&room).expect("not done").tried;
        assert_eq!(tried.iter().collect::<Vec<_>>(), [&other]);
        plans.asking(now, &room, one);
        plans.asked(now, room, one, false);
        plans.nobody(now + LATER, &room, 0.0);
        assert_eq!(plans.deadline(), None, "asked in vain");
    }

    #[test]
    fn who_never_has_time_is_asked_a_bounded_number_of_times() {
        let (start, room, peer) = (Instant::now(), RoomTag([1; 8]), PeerId([2; 32]));
        let mut plans = Plans::default();
        plans.doubt((room, peer), start);
        let (mut now, mut asked) = (start, 0);
        while let Some(due) = plans.deadline() {
            now = now.max(due);
            assert!(asked <= BUSY_MAX + 1, "without end");
            for room in plans.due(now) {
                if plans.get(&room).expect("due").tried.contains(&peer) {
                    plans.nobody(now, &room, 0.0);
                    continue;
                }
                plans.asking(now, &room, peer);
                plans.busy(room, peer);
                plans.went(now, (room, peer), false);
                plans.asked(now, room, peer, false);
                asked += 1;
            }
        }
        assert_eq!(asked, BUSY_MAX + 1);
        assert!(now > start + LATER * 32, "{:?}", now - start);
    }

    /// All others may not even be in the room.
    #[test]
    fn who_had_no_time_is_asked_again_however_many_others_were_asked_in_vain() {
        let (now, room) = (Instant::now(), RoomTag([1; 8]));
        let mut plans = Plans::default();
        plans.plan(room, Why::Heal, None, now);
        for number in 1..=6 {
            let peer = PeerId([number; 32]);
            plans.asking(now, &room, peer);
            if number == 1 {
                plans.busy(room, peer);
            }
            plans.asked(now, room, peer, false);
        }
        plans.nobody(now + NEXT, &room, 0.0);
        let plan = plans.get(&room).expect("not done");
        assert!(!plan.tried.contains(&PeerId([1; 32])));
        assert_eq!(plans.due(now + NEXT + LATER), [room]);
        plans.asking(now, &room, PeerId([7; 32]));
        plans.asked(now, room, PeerId([7; 32]), false);
        assert!(plans.get(&room).is_none(), "six in vain");
    }
}
