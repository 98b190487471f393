//! A byzantine node's exchanges of histories: what it gives nobody signed, or it keeps to itself what
//! it claims to have; and it asks for the history of rooms that it has no key for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Instant;

use super::{Send, lobby};
use crate::datagram::{Arrival, Destination};
use crate::id::{NetworkId, PeerId, PublicKey, RoomTag};
use crate::proto::Identity;
use crate::proto::direct::{Direct, DirectOutput, StreamKey};
use crate::proto::sync::frame::{ENTRIES_MAX, Frame, LogRun, LogState, Refused, Why};
use crate::sim::dice::Dice;
use crate::sim::world::LINK;
use crate::wire::{Body, Entry, EntryFields, EntryKind};

/// Bytes of a frame before its payload.
const HEAD_LEN: usize = 5;
/// Most logs that it remembers.
const LOGS_MAX: usize = 64;

/// What an exchange is to it.
#[derive(Clone, Copy)]
enum Part {
    /// It asked for the history of a locked room.
    Asks(RoomTag),
    /// It was asked about the lobby, on this network.
    Helps(NetworkId),
}

/// What it knows of histories, and its exchanges.
pub(super) struct History {
    direct: Direct,
    identity: Identity,
    address: SocketAddr,
    /// What it overheard in the lobby.
    held: BTreeMap<(PeerId, u64), BTreeMap<u32, Entry>>,
    /// Locked rooms in which somebody talks.
    locked: BTreeSet<RoomTag>,
    keys: BTreeMap<SocketAddr, PublicKey>,
    streams: BTreeMap<StreamKey, Part>,
    /// It forges in every other exchange.
    turn: usize,
    /// A locked room, and who gave it something of its history.
    pub(super) given: Option<(RoomTag, SocketAddr)>,
}

impl History {
    pub(super) fn new(identity: Identity, address: SocketAddr) -> Self {
        History {
            direct: Direct::new(&identity, [7; 32]),
            identity,
            address,
            held: BTreeMap::new(),
            locked: BTreeSet::new(),
            keys: BTreeMap::new(),
            streams: BTreeMap::new(),
            turn: 0,
            given: None,
        }
    }

    /// Somebody said this, for all to hear or to it alone.
    pub(super) fn overhear(&mut self, source: SocketAddr, body: &Body) {
        match body {
            Body::Hello(hello) => {
                self.keys.insert(source, hello.record.key);
            }
            Body::Sealed(sealed) => {
                self.locked.insert(sealed.room);
            }
            Body::Data(entry) if entry.room == lobby().tag() => {
                let log = (entry.author_id(), entry.epoch);
                if self.held.contains_key(&log) || self.held.len() < LOGS_MAX {
                    let log = self.held.entry(log).or_default();
                    log.insert(entry.seq, entry.clone());
                }
            }
            _ => {}
        }
    }

    /// A datagram of QUIC came to it.
    pub(super) fn handle(&mut self, now: Instant, source: SocketAddr, bytes: &[u8]) {
        let arrival = Arrival {
            link: Some(LINK),
            source,
            presence_port: false,
            ecn: 0,
        };
        self.direct.handle_datagram(now, &arrival, bytes);
    }

    /// Asks somebody for the history of a room that it has no key for.
    pub(super) fn pry(&mut self, now: Instant, dice: &mut Dice) {
        let rooms: Vec<RoomTag> = self.locked.iter().copied().collect();
        let people: Vec<(SocketAddr, PublicKey)> =
            self.keys.iter().map(|(at, key)| (*at, *key)).collect();
        let Some((&room, &(at, key))) = dice.pick(&rooms).zip(dice.pick(&people)) else {
            return;
        };
        let key = self.direct.open_stream(now, &key, at);
        self.streams.insert(key, Part::Asks(room));
        let ask = Frame::Ask {
            room,
            network: NetworkId::EVERYWHERE,
            proof: [7; 32],
            why: Why::Join,
            entries: 200,
            since_ms: 0,
        };
        self.write(now, key, &ask);
        self.write(now, key, &vector(Vec::new()));
    }

