//! Sizes, causes of refusal, and what other versions and later writers send.

use super::super::record::RECORD_CONTEXT;
use super::super::*;
use super::{ROOM, emit_signed, packet, sign};
use crate::api::Status;
use crate::id::{Incarnation, NetworkId, Nonce, PublicKey, RoomTag, ShortId};
use crate::text::{PeerName, RoomName, StatusText};

pub fn plain_header() -> Header {
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

pub fn largest_record() -> PeerRecord {
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
        hlc: crate::wire::entry::HLC_MAX,
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

pub fn size(body: Body) -> usize {
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

/// Else everything said after it would have the same, last place in the order.
#[test]
fn an_entry_behind_which_nothing_can_stand_is_none() {
    let mut bytes = largest_entry().bytes;
    // Room, author, network, epoch and number stand before the clock.
    let at = 8 + 32 + 8 + 8 + 4;
    assert_eq!(bytes[at..at + 8], crate::wire::entry::HLC_MAX.to_be_bytes());
    bytes[at] |= 0x80;
    assert_eq!(Entry::parse(&bytes), Err(ParseError::Range));
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
    assert_eq!(with(2, 14), Err(ParseError::Unknown));
    assert_eq!(with(2, 15), Err(ParseError::Unknown));
    assert_eq!(with(3, 4), Err(ParseError::Unknown));
    assert_eq!(with(2, Kind::Goodbye as u8), Err(ParseError::Length));
    assert_eq!(with(2, Kind::Hello as u8), Err(ParseError::Length));
    assert!(with(4, 0xff).is_ok(), "unknown flags are ignored");
    assert_eq!(parse(&[0x0c; 1201]), Err(ParseError::Length));
}

#[test]
fn a_longer_record_status_or_name_is_refused() {
    let largest = largest_record().bytes;
    assert!(PeerRecord::parse(&largest).is_ok());
    // One more byte in the extension at the end, whose length stands before its 20 bytes.
    let mut longer = largest.clone();
    let at = longer.len() - 64;
    longer.insert(at, 0xee);
    longer[at - 21] = 21;
    assert_eq!(PeerRecord::parse(&longer), Err(ParseError::Length));
    // Key, incarnation, number, port, flags and status stand before the two texts.
    let with = |status: usize, name: usize| {
        let texts = [(status, b's'), (name, b'n')].map(|(len, letter)| {
            let mut text = vec![u8::try_from(len).unwrap()];
            text.resize(1 + len, letter);
            text
        });
        let record = [&largest[..48], &texts.concat(), &[0], &[0; 64]].concat();
        PeerRecord::parse(&record).map(|record| record.name.as_str().len())
    };
    assert_eq!(with(48, 32), Ok(32));
    assert!(with(49, 32).is_err() && with(48, 33).is_err() && with(48, 0).is_err());
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
    assert_eq!(contexts.len(), 17);
    contexts.extend([RECORD_CONTEXT, entry::ENTRY_CONTEXT, sealed::SEALED_CONTEXT]);
    contexts.sort_unstable();
    contexts.dedup();
    assert_eq!(contexts.len(), 20);
    // The zero behind the context keeps one from being the start of another.
    assert!(contexts.iter().all(|context| !context.contains(&0)));
}

#[test]
fn the_smallest_packets_are_as_the_specification_says() {
    let mut fields = plain_fields();
    fields.name = PeerName::new("b").expect("a name");
    let record = PeerRecord::build(fields, &mut |input| sign(input)).expect("fits");
    let hello = Hello {
        record: record.clone(),
        nonce: Nonce([1; 8]),
        logs: vec![],
        known: Known::Ids(vec![]),
    };
    let welcome = Welcome {
        record,
        digest: Digest::default(),
        echo: Nonce([1; 8]),
        nonce: Nonce([2; 8]),
        token: vec![],
        logs: vec![],
    };
    let nack = Nack {
        room: RoomTag([1; 8]),
        author: ShortId([2; 8]),
        epoch: 3,
        runs: vec![Run { first: 1, last: 1 }],
    };
    let fields = EntryFields {
        author: PublicKey([9; 32]),
        network: NetworkId([8; 8]),
        epoch: 1,
        seq: 1,
        hlc: 0,
        prev: [0; 32],
        kind: EntryKind::TEXT,
        deps: vec![],
        body: vec![],
    };
    let entry = Entry::build(fields, &ROOM, &mut |input| sign(input)).expect("in range");
    let entries = vec![entry.clone()];
    let heads = Heads {
        room: RoomTag([1; 8]),
        epoch: 1,
        seq: 1,
        first: 1,
    };
    let nonce = Nonce([1; 8]);
    assert_eq!(size(Body::Hello(hello)), 221);
    assert_eq!(size(Body::Welcome(welcome)), 238);
    assert_eq!(size(Body::Heartbeat(Heartbeat::default())), 119);
    assert_eq!(size(Body::Goodbye(Goodbye)), 90);
    assert_eq!(size(Body::Probe(Probe { nonce })), 98);
    assert_eq!(size(Body::Data(entry)), 226);
    assert_eq!(size(Body::Repair(Repair { entries })), 229);
    assert_eq!(size(Body::Heads(heads)), 114);
    assert_eq!(size(Body::Nack(nack)), 123);
}
