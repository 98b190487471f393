//! Others' entries and heads.

use std::net::IpAddr;

use serde_json::Value;

use super::ack::{note_stored, plan_ack, say_ack};
use super::ask::{ask, first_wait};
use super::logs::LogAt;
use super::say::said_by;
use super::unkept::entry_write;
use super::{Cx, Group, Pending, Source};
use crate::durable::{Batch, Durability, Kept, Stored, Token, Write};
use crate::id::{NetworkId, PeerId, RoomTag};
use crate::limits::ROOM_AUTHORS_MAX;
use crate::proto::Now;
use crate::proto::presence::names::person_write;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::wire::{Body, Entry, EntryKind, HeadOf, Heads, OwnLog, RoomDigest};

/// Most entries of others that wait for the store.
pub(super) const RECEIVED_PENDING_MAX: usize = 4096;
/// More missing entries of one log than this come by history sync.
const BEHIND: u32 = 20;

/// Whether an entry is worth the check of its signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Worth {
    /// New here.
    New,
    /// Held already, or older than this node.
    Held,
    /// Another entry of its number is held.
    Fork,
    /// Signed by our own key, beyond our head: our log was copied or restored.
    OwnBeyond,
    /// Not for us, too old, or over a cap.
    No,
}

impl Group {
    /// Whether an entry, not yet verified, is worth the check of its signature.
    #[must_use]
    pub fn worth(&self, own: &PeerId, entry: &Entry) -> Worth {
        let Some(room) = self.rooms.get(&entry.room) else {
            return Worth::No;
        };
        let believes = is_sabotaged(Sabotage::StubBelieved);
        if entry.redacted && !believes && !self.is_taken_back(entry) {
            // A stub without its author's redaction could hide anything.
            return Worth::No;
        }
        let author = entry.author_id();
        if author == *own {
            return match room.own.is_foreign(entry, &room.id) {
                true => Worth::OwnBeyond,
                false => Worth::No,
            };
        }
        let names_none = entry.network == NetworkId::EVERYWHERE;
        if !room.seat.joined || names_none != room.seat.is_locked() {
            return Worth::No;
        }
        let Some(log) = room.logs.get(&(author, entry.epoch)) else {
            return Worth::New;
        };
        if log.is_forked() || !log.may_name(entry.network) {
            return Worth::No;
        }
        if log.other_than(entry, &room.id).is_some() {
            return Worth::Fork;
        }
        if log.has(entry.seq) || entry.seq <= log.start() {
            return Worth::Held;
        }
        match log.is_near(entry.seq) && log.has_room() {
            true => Worth::New,
            false => Worth::No,
        }
    }

    /// Whether this author may say one more line now, before anything of it is verified.
    #[must_use]
    pub fn may_say(&mut self, now: Now, author: &PeerId) -> bool {
        self.rates.shares.may_say(now.mono, author)
    }

    /// Whether this peer may tell the group one more thing now.
    #[must_use]
    pub fn may_send(&mut self, now: Now, peer: &PeerId) -> bool {
        self.rates.shares.may_send(now.mono, peer)
    }

    /// A genuine line of this author came.
    pub fn said(&mut self, now: Now, author: &PeerId) {
        self.rates.shares.said(now.mono, author);
    }

    /// A genuine packet of this length came by a group, from this address.
    pub fn sent(&mut self, now: Now, from: (&PeerId, IpAddr), len: usize) {
        self.rates.shares.sent(now.mono, from, len);
    }

    /// Our own log exists beyond what we hold: numbers must not be used twice, so the next entry
    /// begins a new epoch, also if this process ends before there is one.
    pub fn abandon_epoch(&mut self, cx: &mut Cx, entry: &Entry) {
        let Some(room) = self.rooms.get_mut(&entry.room) else {
            return;
        };
        let id = room.id;
        let ended = room.own.abandon(entry.epoch).into_iter();
        let retire = |epoch| Write::Retire { room: id, epoch };
        let writes: Vec<Write> = ended.map(retire).collect();
        let token = cx.core.persist(Batch {
            durability: Durability::Process,
            writes: writes.clone(),
        });
        self.pending.insert(token, Pending::Keep(writes));
    }

