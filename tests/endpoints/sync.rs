//! Discovery at scale: rosters that become one.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lanchat::api::{Event, PeerState};
use lanchat::datagram::Destination;
use lanchat::id::PeerId;

use crate::world::{World, seconds};

/// Ids of those that a node lists as online.
pub fn listed(world: &World, at: usize) -> BTreeSet<PeerId> {
    let mut listed = BTreeSet::new();
    for (_, event) in &world.nodes[at].events {
        if let Event::Peer { peer, state, .. } = event {
            if *state == PeerState::Online {
                listed.insert(peer.id);
            } else {
                listed.remove(&peer.id);
            }
        }
    }
    listed
}

fn lists_all(world: &World, at: usize) -> bool {
    listed(world, at).len() == world.nodes.len() - 1
}

/// How long a node's roster took to hold `wanted`, shown and confirmed.
fn join_times(
    world: &World,
    at: usize,
    from: Instant,
    wanted: usize,
) -> Option<(Duration, Duration)> {
    let (mut shown, mut sure) = (BTreeSet::new(), BTreeSet::new());
    let (mut all_shown, mut all_sure) = (None, None);
    for (when, event) in &world.nodes[at].events {
        let Event::Peer {
            peer, confirmed, ..
        } = event
        else {
            continue;
        };
        shown.insert(peer.id);
        if *confirmed {
            sure.insert(peer.id);
        }
        if shown.len() == wanted {
            all_shown.get_or_insert(*when - from);
        }
        if sure.len() == wanted {
            all_sure.get_or_insert(*when - from);
        }
    }
    Some((all_shown?, all_sure?))
}

/// `count` nodes that started 100 ms apart and know each other.
fn crowd(count: usize, loss: f64, seed: u64) -> World {
    let mut world = World::new(loss, seed);
    for _ in 0..count {
        world.add("node");
        world.run(Duration::from_millis(100));
    }
    world.run(seconds(3));
    world.forget();
    world
}

/// How long five joiners took, one after the other.
fn joins(world: &mut World) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..5 {
        let (from, count) = (world.now.mono, world.nodes.len());
        let joiner = world.add("joiner");
        world.run(seconds(3));
        let (shown, sure) = join_times(world, joiner, from, count).unwrap();
        println!("N = {count}: shown {shown:?}, confirmed {sure:?}");
        times.push(shown);
        world.forget();
    }
    times.sort();
    times
}

#[test]
fn a_joiner_has_the_roster_of_ten_in_tens_of_milliseconds() {
    let times = joins(&mut crowd(10, 0.0, 7));
    assert!(times[2] < Duration::from_millis(40), "{times:?}");
    assert!(times[4] < Duration::from_millis(100), "{times:?}");
}

#[test]
fn a_joiner_has_the_roster_of_a_hundred_in_tens_of_milliseconds_and_at_rest_they_say_little() {
    let mut world = crowd(100, 0.0, 7);
    assert!((0..100).all(|at| lists_all(&world, at)));
    let times = joins(&mut world);
    assert!(times[2] < Duration::from_millis(35), "{times:?}");
    assert!(times[4] < Duration::from_millis(60), "{times:?}");
    world.run(seconds(20));
    world.forget();
    world.run(seconds(30));
    let is_group = |(to, _): &&(Destination, usize)| matches!(to, Destination::Group(..));
    let group = world.out.iter().filter(is_group).count();
    let unicast = world.out.len() - group;
    println!("a second: {} group, {} unicast", group / 30, unicast / 30);
    assert!(group <= 25 * 30, "{group} group packets in 30 s");
    assert!(unicast <= 600 * 30, "{unicast} unicast packets in 30 s");
    assert!((0..105).all(|at| lists_all(&world, at)));
}

#[test]
fn a_joiner_has_everybody_soon_on_a_lossy_network() {
    for (group, unicast, most) in [(0.1, 0.01, 1000), (0.3, 0.03, 2000)] {
        let mut times = Vec::new();
        let mut world = crowd(30, 0.0, 11);
        (world.group_loss, world.loss) = (Some(group), unicast);
        for round in 0..8 {
            let from = world.now.mono;
            let joiner = world.add("joiner");
            world.run(seconds(4));
            let (shown, sure) = join_times(&world, joiner, from, 30 + round).unwrap();
            println!("loss {group}/{unicast}: shown {shown:?}, confirmed {sure:?}");
            times.push(shown);
            world.forget();
        }
        times.sort();
        assert!(times[7] < Duration::from_millis(most), "{times:?}");
    }
}

#[test]
fn a_crowd_that_starts_within_a_second_finds_itself() {
    let mut world = World::new(0.0, 3);
    let count = 60;
    for _ in 0..count {
        world.add("node");
        world.run(Duration::from_micros(1_000_000 / count));
    }
    let from = world.now.mono;
    let mut peak = (0, 0);
    for _ in 0..100 {
        let before = world.out.len();
        world.run(Duration::from_millis(100));
        let is_group = |(to, _): &&(Destination, usize)| matches!(to, Destination::Group(..));
        let group = world.out[before..].iter().filter(is_group).count();
        peak = (
            peak.0.max(group),
            peak.1.max(world.out.len() - before - group),
        );
        if (0..world.nodes.len()).all(|at| lists_all(&world, at)) {
            break;
        }
    }
    let (group, unicast) = peak;
    println!(
        "{:?} after the last: peak of 100 ms {group} group, {unicast} unicast",
        world.now.mono - from
    );
    assert!((0..world.nodes.len()).all(|at| lists_all(&world, at)));
}
