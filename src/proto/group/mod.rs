//! Rooms: signed logs by multicast, repaired by unicast.
//!
//! An author multicasts each entry one to three times; whoever misses one asks for it by unicast.
//! An own entry leaves, and a received one is shown and acknowledged, only after it was stored.

pub mod log;
pub mod logs;
pub mod order;
pub mod receive;
mod repair;
pub mod room;
mod say;
pub mod sender;

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;

use super::Now;
use super::bucket::Bucket;
use super::core::Core;
use super::presence::Presence;
use super::sabotage::{Sabotage, is_sabotaged};
use crate::api::{Event, PeerRef};
use crate::durable::{Snapshot, Token};
use crate::id::{PeerId, RoomTag, ShortId};
use crate::limits::HEARTBEAT_HEADS_MAX;
use crate::text::RoomName;
use crate::wire::{Body, Entry, Heads, OwnLog, RoomDigest};
use log::AuthorLog;
use order::Hlc;
use room::Room;
pub use say::Refusal;
use sender::{OwnSender, Pace};

/// Most rooms whose digests one heartbeat carries.
const HEARTBEAT_ROOMS_MAX: usize = 4;

/// What a part of the endpoint works with.
pub struct Cx<'a> {
    /// The way out.
    pub core: &'a mut Core,
    /// Who is here.
    pub presence: &'a mut Presence,
    /// The time.
    pub now: Now,
}

impl Cx<'_> {
    /// How copies and repairs are paced just now.
    #[must_use]
    pub fn pace(&self) -> Pace {
        Pace {
            rtt: self.presence.group_rtt(),
            loss: self.presence.group_loss(),
        }
    }

    /// This node, as events name it.
    #[must_use]
    pub fn own_reference(&self) -> PeerRef {
        let id = self.core.identity.id();
        let name = self.core.config.name.as_str().to_owned();
        PeerRef {
            id,
            name,
            tag: id.tag(),
            verified: true,
        }
    }
}

/// What waits for the store.
enum Pending {
    /// An own entry.
    Own {
        room: RoomTag,
        entry: Box<Entry>,
        reference: Option<Value>,
    },
    /// Somebody's entry.
    Received {
        room: RoomTag,
        author: PeerId,
        entry: Box<Entry>,
    },
    /// Entries for a repair.
    Repair { peer: PeerId },
}

/// Everything about rooms.
pub struct Group {
    rooms: BTreeMap<RoomTag, Room>,
    pending: BTreeMap<Token, Pending>,
    hlc: Hlc,
    answers: BTreeMap<PeerId, (Bucket, Bucket)>,
    strangers: BTreeMap<PeerId, Bucket>,
    /// How many of `pending` are others' entries.
    received_pending: usize,
    store_failed: bool,
}

impl Group {
    /// The rooms of the configuration, with the logs as the store had them.
    #[must_use]
    pub fn new(core: &Core, now: Now, snapshot: &Snapshot) -> Self {
        let mut rooms = BTreeMap::new();
        for name in &core.config.rooms {
            let room = new_room(core, now.mono, name, snapshot);
            rooms.insert(room.id.tag(), room);
        }
        Group {
            rooms,
            pending: BTreeMap::new(),
            hlc: Hlc::default(),
            answers: BTreeMap::new(),
            strangers: BTreeMap::new(),
            received_pending: 0,
            store_failed: false,
        }
    }

    /// Own logs, for HELLO and WELCOME.
    #[must_use]
    pub fn own_logs(&self) -> Vec<OwnLog> {
        let log = |(tag, room): (&RoomTag, &Room)| OwnLog {
            room: *tag,
            epoch: room.own.sent_epoch,
            seq: room.own.sent_seq,
        };
        let told = |_: &(&RoomTag, &Room)| !is_sabotaged(Sabotage::NoHeads);
        self.rooms
            .iter()
            .filter(told)
            .take(crate::limits::RECORD_ROOMS_MAX)
            .map(log)
            .collect()
    }

    /// Rooms and heads, for a heartbeat.
    #[must_use]
    pub fn digests(&self, own: &PeerId, turn: usize) -> Vec<RoomDigest> {
        let digest = |(tag, room): (&RoomTag, &Room)| RoomDigest {
            room: *tag,
            digest: room.digest(own),
            heads: room.heads(own.short(), turn, HEARTBEAT_HEADS_MAX),
        };
        self.rooms
            .iter()
            .take(HEARTBEAT_ROOMS_MAX)
            .map(digest)
            .collect()
    }

