//! Long text: a run of entries that is shown as one message, once all of it is held.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::logs::LogAt;
use crate::id::PeerId;
use crate::limits::ENTRY_PARTS_MAX;
use crate::wire::{Entry, EntryKind};

/// Parts that wait for others, of one room.
const WAITING_MAX: usize = 1024;

/// What is shown as one message.
pub struct Whole<'a> {
    /// Its only entry, or its first one: id, time and dependencies are of that.
    pub first: &'a Entry,
    /// Its other entries, in order.
    pub rest: &'a [Entry],
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
            rest: &[],
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
        let (first, rest) = self.entries.split_first()?;
        Some(Whole {
            first,
            rest,
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
    /// One more part, with its key in the order. The message, if this was the last that was
    /// missing.
    pub fn add(&mut self, entry: Entry, key: u64) -> Option<Run> {
        let (at, seq) = ((entry.author_id(), entry.epoch), entry.seq);
        let log = self.held.entry(at).or_default();
        self.len += usize::from(log.insert(seq, (entry, key)).is_none());
        let numbers = numbers(|seq| log.get(&seq).map(|(entry, _)| entry.kind), seq);
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
        if self.len > WAITING_MAX {
            self.forget_some();
        }
        self.held.retain(|_, log| !log.is_empty());
        run
    }

    /// All of whoever has the most waiting goes, so that nobody makes others' be forgotten. What is
    /// stored is found there once the rest came.
    fn forget_some(&mut self) {
        let mut of: BTreeMap<PeerId, usize> = BTreeMap::new();
        for ((author, _), log) in &self.held {
            *of.entry(*author).or_default() += log.len();
        }
        let Some((most, len)) = of.into_iter().max_by_key(|(_, len)| *len) else {
            return;
        };
        self.held.retain(|(author, _), _| *author != most);
        self.len -= len;
    }

    /// The parts that wait here and join on to this one, which may wait here itself: their numbers.
    #[must_use]
    pub fn joined(&self, at: &LogAt, entry: &Entry) -> RangeInclusive<u32> {
        let log = self.held.get(at);
        let waiting = |seq: u32| log?.get(&seq).map(|(entry, _)| entry.kind);
        let kind = |seq: u32| match seq == entry.seq {
            true => Some(entry.kind),
            false => waiting(seq),
        };
        joined(&kind, entry.seq)
    }

    /// This part, if it waits here.
    #[must_use]
    pub fn get(&self, at: &LogAt, seq: u32) -> Option<&Entry> {
        let (entry, _) = self.held.get(at)?.get(&seq)?;
        Some(entry)
    }

    /// These wait no longer: they were shown.
    pub fn remove(&mut self, at: &LogAt, numbers: RangeInclusive<u32>) {
        if let Some(log) = self.held.get_mut(at) {
            let gone = numbers.filter(|seq| log.remove(seq).is_some());
            self.len -= gone.count();
            if log.is_empty() {
                self.held.remove(at);
            }
        }
    }
}

/// The numbers of the message that this one is a part of, if all are there. What has more parts
/// than a message can have is none.
fn numbers(kind: impl Fn(u32) -> Option<EntryKind>, seq: u32) -> Option<RangeInclusive<u32>> {
    let base = kind(seq)?.base();
    let all = joined(&kind, seq);
    let is_whole = !kind(*all.start())?.continues() && !kind(*all.end())?.more();
    let fits = all.end() - all.start() < ENTRY_PARTS_MAX;
    let is_one = |seq: u32| kind(seq).is_some_and(|kind| kind.base() == base);
    (is_whole && fits && all.clone().all(is_one)).then_some(all)
}

/// The numbers around this one that are there and join on to it. Of a run without end no more is
/// looked at than a message can have.
fn joined(kind: &impl Fn(u32) -> Option<EntryKind>, seq: u32) -> RangeInclusive<u32> {
    let goes_on = |seq: u32| kind(seq).is_some_and(EntryKind::more);
    let continues = |seq: u32| kind(seq).is_some_and(EntryKind::continues);
    let (mut first, mut last) = (seq, seq);
    for _ in 0..ENTRY_PARTS_MAX {
        let before = first.checked_sub(1).filter(|_| continues(first));
        let Some(before) = before.filter(|before| goes_on(*before)) else {
            break;
        };
        first = before;
    }
    for _ in 0..ENTRY_PARTS_MAX {
        let after = last.checked_add(1).filter(|_| goes_on(last));
        let Some(after) = after.filter(|after| continues(*after)) else {
            break;
        };
        last = after;
    }
    first..=last
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
    use crate::wire::EntryFields;

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
    fn who_leaves_parts_waiting_in_many_logs_makes_nobody_elses_be_forgotten() {
        let mut parts = Parts::default();
        let mut of = |author: u8, epoch: u64, seq: u32| {
            let mut entry = part(seq, kind_of_long(seq));
            entry.author = PublicKey([author; 32]);
            entry.epoch = epoch;
            parts.add(entry, 1).is_some()
        };
        (1..=18).for_each(|seq| assert!(!of(9, 1, seq)));
        for epoch in 1..=200 {
            (1..=17).for_each(|seq| assert!(!of(8, epoch, seq)));
        }
        assert!(of(9, 1, 19), "it is whole");
    }

    fn kind_of_long(seq: u32) -> EntryKind {
        match seq {
            1 => EntryKind::TEXT.continued(),
            2..=18 => EntryKind::TEXT.continuing().continued(),
            _ => EntryKind::TEXT.continuing(),
        }
    }

    #[test]
    fn of_a_run_without_end_no_more_is_looked_at_than_a_message_has() {
        let kind = EntryKind::TEXT.continuing().continued();
        let mut log = BTreeMap::new();
        (1..=1000).for_each(|seq| drop(log.insert(seq, (part(seq, kind), 1))));
        for seq in [1, 500, 1000] {
            let looked_at = std::cell::Cell::new(0);
            let kind = |seq: u32| {
                looked_at.set(looked_at.get() + 1);
                log.get(&seq).map(|(entry, _)| entry.kind)
            };
            assert_eq!(numbers(kind, seq), None);
            assert!(
                looked_at.get() <= 5 * ENTRY_PARTS_MAX,
                "{}",
                looked_at.get()
            );
        }
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("", 4), [""]);
        assert_eq!(cut("abcd", 4), ["abcd"]);
        assert_eq!(cut("aéééé", 4), ["aé", "éé", "é"]);
    }
}
