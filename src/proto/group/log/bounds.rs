//! From where on a log is wanted and how far it is known to go; and what in between nobody can give.

use std::time::Instant;

use super::{AHEAD_MAX, AuthorLog, SEQ_MAX};
use crate::proto::group::sender::FOLLOWED_MAX;

/// More missing entries than this are not asked for one by one. Not fewer than an author follows: it
/// takes what is at or below the start of a log for delivered.
pub(super) const CATCH_UP_MAX: u32 = FOLLOWED_MAX;

impl AuthorLog {
    /// The author says, or an entry shows, that numbers up to `head` exist. What is missing is
    /// asked for from `first_ask` on.
    pub fn learn_head(&mut self, head: u32, first_ask: Instant) {
        if head <= self.head || head > SEQ_MAX || self.forked {
            return;
        }
        let behind = head - self.contiguous;
        let is_beyond_held = self.held.last().is_none_or(|last| last <= self.contiguous);
        if behind > CATCH_UP_MAX && is_beyond_held && self.storing.is_empty() {
            // Too far behind to ask entry by entry: begin a little before the head.
            let start = head - CATCH_UP_MAX;
            self.skipped = self.skipped.saturating_add(start - self.contiguous);
            self.contiguous = start;
            self.start = start;
            self.shown = self.shown.max(start);
            self.missing.forget_up_to(start);
        }
        // What is further ahead is asked for once this is here, or a later head tells of it.
        let head = head.min(self.contiguous.saturating_add(AHEAD_MAX));
        let from = self.head.max(self.contiguous) + 1;
        self.head = self.head.max(head);
        for seq in from..=head {
            if !self.has(seq) {
                self.missing.want(seq, first_ask);
            }
        }
    }

    /// Nothing before this number is to be had where it was told of: it is waited for no longer.
    pub fn begins_at(&mut self, first: u32) {
        let before = first.saturating_sub(1).min(SEQ_MAX);
        if before <= self.contiguous {
            return;
        }
        self.start = self.start.max(before);
        self.contiguous = before;
        self.missing.forget_up_to(before);
        self.advance();
        self.head = self.head.max(self.contiguous);
        self.shown = self.shown.max(before);
        let next = self.waiting.first_key_value().map(|(&seq, _)| seq);
        if next.is_none_or(|seq| seq <= self.shown + 1) {
            self.gap_since = None;
        }
    }

    /// Nothing at or below this is kept any more.
    pub fn raise_floor(&mut self, floor: u32) {
        let floor = floor.min(SEQ_MAX);
        if floor <= self.floor {
            return;
        }
        self.floor = floor;
        self.start = self.start.max(floor);
        self.contiguous = self.contiguous.max(floor);
        self.head = self.head.max(floor);
        self.shown = self.shown.max(floor);
        self.held.remove_up_to(floor);
        self.missing.forget_up_to(floor);
        self.cache = self.cache.split_off(&(floor + 1));
        self.advance();
    }

    /// Its author told in an exchange of histories how far it holds it, and gave all that it has;
    /// none: it holds nothing of it.
    pub fn denied(&mut self, head: Option<u32>) {
        self.missing.denied(head.unwrap_or(self.head));
    }

    /// Its author told how far it holds it, and did not give all of that: its store may have failed
    /// for a moment. What it did not give a second time it cannot give. None:
    /// all that is known of it.
    pub fn withheld(&mut self, head: Option<u32>) {
        self.missing.withheld(head.unwrap_or(self.head));
    }

    /// Gives up what nobody can give any more. Whether there was any.
    pub fn give_up_gone(&mut self, now: Instant, author_here: bool) -> bool {
        let (any, forgotten) = self.missing.give_up(now, author_here);
        if let Some(last) = forgotten.filter(|last| *last > self.start) {
            // In too many places to be remembered: as if this had been said before this node came.
            self.start = last;
            self.contiguous = self.contiguous.max(last);
            self.missing.forget_up_to(last);
        }
        self.advance();
        any
    }

    /// The author is back: what it may hold of what was given up is asked for again.
    pub fn ask_again(&mut self, now: Instant) {
        if self.forked {
            return;
        }
        self.missing.ask_again(now);
        self.contiguous = self.start;
        self.advance();
    }
}
