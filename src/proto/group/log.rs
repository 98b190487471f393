//! What is held of one author's log in a room, and what is missing of it.

mod bounds;
mod chain;
mod turn;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::heard::HeardOn;
use super::late::BehindGaps;
use super::missing::Missing;
use super::runs::Runs;
use crate::durable::{Head, Holes};
use crate::id::{MessageId, NetworkId};
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::wire::Entry;

/// A gap holds the lines behind it back for this long.
pub const GAP_HOLD: Duration = Duration::from_millis(500);
/// An entry further ahead of what is held than this is not taken, nor asked for.
const AHEAD_MAX: u32 = 2048;
/// Most runs of numbers that are held of one log.
const HELD_RUNS_MAX: usize = 2048;
/// Entries that came as history of which it is remembered what joins on to them.
const JOINS_MAX: usize = 128;
/// The last number that a log can have, so that the one after it is a number too.
const SEQ_MAX: u32 = u32::MAX - 1;

/// One epoch of one author's log.
#[derive(Default)]
pub struct AuthorLog {
    /// The network that its entries name; none before the first of them.
    pub(super) network: Option<NetworkId>,
    /// Where its author itself spoke of it in this run.
    pub(super) heard_on: HeardOn,
    /// Up to this nothing is kept, asked for, accepted or served.
    pub(super) floor: u32,
    /// Up to this nothing is asked for entry by entry, and nothing is said to be held either: it
    /// was said before this node came.
    start: u32,
    /// Everything above the start and up to this is stored, or given up.
    contiguous: u32,
    /// What is stored.
    pub(super) held: Runs,
    /// Handed to the store, not answered yet.
    storing: BTreeMap<u32, Cached>,
    /// Shown though the store could not keep them.
    told: BTreeSet<u32>,
    /// Highest number known to exist.
    head: u32,
    /// Lines up to this were shown or given up.
    shown: u32,
    /// Stored, not shown yet.
    waiting: BTreeMap<u32, Waiting>,
    /// Passed over because they are too far behind, not told yet.
    skipped: u32,
    /// Number and key of the line shown last in its turn.
    last_key: Option<(u32, u64)>,
    gaps: BehindGaps,
    gap_since: Option<Instant>,
    /// What is asked for, and what nobody can give any more.
    pub missing: Missing,
    cache: BTreeMap<u32, Cached>,
    /// Number and hash of the last entry that the store had at the start, or that came as history
    /// since.
    restored: Option<(u32, [u8; 32])>,
    /// What came as history last.
    passed: Option<(u32, Cached)>,
    /// Hash and `prev` of what came as history in this run.
    joins: BTreeMap<u32, ([u8; 32], [u8; 32])>,
    /// Its author used a number twice: nothing more is taken of it, nor told.
    forked: bool,
    /// When to acknowledge.
    pub ack_at: Option<Instant>,
    /// The highest number that this node is to acknowledge, and what it acknowledged last.
    pub ack_for: u32,
    /// See `ack_for`.
    pub acked: u32,
}

/// An entry's bytes, and its hash.
struct Cached {
    bytes: Vec<u8>,
    hash: [u8; 32],
}

/// A line whose turn has not come.
struct Waiting {
    entry: Entry,
    key: u64,
}

/// What to show next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line {
    /// An entry, and the key of its place in the order.
    Entry(Box<Entry>, u64),
    /// The same of one that comes after what is behind it, and what its author said last before
    /// the next gap, with the key that this gives it.
    Late(Box<Entry>, u64, (u64, MessageId)),
    /// So many lines are missing here.
    Gap(u32),
}

impl AuthorLog {
    /// A log of which everything up to `start` is not wanted.
    #[must_use]
    pub fn new(start: u32) -> Self {
        let start = start.min(SEQ_MAX);
        AuthorLog {
            start,
            contiguous: start,
            head: start,
            shown: start,
            ..AuthorLog::default()
        }
    }

