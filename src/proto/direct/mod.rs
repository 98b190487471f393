//! Private chat over QUIC: [`Direct`], all connections of one node, without I/O.
//!
//! A key is a person: both sides prove theirs by a raw public key (RFC 7250), whoever dials
//! pins the one it expects. On each connection either side opens one stream of frames
//! (`frame.rs`), and streams for other purposes beside it (`streams.rs`). A message stays here until its receiver stored and acknowledged it; whatever
//! becomes of connections, it goes again by its id. `docs/protocol-quic.md` has the bytes.
//!
//! One `&mut` call, then [`Direct::poll_output`] until it answers none, as everywhere in the
//! core; only then [`Direct::deadline`] is right.

mod connect;
mod frame;
mod keys;
mod outbox;
mod output;
mod session;
mod streams;
mod tls;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use quinn_proto::{DatagramEvent, EcnCodepoint, Endpoint, Incoming};

use self::connect::normal;
use self::frame::Frame;
pub use self::frame::PrivateMessage;
use self::outbox::Outbox;
pub use self::output::DirectOutput;
use self::session::{Change, CloseCode, Session};
use self::streams::Stream;
pub use self::streams::StreamKey;
use self::tls::{Clock, Settings};
use super::Identity;
use crate::datagram::{Arrival, Destination, Transmit, canonical};
use crate::id::{MessageId, PublicKey};
use crate::limits::{
    PRIVATE_BODY_LEN_MAX, QUIC_CONNECTIONS_MAX, QUIC_INCOMING_MAX, QUIC_INCOMING_PER_SOURCE_MAX,
    QUIC_RETRY_ABOVE,
};

/// First bytes from here on are QUIC (its fixed bit is set, RFC 9000, 17); ours are below.
const QUIC_FIRST_BYTE_MIN: u8 = 0x40;
/// Datagrams in one transmission: more would exceed what a socket takes at once.
const DATAGRAMS_MAX: usize = 10;
/// A handshake that takes longer is given up.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a peer that closed a connection in favour of another has to finish that one.
const REPLACED_GRACE: Duration = Duration::from_secs(2);

/// What is known of one peer while it has a connection or an outbox.
#[derive(Default)]
struct Peer {
    outbox: Outbox,
    /// The connection in use, up.
    active: Option<usize>,
    /// The one that we dialled and that is not up yet.
    dialling: Option<usize>,
    /// Until when the connection may come in for which the peer closed another.
    grace: Option<Instant>,
}

/// All QUIC connections of one node.
pub struct Direct {
    own: PublicKey,
    endpoint: Endpoint,
    settings: Settings,
    clock: Clock,
    /// The first time that was given.
    start: Option<Instant>,
    /// Connections by QUIC's handle.
    sessions: BTreeMap<usize, Session>,
    sessions_made: u64,
    peers: BTreeMap<PublicKey, Peer>,
    outputs: VecDeque<DirectOutput>,
    /// Connections that may have something to send.
    dirty: BTreeSet<usize>,
    streams: BTreeMap<StreamKey, Stream>,
    streams_made: u64,
    /// A connection ended, and its streams with it.
    sweep: bool,
}

impl Direct {
    /// No connections yet. `seed` must be new with each run.
    #[must_use]
    pub fn new(identity: &Identity, seed: [u8; 32]) -> Self {
        let settings = Settings::new(identity, seed);
        let clock = Clock::default();
        let server = settings.server(&identity.public(), clock.clone());
        if let Err(error) = &server {
            tracing::error!(%error, "no connection can be accepted");
        }
        let config = Arc::new(settings.endpoint(identity, seed));
        Direct {
            own: identity.public(),
            endpoint: Endpoint::new(config, server.ok().map(Arc::new), true, None),
            settings,
            clock,
            start: None,
            sessions: BTreeMap::new(),
            sessions_made: 0,
            peers: BTreeMap::new(),
            outputs: VecDeque::new(),
            dirty: BTreeSet::new(),
            streams: BTreeMap::new(),
            streams_made: 0,
            sweep: false,
        }
    }

    /// Whether these bytes are for [`Direct::handle_datagram`].
    #[must_use]
    pub fn is_quic(bytes: &[u8]) -> bool {
        bytes.first().is_some_and(|&b| b >= QUIC_FIRST_BYTE_MIN)
    }

