//! Bytes to packets and back, and nothing else: no clock, no state, no crypto but hashing.
//!
//! Parsing checks every length and range; a packet that parses is well-formed, not yet genuine.
//! `docs/protocol.md` is the specification, field by field.

pub mod cursor;
pub mod entry;
pub mod error;
pub mod group;
pub mod header;
pub mod known;
pub mod presence;
pub mod record;
pub mod sealed;
pub mod sync;

#[cfg(test)]
mod tests;

pub use entry::{Entry, EntryFields, EntryKind};
pub use error::{EmitError, ParseError};
pub use group::{Ack, HeadOf, Heads, Nack, Repair, Run};
pub use header::{Header, Kind, MAGIC, VERSION};
pub use presence::{
    Alive, Digest, Echo, Goodbye, Heartbeat, Hello, Known, News, OtherVersion, OwnLog, PathsHeard,
    PeerRecord, Probe, ProbeAck, ProbeReport, ProbeRequest, RecordFields, RecordRoom, RoomDigest,
    Suspect, Welcome,
};
pub use sealed::{Opened, Opener, RoomBeacon, Sealed, Sealer, open, seal};
pub use sync::{Hint, Relayed, SyncChallenge, SyncRequest, SyncResponse, Want};

use crate::datagram::Path;
use crate::limits::DATAGRAM_LEN_MAX;
use cursor::{Reader, Wire, Writer};
use header::{HEADER_LEN, PATH_OFFSET, SIGNATURE_LEN};

/// Reads a whole datagram. The signature, where the kind has one, is still to be verified: see
/// [`signing_input`] and [`signature`].
///
/// # Errors
/// Why it is no packet. Trailing bytes and more than 1200 bytes are errors too.
pub fn parse(bytes: &[u8]) -> Result<Parsed, ParseError> {
    if bytes.len() > DATAGRAM_LEN_MAX {
        return Err(ParseError::Length);
    }
    match *bytes {
        [] => return Err(ParseError::Length),
        [magic, ..] if magic != MAGIC => return Err(ParseError::Magic),
        [_, version, ..] if version != VERSION => {
            return header::other_version(bytes).map(Parsed::OtherVersion);
        }
        _ => {}
    }
    let mut reader = Reader::new(bytes);
    let (kind, header) = Header::read(&mut reader)?;
    if kind == Kind::RoomBeacon {
        // In the open it would tell who is in a locked room.
        return Err(ParseError::Unknown);
    }
    let body = Body::read(kind, reader.rest())?;
    Ok(Parsed::Packet(Packet { header, body }))
}

/// The bytes of a packet, signed by `sign` if its kind is.
///
/// # Errors
/// What every receiver would refuse; `sign` was not called then.
pub fn emit(
    header: &Header,
    body: &Body,
    sign: &mut dyn FnMut(&[u8]) -> [u8; 64],
) -> Result<Vec<u8>, EmitError> {
    if matches!(body, Body::RoomBeacon(_)) {
        return Err(EmitError::Range);
    }
    emit_open(header, body, DATAGRAM_LEN_MAX, sign)
}

/// As [`emit`], at most `len_max` bytes, and also what is to be sealed.
fn emit_open(
    header: &Header,
    body: &Body,
    len_max: usize,
    sign: &mut dyn FnMut(&[u8]) -> [u8; 64],
) -> Result<Vec<u8>, EmitError> {
    let kind = body.kind();
    let mut writer = Writer::new();
    header.write(kind, &mut writer)?;
    body.write(&mut writer)?;
    let mut bytes = writer.into_bytes();
    if bytes.len() + kind.signature_len() > len_max {
        return Err(EmitError::TooLong);
    }
    if let Some(context) = kind.signature_context() {
        let signature = sign(&input(context, &bytes));
        bytes.extend_from_slice(&signature);
    }
    Ok(bytes)
}

/// What the signature of a received packet is of: the context of its kind, a zero, and all but
/// the signature with the path byte as zero. None if the kind is not signed or `bytes` are too
/// short to be.
#[must_use]
pub fn signing_input(kind: Kind, bytes: &[u8]) -> Option<Vec<u8>> {
    let context = kind.signature_context()?;
    let signed_len = bytes.len().checked_sub(SIGNATURE_LEN)?;
    (signed_len >= HEADER_LEN).then(|| input(context, &bytes[..signed_len]))
}

/// The last 64 bytes, if there are as many.
#[must_use]
pub fn signature(bytes: &[u8]) -> Option<[u8; 64]> {
    bytes.last_chunk().copied()
}

/// Makes a copy of a packet one for another path; nothing has to be signed again.
pub fn set_path(bytes: &mut [u8], path: Path) {
    if let Some(byte) = bytes.get_mut(PATH_OFFSET) {
        *byte = path as u8;
    }
}

