//! A public room belongs to one network: elsewhere nothing of it is told, nor served.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use lanchat::api::{Command, Event, ReceiptState};
use lanchat::durable::EntryHead;
use lanchat::id::{PeerId, RoomId};
use lanchat::proto::Endpoint;
use lanchat::wire::{self, Body, Nack, Parsed, Run};

use crate::actor::Actor;
use crate::world::{World, link, lobby, seconds, three};

/// The epochs that a packet tells of or carries.
fn epochs_in(body: &Body) -> Vec<u64> {
    match body {
        Body::Hello(hello) => hello.logs.iter().map(|log| log.epoch).collect(),
        Body::Welcome(welcome) => welcome.logs.iter().map(|log| log.epoch).collect(),
        Body::Heartbeat(heartbeat) => {
            let heads = heartbeat.rooms.iter().flat_map(|room| &room.heads);
            heads.map(|head| head.epoch).collect()
        }
        Body::Heads(heads) => vec![heads.epoch],
        Body::Data(entry) => vec![entry.epoch],
        Body::Repair(repair) => repair.entries.iter().map(|entry| entry.epoch).collect(),
        _ => Vec::new(),
    }
}

/// What a node told of since everything was forgotten.
fn told(world: &World, of: usize) -> BTreeSet<u64> {
    let sent = world.sent.iter().filter(|(from, _)| *from == of);
    let bodies = sent.filter_map(|(_, bytes)| match wire::parse(bytes) {
        Ok(Parsed::Packet(packet)) => Some(packet.body),
        _ => None,
    });
    let epochs: Vec<u64> = bodies.flat_map(|body| epochs_in(&body)).collect();
    epochs.into_iter().filter(|&epoch| epoch > 0).collect()
}

fn place(world: &mut World, index: usize, prefix_len: u8) {
    let links = [link(world.nodes[index].address, prefix_len)];
    world.with(index, |endpoint, now| endpoint.set_links(now, &links));
}

fn nack(author: PeerId, epoch: u64) -> Body {
    Body::Nack(Nack {
        room: RoomId::public("lobby").tag(),
        author: author.short(),
        epoch,
        runs: vec![Run { first: 1, last: 9 }],
    })
}

/// The epochs that a node answers with when it is asked for everything it holds.
fn served(world: &mut World, actor: &mut Actor, by: usize) -> BTreeSet<u64> {
    actor.hello(world, by);
    actor.run(world, seconds(2), |_| None);
    let held = world.nodes[by].disk.entries.keys();
    let logs: BTreeSet<(PeerId, u64)> = held.map(|key| (key.1, key.2)).collect();
    for (author, epoch) in logs {
        actor.say(world, by, &nack(author, epoch));
    }
    let came = actor.run(world, seconds(2), |_| None);
    let repairs = came.iter().filter_map(|(_, body)| match body {
        Body::Repair(_) => Some(epochs_in(body)),
        _ => None,
    });
    repairs.flatten().collect()
}

#[test]
fn on_another_network_nothing_of_the_last_one_is_told_or_served() {
    for restarts in [false, true] {
        let mut world = three(0.0, 71);
        world.send(0, "#lobby", "at the office");
        world.run(seconds(1));
        world.send(1, "#lobby", "there as well");
        world.run(seconds(3));
        world.kill(1);
        world.kill(2);
        let entries = world.nodes[0].disk.entries.keys();
        let office: BTreeSet<u64> = entries.map(|key| key.2).collect();
        assert_eq!(office.len(), 2);
        if restarts {
            world.kill(0);
            world.boot(0);
        }
        let mut actor = Actor::new(77, 66);
        assert_eq!(served(&mut world, &mut actor, 0), office);

        place(&mut world, 0, 16);
        world.run(seconds(1));
        world.forget();
        let mut actor = Actor::new(78, 67);
        assert_eq!(served(&mut world, &mut actor, 0), BTreeSet::new());
        world.run(seconds(60));
        assert_eq!(told(&world, 0), BTreeSet::new());
        world.send(0, "#lobby", "at the café");
        world.run(seconds(3));
        let here = told(&world, 0);
        assert!(here.len() == 1 && here.is_disjoint(&office), "{here:?}");
        assert_eq!(served(&mut world, &mut actor, 0), here);
        world.run(seconds(60));
        assert_eq!(told(&world, 0), here);

        // Back there the log goes on.
        place(&mut world, 0, 24);
        world.run(seconds(1));
        world.forget();
        let mut actor = Actor::new(79, 68);
        assert_eq!(served(&mut world, &mut actor, 0), office);
        world.send(0, "#lobby", "back");
        world.run(seconds(60));
        assert_eq!(told(&world, 0), office);
        let own = world.id(0);
        let entries = world.nodes[0]
            .disk
            .entries
            .keys()
            .filter(|key| key.1 == own);
        let numbers: Vec<u32> = entries.map(|key| key.3).collect();
        assert_eq!(numbers, [1, 2, 1]);
    }
}

