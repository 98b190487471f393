//! Nodes in virtual time: one heap of events, timers among them, and one seed.

mod events;
mod life;
mod wire;

use events::{Action, Scheduled};
pub use wire::is_on_link;

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::byzantine::Byzantine;
use super::checker::Checker;
use super::dice::Dice;
use super::disk::Disk;
use super::network::Network;
use super::trace::{Step, Trace};
use crate::api::{Command, Request, TextKind};
use crate::datagram::LinkId;
use crate::durable::{Batch, StoreFailure, Token};
use crate::proto::sabotage::{self, Sabotage};
use crate::proto::{Endpoint, Identity, Now, Output, crypto};

/// The one link of every node.
pub const LINK: LinkId = LinkId(1);
/// The port of every node.
pub const CHAT_PORT: u16 = 5263;
/// Where groups and first contacts go.
pub const PRESENCE_PORT: u16 = 5262;
/// The true time at the start, in milliseconds since the Unix epoch.
pub const EPOCH_MS: u64 = 1_790_000_000_000;
/// Calls in one moment of one node after which it counts as spinning.
const SPIN_MAX: u32 = 10_000;

/// A datagram on its way to several nodes, shared by them.
pub struct Datagram {
    source: SocketAddr,
    /// The LAN that it is in: it gets to nobody who has moved to another meanwhile.
    segment: u8,
    /// To the presence port.
    presence: bool,
    bytes: Box<[u8]>,
}

/// How a process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crash {
    /// `kill -9`: the host lives on and refuses what comes for the port.
    Kill,
    /// The power goes: nobody answers, and writes that were not synced may be lost.
    Power,
}

/// A process that does not run for a while.
struct Stopped {
    since: Duration,
    /// The host sleeps as well: its clock stands, and nothing is heard.
    asleep: bool,
    /// What waits for it.
    held: Vec<Action>,
}

/// A node and what outlives its process.
pub struct Node {
    /// Its process, if it runs.
    pub endpoint: Option<Endpoint>,
    /// Who it is.
    pub identity: Identity,
    /// Where it is.
    pub address: SocketAddr,
    /// What it kept.
    pub disk: Disk,
    /// A backup of that.
    pub backup: Option<Disk>,
    /// Its clock is ahead of the true time by so many milliseconds.
    pub skew_ms: i64,
    /// Addresses it is given by `--peer`.
    pub named: Vec<SocketAddr>,
    /// Its process ends after so many more outputs.
    pub crash_in: Option<(u32, Crash)>,
    /// It does not keep to the protocol.
    pub byzantine: Option<Byzantine>,
    /// Whether its host answers for a dead process.
    refuses: bool,
    run: u32,
    /// Since when the process is stopped, or its host asleep, and what waits for it.
    stopped: Option<Stopped>,
    /// How long its host slept: its monotonic clock stood still so long.
    slept: Duration,
    handed: VecDeque<(Token, Batch)>,
    kept_at: Duration,
    deadline: Option<Duration>,
    /// The earliest wake-up of it in the heap.
    armed: Option<Duration>,
    calls: (Duration, u32),
}

/// The world.
pub struct World {
    /// Virtual time since the start.
    pub now: Duration,
    /// Everybody, dead or alive.
    pub nodes: Vec<Node>,
    /// What is between them.
    pub network: Network,
    /// What has to hold.
    pub checker: Checker,
    /// What happened.
    pub trace: Trace,
    /// Of the scenario.
    pub dice: Dice,
    /// Events handled.
    pub steps: u64,
    /// Whether disks get full in the random scenario.
    pub full_disks: bool,
    /// Whose disks are full.
    pub full: BTreeSet<usize>,
    /// A disk answers within this.
    pub disk_time_max: Duration,
    start: Instant,
    queue: BinaryHeap<Scheduled>,
    order: u64,
    checked: Duration,
    hosts: BTreeMap<IpAddr, usize>,
}

impl World {
    /// Nobody yet. `start` is any moment: virtual time counts from it. Endpoints on this thread
    /// have the bug that is asked for, and share verdicts on signatures.
    #[must_use]
    pub fn new(start: Instant, seed: u64, bug: Option<Sabotage>) -> World {
        sabotage::set(bug);
        crypto::shared::begin();
        World {
            now: Duration::ZERO,
            nodes: Vec::new(),
            network: Network::default(),
            checker: Checker::default(),
            trace: Trace::default(),
            dice: Dice::new(seed),
            steps: 0,
            full_disks: false,
            full: BTreeSet::new(),
            disk_time_max: Duration::from_millis(1),
            start,
            queue: BinaryHeap::new(),
            order: 0,
            checked: Duration::ZERO,
            hosts: BTreeMap::new(),
        }
    }

    /// Adds a node that does not run yet.
    pub fn add(&mut self) -> usize {
        let index = self.nodes.len();
        let host = u32::try_from(index + 1).unwrap_or(u32::MAX);
        let address = Ipv4Addr::from_bits(Ipv4Addr::new(10, 77, 0, 0).to_bits() + host);
        let address = SocketAddr::from((address, CHAT_PORT));
        let identity = Identity::from_secret(blake3::hash(&host.to_be_bytes()).as_bytes());
        let disk = Disk::new(identity.id());
        self.checker.add(identity.id(), address, true);
        self.hosts.insert(address.ip(), index);
        self.nodes.push(Node {
            endpoint: None,
            identity,
            address,
            disk,
            backup: None,
            skew_ms: 0,
            named: Vec::new(),
            crash_in: None,
            byzantine: None,
            refuses: false,
            run: 0,
            stopped: None,
            slept: Duration::ZERO,
            handed: VecDeque::new(),
            kept_at: Duration::ZERO,
            deadline: None,
            armed: None,
            calls: (Duration::ZERO, 0),
        });
        index
    }

