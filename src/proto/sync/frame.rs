//! Frames of history sync: what stands on the stream of one exchange.
//!
//! `docs/protocol-quic.md` has the bytes. Integers are big-endian; bytes after the fields of a frame
//! are left for later versions, except behind lists.

use crate::id::{NetworkId, PeerId, RoomTag};
use crate::limits::{RECORD_LEN_MAX, SYNC_RUNS_MAX};
use crate::wire::cursor::{Reader, Wire, Writer};
use crate::wire::error::{EmitError, ParseError};

/// Most logs in one VECTOR.
pub const VECTOR_LOGS_MAX: usize = 800;
/// Most entries in one ENTRIES.
pub const ENTRIES_MAX: usize = 256;
/// Most records in one PEOPLE.
pub const PEOPLE_MAX: usize = 128;
/// Bytes of entries in one ENTRIES.
pub const ENTRIES_LEN_MAX: usize = 48 * 1024;
/// Longest entry; what parses as one is shorter.
const ENTRY_LEN_MAX: usize = 1200;

/// Why somebody asks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Why {
    /// New in the room.
    Join = 1,
    /// Does not hold the same.
    Heal = 2,
    /// Knows of entries that it misses.
    Gap = 3,
}

/// Why an exchange is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Refused {
    /// Too many at once: another member, or later.
    Busy = 1,
    /// Not in that room.
    Room = 2,
    /// The room's key was not proven.
    Proof = 3,
    /// Not the network that the stream came by.
    Network = 4,
}

/// A run of one log that one side holds; of a log with holes there are several.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogState {
    /// Its author.
    pub author: PeerId,
    /// The author's epoch.
    pub epoch: u64,
    /// The network it belongs to.
    pub network: NetworkId,
    /// It begins above this; the first run of a log: nothing is held at or below it.
    pub floor: u32,
    /// All is held above the floor up to this.
    pub head: u32,
    /// First half of the hash of the entry there; zeros where it is not known.
    pub hash: [u8; 16],
    /// Whether its author was seen to use a number twice.
    pub forked: bool,
}

/// Numbers of one log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogRun {
    /// Its author.
    pub author: PeerId,
    /// The author's epoch.
    pub epoch: u64,
    /// The first number, from 1.
    pub first: u32,
    /// The last number, not below the first.
    pub last: u32,
}

/// A frame of an exchange.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// The first frame of the asker.
    Ask {
        /// The room.
        room: RoomTag,
        /// The network; zeros for a locked room.
        network: NetworkId,
        /// The proof of a locked room's key, else zeros.
        proof: [u8; 32],
        /// Why.
        why: Why,
        /// Of the newest entries this many are wanted first.
        entries: u32,
        /// None of these said before this, in milliseconds since the Unix epoch.
        since_ms: u64,
    },
    /// Where the logs stand that the sender holds, or a part of them.
    Vector {
        /// The helper's proof of a locked room's key, else zeros.
        proof: [u8; 32],
        /// Whether more of it follows.
        more: bool,
        /// At most [`VECTOR_LOGS_MAX`].
        logs: Vec<LogState>,
    },
    /// Records of authors, as signed; at most [`PEOPLE_MAX`].
    People(Vec<Vec<u8>>),
    /// What the sender lacks, at most 64 runs; without any it wants nothing more.
    Want(Vec<LogRun>),
    /// Entries as signed; at most [`ENTRIES_MAX`].
    Entries(Vec<Vec<u8>>),
    /// The last WANT is answered, or what is sent unasked is over.
    Done {
        /// Whether some of it is not held here.
        more: bool,
    },
    /// There will be no exchange.
    Refused(Refused),
}

