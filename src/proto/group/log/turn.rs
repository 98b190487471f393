//! Whose turn it is to be shown, and for how long a gap holds the rest back.

use std::time::Instant;

use super::{AuthorLog, GAP_HOLD, Line, Waiting};
use crate::id::MessageId;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::wire::{Entry, EntryKind};

impl AuthorLog {
    /// The next line to show, if one may be shown now.
    pub fn next_line(&mut self, now: Instant) -> Option<Line> {
        let (&seq, _) = self.waiting.first_key_value()?;
        self.go_back(now, seq);
        if self.skipped > 0 && seq > self.shown {
            return Some(Line::Gap(std::mem::take(&mut self.skipped)));
        }
        if seq <= self.shown {
            let Waiting { entry, key } = self.waiting.remove(&seq)?;
            let behind = self.last_behind(seq, key);
            let (entry, key) = (Box::new(entry), self.gaps.late(seq, key));
            return Some(match behind {
                Some(last) => Line::Late(entry, key, last),
                None => Line::Entry(entry, key),
            });
        }
        if seq == self.shown + 1 {
            self.shown = seq;
            let Waiting { entry, key } = self.waiting.remove(&seq)?;
            self.gap_since = None;
            self.note_gap(now);
            return Some(self.in_turn(entry, key));
        }
        if self.storing.range(self.shown + 1..seq).next().is_some() {
            // On its way to the disk: no gap.
            return None;
        }
        let missing = seq - self.shown - 1 - self.held.count(self.shown + 1, seq - 1);
        let held = self.gap_since.is_some_and(|since| now < since + GAP_HOLD);
        // What is given up is not waited for.
        let gone = self.missing.gone().count(self.shown + 1, seq - 1);
        if missing > gone && held {
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
        Some(Line::Gap(missing))
    }

    /// A line that is not wanted, since it is before the start, came all the same, and nothing behind
    /// it was shown: from here on it goes in turn again, so that what is missing is told.
    fn go_back(&mut self, now: Instant, seq: u32) {
        let last = self.last_key.map(|(last, _)| last);
        if seq <= self.start.min(self.shown) && last.is_none_or(|last| last < seq) {
            let before = last.unwrap_or(seq - 1);
            self.skipped = self.skipped.saturating_sub(self.shown - before);
            self.shown = before;
            self.note_gap(now);
        }
    }

    /// The last line that was shown behind this one, up to the next gap, and the key that it has
    /// by the one of this.
    fn last_behind(&self, seq: u32, key: u64) -> Option<(u64, MessageId)> {
        let end = (seq..self.shown).find(|seq| !self.held.contains(seq + 1));
        let (last, cached) = self
            .cache
            .range(seq..=end.unwrap_or(self.shown))
            .next_back()?;
        let key = key.saturating_add(u64::from(last - seq));
        Some((key, MessageId::of_entry(&cached.hash)))
    }

    /// A line in its turn: behind the one before, whose place may not have been known when this
    /// one was stored.
    fn in_turn(&mut self, entry: Entry, key: u64) -> Line {
        // Behind a gap it is what the store says: the one before is not held there either.
        let before = self.last_key.filter(|(seq, _)| seq + 1 == entry.seq);
        let key = key.max(before.map_or(0, |(_, last)| last.saturating_add(1)));
        if before.is_none() {
            self.gaps.note(entry.seq, key);
        }
        self.last_key = Some((entry.seq, key));
        Line::Entry(Box::new(entry), key)
    }

    /// Whether lines wait for others that are missing.
    #[must_use]
    pub fn holds_back(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes out what takes lines back and waits for its turn, with its place in the order.
    pub fn take_redactions(&mut self) -> Vec<(Entry, u64)> {
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let is_one = |(_, line): &(u32, Waiting)| line.entry.kind.base() == EntryKind::REDACTION;
        let (taken, kept): (Vec<_>, Vec<_>) = waiting.partition(is_one);
        self.waiting = kept.into_iter().collect();
        let taken = taken.into_iter();
        taken.map(|(_, line)| (line.entry, line.key)).collect()
    }

    /// The lines behind a gap wait no longer.
    pub fn let_go(&mut self, now: Instant) {
        if self.gap_since.is_some() {
            self.gap_since = now.checked_sub(GAP_HOLD).or(self.gap_since);
        }
    }

    pub(super) fn note_gap(&mut self, now: Instant) {
        let first = self.waiting.first_key_value().map(|(&seq, _)| seq);
        if first.is_some_and(|seq| seq > self.shown + 1) {
            self.gap_since.get_or_insert(now);
        }
    }
}
