//! What must outlive the process: the vocabulary between the core and the store.
//!
//! The core never waits for a disk. It hands out a [`Batch`] with a [`Token`] and acts on what
//! is in it (transmits, shows, acknowledges) only after the token came back.

mod entry;

use std::net::SocketAddr;

use crate::id::{MessageId, NetworkId, PeerId, PublicKey, RoomId};
pub use entry::{
    BODY_REDACTED, EntryHead, KIND_CONTINUES, KIND_MORE, KIND_TOPIC, Parts, order_key,
};

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

/// A question to the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Query {
    /// Entries of one log, for a repair: [`Row::Entry`] in the order asked.
    Entries {
        /// The room.
        room: RoomId,
        /// The author.
        author: PeerId,
        /// The author's epoch.
        epoch: u64,
        /// The numbers asked for, ascending.
        seqs: Vec<u32>,
        /// Only if the log belongs to this network.
        network: Option<NetworkId>,
    },
    /// Private messages that wait for this peer, oldest first.
    Outbox {
        /// The peer.
        to: PublicKey,
    },
    /// Where all logs of a room on a network stand, the own ones too: [`Row::Log`] by author and
    /// epoch.
    Vector {
        /// The room.
        room: RoomId,
        /// The network.
        network: NetworkId,
    },
    /// What is held of a log from `first` to `last`: [`Row::Entry`], ascending; as much as fits
    /// into the bytes, but at least one entry.
    Range {
        /// The log.
        log: LogKey,
        /// The first number.
        first: u32,
        /// The last number.
        last: u32,
        /// Most bytes of entries.
        bytes_max: usize,
    },
    /// The last lines of a room on a network: [`Row::Held`] in the order people see.
    Latest {
        /// The room.
        room: RoomId,
        /// The network.
        network: NetworkId,
        /// Most entries.
        entries: u32,
        /// None said before this, in milliseconds since the Unix epoch.
        since_ms: u64,
    },
    /// What was said: [`Row::Line`], oldest first. Without `after` the newest that fit. What its
    /// author said on several networks at once is one line, and so is a message of several parts,
    /// of which all are held. A [`Row::Rest`] at the end where the
    /// store gave up looking. Nothing where `before` or `after` is not held.
    History(HistoryQuery),
    /// One line by its id: [`Row::Line`].
    Message {
        /// The id.
        id: MessageId,
    },
    /// The lines that say what a room is about and were not taken back, a few, from the last one in
    /// the order people see on: [`Row::Line`].
    Topic {
        /// The room.
        room: RoomId,
    },
    /// What an author said that names this entry: [`Row::Held`], a few of them.
    Behind {
        /// The room.
        room: RoomId,
        /// The author.
        author: PeerId,
        /// The first 16 bytes of the hash of the entry, held or not.
        id: [u8; 16],
    },
    /// What is known of these people: [`Row::Person`].
    People {
        /// Who.
        ids: Vec<PeerId>,
    },
}

/// Which lines of which talk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryQuery {
    /// Which talk.
    pub talk: Talk,
    /// Only what stands before this line.
    pub before: Option<MessageId>,
    /// Only what stands after this line; then the oldest that fit.
    pub after: Option<MessageId>,
    /// Most lines.
    pub limit: usize,
    /// None said before this, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// Only lines that hold all of these words, whatever their case.
    pub search: Vec<String>,
}

impl HistoryQuery {
    /// The last lines.
    #[must_use]
    pub fn last(talk: Talk, limit: usize) -> HistoryQuery {
        HistoryQuery {
            talk,
            before: None,
            after: None,
            limit,
            since_ms: 0,
            search: Vec::new(),
        }
    }

    /// Whether a line said then (hybrid logical clock) with this body is asked for.
    #[must_use]
    pub fn wants(&self, hlc: u64, body: Option<&[u8]>) -> bool {
        if hlc >> 16 < self.since_ms {
            return false;
        }
        if self.search.is_empty() {
            return true;
        }
        let text = String::from_utf8_lossy(body.unwrap_or_default()).to_lowercase();
        self.search
            .iter()
            .all(|word| text.contains(&word.to_lowercase()))
    }
}

