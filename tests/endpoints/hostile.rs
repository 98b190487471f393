//! Senders that mean harm.

use std::net::SocketAddr;
use std::time::Duration;

use lanchat::api::{Command, Conversation, Event, Request};
use lanchat::datagram::{Destination, Path};
use lanchat::id::{Incarnation, NetworkId, RoomId};
use lanchat::proto::{Endpoint, Identity};
use lanchat::wire::{self, Body, Entry, EntryFields, EntryKind, Header, Heads, Heartbeat, Parsed};

use crate::world::{World, lobby, seconds, three};

pub fn packet(sender: &Identity, sequence: u32, body: &Body) -> Vec<u8> {
    let header = Header {
        path: Path::Mcast4,
        flags: 0,
        sender: sender.id().short(),
        incarnation: Incarnation(1_790_000_000_000),
        sequence,
    };
    wire::emit(&header, body, &mut |bytes| sender.sign(bytes)).unwrap()
}

fn entry(author: &Identity, epoch: u64, seq: u32) -> Entry {
    let fields = EntryFields {
        author: author.public(),
        network: NetworkId([9; 8]),
        epoch,
        seq,
        hlc: 1_790_000_000_000 << 16,
        prev: [0; 32],
        kind: EntryKind::TEXT,
        deps: Vec::new(),
        body: b"spam".to_vec(),
    };
    Entry::build(fields, &RoomId::public("lobby"), &mut |b| author.sign(b)).unwrap()
}

pub fn bytes_to(world: &World, at: SocketAddr) -> usize {
    let there = |(to, _): &&(Destination, usize)| *to == Destination::Unicast(at);
    world.out.iter().filter(there).map(|(_, len)| len).sum()
}

#[test]
fn a_heartbeat_with_a_forged_source_sends_nobody_more_than_it_cost() {
    let mut world = three(0.0, 31);
    let stranger = Identity::from_secret(&[99; 32]);
    for (victim, factor) in [([10, 0, 0, 200], 3), ([192, 168, 9, 9], 1)] {
        let victim = SocketAddr::from((victim, 7777));
        let mut cost = 0;
        for sequence in 1..20 {
            let bytes = packet(&stranger, sequence, &Body::Heartbeat(Heartbeat::default()));
            cost += bytes.len();
            world.inject(0, victim, true, &bytes);
            world.run(seconds(2));
            assert!(bytes_to(&world, victim) <= factor * cost, "{victim}");
        }
        assert!(bytes_to(&world, victim) > 0, "nobody is ever asked");
    }
}

#[test]
fn forged_packets_in_the_name_of_a_known_peer_do_not_use_up_its_checks() {
    let mut world = three(0.0, 32);
    world.run(seconds(30));
    let heartbeat = world
        .sent
        .iter()
        .rev()
        .find(|(from, bytes)| *from == 1 && bytes.get(2) == Some(&3))
        .map(|(_, bytes)| bytes.clone())
        .unwrap();
    for number in 0..2500u16 {
        let mut forged = heartbeat.clone();
        forged[24..26].copy_from_slice(&(10_000 + number).to_be_bytes());
        let source = SocketAddr::from(([10, 0, 0, 66], 10_000 + number));
        world.inject(0, source, true, &forged);
    }
    world.send(1, "#lobby", "still me");
    let took = world.run_until(seconds(2), |w| !w.texts(0, &lobby()).is_empty());
    assert!(took < Duration::from_millis(5), "{took:?}");
}

#[test]
fn made_up_authors_do_not_keep_a_person_out_of_the_room() {
    let mut world = three(0.0, 33);
    let source = SocketAddr::from(([10, 0, 0, 66], 5263));
    for number in 0..200u8 {
        let author =
            Identity::from_secret(&[number.max(50), number, 7, 7].repeat(8).try_into().unwrap());
        let data = packet(&author, 1, &Body::Data(entry(&author, 7, 1)));
        world.inject(0, source, true, &data);
        world.run(Duration::from_millis(20));
    }
    let spam = world.texts(0, &lobby()).len();
    assert!(spam <= 25, "{spam} authors from one host in 4 s");
    world.add("new");
    world.run_until(seconds(5), |w| w.state(3, 0).is_some_and(|s| s.1));
    world.send(3, "#lobby", "hello");
    world.run(seconds(2));
    assert!(world.texts(0, &lobby()).contains(&"hello".to_owned()));
}

