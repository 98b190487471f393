//! Many simulated peers of one real node: endpoints of the library in one process on one host,
//! each with an IPv4 address of its own.
//!
//! To the real node they look like as many hosts: source addresses, ports and packets are theirs.
//! To each other they are a whole LAN too, whose datagrams pass in memory; so that a packet is not
//! verified a thousand times on the core next to the one that is measured, they share what they
//! know of signatures ([`lanchat::sim::share_signatures`]). Copies of a HELLO by another group path pass
//! only on the wire.

use std::collections::{BTreeSet, VecDeque};
use std::env;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, IoSliceMut, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsFd;
use std::process::{Command, exit};
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use lanchat::api::Status;
use lanchat::datagram::{Arrival, Destination, Link, LinkAddress4, LinkId, Path};
use lanchat::durable::{Kept, Loaded, Snapshot, Stored};
use lanchat::proto::{Config, Endpoint, Identity, Now, Output};
use lanchat::runtime::Clock;
use lanchat::sim::share_signatures;
use lanchat::text::{PeerName, RoomName, StatusText};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};

use super::attack::header;
use super::lan::{Host, hardware};
use super::process::Process;

/// First argument of the process that simulates.
const ROLE: &str = "--lab-simulated";
/// Datagrams handed over in memory before the sockets are looked at again.
const PARCELS_AT_ONCE: usize = 256;
/// What is for all of them is handed over together with what comes within this time, to one after the
/// other: what a peer knows is in the processor's caches once for all of it, and a thousand of them fit
/// into no cache. What comes from the real node, and by unicast, waits for none of it.
const GATHER: Duration = Duration::from_millis(250);
/// For so long after the last began they introduce themselves: seven HELLOs take 16 s.
const INTRODUCTION: Duration = Duration::from_secs(20);
/// For so long after that what was to be said about them is said, before others come.
const SETTLE: Duration = Duration::from_secs(30);
/// How long a datagram takes from one to another before time is real.
const HOP: Duration = Duration::from_micros(200);
/// A thousand meet within as much time of a processor, on a slow machine.
const MEETING: Duration = Duration::from_secs(900);
/// The kind of a packet that introduces its sender.
const HELLO: u8 = 1;
const CHAT_PORT: u16 = 5263;
const PRESENCE_PORT: u16 = 5262;
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 76, 67);
const BROADCAST: Ipv4Addr = Ipv4Addr::new(10, 77, 255, 255);
const LINK: LinkId = LinkId(1);
/// Room for what the system joins of one sender (GRO).
const SLOT_LEN: usize = 64 * 1024;

/// The running process; ended when dropped.
pub struct Simulated {
    process: Process,
    says: Receiver<String>,
    /// How many datagrams they took in until they had met.
    pub taken: u64,
}

impl Simulated {
    /// Gives `host` so many more addresses, and starts a peer on each, over this time. They know
    /// of nobody but the node on the host `real` and each other. That host need not ask for their
    /// hardware address, for the reason given at [`super::lan::Lan::introduce`].
    pub fn start(host: &Host, count: usize, spread: Duration, real: &Host) -> Self {
        Simulated::run(host, count, spread, real, false)
    }

    /// The same, but they have met before the call returns: they came over `spread` of a time that
    /// passes as fast as the processor can, on no wire, and know each other and nobody else. A
    /// thousand who meet are more work than one processor does in real time; a thousand at rest
    /// are not.
    pub fn met(host: &Host, count: usize, spread: Duration, real: &Host) -> Self {
        let mut met = Simulated::run(host, count, spread, real, true);
        let said = met.says.recv_timeout(MEETING).unwrap_or_default();
        let taken = said.strip_prefix("settled ").and_then(|n| n.parse().ok());
        let stderr = met.process.stderr();
        met.taken = taken.unwrap_or_else(|| panic!("they did not meet, stderr:\n{stderr}"));
        met
    }

