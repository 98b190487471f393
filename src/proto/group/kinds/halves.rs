//! Messages of several parts of which the store has some and memory others, or none.

use std::collections::BTreeMap;

use crate::durable::{LogKey, Query, Row};
use crate::id::{MessageId, RoomTag};
use crate::limits::ENTRY_PARTS_MAX;
use crate::proto::group::parts::{Parts, Run};
use crate::proto::group::{Cx, Group};
use crate::wire::Entry;

/// Asks for what is held of a log from `first` on that may be of one message with the entry `seq`.
pub(super) fn around(log: LogKey, first: u32, seq: u32) -> Query {
    Query::Range {
        log,
        first,
        last: seq.saturating_add(ENTRY_PARTS_MAX),
        bytes_max: usize::MAX,
    }
}

impl Group {
    /// The store has what is around a part: perhaps the message is whole now.
    pub(super) fn whole_again(
        &mut self,
        cx: &mut Cx,
        tag: RoomTag,
        (entry, key): (&Entry, Option<u64>),
        rows: &[Row],
    ) {
        let Some(room) = self.rooms.get_mut(&tag) else {
            return;
        };
        let of = |row: &Row| match row {
            Row::Entry { bytes, .. } => Entry::parse(bytes).ok(),
            _ => None,
        };
        let at = (entry.author_id(), entry.epoch);
        let mut parts: BTreeMap<u32, Entry> = BTreeMap::new();
        let kept = rows.iter().filter_map(of);
        parts.extend(kept.map(|part| (part.seq, part)));
        // What waits here is not in the store where the disk is full.
        for seq in room.parts.joined(&at, entry) {
            let waiting = room.parts.get(&at, seq).cloned();
            let waiting = waiting.map(|part| (seq, part));
            parts.extend(waiting.filter(|_| !parts.contains_key(&seq)));
        }
        let mut around = Parts::default();
        let parts = parts.into_values().filter(|part| part.kind.is_part());
        let runs = parts.filter_map(|part| around.add(part, 0));
        let is_in = |run: &Run| run.entries.iter().any(|part| part.seq == entry.seq);
        let runs: Vec<Run> = runs.filter(is_in).collect();
        let Some((run, whole)) = runs.first().and_then(|run| Some((run, run.whole()?))) else {
            return;
        };
        let waits = |part: &Entry| room.parts.get(&at, part.seq).is_some();
        let is_new = key.is_some() || run.entries.iter().any(waits);
        let first = whole.first.seq;
        let last = run.entries.last().map_or(first, |part| part.seq);
        room.parts.remove(&at, first..=last);
        let id = MessageId::of_entry(&whole.first.hash(&room.id));
        // What came in earlier runs alone was shown then.
        if is_new && room.seat.seen.get(&id).is_none() {
            let key = key.unwrap_or(0).max(whole.first.hlc);
            room.say_line(cx, &whole, false, key);
        }
    }
}