/// `context || 0 || signed` with the path byte as zero; `signed` starts with a whole header.
fn input(context: &[u8], signed: &[u8]) -> Vec<u8> {
    let mut input = [context, &[0], signed].concat();
    set_path(&mut input[context.len() + 1..], Path::Unicast);
    input
}

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
    /// Ask that one for me.
    ProbeRequest(ProbeRequest),
    /// It answered.
    ProbeReport(ProbeReport),
    /// That one does not answer me.
    Suspect(Suspect),
    /// I am alive.
    Alive(Alive),
    /// Which records do I miss?
    SyncRequest(SyncRequest),
    /// These.
    SyncResponse(SyncResponse),
    /// Prove your address first.
    SyncChallenge(SyncChallenge),
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
    /// Who is in this locked room; only inside of a sealed packet.
    RoomBeacon(RoomBeacon),
    /// Something of a locked room.
    Sealed(Sealed),
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
// Taken apart where it is made, never stored: a box would only cost an allocation a datagram.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Parsed {
    /// A packet of this version.
    Packet(Packet),
    /// A HELLO of another version: only the frozen fields are known, nothing is verified.
    OtherVersion(OtherVersion),
}

impl Body {
    /// The kind that the header names.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Body::Hello(_) => Kind::Hello,
            Body::Welcome(_) => Kind::Welcome,
            Body::Heartbeat(_) => Kind::Heartbeat,
            Body::Goodbye(_) => Kind::Goodbye,
            Body::Probe(_) => Kind::Probe,
            Body::ProbeAck(_) => Kind::ProbeAck,
            Body::ProbeRequest(_) => Kind::ProbeRequest,
            Body::ProbeReport(_) => Kind::ProbeReport,
            Body::Suspect(_) => Kind::Suspect,
            Body::Alive(_) => Kind::Alive,
            Body::SyncRequest(_) => Kind::SyncRequest,
            Body::SyncResponse(_) => Kind::SyncResponse,
            Body::SyncChallenge(_) => Kind::SyncChallenge,
            Body::Data(_) => Kind::Data,
            Body::Repair(_) => Kind::Repair,
            Body::Heads(_) => Kind::Heads,
            Body::Nack(_) => Kind::Nack,
            Body::Ack(_) => Kind::Ack,
            Body::RoomBeacon(_) => Kind::RoomBeacon,
            Body::Sealed(_) => Kind::Sealed,
        }
    }

    /// Reads what follows the header.
    fn read(kind: Kind, bytes: &[u8]) -> Result<Body, ParseError> {
        let len = bytes.len().checked_sub(kind.signature_len());
        let mut reader = Reader::new(&bytes[..len.ok_or(ParseError::Length)?]);
        let body = match kind {
            Kind::Hello => Body::Hello(reader.read()?),
            Kind::Welcome => Body::Welcome(reader.read()?),
            Kind::Heartbeat => Body::Heartbeat(reader.read()?),
            Kind::Goodbye => Body::Goodbye(reader.read()?),
            Kind::Probe => Body::Probe(reader.read()?),
            Kind::ProbeAck => Body::ProbeAck(reader.read()?),
            Kind::ProbeRequest => Body::ProbeRequest(reader.read()?),
            Kind::ProbeReport => Body::ProbeReport(reader.read()?),
            Kind::Suspect => Body::Suspect(reader.read()?),
            Kind::Alive => Body::Alive(reader.read()?),
            Kind::SyncRequest => Body::SyncRequest(reader.read()?),
            Kind::SyncResponse => Body::SyncResponse(reader.read()?),
            Kind::SyncChallenge => Body::SyncChallenge(reader.read()?),
            Kind::Data => return Entry::parse(bytes).map(Body::Data),
            Kind::Repair => Body::Repair(reader.read()?),
            Kind::Heads => Body::Heads(reader.read()?),
            Kind::Nack => Body::Nack(reader.read()?),
            Kind::Ack => Body::Ack(reader.read()?),
            Kind::RoomBeacon => Body::RoomBeacon(reader.read()?),
            Kind::Sealed => Body::Sealed(reader.read()?),
        };
        reader.finish()?;
        Ok(body)
    }

    fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
        match self {
            Body::Hello(hello) => hello.write(writer),
            Body::Welcome(welcome) => welcome.write(writer),
            Body::Heartbeat(heartbeat) => heartbeat.write(writer),
            Body::Goodbye(goodbye) => goodbye.write(writer),
            Body::Probe(probe) => probe.write(writer),
            Body::ProbeAck(ack) => ack.write(writer),
            Body::ProbeRequest(request) => request.write(writer),
            Body::ProbeReport(report) => report.write(writer),
            Body::Suspect(suspect) => suspect.write(writer),
            Body::Alive(alive) => alive.write(writer),
            Body::SyncRequest(request) => request.write(writer),
            Body::SyncResponse(response) => response.write(writer),
            Body::SyncChallenge(challenge) => challenge.write(writer),
            Body::Data(entry) => {
                writer.put(&entry.bytes);
                Ok(())
            }
            Body::Repair(repair) => repair.write(writer),
            Body::Heads(heads) => heads.write(writer),
            Body::Nack(nack) => nack.write(writer),
            Body::Ack(ack) => ack.write(writer),
            Body::RoomBeacon(beacon) => beacon.write(writer),
            Body::Sealed(sealed) => sealed.write(writer),
        }
    }
}