/// One line of a history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineRow {
    /// Its id.
    pub id: MessageId,
    /// Where it was said.
    pub talk: Talk,
    /// Who said it.
    pub author: PeerId,
    /// Whether it was this node.
    pub own: bool,
    /// When, by the author's clock: 48 bits of milliseconds, 16 bits of counter.
    pub hlc: u64,
    /// Its place in the order people see ([`order_key`]).
    pub key: u64,
    /// What the body is.
    pub kind: u8,
    /// The entries it names; none of a private message.
    pub deps: Vec<[u8; 16]>,
    /// The body; none where it was redacted.
    pub body: Option<Vec<u8>>,
    /// Of an entry, the epoch and the number.
    pub at: Option<(u64, u32)>,
    /// Of an own private message, how it stands.
    pub state: Option<PrivateState>,
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
    /// Where a log stands.
    Log(Head),
    /// An entry of any log, byte for byte.
    Held {
        /// The log.
        log: LogKey,
        /// Its number.
        seq: u32,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// A line of a history.
    Line(Box<LineRow>),
    /// There may be more than was looked at: ask again from this line on (`before`, or `after`
    /// where that was asked).
    Rest {
        /// The last line looked at.
        id: MessageId,
    },
    /// Somebody.
    Person(PersonRow),
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
    /// The greatest own epoch of each room, retired ones included: a new one has to be greater.
    pub epochs: Vec<(RoomId, u64)>,
    /// Greatest clock of an own entry, so that the clock does not fall behind its own past.
    pub hlc_max: u64,
    /// Where the logs of others stand: contiguous heads, so that nothing is shown twice.
    pub heads: Vec<Head>,
    /// Where all own logs are held to, also those that ended.
    pub own_logs: Vec<Head>,
    /// What is known of them beyond that, of those of which it is anything.
    pub holes: Vec<Holes>,
    /// The rooms this node is or was in.
    pub rooms: Vec<RoomRow>,
    /// The authors of the logs that are held, as far as known.
    pub people: Vec<PersonRow>,
    /// Who said two things with one number.
    pub forks: Vec<ForkRow>,
    /// Names pinned to keys, by skeleton.
    pub pins: Vec<(String, PublicKey)>,
    /// Peers for whom private messages wait.
    pub outbox: Vec<PublicKey>,
    /// Who was reached on which network, the latest first.
    pub neighbors: Vec<Neighbor>,
}

/// What is known of somebody's log beyond the first number that is missing of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holes {
    /// The log.
    pub log: LogKey,
    /// What is held there, as first and last numbers, ascending: the first [`HELD_BEYOND_MAX`].
    pub held: Vec<(u32, u32)>,
    /// What nobody can give any more, as the same.
    pub gone: Vec<(u32, u32)>,
}

/// Most entries beyond the first missing one that are known at the start.
pub const HELD_BEYOND_MAX: usize = 4096;
/// Most runs of numbers of a log that are kept as not to be had.
pub const GONE_RUNS_MAX: usize = 256;

/// Numbers as runs: first and last of each. `numbers` ascend.
pub fn runs(numbers: impl IntoIterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs
            .last_mut()
            .filter(|run| run.1.checked_add(1) == Some(number))
        {
            Some(run) => run.1 = number,
            None => runs.push((number, number)),
        }
    }
    runs
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

/// The end of somebody's log as far as it is held: without a gap from the number after the floor,
/// or, where there is no floor, from the first one held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// The room.
    pub room: RoomId,
    /// The author.
    pub author: PeerId,
    /// The author's epoch.
    pub epoch: u64,
    /// Number of the last entry of the run; the floor where it is empty.
    pub seq: u32,
    /// Its hash; zeros where it never was held here.
    pub hash: [u8; 32],
    /// The network it belongs to.
    pub network: NetworkId,
    /// Lowest number held; one above `seq` where the run is empty.
    pub low: u32,
    /// Nothing at or below is held, asked for, accepted or served.
    pub floor: u32,
    /// Whether its author was seen to use a number twice.
    pub forked: bool,
}
