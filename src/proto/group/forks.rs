//! An author that says two things with one number: the proof is kept and handed on, and nothing
//! more is taken of that epoch.

use std::time::{Duration, Instant};

use super::log::AuthorLog;
use super::logs::LogAt;
use super::{Cx, Group, Pending};
use crate::api::Event;
use crate::durable::{Batch, Durability, ForkRow, Loaded, LogKey, Query, Row, Token, Write};
use crate::id::{PeerId, RoomTag};
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::wire::{Entry, HeadOf};

/// Most proofs kept of one room.
const FORKS_MAX: usize = 256;
/// People are told of one author so often at most: it can begin ever so many logs.
const TOLD_EVERY: Duration = Duration::from_secs(60 * 60);
/// And of so many authors in that time.
const FORKS_TOLD_MAX: usize = 64;

impl Group {
    /// A genuine entry contradicts the one of number `seq` that is held: another of the same
    /// number, or one that does not join on to its neighbour. `first`: the bytes of that one,
    /// where they are in memory.
    pub(super) fn contradicted(
        &mut self,
        cx: &mut Cx,
        (tag, at, seq): (RoomTag, LogAt, u32),
        first: Option<Vec<u8>>,
        second: &Entry,
    ) {
        let Some(room) = self.rooms.get(&tag) else {
            return;
        };
        let second = second.bytes.clone();
        if room.logs.get(&at).is_none_or(AuthorLog::is_forked) {
            return;
        }
        if let Some(first) = first {
            self.prove(cx, (tag, at, seq), first, second);
            return;
        }
        let query = Query::Entries {
            room: room.id,
            author: at.0,
            epoch: at.1,
            seqs: vec![seq],
            network: None,
        };
        let token = cx.core.load(query);
        let room = tag;
        let pending = Pending::Fork {
            room,
            at,
            seq,
            second,
        };
        self.pending.insert(token, pending);
    }

    /// The store found the entry that is contradicted. Returns whether the token was ours.
    pub(super) fn fork_loaded(&mut self, cx: &mut Cx, token: Token, result: &Loaded) -> bool {
        if !matches!(self.pending.get(&token), Some(Pending::Fork { .. })) {
            return false;
        }
        let Some(Pending::Fork {
            room,
            at,
            seq,
            second,
        }) = self.pending.remove(&token)
        else {
            return false;
        };
        let found = result.as_ref().ok().and_then(|rows| rows.first());
        if let Some(Row::Entry { bytes, .. }) = found {
            self.prove(cx, (room, at, seq), bytes.clone(), second);
        }
        true
    }

    fn prove(
        &mut self,
        cx: &mut Cx,
        (tag, at, seq): (RoomTag, LogAt, u32),
        first: Vec<u8>,
        second: Vec<u8>,
    ) {
        let Some(room) = self.rooms.get_mut(&tag) else {
            return;
        };
        let log = room.logs.get_mut(&at);
        let Some(log) = log.filter(|log| !log.is_forked()) else {
            return;
        };
        if !is_sabotaged(Sabotage::ForkIgnored) {
            log.mark_forked();
        }
        let (author, epoch) = at;
        let log = LogKey {
            room: room.id,
            author,
            epoch,
        };
        let fork = ForkRow {
            log,
            seq,
            first,
            second,
        };
        let token = cx.core.persist(Batch {
            durability: Durability::Process,
            writes: vec![Write::Fork(fork.clone())],
        });
        let proof = Pending::Proof(tag, Box::new(fork));
        self.pending.insert(token, proof);
        if !self.is_news(cx.now.mono, author) {
            return;
        }
        let Some(room) = self.rooms.get(&tag) else {
            return;
        };
        let name = cx.presence.reference_of_id(&author).name;
        cx.core.event(Event::Error {
            reference: None,
            code: "equivocation".into(),
            message: format!(
                "{name} said two different things as one message of #{}; what else it says in \
                 this log is not shown",
                room.name
            ),
            hint: Some("its key may be in two places; it helps to start it anew".into()),
        });
    }

    /// Whether people were not told for a while that this author contradicts itself; now they are.
    fn is_news(&mut self, now: Instant, author: PeerId) -> bool {
        self.forks_told.retain(|_, at| now < *at + TOLD_EVERY);
        let is_full = self.forks_told.len() >= FORKS_TOLD_MAX;
        if is_full || self.forks_told.contains_key(&author) {
            return false;
        }
        self.forks_told.insert(author, now);
        true
    }

    /// A proof is kept: from now on it is handed on.
    pub(super) fn fork_stored(&mut self, tag: &RoomTag, fork: ForkRow) {
        let room = self.rooms.get_mut(tag);
        if let Some(room) = room.filter(|room| room.forks.len() < FORKS_MAX) {
            let at = (fork.log.author, fork.log.epoch);
            room.forks.insert(at, fork);
        }
    }

    /// Somebody tells where logs stand that are known here to contradict themselves: they get
    /// the proof.
    pub(super) fn disprove(&mut self, cx: &mut Cx, peer: &PeerId, tag: &RoomTag, heads: &[HeadOf]) {
        let Some(room) = self.rooms.get(tag).filter(|room| !room.forks.is_empty()) else {
            return;
        };
        let Some(to) = cx.presence.address_of(peer) else {
            return;
        };
        let network = room.seat.network_of(cx.core.network_towards(to));
        let is_told = |at: &LogAt| {
            let mut heads = heads.iter();
            heads.any(|head| head.author == at.0.short() && head.epoch == at.1)
        };
        let is_on = |at: &LogAt| room.logs.get(at).is_some_and(|log| log.is_on(network));
        let told = room.forks.iter();
        let mut told = told.filter(|(at, _)| is_told(at) && is_on(at));
        let Some((_, fork)) = told.next() else { return };
        let proof = [fork.first.clone(), fork.second.clone()];
        if proof.iter().all(|entry| !entry.is_empty()) {
            self.answer(cx, *peer, tag, &proof);
        }
    }
}
