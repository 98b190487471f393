//! The packets of presence: who is here, who leaves, who answers from where.

use super::HeadOf;
use super::cursor::{Reader, Wire, Writer, wire_struct};
use super::error::{EmitError, ParseError};
pub use super::known::Known;
pub use super::record::{PeerRecord, RecordFields, RecordRoom};
use crate::id::{Incarnation, Nonce, RoomTag, ShortId};
use crate::limits::{
    HEARTBEAT_ECHOES_MAX, HEARTBEAT_HEADS_MAX, HEARTBEAT_HEARD_MAX, HEARTBEAT_NEWS_MAX,
    HEARTBEAT_ROOMS_MAX, NAME_LEN_MAX, RECORD_LEN_MAX, RECORD_ROOMS_MAX, TOKEN_LEN_MAX,
};
use crate::text::DisplayText;

/// [`Heartbeat::loss`] before anything was measured.
pub const LOSS_UNKNOWN: u8 = 255;

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
    /// Signed group datagrams sent on this link in this run, copies included, this one too.
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
    pub heads: Vec<HeadOf>,
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

/// Ask that one for a sign of life, and tell me. Unicast.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProbeRequest {
    /// Echoed by the report.
    pub nonce: Nonce,
    /// Whom.
    pub target: ShortId,
}

/// That one answered just now. Unicast, to whoever asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProbeReport {
    /// The request's nonce.
    pub echo: Nonce,
    /// Who answered.
    pub target: ShortId,
    /// In which run.
    pub incarnation: Incarnation,
}

/// That one does not answer me. To the group and to the suspected itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Suspect {
    /// Whom.
    pub target: ShortId,
    /// The run that does not answer.
    pub incarnation: Incarnation,
}

/// I am alive, whatever was said. By the suspected itself: to the group and to the accuser.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Alive;

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

wire_struct!(OwnLog { room, epoch, seq });
wire_struct!(Digest { count, xor });
wire_struct!(News {
    id,
    incarnation,
    record_seq
});
wire_struct!(PathsHeard { id, paths });
wire_struct!(Echo {
    sender,
    sequence,
    hold
});
wire_struct!(Goodbye {});
wire_struct!(Probe { nonce });
wire_struct!(ProbeAck { echo });
wire_struct!(ProbeRequest { nonce, target });
wire_struct!(ProbeReport {
    echo,
    target,
    incarnation
});
wire_struct!(Suspect {
    target,
    incarnation
});
wire_struct!(Alive {});

impl Wire for Hello {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let name = reader.short(NAME_LEN_MAX)?;
        let record = PeerRecord::parse(reader.long(RECORD_LEN_MAX)?)?;
        if record.wire_name() != Some(name) {
            return Err(ParseError::Text);
        }
        Ok(Hello {
            record,
            nonce: reader.read()?,
            logs: reader.list(RECORD_ROOMS_MAX)?,
            known: reader.read()?,
        })
    }

    fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
        let name = self.record.wire_name().ok_or(EmitError::Range)?;
        writer.short(name, NAME_LEN_MAX)?;
        writer.long(&self.record.bytes, RECORD_LEN_MAX)?;
        writer.write(&self.nonce)?;
        writer.list(&self.logs, RECORD_ROOMS_MAX)?;
        writer.write(&self.known)
    }
}

impl Wire for Welcome {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        Ok(Welcome {
            record: PeerRecord::parse(reader.long(RECORD_LEN_MAX)?)?,
            digest: reader.read()?,
            echo: reader.read()?,
            nonce: reader.read()?,
            token: reader.short(TOKEN_LEN_MAX)?.to_vec(),
            logs: reader.list(RECORD_ROOMS_MAX)?,
        })
    }

    fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
        writer.long(&self.record.bytes, RECORD_LEN_MAX)?;
        writer.write(&self.digest)?;
        writer.write(&self.echo)?;
        writer.write(&self.nonce)?;
        writer.short(&self.token, TOKEN_LEN_MAX)?;
        writer.list(&self.logs, RECORD_ROOMS_MAX)
    }
}

impl Wire for Heartbeat {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        Ok(Heartbeat {
            record_hash: reader.read()?,
            digest: reader.read()?,
            news: reader.list(HEARTBEAT_NEWS_MAX)?,
            heard: reader.list(HEARTBEAT_HEARD_MAX)?,
            group_sent: reader.read()?,
            loss: reader.read()?,
            echoes: reader.list(HEARTBEAT_ECHOES_MAX)?,
            rooms: reader.list(HEARTBEAT_ROOMS_MAX)?,
        })
    }

    fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
        writer.write(&self.record_hash)?;
        writer.write(&self.digest)?;
        writer.list(&self.news, HEARTBEAT_NEWS_MAX)?;
        writer.list(&self.heard, HEARTBEAT_HEARD_MAX)?;
        writer.write(&self.group_sent)?;
        writer.write(&self.loss)?;
        writer.list(&self.echoes, HEARTBEAT_ECHOES_MAX)?;
        writer.list(&self.rooms, HEARTBEAT_ROOMS_MAX)
    }
}

impl Wire for RoomDigest {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        Ok(RoomDigest {
            room: reader.read()?,
            digest: reader.read()?,
            heads: reader.list(HEARTBEAT_HEADS_MAX)?,
        })
    }

    fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
        writer.write(&self.room)?;
        writer.write(&self.digest)?;
        writer.list(&self.heads, HEARTBEAT_HEADS_MAX)
    }
}
