//! A world of endpoints: one event heap, virtual time, a link with loss, disks that survive.

use std::collections::{BTreeSet, BinaryHeap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lanchat::api::{Command, Conversation, Event, PeerState, ReceiptState, Request, TextKind};
use lanchat::datagram::{Arrival, Destination, Link, LinkAddress4, LinkId, Path};
use lanchat::durable::{Kept, Loaded, Row, StoreFailure, Stored, Token, Write};
use lanchat::id::PeerId;
use lanchat::proto::{Config, Endpoint, Identity, Now, Output};
use lanchat::text::{PeerName, RoomName, StatusText};

pub use crate::disk::{Disk, EntryKey};

pub const LINK: LinkId = LinkId(1);
pub const SECOND: LinkId = LinkId(2);
pub const DISK: Duration = Duration::from_micros(100);
pub const WIRE: Duration = Duration::from_micros(150);

/// What happens next in the world.
#[derive(PartialEq, Eq)]
pub enum Action {
    Arrive(usize, Arrival2, Vec<u8>),
    Persisted(usize, Token, Stored),
    Loaded(usize, Token, Vec<Row>),
    /// The host at this address says that nobody listens there.
    Refused(usize, SocketAddr),
}

pub type Arrival2 = (SocketAddr, bool);

pub struct Scheduled {
    pub at: Instant,
    pub order: u64,
    pub action: Action,
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

pub struct Node {
    pub endpoint: Option<Endpoint>,
    pub secret: u8,
    pub name: &'static str,
    pub address: SocketAddr,
    /// Its address on a second link, if it has one.
    pub second: Option<SocketAddr>,
    pub disk: Disk,
    pub events: Vec<(Instant, Event)>,
    pub deadline: Option<Instant>,
    /// Stopped, as by SIGSTOP: what comes waits, if there is room.
    pub stopped: bool,
    pub backlog: Vec<(Arrival2, Vec<u8>)>,
    /// The process is gone, its host is there and says so.
    pub refuses: bool,
    /// Addresses it is told to say HELLO to.
    pub peers: Vec<SocketAddr>,
    /// A one-shot command.
    pub transient: bool,
}

impl Node {
    fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        std::iter::once(self.address).chain(self.second)
    }
}

/// What a socket holds for a process that does not run.
const BACKLOG: usize = 200;

pub struct World {
    pub now: Now,
    pub start: Instant,
    pub nodes: Vec<Node>,
    pub queue: BinaryHeap<Scheduled>,
    pub order: u64,
    pub loss: f64,
    /// The loss of group datagrams where it is another.
    pub group_loss: Option<f64>,
    /// Loss of unicast datagrams where it is another one.
    pub unicast_loss: Option<f64>,
    /// Nothing goes from one node to another.
    pub cut: BTreeSet<(usize, usize)>,
    pub rng: u64,
    pub sent: Vec<(usize, Vec<u8>)>,
    /// The disk answers only while this is set.
    pub disk_works: bool,
    /// The disk answers that it failed.
    pub disk_fails: bool,
    /// Of so many batches with an own entry the disk says that it has another of that number.
    pub disk_forks: usize,
    /// Where everything went and how long it was.
    pub out: Vec<(Destination, usize)>,
    /// Whether a group datagram of the first node reaches the second.
    pub group_passes: fn(usize, usize) -> bool,
    /// Group paths that carry nothing.
    pub dead_paths: Vec<Path>,
    /// What nodes that start from now on may do.
    pub limits: lanchat::limits::Limits,
}

impl World {
    #[allow(clippy::disallowed_methods)]
    pub fn new(loss: f64, seed: u64) -> World {
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
            group_loss: None,
            unicast_loss: None,
            cut: BTreeSet::new(),
            rng: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            sent: Vec::new(),
            disk_works: true,
            disk_fails: false,
            disk_forks: 0,
            out: Vec::new(),
            group_passes: |_, _| true,
            dead_paths: Vec::new(),
            limits: lanchat::limits::Limits {
                person_rate: 1000,
                person_burst: 1000,
                node_rate: 10_000,
                node_burst: 10_000,
                group_packets: 1_000_000,
                group_bits: u32::MAX,
                ..Default::default()
            },
        }
    }

    pub fn unit(&mut self) -> f64 {
        self.rng ^= self.rng << 13;
        self.rng ^= self.rng >> 7;
        self.rng ^= self.rng << 17;
        (self.rng >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn add(&mut self, name: &'static str) -> usize {
        let index = self.nodes.len();
        let host = u8::try_from(index + 1).unwrap();
        self.nodes.push(Node {
            endpoint: None,
            secret: host,
            name,
            address: SocketAddr::from(([10, 0, 0, host], 5263)),
            second: None,
            disk: Disk::default(),
            events: Vec::new(),
            deadline: None,
            stopped: false,
            backlog: Vec::new(),
            refuses: false,
            peers: Vec::new(),
            transient: false,
        });
        self.boot(index);
        index
    }

    pub fn boot(&mut self, index: usize) {
        let links = [link(self.nodes[index].address, 24)];
        self.boot_on(index, &links);
    }

    /// The same with these links.
    pub fn boot_on(&mut self, index: usize, links: &[Link]) {
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
            peers: node.peers.clone(),
            multicast: true,
            broadcast: true,
            transient: node.transient,
            rooms: vec![RoomName::new("lobby").unwrap()],
            first_hello_ms_max: 5,
            snapshot: node.disk.snapshot(identity.id()),
            limits: self.limits.clone(),
            seed,
        };
        let mut endpoint = Endpoint::new(self.now, identity, config);
        endpoint.set_links(self.now, links);
        node.endpoint = Some(endpoint);
        node.refuses = false;
        self.drain(index);
    }

    /// Starts a node anew with this `--peer`.
    pub fn name_peer(&mut self, index: usize, peer: SocketAddr) {
        self.nodes[index].peers.push(peer);
        self.boot(index);
    }

    /// Forgets what was sent: a crowd sends much.
    pub fn forget(&mut self) {
        self.sent.clear();
        self.out.clear();
    }

    pub fn kill(&mut self, index: usize) {
        self.nodes[index].endpoint = None;
        self.nodes[index].deadline = None;
    }

    /// The process dies, its host lives on.
    pub fn kill_process(&mut self, index: usize) {
        self.kill(index);
        self.nodes[index].refuses = true;
    }

    /// Nothing of anybody reaches this node, though what it sends arrives.
    pub fn stop_hearing(&mut self, index: usize) {
        let others = (0..self.nodes.len()).filter(|&other| other != index);
        self.cut.extend(others.map(|other| (other, index)));
    }

    /// Pulls a node's cable.
    pub fn unplug(&mut self, index: usize) {
        for other in 0..self.nodes.len() {
            self.cut.extend([(index, other), (other, index)]);
        }
        self.cut.remove(&(index, index));
    }

    /// A stopped node goes on: first what waits for it, then what is due.
    pub fn go_on(&mut self, index: usize) {
        self.nodes[index].stopped = false;
        for (from, bytes) in std::mem::take(&mut self.nodes[index].backlog) {
            self.act(Action::Arrive(index, from, bytes));
        }
    }

    pub fn endpoint(&self, index: usize) -> &Endpoint {
        self.nodes[index].endpoint.as_ref().unwrap()
    }

    pub fn id(&self, index: usize) -> PeerId {
        Identity::from_secret(&[self.nodes[index].secret; 32]).id()
    }

    pub fn with(&mut self, index: usize, act: impl FnOnce(&mut Endpoint, Now)) {
        let now = self.now;
        if let Some(endpoint) = self.nodes[index].endpoint.as_mut() {
            act(endpoint, now);
            self.drain(index);
        }
    }

    pub fn ask(&mut self, index: usize, command: Command) {
        let request = Request::from(command);
        self.with(index, |endpoint, now| endpoint.handle_request(now, request));
    }

    /// The codes of the errors that a node told.
    pub fn errors(&self, at: usize) -> Vec<String> {
        let code = |(_, event): &(Instant, Event)| match event {
            Event::Error { code, .. } => Some(code.clone()),
            _ => None,
        };
        self.nodes[at].events.iter().filter_map(code).collect()
    }

    /// What was told of a room last: whether joined, how many others.
    pub fn room(&self, at: usize, name: &str) -> Option<(bool, usize)> {
        let told = |(_, event): &(Instant, Event)| match event {
            Event::Room {
                room,
                joined,
                members,
                ..
            } if room == name => Some((*joined, members.len())),
            _ => None,
        };
        self.nodes[at].events.iter().rev().find_map(told)
    }

    pub fn send(&mut self, index: usize, to: &str, text: &str) {
        let command = Command::Send {
            answers: None,
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

    pub fn schedule(&mut self, after: Duration, action: Action) {
        self.order += 1;
        let at = self.now.mono + after;
        self.queue.push(Scheduled {
            at,
            order: self.order,
            action,
        });
    }

    pub fn drain(&mut self, index: usize) {
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
                    if self.disk_fails {
                        let failed = Err(StoreFailure("disk full".into()));
                        self.schedule(DISK, Action::Persisted(index, token, failed));
                    } else if self.disk_forks > 0 && is_own(&batch.writes, node.secret) {
                        self.disk_forks -= 1;
                        let kept = vec![Kept::Fork; batch.writes.len()];
                        self.schedule(DISK, Action::Persisted(index, token, Ok(kept)));
                    } else if self.disk_works {
                        let new = batch
                            .writes
                            .iter()
                            .map(|w| match (node.disk.apply(w), w) {
                                (true, Write::Entry { hash, bytes, .. }) => {
                                    let key = node.disk.place(hash, bytes);
                                    Kept::New { key }
                                }
                                (is_new, _) => Kept::new_if(is_new),
                            })
                            .collect();
                        self.schedule(DISK, Action::Persisted(index, token, Ok(new)));
                    }
                }
                Output::Load(query, token) => {
                    let rows = node.disk.query(&query);
                    self.schedule(DISK, Action::Loaded(index, token, rows));
                }
                Output::Derive(from, token) => {
                    let key = lanchat::proto::locked::derive_cheaply(&from);
                    endpoint.handle_derived(now, token, Ok(key));
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

    pub fn transmit(&mut self, from: usize, destination: Destination, bytes: &[u8]) {
        self.sent.push((from, bytes.to_vec()));
        self.out.push((destination, bytes.len()));
        let source = self.source(from, destination);
        let receivers: Vec<(usize, bool)> = match destination {
            Destination::Group(_, Path::Unicast) => panic!("unicast to a group"),
            Destination::Group(_, path) if self.dead_paths.contains(&path) => Vec::new(),
            Destination::Group(..) => (0..self.nodes.len())
                .filter(|&i| self.nodes[i].addresses().any(|at| same_net(at, source)))
                .filter(|&i| i == from || (self.group_passes)(from, i))
                .map(|i| (i, true))
                .collect(),
            Destination::Unicast(to) => {
                let is_to = |i: &usize| self.nodes[*i].addresses().any(|at| at == to);
                (0..self.nodes.len())
                    .filter(is_to)
                    .map(|i| (i, false))
                    .collect()
            }
        };
        for (receiver, group) in receivers {
            let other = if group {
                self.group_loss
            } else {
                self.unicast_loss
            };
            let loss = other.unwrap_or(self.loss);
            let lost = receiver != from && self.unit() < loss;
            if lost || self.cut.contains(&(from, receiver)) {
                continue;
            }
            if self.nodes[receiver].refuses && !group {
                let address = self.nodes[receiver].address;
                self.schedule(WIRE * 2, Action::Refused(from, address));
            } else {
                let jitter = Duration::from_micros((self.unit() * 100.0) as u64);
                let action = Action::Arrive(receiver, (source, group), bytes.to_vec());
                self.schedule(WIRE + jitter, action);
            }
        }
    }

    /// The address that something is sent from.
    fn source(&self, from: usize, destination: Destination) -> SocketAddr {
        let node = &self.nodes[from];
        let is_second = |at: &SocketAddr| match destination {
            Destination::Group(link, _) => link == SECOND,
            Destination::Unicast(to) => same_net(*at, to),
        };
        node.second.filter(is_second).unwrap_or(node.address)
    }

    /// A node has a second link, with this address.
    pub fn plug_second(&mut self, index: usize, address: SocketAddr) {
        let node = &mut self.nodes[index];
        node.second = Some(address);
        let mut second = link(address, 24);
        (second.id, second.name) = (SECOND, "wlan0".into());
        let links = [link(node.address, 24), second];
        self.with(index, |endpoint, now| endpoint.set_links(now, &links));
    }

    pub fn inject(&mut self, to: usize, source: SocketAddr, group: bool, bytes: &[u8]) {
        self.schedule(WIRE, Action::Arrive(to, (source, group), bytes.to_vec()));
    }

    pub fn step(&mut self, until: Instant) -> bool {
        let timer = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, n)| !n.stopped)
            .filter_map(|(i, n)| Some((n.deadline?, i)))
            .min();
        let next = self.queue.peek().map(|scheduled| scheduled.at);
        let at = match (timer.map(|(at, _)| at), next) {
            (Some(a), Some(b)) => a.min(b),
            (Some(at), None) | (None, Some(at)) => at,
            (None, None) => {
                self.advance(until);
                return false;
            }
        };
        // Of a node that was stopped it may be long past.
        let at = at.max(self.now.mono);
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

    pub fn advance(&mut self, to: Instant) {
        let by = to.saturating_duration_since(self.start);
        let wall_ms = 1_790_000_000_000 + u64::try_from(by.as_millis()).unwrap();
        self.now = Now {
            mono: to.max(self.now.mono),
            wall_ms,
        };
    }

    pub fn act(&mut self, action: Action) {
        match action {
            Action::Arrive(index, from, bytes) if self.nodes[index].stopped => {
                let backlog = &mut self.nodes[index].backlog;
                if backlog.len() < BACKLOG {
                    backlog.push((from, bytes));
                }
            }
            Action::Arrive(index, (source, presence_port), bytes) => {
                let second = self.nodes[index].second;
                let is_second = second.is_some_and(|at| same_net(at, source));
                let arrival = Arrival {
                    link: Some(if is_second { SECOND } else { LINK }),
                    source,
                    presence_port,
                    ecn: 0,
                };
                self.with(index, |endpoint, now| {
                    endpoint.handle_datagram(now, arrival, &bytes)
                });
            }
            Action::Refused(index, address) => {
                self.with(index, |endpoint, now| {
                    endpoint.handle_refused(now, address);
                });
            }
            Action::Persisted(index, token, stored) => {
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

    pub fn run(&mut self, time: Duration) {
        let until = self.now.mono + time;
        let mut steps = 0;
        while self.step(until) {
            steps += 1;
            assert!(steps < 2_000_000, "the world spins");
        }
    }

    /// Runs until `done`, at most `time`.
    pub fn run_until(&mut self, time: Duration, done: impl Fn(&World) -> bool) -> Duration {
        let (from, until) = (self.now.mono, self.now.mono + time);
        while !done(self) {
            assert!(self.step(until), "not within {time:?}");
        }
        self.now.mono - from
    }

    pub fn state(&self, of: usize, at: usize) -> Option<(PeerState, bool)> {
        self.state_of(self.id(of), at)
    }

    pub fn state_of(&self, id: PeerId, at: usize) -> Option<(PeerState, bool)> {
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

    pub fn all_listed(&self) -> bool {
        let nodes = 0..self.nodes.len();
        let pair = |at: usize, of: usize| {
            at == of || self.state(of, at) == Some((PeerState::Online, true))
        };
        nodes.clone().all(|at| nodes.clone().all(|of| pair(at, of)))
    }

    pub fn texts(&self, at: usize, conversation: &Conversation) -> Vec<String> {
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

    /// The lines of a conversation that were shown in their turn, and those that came too late for
    /// that, by their place or a mark.
    pub fn in_turn(&self, at: usize, conversation: &Conversation) -> (Vec<String>, Vec<String>) {
        let (mut in_turn, mut late) = (Vec::new(), Vec::new());
        for (_, event) in &self.nodes[at].events {
            let Event::Message {
                conversation: of,
                own: false,
                text,
                delayed,
                after,
                ..
            } = event
            else {
                continue;
            };
            if of == conversation {
                let is_late = *delayed || after.is_some();
                let to = if is_late { &mut late } else { &mut in_turn };
                to.push(text.clone());
            }
        }
        (in_turn, late)
    }

    /// How many lines of a conversation were told as missing.
    pub fn missing(&self, at: usize, conversation: &Conversation) -> usize {
        let gap = |(_, event): &(Instant, Event)| match event {
            Event::Gap {
                conversation: of,
                missing,
                ..
            } if of == conversation => Some(*missing as usize),
            _ => None,
        };
        self.nodes[at].events.iter().filter_map(gap).sum()
    }

    pub fn receipts(&self, at: usize) -> Vec<(ReceiptState, u32, u32)> {
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

fn is_own(writes: &[Write], secret: u8) -> bool {
    let own = Identity::from_secret(&[secret; 32]).id();
    let is_it = |write: &Write| matches!(write, Write::Entry { author, .. } if *author == own);
    writes.iter().any(is_it)
}

/// Whether two addresses are in one /24: groups pass no router.
fn same_net(one: SocketAddr, other: SocketAddr) -> bool {
    let net = |at: SocketAddr| match at.ip() {
        std::net::IpAddr::V4(ip) => ip.to_bits() >> 8,
        std::net::IpAddr::V6(_) => panic!("not IPv4"),
    };
    net(one) == net(other)
}

/// The only link, with this own address.
pub fn link(address: SocketAddr, prefix_len: u8) -> Link {
    let std::net::IpAddr::V4(address) = address.ip() else {
        panic!("not IPv4")
    };
    let own = LinkAddress4 {
        address,
        prefix_len,
    };
    Link {
        id: LINK,
        name: "eth0".into(),
        loopback: false,
        v4: vec![own],
        v6: Vec::new(),
        group: true,
        gateway: None,
    }
}

pub fn lobby() -> Conversation {
    Conversation::Room("lobby".into())
}

pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn three(loss: f64, seed: u64) -> World {
    let mut world = World::new(loss, seed);
    for name in ["ana", "ben", "eva"] {
        world.add(name);
    }
    world.run_until(seconds(20), World::all_listed);
    // What is said in the first moment waits for the roster to settle.
    world.run(seconds(1));
    world
}
