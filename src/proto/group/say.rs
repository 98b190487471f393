//! Own messages: numbered, signed, stored, then sent, copied, announced and followed.

mod outgoing;

use serde_json::Value;

use self::outgoing::{say_heads, send, send_unreached};
use super::parts::{Run, cut};
use super::room::Room;
use super::seat::Seat;
use super::show::names_one;
use super::unkept::entry_write;
use super::{Cx, Group, Pending};
use crate::api::{Event, TextKind};
use crate::durable::{Batch, Durability, Write};
use crate::id::{MessageId, NetworkId, RoomTag};
use crate::limits::{ROOM_TEXT_LEN_MAX, SEND_QUEUE_MAX};
use crate::proto::presence::roster::Peer;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::text::RoomName;
use crate::wire::group::EntryFields;
use crate::wire::{Entry, EntryKind};

/// Why something cannot be said: the code for scripts, the sentence, the hint.
pub type Refusal = (&'static str, String, String);

/// What is said.
pub(super) struct Saying {
    /// Its kind.
    pub(super) kind: EntryKind,
    /// Its body.
    pub(super) body: Vec<u8>,
    /// The message that it is about.
    pub(super) about: Option<[u8; 16]>,
    /// The network in whose log it is said; none: where this node is.
    pub(super) on: Option<NetworkId>,
}

impl Saying {
    /// Something new, said where this node is.
    pub(super) fn new(kind: EntryKind, body: Vec<u8>, about: Option<[u8; 16]>) -> Self {
        Saying {
            kind,
            body,
            about,
            on: None,
        }
    }
}

impl Group {
    /// Says something in a room. The message leaves once it is stored and its turn has come.
    ///
    /// # Errors
    /// Too long, too much waiting, or not in that room.
    pub fn say(
        &mut self,
        cx: &mut Cx,
        name: &RoomName,
        (kind, text): (TextKind, &str),
        answers: Option<MessageId>,
        reference: Option<Value>,
    ) -> Result<(), Refusal> {
        let kind = match (answers, kind) {
            (Some(_), _) => EntryKind::REPLY,
            (None, TextKind::Action) => EntryKind::ACTION,
            (None, _) => EntryKind::TEXT,
        };
        if text.len() > ROOM_TEXT_LEN_MAX {
            let len = text.len();
            let sentence = format!("{len} bytes are too long for a room, {ROOM_TEXT_LEN_MAX} fit");
            return Err(("too_long", sentence, "write it in several messages".into()));
        }
        let tag = self.addressed(cx, name)?;
        let said = Saying::new(kind, text.as_bytes().to_vec(), answers.map(|id| id.0));
        self.say_entry(cx, tag, said, reference)
    }

    /// The same of any kind, in a room of which this node holds its own log.
    pub(super) fn say_entry(
        &mut self,
        cx: &mut Cx,
        tag: RoomTag,
        said: Saying,
        reference: Option<Value>,
    ) -> Result<(), Refusal> {
        let waiting = self.own_pending();
        let Some(room) = self.rooms.get_mut(&tag) else {
            let sentence = "there is no such room here".to_owned();
            return Err(("no_such_room", sentence, "/rooms lists the rooms".into()));
        };
        if room.own.queued() + waiting >= SEND_QUEUE_MAX {
            return Err(too_fast());
        }
        let mut writes = Vec::new();
        begin_epoch(room, cx, &said, &mut writes);
        let entries = next_entries(room, cx, &mut self.hlc, said);
        let Some(entries) = entries.filter(|entries| !entries.is_empty()) else {
            let sentence = "the message could not be signed".to_owned();
            return Err(("internal", sentence, "report this".into()));
        };
        if room.own.is_volatile() {
            self.say_unkept(cx, tag, entries, reference);
            return Ok(());
        }
        let (id, came_ms) = (room.id, cx.now.wall_ms);
        writes.extend(entries.iter().map(|entry| entry_write(id, entry, came_ms)));
        writes.extend(self.person_write(cx, &cx.core.identity.id()));
        let token = cx.core.persist(Batch {
            durability: Durability::Process,
            writes,
        });
        if is_sabotaged(Sabotage::TransmitBeforePersist) {
            self.own_stored(cx, tag, (entries, 0), reference);
            return Ok(());
        }
        self.pending.insert(
            token,
            Pending::Own {
                room: tag,
                entries,
                reference,
            },
        );
        Ok(())
    }

    /// An own message is stored, or of an epoch that is not: it is said now. `key`: the place of
    /// its first entry, as far as the store knows.
    pub(super) fn own_stored(
        &mut self,
        cx: &mut Cx,
        tag: RoomTag,
        (entries, key): (Vec<Entry>, u64),
        reference: Option<Value>,
    ) {
        let Some(room) = self.rooms.get_mut(&tag) else {
            return;
        };
        let key = entries.first().map_or(key, |first| key.max(first.hlc));
        let run = Run::new(entries, key);
        let Some(whole) = run.whole() else { return };
        let id = MessageId::of_entry(&whole.first.hash(&room.id));
        cx.core.event(Event::Reply {
            reference,
            ok: true,
            id: Some(id),
            passphrase: None,
        });
        room.say_line(cx, &whole, true, key);
        let queued = room.queued_receipt(id);
        for entry in run.entries {
            room.own.enqueue(entry, id);
        }
        self.judge(cx);
        self.send_ready(cx);
        let room = self.rooms.get(&tag);
        if room.is_some_and(|room| room.own.queued() > 0) {
            cx.core.event(queued);
        }
    }

    /// Sends what is stored and whose turn has come, the rooms in turn.
    fn send_ready(&mut self, cx: &mut Cx) {
        let now = cx.now.mono;
        // What was said in a network that may be left waits too: it is for those who were there.
        if cx.core.doubt.is_some() {
            return;
        }
        if !cx.core.open || cx.presence.settled_at().is_none_or(|at| at > now) {
            return;
        }
        loop {
            let is_ready = |room: &Room| {
                let held = room.held_until();
                room.own.ready() > 0 && held.is_none_or(|held| held <= now)
            };
            let rooms = self.rooms.iter();
            let waiting = rooms
                .filter(|(_, room)| is_ready(room))
                .map(|(tag, _)| *tag);
            let Some(tag) = self.rates.turn(now, waiting) else {
                return;
            };
            if let Some(room) = self.rooms.get_mut(&tag)
                && let Some((entry, id)) = room.own.take_ready()
            {
                let len = send(room, cx, &entry, id);
                self.rates.sent(now, len);
            }
        }
    }

    /// What time does to the own logs.
    pub(super) fn speak(&mut self, cx: &mut Cx) {
        self.send_ready(cx);
        let pace = cx.pace();
        let now = cx.now.mono;
        for (tag, room) in &mut self.rooms {
            let paths = cx.presence.group_paths();
            let seat = &room.seat;
            for (epoch, log) in room.own.iter_mut() {
                for (seq, packet) in log.take_copies(now, pace.rtt) {
                    if self.rates.may_repeat(now) {
                        self.rates.sent(now, packet.len());
                        cx.core
                            .send_where(|on| log.serves(on, seq), &packet, &paths);
                    }
                    send_unreached(cx, seat, |on| log.serves(on, seq), &packet);
                }
                if log.take_heads(now) && self.rates.may_send(now) {
                    let len = say_heads((seat, log), cx, (*tag, epoch), &paths);
                    self.rates.sent(now, len);
                }
                for (member, resend) in log.take_resends(now, pace.rtt) {
                    let here = cx.presence.roster.get(&member).is_some_and(Peer::is_member);
                    let Some(to) = cx.presence.address_of(&member).filter(|_| here) else {
                        continue;
                    };
                    let network = cx.core.network_towards(to);
                    let entries = resend.entries.into_iter();
                    let entries = entries.filter(|(seq, _)| log.serves(network, *seq));
                    let entries: Vec<Vec<u8>> = entries.map(|(_, entry)| entry).collect();
                    if entries.is_empty() {
                        continue;
                    }
                    super::repair::send_repairs(cx.core, seat, to, &entries);
                    if resend.doubtful {
                        cx.presence.doubt_silence(now, &member);
                    }
                }
            }
        }
    }
}

/// Too much waits to be sent.
pub fn too_fast() -> Refusal {
    let sentence = format!("{SEND_QUEUE_MAX} messages wait to be sent already");
    ("too_fast", sentence, "send more slowly".into())
}

/// The network in whose log this is said.
fn network_for(room: &Room, cx: &Cx, said: &Saying) -> NetworkId {
    let here = || room.seat.network(cx.core);
    said.on.unwrap_or_else(here)
}

/// Where there is no log of the network yet in which this is said, begins one: an epoch of its own.
pub(super) fn begin_epoch(room: &mut Room, cx: &Cx, said: &Saying, writes: &mut Vec<Write>) {
    let network = network_for(room, cx, said);
    if room.own.on(network).is_none() {
        let epoch = room.own.begin(network, cx.now.wall_ms);
        writes.push(Write::Epoch {
            room: room.id,
            network,
            epoch,
        });
    }
}

/// The next entries of the own log: one, or the parts of a text that is too long for one.
pub(super) fn next_entries(
    room: &mut Room,
    cx: &Cx,
    hlc: &mut super::Hlc,
    said: Saying,
) -> Option<Vec<Entry>> {
    let most = room.seat.body_len_max();
    if said.body.len() <= most {
        return Some(vec![next_entry(room, cx, hlc, said)?]);
    }
    let text = std::str::from_utf8(&said.body).ok()?;
    let parts = cut(text, most);
    let last = parts.len() - 1;
    let entries = parts.into_iter().enumerate().map(|(number, part)| {
        let mut kind = said.kind;
        if number > 0 {
            kind = kind.continuing();
        }
        if number < last {
            kind = kind.continued();
        }
        let part = Saying {
            kind,
            body: part.as_bytes().to_vec(),
            about: said.about.filter(|_| number == 0),
            on: said.on,
        };
        next_entry(room, cx, hlc, part)
    });
    entries.collect()
}

/// The next entry of the own log.
fn next_entry(room: &mut Room, cx: &Cx, hlc: &mut super::Hlc, said: Saying) -> Option<Entry> {
    let network = network_for(room, cx, &said);
    let Saying {
        kind, body, about, ..
    } = said;
    let stamp = hlc.tick(cx.now.wall_ms);
    let after = room.shown.highest();
    let after = after.filter(|(key, _)| *key >= stamp && !kind.continues());
    let after = after.filter(|_| !is_sabotaged(Sabotage::DepMissing));
    let epoch = room.own.on(network)?;
    let log = room.own.get_mut(epoch)?;
    // What the room is about now is behind what it was about, whatever the clocks say.
    let topic = room.seat.topic_by().filter(|_| kind == EntryKind::TOPIC);
    let about = about.or(topic.map(|id| id.0));
    let after = after.map(|(_, id)| id.0).filter(|dep| Some(*dep) != about);
    let fields = EntryFields {
        author: cx.core.identity.public(),
        network: log.network,
        epoch,
        seq: log.seq + 1,
        hlc: stamp,
        prev: log.hash,
        kind,
        deps: about.into_iter().chain(after).collect(),
        body,
    };
    let identity = &cx.core.identity;
    let entry = Entry::build(fields, &room.id, &mut |bytes| identity.sign(bytes)).ok()?;
    log.seq = entry.seq;
    log.hash = entry.hash(&room.id);
    Some(entry)
}

/// What these entries say, one or all parts, to be said anew.
pub(super) fn said_by(entries: Vec<Entry>) -> Option<Saying> {
    let first = entries.first()?;
    let kind = first.kind.base();
    let about = first.deps.first().copied();
    let about = about.filter(|_| names_one(kind));
    let on = Some(first.network).filter(|_| kind == EntryKind::REDACTION);
    let body = entries.into_iter().flat_map(|entry| entry.body).collect();
    Some(Saying {
        kind,
        body,
        about,
        on,
    })
}