    /// Whether everything that was said is on its way and acknowledged as far as it can be.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.own_pending() == 0 && self.rooms.values().all(|room| room.own.is_settled())
    }

    fn own_pending(&self) -> usize {
        let own = |pending: &&Pending| matches!(pending, Pending::Own { .. });
        self.pending.values().filter(own).count()
    }

    /// When something is due.
    pub fn deadline(&mut self, now: Instant, settled: Option<Instant>) -> Option<Instant> {
        self.rooms
            .values_mut()
            .filter_map(|room| room.deadline(now, settled))
            .min()
    }

    /// A member went offline or left: no receipt waits for them any more.
    pub fn member_lost(&mut self, cx: &mut Cx, id: &PeerId) {
        for room in self.rooms.values_mut() {
            let changed = room.own.member_left(id);
            room.tell_receipts(cx.core, changed);
        }
        self.answers.remove(id);
    }

    /// A member is back: receipts wait for them again.
    pub fn member_back(&mut self, cx: &mut Cx, id: &PeerId) {
        for room in self.rooms.values_mut() {
            let changed = room.own.member_back(cx.now.mono, id);
            room.tell_receipts(cx.core, changed);
        }
    }

    /// Tells a member that was given up and is back where the own logs stand: what was said
    /// meanwhile was not for it, and where no group path works nothing else would tell.
    pub fn tell_heads(&self, cx: &mut Cx, id: &PeerId) {
        let Some(to) = cx.presence.address_of(id) else {
            return;
        };
        for (tag, room) in &self.rooms {
            if room.own.sent_seq > 0 && !is_sabotaged(Sabotage::NoHeads) {
                let (epoch, seq) = (room.own.sent_epoch, room.own.sent_seq);
                let room = *tag;
                cx.core
                    .send_to(to, &Body::Heads(Heads { room, epoch, seq }));
            }
        }
    }

    /// The rooms, for `rooms`.
    pub fn describe<'a>(
        &'a self,
        presence: &'a Presence,
        reference: Option<&'a Value>,
    ) -> impl Iterator<Item = Event> + 'a {
        self.rooms.values().map(move |room| Event::Room {
            reference: reference.cloned(),
            room: format!("#{}", room.name),
            joined: true,
            locked: false,
            members: presence.roster.members().map(|peer| peer.id).collect(),
        })
    }

    /// The shows of one log that may be shown now.
    fn show_lines(room: &mut Room, cx: &mut Cx, author: &PeerId) {
        let conversation = room.conversation();
        while let Some(line) = room
            .logs
            .get_mut(author)
            .and_then(|log: &mut AuthorLog| log.next_line(cx.now.mono))
        {
            match line {
                log::Line::Entry(entry, delayed) => {
                    let from = cx.presence.reference_of(&entry.author);
                    let event = room.show(from, &entry, false, delayed);
                    cx.core.event(event);
                }
                log::Line::Gap(missing) => cx.core.event(Event::Gap {
                    conversation: conversation.clone(),
                    from: cx.presence.reference_of_id(author),
                    missing,
                }),
            }
        }
    }

    /// Lines of an epoch that ended before their turn came: better late than never.
    fn show_left_over(room: &mut Room, cx: &mut Cx) {
        for entry in std::mem::take(&mut room.left_over) {
            let from = cx.presence.reference_of(&entry.author);
            let event = room.show(from, &entry, false, true);
            cx.core.event(event);
        }
    }

    /// Tells once that the store does not keep anything any more.
    fn store_failure(&mut self, cx: &mut Cx, failure: &str) {
        if !self.store_failed {
            self.store_failed = true;
            cx.core.event(Event::Error {
                reference: None,
                code: "store_failed".into(),
                message: format!("what is said here is not kept: {failure}"),
                hint: Some("make room on the disk; the chat goes on".into()),
            });
        }
    }
}

fn new_room(core: &Core, now: Instant, name: &RoomName, snapshot: &Snapshot) -> Room {
    let sender = OwnSender::new(now, core.config.person_rate, core.config.person_burst);
    let mut room = Room::new(name.clone(), sender);
    let id = room.id;
    let own = snapshot.own_heads.iter().filter(|head| head.room == id);
    if let Some(head) = own.max_by_key(|head| head.epoch) {
        let back = u32::from(is_sabotaged(Sabotage::NumberTwice));
        let seq = head.seq.saturating_sub(back);
        room.own.restore(head.network, head.epoch, seq, head.hash);
    }
    for head in snapshot.heads.iter().filter(|head| head.room == id) {
        if head.author != core.identity.id() {
            let is_newer = room
                .logs
                .get(&head.author)
                .is_none_or(|log| log.epoch < head.epoch);
            if is_newer {
                room.logs
                    .insert(head.author, AuthorLog::restored(head.epoch, head.seq));
            }
        }
    }
    room
}

/// Only what [`logs::Logs::author`] needs is known of a log's author in packets.
fn author_of(room: &Room, own: &PeerId, short: &ShortId) -> Option<PeerId> {
    if own.short() == *short {
        Some(*own)
    } else {
        room.logs.author(short)
    }
}
