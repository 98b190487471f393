//! Keys of locked rooms: from a phrase to the key of a room, and from that to its id and tag.
//!
//! The phrase is normalised (NFC) and stretched with Argon2id (RFC 9106): 64 MiB, 3 passes, one
//! lane, about a tenth of a second. That is no work for the loop: the core hands out a [`Derivation`]
//! by `Output::Derive`, and whoever drives it answers with `Endpoint::handle_derived`. The key is
//! what is stored, never the phrase.

pub mod seal;
pub mod words;

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use unicode_normalization::UnicodeNormalization;
use zeroize::{Zeroize, Zeroizing};

use crate::id::RoomId;
use crate::text::RoomName;

/// Memory of one derivation, in KiB.
const MEMORY_KIB: u32 = 64 * 1024;
/// Passes over it.
const PASSES: u32 = 3;

/// What the key of a locked room is derived from.
#[derive(Clone, PartialEq, Eq)]
pub struct Derivation {
    /// The room.
    pub name: RoomName,
    /// The phrase, as it was written.
    pub phrase: Zeroizing<String>,
}

impl fmt::Debug for Derivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The phrase belongs into no log.
        write!(f, "Derivation(#{})", self.name)
    }
}

/// The key of a locked room.
#[derive(Clone, PartialEq, Eq)]
pub struct RoomKey([u8; 32]);

impl fmt::Debug for RoomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoomKey(..)")
    }
}

impl Drop for RoomKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl RoomKey {
    /// The key with these bytes, as it was stored.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        RoomKey(bytes)
    }

    /// Its bytes, to be stored.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The id of the room of this name and key.
    #[must_use]
    pub fn room(&self, name: &RoomName) -> RoomId {
        let input = Zeroizing::new([name.as_str().as_bytes(), &[0], &self.0].concat());
        RoomId(blake3::derive_key("lanchat 1 locked room", &input))
    }

    /// The key that seals packets.
    fn seal(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key("lanchat 1 seal", &self.0))
    }
}

/// Stretches the phrase into the room's key. Takes 64 MiB and about a tenth of a second.
///
/// # Errors
/// A sentence where the memory is not to be had.
pub fn derive(from: &Derivation) -> Result<RoomKey, String> {
    let phrase: Zeroizing<String> = Zeroizing::new(from.phrase.nfc().collect());
    let salt = blake3::derive_key("lanchat 1 room salt", from.name.as_str().as_bytes());
    let mut key = RoomKey([0; 32]);
    argon2id(PASSES, phrase.as_bytes(), &salt[..16], &mut key.0)?;
    Ok(key)
}

/// The same from a plain hash, where a simulation has no time for the real one.
#[cfg(feature = "sim")]
#[must_use]
pub fn derive_cheaply(from: &Derivation) -> RoomKey {
    let phrase: String = from.phrase.nfc().collect();
    let input = [from.name.as_str(), phrase.as_str()].join("\0");
    RoomKey(blake3::derive_key(
        "lanchat 1 simulated room key",
        input.as_bytes(),
    ))
}

fn argon2id(passes: u32, phrase: &[u8], salt: &[u8], out: &mut [u8; 32]) -> Result<(), String> {
    let told = |error: argon2::Error| format!("the room's key cannot be made: {error}");
    let params = Params::new(MEMORY_KIB, passes, 1, Some(out.len())).map_err(told)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(phrase, salt, out).map_err(told)
}

/// What records tell of a locked room's name: the first 4 bytes of its hash.
#[must_use]
pub fn name_hash(name: &RoomName) -> [u8; 4] {
    let hash = blake3::derive_key("lanchat 1 room name", name.as_str().as_bytes());
    [hash[0], hash[1], hash[2], hash[3]]
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    fn derivation(name: &str, phrase: &str) -> Derivation {
        Derivation {
            name: RoomName::new(name).expect("a name"),
            phrase: Zeroizing::new(phrase.to_owned()),
        }
    }

    /// The reference implementation's own test (phc-winner-argon2, `src/test.c`): Argon2id 1.3,
    /// 2 passes, 2^16 KiB, 1 lane.
    #[test]
    fn the_derivation_is_that_of_the_reference() {
        let mut out = [0; 32];
        argon2id(2, b"password", b"somesalt", &mut out).expect("memory");
        let expected = "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7";
        assert_eq!(data_encoding::HEXLOWER.encode(&out), expected);
    }

    #[test]
    fn a_key_depends_on_the_name_and_on_what_the_phrase_means() {
        let key = derive(&derivation("games", "pass\u{e9}")).expect("memory");
        let composed = derive(&derivation("games", "passe\u{301}")).expect("memory");
        assert_eq!(key, composed, "however the keyboard writes it");
        assert_ne!(
            key,
            derive(&derivation("game", "pass\u{e9}")).expect("memory")
        );
        assert_ne!(key, derive(&derivation("games", "passe")).expect("memory"));
        assert_eq!(RoomKey::from_bytes(*key.bytes()), key);
    }

    #[test]
    fn a_locked_room_is_another_for_each_key_and_than_the_open_one() {
        let games = RoomName::new("games").expect("a name");
        let rooms = [1, 2].map(|byte| RoomKey([byte; 32]).room(&games));
        assert_ne!(rooms[0], rooms[1]);
        assert_ne!(rooms[0], RoomId::public("games"));
        let chess = RoomName::new("chess").expect("a name");
        assert_ne!(RoomKey([1; 32]).room(&chess), rooms[0]);
        assert_ne!(name_hash(&games), name_hash(&chess));
        assert_ne!(name_hash(&games), rooms[0].0[..4]);
    }

    #[test]
    fn neither_phrase_nor_key_is_printed() {
        let from = derivation("games", "secret");
        assert_eq!(format!("{from:?}"), "Derivation(#games)");
        assert_eq!(format!("{:?}", RoomKey([7; 32])), "RoomKey(..)");
    }
}
