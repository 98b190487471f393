//! Links that are lost and found again, and a system that slept.

use std::time::Duration;

use lanchat::api::{PeerState, ReceiptState};
use lanchat::datagram::{Link, LinkId};
use lanchat::proto::Endpoint;

use crate::world::{World, link, lobby, seconds};

/// Two who know each other, and nothing left to say.
fn pair() -> World {
    let mut world = World::new(0.0, 31);
    world.add("ana");
    world.add("ben");
    world.run(seconds(61));
    assert!(world.all_listed());
    world
}

fn sent(world: &World, index: usize) -> u64 {
    let endpoint = world.nodes[index].endpoint.as_ref();
    endpoint.map_or(0, |endpoint| endpoint.stats().datagrams_out)
}

#[test]
fn whoever_is_behind_a_lost_link_is_suspect_and_found_again_at_once() {
    let mut world = pair();
    let links = [link(world.nodes[0].address, 24)];
    let loopback = [link("127.0.0.1:5263".parse().expect("address"), 8)];
    world.with(0, |ana, now| ana.set_links(now, &loopback));
    assert_eq!(world.state(1, 0), Some((PeerState::Suspect, false)));
    world.with(0, |ana, now| ana.set_links(now, &links));
    let took = world.run_until(seconds(5), |world| {
        world.state(1, 0) == Some((PeerState::Online, true))
    });
    assert!(took < Duration::from_millis(50), "{took:?}");
}

#[test]
fn what_came_with_a_link_that_stays_is_not_touched() {
    let mut world = pair();
    let own = link(world.nodes[0].address, 24);
    let other = Link {
        id: LinkId(9),
        name: "wlan0".to_owned(),
        ..link("10.9.0.1:5263".parse().expect("address"), 24)
    };
    let both = [own.clone(), other];
    world.with(0, |ana, now| ana.set_links(now, &both));
    world.run(seconds(1));
    world.with(0, |ana, now| ana.set_links(now, &[own]));
    assert_eq!(world.state(1, 0), Some((PeerState::Online, true)));
}

#[test]
fn a_system_that_slept_says_hello() {
    let mut world = pair();
    let before = sent(&world, 0);
    world.with(0, Endpoint::handle_wake);
    // The first after up to 20 ms, the second 200 ms later at the earliest.
    world.run(Duration::from_millis(150));
    assert!(sent(&world, 0) > before);
    assert!(world.all_listed());
}

#[test]
fn what_was_said_while_the_link_was_away_comes_when_it_is_back() {
    for away in [2, 90] {
        let mut world = pair();
        world.send(0, "#lobby", "before");
        world.run(seconds(1));
        let links = [link(world.nodes[0].address, 24)];
        world.with(0, |ana, now| ana.set_links(now, &[]));
        world.run(seconds(away / 2));
        world.send(0, "#lobby", "while away");
        world.run(seconds(away / 2));
        world.with(0, |ana, now| ana.set_links(now, &links));
        world.run(seconds(30));
        let texts = world.texts(1, &lobby());
        assert_eq!(texts, ["before", "while away"], "away for {away} s");
    }
}

/// What is said while a link is away, or the moment it is back, counts who was there before: their
/// addresses take a round trip to be proven anew.
#[test]
fn the_receipt_of_what_is_said_when_a_link_is_back_counts_who_was_behind_it() {
    let delivered = Some(&(ReceiptState::Delivered, 1, 1));
    for (away, index) in [(1, 1), (2, 7), (20, 1), (90, 7)] {
        for when in ["away", "in doubt", "back"] {
            let mut world = pair();
            let own = link(world.nodes[0].address, 24);
            let id = LinkId(index);
            world.with(0, |ana, now| ana.set_links(now, &[]));
            world.run(seconds(away));
            match when {
                "away" => world.send(0, "#lobby", "hello"),
                "in doubt" => {
                    world.with(0, Endpoint::links_in_doubt);
                    world.send(0, "#lobby", "hello");
                    world.run(Duration::from_millis(250));
                }
                _ => {}
            }
            world.with(0, |ana, now| ana.set_links(now, &[Link { id, ..own }]));
            if when == "back" {
                world.send(0, "#lobby", "hello");
            }
            let is_told = |world: &World| world.receipts(0).last() == delivered;
            let took = world.run_until(seconds(5), is_told);
            let what = format!("{when}, after {away} s, by the card {index}");
            assert_eq!(world.receipts(0).last(), delivered, "{what}");
            assert!(took < Duration::from_millis(500), "{what}: {took:?}");
            assert_eq!(world.texts(1, &lobby()), ["hello"], "{what}");
        }
    }
}

/// The same where so much is lost that no PROBE comes through in the time that a line waits for.
#[test]
fn whoever_is_not_proven_anew_in_time_is_missing_and_not_forgotten() {
    let mut world = pair();
    let links = [link(world.nodes[0].address, 24)];
    world.with(0, |ana, now| ana.set_links(now, &[]));
    world.run(seconds(1));
    world.unplug(0);
    world.with(0, |ana, now| ana.set_links(now, &links));
    world.send(0, "#lobby", "hello");
    world.run(Duration::from_millis(400));
    let sent = Some(&(ReceiptState::Sent, 0, 1));
    assert_eq!(world.receipts(0).last(), sent, "waited too long");
    world.cut.clear();
    world.run(seconds(10));
    let delivered = Some(&(ReceiptState::Delivered, 1, 1));
    assert_eq!(world.receipts(0).last(), delivered);
    assert_eq!(world.texts(1, &lobby()), ["hello"]);
}

/// On another network nobody of the last one is waited for, nor counted.
#[test]
fn on_another_network_nobody_of_the_last_one_is_counted() {
    let mut world = pair();
    let cafe = [link("10.9.0.1:5263".parse().expect("address"), 24)];
    world.unplug(0);
    world.with(0, |ana, now| ana.set_links(now, &cafe));
    world.send(0, "#lobby", "hello");
    world.run(seconds(2));
    let sent = Some(&(ReceiptState::Sent, 0, 0));
    assert_eq!(world.receipts(0).last(), sent);
}