/// The system said that something changed, and not yet what: what is said then is said where the card
/// is after it, and served to whoever is there.
#[test]
fn what_is_said_while_the_links_are_in_doubt_is_said_where_they_are_then() {
    let mut world = three(0.0, 79);
    world.send(0, "#lobby", "at the office");
    world.run(seconds(3));
    let office = told(&world, 0);
    for other in [1, 2] {
        world.kill(other);
    }
    world.with(0, Endpoint::links_in_doubt);
    world.send(0, "#lobby", "on the way");
    world.run(Duration::from_millis(250));
    assert_eq!(world.nodes[0].disk.entries.len(), 1, "it waits");
    assert!(!world.endpoint(0).is_settled());
    world.forget();
    place(&mut world, 0, 16);
    world.run(seconds(1));
    let here = told(&world, 0);
    assert!(here.len() == 1 && here.is_disjoint(&office), "{here:?}");
    let mut actor = Actor::new(77, 66);
    assert_eq!(served(&mut world, &mut actor, 0), here);
}

/// Two come to another network at once, and the one is told so a moment before the other: what it says
/// then was said while the other was there.
#[test]
fn what_is_said_while_others_are_in_doubt_is_no_history_to_them() {
    let mut world = three(0.0, 81);
    for index in [0, 1] {
        world.with(index, Endpoint::links_in_doubt);
    }
    world.run(Duration::from_millis(200));
    place(&mut world, 0, 16);
    world.send(0, "#lobby", "here");
    world.run(Duration::from_millis(10));
    world.cut.insert((0, 1));
    world.run(Duration::from_millis(40));
    place(&mut world, 1, 16);
    world.run(seconds(1));
    world.cut.clear();
    world.run(seconds(5));
    assert_eq!(world.texts(1, &lobby()), ["here"]);
}

#[test]
fn a_doubt_ends_where_nothing_changed_and_where_nobody_answers() {
    let mut world = three(0.0, 80);
    let same = [link(world.nodes[0].address, 24)];
    world.with(0, Endpoint::links_in_doubt);
    for text in ["one", "two"] {
        world.send(0, "#lobby", text);
    }
    world.run(Duration::from_millis(250));
    assert!(world.texts(1, &lobby()).is_empty());
    world.with(0, |endpoint, now| endpoint.set_links(now, &same));
    world.run(Duration::from_millis(250));
    assert_eq!(world.texts(1, &lobby()), ["one", "two"]);
    // A driver that forgets to say.
    world.with(0, Endpoint::links_in_doubt);
    world.send(0, "#lobby", "three");
    world.run(seconds(2));
    assert_eq!(world.texts(1, &lobby()), ["one", "two", "three"]);
    // Who leaves meanwhile has said it.
    world.with(0, Endpoint::links_in_doubt);
    world.send(0, "#lobby", "four");
    world.with(0, Endpoint::leave);
    world.run(seconds(1));
    let held = world.nodes[0].disk.entries.len();
    assert_eq!(held, 4);
    assert_eq!(world.errors(0), Vec::<String>::new());
}

