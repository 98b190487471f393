//! Disks that fail, logs that begin anew, people that come back.

use std::collections::BTreeMap;
use std::time::Duration;

use lanchat::api::{Conversation, Event, ReceiptState};
use lanchat::datagram::Gateway;
use lanchat::proto::Endpoint;
use lanchat::wire::{self, Body, Parsed};

use crate::world::{World, link, lobby, seconds, three};

/// Moves a node to another network: the same address, another prefix.
fn move_network(world: &mut World, index: usize) {
    let links = [link(world.nodes[index].address, 16)];
    world.with(index, |endpoint, now| endpoint.set_links(now, &links));
}

/// The router of a node's network becomes known.
fn learn_router(world: &mut World, index: usize) {
    let mut link = link(world.nodes[index].address, 24);
    link.gateway = Some(Gateway {
        address: [10, 0, 0, 254].into(),
        mac: Some([7; 6]),
    });
    world.with(index, |endpoint, now| endpoint.set_links(now, &[link]));
}

fn nacks(world: &World, index: usize) -> u64 {
    let endpoint = world.nodes[index].endpoint.as_ref();
    endpoint.map_or(0, |endpoint| endpoint.stats().nacks_out)
}

#[test]
fn what_waits_when_the_network_gets_another_name_is_sent_and_no_head_is_made_up() {
    let mut world = World::new(0.0, 21);
    world.add("ana");
    world.add("ben");
    world.run(Duration::from_millis(1));
    world.send(0, "#lobby", "one");
    world.send(0, "#lobby", "two");
    world.run(Duration::from_millis(1));
    learn_router(&mut world, 0);
    world.send(0, "#lobby", "three");
    world.run(seconds(30));
    // Of two logs, whose datagrams may overtake each other on the way: nothing in the first of the
    // second log tells of the other one, so it does not wait. What comes after it is marked.
    let (in_turn, late) = world.in_turn(1, &lobby());
    let said = ["one", "two", "three"];
    let wanted: Vec<&str> = said
        .into_iter()
        .filter(|l| !late.iter().any(|of| of == l))
        .collect();
    assert_eq!(in_turn, wanted, "{late:?}");
    let texts = world.texts(1, &lobby());
    let at = |text: &str| texts.iter().position(|other| other == text);
    assert!(at("one") < at("two") && texts.len() == 3, "{texts:?}");
    assert_eq!(nacks(&world, 1), 0, "asked for what never was");
    let last = world.receipts(0).last().copied();
    assert_eq!(last, Some((ReceiptState::Delivered, 1, 1)));
}

#[test]
fn a_line_behind_a_gap_is_shown_when_its_author_begins_a_new_log() {
    let mut world = three(0.0, 22);
    world.send(0, "#lobby", "one");
    world.run(seconds(1));
    world.loss = 1.0;
    world.send(0, "#lobby", "two");
    world.run(Duration::from_millis(2));
    world.loss = 0.0;
    world.send(0, "#lobby", "three");
    world.run(Duration::from_micros(400));
    move_network(&mut world, 0);
    world.send(0, "#lobby", "four");
    world.run(seconds(5));
    let texts = world.texts(1, &lobby());
    assert!(texts.contains(&"three".to_owned()), "{texts:?}");
    assert_eq!(texts.last().map(String::as_str), Some("four"));
}

