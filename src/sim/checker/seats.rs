//! Who is in which room, what was taken back there, and what no outsider may read.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::Checker;
use crate::id::{MessageId, NetworkId, RoomId, RoomTag};
use crate::sim::disk::Disk;
use crate::sim::rooms::{self, ROOMS, SECRET};

/// A node is in a room.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    /// Since when on each network, and what its clock showed then; a locked room is everywhere.
    pub(super) came: BTreeMap<NetworkId, (Duration, u64)>,
}

impl Checker {
    /// The rooms that somebody may be in.
    pub(super) fn add_rooms(&mut self) {
        for (at, (name, _)) in ROOMS.iter().enumerate() {
            let Some((id, seal)) = rooms::of(at) else {
                continue;
            };
            self.rooms.insert(id.tag(), id);
            self.named.insert(name, id.tag());
            if let Some(seal) = seal {
                self.seals.insert(id.tag(), seal);
            }
        }
    }

    /// The room that a conversation is about.
    pub(super) fn room_of(&self, name: &str) -> Option<RoomTag> {
        self.named.get(name).copied()
    }

    /// A process starts in this room. `wall_ms` is its clock.
    pub fn begins_in(&mut self, (now, wall_ms): (Duration, u64), node: usize, name: &str) {
        if let Some(room) = self.room_of(name) {
            self.sit((now, wall_ms), node, room);
        }
    }

    /// A node tells people whether it is in a room.
    pub(super) fn told_seat(
        &mut self,
        (now, wall_ms): (Duration, u64),
        node: usize,
        room: RoomTag,
        joined: bool,
    ) {
        let of = (node, room);
        if joined == self.seats.contains_key(&of) {
            return;
        }
        let lines = &mut self.lines[node];
        lines.last.retain(|(of, ..), _| *of != room);
        lines.gaps.retain(|(of, _)| *of != room);
        if joined {
            self.sit((now, wall_ms), node, room);
        } else {
            self.seats.remove(&of);
        }
    }

    fn sit(&mut self, at: (Duration, u64), node: usize, room: RoomTag) {
        let came = BTreeMap::from([(self.network_in(node, &room), at)]);
        self.seats.insert((node, room), Seat { came });
    }

    /// Since when a node is in a room, and what its clock showed then; where its logs belong to
    /// this network.
    pub(super) fn sat_on(
        &self,
        node: usize,
        room: &RoomTag,
        network: NetworkId,
    ) -> Option<(Duration, u64)> {
        self.seats.get(&(node, *room))?.came.get(&network).copied()
    }

    /// Whether a node is in a room.
    pub(super) fn is_in(&self, node: usize, room: &RoomTag) -> bool {
        self.seats.contains_key(&(node, *room))
    }

    /// The network whose logs a node has to do with in a room.
    pub(super) fn network_in(&self, node: usize, room: &RoomTag) -> NetworkId {
        match self.seals.contains_key(room) {
            true => NetworkId::EVERYWHERE,
            false => self.people[node].network,
        }
    }

    /// The lines of a room that a node showed; of its own ones, if they are to be.
    #[must_use]
    pub fn shown_by(&self, node: usize, room: &RoomTag, own: bool) -> Vec<MessageId> {
        let ever = self.lines[node].ever.iter().copied();
        let is_wanted = |id: &MessageId| {
            let truth = self.truth.get(id);
            truth.is_some_and(|of| of.room == *room && (!own || of.author == node))
        };
        ever.filter(is_wanted).collect()
    }

    /// Somebody without its key was given something of a locked room's history.
    pub fn gave_away(&mut self, now: Duration, room: RoomTag, from: SocketAddr) {
        if let Some(&node) = self.at.get(&from) {
            let what = format!("gives the history of {room:?} to somebody without its key");
            self.fail(now, node, 1, what);
        }
    }

    /// A node sends these bytes: what is said in a locked room is not to be read in them.
    pub(super) fn is_secret(bytes: &[u8]) -> bool {
        let secret = SECRET.as_bytes();
        let starts = bytes
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == secret[0]);
        let mut starts = starts.map(|(at, _)| &bytes[at..]);
        starts.any(|rest| rest.starts_with(secret))
    }

    /// Whoever holds what takes a line back holds no text of it.
    pub(super) fn nothing_is_left<'a>(
        &mut self,
        now: Duration,
        live: &[usize],
        disk: &impl Fn(usize) -> &'a Disk,
    ) {
        let left = live.iter().find_map(|&node| {
            let keeps = |(of, by): &&(MessageId, MessageId)| {
                let room = self.truth.get(of).map(|truth| truth.room);
                let is_in = room.is_some_and(|room| self.is_in(node, &room));
                is_in && disk(node).has_body(by).is_some() && disk(node).has_body(of) == Some(true)
            };
            let found = self.taken_back.iter().find(keeps)?;
            Some((
                node,
                self.truth.get(&found.0).map(|truth| truth.text.clone()),
            ))
        });
        if let Some((node, text)) = left {
            let what = format!("keeps {text:?}, which was taken back");
            self.fail(now, node, 3, what);
        }
    }

    /// Where the same is held, it stands in one order.
    pub(super) fn stands_in_one_order<'a>(
        &mut self,
        now: Duration,
        room: RoomId,
        members: &[usize],
        disk: &impl Fn(usize) -> &'a Disk,
    ) {
        let mut orders: BTreeMap<Vec<MessageId>, (usize, Vec<MessageId>)> = BTreeMap::new();
        for &node in members {
            let order = disk(node).order(&room);
            let mut all = order.clone();
            all.sort_unstable();
            let (first, of_first) = orders.entry(all).or_insert_with(|| (node, order.clone()));
            if let Some(at) = (0..order.len()).find(|&at| of_first[at] != order[at]) {
                let what = format!(
                    "shows another order than node {first}: {:?} and {:?} at {at}",
                    order[at], of_first[at]
                );
                return self.fail(now, node, 3, what);
            }
        }
    }
}
