//! What this node has to do with a room beside its logs: whether it is in it, and who else is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Instant;

use super::beacon::Beacons;
use super::early::{Seen, TakenBack};
use super::place::Order;
use super::unlock::listed;
use crate::datagram::Destination;
use crate::durable::Write;
use crate::id::{MessageId, NetworkId, PeerId, RoomId};
use crate::limits::{DATAGRAM_LEN_MAX, ENTRY_BODY_LEN_MAX, TOPIC_ROWS_MAX};
use crate::proto::core::Core;
use crate::proto::locked::RoomKey;
use crate::proto::locked::seal::Seal;
use crate::proto::presence::Presence;
use crate::proto::presence::roster::Peer;
use crate::text::{DisplayText, RoomName};
use crate::wire::sealed::SEALED_OVERHEAD;
use crate::wire::{Body, Entry, RecordRoom};

/// Longest body in a locked room.
pub const LOCKED_BODY_LEN_MAX: usize = 880;

/// A node's place in a room.
pub struct Seat {
    /// Whether this node is in it. It may have said something in an open room without being so.
    pub joined: bool,
    /// The room as records list it.
    pub listed: RecordRoom,
    /// Who else was in it at the last look.
    pub members: BTreeSet<PeerId>,
    /// What it is about.
    pub topic: String,
    /// The last lines that said so, by their places in the order.
    topics: BTreeMap<Order, (MessageId, String)>,
    /// Whether the topic was looked for in what is kept.
    pub recalled: bool,
    /// Redactions of which it is not known whose message they name, with their keys in the order.
    pub unjudged: Vec<(Entry, u64)>,
    /// What took a line back while this node was not in the room: people see it once it is back.
    pub unshown: Vec<(Entry, u64)>,
    /// Messages not held that their authors took back.
    pub early: TakenBack,
    /// The lines that people saw.
    pub seen: Seen,
    /// Parts of messages of which others came in an earlier run, with their keys where they are new.
    pub halves: Vec<(Entry, Option<u64>)>,
    /// What nothing waits for: what was taken back, without its body; what nobody can give.
    pub to_keep: Vec<Write>,
    /// The key of a locked room, and what seals with it.
    key: Option<(RoomKey, Seal)>,
    /// Who showed to have the key of a locked room.
    pub proven: BTreeSet<PeerId>,
    /// When a locked room's members tell each other of it.
    pub beacons: Beacons,
    /// What is said in a locked room waits so long for who is listed and was not heard.
    held_until: Option<Instant>,
    /// What people were told last, as a hash: whether joined, what it is about, who is in it.
    pub told: Option<[u8; 32]>,
}

impl Seat {
    /// In an open room.
    #[must_use]
    pub fn open(name: &RoomName) -> Seat {
        Seat {
            joined: true,
            listed: RecordRoom::Public(name.clone()),
            members: BTreeSet::new(),
            topic: String::new(),
            topics: BTreeMap::new(),
            recalled: false,
            unjudged: Vec::new(),
            unshown: Vec::new(),
            early: TakenBack::default(),
            seen: Seen::default(),
            halves: Vec::new(),
            to_keep: Vec::new(),
            key: None,
            proven: BTreeSet::new(),
            beacons: Beacons::default(),
            held_until: None,
            told: None,
        }
    }

    /// In the locked room of this id and key.
    #[must_use]
    pub fn locked(name: &RoomName, id: &RoomId, key: RoomKey) -> Seat {
        let seal = Seal::new(id, &key);
        Seat {
            listed: listed(name, id),
            key: Some((key, seal)),
            ..Seat::open(name)
        }
    }

