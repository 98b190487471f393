//! Others' entries and heads.

use super::ack::{plan_ack, say_ack};
use super::ask::{ask, first_wait};
use super::unkept::entry_write;
use super::{Cx, Group, Pending};
use crate::durable::{Batch, Durability, PersonRow, Stored, Token, Write};
use crate::id::{PeerId, RoomTag};
use crate::limits::ROOM_AUTHORS_MAX;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::wire::{Body, Entry, HeadOf, Heads, OwnLog, RoomDigest};

/// Most entries of others that wait for the store.
const RECEIVED_PENDING_MAX: usize = 4096;

/// Whether an entry is worth the check of its signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Worth {
    /// New here.
    New,
    /// Held already.
    Held,
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
        if entry.redacted && !self.is_taken_back(entry) {
            // A stub without its author's redaction could hide anything.
            return Worth::No;
        }
        let author = entry.author_id();
        if author == *own {
            let beyond = (entry.epoch, entry.seq) > (room.own.epoch, room.own.seq);
            return if beyond { Worth::OwnBeyond } else { Worth::No };
        }
        if !room.seat.joined {
            return Worth::No;
        }
        match room.logs.get(&author) {
            Some(log) if entry.epoch < log.epoch => Worth::No,
            Some(log) if entry.epoch == log.epoch && log.has(entry.seq) => Worth::Held,
            Some(log) if entry.epoch == log.epoch && !log.is_near(entry.seq) => Worth::No,
            _ => Worth::New,
        }
    }

    /// Our own log exists beyond what we hold: numbers must not be used twice, so the next entry
    /// begins a new epoch.
    pub fn abandon_epoch(&mut self, entry: &Entry) {
        if let Some(room) = self.rooms.get_mut(&entry.room) {
            room.own.abandon(entry.epoch);
        }
    }

    /// A verified entry that is new here: stored first.
    pub fn accept(&mut self, cx: &mut Cx, entry: Entry) {
        let author = entry.author_id();
        if cx.presence.roster.get(&author).is_none()
            && !self.rates.admit_stranger(cx.now.mono, author)
        {
            cx.core.stats.limited += 1;
            return;
        }
        if self.received_pending >= RECEIVED_PENDING_MAX {
            // The disk is too slow: what is dropped here is asked for again later.
            cx.core.stats.limited += 1;
            return;
        }
        self.hlc.observe(cx.now.wall_ms, entry.hlc);
        let Some(room) = self.rooms.get_mut(&entry.room) else {
            return;
        };
        let first_ask = cx.now.mono + first_wait(cx, room.seat.population());
        let tag = entry.room;
        let id = room.id;
        let roster = &cx.presence.roster;
        let here = |id: &PeerId| roster.get(id).is_some();
        let Some(log) = room.log_for(author, entry.epoch, entry.seq - 1, here) else {
            cx.core.stats.limited += 1;
            return;
        };
        let wanted = !log.has(entry.seq) && log.is_near(entry.seq);
        if wanted {
            log.learn_head(entry.seq, first_ask);
            log.storing(entry.seq);
        }
        Self::show_left_over(room, cx);
        if !wanted {
            return;
        }
        let mut writes = vec![entry_write(id, &entry)];
        // With who said it: their name is in their record, and outlives their being here.
        writes.extend(self.person_write(cx, &author));
        let token = cx.core.persist(Batch {
            durability: Durability::Process,
            writes,
        });
        if is_sabotaged(Sabotage::AckBeforePersist)
            && let Some(to) = cx.presence.address_of(&author)
        {
            let (epoch, seq) = (entry.epoch, entry.seq);
            let room = tag;
            cx.core
                .send_to(to, &Body::Ack(crate::wire::Ack { room, epoch, seq }));
        }
        let entry = Box::new(entry);
        self.received_pending += 1;
        self.pending.insert(
            token,
            Pending::Received {
                room: tag,
                author,
                entry,
            },
        );
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
        Some(Write::Person(PersonRow {
            id: *author,
            key: record.key,
            incarnation: version.0,
            record_seq: version.1,
            record: record.bytes.clone(),
        }))
    }

    /// The store answered. Returns whether the token was one of ours.
    pub fn handle_persisted(&mut self, cx: &mut Cx, token: Token, result: &Stored) -> bool {
        match self.pending.remove(&token) {
            Some(Pending::Own {
                room,
                entry,
                reference,
            }) => match result {
                Ok(_) => self.own_stored(cx, room, *entry, reference),
                Err(failure) => self.own_unkept(cx, room, *entry, reference, &failure.0),
            },
            Some(Pending::Received {
                room,
                author,
                entry,
            }) => {
                self.received_pending -= 1;
                match result {
                    Ok(kept) => {
                        let is_new = kept.first().is_none_or(|kept| kept.is_new());
                        self.received_stored(cx, room, author, *entry, is_new);
                    }
                    Err(failure) => {
                        self.received_unkept(cx, room, (author, *entry), &failure.0);
                    }
                }
            }
            Some(Pending::Room(answer)) => self.room_stored(cx, answer, result),
            Some(Pending::Unkept { entries }) => self.unkept_tried(cx, entries, result),
            Some(other @ (Pending::Repair { .. } | Pending::Asked(_))) => {
                self.pending.insert(token, other);
                return false;
            }
            None => return false,
        }
        self.judge(cx);
        true
    }

    fn received_stored(
        &mut self,
        cx: &mut Cx,
        tag: RoomTag,
        author: PeerId,
        entry: Entry,
        is_new: bool,
    ) {
        // It may have been left meanwhile.
        let Some(room) = self.rooms.get_mut(&tag).filter(|room| room.seat.joined) else {
            return;
        };
        let (epoch, seq) = (entry.epoch, entry.seq);
        let Some(log) = room.logs.get_mut(&author).filter(|log| log.epoch == epoch) else {
            // Its author began another epoch meanwhile.
            if is_new {
                room.left_over.push(entry);
                Self::show_left_over(room, cx);
            }
            return;
        };
        log.stored(cx.now.mono, entry, is_new);
        room.note_cached(author, seq);
        plan_ack(room, cx, &author);
        Self::show_lines(room, cx, &author);
    }

    /// The author tells where its logs stand, in a HELLO or WELCOME.
    pub fn learn_logs(&mut self, cx: &mut Cx, author: &PeerId, logs: &[OwnLog]) {
        for log in logs
            .iter()
            .filter(|log| !self.is_locked(&log.room))
            .copied()
            .collect::<Vec<_>>()
        {
            self.learn_head(cx, author, &log.room, log.epoch, log.seq);
        }
    }

    /// The author's HEADS.
    pub fn handle_heads(&mut self, cx: &mut Cx, author: &PeerId, heads: &Heads) {
        self.learn_head(cx, author, &heads.room, heads.epoch, heads.seq);
    }

    /// The heads of a heartbeat; only what the author says of its own log is taken.
    pub fn learn_digests(&mut self, cx: &mut Cx, author: &PeerId, rooms: &[RoomDigest]) {
        for digest in rooms {
            let own = |head: &&HeadOf| head.author == author.short();
            if self.is_locked(&digest.room) {
                continue;
            }
            if let Some(head) = digest.heads.iter().find(own) {
                self.learn_head(cx, author, &digest.room, head.epoch, head.seq);
            }
        }
    }

    pub(super) fn learn_head(
        &mut self,
        cx: &mut Cx,
        author: &PeerId,
        tag: &RoomTag,
        epoch: u64,
        seq: u32,
    ) {
        let Some(room) = self.rooms.get_mut(tag).filter(|room| room.seat.joined) else {
            return;
        };
        let roster = &cx.presence.roster;
        let here = |id: &PeerId| roster.get(id).is_some();
        let log = room.log_for(*author, epoch, seq, here);
        // Told in every HELLO and heartbeat, and nearly always known.
        let is_news = log.is_some_and(|log| !log.knows(seq));
        Self::show_left_over(room, cx);
        if is_news {
            let first_ask = cx.now.mono + first_wait(cx, room.seat.population());
            if let Some(log) = room.logs.get_mut(author) {
                log.learn_head(seq, first_ask);
            }
        }
    }

    /// What time does to the others' logs: NACKs, gaps shown, ACKs.
    pub(super) fn listen(&mut self, cx: &mut Cx) {
        for (tag, room) in &mut self.rooms {
            for author in room.logs.due(cx.now.mono) {
                Self::show_lines(room, cx, &author);
                ask(room, cx, *tag, &author);
                say_ack(room, cx, *tag, &author);
            }
        }
    }

    /// The deadline passed.
    pub fn handle_timeout(&mut self, cx: &mut Cx) {
        self.look_if_due(cx);
        self.join_derived(cx);
        self.say_beacons(cx);
        self.speak(cx);
        self.listen(cx);
        self.retry_unkept(cx);
        self.judge(cx);
    }
}