    /// A log as the store had it, with what it knew of it beyond its head.
    #[must_use]
    pub fn restored(head: &Head, holes: Option<&Holes>) -> Self {
        let (seq, floor) = (head.seq.min(SEQ_MAX), head.floor.min(SEQ_MAX));
        let mut held = Runs::default();
        held.insert_run(head.low.max(1), seq);
        let start = if head.low <= seq {
            head.low.saturating_sub(1).max(floor)
        } else {
            seq.max(floor)
        };
        let mut missing = Missing::default();
        if let Some(holes) = holes {
            let is_above = |run: &&(u32, u32)| run.0 > seq.max(floor) && run.1 <= SEQ_MAX;
            let held_beyond = holes.held.iter().filter(is_above);
            held_beyond.for_each(|&(first, last)| held.insert_run(first, last));
            for &(first, last) in holes.gone.iter().filter(is_above) {
                missing.restore_gone(first, last);
            }
            // Some of it came after all.
            let beyond = holes.held.iter().filter(is_above);
            beyond.for_each(|&(first, last)| missing.held_run(first, last));
        }
        let is_known = head.hash != [0; 32];
        let mut log = AuthorLog {
            network: Some(head.network),
            floor,
            start,
            contiguous: seq.max(floor),
            held,
            head: seq.max(floor),
            shown: seq.max(floor),
            restored: is_known.then_some((seq, head.hash)),
            forked: head.forked,
            missing,
            ..AuthorLog::default()
        };
        log.advance();
        log.shown = log.contiguous;
        log
    }

    /// An entry names this network; whether that is the one of the entries before.
    pub fn names(&mut self, network: NetworkId) -> bool {
        *self.network.get_or_insert(network) == network
    }

    /// Whether an entry that names this network can be of this log.
    #[must_use]
    pub fn may_name(&self, network: NetworkId) -> bool {
        self.network.is_none_or(|named| named == network)
    }

    /// Whether its entries name this network.
    #[must_use]
    pub fn names_network(&self, network: NetworkId) -> bool {
        self.network == Some(network)
    }

    /// Nothing more is taken of it.
    pub fn mark_forked(&mut self) {
        self.forked = true;
        self.missing.clear();
        self.ack_at = None;
    }

    /// Whether its author used a number twice.
    #[must_use]
    pub fn is_forked(&self) -> bool {
        self.forked
    }

    /// The number to acknowledge, if anything is held. What was given up while the author was away
    /// is not.
    #[must_use]
    pub fn held(&self) -> Option<u32> {
        let doubtful = self.missing.doubtful().map(|seq| seq - 1);
        let held = doubtful.map_or(self.contiguous, |last| last.min(self.contiguous));
        Some(held).filter(|&seq| seq > self.start)
    }

    /// The number up to which all is stored or given up.
    #[must_use]
    pub fn contiguous(&self) -> u32 {
        self.contiguous
    }

    /// Up to this nothing is asked for entry by entry.
    #[must_use]
    pub fn start(&self) -> u32 {
        self.start
    }

    /// Whether this number is held or on its way to the disk.
    #[must_use]
    pub fn has(&self, seq: u32) -> bool {
        self.held.contains(seq) || self.storing.contains_key(&seq)
    }

    /// Whether this number is held and was shown, perhaps in an earlier run.
    #[must_use]
    pub fn was_shown(&self, seq: u32) -> bool {
        self.held.contains(seq) && !self.waiting.contains_key(&seq)
    }

    /// Whether an entry of this number can be taken.
    #[must_use]
    pub fn is_near(&self, seq: u32) -> bool {
        let is_kept = seq > self.floor || is_sabotaged(Sabotage::FloorIgnored);
        is_kept && seq <= self.contiguous.saturating_add(AHEAD_MAX).min(SEQ_MAX)
    }

    /// The same of history, which may lie beyond a hole that nobody fills.
    #[must_use]
    pub fn is_near_held(&self, seq: u32) -> bool {
        let last = self.held.last().unwrap_or(0);
        let is_beyond = seq > self.floor && seq <= last.saturating_add(AHEAD_MAX).min(SEQ_MAX);
        self.is_near(seq) || is_beyond
    }

