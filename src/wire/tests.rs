//! Properties of the codec: whatever is emitted parses back, whatever parses is emitted byte for
//! byte, and nothing that comes in makes it panic.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::record::RECORD_CONTEXT;
use super::*;
use crate::api::Status;
use crate::id::{Incarnation, NetworkId, Nonce, PublicKey, RoomId, RoomTag, ShortId};
use crate::text::{PeerName, RoomName, StatusText};

/// Stands in for Ed25519: depends on every bit of its input.
fn sign(input: &[u8]) -> [u8; 64] {
    let mut signature = [0; 64];
    blake3::Hasher::new()
        .update(input)
        .finalize_xof()
        .fill(&mut signature);
    signature
}

fn emit_signed(header: &Header, body: &Body) -> Result<Vec<u8>, EmitError> {
    emit(header, body, &mut |input| sign(input))
}

fn packet(bytes: &[u8]) -> Packet {
    match parse(bytes) {
        Ok(Parsed::Packet(packet)) => packet,
        other => panic!("no packet: {other:?}"),
    }
}

const ROOM: RoomId = RoomId([7; 32]);

fn header() -> impl Strategy<Value = Header> {
    (0..4u8, any::<(u16, [u8; 8], u64, u32)>()).prop_map(
        |(path, (flags, sender, incarnation, sequence))| Header {
            path: Path::from_byte(path).expect("0 to 3"),
            flags,
            sender: ShortId(sender),
            incarnation: Incarnation(incarnation),
            sequence,
        },
    )
}

fn record_room() -> impl Strategy<Value = RecordRoom> {
    prop_oneof![
        "[a-zäλ漢0-9-]{1,8}".prop_filter_map("no name", |name| {
            RoomName::new(&name).ok().map(RecordRoom::Public)
        }),
        any::<([u8; 4], [u8; 4])>().prop_map(|(name, tag)| RecordRoom::Locked(name, tag)),
    ]
}

fn fields() -> impl Strategy<Value = RecordFields> {
    let texts = (
        "[ -~äλ漢👍]{0,20}",
        "[a-zA-Zäλ漢👍]{1,8}".prop_filter_map("no name", |name| PeerName::new(&name).ok()),
    );
    let rest = (
        vec(record_room(), 0..=6),
        vec((any::<u8>(), vec(any::<u8>(), 0..20)), 0..3),
        1..=u16::MAX,
        0..3usize,
    );
    (
        any::<([u8; 32], u64, u32)>(),
        any::<(bool, bool)>(),
        texts,
        rest,
    )
        .prop_map(
            |(ids, bits, texts, (rooms, extensions, chat_port, status))| {
                let mut fields = RecordFields {
                    key: PublicKey(ids.0),
                    incarnation: Incarnation(ids.1),
                    record_seq: ids.2,
                    chat_port,
                    transient: bits.0,
                    deaf: bits.1,
                    status: [Status::Available, Status::Away, Status::Busy][status],
                    status_text: StatusText::new(&texts.0),
                    name: texts.1,
                    rooms,
                    extensions,
                };
                fields.fit();
                fields
            },
        )
}

fn record() -> impl Strategy<Value = PeerRecord> {
    fields().prop_map(|fields| PeerRecord::build(fields, &mut |input| sign(input)).expect("fits"))
}

fn entry() -> impl Strategy<Value = Entry> {
    (
        any::<([u8; 32], [u8; 8], u64, [u8; 32], u8)>(),
        (1..=u64::MAX, 1..=u32::MAX),
        vec(any::<[u8; 16]>(), 0..=4),
        vec(any::<u8>(), 0..100),
    )
        .prop_map(
            |((author, network, hlc, prev, kind), (epoch, seq), deps, body)| {
                let fields = EntryFields {
                    author: PublicKey(author),
                    network: NetworkId(network),
                    epoch,
                    seq,
                    hlc,
                    prev,
                    kind: EntryKind(kind),
                    deps,
                    body,
                };
                Entry::build(fields, &ROOM, &mut |input| sign(input)).expect("in range")
            },
        )
}

