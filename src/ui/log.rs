//! The lines of one conversation, bounded, and where its reader stands in them.

use std::collections::VecDeque;

use super::input::Editor;
use super::line::{Change, Line, Mark, Said};
use super::past::{Past, PastState};
use crate::api::Timestamp;
use crate::id::{MessageId, PeerId};

/// Most lines kept of one conversation.
pub const LINES_MAX: usize = 5000;
/// Most bytes of text kept of one conversation.
pub const LOG_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most lines kept of one conversation, while somebody reads back in it.
pub const READ_BACK_MAX: usize = 20_000;
/// Most bytes of text kept of one conversation, while somebody reads back in it.
const READ_BACK_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most people in one line of comings and goings.
const CHANGES_MAX: usize = 64;

/// A place in a log: this many rows of the line with this number are above it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The number of the line, counted from the first there ever was.
    pub line: u64,
    /// Rows of it above the place.
    pub rows: usize,
}

/// A conversation.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pub(super) lines: VecDeque<Line>,
    /// The number of the first line that is kept.
    pub(super) first: u64,
    pub(super) bytes: usize,
    /// How far it was read back.
    pub(super) past: Past,
    /// Messages of others not seen yet.
    pub unread: u32,
    /// Whether one of them is meant for this person: private, or names them.
    pub called: bool,
    /// The number of the first line that was new when it was looked at last.
    pub new_from: Option<u64>,
    /// What is typed for it and not sent.
    pub draft: Editor,
    /// The lowest row shown; none for the end.
    pub bottom: Option<Place>,
    /// The number of the line that is picked, to be answered or taken back.
    pub picked: Option<u64>,
}

impl Log {
    /// Whether it holds no line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether anybody says anything in it.
    #[must_use]
    pub fn has_talk(&self) -> bool {
        self.lines.iter().any(|line| matches!(line, Line::Said(_)))
    }

