//! Packets of locked rooms: what is said in one travels sealed, by whoever has its key.
//!
//! `header (26) || room tag (8) || nonce (24) || sealed`, where `sealed` is an AEAD of `kind (1) ||
//! body` and its tag of 16 bytes; the body is that of the open packet, its signature included. The
//! associated data is `"lanchat 1 SEALED" || 0 || header with path byte 0 || room tag`. A receiver
//! opens first, which costs microseconds, and only then verifies: the inner signature is that of
//! the open packet, whose header has the inner kind. The cipher comes as a trait object, so that
//! nothing here knows of keys.

use super::cursor::{Reader, Wire, Writer};
use super::error::{EmitError, ParseError};
use super::group::HeadOf;
use super::header::{Header, KIND_OFFSET, Kind};
use super::{Body, emit_open, input};
use crate::id::{RoomTag, ShortId};
use crate::limits::{BEACON_HEADS_MAX, BEACON_MEMBERS_MAX, DATAGRAM_LEN_MAX};

/// Context of the associated data.
pub const SEALED_CONTEXT: &[u8] = b"lanchat 1 SEALED";
/// Length of the nonce (`XChaCha20`, draft-irtf-cfrg-xchacha-03).
pub const SEAL_NONCE_LEN: usize = 24;
/// Length of the authentication tag (Poly1305, RFC 8439).
pub const SEAL_TAG_LEN: usize = 16;
/// What sealing adds to an open packet: the room's tag, the nonce, the kind and the tag.
pub const SEALED_OVERHEAD: usize = 8 + SEAL_NONCE_LEN + 1 + SEAL_TAG_LEN;

/// A packet of a locked room, as whoever has no key sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sealed {
    /// The room.
    pub room: RoomTag,
    /// Random, never used twice under one key.
    pub nonce: [u8; SEAL_NONCE_LEN],
    /// Ciphertext and tag: at least the kind and 16 bytes.
    pub sealed: Vec<u8>,
}

/// Who of a locked room was heard, and where its logs stand. Group paths, signed, only sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomBeacon {
    /// The room.
    pub room: RoomTag,
    /// Members heard of late; at most 64, in turn where there are more.
    pub members: Vec<ShortId>,
    /// Heads of logs as the sender holds them, its own first; at most 24, in turn.
    pub heads: Vec<HeadOf>,
    /// Whether the sender leaves the room.
    pub leaving: bool,
}

/// Seals for one room.
pub trait Sealer {
    /// The room's tag.
    fn room(&self) -> RoomTag;
    /// A fresh random nonce.
    fn nonce(&mut self) -> [u8; SEAL_NONCE_LEN];
    /// Ciphertext and tag; none where `plain` cannot be sealed.
    fn seal(
        &self,
        nonce: &[u8; SEAL_NONCE_LEN],
        associated: &[u8],
        plain: &[u8],
    ) -> Option<Vec<u8>>;
}

/// Opens what was sealed for one room.
pub trait Opener {
    /// What was sealed; none where the tag does not hold.
    fn open(
        &self,
        nonce: &[u8; SEAL_NONCE_LEN],
        associated: &[u8],
        sealed: &[u8],
    ) -> Option<Vec<u8>>;
}

/// What was in a sealed packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// What it says; its signature, where its kind has one, is still to be verified.
    pub body: Body,
    /// The open packet that it stands for, byte for byte: for [`super::signing_input`] and
    /// [`super::signature`].
    pub bytes: Vec<u8>,
}

/// The bytes of a sealed packet that says `body`, signed by `sign` if its kind is.
///
/// # Errors
/// [`EmitError::Range`] for what does not belong into a locked room, or into another than the
/// sealer's; [`EmitError::TooLong`] above 1200 bytes; else as [`super::emit`].
pub fn seal(
    header: &Header,
    body: &Body,
    sealer: &mut dyn Sealer,
    sign: &mut dyn FnMut(&[u8]) -> [u8; 64],
) -> Result<Vec<u8>, EmitError> {
    let room = sealer.room();
    if !belongs(body, room) {
        return Err(EmitError::Range);
    }
    let open = emit_open(header, body, DATAGRAM_LEN_MAX - SEALED_OVERHEAD, sign)?;
    let mut outer = Writer::new();
    header.write(Kind::Sealed, &mut outer)?;
    let mut bytes = outer.into_bytes();
    let plain = [&[body.kind() as u8], &open[bytes.len()..]].concat();
    let associated = associated(&bytes, room);
    let nonce = sealer.nonce();
    let sealed = sealer.seal(&nonce, &associated, &plain);
    bytes.extend_from_slice(&room.0);
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(&sealed.ok_or(EmitError::TooLong)?);
    Ok(bytes)
}

