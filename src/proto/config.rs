//! What an [`super::Endpoint`] is told at its start.

use std::net::SocketAddr;

use crate::api::Status;
use crate::durable::Snapshot;
use crate::limits::Limits;
use crate::text::{PeerName, RoomName, StatusText};

/// The default chat port, tried first where `--peer` names none.
pub const CHAT_PORT: u16 = 5263;

/// Settings of a node.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name shown to others.
    pub name: PeerName,
    /// Status at the start.
    pub status: Status,
    /// Words with it.
    pub status_text: StatusText,
    /// The port that the chat sockets are bound to; never 0.
    pub chat_port: u16,
    /// The port where others listen for groups and first contacts.
    pub presence_port: u16,
    /// Addresses to say HELLO to by unicast (`--peer`); port 0 means: the default chat port,
    /// then the presence port.
    pub peers: Vec<SocketAddr>,
    /// Whether to send to multicast groups.
    pub multicast: bool,
    /// Whether to send directed broadcasts.
    pub broadcast: bool,
    /// Whether this is a one-shot command that no screen announces.
    pub transient: bool,
    /// Rooms open from the start.
    pub rooms: Vec<RoomName>,
    /// Upper bound of the first HELLO's random delay, in milliseconds: 5 at a start by hand, 20
    /// where many act at once.
    pub first_hello_ms_max: u64,
    /// What the store knew.
    pub snapshot: Snapshot,
    /// What a person or a bench may set of the bounds.
    pub limits: Limits,
    /// Seed of all randomness; from the system, or fixed in a simulation.
    pub seed: [u8; 32],
}
