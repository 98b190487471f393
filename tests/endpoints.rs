//! Endpoints that talk with each other in virtual time: no socket, no clock, no disk.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lanchat::api::{Command, Conversation, Event, PeerState, ReceiptState, Request, TextKind};
use lanchat::datagram::{Arrival, Destination, Link, LinkAddress4, LinkId, Path};
use lanchat::durable::{Loaded, Query, Row, Snapshot, Stored, Token, Write};
use lanchat::id::{MessageId, PeerId};
use lanchat::proto::{Config, Endpoint, Identity, Now, Output};
use lanchat::text::{PeerName, RoomName, StatusText};

const LINK: LinkId = LinkId(1);
const DISK: Duration = Duration::from_micros(100);
const WIRE: Duration = Duration::from_micros(150);

/// What happens next in the world.
#[derive(PartialEq, Eq)]
enum Action {
    Arrive(usize, Arrival2, Vec<u8>),
    Persisted(usize, Token, Vec<bool>),
    Loaded(usize, Token, Vec<Row>),
}

type Arrival2 = (SocketAddr, bool);

struct Scheduled {
    at: Instant,
    order: u64,
    action: Action,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // The earliest is the greatest: a heap gives the greatest first.
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// What a node's disk holds; outlives the node.
#[derive(Default, Clone)]
struct Disk {
    incarnation: u64,
    entries: BTreeMap<([u8; 32], PeerId, u64, u32), ([u8; 32], Vec<u8>)>,
    epochs: Vec<lanchat::durable::OwnHead>,
    received: BTreeSet<MessageId>,
    outbox: Vec<(
        lanchat::id::PublicKey,
        MessageId,
        lanchat::durable::PrivateRow,
    )>,
    pins: Vec<(String, lanchat::id::PublicKey)>,
}

impl Disk {
    fn apply(&mut self, write: &Write) -> bool {
        match write {
            Write::Incarnation(value) => self.incarnation = *value,
            Write::Epoch {
                room,
                network,
                epoch,
            } => {
                let (room, network, epoch) = (*room, *network, *epoch);
                let head = lanchat::durable::OwnHead {
                    room,
                    network,
                    epoch,
                    seq: 0,
                    hash: [0; 32],
                };
                self.epochs.push(head);
            }
            Write::Entry {
                room,
                author,
                epoch,
                seq,
                hash,
                bytes,
            } => {
                let key = (room.0, *author, *epoch, *seq);
                if self.entries.contains_key(&key) {
                    return false;
                }
                self.entries.insert(key, (*hash, bytes.clone()));
            }
            Write::PrivateIn { id, .. } => return self.received.insert(*id),
            Write::PrivateOut { id, to, message } => self.outbox.push((*to, *id, message.clone())),
            Write::PrivateState { id, .. } => self.outbox.retain(|(_, other, _)| other != id),
            Write::Pin { skeleton, key } => self.pins.push((skeleton.clone(), *key)),
        }
        true
    }

    fn query(&self, query: &Query) -> Vec<Row> {
        match query {
            Query::Entries {
                room,
                author,
                epoch,
                seqs,
            } => seqs
                .iter()
                .filter_map(|&seq| {
                    let (_, bytes) = self.entries.get(&(room.0, *author, *epoch, seq))?;
                    Some(Row::Entry {
                        seq,
                        bytes: bytes.clone(),
                    })
                })
                .collect(),
            Query::Outbox { to } => self
                .outbox
                .iter()
                .filter(|(key, ..)| key == to)
                .map(|(_, id, message)| Row::Outbox {
                    id: *id,
                    message: message.clone(),
                })
                .collect(),
        }
    }

