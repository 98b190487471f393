//! Others' entries: what they are worth, and their way to the store.

use std::net::IpAddr;

use super::ack::say_ack;
use super::ask::{ask, first_wait};
use super::unkept::entry_write;
use super::{Cx, Group, Pending, Source};
use crate::durable::{Batch, Durability, Write};
use crate::id::{NetworkId, PeerId};
use crate::limits::ROOM_AUTHORS_MAX;
use crate::proto::Now;
use crate::proto::presence::names::person_write;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::wire::{Body, Entry};

/// Most entries of others that wait for the store.
pub(super) const RECEIVED_PENDING_MAX: usize = 4096;

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
