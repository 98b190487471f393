//! What each person, and each who asks, may cost.

use std::collections::BTreeMap;
use std::time::Instant;

use super::shares::Shares;
use crate::id::{PeerId, RoomTag};
use crate::limits::{Limits, STRANGER_MESSAGE_RATE};
use crate::proto::bucket::Bucket;

/// Most authors never met whose messages are counted.
const STRANGERS_MAX: usize = 256;
/// Peers whose NACKs are counted.
const ANSWERS_MAX: usize = 1024;
/// Answers to the group in a second for which one peer may be a cause.
const ANSWERS_TO_ALL: u32 = 5;

/// What one peer may still be answered.
struct Answers {
    /// By unicast: packets, bytes.
    own: (Bucket, Bucket),
    /// By the group.
    all: Bucket,
}

/// The budgets of the person at this node and of those who make it work.
pub struct Rates {
    /// What all send together, and each author's part of it.
    pub shares: Shares,
    person: Bucket,
    /// Rate and burst of the person while nothing slows it down.
    pace: (f64, f64),
    factor: f64,
    node: Bucket,
    node_burst: u32,
    /// The room whose turn it was last.
    last: Option<RoomTag>,
    /// Repairs to the group: half of what the node may send.
    repairs: Bucket,
    answers: BTreeMap<PeerId, Answers>,
    strangers: BTreeMap<PeerId, Bucket>,
    nack_answers: u32,
    nack_bytes: u32,
}

impl Rates {
    /// Full budgets.
    #[must_use]
    pub fn new(now: Instant, limits: &Limits) -> Self {
        Rates {
            shares: Shares::new(now, limits),
            person: Bucket::new(now, limits.person_rate, limits.person_burst),
            pace: (limits.person_rate.into(), limits.person_burst.into()),
            factor: 1.0,
            node: Bucket::new(now, limits.node_rate, limits.node_burst),
            node_burst: limits.node_burst,
            last: None,
            repairs: Bucket::new(
                now,
                limits.node_rate.div_ceil(2),
                limits.node_burst.div_ceil(2),
            ),
            answers: BTreeMap::new(),
            strangers: BTreeMap::new(),
            nack_answers: limits.nack_answers,
            nack_bytes: limits.nack_bytes,
        }
    }

    /// The room of which the next own message may leave now, of those where one waits, in order of
    /// their tags. They take turns: a thousand lines for one keep no line for another waiting.
    pub fn turn(
        &mut self,
        now: Instant,
        mut waiting: impl Iterator<Item = RoomTag> + Clone,
    ) -> Option<RoomTag> {
        let last = self.last;
        let after = |tag: &RoomTag| last.is_none_or(|last| *tag > last);
        let next = waiting.clone().find(after).or_else(|| waiting.next())?;
        self.keep_pace(now);
        if !self.node.holds(now, 1) || !self.person.take(now, 1) {
            return None;
        }
        self.last = Some(next);
        Some(next)
    }

    /// When an own message may leave next.
    pub fn turn_at(&mut self, now: Instant) -> Instant {
        self.keep_pace(now);
        self.person.ready_at(now).max(self.node.ready_at(now))
    }

    /// Slows down with the group, and gets faster with it.
    fn keep_pace(&mut self, now: Instant) {
        let factor = self.shares.load.factor(now);
        if (factor - self.factor).abs() > f64::EPSILON {
            self.factor = factor;
            let (rate, burst) = self.pace;
            let burst = (burst * factor).max(1.0);
            self.person.set_pace(now, rate * factor, burst);
        }
    }

    /// An own packet of this length in bytes goes to the group.
    pub fn sent(&mut self, now: Instant, len: usize) {
        self.node.take(now, 1);
        self.shares.load.add(now, len);
    }

    /// Whether one more packet may go to the group that nobody waits for: a quarter of the burst is
    /// kept for messages.
    pub fn may_repeat(&mut self, now: Instant) -> bool {
        let kept = self.node_burst / 4;
        self.node.holds(now, kept.saturating_add(1))
    }

    /// Whether one more packet may go to the group.
    pub fn may_send(&mut self, now: Instant) -> bool {
        self.node.holds(now, 1)
    }

    /// Whether somebody never met may say one more.
    pub fn admit_stranger(&mut self, now: Instant, author: PeerId) -> bool {
        if self.strangers.len() >= STRANGERS_MAX && !self.strangers.contains_key(&author) {
            self.strangers
                .retain(|_, bucket| !bucket.holds(now, STRANGER_MESSAGE_RATE));
            if self.strangers.len() >= STRANGERS_MAX {
                return false;
            }
        }
        let fresh = || Bucket::new(now, STRANGER_MESSAGE_RATE, STRANGER_MESSAGE_RATE);
        self.strangers
            .entry(author)
            .or_insert_with(fresh)
            .take(now, 1)
    }

