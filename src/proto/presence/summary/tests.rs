//! Whatever changes, the counts are those of a full count, and the digests agree.

#![allow(clippy::disallowed_methods)]

use std::net::SocketAddr;

use super::*;
use crate::api::Status;
use crate::datagram::{LinkAddress4, Path};
use crate::id::Nonce;
use crate::proto::Identity;
use crate::proto::presence::roster::{Merged, Roster};
use crate::text::{PeerName, StatusText};
use crate::wire::PeerRecord;
use crate::wire::presence::RecordFields;

fn record(secret: u8, incarnation: u64, record_seq: u32) -> PeerRecord {
    let identity = Identity::from_secret(&[secret; 32]);
    let fields = RecordFields {
        key: identity.public(),
        incarnation: Incarnation(incarnation),
        record_seq,
        chat_port: 5263,
        transient: secret % 8 == 7,
        deaf: false,
        status: Status::Available,
        status_text: StatusText::default(),
        name: PeerName::new("ana").unwrap(),
        rooms: Vec::new(),
        extensions: Vec::new(),
    };
    PeerRecord::build(fields, &mut |bytes| identity.sign(bytes)).unwrap()
}

fn link(id: u32) -> Link {
    Link {
        id: LinkId(id),
        name: format!("eth{id}"),
        loopback: false,
        v4: vec![LinkAddress4 {
            address: [10, 0, u8::try_from(id).unwrap(), 1].into(),
            prefix_len: 24,
        }],
        v6: Vec::new(),
        group: true,
        gateway: None,
    }
}

fn validate(peer: &mut Peer, now: Instant, at: SocketAddr) {
    peer.addresses.heard(now, at, 100);
    if let Some(address) = peer.addresses.get_mut(at) {
        address.probed(Nonce([1; 8]), now);
        peer.addresses.acknowledged(now, at, Nonce([1; 8]));
        peer.hearsay = None;
    }
}

/// One random change.
fn change(roster: &mut Roster, now: Instant, random: &mut impl FnMut(u8) -> u8) {
    let secret = random(24);
    let record = record(secret, 1 + u64::from(random(3)), 1 + u32::from(random(3)));
    let id = record.key.id();
    let at = SocketAddr::from(([10, 0, random(3), 2 + secret], 5263));
    match random(12) {
        0 | 1 => _ = roster.merge(now, &record),
        2 => _ = roster.merge_relayed(now, &record, Some(at)),
        3 => _ = roster.remove(&id),
        4 => _ = roster.bury(now, &id),
        5 => roster.set_links(&[link(1), link(2)][..usize::from(random(3))]),
        6 => roster.iter_mut().for_each(|peer| {
            peer.links.clear();
            peer.addresses.failed(now, at);
        }),
        number => {
            let Some(peer) = roster.get_mut(&id) else {
                return;
            };
            match number {
                7 => peer.state = PeerState::Offline,
                8 => peer.state = PeerState::Suspect,
                9 => peer.state = PeerState::Online,
                10 => peer.links.at(LinkId(1)).count(Path::Mcast4, now),
                _ => validate(peer, now, at),
            }
        }
    }
}

#[test]
fn whatever_changes_the_counts_are_those_of_a_full_count() {
    let start = Instant::now();
    for seed in 1..=20u64 {
        println!("seed {seed}");
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = |below: u8| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            u8::try_from((state >> 33) % u64::from(below)).unwrap()
        };
        let mut roster = Roster::default();
        roster.set_links(&[link(1), link(2)]);
        for step in 0..300 {
            change(
                &mut roster,
                start + Duration::from_millis(step),
                &mut random,
            );
            // Some reads come after several changes.
            if random(3) > 0 {
                assert!(roster.counts_hold(), "step {step}");
            }
        }
    }
}

#[test]
fn coarse_buckets_are_xors_of_fine_ones_and_all_of_them_the_digest() {
    let mut sums = Sums::default();
    for secret in 0..50 {
        let record = record(secret, 1, 1);
        let id = record.key.id();
        sums = sums.with(Some((id.short(), mark(&id, record.incarnation, 1))));
    }
    let fold = |buckets: &[[u8; 8]]| {
        let all = buckets.iter().map(|bucket| u64::from_be_bytes(*bucket));
        all.fold(0, |all, bucket| all ^ bucket).to_be_bytes()
    };
    assert_eq!(sums.digest().count, 50);
    let fine = sums.buckets(64);
    for count in [1, 2, 4, 8, 16, 32] {
        let coarse = sums.buckets(count);
        let folded: Vec<_> = fine.chunks(64 / count).map(fold).collect();
        assert_eq!(coarse, folded);
        assert_eq!(fold(&coarse), sums.digest().xor);
    }
}

#[test]
fn two_who_know_each_other_and_a_third_tell_the_same_digest() {
    let now = Instant::now();
    let records: Vec<PeerRecord> = (0..3).map(|secret| record(secret, 5, 2)).collect();
    let told = |own: usize| {
        let mut roster = Roster::default();
        roster.set_links(&[link(1)]);
        for (index, other) in records.iter().enumerate().filter(|(i, _)| *i != own) {
            assert_eq!(roster.merge(now, other), Merged::New);
            let host = u8::try_from(index).unwrap() + 2;
            let peer = roster.get_mut(&other.key.id()).unwrap();
            validate(peer, now, SocketAddr::from(([10, 0, 1, host], 5263)));
        }
        let id = records[own].key.id();
        let own = (id.short(), mark(&id, Incarnation(5), 2));
        roster.told(LinkId(1)).with(Some(own)).digest()
    };
    assert_eq!(told(0).count, 3);
    assert_eq!(told(0), told(1));
    assert_eq!(told(1), told(2));
}
