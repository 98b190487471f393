//! What must outlive the process: the vocabulary between the core and the store.
//!
//! The core never waits for a disk. It hands out a [`Batch`] with a [`Token`] and acts on what
//! is in it (transmits, shows, acknowledges) only after the token came back.

mod entry;
mod query;
mod snapshot;
mod write;

use crate::id::{PeerId, RoomId};
pub use entry::{
    BODY_REDACTED, EntryHead, KIND_CONTINUES, KIND_MORE, KIND_TOPIC, Parts, order_key,
};
pub use query::{HistoryQuery, LineRow, Query, Row};
pub use snapshot::{
    GONE_RUNS_MAX, HELD_BEYOND_MAX, Head, Holes, OwnHead, RUNS_TOLD_MAX, Snapshot, incarnation_of,
    runs,
};
pub use write::{ForkRow, Neighbor, PersonRow, PrivateRow, PrivateState, RoomRow, Write};

/// Which log of whom.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LogKey {
    /// The room.
    pub room: RoomId,
    /// The author.
    pub author: PeerId,
    /// The author's epoch.
    pub epoch: u64,
}

/// What has a history: a room, or one person.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Talk {
    /// What was said in a room.
    Room(RoomId),
    /// Private messages with one person.
    Peer(PeerId),
}

/// Names one batch or query until its answer comes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub u64);

/// How safe a batch has to be before it is answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Durability {
    /// Survives the death of the process (SQLite `synchronous = NORMAL` in WAL mode).
    Process,
    /// Survives a power cut (`synchronous = FULL`).
    Power,
}

/// Things to keep in one transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// How safe.
    pub durability: Durability,
    /// What, in order.
    pub writes: Vec<Write>,
}

/// What became of a batch: of each write.
pub type Stored = Result<Vec<Kept>, StoreFailure>;

/// What became of one write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// It was there already, or changes nothing.
    Old,
    /// It is new.
    New {
        /// Of an entry, its place in the order people see ([`order_key`]); else 0.
        key: u64,
    },
    /// Another entry of this log has this number.
    Fork,
    /// Its log is not kept that far back.
    BelowFloor,
}

impl Kept {
    /// Whether it was new.
    #[must_use]
    pub fn is_new(self) -> bool {
        matches!(self, Kept::New { .. })
    }

    /// The place of a new entry; 0 of anything else.
    #[must_use]
    pub fn key(self) -> u64 {
        match self {
            Kept::New { key } => key,
            _ => 0,
        }
    }

    /// For what has no place in an order.
    #[must_use]
    pub fn new_if(is_new: bool) -> Kept {
        match is_new {
            true => Kept::New { key: 0 },
            false => Kept::Old,
        }
    }
}

/// The store could not keep or find something; the sentence is for a person.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoreFailure(pub String);

/// The answer to a [`Query`].
pub type Loaded = Result<Vec<Row>, StoreFailure>;
