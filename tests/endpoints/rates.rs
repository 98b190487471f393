//! Who may say how much: nobody slows another down, and nothing that is said waits unseen or is lost.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lanchat::api::{Event, ReceiptState};
use lanchat::limits::Limits;
use lanchat::proto::Endpoint;
use lanchat::wire::{self, Body, Parsed};

use crate::world::{World, link, lobby, seconds};

/// Three people with the limits that everybody has.
fn plain(loss: f64, seed: u64) -> World {
    let mut world = World::new(loss, seed);
    world.limits = Limits::default();
    for name in ["ana", "ben", "eva"] {
        world.add(name);
    }
    world.run_until(seconds(20), World::all_listed);
    world.run(seconds(1));
    world
}

fn lifted() -> Limits {
    Limits {
        person_rate: 100_000,
        person_burst: 100_000,
        node_rate: 1_000_000,
        node_burst: 1_000_000,
        group_packets: 1_000_000,
        group_bits: u32::MAX,
        ..Limits::default()
    }
}

/// How long each line of a node that begins so took to each of these others.
fn times(world: &World, said: &BTreeMap<String, Instant>, at: &[usize]) -> Vec<Duration> {
    let mut times = Vec::new();
    for &node in at {
        for (when, event) in &world.nodes[node].events {
            if let Event::Message { text, .. } = event
                && let Some(from) = said.get(text)
            {
                times.push(*when - *from);
            }
        }
    }
    times.sort();
    times
}

/// A line each 200 ms of the first node, while the last says `flood` a second. How long
/// her lines took, and how many signatures the second node checked meanwhile.
fn talk(world: &mut World, flood: u64, lines: usize) -> (Vec<Duration>, u64) {
    let before = world.endpoint(1).stats().verified;
    let mut said = BTreeMap::new();
    for line in 0..lines {
        let text = format!("line {line} of {flood}");
        said.insert(text.clone(), world.now.mono);
        world.send(0, "#lobby", &text);
        for tick in 0..200u64 {
            for _ in 0..flood * (tick + 1) / 1000 - flood * tick / 1000 {
                world.send(3, "#lobby", "flood");
            }
            world.run(Duration::from_millis(1));
        }
    }
    let checked = world.endpoint(1).stats().verified - before;
    world.run(seconds(2));
    let times = times(world, &said, &[1, 2]);
    assert_eq!(times.len(), 2 * lines, "lines of hers are lost");
    (times, checked)
}

#[test]
fn a_flooder_delays_nobody_and_what_it_says_is_checked_for_its_share_alone() {
    let mut world = plain(0.0, 51);
    world.limits = lifted();
    world.add("mal");
    world.run(seconds(3));
    let (quiet, _) = talk(&mut world, 0, 8);
    let (flooded, checked) = talk(&mut world, 1000, 8);
    let p99 = |times: &[Duration]| times[times.len() * 99 / 100];
    println!(
        "p99 {:?} alone, {:?} beside 1000 lines a second; {checked} checks in 1.6 s",
        p99(&quiet),
        p99(&flooded)
    );
    assert!(p99(&flooded) < p99(&quiet) + Duration::from_millis(50));
    assert!(checked < 300, "{checked} checks in 1.6 s");
    let receipt = |(_, event): &(Instant, Event)| match event {
        Event::Receipt { state, .. } => Some(*state),
        _ => None,
    };
    let states: Vec<ReceiptState> = world.nodes[0].events.iter().filter_map(receipt).collect();
    assert!(!states.contains(&ReceiptState::Queued), "she had to wait");
}

