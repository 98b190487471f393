//! The packets by which two rosters become one: what is asked for, pages of records, and the
//! proof of an address that has to come first.

use std::net::{IpAddr, SocketAddr};

use super::cursor::{Reader, Wire, Writer};
use super::error::{EmitError, ParseError};
use super::presence::Digest;
use super::record::PeerRecord;
use crate::id::{Nonce, ShortId};
use crate::limits::{
    RECORD_LEN_MAX, SYNC_BUCKETS_MAX, SYNC_IDS_MAX, SYNC_RECORDS_MAX, TOKEN_LEN_MAX,
};

/// Which records do I miss? Unicast.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyncRequest {
    /// Echoed by the answer.
    pub nonce: Nonce,
    /// Proves the address it is sent from; empty where none was got. At most 16 bytes.
    pub token: Vec<u8>,
    /// What is asked for.
    pub want: Want,
}

/// What a [`SyncRequest`] asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Want {
    /// The records of these, 1 to 16.
    Ids(Vec<ShortId>),
    /// Those of the buckets that differ, from one id to another.
    Range {
        /// The lowest id wanted.
        first: ShortId,
        /// The highest, not below `first`.
        last: ShortId,
        /// The requester's own digests: 1, 2, 4 ... 64 buckets, each of as many ids, by their
        /// first bits.
        buckets: Vec<[u8; 8]>,
    },
}

/// A page of records. Unicast, to an address that is proven.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyncResponse {
    /// The request's nonce.
    pub echo: Nonce,
    /// The responder's roster of this link.
    pub digest: Digest,
    /// Where the next page begins, if there is more of what was asked for.
    pub next: Option<ShortId>,
    /// Records by ascending short id, at most 8.
    pub records: Vec<Relayed>,
}

/// A record passed on, and where whoever passes it on reaches its owner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Relayed {
    /// The record.
    pub record: PeerRecord,
    /// Unsigned by its owner: good for a PROBE, for nothing else.
    pub hint: Option<Hint>,
}

/// An address that the responder validated itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hint {
    /// Where; IPv6 without its scope, which means nothing elsewhere. The port is not 0.
    pub address: SocketAddr,
    /// Seconds since it was last heard there.
    pub age_s: u16,
}

/// Ask again with this token. Unicast, no longer than the request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyncChallenge {
    /// The request's nonce.
    pub echo: Nonce,
    /// For the next request from this address; 1 to 8 bytes.
    pub token: Vec<u8>,
}

/// Longest token of a challenge, such that it is no longer than the shortest request.
pub const CHALLENGE_TOKEN_LEN_MAX: usize = 8;

const WANT_IDS: u8 = 0;
const WANT_RANGE: u8 = 1;
const NO_HINT: u8 = 0;
const HINT_V4: u8 = 4;
const HINT_V6: u8 = 6;

impl Wire for SyncRequest {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        Ok(SyncRequest {
            nonce: reader.read()?,
            token: reader.short(TOKEN_LEN_MAX)?.to_vec(),
            want: reader.read()?,
        })
    }

    fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
        writer.write(&self.nonce)?;
        writer.short(&self.token, TOKEN_LEN_MAX)?;
        writer.write(&self.want)
    }
}

impl Wire for SyncResponse {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        Ok(SyncResponse {
            echo: reader.read()?,
            digest: reader.read()?,
            next: reader.read()?,
            records: reader.list(SYNC_RECORDS_MAX)?,
        })
    }

    fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
        writer.write(&self.echo)?;
        writer.write(&self.digest)?;
        writer.write(&self.next)?;
        writer.list(&self.records, SYNC_RECORDS_MAX)
    }
}

impl Wire for SyncChallenge {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let echo = reader.read()?;
        let token = reader.short(CHALLENGE_TOKEN_LEN_MAX)?.to_vec();
        if token.is_empty() {
            return Err(ParseError::Range);
        }
        Ok(SyncChallenge { echo, token })
    }

    fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
        if self.token.is_empty() {
            return Err(EmitError::Range);
        }
        writer.write(&self.echo)?;
        writer.short(&self.token, CHALLENGE_TOKEN_LEN_MAX)
    }
}

