//! What the parts of an endpoint share: who it is, its randomness, and the way out.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::Value;

use super::doubt::Doubt;
use super::group::Refusal;
use super::locked::Derivation;
use super::locked::seal::Seal;
use super::network::Decided;
use super::{Config, Identity, Output, Stats};
use crate::api::Event;
use crate::datagram::{Destination, Link, LinkId, Path, Transmit};
use crate::durable::{Batch, Query, Token};
use crate::id::{Incarnation, NetworkId, Nonce, ShortId};
use crate::wire::{self, Body, Header, RecordRoom};

/// How long an ICMP error may follow what it answers.
const USED: Duration = Duration::from_secs(1);
/// Most addresses of which that is remembered.
const USED_MAX: usize = 4096;

/// Shared by presence, rooms and private chat.
pub struct Core {
    /// Who this node is.
    pub identity: Identity,
    /// Settings.
    pub config: Config,
    /// The rooms this node is in, as its record lists them.
    pub rooms: Vec<RecordRoom>,
    /// The run, part of every packet.
    pub incarnation: Incarnation,
    /// Counters.
    pub stats: Stats,
    /// Interfaces in use.
    pub links: Vec<Link>,
    /// What the network of each of them is taken to be.
    pub(super) decided: BTreeMap<LinkId, Decided>,
    /// The network that this node was in last.
    pub(super) last_network: Option<NetworkId>,
    /// Whether it is not known which networks the links are in.
    pub(super) doubt: Option<Doubt>,
    /// Whether no group traffic reaches this node, as its record says.
    pub deaf: bool,
    /// Whether packets go out: not before the incarnation is saved, not after the leave.
    pub open: bool,
    /// Signed group datagrams sent on each link in this run, copies included.
    pub group_sent: BTreeMap<LinkId, u32>,
    /// The time of the call that is being handled.
    pub mono: Instant,
    /// When something was last sent to an address, for about a second.
    used: BTreeMap<SocketAddr, Instant>,
    rng: ChaCha12Rng,
    short: ShortId,
    sequence: u32,
    next_token: u64,
    outputs: VecDeque<Output>,
}

