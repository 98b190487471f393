//! The peer record: who somebody is, self-signed and relayed byte for byte.

use super::cursor::{Reader, Wire, Writer};
use super::error::{EmitError, ParseError};
use super::header::SIGNATURE_LEN;
use crate::api::Status;
use crate::id::{Incarnation, PublicKey};
use crate::limits::{NAME_LEN_MAX, RECORD_LEN_MAX, RECORD_ROOMS_MAX, STATUS_LEN_MAX};
use crate::text::{PeerName, RoomName, StatusText};

/// The context under which a record is signed.
pub const RECORD_CONTEXT: &[u8] = b"lanchat 1 PEER RECORD";

/// Who somebody is and what they offer; self-signed, relayed byte for byte.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerRecord {
    /// The key that it is signed with.
    pub key: PublicKey,
    /// The run it belongs to.
    pub incarnation: Incarnation,
    /// Grows with every change within a run, from 1.
    pub record_seq: u32,
    /// The UDP port of the chat socket.
    pub chat_port: u16,
    /// A one-shot command: not announced, not counted.
    pub transient: bool,
    /// Hears no group traffic: push it news by unicast.
    pub deaf: bool,
    /// Status.
    pub status: Status,
    /// Words with it.
    pub status_text: StatusText,
    /// Name.
    pub name: PeerName,
    /// At most 6 open rooms.
    pub rooms: Vec<RecordRoom>,
    /// Typed extensions, kept and relayed unread.
    pub extensions: Vec<(u8, Vec<u8>)>,
    /// All of it as signed, the signature included: what is relayed and hashed.
    pub bytes: Vec<u8>,
}

/// A room in a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RecordRoom {
    /// A public one, by its name.
    Public(RoomName),
    /// A locked one: 4 bytes of its name's hash and 4 of its tag.
    Locked([u8; 4], [u8; 4]),
}

/// What a record is built from: its fields without the bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordFields {
    /// See [`PeerRecord::key`].
    pub key: PublicKey,
    /// See [`PeerRecord::incarnation`].
    pub incarnation: Incarnation,
    /// See [`PeerRecord::record_seq`].
    pub record_seq: u32,
    /// See [`PeerRecord::chat_port`]; not 0.
    pub chat_port: u16,
    /// See [`PeerRecord::transient`].
    pub transient: bool,
    /// See [`PeerRecord::deaf`].
    pub deaf: bool,
    /// See [`PeerRecord::status`].
    pub status: Status,
    /// See [`PeerRecord::status_text`].
    pub status_text: StatusText,
    /// See [`PeerRecord::name`].
    pub name: PeerName,
    /// See [`PeerRecord::rooms`].
    pub rooms: Vec<RecordRoom>,
    /// See [`PeerRecord::extensions`].
    pub extensions: Vec<(u8, Vec<u8>)>,
}

const TRANSIENT: u8 = 1;
const DEAF: u8 = 2;
/// Where the length of the status text stands: after key, incarnation, sequence, port, flags, status.
const STATUS_TEXT_OFFSET: usize = 32 + 8 + 4 + 2 + 1 + 1;
const ROOM_PUBLIC: u8 = 0;
const ROOM_LOCKED: u8 = 1;
/// Longest description of a room of a type that this version does not know.
const ROOM_LEN_MAX: usize = 255;

impl RecordFields {
    /// Leaves out the last rooms until the record fits into 320 bytes, which it does without
    /// rooms and extensions whatever the texts are.
    pub fn fit(&mut self) {
        self.rooms.truncate(RECORD_ROOMS_MAX);
        while self.emit().is_err_and(|e| e == EmitError::TooLong) && self.rooms.pop().is_some() {}
    }

    /// All but the signature.
    fn emit(&self) -> Result<Vec<u8>, EmitError> {
        if self.chat_port == 0 {
            return Err(EmitError::Range);
        }
        let mut writer = Writer::new();
        writer.write(&self.key)?;
        writer.write(&self.incarnation)?;
        writer.write(&self.record_seq)?;
        writer.write(&self.chat_port)?;
        let transient = if self.transient { TRANSIENT } else { 0 };
        let deaf = if self.deaf { DEAF } else { 0 };
        writer.put(&[transient | deaf, status_byte(self.status)]);
        writer.short(self.status_text.as_str().as_bytes(), STATUS_LEN_MAX)?;
        writer.short(self.name.as_str().as_bytes(), NAME_LEN_MAX)?;
        writer.list(&rooms_as_written(&self.rooms), RECORD_ROOMS_MAX)?;
        for (kind, value) in &self.extensions {
            writer.write(kind)?;
            writer.long(value, RECORD_LEN_MAX)?;
        }
        let bytes = writer.into_bytes();
        if bytes.len() + SIGNATURE_LEN > RECORD_LEN_MAX {
            return Err(EmitError::TooLong);
        }
        Ok(bytes)
    }
}