fn logs() -> impl Strategy<Value = Vec<OwnLog>> {
    let log = any::<([u8; 8], u64, u32)>().prop_map(|(room, epoch, seq)| OwnLog {
        room: RoomTag(room),
        epoch,
        seq,
    });
    vec(log, 0..=6)
}

fn known() -> impl Strategy<Value = Known> {
    prop_oneof![
        vec(any::<[u8; 4]>(), 0..=100).prop_map(Known::Ids),
        (1..=16u8, vec(any::<u8>(), 1..400))
            .prop_map(|(hashes, bits)| Known::Bloom { hashes, bits }),
    ]
}

fn hello() -> impl Strategy<Value = Body> {
    (record(), any::<[u8; 8]>(), logs(), known()).prop_map(|(record, nonce, logs, known)| {
        Body::Hello(Hello {
            record,
            nonce: Nonce(nonce),
            logs,
            known,
        })
    })
}

fn welcome() -> impl Strategy<Value = Body> {
    (
        record(),
        any::<(u32, [u8; 8], [u8; 8], [u8; 8])>(),
        vec(any::<u8>(), 0..=16),
        logs(),
    )
        .prop_map(|(record, (count, xor, echo, nonce), token, logs)| {
            Body::Welcome(Welcome {
                record,
                digest: Digest { count, xor },
                echo: Nonce(echo),
                nonce: Nonce(nonce),
                token,
                logs,
            })
        })
}

fn room_digest() -> impl Strategy<Value = RoomDigest> {
    let head = any::<([u8; 8], u64, u32)>().prop_map(|(author, epoch, seq)| HeadOf {
        author: ShortId(author),
        epoch,
        seq,
    });
    (any::<([u8; 8], [u8; 8])>(), vec(head, 0..=8)).prop_map(|((room, digest), heads)| RoomDigest {
        room: RoomTag(room),
        digest,
        heads,
    })
}

fn heartbeat() -> impl Strategy<Value = Body> {
    let news = any::<([u8; 8], u64, u32)>().prop_map(|(id, incarnation, record_seq)| News {
        id: ShortId(id),
        incarnation: Incarnation(incarnation),
        record_seq,
    });
    let heard = any::<([u8; 4], u8)>().prop_map(|(id, paths)| PathsHeard { id, paths });
    let echo = any::<([u8; 8], u32, u32)>().prop_map(|(sender, sequence, hold)| Echo {
        sender: ShortId(sender),
        sequence,
        hold,
    });
    (
        any::<([u8; 8], u32, [u8; 8], u32, u8)>(),
        vec(news, 0..=4),
        vec(heard, 0..=16),
        vec(echo, 0..=2),
        vec(room_digest(), 0..=4),
    )
        .prop_map(
            |((record_hash, count, xor, group_sent, loss), news, heard, echoes, rooms)| {
                Body::Heartbeat(Heartbeat {
                    record_hash,
                    digest: Digest { count, xor },
                    news,
                    heard,
                    group_sent,
                    loss,
                    echoes,
                    rooms,
                })
            },
        )
}

fn nack() -> impl Strategy<Value = Body> {
    // Steps between run ends: each run starts above the one before and is not empty.
    (
        any::<([u8; 8], [u8; 8], u64)>(),
        vec((1..1000u32, 0..1000u32), 1..=16),
    )
        .prop_map(|((room, author, epoch), steps)| {
            let mut last = 0;
            let run = |(gap, len): (u32, u32)| {
                let first = last + gap;
                last = first + len;
                Run { first, last }
            };
            Body::Nack(Nack {
                room: RoomTag(room),
                author: ShortId(author),
                epoch,
                runs: steps.into_iter().map(run).collect(),
            })
        })
}