#[test]
fn a_number_that_the_disk_lost_is_never_used_twice() {
    let mut world = three(0.0, 23);
    world.send(0, "#lobby", "one");
    world.run(seconds(1));
    world.disk_fails = true;
    world.send(0, "#lobby", "lost");
    world.run(seconds(1));
    world.disk_fails = false;
    world.kill(0);
    world.boot(0);
    world.run(seconds(3));
    world.send(0, "#lobby", "two");
    world.run(seconds(3));
    let mut numbers: BTreeMap<_, Vec<u8>> = BTreeMap::new();
    for (_, bytes) in &world.sent {
        if let Ok(Parsed::Packet(packet)) = wire::parse(bytes)
            && let Body::Data(entry) = packet.body
        {
            let key = (entry.author_id(), entry.epoch, entry.seq);
            let first = numbers.entry(key).or_insert_with(|| entry.bytes.clone());
            assert_eq!(*first, entry.bytes, "{} twice", entry.seq);
        }
    }
    assert_eq!(world.texts(1, &lobby()), ["one", "lost", "two"]);
    let told = |event: &Event| matches!(event, Event::Error { code, .. } if code == "store_failed");
    assert!(world.nodes[0].events.iter().any(|(_, event)| told(event)));
}

#[test]
fn with_a_full_disk_the_chat_goes_on_and_is_kept_once_there_is_room() {
    let mut world = three(0.0, 24);
    world.send(0, "#lobby", "before");
    world.run(seconds(1));
    let digests = world.nodes[1].disk.entries.len();
    world.disk_fails = true;
    for text in ["one", "two"] {
        world.send(0, "#lobby", text);
        world.run(seconds(1));
    }
    world.send(0, "#lobby", "three");
    world.send(0, "#lobby", "four");
    world.run(seconds(20));
    let all = ["before", "one", "two", "three", "four"];
    for index in 0..3 {
        if index > 0 {
            assert_eq!(world.texts(index, &lobby()), all);
        }
        let stored = |kept: &bool| {
            let told = |event: &Event| matches!(event, Event::Store { kept: of, .. } if of == kept);
            let events = world.nodes[index].events.iter();
            events.filter(|(_, event)| told(event)).count()
        };
        assert_eq!((stored(&false), stored(&true)), (1, 0), "{index}");
    }
    // Shown everywhere, and nobody says that they have it.
    let last = world.receipts(0).last().copied();
    assert_eq!(last, Some((ReceiptState::Sent, 0, 2)));
    assert_eq!(world.nodes[1].disk.entries.len(), digests);
    world.disk_fails = false;
    world.run(seconds(61));
    let last = world.receipts(0).last().copied();
    assert_eq!(last, Some((ReceiptState::Delivered, 2, 2)));
    world.send(0, "#lobby", "after");
    world.run(seconds(5));
    for index in 0..3 {
        let told = |event: &Event| matches!(event, Event::Store { kept: true, .. });
        let events = world.nodes[index].events.iter();
        assert_eq!(events.filter(|(_, event)| told(event)).count(), 1);
        assert_eq!(
            world.texts(index, &lobby()).len(),
            if index > 0 { 6 } else { 0 }
        );
        assert_eq!(world.nodes[index].disk.entries.len(), 6, "{index}");
    }
    // The epoch of the full disk is kept and never continued.
    world.kill(0);
    world.boot(0);
    world.run(seconds(3));
    world.send(0, "#lobby", "later");
    world.run(seconds(5));
    assert_eq!(world.texts(1, &lobby()).last().unwrap(), "later");
}

#[test]
fn what_was_said_with_a_full_disk_is_no_epoch_to_go_on_in() {
    let mut world = three(0.0, 24);
    world.disk_fails = true;
    for text in ["one", "two"] {
        world.send(0, "#lobby", text);
        world.run(seconds(1));
    }
    world.kill(0);
    world.boot(0);
    world.run(seconds(3));
    world.disk_fails = false;
    for text in ["three", "four"] {
        world.send(0, "#lobby", text);
        world.run(seconds(70));
    }
    assert_eq!(world.texts(1, &lobby()), ["one", "two", "three", "four"]);
    let mut numbers: BTreeMap<_, Vec<u8>> = BTreeMap::new();
    for (_, bytes) in &world.sent {
        if let Ok(Parsed::Packet(packet)) = wire::parse(bytes)
            && let Body::Data(entry) = packet.body
        {
            let key = (entry.author_id(), entry.epoch, entry.seq);
            let first = numbers.entry(key).or_insert_with(|| entry.bytes.clone());
            assert_eq!(*first, entry.bytes, "{} twice", entry.seq);
        }
    }
}

