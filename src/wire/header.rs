//! The header that every packet starts with.
//!
//! `0x0C, version, type, path, flags (u16), sender (8), incarnation (u64), sequence (u32)`, 26
//! bytes, integers big-endian. Magic, version, type, the header's length and HELLO's name
//! (length and bytes, right after the header) are frozen for all versions.

use crate::datagram::Path;
use crate::id::{Incarnation, ShortId};

/// First byte of every packet. Below 0x40, so that QUIC (whose fixed bit is set) is told apart.
pub const MAGIC: u8 = 0x0c;
/// Version of the protocol.
pub const VERSION: u8 = 1;
/// Length of the header.
pub const HEADER_LEN: usize = 26;
/// Where the path byte stands; it lies outside the signature and counts as zero in it.
pub const PATH_OFFSET: usize = 3;
/// Length of the signature (Ed25519, RFC 8032) that ends every signed packet.
pub const SIGNATURE_LEN: usize = 64;

/// What a packet is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    /// [`super::Hello`]
    Hello = 1,
    /// [`super::Welcome`]
    Welcome = 2,
    /// [`super::Heartbeat`]
    Heartbeat = 3,
    /// [`super::Goodbye`]
    Goodbye = 4,
    /// [`super::Probe`]
    Probe = 5,
    /// [`super::ProbeAck`]
    ProbeAck = 6,
    /// [`super::Entry`]
    Data = 16,
    /// [`super::Repair`]
    Repair = 17,
    /// [`super::Heads`]
    Heads = 18,
    /// [`super::Nack`]
    Nack = 19,
    /// [`super::Ack`]
    Ack = 20,
}

impl Kind {
    /// The context under which packets of this kind are signed; none where the packet carries
    /// no signature of its own (DATA and REPAIR: their entries are signed).
    #[must_use]
    pub fn signature_context(self) -> Option<&'static [u8]> {
        Some(match self {
            Kind::Hello => b"lanchat 1 HELLO",
            Kind::Welcome => b"lanchat 1 WELCOME",
            Kind::Heartbeat => b"lanchat 1 HEARTBEAT",
            Kind::Goodbye => b"lanchat 1 GOODBYE",
            Kind::Probe => b"lanchat 1 PROBE",
            Kind::ProbeAck => b"lanchat 1 PROBE ACK",
            Kind::Heads => b"lanchat 1 HEADS",
            Kind::Nack => b"lanchat 1 NACK",
            Kind::Ack => b"lanchat 1 ACK",
            Kind::Data | Kind::Repair => return None,
        })
    }
}

/// The header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// How it was sent; not signed.
    pub path: Path,
    /// Reserved, 0; unknown bits are ignored.
    pub flags: u16,
    /// Who sent it.
    pub sender: ShortId,
    /// In which run.
    pub incarnation: Incarnation,
    /// Number of the packet in that run, from 1, one for all copies of it.
    pub sequence: u32,
}