/// What is in a sealed packet that came under `header`.
///
/// # Errors
/// [`ParseError::Sealed`] where it was not sealed with this key or under another header;
/// [`ParseError::Unknown`] and [`ParseError::Range`] for what does not belong into this room; else
/// as [`super::parse`].
pub fn open(sealed: &Sealed, header: &Header, opener: &dyn Opener) -> Result<Opened, ParseError> {
    let mut writer = Writer::new();
    let written = header.write(Kind::Sealed, &mut writer);
    let mut bytes = writer.into_bytes();
    let associated = associated(&bytes, sealed.room);
    let plain = opener.open(&sealed.nonce, &associated, &sealed.sealed);
    let plain = plain.filter(|_| written.is_ok());
    let plain = plain.ok_or(ParseError::Sealed)?;
    let (&kind, inner) = plain.split_first().ok_or(ParseError::Length)?;
    let kind = Kind::from_byte(kind).filter(|&kind| may_be_sealed(kind));
    let kind = kind.ok_or(ParseError::Unknown)?;
    let body = Body::read(kind, inner)?;
    if !belongs(&body, sealed.room) {
        return Err(ParseError::Range);
    }
    bytes[KIND_OFFSET] = kind as u8;
    bytes.extend_from_slice(inner);
    Ok(Opened { body, bytes })
}

/// `context || 0 || header with path byte 0 || room tag`.
fn associated(header: &[u8], room: RoomTag) -> Vec<u8> {
    let mut associated = input(SEALED_CONTEXT, header);
    associated.extend_from_slice(&room.0);
    associated
}

/// Whether packets of this kind are sealed in locked rooms.
fn may_be_sealed(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Data | Kind::Repair | Kind::Heads | Kind::Nack | Kind::Ack | Kind::RoomBeacon
    )
}

/// Whether a packet is about this room and no other.
fn belongs(body: &Body, room: RoomTag) -> bool {
    match body {
        Body::Data(entry) => entry.room == room,
        Body::Repair(repair) => repair.entries.iter().all(|entry| entry.room == room),
        Body::Heads(heads) => heads.room == room,
        Body::Nack(nack) => nack.room == room,
        Body::Ack(ack) => ack.room == room,
        Body::RoomBeacon(beacon) => beacon.room == room,
        _ => false,
    }
}

impl Wire for Sealed {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let room = reader.read()?;
        let nonce = reader.array()?;
        let sealed = reader.take(reader.rest().len())?.to_vec();
        if sealed.len() <= SEAL_TAG_LEN {
            return Err(ParseError::Length);
        }
        Ok(Sealed {
            room,
            nonce,
            sealed,
        })
    }

    fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
        if self.sealed.len() <= SEAL_TAG_LEN {
            return Err(EmitError::Range);
        }
        writer.write(&self.room)?;
        writer.put(&self.nonce);
        writer.put(&self.sealed);
        Ok(())
    }
}

impl Wire for RoomBeacon {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        Ok(RoomBeacon {
            room: reader.read()?,
            members: reader.list(BEACON_MEMBERS_MAX)?,
            heads: reader.list(BEACON_HEADS_MAX)?,
            leaving: match reader.read::<u8>()? {
                0 => false,
                1 => true,
                _ => return Err(ParseError::Range),
            },
        })
    }

    fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
        writer.write(&self.room)?;
        writer.list(&self.members, BEACON_MEMBERS_MAX)?;
        writer.list(&self.heads, BEACON_HEADS_MAX)?;
        writer.write(&u8::from(self.leaving))
    }
}