    /// Whether the room is locked.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.key.is_some()
    }

    /// Whether packets that anybody can read tell where its logs stand.
    #[must_use]
    pub fn is_told_openly(&self) -> bool {
        self.joined && !self.is_locked()
    }

    /// The network that its own log belongs to: a locked room is the same on all of them.
    #[must_use]
    pub fn network(&self, core: &Core) -> NetworkId {
        match self.key {
            Some(_) => NetworkId::EVERYWHERE,
            None => core.network(),
        }
    }

    /// What stands for a network in this room.
    #[must_use]
    pub fn network_of(&self, network: NetworkId) -> NetworkId {
        match self.key {
            Some(_) => NetworkId::EVERYWHERE,
            None => network,
        }
    }

    /// The bytes of a locked room's key, to be stored.
    #[must_use]
    pub fn key_bytes(&self) -> Option<[u8; 32]> {
        self.key.as_ref().map(|(key, _)| *key.bytes())
    }

    /// What opens the packets of a locked room.
    #[must_use]
    pub fn seal(&self) -> Option<&Seal> {
        self.key.as_ref().map(|(_, seal)| seal)
    }

    /// A packet of this room: sealed, if the room is locked.
    pub fn packet(&self, core: &mut Core, body: &Body) -> Option<Vec<u8>> {
        match self.seal() {
            Some(seal) => core.sealed_packet(seal, body),
            None => core.packet(body),
        }
    }

    /// Sends a packet of this room to one address.
    pub fn send_to(&self, core: &mut Core, to: SocketAddr, body: &Body) {
        let bytes = if core.open {
            self.packet(core, body)
        } else {
            None
        };
        if let Some(bytes) = bytes {
            core.transmit(Destination::Unicast(to), bytes);
        }
    }

    /// Longest packet of this room, before it is sealed.
    #[must_use]
    pub fn packet_len_max(&self) -> usize {
        match self.key {
            Some(_) => DATAGRAM_LEN_MAX - SEALED_OVERHEAD,
            None => DATAGRAM_LEN_MAX,
        }
    }

    /// Longest body of an entry: in a locked room one that names two others has to fit when sealed.
    #[must_use]
    pub fn body_len_max(&self) -> usize {
        match self.key {
            Some(_) => LOCKED_BODY_LEN_MAX,
            None => ENTRY_BODY_LEN_MAX,
        }
    }

    /// What is said waits until then, or until all who are listed were heard.
    pub fn hold(&mut self, until: Instant, presence: &Presence) {
        self.held_until = Some(until);
        self.end_hold(presence);
    }

    /// Ends the wait where nobody is missing any more.
    pub fn end_hold(&mut self, presence: &Presence) {
        let is_missing = |peer: &Peer| self.is_listed_by(peer) && !self.proven.contains(&peer.id);
        if !presence.roster.members().any(is_missing) {
            self.held_until = None;
        }
    }

    /// Until when what is said waits.
    #[must_use]
    pub fn held_until(&self) -> Option<Instant> {
        self.held_until
    }

    /// Whether this peer's record says that they are in the room; of a locked one anybody can.
    #[must_use]
    pub fn is_listed_by(&self, peer: &Peer) -> bool {
        peer.record.rooms.contains(&self.listed)
    }

    /// Somebody took something back that may not have come yet.
    pub fn note_early(&mut self, redaction: &Entry) {
        if let Some(&id) = redaction.deps.first() {
            self.early.note(redaction.author_id(), id);
        }
    }

    /// Whether this peer is in the room.
    #[must_use]
    pub fn lists(&self, peer: &Peer) -> bool {
        let proven = self.key.is_none() || self.proven.contains(&peer.id);
        proven && self.is_listed_by(peer)
    }

    /// Who is here and in the room, this node left out.
    pub fn members<'a>(&'a self, presence: &'a Presence) -> impl Iterator<Item = &'a Peer> {
        presence.roster.members().filter(|peer| self.lists(peer))
    }

    /// How many were in the room at the last look, this node among them: the G of the timers.
    #[must_use]
    pub fn population(&self) -> usize {
        1 + self.members.len()
    }

    /// Somebody said what the room is about; what stands behind that in the order stays.
    pub fn note_topic(&mut self, at: Order, id: MessageId, text: Option<DisplayText>) {
        let text = text.map(|text| DisplayText::line(text.as_str()).into_string());
        self.topics.insert(at, (id, text.unwrap_or_default()));
        if self.topics.len() > TOPIC_ROWS_MAX {
            self.topics.pop_first();
        }
        self.find_topic();
    }

    /// Its author took a line back: if that said what the room is about, the one before does.
    pub fn take_topic_back(&mut self, id: &MessageId) {
        self.topics.retain(|_, (of, _)| of != id);
        self.find_topic();
    }

    fn find_topic(&mut self) {
        let last = self.topics.last_key_value();
        self.topic = last.map_or_else(String::new, |(_, (_, text))| text.clone());
    }

    /// The line that says what the room is about.
    #[must_use]
    pub fn topic_by(&self) -> Option<MessageId> {
        self.topics.last_key_value().map(|(_, (id, _))| *id)
    }

    /// Whether people were told something else of it than what is so now.
    #[must_use]
    pub fn take_news(&mut self) -> bool {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[u8::from(self.joined)]);
        for member in &self.members {
            hasher.update(&member.0);
        }
        let people = hasher.finalize();
        let now = *blake3::keyed_hash(people.as_bytes(), self.topic.as_bytes()).as_bytes();
        self.told.replace(now) != Some(now)
    }
}
