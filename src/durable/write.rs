//! What can be kept: each write, and the rows that are written and read alike.

use std::net::SocketAddr;

use super::{LogKey, Talk};
use crate::id::{MessageId, NetworkId, PeerId, PublicKey, RoomId};

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
    /// An entry of a log, own or received. The first one of (author, room, epoch, seq) stays; at
    /// or below the floor of its log none is kept.
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
        /// When it came, by the own clock, in milliseconds since the Unix epoch: what came first
        /// is forgotten first.
        came_ms: u64,
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
    /// From now on nothing of this log is held, asked for, accepted or served at or below `floor`.
    /// It never goes back.
    Floor {
        /// The log.
        log: LogKey,
        /// The network it belongs to, where nothing of it is held yet.
        network: NetworkId,
        /// The number.
        floor: u32,
    },
    /// An own epoch is never continued, whether it is known here or not.
    Retire {
        /// The room.
        room: RoomId,
        /// The epoch.
        epoch: u64,
    },
    /// A room that this node is or was in.
    Room(RoomRow),
    /// The newest record of somebody; an older one is ignored.
    Person(PersonRow),
    /// Two valid entries with one number: the proof. A second one of a log is ignored.
    Fork(ForkRow),
    /// An entry that is held was redacted: its bytes without the body. Its hash stays.
    Stub {
        /// The log.
        log: LogKey,
        /// The number.
        seq: u32,
        /// The entry without its body.
        bytes: Vec<u8>,
    },
    /// Entries of another that nobody can give any more: not to be asked for after a restart either.
    Gone {
        /// The log.
        log: LogKey,
        /// The first number.
        first: u32,
        /// The last.
        last: u32,
    },
    /// Forgets the oldest of a room: what is more than so many lines or came before a moment. Of
    /// each log a prefix goes, and its floor moves. Bounded: new as long as there may be more.
    Retain {
        /// The room.
        room: RoomId,
        /// How many lines stay at most.
        entries: u32,
        /// Milliseconds since the Unix epoch, by the own clock.
        before_ms: u64,
    },
    /// Forgets all that was said here; private messages that wait for their peer stay.
    Wipe(Talk),
}

/// A room that this node is or was in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomRow {
    /// Its id.
    pub id: RoomId,
    /// Its name, normalised, without `#`.
    pub name: String,
    /// The key of a locked one; never the passphrase.
    pub key: Option<[u8; 32]>,
    /// Whether this node is in it.
    pub joined: bool,
}

/// What somebody signed of themselves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PersonRow {
    /// Who.
    pub id: PeerId,
    /// Their key.
    pub key: PublicKey,
    /// Of which run of theirs.
    pub incarnation: u64,
    /// Number of the record in that run.
    pub record_seq: u32,
    /// The record, byte for byte.
    pub record: Vec<u8>,
}

/// Two valid entries of one author with one number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForkRow {
    /// The log.
    pub log: LogKey,
    /// The number that both have.
    pub seq: u32,
    /// The entry held first.
    pub first: Vec<u8>,
    /// The other one.
    pub second: Vec<u8>,
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