    fn snapshot(&self, own: PeerId) -> Snapshot {
        let mut own_heads = self.epochs.clone();
        for head in &mut own_heads {
            let mine = self.entries.range((head.room.0, own, head.epoch, 0)..);
            let mine = mine.take_while(|((room, author, epoch, _), _)| {
                (*room, *author, *epoch) == (head.room.0, own, head.epoch)
            });
            if let Some(((.., seq), (hash, _))) = mine.last() {
                (head.seq, head.hash) = (*seq, *hash);
            }
        }
        let outbox: BTreeSet<_> = self.outbox.iter().map(|(key, ..)| *key).collect();
        Snapshot {
            incarnation: self.incarnation,
            own_heads,
            heads: Vec::new(),
            pins: self.pins.clone(),
            outbox: outbox.into_iter().collect(),
        }
    }
}

struct Node {
    endpoint: Option<Endpoint>,
    secret: u8,
    name: &'static str,
    address: SocketAddr,
    disk: Disk,
    events: Vec<(Instant, Event)>,
    deadline: Option<Instant>,
}

struct World {
    now: Now,
    start: Instant,
    nodes: Vec<Node>,
    queue: BinaryHeap<Scheduled>,
    order: u64,
    loss: f64,
    rng: u64,
    sent: Vec<(usize, Vec<u8>)>,
    /// The disk answers only while this is set.
    disk_works: bool,
}

impl World {
    #[allow(clippy::disallowed_methods)]
    fn new(loss: f64, seed: u64) -> World {
        println!("seed {seed}, loss {loss}");
        let start = Instant::now();
        World {
            now: Now {
                mono: start,
                wall_ms: 1_790_000_000_000,
            },
            start,
            nodes: Vec::new(),
            queue: BinaryHeap::new(),
            order: 0,
            loss,
            rng: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            sent: Vec::new(),
            disk_works: true,
        }
    }

    fn unit(&mut self) -> f64 {
        self.rng ^= self.rng << 13;
        self.rng ^= self.rng >> 7;
        self.rng ^= self.rng << 17;
        (self.rng >> 11) as f64 / (1u64 << 53) as f64
    }

    fn add(&mut self, name: &'static str) -> usize {
        let index = self.nodes.len();
        let host = u8::try_from(index + 1).unwrap();
        self.nodes.push(Node {
            endpoint: None,
            secret: host,
            name,
            address: SocketAddr::from(([10, 0, 0, host], 5263)),
            disk: Disk::default(),
            events: Vec::new(),
            deadline: None,
        });
        self.boot(index);
        index
    }

    fn boot(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let identity = Identity::from_secret(&[node.secret; 32]);
        let mut seed = [node.secret; 32];
        seed[..8].copy_from_slice(&self.rng.to_le_bytes());
        seed[8..16].copy_from_slice(&self.now.wall_ms.to_le_bytes());
        let config = Config {
            name: PeerName::new(node.name).unwrap(),
            status: lanchat::api::Status::Available,
            status_text: StatusText::default(),
            chat_port: 5263,
            presence_port: 5262,
            peers: Vec::new(),
            multicast: true,
            broadcast: true,
            transient: false,
            rooms: vec![RoomName::new("lobby").unwrap()],
            first_hello_ms_max: 5,
            snapshot: node.disk.snapshot(identity.id()),
            person_rate: 1000,
            person_burst: 1000,
            seed,
        };
        let mut endpoint = Endpoint::new(self.now, identity, config);
        let std::net::IpAddr::V4(address) = node.address.ip() else {
            panic!("not IPv4")
        };
        let link = Link {
            id: LINK,
            name: "eth0".into(),
            loopback: false,
            v4: vec![LinkAddress4 {
                address,
                prefix_len: 24,
            }],
            v6: Vec::new(),
            group: true,
        };
        endpoint.set_links(self.now, &[link]);
        node.endpoint = Some(endpoint);
        self.drain(index);
    }

    fn kill(&mut self, index: usize) {
        self.nodes[index].endpoint = None;
        self.nodes[index].deadline = None;
    }

    fn id(&self, index: usize) -> PeerId {
        Identity::from_secret(&[self.nodes[index].secret; 32]).id()
    }

    fn with(&mut self, index: usize, act: impl FnOnce(&mut Endpoint, Now)) {
        let now = self.now;
        if let Some(endpoint) = self.nodes[index].endpoint.as_mut() {
            act(endpoint, now);
            self.drain(index);
        }
    }

    fn send(&mut self, index: usize, to: &str, text: &str) {
        let command = Command::Send {
            to: to.into(),
            text: text.into(),
            kind: TextKind::Text,
        };
        let request = Request {
            reference: Some(text.into()),
            command,
        };
        self.with(index, |endpoint, now| endpoint.handle_request(now, request));
    }

    fn schedule(&mut self, after: Duration, action: Action) {
        self.order += 1;
        let at = self.now.mono + after;
        self.queue.push(Scheduled {
            at,
            order: self.order,
            action,
        });
    }