fn body() -> impl Strategy<Value = Body> {
    let small = any::<([u8; 8], u64, u32)>();
    prop_oneof![
        hello(),
        welcome(),
        heartbeat(),
        nack(),
        entry().prop_map(Body::Data),
        vec(entry(), 1..=2).prop_map(|entries| Body::Repair(Repair { entries })),
        Just(Body::Goodbye(Goodbye)),
        any::<[u8; 8]>().prop_map(|nonce| Body::Probe(Probe {
            nonce: Nonce(nonce)
        })),
        any::<[u8; 8]>().prop_map(|echo| Body::ProbeAck(ProbeAck { echo: Nonce(echo) })),
        small.prop_map(|(room, epoch, seq)| Body::Heads(Heads {
            room: RoomTag(room),
            epoch,
            seq
        })),
        any::<([u8; 8], u64, u32)>().prop_map(|(room, epoch, seq)| Body::Ack(Ack {
            room: RoomTag(room),
            epoch,
            seq
        })),
    ]
}

/// A header, a body and their bytes.
fn emitted() -> impl Strategy<Value = (Header, Body, Vec<u8>)> {
    (header(), body()).prop_filter_map("over 1200 bytes", |(header, body)| {
        let bytes = emit_signed(&header, &body).ok()?;
        Some((header, body, bytes))
    })
}

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

fn plain_header() -> Header {
    Header {
        path: Path::Mcast4,
        flags: 0,
        sender: ShortId([1; 8]),
        incarnation: Incarnation(2),
        sequence: 3,
    }
}

fn plain_fields() -> RecordFields {
    RecordFields {
        key: PublicKey([9; 32]),
        incarnation: Incarnation(2),
        record_seq: 1,
        chat_port: 5263,
        transient: false,
        deaf: false,
        status: Status::Available,
        status_text: StatusText::default(),
        name: PeerName::new("ben").expect("a name"),
        rooms: vec![],
        extensions: vec![],
    }
}

fn largest_record() -> PeerRecord {
    let mut fields = plain_fields();
    fields.name = PeerName::new(&"n".repeat(32)).expect("32 bytes");
    fields.status_text = StatusText::new(&"s".repeat(48));
    let room = |i| RoomName::new(&format!("{i}{}", "r".repeat(31))).expect("32 bytes");
    fields.rooms = (0..9).map(|i| RecordRoom::Public(room(i))).collect();
    fields.fit();
    assert_eq!(fields.rooms.len(), 3);
    // 300 bytes by now; the rest goes to an extension.
    fields.extensions = vec![(1, vec![0xee; 20])];
    let over = RecordFields {
        extensions: vec![(1, vec![0xee; 21])],
        ..fields.clone()
    };
    let mut sign = |input: &[u8]| sign(input);
    assert_eq!(PeerRecord::build(over, &mut sign), Err(EmitError::TooLong));
    let record = PeerRecord::build(fields, &mut sign).expect("fits");
    assert_eq!(record.bytes.len(), 320);
    record
}

fn largest_entry() -> Entry {
    let fields = EntryFields {
        author: PublicKey([9; 32]),
        network: NetworkId([8; 8]),
        epoch: u64::MAX,
        seq: u32::MAX,
        hlc: u64::MAX,
        prev: [7; 32],
        kind: EntryKind::TEXT,
        deps: vec![[6; 16]; 4],
        body: vec![b'x'; 900],
    };
    Entry::build(fields, &ROOM, &mut |input| sign(input)).expect("in range")
}

fn largest_logs() -> Vec<OwnLog> {
    let log = OwnLog {
        room: RoomTag([1; 8]),
        epoch: u64::MAX,
        seq: u32::MAX,
    };
    vec![log; 6]
}

fn size(body: Body) -> usize {
    let bytes = emit_signed(&plain_header(), &body).expect("fits");
    assert_eq!(packet(&bytes).body, body);
    bytes.len()
}

