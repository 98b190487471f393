//! One room: the logs of its authors, the own one among them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::log::AuthorLog;
use super::logs::Logs;
use super::seat::Seat;
use super::sender::{OwnSender, Pace};
use crate::api::{Conversation, Event, ReceiptState};
use crate::id::{MessageId, PeerId, RoomId, ShortId};
use crate::limits::{ROOM_AUTHORS_MAX, ROOM_CACHE_ENTRIES};
use crate::proto::core::Core;
use crate::proto::locked::RoomKey;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::text::RoomName;
use crate::wire::{Entry, HeadOf};

/// A room that this node is in.
pub struct Room {
    /// Its name.
    pub name: RoomName,
    /// Its id.
    pub id: RoomId,
    /// What this node has to do with it.
    pub seat: Seat,
    /// The own log.
    pub own: OwnSender,
    /// The others' logs.
    pub logs: Logs,
    /// The entry shown last: what an own entry names as a dependency where the clocks would
    /// otherwise put the answer first.
    pub last_shown: Option<([u8; 16], u64)>,
    /// Lines of epochs that ended before their turn came.
    pub left_over: Vec<Entry>,
    cached: VecDeque<(PeerId, u32)>,
}

impl Room {
    /// A room nobody has written in.
    #[must_use]
    pub fn new(name: RoomName, own: OwnSender) -> Self {
        let id = RoomId::public(name.as_str());
        let logs = Logs::default();
        Room {
            seat: Seat::open(&name),
            name,
            id,
            own,
            logs,
            last_shown: None,
            left_over: Vec::new(),
            cached: VecDeque::new(),
        }
    }

    /// The same, locked with this key.
    #[must_use]
    pub fn locked(name: RoomName, key: RoomKey, own: OwnSender) -> Self {
        let mut room = Room::new(name, own);
        room.id = key.room(&room.name);
        room.seat = Seat::locked(&room.name, &room.id, key);
        room
    }

    /// When its members are told of it, if it is a locked one that this node is in.
    #[must_use]
    pub fn beacon_at(&self) -> Option<Instant> {
        let is_due = self.seat.is_locked() && self.seat.joined;
        self.seat.beacons.deadline().filter(|_| is_due)
    }

    /// The conversation that events name.
    #[must_use]
    pub fn conversation(&self) -> Conversation {
        Conversation::Room(self.name.as_str().to_owned())
    }

    /// The log of this author and epoch, begun if it is new. An epoch older than the one held is
    /// none. `floor`: what is not asked for of a log never heard of. Where the room is full,
    /// somebody who is not `here` makes way.
    pub fn log_for(
        &mut self,
        author: PeerId,
        epoch: u64,
        floor: u32,
        here: impl Fn(&PeerId) -> bool,
    ) -> Option<&mut AuthorLog> {
        if self.logs.len() >= ROOM_AUTHORS_MAX && !self.logs.contains(&author) {
            let idle = |(id, log): &(&PeerId, &AuthorLog)| !here(id) && !log.is_storing();
            let gone = self.logs.iter().find(idle).map(|(id, _)| *id)?;
            self.logs.remove(&gone);
        }
        let begin = || AuthorLog::new(epoch, floor);
        let log = self.logs.get_or_insert_with(author, begin);
        if epoch > log.epoch {
            // Known before, so all of the new log is wanted.
            self.left_over.extend(log.take_waiting());
            *log = AuthorLog::new(epoch, 0);
        }
        (log.epoch == epoch).then_some(log)
    }

    /// Puts an entry's bytes on the list of what is in memory; the oldest goes.
    pub fn note_cached(&mut self, author: PeerId, seq: u32) {
        self.cached.push_back((author, seq));
        if self.cached.len() > ROOM_CACHE_ENTRIES
            && let Some((author, seq)) = self.cached.pop_front()
            && let Some(log) = self.logs.get_mut(&author)
        {
            log.forget(seq);
        }
    }

    /// Heads for a heartbeat: the own one first, then the others in turn.
    #[must_use]
    pub fn heads(&self, own: ShortId, turn: usize, most: usize) -> Vec<HeadOf> {
        let mut heads = Vec::new();
        if self.own.sent_seq > 0 && !is_sabotaged(Sabotage::NoHeads) {
            heads.push(HeadOf {
                author: own,
                epoch: self.own.sent_epoch,
                seq: self.own.sent_seq,
            });
        }
        let others: Vec<HeadOf> = self
            .logs
            .iter()
            .filter(|(_, log)| log.epoch > 0 && log.contiguous() > 0)
            .map(|(id, log)| HeadOf {
                author: id.short(),
                epoch: log.epoch,
                seq: log.contiguous(),
            })
            .collect();
        let room = most.saturating_sub(heads.len()).min(others.len());
        let start = if others.is_empty() {
            0
        } else {
            turn * room % others.len()
        };
        heads.extend(others.iter().cycle().skip(start).take(room));
        heads
    }

    /// Hash of all heads, the same wherever the same is held.
    #[must_use]
    pub fn digest(&self, own: &PeerId) -> [u8; 8] {
        let mut heads: BTreeMap<PeerId, (u64, u32)> = self
            .logs
            .iter()
            .filter(|(_, log)| log.contiguous() > 0)
            .map(|(id, log)| (*id, (log.epoch, log.contiguous())))
            .collect();
        if self.own.sent_seq > 0 {
            heads.insert(*own, (self.own.sent_epoch, self.own.sent_seq));
        }
        let mut hasher = blake3::Hasher::new_derive_key("lanchat 1 log digest");
        for (id, (epoch, seq)) in heads {
            hasher.update(&id.0);
            hasher.update(&epoch.to_be_bytes());
            hasher.update(&seq.to_be_bytes());
        }
        let mut digest = [0; 8];
        digest.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        digest
    }

    /// The receipt of an own message as it stands.
    #[must_use]
    pub fn receipt(&self, seq: u32) -> Option<Event> {
        let followed = self.own.followed(seq)?;
        let name = |id: &PeerId| followed.of.get(id).cloned();
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        Some(Event::Receipt {
            id: followed.id,
            conversation: self.conversation(),
            state: followed.state(),
            delivered: count(followed.acked.len()),
            of: count(followed.of.len()),
            missing: followed.missing().filter_map(name).collect(),
            left: followed.left.iter().filter_map(name).collect(),
        })
    }

    /// Tells how these own messages stand.
    pub fn tell_receipts(&self, core: &mut Core, numbers: Vec<u32>) {
        let receipts = numbers.into_iter().filter_map(|seq| self.receipt(seq));
        receipts.for_each(|receipt| core.event(receipt));
    }

    /// The receipt of an own message that waits for its turn.
    #[must_use]
    pub fn queued_receipt(&self, entry: &Entry) -> Event {
        Event::Receipt {
            id: MessageId::of_entry(&entry.hash(&self.id)),
            conversation: self.conversation(),
            state: ReceiptState::Queued,
            delivered: 0,
            of: 0,
            missing: Vec::new(),
            left: Vec::new(),
        }
    }

    /// When something is due but the next own message.
    pub fn deadline(&mut self) -> Option<Instant> {
        [self.own.deadline(), self.logs.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// What is due of the own log: copies to repeat.
    pub fn take_copies(&mut self, now: Instant, pace: Pace) -> Vec<Vec<u8>> {
        self.own.take_copies(now, pace.rtt)
    }
}
