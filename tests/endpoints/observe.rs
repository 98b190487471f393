//! What an endpoint observes of the network, for the diagnosis.

use std::net::SocketAddr;
use std::time::Duration;

use lanchat::api::diagnosis::{Paths, PersonFacts};
use lanchat::datagram::Path;

use crate::world::{LINK, World, link, seconds};

fn people(world: &World, at: usize) -> Vec<PersonFacts> {
    let endpoint = world.nodes[at].endpoint.as_ref();
    endpoint.map_or_else(Vec::new, lanchat::proto::Endpoint::people_heard)
}

/// A HELLO of version 2 with this sender.
fn foreign_hello(sender: u8) -> Vec<u8> {
    let mut hello = vec![0x0c, 2, 1, Path::Mcast4 as u8, 0, 0];
    hello.extend([sender; 8]);
    hello.extend([0; 11]);
    hello.extend([1, 3]);
    hello.extend(b"zoe and more");
    hello
}

#[test]
fn a_sounding_tells_the_path_by_which_it_was_heard() {
    for path in [Path::Mcast4, Path::Bcast4] {
        let mut world = World::new(0.0, 1);
        world.add("ana");
        world.add("ben");
        world.run(seconds(2));
        let before = people(&world, 0);
        assert!(before[0].answers && before[0].hears_us.is_empty());
        world.with(0, |endpoint, now| endpoint.sound(now, LINK, path));
        world.run(Duration::from_millis(300));
        let after = people(&world, 0);
        assert_eq!(after.len(), 1);
        assert_eq!(after[0].hears_us_on(LINK), Paths::of(&[path]));
    }
}

#[test]
fn what_comes_back_and_what_others_send_are_told_apart() {
    let mut world = World::new(0.0, 2);
    world.add("ana");
    world.run(seconds(1));
    let heard = |world: &World| {
        let endpoint = world.nodes[0].endpoint.as_ref().expect("ana");
        endpoint.links_heard()[&LINK]
    };
    let all = Paths::of(&[Path::Mcast4, Path::Bcast4]);
    let alone = heard(&world);
    assert_eq!((alone.looped, alone.heard), (all, Paths::default()));
    world.add("ben");
    world.run(seconds(1));
    assert_eq!(heard(&world).heard, all);
}

#[test]
fn another_version_is_somebody_and_a_flood_of_them_is_bounded() {
    let mut world = World::new(0.0, 3);
    world.add("ana");
    world.run(seconds(1));
    let from: SocketAddr = ([10, 0, 0, 77], 5263).into();
    world.inject(0, from, true, &foreign_hello(7));
    world.run(seconds(1));
    let zoe = people(&world, 0);
    assert_eq!(zoe.len(), 1);
    assert_eq!(
        (zoe[0].other_version, zoe[0].name.as_deref()),
        (Some(2), Some("zoe"))
    );
    assert_eq!(zoe[0].heard, Paths::of(&[Path::Mcast4]));
    for sender in 0..=255 {
        let from: SocketAddr = ([10, 0, 0, sender], 5263).into();
        world.inject(0, from, true, &foreign_hello(sender));
    }
    world.run(seconds(1));
    let crowd = people(&world, 0).len();
    assert!((10..=64).contains(&crowd), "{crowd}");
    let from: SocketAddr = ([10, 0, 0, 88], 5263).into();
    world.inject(0, from, true, &foreign_hello(7));
    world.run(seconds(1));
    let later = people(&world, 0);
    let at = |one: &PersonFacts| one.address == Some(from.ip());
    assert!(
        later.iter().any(at) && later.len() <= 64,
        "one of those who made way"
    );
}

#[test]
fn a_named_address_that_is_silent_or_refuses_is_told() {
    let mut world = World::new(0.0, 4);
    world.add("ana");
    let named: SocketAddr = ([10, 0, 0, 99], 5263).into();
    world.name_peer(0, named);
    world.run(seconds(1));
    let silent = people(&world, 0);
    assert!(silent[0].named && !silent[0].refused && !silent[0].answers);
    assert_eq!(
        (silent[0].address, &silent[0].links),
        (Some(named.ip()), &vec![LINK])
    );
    // Of something that was sent just now.
    world.run(Duration::from_millis(800));
    world.with(0, |endpoint, now| endpoint.handle_unreachable(now, named));
    assert!(people(&world, 0)[0].refused);
}

/// Ana in a new run where no group passes; the last HEARTBEAT of ben, of whom she knows nothing.
fn ana_alone_and_a_heartbeat_of_ben(seed: u64) -> (World, Vec<u8>) {
    let mut world = World::new(0.0, seed);
    world.add("ana");
    world.add("ben");
    world.run(seconds(30));
    world.kill(0);
    world.group_passes = |_, _| false;
    world.nodes[0].disk.neighbors.clear();
    world.boot(0);
    let heartbeat = {
        let is_heartbeat = |(from, bytes): &&(usize, Vec<u8>)| *from == 1 && bytes[2] == 3;
        world
            .sent
            .iter()
            .rfind(is_heartbeat)
            .expect("one")
            .1
            .clone()
    };
    world.run(Duration::from_millis(1));
    (world, heartbeat)
}

#[test]
fn somebody_without_a_record_who_falls_silent_is_told_of_for_less_than_a_minute() {
    let (mut world, heartbeat) = ana_alone_and_a_heartbeat_of_ben(10);
    world.kill(1);
    let nowhere: SocketAddr = ([10, 0, 0, 77], 5263).into();
    world.inject(0, nowhere, true, &heartbeat);
    world.run(seconds(40));
    assert_eq!(people(&world, 0).len(), 1);
    world.run(seconds(20));
    assert_eq!(people(&world, 0), []);
}

#[test]
fn who_was_heard_before_their_record_and_left_is_not_somebody_who_never_answers() {
    let (mut world, heartbeat) = ana_alone_and_a_heartbeat_of_ben(8);
    let ben = world.nodes[1].address;
    world.inject(0, ben, true, &heartbeat);
    world.run(Duration::from_millis(1));
    let heard = people(&world, 0);
    assert_eq!((heard.len(), heard[0].answers), (1, false));
    world.group_passes = |_, _| true;
    world.run_until(seconds(5), World::all_listed);
    world.with(1, lanchat::proto::Endpoint::leave);
    world.run(seconds(1));
    assert_eq!(people(&world, 0), []);
}

#[test]
fn on_another_network_nothing_holds_of_what_was_heard_on_the_last() {
    let mut world = World::new(0.0, 9);
    world.add("ana");
    world.add("ben");
    world.run(seconds(2));
    let heard = |world: &World| {
        let endpoint = world.nodes[0].endpoint.as_ref().expect("ana");
        endpoint.links_heard().get(&LINK).copied()
    };
    let links = vec![link(world.nodes[0].address, 24)];
    assert!(heard(&world).is_some_and(|heard| heard.heard.any()));
    let mut more = links.clone();
    more[0].v6.push("fd00::7".parse().expect("an address"));
    world.with(0, |endpoint, now| endpoint.set_links(now, &more));
    assert!(
        heard(&world).is_some(),
        "one more address, the same network"
    );
    let mut other = links;
    other[0].v4[0].address = [192, 168, 7, 7].into();
    world.with(0, |endpoint, now| endpoint.set_links(now, &other));
    assert_eq!(heard(&world), None);
}
