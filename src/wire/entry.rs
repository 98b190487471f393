//! The entry: what one author says in one room, signed once and relayed byte for byte.

use super::cursor::{Reader, Writer};
use super::error::{EmitError, ParseError};
use super::header::SIGNATURE_LEN;
use crate::id::{NetworkId, PeerId, PublicKey, RoomId, RoomTag};
use crate::limits::{ENTRY_BODY_LEN_MAX, ENTRY_DEPS_MAX};

/// The context under which an entry is signed.
pub const ENTRY_CONTEXT: &[u8] = b"lanchat 1 ENTRY";
/// The BLAKE3 key derivation context of an entry's hash.
pub const ENTRY_HASH_CONTEXT: &str = "lanchat 1 entry hash";

/// One entry of an author's log in a room, as signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The room it names; the signature covers the whole [`RoomId`].
    pub room: RoomTag,
    /// The author.
    pub author: PublicKey,
    /// The network that the log belongs to.
    pub network: NetworkId,
    /// Milliseconds since the Unix epoch when this log was begun.
    pub epoch: u64,
    /// Number in the epoch, from 1.
    pub seq: u32,
    /// Hybrid logical clock: 48 bits of milliseconds, 16 bits of counter.
    pub hlc: u64,
    /// Hash of the author's entry before, zeros for the first.
    pub prev: [u8; 32],
    /// What the body is. Unknown kinds are kept and relayed.
    pub kind: EntryKind,
    /// First 16 bytes of the hashes of up to 4 entries that stand before it.
    pub deps: Vec<[u8; 16]>,
    /// BLAKE3 of the body.
    pub body_hash: [u8; 32],
    /// At most 900 bytes; empty where it is redacted.
    pub body: Vec<u8>,
    /// Whether the body is gone: its author took it back, and what is left is a stub. A stub is
    /// genuine by its signature, but anybody can make one: only the author's redaction says that
    /// it is to be believed.
    pub redacted: bool,
    /// All of it as signed, body and signature included, or the stub: what is relayed and stored.
    pub bytes: Vec<u8>,
}

/// What an entry's body is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntryKind(pub u8);

impl EntryKind {
    /// UTF-8 text.
    pub const TEXT: EntryKind = EntryKind(1);
    /// UTF-8 text of an action (`/me`).
    pub const ACTION: EntryKind = EntryKind(2);
    /// UTF-8 text: what the room is about from here on; empty for nothing any more.
    pub const TOPIC: EntryKind = EntryKind(3);
    /// UTF-8 text that answers the entry of the first dependency.
    pub const REPLY: EntryKind = EntryKind(4);
    /// The author takes back the entry of the first dependency, its own; the body is empty.
    pub const REDACTION: EntryKind = EntryKind(5);
    /// A file that is offered to everybody in the room.
    pub const FILE_OFFER: EntryKind = EntryKind(6);
    /// Reserved: a reaction to an entry.
    pub const REACTION: EntryKind = EntryKind(7);
    /// Reserved: another text for an entry.
    pub const EDIT: EntryKind = EntryKind(8);
    /// Bit of the kind: the entry of the next number continues the body of this one.
    pub const MORE: u8 = 0x80;

    /// Bit of the kind: this one continues the body of the entry of the number before.
    pub const CONTINUES: u8 = 0x40;

    /// The kind of the whole, without [`EntryKind::MORE`] and [`EntryKind::CONTINUES`].
    #[must_use]
    pub fn base(self) -> EntryKind {
        EntryKind(self.0 & !(EntryKind::MORE | EntryKind::CONTINUES))
    }

    /// Whether this continues the entry before.
    #[must_use]
    pub fn continues(self) -> bool {
        self.0 & EntryKind::CONTINUES != 0
    }

    /// Whether this is one of several parts.
    #[must_use]
    pub fn is_part(self) -> bool {
        self.more() || self.continues()
    }

    /// This kind, continuing the entry before.
    #[must_use]
    pub fn continuing(self) -> EntryKind {
        EntryKind(self.0 | EntryKind::CONTINUES)
    }

    /// Whether the next entry continues the body.
    #[must_use]
    pub fn more(self) -> bool {
        self.0 & EntryKind::MORE != 0
    }

    /// This kind, continued by the next entry.
    #[must_use]
    pub fn continued(self) -> EntryKind {
        EntryKind(self.0 | EntryKind::MORE)
    }
}

/// What an entry is built from; the room, the hash of the body and the signature are added.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryFields {
    /// See [`Entry::author`]; the key that signs.
    pub author: PublicKey,
    /// See [`Entry::network`].
    pub network: NetworkId,
    /// See [`Entry::epoch`]; from 1.
    pub epoch: u64,
    /// See [`Entry::seq`]; from 1.
    pub seq: u32,
    /// See [`Entry::hlc`].
    pub hlc: u64,
    /// See [`Entry::prev`].
    pub prev: [u8; 32],
    /// See [`Entry::kind`].
    pub kind: EntryKind,
    /// See [`Entry::deps`]; at most 4.
    pub deps: Vec<[u8; 16]>,
    /// See [`Entry::body`]; at most 900 bytes.
    pub body: Vec<u8>,
}