    fn run(host: &Host, count: usize, spread: Duration, real: &Host, meet: bool) -> Self {
        let (mut addresses, mut neighbours) = (String::new(), String::new());
        let hardware = hardware(host.number(), 0);
        for address in (0..count).map(address) {
            let _ = writeln!(addresses, "addr add {address}/16 brd + dev eth0");
            let _ = writeln!(
                neighbours,
                "neigh replace {address} lladdr {hardware} dev eth0 nud permanent"
            );
        }
        host.ip(&addresses);
        real.ip(&neighbours);
        let mut command = Command::new(env::current_exe().expect("this program"));
        command.arg(ROLE).args([
            count.to_string(),
            spread.as_millis().to_string(),
            real.v4().to_string(),
            meet.to_string(),
        ]);
        let (tell, says) = mpsc::channel();
        let process = Process::start(host, command, move |out| {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        Simulated {
            process,
            says,
            taken: 0,
        }
    }

    /// Time on a processor so far.
    pub fn cpu_time(&self) -> Duration {
        self.process.cpu_time()
    }
}

/// Its address.
fn address(index: usize) -> Ipv4Addr {
    let part = |n: usize| u8::try_from(n).expect("at most 50,000 of them");
    Ipv4Addr::new(10, 77, part(1 + index / 200), part(1 + index % 200))
}

/// Whose address this is.
fn index(address: Ipv4Addr) -> Option<usize> {
    let [10, 77, net, host] = address.octets() else {
        return None;
    };
    let net = usize::from(net.checked_sub(1)?);
    Some(net * 200 + usize::from(host.checked_sub(1)?))
}

/// If this process was started to simulate, does so until it is killed.
pub fn play_role() {
    let mut arguments = env::args().skip(1);
    if arguments.next().is_none_or(|first| first != ROLE) {
        return;
    }
    let count = arguments.next().and_then(|word| word.parse().ok());
    let spread = arguments.next().and_then(|word| word.parse().ok());
    let real = arguments.next().and_then(|word| word.parse().ok());
    let meet = arguments.next().and_then(|word| word.parse().ok());
    let (Some(count), Some(spread), Some(real), Some(meet)) = (count, spread, real, meet) else {
        exit(2);
    };
    let mut world = World::new(count, Duration::from_millis(spread), real).expect("sockets");
    if meet {
        world.meet();
        println!("settled {}", world.taken);
        io::stdout().flush().expect("the pipe");
    }
    world.run().expect("the network");
}

/// A UDP socket that tells and chooses the local address of each datagram.
struct Wire {
    socket: Socket,
    state: UdpSocketState,
}

impl Wire {
    fn open(port: u16, groups: bool) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        socket.set_broadcast(true)?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into())?;
        let interface = address(0);
        if groups {
            socket.join_multicast_v4(&GROUP, &interface)?;
        }
        socket.set_multicast_if_v4(&interface)?;
        socket.set_multicast_loop_v4(false)?;
        let _ = socket.set_recv_buffer_size(4 << 20);
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Wire { socket, state })
    }

    /// Receives what is there: source, destination, bytes.
    fn receive(&self, buffer: &mut [u8], mut sink: impl FnMut(SocketAddr, Ipv4Addr, &[u8])) {
        let mut metas = [RecvMeta::default()];
        loop {
            let mut slices = [IoSliceMut::new(buffer)];
            let received = self
                .state
                .recv((&self.socket).into(), &mut slices, &mut metas);
            if !received.is_ok_and(|batches| batches == 1) {
                return;
            }
            let Some(IpAddr::V4(to)) = metas[0].dst_ip else {
                continue;
            };
            for datagram in buffer[..metas[0].len].chunks(metas[0].stride.max(1)) {
                sink(metas[0].addr, to, datagram);
            }
        }
    }
}

/// A datagram from one to another in memory.
struct Parcel {
    to: usize,
    arrival: Arrival,
    bytes: Rc<[u8]>,
}

/// What time it is for the peers.
enum Pace {
    /// It stands until somebody moves it.
    Virtual(Now),
    /// It passes as everybody's does, since the first moment, which was the second to them.
    Real(Now, Now),
}

impl Pace {
    fn now(&self) -> Now {
        match *self {
            Pace::Virtual(now) => now,
            Pace::Real(since, theirs) => {
                theirs + Clock::now().mono.saturating_duration_since(since.mono)
            }
        }
    }
}

