//! Networks that carry no groups: remembered peers, named addresses, nodes that hear no group.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use lanchat::api::PeerState;
use lanchat::datagram::{Destination, Link, LinkId, Path};
use lanchat::durable::Neighbor;
use lanchat::id::PeerId;
use lanchat::proto::Endpoint;
use lanchat::wire::{self, Body, Parsed};

use crate::world::{Disk, World, link, lobby, seconds};

const HELLO: u8 = 1;
const HEARTBEAT: u8 = 3;

/// Ana and ben, who met while groups passed and are down now that they do not.
fn two_that_met(seed: u64) -> World {
    let mut world = World::new(0.0, seed);
    world.add("ana");
    world.add("ben");
    world.run_until(seconds(2), World::all_listed);
    world.run(seconds(2));
    world.kill(0);
    world.kill(1);
    world.run(seconds(1));
    world.group_passes = |_, _| false;
    for node in &mut world.nodes {
        node.events.clear();
    }
    world
}

/// When a HELLO to this address left the node, in order.
fn hellos_to(world: &World, from: usize, at: SocketAddr) -> usize {
    let is_hello = |bytes: &[u8]| bytes.get(2) == Some(&HELLO);
    let sent = world.sent.iter().zip(&world.out);
    sent.filter(|((sender, bytes), (to, _))| {
        *sender == from && is_hello(bytes) && *to == Destination::Unicast(at)
    })
    .count()
}

#[test]
fn who_was_reached_is_found_again_where_no_group_passes() {
    for seed in 1..=10 {
        let mut world = two_that_met(seed);
        assert_eq!(world.nodes[0].disk.neighbors.len(), 1);
        world.boot(0);
        world.run(seconds(1));
        // Ben remembers nobody, so that it is ana who finds him, and knows of no other way.
        world.nodes[1].disk.neighbors.clear();
        world.boot(1);
        let took = world.run_until(seconds(3), World::all_listed);
        assert!(took < seconds(2), "{took:?}");
        world.send(0, "#lobby", "found you");
        world.run(seconds(1));
        assert_eq!(world.texts(1, &lobby()), ["found you"]);
    }
}

#[test]
fn both_that_remember_each_other_meet_in_a_few_round_trips() {
    let mut world = two_that_met(11);
    world.boot(0);
    world.run(seconds(1));
    world.boot(1);
    let took = world.run_until(seconds(1), World::all_listed);
    assert!(took < Duration::from_millis(20), "{took:?}");
}

#[test]
fn another_network_is_not_asked_for_those_of_this_one() {
    let mut world = two_that_met(12);
    let ben = world.nodes[1].address;
    world.nodes[0].address = SocketAddr::from(([10, 9, 9, 1], 5263));
    world.sent.clear();
    world.out.clear();
    world.boot(0);
    world.run(seconds(60));
    assert_eq!(hellos_to(&world, 0, ben), 0);
}

#[test]
fn the_latest_32_are_asked_20_a_second_and_later_a_few_with_each_heartbeat() {
    let mut world = World::new(0.0, 13);
    let network = {
        // What a first run learns tells the id of this network.
        let (ana, ben) = (world.add("ana"), world.add("ben"));
        world.run_until(seconds(2), World::all_listed);
        world.run(seconds(2));
        world.kill(ana);
        world.kill(ben);
        world.nodes[ana].disk.neighbors[0].network
    };
    let at = |host: u8| SocketAddr::from(([10, 0, 0, 100 + host], 5263));
    let neighbor = |host: u8| Neighbor {
        network,
        id: PeerId([host; 32]),
        address: at(host),
        heard_ms: world.now.wall_ms - u64::from(host),
    };
    let kept: Vec<Neighbor> = (0..40).map(neighbor).collect();
    world.nodes[0].disk = Disk::default();
    world.nodes[0].disk.neighbors = kept;
    world.sent.clear();
    world.out.clear();
    world.boot(0);
    let asked = |world: &World| (0..40).map(|host| hellos_to(world, 0, at(host))).sum();
    world.run(Duration::from_millis(10));
    assert_eq!(hellos_to(&world, 0, at(0)), 1, "from the first moment");
    // One that still waits when the next HELLO goes out is asked once for both.
    let step = Duration::from_millis(50);
    let (mut bursts, mut told) = (Vec::new(), vec![Vec::new(); 40]);
    let mut read = 0;
    for number in 1..=600 {
        for ((_, bytes), (to, _)) in world.sent.iter().zip(&world.out).skip(read) {
            let is_hello = bytes.get(2) == Some(&HELLO);
            match to {
                Destination::Group(_, Path::Mcast4) if is_hello => bursts.push(number),
                Destination::Unicast(to) if is_hello => {
                    let host = (0..40).find(|&host| at(host) == *to);
                    told[usize::from(host.expect("one of them"))].push(number);
                }
                _ => {}
            }
        }
        read = world.sent.len();
        if number == 20 {
            let total: usize = asked(&world);
            assert!((19..=21).contains(&total), "{total} in the first second");
        }
        world.run(step);
    }
    assert_eq!(bursts.len(), 7);
    let (latest, others) = told.split_at(32);
    assert_eq!(others.concat(), [0; 0], "too long ago");
    // All 32 take 1.6 s.
    let within = 1600 / 50 + 1;
    for (host, told) in latest.iter().enumerate() {
        let follows = |burst: &usize| told.iter().any(|at| (*burst..=burst + within).contains(at));
        assert!(bursts.iter().all(follows), "{host}: {told:?}, {bursts:?}");
        let with_heartbeats = bursts.len() + 3;
        assert!(told.len() <= with_heartbeats, "{host}: {told:?}");
    }
    let before: usize = asked(&world);
    world.run(seconds(600));
    let total = asked(&world) - before;
    assert!((4 * 45..=4 * 80).contains(&total), "{total} in ten minutes");
}

