//! What can be asked of the store while a node runs, and the rows of the answers.

use super::{Head, LogKey, PersonRow, PrivateRow, PrivateState, Talk};
use crate::id::{MessageId, NetworkId, PeerId, PublicKey, RoomId};

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
    /// epoch. Then what is held of them beyond the first missing number, in the same order and
    /// form, one for each run: the newest [`RUNS_TOLD_MAX`](super::RUNS_TOLD_MAX) of a log,
    /// ascending; no more logs once there are [`SYNC_LOGS_MAX`](crate::limits::SYNC_LOGS_MAX) rows.
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
    /// Its place in the order people see ([`order_key`](super::order_key)).
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
