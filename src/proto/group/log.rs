//! What is held of one author's log in a room, and what is missing of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::limits::NACK_RUNS_MAX;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::wire::{Entry, Run};

/// A gap holds the lines behind it back for this long.
pub const GAP_HOLD: Duration = Duration::from_millis(500);
/// More missing entries than this are not asked for one by one.
const CATCH_UP_MAX: u32 = 200;
/// An entry further ahead of what is held than this is not taken, nor asked for.
const AHEAD_MAX: u32 = 2048;
/// The last number that a log can have, so that the one after it is a number too.
const SEQ_MAX: u32 = u32::MAX - 1;
/// Tries at the measured pace; after them the pace doubles to [`ASK_SLOWEST`].
const QUICK_TRIES: u32 = 12;
const ASK_SLOWEST: Duration = Duration::from_secs(10);

/// One author's log.
pub struct AuthorLog {
    /// The epoch held; 0 if the author is known to have none yet.
    pub epoch: u64,
    /// Up to this nothing is wanted, and nothing is said to be held either.
    floor: u32,
    /// Everything above the floor and up to this is stored.
    contiguous: u32,
    /// Stored beyond a gap.
    ahead: BTreeSet<u32>,
    /// Handed to the store, not answered yet.
    storing: BTreeSet<u32>,
    /// Shown though the store could not keep them.
    told: BTreeSet<u32>,
    /// Highest number known to exist.
    head: u32,
    /// Lines up to this were shown or given up.
    shown: u32,
    /// Stored, not shown yet.
    waiting: BTreeMap<u32, Entry>,
    /// Passed over because they are too far behind, not told yet.
    skipped: u32,
    gap_since: Option<Instant>,
    missing: BTreeMap<u32, Ask>,
    cache: BTreeMap<u32, Vec<u8>>,
    /// When to acknowledge.
    pub ack_at: Option<Instant>,
}

/// How often one entry was asked for.
#[derive(Clone, Copy, Debug)]
struct Ask {
    tries: u32,
    next: Instant,
}

/// What to show next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line {
    /// An entry; whether it came too late for its place.
    Entry(Box<Entry>, bool),
    /// So many lines are missing here.
    Gap(u32),
}

impl AuthorLog {
    /// A log of which everything up to `floor` is held or not wanted.
    #[must_use]
    pub fn new(epoch: u64, floor: u32) -> Self {
        let floor = floor.min(SEQ_MAX);
        AuthorLog {
            epoch,
            floor,
            contiguous: floor,
            ahead: BTreeSet::new(),
            storing: BTreeSet::new(),
            told: BTreeSet::new(),
            head: floor,
            shown: floor,
            waiting: BTreeMap::new(),
            skipped: 0,
            gap_since: None,
            missing: BTreeMap::new(),
            cache: BTreeMap::new(),
            ack_at: None,
        }
    }

    /// A log of which everything up to `held` was stored in an earlier run.
    #[must_use]
    pub fn restored(epoch: u64, held: u32) -> Self {
        AuthorLog {
            floor: 0,
            ..AuthorLog::new(epoch, held)
        }
    }

    /// The number to acknowledge, if anything is held.
    #[must_use]
    pub fn held(&self) -> Option<u32> {
        Some(self.contiguous).filter(|&seq| seq > self.floor)
    }

    /// The number up to which all is stored.
    #[must_use]
    pub fn contiguous(&self) -> u32 {
        self.contiguous
    }

    /// Up to this number entries are history: kept, not shown.
    #[must_use]
    pub fn floor(&self) -> u32 {
        self.floor
    }

    /// An entry of history is stored. Where the log is known only by its history, it ends there.
    pub fn fill(&mut self, seq: u32) {
        let untouched = self.contiguous == self.floor
            && self.head == self.floor
            && self.ahead.is_empty()
            && self.storing.is_empty();
        if untouched && seq > self.floor && seq <= SEQ_MAX {
            (self.floor, self.contiguous) = (seq, seq);
            (self.head, self.shown) = (seq, self.shown.max(seq));
        }
    }

    /// How many numbers are known to exist, are wanted and not here.
    #[must_use]
    pub fn missing(&self) -> u32 {
        let beyond = u32::try_from(self.ahead.len() + self.storing.len()).unwrap_or(u32::MAX);
        (self.head - self.contiguous.min(self.head)).saturating_sub(beyond)
    }

