//! Nodes on a network in memory, in virtual time: loss, delay, reordering, duplicates.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::*;
use crate::limits::QUIC_IN_HAND_MAX;

mod hostile;
mod moves;
mod streams;
mod talk;

/// splitmix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next().to_be_bytes()[0]).collect()
    }
}

struct Node {
    direct: Direct,
    identity: Identity,
    address: SocketAddr,
    /// Acknowledges at once what comes in, as a store that is never slow.
    stores: bool,
    messages: Vec<(PublicKey, PrivateMessage)>,
    sent: Vec<MessageId>,
    acknowledged: Vec<MessageId>,
    connected: Vec<(PublicKey, SocketAddr)>,
    lost: Vec<(PublicKey, Vec<MessageId>)>,
    streams: streams::Log,
}

impl Node {
    fn key(&self) -> PublicKey {
        self.identity.public()
    }
    /// Ids that came in, each once, by first arrival.
    fn arrived(&self) -> Vec<MessageId> {
        let mut seen = BTreeSet::new();
        let ids = self.messages.iter().map(|(_, message)| message.id);
        ids.filter(|&id| seen.insert(id)).collect()
    }
}

struct World {
    start: Instant,
    now: Instant,
    random: Random,
    /// Percent of datagrams lost each way, and duplicated.
    loss: u64,
    duplicates: u64,
    nodes: Vec<Node>,
    wire: BTreeMap<(Instant, u64), (SocketAddr, SocketAddr, Vec<u8>)>,
    count: u64,
    /// Every datagram sent, if wanted.
    capture: Option<Vec<Vec<u8>>>,
    trace: DefaultHasher,
}

/// Keys of two nodes, the lower first.
fn identity(number: u8) -> Identity {
    let mut identities: Vec<Identity> = (1..=9).map(|n| Identity::from_secret(&[n; 32])).collect();
    identities.sort_by_key(Identity::public);
    identities[usize::from(number)].clone()
}

fn address(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number + 1], 5263))
}

fn message(number: u64, body: &[u8]) -> PrivateMessage {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    PrivateMessage {
        id: MessageId(id),
        hlc: number,
        kind: 1,
        body: body.to_vec(),
        answers: None,
    }
}

impl World {
    #[allow(clippy::disallowed_methods)]
    fn new(seed: u64, nodes: u8) -> Self {
        println!("seed {seed}");
        let start = Instant::now();
        let mut world = World {
            start,
            now: start,
            random: Random(seed),
            loss: 0,
            duplicates: 0,
            nodes: Vec::new(),
            wire: BTreeMap::new(),
            count: 0,
            capture: None,
            trace: DefaultHasher::new(),
        };
        for number in 0..nodes {
            world.add(&identity(number), address(number));
        }
        world
    }

    fn seed(&mut self) -> [u8; 32] {
        self.random.bytes(32).try_into().expect("32 bytes")
    }

    fn add(&mut self, identity: &Identity, address: SocketAddr) -> usize {
        let seed = self.seed();
        self.nodes.push(Node {
            direct: Direct::new(identity, seed),
            identity: identity.clone(),
            address,
            stores: true,
            messages: Vec::new(),
            sent: Vec::new(),
            acknowledged: Vec::new(),
            connected: Vec::new(),
            lost: Vec::new(),
            streams: streams::Log::default(),
        });
        self.nodes.len() - 1
    }

    /// The process dies and starts again with the same key at the same address.
    fn restart(&mut self, at: usize) {
        let seed = self.seed();
        let node = &mut self.nodes[at];
        node.direct = Direct::new(&node.identity, seed);
    }

    fn send(&mut self, from: usize, to: usize, message: PrivateMessage) -> bool {
        let (key, address) = (self.nodes[to].key(), self.nodes[to].address);
        self.nodes[from]
            .direct
            .send(self.now, &key, address, message)
    }

    fn dial(&mut self, from: usize, to: usize) {
        let (key, address) = (self.nodes[to].key(), self.nodes[to].address);
        self.nodes[from].direct.dial(self.now, &key, address);
    }