#[test]
fn what_is_said_faster_than_it_may_waits_visibly_and_all_of_it_arrives() {
    for (loss, seed) in [(0.0, 52), (0.3, 53)] {
        let mut world = plain(loss, seed);
        let from = world.now.mono;
        let all: Vec<String> = (0..40).map(|line| format!("line {line}")).collect();
        for line in &all {
            world.send(0, "#lobby", line);
        }
        world.run(Duration::from_millis(1));
        let states: Vec<ReceiptState> = world.receipts(0).iter().map(|of| of.0).collect();
        let queued = states.iter().filter(|of| **of == ReceiptState::Queued);
        assert_eq!(queued.count(), 30);
        world.run(seconds(15));
        for at in [1, 2] {
            let mut texts = world.texts(at, &lobby());
            texts.sort_by_key(|text| text[5..].parse::<u32>().ok());
            assert_eq!(texts, all, "{at}");
            assert_eq!(world.endpoint(at).stats().limited, 0, "an honest author");
        }
        let last = world.nodes[1].events.last().map(|(at, _)| *at - from);
        println!("loss {loss}: the last of 40 lines after {last:?}");
    }
}

#[test]
fn lines_of_who_lifted_its_limits_alone_come_late_and_are_not_lost() {
    let mut world = plain(0.1, 54);
    world.limits = lifted();
    world.add("bot");
    world.run(seconds(3));
    let all: Vec<String> = (0..200).map(|line| format!("line {line}")).collect();
    for line in &all {
        world.send(3, "#lobby", line);
        world.run(Duration::from_millis(5));
    }
    world.run(seconds(60));
    for at in 0..3 {
        let mut texts = world.texts(at, &lobby());
        texts.sort_by_key(|text| text[5..].parse::<u32>().ok());
        assert_eq!(texts, all, "{at}");
    }
    let last = world.receipts(3).last().copied();
    assert_eq!(last, Some((ReceiptState::Delivered, 3, 3)));
}

#[test]
fn so_many_lines_are_on_their_way_at_once_and_who_is_silent_holds_up_nobody_for_long() {
    let mut world = plain(0.0, 58);
    world.limits = lifted();
    world.add("bot");
    world.run(seconds(3));
    let all: Vec<String> = (0..500).map(|line| format!("line {line}")).collect();
    let say_all = |world: &mut World| {
        for line in &all {
            world.send(3, "#lobby", line);
        }
    };
    let sent = |world: &World| {
        let states = world.receipts(3).into_iter().map(|(state, ..)| state);
        states.filter(|state| *state == ReceiptState::Sent).count()
    };
    // Nobody is there any more, and it is not known yet.
    (0..3).for_each(|at| world.kill(at));
    say_all(&mut world);
    world.run(Duration::from_millis(5));
    assert_eq!(sent(&world), 128);
    assert!(world.endpoint(3).is_crowded(world.now), "372 lines wait");
    world.run(Duration::from_millis(290));
    assert_eq!(sent(&world), 128);
    world.run(Duration::from_millis(10));
    assert_eq!(sent(&world), 256);
    assert!(!world.endpoint(3).is_crowded(world.now), "244 lines wait");
    world.run(seconds(1));
    assert_eq!(sent(&world), 500);

    // Whoever is there acknowledges what came, and the next may go at once.
    let mut world = plain(0.0, 59);
    world.limits = lifted();
    world.add("bot");
    world.run(seconds(3));
    let from = world.now.mono;
    say_all(&mut world);
    world.run_until(seconds(60), |world| {
        world.receipts(3).last() == Some(&(ReceiptState::Delivered, 3, 3))
    });
    println!("500 lines on three, {:?}", world.now.mono - from);
    for at in 0..3 {
        world.run_until(seconds(60), |world| {
            world.texts(at, &lobby()).len() == all.len()
        });
    }
}