    /// Takes a verified entry that is to be shown: stored first. `told_on`: the network of the
    /// link that it came by.
    pub(super) fn take(&mut self, cx: &mut Cx, entry: Entry, source: Source, told_on: NetworkId) {
        if self.received_pending >= RECEIVED_PENDING_MAX {
            // The disk is too slow: what is dropped here is asked for again later.
            cx.core.stats.limited += 1;
            return;
        }
        self.hlc.observe(cx.now.wall_ms, entry.hlc);
        let (tag, at) = (entry.room, (entry.author_id(), entry.epoch));
        let Some(room) = self.rooms.get_mut(&tag) else {
            return;
        };
        let first_ask = cx.now.mono + first_wait(cx, room.seat.population());
        let told_on = room.seat.network_of(told_on);
        let id = room.id;
        let is_new = room.logs.get(&at).is_none() && room.is_settled(told_on, cx.now.wall_ms);
        let roster = &cx.presence.roster;
        let here = |id: &PeerId| roster.get(id).is_some();
        let Some(log) = room.log_for(at, (told_on, entry.seq - 1), here) else {
            cx.core.stats.limited += 1;
            return;
        };
        let is_heard = match source {
            Source::Live => true,
            // It was asked for because its author told of it there.
            Source::Repair => log.was_heard_on(told_on),
            Source::Sync => false,
        };
        if is_heard {
            log.heard_on(told_on, (entry.seq, entry.seq));
        }
        let told_of = source != Source::Sync && log.start() > 0;
        if is_new && told_of && self.strange.len() < RECEIVED_PENDING_MAX {
            self.strange.push((tag, at.0));
        }
        if log.is_forked() || !log.names(entry.network) {
            return;
        }
        let hash = entry.hash(&id);
        let contradicted = match log.other_than(&entry, &id) {
            Some(first) => Some((entry.seq, Some(first.clone()))),
            None if is_sabotaged(Sabotage::PrevUnchecked) => None,
            None => log.broken_by(&entry, &hash).map(|seq| {
                let first = log.proof_of(seq);
                (seq, first)
            }),
        };
        if let Some((seq, first)) = contradicted {
            self.contradicted(cx, (tag, at, seq), first, &entry);
            return;
        }
        if log.has(entry.seq) || !log.is_near(entry.seq) {
            return;
        }
        log.learn_head(entry.seq, first_ask);
        log.storing(&entry, hash);
        let mut writes = vec![entry_write(id, &entry, cx.now.wall_ms)];
        // With who said it: their name is in their record, and outlives their being here.
        writes.extend(self.person_write(cx, &at.0));
        let token = cx.core.persist(Batch {
            durability: Durability::Process,
            writes,
        });
        if is_sabotaged(Sabotage::AckBeforePersist)
            && let Some(to) = cx.presence.address_of(&at.0)
        {
            let (room, epoch, seq) = (tag, entry.epoch, entry.seq);
            let ack = crate::wire::Ack { room, epoch, seq };
            cx.core.send_to(to, &Body::Ack(ack));
        }
        self.received_pending += 1;
        let (room, entry) = (tag, Box::new(entry));
        self.pending
            .insert(token, Pending::Received { room, at, entry });
    }

    /// The record of somebody who said something, unless the store has it from this run.
    pub(super) fn person_write(&mut self, cx: &Cx, author: &PeerId) -> Option<Write> {
        let record = cx.presence.record_of(author)?;
        let version = (record.incarnation.0, record.record_seq);
        if self.kept_people.insert(*author, version) == Some(version) {
            return None;
        }
        if self.kept_people.len() > ROOM_AUTHORS_MAX {
            self.kept_people.pop_first();
        }
        Some(person_write(record))
    }

    /// The store answered. Returns whether the token was one of ours.
    pub fn handle_persisted(&mut self, cx: &mut Cx, token: Token, result: &Stored) -> bool {
        match self.pending.remove(&token) {
            Some(Pending::Own {
                room,
                entries,
                reference,
            }) => match result {
                Ok(kept) if kept.iter().any(|kept| is_refused(*kept)) => {
                    self.own_refused(cx, room, entries, reference);
                }
                Ok(kept) => {
                    // Of what is no entry it is 0, and the first of several parts has the lowest.
                    let keys = kept.iter().map(|kept| kept.key());
                    let key = keys.filter(|key| *key > 0).min().unwrap_or(0);
                    self.own_stored(cx, room, (entries, key), reference);
                }
                Err(failure) => self.own_unkept(cx, room, entries, reference, &failure.0),
            },
            Some(Pending::Received { room, at, entry }) => {
                self.received_pending -= 1;
                match result {
                    Ok(kept) => {
                        let kept = kept.first().copied().unwrap_or(Kept::New { key: 0 });
                        self.received_stored(cx, room, at, *entry, kept);
                    }
                    Err(failure) => self.received_unkept(cx, room, (at, *entry), &failure.0),
                }
            }
            Some(Pending::History { entries }) => {
                self.received_pending = self.received_pending.saturating_sub(entries.len());
                match result {
                    Ok(kept) => self.history_stored(cx, &entries, kept),
                    Err(failure) => self.history_unkept(cx, entries, &failure.0),
                }
            }
            Some(Pending::Room(answer, row)) => self.room_stored(cx, (answer, row), result),
            Some(Pending::Unkept(tried)) => self.unkept_tried(cx, tried, result),
            Some(Pending::Proof(room, fork)) => self.fork_stored(&room, *fork),
            Some(Pending::Keep(writes)) => {
                if let Err(failure) = result {
                    self.writes_unkept(cx, writes, &failure.0);
                }
            }
            Some(other @ (Pending::Repair { .. } | Pending::Fork { .. } | Pending::Asked(_))) => {
                self.pending.insert(token, other);
                return false;
            }
            None => return false,
        }
        self.judge(cx);
        true
    }

