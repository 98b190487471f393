//! A node that replays, forges, mutates, floods and relays, and answers like a good one meanwhile.

mod forge;
mod gossip;
mod history;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use self::history::History;
use super::dice::Dice;
use super::world::LINK;
use crate::datagram::{Destination, Path};
use crate::id::{Incarnation, NetworkId, RoomId, RoomTag, ShortId};
use crate::proto::Identity;
use crate::proto::direct::Direct;
use crate::text::{PeerName, StatusText};
use crate::wire::{
    self, Body, Entry, EntryFields, EntryKind, Header, Heads, Hello, Known, Nack, Parsed,
    PeerRecord, ProbeAck, RecordFields, Run,
};
pub(super) use gossip::puppet;

/// Most datagrams remembered of what is rare, and of the rest.
const CAPTURED_MAX: usize = 64;

/// A datagram that it sends.
pub struct Send {
    pub source: SocketAddr,
    pub destination: Destination,
    pub bytes: Vec<u8>,
    /// An entry by its own key that is new.
    pub entry: Option<Entry>,
}

/// What it is up to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mood {
    /// Everything.
    Wild,
    /// Only old packets, slowly.
    Replays,
    /// Keeps still.
    Quiet,
}

/// The node.
pub struct Byzantine {
    pub mood: Mood,
    identity: Identity,
    address: SocketAddr,
    sequence: u32,
    /// Its log: the epoch, how many entries, and the hash of the last one.
    log: (u64, u32, [u8; 32]),
    /// What it said last and contradicts itself with.
    twin: Option<Entry>,
    turn: usize,
    /// HELLO and GOODBYE; they matter most and are rare.
    rare: VecDeque<(SocketAddr, Vec<u8>)>,
    common: VecDeque<(SocketAddr, Vec<u8>)>,
    peers: BTreeSet<SocketAddr>,
    /// Records of all whom it ever heard, to tell others of.
    records: BTreeMap<ShortId, PeerRecord>,
    /// Logs of others that it heard of, and how far they go.
    logs: BTreeMap<(RoomTag, ShortId, u64), u32>,
    /// The network it is in.
    pub network: NetworkId,
    history: History,
}

const INCARNATION: Incarnation = Incarnation(super::world::EPOCH_MS);

impl Byzantine {
    pub fn new(identity: Identity, address: SocketAddr) -> Self {
        Byzantine {
            mood: Mood::Wild,
            history: History::new(identity.clone(), address),
            identity,
            address,
            sequence: 0,
            log: (INCARNATION.0, 0, [0; 32]),
            twin: None,
            turn: 0,
            rare: VecDeque::new(),
            common: VecDeque::new(),
            peers: BTreeSet::new(),
            records: BTreeMap::new(),
            logs: BTreeMap::new(),
            network: NetworkId::EVERYWHERE,
        }
    }

    /// Until it does something again.
    pub fn pause(&self, dice: &mut Dice) -> Duration {
        match self.mood {
            Mood::Wild => Duration::from_millis(20).mul_f64(1.0 + 10.0 * dice.unit()),
            Mood::Replays | Mood::Quiet => Duration::from_millis(250),
        }
    }

    /// Remembers what it hears, relays some of it from elsewhere, answers what asks for its address.
    pub fn hear(
        &mut self,
        (now, now_ms): (Instant, u64),
        source: SocketAddr,
        group: bool,
        bytes: &[u8],
    ) -> Vec<Send> {
        if Direct::is_quic(bytes) && !group && self.mood != Mood::Quiet {
            self.history.handle(now, source, bytes);
            return self.history.go_on(now, now_ms);
        }
        if source == self.address || bytes.first() != Some(&wire::MAGIC) {
            return Vec::new();
        }
        let Ok(Parsed::Packet(packet)) = wire::parse(bytes) else {
            return Vec::new();
        };
        self.peers.insert(source);
        self.history.overhear(source, &packet.body);
        if let Body::Hello(hello) = &packet.body
            && self.mood == Mood::Wild
        {
            self.collect(&hello.record);
        }
        if let Body::Data(entry) = &packet.body {
            let log = (entry.room, entry.author_id().short(), entry.epoch);
            let last = self.logs.entry(log).or_default();
            *last = entry.seq.max(*last);
        }
        let rare = matches!(packet.body, Body::Hello(_) | Body::Goodbye(_));
        let ring = if rare {
            &mut self.rare
        } else {
            &mut self.common
        };
        if ring.len() == CAPTURED_MAX && self.mood == Mood::Wild {
            ring.pop_front();
        }
        // What came to it alone it does not pass on: whoever relays both a PROBE and its answer
        // is on the way to its sender, and no signature tells.
        // And it keeps what those said who are gone since.
        if group && self.mood == Mood::Wild {
            ring.push_back((source, bytes.to_vec()));
        }
        if let Body::SyncRequest(request) = &packet.body
            && !group
            && self.mood != Mood::Quiet
        {
            return vec![self.relay(source, request)];
        }
        let echo = match &packet.body {
            Body::Welcome(welcome) if !group => welcome.nonce,
            Body::Probe(probe) if !group => probe.nonce,
            _ => return Vec::new(),
        };
        if self.mood == Mood::Quiet {
            return Vec::new();
        }
        let ack = self.packet(&Body::ProbeAck(ProbeAck { echo }));
        vec![self.own(Destination::Unicast(source), ack)]
    }