    /// Whether this number is held or on its way to the disk.
    #[must_use]
    pub fn has(&self, seq: u32) -> bool {
        seq <= self.contiguous || self.ahead.contains(&seq) || self.storing.contains(&seq)
    }

    /// Whether an entry of this number can be taken.
    #[must_use]
    pub fn is_near(&self, seq: u32) -> bool {
        seq <= self.contiguous.saturating_add(AHEAD_MAX).min(SEQ_MAX)
    }

    /// Whether it is known that numbers up to this exist.
    #[must_use]
    pub fn knows(&self, head: u32) -> bool {
        head <= self.head
    }

    /// The author says, or an entry shows, that numbers up to `head` exist. What is missing is
    /// asked for from `first_ask` on.
    pub fn learn_head(&mut self, head: u32, first_ask: Instant) {
        if head <= self.head || head > SEQ_MAX {
            return;
        }
        let behind = head - self.contiguous;
        if behind > CATCH_UP_MAX && self.ahead.is_empty() && self.storing.is_empty() {
            // Too far behind to ask entry by entry: begin a little before the head.
            let floor = head - CATCH_UP_MAX;
            self.skipped = self.skipped.saturating_add(floor - self.contiguous);
            self.contiguous = floor;
            self.floor = floor;
            self.shown = self.shown.max(floor);
            self.missing = self.missing.split_off(&(floor + 1));
        }
        // What is further ahead is asked for once this is here, or a later head tells of it.
        let head = head.min(self.contiguous.saturating_add(AHEAD_MAX));
        let from = self.head.max(self.contiguous) + 1;
        self.head = self.head.max(head);
        for seq in from..=head {
            if !self.has(seq) {
                self.missing.insert(
                    seq,
                    Ask {
                        tries: 0,
                        next: first_ask,
                    },
                );
            }
        }
    }

    /// An entry goes to the store.
    pub fn storing(&mut self, seq: u32) {
        self.missing.remove(&seq);
        self.storing.insert(seq);
    }

    /// The store has it. `is_new` is false where it had it before, so that nothing is shown twice.
    pub fn stored(&mut self, now: Instant, entry: Entry, is_new: bool) {
        let seq = entry.seq;
        if !self.storing.remove(&seq) {
            return;
        }
        self.ahead.insert(seq);
        while self.ahead.remove(&(self.contiguous + 1)) {
            self.contiguous += 1;
        }
        self.cache.insert(seq, entry.bytes.clone());
        if self.told.remove(&seq) {
            // Seen already.
        } else if is_new {
            self.waiting.insert(seq, entry);
        } else if seq == self.shown + 1 {
            self.shown = seq;
        }
        self.note_gap(now);
    }

    /// The store could not keep it: it is shown, and stays on its way to the disk.
    pub fn not_stored(&mut self, now: Instant, entry: Entry) {
        if self.storing.contains(&entry.seq) && self.told.insert(entry.seq) {
            self.waiting.insert(entry.seq, entry);
            self.note_gap(now);
        }
    }

    /// It does not wait for the store any more: it is asked for again from then on.
    pub fn give_up(&mut self, seq: u32, next: Instant) {
        if self.storing.remove(&seq) {
            let tries = QUICK_TRIES;
            self.missing.insert(seq, Ask { tries, next });
        }
    }

    /// The room's cache is full: older bytes come from the store from now on.
    pub fn forget(&mut self, seq: u32) {
        self.cache.remove(&seq);
    }

    /// The next line to show, if one may be shown now.
    pub fn next_line(&mut self, now: Instant) -> Option<Line> {
        let (&seq, _) = self.waiting.first_key_value()?;
        if self.skipped > 0 && seq > self.shown {
            return Some(Line::Gap(std::mem::take(&mut self.skipped)));
        }
        if seq <= self.shown {
            return self
                .waiting
                .remove(&seq)
                .map(|entry| Line::Entry(Box::new(entry), true));
        }
        if seq == self.shown + 1 {
            self.shown = seq;
            let entry = self.waiting.remove(&seq)?;
            self.gap_since = None;
            self.note_gap(now);
            return Some(Line::Entry(Box::new(entry), false));
        }
        if self.storing.range(self.shown + 1..seq).next().is_some() {
            // On its way to the disk: no gap.
            return None;
        }
        let missing = (self.shown + 1..seq)
            .filter(|&number| !self.has(number))
            .count();
        let held = self.gap_since.is_some_and(|since| now < since + GAP_HOLD);
        if missing > 0 && held {
            return None;
        }
        self.shown = seq - 1;
        self.gap_since = None;
        if missing == 0 {
            // Held already and shown in an earlier run.
            return self.next_line(now);
        }
        if is_sabotaged(Sabotage::GapSilent) {
            return self.next_line(now);
        }
        Some(Line::Gap(u32::try_from(missing).unwrap_or(u32::MAX)))
    }

