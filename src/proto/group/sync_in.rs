//! The way in for entries, whoever handed them over: shown in their turn, or kept as history.
//!
//! What was said in a room before this node came is history; what was said since and came late,
//! after a cut or a partition, is shown like anything late.

use std::collections::BTreeMap;

use super::receive::RECEIVED_PENDING_MAX;
use super::unkept::entry_write;
use super::{Cx, Group, Pending};
use crate::api::Event;
use crate::durable::{Batch, Durability, Kept};
use crate::id::{NetworkId, PeerId, RoomTag};
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::wire::{Entry, EntryKind};

/// How an entry came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// From its author, as DATA.
    Live,
    /// As a repair, from anybody.
    Repair,
    /// By history sync: asked for, and verified on a budget of its own.
    Sync,
}

/// What an author told and gave of its own logs in an exchange of histories.
pub struct Given {
    /// How far it holds each, by epoch, and whether it gave what was asked for of that.
    pub logs: BTreeMap<u64, (u32, bool)>,
    /// Whether it told of all of them.
    pub is_whole: bool,
}

/// Where an entry of a sync belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Shown,
    History,
    Nowhere,
}

impl Group {
    /// The rooms that this node is in, and whether nothing of any past was known of each at the
    /// start.
    pub fn synced_rooms(&self) -> impl Iterator<Item = (RoomTag, bool)> {
        let joined = self.rooms.iter().filter(|(_, room)| room.seat.joined);
        joined.map(|(tag, room)| (*tag, room.is_new))
    }

    /// Hash of the heads of a room on a network, as heartbeats tell it there.
    #[must_use]
    pub fn digest_of(&self, tag: &RoomTag, network: NetworkId, own: &PeerId) -> Option<[u8; 8]> {
        let room = self.rooms.get(tag).filter(|room| room.seat.joined)?;
        Some(room.digest_on(network, own))
    }

    /// Rooms and authors of whom too much is missing to ask for it entry by entry.
    pub fn take_behind(&mut self) -> Vec<(RoomTag, PeerId)> {
        std::mem::take(&mut self.behind)
    }

    /// Rooms, and members who have what was not heard of here.
    pub fn take_strange(&mut self) -> Vec<(RoomTag, PeerId)> {
        std::mem::take(&mut self.strange)
    }

    /// An author gave what it holds of its logs in this room on a network: what is missing for all
    /// that it cannot give.
    pub fn author_gave(
        &mut self,
        (tag, network): (&RoomTag, NetworkId),
        author: &PeerId,
        given: &Given,
    ) {
        // While nothing can be kept here, what did not stay may have been given.
        let keeps = !self.unkept.is_failing();
        if let Some(room) = self.rooms.get_mut(tag).filter(|_| keeps) {
            room.logs.author_gave(author, network, given);
        }
    }

    /// Whether so many entries can be taken in now.
    #[must_use]
    pub fn has_room_for(&self, entries: usize) -> bool {
        self.received_pending + entries <= RECEIVED_PENDING_MAX
    }

    /// Whether an entry of a sync, not yet verified, is worth the check of its signature. `own` is
    /// this node.
    #[must_use]
    pub fn is_wanted(&self, own: &PeerId, entry: &Entry) -> bool {
        self.place(own, entry) != Place::Nowhere
    }

    fn place(&self, own: &PeerId, entry: &Entry) -> Place {
        let room = self.rooms.get(&entry.room);
        let Some(room) = room.filter(|room| room.seat.joined) else {
            return Place::Nowhere;
        };
        if entry.redacted && !self.is_taken_back(entry) {
            return Place::Nowhere;
        }
        let author = entry.author_id();
        if author == *own {
            return Place::History;
        }
        let place = match room.is_history(entry.network, entry.hlc) {
            true => Place::History,
            false => Place::Shown,
        };
        let Some(log) = room.logs.get(&(author, entry.epoch)) else {
            return place;
        };
        if log.is_forked() || !log.may_name(entry.network) {
            return Place::Nowhere;
        }
        // The store tells whether what it has is another.
        let is_same = log.has(entry.seq) && log.other_than(entry, &room.id).is_none();
        let is_known = is_same && log.cached(entry.seq).is_some();
        let place = match log.has(entry.seq) {
            true => Place::History,
            false => place,
        };
        let is_near = match place {
            Place::History => log.is_near_held(entry.seq),
            _ => log.is_near(entry.seq),
        };
        match !is_known && is_near && log.has_room() {
            true => place,
            false => Place::Nowhere,
        }
    }

    /// Takes in genuine entries. `told_on`: the network of the link that they came by.
    pub fn take_in(
        &mut self,
        cx: &mut Cx,
        entries: Vec<Entry>,
        source: Source,
        told_on: NetworkId,
    ) {
        if source != Source::Sync {
            for entry in entries {
                if self.is_admitted(cx, &entry) {
                    self.take(cx, entry, source, told_on);
                }
            }
            return;
        }
        let own = cx.core.identity.id();
        let mut history = Vec::new();
        for entry in entries {
            match self.place(&own, &entry) {
                Place::Nowhere => {}
                Place::Shown => self.take(cx, entry, source, told_on),
                Place::History => history.push(entry),
            }
        }
        self.keep_history(cx, history);
    }