    fn drain(&mut self, index: usize) {
        loop {
            let now = self.now;
            let node = &mut self.nodes[index];
            let Some(endpoint) = node.endpoint.as_mut() else {
                return;
            };
            match endpoint.poll_output(now) {
                Output::Timeout(deadline, _) => {
                    node.deadline = deadline;
                    return;
                }
                Output::Event(event) => node.events.push((now.mono, event)),
                Output::Persist(batch, token) => {
                    if self.disk_works {
                        let new = batch.writes.iter().map(|w| node.disk.apply(w)).collect();
                        self.schedule(DISK, Action::Persisted(index, token, new));
                    }
                }
                Output::Load(query, token) => {
                    let rows = node.disk.query(&query);
                    self.schedule(DISK, Action::Loaded(index, token, rows));
                }
                Output::Transmit(transmit) => {
                    let len = transmit.segment_len.unwrap_or(transmit.bytes.len());
                    for datagram in transmit.bytes.chunks(len.max(1)) {
                        self.transmit(index, transmit.destination, datagram);
                    }
                }
            }
        }
    }

    fn transmit(&mut self, from: usize, destination: Destination, bytes: &[u8]) {
        self.sent.push((from, bytes.to_vec()));
        let source = self.nodes[from].address;
        let receivers: Vec<(usize, bool)> = match destination {
            Destination::Group(_, Path::Unicast) => panic!("unicast to a group"),
            Destination::Group(..) => (0..self.nodes.len()).map(|i| (i, true)).collect(),
            Destination::Unicast(to) => {
                let is_to = |i: &usize| self.nodes[*i].address == to;
                (0..self.nodes.len())
                    .filter(is_to)
                    .map(|i| (i, false))
                    .collect()
            }
        };
        for (receiver, group) in receivers {
            let lost = receiver != from && self.unit() < self.loss;
            if !lost {
                let jitter = Duration::from_micros((self.unit() * 100.0) as u64);
                let action = Action::Arrive(receiver, (source, group), bytes.to_vec());
                self.schedule(WIRE + jitter, action);
            }
        }
    }

    fn inject(&mut self, to: usize, source: SocketAddr, group: bool, bytes: &[u8]) {
        self.schedule(WIRE, Action::Arrive(to, (source, group), bytes.to_vec()));
    }

    fn step(&mut self, until: Instant) -> bool {
        let timer = self
            .nodes
            .iter()
            .enumerate()
            .filter_map(|(i, n)| Some((n.deadline?, i)))
            .min();
        let next = self.queue.peek().map(|scheduled| scheduled.at);
        let at = match (timer.map(|(at, _)| at), next) {
            (Some(a), Some(b)) => a.min(b),
            (Some(at), None) | (None, Some(at)) => at,
            (None, None) => until,
        };
        if at > until {
            self.advance(until);
            return false;
        }
        self.advance(at);
        if next.is_some_and(|next| next <= at) {
            if let Some(scheduled) = self.queue.pop() {
                self.act(scheduled.action);
            }
        } else if let Some((_, index)) = timer {
            self.with(index, |endpoint, now| endpoint.handle_timeout(now));
        }
        true
    }