    /// What it has to send. `now_ms`: the true time.
    pub(super) fn go_on(&mut self, now: Instant, now_ms: u64) -> Vec<Send> {
        if self.direct.deadline().is_some_and(|at| at <= now) {
            self.direct.handle_timeout(now);
        }
        let mut sends = Vec::new();
        while let Some(output) = self.direct.poll_output(now) {
            match output {
                DirectOutput::Transmit(transmit) => {
                    let Destination::Unicast(_) = transmit.destination else {
                        continue;
                    };
                    let len = transmit.segment_len.unwrap_or(transmit.bytes.len());
                    let datagrams = transmit.bytes.chunks(len.max(1));
                    sends.extend(datagrams.map(|bytes| Send {
                        source: self.address,
                        destination: transmit.destination,
                        bytes: bytes.to_vec(),
                        entry: None,
                    }));
                }
                DirectOutput::StreamFrame { key, kind, payload } => {
                    self.direct.take_frame(now, key, payload.len() + HEAD_LEN);
                    if let Ok(Some(frame)) = Frame::parse(kind, &payload) {
                        self.answer((now, now_ms), key, frame);
                    }
                }
                DirectOutput::StreamEnded { key } => self.direct.finish_stream(now, key),
                DirectOutput::StreamClosed { key, .. } => {
                    self.streams.remove(&key);
                }
                _ => {}
            }
        }
        sends
    }

    fn answer(&mut self, (now, now_ms): (Instant, u64), key: StreamKey, frame: Frame) {
        match (self.streams.get(&key).copied(), frame) {
            (Some(Part::Asks(room)), Frame::Vector { .. } | Frame::Entries(_)) => {
                let from = self.direct.stream_remote(key).unwrap_or(self.address);
                self.given.get_or_insert((room, from));
            }
            (Some(Part::Asks(_)), Frame::Refused(_) | Frame::Done { .. }) => {
                self.direct.finish_stream(now, key);
            }
            (None, Frame::Ask { room, network, .. }) if room == lobby().tag() => {
                self.turn += 1;
                self.streams.insert(key, Part::Helps(network));
            }
            (None, Frame::Ask { .. }) => {
                self.write(now, key, &Frame::Refused(Refused::Room));
                self.direct.finish_stream(now, key);
            }
            (Some(Part::Helps(network)), Frame::Vector { more: false, .. }) => {
                let logs = self.claims(network);
                self.write(now, key, &vector(logs));
                self.write(now, key, &Frame::Done { more: false });
                self.write(now, key, &Frame::Want(Vec::new()));
            }
            (Some(Part::Helps(_)), Frame::Want(runs)) if !runs.is_empty() => {
                let entries = self.entries(now_ms, &runs);
                self.write(now, key, &Frame::Entries(entries));
                self.write(now, key, &Frame::Done { more: false });
            }
            _ => {}
        }
    }

    fn forges(&self) -> bool {
        self.turn.is_multiple_of(2)
    }

    /// The logs that it overheard, each with one line more than there is.
    fn claims(&self, network: NetworkId) -> Vec<LogState> {
        let claim = |((author, epoch), log): (&(PeerId, u64), &BTreeMap<u32, Entry>)| {
            let (head, last) = log.last_key_value()?;
            (last.network == network).then_some(LogState {
                author: *author,
                epoch: *epoch,
                network,
                floor: 0,
                head: head + 1,
                hash: [0; 16],
                forked: false,
            })
        };
        self.held.iter().filter_map(claim).collect()
    }

    /// What it gives of what somebody wants: forged, or every other one.
    fn entries(&self, now_ms: u64, runs: &[LogRun]) -> Vec<Vec<u8>> {
        let mut entries = Vec::new();
        for run in runs {
            let Some(log) = self.held.get(&(run.author, run.epoch)) else {
                continue;
            };
            let room = ENTRIES_MAX.saturating_sub(entries.len());
            let numbers = (run.first..=run.last).take(room);
            if self.forges() {
                entries.extend(numbers.filter_map(|seq| self.forge(now_ms, log, seq)));
            } else {
                let kept = numbers.filter(|seq| seq % 2 == 0);
                entries.extend(kept.filter_map(|seq| Some(log.get(&seq)?.bytes.clone())));
            }
        }
        entries
    }

    /// A line in somebody else's name, behind what they said.
    fn forge(&self, now_ms: u64, log: &BTreeMap<u32, Entry>, seq: u32) -> Option<Vec<u8>> {
        let (_, last) = log.last_key_value()?;
        let before = log.get(&(seq - 1)).map(|before| before.hash(&lobby()));
        let fields = EntryFields {
            author: last.author,
            network: last.network,
            epoch: last.epoch,
            seq,
            hlc: now_ms << 16,
            prev: before.unwrap_or_default(),
            kind: EntryKind::TEXT,
            deps: Vec::new(),
            body: b"forged history".to_vec(),
        };
        let identity = &self.identity;
        let entry = Entry::build(fields, &lobby(), &mut |bytes| identity.sign(bytes)).ok()?;
        Some(entry.bytes)
    }

    fn write(&mut self, now: Instant, key: StreamKey, frame: &Frame) {
        if let Ok(payload) = frame.emit() {
            self.direct.write_frame(now, key, frame.kind(), &payload);
        }
    }
}

fn vector(logs: Vec<LogState>) -> Frame {
    Frame::Vector {
        proof: [7; 32],
        more: false,
        logs,
    }
}
