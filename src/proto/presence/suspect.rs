//! SUSPECT and ALIVE: telling the others that somebody does not answer, and refuting it.
//!
//! A third party's SUSPECT removes nobody. It only has everybody look for themselves, and gives
//! the suspected the time to refute. Whoever gives somebody up says SUSPECT once more: those who
//! missed all that was said before look now, and a live one hears of it and refutes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::lifeguard::later;
use super::probe::{Probing, time_to_refute};
use super::{Heard, Presence};
use crate::api::PeerState;
use crate::datagram::{Destination, Path};
use crate::id::PeerId;
use crate::limits::{ACCUSATION_RATE, ACCUSATIONS_MAX, ALIVE_RATE};
use crate::proto::Now;
use crate::proto::bucket::Bucket;
use crate::proto::core::Core;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::wire::{Alive, Body, Suspect};

/// After the first SUSPECT and after the second.
const AGAIN: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(300)];
/// One accuser is heard about one target so often.
const ACCUSE_EVERY: Duration = Duration::from_secs(10);
/// Up to so many people everybody asks a suspected peer at once; above, only if it does not refute.
const ASK_UP_TO: usize = 64;
/// The asking is spread over this for each of them.
const SPREAD_EACH: Duration = Duration::from_millis(2);
/// The same in a crowd: 250 people a second ask, twice each, however many they are.
const SPREAD_CROWD: Duration = Duration::from_millis(4);
/// A crowd asks nothing before that: all ALIVEs are out by then.
const REFUTED_BY: Duration = Duration::from_millis(600);
/// How many say SUSPECT again when they give somebody up, beside those who accused first.
const WITNESSES: f64 = 3.0;
/// Header and signature.
const ALIVE_LEN: usize = 26 + 64;

/// What is known of a peer's silence, beside the own PROBEs.
#[derive(Clone, Default, Debug)]
pub struct Watch {
    /// Whether it may have gone unnoticed: while this node slept, or was cut off.
    pub doubtful: bool,
    /// When this node last asked it for a sign of life.
    pub looked: Option<Instant>,
    /// Somebody else suspects it: when its time to refute ends.
    pub accused: Option<Instant>,
    /// Whether its silence counts against the own health ([`super::lifeguard`]).
    pub(super) missed: bool,
    /// The SUSPECT that is to be repeated: when, and how many times it was sent.
    accusing: Option<(Instant, usize)>,
    /// When this node last began to accuse it.
    accused_by_us: Option<Instant>,
    /// When this node last gave it up and said so.
    testified: Option<Instant>,
}

impl Watch {
    /// A sign of life: nothing is held against it. What was sent lately stays counted.
    pub fn acquit(&mut self) {
        self.doubtful = false;
        self.missed = false;
        self.accused = None;
        self.accusing = None;
    }

    /// When a SUSPECT is due.
    pub(super) fn accuse_at(&self) -> Option<Instant> {
        self.accusing.map(|(at, _)| at)
    }

    /// Begins to accuse, unless this node did lately.
    fn accuse(&mut self, now: Instant) {
        if self.accused_by_us.is_none_or(|at| now >= at + ACCUSE_EVERY) {
            self.accused_by_us = Some(now);
            self.accusing = Some((now, 0));
        }
    }

    /// Whether this node told others of this silence first.
    fn is_accuser(&self, now: Instant) -> bool {
        self.accused_by_us
            .is_some_and(|at| now < at + ACCUSE_EVERY * 2)
    }

    /// Says it twice more: it is given up.
    fn testify(&mut self, now: Instant) {
        if self.testified.is_none_or(|at| now >= at + ACCUSE_EVERY) {
            self.testified = Some(now);
            self.accusing = Some((now, AGAIN.len() - 1));
        }
    }

    /// Whether a SUSPECT leaves now; the next is planned then.
    fn take_accusation(&mut self, now: Instant) -> bool {
        let Some((at, sent)) = self.accusing else {
            return false;
        };
        if at > now {
            return false;
        }
        self.accusing = AGAIN.get(sent).map(|&wait| (now + wait, sent + 1));
        true
    }

    /// The own loop stood still.
    pub(super) fn delay(&mut self, now: Instant, by: Duration, longest: Duration) {
        self.looked = self.looked.map(|at| later(at, by, now));
        let moved = |at: Instant| {
            at.checked_add(by)
                .map_or(now + longest, |to| to.min(now + longest))
        };
        self.accused = self.accused.map(moved);
    }
}

