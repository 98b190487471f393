//! The header that every packet starts with.
//!
//! `0x0C, version, type, path, flags (u16), sender (8), incarnation (u64), sequence (u32)`, 26
//! bytes, integers big-endian. Magic, version, type, sender, the header's length and HELLO's name
//! (length and bytes, right after the header) are frozen for all versions.

use super::OtherVersion;
use super::cursor::{Reader, Writer};
use super::error::{EmitError, ParseError};
use crate::datagram::Path;
use crate::id::{Incarnation, ShortId};
use crate::limits::NAME_LEN_MAX;
use crate::text::{DisplayText, PeerName};

/// First byte of every packet. Below 0x40, so that QUIC (whose fixed bit is set) is told apart.
pub const MAGIC: u8 = 0x0c;
/// Version of the protocol.
pub const VERSION: u8 = 1;
/// Length of the header.
pub const HEADER_LEN: usize = 26;
/// Where the path byte stands; it lies outside the signature and counts as zero in it.
pub const PATH_OFFSET: usize = 3;
/// Where the type byte stands.
pub const KIND_OFFSET: usize = 2;
/// Where the sender stands.
pub const SENDER_RANGE: std::ops::Range<usize> = 6..14;
/// Where the incarnation stands.
pub const INCARNATION_RANGE: std::ops::Range<usize> = 14..22;
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
    /// [`super::ProbeRequest`]
    ProbeRequest = 7,
    /// [`super::ProbeReport`]
    ProbeReport = 8,
    /// [`super::Suspect`]
    Suspect = 9,
    /// [`super::Alive`]
    Alive = 10,
    /// [`super::SyncRequest`]
    SyncRequest = 11,
    /// [`super::SyncResponse`]
    SyncResponse = 12,
    /// [`super::SyncChallenge`]
    SyncChallenge = 13,
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
    /// [`super::RoomBeacon`]; only inside of a sealed packet.
    RoomBeacon = 21,
    /// [`super::Sealed`]
    Sealed = 22,
}

impl Kind {
    const ALL: [Kind; 20] = [
        Kind::Hello,
        Kind::Welcome,
        Kind::Heartbeat,
        Kind::Goodbye,
        Kind::Probe,
        Kind::ProbeAck,
        Kind::ProbeRequest,
        Kind::ProbeReport,
        Kind::Suspect,
        Kind::Alive,
        Kind::SyncRequest,
        Kind::SyncResponse,
        Kind::SyncChallenge,
        Kind::Data,
        Kind::Repair,
        Kind::Heads,
        Kind::Nack,
        Kind::Ack,
        Kind::RoomBeacon,
        Kind::Sealed,
    ];

    /// The kind of this type byte.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|&kind| kind as u8 == byte)
    }

    /// The context under which packets of this kind are signed; none where the packet carries
    /// no signature of its own (DATA and REPAIR: their entries are signed; SEALED: what is in it).
    #[must_use]
    pub fn signature_context(self) -> Option<&'static [u8]> {
        Some(match self {
            Kind::Hello => b"lanchat 1 HELLO",
            Kind::Welcome => b"lanchat 1 WELCOME",
            Kind::Heartbeat => b"lanchat 1 HEARTBEAT",
            Kind::Goodbye => b"lanchat 1 GOODBYE",
            Kind::Probe => b"lanchat 1 PROBE",
            Kind::ProbeAck => b"lanchat 1 PROBE ACK",
            Kind::ProbeRequest => b"lanchat 1 PROBE REQUEST",
            Kind::ProbeReport => b"lanchat 1 PROBE REPORT",
            Kind::Suspect => b"lanchat 1 SUSPECT",
            Kind::Alive => b"lanchat 1 ALIVE",
            Kind::SyncRequest => b"lanchat 1 SYNC REQUEST",
            Kind::SyncResponse => b"lanchat 1 SYNC RESPONSE",
            Kind::SyncChallenge => b"lanchat 1 SYNC CHALLENGE",
            Kind::Heads => b"lanchat 1 HEADS",
            Kind::Nack => b"lanchat 1 NACK",
            Kind::Ack => b"lanchat 1 ACK",
            Kind::RoomBeacon => b"lanchat 1 ROOM BEACON",
            Kind::Data | Kind::Repair | Kind::Sealed => return None,
        })
    }

    /// 64 where packets of this kind end with a signature, else 0.
    pub(super) fn signature_len(self) -> usize {
        self.signature_context().map_or(0, |_| SIGNATURE_LEN)
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

impl Header {
    /// Reads the header of a packet of this version.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<(Kind, Header), ParseError> {
        let [magic, version, kind, path] = reader.array()?;
        if magic != MAGIC {
            return Err(ParseError::Magic);
        }
        if version != VERSION {
            return Err(ParseError::Version);
        }
        let kind = Kind::from_byte(kind).ok_or(ParseError::Unknown)?;
        let header = Header {
            path: Path::from_byte(path).ok_or(ParseError::Unknown)?,
            flags: reader.read()?,
            sender: reader.read()?,
            incarnation: reader.read()?,
            sequence: reader.read()?,
        };
        Ok((kind, header))
    }

    /// Appends the header.
    pub(super) fn write(&self, kind: Kind, writer: &mut Writer) -> Result<(), EmitError> {
        writer.put(&[MAGIC, VERSION, kind as u8, self.path as u8]);
        writer.write(&self.flags)?;
        writer.write(&self.sender)?;
        writer.write(&self.incarnation)?;
        writer.write(&self.sequence)
    }
}

/// What the frozen fields of a HELLO of another version say.
pub(super) fn other_version(bytes: &[u8]) -> Result<OtherVersion, ParseError> {
    let frozen = |bytes| {
        let mut reader = Reader::new(bytes);
        let [_, version, kind, _, _, _] = reader.array()?;
        let sender = reader.read()?;
        reader.take(HEADER_LEN - 14)?;
        let name = PeerName::from_wire(reader.short(NAME_LEN_MAX)?).ok_or(ParseError::Text)?;
        Ok((kind, version, sender, name))
    };
    match frozen(bytes) {
        Ok((kind, version, sender, name)) if kind == Kind::Hello as u8 => Ok(OtherVersion {
            version,
            sender,
            name: DisplayText::line(name.as_str()),
        }),
        Ok(_) | Err::<_, ParseError>(_) => Err(ParseError::Version),
    }
}