#[test]
fn a_known_author_that_claims_an_endless_log_costs_little() {
    let mut world = three(0.0, 34);
    // Eva's key, in other hands.
    let eva = Identity::from_secret(&[3; 32]);
    let source = world.nodes[2].address;
    let epoch = 1_890_000_000_000;
    world.kill(2);
    let of_eva = |(from, bytes): &&(usize, Vec<u8>)| *from == 2 && bytes.first() == Some(&0x0c);
    let run = world.sent.iter().find(of_eva).unwrap().1[14..22].to_vec();
    let say = |sequence: u32, body: &Body| {
        let header = Header {
            path: Path::Mcast4,
            flags: 0,
            sender: eva.id().short(),
            incarnation: Incarnation(u64::from_be_bytes(run.clone().try_into().unwrap())),
            sequence,
        };
        wire::emit(&header, body, &mut |bytes| eva.sign(bytes)).unwrap()
    };
    let heads = |seq| {
        let room = RoomId::public("lobby").tag();
        let first = 1;
        Body::Heads(Heads {
            room,
            epoch,
            seq,
            first,
        })
    };
    world.inject(0, source, true, &say(60_001, &heads(1)));
    world.run(Duration::from_millis(1));
    world.inject(
        0,
        source,
        true,
        &say(60_002, &Body::Data(entry(&eva, epoch, 3))),
    );
    world.run(Duration::from_millis(1));
    for (number, head) in [4_000_000, u32::MAX - 1, u32::MAX].into_iter().enumerate() {
        let sequence = 60_003 + u32::try_from(number).unwrap();
        world.inject(0, source, true, &say(sequence, &heads(head)));
    }
    let last = say(60_010, &Body::Data(entry(&eva, epoch, u32::MAX)));
    world.inject(0, source, true, &last);
    world.run(seconds(1));
    let shown = |event: &Event| matches!(event, Event::Gap { .. });
    assert!(world.nodes[0].events.iter().any(|(_, event)| shown(event)));
    world.send(1, "#lobby", "the room lives");
    world.run(seconds(1));
    assert!(
        world
            .texts(0, &lobby())
            .contains(&"the room lives".to_owned())
    );
}

/// What `who` tells of ben at ana, without the round trip, and whom ana hears by which path.
fn row_of_ben(world: &mut World) -> String {
    let id = world.id(1);
    let before = world.nodes[0].events.len();
    let who = Request::from(Command::Who);
    world.with(0, |endpoint, now| endpoint.handle_request(now, who));
    let mut row = world.nodes[0].events[before..]
        .iter()
        .map(|(_, event)| event.clone())
        .find(|event| matches!(event, Event::Peer { peer, .. } if peer.id == id))
        .expect("ben has a row");
    if let Event::Peer { rtt_ms, .. } = &mut row {
        *rtt_ms = None;
    }
    format!("{row:?}")
}

/// Signed packets of ben in the order he sent them.
fn of_ben(world: &World) -> Vec<Vec<u8>> {
    let is_his = |(from, bytes): &&(usize, Vec<u8>)| {
        *from == 1 && bytes.first() == Some(&0x0c) && bytes.get(2) != Some(&16)
    };
    let his = world.sent.iter().filter(is_his);
    his.map(|(_, bytes)| bytes.clone()).collect()
}

fn still_talks(world: &mut World, text: &str) {
    world.send(1, "#lobby", text);
    world.send(1, "ana", text);
    world.run(seconds(1));
    let ben = Conversation::Peer(world.id(1));
    for conversation in [lobby(), ben] {
        let texts = world.texts(0, &conversation);
        assert_eq!(texts.last().map(String::as_str), Some(text));
    }
}

#[test]
fn a_forged_source_changes_no_row_and_drops_nothing() {
    let mut world = three(0.0, 35);
    world.run(seconds(20));
    let before = row_of_ben(&mut world);
    let seen = of_ben(&world).len();
    // Whatever ben sends comes from elsewhere first, with the same bytes.
    for round in 0..30u8 {
        world.run(seconds(1));
        for bytes in of_ben(&world).split_off(seen).iter().rev().take(4) {
            for host in [66, 3] {
                let source = SocketAddr::from(([10, 0, 0, host], 5263));
                world.inject(0, source, round % 2 == 0, bytes);
            }
        }
    }
    // Even a packet that comes for the first time from there.
    world.group_passes = |from, to| (from, to) != (1, 0);
    let seen = of_ben(&world).len();
    world.run(seconds(13));
    let new = of_ben(&world).split_off(seen);
    let unheard = new.iter().find(|bytes| bytes[2] == 3).unwrap();
    world.inject(0, SocketAddr::from(([10, 0, 0, 66], 5263)), true, unheard);
    world.run(Duration::from_millis(1));
    world.group_passes = |_, _| true;
    world.run(seconds(20));
    assert_eq!(row_of_ben(&mut world), before);
    still_talks(&mut world, "from where I am");
}

