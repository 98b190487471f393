//! Sealed packets, with a cipher of the tests: what is in them, and what is not taken out of them.

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::sealed::{SEAL_NONCE_LEN, SEAL_TAG_LEN, SEALED_OVERHEAD};
use super::super::*;
use super::cases::{plain_header, size};
use super::strategies::{emitted, entry};
use super::{ROOM, emit_signed, packet, sign};
use crate::id::{RoomTag, ShortId};

/// Stands in for XChaCha20-Poly1305: key stream and tag depend on every bit.
struct Cipher {
    key: [u8; 32],
    room: RoomTag,
}

impl Cipher {
    fn stream(&self, nonce: &[u8; SEAL_NONCE_LEN], bytes: &[u8]) -> Vec<u8> {
        let mut stream = vec![0; bytes.len()];
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(nonce).finalize_xof().fill(&mut stream);
        let pairs = stream.iter().zip(bytes);
        pairs.map(|(key, byte)| key ^ byte).collect()
    }

    fn tag(&self, nonce: &[u8; SEAL_NONCE_LEN], associated: &[u8], sealed: &[u8]) -> Vec<u8> {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&associated.len().to_be_bytes());
        hasher.update(associated).update(nonce).update(sealed);
        hasher.finalize().as_bytes()[..SEAL_TAG_LEN].to_vec()
    }
}

impl Sealer for Cipher {
    fn room(&self) -> RoomTag {
        self.room
    }

    fn nonce(&mut self) -> [u8; SEAL_NONCE_LEN] {
        [9; SEAL_NONCE_LEN]
    }

    fn seal(
        &self,
        nonce: &[u8; SEAL_NONCE_LEN],
        associated: &[u8],
        plain: &[u8],
    ) -> Option<Vec<u8>> {
        let sealed = self.stream(nonce, plain);
        let tag = self.tag(nonce, associated, &sealed);
        Some([sealed, tag].concat())
    }
}

impl Opener for Cipher {
    fn open(
        &self,
        nonce: &[u8; SEAL_NONCE_LEN],
        associated: &[u8],
        sealed: &[u8],
    ) -> Option<Vec<u8>> {
        let (sealed, tag) = sealed.split_last_chunk::<SEAL_TAG_LEN>()?;
        let holds = self.tag(nonce, associated, sealed) == tag.to_vec();
        holds.then(|| self.stream(nonce, sealed))
    }
}

fn cipher() -> Cipher {
    Cipher {
        key: [3; 32],
        room: ROOM.tag(),
    }
}

fn sealed(header: &Header, body: &Body) -> Result<Vec<u8>, EmitError> {
    seal(header, body, &mut cipher(), &mut |input| sign(input))
}

/// What is in the bytes of a sealed packet.
fn opened(bytes: &[u8]) -> Result<Opened, ParseError> {
    match packet(bytes) {
        Packet {
            header,
            body: Body::Sealed(sealed),
        } => open(&sealed, &header, &cipher()),
        other => panic!("not sealed: {other:?}"),
    }
}

fn beacon(room: RoomTag, members: usize, heads: usize) -> Body {
    let head = HeadOf {
        author: ShortId([1; 8]),
        epoch: 7,
        seq: 3,
    };
    Body::RoomBeacon(RoomBeacon {
        room,
        members: vec![ShortId([2; 8]); members],
        heads: vec![head; heads],
        leaving: true,
    })
}

fn acks(room: RoomTag) -> Body {
    let (epoch, seq) = (7, 3);
    Body::Ack(Ack { room, epoch, seq })
}

#[test]
fn a_beacon_travels_only_sealed_and_the_largest_fits() {
    let header = plain_header();
    let largest = beacon(ROOM.tag(), 64, 24);
    let bytes = sealed(&header, &largest).expect("fits");
    assert_eq!(bytes.len(), 1142);
    let opened = opened(&bytes).expect("opens");
    assert_eq!(opened.body, largest);
    let input = signing_input(Kind::RoomBeacon, &opened.bytes).expect("signed");
    assert!(input.starts_with(b"lanchat 1 ROOM BEACON\0"));
    assert_eq!(signature(&opened.bytes), Some(sign(&input)));
    assert_eq!(emit_signed(&header, &largest), Err(EmitError::Range));
    assert!(matches!(parse(&opened.bytes), Err(ParseError::Unknown)));
    let too_many = [beacon(ROOM.tag(), 65, 0), beacon(ROOM.tag(), 0, 25)];
    for body in too_many {
        assert_eq!(sealed(&header, &body), Err(EmitError::TooMany));
    }
}