#[test]
fn input_waits_for_the_store_and_for_the_roster_and_for_no_other_network() {
    let say_many = |world: &mut World, count| {
        (0..count).for_each(|line| world.send(0, "#lobby", &format!("line {line}")));
    };
    let is_crowded = |world: &World| world.endpoint(0).is_crowded(world.now);
    let mut world = plain(0.0, 60);
    world.limits = lifted();
    world.kill(0);
    world.boot(0);
    world.run(Duration::from_millis(1));
    say_many(&mut world, 300);
    world.run(Duration::from_millis(1));
    assert!(is_crowded(&world), "it is not known who is here");
    world.run(seconds(5));
    assert!(!is_crowded(&world));

    let links = [link(world.nodes[0].address, 24)];
    world.with(0, Endpoint::links_in_doubt);
    say_many(&mut world, 300);
    assert!(is_crowded(&world), "nor which network this is");
    world.with(0, |bot, now| bot.set_links(now, &links));
    world.run(seconds(5));
    assert!(!is_crowded(&world));

    world.disk_works = false;
    say_many(&mut world, 300);
    world.run(seconds(5));
    assert!(is_crowded(&world), "the store has not answered");
    assert_eq!(world.errors(0), Vec::<String>::new());

    // What waits for the network that was left may wait for weeks.
    let mut world = World::new(0.0, 61);
    (world.limits.person_rate, world.limits.person_burst) = (1000, 1);
    for name in ["bot", "ana"] {
        world.add(name);
    }
    world.run_until(seconds(20), World::all_listed);
    world.run(seconds(2));
    say_many(&mut world, 300);
    world.run(Duration::from_millis(10));
    let place = |world: &mut World, prefix_len| {
        let links = [link(world.nodes[0].address, prefix_len)];
        world.with(0, |bot, now| bot.set_links(now, &links));
    };
    place(&mut world, 16);
    world.run(seconds(2));
    assert!(world.texts(1, &lobby()).len() < 44);
    world.unplug(0);
    say_many(&mut world, 140);
    world.run(Duration::from_millis(200));
    assert!(!is_crowded(&world), "12 lines wait for an ACK");
    say_many(&mut world, 250);
    world.run(Duration::from_millis(1));
    assert!(is_crowded(&world), "262 do");
    world.cut.clear();
    place(&mut world, 24);
    world.run(seconds(30));
    let all: Vec<String> = (0..300).map(|line| format!("line {line}")).collect();
    assert_eq!(world.texts(1, &lobby()), all);
}

#[test]
fn above_the_budget_of_the_group_all_slow_down_and_nothing_is_lost() {
    let mut world = World::new(0.0, 55);
    world.limits = Limits {
        group_packets: 6,
        ..Limits::default()
    };
    for name in ["ana", "ben", "eva"] {
        world.add(name);
    }
    world.run_until(seconds(20), World::all_listed);
    world.run(seconds(10));
    for line in 0..50 {
        for at in 0..3 {
            world.send(at, "#lobby", &format!("{at} {line}"));
        }
    }
    world.run(seconds(20));
    let lines = world.texts(0, &lobby()).len();
    println!("{lines} lines of the others in 20 s");
    assert!(lines < 90, "nobody slowed down");
    world.run(seconds(60));
    for at in 0..3 {
        assert_eq!(world.texts(at, &lobby()).len(), 100, "{at}");
    }
}

#[test]
fn lines_forged_in_somebodys_name_take_nothing_of_their_share() {
    let mut world = plain(0.0, 56);
    world.send(0, "#lobby", "hello");
    world.run(seconds(1));
    let is_data = |(from, bytes): &&(usize, Vec<u8>)| {
        let packet = wire::parse(bytes);
        *from == 0
            && matches!(packet, Ok(Parsed::Packet(packet)) if matches!(packet.body, Body::Data(_)))
    };
    let genuine = world
        .sent
        .iter()
        .find(is_data)
        .map(|(_, bytes)| bytes.clone());
    let mut forged = genuine.expect("it was said");
    for seq in 2..200u32 {
        // Header, room, author, network and epoch stand before the number.
        forged[82..86].copy_from_slice(&seq.to_be_bytes());
        world.inject(1, SocketAddr::from(([10, 0, 0, 77], 5263)), true, &forged);
    }
    world.run(seconds(1));
    assert!(world.endpoint(1).stats().bad_signature >= 90);
    for line in 0..10 {
        world.send(0, "#lobby", &format!("line {line}"));
    }
    world.run(Duration::from_millis(200));
    assert_eq!(world.texts(1, &lobby()).len(), 11);
}