    /// It came to another LAN: what it heard in the last one it repeats to nobody, but what there
    /// was to be had it knows.
    pub fn moved(&mut self) -> Vec<Send> {
        self.rare.clear();
        self.common.clear();
        self.twin = None;
        self.log = (self.log.0 + 1, 0, [0; 32]);
        if self.mood == Mood::Quiet {
            return Vec::new();
        }
        self.hello().into_iter().collect()
    }

    /// A locked room, and who gave it something of its history.
    pub fn was_given(&mut self) -> Option<(RoomTag, SocketAddr)> {
        self.history.given.take()
    }

    /// What it does next. `now_ms` is the true time.
    pub fn act(&mut self, dice: &mut Dice, (now, now_ms): (Instant, u64)) -> Vec<Send> {
        if self.mood == Mood::Quiet {
            return Vec::new();
        }
        if dice.chance(0.02) {
            self.history.pry(now, dice);
        }
        let mut sends = self.misbehave(dice, now_ms);
        sends.extend(self.history.go_on(now, now_ms));
        sends
    }

    fn misbehave(&mut self, dice: &mut Dice, now_ms: u64) -> Vec<Send> {
        match self.mood {
            Mood::Quiet => return Vec::new(),
            Mood::Replays if dice.chance(0.3) => {
                let mut sends = self.testify(dice);
                sends.push(self.gossip(dice));
                sends.extend(self.accuse(dice));
                return sends;
            }
            Mood::Replays => return self.repeat(dice).into_iter().collect(),
            Mood::Wild => {}
        }
        match dice.below(77) {
            0 => self.hello().into_iter().collect(),
            1..=20 => self.replay(dice).into_iter().collect(),
            21..=30 => self.mutate(dice).into_iter().collect(),
            31..=40 => self.forge_sequence(dice).into_iter().collect(),
            41..=47 => self.forge_entry(dice, now_ms).into_iter().collect(),
            48..=51 => self.speak(dice, now_ms).into_iter().collect(),
            52 => self.lie(dice).into_iter().collect(),
            53..=55 => self.nack(dice).into_iter().collect(),
            56..=58 => self.forge_ack(dice).into_iter().collect(),
            59..=63 => vec![self.gossip(dice)],
            67..=69 => self.accuse(dice).into_iter().collect(),
            70..=71 => self.testify(dice),
            64..=66 => self.ask_elsewhere(dice).into_iter().collect(),
            73..=76 => self.strip(dice).into_iter().collect(),
            _ => self.flood(dice),
        }
    }

    fn packet(&mut self, body: &Body) -> Vec<u8> {
        self.sequence += 1;
        let header = Header {
            path: Path::Mcast4,
            flags: 0,
            sender: self.identity.id().short(),
            incarnation: INCARNATION,
            sequence: self.sequence,
        };
        let identity = &self.identity;
        wire::emit(&header, body, &mut |bytes| identity.sign(bytes)).unwrap_or_default()
    }

    fn own(&self, destination: Destination, bytes: Vec<u8>) -> Send {
        Send {
            source: self.address,
            destination,
            bytes,
            entry: None,
        }
    }