    /// Adds a node that does not keep to the protocol.
    pub fn add_byzantine(&mut self) -> usize {
        let index = self.add();
        let node = &mut self.nodes[index];
        node.byzantine = Some(Byzantine::new(node.identity.clone(), node.address));
        self.checker.people[index].honest = false;
        self.arrive_at(index, 0);
        self.schedule(Duration::from_millis(10), Action::Mischief(index));
        index
    }

    /// The time as a node sees it.
    #[must_use]
    pub fn clock(&self, node: usize) -> Now {
        Now {
            mono: self.start + (self.now - self.nodes[node].slept),
            wall_ms: self
                .true_ms()
                .saturating_add_signed(self.nodes[node].skew_ms),
        }
    }

    fn true_ms(&self) -> u64 {
        EPOCH_MS + u64::try_from(self.now.as_millis()).unwrap_or(0)
    }

    /// How far the fastest clock is ahead, in milliseconds.
    fn ahead_ms(&self) -> u64 {
        let skews = self.nodes.iter().map(|node| node.skew_ms);
        skews.max().unwrap_or(0).max(0).unsigned_abs()
    }

    /// Tells the trace what the scenario does.
    pub fn fault(&mut self, node: usize, what: String) {
        self.trace.add(self.now, node, Step::Fault(what));
    }

    /// A person at a node writes something.
    pub fn say(&mut self, index: usize, to: &str, text: &str) {
        let command = Command::Send {
            answers: None,
            to: to.into(),
            text: text.into(),
            kind: TextKind::Text,
        };
        self.with(index, |endpoint, now| {
            endpoint.handle_request(now, Request::from(command));
        });
    }

    /// Does something with a node whose process runs, and all that follows from it.
    pub fn with(&mut self, index: usize, act: impl FnOnce(&mut Endpoint, Now)) {
        let now = self.clock(index);
        let node = &mut self.nodes[index];
        if node.stopped.is_some() {
            return;
        }
        if let Some(endpoint) = node.endpoint.as_mut() {
            act(endpoint, now);
            self.drain(index);
        }
    }

    /// Takes all that a node wants done.
    fn drain(&mut self, index: usize) {
        self.note_spin(index);
        loop {
            if let Some((left, how)) = &mut self.nodes[index].crash_in {
                if *left == 0 {
                    let how = *how;
                    return self.crash(index, how);
                }
                *left -= 1;
            }
            let now = self.clock(index);
            let slept = self.nodes[index].slept;
            let Some(endpoint) = self.nodes[index].endpoint.as_mut() else {
                return;
            };
            match endpoint.poll_output(now) {
                Output::Timeout(deadline, _) => {
                    let since = |at: Instant| at.saturating_duration_since(self.start) + slept;
                    let deadline = deadline.map(since);
                    let gone = endpoint.has_left();
                    self.nodes[index].deadline = deadline;
                    if gone {
                        self.fault(index, "gone".into());
                        // Closed in order: all that was handed over is kept.
                        for (_, batch) in std::mem::take(&mut self.nodes[index].handed) {
                            let _ = self.keep(index, &batch);
                        }
                        return self.stop(index, true);
                    }
                    return self.arm(index);
                }
                Output::Event(event) => {
                    self.trace.add(self.now, index, Step::told(&event));
                    let nodes = &self.nodes;
                    let times = (self.now, now.wall_ms);
                    self.checker
                        .told(times, index, &event, |node| &nodes[node].disk);
                }
                Output::Persist(batch, token) => self.hand(index, batch, token),
                Output::Load(query, token) => {
                    let node = &self.nodes[index];
                    let (run, rows) = (node.run, node.disk.query(&query));
                    let after = self.disk_time();
                    self.schedule(after, Action::Loaded(index, run, token, rows));
                }
                Output::Derive(from, token) => {
                    let key = crate::proto::locked::derive_cheaply(&from);
                    endpoint.handle_derived(now, token, Ok(key));
                }
                Output::Transmit(transmit) => self.transmit(index, &transmit),
            }
        }
    }

    /// A node that is called again and again in one moment wakes itself for nothing.
    fn note_spin(&mut self, index: usize) {
        let calls = &mut self.nodes[index].calls;
        if calls.0 != self.now {
            *calls = (self.now, 0);
        }
        calls.1 += 1;
        assert!(calls.1 < SPIN_MAX, "node {index} spins at {:?}", self.now);
    }

    fn disk_time(&mut self) -> Duration {
        let least = Duration::from_micros(100);
        self.dice.between(least, self.disk_time_max)
    }

    fn hand(&mut self, index: usize, batch: Batch, token: Token) {
        let times = (self.true_ms(), self.ahead_ms());
        let disk = &self.nodes[index].disk;
        self.checker.handed(self.now, index, times, &batch, disk);
        let after = self.disk_time();
        let node = &mut self.nodes[index];
        // One worker, one after the other.
        node.kept_at = (self.now + after).max(node.kept_at);
        node.handed.push_back((token, batch));
        let (at, run) = (node.kept_at, node.run);
        self.schedule(at - self.now, Action::Kept(index, run));
    }

    fn keep(&mut self, index: usize, batch: &Batch) -> crate::durable::Stored {
        if self.full.contains(&index) {
            return Err(StoreFailure("no space left".into()));
        }
        let stored = self.nodes[index].disk.apply(batch);
        if let Ok(new) = &stored {
            self.checker.kept(index, batch, new);
        }
        stored
    }
}
