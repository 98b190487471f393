//! Long text: a run of entries that is shown as one message, once all of it is held.

use std::collections::BTreeMap;

use super::logs::LogAt;
use crate::limits::ENTRY_PARTS_MAX;
use crate::wire::Entry;

/// Parts that wait for others, of one room.
const WAITING_MAX: usize = 1024;

/// What is shown as one message.
pub struct Whole<'a> {
    /// Its only entry, or its first one: id, time and dependencies are of that.
    pub first: &'a Entry,
    /// The bodies of all.
    pub body: &'a [u8],
    /// Whether any of it was redacted.
    pub redacted: bool,
}

impl<'a> Whole<'a> {
    /// One entry that is all of it.
    #[must_use]
    pub fn of(entry: &'a Entry) -> Whole<'a> {
        Whole {
            first: entry,
            body: &entry.body,
            redacted: entry.redacted,
        }
    }
}

/// A message of several parts.
pub struct Run {
    /// Its entries, in order; at least one.
    pub entries: Vec<Entry>,
    /// The bodies of all.
    pub body: Vec<u8>,
    /// The place of the first in the order.
    pub key: u64,
}

impl Run {
    /// The parts as one.
    #[must_use]
    pub fn new(entries: Vec<Entry>, key: u64) -> Run {
        let bodies = entries.iter().flat_map(|entry| entry.body.iter().copied());
        Run {
            body: bodies.collect(),
            entries,
            key,
        }
    }

    /// It, if it has any part.
    #[must_use]
    pub fn whole(&self) -> Option<Whole<'_>> {
        Some(Whole {
            first: self.entries.first()?,
            body: &self.body,
            redacted: self.entries.iter().any(|entry| entry.redacted),
        })
    }
}

/// Parts of messages of which others are missing.
#[derive(Default)]
pub struct Parts {
    held: BTreeMap<LogAt, BTreeMap<u32, (Entry, u64)>>,
    len: usize,
}

impl Parts {
    /// Whether this part waits here.
    #[must_use]
    pub fn holds(&self, at: &LogAt, seq: u32) -> bool {
        self.held.get(at).is_some_and(|log| log.contains_key(&seq))
    }

    /// One more part, with its key in the order. The message, if this was the last that was
    /// missing.
    pub fn add(&mut self, entry: Entry, key: u64) -> Option<Run> {
        let (at, seq) = ((entry.author_id(), entry.epoch), entry.seq);
        let log = self.held.entry(at).or_default();
        self.len += usize::from(log.insert(seq, (entry, key)).is_none());
        let numbers = numbers(log, seq);
        let run = numbers.and_then(|numbers| {
            let taken = numbers.filter_map(|seq| log.remove(&seq));
            let taken: Vec<(Entry, u64)> = taken.collect();
            self.len -= taken.len();
            let key = taken.first()?.1;
            Some(Run::new(
                taken.into_iter().map(|(entry, _)| entry).collect(),
                key,
            ))
        });
        if self.len > WAITING_MAX
            && let Some(most) = self.held.values_mut().max_by_key(|log| log.len())
        {
            // Of whoever has the most waiting, so that nobody makes others' be forgotten.
            self.len -= std::mem::take(most).len();
        }
        self.held.retain(|_, log| !log.is_empty());
        run
    }
}

/// The numbers of the message that this one is a part of, if all are there. What has more parts
/// than a message can have is none.
fn numbers(log: &BTreeMap<u32, (Entry, u64)>, seq: u32) -> Option<std::ops::RangeInclusive<u32>> {
    let kind = |seq: u32| log.get(&seq).map(|(entry, _)| entry.kind);
    let base = kind(seq)?.base();
    let (mut first, mut last) = (seq, seq);
    while kind(first)?.continues() {
        first = first.checked_sub(1)?;
    }
    while kind(last)?.more() {
        last = last.checked_add(1)?;
    }
    let is_one = |seq: u32| kind(seq).is_some_and(|kind| kind.base() == base);
    let inner = first + 1..=last;
    let joined = inner
        .clone()
        .all(|seq| kind(seq).is_some_and(|kind| kind.continues()));
    let fits = (last - first) < ENTRY_PARTS_MAX;
    (fits && joined && (first..=last).all(is_one)).then_some(first..=last)
}

/// Where text is cut into parts of so many bytes at most, between characters.
#[must_use]
pub fn cut(text: &str, most: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while rest.len() > most {
        let ends = (1..=most).rev().find(|&end| rest.is_char_boundary(end));
        let Some((part, after)) = ends.and_then(|end| rest.split_at_checked(end)) else {
            break;
        };
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{NetworkId, PublicKey, RoomId};
    use crate::wire::{EntryFields, EntryKind};

    fn part(seq: u32, kind: EntryKind) -> Entry {
        let fields = EntryFields {
            author: PublicKey([1; 32]),
            network: NetworkId([6; 8]),
            epoch: 5,
            seq,
            hlc: u64::from(seq) << 16,
            prev: [0; 32],
            kind,
            deps: Vec::new(),
            body: format!("{seq} ").into_bytes(),
        };
        Entry::build(fields, &RoomId::public("lobby"), &mut |_| [8; 64]).unwrap()
    }

    /// Two messages of three parts each, from number 1 and from number 4 on.
    fn kind_of(seq: u32) -> EntryKind {
        match seq % 3 {
            1 => EntryKind::TEXT.continued(),
            2 => EntryKind::TEXT.continuing().continued(),
            _ => EntryKind::TEXT.continuing(),
        }
    }

    #[test]
    fn parts_become_a_message_in_whatever_order_they_come() {
        for order in [[1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1], [4, 2, 6, 1, 5, 3]] {
            let mut parts = Parts::default();
            let runs = order.into_iter().filter_map(|seq| {
                let run = parts.add(part(seq, kind_of(seq)), u64::from(seq))?;
                Some((String::from_utf8(run.body).unwrap(), run.key))
            });
            let mut runs: Vec<(String, u64)> = runs.collect();
            runs.sort_unstable();
            assert_eq!(runs, [("1 2 3 ".into(), 1), ("4 5 6 ".into(), 4)]);
            assert_eq!(parts.len, 0);
        }
    }

    #[test]
    fn what_has_no_end_or_no_beginning_is_no_message_and_is_forgotten() {
        let mut parts = Parts::default();
        for seq in 2..5000 {
            let kind = EntryKind::TEXT.continuing().continued();
            assert!(parts.add(part(seq, kind), 1).is_none());
            assert!(parts.len <= WAITING_MAX);
        }
        let mut parts = Parts::default();
        for seq in 1..=ENTRY_PARTS_MAX + 1 {
            let kind = match seq {
                1 => EntryKind::TEXT.continued(),
                _ if seq <= ENTRY_PARTS_MAX => EntryKind::TEXT.continuing().continued(),
                _ => EntryKind::TEXT.continuing(),
            };
            assert!(parts.add(part(seq, kind), 1).is_none(), "one too many");
        }
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("", 4), [""]);
        assert_eq!(cut("abcd", 4), ["abcd"]);
        assert_eq!(cut("aéééé", 4), ["aé", "éé", "é"]);
    }
}
