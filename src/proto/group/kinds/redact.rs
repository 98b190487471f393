//! Taking back what one said oneself.

use serde_json::Value;

use super::super::own::OwnAt;
use super::super::room::Room;
use super::super::say::{Saying, too_fast};
use super::super::{Cx, Group, Pending, Refusal};
use super::Asked;
use super::halves::around;
use crate::durable::{LineRow, LogKey, Row, Talk};
use crate::id::{MessageId, PeerId, RoomTag};
use crate::limits::SEND_QUEUE_MAX;
use crate::wire::{Entry, EntryKind};

impl Group {
    /// The store told of a message that is to be taken back.
    pub(super) fn redact_own(
        &mut self,
        cx: &mut Cx,
        id: MessageId,
        line: Option<&LineRow>,
        reference: Option<Value>,
    ) -> Result<(), Refusal> {
        let none = |sentence: &str| {
            let hint = "a message is named by its id".to_owned();
            ("no_such_message", sentence.to_owned(), hint)
        };
        let kept = line.map(|line| (line.author, line.talk, line.body.is_none(), line.at));
        let found = kept.or_else(|| self.seen_only(&id));
        let found = found.ok_or_else(|| none("there is no such message here"))?;
        let (author, talk, is_gone, at) = found;
        if author != cx.core.identity.id() {
            let sentence = "only who said it can take it back".to_owned();
            return Err(("not_yours", sentence, "ask its author".into()));
        }
        let Talk::Room(of) = talk else {
            return Err(none("only what was said in a room can be taken back"));
        };
        if is_gone {
            return Err(none("it was taken back already"));
        }
        let tag = of.tag();
        if self.rooms.get(&tag).is_none_or(|room| !room.seat.joined) {
            return Err(none("you are not in its room any more"));
        }
        let rest = self.rooms.get(&tag).map(|room| room.seat.seen.rest_of(&id));
        if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
            let epoch = at.map_or(0, |(epoch, _)| epoch);
            return self.take_all_back(cx, (tag, epoch), (id, rest.to_vec()), reference);
        }
        let run = line.filter(|line| EntryKind(line.kind).more());
        if let Some((epoch, seq)) = run.and_then(|line| line.at) {
            let (room, author) = (of, author);
            let log = LogKey {
                room,
                author,
                epoch,
            };
            let token = cx.core.load(around(log, seq + 1, seq));
            let asked = Asked::Parts {
                room: tag,
                first: (epoch, id),
                reference,
            };
            self.pending.insert(token, Pending::Asked(asked));
            return Ok(());
        }
        let epoch = at.map_or(0, |(epoch, _)| epoch);
        self.take_back(cx, tag, (epoch, id.0), reference)
    }

    /// Takes back an own entry of this epoch, in a log of the network that it names: nobody there
    /// would hear of it on another, and what is left of it would not be believed.
    fn take_back(
        &mut self,
        cx: &mut Cx,
        tag: RoomTag,
        (epoch, id): (u64, [u8; 16]),
        reference: Option<Value>,
    ) -> Result<(), Refusal> {
        let room = self.rooms.get(&tag);
        let said = Saying {
            kind: EntryKind::REDACTION,
            body: Vec::new(),
            about: Some(id),
            on: room.and_then(|room| room.own.network_of(epoch)),
        };
        self.say_entry(cx, tag, said, reference)
    }

    /// Takes back the parts of an own message, as the store found them, and the first one last:
    /// that is what people see.
    pub(super) fn take_back_parts(
        &mut self,
        cx: &mut Cx,
        (tag, (epoch, first)): (RoomTag, (u64, MessageId)),
        rows: &[Row],
        reference: Option<Value>,
    ) -> Result<(), Refusal> {
        let Some(id) = self.rooms.get(&tag).map(|room| room.id) else {
            return Ok(());
        };
        let entry = |row: &Row| match row {
            Row::Entry { bytes, .. } => Entry::parse(bytes).ok(),
            _ => None,
        };
        let parts = rows.iter().map_while(entry);
        let rest = parts.take_while(|part| part.kind.continues());
        let rest = rest.map(|part| MessageId::of_entry(&part.hash(&id)).0);
        let rest = rest.collect();
        self.take_all_back(cx, (tag, epoch), (first, rest), reference)
    }

    /// Takes all parts of an own message of this epoch back, or none: the others first.
    fn take_all_back(
        &mut self,
        cx: &mut Cx,
        (tag, epoch): (RoomTag, u64),
        (first, rest): (MessageId, Vec<[u8; 16]>),
        reference: Option<Value>,
    ) -> Result<(), Refusal> {
        let waiting = self.own_pending();
        let queued = self.rooms.get(&tag).map_or(0, |room| room.own.queued());
        if queued + waiting + rest.len() >= SEND_QUEUE_MAX {
            return Err(too_fast());
        }
        for part in rest {
            self.take_back(cx, tag, (epoch, part), None)?;
        }
        self.take_back(cx, tag, (epoch, first.0), reference)
    }

    /// Whose a line is that was shown and is not kept, where it was said, and whether it was taken
    /// back.
    fn seen_only(&self, id: &MessageId) -> Option<(PeerId, Talk, bool, Option<OwnAt>)> {
        let seen = |room: &Room| {
            let (author, at) = room.seat.seen.get(id)?;
            let is_gone = room.seat.early.contains(&author, &id.0);
            Some((author, Talk::Room(room.id), is_gone, Some(at)))
        };
        self.rooms.values().find_map(seen)
    }
}