/// Which SUSPECTs are listened to, and how often this node says that it is alive.
pub(super) struct Accusations {
    /// Accuser and target, and when.
    heard: BTreeMap<(PeerId, PeerId), Instant>,
    rate: Bucket,
    alive_to_all: Bucket,
    alive_to_one: Bucket,
    /// The ALIVE that is to be repeated: when, and how many times it was sent.
    again: Option<(Instant, usize)>,
}

impl Accusations {
    pub(super) fn new(now: Instant) -> Self {
        Accusations {
            heard: BTreeMap::new(),
            rate: Bucket::new(now, ACCUSATION_RATE, ACCUSATION_RATE * 4),
            alive_to_all: Bucket::new(now, ALIVE_RATE, ALIVE_RATE),
            alive_to_one: Bucket::new(now, ALIVE_RATE * 4, ALIVE_RATE * 4),
            again: None,
        }
    }

    /// Whether this accusation counts.
    fn admit(&mut self, now: Instant, accuser: PeerId, target: PeerId) -> bool {
        let is_old = |at: &Instant| now >= *at + ACCUSE_EVERY;
        if self
            .heard
            .get(&(accuser, target))
            .is_some_and(|at| !is_old(at))
        {
            return false;
        }
        if self.heard.len() >= ACCUSATIONS_MAX {
            self.heard.retain(|_, at| !is_old(at));
        }
        if self.heard.len() >= ACCUSATIONS_MAX || !self.rate.take(now, 1) {
            return false;
        }
        self.heard.insert((accuser, target), now);
        true
    }
}

impl Presence {
    /// Somebody says that somebody does not answer.
    pub fn handle_suspect(&mut self, core: &mut Core, now: Now, heard: &Heard, suspect: &Suspect) {
        if suspect.target == core.short() {
            // Of a past run of ours too: whoever hears of a later one asks for its record.
            if suspect.incarnation <= core.incarnation {
                self.say_alive(core, now.mono, heard);
            }
            return;
        }
        let Some(target) = self.roster.by_short(&suspect.target).map(|peer| peer.id) else {
            return;
        };
        let Some(peer) = self.roster.get(&target) else {
            return;
        };
        let live = peer.is_live() && peer.record.incarnation == suspect.incarnation;
        if !live || target == heard.id {
            return;
        }
        if !self.accusations.admit(now.mono, heard.id, target) {
            core.stats.limited += 1;
            return;
        }
        if is_sabotaged(Sabotage::SuspectRemoves) {
            return self.set_state(core, &target, PeerState::Offline);
        }
        let stretch = self.health.stretch();
        let population = self.roster.population();
        let people = u32::try_from(population).unwrap_or(u32::MAX);
        let at_once = population <= ASK_UP_TO || self.conversations.contains(&target);
        let start = if at_once {
            now.mono + core.jitter(SPREAD_EACH * people.min(ASK_UP_TO as u32))
        } else {
            now.mono + REFUTED_BY + core.jitter(SPREAD_CROWD.saturating_mul(people))
        };
        let Some(peer) = self.roster.get_mut(&target) else {
            return;
        };
        let end = now.mono + time_to_refute(peer.rtt) * stretch;
        peer.watch.accused.get_or_insert(end);
        if peer.probing.is_none() {
            peer.probing = Some(Box::new(if at_once {
                Probing::prompted(start, peer.rtt, stretch)
            } else {
                Probing::in_crowd(start, peer.rtt, stretch)
            }));
        }
        self.plan(core, &target);
    }

    /// This node just gave a peer up: tells those who heard nothing of it.
    pub(super) fn testify(&mut self, core: &mut Core, now: Instant, id: &PeerId) {
        let chosen = core.unit() < self.few(WITNESSES);
        if let Some(peer) = self.roster.get_mut(id)
            && (chosen || peer.watch.is_accuser(now))
        {
            peer.watch.testify(now);
        }
    }

    /// When an ALIVE is to be repeated.
    pub(super) fn alive_at(&self) -> Option<Instant> {
        self.accusations.again.map(|(at, _)| at)
    }

    /// Repeats the ALIVE that is due: one SUSPECT is enough to have a crowd wait for it, and
    /// whoever misses the answer has no other.
    pub(super) fn repeat_alive(&mut self, core: &mut Core, now: Instant) {
        if let Some((at, sent)) = self.accusations.again
            && at <= now
        {
            self.accusations.again = AGAIN.get(sent).map(|&wait| (now + wait, sent + 1));
            self.say_alive_to_all(core, now);
        }
    }