    /// The store has another entry of this number, though it was not known here: the number was
    /// used before. This one never left, nor does what was said after it: it is said anew, in
    /// another epoch.
    fn own_refused(
        &mut self,
        cx: &mut Cx,
        tag: RoomTag,
        entries: Vec<Entry>,
        reference: Option<Value>,
    ) {
        let Some(first) = entries.first() else {
            return;
        };
        self.abandon_epoch(cx, first);
        let epoch = first.epoch;
        let mut all = vec![(entries, reference)];
        all.extend(self.take_pending_own(&tag, Some(epoch)));
        for (entries, reference) in all {
            let Some(said) = said_by(entries) else {
                continue;
            };
            if let Err(refusal) = self.say_entry(cx, tag, said, reference.clone()) {
                cx.core.refuse(reference, refusal);
            }
        }
    }

    /// The own messages of a room that are on their way to the disk, of one epoch or of all.
    pub(super) fn take_pending_own(
        &mut self,
        tag: &RoomTag,
        of: Option<u64>,
    ) -> Vec<(Vec<Entry>, Option<Value>)> {
        let is_it = |pending: &Pending| match pending {
            Pending::Own { room, entries, .. } => {
                let mut of_epoch = entries.iter().filter(|entry| Some(entry.epoch) == of);
                room == tag && (of.is_none() || of_epoch.next().is_some())
            }
            _ => false,
        };
        let tokens = self.pending.iter().filter(|(_, pending)| is_it(pending));
        let tokens: Vec<Token> = tokens.map(|(token, _)| *token).collect();
        let taken = tokens.iter().filter_map(|token| self.pending.remove(token));
        let own = taken.filter_map(|pending| match pending {
            Pending::Own {
                entries, reference, ..
            } => Some((entries, reference)),
            _ => None,
        });
        own.collect()
    }

    fn received_stored(&mut self, cx: &mut Cx, tag: RoomTag, at: LogAt, entry: Entry, kept: Kept) {
        let Some(room) = self.rooms.get_mut(&tag) else {
            return;
        };
        // It may have been left meanwhile.
        let Some(log) = room.logs.get_mut(&at).filter(|_| room.seat.joined) else {
            if entry.kind.base() == EntryKind::REDACTION && kept.is_new() {
                let key = kept.key().max(entry.hlc);
                room.seat.unjudged.push((entry, key));
                self.judge(cx);
            }
            return;
        };
        let seq = entry.seq;
        let key = match kept {
            Kept::New { key } => Some(key.max(entry.hlc)),
            Kept::Old => None,
            Kept::BelowFloor => {
                log.refused(seq);
                log.raise_floor(seq);
                return;
            }
            Kept::Fork => {
                log.refused(seq);
                return self.contradicted(cx, (tag, at, seq), None, &entry);
            }
        };
        log.stored(cx.now.mono, entry.clone(), key);
        room.note_cached(at, seq);
        note_stored(room, cx, &at, &entry);
        Self::show_lines(room, cx, &at);
        if kept == Kept::Old && entry.kind.is_part() {
            room.note_part(None, entry);
        }
    }

    /// The author tells where its logs stand, in a HELLO or WELCOME that came by a link of this
    /// network.
    pub fn learn_logs(&mut self, cx: &mut Cx, author: &PeerId, on: NetworkId, logs: &[OwnLog]) {
        for log in logs {
            if self.is_locked(&log.room) {
                continue;
            }
            let head = (log.epoch, log.seq);
            self.learn_head(cx, author, on, (&log.room, head));
        }
    }