#[test]
fn what_is_of_another_room_or_of_none_is_neither_sealed_nor_taken() {
    let header = plain_header();
    let elsewhere = acks(RoomTag([8; 8]));
    for body in [
        elsewhere.clone(),
        Body::Goodbye(Goodbye),
        beacon(RoomTag([8; 8]), 1, 1),
    ] {
        assert_eq!(sealed(&header, &body), Err(EmitError::Range));
    }
    // A member that does it all the same.
    let evil = |kind: u8, inner: &[u8]| {
        let mut bytes = sealed(&header, &acks(ROOM.tag())).expect("fits");
        bytes.truncate(header::HEADER_LEN);
        let mut head = bytes.clone();
        set_path(&mut head, Path::Unicast);
        let associated = [b"lanchat 1 SEALED\0", &head[..], &ROOM.tag().0].concat();
        let plain = [&[kind], inner].concat();
        let text = cipher().seal(&[9; SEAL_NONCE_LEN], &associated, &plain);
        bytes.extend_from_slice(&ROOM.tag().0);
        bytes.extend_from_slice(&[9; SEAL_NONCE_LEN]);
        bytes.extend_from_slice(&text.expect("seals"));
        opened(&bytes)
    };
    let of = |body: &Body| emit_signed(&header, body).expect("fits")[header::HEADER_LEN..].to_vec();
    let inner = of(&acks(ROOM.tag()));
    assert!(evil(Kind::Ack as u8, &inner).is_ok());
    let other_room = evil(Kind::Ack as u8, &of(&elsewhere));
    assert_eq!(other_room, Err(ParseError::Range));
    for kind in [Kind::Goodbye as u8, Kind::Sealed as u8, 0, 255] {
        assert_eq!(evil(kind, &inner), Err(ParseError::Unknown), "{kind}");
    }
    assert_eq!(evil(Kind::Ack as u8, &[]), Err(ParseError::Length));
    let trailing = evil(Kind::Ack as u8, &[&inner[..], &[0]].concat());
    assert_eq!(trailing, Err(ParseError::Length));
    let mut beacon_bytes = of_beacon();
    let leaving = beacon_bytes.len() - header::SIGNATURE_LEN - 1;
    assert!(evil(Kind::RoomBeacon as u8, &beacon_bytes).is_ok());
    beacon_bytes[leaving] = 2;
    let no_flag = evil(Kind::RoomBeacon as u8, &beacon_bytes);
    assert_eq!(no_flag, Err(ParseError::Range));
}

/// The body and signature of a beacon.
fn of_beacon() -> Vec<u8> {
    let bytes = sealed(&plain_header(), &beacon(ROOM.tag(), 2, 1)).expect("fits");
    opened(&bytes).expect("opens").bytes[header::HEADER_LEN..].to_vec()
}

#[test]
fn sealed_bytes_are_bounded_both_ways() {
    let with = |len: usize| {
        Body::Sealed(Sealed {
            room: ROOM.tag(),
            nonce: [0; SEAL_NONCE_LEN],
            sealed: vec![0; len],
        })
    };
    assert_eq!(size(with(SEAL_TAG_LEN + 1)), 26 + SEALED_OVERHEAD);
    let most = DATAGRAM_LEN_MAX - 26 - 8 - SEAL_NONCE_LEN;
    assert_eq!(size(with(most)), DATAGRAM_LEN_MAX);
    let emit = |len| emit_signed(&plain_header(), &with(len));
    assert_eq!(emit(SEAL_TAG_LEN), Err(EmitError::Range));
    assert_eq!(emit(most + 1), Err(EmitError::TooLong));
    let bytes = emit(SEAL_TAG_LEN + 1).expect("fits");
    assert_eq!(parse(&bytes[..bytes.len() - 1]), Err(ParseError::Length));
}