    /// Whether an entry that nobody asked for may come: strangers are few a second.
    fn is_admitted(&mut self, cx: &mut Cx, entry: &Entry) -> bool {
        let author = entry.author_id();
        let logs = self.rooms.get(&entry.room).map(|room| &room.logs);
        let log = logs.and_then(|logs| logs.get(&(author, entry.epoch)));
        let is_asked = log.is_some_and(|log| log.is_missing(entry.seq));
        let is_met = is_asked || cx.presence.roster.get(&author).is_some();
        let is_admitted = is_met || self.rates.admit_stranger(cx.now.mono, author);
        cx.core.stats.limited += u64::from(!is_admitted);
        is_admitted
    }

    fn keep_history(&mut self, cx: &mut Cx, entries: Vec<Entry>) {
        let own = cx.core.identity.id();
        let Some(tag) = entries.first().map(|entry| entry.room) else {
            return;
        };
        let (mut writes, mut kept, mut broken) = (Vec::new(), Vec::new(), Vec::new());
        for entry in entries.into_iter().filter(|entry| entry.room == tag) {
            let Some(room) = self.rooms.get_mut(&tag) else {
                return;
            };
            let (id, at) = (room.id, (entry.author_id(), entry.epoch));
            let is_own = at.0 == own;
            if is_own && room.own.is_foreign(&entry, &id) {
                self.abandon_epoch(cx, &entry);
            } else if !is_own {
                let roster = &cx.presence.roster;
                let here = |id: &PeerId| roster.get(id).is_some();
                if let Some(log) = room.log_for(at, (entry.network, entry.seq - 1), here) {
                    if !log.names(entry.network) {
                        continue;
                    }
                    let hash = entry.hash(&id);
                    let other = log.broken_by(&entry, &hash);
                    if let Some(seq) = other.filter(|_| !is_sabotaged(Sabotage::PrevUnchecked)) {
                        broken.push((at, seq, log.proof_of(seq), entry));
                        continue;
                    }
                    log.pass(&entry, hash);
                }
            }
            self.hlc.observe(cx.now.wall_ms, entry.hlc);
            let days = cx.core.config.limits.history_days;
            let came_ms = came_ms(cx.now.wall_ms, days, entry.hlc);
            writes.push(entry_write(id, &entry, came_ms));
            kept.push(entry);
        }
        self.received_pending += kept.len();
        let durability = Durability::Process;
        let token = cx.core.persist(Batch { durability, writes });
        let pending = Pending::History { entries: kept };
        self.pending.insert(token, pending);
        for (at, seq, first, entry) in broken {
            self.contradicted(cx, (tag, at, seq), first, &entry);
        }
        self.judge(cx);
    }

    /// History is stored: heads tell of it.
    pub(super) fn history_stored(&mut self, cx: &mut Cx, entries: &[Entry], kept: &[Kept]) {
        self.tell_history(cx, entries, kept);
        let own = cx.core.identity.id();
        for (entry, kept) in entries.iter().zip(kept) {
            let (tag, at) = (entry.room, (entry.author_id(), entry.epoch));
            let room = self.rooms.get_mut(&tag);
            let Some(room) = room else { continue };
            if entry.kind.base() == EntryKind::REDACTION && kept.is_new() {
                let key = kept.key().max(entry.hlc);
                room.seat.unjudged.push((entry.clone(), key));
            }
            if at.0 == own && matches!(kept, Kept::New { .. } | Kept::Old) {
                room.own.came_back(entry);
            }
            let Some(log) = room.logs.get_mut(&at) else {
                continue;
            };
            match kept {
                Kept::New { .. } | Kept::Old => log.filled(entry.seq),
                Kept::BelowFloor => log.raise_floor(entry.seq),
                Kept::Fork => self.contradicted(cx, (tag, at, entry.seq), None, entry),
            }
        }
    }

    /// Tells that there is something to read back, where there is.
    fn tell_history(&self, cx: &mut Cx, entries: &[Entry], kept: &[Kept]) {
        let said = entries.iter().zip(kept).filter(|(_, kept)| kept.is_new());
        let lines = u32::try_from(said.count()).unwrap_or(u32::MAX);
        let tag = entries.first().map(|entry| entry.room);
        let room = tag.and_then(|tag| self.rooms.get(&tag));
        if let Some(room) = room.filter(|_| lines > 0) {
            let conversation = room.conversation();
            cx.core.event(Event::History {
                conversation,
                lines,
            });
        }
    }
}

/// When history is taken to have come, in milliseconds since the Unix epoch: when it was said, so
/// that it is not kept longer here than elsewhere. Where its author's clock cannot be true, or
/// others keep more than these days, now.
fn came_ms(now_ms: u64, days: u32, hlc: u64) -> u64 {
    let kept_ms = u64::from(days) * 24 * 60 * 60 * 1000;
    let said_ms = super::order::ms(hlc);
    match (now_ms.saturating_sub(kept_ms)..=now_ms).contains(&said_ms) {
        true => said_ms,
        false => now_ms,
    }
}
