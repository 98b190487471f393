//! Nodes on a network in memory, in virtual time: loss, delay, reordering, duplicates.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::*;
use crate::limits::QUIC_IN_HAND_MAX;

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

#[test]
fn a_message_arrives_and_is_acknowledged() {
    let mut world = World::new(1, 2);
    let first = PrivateMessage {
        answers: Some(MessageId([5; 16])),
        ..message(1, b"hello ben")
    };
    assert!(world.send(0, 1, first.clone()));
    assert!(world.run(SECOND, |w| w.nodes[0].acknowledged.len() == 1));
    let (ana, ben) = (&world.nodes[0], &world.nodes[1]);
    assert_eq!(ben.messages, [(ana.key(), first.clone())]);
    assert_eq!(ana.connected, [(ben.key(), ben.address)]);
    assert_eq!(ben.connected, [(ana.key(), ana.address)]);
    assert_eq!(
        (&ana.sent, &ana.acknowledged),
        (&vec![first.id], &vec![first.id])
    );
    assert_eq!(ana.direct.unacknowledged(&ben.key()), 0);
    assert!(ana.direct.is_connected(&ben.key()) && ben.direct.is_connected(&ana.key()));
    // The answer goes by the same connection.
    assert!(world.send(1, 0, message(2, b"hello ana")));
    assert!(world.run(SECOND, |w| w.nodes[1].acknowledged.len() == 1));
    assert_eq!(world.nodes[0].direct.connections(), 1);
    assert_eq!(world.nodes[1].connected.len(), 1);
}

#[test]
fn no_body_is_on_the_wire_and_the_longest_arrives() {
    let mut world = World::new(2, 2);
    world.capture = Some(Vec::new());
    let secret = b"the cake is under the bridge";
    let body: Vec<u8> = secret
        .iter()
        .copied()
        .cycle()
        .take(PRIVATE_BODY_LEN_MAX)
        .collect();
    assert!(world.send(0, 1, message(1, secret)));
    assert!(world.send(0, 1, message(2, &body)));
    let long = vec![0; PRIVATE_BODY_LEN_MAX + 1];
    assert!(
        !world.send(0, 1, message(3, &long)),
        "too long is not taken"
    );
    assert!(world.run(SECOND, |w| w.nodes[0].acknowledged.len() == 2));
    assert_eq!(world.nodes[1].messages[1].1.body, body);
    let capture = world.capture.take().expect("on");
    let bytes: usize = capture.iter().map(Vec::len).sum();
    assert!(
        bytes > PRIVATE_BODY_LEN_MAX,
        "the capture holds the traffic"
    );
    for datagram in &capture {
        assert!(
            !datagram
                .windows(8)
                .any(|part| secret.windows(8).any(|s| s == part))
        );
    }
}

