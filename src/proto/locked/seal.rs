//! Sealing with XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03, RFC 8439).
//!
//! The nonce is random: 24 bytes are enough that two of one key never meet.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};

use super::RoomKey;
use crate::id::{RoomId, RoomTag};
use crate::wire::sealed::SEAL_NONCE_LEN;
use crate::wire::{Opener, Sealer};

/// What seals and opens the packets of one room.
pub struct Seal {
    room: RoomTag,
    cipher: XChaCha20Poly1305,
}

impl Seal {
    /// For the room of this id and key.
    #[must_use]
    pub fn new(room: &RoomId, key: &RoomKey) -> Self {
        Seal {
            room: room.tag(),
            cipher: XChaCha20Poly1305::new(&(*key.seal()).into()),
        }
    }

    /// A sealer that takes its nonces from `random`.
    pub fn with<'a>(&'a self, random: &'a mut dyn FnMut() -> [u8; SEAL_NONCE_LEN]) -> Sealing<'a> {
        Sealing { seal: self, random }
    }
}

/// A seal in use.
pub struct Sealing<'a> {
    seal: &'a Seal,
    random: &'a mut dyn FnMut() -> [u8; SEAL_NONCE_LEN],
}

impl Sealer for Sealing<'_> {
    fn room(&self) -> RoomTag {
        self.seal.room
    }

    fn nonce(&mut self) -> [u8; SEAL_NONCE_LEN] {
        (self.random)()
    }

    fn seal(&self, nonce: &[u8; SEAL_NONCE_LEN], aad: &[u8], msg: &[u8]) -> Option<Vec<u8>> {
        let payload = Payload { msg, aad };
        self.seal.cipher.encrypt(&(*nonce).into(), payload).ok()
    }
}

impl Opener for Seal {
    fn open(&self, nonce: &[u8; SEAL_NONCE_LEN], aad: &[u8], msg: &[u8]) -> Option<Vec<u8>> {
        let payload = Payload { msg, aad };
        self.cipher.decrypt(&(*nonce).into(), payload).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram::Path;
    use crate::id::{Incarnation, ShortId};
    use crate::text::RoomName;
    use crate::wire::{self, Ack, Body, Header, Packet, ParseError, Parsed};

    fn hex(text: &str) -> Vec<u8> {
        let digits: String = text.split_whitespace().collect();
        data_encoding::HEXLOWER
            .decode(digits.as_bytes())
            .expect("hex")
    }

    /// draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    #[test]
    fn the_cipher_is_that_of_the_draft() {
        let key: [u8; 32] = std::array::from_fn(|i| 0x80 + u8::try_from(i).expect("small"));
        let nonce: [u8; 24] = std::array::from_fn(|i| 0x40 + u8::try_from(i).expect("small"));
        let seal = Seal {
            room: RoomTag([0; 8]),
            cipher: XChaCha20Poly1305::new(&key.into()),
        };
        let mut random = || nonce;
        let sealer = seal.with(&mut random);
        let aad = hex("50515253c0c1c2c3c4c5c6c7");
        let text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip \
            for the future, sunscreen would be it.";
        let sealed = sealer.seal(&nonce, &aad, text).expect("seals");
        let expected = hex(
            "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396c
            bb731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69
            b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637da9768812f615c68b13b52e
            c0875924c1c7987947deafd8780acf49",
        );
        assert_eq!(sealed, expected);
        assert_eq!(seal.open(&nonce, &aad, &sealed).as_deref(), Some(&text[..]));
        let mut other = sealed.clone();
        other[0] ^= 1;
        assert_eq!(seal.open(&nonce, &aad, &other), None);
        assert_eq!(seal.open(&nonce, b"", &sealed), None);
        assert_eq!(seal.open(&nonce, &aad, &sealed[..15]), None);
    }

    #[test]
    fn a_packet_opens_with_the_key_of_its_room_only() {
        let name = RoomName::new("games").expect("a name");
        let keys = [1, 2].map(|byte| RoomKey::from_bytes([byte; 32]));
        let room = keys[0].room(&name);
        let seal = Seal::new(&room, &keys[0]);
        let header = Header {
            path: Path::Mcast4,
            flags: 0,
            sender: ShortId([1; 8]),
            incarnation: Incarnation(1),
            sequence: 1,
        };
        let ack = Body::Ack(Ack {
            room: room.tag(),
            epoch: 1,
            seq: 1,
        });
        let mut random = || [5; SEAL_NONCE_LEN];
        let bytes = wire::seal(&header, &ack, &mut seal.with(&mut random), &mut |_| [0; 64]);
        let Ok(Parsed::Packet(Packet { header, body })) = wire::parse(&bytes.expect("fits")) else {
            panic!("no packet");
        };
        let Body::Sealed(sealed) = body else {
            panic!("not sealed");
        };
        let opened = wire::open(&sealed, &header, &seal).map(|opened| opened.body);
        assert_eq!(opened, Ok(ack));
        let other = Seal::new(&room, &keys[1]);
        let refused = wire::open(&sealed, &header, &other);
        assert_eq!(refused, Err(ParseError::Sealed));
    }
}
