//! The endpoint: everything a node decides, without I/O.

use std::time::Instant;

use super::{Config, Identity, Now, Stats, Timer};
use crate::api::{Event, Request};
use crate::datagram::{Arrival, Link, Transmit};
use crate::durable::{Batch, Loaded, Query, Stored, Token};

/// What an endpoint wants done.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// Send this.
    Transmit(Transmit),
    /// Tell people this.
    Event(Event),
    /// Keep this and answer with the token.
    Persist(Batch, Token),
    /// Look this up and answer with the token.
    Load(Query, Token),
    /// Nothing more; wake me then, for this reason.
    Timeout(Option<Instant>, Timer),
}

/// A node without sockets, clock or disk.
pub struct Endpoint {
    stats: Stats,
}

impl Endpoint {
    /// A node that has not said HELLO yet; it does with the first links that it is given.
    #[must_use]
    pub fn new(now: Now, identity: Identity, config: Config) -> Self {
        let _ = (now, identity, config);
        Endpoint {
            stats: Stats::default(),
        }
    }

    /// The interfaces as they are now; each new link or address gets a burst of HELLOs.
    pub fn set_links(&mut self, now: Now, links: &[Link]) {
        let _ = (now, links);
    }

    /// A datagram came in. QUIC is told from lanchat by its first byte.
    pub fn handle_datagram(&mut self, now: Now, arrival: Arrival, bytes: &[u8]) {
        let _ = (now, arrival, bytes);
    }

    /// Sending to this address failed, or an ICMP error came back for it.
    pub fn handle_unreachable(&mut self, now: Now, address: std::net::SocketAddr) {
        let _ = (now, address);
    }

    /// The deadline passed.
    pub fn handle_timeout(&mut self, now: Now) {
        let _ = now;
    }

    /// The store kept a batch, or could not.
    pub fn handle_persisted(&mut self, now: Now, token: Token, result: Stored) {
        let _ = (now, token, result);
    }

    /// The store answered a query.
    pub fn handle_loaded(&mut self, now: Now, token: Token, result: Loaded) {
        let _ = (now, token, result);
    }

    /// A person or a script wants something. `Quit` and what is unknown are the driver's.
    pub fn handle_request(&mut self, now: Now, request: Request) {
        let _ = (now, request);
    }

    /// Says GOODBYE, twice, 40 ms apart; [`Endpoint::has_left`] tells when it is done.
    pub fn leave(&mut self, now: Now) {
        let _ = now;
    }

    /// Whether the last GOODBYE is out.
    #[must_use]
    pub fn has_left(&self) -> bool {
        true
    }

    /// Comes back after a leave (`fg` after Ctrl-Z), as a new incarnation.
    pub fn rejoin(&mut self, now: Now) {
        let _ = now;
    }

    /// Whether nothing that a person wrote still waits to be sent or acknowledged.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        true
    }

    /// The next thing to do; call until it is a [`Output::Timeout`].
    pub fn poll_output(&mut self, now: Now) -> Output {
        let _ = now;
        Output::Timeout(None, Timer::Idle)
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }
}
