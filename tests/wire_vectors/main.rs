//! Every packet type, the record and the entry as bytes that somebody else could compare with:
//! literal hex, the value that it stands for, both ways, with real signatures.
//!
//! In the vectors a line is a field of `docs/protocol.md`; what follows `;` is a remark. Ana's
//! secret key is 32 times 0x01.

mod vectors;

use lanchat::api::Status;
use lanchat::datagram::Path;
use lanchat::id::{Incarnation, NetworkId, Nonce, RoomId, ShortId};
use lanchat::proto::Identity;
use lanchat::proto::crypto::verify;
use lanchat::text::{PeerName, RoomName, StatusText};
use lanchat::wire::{
    Ack, Alive, Body, Digest, Echo, Entry, EntryFields, EntryKind, Goodbye, HeadOf, Header, Heads,
    Heartbeat, Hello, Hint, Known, Nack, News, OwnLog, Packet, Parsed, PathsHeard, PeerRecord,
    Probe, ProbeAck, ProbeReport, ProbeRequest, RecordFields, RecordRoom, Relayed, Repair,
    RoomDigest, Run, Suspect, SyncChallenge, SyncRequest, SyncResponse, Want, Welcome, emit, parse,
    signature, signing_input,
};
use vectors::*;

fn ana() -> Identity {
    Identity::from_secret(&[1; 32])
}

fn sign(input: &[u8]) -> [u8; 64] {
    ana().sign(input)
}

fn bytes_of(vector: &str) -> Vec<u8> {
    let fields = vector.lines().filter_map(|line| line.split(';').next());
    let digits: String = fields.flat_map(str::split_whitespace).collect();
    data_encoding::HEXLOWER
        .decode(digits.as_bytes())
        .expect("hex digits")
}

fn header(path: Path) -> Header {
    Header {
        path,
        flags: 0,
        sender: ana().id().short(),
        incarnation: Incarnation(0x0199_0000_0001),
        sequence: 0x0203,
    }
}

fn record() -> PeerRecord {
    let fields = RecordFields {
        key: ana().public(),
        incarnation: Incarnation(0x0199_0000_0001),
        record_seq: 2,
        chat_port: 5263,
        transient: false,
        deaf: true,
        status: Status::Away,
        status_text: StatusText::new("at lunch"),
        name: PeerName::new("Ana").expect("a name"),
        rooms: vec![
            RecordRoom::Public(RoomName::new("lobby").expect("a name")),
            RecordRoom::Locked([0xa0, 0xa1, 0xa2, 0xa3], [0xb0, 0xb1, 0xb2, 0xb3]),
        ],
        extensions: vec![(0x63, vec![0xe0, 0xe1, 0xe2])],
    };
    PeerRecord::build(fields, &mut |input| sign(input)).expect("fits")
}

fn lobby() -> RoomId {
    RoomId::public("lobby")
}

fn entry(seq: u32, deps: Vec<[u8; 16]>, kind: EntryKind, body: &str) -> Entry {
    let fields = EntryFields {
        author: ana().public(),
        network: NetworkId([0x4e; 8]),
        epoch: 0x0199_0000_0002,
        seq,
        hlc: 0x0199_0000_0003_0001,
        prev: if seq == 1 { [0; 32] } else { [0x50; 32] },
        kind,
        deps,
        body: body.as_bytes().to_vec(),
    };
    Entry::build(fields, &lobby(), &mut |input| sign(input)).expect("in range")
}

fn greeting() -> Entry {
    entry(1, vec![], EntryKind::TEXT, "Grüße")
}

fn waves() -> Entry {
    entry(2, vec![[0x60; 16]], EntryKind::ACTION, "waves")
}

/// The first part of a run, and the reply that answers `greeting`.
fn part() -> Entry {
    entry(3, vec![], EntryKind::TEXT.continued(), "a long ")
}

fn reply() -> Entry {
    let hash = greeting().hash(&lobby());
    let mut dep = [0; 16];
    dep.copy_from_slice(&hash[..16]);
    entry(4, vec![dep], EntryKind::REPLY, "hi")
}

fn logs() -> Vec<OwnLog> {
    vec![OwnLog {
        room: lobby().tag(),
        epoch: 0x0199_0000_0002,
        seq: 5,
    }]
}