    /// The bytes it holds, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of the first line.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number after that of the last line.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    /// The line with this number.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Line> {
        let index = number.checked_sub(self.first)?;
        self.lines.get(usize::try_from(index).ok()?)
    }

    /// Adds a line.
    pub fn push(&mut self, line: Line) {
        self.bytes += line.cost();
        self.lines.push_back(line);
        self.keep_bounds();
    }

    fn keep_bounds(&mut self) {
        let (lines, bytes) = match self.bottom {
            Some(_) => (READ_BACK_MAX, READ_BACK_BYTES_MAX),
            None => (LINES_MAX, LOG_BYTES_MAX),
        };
        while self.lines.len() > lines || self.bytes > bytes && self.lines.len() > 1 {
            self.drop_first();
        }
    }

    /// The lines from this index on have numbers greater by so much: so do the places among them.
    pub(super) fn shift_places(&mut self, index: usize, by: i64) {
        let number = self.first + index as u64;
        let places = [&mut self.new_from, &mut self.picked].into_iter().flatten();
        let places = places.chain(self.bottom.as_mut().map(|place| &mut place.line));
        for place in places.filter(|place| **place >= number) {
            *place = place.saturating_add_signed(by);
        }
    }

    /// Puts a line behind a message, or to the end if that is not here any more. What is looked at
    /// stays what it was.
    pub fn insert_after(&mut self, id: &MessageId, line: Line) {
        let is_it = |line: &Line| matches!(line, Line::Said(said) if said.id == *id);
        let found = self.lines.iter().rposition(is_it);
        let Some(index) = found.filter(|&index| index + 1 < self.lines.len()) else {
            return self.push(line);
        };
        self.bytes += line.cost();
        self.lines.insert(index + 1, line);
        self.past.lines += usize::from(index < self.past.lines);
        self.shift_places(index + 1, 1);
        self.keep_bounds();
    }

    /// Drops the oldest line. Returns the bytes that freed.
    pub fn drop_first(&mut self) -> usize {
        let Some(line) = self.lines.pop_front() else {
            return 0;
        };
        self.first += 1;
        self.bytes -= line.cost();
        self.past.lines = self.past.lines.saturating_sub(1);
        self.past.oldest = None;
        if self.past.state == PastState::Whole {
            self.past.state = PastState::More;
        }
        line.cost()
    }

    /// Adds that somebody came or went, to the last line if that is of the same kind.
    pub fn push_change(&mut self, time: Timestamp, change: Change) {
        if let Some(Line::Presence {
            time: last,
            changes,
        }) = self.lines.back_mut()
        {
            if let Some(known) = changes.iter_mut().find(|known| known.id == change.id) {
                *known = change;
                *last = time;
                return;
            }
            if changes.len() < CHANGES_MAX {
                self.bytes += 64;
                changes.push(change);
                *last = time;
                return;
            }
        }
        self.push(Line::Presence {
            time,
            changes: vec![change],
        });
    }

    /// A message that was missing came: the line that tells of the gap nearest to it counts one
    /// less, and goes with the last.
    pub fn fill_gap(&mut self, id: &MessageId, from: &PeerId) {
        let is_it = |line: &Line| matches!(line, Line::Said(said) if said.id == *id);
        let Some(at) = self.lines.iter().rposition(is_it) else {
            return;
        };
        let is_gap =
            |&index: &usize| matches!(&self.lines[index], Line::Gap { from: of, .. } if of == from);
        let behind = (at..self.lines.len()).find(is_gap);
        let Some(index) = behind.or_else(|| (0..at).rev().find(is_gap)) else {
            return;
        };
        if let Some(Line::Gap { missing, .. }) = self.lines.get_mut(index) {
            *missing = missing.saturating_sub(1);
            if *missing == 0 {
                self.remove(index);
            }
        }
    }

    fn remove(&mut self, index: usize) {
        let Some(line) = self.lines.remove(index) else {
            return;
        };
        self.bytes -= line.cost();
        self.past.lines -= usize::from(index < self.past.lines);
        self.shift_places(index + 1, -1);
    }

    /// Marks how an own message stands, if it is still here.
    pub fn mark(&mut self, id: &MessageId, mark: Mark) {
        for line in self.lines.iter_mut().rev() {
            if let Line::Said(said) = line
                && said.own
                && said.id == *id
            {
                said.mark = Some(mark);
                return;
            }
        }
    }

    /// The message of this id, if it is still here.
    #[must_use]
    pub fn said(&self, id: &MessageId) -> Option<&Said> {
        self.lines.iter().rev().find_map(|line| match line {
            Line::Said(said) if said.id == *id => Some(said),
            _ => None,
        })
    }

    /// Its author took this message back.
    pub fn redact(&mut self, id: &MessageId) {
        for line in self.lines.iter_mut().rev() {
            if let Line::Said(said) = line
                && said.id == *id
            {
                self.bytes -= said.text.len();
                said.text.clear();
                said.redacted = true;
                return;
            }
        }
    }

    /// Picks the message before or after the one picked, or the last one.
    pub fn pick(&mut self, older: bool) {
        let is_said = |number: &u64| matches!(self.get(*number), Some(Line::Said(_)));
        let to = match (self.picked, older) {
            (None, true) => (self.first..self.end()).rev().find(is_said),
            (None, false) => None,
            (Some(at), true) => (self.first..at).rev().find(is_said).or(Some(at)),
            (Some(at), false) => (at + 1..self.end()).find(is_said),
        };
        self.picked = to;
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.first = self.end();
        self.lines.clear();
        self.bytes = 0;
        self.bottom = None;
        self.new_from = None;
        self.picked = None;
        self.past = Past {
            state: PastState::Cleared,
            ..Past::default()
        };
    }

    /// A message of somebody came while nobody looked.
    pub fn count_unread(&mut self, called: bool) {
        if self.unread == 0 {
            self.new_from = Some(self.end().saturating_sub(1));
        }
        self.unread = self.unread.saturating_add(1);
        self.called |= called;
    }

    /// Somebody looks at it now.
    pub fn seen(&mut self) {
        self.unread = 0;
        self.called = false;
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::ChangeKind;
    use super::*;

    fn note(text: &str) -> Line {
        Line::Note {
            time: Timestamp(0),
            text: text.to_owned(),
            alert: false,
        }
    }

    fn change(number: u8, kind: ChangeKind) -> Change {
        Change {
            id: PeerId([number; 32]),
            name: format!("p{number}"),
            kind,
        }
    }

    #[test]
    fn a_log_is_bounded_in_lines_and_bytes_and_keeps_its_numbers() {
        let mut log = Log::default();
        for n in 0..LINES_MAX + 10 {
            log.push(note(&n.to_string()));
        }
        assert_eq!((log.first(), log.end()), (10, LINES_MAX as u64 + 10));
        assert_eq!(log.get(9), None);
        assert_eq!(log.get(10), Some(&note("10")));
        let big = "x".repeat(LOG_BYTES_MAX / 4);
        for _ in 0..8 {
            log.push(note(&big));
        }
        assert!(log.bytes() <= LOG_BYTES_MAX);
        assert_eq!(log.end() - log.first(), 3);
        log.clear();
        assert_eq!((log.bytes(), log.is_empty()), (0, true));
    }

    #[test]
    fn comings_and_goings_are_one_line() {
        let mut log = Log::default();
        log.push_change(Timestamp(1), change(1, ChangeKind::Online));
        log.push_change(Timestamp(2), change(2, ChangeKind::Online));
        log.push_change(Timestamp(3), change(1, ChangeKind::Left));
        assert_eq!(log.end(), 1);
        let Some(Line::Presence { time, changes }) = log.get(0) else {
            panic!("no line of presence")
        };
        assert_eq!(*time, Timestamp(3));
        assert_eq!(
            changes,
            &[change(1, ChangeKind::Left), change(2, ChangeKind::Online)]
        );
        log.push(note("between"));
        log.push_change(Timestamp(4), change(2, ChangeKind::Offline));
        assert_eq!(log.end(), 3);
        while log.drop_first() > 0 {}
        assert_eq!(log.bytes(), 0);
    }
}