impl Core {
    /// Nothing sent yet.
    pub fn new(now: Instant, identity: Identity, config: Config, incarnation: Incarnation) -> Self {
        let rng = ChaCha12Rng::from_seed(config.seed);
        let short = identity.id().short();
        let rooms = config.rooms.iter().cloned().map(RecordRoom::Public);
        Core {
            identity,
            rooms: rooms.collect(),
            config,
            incarnation,
            stats: Stats::default(),
            links: Vec::new(),
            decided: BTreeMap::new(),
            last_network: None,
            doubt: None,
            deaf: false,
            open: false,
            group_sent: BTreeMap::new(),
            mono: now,
            used: BTreeMap::new(),
            rng,
            short,
            sequence: 0,
            next_token: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Own id as packets name it.
    pub fn short(&self) -> ShortId {
        self.short
    }

    /// A new run, after a leave or because of a copied identity; sequence numbers begin anew.
    pub fn renew(&mut self, incarnation: Incarnation) {
        self.incarnation = incarnation;
        self.sequence = 0;
        self.group_sent.clear();
    }

    /// Random bytes.
    pub fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// A fresh nonce.
    pub fn nonce(&mut self) -> Nonce {
        Nonce(self.random())
    }

    /// Uniform in 0..=`most`.
    pub fn jitter(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.unit())
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        // 53 random bits fill the mantissa of a double.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
        let bits = (self.rng.next_u64() >> 11) as f64;
        bits / (1u64 << 53) as f64
    }

    /// A packet with the next sequence number, signed if its kind is.
    pub fn packet(&mut self, body: &Body) -> Option<Vec<u8>> {
        let header = self.header();
        let identity = &self.identity;
        let emitted = wire::emit(&header, body, &mut |bytes| identity.sign(bytes));
        fitting(body, emitted)
    }

    /// The same sealed for a locked room.
    pub fn sealed_packet(&mut self, seal: &Seal, body: &Body) -> Option<Vec<u8>> {
        let (header, nonce) = (self.header(), self.random());
        let identity = &self.identity;
        let mut random = || nonce;
        let mut sealing = seal.with(&mut random);
        let emitted = wire::seal(&header, body, &mut sealing, &mut |bytes| {
            identity.sign(bytes)
        });
        fitting(body, emitted)
    }

    fn header(&mut self) -> Header {
        self.sequence = self.sequence.wrapping_add(1);
        Header {
            path: Path::Unicast,
            flags: 0,
            sender: self.short,
            incarnation: self.incarnation,
            sequence: self.sequence,
        }
    }

    /// Sends a packet to one address. Returns its length, 0 if it was not sent.
    pub fn send_to(&mut self, to: SocketAddr, body: &Body) -> usize {
        let bytes = if self.open { self.packet(body) } else { None };
        let len = bytes.as_ref().map_or(0, Vec::len);
        if let Some(bytes) = bytes {
            self.transmit(Destination::Unicast(to), bytes);
        }
        len
    }

    /// Sends these bytes on one link by each of these paths that it has.
    pub fn send_on_link(&mut self, link: LinkId, bytes: &[u8], paths: &[Path]) {
        let Some(entry) = self
            .links
            .iter()
            .find(|entry| entry.id == link && entry.group)
        else {
            return;
        };
        let usable: Vec<Path> = paths
            .iter()
            .copied()
            .filter(|&path| self.path_usable(entry, path))
            .collect();
        // Whose a DATA packet is no signature tells, and a sealed one only those in its room, so
        // nobody can count those it hears.
        let kind = bytes.get(wire::header::KIND_OFFSET).copied();
        let uncounted = [wire::header::Kind::Data, wire::header::Kind::Sealed];
        let is_signed = !uncounted.iter().any(|&of| kind == Some(of as u8));
        for path in usable {
            let mut copy = bytes.to_vec();
            wire::set_path(&mut copy, path);
            if is_signed {
                *self.group_sent.entry(link).or_default() += 1;
            }
            self.transmit(Destination::Group(link, path), copy);
        }
    }

    /// Sends these bytes on every link by each of these paths.
    pub fn send_on_all(&mut self, bytes: &[u8], paths: &[Path]) {
        let links: Vec<LinkId> = self.links.iter().map(|link| link.id).collect();
        for link in links {
            self.send_on_link(link, bytes, paths);
        }
    }

    /// Sends these bytes by each of these paths on the links of the networks that `told` says.
    pub fn send_where(&mut self, told: impl Fn(NetworkId) -> bool, bytes: &[u8], paths: &[Path]) {
        let links: Vec<LinkId> = self.links.iter().map(|link| link.id).collect();
        for link in links {
            if told(self.network_on(link)) {
                self.send_on_link(link, bytes, paths);
            }
        }
    }

    /// Whether a group path can be used on this link.
    pub fn path_usable(&self, link: &Link, path: Path) -> bool {
        match path {
            Path::Unicast => false,
            Path::Mcast4 => self.config.multicast && !link.v4.is_empty(),
            // On the loopback it goes to many ports one by one, so only where IPv4 is not used.
            Path::Mcast6 if link.loopback && !link.v4.is_empty() => false,
            Path::Mcast6 => self.config.multicast && !link.v6.is_empty(),
            Path::Bcast4 => {
                self.config.broadcast && link.v4.iter().any(|own| own.broadcast().is_some())
            }
        }
    }

    /// Whether an address is one of this host's own.
    pub fn is_own_address(&self, address: IpAddr) -> bool {
        self.links.iter().any(|link| match address {
            IpAddr::V4(v4) => link.v4.iter().any(|own| own.address == v4),
            IpAddr::V6(v6) => link.v6.contains(&v6),
        })
    }

    /// Hands a datagram out.
    pub fn transmit(&mut self, destination: Destination, bytes: Vec<u8>) {
        let transmit = Transmit {
            destination,
            bytes,
            segment_len: None,
            ecn: 0,
        };
        self.push(Output::Transmit(transmit));
    }

    /// Tells people.
    pub fn event(&mut self, event: Event) {
        self.push(Output::Event(event));
    }

    /// Answers a command that cannot be done.
    pub fn refuse(&mut self, reference: Option<Value>, (code, message, hint): Refusal) {
        self.event(Event::Error {
            reference,
            code: code.into(),
            message,
            hint: Some(hint),
        });
    }

    /// Asks for a batch to be kept.
    pub fn persist(&mut self, batch: Batch) -> Token {
        let token = self.token();
        self.push(Output::Persist(batch, token));
        token
    }

    /// Asks the store.
    pub fn load(&mut self, query: Query) -> Token {
        let token = self.token();
        self.push(Output::Load(query, token));
        token
    }

    /// Queues an output. No datagram leaves while the node is closed, whoever made it.
    pub fn push(&mut self, output: Output) {
        if !self.open && matches!(output, Output::Transmit(_)) {
            return;
        }
        if let Output::Transmit(transmit) = &output {
            let segments = transmit
                .segment_len
                .map_or(1, |len| transmit.bytes.len().div_ceil(len));
            self.stats.datagrams_out += segments as u64;
            if let Destination::Unicast(to) = transmit.destination {
                self.note_used(to);
            }
        }
        self.outputs.push_back(output);
    }

    /// Whether something was sent there within the last second: only then an ICMP error can be
    /// an answer.
    pub fn used_lately(&self, now: Instant, at: SocketAddr) -> bool {
        self.used.get(&at).is_some_and(|&used| now < used + USED)
    }

    fn note_used(&mut self, to: SocketAddr) {
        let now = self.mono;
        if self.used.len() >= USED_MAX && !self.used.contains_key(&to) {
            self.used.retain(|_, &mut used| now < used + USED);
        }
        if self.used.len() < USED_MAX || self.used.contains_key(&to) {
            self.used.insert(to, now);
        }
    }

    /// The next output.
    pub fn pop(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Has the key of a locked room derived.
    pub fn derive(&mut self, from: Derivation) -> Token {
        let token = self.token();
        self.push(Output::Derive(from, token));
        token
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }
}

/// The bytes of an own packet; what does not fit is a fault of this program.
fn fitting(body: &Body, emitted: Result<Vec<u8>, wire::EmitError>) -> Option<Vec<u8>> {
    emitted
        .inspect_err(
            |error| tracing::error!(kind = ?body.kind(), %error, "own packet does not fit"),
        )
        .ok()
}