#[test]
fn nothing_leaves_after_the_last_goodbye() {
    let mut world = three(0.0, 25);
    world.with(0, Endpoint::leave);
    world.run(Duration::from_millis(100));
    let before = world.sent.iter().filter(|(from, _)| *from == 0).count();
    world.send(0, "#lobby", "too late");
    world.send(0, "ben", "this as well");
    world.run(seconds(2));
    let after = world.sent.iter().filter(|(from, _)| *from == 0).count();
    assert_eq!(after, before);
    // Back again, as by `fg`: what was said meanwhile goes now.
    world.with(0, Endpoint::rejoin);
    world.run(seconds(5));
    assert_eq!(world.texts(1, &lobby()), ["too late"]);
}

#[test]
fn more_than_one_answer_holds_is_repaired_in_several() {
    let mut world = three(0.0, 26);
    world.send(0, "#lobby", "one");
    world.run(seconds(1));
    world.loss = 1.0;
    // Nobody is given up by somebody who hears nobody.
    let alone = |w: &World| w.endpoint(0).is_disconnected();
    world.run_until(seconds(20), alone);
    for number in 0..100 {
        world.send(0, "#lobby", &format!("{number:0>880}"));
        world.run(Duration::from_millis(5));
    }
    world.run(seconds(20));
    world.loss = 0.0;
    world.run(seconds(60));
    assert_eq!(world.texts(1, &lobby()).len(), 101);
}

#[test]
fn a_receipt_waits_for_a_member_that_starts_again() {
    let mut world = three(0.0, 27);
    world.send(0, "#lobby", "before");
    world.run(seconds(1));
    world.send(0, "#lobby", "stored but not acknowledged");
    let stored = |w: &World| w.texts(1, &lobby()).len() == 2;
    world.run_until(seconds(1), stored);
    world.kill(1);
    world.run(seconds(10));
    world.boot(1);
    world.run(seconds(5));
    let last = world.receipts(0).last().copied();
    assert_eq!(last, Some((ReceiptState::Delivered, 2, 2)));
}

#[test]
fn more_than_can_be_under_way_at_once_arrives_from_the_disk_in_order() {
    let mut world = three(0.0, 28);
    world.kill(1);
    world.run(seconds(10));
    for number in 0..1000 {
        world.send(0, "ben", &format!("{number}"));
    }
    world.run(seconds(1));
    world.kill(0);
    world.boot(0);
    world.run(seconds(3));
    let ben = format!("@{}", world.id(1));
    world.nodes[0].events.clear();
    world.boot(1);
    world.run_until(seconds(5), |w| w.state(1, 0).is_some());
    for number in 1000..1300 {
        world.send(0, &ben, &format!("{number}"));
    }
    world.run(seconds(60));
    let wanted: Vec<String> = (0..1300).map(|number| number.to_string()).collect();
    let texts = world.texts(1, &Conversation::Peer(world.id(0)));
    assert_eq!(texts, wanted);
    assert!(world.nodes[0].disk.outbox.is_empty());
}

#[test]
fn a_script_waits_for_those_whom_somebody_told_of() {
    for passes_again in [true, false] {
        let mut world = three(0.0, 34);
        let script = world.add("script");
        world.nodes[script].transient = true;
        world.boot(script);
        world.cut.extend([(2, script), (script, 2)]);
        world.send(script, "#lobby", "to all three");
        world.run(Duration::from_millis(1500));
        let last = world.receipts(script).pop();
        assert_eq!(last, Some((ReceiptState::Queued, 0, 0)), "eva was missed");
        if passes_again {
            world.cut.clear();
        }
        world.run(seconds(2));
        let last = world.receipts(script).pop();
        let all = if passes_again { 3 } else { 2 };
        assert_eq!(last, Some((ReceiptState::Delivered, all, all)));
    }
}