#[test]
fn nobody_is_remembered_for_more_than_90_days() {
    for (days, found) in [(89, true), (91, false)] {
        let mut world = two_that_met(14);
        for node in &mut world.nodes {
            for neighbor in &mut node.disk.neighbors {
                neighbor.heard_ms = world.now.wall_ms - days * 24 * 60 * 60 * 1000;
            }
        }
        world.boot(0);
        world.boot(1);
        world.run(seconds(5));
        assert_eq!(world.all_listed(), found, "{days} days");
    }
}

#[test]
fn a_peer_is_kept_once_and_then_once_an_hour() {
    let mut world = World::new(0.0, 15);
    world.add("ana");
    world.add("ben");
    world.run_until(seconds(2), World::all_listed);
    world.run(seconds(2));
    let kept = |world: &World| world.nodes[0].disk.neighbors[0].heard_ms;
    let first = kept(&world);
    world.run(seconds(58 * 60));
    assert_eq!(kept(&world), first);
    world.run(seconds(20 * 60));
    assert!(kept(&world) > first);
    assert_eq!(world.nodes[0].disk.neighbors.len(), 1);
}

/// Whether the last record that this node told of says that it is deaf.
fn says_deaf(world: &World, of: usize) -> bool {
    let records = world.sent.iter().rev().filter(|(from, _)| *from == of);
    let mut flags = records.filter_map(|(_, bytes)| match wire::parse(bytes) {
        Ok(Parsed::Packet(packet)) => match packet.body {
            Body::Hello(hello) => Some(hello.record.deaf),
            _ => None,
        },
        _ => None,
    });
    flags.next().expect("it said HELLO")
}

/// When each heartbeat went to this address by unicast, and who sent it.
fn pushes_to(world: &World, at: SocketAddr) -> Vec<usize> {
    let sent = world.sent.iter().zip(&world.out);
    let is_push = |((_, bytes), (to, _)): &(&(usize, Vec<u8>), &(Destination, usize))| {
        bytes.get(2) == Some(&HEARTBEAT) && *to == Destination::Unicast(at)
    };
    sent.filter(is_push).map(|((from, _), _)| *from).collect()
}

/// Eight that met; then groups do not reach the first one any more.
fn eight_and_one_is_deaf(seed: u64) -> World {
    let mut world = World::new(0.0, seed);
    for name in ["ana", "ben", "cid", "dan", "eva", "fay", "gus", "hal"] {
        world.add(name);
    }
    world.run_until(seconds(5), World::all_listed);
    world.run(seconds(60));
    assert!((0..8).all(|node| !says_deaf(&world, node)));
    world.group_passes = |_, to| to != 0;
    world
}

#[test]
fn a_node_that_hears_no_group_says_so_and_three_push_it_their_heartbeats() {
    let mut world = eight_and_one_is_deaf(21);
    let ana = world.nodes[0].address;
    world.run_until(seconds(60), |w| says_deaf(w, 0));
    assert!((1..8).all(|node| !says_deaf(&world, node)), "only ana is");
    world.run(seconds(5));
    world.sent.clear();
    world.out.clear();
    let mut pushers = BTreeSet::new();
    for _ in 0..8 {
        let before = pushes_to(&world, ana).len();
        world.run(seconds(25));
        let pushes = pushes_to(&world, ana);
        assert!(pushes.len() > before, "no push in 25 s");
        pushers.extend(pushes);
    }
    assert_eq!(pushers.len(), 3, "{pushers:?}");
    for other in 2..8 {
        let at = world.nodes[other].address;
        assert_eq!(pushes_to(&world, at), [0; 0], "a group reaches {other}");
    }
    // What is said reaches her at once, not only when nobody acknowledged it.
    world.send(1, "#lobby", "by unicast");
    let took = world.run_until(seconds(1), |w| !w.texts(0, &lobby()).is_empty());
    assert!(took < Duration::from_millis(2), "{took:?}");
    // A leave as well.
    let leaver = world.nodes.len() - 1;
    world.with(leaver, Endpoint::leave);
    let left = |w: &World| w.state(7, 0).map(|state| state.0) == Some(PeerState::Left);
    let took = world.run_until(seconds(1), left);
    assert!(took < Duration::from_millis(2), "{took:?}");

    world.group_passes = |_, _| true;
    let took = world.run_until(seconds(60), |w| !says_deaf(w, 0));
    assert!(took < seconds(13), "{took:?}");
    world.run(seconds(1));
    world.sent.clear();
    world.out.clear();
    world.run(seconds(60));
    assert_eq!(pushes_to(&world, ana), [0; 0], "she hears groups again");
}