#[test]
fn replays_change_no_row_and_drop_nothing() {
    let mut world = three(0.0, 36);
    world.run(seconds(60));
    let first_run = of_ben(&world);
    let before = row_of_ben(&mut world);
    let ben = world.nodes[1].address;
    for bytes in first_run.iter().take(200) {
        world.inject(0, ben, true, bytes);
        world.run(Duration::from_millis(15));
    }
    assert_eq!(row_of_ben(&mut world), before);
    still_talks(&mut world, "once");
    // The packets of a run that is over.
    world.kill(1);
    world.run(seconds(20));
    world.boot(1);
    world.run_until(seconds(5), World::all_listed);
    world.run(seconds(2));
    let before = row_of_ben(&mut world);
    for bytes in first_run.iter().take(200) {
        world.inject(0, ben, true, bytes);
        world.run(Duration::from_millis(15));
    }
    assert_eq!(row_of_ben(&mut world), before);
    still_talks(&mut world, "twice");
    // And after ben left: nobody is revived.
    let second_run = of_ben(&world);
    world.with(1, Endpoint::leave);
    world.run(seconds(1));
    world.kill(1);
    let events = world.nodes[0].events.len();
    for bytes in second_run.iter().rev().take(200) {
        world.inject(0, ben, true, bytes);
        world.run(Duration::from_millis(15));
    }
    let told = |event: &Event| matches!(event, Event::Peer { .. });
    let after = &world.nodes[0].events[events..];
    assert!(!after.iter().any(|(_, event)| told(event)), "{after:?}");
}

#[test]
fn forged_sequence_numbers_change_no_row_and_drop_nothing() {
    let mut world = three(0.0, 37);
    world.run(seconds(20));
    let before = row_of_ben(&mut world);
    let bytes = of_ben(&world).pop().unwrap();
    let sequence = u32::from_be_bytes(bytes[22..26].try_into().unwrap());
    // All the numbers that ben will use, and the last that there is.
    for number in (sequence + 1..sequence + 400).chain([u32::MAX]) {
        let mut forged = bytes.clone();
        forged[22..26].copy_from_slice(&number.to_be_bytes());
        world.inject(0, world.nodes[1].address, true, &forged);
        world.run(Duration::from_millis(5));
    }
    world.run(seconds(60));
    assert_eq!(row_of_ben(&mut world), before);
    let replayed = world.nodes[0].endpoint.as_ref().unwrap().stats().replayed;
    assert_eq!(replayed, 0, "a genuine packet was taken for a replay");
    still_talks(&mut world, "in order");
}

#[test]
fn copies_with_another_path_byte_tell_little_of_paths_and_hide_no_loss() {
    let mut world = three(0.0, 38);
    world.run(seconds(20));
    // Ana hears every second group datagram of ben; whoever replays them hides that from nobody.
    world.group_passes = |_, to| to != 0;
    let mut last = world.sent.len();
    for second in 0..600 {
        world.run(seconds(1));
        let new: Vec<Vec<u8>> = world.sent[last..]
            .iter()
            .filter(|(from, bytes)| *from == 1 && bytes.get(3) != Some(&0))
            .map(|(_, bytes)| bytes.clone())
            .collect();
        last = world.sent.len();
        for bytes in new.iter().filter(|_| second % 30 < 15) {
            for _ in 0..8 {
                world.inject(0, world.nodes[1].address, true, bytes);
            }
        }
        if second % 10 == 0 {
            world.send(1, "#lobby", &second.to_string());
        }
    }
    let mut losses = world.sent.iter().filter_map(|(from, bytes)| {
        let is_anas = *from == 0 && bytes.get(2) == Some(&3);
        match wire::parse(bytes) {
            Ok(Parsed::Packet(packet)) if is_anas => match packet.body {
                Body::Heartbeat(heartbeat) => Some(heartbeat.loss),
                _ => None,
            },
            _ => None,
        }
    });
    let loss = losses.next_back().unwrap();
    assert!((80..=200).contains(&loss), "{loss} of 254");
}

#[test]
fn a_node_that_was_set_back_is_back_in_a_moment() {
    let mut world = three(0.0, 39);
    world.run(seconds(10));
    world.kill(1);
    world.run(seconds(20));
    // Restored from a backup, with a clock that went back a year.
    world.nodes[1].disk.incarnation = 5;
    world.now.wall_ms -= 365 * 24 * 60 * 60 * 1000;
    world.nodes[1].events.clear();
    world.boot(1);
    let took = world.run_until(seconds(3), World::all_listed);
    assert!(took < Duration::from_millis(500), "{took:?}");
    still_talks(&mut world, "as if nothing had been");
    assert!(world.nodes[1].disk.incarnation > 1_790_000_000_000);
    let silent = |event: &Event| matches!(event, Event::Error { .. });
    let events = &world.nodes[1].events;
    assert!(!events.iter().any(|(_, event)| silent(event)), "{events:?}");
}