    /// Whether something is on its way to the disk.
    #[must_use]
    pub fn is_storing(&self) -> bool {
        !self.storing.is_empty()
    }

    /// What is stored and was not shown, in order: the log ends here.
    pub fn take_waiting(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.waiting).into_values().collect()
    }

    fn note_gap(&mut self, now: Instant) {
        let first = self.waiting.first_key_value().map(|(&seq, _)| seq);
        if first.is_some_and(|seq| seq > self.shown + 1) {
            self.gap_since.get_or_insert(now);
        }
    }

    /// The runs to ask for now, and the number of the try. What is asked for is planned again by
    /// `pace(tries)`.
    pub fn take_asks(
        &mut self,
        now: Instant,
        mut pace: impl FnMut() -> Duration,
    ) -> Option<(u32, Vec<Run>)> {
        let mut runs: Vec<Run> = Vec::new();
        let mut tries = 0;
        // One for all: what is asked for together is asked for together again.
        let mut wait = None;
        for (&seq, ask) in &mut self.missing {
            if ask.next > now {
                continue;
            }
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

    /// An entry's bytes, if still in memory.
    #[must_use]
    pub fn cached(&self, seq: u32) -> Option<&Vec<u8>> {
        self.cache.get(&seq)
    }

    /// When something is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let ask = self.missing.values().map(|ask| ask.next).min();
        // With something on its way to the disk the answer of the store is what wakes us.
        let gap = self
            .gap_since
            .filter(|_| self.storing.is_subset(&self.told));
        let gap = gap.map(|since| since + GAP_HOLD);
        [ask, gap, self.ack_at].into_iter().flatten().min()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use crate::id::{NetworkId, RoomId};
    use crate::proto::Identity;
    use crate::wire::EntryKind;
    use crate::wire::group::EntryFields;

    fn entry(seq: u32) -> Entry {
        let author = Identity::from_secret(&[1; 32]);
        let fields = EntryFields {
            author: author.public(),
            network: NetworkId([0; 8]),
            epoch: 7,
            seq,
            hlc: 1,
            prev: [0; 32],
            kind: EntryKind::TEXT,
            deps: Vec::new(),
            body: b"x".to_vec(),
        };
        Entry::build(fields, &RoomId::public("lobby"), &mut |bytes| {
            author.sign(bytes)
        })
        .unwrap()
    }

    fn take(log: &mut AuthorLog, now: Instant, seq: u32) {
        log.learn_head(seq, now);
        log.storing(seq);
        log.stored(now, entry(seq), true);
    }

    fn lines(log: &mut AuthorLog, now: Instant) -> Vec<(u32, bool)> {
        let line = |line| match line {
            Line::Entry(entry, delayed) => (entry.seq, delayed),
            Line::Gap(missing) => (1000 + missing, false),
        };
        std::iter::from_fn(|| log.next_line(now))
            .map(line)
            .collect()
    }

    #[test]
    fn a_gap_holds_later_lines_half_a_second_and_is_then_told() {
        let now = Instant::now();
        let mut log = AuthorLog::new(7, 0);
        take(&mut log, now, 1);
        take(&mut log, now, 4);
        assert_eq!(lines(&mut log, now), [(1, false)]);
        assert_eq!(log.contiguous(), 1);
        let later = now + GAP_HOLD;
        assert_eq!(lines(&mut log, later), [(1002, false), (4, false)]);
        take(&mut log, later, 2);
        take(&mut log, later, 3);
        assert_eq!(lines(&mut log, later), [(2, true), (3, true)]);
        assert_eq!(log.contiguous(), 4);
    }

    #[test]
    fn a_gap_filled_in_time_is_never_seen() {
        let now = Instant::now();
        let mut log = AuthorLog::new(7, 0);
        for seq in [2, 3, 1] {
            take(&mut log, now, seq);
        }
        assert_eq!(lines(&mut log, now), [(1, false), (2, false), (3, false)]);
        assert_eq!(log.deadline(), None);
    }

    #[test]
    fn an_entry_on_its_way_to_the_disk_is_no_gap() {
        let now = Instant::now();
        let mut log = AuthorLog::new(7, 0);
        log.learn_head(2, now);
        log.storing(2);
        log.stored(now, entry(2), true);
        log.storing(1);
        assert_eq!(lines(&mut log, now + GAP_HOLD), []);
        log.stored(now, entry(1), true);
        assert_eq!(lines(&mut log, now + GAP_HOLD), [(1, false), (2, false)]);
    }

    #[test]
    fn missing_numbers_are_asked_for_in_runs_and_ever_more_slowly() {
        let now = Instant::now();
        let mut log = AuthorLog::new(7, 0);
        take(&mut log, now, 3);
        take(&mut log, now, 6);
        let pace = Duration::from_millis(30);
        let (tries, runs) = log.take_asks(now, || pace).unwrap();
        assert_eq!(tries, 1);
        assert_eq!(runs, [Run { first: 1, last: 2 }, Run { first: 4, last: 5 }]);
        assert_eq!(log.take_asks(now, || pace), None);
        let mut at = now;
        for _ in 0..20 {
            at = log.missing[&1].next;
            assert!(log.take_asks(at, || pace).is_some());
        }
        assert_eq!(log.missing[&1].next - at, ASK_SLOWEST);
        take(&mut log, at, 1);
        assert!(!log.missing.contains_key(&1));
    }

    #[test]
    fn a_log_far_ahead_is_joined_near_its_head() {
        let now = Instant::now();
        let mut log = AuthorLog::new(7, 10);
        log.learn_head(100_000, now);
        assert_eq!(log.missing.len(), CATCH_UP_MAX as usize);
        assert!(!log.is_near(200_000));
    }

    #[test]
    fn the_lines_passed_over_on_the_way_to_a_far_head_are_told_as_a_gap() {
        let now = Instant::now();
        let mut log = AuthorLog::new(7, 10);
        log.learn_head(1000, now);
        assert_eq!(lines(&mut log, now), []);
        take(&mut log, now, 801);
        assert_eq!(lines(&mut log, now), [(1790, false), (801, false)]);
    }

    #[test]
    fn a_head_without_bounds_costs_a_bounded_amount_of_memory() {
        let now = Instant::now();
        let mut log = AuthorLog::new(7, 0);
        take(&mut log, now, 2);
        for head in [3_000_000_000, u32::MAX - 1, u32::MAX] {
            log.learn_head(head, now);
            assert!(log.missing.len() <= AHEAD_MAX as usize);
        }
        take(&mut log, now, 1);
        log.learn_head(u32::MAX - 1, now);
        assert!(log.missing.len() <= AHEAD_MAX as usize);
    }

    #[test]
    fn the_last_number_there_is_ends_a_log_and_not_the_program() {
        let now = Instant::now();
        let mut log = AuthorLog::new(7, u32::MAX - 2);
        assert!(log.is_near(u32::MAX - 1) && !log.is_near(u32::MAX));
        for seq in [u32::MAX - 1, u32::MAX - 1] {
            take(&mut log, now, seq);
        }
        assert_eq!(lines(&mut log, now), [(u32::MAX - 1, false)]);
        log.learn_head(u32::MAX, now);
        assert_eq!(log.deadline(), None);
    }

    #[test]
    fn a_slow_disk_does_not_make_the_gap_timer_spin() {
        let now = Instant::now();
        let mut log = AuthorLog::new(7, 0);
        take(&mut log, now, 3);
        log.learn_head(3, now);
        log.storing(1);
        log.storing(2);
        let later = now + GAP_HOLD * 2;
        assert_eq!(lines(&mut log, later), []);
        assert!(log.deadline().is_none_or(|at| at > later), "at once again");
    }

    #[test]
    fn what_the_store_had_already_is_not_shown_again() {
        let now = Instant::now();
        let mut log = AuthorLog::new(7, 0);
        for seq in [1, 2, 3] {
            log.learn_head(seq, now);
            log.storing(seq);
            log.stored(now, entry(seq), seq != 2);
        }
        assert_eq!(lines(&mut log, now), [(1, false), (3, false)]);
    }
}