    /// Whether one more run of numbers can be held.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.held.len() + self.storing.len() < HELD_RUNS_MAX
    }

    /// Whether this number is asked for.
    #[must_use]
    pub fn is_missing(&self, seq: u32) -> bool {
        self.missing.contains(seq)
    }

    /// How many numbers are known to exist, are wanted and not here.
    #[must_use]
    pub fn missing_len(&self) -> u32 {
        u32::try_from(self.missing.len()).unwrap_or(u32::MAX)
    }

    /// Whether it is known that numbers up to this exist.
    #[must_use]
    pub fn knows(&self, head: u32) -> bool {
        head <= self.head
    }

    /// An entry goes to the store.
    pub fn storing(&mut self, entry: &Entry, hash: [u8; 32]) {
        self.missing.came(entry.seq);
        let bytes = entry.bytes.clone();
        self.storing.insert(entry.seq, Cached { bytes, hash });
    }

    /// The store has it. `key`: its place in the order if it is to be shown, which it is not where
    /// the store had it before.
    pub fn stored(&mut self, now: Instant, entry: Entry, key: Option<u64>) {
        let seq = entry.seq;
        let Some(cached) = self.storing.remove(&seq) else {
            return;
        };
        self.hold(seq);
        self.cache.insert(seq, cached);
        match key {
            // Seen already.
            _ if self.told.remove(&seq) => {}
            Some(key) => {
                self.waiting.insert(seq, Waiting { entry, key });
            }
            None if seq == self.shown + 1 => self.shown = seq,
            None => {}
        }
        self.note_gap(now);
    }

    /// The store could not keep it: it is shown, and stays on its way to the disk.
    pub fn not_stored(&mut self, now: Instant, entry: Entry) {
        if self.storing.contains_key(&entry.seq) && self.told.insert(entry.seq) {
            let key = entry.hlc;
            self.waiting.insert(entry.seq, Waiting { entry, key });
            self.note_gap(now);
        }
    }

    /// It does not wait for the store any more: it is asked for again from then on.
    pub fn give_up(&mut self, seq: u32, next: Instant) {
        if self.storing.remove(&seq).is_some() {
            self.missing.want_slowly(seq, next);
        }
    }

    /// An entry is stored that is not shown: it was said before this node came.
    pub fn filled(&mut self, seq: u32) {
        if seq <= self.floor || seq > SEQ_MAX {
            return;
        }
        self.hold(seq);
        if seq == self.shown + 1 {
            self.shown = seq;
        }
    }

    fn hold(&mut self, seq: u32) {
        self.held.insert(seq);
        self.missing.held(seq);
        self.advance();
        self.head = self.head.max(self.contiguous);
    }

    /// Goes past what is held, and what is given up.
    fn advance(&mut self) {
        loop {
            let held = self.held.end_after(self.contiguous);
            let next = self.missing.gone().end_after(held);
            if next == self.contiguous {
                // A floor may be beyond all that was told of.
                self.head = self.head.max(next);
                return;
            }
            self.contiguous = next;
        }
    }

    /// The store did not take it.
    pub fn refused(&mut self, seq: u32) {
        self.storing.remove(&seq);
        self.told.remove(&seq);
    }

    /// The room's cache is full: older bytes come from the store from now on.
    pub fn forget(&mut self, seq: u32) {
        self.cache.remove(&seq);
    }

    /// Whether something is on its way to the disk.
    #[must_use]
    pub fn is_storing(&self) -> bool {
        !self.storing.is_empty()
    }

    /// An entry's bytes, if still in memory.
    #[must_use]
    pub fn cached(&self, seq: u32) -> Option<&Vec<u8>> {
        self.cache.get(&seq).map(|cached| &cached.bytes)
    }

    /// When something is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let ask = self.missing.deadline();
        // With something on its way to the disk the answer of the store is what wakes us.
        let is_told = self.storing.keys().all(|seq| self.told.contains(seq));
        let is_due = is_told && !self.waiting.is_empty();
        let gap = self.gap_since.filter(|_| is_due);
        let gap = gap.map(|since| since + GAP_HOLD);
        [ask, gap, self.ack_at].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
