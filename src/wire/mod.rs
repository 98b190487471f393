//! Bytes to packets and back, and nothing else: no clock, no state, no crypto but hashing.
//!
//! Parsing checks every length and range; a packet that parses is well-formed, not yet genuine.
//! `docs/protocol.md` is the specification, field by field.

pub mod cursor;
pub mod error;
pub mod group;
pub mod header;
pub mod presence;

pub use error::ParseError;
pub use group::{Ack, Entry, EntryKind, HeadOf, Heads, Nack, Repair, Run};
pub use header::{Header, Kind, MAGIC, VERSION};
pub use presence::{
    Digest, Echo, Goodbye, Heartbeat, Hello, Known, News, OtherVersion, OwnLog, PathsHeard,
    PeerRecord, Probe, ProbeAck, RecordRoom, RoomDigest, Welcome,
};

/// A packet's body, by its type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// I am here; who else?
    Hello(Hello),
    /// So am I.
    Welcome(Welcome),
    /// Still here.
    Heartbeat(Heartbeat),
    /// I leave.
    Goodbye(Goodbye),
    /// Answer me from there.
    Probe(Probe),
    /// Here is your nonce.
    ProbeAck(ProbeAck),
    /// An entry of a room.
    Data(Entry),
    /// Entries that you asked for.
    Repair(Repair),
    /// So far goes my log.
    Heads(Heads),
    /// These I miss.
    Nack(Nack),
    /// So far I have yours.
    Ack(Ack),
}

/// A well-formed datagram.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// Its header.
    pub header: Header,
    /// What it says.
    pub body: Body,
}

/// What a datagram turned out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Parsed {
    /// A packet of this version.
    Packet(Packet),
    /// A HELLO of another version: only the frozen fields are known, nothing is verified.
    OtherVersion(OtherVersion),
}