/// Said at the office, taken back at the café: the office hears of it once its author is back, and
/// the café nothing. Who missed the line gets what is left of it.
#[test]
fn what_was_said_on_one_network_is_taken_back_there_from_another() {
    for restarts in [false, true] {
        let mut world = three(0.0, 76);
        world.send(0, "#lobby", "before");
        world.run(seconds(1));
        world.cut.extend([(0, 2), (1, 2)]);
        world.send(0, "#lobby", "the secret");
        world.run(seconds(1));
        let secret = crate::rooms::told(&world, 1).last().unwrap().0;
        let office = told(&world, 0);
        let mut cut: Vec<(usize, usize)> = vec![(0, 1), (0, 2), (1, 0), (2, 0)];
        world.cut = cut.drain(..).collect();
        place(&mut world, 0, 16);
        world.run(seconds(1));
        if restarts {
            world.kill(0);
            world.boot(0);
            place(&mut world, 0, 16);
            world.run(seconds(1));
        }
        world.kill(1);
        world.forget();
        world.send(0, "#lobby", "at the café");
        world.ask(0, Command::Redact { id: secret });
        world.run(seconds(5));
        assert!(told(&world, 0).is_disjoint(&office), "told at the café");
        assert_eq!(world.errors(0), Vec::<String>::new());

        world.boot(1);
        world.cut.clear();
        place(&mut world, 0, 24);
        world.run(seconds(40));
        let own = world.id(0);
        let epoch = office.first().copied().unwrap();
        for at in [1, 2] {
            let held = world.nodes[at].disk.entries.iter();
            let held = held.filter(|(key, _)| (key.1, key.2) == (own, epoch));
            let bodies: Vec<Option<Vec<u8>>> = held
                .map(|(_, (_, bytes))| EntryHead::of(bytes).unwrap().body)
                .collect();
            let wanted = [Some(b"before".to_vec()), None, Some(Vec::new())];
            assert_eq!(bodies, wanted, "at {at}, restarts: {restarts}");
        }
    }
}

#[test]
fn an_author_with_a_log_on_each_of_two_networks_is_heard_on_both() {
    let mut world = three(0.0, 72);
    for (prefix_len, text) in [(24, "one"), (16, "two"), (24, "three"), (16, "four")] {
        for index in 0..3 {
            place(&mut world, index, prefix_len);
        }
        world.run(seconds(3));
        world.send(0, "#lobby", text);
        world.run(seconds(3));
    }
    assert_eq!(world.texts(1, &lobby()), ["one", "two", "three", "four"]);
    let own = world.id(0);
    let entries = world.nodes[1]
        .disk
        .entries
        .keys()
        .filter(|key| key.1 == own);
    let numbers: Vec<u32> = entries.map(|key| key.3).collect();
    assert_eq!(numbers, [1, 2, 1, 2]);
}

#[test]
fn what_waits_to_leave_goes_to_the_people_it_was_said_to_alone() {
    let mut world = World::new(0.0, 76);
    (world.limits.person_rate, world.limits.person_burst) = (1, 1);
    for name in ["ana", "ben"] {
        world.add(name);
    }
    world.run_until(seconds(20), World::all_listed);
    world.run(seconds(2));
    for text in ["one", "two", "three"] {
        world.send(0, "#lobby", text);
    }
    world.run(Duration::from_millis(200));
    assert_eq!(world.texts(1, &lobby()), ["one"]);
    place(&mut world, 0, 16);
    world.send(0, "#lobby", "at the café");
    world.run(seconds(90));
    assert_eq!(world.texts(1, &lobby()), ["one", "at the café"]);
    let queued = |world: &World| {
        let last = world.receipts(0).into_iter().rev();
        last.filter(|receipt| receipt.0 == ReceiptState::Queued)
            .count()
    };
    assert!(queued(&world) > 0, "their author is told so");
    // Back there they leave, in the order in which they were said.
    place(&mut world, 0, 24);
    world.run(seconds(10));
    let all = ["one", "at the café", "two", "three"];
    assert_eq!(world.texts(1, &lobby()), all);
}

#[test]
fn what_was_said_before_there_was_a_network_goes_to_the_first() {
    let mut world = World::new(0.0, 77);
    (world.limits.person_rate, world.limits.person_burst) = (1, 1);
    world.add("ana");
    world.add("ben");
    world.kill(0);
    world.boot_on(0, &[]);
    for text in ["one", "two"] {
        world.send(0, "#lobby", text);
    }
    place(&mut world, 0, 24);
    world.run(seconds(10));
    assert_eq!(world.texts(1, &lobby()), ["one", "two"]);
}

