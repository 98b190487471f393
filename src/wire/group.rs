//! The packets of rooms: entries, heads, what is missing and what arrived.

use super::cursor::{Reader, Wire, Writer, wire_struct};
pub use super::entry::{Entry, EntryFields, EntryKind};
use super::error::{EmitError, ParseError};
use crate::id::{RoomTag, ShortId};
use crate::limits::{DATAGRAM_LEN_MAX, NACK_RUNS_MAX};

/// Entries that were asked for, byte for byte. Unicast.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repair {
    /// At least one, as many as fit.
    pub entries: Vec<Entry>,
}

/// The author's head. Group paths, signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heads {
    /// The room.
    pub room: RoomTag,
    /// The sender's epoch.
    pub epoch: u64,
    /// Number of its last entry.
    pub seq: u32,
    /// Number of the first that its sender serves on this network: those before are not to be
    /// had there.
    pub first: u32,
}

/// A head of somebody's log, as the sender holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeadOf {
    /// Whose log.
    pub author: ShortId,
    /// The epoch.
    pub epoch: u64,
    /// Number of the last entry held without a gap.
    pub seq: u32,
}

/// These I miss. Unicast, signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Nack {
    /// The room.
    pub room: RoomTag,
    /// Whose log.
    pub author: ShortId,
    /// The epoch.
    pub epoch: u64,
    /// 1 to 16 runs, ascending, disjoint.
    pub runs: Vec<Run>,
}

/// A run of entry numbers, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// The first.
    pub first: u32,
    /// The last, not below the first.
    pub last: u32,
}

/// So far I have your log, without a gap. Unicast to the author, signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ack {
    /// The room.
    pub room: RoomTag,
    /// The author's epoch.
    pub epoch: u64,
    /// Number of the last entry without a gap before it.
    pub seq: u32,
}

wire_struct!(Heads {
    room,
    epoch,
    seq,
    first
});
wire_struct!(HeadOf { author, epoch, seq });
wire_struct!(Run { first, last });
wire_struct!(Ack { room, epoch, seq });

/// A datagram is too short for more entries than a count byte can name.
const REPAIR_ENTRIES_MAX: usize = 255;

impl Wire for Repair {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let entries = reader.list(REPAIR_ENTRIES_MAX)?;
        if entries.is_empty() {
            return Err(ParseError::Range);
        }
        Ok(Repair { entries })
    }

    fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
        if self.entries.is_empty() {
            return Err(EmitError::Range);
        }
        writer.list(&self.entries, REPAIR_ENTRIES_MAX)
    }
}

/// An entry among others: behind a length of two bytes.
impl Wire for Entry {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        Entry::parse(reader.long(DATAGRAM_LEN_MAX)?)
    }

    fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
        writer.long(&self.bytes, DATAGRAM_LEN_MAX)
    }
}

impl Wire for Nack {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let nack = Nack {
            room: reader.read()?,
            author: reader.read()?,
            epoch: reader.read()?,
            runs: reader.list(NACK_RUNS_MAX)?,
        };
        if !are_runs(&nack.runs) {
            return Err(ParseError::Range);
        }
        Ok(nack)
    }

    fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
        writer.write(&self.room)?;
        writer.write(&self.author)?;
        writer.write(&self.epoch)?;
        writer.list(&self.runs, NACK_RUNS_MAX)?;
        if !are_runs(&self.runs) {
            return Err(EmitError::Range);
        }
        Ok(())
    }
}

/// At least one run, each of numbers from 1, ascending, none touching numbers of another.
fn are_runs(runs: &[Run]) -> bool {
    let mut below = 0;
    !runs.is_empty()
        && runs.iter().all(|run| {
            let is_next = run.first > below && run.last >= run.first;
            below = run.last;
            is_next
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_ascend_and_do_not_overlap() {
        let of = |runs: &[(u32, u32)]| {
            let run = |&(first, last)| Run { first, last };
            are_runs(&runs.iter().map(run).collect::<Vec<_>>())
        };
        assert!(of(&[(1, 1)]));
        assert!(of(&[(1, 3), (4, 4), (9, u32::MAX)]));
        for bad in [
            &[][..],
            &[(0, 1)],
            &[(2, 1)],
            &[(1, 3), (3, 4)],
            &[(5, 6), (1, 2)],
            &[(1, u32::MAX), (1, 2)],
        ] {
            assert!(!of(bad), "{bad:?}");
        }
    }
}
