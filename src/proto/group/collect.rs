//! Answering NACKs: whoever holds what somebody misses sends it, from memory or the store.

use std::net::SocketAddr;

use super::logs::LogAt;
use super::repair::send_repairs;
use super::room::Room;
use super::rooms::author_of;
use super::{Cx, Group, Pending};
use crate::durable::{Loaded, Query, Row, Token};
use crate::id::{NetworkId, PeerId, RoomTag};
use crate::proto::presence::Heard;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::wire::{Body, Heads, Nack};

/// Most entries that one NACK is answered with.
const ANSWER_ENTRIES_MAX: usize = 64;

impl Group {
    /// Somebody misses entries. `heard` is from a validated address of theirs.
    pub fn handle_nack(&mut self, cx: &mut Cx, heard: &Heard, nack: &Nack) {
        let own = cx.core.identity.id();
        let Some(room) = self.rooms.get(&nack.room) else {
            return;
        };
        let Some(author) = author_of(room, &own, &nack.author) else {
            return;
        };
        // Before the store is asked, so that a flood of NACKs is none of queries.
        let (count, _) = self.rates.answers_to(cx.now.mono, heard.id);
        if !count.take(cx.now.mono, 1) {
            cx.core.stats.limited += 1;
            return;
        }
        let at = (author, nack.epoch);
        let Some(to) = cx.presence.address_of(&heard.id) else {
            return;
        };
        let network = room.seat.network_of(cx.core.network_towards(to));
        if author == own {
            say_first(room, cx, (nack, network), to);
        }
        let lowest = lowest_on(room, &own, &at, network).unwrap_or(1);
        let runs = nack.runs.iter();
        let numbers = runs.flat_map(|run| run.first.max(lowest)..=run.last);
        let numbers: Vec<u32> = numbers.take(ANSWER_ENTRIES_MAX).collect();
        if !self.gather(cx, (nack.room, at), heard.id, &numbers) {
            self.answer_numbers(cx, heard.id, &nack.room, at, &numbers);
        }
    }

    /// Answers one member with what is held of these numbers.
    pub(super) fn answer_numbers(
        &mut self,
        cx: &mut Cx,
        peer: PeerId,
        tag: &RoomTag,
        at: LogAt,
        numbers: &[u32],
    ) {
        let own = cx.core.identity.id();
        let room = self.rooms.get(tag);
        let Some((room, to)) = room.zip(cx.presence.address_of(&peer)) else {
            return;
        };
        // Of another network than the one that leads there nothing is told.
        let network = room.seat.network_of(cx.core.network_towards(to));
        if let Some(fork) = room.forks.get(&at) {
            let proof = [fork.first.clone(), fork.second.clone()];
            let is_on = room.logs.get(&at).is_some_and(|log| log.is_on(network));
            if is_on && proof.iter().all(|entry| !entry.is_empty()) {
                self.answer(cx, peer, tag, &proof);
            }
            return;
        }
        let is_known = is_known(room, &own, &at);
        if is_known && lowest_on(room, &own, &at, network).is_none() {
            return;
        }
        let mut found = Vec::new();
        let mut absent = Vec::new();
        for &seq in numbers {
            if is_known && !serves(room, &own, &at, (network, seq)) {
                continue;
            }
            match held(room, &own, &at, seq) {
                Some(bytes) => found.push(bytes.clone()),
                None => absent.push(seq),
            }
        }
        if !absent.is_empty() {
            let query = Query::Entries {
                room: room.id,
                author: at.0,
                epoch: at.1,
                seqs: absent,
                // Where nothing is known here, the store knows what it belongs to.
                network: (!is_known).then_some(network),
            };
            let token = cx.core.load(query);
            let room = *tag;
            self.pending.insert(token, Pending::Repair { peer, room });
        }
        self.answer(cx, peer, tag, &found);
    }

