//! The set of rooms: which there are, and what is told of all of them.

use std::collections::BTreeMap;

use super::log::AuthorLog;
use super::logs::LogAt;
use super::order::Hlc;
use super::rates::Rates;
use super::room::Room;
use super::{Cx, Group};
use crate::durable::{Holes, Snapshot};
use crate::id::{NetworkId, PeerId, RoomId, RoomTag, ShortId};
use crate::limits::{HEARTBEAT_HEADS_MAX, HEARTBEAT_ROOMS_MAX, RECORD_ROOMS_MAX};
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
            holes: but(&snapshot.holes, |holes| is_open(&holes.log.room)),
            own_logs: but(&snapshot.own_logs, |head| is_open(&head.room)),
            forks: but(&snapshot.forks, |fork| is_open(&fork.log.room)),
            incarnation: snapshot.incarnation,
            ..Snapshot::default()
        };
        Group {
            rooms,
            pending: BTreeMap::new(),
            hlc: Hlc::restored(now.wall_ms, snapshot.hlc_max),
            rates: Rates::new(now.mono, &core.config.limits),
            received_pending: 0,
            gathering: super::gather::Gathering::new(),
            past,
            watch: super::membership::Watch::default(),
            joining: Vec::new(),
            unkept: super::unkept::Unkept::default(),
            kept_people: BTreeMap::new(),
            behind: Vec::new(),
            strange: Vec::new(),
            forks_told: BTreeMap::new(),
        }
    }

    /// The links changed: what is said on networks that are new is not history.
    pub fn links_changed(&mut self, core: &Core, now: Now) {
        for room in self.rooms.values_mut() {
            room.own.be_on(core.here());
        }
        let came_ms = core.doubt.map_or(now.wall_ms, |doubt| doubt.since_ms);
        for network in core.networks() {
            for room in self.rooms.values_mut() {
                let network = room.seat.network_of(network);
                room.arrive(network, came_ms);
            }
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
        self.room_key(tag).is_some()
    }

    /// The key of a locked room; none of an open one.
    #[must_use]
    pub fn room_key(&self, tag: &RoomTag) -> Option<[u8; 32]> {
        self.rooms.get(tag)?.seat.key_bytes()
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

    /// Own logs of this network, for HELLO and WELCOME: of the rooms that this node is in, then of
    /// those where it said something without being in them, since nobody else may have it.
    #[must_use]
    pub fn own_logs(&self, network: NetworkId) -> Vec<OwnLog> {
        let open = || self.rooms.values().filter(|room| !room.seat.is_locked());
        let joined = open().filter(|room| room.seat.joined);
        let visited = open().filter(|room| !room.seat.joined);
        let said = |log: &OwnLog| log.epoch > 0;
        let joined = joined.map(|room| room.own_log_on(network));
        let visited = visited.map(|room| room.own_log_on(network)).filter(said);
        joined
            .chain(visited)
            .filter(|_| !is_sabotaged(Sabotage::NoHeads))
            .take(RECORD_ROOMS_MAX)
            .collect()
    }

    /// Rooms and heads, for the heartbeat of this number on a network: all rooms, or as many as fit
    /// in turn.
    #[must_use]
    pub fn digests(&self, network: NetworkId, own: &PeerId, turn: usize) -> Vec<RoomDigest> {
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
            digest: room.digest_on(network, own),
            heads: room.heads_on(network, own.short(), round, HEARTBEAT_HEADS_MAX),
        };
        let rooms = self.rooms.iter().filter(joined).cycle().skip(start);
        rooms.take(count.min(most)).map(digest).collect()
    }

    /// Tells a member that was given up and is back where the own logs stand: what was said
    /// meanwhile was not for it, and where no group path works nothing else would tell.
    pub fn tell_heads(&self, cx: &mut Cx, id: &PeerId) {
        self.tell_heads_of(cx, id, |_| true);
    }

    /// The same of the rooms that this node only spoke into, which its heartbeats do not name.
    pub fn tell_heads_of_visited(&self, cx: &mut Cx, id: &PeerId) {
        self.tell_heads_of(cx, id, |room| !room.seat.joined);
    }

    fn tell_heads_of(&self, cx: &mut Cx, id: &PeerId, wanted: impl Fn(&Room) -> bool) {
        let Some(to) = cx.presence.address_of(id) else {
            return;
        };
        let network = cx.core.network_towards(to);
        let peer = cx.presence.roster.get(id);
        let is_in = |room: &Room| peer.is_some_and(|peer| room.seat.lists(peer));
        let theirs = |(_, room): &(&RoomTag, &Room)| wanted(room) && is_in(room);
        let of_theirs: Vec<_> = self.rooms.iter().filter(theirs).collect();
        for (tag, room) in of_theirs {
            let head = room.own.told_on(room.seat.network_of(network));
            if let Some((epoch, (first, seq))) = head.filter(|_| !is_sabotaged(Sabotage::NoHeads)) {
                let heads = Body::Heads(Heads {
                    room: *tag,
                    epoch,
                    seq,
                    first,
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
    let name = name.clone();
    let mut room = match key {
        Some(key) => Room::locked(name, key),
        None => Room::new(name),
    };
    room.own.be_on(core.here());
    let id = room.id;
    // Who was here before came by then at the latest.
    let came = snapshot.incarnation;
    for head in snapshot.own_heads.iter().filter(|head| head.room == id) {
        room.own.restore(head);
        room.arrive(head.network, came);
        room.is_new = false;
    }
    let holes = snapshot.holes.iter().filter(|holes| holes.log.room == id);
    let holes = holes.map(|holes| ((holes.log.author, holes.log.epoch), holes));
    let holes: BTreeMap<LogAt, &Holes> = holes.collect();
    for head in snapshot.own_logs.iter().filter(|head| head.room == id) {
        let holes = holes.get(&(head.author, head.epoch)).copied();
        room.own.past.restore(head, holes);
    }
    let epochs = snapshot.epochs.iter().filter(|(of, _)| *of == id);
    epochs.for_each(|(_, epoch)| room.own.pass(*epoch));
    let others = snapshot.heads.iter().filter(|head| head.room == id);
    for head in others.filter(|head| head.author != core.identity.id()) {
        let at = (head.author, head.epoch);
        let log = AuthorLog::restored(head, holes.get(&at).copied());
        room.logs.add(at, log, |_| false);
        room.arrive(head.network, came);
        room.is_new = false;
    }
    for fork in snapshot.forks.iter().filter(|fork| fork.log.room == id) {
        room.forks
            .insert((fork.log.author, fork.log.epoch), fork.clone());
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
    use crate::durable::{Head, LogKey};
    use crate::id::Incarnation;
    use crate::proto::Identity;
    use crate::text::{PeerName, StatusText};

    fn core(rooms: usize) -> (Core, Now) {
        core_of(9, rooms)
    }

    fn core_of(secret: u8, rooms: usize) -> (Core, Now) {
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
        let identity = Identity::from_secret(&[secret; 32]);
        (Core::new(now.mono, identity, config, Incarnation(1)), now)
    }

    #[test]
    fn heartbeats_carry_all_rooms_in_turn() {
        for rooms in [0, 1, 4, 5, 6, 8, 11] {
            let (core, now) = core(rooms);
            let group = Group::new(&core, now, &Snapshot::default());
            let network = core.network();
            let own = core.identity.id();
            let mut told: BTreeMap<RoomTag, usize> = BTreeMap::new();
            for turn in 0..rooms {
                let digests = group.digests(network, &own, turn);
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
            assert_eq!(group.digests(network, &own, usize::MAX).len(), each);
        }
    }

    /// What a node tells that holds these numbers of one log, of which the first run ends there,
    /// and knows that these are gone.
    fn digest(secret: u8, (end, beyond): (u32, &[Span]), gone: &[Span]) -> [u8; 8] {
        let (core, _) = core_of(secret, 0);
        let name = RoomName::new("lobby").expect("a name");
        let (room, author) = (RoomId::public("lobby"), core_of(9, 0).0.identity.id());
        let network = core.network();
        let head = Head {
            room,
            author,
            epoch: 7,
            seq: end,
            hash: [4; 32],
            network,
            low: 1,
            floor: 0,
            forked: false,
        };
        let holes = Holes {
            log: LogKey {
                room,
                author,
                epoch: 7,
            },
            held: beyond.to_vec(),
            gone: gone.to_vec(),
        };
        let is_own = author == core.identity.id();
        let mut snapshot = Snapshot {
            holes: vec![holes],
            ..Snapshot::default()
        };
        match is_own {
            true => snapshot.own_logs.push(head),
            false => snapshot.heads.push(head),
        }
        let room = new_room(&core, &name, None, &snapshot);
        room.digest_on(network, &core.identity.id())
    }

    type Span = (u32, u32);

    #[test]
    fn a_digest_is_the_same_where_the_same_is_held_and_nowhere_else() {
        let held: (u32, &[Span]) = (3, &[(6, 6), (8, 9)]);
        let told = digest(9, held, &[]);
        // Its author or another one, and whether the rest is known to be gone.
        assert_eq!(digest(8, held, &[]), told);
        assert_eq!(digest(8, held, &[(4, 5), (7, 7)]), told);
        let others: [(u32, &[Span]); 5] = [
            (3, &[]),
            (3, &[(6, 6), (9, 9)]),
            (3, &[(6, 9)]),
            (3, &[(6, 6)]),
            (9, &[]),
        ];
        for other in others {
            for secret in [8, 9] {
                assert_ne!(digest(secret, other, &[(4, 5), (7, 7)]), told, "{other:?}");
            }
        }
    }
}