#[test]
fn thirty_percent_loss_loses_nothing() {
    for seed in [10, 11, 12] {
        let mut world = World::new(seed, 2);
        world.loss = 30;
        world.duplicates = 5;
        for number in 0..200 {
            let body = world.random.bytes(40);
            assert!(world.send(0, 1, message(number, &body)));
            assert!(world.send(1, 0, message(1000 + number, &body)));
            world.run_for(Duration::from_millis(5));
        }
        let done = |w: &World| w.nodes.iter().all(|n| n.acknowledged.len() == 200);
        assert!(world.run(30 * SECOND, done), "seed {seed}");
        for (from, to, first) in [(0, 1, 0), (1, 0, 1000)] {
            let ids: Vec<MessageId> = (first..first + 200).map(|n| message(n, b"").id).collect();
            assert_eq!(world.nodes[to].arrived(), ids, "in order, seed {seed}");
            let acknowledged = BTreeSet::from_iter(&world.nodes[from].acknowledged);
            assert_eq!(acknowledged.len(), 200, "each once, seed {seed}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut world = World::new(seed, 2);
        world.loss = 20;
        for number in 0..50 {
            world.send(0, 1, message(number, &[7; 300]));
        }
        assert!(world.run(30 * SECOND, World::settled));
        world.trace.finish()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn another_key_than_the_expected_gets_nothing() {
    let mut world = World::new(20, 2);
    let carol = identity(5).public();
    let there = world.nodes[1].address;
    let now = world.now;
    assert!(
        world.nodes[0]
            .direct
            .send(now, &carol, there, message(1, b"for carol"))
    );
    world.run_for(60 * SECOND);
    let (ana, ben) = (&world.nodes[0], &world.nodes[1]);
    assert!(ana.connected.is_empty() && ben.connected.is_empty());
    assert!(ana.sent.is_empty() && ben.messages.is_empty());
    assert_eq!(ana.lost, [(carol, vec![message(1, b"").id])]);
    assert_eq!(ana.direct.unacknowledged(&carol), 1);
    assert_eq!((ana.direct.connections(), ben.direct.connections()), (0, 0));
}

#[test]
fn nobody_talks_to_themselves() {
    let mut world = World::new(21, 1);
    assert!(!world.send(0, 0, message(1, b"me")));
    world.dial(0, 0);
    // Another node with our own key, such as a copied profile, is not let in either.
    let copy = world.add(&identity(0), address(3));
    world.dial(copy, 0);
    world.run_for(60 * SECOND);
    assert!(world.nodes.iter().all(|node| node.connected.is_empty()));
    assert!(
        world
            .nodes
            .iter()
            .all(|node| node.direct.connections() == 0)
    );
}

#[test]
fn of_two_dials_at_once_one_connection_stays() {
    for seed in 30..50 {
        let mut world = World::new(seed, 2);
        world.loss = if seed % 2 == 0 { 0 } else { 25 };
        for number in 0..5 {
            assert!(world.send(0, 1, message(number, b"from the lower")));
            if number == 0 {
                let apart = Duration::from_micros(world.random.below(900));
                world.run_for(apart);
            }
            assert!(world.send(1, 0, message(100 + number, b"from the higher")));
        }
        assert!(world.run(30 * SECOND, World::settled), "seed {seed}");
        world.loss = 0;
        world.run_for(5 * SECOND);
        for node in &world.nodes {
            assert_eq!(node.arrived().len(), 5, "seed {seed}");
            assert_eq!(node.acknowledged.len(), 5, "seed {seed}");
            assert_eq!(node.direct.connections(), 1, "seed {seed}");
            assert!(node.lost.is_empty(), "seed {seed}: {:?}", node.lost);
        }
        let (lower, higher) = (&world.nodes[0].direct, &world.nodes[1].direct);
        let dialled = |direct: &Direct| direct.sessions.values().any(Session::dialled);
        if world.nodes.iter().all(|node| node.connected.len() == 2) {
            assert!(
                dialled(lower) && !dialled(higher),
                "the lower key's stays, seed {seed}"
            );
        }
        assert_ne!(dialled(lower), dialled(higher), "seed {seed}");
    }
}

#[test]
fn a_peer_that_started_again_gets_what_it_did_not_acknowledge() {
    let mut world = World::new(60, 2);
    assert!(world.send(0, 1, message(1, b"one")));
    assert!(world.run(SECOND, |w| w.nodes[0].acknowledged.len() == 1));
    world.restart(1);
    // The new run does not know the connection and says so (stateless reset).
    assert!(world.send(0, 1, message(2, b"two")));
    assert!(world.run(SECOND, |w| !w.nodes[0].lost.is_empty()));
    let ben = world.nodes[1].key();
    assert_eq!(world.nodes[0].lost, [(ben, vec![message(2, b"").id])]);
    assert!(!world.nodes[0].direct.is_connected(&ben));
    assert!(world.send(0, 1, message(3, b"three")));
    assert!(world.run(SECOND, |w| w.nodes[0].acknowledged.len() == 3));
    let ids: Vec<MessageId> = (1..=3).map(|n| message(n, b"").id).collect();
    assert_eq!(world.nodes[1].arrived(), ids);
}

#[test]
fn closing_a_peer_keeps_its_messages_for_the_next_dial() {
    let mut world = World::new(61, 2);
    world.nodes[1].stores = false;
    assert!(world.send(0, 1, message(1, b"one")));
    assert!(world.run(SECOND, |w| w.nodes[1].messages.len() == 1));
    let (ana, ben) = (world.nodes[0].key(), world.nodes[1].key());
    world.nodes[0].direct.close_peer(world.now, &ben);
    assert!(world.run(SECOND, |w| w.nodes[1].lost.len() == 1));
    assert_eq!(world.nodes[0].lost, [(ben, vec![message(1, b"").id])]);
    assert_eq!(world.nodes[1].lost, [(ana, vec![])]);
    world.nodes[1].stores = true;
    world.dial(0, 1);
    assert!(world.run(SECOND, |w| w.nodes[0].acknowledged.len() == 1));
    assert_eq!(world.nodes[1].messages.len(), 2, "the same id comes again");
    assert_eq!(world.nodes[0].sent.len(), 1, "but is told as sent once");
    world.nodes[0].direct.close_all(world.now);
    assert!(world.run(SECOND, |w| w.nodes[1].lost.len() == 2));
    world.run_for(SECOND);
    assert!(
        world
            .nodes
            .iter()
            .all(|node| node.direct.connections() == 0)
    );
}

#[test]
fn a_newer_dial_of_the_same_side_replaces_the_older() {
    for dialler in [0, 1] {
        let mut world = World::new(62, 2);
        let acceptor = 1 - dialler;
        world.dial(dialler, acceptor);
        assert!(world.run(SECOND, |w| w.nodes.iter().all(|n| n.connected.len() == 1)));
        world.run_for(SECOND);
        world.restart(dialler);
        world.dial(dialler, acceptor);
        assert!(world.run(SECOND, |w| w.nodes.iter().all(|n| n.connected.len() == 2)));
        assert!(world.send(acceptor, dialler, message(1, b"to the new run")));
        assert!(world.run(SECOND, World::settled));
        world.run_for(5 * SECOND);
        assert_eq!(world.nodes[acceptor].direct.connections(), 1);
        assert!(world.nodes[acceptor].lost.is_empty());
    }
}

#[test]
fn the_side_that_dialled_moves_with_its_connection() {
    let mut world = World::new(70, 2);
    assert!(world.send(0, 1, message(1, b"one")));
    assert!(world.run(SECOND, World::settled));
    world.nodes[0].address = address(7);
    world.nodes[0].direct.local_address_changed(world.now);
    world.run_for(SECOND);
    assert!(world.send(1, 0, message(2, b"to the new address")));
    assert!(world.send(0, 1, message(3, b"from there")));
    assert!(world.run(SECOND, World::settled));
    assert!(world.nodes.iter().all(|node| node.connected.len() == 1));
}

#[test]
fn the_side_that_accepted_moves_by_dialling_anew() {
    // Whichever key is the lower one, and twice, so that the second generation counts too.
    for dialler in [0, 1] {
        let mut world = World::new(71, 2);
        let mover = 1 - dialler;
        assert!(world.send(dialler, mover, message(1, b"one")));
        assert!(world.run(SECOND, World::settled));
        world.nodes[mover].address = address(7);
        world.nodes[mover].direct.local_address_changed(world.now);
        assert!(world.run(SECOND, |w| w.nodes.iter().all(|n| n.connected.len() == 2)));
        assert!(world.send(dialler, mover, message(2, b"two")));
        assert!(world.run(SECOND, World::settled));
        // Now the other one has accepted and moves; the mover hears of it and dials as well.
        world.nodes[dialler].address = address(8);
        world.nodes[dialler].direct.local_address_changed(world.now);
        let (peer, there) = (world.nodes[dialler].key(), world.nodes[dialler].address);
        world.nodes[mover]
            .direct
            .address_changed(world.now, &peer, there);
        assert!(world.send(dialler, mover, message(3, b"three")));
        assert!(world.send(mover, dialler, message(4, b"four")));
        assert!(world.run(SECOND, World::settled));
        world.run_for(5 * SECOND);
        for node in &world.nodes {
            assert_eq!(node.direct.connections(), 1);
            assert!(node.lost.is_empty());
        }
    }
}

#[test]
fn without_traffic_everything_is_forgotten() {
    let mut world = World::new(80, 3);
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        assert!(world.send(from, to, message(1, b"hi")));
    }
    assert!(world.run(SECOND, World::settled));
    world.run_for(29 * SECOND);
    assert!(
        world
            .nodes
            .iter()
            .all(|node| node.direct.connections() == 2)
    );
    world.run_for(10 * SECOND);
    for node in &world.nodes {
        assert_eq!(node.direct.connections(), 0);
        assert_eq!(node.direct.endpoint.open_connections(), 0);
        assert!(node.direct.peers.is_empty() && node.direct.dirty.is_empty());
        assert_eq!(node.direct.deadline(), None);
        assert_eq!(node.lost.len(), 2);
    }
}

#[test]
fn a_slow_store_holds_the_sender_back() {
    let mut world = World::new(81, 2);
    world.nodes[1].stores = false;
    for number in 0..500 {
        assert!(world.send(0, 1, message(number, &[1; 5000])));
    }
    world.run_for(5 * SECOND);
    assert_eq!(world.nodes[1].messages.len(), QUIC_IN_HAND_MAX);
    assert!(
        world.nodes[0].sent.len() < 200,
        "the rest waits at its author"
    );
    world.nodes[1].stores = true;
    let now = world.now;
    let held: Vec<_> = world.nodes[1]
        .messages
        .iter()
        .map(|(k, m)| (*k, m.id))
        .collect();
    for (from, id) in held {
        world.nodes[1].direct.acknowledge(now, &from, id);
    }
    assert!(world.run(10 * SECOND, World::settled));
    assert_eq!(world.nodes[1].messages.len(), 500);
}

#[test]
fn junk_harms_no_connection() {
    let mut world = World::new(90, 2);
    world.capture = Some(Vec::new());
    assert!(world.send(0, 1, message(0, &[1; 4000])));
    assert!(world.run(SECOND, World::settled));
    let capture = world.capture.take().expect("on");
    for round in 1..=3000 {
        let mut bytes = if round % 3 == 0 {
            let len = usize::try_from(world.random.below(1500)).expect("small");
            world.random.bytes(len)
        } else {
            let pick = usize::try_from(world.random.next() >> 1).expect("64 bits");
            let mut bytes = capture[pick % capture.len()].clone();
            for _ in 0..=world.random.below(4) {
                let at = usize::try_from(world.random.next() >> 1).expect("64 bits") % bytes.len();
                bytes[at] = world.random.bytes(1)[0];
            }
            bytes
        };
        if round % 5 == 0 {
            let len = usize::try_from(world.random.below(1500)).expect("small");
            bytes.truncate(len);
        }
        let source = if round % 2 == 0 {
            address(0)
        } else {
            address(6)
        };
        world.deliver(1, source, &bytes);
        if round % 50 == 0 {
            world.run_for(Duration::from_millis(1));
        }
    }
    assert!(world.nodes[0].lost.is_empty() && world.nodes[1].lost.is_empty());
    assert!(world.send(0, 1, message(1, b"still here")));
    assert!(world.run(SECOND, World::settled));
    assert_eq!(
        world.nodes[0].connected.len(),
        1,
        "the connection is the old one"
    );
    world.run_for(60 * SECOND);
    assert_eq!(
        world.nodes[1].direct.connections(),
        0,
        "nothing of it stays"
    );
}

#[test]
fn a_bad_frame_ends_the_connection_only() {
    let too_long = vec![9, 0x7f, 0xff, 0xff, 0xff];
    for (bytes, ends) in [
        (too_long, true),
        (vec![1, 0, 0, 0, 3, 1, 1, 1], true),
        (vec![3, 0, 0, 0, 4, 0, 0, 0, 9], true),
        (vec![77, 0, 0, 0, 2, 1, 1], false),
    ] {
        let mut world = World::new(91, 2);
        assert!(world.send(0, 1, message(1, b"one")));
        assert!(world.run(SECOND, World::settled));
        let keys: Vec<usize> = world.nodes[0].direct.sessions.keys().copied().collect();
        for key in keys {
            let direct = &mut world.nodes[0].direct;
            direct
                .sessions
                .get_mut(&key)
                .expect("is there")
                .inject(bytes.clone());
            direct.write(world.now, key);
        }
        world.run_for(SECOND);
        assert_eq!(world.nodes[1].lost.len(), usize::from(ends), "{bytes:?}");
        assert!(world.send(0, 1, message(2, b"two")));
        assert!(world.run(SECOND, World::settled));
        assert_eq!(world.nodes[1].arrived().len(), 2);
    }
}

#[test]
fn half_open_handshakes_are_bounded_and_a_real_peer_still_gets_in() {
    let mut world = World::new(92, 2);
    // Genuine first datagrams from addresses that never answer, several for each address.
    for number in 0..200_u8 {
        let seed = world.seed();
        let mut stranger = Direct::new(&identity(4), seed);
        let (key, there) = (world.nodes[1].key(), world.nodes[1].address);
        stranger.dial(world.now, &key, there);
        let source = SocketAddr::from(([10, 9, 0, number / 4], 1000 + u16::from(number)));
        while let Some(output) = stranger.poll_output(world.now) {
            if let DirectOutput::Transmit(transmit) = output {
                world.deliver(1, source, &transmit.bytes);
            }
        }
    }
    let half_open = world.nodes[1].direct.connections();
    assert_eq!(
        half_open, QUIC_RETRY_ABOVE,
        "the others have to prove their address"
    );
    assert!(world.send(0, 1, message(1, b"let me in")));
    assert!(world.run(SECOND, World::settled), "by way of a Retry");
    world.run_for(15 * SECOND);
    assert_eq!(world.nodes[1].direct.connections(), 1);
    assert_eq!(world.nodes[1].direct.endpoint.incoming_buffer_bytes(), 0);
}

#[test]
fn connections_are_bounded_and_the_idle_one_goes_first() {
    let mut world = World::new(93, 2);
    let hub = 1;
    assert!(world.send(0, hub, message(1, b"first")));
    assert!(world.run(SECOND, World::settled));
    for number in 0..QUIC_CONNECTIONS_MAX {
        let mut secret = [0xaa; 32];
        secret[..8].copy_from_slice(&number.to_be_bytes());
        let low = u8::try_from(number % 250).expect("small");
        let high = u8::try_from(number / 250).expect("small");
        let from = SocketAddr::from(([10, 1, high, low], 5263));
        let at = world.add(&Identity::from_secret(&secret), from);
        world.dial(at, hub);
        world.run_for(Duration::from_millis(3));
    }
    let up = |w: &World| {
        w.nodes[hub]
            .direct
            .sessions
            .values()
            .filter(|s| s.is_up())
            .count()
    };
    assert_eq!(up(&world), QUIC_CONNECTIONS_MAX);
    assert_eq!(world.nodes[hub].connected.len(), QUIC_CONNECTIONS_MAX + 1);
    let ana = world.nodes[0].key();
    assert_eq!(
        world.nodes[hub].lost,
        [(ana, vec![])],
        "the oldest without use"
    );
}
