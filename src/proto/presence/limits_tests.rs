//! Bounds of presence that take many peers to reach: each is filled and then overfilled.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Presence;
use super::peer::Peer;
use super::remembered::Remembered;
use super::roster::{Merged, Roster};
use super::strangers::{SOURCES_MAX, Strangers};
use crate::api::{PeerState, Status};
use crate::datagram::{Destination, Link, LinkAddress4, LinkId};
use crate::durable::{Neighbor, Snapshot};
use crate::id::{Incarnation, Nonce, PeerId, PublicKey};
use crate::limits::{NEIGHBOR_NETWORKS_MAX, NEIGHBORS_MAX, PEERS_MAX, UNREACHED_MAX};
use crate::proto::core::Core;
use crate::proto::group::Group;
use crate::proto::{Config, Identity, Now, Output};
use crate::text::{PeerName, StatusText};
use crate::wire::{PeerRecord, RecordFields};

fn start() -> Now {
    #[allow(clippy::disallowed_methods)]
    let mono = Instant::now();
    let wall_ms = 1_790_000_000_000;
    Now { mono, wall_ms }
}

fn config() -> Config {
    Config {
        name: PeerName::new("ana").unwrap(),
        status: Status::Available,
        status_text: StatusText::default(),
        chat_port: 5263,
        presence_port: 5262,
        peers: Vec::new(),
        multicast: true,
        broadcast: true,
        transient: false,
        rooms: Vec::new(),
        first_hello_ms_max: 5,
        snapshot: Snapshot::default(),
        limits: crate::limits::Limits::default(),
        seed: [1; 32],
    }
}

fn core(now: Now) -> Core {
    let identity = Identity::from_secret(&[9; 32]);
    let mut core = Core::new(now.mono, identity, config(), Incarnation(1));
    core.open = true;
    core.links = vec![Link {
        id: LinkId(1),
        name: "eth0".into(),
        loopback: false,
        v4: vec![LinkAddress4 {
            address: [10, 200, 0, 1].into(),
            prefix_len: 8,
        }],
        v6: Vec::new(),
        group: true,
        gateway: None,
    }];
    core
}

/// A record of somebody; nothing here looks at its signature.
fn record(number: u32) -> PeerRecord {
    let mut key = [7; 32];
    key[..4].copy_from_slice(&number.to_be_bytes());
    let fields = RecordFields {
        key: PublicKey(key),
        incarnation: Incarnation(1),
        record_seq: 1,
        chat_port: 5263,
        transient: false,
        deaf: false,
        status: Status::Available,
        status_text: StatusText::default(),
        name: PeerName::new("x").unwrap(),
        rooms: Vec::new(),
        extensions: Vec::new(),
    };
    PeerRecord::build(fields, &mut |_| [0; 64]).unwrap()
}

fn at(number: u32) -> SocketAddr {
    let [_, a, b, c] = number.to_be_bytes();
    SocketAddr::from(([10, a, b, c], 5263))
}

/// Validates an address of a peer.
fn confirm(peer: &mut Peer, now: Instant, number: u32) {
    peer.addresses.heard(now, at(number), 1000);
    let nonce = Nonce(u64::from(number).to_be_bytes());
    let address = peer.addresses.get_mut(at(number)).unwrap();
    address.probed(nonce, now);
    peer.addresses.acknowledged(now, at(number), nonce).unwrap();
}

/// A roster with so many confirmed peers.
fn fill(roster: &mut Roster, now: Instant, count: u32) -> Vec<PeerId> {
    let one = |number| {
        let record = record(number);
        assert_eq!(roster.merge(now, &record), Merged::New, "{number}");
        let id = record.key.id();
        confirm(roster.get_mut(&id).unwrap(), now, number);
        id
    };
    (0..count).map(one).collect()
}

#[test]
fn a_full_roster_forgets_who_is_offline_and_nobody_else() {
    let now = start().mono;
    let mut roster = Roster::default();
    let most = u32::try_from(PEERS_MAX).unwrap();
    let ids = fill(&mut roster, now, most);
    assert_eq!(roster.merge(now, &record(most)), Merged::Refused);
    roster.get_mut(&ids[77]).unwrap().state = PeerState::Offline;
    assert_eq!(roster.merge(now, &record(most)), Merged::New);
    assert_eq!(roster.merge(now, &record(most + 1)), Merged::Refused);
    assert!(roster.get(&ids[77]).is_none());
    assert_eq!(roster.iter().count(), PEERS_MAX);
}

#[test]
fn of_those_who_left_1024_are_remembered() {
    let now = start().mono;
    let mut roster = Roster::default();
    let bury = |roster: &mut Roster, number, now| {
        assert_eq!(roster.merge(now, &record(number)), Merged::New);
        roster.bury(now, &record(number).key.id()).unwrap();
    };
    for number in 0..1024 {
        bury(
            &mut roster,
            number,
            now + Duration::from_millis(number.into()),
        );
    }
    let later = now + Duration::from_secs(2);
    assert_eq!(roster.merge(later, &record(0)), Merged::Refused);
    bury(&mut roster, 1024, later);
    assert_eq!(roster.merge(later, &record(0)), Merged::New, "the oldest");
    for number in [1, 500, 1024] {
        assert_eq!(roster.merge(later, &record(number)), Merged::Refused);
    }
}

