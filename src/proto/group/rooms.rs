//! The set of rooms: which there are, and what is told of all of them.

use std::collections::BTreeMap;

use super::log::AuthorLog;
use super::order::Hlc;
use super::rates::Rates;
use super::room::Room;
use super::sender::OwnSender;
use super::{Cx, Group};
use crate::durable::Snapshot;
use crate::id::{PeerId, RoomId, RoomTag, ShortId};
use crate::limits::{HEARTBEAT_HEADS_MAX, HEARTBEAT_ROOMS_MAX};
use crate::proto::core::Core;
use crate::proto::locked::RoomKey;
use crate::proto::locked::seal::Seal;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::proto::{Config, Now};
use crate::text::RoomName;
use crate::wire::{Body, Heads, OwnLog, RecordRoom, RoomDigest};

impl Group {
    /// The rooms this node is in, with the logs as the store had them.
    #[must_use]
    pub fn new(core: &Core, now: Now, snapshot: &Snapshot) -> Self {
        let mut rooms = BTreeMap::new();
        for (name, key) in at_start(&core.config, snapshot) {
            let room = new_room(core, &name, key, snapshot);
            rooms.insert(room.id.tag(), room);
        }
        let is_open = |id: &RoomId| rooms.contains_key(&id.tag());
        let past = Snapshot {
            own_heads: but(&snapshot.own_heads, |head| is_open(&head.room)),
            epochs: but(&snapshot.epochs, |(room, _)| is_open(room)),
            heads: but(&snapshot.heads, |head| is_open(&head.room)),
            ..Snapshot::default()
        };
        Group {
            rooms,
            pending: BTreeMap::new(),
            hlc: Hlc::default(),
            rates: Rates::new(now.mono, &core.config.limits),
            received_pending: 0,
            past,
            watch: super::membership::Watch::default(),
            joining: Vec::new(),
            unkept: super::unkept::Unkept::default(),
            kept_people: BTreeMap::new(),
        }
    }

    /// The id of the room that this entry's signature has to name.
    #[must_use]
    pub fn room_id(&self, tag: &RoomTag) -> Option<RoomId> {
        self.rooms.get(tag).map(|room| room.id)
    }

    /// Whether this is a locked room that this node is in: what is not sealed is none of it.
    #[must_use]
    pub fn is_locked(&self, tag: &RoomTag) -> bool {
        let room = self.rooms.get(tag);
        room.is_some_and(|room| room.seat.is_locked())
    }

    /// What opens the packets of a locked room that this node is in.
    #[must_use]
    pub fn seal(&self, tag: &RoomTag) -> Option<&Seal> {
        let room = self.rooms.get(tag).filter(|room| room.seat.joined);
        room.and_then(|room| room.seat.seal())
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
        let told = |(_, room): &(&RoomTag, &Room)| {
            room.seat.is_told_openly() && !is_sabotaged(Sabotage::NoHeads)
        };
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
        let joined = |(_, room): &(&RoomTag, &Room)| room.seat.is_told_openly();
        let (count, most) = (
            self.rooms.iter().filter(joined).count(),
            HEARTBEAT_ROOMS_MAX,
        );
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
        let rooms = self.rooms.iter().filter(joined).cycle().skip(start);
        rooms.take(count.min(most)).map(digest).collect()
    }

    /// Tells a member that was given up and is back where the own logs stand: what was said
    /// meanwhile was not for it, and where no group path works nothing else would tell.
    pub fn tell_heads(&self, cx: &mut Cx, id: &PeerId) {
        let Some(to) = cx.presence.address_of(id) else {
            return;
        };
        let peer = cx.presence.roster.get(id);
        let is_in = |room: &Room| peer.is_some_and(|peer| room.seat.lists(peer));
        let of_theirs: Vec<_> = self.rooms.iter().filter(|(_, room)| is_in(room)).collect();
        for (tag, room) in of_theirs {
            if room.own.sent_seq > 0 && !is_sabotaged(Sabotage::NoHeads) {
                let (epoch, seq) = (room.own.sent_epoch, room.own.sent_seq);
                let heads = Body::Heads(Heads {
                    room: *tag,
                    epoch,
                    seq,
                });
                room.seat.send_to(cx.core, to, &heads);
            }
        }
    }
}

/// The rooms this node is in at its start, with the keys of locked ones: those of the
/// configuration that it did not leave, and those it joined in an earlier run.
#[must_use]
pub fn at_start(config: &Config, snapshot: &Snapshot) -> Vec<(RoomName, Option<RoomKey>)> {
    let rows = &snapshot.rooms;
    let left = |name: &RoomName| {
        let mut rows = rows.iter().filter(|row| row.name == name.as_str());
        rows.any(|row| row.key.is_none() && !row.joined)
    };
    let given = config.rooms.iter().filter(|name| !left(name)).cloned();
    let mut rooms: Vec<(RoomName, Option<RoomKey>)> = given.map(|name| (name, None)).collect();
    for row in rows.iter().filter(|row| row.joined) {
        if let Some(name) = RoomName::from_wire(row.name.as_bytes())
            && !rooms.iter().any(|(of, _)| *of == name)
        {
            rooms.push((name, row.key.map(RoomKey::from_bytes)));
        }
    }
    rooms
}

/// The rooms this node is in at its start, as its record lists them.
#[must_use]
pub fn listed_at_start(config: &Config, snapshot: &Snapshot) -> Vec<RecordRoom> {
    let rooms = at_start(config, snapshot).into_iter();
    let listed = |(name, key): (RoomName, Option<RoomKey>)| match key {
        Some(key) => super::unlock::listed(&name, &key.room(&name)),
        None => RecordRoom::Public(name),
    };
    rooms.map(listed).collect()
}

/// All of these but what is so.
fn but<T: Clone>(all: &[T], is_so: impl Fn(&T) -> bool) -> Vec<T> {
    all.iter().filter(|one| !is_so(one)).cloned().collect()
}

pub(super) fn new_room(
    core: &Core,
    name: &RoomName,
    key: Option<RoomKey>,
    snapshot: &Snapshot,
) -> Room {
    let (name, own) = (name.clone(), OwnSender::default());
    let mut room = match key {
        Some(key) => Room::locked(name, key, own),
        None => Room::new(name, own),
    };
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

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Instant;

    use super::*;
    use crate::id::Incarnation;
    use crate::proto::Identity;
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
