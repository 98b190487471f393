//! The numbers of a log that are known to exist and are not here: when each is asked for, and which
//! of them nobody can give any more.
//!
//! A number is given up after [`LAST_TRY`] tries: where its author is here, only if the author itself
//! told in an exchange of histories how far it holds its log and did not give it; where the author is
//! away, if nobody who is here gave it, and then it is asked for again once the author is back.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::runs::Runs;
use super::sender::FOLLOWED_MAX;
use crate::durable::GONE_RUNS_MAX;
use crate::id::PeerId;
use crate::limits::NACK_RUNS_MAX;
use crate::wire::Run;

/// Tries at the measured pace; after them the pace doubles to [`ASK_SLOWEST`], and an exchange of
/// histories is asked for as well.
pub const QUICK_TRIES: u32 = 12;
const ASK_SLOWEST: Duration = Duration::from_secs(10);
/// After so many tries, about half a minute, a number may be given up.
pub const LAST_TRY: u32 = QUICK_TRIES + 8;
/// An author follows fewer lines than it takes to have more runs of them given up than are
/// remembered, so nobody is told that what is beyond was delivered.
const _: () = assert!(GONE_RUNS_MAX >= FOLLOWED_MAX as usize);
/// Members remembered of whom it is known how much of one log they hold.
const HOLDERS_MAX: usize = 8;

/// What is missing of one log, and what is given up.
#[derive(Default)]
pub struct Missing {
    asks: BTreeMap<u32, Ask>,
    gone: Runs,
    /// Of what is given up its author itself said up to here that it does not hold it.
    denied: u32,
    /// What was given up on that word since this was looked at last.
    to_keep: Vec<u32>,
    /// Up to here its author did not give all that it said to hold.
    withheld: u32,
    /// Who showed lately to hold how much of the log.
    holders: VecDeque<(PeerId, u32)>,
}

/// How often one entry was asked for.
#[derive(Clone, Copy, Debug)]
struct Ask {
    tries: u32,
    next: Instant,
}

impl Missing {
    /// Asks for a number from then on.
    pub fn want(&mut self, seq: u32, next: Instant) {
        self.asks.insert(seq, Ask { tries: 0, next });
    }

    /// The same at the slow pace: it was here, and there was no room to keep it.
    pub fn want_slowly(&mut self, seq: u32, next: Instant) {
        let tries = QUICK_TRIES;
        self.asks.insert(seq, Ask { tries, next });
    }

    /// It came, and goes to the store.
    pub fn came(&mut self, seq: u32) {
        self.asks.remove(&seq);
    }

    /// It is stored.
    pub fn held(&mut self, seq: u32) {
        self.asks.remove(&seq);
        self.gone.remove(seq);
    }

    /// These are stored.
    pub fn held_run(&mut self, first: u32, last: u32) {
        let above = self.gone.split_off(last.saturating_add(1));
        let _ = self.gone.split_off(first);
        above.for_each(|(first, last)| self.gone.insert_run(first, last));
    }

    /// Nothing is asked for any more.
    pub fn clear(&mut self) {
        self.asks.clear();
    }

    /// Nothing up to this is wanted.
    pub fn forget_up_to(&mut self, seq: u32) {
        self.asks = self.asks.split_off(&(seq.saturating_add(1)));
        self.gone.remove_up_to(seq);
    }

    /// Whether this number is asked for.
    #[must_use]
    pub fn contains(&self, seq: u32) -> bool {
        self.asks.contains_key(&seq)
    }