impl Frame {
    /// The type on the wire.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Frame::Ask { .. } => 1,
            Frame::Vector { .. } => 2,
            Frame::People(_) => 3,
            Frame::Want(_) => 4,
            Frame::Entries(_) => 5,
            Frame::Done { .. } => 6,
            Frame::Refused(_) => 7,
        }
    }

    /// Reads the payload of a frame; none of a type that is not known, which is skipped.
    ///
    /// # Errors
    /// Why the bytes are no frame.
    pub fn parse(kind: u8, payload: &[u8]) -> Result<Option<Frame>, ParseError> {
        let mut reader = Reader::new(payload);
        let frame = match kind {
            1 => Frame::Ask {
                room: reader.read()?,
                network: reader.read()?,
                proof: reader.read()?,
                why: match reader.read::<u8>()? {
                    1 => Why::Join,
                    2 => Why::Heal,
                    3 => Why::Gap,
                    _ => return Err(ParseError::Range),
                },
                entries: reader.read()?,
                since_ms: reader.read()?,
            },
            2 => {
                let (proof, more) = (reader.read()?, flag(reader.read()?)?);
                let logs = list(&mut reader, VECTOR_LOGS_MAX, Reader::read)?;
                reader.finish()?;
                Frame::Vector { proof, more, logs }
            }
            3 => Frame::People(blobs(&mut reader, PEOPLE_MAX, RECORD_LEN_MAX)?),
            4 => {
                let runs = list(&mut reader, SYNC_RUNS_MAX, Reader::read)?;
                reader.finish()?;
                Frame::Want(runs)
            }
            5 => Frame::Entries(blobs(&mut reader, ENTRIES_MAX, ENTRY_LEN_MAX)?),
            6 => Frame::Done {
                more: flag(reader.read()?)?,
            },
            7 => Frame::Refused(match reader.read::<u8>()? {
                2 => Refused::Room,
                3 => Refused::Proof,
                4 => Refused::Network,
                // What later versions may say is no reason to come back at once either.
                _ => Refused::Busy,
            }),
            _ => return Ok(None),
        };
        Ok(Some(frame))
    }

    /// The payload.
    ///
    /// # Errors
    /// [`EmitError::TooMany`] above a list's bound, [`EmitError::TooLong`] for an entry that is
    /// none.
    pub fn emit(&self) -> Result<Vec<u8>, EmitError> {
        let mut writer = Writer::new();
        match self {
            Frame::Ask {
                room,
                network,
                proof,
                why,
                entries,
                since_ms,
            } => {
                writer.write(room)?;
                writer.write(network)?;
                writer.write(proof)?;
                writer.write(&(*why as u8))?;
                writer.write(entries)?;
                writer.write(since_ms)?;
            }
            Frame::Vector { proof, more, logs } => {
                writer.write(proof)?;
                writer.write(&u8::from(*more))?;
                count(&mut writer, logs.len(), VECTOR_LOGS_MAX)?;
                logs.iter().try_for_each(|log| writer.write(log))?;
            }
            Frame::People(records) => {
                count(&mut writer, records.len(), PEOPLE_MAX)?;
                let mut records = records.iter();
                records.try_for_each(|record| writer.long(record, RECORD_LEN_MAX))?;
            }
            Frame::Want(runs) => {
                count(&mut writer, runs.len(), SYNC_RUNS_MAX)?;
                runs.iter().try_for_each(|run| writer.write(run))?;
            }
            Frame::Entries(entries) => {
                count(&mut writer, entries.len(), ENTRIES_MAX)?;
                let mut entries = entries.iter();
                entries.try_for_each(|entry| writer.long(entry, ENTRY_LEN_MAX))?;
            }
            Frame::Done { more } => writer.write(&u8::from(*more))?,
            Frame::Refused(why) => writer.write(&(*why as u8))?,
        }
        Ok(writer.into_bytes())
    }
}

impl Wire for LogState {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let log = LogState {
            author: PeerId(reader.read()?),
            epoch: reader.read()?,
            network: reader.read()?,
            floor: reader.read()?,
            head: reader.read()?,
            hash: reader.read()?,
            forked: flag(reader.read()?)?,
        };
        // One number is left for what comes after the last.
        let in_range = log.epoch > 0 && log.floor <= log.head && log.head < u32::MAX;
        in_range.then_some(log).ok_or(ParseError::Range)
    }

    fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
        if self.epoch == 0 || self.floor > self.head || self.head == u32::MAX {
            return Err(EmitError::Range);
        }
        writer.write(&self.author.0)?;
        writer.write(&self.epoch)?;
        writer.write(&self.network)?;
        writer.write(&self.floor)?;
        writer.write(&self.head)?;
        writer.write(&self.hash)?;
        writer.write(&u8::from(self.forked))
    }
}

impl Wire for LogRun {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let run = LogRun {
            author: PeerId(reader.read()?),
            epoch: reader.read()?,
            first: reader.read()?,
            last: reader.read()?,
        };
        let in_range = run.epoch > 0 && run.first > 0 && run.first <= run.last;
        in_range.then_some(run).ok_or(ParseError::Range)
    }

    fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
        if self.epoch == 0 || self.first == 0 || self.first > self.last {
            return Err(EmitError::Range);
        }
        writer.write(&self.author.0)?;
        writer.write(&self.epoch)?;
        writer.write(&self.first)?;
        writer.write(&self.last)
    }
}

fn flag(byte: u8) -> Result<bool, ParseError> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(ParseError::Range),
    }
}

fn count(writer: &mut Writer, len: usize, max: usize) -> Result<(), EmitError> {
    let count = u16::try_from(len).map_err(|_| EmitError::TooMany)?;
    if len > max {
        return Err(EmitError::TooMany);
    }
    writer.write(&count)
}

fn list<'a, T>(
    reader: &mut Reader<'a>,
    max: usize,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<T, ParseError>,
) -> Result<Vec<T>, ParseError> {
    let count = usize::from(reader.read::<u16>()?);
    if count > max {
        return Err(ParseError::Range);
    }
    (0..count).map(|_| read(reader)).collect()
}

fn blobs(reader: &mut Reader<'_>, max: usize, len_max: usize) -> Result<Vec<Vec<u8>>, ParseError> {
    let blobs = list(reader, max, |reader| {
        reader.long(len_max).map(<[u8]>::to_vec)
    })?;
    if reader.rest().is_empty() {
        Ok(blobs)
    } else {
        Err(ParseError::Length)
    }
}

#[cfg(test)]
mod tests;