struct World {
    real: Ipv4Addr,
    pace: Pace,
    started: Instant,
    count: usize,
    spread: Duration,
    peers: Vec<Endpoint>,
    /// When each wants to be woken.
    deadlines: Vec<Option<Instant>>,
    due: BTreeSet<(Instant, usize)>,
    parcels: VecDeque<Parcel>,
    /// In real time: what was sent to all others, by whom, and until when more is waited for.
    rounds: Vec<(usize, Rc<[u8]>)>,
    gather_until: Instant,
    /// The same once it is being handed over.
    gathered: VecDeque<Parcel>,
    /// Who said HELLO to the others already.
    introduced: Vec<bool>,
    /// How many of them were handed over.
    taken: u64,
    chat: Wire,
    presence: Wire,
}

impl World {
    fn new(count: usize, spread: Duration, real: Ipv4Addr) -> io::Result<Self> {
        share_signatures();
        let now = Clock::now();
        Ok(World {
            real,
            pace: Pace::Real(now, now),
            started: now.mono,
            count,
            spread,
            peers: Vec::new(),
            deadlines: vec![None; count],
            due: BTreeSet::new(),
            parcels: VecDeque::new(),
            rounds: Vec::new(),
            gather_until: now.mono,
            gathered: VecDeque::new(),
            introduced: vec![false; count],
            taken: 0,
            chat: Wire::open(CHAT_PORT, false)?,
            presence: Wire::open(PRESENCE_PORT, true)?,
        })
    }

    /// Lets all come and meet in a time that passes as fast as they handle it; nothing is on the
    /// wire. Time is real again afterwards.
    fn meet(&mut self) {
        self.pace = Pace::Virtual(self.pace.now());
        let end = self.started + self.spread + INTRODUCTION + SETTLE;
        loop {
            let now = self.pace.now();
            if now.mono >= end {
                self.pace = Pace::Real(Clock::now(), now);
                return;
            }
            self.wake_due();
            let next_start = self.start_due();
            let due = self.due.first().map(|&(at, _)| at);
            let next = if self.parcels.is_empty() {
                let next_start = next_start.map(|left| now.mono + left);
                due.into_iter().chain(next_start).fold(end, Instant::min)
            } else {
                now.mono + HOP
            };
            let step = next.saturating_duration_since(now.mono);
            self.pace = Pace::Virtual(now + step);
            for _ in 0..self.parcels.len() {
                self.deliver_one();
            }
        }
    }

