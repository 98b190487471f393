//! Arbitrary packets.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::*;
use super::{ROOM, emit_signed, sign};
use crate::api::Status;
use crate::id::{Incarnation, NetworkId, Nonce, PublicKey, RoomTag, ShortId};
use crate::text::{PeerName, RoomName, StatusText};

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

pub fn record() -> impl Strategy<Value = PeerRecord> {
    fields().prop_map(|fields| PeerRecord::build(fields, &mut |input| sign(input)).expect("fits"))
}

pub fn entry() -> impl Strategy<Value = Entry> {
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
                    hlc: hlc & crate::wire::entry::HLC_MAX,
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

fn about_a_peer() -> impl Strategy<Value = Body> {
    let ids = || any::<([u8; 8], [u8; 8], u64)>();
    prop_oneof![
        ids().prop_map(|(nonce, target, _)| Body::ProbeRequest(ProbeRequest {
            nonce: Nonce(nonce),
            target: ShortId(target),
        })),
        ids().prop_map(
            |(echo, target, incarnation)| Body::ProbeReport(ProbeReport {
                echo: Nonce(echo),
                target: ShortId(target),
                incarnation: Incarnation(incarnation),
            })
        ),
        ids().prop_map(|(_, target, incarnation)| Body::Suspect(Suspect {
            target: ShortId(target),
            incarnation: Incarnation(incarnation),
        })),
        Just(Body::Alive(Alive)),
    ]
}

fn want() -> impl Strategy<Value = Want> {
    let id = || any::<[u8; 8]>().prop_map(ShortId);
    let buckets = (0..=6u32).prop_flat_map(|bits| vec(any::<[u8; 8]>(), 1 << bits));
    prop_oneof![
        vec(id(), 1..=16).prop_map(Want::Ids),
        (id(), id(), buckets).prop_map(|(a, b, buckets)| Want::Range {
            first: a.min(b),
            last: a.max(b),
            buckets,
        }),
    ]
}

fn relayed() -> impl Strategy<Value = Relayed> {
    let address = prop_oneof![
        any::<[u8; 4]>().prop_map(std::net::IpAddr::from),
        any::<[u8; 16]>().prop_map(std::net::IpAddr::from),
    ];
    let hint = (address, 1..=u16::MAX, any::<u16>()).prop_map(|(ip, port, age_s)| Hint {
        address: std::net::SocketAddr::new(ip, port),
        age_s,
    });
    (record(), proptest::option::of(hint)).prop_map(|(record, hint)| Relayed { record, hint })
}

fn sync() -> impl Strategy<Value = Body> {
    let request = (any::<[u8; 8]>(), vec(any::<u8>(), 0..=16), want());
    let response = (
        any::<([u8; 8], u32, [u8; 8])>(),
        proptest::option::of(any::<[u8; 8]>()),
        vec(relayed(), 0..=8),
    );
    prop_oneof![
        request.prop_map(|(nonce, token, want)| Body::SyncRequest(SyncRequest {
            nonce: Nonce(nonce),
            token,
            want,
        })),
        response.prop_map(
            |((echo, count, xor), next, records)| Body::SyncResponse(SyncResponse {
                echo: Nonce(echo),
                digest: Digest { count, xor },
                next: next.map(ShortId),
                records,
            })
        ),
        (any::<[u8; 8]>(), vec(any::<u8>(), 1..=8)).prop_map(|(echo, token)| {
            Body::SyncChallenge(SyncChallenge {
                echo: Nonce(echo),
                token,
            })
        }),
    ]
}

fn body() -> impl Strategy<Value = Body> {
    let small = any::<([u8; 8], u64, u32)>();
    prop_oneof![
        hello(),
        welcome(),
        heartbeat(),
        nack(),
        about_a_peer(),
        sync(),
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
            seq,
            first: seq / 2
        })),
        any::<([u8; 8], u64, u32)>().prop_map(|(room, epoch, seq)| Body::Ack(Ack {
            room: RoomTag(room),
            epoch,
            seq
        })),
    ]
}

/// A header, a body and their bytes.
pub fn emitted() -> impl Strategy<Value = (Header, Body, Vec<u8>)> {
    (header(), body()).prop_filter_map("over 1200 bytes", |(header, body)| {
        let bytes = emit_signed(&header, &body).ok()?;
        Some((header, body, bytes))
    })
}
