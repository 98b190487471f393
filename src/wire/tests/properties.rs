//! Properties of the codec: whatever is emitted parses back, whatever parses is emitted byte for
//! byte, and nothing that comes in makes it panic.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::super::*;
use super::strategies::{emitted, entry, record};
use super::{ROOM, packet, sign};
use crate::id::RoomId;

/// The bytes of a parsed packet again, with the signature that came with it.
fn again(packet: &Packet, bytes: &[u8]) -> Result<Vec<u8>, EmitError> {
    let mut with_its_signature = |_: &[u8]| signature(bytes).expect("signed");
    emit(&packet.header, &packet.body, &mut with_its_signature)
}

/// Everything of a packet that a signature covers: of the packet, or of its entries.
fn covered(bytes: &[u8]) -> Option<(Vec<u8>, Vec<[u8; 64]>)> {
    let Ok(Parsed::Packet(packet)) = parse(bytes) else {
        return None;
    };
    let entries = match &packet.body {
        Body::Data(entry) => std::slice::from_ref(entry),
        Body::Repair(repair) => &repair.entries,
        signed => {
            return Some((
                signing_input(signed.kind(), bytes)?,
                vec![signature(bytes)?],
            ));
        }
    };
    let input = entries.iter().flat_map(|entry| entry.signing_input(&ROOM));
    Some((
        input.collect(),
        entries.iter().map(Entry::signature).collect(),
    ))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..1300)) {
        let _ = parse(&bytes);
        let _ = PeerRecord::parse(&bytes);
        let _ = Entry::parse(&bytes);
        let _ = (signing_input(Kind::Hello, &bytes), signature(&bytes));
        set_path(&mut bytes.clone(), Path::Bcast4);
    }

    #[test]
    fn arbitrary_bodies_do_no_harm(
        kind in 0..24u8, path in 0..5u8, bytes in vec(any::<u8>(), 0..400)
    ) {
        let head = [MAGIC, VERSION, kind, path];
        let _ = parse(&[&head[..], &bytes].concat());
    }

    #[test]
    fn what_is_emitted_parses_back((header, body, bytes) in emitted()) {
        prop_assert!(bytes.len() <= DATAGRAM_LEN_MAX);
        prop_assert_eq!(parse(&bytes), Ok(Parsed::Packet(Packet { header, body })));
    }

    #[test]
    fn what_parses_is_emitted_byte_for_byte(
        (_, _, mut bytes) in emitted(),
        changes in vec((any::<Index>(), any::<u8>()), 0..4),
    ) {
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(Parsed::Packet(packet)) = parse(&bytes) {
            prop_assert_eq!(again(&packet, &bytes), Ok(bytes));
        }
    }

    #[test]
    fn what_is_signed_is_what_is_verified((header, body, bytes) in emitted()) {
        let mut inputs = Vec::new();
        let mut spy = |input: &[u8]| { inputs.push(input.to_vec()); sign(input) };
        prop_assert_eq!(emit(&header, &body, &mut spy), Ok(bytes.clone()));
        let expected: Vec<_> = signing_input(body.kind(), &bytes).into_iter().collect();
        prop_assert_eq!(&inputs, &expected);
        for input in inputs {
            prop_assert_eq!(signature(&bytes), Some(sign(&input)));
        }
    }

    #[test]
    fn another_path_needs_no_other_signature((header, body, mut bytes) in emitted()) {
        let input = signing_input(body.kind(), &bytes);
        for path in Path::GROUP {
            set_path(&mut bytes, path);
            prop_assert_eq!(signing_input(body.kind(), &bytes), input.clone());
            prop_assert_eq!(packet(&bytes).header, Header { path, ..header });
        }
    }

    #[test]
    fn built_records_and_entries_parse_back(record in record(), entry in entry()) {
        prop_assert!(record.bytes.len() <= crate::limits::RECORD_LEN_MAX);
        prop_assert_eq!(PeerRecord::parse(&record.bytes), Ok(record.clone()));
        prop_assert_eq!(record.signature(), sign(&record.signing_input()));
        prop_assert_eq!(Entry::parse(&entry.bytes), Ok(entry.clone()));
        prop_assert_eq!(entry.signature(), sign(&entry.signing_input(&ROOM)));
        prop_assert_ne!(entry.hash(&ROOM), entry.hash(&RoomId([8; 32])));
    }

    #[test]
    fn what_a_reader_hashes_hides_no_bit_of_a_record(record in record(), flip in any::<Index>()) {
        let mut bytes = record.bytes.clone();
        let bit = flip.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = PeerRecord::parse(&bytes) {
            prop_assert_ne!(other.hash(), record.hash());
            prop_assert_ne!(
                (other.signing_input(), other.signature()),
                (record.signing_input(), record.signature())
            );
        }
    }
}

proptest! {
    // Each case tries every length and every bit.
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_truncation_and_every_addition_is_an_error((_, _, bytes) in emitted()) {
        for len in 0..bytes.len() {
            prop_assert!(parse(&bytes[..len]).is_err(), "{} of {} bytes", len, bytes.len());
        }
        for more in [0, 1, 0xff] {
            prop_assert!(parse(&[&bytes[..], &[more]].concat()).is_err());
        }
    }

    #[test]
    fn every_flipped_bit_breaks_the_signature((_, body, bytes) in emitted()) {
        let before = covered(&bytes);
        let signed = body.kind().signature_context().is_some();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // The header of what carries signed entries is a note on the envelope.
            let outside = bit / 8 == PATH_OFFSET || (!signed && bit / 8 < HEADER_LEN);
            if outside {
                continue;
            }
            prop_assert_ne!(covered(&flipped), before.clone(), "bit {} of byte {}", bit % 8, bit / 8);
            if signed && bit / 8 < bytes.len() - SIGNATURE_LEN {
                let kind = body.kind();
                prop_assert_ne!(signing_input(kind, &flipped), signing_input(kind, &bytes));
            }
        }
    }
}