/// A body of a locked room, of any kind there is.
fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        entry().prop_map(Body::Data),
        entry().prop_map(|entry| Body::Data(entry.stub())),
        proptest::collection::vec(entry(), 1..=3)
            .prop_map(|entries| Body::Repair(Repair { entries })),
        (0..=64usize, 0..=24usize).prop_map(|(members, heads)| beacon(ROOM.tag(), members, heads)),
        Just(acks(ROOM.tag())),
        (1..9u32, 0..9u32).prop_map(|(first, more)| Body::Nack(Nack {
            room: ROOM.tag(),
            author: ShortId([1; 8]),
            epoch: 7,
            runs: vec![Run {
                first,
                last: first + more
            }],
        })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_sealed_opens_as_it_was(body in body()) {
        let header = plain_header();
        let Ok(bytes) = sealed(&header, &body) else {
            let open = emit_signed(&header, &body).map_or(usize::MAX, |bytes| bytes.len());
            prop_assert!(open > DATAGRAM_LEN_MAX - SEALED_OVERHEAD);
            return Ok(());
        };
        let opened = opened(&bytes).expect("opens");
        prop_assert_eq!(opened.bytes.len() + SEALED_OVERHEAD, bytes.len());
        prop_assert_eq!(&opened.body, &body);
        if let Ok(open) = emit_signed(&header, &body) {
            prop_assert_eq!(&opened.bytes, &open);
        }
        let parsed = packet(&bytes);
        prop_assert_eq!(emit_signed(&parsed.header, &parsed.body), Ok(bytes));
    }

    #[test]
    fn no_bit_of_a_sealed_packet_can_be_changed(flip in any::<Index>(), path in 0..5u8) {
        let mut bytes = sealed(&plain_header(), &acks(ROOM.tag())).expect("fits");
        let bit = flip.index(bytes.len() * 8);
        if bit / 8 == PATH_OFFSET {
            if let Some(path) = Path::from_byte(path) {
                set_path(&mut bytes, path);
                prop_assert!(opened(&bytes).is_ok(), "another path is no other packet");
            }
            return Ok(());
        }
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(Parsed::Packet(Packet { header, body: Body::Sealed(sealed) })) = parse(&bytes) {
            prop_assert_eq!(open(&sealed, &header, &cipher()), Err(ParseError::Sealed));
        }
    }

    #[test]
    fn open_packets_are_not_taken_for_sealed_ones((_, _, mut bytes) in emitted()) {
        bytes[header::KIND_OFFSET] = Kind::Sealed as u8;
        if let Ok(Parsed::Packet(Packet { header, body: Body::Sealed(sealed) })) = parse(&bytes) {
            prop_assert_eq!(open(&sealed, &header, &cipher()), Err(ParseError::Sealed));
        }
    }

    #[test]
    fn a_stub_has_the_name_and_the_signature_of_its_entry(entry in entry()) {
        let stub = entry.stub();
        prop_assert_eq!(Entry::parse(&stub.bytes), Ok(stub.clone()));
        prop_assert!(stub.redacted && stub.body.is_empty() && !entry.redacted);
        prop_assert_eq!(stub.bytes.len(), entry.bytes.len() - entry.body.len());
        prop_assert_eq!(stub.hash(&ROOM), entry.hash(&ROOM));
        prop_assert_eq!(stub.signature(), entry.signature());
        prop_assert_eq!(stub.signing_input(&ROOM), entry.signing_input(&ROOM));
        prop_assert_eq!(&stub.stub(), &stub);
        for len in 0..stub.bytes.len() {
            prop_assert!(Entry::parse(&stub.bytes[..len]).is_err());
        }
        prop_assert!(Entry::parse(&[&stub.bytes[..], &[0]].concat()).is_err());
    }
}

#[test]
fn the_kind_of_a_part_is_that_of_the_whole() {
    for kind in [EntryKind::TEXT, EntryKind::REPLY, EntryKind(0x3f)] {
        assert!(!kind.more() && kind.continued().more());
        assert_eq!(kind.continued().base(), kind);
        assert_eq!(kind.continuing().continued().base(), kind);
        assert!(kind.continuing().continues() && kind.continuing().is_part());
        assert!(!kind.continues() && !kind.is_part() && kind.continued().is_part());
        assert_eq!(kind.base(), kind);
    }
    assert_eq!(EntryKind::TEXT.continued().0, 0x81);
    assert_eq!(EntryKind::TEXT.continuing().0, 0x41);
}