    /// The store found what a repair needs. Returns whether the token was ours.
    pub fn handle_loaded(&mut self, cx: &mut Cx, token: Token, result: &Loaded) -> bool {
        if self.fork_loaded(cx, token, result) {
            return true;
        }
        let (peer, room) = match self.pending.remove(&token) {
            Some(Pending::Repair { peer, room }) => (peer, room),
            Some(Pending::Asked(asked)) => {
                let rows = result.as_ref().map_or(&[][..], Vec::as_slice);
                self.answered(cx, asked, rows);
                self.judge(cx);
                return true;
            }
            Some(other) => {
                self.pending.insert(token, other);
                return false;
            }
            None => return false,
        };
        let bytes = |row: &Row| match row {
            Row::Entry { bytes, .. } => Some(bytes.clone()),
            _ => None,
        };
        if let Ok(rows) = result {
            let found: Vec<Vec<u8>> = rows.iter().filter_map(bytes).collect();
            self.answer(cx, peer, &room, &found);
        }
        true
    }

    pub(super) fn answer(
        &mut self,
        cx: &mut Cx,
        peer: PeerId,
        room: &RoomTag,
        entries: &[Vec<u8>],
    ) {
        let to = cx.presence.address_of(&peer);
        let Some((to, room)) = to.zip(self.rooms.get(room)) else {
            return;
        };
        let now = cx.now.mono;
        let (_, bytes) = self.rates.answers_to(now, peer);
        // As much as may go; the rest is asked for again.
        let fits = |entry: &&Vec<u8>| {
            let len = u32::try_from(entry.len()).unwrap_or(u32::MAX);
            bytes.take(now, len)
        };
        let fitting = entries.iter().take_while(fits).count();
        if fitting < entries.len() {
            cx.core.stats.limited += 1;
        }
        send_repairs(cx.core, &room.seat, to, &entries[..fitting]);
    }
}

/// Tells who asks for what was said elsewhere where the own log begins on this network.
fn say_first(room: &Room, cx: &mut Cx, (nack, network): (&Nack, NetworkId), to: SocketAddr) {
    let (tag, epoch) = (nack.room, nack.epoch);
    let told = room.own.get(epoch).and_then(|log| log.told_on(network));
    let asked = nack.runs.first().map_or(u32::MAX, |run| run.first);
    if let Some((first, seq)) = told.filter(|(first, _)| asked < *first) {
        let heads = Heads {
            room: tag,
            epoch,
            seq,
            first,
        };
        room.seat.send_to(cx.core, to, &Body::Heads(heads));
    }
}

/// Whether a log is known here.
fn is_known(room: &Room, own: &PeerId, at: &LogAt) -> bool {
    match at.0 == *own {
        true => room.own.get(at.1).is_some(),
        false => room.logs.get(at).is_some(),
    }
}

/// The lowest number of a log that is served on a network.
fn lowest_on(room: &Room, own: &PeerId, at: &LogAt, network: NetworkId) -> Option<u32> {
    if is_sabotaged(Sabotage::NetworkIgnored) {
        return Some(1);
    }
    match at.0 == *own {
        true => room.own.get(at.1)?.lowest_on(network),
        false => room.logs.get(at)?.lowest_on(network),
    }
}

/// Whether this number of a log that is known is served on a network.
pub(super) fn serves(
    room: &Room,
    own: &PeerId,
    at: &LogAt,
    (network, seq): (NetworkId, u32),
) -> bool {
    if is_sabotaged(Sabotage::NetworkIgnored) {
        return true;
    }
    let of_own = || {
        let log = room.own.get(at.1)?;
        Some(log.serves(network, seq) && seq <= log.sent_seq)
    };
    let served = match at.0 == *own {
        true => of_own(),
        false => room.logs.get(at).map(|log| log.serves(network, seq)),
    };
    served.unwrap_or(false)
}

pub(super) fn held<'a>(room: &'a Room, own: &PeerId, at: &LogAt, seq: u32) -> Option<&'a Vec<u8>> {
    if at.0 == *own {
        return room.own.get(at.1)?.cached(seq);
    }
    room.logs.get(at)?.cached(seq)
}
