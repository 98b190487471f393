//! What was taken back before it came, and whose the lines are that people saw.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::own::OwnAt;
use crate::id::{MessageId, PeerId};

/// Redactions of what is not held, for when it comes.
const EARLY_MAX: usize = 1024;
/// Stubs that the store was asked about.
const ASKED_MAX: usize = 256;
/// Lines of which it is known whose they are without the store.
const SEEN_MAX: usize = 512;

/// Messages not held that their authors took back.
#[derive(Default)]
pub struct TakenBack {
    by: BTreeMap<PeerId, VecDeque<[u8; 16]>>,
    len: usize,
    asked: BTreeSet<([u8; 16], PeerId)>,
}

impl TakenBack {
    /// Its author took this back. Of too many the first of whoever took back the most goes: nobody
    /// can make others' be forgotten.
    pub fn note(&mut self, author: PeerId, id: [u8; 16]) {
        if self.contains(&author, &id) {
            return;
        }
        self.by.entry(author).or_default().push_back(id);
        self.len += 1;
        if self.len > EARLY_MAX {
            let most = self.by.values_mut().max_by_key(|ids| ids.len());
            self.len -= usize::from(most.and_then(VecDeque::pop_front).is_some());
            self.by.retain(|_, ids| !ids.is_empty());
        }
    }

    /// Whether nobody took back anything that is not held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by.is_empty()
    }

    /// Whether its author took this back.
    #[must_use]
    pub fn contains(&self, author: &PeerId, id: &[u8; 16]) -> bool {
        self.by.get(author).is_some_and(|ids| ids.contains(id))
    }

    /// Whether the store was not asked about what is left of this message yet; it is now.
    pub fn ask(&mut self, author: PeerId, id: [u8; 16]) -> bool {
        if self.asked.len() >= ASKED_MAX && !self.asked.contains(&(id, author)) {
            self.asked.clear();
        }
        self.asked.insert((id, author))
    }
}

/// Whose the last lines are that people saw, kept or not.
#[derive(Default)]
pub struct Seen {
    lines: BTreeMap<MessageId, Line>,
    /// The first parts of messages of several, by their other parts.
    parts: BTreeMap<[u8; 16], (PeerId, OwnAt)>,
    order: VecDeque<MessageId>,
}

/// A line that people saw.
struct Line {
    author: PeerId,
    at: OwnAt,
    /// The ids of its other parts.
    rest: Vec<[u8; 16]>,
}

impl Seen {
    /// A line of this author, epoch and number was shown, with the other parts that it has.
    pub fn note(&mut self, id: MessageId, (author, at): (PeerId, OwnAt), rest: Vec<[u8; 16]>) {
        let (epoch, first) = at;
        for (seq, part) in (first.saturating_add(1)..).zip(&rest) {
            self.parts.insert(*part, (author, (epoch, seq)));
        }
        if self.lines.insert(id, Line { author, at, rest }).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > SEEN_MAX
            && let Some(gone) = self.order.pop_front()
            && let Some(gone) = self.lines.remove(&gone)
        {
            for part in gone.rest {
                self.parts.remove(&part);
            }
        }
    }

    /// Whose a line is, and its epoch and number.
    #[must_use]
    pub fn get(&self, id: &MessageId) -> Option<(PeerId, OwnAt)> {
        self.lines.get(id).map(|line| (line.author, line.at))
    }

    /// Whose a part of a line is, other than the first, and its epoch and number.
    #[must_use]
    pub fn part(&self, id: &[u8; 16]) -> Option<(PeerId, OwnAt)> {
        self.parts.get(id).copied()
    }

    /// The ids of a line's parts, but the first.
    #[must_use]
    pub fn rest_of(&self, id: &MessageId) -> &[[u8; 16]] {
        self.lines.get(id).map_or(&[], |line| &line.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_back_very_much_makes_nobody_elses_be_forgotten() {
        let (honest, liar) = (PeerId([9; 32]), PeerId([1; 32]));
        let mut taken_back = TakenBack::default();
        taken_back.note(honest, [200; 16]);
        for number in 0..4000_u32 {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&number.to_be_bytes());
            taken_back.note(liar, id);
            assert!(taken_back.len <= EARLY_MAX);
        }
        assert!(taken_back.contains(&honest, &[200; 16]));
        assert!(!taken_back.contains(&liar, &[0; 16]), "the oldest went");
    }

    #[test]
    fn the_parts_of_lines_are_known_as_long_as_the_lines() {
        let mut seen = Seen::default();
        let id = |number: u32| {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&number.to_be_bytes());
            id
        };
        for number in 0..2000 {
            let rest = (1..=18).map(|part| id(100 * number + part)).collect();
            let at = (PeerId([1; 32]), (5, 19 * number + 1));
            seen.note(MessageId(id(100 * number)), at, rest);
        }
        let last = (PeerId([1; 32]), (5, 19 * 1999 + 1 + 18));
        assert_eq!(seen.part(&id(199_918)), Some(last));
        assert_eq!(seen.rest_of(&MessageId(id(199_900))).len(), 18);
        assert_eq!(seen.part(&id(1)), None);
        assert_eq!(
            (seen.lines.len(), seen.parts.len()),
            (SEEN_MAX, 18 * SEEN_MAX)
        );
    }

    #[test]
    fn the_store_is_asked_once() {
        let mut taken_back = TakenBack::default();
        assert!(taken_back.ask(PeerId([1; 32]), [1; 16]));
        assert!(!taken_back.ask(PeerId([1; 32]), [1; 16]));
        assert!(taken_back.ask(PeerId([2; 32]), [1; 16]));
    }
}