impl PeerRecord {
    /// Signs a record.
    ///
    /// # Errors
    /// [`EmitError::TooMany`] above 6 rooms, [`EmitError::TooLong`] above 320 bytes (see
    /// [`RecordFields::fit`]), [`EmitError::Range`] where the port is 0.
    pub fn build(
        fields: RecordFields,
        sign: &mut dyn FnMut(&[u8]) -> [u8; 64],
    ) -> Result<PeerRecord, EmitError> {
        let mut bytes = fields.emit()?;
        let signature = sign(&input(&bytes));
        bytes.extend_from_slice(&signature);
        Ok(PeerRecord {
            key: fields.key,
            incarnation: fields.incarnation,
            record_seq: fields.record_seq,
            chat_port: fields.chat_port,
            transient: fields.transient,
            deaf: fields.deaf,
            status: fields.status,
            status_text: fields.status_text,
            name: fields.name,
            rooms: fields.rooms,
            extensions: fields.extensions,
            bytes,
        })
    }

    /// Reads a record; its signature is still to be verified.
    ///
    /// Flags, status, room types and extensions that this version does not know do no harm: they
    /// stay in [`PeerRecord::bytes`].
    ///
    /// # Errors
    /// Why the bytes are none.
    pub fn parse(bytes: &[u8]) -> Result<PeerRecord, ParseError> {
        let signed_len = bytes.len().checked_sub(SIGNATURE_LEN);
        if bytes.len() > RECORD_LEN_MAX {
            return Err(ParseError::Length);
        }
        let mut reader = Reader::new(&bytes[..signed_len.ok_or(ParseError::Length)?]);
        let key = reader.read()?;
        let incarnation = reader.read()?;
        let record_seq = reader.read()?;
        let chat_port = reader.read()?;
        if chat_port == 0 {
            return Err(ParseError::Range);
        }
        let [flags, status] = reader.array()?;
        let status_text = std::str::from_utf8(reader.short(STATUS_LEN_MAX)?);
        let name = PeerName::from_wire(reader.short(NAME_LEN_MAX)?);
        let rooms = reader.list::<RoomField>(RECORD_ROOMS_MAX)?;
        let mut extensions = Vec::new();
        while !reader.rest().is_empty() {
            extensions.push((reader.read()?, reader.long(RECORD_LEN_MAX)?.to_vec()));
        }
        Ok(PeerRecord {
            key,
            incarnation,
            record_seq,
            chat_port,
            transient: flags & TRANSIENT != 0,
            deaf: flags & DEAF != 0,
            status: status_of(status),
            status_text: StatusText::new(status_text.map_err(|_| ParseError::Text)?),
            name: name.ok_or(ParseError::Text)?,
            rooms: rooms.into_iter().filter_map(|room| room.0).collect(),
            extensions,
            bytes: bytes.to_vec(),
        })
    }

    /// What the signature is of.
    #[must_use]
    pub fn signing_input(&self) -> Vec<u8> {
        let signed_len = self.bytes.len().saturating_sub(SIGNATURE_LEN);
        input(&self.bytes[..signed_len])
    }

    /// The signature: the last 64 bytes.
    #[must_use]
    pub fn signature(&self) -> [u8; 64] {
        self.bytes.last_chunk().copied().unwrap_or([0; 64])
    }

    /// The first 8 bytes of BLAKE3 of the record, its signature included.
    #[must_use]
    pub fn hash(&self) -> [u8; 8] {
        let [a, b, c, d, e, f, g, h, ..] = *blake3::hash(&self.bytes).as_bytes();
        [a, b, c, d, e, f, g, h]
    }

    /// The name as it was sent, before it was made fit to be shown.
    pub(super) fn wire_name(&self) -> Option<&[u8]> {
        let mut reader = Reader::new(&self.bytes);
        reader.take(STATUS_TEXT_OFFSET).ok()?;
        reader.short(STATUS_LEN_MAX).ok()?;
        reader.short(NAME_LEN_MAX).ok()
    }
}

fn input(signed: &[u8]) -> Vec<u8> {
    [RECORD_CONTEXT, &[0], signed].concat()
}

fn status_byte(status: Status) -> u8 {
    match status {
        Status::Available => 0,
        Status::Away => 1,
        Status::Busy => 2,
    }
}

/// A status that came after this version is no reason not to show the person.
fn status_of(byte: u8) -> Status {
    match byte {
        1 => Status::Away,
        2 => Status::Busy,
        _ => Status::Available,
    }
}

/// A room as it stands in a record; none where this version can make nothing of it.
struct RoomField(Option<RecordRoom>);

fn rooms_as_written(rooms: &[RecordRoom]) -> Vec<RoomField> {
    rooms.iter().cloned().map(|r| RoomField(Some(r))).collect()
}

impl Wire for RoomField {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let kind: u8 = reader.read()?;
        let value = reader.short(ROOM_LEN_MAX)?;
        Ok(RoomField(match (kind, value) {
            (ROOM_PUBLIC, name) => RoomName::from_wire(name).map(RecordRoom::Public),
            (ROOM_LOCKED, &[a, b, c, d, e, f, g, h]) => {
                Some(RecordRoom::Locked([a, b, c, d], [e, f, g, h]))
            }
            _ => None,
        }))
    }

    fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
        match &self.0 {
            Some(RecordRoom::Public(name)) => {
                writer.put(&[ROOM_PUBLIC]);
                writer.short(name.as_str().as_bytes(), NAME_LEN_MAX)
            }
            Some(RecordRoom::Locked(name, tag)) => {
                writer.put(&[ROOM_LOCKED]);
                writer.short(&[*name, *tag].concat(), ROOM_LEN_MAX)
            }
            None => Err(EmitError::Range),
        }
    }
}