    fn say_alive_to_all(&mut self, core: &mut Core, now: Instant) {
        if self.accusations.alive_to_all.take(now, 1)
            && let Some(bytes) = core.packet(&Body::Alive(Alive)).filter(|_| core.open)
        {
            core.send_on_all(&bytes, &Path::GROUP);
        }
    }

    /// To everybody, and to the accuser.
    fn say_alive(&mut self, core: &mut Core, now: Instant, heard: &Heard) {
        let body = Body::Alive(Alive);
        self.say_alive_to_all(core, now);
        self.accusations.again.get_or_insert((now + AGAIN[0], 1));
        let source = heard.arrival.source;
        let Some(peer) = self.roster.get_mut(&heard.id) else {
            return;
        };
        let Some(address) = peer.addresses.get_mut(source) else {
            return;
        };
        if address.may_send(ALIVE_LEN) && self.accusations.alive_to_one.take(now, 1) {
            let len = core.send_to(source, &body);
            address.sent(len);
        }
    }

    /// This node found out for itself that a peer does not answer: tells the others.
    pub(super) fn accuse(&mut self, now: Instant, id: &PeerId) {
        if let Some(peer) = self.roster.get_mut(id) {
            peer.watch.accuse(now);
        }
    }

    /// Sends the SUSPECT that is due, to the group and to the suspected itself.
    pub(super) fn say_suspect(&mut self, core: &mut Core, now: Instant, id: &PeerId) {
        let Some(peer) = self.roster.get_mut(id) else {
            return;
        };
        let is_silent = matches!(peer.state, PeerState::Suspect | PeerState::Offline);
        if !peer.watch.take_accusation(now) || !is_silent {
            return;
        }
        let body = Body::Suspect(Suspect {
            target: id.short(),
            incarnation: peer.record.incarnation,
        });
        let to = peer.addresses.current();
        // Each time another packet: it is to be answered each time.
        if let Some(bytes) = core.packet(&body).filter(|_| core.open) {
            core.send_on_all(&bytes, &Path::GROUP);
            if let Some(to) = to {
                core.transmit(Destination::Unicast(to), bytes);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn an_accusation_is_sent_three_times_and_not_again_for_ten_seconds() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let mut watch = Watch::default();
        let mut sent = Vec::new();
        for step in 0..2000 {
            let now = start + ms(step * 10);
            watch.accuse(now);
            if watch.take_accusation(now) {
                sent.push(step * 10);
            }
        }
        assert_eq!(sent, [0, 100, 400, 10_000, 10_100, 10_400]);
    }

    #[test]
    fn a_verdict_is_told_twice_and_not_again_for_ten_seconds() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let mut watch = Watch::default();
        let mut sent = Vec::new();
        for step in 0..1500 {
            let now = start + ms(step * 10);
            watch.testify(now);
            if watch.take_accusation(now) {
                sent.push(step * 10);
            }
        }
        assert_eq!(sent, [0, 300, 10_000, 10_300]);
        watch.testify(start + ms(20_000));
        watch.acquit();
        assert!(watch.accuse_at().is_none(), "back: nothing more is said");
    }

    #[test]
    fn one_accuser_counts_once_in_ten_seconds_and_all_together_are_bounded() {
        let now = Instant::now();
        let id = |n: u32| {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&n.to_be_bytes());
            PeerId(id)
        };
        let mut accusations = Accusations::new(now);
        assert!(accusations.admit(now, id(1), id(2)));
        assert!(!accusations.admit(now + Duration::from_secs(9), id(1), id(2)));
        assert!(accusations.admit(now + ACCUSE_EVERY, id(1), id(2)));
        let later = now + ACCUSE_EVERY * 2;
        let flood = (0..10_000).filter(|&n| accusations.admit(later, id(n), id(2)));
        assert_eq!(flood.count(), ACCUSATION_RATE as usize * 4);
        for second in 0..10_000 {
            accusations.admit(
                later + Duration::from_millis(second * 10),
                id(7),
                id(second as u32),
            );
        }
        assert!(accusations.heard.len() <= ACCUSATIONS_MAX);
    }

    #[test]
    fn a_sign_of_life_clears_all_but_the_memory_of_the_last_accusation() {
        let now = Instant::now();
        let mut watch = Watch::default();
        watch.accuse(now);
        watch.accused = Some(now);
        watch.doubtful = true;
        watch.acquit();
        assert!(!watch.doubtful && watch.accused.is_none() && watch.accuse_at().is_none());
        watch.accuse(now + Duration::from_secs(9));
        assert_eq!(watch.accuse_at(), None, "a flapping peer fills no network");
    }
}