    /// Sends a message, dialling `address` if no connection is up or under way. It is kept until
    /// acknowledged; one whose id waits already is not taken twice.
    ///
    /// False: it was not taken, because the body is too long, it is for ourselves, or too much
    /// waits for this peer.
    pub fn send(
        &mut self,
        now: Instant,
        peer: &PublicKey,
        address: SocketAddr,
        message: PrivateMessage,
    ) -> bool {
        if *peer == self.own || message.body.len() > PRIVATE_BODY_LEN_MAX {
            return false;
        }
        let taken = self.peers.entry(*peer).or_default().outbox.push(message);
        match self.peers.get(peer).and_then(|peer| peer.active) {
            Some(active) => self.write(now, active),
            None => self.dial(now, peer, address),
        }
        taken
    }

    /// Dials, if no connection is up or under way. What waits for the peer goes with it.
    pub fn dial(&mut self, now: Instant, peer: &PublicKey, address: SocketAddr) {
        let row = self.peers.get(peer);
        if row.is_none_or(|row| row.active.is_none() && row.dialling.is_none()) {
            self.dial_anew(now, peer, address, 0);
        }
    }

    /// A message of this peer is stored. By whatever connection it came, the ACK goes by one
    /// that is up; without any, the peer sends the message again and is answered then.
    pub fn acknowledge(&mut self, now: Instant, peer: &PublicKey, id: MessageId) {
        let held = self.sessions.iter().find(|(_, session)| {
            session.peer == Some(*peer) && session.is_up() && session.holds(&id)
        });
        let active = || self.peers.get(peer).and_then(|peer| peer.active);
        let Some(key) = held.map(|(&key, _)| key).or_else(active) else {
            return;
        };
        if let Some(session) = self.sessions.get_mut(&key) {
            session.acknowledge(id);
        }
        self.drive(now, key);
    }

    /// Gives up a message that waits for this peer. Whether it was there.
    pub fn forget(&mut self, peer: &PublicKey, id: &MessageId) -> bool {
        let Some(row) = self.peers.get_mut(peer) else {
            return false;
        };
        let was_there = row.outbox.remove(id);
        self.tidy(peer);
        was_there
    }

