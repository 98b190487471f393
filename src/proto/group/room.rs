//! One room: the logs of its authors, the own one among them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::log::AuthorLog;
use super::logs::{LogAt, Logs};
use super::own::{OwnAt, OwnLogs};
use super::parts::Parts;
use super::place::Shown;
use super::seat::Seat;
use crate::api::{Conversation, Event, ReceiptState};
use crate::durable::ForkRow;
use crate::id::{MessageId, NetworkId, PeerId, RoomId, ShortId};
use crate::limits::{AUTHOR_EPOCHS_MAX, ROOM_CACHE_ENTRIES};
use crate::proto::core::Core;
use crate::proto::locked::RoomKey;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::text::RoomName;
use crate::wire::{HeadOf, OwnLog};

/// After so long in a room a log that was not heard of is one that nobody told of.
const SETTLED_MS: u64 = 5000;

/// A room that this node is in.
pub struct Room {
    /// Its name.
    pub name: RoomName,
    /// Its id.
    pub id: RoomId,
    /// What this node has to do with it.
    pub seat: Seat,
    /// The own logs.
    pub own: OwnLogs,
    /// The others' logs.
    pub logs: Logs,
    /// Who used a number twice: the proof.
    pub forks: BTreeMap<LogAt, ForkRow>,
    /// What was shown: where the next line goes among it, and what an own entry names as a
    /// dependency where the clocks would otherwise put the answer first.
    pub shown: Shown,
    /// Parts of messages of which others are missing.
    pub parts: Parts,
    /// Since when this node is in this room on each network, in milliseconds since the Unix
    /// epoch: what was said there before is history.
    since: BTreeMap<NetworkId, u64>,
    /// Whether nothing was known of it at the start.
    pub is_new: bool,
    cached: VecDeque<(LogAt, u32)>,
}

impl Room {
    /// A room nobody has written in.
    #[must_use]
    pub fn new(name: RoomName) -> Self {
        let id = RoomId::public(name.as_str());
        Room {
            seat: Seat::open(&name),
            name,
            id,
            own: OwnLogs::default(),
            logs: Logs::default(),
            forks: BTreeMap::new(),
            shown: Shown::default(),
            parts: Parts::default(),
            since: BTreeMap::new(),
            is_new: true,
            cached: VecDeque::new(),
        }
    }