    /// How many are asked for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.asks.len()
    }

    /// What was given up.
    #[must_use]
    pub fn gone(&self) -> &Runs {
        &self.gone
    }

    /// The lowest number that was given up while its author was away, who may hold it still: nothing
    /// is acknowledged from there on.
    #[must_use]
    pub fn doubtful(&self) -> Option<u32> {
        self.gone.next_after(self.denied)
    }

    /// Its author told that it holds its log up to this, and gave all of it that it has.
    pub fn denied(&mut self, head: u32) {
        self.denied = self.denied.max(head);
    }

    /// Its author told that it holds its log up to this, and did not give all of it; the second
    /// time it cannot.
    pub fn withheld(&mut self, head: u32) {
        self.denied(self.withheld.min(head));
        self.withheld = self.withheld.max(head);
    }

    /// Gives up what is due and was asked for often enough. Whether there was any; and up to where
    /// there are too many runs to be remembered.
    pub fn give_up(&mut self, now: Instant, author_here: bool) -> (bool, Option<u32>) {
        let denied = self.denied;
        let is_over = |(seq, ask): &(&u32, &Ask)| {
            let may = **seq <= denied || !author_here;
            may && ask.tries >= LAST_TRY && ask.next <= now
        };
        let over: Vec<u32> = self.asks.iter().filter(is_over).map(|(s, _)| *s).collect();
        for seq in &over {
            self.asks.remove(seq);
            self.gone.insert(*seq);
        }
        self.to_keep
            .extend(over.iter().filter(|seq| **seq <= denied));
        let mut forgotten = None;
        while self.gone.len() > GONE_RUNS_MAX {
            forgotten = self.gone.pop_first().map(|(_, last)| last);
        }
        (!over.is_empty(), forgotten)
    }

    /// What its author denied and was given up since the last call.
    pub fn take_gone(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.to_keep)
    }

    /// What was given up on its author's word in an earlier run.
    pub fn restore_gone(&mut self, first: u32, last: u32) {
        self.gone.insert_run(first, last);
        self.denied = self.denied.max(last);
    }

    /// The author is back: what it has not denied is asked for anew, and what is asked for is asked
    /// for quickly again.
    pub fn ask_again(&mut self, now: Instant) {
        for ask in self.asks.values_mut() {
            *ask = Ask {
                tries: 0,
                next: now,
            };
        }
        for (first, last) in self.gone.split_off(self.denied.saturating_add(1)) {
            (first..=last).for_each(|seq| self.want(seq, now));
        }
    }

    /// Nobody is here to be asked: what is due is looked at again then.
    pub fn put_off(&mut self, now: Instant, until: Instant) {
        let due = self.asks.values_mut().filter(|ask| ask.next <= now);
        due.for_each(|ask| ask.next = until);
    }

    /// Somebody else showed that they hold it up to this.
    pub fn note_holder(&mut self, peer: PeerId, head: u32) {
        self.holders.retain(|(of, _)| *of != peer);
        self.holders.truncate(HOLDERS_MAX - 1);
        self.holders.push_front((peer, head));
    }

    /// Whether somebody showed that they hold it up to this.
    #[must_use]
    pub fn is_holder(&self, peer: &PeerId, seq: u32) -> bool {
        let mut holders = self.holders.iter();
        holders.any(|(of, head)| of == peer && *head >= seq)
    }

    /// How often that was asked for which is due, and the highest such number, if anything is due.
    #[must_use]
    pub fn due(&self, now: Instant) -> Option<(u32, u32)> {
        let due = self.asks.iter().filter(|(_, ask)| ask.next <= now);
        due.map(|(&seq, ask)| (ask.tries, seq)).max()
    }

    /// The runs to ask for now, of `most` numbers, and the number of the try. What is asked for is
    /// planned again by `pace(tries)`.
    pub fn take(
        &mut self,
        now: Instant,
        most: u32,
        mut pace: impl FnMut() -> Duration,
    ) -> Option<(u32, Vec<Run>)> {
        let mut runs: Vec<Run> = Vec::new();
        let mut tries = 0;
        let mut left = most;
        // One for all: what is asked for together is asked for together again.
        let mut wait = None;
        for (&seq, ask) in &mut self.asks {
            if ask.next > now {
                continue;
            }
            if left == 0 {
                break;
            }
            left -= 1;
            let full = runs.len() == NACK_RUNS_MAX;
            match runs.last_mut() {
                Some(run) if run.last + 1 == seq => run.last = seq,
                _ if full => break,
                _ => runs.push(Run {
                    first: seq,
                    last: seq,
                }),
            }
            ask.tries += 1;
            tries = tries.max(ask.tries);
            let slow = 1u32 << ask.tries.saturating_sub(QUICK_TRIES).min(10);
            let wait = *wait.get_or_insert_with(&mut pace);
            ask.next = now + wait.saturating_mul(slow).min(ASK_SLOWEST);
        }
        (!runs.is_empty()).then_some((tries, runs))
    }

    /// When something is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.asks.values().map(|ask| ask.next).min()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    const PACE: Duration = Duration::from_millis(30);

    /// Asks so often; when the last try was over.
    fn ask(missing: &mut Missing, times: u32) -> Instant {
        for _ in 0..times {
            let at = missing.deadline().unwrap();
            assert!(missing.take(at, 64, || PACE).is_some());
        }
        missing.deadline().unwrap()
    }

    #[test]
    fn missing_numbers_are_asked_for_in_runs_and_ever_more_slowly() {
        let now = Instant::now();
        let mut missing = Missing::default();
        [1, 2, 4, 5].iter().for_each(|&seq| missing.want(seq, now));
        let (tries, runs) = missing.take(now, 64, || PACE).unwrap();
        assert_eq!(tries, 1);
        assert_eq!(runs, [Run { first: 1, last: 2 }, Run { first: 4, last: 5 }]);
        assert_eq!(missing.take(now, 64, || PACE), None);
        ask(&mut missing, 20);
        let at = missing.deadline().unwrap();
        missing.take(at, 64, || PACE).unwrap();
        assert_eq!(missing.deadline().unwrap() - at, ASK_SLOWEST);
    }

    #[test]
    fn nothing_is_given_up_that_its_author_may_hold() {
        let now = Instant::now();
        let mut missing = Missing::default();
        missing.want(3, now);
        missing.want(9, now);
        let early = ask(&mut missing, LAST_TRY - 1);
        assert!(!missing.give_up(early, false).0, "too early");
        let at = ask(&mut missing, 1);
        assert!(!missing.give_up(at, true).0, "it was not asked");
        missing.denied(5);
        assert!(missing.give_up(at, true).0);
        assert!(missing.gone().contains(3) && missing.contains(9));
        assert_eq!(missing.doubtful(), None);
        assert!(missing.give_up(at, false).0, "it is away");
        assert_eq!((missing.doubtful(), missing.len()), (Some(9), 0));
        missing.ask_again(at);
        assert!(missing.gone().contains(3) && missing.contains(9));
        assert_eq!((missing.doubtful(), missing.due(at)), (None, Some((0, 9))));
        missing.held(3);
        assert!(!missing.gone().contains(3), "it came after all");
    }

    #[test]
    fn what_is_given_up_takes_a_bounded_amount_of_memory() {
        let now = Instant::now();
        let mut missing = Missing::default();
        missing.denied(10_000);
        (1..=1000).for_each(|seq| missing.want(2 * seq, now));
        let mut at = now;
        while missing.asks.values().any(|ask| ask.tries < LAST_TRY) {
            at = missing.deadline().unwrap();
            missing.take(at, 64, || PACE);
        }
        let (_, forgotten) = missing.give_up(at + ASK_SLOWEST, true);
        assert_eq!(missing.gone.len(), GONE_RUNS_MAX);
        let count = u32::try_from(1000 - GONE_RUNS_MAX).unwrap();
        assert_eq!(forgotten, Some(2 * count));
    }
}