#[test]
fn the_largest_hello_is_a_full_datagram() {
    let record = largest_record();
    let strangers: Vec<_> = (0..4096u64).map(|i| ShortId(i.to_be_bytes())).collect();
    for count in [0, 100, 155, 156, 157, 200, 201, 4096] {
        let hello = Hello {
            known: Known::fitting(&strangers[..count], &record, 6),
            record: record.clone(),
            nonce: Nonce([5; 8]),
            logs: largest_logs(),
        };
        let as_list = matches!(hello.known, Known::Ids(_));
        assert_eq!(as_list, count <= 156, "{count}");
        assert!(size(Body::Hello(hello)) <= 1200, "{count}");
    }
    let full = Hello {
        known: Known::fitting(&strangers, &record, 6),
        record: record.clone(),
        nonce: Nonce([5; 8]),
        logs: largest_logs(),
    };
    assert_eq!(size(Body::Hello(full.clone())), 1200);
    let over = Hello {
        known: Known::Bloom {
            hashes: 1,
            bits: vec![0; 640],
        },
        ..full
    };
    let mut never = |_: &[u8]| panic!("signed what is too long");
    assert_eq!(
        emit(&plain_header(), &Body::Hello(over), &mut never),
        Err(EmitError::TooLong)
    );
}

#[test]
fn the_largest_of_every_other_packet_fits_a_datagram() {
    let head = HeadOf {
        author: ShortId([4; 8]),
        epoch: u64::MAX,
        seq: u32::MAX,
    };
    let room = RoomDigest {
        room: RoomTag([1; 8]),
        digest: [2; 8],
        heads: vec![head; 8],
    };
    let heartbeat = Heartbeat {
        news: vec![
            News {
                id: ShortId([1; 8]),
                incarnation: Incarnation(1),
                record_seq: 1
            };
            4
        ],
        heard: vec![
            PathsHeard {
                id: [1; 4],
                paths: 15
            };
            16
        ],
        echoes: vec![
            Echo {
                sender: ShortId([1; 8]),
                sequence: 1,
                hold: 1
            };
            2
        ],
        rooms: vec![room; 4],
        ..Heartbeat::default()
    };
    let welcome = Welcome {
        record: largest_record(),
        digest: Digest::default(),
        echo: Nonce([1; 8]),
        nonce: Nonce([2; 8]),
        token: vec![3; 16],
        logs: largest_logs(),
    };
    let runs = (0..16).map(|i| Run {
        first: 2 * i + 1,
        last: 2 * i + 1,
    });
    let nack = Nack {
        room: RoomTag([1; 8]),
        author: ShortId([2; 8]),
        epoch: 3,
        runs: runs.collect(),
    };
    let repair = Repair {
        entries: vec![largest_entry()],
    };
    assert_eq!(size(Body::Heartbeat(heartbeat)), 1019);
    assert_eq!(size(Body::Welcome(welcome)), 578);
    assert_eq!(size(Body::Nack(nack)), 243);
    assert_eq!(size(Body::Data(largest_entry())), 1190);
    assert_eq!(size(Body::Repair(repair)), 1193);
}

