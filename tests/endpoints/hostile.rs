//! Senders that mean harm.

use std::net::SocketAddr;
use std::time::Duration;

use lanchat::api::Event;
use lanchat::datagram::{Destination, Path};
use lanchat::id::{Incarnation, NetworkId, RoomId};
use lanchat::proto::Identity;
use lanchat::wire::{self, Body, Entry, EntryFields, EntryKind, Header, Heads, Heartbeat};

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
        network: NetworkId([0; 8]),
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
        Body::Heads(Heads { room, epoch, seq })
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