    /// The interfaces of a node changed; it knows where the others are now.
    fn renumbered(&mut self, at: usize) {
        let places = self.nodes.iter().map(|node| (node.key(), node.address));
        let places: BTreeMap<PublicKey, SocketAddr> = places.collect();
        let direct = &mut self.nodes[at].direct;
        direct.local_address_changed(self.now, |peer| places.get(peer).copied());
    }

    fn drain(&mut self, at: usize) {
        while let Some(output) = self.nodes[at].direct.poll_output(self.now) {
            let node = &mut self.nodes[at];
            match output {
                DirectOutput::Transmit(transmit) => self.transmit(at, &transmit),
                DirectOutput::Message { from, message, .. } => {
                    if node.stores {
                        node.direct.acknowledge(self.now, &from, message.id);
                    }
                    node.messages.push((from, message));
                }
                DirectOutput::Sent { id, .. } => node.sent.push(id),
                DirectOutput::Acknowledged { id, .. } => node.acknowledged.push(id),
                DirectOutput::Connected { peer, address } => node.connected.push((peer, address)),
                DirectOutput::Lost {
                    peer,
                    unacknowledged,
                } => node.lost.push((peer, unacknowledged)),
                other => streams::note(node, self.now, other),
            }
        }
    }

    fn transmit(&mut self, from: usize, transmit: &Transmit) {
        let Destination::Unicast(to) = transmit.destination else {
            panic!("QUIC is unicast");
        };
        let segment = transmit.segment_len.unwrap_or(transmit.bytes.len());
        assert!(transmit.bytes.len().div_ceil(segment) <= 10);
        let from = self.nodes[from].address;
        for datagram in transmit.bytes.chunks(segment) {
            assert!(datagram.len() <= 1472 && Direct::is_quic(datagram));
            (self.now - self.start, from, to, datagram.len()).hash(&mut self.trace);
            if let Some(capture) = &mut self.capture {
                capture.push(datagram.to_vec());
            }
            let copies = 1 + u64::from(self.random.below(100) < self.duplicates);
            for _ in 0..copies {
                if self.random.below(100) >= self.loss {
                    let delay = Duration::from_micros(100 + self.random.below(300));
                    self.count += 1;
                    let at = (self.now + delay, self.count);
                    self.wire.insert(at, (from, to, datagram.to_vec()));
                }
            }
        }
    }

    fn deliver(&mut self, at: usize, source: SocketAddr, bytes: &[u8]) {
        let arrival = Arrival {
            link: None,
            source,
            presence_port: false,
            ecn: 0,
        };
        self.nodes[at]
            .direct
            .handle_datagram(self.now, &arrival, bytes);
    }

    /// Runs until `done`, at most for `limit`. Whether it was done.
    fn run(&mut self, limit: Duration, done: impl Fn(&World) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            for at in 0..self.nodes.len() {
                self.drain(at);
            }
            if done(self) {
                return true;
            }
            let wire = self.wire.keys().next().map(|&(at, _)| at);
            let timers = self.nodes.iter().filter_map(|node| node.direct.deadline());
            let Some(next) = timers.chain(wire).min().filter(|&at| at <= end) else {
                self.now = end;
                return false;
            };
            self.now = self.now.max(next);
            while let Some(entry) = self.wire.first_entry()
                && entry.key().0 <= self.now
            {
                let (source, to, bytes) = entry.remove();
                let at = self.nodes.iter().position(|node| node.address == to);
                if let Some(at) = at {
                    self.deliver(at, source, &bytes);
                }
            }
            for node in &mut self.nodes {
                if node.direct.deadline().is_some_and(|at| at <= self.now) {
                    node.direct.handle_timeout(self.now);
                }
            }
        }
    }

    fn run_for(&mut self, limit: Duration) {
        self.run(limit, |_| false);
    }

    fn settled(&self) -> bool {
        self.nodes
            .iter()
            .all(|node| node.direct.peers.values().all(|p| p.outbox.is_empty()))
    }
}

const SECOND: Duration = Duration::from_secs(1);
