//! Bounds that a node keeps whoever floods it, each reached here. Those of single parts are tested
//! next to them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use lanchat::api::{Command, Event, PeerState, Request, Status};
use lanchat::datagram::{Destination, Path};
use lanchat::id::{Incarnation, Nonce};
use lanchat::limits::{CANDIDATE_PROBE_RATE, NEW_IDENTITIES_PER_MINUTE, UNCONFIRMED_DIRECT_MAX};
use lanchat::proto::Identity;
use lanchat::text::{PeerName, StatusText};
use lanchat::wire::{self, Body, Header, Heartbeat, Hello, Known, PeerRecord, Probe, RecordFields};

use crate::world::{World, lobby, seconds, three};

const RUN: Incarnation = Incarnation(1_790_000_000_000);
const HELLO: u8 = 1;
const WELCOME: u8 = 2;
const PROBE: u8 = 5;

fn somebody(number: u16) -> Identity {
    let mut secret = [0xee; 32];
    secret[..2].copy_from_slice(&number.to_be_bytes());
    Identity::from_secret(&secret)
}

fn packet(sender: &Identity, sequence: u32, body: &Body) -> Vec<u8> {
    let header = Header {
        path: Path::Mcast4,
        flags: 0,
        sender: sender.id().short(),
        incarnation: RUN,
        sequence,
    };
    wire::emit(&header, body, &mut |bytes| sender.sign(bytes)).unwrap()
}