    /// What one peer may still be answered: packets, bytes.
    pub fn answers_to(&mut self, now: Instant, peer: PeerId) -> &mut (Bucket, Bucket) {
        &mut self.answers(now, peer).own
    }

    /// Whether an answer to the group may go out for what this peer misses, among others.
    pub fn may_ask_all(&mut self, now: Instant, peer: PeerId) -> bool {
        self.answers(now, peer).all.holds(now, 1)
    }

    /// One went out.
    pub fn asked_all(&mut self, now: Instant, peer: PeerId) {
        self.answers(now, peer).all.take(now, 1);
    }

    /// Takes what one repair to the group costs, if it is there.
    pub fn may_answer_all(&mut self, now: Instant) -> bool {
        self.may_repeat(now) && self.repairs.take(now, 1)
    }

    fn answers(&mut self, now: Instant, peer: PeerId) -> &mut Answers {
        if self.answers.len() >= ANSWERS_MAX && !self.answers.contains_key(&peer) {
            self.answers.pop_first();
        }
        let (count, bytes) = (self.nack_answers, self.nack_bytes);
        self.answers.entry(peer).or_insert_with(|| Answers {
            own: (
                Bucket::new(now, count, count),
                Bucket::new(now, bytes, bytes),
            ),
            all: Bucket::new(now, ANSWERS_TO_ALL, ANSWERS_TO_ALL),
        })
    }

    /// Forgets a peer that went; its share is its own still when it comes back.
    pub fn forget(&mut self, peer: &PeerId) {
        self.answers.remove(peer);
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn a_node_sends_no_more_than_it_may_and_messages_go_before_copies() {
        let now = Instant::now();
        let limits = Limits {
            person_rate: 1000,
            person_burst: 1000,
            ..Limits::default()
        };
        let mut rates = Rates::new(now, &limits);
        let room = [RoomTag([1; 8])];
        let mut sent = 0;
        while rates.may_repeat(now) {
            rates.sent(now, 300);
            sent += 1;
        }
        assert_eq!(sent, 45);
        while rates.turn(now, room.iter().copied()).is_some() {
            rates.sent(now, 300);
            sent += 1;
        }
        assert_eq!((sent, rates.may_send(now)), (60, false));
        let next = rates.turn_at(now);
        assert!(next > now + std::time::Duration::from_millis(33));
        assert!(rates.turn(next, room.iter().copied()).is_some());
    }

    #[test]
    fn a_person_slows_down_with_the_group_and_waits_no_longer_than_it_has_to() {
        let now = Instant::now();
        let mut rates = Rates::new(now, &Limits::default());
        let room = [RoomTag([1; 8])];
        for second in 0..10 {
            let at = now + std::time::Duration::from_secs(second);
            (0..300).for_each(|_| rates.shares.load.add(at, 100));
        }
        let mut at = now + std::time::Duration::from_secs(10);
        while rates.turn(at, room.iter().copied()).is_some() {}
        let next = rates.turn_at(at);
        assert!(
            next > at + std::time::Duration::from_millis(900),
            "a line a second"
        );
        for _ in 0..40 {
            at = rates.turn_at(at);
            rates.turn(at, room.iter().copied()).unwrap();
        }
        let next = rates.turn_at(at);
        assert!(
            next < at + std::time::Duration::from_millis(201),
            "recovered"
        );
    }

    #[test]
    fn a_person_has_one_budget_for_all_rooms_and_these_take_turns() {
        let now = Instant::now();
        let mut rates = Rates::new(now, &Limits::default());
        let rooms = [1, 5, 9].map(|tag| RoomTag([tag; 8]));
        let turns: Vec<u8> =
            std::iter::from_fn(|| Some(rates.turn(now, rooms.iter().copied())?.0[0])).collect();
        assert_eq!(turns, [1, 5, 9, 1, 5, 9, 1, 5, 9, 1]);
        let mut at = now;
        for expected in [5, 9, 1] {
            at = rates.turn_at(at);
            let turn = rates.turn(at, rooms.iter().copied());
            assert_eq!(turn, Some(RoomTag([expected; 8])));
            assert_eq!(rates.turn(at, rooms.iter().copied()), None);
        }
        let later = at + std::time::Duration::from_secs(1);
        assert_eq!(rates.turn(later, std::iter::empty()), None);
        let alone = rates.turn(later, rooms[..1].iter().copied());
        assert_eq!(
            alone,
            Some(rooms[0]),
            "nobody waits for a room with nothing to say"
        );
    }
}