#[test]
fn hosts_that_disagree_on_their_network_repair_each_other() {
    let mut world = three(0.0, 73);
    place(&mut world, 0, 16);
    world.run(seconds(3));
    world.send(0, "#lobby", "one");
    world.run(seconds(1));
    // Only the author hears itself.
    for other in [1, 2] {
        world.cut.insert((0, other));
    }
    world.send(0, "#lobby", "two");
    world.run(seconds(1));
    world.cut.remove(&(0, 1));
    world.run(seconds(8));
    assert_eq!(world.texts(1, &lobby()), ["one", "two"]);
    world.kill(0);
    world.cut.clear();
    // The third one never hears the author again, and gets it from the second.
    let mut actor = Actor::new(77, 66);
    let served = served(&mut world, &mut actor, 1);
    assert_eq!(served.len(), 1, "heard from the author on this link");
}

/// Ana and Ben have two links, Eva is on the second one alone.
fn two_links(seed: u64) -> World {
    let mut world = World::new(0.0, seed);
    world.add("ana");
    world.add("ben");
    world.run(seconds(3));
    for text in ["one", "two", "three"] {
        world.send(0, "#lobby", text);
        world.run(seconds(1));
    }
    let guest = |host: u8| SocketAddr::from(([10, 0, 1, host], 5263));
    world.add("eva");
    world.nodes[2].address = guest(3);
    world.with(2, |endpoint, now| endpoint.set_links(now, &[]));
    place(&mut world, 2, 24);
    for (index, host) in [(0, 1), (1, 2)] {
        world.plug_second(index, guest(host));
    }
    world.run_until(seconds(60), World::all_listed);
    world.run(seconds(1));
    world
}

/// The numbers that a node serves to somebody on the second network who asks for everything.
fn numbers_served(world: &mut World, by: usize, of: (PeerId, u64), secret: u8) -> BTreeSet<u32> {
    let (author, epoch) = of;
    let mut actor = Actor::new(secret, 66);
    actor.at = SocketAddr::from(([10, 0, 1, secret], 5263));
    actor.hello(world, by);
    actor.run(world, seconds(2), |_| None);
    actor.say(world, by, &nack(author, epoch));
    let came = actor.run(world, seconds(2), |_| None);
    let entries = came.into_iter().filter_map(|(_, body)| match body {
        Body::Repair(repair) => Some(repair.entries),
        _ => None,
    });
    entries.flatten().map(|entry| entry.seq).collect()
}

#[test]
fn on_a_second_network_only_what_was_said_there_is_told_and_served() {
    let mut world = two_links(74);
    let author = world.id(0);
    let epoch = world.nodes[1].disk.entries.keys().next().unwrap().2;
    for by in [0, 1] {
        let served = numbers_served(&mut world, by, (author, epoch), 81);
        assert_eq!(served, BTreeSet::new(), "before anything was said there");
    }
    world.send(0, "#lobby", "four");
    world.run(seconds(1));
    // Lost there: Eva asks for it, and for nothing before.
    world.cut.insert((0, 2));
    world.send(0, "#lobby", "five");
    world.run(Duration::from_millis(40));
    world.cut.clear();
    world.run(seconds(5));
    assert_eq!(world.texts(2, &lobby()), ["four", "five"]);
    let gap = |(_, event): &(_, Event)| matches!(event, Event::Gap { .. });
    assert!(!world.nodes[2].events.iter().any(gap), "nothing is missing");
    assert_eq!(
        world.receipts(0).last(),
        Some(&(ReceiptState::Delivered, 2, 2))
    );
    let asked = |world: &World| {
        let nacks = world.sent.iter().filter(|(from, _)| *from == 2);
        let nack = |bytes: &[u8]| match wire::parse(bytes) {
            Ok(Parsed::Packet(packet)) => matches!(packet.body, Body::Nack(_)),
            _ => false,
        };
        nacks.filter(|(_, bytes)| nack(bytes)).count()
    };
    world.forget();
    world.run(seconds(60));
    assert_eq!(asked(&world), 0, "for what is not to be had there");
    for by in [0, 1] {
        let served = numbers_served(&mut world, by, (author, epoch), 82);
        assert_eq!(served, BTreeSet::from([4, 5]), "by {by}");
    }
}

#[test]
fn the_first_line_on_a_second_network_is_not_lost_with_its_datagrams() {
    let mut world = two_links(75);
    world.cut.insert((0, 2));
    world.send(0, "#lobby", "four");
    world.run(Duration::from_millis(40));
    world.cut.clear();
    world.run(seconds(5));
    assert_eq!(world.texts(2, &lobby()), ["four"]);
    assert_eq!(
        world.receipts(0).last(),
        Some(&(ReceiptState::Delivered, 2, 2))
    );
}