    /// What it says of itself.
    fn fields(&self) -> Option<RecordFields> {
        Some(RecordFields {
            key: self.identity.public(),
            incarnation: INCARNATION,
            record_seq: 1,
            chat_port: super::world::CHAT_PORT,
            transient: false,
            deaf: false,
            status: crate::api::Status::Available,
            status_text: StatusText::default(),
            name: PeerName::new("eve").ok()?,
            rooms: Vec::new(),
            extensions: Vec::new(),
        })
    }

    fn hello(&mut self) -> Option<Send> {
        let fields = self.fields()?;
        let identity = self.identity.clone();
        let record = PeerRecord::build(fields, &mut |bytes| identity.sign(bytes)).ok()?;
        let known = Known::ids(&[]);
        let nonce = crate::id::Nonce([7; 8]);
        let logs = Vec::new();
        let bytes = self.packet(&Body::Hello(Hello {
            record,
            nonce,
            logs,
            known,
        }));
        Some(self.own(GROUP, bytes))
    }

    fn destination(&self, dice: &mut Dice) -> Destination {
        let peers: Vec<SocketAddr> = self.peers.iter().copied().collect();
        match dice.pick(&peers) {
            Some(&peer) if dice.chance(0.3) => Destination::Unicast(peer),
            _ => GROUP,
        }
    }

    /// A line of its own, sometimes with a clock of its own; sometimes it says two things at once,
    /// or begins anew.
    fn speak(&mut self, dice: &mut Dice, now_ms: u64) -> Option<Send> {
        let ahead = [0, 50_000, 3_600_000][dice.below(3)];
        let (mut epoch, mut entries, mut prev) = self.log;
        let twin = self.twin.take().filter(|_| dice.chance(0.1));
        if let Some(twin) = &twin {
            (entries, prev) = (twin.seq - 1, twin.prev);
        } else if dice.chance(0.05) {
            (epoch, entries, prev) = (epoch + 1, 0, [0; 32]);
        } else if entries > 0 && dice.chance(0.03) {
            // Behind a line that nobody ever heard.
            prev = [9; 32];
        }
        let fields = EntryFields {
            author: self.identity.public(),
            network: self.network,
            epoch,
            seq: entries + 1,
            hlc: (now_ms + ahead) << 16,
            prev,
            kind: EntryKind::TEXT,
            deps: Vec::new(),
            body: format!("\u{202e}eve {} {now_ms}\u{7}", entries + 1).into_bytes(),
        };
        let identity = self.identity.clone();
        let entry = Entry::build(fields, &lobby(), &mut |bytes| identity.sign(bytes)).ok()?;
        self.log = (epoch, entry.seq, entry.hash(&lobby()));
        self.twin = Some(entry.clone());
        let bytes = self.packet(&Body::Data(entry.clone()));
        Some(Send {
            entry: Some(entry),
            ..self.own(GROUP, bytes)
        })
    }

    fn lie(&mut self, dice: &mut Dice) -> Option<Send> {
        let seq = u32::try_from(dice.below(5000)).ok()?;
        let (room, epoch) = (lobby().tag(), self.log.0);
        let bytes = self.packet(&Body::Heads(Heads {
            room,
            epoch,
            seq,
            first: 1,
        }));
        Some(self.own(GROUP, bytes))
    }

    fn nack(&mut self, dice: &mut Dice) -> Option<Send> {
        let known: Vec<_> = self.logs.iter().map(|(log, last)| (*log, *last)).collect();
        if dice.chance(0.7)
            && let Some(&((room, author, epoch), last)) = dice.pick(&known)
        {
            let first = 1 + u32::try_from(dice.below(last as usize)).ok()?;
            let bytes = self.packet(&Body::Nack(Nack {
                room,
                author,
                epoch,
                runs: vec![Run { first, last }],
            }));
            let peers: Vec<SocketAddr> = self.peers.iter().copied().collect();
            let to = *dice.pick(&peers)?;
            return Some(self.own(Destination::Unicast(to), bytes));
        }
        let (room, author) = (lobby().tag(), self.identity.id().short());
        let (first, last) = (1, 1 + u32::try_from(dice.below(100)).ok()?);
        let bytes = self.packet(&Body::Nack(Nack {
            room,
            author,
            epoch: self.log.0,
            runs: vec![Run { first, last }],
        }));
        let destination = self.destination(dice);
        Some(self.own(destination, bytes))
    }
}

const GROUP: Destination = Destination::Group(LINK, Path::Mcast4);

fn lobby() -> RoomId {
    RoomId::public(super::checker::LOBBY)
}