#[test]
fn sources_of_strangers_are_bounded() {
    let now = start().mono;
    let mut strangers = Strangers::new(now);
    for number in 0..10_000 {
        strangers.may_ask(now, at(number), 1, 100);
        assert!(strangers.sources() <= SOURCES_MAX);
    }
    assert_eq!(strangers.sources(), SOURCES_MAX);
}

#[test]
fn an_address_sent_to_is_remembered_for_icmp_and_only_so_many() {
    let now = start();
    let mut core = core(now);
    for number in 0..5000 {
        let to = Destination::Unicast(at(number));
        core.transmit(to, vec![0]);
    }
    let used = |core: &Core, now| (0..5000).filter(|&n| core.used_lately(now, at(n))).count();
    assert_eq!(used(&core, now.mono), 4096);
    assert_eq!(used(&core, now.mono + Duration::from_secs(1)), 0);
}

#[test]
fn of_a_network_so_many_are_kept_and_who_is_here_makes_way_for_nobody() {
    let now = start();
    let core = core(now);
    let mut roster = Roster::default();
    let most = u32::try_from(NEIGHBORS_MAX).unwrap();
    let ids = fill(&mut roster, now.mono, most + 20);
    let mut remembered = Remembered::new(&[], now);
    let first = remembered.take_writes(&core, now, &roster);
    assert_eq!(first.len(), NEIGHBORS_MAX);
    assert_eq!(remembered.take_writes(&core, now, &roster), []);
    for id in &ids {
        let peer = roster.get_mut(id).unwrap();
        let is_kept = first.iter().any(|write| {
            matches!(write, crate::durable::Write::Neighbor(neighbor) if neighbor.id == *id)
        });
        if is_kept {
            peer.state = PeerState::Offline;
        }
    }
    let second = remembered.take_writes(&core, now, &roster);
    assert_eq!(second.len(), 20, "in place of those who went");
}

#[test]
fn of_ever_new_networks_64_are_kept_and_the_one_in_use_is_among_them() {
    let now = start();
    let mut core = core(now);
    let mut roster = Roster::default();
    fill(&mut roster, now.mono, 1);
    let mut remembered = Remembered::new(&[], now);
    for number in 0..100 {
        core.links[0].v4[0].address = [10, number, 0, 1].into();
        core.links[0].v4[0].prefix_len = 16;
        let id = record(0).key.id();
        let peer = roster.get_mut(&id).unwrap();
        let at = SocketAddr::from(([10, number, 0, 2], 5263));
        let nonce = Nonce([number; 8]);
        let mono = now.mono + Duration::from_secs(100) * u32::from(number);
        peer.addresses.heard(mono, at, 1000);
        peer.addresses.get_mut(at).unwrap().probed(nonce, mono);
        peer.addresses.acknowledged(mono, at, nonce).unwrap();
        let wall_ms = now.wall_ms + u64::from(number) * 100_000;
        let written = remembered.take_writes(&core, Now { mono, wall_ms }, &roster);
        assert_eq!(written.len(), 1, "{number}");
        assert!(remembered.networks() <= NEIGHBOR_NETWORKS_MAX);
    }
    assert_eq!(remembered.networks(), NEIGHBOR_NETWORKS_MAX);
}

#[test]
fn who_waits_to_be_asked_on_a_network_that_is_gone_is_not_asked() {
    let now = start();
    let mut core = core(now);
    let network = core.network();
    let neighbor = |number: u8| Neighbor {
        network,
        id: PeerId([number; 32]),
        address: at(number.into()),
        heard_ms: now.wall_ms,
    };
    let snapshot = Snapshot {
        neighbors: (1..20).map(neighbor).collect(),
        ..Snapshot::default()
    };
    let mut presence = Presence::new(&mut core, now, &snapshot).unwrap();
    presence.ask_remembered(&core, now.mono);
    assert_eq!(presence.remembered.waiting(), 19);
    let mut change = |presence: &mut Presence, links: &[Link]| {
        let before = std::mem::replace(&mut core.links, links.to_vec());
        presence.links_changed(&mut core, now, &before, Duration::ZERO);
        before
    };
    let container = Link {
        id: LinkId(2),
        name: "veth0".into(),
        loopback: false,
        v4: Vec::new(),
        v6: vec!["fe80::2".parse().unwrap()],
        group: false,
        gateway: None,
    };
    let mut links = change(&mut presence, &[]);
    assert_eq!(presence.remembered.waiting(), 0, "the network is gone");
    change(&mut presence, &links);
    presence.ask_remembered(&self::core(now), now.mono);
    links.push(container);
    change(&mut presence, &links);
    assert_eq!(presence.remembered.waiting(), 19, "it is still here");
}

#[test]
fn unicast_in_place_of_groups_goes_to_64_at_most() {
    let now = start();
    let mut core = core(now);
    let mut presence = Presence::new(&mut core, now, &Snapshot::default()).unwrap();
    fill(&mut presence.roster, now.mono, 100);
    let group = Group::new(&core, now, &Snapshot::default());
    let is_unreached = presence.roster.members().all(|peer| peer.paths() == 0);
    assert!(is_unreached);
    assert_eq!(presence.unreached().count(), UNREACHED_MAX);
    while core.pop().is_some() {}
    let later = now + Duration::from_secs(60);
    presence.follow_reach(&mut core, later, &group);
    let mut pushed = 0;
    while let Some(output) = core.pop() {
        pushed += usize::from(matches!(output, Output::Transmit(_)));
    }
    // Of a hundred, three have this node as a successor, and three are its own.
    assert_eq!(pushed, 6);
}
