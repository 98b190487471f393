//! The set of rooms: which there are, and what is told of all of them.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;

use super::log::AuthorLog;
use super::order::Hlc;
use super::room::Room;
use super::sender::OwnSender;
use super::{Cx, Group};
use crate::api::Event;
use crate::durable::Snapshot;
use crate::id::{PeerId, RoomId, RoomTag, ShortId};
use crate::limits::{HEARTBEAT_HEADS_MAX, HEARTBEAT_ROOMS_MAX};
use crate::proto::Now;
use crate::proto::core::Core;
use crate::proto::presence::Presence;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::text::RoomName;
use crate::wire::{Body, Heads, OwnLog, RoomDigest};

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

    /// The id of the room that this entry's signature has to name.
    #[must_use]
    pub fn room_id(&self, tag: &RoomTag) -> Option<RoomId> {
        self.rooms.get(tag).map(|room| room.id)
    }

    /// Whether somebody of this id ever said something in this room, as far as is known here.
    #[must_use]
    pub fn has_author(&self, tag: &RoomTag, author: &PeerId) -> bool {
        let room = self.rooms.get(tag);
        room.is_some_and(|room| room.logs.contains(author))
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
pub(super) fn author_of(room: &Room, own: &PeerId, short: &ShortId) -> Option<PeerId> {
    if own.short() == *short {
        Some(*own)
    } else {
        room.logs.author(short)
    }
}