#[test]
fn containers_that_come_and_go_hide_from_no_node_that_it_is_deaf() {
    let mut world = eight_and_one_is_deaf(24);
    let lan = link(world.nodes[0].address, 24);
    let container = Link {
        id: LinkId(9),
        name: "veth9".into(),
        v4: Vec::new(),
        v6: vec!["fe80::9".parse().expect("an address")],
        group: false,
        gateway: None,
        ..lan.clone()
    };
    for _ in 0..6 {
        let both = [lan.clone(), container.clone()];
        world.with(0, |endpoint, now| endpoint.set_links(now, &both));
        world.run(seconds(5));
        let one = std::slice::from_ref(&lan);
        world.with(0, |endpoint, now| endpoint.set_links(now, one));
        world.run(seconds(5));
    }
    assert!(says_deaf(&world, 0));
}

#[test]
fn a_node_whose_groups_reach_nobody_tells_its_successors_by_unicast() {
    let mut world = World::new(0.0, 22);
    world.group_passes = |from, _| from != 0;
    for name in ["ana", "ben", "cid", "dan", "eva"] {
        world.add(name);
    }
    world.run_until(seconds(5), World::all_listed);
    world.run(seconds(60));
    assert!(!says_deaf(&world, 0), "she hears the others");
    world.sent.clear();
    world.out.clear();
    world.run(seconds(30));
    let told = (1..5).filter(|&other| {
        let at = world.nodes[other].address;
        pushes_to(&world, at).contains(&0)
    });
    assert_eq!(told.count(), 3);
}

#[test]
fn where_no_group_passes_all_are_deaf_and_pushes_stay_few() {
    let mut world = World::new(0.0, 23);
    world.group_passes = |_, _| false;
    for name in ["ana", "ben", "cid", "dan", "eva", "fay"] {
        let all: Vec<SocketAddr> = world.nodes.iter().map(|node| node.address).collect();
        let new = world.add(name);
        world.kill(new);
        world.nodes[new].peers = all;
        world.boot(new);
    }
    world.run_until(seconds(5), World::all_listed);
    world.run(seconds(60));
    assert!((0..6).all(|node| says_deaf(&world, node)));
    world.sent.clear();
    world.out.clear();
    world.run(seconds(100));
    let pushes: usize = (0..6)
        .map(|node| pushes_to(&world, world.nodes[node].address).len())
        .sum();
    // Each is pushed to by three, and pushes to three, every 10 s.
    assert!((6 * 3 * 8..=6 * 6 * 13).contains(&pushes), "{pushes}");
    world.send(2, "#lobby", "hello all");
    world.run(Duration::from_millis(10));
    for node in [0, 1, 3, 4, 5] {
        assert_eq!(world.texts(node, &lobby()), ["hello all"]);
    }
}

#[test]
fn a_node_tells_since_when_it_is_alone() {
    let mut world = World::new(0.0, 25);
    let start = world.now.mono;
    world.add("ana");
    let alone = |w: &World| w.nodes[0].endpoint.as_ref().unwrap().alone_since();
    world.run(seconds(3));
    let since = alone(&world).expect("nobody else is here");
    assert!(since - start < Duration::from_millis(10));
    world.add("ben");
    world.run_until(seconds(1), World::all_listed);
    assert_eq!(alone(&world), None);
    world.run(seconds(10));
    let left = world.now.mono;
    world.with(1, Endpoint::leave);
    world.run(seconds(2));
    let since = alone(&world).expect("ben left");
    assert!(since >= left && since - left < Duration::from_millis(50));
}

/// A network may let broadcast through alone: each heartbeat is heard there, not one in four, or who
/// lacks something learns of it in minutes. Where all paths carry, each goes by one.
#[test]
fn each_heartbeat_goes_by_a_path_that_is_heard() {
    for (dead, most) in [(vec![], 7), (vec![Path::Mcast4, Path::Mcast6], 12)] {
        let mut world = World::new(0.0, 31);
        world.dead_paths = dead;
        for name in ["ana", "ben", "eva"] {
            world.add(name);
        }
        world.run(seconds(60));
        assert!(world.all_listed());
        world.forget();
        world.run(seconds(60));
        let group = world.sent.iter().zip(&world.out).filter(|(sent, out)| {
            sent.0 == 0
                && sent.1.get(2) == Some(&HEARTBEAT)
                && matches!(out.0, Destination::Group(..))
        });
        let paths = group.map(|(_, (to, _))| match to {
            Destination::Group(_, path) => *path,
            Destination::Unicast(_) => Path::Unicast,
        });
        let paths: Vec<Path> = paths.collect();
        let heard = paths.iter().filter(|path| !world.dead_paths.contains(path));
        assert!((4..=7).contains(&heard.count()), "{paths:?}");
        assert!(paths.len() <= most, "{paths:?}");
    }
}