    /// The same, locked with this key.
    #[must_use]
    pub fn locked(name: RoomName, key: RoomKey) -> Self {
        let mut room = Room::new(name);
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

    /// This node takes its seat anew: what was said before it arrives is history.
    pub fn come_anew(&mut self) {
        self.since.clear();
    }

    /// Until when nothing is said: it is not known yet who is in it, or what was said is on its way.
    #[must_use]
    pub fn held_until(&self) -> Option<Instant> {
        self.seat.held_until().max(self.own.held_until())
    }

    /// This node leaves its seat: what takes a line back and waits for its turn is in the store, so
    /// it does not come again. It is carried out at once, and shown once this node is back.
    pub fn set_redactions_aside(&mut self) {
        let waiting = self.logs.take_redactions();
        self.seat.unjudged.extend(waiting);
    }

    /// This node is in the room on this network, since `ms` (milliseconds since the Unix epoch)
    /// or longer.
    pub fn arrive(&mut self, network: NetworkId, ms: u64) {
        self.since.entry(network).or_insert(ms);
    }

    /// Whether this node is in the room on this network for so long that it asked what was said
    /// before.
    #[must_use]
    pub fn is_settled(&self, network: NetworkId, now_ms: u64) -> bool {
        let since = self.since.get(&network).copied();
        since.is_some_and(|since| now_ms > since.saturating_add(SETTLED_MS))
    }

    /// Whether something said then (hybrid logical clock) on this network was said before this
    /// node came.
    #[must_use]
    pub fn is_history(&self, network: NetworkId, hlc: u64) -> bool {
        let since = self.since.get(&network).copied();
        since.is_none_or(|since| super::order::ms(hlc) < since)
    }

    /// The conversation that events name.
    #[must_use]
    pub fn conversation(&self) -> Conversation {
        Conversation::Room(self.name.as_str().to_owned())
    }

    /// This log, begun if it is new; none where the room is full of those who are `here`.
    /// `told_on`: the network on which it was heard of; `last`: up to there it is not asked for if
    /// it may be older than this node.
    pub fn log_for(
        &mut self,
        at: LogAt,
        (told_on, last): (NetworkId, u32),
        here: impl Fn(&PeerId) -> bool,
    ) -> Option<&mut AuthorLog> {
        if self.logs.get(&at).is_none() {
            let start = if self.is_begun_here(&at, told_on) {
                0
            } else {
                last
            };
            let mut log = AuthorLog::new(start);
            if self.forks.contains_key(&at) {
                log.mark_forked();
            }
            if !self.logs.add(at, log, here) {
                return None;
            }
        }
        self.logs.get_mut(&at)
    }

    /// Whether a log never heard of was begun while this node was here, so that all of it is
    /// wanted: its author told of other logs, or of none, or it is younger than this node.
    fn is_begun_here(&self, (author, epoch): &LogAt, told_on: NetworkId) -> bool {
        let since = self.since.get(&told_on).copied();
        let is_young = || since.is_some_and(|since| *epoch >= since);
        (self.logs.contains(author) && self.logs.was_heard_on(author, told_on)) || is_young()
    }

    /// Whether this much of an author's log is not held here and may be. `own`: this node.
    #[must_use]
    pub fn lacks(&self, own: &PeerId, author: &PeerId, head: &HeadOf) -> bool {
        if author == own {
            let heads = self.own.heads_on(NetworkId::EVERYWHERE);
            let is_older = heads.first().is_some_and(|first| head.epoch < first.0);
            let held = heads.iter().find(|(epoch, _)| *epoch == head.epoch);
            return held.is_none_or(|(_, seq)| *seq < head.seq)
                && !(is_older && heads.len() == AUTHOR_EPOCHS_MAX);
        }
        match self.logs.get(&(*author, head.epoch)) {
            Some(log) if log.is_forked() => false,
            Some(log) => !log.is_served() || log.contiguous() < head.seq,
            None => self.logs.may_begin(&(*author, head.epoch)),
        }
    }

    /// Puts an entry's bytes on the list of what is in memory; the oldest goes.
    pub fn note_cached(&mut self, at: LogAt, seq: u32) {
        self.cached.push_back((at, seq));
        if self.cached.len() > ROOM_CACHE_ENTRIES
            && let Some((at, seq)) = self.cached.pop_front()
            && let Some(log) = self.logs.get_mut(&at)
        {
            log.forget(seq);
        }
    }

    /// The own log as HELLO and WELCOME tell it on this network.
    #[must_use]
    pub fn own_log_on(&self, network: NetworkId) -> OwnLog {
        let (epoch, seq) = self.own.head_on(network).unwrap_or_default();
        let room = self.id.tag();
        OwnLog { room, epoch, seq }
    }

    /// Heads of what is served on a network, for a heartbeat: the own one first, then the newest
    /// of the others in turn; where no digest goes with them, in a locked room, of all logs.
    #[must_use]
    pub fn heads_on(
        &self,
        network: NetworkId,
        own: ShortId,
        turn: usize,
        most: usize,
    ) -> Vec<HeadOf> {
        let all = self.seat.is_locked();
        let head = |author, (epoch, seq): OwnAt| HeadOf { author, epoch, seq };
        let told = self.own.head_on(network);
        let told = told.filter(|_| !is_sabotaged(Sabotage::NoHeads));
        let mut heads: Vec<HeadOf> = told.map(|at| head(own, at)).into_iter().collect();
        let others = self.logs.told_on(network, all).into_iter();
        let mut others: Vec<HeadOf> = others
            .map(|((id, epoch), seq)| head(id.short(), (epoch, seq)))
            .collect();
        if all {
            let past = self.own.heads_on(network).into_iter();
            others.extend(past.filter(|at| Some(*at) != told).map(|at| head(own, at)));
        }
        let room = most.saturating_sub(heads.len()).min(others.len());
        let start = if others.is_empty() {
            0
        } else {
            turn * room % others.len()
        };
        heads.extend(others.iter().cycle().skip(start).take(room));
        heads
    }

    /// Hash of all of what is served on a network, the same wherever the same is held.
    #[must_use]
    pub fn digest_on(&self, network: NetworkId, own: &PeerId) -> [u8; 8] {
        let mut held: BTreeMap<LogAt, (u32, Vec<(u32, u32)>)> = BTreeMap::new();
        for (at, seq) in self.logs.told_on(network, true) {
            let log = self.logs.get(&at).filter(|log| log.is_of(network));
            let runs = log.map_or_else(|| (seq, Vec::new()), AuthorLog::held_runs);
            held.insert(at, runs);
        }
        for at in self.own.heads_on(network) {
            held.insert((*own, at.0), (at.1, self.own.past.beyond(at)));
        }
        let mut hasher = blake3::Hasher::new_derive_key("lanchat 1 log digest");
        for ((id, epoch), (end, beyond)) in held {
            hasher.update(&id.0);
            hasher.update(&epoch.to_be_bytes());
            hasher.update(&end.to_be_bytes());
            for (first, last) in beyond {
                hasher.update(&id.0);
                hasher.update(&epoch.to_be_bytes());
                hasher.update(&first.to_be_bytes());
                hasher.update(&last.to_be_bytes());
            }
        }
        let mut digest = [0; 8];
        digest.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        digest
    }

    /// The receipt of an own message as it stands.
    #[must_use]
    pub fn receipt(&self, (epoch, seq): OwnAt) -> Option<Event> {
        let followed = self.own.get(epoch)?.followed(seq)?;
        if !followed.ends {
            return None;
        }
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
            sampled: followed.is_sampled,
        })
    }

    /// Tells how these own messages stand.
    pub fn tell_receipts(&self, core: &mut Core, of: Vec<OwnAt>) {
        let receipts = of.into_iter().filter_map(|at| self.receipt(at));
        receipts.for_each(|receipt| core.event(receipt));
    }

    /// The receipt of an own message that waits for its turn.
    #[must_use]
    pub fn queued_receipt(&self, id: MessageId) -> Event {
        Event::Receipt {
            id,
            conversation: self.conversation(),
            state: ReceiptState::Queued,
            delivered: 0,
            of: 0,
            missing: Vec::new(),
            left: Vec::new(),
            sampled: false,
        }
    }

    /// When something is due but the next own message.
    pub fn deadline(&mut self) -> Option<Instant> {
        [self.own.deadline(), self.logs.deadline()]
            .into_iter()
            .flatten()
            .min()
    }
}