fn peers() -> Vec<ShortId> {
    [2, 3]
        .map(|secret| Identity::from_secret(&[secret; 32]).id().short())
        .to_vec()
}

fn hello(known: Known) -> Body {
    Body::Hello(Hello {
        record: record(),
        nonce: Nonce([0x6e; 8]),
        logs: logs(),
        known,
    })
}

fn welcome() -> Body {
    Body::Welcome(Welcome {
        record: record(),
        digest: Digest {
            count: 3,
            xor: [0xd1; 8],
        },
        echo: Nonce([0x6e; 8]),
        nonce: Nonce([0x6f; 8]),
        token: vec![0x70; 4],
        logs: logs(),
    })
}

fn heartbeat() -> Body {
    let [ben, cem] = [peers()[0], peers()[1]];
    Body::Heartbeat(Heartbeat {
        record_hash: record().hash(),
        digest: Digest {
            count: 3,
            xor: [0xd1; 8],
        },
        news: vec![News {
            id: ben,
            incarnation: Incarnation(0x0199_0000_0004),
            record_seq: 7,
        }],
        heard: vec![
            PathsHeard {
                id: [0x10, 0x11, 0x12, 0x13],
                paths: 1 << Path::Mcast4 as u8 | 1 << Path::Mcast6 as u8,
            },
            PathsHeard {
                id: [0x20, 0x21, 0x22, 0x23],
                paths: 1 << Path::Bcast4 as u8,
            },
        ],
        group_sent: 1000,
        loss: 0x33,
        echoes: vec![Echo {
            sender: cem,
            sequence: 9,
            hold: 125,
        }],
        rooms: vec![RoomDigest {
            room: lobby().tag(),
            digest: [0xd2; 8],
            heads: vec![HeadOf {
                author: ben,
                epoch: 0x0199_0000_0005,
                seq: 11,
            }],
        }],
    })
}

fn nack() -> Body {
    Body::Nack(Nack {
        room: lobby().tag(),
        author: peers()[0],
        epoch: 0x0199_0000_0005,
        runs: vec![Run { first: 3, last: 5 }, Run { first: 8, last: 8 }],
    })
}

/// `vector` is `body` under the plain header, sent by this path; both ways.
fn check(vector: &str, path: Path, body: &Body) {
    let bytes = bytes_of(vector);
    let header = header(path);
    let packet = Packet {
        header,
        body: body.clone(),
    };
    assert_eq!(parse(&bytes), Ok(Parsed::Packet(packet)));
    let emitted = emit(&header, body, &mut |input| sign(input)).expect("fits");
    assert_eq!(emitted, bytes, "{:?}", body.kind());
    if let Some(input) = signing_input(body.kind(), &bytes) {
        let signature = signature(&bytes).expect("64 bytes");
        assert!(verify(&ana().public(), &input, &signature));
    }
}

#[test]
fn the_record() {
    let bytes = bytes_of(RECORD);
    let record = record();
    assert_eq!(record.bytes, bytes);
    assert_eq!(PeerRecord::parse(&bytes), Ok(record.clone()));
    let (input, signature) = (record.signing_input(), record.signature());
    assert_eq!(
        input,
        [b"lanchat 1 PEER RECORD\0", &bytes[..bytes.len() - 64]].concat()
    );
    assert!(verify(&record.key, &input, &signature));
    assert_eq!(record.hash().to_vec(), bytes_of("f6b2f9b5665abbde"));
}

#[test]
fn the_entry() {
    let bytes = bytes_of(ENTRY);
    let entry = waves();
    assert_eq!(entry.bytes, bytes);
    assert_eq!(Entry::parse(&bytes), Ok(entry.clone()));
    let (input, signature) = (entry.signing_input(&lobby()), entry.signature());
    // Neither the body (5 bytes and their length) nor the signature.
    let signed = &bytes[..bytes.len() - 64 - 5 - 2];
    assert_eq!(
        input,
        [b"lanchat 1 ENTRY\0", &lobby().0[..], signed].concat()
    );
    assert!(verify(&entry.author, &input, &signature));
    let hash = "f79932e368ced48a7ade214cc41482819e3190fee2f47da9400074a832f1b189";
    assert_eq!(entry.hash(&lobby()).to_vec(), bytes_of(hash));
    let tag = "4cdc1ed9cbaca90a";
    assert_eq!(lobby().tag().0.to_vec(), bytes_of(tag));
}