/// Length of the length of the body.
const BODY_LEN_LEN: usize = 2;
/// Greatest [`Entry::hlc`]: what follows always has a greater place in the order.
pub const HLC_MAX: u64 = u64::MAX >> 1;
/// In place of the length of the body: there is none any more.
const REDACTED: u16 = 0xffff;

impl Entry {
    /// Signs an entry of `room`.
    ///
    /// # Errors
    /// [`EmitError::TooLong`] above 900 bytes of body, [`EmitError::TooMany`] above 4
    /// dependencies, [`EmitError::Range`] where the epoch or the number is 0.
    pub fn build(
        fields: EntryFields,
        room: &RoomId,
        sign: &mut dyn FnMut(&[u8]) -> [u8; 64],
    ) -> Result<Entry, EmitError> {
        if fields.epoch == 0 || fields.seq == 0 {
            return Err(EmitError::Range);
        }
        let body_hash = *blake3::hash(&fields.body).as_bytes();
        let mut writer = Writer::new();
        writer.write(&room.tag())?;
        writer.write(&fields.author)?;
        writer.write(&fields.network)?;
        writer.write(&fields.epoch)?;
        writer.write(&fields.seq)?;
        writer.write(&fields.hlc)?;
        writer.write(&fields.prev)?;
        writer.write(&fields.kind.0)?;
        writer.list(&fields.deps, ENTRY_DEPS_MAX)?;
        writer.write(&body_hash)?;
        let signed = writer.clone().into_bytes();
        writer.long(&fields.body, ENTRY_BODY_LEN_MAX)?;
        writer.put(&sign(&input(room, &signed)));
        Ok(Entry {
            room: room.tag(),
            author: fields.author,
            network: fields.network,
            epoch: fields.epoch,
            seq: fields.seq,
            hlc: fields.hlc,
            prev: fields.prev,
            kind: fields.kind,
            deps: fields.deps,
            body_hash,
            body: fields.body,
            redacted: false,
            bytes: writer.into_bytes(),
        })
    }

    /// Reads an entry or its stub; its signature is still to be verified. The body, where there is
    /// one, is what its hash says.
    ///
    /// # Errors
    /// Why the bytes are none.
    pub fn parse(bytes: &[u8]) -> Result<Entry, ParseError> {
        let unsigned_len = bytes.len().checked_sub(SIGNATURE_LEN);
        let mut reader = Reader::new(&bytes[..unsigned_len.ok_or(ParseError::Length)?]);
        let mut entry = Entry {
            room: reader.read()?,
            author: reader.read()?,
            network: reader.read()?,
            epoch: reader.read()?,
            seq: reader.read()?,
            hlc: reader.read()?,
            prev: reader.read()?,
            kind: EntryKind(reader.read()?),
            deps: reader.list(ENTRY_DEPS_MAX)?,
            body_hash: reader.read()?,
            body: Vec::new(),
            redacted: false,
            bytes: bytes.to_vec(),
        };
        match reader.read::<u16>()? {
            REDACTED => entry.redacted = true,
            len if usize::from(len) > ENTRY_BODY_LEN_MAX => return Err(ParseError::Range),
            len => entry.body = reader.take(usize::from(len))?.to_vec(),
        }
        reader.finish()?;
        let in_range = entry.epoch > 0 && entry.seq > 0 && entry.hlc <= HLC_MAX;
        let holds = entry.redacted || *blake3::hash(&entry.body).as_bytes() == entry.body_hash;
        if !in_range || !holds {
            return Err(ParseError::Range);
        }
        Ok(entry)
    }

    /// What is kept and relayed once the author took the entry back: all but the body. Its hash and
    /// its signature are those of the entry.
    #[must_use]
    pub fn stub(&self) -> Entry {
        let unsigned_len = BODY_LEN_LEN + self.body.len() + SIGNATURE_LEN;
        let signed_len = self.bytes.len().saturating_sub(unsigned_len);
        let mut bytes = self.bytes[..signed_len].to_vec();
        bytes.extend_from_slice(&REDACTED.to_be_bytes());
        bytes.extend_from_slice(&self.signature());
        Entry {
            body: Vec::new(),
            redacted: true,
            bytes,
            ..self.clone()
        }
    }

    /// What the signature is of: the whole id of the room, which must be the one whose tag the
    /// entry names, and all but the body (its hash is in) and the signature.
    #[must_use]
    pub fn signing_input(&self, room: &RoomId) -> Vec<u8> {
        let unsigned_len = BODY_LEN_LEN + self.body.len() + SIGNATURE_LEN;
        let signed_len = self.bytes.len().saturating_sub(unsigned_len);
        input(room, &self.bytes[..signed_len])
    }

    /// The signature: the last 64 bytes.
    #[must_use]
    pub fn signature(&self) -> [u8; 64] {
        self.bytes.last_chunk().copied().unwrap_or([0; 64])
    }

    /// BLAKE3 of all but the body: what `prev`, dependencies and message ids refer to, so that a
    /// redacted entry keeps its name.
    #[must_use]
    pub fn hash(&self, room: &RoomId) -> [u8; 32] {
        blake3::derive_key(ENTRY_HASH_CONTEXT, &self.signing_input(room))
    }

    /// The author's id.
    #[must_use]
    pub fn author_id(&self) -> PeerId {
        self.author.id()
    }
}

fn input(room: &RoomId, signed: &[u8]) -> Vec<u8> {
    [ENTRY_CONTEXT, &[0], &room.0, signed].concat()
}