    fn run(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; SLOT_LEN];
        loop {
            self.receive(&mut buffer);
            self.gather();
            self.deliver();
            self.wake_due();
            let next_start = self.start_due();
            let now = self.pace.now().mono;
            let left = |at: Instant| at.saturating_duration_since(now);
            let next_due = self.due.first().map(|&(at, _)| left(at));
            let is_idle = self.parcels.is_empty() && self.gathered.is_empty();
            let at_once = (!is_idle).then_some(Duration::ZERO);
            let gathered = (!self.rounds.is_empty()).then(|| left(self.gather_until));
            let most = Some(Duration::from_secs(1));
            let wait = [next_start, next_due, at_once, gathered, most];
            self.wait(wait.into_iter().flatten().min().unwrap_or_default())?;
        }
    }

    /// Wakes those that want to be.
    fn wake_due(&mut self) {
        for _ in 0..PARCELS_AT_ONCE {
            let now = self.pace.now().mono;
            let Some(&(_, peer)) = self.due.first().filter(|&&(at, _)| at <= now) else {
                return;
            };
            self.with(peer, Endpoint::handle_timeout);
        }
    }

    /// Starts whose time has come; how long until the next one's.
    fn start_due(&mut self) -> Option<Duration> {
        while self.peers.len() < self.count {
            let share = self.peers.len() as f64 / self.count as f64;
            let at = self.started + self.spread.mul_f64(share);
            let left = at.saturating_duration_since(self.pace.now().mono);
            if !left.is_zero() {
                return Some(left);
            }
            let number = self.peers.len();
            let now = self.pace.now();
            let mut peer = endpoint(now, number);
            peer.set_links(now, &[link(address(number))]);
            self.peers.push(peer);
            self.drain(number);
        }
        None
    }

    fn receive(&mut self, buffer: &mut [u8]) {
        let (real, here) = (self.real, self.peers.len());
        let parcels = &mut self.parcels;
        for (wire, presence_port) in [(&self.chat, false), (&self.presence, true)] {
            wire.receive(buffer, |source, to, bytes| {
                // Broadcasts of our own come back; what they say was passed on in memory.
                if source.ip() != real {
                    return;
                }
                let arrival = arrival(source, presence_port);
                let bytes: Rc<[u8]> = bytes.into();
                let to = match index(to).filter(|_| to != BROADCAST) {
                    Some(one) if one < here => one..one + 1,
                    Some(_) => return,
                    None => 0..here,
                };
                parcels.extend(to.map(|to| Parcel {
                    to,
                    arrival,
                    bytes: Rc::clone(&bytes),
                }));
            });
        }
    }

    /// Begins to hand over what was gathered, by receiver.
    fn gather(&mut self) {
        let is_due = self.gather_until <= self.pace.now().mono && self.gathered.is_empty();
        if self.rounds.is_empty() || !is_due {
            return;
        }
        let rounds = std::mem::take(&mut self.rounds);
        for to in 0..self.peers.len() {
            let others = rounds.iter().filter(|(from, _)| *from != to);
            self.gathered.extend(others.map(|(from, bytes)| Parcel {
                to,
                arrival: arrival(chat_address(*from), true),
                bytes: Rc::clone(bytes),
            }));
        }
    }

    /// Hands over some of what passes in memory.
    fn deliver(&mut self) {
        for _ in 0..PARCELS_AT_ONCE {
            if !self.deliver_one() {
                return;
            }
        }
    }

    fn deliver_one(&mut self) -> bool {
        let next = self.parcels.pop_front();
        let Some(parcel) = next.or_else(|| self.gathered.pop_front()) else {
            return false;
        };
        self.taken += 1;
        self.with(parcel.to, |peer, now| {
            peer.handle_datagram(now, parcel.arrival, &parcel.bytes);
        });
        true
    }

    fn with(&mut self, peer: usize, act: impl FnOnce(&mut Endpoint, Now)) {
        let now = self.pace.now();
        act(&mut self.peers[peer], now);
        self.drain(peer);
    }

    fn drain(&mut self, peer: usize) {
        let now = self.pace.now();
        loop {
            match self.peers[peer].poll_output(now) {
                Output::Timeout(deadline, _) => return self.set_deadline(peer, deadline),
                Output::Transmit(transmit) => self.transmit(peer, &transmit),
                Output::Derive(_, token) => {
                    let none = Err("no locked rooms here".to_owned());
                    self.peers[peer].handle_derived(now, token, none);
                }
                Output::Event(_) => {}
                Output::Persist(batch, token) => {
                    let stored: Stored = Ok(vec![Kept::New { key: 0 }; batch.writes.len()]);
                    self.peers[peer].handle_persisted(now, token, stored);
                }
                Output::Load(_, token) => {
                    let loaded: Loaded = Ok(Vec::new());
                    self.peers[peer].handle_loaded(now, token, loaded);
                }
            }
        }
    }

    fn set_deadline(&mut self, peer: usize, deadline: Option<Instant>) {
        let before = std::mem::replace(&mut self.deadlines[peer], deadline);
        self.due.extend(deadline.map(|at| (at, peer)));
        if let Some(at) = before.filter(|_| before != deadline) {
            self.due.remove(&(at, peer));
        }
    }

    fn transmit(&mut self, from: usize, transmit: &lanchat::datagram::Transmit) {
        let to = match transmit.destination {
            Destination::Group(_, path) => match path {
                Path::Bcast4 => {
                    // It counts in what its sender tells that it sent, so in memory, too, it must not
                    // be lost.
                    if transmit.bytes.get(header::KIND) != Some(&HELLO) {
                        self.pass_round(from, &transmit.bytes);
                    }
                    SocketAddrV4::new(BROADCAST, PRESENCE_PORT).into()
                }
                Path::Mcast4 => {
                    self.pass_round(from, &transmit.bytes);
                    SocketAddrV4::new(GROUP, PRESENCE_PORT).into()
                }
                Path::Mcast6 | Path::Unicast => return,
            },
            Destination::Unicast(to) => to,
        };
        let wired = matches!(self.pace, Pace::Real(..));
        let len = transmit.segment_len.unwrap_or(transmit.bytes.len()).max(1);
        let neighbour = match to.ip() {
            IpAddr::V4(v4) if v4 != BROADCAST => index(v4).filter(|&at| at < self.peers.len()),
            _ => None,
        };
        if let Some(neighbour) = neighbour {
            let arrival = arrival(chat_address(from), to.port() == PRESENCE_PORT);
            let parcels = transmit.bytes.chunks(len).map(|bytes| Parcel {
                to: neighbour,
                arrival,
                bytes: bytes.into(),
            });
            self.parcels.extend(parcels);
            return;
        }
        if !wired {
            return;
        }
        // What the buffer of the socket does not take is lost, as on a wire.
        for contents in transmit.bytes.chunks(len) {
            let one = Transmit {
                destination: to,
                ecn: None,
                contents,
                segment_size: None,
                src_ip: Some(address(from).into()),
            };
            let _ = self.chat.state.try_send((&self.chat.socket).into(), &one);
        }
    }

    /// Passes a group datagram to the others. Of the HELLOs of those who meet only the first: nothing of
    /// it is lost on the way, so whoever came before knows its sender then, and whoever comes later is
    /// told of them. The others are most of what a crowd has to read while it meets.
    fn pass_round(&mut self, from: usize, bytes: &[u8]) {
        let meets = matches!(self.pace, Pace::Virtual(_));
        if meets && bytes.get(header::KIND) == Some(&HELLO) {
            if self.introduced[from] {
                return;
            }
            self.introduced[from] = true;
        }
        let arrival = arrival(chat_address(from), true);
        let bytes: Rc<[u8]> = bytes.into();
        if !meets {
            if self.rounds.is_empty() {
                self.gather_until = self.pace.now().mono + GATHER;
            }
            self.rounds.push((from, bytes));
            return;
        }
        for to in (0..self.peers.len()).filter(|&to| to != from) {
            self.parcels.push_back(Parcel {
                to,
                arrival,
                bytes: Rc::clone(&bytes),
            });
        }
    }

    fn wait(&self, time: Duration) -> io::Result<()> {
        let mut sockets = [&self.chat, &self.presence]
            .map(|wire| PollFd::new(wire.socket.as_fd(), PollFlags::POLLIN));
        let millis = u16::try_from(time.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
        match poll(&mut sockets, PollTimeout::from(millis)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn chat_address(peer: usize) -> SocketAddr {
    SocketAddrV4::new(address(peer), CHAT_PORT).into()
}

fn arrival(source: SocketAddr, presence_port: bool) -> Arrival {
    Arrival {
        link: Some(LINK),
        source,
        presence_port,
        ecn: 0,
    }
}

fn link(address: Ipv4Addr) -> Link {
    Link {
        id: LINK,
        name: "eth0".into(),
        loopback: false,
        v4: vec![LinkAddress4 {
            address,
            prefix_len: 16,
        }],
        v6: Vec::new(),
        group: true,
        gateway: None,
    }
}

fn endpoint(now: Now, number: usize) -> Endpoint {
    let mut secret = [0x5a; 32];
    secret[..8].copy_from_slice(&number.to_be_bytes());
    let config = Config {
        name: PeerName::new(&format!("s{number}")).expect("a name"),
        status: Status::Available,
        status_text: StatusText::default(),
        chat_port: CHAT_PORT,
        presence_port: PRESENCE_PORT,
        peers: Vec::new(),
        multicast: true,
        broadcast: true,
        transient: false,
        rooms: RoomName::new("lobby").into_iter().collect(),
        first_hello_ms_max: 5,
        snapshot: Snapshot::default(),
        limits: lanchat::limits::Limits::default(),
        seed: secret,
    };
    Endpoint::new(now, Identity::from_secret(&secret), config)
}