impl Wire for Want {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let want = match reader.read::<u8>()? {
            WANT_IDS => Want::Ids(reader.list(SYNC_IDS_MAX)?),
            WANT_RANGE => Want::Range {
                first: reader.read()?,
                last: reader.read()?,
                buckets: reader.list(SYNC_BUCKETS_MAX)?,
            },
            _ => return Err(ParseError::Range),
        };
        if want.is_valid() {
            Ok(want)
        } else {
            Err(ParseError::Range)
        }
    }

    fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
        if !self.is_valid() {
            return Err(EmitError::Range);
        }
        match self {
            Want::Ids(ids) => {
                writer.put(&[WANT_IDS]);
                writer.list(ids, SYNC_IDS_MAX)
            }
            Want::Range {
                first,
                last,
                buckets,
            } => {
                writer.put(&[WANT_RANGE]);
                writer.write(first)?;
                writer.write(last)?;
                writer.list(buckets, SYNC_BUCKETS_MAX)
            }
        }
    }
}

impl Want {
    fn is_valid(&self) -> bool {
        match self {
            Want::Ids(ids) => !ids.is_empty(),
            Want::Range {
                first,
                last,
                buckets,
            } => first <= last && buckets.len().is_power_of_two(),
        }
    }
}

/// The bucket of an id among `count`, a power of two up to 64: its first bits.
#[must_use]
pub fn bucket_of(id: &ShortId, count: usize) -> usize {
    usize::from(id.0[0]) * count / 256
}

/// 0, or 1 and the id.
impl Wire for Option<ShortId> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        match reader.read::<u8>()? {
            0 => Ok(None),
            1 => reader.read().map(Some),
            _ => Err(ParseError::Range),
        }
    }

    fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
        writer.put(&[u8::from(self.is_some())]);
        self.iter().try_for_each(|id| writer.write(id))
    }
}

impl Wire for Relayed {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        Ok(Relayed {
            record: PeerRecord::parse(reader.long(RECORD_LEN_MAX)?)?,
            hint: reader.read()?,
        })
    }

    fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
        writer.long(&self.record.bytes, RECORD_LEN_MAX)?;
        writer.write(&self.hint)
    }
}

/// 0, or 4 or 6, the address, the port and the age.
impl Wire for Option<Hint> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        let ip = match reader.read::<u8>()? {
            NO_HINT => return Ok(None),
            HINT_V4 => IpAddr::from(reader.array::<4>()?),
            HINT_V6 => IpAddr::from(reader.array::<16>()?),
            _ => return Err(ParseError::Range),
        };
        let port: u16 = reader.read()?;
        if port == 0 {
            return Err(ParseError::Range);
        }
        Ok(Some(Hint {
            address: SocketAddr::new(ip, port),
            age_s: reader.read()?,
        }))
    }

    fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
        let Some(hint) = self else {
            writer.put(&[NO_HINT]);
            return Ok(());
        };
        if hint.address.port() == 0 {
            return Err(EmitError::Range);
        }
        match hint.address.ip() {
            IpAddr::V4(ip) => {
                writer.put(&[HINT_V4]);
                writer.put(&ip.octets());
            }
            IpAddr::V6(ip) => {
                writer.put(&[HINT_V6]);
                writer.put(&ip.octets());
            }
        }
        writer.write(&hint.address.port())?;
        writer.write(&hint.age_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_divide_the_ids_by_their_first_bits() {
        let id = |first| ShortId([first, 9, 9, 9, 9, 9, 9, 9]);
        for first in 0..=255 {
            assert_eq!(bucket_of(&id(first), 1), 0);
            assert_eq!(bucket_of(&id(first), 2), usize::from(first >> 7));
            assert_eq!(bucket_of(&id(first), 64), usize::from(first >> 2));
        }
    }
}
