//! What must outlive the process: the vocabulary between the core and the store.
//!
//! The core never waits for a disk. It hands out a [`Batch`] with a [`Token`] and acts on what
//! is in it (transmits, shows, acknowledges) only after the token came back.

use std::net::SocketAddr;

use crate::id::{MessageId, NetworkId, PeerId, PublicKey, RoomId};

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

/// One thing to keep.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write {
    /// The incarnation of this run, before its first datagram.
    Incarnation(u64),
    /// A new epoch of the own log in a room on a network.
    Epoch {
        /// The room.
        room: RoomId,
        /// The network the log belongs to.
        network: NetworkId,
        /// Milliseconds since the Unix epoch when the log was begun; grows per key.
        epoch: u64,
    },
    /// An entry of a log, own or received. A second one of (author, room, epoch, seq) is ignored.
    Entry {
        /// The room.
        room: RoomId,
        /// Its author.
        author: PeerId,
        /// The author's epoch.
        epoch: u64,
        /// Its number in that epoch, from 1.
        seq: u32,
        /// The hash of the entry.
        hash: [u8; 32],
        /// The entry as signed, byte for byte.
        bytes: Vec<u8>,
    },
    /// A private message that came in. A second one of the same id is ignored.
    PrivateIn {
        /// Its id, chosen by the sender.
        id: MessageId,
        /// Who sent it.
        from: PeerId,
        /// The message.
        message: PrivateRow,
    },
    /// A private message to somebody, to be kept until delivered.
    PrivateOut {
        /// Its id.
        id: MessageId,
        /// To whom.
        to: PublicKey,
        /// The message.
        message: PrivateRow,
    },
    /// An own private message was acknowledged or given up.
    PrivateState {
        /// Its id.
        id: MessageId,
        /// How it stands now.
        state: PrivateState,
    },
    /// The key that a name is pinned to.
    Pin {
        /// The name's skeleton (UTS 39), by which names are compared.
        skeleton: String,
        /// The key.
        key: PublicKey,
    },
    /// Where somebody was reached; takes the place of what was kept of them on this network.
    Neighbor(Neighbor),
}

/// Somebody who was reached on a network, to be asked first when the node is there again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Neighbor {
    /// The network.
    pub network: NetworkId,
    /// Who.
    pub id: PeerId,
    /// Where, validated; link-local IPv6 without its scope, which is another after a restart.
    pub address: SocketAddr,
    /// When they were last known to be there, in milliseconds since the Unix epoch.
    pub heard_ms: u64,
}

/// The body of a private message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PrivateRow {
    /// Hybrid logical clock: 48 bits of milliseconds, 16 bits of counter.
    pub hlc: u64,
    /// What the body is; 1 is text, 2 an action.
    pub kind: u8,
    /// UTF-8, as received.
    pub body: Vec<u8>,
}

/// How an own private message stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PrivateState {
    /// Waits for its peer.
    Queued,
    /// Stored by its peer.
    Delivered,
    /// Given up.
    Failed,
}

/// Things to keep in one transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// How safe.
    pub durability: Durability,
    /// What, in order.
    pub writes: Vec<Write>,
}

/// What became of a batch: for each write whether it was new (false: it was there already).
pub type Stored = Result<Vec<bool>, StoreFailure>;

/// The store could not keep or find something; the sentence is for a person.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoreFailure(pub String);

/// A question to the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Query {
    /// Entries of one log, for a repair.
    Entries {
        /// The room.
        room: RoomId,
        /// The author.
        author: PeerId,
        /// The author's epoch.
        epoch: u64,
        /// The numbers asked for, ascending.
        seqs: Vec<u32>,
    },
    /// Private messages that wait for this peer, oldest first.
    Outbox {
        /// The peer.
        to: PublicKey,
    },
}

/// One row of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Row {
    /// An entry, byte for byte.
    Entry {
        /// Its number.
        seq: u32,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// A private message that waits.
    Outbox {
        /// Its id.
        id: MessageId,
        /// The message.
        message: PrivateRow,
    },
}

/// The answer to a [`Query`].
pub type Loaded = Result<Vec<Row>, StoreFailure>;

/// What the store knew when the node started.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Snapshot {
    /// Incarnation of the last run, 0 if there was none.
    pub incarnation: u64,
    /// Where the own logs stand.
    pub own_heads: Vec<OwnHead>,
    /// Where the logs of others stand: contiguous heads, so that nothing is shown twice.
    pub heads: Vec<Head>,
    /// Names pinned to keys, by skeleton.
    pub pins: Vec<(String, PublicKey)>,
    /// Peers for whom private messages wait.
    pub outbox: Vec<PublicKey>,
    /// Who was reached on which network, the latest first.
    pub neighbors: Vec<Neighbor>,
}

/// The end of one own log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnHead {
    /// The room.
    pub room: RoomId,
    /// The network.
    pub network: NetworkId,
    /// The epoch.
    pub epoch: u64,
    /// Number of the last entry, 0 if none.
    pub seq: u32,
    /// Hash of the last entry, zeros if none.
    pub hash: [u8; 32],
}

/// The end of somebody's log as far as it is held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// The room.
    pub room: RoomId,
    /// The author.
    pub author: PeerId,
    /// The author's epoch.
    pub epoch: u64,
    /// Number of the last entry held.
    pub seq: u32,
    /// Its hash.
    pub hash: [u8; 32],
}