    fn advance(&mut self, to: Instant) {
        let by = to.saturating_duration_since(self.start);
        let wall_ms = 1_790_000_000_000 + u64::try_from(by.as_millis()).unwrap();
        self.now = Now {
            mono: to.max(self.now.mono),
            wall_ms,
        };
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Arrive(index, (source, presence_port), bytes) => {
                let arrival = Arrival {
                    link: Some(LINK),
                    source,
                    presence_port,
                    ecn: 0,
                };
                self.with(index, |endpoint, now| {
                    endpoint.handle_datagram(now, arrival, &bytes)
                });
            }
            Action::Persisted(index, token, new) => {
                let stored: Stored = Ok(new);
                self.with(index, |endpoint, now| {
                    endpoint.handle_persisted(now, token, stored)
                });
            }
            Action::Loaded(index, token, rows) => {
                let loaded: Loaded = Ok(rows);
                self.with(index, |endpoint, now| {
                    endpoint.handle_loaded(now, token, loaded)
                });
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let until = self.now.mono + time;
        let mut steps = 0;
        while self.step(until) {
            steps += 1;
            assert!(steps < 2_000_000, "the world spins");
        }
    }

    /// Runs until `done`, at most `time`.
    fn run_until(&mut self, time: Duration, done: impl Fn(&World) -> bool) -> Duration {
        let (from, until) = (self.now.mono, self.now.mono + time);
        while !done(self) {
            assert!(self.step(until), "not within {time:?}");
        }
        self.now.mono - from
    }

    fn state(&self, of: usize, at: usize) -> Option<(PeerState, bool)> {
        let id = self.id(of);
        self.nodes[at]
            .events
            .iter()
            .rev()
            .find_map(|(_, event)| match event {
                Event::Peer {
                    peer,
                    state,
                    confirmed,
                    ..
                } if peer.id == id => Some((*state, *confirmed)),
                _ => None,
            })
    }

    fn all_listed(&self) -> bool {
        let nodes = 0..self.nodes.len();
        let pair = |at: usize, of: usize| {
            at == of || self.state(of, at) == Some((PeerState::Online, true))
        };
        nodes.clone().all(|at| nodes.clone().all(|of| pair(at, of)))
    }

    fn texts(&self, at: usize, conversation: &Conversation) -> Vec<String> {
        let text = |(_, event): &(Instant, Event)| match event {
            Event::Message {
                conversation: of,
                text,
                own: false,
                ..
            } if of == conversation => Some(text.clone()),
            _ => None,
        };
        self.nodes[at].events.iter().filter_map(text).collect()
    }

    fn receipts(&self, at: usize) -> Vec<(ReceiptState, u32, u32)> {
        let receipt = |(_, event): &(Instant, Event)| match event {
            Event::Receipt {
                state,
                delivered,
                of,
                ..
            } => Some((*state, *delivered, *of)),
            _ => None,
        };
        self.nodes[at].events.iter().filter_map(receipt).collect()
    }
}

fn lobby() -> Conversation {
    Conversation::Room("lobby".into())
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn three(loss: f64, seed: u64) -> World {
    let mut world = World::new(loss, seed);
    for name in ["ana", "ben", "eva"] {
        world.add(name);
    }
    world.run_until(seconds(20), World::all_listed);
    // What is said in the first moment waits for the roster to settle.
    world.run(seconds(1));
    world
}

#[test]
fn two_list_each_other_within_a_few_round_trips() {
    for seed in 1..50 {
        let mut world = World::new(0.0, seed);
        world.add("ana");
        world.run(seconds(3));
        world.add("ben");
        let took = world.run_until(seconds(1), World::all_listed);
        assert!(took < Duration::from_millis(20), "{took:?}");
    }
}

#[test]
fn pairs_meet_at_30_percent_loss_each_way() {
    for seed in 1..=40 {
        let mut world = World::new(0.3, seed);
        world.add("ana");
        world.add("ben");
        world.run_until(seconds(3), World::all_listed);
    }
}

#[test]
fn a_room_message_reaches_all_and_its_receipt_says_so() {
    let mut world = three(0.0, 1);
    world.send(0, "#lobby", "hello");
    world.run(seconds(1));
    for at in 1..3 {
        assert_eq!(world.texts(at, &lobby()), ["hello"]);
    }
    let receipts = world.receipts(0);
    assert_eq!(receipts.first(), Some(&(ReceiptState::Sent, 0, 2)));
    assert_eq!(receipts.last(), Some(&(ReceiptState::Delivered, 2, 2)));
}

#[test]
fn two_hundred_room_messages_arrive_once_and_in_order_at_30_percent_loss() {
    for seed in 1..=5 {
        let mut world = three(0.3, seed);
        for number in 0..200 {
            world.send(0, "#lobby", &format!("line {number}"));
            world.run(Duration::from_millis(50));
        }
        world.run(seconds(10));
        let wanted: Vec<String> = (0..200).map(|number| format!("line {number}")).collect();
        for at in 1..3 {
            assert_eq!(world.texts(at, &lobby()), wanted, "at {at}, seed {seed}");
        }
        let last = world
            .receipts(0)
            .into_iter()
            .filter(|r| r.0 == ReceiptState::Delivered)
            .count();
        assert_eq!(last, 200);
    }
}

#[test]
fn a_lost_last_message_is_found_by_heads() {
    let mut world = three(0.0, 3);
    world.loss = 1.0;
    world.send(0, "#lobby", "lost");
    world.run(Duration::from_millis(120));
    world.loss = 0.0;
    world.run(seconds(2));
    for at in 1..3 {
        assert_eq!(world.texts(at, &lobby()), ["lost"]);
    }
}

#[test]
fn a_private_message_is_delivered_and_nobody_else_has_it() {
    let mut world = three(0.0, 4);
    world.send(0, "ben", "between us");
    world.run(seconds(1));
    let (ana, ben) = (
        Conversation::Peer(world.id(0)),
        Conversation::Peer(world.id(1)),
    );
    assert_eq!(world.texts(1, &ana), ["between us"]);
    let states: Vec<ReceiptState> = world.receipts(0).iter().map(|receipt| receipt.0).collect();
    assert_eq!(
        states,
        [
            ReceiptState::Queued,
            ReceiptState::Sent,
            ReceiptState::Delivered
        ]
    );
    for conversation in [ana, ben, lobby()] {
        assert!(world.texts(2, &conversation).is_empty());
    }
    let plain = |bytes: &[u8]| bytes.windows(10).any(|window| window == b"between us");
    assert!(
        !world.sent.iter().any(|(_, bytes)| plain(bytes)),
        "plaintext on the wire"
    );
}

#[test]
fn private_messages_survive_loss_and_arrive_once() {
    for seed in 1..=5 {
        let mut world = three(0.3, seed);
        for number in 0..50 {
            world.send(0, "ben", &format!("to ben {number}"));
            world.send(1, "ana", &format!("to ana {number}"));
            world.run(Duration::from_millis(30));
        }
        world.run(seconds(30));
        let wanted = |to: &str| (0..50).map(|n| format!("to {to} {n}")).collect::<Vec<_>>();
        assert_eq!(
            world.texts(1, &Conversation::Peer(world.id(0))),
            wanted("ben")
        );
        assert_eq!(
            world.texts(0, &Conversation::Peer(world.id(1))),
            wanted("ana")
        );
    }
}

#[test]
fn what_is_written_to_somebody_away_arrives_when_they_are_back() {
    let mut world = three(0.0, 6);
    world.kill(1);
    world.run(seconds(10));
    assert_eq!(world.state(1, 0).map(|s| s.0), Some(PeerState::Offline));
    world.send(0, "ben", "read this later");
    world.run(seconds(1));
    // The writer restarts in between: what waits is on disk.
    world.kill(0);
    world.boot(0);
    world.run(seconds(5));
    world.boot(1);
    world.run(seconds(5));
    assert_eq!(
        world.texts(1, &Conversation::Peer(world.id(0))),
        ["read this later"]
    );
    assert!(
        world.nodes[0].disk.outbox.is_empty(),
        "delivered, so not kept for sending"
    );
}

#[test]
fn a_receipt_waits_again_for_a_member_that_is_back() {
    let mut world = three(0.0, 18);
    world.loss = 1.0;
    world.send(0, "#lobby", "into the dark");
    world.run(seconds(20));
    let gone = world.receipts(0);
    assert_eq!(gone.last(), Some(&(ReceiptState::Sent, 0, 2)));
    world.loss = 0.0;
    world.run(seconds(30));
    assert_eq!(
        world.receipts(0).last(),
        Some(&(ReceiptState::Delivered, 2, 2))
    );
    assert_eq!(world.texts(1, &lobby()), ["into the dark"]);
}

#[test]
fn goodbye_is_seen_in_a_round_trip_and_a_restart_is_not_hidden() {
    let mut world = three(0.0, 7);
    world.with(1, |endpoint, now| endpoint.leave(now));
    let took = world.run_until(seconds(1), |w| {
        w.state(1, 0).map(|s| s.0) == Some(PeerState::Left)
    });
    assert!(took < Duration::from_millis(5), "{took:?}");
    world.run(Duration::from_millis(100));
    assert!(
        world.nodes[1]
            .endpoint
            .as_ref()
            .is_some_and(Endpoint::has_left)
    );
    world.kill(1);
    world.boot(1);
    world.run_until(seconds(1), World::all_listed);
}

#[test]
fn a_killed_peer_is_suspect_and_then_offline_within_8_seconds() {
    for seed in 1..=10 {
        let mut world = three(0.0, seed);
        world.run(seconds(20 + seed));
        world.kill(1);
        let offline = |w: &World| w.state(1, 0).map(|s| s.0) == Some(PeerState::Offline);
        world.run_until(seconds(8), offline);
        assert_eq!(world.state(2, 0).map(|s| s.0), Some(PeerState::Online));
    }
}

#[test]
fn somebody_killed_before_they_could_be_reached_is_gone_within_8_seconds() {
    let mut world = World::new(0.0, 17);
    world.add("ana");
    world.run(seconds(3));
    world.add("ben");
    world.run_until(seconds(1), |w| w.state(1, 0).is_some());
    world.kill(1);
    let offline = |w: &World| w.state(1, 0).map(|s| s.0) == Some(PeerState::Offline);
    world.run_until(seconds(8), offline);
}

#[test]
fn nobody_alive_is_given_up_in_an_hour() {
    let mut world = three(0.05, 8);
    for node in &mut world.nodes {
        node.events.clear();
    }
    world.run(seconds(3600));
    for node in &world.nodes {
        let gone = |event: &Event| {
            matches!(
                event,
                Event::Peer {
                    state: PeerState::Offline,
                    ..
                }
            )
        };
        assert!(
            !node.events.iter().any(|(_, event)| gone(event)),
            "{}",
            node.name
        );
    }
}

#[test]
fn a_refusal_that_is_forged_only_makes_somebody_suspect_for_a_moment() {
    let mut world = three(0.0, 9);
    world.run(seconds(3));
    let ben = world.nodes[1].address;
    world.send(0, "ben", "used just now");
    world.run(Duration::from_millis(10));
    world.with(0, |endpoint, now| endpoint.handle_unreachable(now, ben));
    assert_eq!(world.state(1, 0).map(|s| s.0), Some(PeerState::Suspect));
    world.run(seconds(1));
    assert_eq!(world.state(1, 0).map(|s| s.0), Some(PeerState::Online));
}

#[test]
fn replays_and_forgeries_change_nothing() {
    let mut world = three(0.0, 10);
    world.run(seconds(30));
    let ben: Vec<Vec<u8>> = world
        .sent
        .iter()
        .filter(|(from, _)| *from == 1)
        .map(|(_, b)| b.clone())
        .collect();
    let before = world.nodes[0].events.len();
    let attacker = SocketAddr::from(([10, 0, 0, 66], 5263));
    let mut rng_flip = 7usize;
    for bytes in ben
        .iter()
        .filter(|bytes| bytes.first() == Some(&0x0c))
        .take(300)
    {
        world.inject(0, attacker, true, bytes);
        // The next sequence numbers of ben, with a signature that does not hold.
        let mut forged = bytes.clone();
        forged[25] = forged[25].wrapping_add(40);
        world.inject(0, world.nodes[1].address, true, &forged);
        let mut mutated = bytes.clone();
        rng_flip = (rng_flip * 31 + 11) % mutated.len();
        mutated[rng_flip] ^= 1 << (rng_flip % 8);
        world.inject(0, attacker, false, &mutated);
        world.inject(0, attacker, false, &bytes[..rng_flip]);
        world.run(Duration::from_millis(20));
    }
    let peers = |event: &&(Instant, Event)| matches!(event.1, Event::Peer { .. });
    let changed: Vec<_> = world.nodes[0].events[before..]
        .iter()
        .filter(peers)
        .collect();
    assert!(changed.is_empty(), "{changed:?}");
    let address = world.nodes[0]
        .events
        .iter()
        .rev()
        .find_map(|(_, event)| match event {
            Event::Peer {
                peer, addresses, ..
            } if peer.id == world.id(1) => addresses.first().cloned(),
            _ => None,
        });
    assert_eq!(address, Some("10.0.0.2:5263".into()));
    world.send(1, "#lobby", "still me");
    world.send(1, "ana", "and in private");
    world.run(seconds(2));
    assert_eq!(world.texts(0, &lobby()), ["still me"]);
    assert_eq!(
        world.texts(0, &Conversation::Peer(world.id(1))),
        ["and in private"]
    );
    let stats = world.nodes[0]
        .endpoint
        .as_ref()
        .map(|endpoint| *endpoint.stats())
        .unwrap();
    assert!(
        stats.replayed + stats.copies > 0 && stats.bad_signature > 0,
        "{stats:?}"
    );
    assert!(stats.malformed > 0, "{stats:?}");
}

#[test]
fn nothing_leaves_and_nothing_is_shown_before_it_is_stored() {
    let mut world = three(0.0, 11);
    world.run(seconds(1));
    world.disk_works = false;
    let data = |w: &World| w.sent.iter().filter(|(_, b)| b.get(2) == Some(&16)).count();
    let before = data(&world);
    world.send(0, "#lobby", "not stored");
    world.send(0, "ben", "not stored either");
    world.run(seconds(2));
    assert_eq!(data(&world), before);
    assert!(world.texts(1, &Conversation::Peer(world.id(0))).is_empty());
    assert!(world.receipts(0).is_empty());
}

#[test]
fn an_own_log_goes_on_after_a_restart_and_a_newcomer_gets_what_is_said_from_then_on() {
    let mut world = three(0.0, 12);
    world.send(0, "#lobby", "one");
    world.run(seconds(1));
    world.kill(0);
    world.run(seconds(1));
    world.boot(0);
    world.run(seconds(2));
    world.add("new");
    world.run(seconds(2));
    world.send(0, "#lobby", "two");
    world.run(seconds(2));
    assert_eq!(world.texts(1, &lobby()), ["one", "two"]);
    assert_eq!(world.texts(3, &lobby()), ["two"]);
    assert_eq!(
        world.nodes[0].disk.epochs.len(),
        1,
        "no new epoch for a restart"
    );
}

#[test]
fn a_first_message_that_is_lost_is_asked_for() {
    let mut world = three(0.0, 13);
    world.loss = 1.0;
    world.send(0, "#lobby", "first");
    world.run(Duration::from_millis(60));
    world.loss = 0.0;
    world.send(0, "#lobby", "second");
    world.run(seconds(2));
    for at in 1..3 {
        assert_eq!(world.texts(at, &lobby()), ["first", "second"]);
    }
}

#[test]
fn a_name_pinned_to_one_key_is_refused_to_another() {
    let mut world = three(0.0, 14);
    world.send(0, "ben", "hello ben");
    world.run(seconds(1));
    world.with(1, |endpoint, now| endpoint.leave(now));
    world.run(seconds(1));
    world.kill(1);
    world.nodes[1].secret = 77;
    world.nodes[1].events.clear();
    world.nodes[1].disk = Disk::default();
    world.boot(1);
    world.run(seconds(2));
    world.send(0, "ben", "a secret");
    world.run(seconds(1));
    let conflict =
        |event: &Event| matches!(event, Event::Error { code, .. } if code == "name_conflict");
    assert!(
        world.nodes[0]
            .events
            .iter()
            .any(|(_, event)| conflict(event))
    );
    assert!(world.texts(1, &Conversation::Peer(world.id(0))).is_empty());
    let trust = Request::from(Command::Trust { peer: "ben".into() });
    world.with(0, |endpoint, now| endpoint.handle_request(now, trust));
    world.send(0, "ben", "now it may go");
    world.run(seconds(1));
    assert_eq!(
        world.texts(1, &Conversation::Peer(world.id(0))),
        ["now it may go"]
    );
}

#[test]
fn a_copied_identity_falls_silent_and_says_where_the_other_runs() {
    let mut world = three(0.0, 15);
    world.run(seconds(1));
    let copy = world.add("ana");
    world.nodes[copy].secret = world.nodes[0].secret;
    world.boot(copy);
    world.run(seconds(60));
    let told =
        |event: &Event| matches!(event, Event::Error { code, .. } if code == "copied_identity");
    let tellers = [0, copy]
        .into_iter()
        .filter(|&i| world.nodes[i].events.iter().any(|(_, event)| told(event)));
    assert!(tellers.count() >= 1, "nobody noticed");
}

#[test]
fn ambiguous_and_unknown_targets_are_errors() {
    let mut world = three(0.0, 16);
    world.add("ben");
    world.run_until(seconds(5), World::all_listed);
    for (to, code) in [
        ("ben", "ambiguous_name"),
        ("zoe", "no_such_peer"),
        ("#nowhere", "no_such_room"),
        ("eva~zzzz", "no_such_peer"),
    ] {
        world.send(0, to, "hello");
        world.run(Duration::from_millis(10));
        let last = world.nodes[0]
            .events
            .iter()
            .rev()
            .find_map(|(_, event)| match event {
                Event::Error {
                    code, reference, ..
                } => Some((code.clone(), reference.clone())),
                _ => None,
            });
        assert_eq!(last, Some((code.into(), Some("hello".into()))), "{to}");
    }
    let id = world.id(1).to_string();
    world.send(0, &id[..8], "by id");
    world.run(seconds(1));
    assert_eq!(world.texts(1, &Conversation::Peer(world.id(0))), ["by id"]);
}