    /// The author's HEADS.
    pub fn handle_heads(&mut self, cx: &mut Cx, author: &PeerId, on: NetworkId, heads: &Heads) {
        let head = (heads.epoch, heads.seq);
        self.learn_head(cx, author, on, (&heads.room, head));
        let networks = cx.core.networks();
        let Some(room) = self.rooms.get_mut(&heads.room) else {
            return;
        };
        let on = room.seat.network_of(on);
        let at = (*author, heads.epoch);
        let Some(log) = room.logs.get_mut(&at).filter(|log| !log.is_forked()) else {
            return;
        };
        let first = heads.first.min(heads.seq);
        log.heard_on(on, (first, heads.seq));
        // Where this node is on its own network too, all of it is to be had.
        if first > 1 && !networks.iter().any(|network| log.is_of(*network)) {
            log.begins_at(first);
            plan_ack(room, cx, &at);
            Self::show_lines(room, cx, &at);
            self.judge(cx);
        }
    }

    /// The heads of a heartbeat; only what the author says of its own log is taken.
    pub fn learn_digests(
        &mut self,
        cx: &mut Cx,
        author: &PeerId,
        on: NetworkId,
        rooms: &[RoomDigest],
    ) {
        for digest in rooms {
            let own = |head: &&HeadOf| head.author == author.short();
            if self.is_locked(&digest.room) {
                continue;
            }
            if let Some(head) = digest.heads.iter().find(own) {
                self.learn_head(cx, author, on, (&digest.room, (head.epoch, head.seq)));
            }
            self.note_holder(author, &digest.room, &digest.heads);
            self.disprove(cx, author, &digest.room, &digest.heads);
        }
    }

    /// Somebody tells how much they hold of others' logs: they can be asked for it.
    pub(super) fn note_holder(&mut self, from: &PeerId, tag: &RoomTag, heads: &[HeadOf]) {
        let Some(room) = self.rooms.get_mut(tag) else {
            return;
        };
        for head in heads.iter().filter(|head| head.author != from.short()) {
            let author = room.logs.author(&head.author);
            let log = author.and_then(|author| room.logs.get_mut(&(author, head.epoch)));
            if let Some(log) = log {
                log.missing.note_holder(*from, head.seq);
            }
        }
    }

    pub(super) fn learn_head(
        &mut self,
        cx: &mut Cx,
        author: &PeerId,
        on: NetworkId,
        (tag, (epoch, seq)): (&RoomTag, (u64, u32)),
    ) {
        let Some(room) = self.rooms.get_mut(tag).filter(|room| room.seat.joined) else {
            return;
        };
        let on = room.seat.network_of(on);
        let roster = &cx.presence.roster;
        let here = |id: &PeerId| roster.get(id).is_some();
        let at = (*author, epoch);
        if epoch == 0 {
            return room.logs.note_silent(*author, on, here);
        }
        let is_new = room.logs.get(&at).is_none();
        let is_settled = room.is_settled(on, cx.now.wall_ms);
        let Some(log) = room.log_for(at, (on, seq), here) else {
            return;
        };
        log.heard_on(on, (seq, seq));
        if is_new && is_settled && log.start() > 0 && self.strange.len() < RECEIVED_PENDING_MAX {
            // By its clock it was begun before this node came, and nobody told of it so far.
            self.strange.push((*tag, *author));
        }
        // Told in every HELLO and heartbeat, and nearly always known.
        if log.knows(seq) {
            return;
        }
        let first_ask = cx.now.mono + first_wait(cx, room.seat.population());
        if let Some(log) = room.logs.get_mut(&at) {
            log.learn_head(seq, first_ask);
            let is_calm = self.rates.shares.asked(cx.now.mono, author) > 0;
            let is_behind = log.missing_len() > BEHIND && is_calm;
            if is_behind && self.behind.len() < RECEIVED_PENDING_MAX {
                self.behind.push((*tag, *author));
            }
        }
    }

    /// What time does to the others' logs: NACKs, gaps shown, ACKs.
    pub(super) fn listen(&mut self, cx: &mut Cx) {
        for (tag, room) in &mut self.rooms {
            for at in room.logs.due(cx.now.mono) {
                if ask(room, cx, (*tag, &at), &mut self.rates.shares)
                    && self.behind.len() < RECEIVED_PENDING_MAX
                {
                    self.behind.push((*tag, at.0));
                }
                Self::show_lines(room, cx, &at);
                say_ack(room, cx, *tag, &at);
            }
        }
    }

    /// The deadline passed.
    pub fn handle_timeout(&mut self, cx: &mut Cx) {
        self.look_if_due(cx);
        self.join_derived(cx);
        self.say_beacons(cx);
        self.speak(cx);
        self.answer_gathered(cx);
        self.listen(cx);
        self.retry_unkept(cx);
        self.judge(cx);
    }
}

/// Whether the store has something else in its place.
pub(super) fn is_refused(kept: Kept) -> bool {
    matches!(kept, Kept::Fork | Kept::BelowFloor)
}