#[test]
fn what_a_receiver_would_refuse_is_not_emitted() {
    let refused = |body: Body| {
        let mut never = |_: &[u8]| panic!("signed what is refused");
        emit(&plain_header(), &body, &mut never).expect_err("refused")
    };
    let nack = |runs| {
        Body::Nack(Nack {
            room: RoomTag([1; 8]),
            author: ShortId([2; 8]),
            epoch: 3,
            runs,
        })
    };
    let run = |n| Run { first: n, last: n };
    assert_eq!(refused(nack(vec![])), EmitError::Range);
    assert_eq!(refused(nack(vec![run(2), run(1)])), EmitError::Range);
    assert_eq!(
        refused(nack((1..18).map(run).collect())),
        EmitError::TooMany
    );
    assert_eq!(
        refused(Body::Repair(Repair { entries: vec![] })),
        EmitError::Range
    );
    let two = Repair {
        entries: vec![largest_entry(); 2],
    };
    assert_eq!(refused(Body::Repair(two)), EmitError::TooLong);
    let digest = RoomDigest {
        room: RoomTag([1; 8]),
        digest: [2; 8],
        heads: vec![],
    };
    let heartbeat = Heartbeat {
        rooms: vec![digest; 5],
        ..Heartbeat::default()
    };
    assert_eq!(refused(Body::Heartbeat(heartbeat)), EmitError::TooMany);

    let mut sign = |input: &[u8]| sign(input);
    let no_port = RecordFields {
        chat_port: 0,
        ..plain_fields()
    };
    assert_eq!(PeerRecord::build(no_port, &mut sign), Err(EmitError::Range));
    let entry = |epoch, seq, deps, body| {
        let fields = EntryFields {
            author: PublicKey([9; 32]),
            network: NetworkId([8; 8]),
            epoch,
            seq,
            hlc: 0,
            prev: [0; 32],
            kind: EntryKind::TEXT,
            deps: vec![[0; 16]; deps],
            body: vec![0; body],
        };
        Entry::build(fields, &ROOM, &mut |_| [0; 64]).expect_err("refused")
    };
    assert_eq!(entry(0, 1, 0, 0), EmitError::Range);
    assert_eq!(entry(1, 0, 0, 0), EmitError::Range);
    assert_eq!(entry(1, 1, 5, 0), EmitError::TooMany);
    assert_eq!(entry(1, 1, 0, 901), EmitError::TooLong);
}

#[test]
fn each_cause_of_refusal_has_its_name() {
    let probe = emit_signed(
        &plain_header(),
        &Body::Probe(Probe {
            nonce: Nonce([0; 8]),
        }),
    );
    let good = probe.expect("fits");
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        parse(&bytes)
    };
    assert_eq!(parse(&[]), Err(ParseError::Length));
    assert_eq!(with(0, 0x40), Err(ParseError::Magic));
    assert_eq!(with(1, 2), Err(ParseError::Version));
    assert_eq!(with(2, 0), Err(ParseError::Unknown));
    assert_eq!(with(2, 15), Err(ParseError::Unknown));
    assert_eq!(with(3, 4), Err(ParseError::Unknown));
    assert_eq!(with(2, Kind::Goodbye as u8), Err(ParseError::Length));
    assert_eq!(with(2, Kind::Hello as u8), Err(ParseError::Length));
    assert!(with(4, 0xff).is_ok(), "unknown flags are ignored");
    assert_eq!(parse(&[0x0c; 1201]), Err(ParseError::Length));
}

#[test]
fn a_record_of_a_later_writer_is_kept_byte_for_byte() {
    let plain = PeerRecord::build(plain_fields(), &mut |input| sign(input)).expect("fits");
    let mut bytes = plain.bytes.clone();
    bytes.truncate(bytes.len() - SIGNATURE_LEN - 1);
    bytes[46] = 0xfd; // flags: all but DEAF
    bytes[47] = 9; // a status of its own
    let rooms = b"\x04\x07\x02hi\x00\x05LOBBY\x00\x05lobby\x01\x03abc";
    let extension = b"\x63\x00\x03xyz";
    bytes = [&bytes, &rooms[..], extension, &[0; 64]].concat();
    let record = PeerRecord::parse(&bytes).expect("a record");
    assert!(record.transient && !record.deaf);
    assert_eq!(record.status, Status::Available);
    let lobby = RoomName::new("lobby").expect("a name");
    assert_eq!(record.rooms, [RecordRoom::Public(lobby)]);
    assert_eq!(record.extensions, [(0x63, b"xyz".to_vec())]);
    assert_eq!(record.bytes, bytes);

    let hello = Body::Hello(Hello {
        record,
        nonce: Nonce([1; 8]),
        logs: vec![],
        known: Known::Ids(vec![]),
    });
    size(hello);
}