    /// A datagram of QUIC came in. Whatever it holds, at worst one connection ends.
    pub fn handle_datagram(&mut self, now: Instant, arrival: &Arrival, bytes: &[u8]) {
        if !Self::is_quic(bytes) {
            return;
        }
        self.tick(now);
        let mut buffer = Vec::new();
        let event = self.endpoint.handle(
            now,
            normal(arrival.source),
            None,
            EcnCodepoint::from_bits(arrival.ecn),
            BytesMut::from(bytes),
            &mut buffer,
        );
        match event {
            None => {}
            Some(DatagramEvent::Response(transmit)) => self.respond(&transmit, buffer),
            Some(DatagramEvent::NewConnection(incoming)) => self.admit(now, incoming),
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                if let Some(session) = self.sessions.get_mut(&handle.0) {
                    session.handle_event(event);
                    self.drive(now, handle.0);
                }
            }
        }
    }

    /// The deadline passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.tick(now);
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let due: Vec<usize> = self
            .sessions
            .iter()
            .filter(|(_, session)| is_due(session.deadline()))
            .map(|(&key, _)| key)
            .collect();
        for key in due {
            let session = self.sessions.get_mut(&key);
            if let Some(code) = session.and_then(|session| session.handle_timeout(now)) {
                self.fail(now, key, code);
            }
            self.drive(now, key);
        }
        let due: Vec<PublicKey> = self
            .peers
            .iter()
            .filter(|(_, peer)| is_due(peer.grace))
            .map(|(&key, _)| key)
            .collect();
        for peer in due {
            self.settle(now, &peer, false);
        }
    }

    /// The peer left or began a new run: its connections are closed. What it did not
    /// acknowledge stays here and is told by [`DirectOutput::Lost`], if there was a connection.
    pub fn close_peer(&mut self, now: Instant, peer: &PublicKey) {
        self.close_with(now, peer, CloseCode::Gone);
    }

    /// The peer is at another address now. Dials it there at once, unless the connection in
    /// use goes there already; the older one is closed when the new one is up. Without a
    /// connection it dials only if something waits, and one that nothing goes by is closed.
    pub fn address_changed(&mut self, now: Instant, peer: &PublicKey, address: SocketAddr) {
        let address = normal(address);
        let Some(row) = self.peers.get_mut(peer) else {
            return;
        };
        let session = |key: Option<usize>| key.and_then(|key| self.sessions.get(&key));
        let (active, dialling) = (session(row.active), session(row.dialling));
        let goes_there = |session: &Session| session.remote() == address;
        if active.is_some_and(goes_there) || dialling.is_some_and(goes_there) {
            return;
        }
        if active.is_none() && dialling.is_none() && row.outbox.is_empty() {
            return;
        }
        let is_idle = active.is_some_and(|session| !session.is_busy() && !session.talked);
        if let Some(key) = row.active.filter(|_| is_idle)
            && dialling.is_none()
            && row.outbox.is_empty()
        {
            return self.fail(now, key, CloseCode::Idle);
        }
        let generation = active.map_or(0, |session| session.generation.saturating_add(1));
        if let Some(key) = row.dialling.take()
            && let Some(session) = self.sessions.get_mut(&key)
        {
            session.close(now, CloseCode::Replaced);
            session.end();
            self.dirty.insert(key);
        }
        self.dial_anew(now, peer, address, generation);
    }

    /// An own address changed; `way` gives where a peer is reached now. Connections that we
    /// dialled and that go there migrate (RFC 9000, 9). In place of those that were dialled by
    /// the peer a new one is dialled, since only a client migrates, and in place of those that
    /// go elsewhere too: no link may lead there any more, as to a link-local address whose
    /// interface has another index now. Where no way is known, [`Direct::address_changed`] has
    /// to follow once there is one.
    pub fn local_address_changed(
        &mut self,
        now: Instant,
        way: impl Fn(&PublicKey) -> Option<SocketAddr>,
    ) {
        let peers: Vec<PublicKey> = self.peers.keys().copied().collect();
        for peer in peers {
            let Some(address) = way(&peer).map(normal) else {
                continue;
            };
            self.address_changed(now, &peer, address);
            let Some(row) = self.peers.get(&peer).filter(|row| row.dialling.is_none()) else {
                continue;
            };
            let Some(key) = row.active else { continue };
            let Some(session) = self.sessions.get_mut(&key) else {
                continue;
            };
            if session.dialled() {
                session.migrate();
                self.dirty.insert(key);
            } else {
                let generation = session.generation.saturating_add(1);
                self.dial_anew(now, &peer, address, generation);
            }
        }
    }

    /// Closes every connection: the node leaves.
    pub fn close_all(&mut self, now: Instant) {
        let peers: Vec<PublicKey> = self.peers.keys().copied().collect();
        for peer in peers {
            self.close_with(now, &peer, CloseCode::Leaving);
        }
        let left: Vec<usize> = self.sessions.keys().copied().collect();
        for key in left {
            self.fail(now, key, CloseCode::Leaving);
        }
    }

    /// When [`Direct::handle_timeout`] is to be called; right after `poll_output` gave none.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let sessions = self.sessions.values().filter_map(Session::deadline);
        let graces = self.peers.values().filter_map(|peer| peer.grace);
        sessions.chain(graces).min()
    }

    /// The next thing to do; call until it is none.
    pub fn poll_output(&mut self, now: Instant) -> Option<DirectOutput> {
        loop {
            self.sweep_streams();
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            let key = *self.dirty.first()?;
            let Some(session) = self.sessions.get_mut(&key) else {
                self.dirty.remove(&key);
                continue;
            };
            let mut buffer = Vec::new();
            if let Some(transmit) = session.poll_transmit(now, DATAGRAMS_MAX, &mut buffer) {
                self.respond(&transmit, buffer);
            } else {
                self.dirty.remove(&key);
                if session.exchange(&mut self.endpoint) {
                    self.remove(now, key);
                }
            }
        }
    }

    /// Whether a connection with this peer is up.
    #[must_use]
    pub fn is_connected(&self, peer: &PublicKey) -> bool {
        self.peers.get(peer).is_some_and(|row| row.active.is_some())
    }

    /// Whether private messages went by the connection that is up with this peer.
    #[must_use]
    pub fn is_talking(&self, peer: &PublicKey) -> bool {
        let active = self.peers.get(peer).and_then(|row| row.active);
        let session = active.and_then(|active| self.sessions.get(&active));
        session.is_some_and(|session| session.talked)
    }

    /// How many messages to this peer are not acknowledged.
    #[must_use]
    pub fn unacknowledged(&self, peer: &PublicKey) -> usize {
        self.peers.get(peer).map_or(0, |row| row.outbox.len())
    }

    /// How many connections are kept in memory, those that begin and end included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.sessions.len()
    }

    fn tick(&mut self, now: Instant) {
        let start = *self.start.get_or_insert(now);
        self.clock.set(now.saturating_duration_since(start));
    }

    fn respond(&mut self, transmit: &quinn_proto::Transmit, mut buffer: Vec<u8>) {
        buffer.truncate(transmit.size);
        self.outputs.push_back(DirectOutput::Transmit(Transmit {
            destination: Destination::Unicast(transmit.destination),
            bytes: buffer,
            segment_len: transmit.segment_size,
            ecn: transmit.ecn.map_or(0, |ecn| ecn as u8),
        }));
    }
}
