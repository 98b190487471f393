//! The packets of presence and the peer record.

use crate::api::Status;
use crate::id::{Incarnation, Nonce, PublicKey, RoomTag, ShortId};
use crate::text::{DisplayText, PeerName, RoomName, StatusText};

/// [`Heartbeat::loss`] before anything was measured.
pub const LOSS_UNKNOWN: u8 = 255;

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

/// Whom the sender of a HELLO knows already.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Known {
    /// First 4 bytes of each id, at most 200.
    Ids(Vec<[u8; 4]>),
    /// A Bloom filter of at most 640 bytes with this many hash functions.
    Bloom {
        /// Hash functions, 1 to 16.
        hashes: u8,
        /// The bits.
        bits: Vec<u8>,
    },
}

/// Where the sender's own log stands in a room it has open, so that a first entry that gets
/// lost is missed at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnLog {
    /// The room.
    pub room: RoomTag,
    /// The epoch; 0 if nothing was ever written.
    pub epoch: u64,
    /// Number of the last entry, 0 if none.
    pub seq: u32,
}

/// I am here; who else? To the group, or by unicast to remembered and named addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// The sender's record.
    pub record: PeerRecord,
    /// For the WELCOME to echo.
    pub nonce: Nonce,
    /// Own logs, at most 6.
    pub logs: Vec<OwnLog>,
    /// Whom the sender knows.
    pub known: Known,
}

/// The answer to a HELLO by somebody it did not name. Unicast.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Welcome {
    /// The sender's record.
    pub record: PeerRecord,
    /// The roster of this link.
    pub digest: Digest,
    /// The HELLO's nonce.
    pub echo: Nonce,
    /// For a PROBE ACK to echo.
    pub nonce: Nonce,
    /// Proves the address in a later SYNC REQUEST; opaque, at most 16 bytes.
    pub token: Vec<u8>,
    /// Own logs, at most 6.
    pub logs: Vec<OwnLog>,
}

/// Count and XOR of H(id, incarnation, record seq) over the validated peers of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Digest {
    /// How many.
    pub count: u32,
    /// XOR of their hashes.
    pub xor: [u8; 8],
}

/// Still here. To the group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Heartbeat {
    /// First 8 bytes of BLAKE3 of the own record's bytes.
    pub record_hash: [u8; 8],
    /// The roster of this link.
    pub digest: Digest,
    /// Changed records, at most 4.
    pub news: Vec<News>,
    /// Paths heard of the peers asked about, at most 16.
    pub heard: Vec<PathsHeard>,
    /// Group datagrams sent on this link in this run, copies included.
    pub group_sent: u32,
    /// Own 80th-percentile loss of group datagrams, in 1/254; 255 while it is not measured.
    pub loss: u8,
    /// At most 2.
    pub echoes: Vec<Echo>,
    /// Open rooms in turn, at most 4.
    pub rooms: Vec<RoomDigest>,
}

/// A record that changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct News {
    /// Whose.
    pub id: ShortId,
    /// The run.
    pub incarnation: Incarnation,
    /// The number of the record in it.
    pub record_seq: u32,
}

/// By which paths a peer was heard in its last four heartbeats.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PathsHeard {
    /// First 4 bytes of its id.
    pub id: [u8; 4],
    /// Bit `1 << Path`, for each path.
    pub paths: u8,
}

/// A packet of the group heard by the sender, to measure round trips by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Echo {
    /// Whose packet.
    pub sender: ShortId,
    /// Its sequence number.
    pub sequence: u32,
    /// How long it was held, in units of 0.1 ms.
    pub hold: u32,
}

/// The state of a room at the sender.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomDigest {
    /// The room.
    pub room: RoomTag,
    /// Hash of all heads.
    pub digest: [u8; 8],
    /// At most 8 heads, in turn.
    pub heads: Vec<super::HeadOf>,
}

/// I leave. All paths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Goodbye;

/// Answer me from there. Unicast.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Probe {
    /// To be echoed.
    pub nonce: Nonce,
}

/// The echo of a PROBE's or a WELCOME's nonce. Unicast, to where that came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProbeAck {
    /// The nonce.
    pub echo: Nonce,
}

/// What is known of a HELLO of another version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OtherVersion {
    /// The version.
    pub version: u8,
    /// Who claims to have sent it.
    pub sender: ShortId,
    /// The name it gives, sanitised.
    pub name: DisplayText,
}
