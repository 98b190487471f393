//! The set of rooms: which there are, and what is told of all of them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::log::AuthorLog;
use super::order::Hlc;
use super::rates::Rates;
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
            let room = new_room(core, now, name, snapshot);
            rooms.insert(room.id.tag(), room);
        }
        Group {
            rooms,
            pending: BTreeMap::new(),
            hlc: Hlc::default(),
            rates: Rates::new(now.mono, &core.config.limits),
            received_pending: 0,
            store_failed: false,
            own: core.identity.id(),
            behind: Vec::new(),
            kept_people: BTreeMap::new(),
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

    /// Rooms and heads, for the heartbeat of this number: all rooms, or as many as fit in turn.
    #[must_use]
    pub fn digests(&self, own: &PeerId, turn: usize) -> Vec<RoomDigest> {
        let (count, most) = (self.rooms.len(), HEARTBEAT_ROOMS_MAX);
        // How often each room was told before: its heads go in turn too.
        let (start, round) = if count > most {
            (
                turn.wrapping_mul(most) % count,
                turn.wrapping_mul(most) / count,
            )
        } else {
            (0, turn)
        };
        let digest = |(tag, room): (&RoomTag, &Room)| RoomDigest {
            room: *tag,
            digest: room.digest(own),
            heads: room.heads(own.short(), round, HEARTBEAT_HEADS_MAX),
        };
        let rooms = self.rooms.iter().cycle().skip(start);
        rooms.take(count.min(most)).map(digest).collect()
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

fn new_room(core: &Core, now: Now, name: &RoomName, snapshot: &Snapshot) -> Room {
    let mut room = Room::new(name.clone(), OwnSender::default());
    let id = room.id;
    // A node that was here before joined by then at the latest.
    room.joined_ms = match snapshot.incarnation {
        0 => now.wall_ms,
        last => last,
    };
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
    let has_past = |of: &RoomId| *of == id;
    room.is_new = !snapshot.heads.iter().any(|head| has_past(&head.room))
        && !snapshot.own_heads.iter().any(|head| has_past(&head.room));
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

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Instant;

    use super::*;
    use crate::id::Incarnation;
    use crate::proto::{Config, Identity};
    use crate::text::{PeerName, StatusText};

    fn core(rooms: usize) -> (Core, Now) {
        let now = Now {
            mono: Instant::now(),
            wall_ms: 1_790_000_000_000,
        };
        let name = |number| RoomName::new(&format!("room{number}"));
        let config = Config {
            name: PeerName::new("ana").expect("a name"),
            status: crate::api::Status::Available,
            status_text: StatusText::default(),
            chat_port: 5263,
            presence_port: 5262,
            peers: Vec::new(),
            multicast: true,
            broadcast: true,
            transient: false,
            rooms: (0..rooms).filter_map(|number| name(number).ok()).collect(),
            first_hello_ms_max: 5,
            snapshot: Snapshot::default(),
            limits: crate::limits::Limits::default(),
            seed: [1; 32],
        };
        let identity = Identity::from_secret(&[9; 32]);
        (Core::new(now.mono, identity, config, Incarnation(1)), now)
    }

    #[test]
    fn heartbeats_carry_all_rooms_in_turn() {
        for rooms in [0, 1, 4, 5, 6, 8, 11] {
            let (core, now) = core(rooms);
            let group = Group::new(&core, now, &Snapshot::default());
            let own = core.identity.id();
            let mut told: BTreeMap<RoomTag, usize> = BTreeMap::new();
            for turn in 0..rooms {
                let digests = group.digests(&own, turn);
                assert_eq!(digests.len(), rooms.min(HEARTBEAT_ROOMS_MAX));
                let tags: std::collections::BTreeSet<_> =
                    digests.iter().map(|digest| digest.room).collect();
                assert_eq!(tags.len(), digests.len(), "no room twice");
                tags.into_iter()
                    .for_each(|tag| *told.entry(tag).or_default() += 1);
            }
            assert_eq!(told.len(), rooms);
            let each = rooms.min(HEARTBEAT_ROOMS_MAX);
            assert!(told.values().all(|&times| times == each), "{told:?}");
            assert_eq!(group.digests(&own, usize::MAX).len(), each);
        }
    }
}