#[test]
fn presence() {
    let nonce = Nonce([0x6e; 8]);
    check(HELLO, Path::Mcast4, &hello(Known::ids(&peers())));
    check(
        HELLO_BLOOM,
        Path::Bcast4,
        &hello(Known::bloom(&peers(), 640)),
    );
    check(WELCOME, Path::Unicast, &welcome());
    check(HEARTBEAT, Path::Mcast6, &heartbeat());
    check(GOODBYE, Path::Bcast4, &Body::Goodbye(Goodbye));
    check(PROBE, Path::Unicast, &Body::Probe(Probe { nonce }));
    let ack = ProbeAck { echo: nonce };
    check(PROBE_ACK, Path::Unicast, &Body::ProbeAck(ack));
}

#[test]
fn failure_detection() {
    let (nonce, target) = (Nonce([0x6e; 8]), peers()[0]);
    let incarnation = Incarnation(0x0199_0000_0004);
    let request = ProbeRequest { nonce, target };
    let report = ProbeReport {
        echo: nonce,
        target,
        incarnation,
    };
    let suspect = Suspect {
        target,
        incarnation,
    };
    check(PROBE_REQUEST, Path::Unicast, &Body::ProbeRequest(request));
    check(PROBE_REPORT, Path::Unicast, &Body::ProbeReport(report));
    check(SUSPECT, Path::Mcast4, &Body::Suspect(suspect));
    check(ALIVE, Path::Mcast4, &Body::Alive(Alive));
}

#[test]
fn roster_sync() {
    let nonce = Nonce([0x6e; 8]);
    let by_id = SyncRequest {
        nonce,
        token: vec![],
        want: Want::Ids(peers()),
    };
    let by_range = SyncRequest {
        nonce,
        token: vec![0x70; 8],
        want: Want::Range {
            first: ShortId([0; 8]),
            last: ShortId([0xff; 8]),
            buckets: vec![[0xd3; 8], [0xd4; 8]],
        },
    };
    let v4 = Hint {
        address: ([10, 0, 0, 7], 5263).into(),
        age_s: 3,
    };
    let response = SyncResponse {
        echo: nonce,
        digest: Digest {
            count: 3,
            xor: [0xd1; 8],
        },
        next: Some(ShortId([0x90; 8])),
        records: vec![Relayed {
            record: record(),
            hint: Some(v4),
        }],
    };
    let challenge = SyncChallenge {
        echo: nonce,
        token: vec![0x70; 8],
    };
    check(SYNC_REQUEST_IDS, Path::Unicast, &Body::SyncRequest(by_id));
    check(SYNC_REQUEST, Path::Unicast, &Body::SyncRequest(by_range));
    check(SYNC_RESPONSE, Path::Unicast, &Body::SyncResponse(response));
    check(
        SYNC_CHALLENGE,
        Path::Unicast,
        &Body::SyncChallenge(challenge),
    );
}

#[test]
fn rooms() {
    let (room, epoch, seq) = (lobby().tag(), 0x0199_0000_0002, 5);
    let entries = vec![greeting(), waves()];
    check(DATA, Path::Mcast4, &Body::Data(greeting()));
    check(REPAIR, Path::Unicast, &Body::Repair(Repair { entries }));
    check(
        HEADS,
        Path::Mcast4,
        &Body::Heads(Heads {
            room,
            epoch,
            seq,
            first: 2,
        }),
    );
    check(NACK, Path::Unicast, &nack());
    check(ACK, Path::Unicast, &Body::Ack(Ack { room, epoch, seq }));
}

#[test]
fn what_is_left_of_an_entry_that_was_taken_back() {
    let bytes = bytes_of(STUB);
    let stub = greeting().stub();
    assert_eq!(stub.bytes, bytes);
    assert_eq!(Entry::parse(&bytes), Ok(stub.clone()));
    assert_eq!(stub.hash(&lobby()), greeting().hash(&lobby()));
    let input = stub.signing_input(&lobby());
    assert!(verify(&stub.author, &input, &stub.signature()));
}

#[test]
fn a_part_of_a_run_and_a_reply() {
    for (vector, entry) in [(PART, part()), (REPLY, reply())] {
        let bytes = bytes_of(vector);
        assert_eq!(entry.bytes, bytes);
        assert_eq!(Entry::parse(&bytes), Ok(entry));
    }
}