fn hello(sender: &Identity, sequence: u32) -> Vec<u8> {
    let fields = RecordFields {
        key: sender.public(),
        incarnation: RUN,
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
    let record = PeerRecord::build(fields, &mut |bytes| sender.sign(bytes)).unwrap();
    let body = Hello {
        record,
        nonce: Nonce([7; 8]),
        logs: Vec::new(),
        known: Known::ids(&[]),
    };
    packet(sender, sequence, &Body::Hello(body))
}

/// What node 0 sent since the log was cleared, by type.
fn sent(world: &World) -> BTreeMap<u8, usize> {
    let mut counts = BTreeMap::new();
    let own = world.sent.iter().filter(|(from, _)| *from == 0);
    for kind in own.filter_map(|(_, bytes)| bytes.get(2)) {
        *counts.entry(*kind).or_default() += 1;
    }
    counts
}

fn clear(world: &mut World) {
    world.sent.clear();
    world.out.clear();
}

/// Bytes that went to this address alone.
fn bytes_to(world: &World, at: SocketAddr) -> usize {
    let there = |(to, _): &&(Destination, usize)| *to == Destination::Unicast(at);
    world.out.iter().filter(there).map(|(_, len)| len).sum()
}

/// The rows that `who` tells of, those that are here.
fn rows(world: &mut World, at: usize) -> usize {
    let before = world.nodes[at].events.len();
    let who = Request::from(Command::Who);
    world.with(at, |endpoint, now| endpoint.handle_request(now, who));
    let here = |event: &Event| {
        let state = match event {
            Event::Peer { state, .. } => *state,
            _ => return false,
        };
        state == PeerState::Online
    };
    let told = &world.nodes[at].events[before..];
    told.iter().filter(|(_, event)| here(event)).count()
}

fn host(number: u16, port: u16) -> SocketAddr {
    let [high, low] = number.to_be_bytes();
    // Addresses of this link on which nobody is.
    SocketAddr::from((
        [10, 0, 0, 100 + low % 100],
        port + u16::from(high) * 100 + u16::from(low),
    ))
}

#[test]
fn a_crowd_that_answers_nothing_fills_no_roster_and_draws_few_packets() {
    let mut world = three(0.0, 41);
    clear(&mut world);
    // From as many sources as it takes: so many identities a minute for each.
    for number in 0..400u16 {
        let bytes = hello(&somebody(number), 1);
        world.inject(0, host(number % 40, 6000), true, &bytes);
        for port in [7000, 8000, 9000, 10_000] {
            world.inject(0, host(number % 40, port + number * 20), true, &bytes);
        }
    }
    world.run(Duration::from_millis(900));
    let counts = sent(&world);
    let probes = counts[&PROBE];
    let most = 2 * CANDIDATE_PROBE_RATE as usize;
    assert!((200..=most).contains(&probes), "{probes} PROBEs");
    let rows = rows(&mut world, 0);
    assert_eq!(rows, 2 + UNCONFIRMED_DIRECT_MAX, "two who are real");
    // A real one gets in all the same, and nobody who is here was pushed out.
    world.add("new");
    world.run_until(seconds(3), |w| {
        [1, 2, 3]
            .iter()
            .all(|&of| w.state(of, 0) == Some((PeerState::Online, true)))
    });
    world.send(1, "#lobby", "still here");
    world.run(seconds(1));
    assert_eq!(world.texts(0, &lobby()), ["still here"]);
}

#[test]
fn a_crowd_of_newcomers_gets_50_welcomes_a_second() {
    let mut world = three(0.0, 51);
    clear(&mut world);
    for number in 0..200u16 {
        // By unicast, so that chance thins out none of them.
        let mut bytes = hello(&somebody(number), 1);
        bytes[3] = Path::Unicast as u8;
        world.inject(0, host(number % 40, 6000), false, &bytes);
    }
    world.run(seconds(1));
    let welcomes = sent(&world)[&WELCOME];
    assert!((50..=60).contains(&welcomes), "{welcomes}");
}

#[test]
fn one_host_brings_so_many_identities_a_minute() {
    let mut world = three(0.0, 42);
    let per_minute = NEW_IDENTITIES_PER_MINUTE as usize;
    for minute in 0..3u16 {
        for number in 0..100 {
            let bytes = hello(&somebody(minute * 100 + number), 1);
            world.inject(0, host(1, 6000 + number), true, &bytes);
        }
        let before = rows(&mut world, 0);
        world.run(Duration::from_millis(10));
        let new = rows(&mut world, 0) - before;
        assert!((per_minute - 1..=per_minute).contains(&new), "{new}");
        world.run(seconds(60));
    }
}

#[test]
fn a_hello_with_a_forged_source_sends_nobody_more_than_its_share() {
    for (victim, factor) in [([10, 0, 0, 200], 3), ([192, 168, 9, 9], 1)] {
        let victim = SocketAddr::from((victim, 7777));
        let mut world = three(0.0, 43);
        let stranger = somebody(1);
        let mut cost = 0;
        for sequence in 1..40 {
            let bytes = hello(&stranger, sequence);
            cost += bytes.len();
            world.inject(0, victim, sequence % 2 == 0, &bytes);
            world.run(Duration::from_millis(230));
            let out = bytes_to(&world, victim);
            assert!(out <= factor * cost, "{victim}: {out} for {cost}");
        }
        assert!(bytes_to(&world, victim) > 0, "nobody is ever answered");
    }
}

#[test]
fn an_address_off_the_link_gets_nothing_unless_it_asks() {
    let mut world = three(0.0, 44);
    let far = SocketAddr::from(([192, 168, 9, 9], 5263));
    world.run(seconds(120));
    assert_eq!(bytes_to(&world, far), 0);
    // An answer, and not more: a PROBE later where it has room.
    let bytes = hello(&somebody(2), 1);
    world.inject(0, far, false, &bytes);
    world.run(seconds(120));
    let out = bytes_to(&world, far);
    assert!(
        (1..=bytes.len()).contains(&out),
        "{out} for {}",
        bytes.len()
    );
}

#[test]
fn a_hello_off_the_link_makes_room_for_the_longest_answer() {
    let mut world = World::new(0.0, 45);
    let ana = world.add("ana");
    let far = SocketAddr::from(([192, 168, 9, 9], 5263));
    world.kill(ana);
    world.nodes[ana].peers = vec![far, SocketAddr::from(([10, 0, 0, 9], 5263))];
    clear(&mut world);
    world.boot(ana);
    world.run(seconds(20));
    let lens = |to: SocketAddr| {
        let sent = world
            .out
            .iter()
            .filter(move |(at, _)| *at == Destination::Unicast(to));
        sent.map(|(_, len)| *len).collect::<Vec<_>>()
    };
    let off_link = lens(far);
    assert!(
        off_link.len() >= 7 && off_link.iter().all(|&len| len == 578),
        "{off_link:?}"
    );
    let on_link = lens(SocketAddr::from(([10, 0, 0, 9], 5263)));
    assert!(on_link.iter().all(|&len| len < 400), "{on_link:?}");
}

#[test]
fn one_peer_gets_a_welcome_in_200_ms() {
    let mut world = three(0.0, 46);
    clear(&mut world);
    let stranger = somebody(3);
    for sequence in 1..=100 {
        world.inject(0, host(1, 6000), false, &hello(&stranger, sequence));
        world.run(Duration::from_millis(10));
    }
    let welcomes = sent(&world)[&WELCOME];
    assert!((4..=6).contains(&welcomes), "{welcomes} in a second");
}

#[test]
fn a_source_is_heard_100_times_a_second() {
    let mut world = three(0.0, 47);
    let verified = |w: &World| w.nodes[0].endpoint.as_ref().unwrap().stats().verified;
    let stranger = somebody(4);
    world.inject(0, host(2, 6000), false, &hello(&stranger, 1));
    world.run(Duration::from_millis(5));
    let before = verified(&world);
    for number in 2..1000 {
        let probe = Body::Probe(Probe {
            nonce: Nonce([1; 8]),
        });
        world.inject(0, host(2, 6000), false, &packet(&stranger, number, &probe));
    }
    world.run(Duration::from_millis(5));
    let checked = verified(&world) - before;
    assert!((95..=105).contains(&checked), "{checked}");
}

#[test]
fn unknown_senders_are_asked_64_times_a_second_and_each_once() {
    let mut world = three(0.0, 48);
    clear(&mut world);
    for number in 0..300u16 {
        let stranger = somebody(1000 + number);
        for sequence in 1..3 {
            let bytes = packet(&stranger, sequence, &Body::Heartbeat(Heartbeat::default()));
            // Three of them make up for one HELLO.
            for copy in 0..3 {
                let mut bytes = bytes.clone();
                bytes[25] = copy;
                world.inject(0, host(number, 6000), true, &bytes);
            }
        }
    }
    world.run(Duration::from_millis(100));
    let asked = sent(&world)[&HELLO];
    assert!((60..=72).contains(&asked), "{asked}");
}

#[test]
fn of_other_versions_64_are_told_in_a_minute() {
    let mut world = three(0.0, 49);
    let told = |w: &World| {
        let other =
            |event: &Event| matches!(event, Event::Error { code, .. } if code == "other_version");
        let events = w.nodes[0].events.iter();
        events.filter(|(_, event)| other(event)).count()
    };
    let flood = |world: &mut World| {
        for number in 0..200u16 {
            let mut bytes = hello(&somebody(number), 1);
            bytes[1] = 2;
            bytes[6..8].copy_from_slice(&number.to_be_bytes());
            world.inject(0, host(number, 6000), true, &bytes);
        }
        world.run(seconds(1));
    };
    flood(&mut world);
    assert_eq!(told(&world), 64);
    flood(&mut world);
    assert_eq!(told(&world), 64);
    world.run(seconds(60));
    flood(&mut world);
    assert_eq!(told(&world), 128);
}

#[test]
fn a_burst_is_seven_hellos_and_bursts_follow_no_faster_than_their_hellos() {
    let groups = |world: &World, kind: u8| {
        let sent = world.sent.iter().zip(&world.out);
        let wanted = sent.filter(|((from, bytes), (to, _))| {
            let is_group = matches!(to, Destination::Group(_, Path::Mcast4));
            *from == 0 && bytes.get(2) == Some(&kind) && is_group
        });
        wanted.count()
    };
    let mut world = World::new(0.0, 50);
    world.add("ana");
    world.run(seconds(300));
    assert_eq!(groups(&world, HELLO), 7);
    clear(&mut world);
    // A script that changes its status a hundred times a second.
    for number in 0..300 {
        let command = Command::Status {
            status: Status::Available,
            text: format!("{number}"),
        };
        let request = Request::from(command);
        world.with(0, |endpoint, now| endpoint.handle_request(now, request));
        world.run(Duration::from_millis(10));
    }
    let hellos = groups(&world, HELLO);
    assert!((10..=13).contains(&hellos), "{hellos} in 3 s");
    world.add("ben");
    world.run_until(seconds(2), World::all_listed);
}