#[test]
fn a_name_that_is_not_clean_travels_as_it_is_and_shows_clean() {
    let plain = PeerRecord::build(plain_fields(), &mut |input| sign(input)).expect("fits");
    let unclean = "b\u{202e}e\u{1b}n".as_bytes();
    let signed = plain.bytes.len() - SIGNATURE_LEN;
    let bytes = [
        &plain.bytes[..49],
        &[unclean.len() as u8],
        unclean,
        &plain.bytes[53..signed],
        &plain.signature(),
    ]
    .concat();
    let record = PeerRecord::parse(&bytes).expect("a record");
    assert_eq!(record.name.as_str(), "ben");
    let hello = Body::Hello(Hello {
        record,
        nonce: Nonce([1; 8]),
        logs: vec![],
        known: Known::Ids(vec![]),
    });
    let mut packet = emit_signed(&plain_header(), &hello).expect("fits");
    assert_eq!(packet[HEADER_LEN..][1..=unclean.len()], *unclean);
    assert!(parse(&packet).is_ok());
    // The name outside the record must be the one inside, byte for byte.
    packet[HEADER_LEN + 1] = b'B';
    assert_eq!(parse(&packet), Err(ParseError::Text));

    for none in ["", "\u{202e}", "\u{3164}", "   "] {
        let len = [none.len() as u8];
        let rest = &plain.bytes[53..];
        let bytes = [&plain.bytes[..49], &len, none.as_bytes(), rest].concat();
        assert_eq!(PeerRecord::parse(&bytes), Err(ParseError::Text), "{none:?}");
    }
}

#[test]
fn a_hello_of_another_version_says_who_and_nothing_else() {
    let other = |name: &[u8], kind: u8, tail: &[u8]| {
        let mut bytes = vec![MAGIC, 200, kind, 77, 1, 2];
        bytes.extend([5; 8]);
        bytes.extend([6; 12]);
        bytes.push(name.len() as u8);
        bytes.extend(name);
        bytes.extend(tail);
        parse(&bytes)
    };
    let hello = Kind::Hello as u8;
    for tail in [&b""[..], b"whatever comes in ten years"] {
        let Ok(Parsed::OtherVersion(seen)) = other("b\u{200b}en".as_bytes(), hello, tail) else {
            panic!("not seen");
        };
        assert_eq!(seen.version, 200);
        assert_eq!(seen.sender, ShortId([5; 8]));
        assert_eq!(seen.name.as_str(), "ben");
    }
    assert_eq!(other(b"ben", 2, b""), Err(ParseError::Version));
    assert_eq!(other(b"", hello, b""), Err(ParseError::Version));
    assert_eq!(other(b"\xff", hello, b""), Err(ParseError::Version));
    assert_eq!(other(&[b'n'; 33], hello, b""), Err(ParseError::Version));
    assert_eq!(parse(&[MAGIC, 2, hello]), Err(ParseError::Version));
}

#[test]
fn an_entry_with_another_body_is_refused_and_its_hash_is_without_it() {
    let entry = largest_entry();
    let mut bytes = entry.bytes.clone();
    let body_at = bytes.len() - SIGNATURE_LEN - 1;
    bytes[body_at] ^= 1;
    assert_eq!(Entry::parse(&bytes), Err(ParseError::Range));
    let input = entry.signing_input(&ROOM);
    assert!(input.ends_with(&entry.body_hash));
    assert_eq!(
        entry.hash(&ROOM),
        blake3::derive_key("lanchat 1 entry hash", &input)
    );
}

#[test]
fn no_two_things_are_signed_under_one_context() {
    let kinds = (0..=255).filter_map(Kind::from_byte);
    let mut contexts: Vec<_> = kinds.filter_map(Kind::signature_context).collect();
    assert_eq!(contexts.len(), 9);
    contexts.extend([RECORD_CONTEXT, entry::ENTRY_CONTEXT]);
    contexts.sort_unstable();
    contexts.dedup();
    assert_eq!(contexts.len(), 11);
    // The zero behind the context keeps one from being the start of another.
    assert!(contexts.iter().all(|context| !context.contains(&0)));
}
