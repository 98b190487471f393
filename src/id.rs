//! Who and what: keys, ids and the short forms of them that travel and are shown.
//!
//! A person *is* an Ed25519 key. Everything here is derived from it, or from the bytes of an
//! entry, by BLAKE3, so that nothing has to be assigned by anybody.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Characters of an id in text: 32 bytes in base32 without padding.
pub const PEER_ID_CHARS: usize = 52;
/// Fewest characters of an id that a person may type instead of a name.
pub const PEER_ID_PREFIX_CHARS_MIN: usize = 8;
/// Characters of a [`PeerId`] shown beside a name where nothing longer is needed.
pub const TAG_CHARS: usize = 4;

/// An Ed25519 public key (RFC 8032), not yet checked to be a point of the curve.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

/// The name of a key: BLAKE3 of the public key, shown as 52 characters of base32.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerId(pub [u8; 32]);

/// The first 8 bytes of a [`PeerId`], as packets name their sender.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShortId(pub [u8; 8]);

/// A message: 16 random bytes (private) or the first 16 of an entry's hash (room).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub [u8; 16]);

/// Which network a public log belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkId(pub [u8; 8]);

impl NetworkId {
    /// What the logs of locked rooms name: those belong to all networks.
    pub const EVERYWHERE: NetworkId = NetworkId([0; 8]);
}

/// A room: BLAKE3 of a context and the normalised name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId(pub [u8; 32]);

/// The first 8 bytes of a [`RoomId`], as packets name it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomTag(pub [u8; 8]);

/// 64 unpredictable bits that an answer has to echo.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(pub [u8; 8]);

/// One run of a node: milliseconds since the Unix epoch at its start, forced to grow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Incarnation(pub u64);

/// The text is not an id of that kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not an id")]
pub struct ParseIdError;

impl PublicKey {
    /// The id of this key.
    #[must_use]
    pub fn id(&self) -> PeerId {
        PeerId(*blake3::hash(&self.0).as_bytes())
    }
}

impl PeerId {
    /// As packets name this peer.
    #[must_use]
    pub fn short(&self) -> ShortId {
        ShortId(first(&self.0))
    }

    /// The first [`TAG_CHARS`] characters, as in `ben~k7q2`.
    #[must_use]
    pub fn tag(&self) -> String {
        self.to_string()[..TAG_CHARS].to_owned()
    }
}

/// The order of the bytes. Two ids differ in their first 8 bytes but for a search for such: each
/// packet looks several up, and as numbers they are compared several times as fast.
impl Ord for PeerId {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_rest = || self.0.cmp(&other.0);
        self.short().cmp(&other.short()).then_with(by_rest)
    }
}

impl PartialOrd for PeerId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The order of the bytes, as that of [`PeerId`].
impl Ord for ShortId {
    fn cmp(&self, other: &Self) -> Ordering {
        u64::from_be_bytes(self.0).cmp(&u64::from_be_bytes(other.0))
    }
}

impl PartialOrd for ShortId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl RoomId {
    /// The id of a public room of this (normalised, without `#`) name.
    #[must_use]
    pub fn public(name: &str) -> Self {
        RoomId(blake3::derive_key("lanchat 1 public room", name.as_bytes()))
    }

    /// As packets name this room.
    #[must_use]
    pub fn tag(&self) -> RoomTag {
        RoomTag(first(&self.0))
    }
}

impl MessageId {
    /// The id of a room message: the first 16 bytes of its entry's hash.
    #[must_use]
    pub fn of_entry(hash: &[u8; 32]) -> Self {
        MessageId(first(hash))
    }
}

fn first<const N: usize>(bytes: &[u8; 32]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[..N]);
    out
}

fn encode(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

fn decode<const N: usize>(text: &str) -> Result<[u8; N], ParseIdError> {
    let bytes = BASE32_NOPAD
        .decode(text.to_ascii_uppercase().as_bytes())
        .map_err(|_| ParseIdError)?;
    bytes.try_into().map_err(|_| ParseIdError)
}

macro_rules! text_form {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&encode(&self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = encode(&self.0);
                write!(f, "{}({})", stringify!($name), &text[..text.len().min(8)])
            }
        }
        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                decode(text).map($name)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
text_form!(
    PublicKey, PeerId, ShortId, MessageId, NetworkId, RoomId, RoomTag, Nonce
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_52_lower_case_characters_and_reads_back() {
        let id = PublicKey([7; 32]).id();
        let text = id.to_string();
        assert_eq!(text.len(), PEER_ID_CHARS);
        assert_eq!(text, text.to_ascii_lowercase());
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(id.tag(), text[..4]);
        assert_eq!(id.short().0, id.0[..8]);
    }

    #[test]
    fn ids_have_the_order_of_their_bytes() {
        let id = |at: usize, byte: u8| {
            let mut bytes = [7; 32];
            bytes[at] = byte;
            PeerId(bytes)
        };
        let ids = [0, 6, 7, 8, 31].map(|at| [id(at, 0), id(at, 7), id(at, 200)]);
        for (a, b) in ids
            .iter()
            .flatten()
            .flat_map(|a| ids.iter().flatten().map(move |b| (a, b)))
        {
            assert_eq!(a.cmp(b), a.0.cmp(&b.0));
            assert_eq!(a.short().cmp(&b.short()), a.0[..8].cmp(&b.0[..8]));
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "k7q2", "not base32!", &"a".repeat(53)] {
            assert_eq!(text.parse::<PeerId>(), Err(ParseIdError), "{text:?}");
        }
    }

    #[test]
    fn rooms_of_different_names_differ() {
        assert_ne!(RoomId::public("lobby"), RoomId::public("games"));
        assert_eq!(
            RoomId::public("lobby").tag().0,
            RoomId::public("lobby").0[..8]
        );
    }
}
