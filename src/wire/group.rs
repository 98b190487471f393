//! The packets of rooms and the entry.

use crate::id::{NetworkId, PeerId, PublicKey, RoomId, RoomTag, ShortId};

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
    /// At most 900 bytes.
    pub body: Vec<u8>,
    /// All of it as signed, body and signature included: what is relayed and stored.
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
}

impl Entry {
    /// BLAKE3 of all but the body: what `prev`, dependencies and message ids refer to, so that a
    /// redacted entry keeps its name.
    #[must_use]
    pub fn hash(&self, room: &RoomId) -> [u8; 32] {
        let _ = room;
        [0; 32]
    }

    /// The author's id.
    #[must_use]
    pub fn author_id(&self) -> PeerId {
        self.author.id()
    }
}

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
