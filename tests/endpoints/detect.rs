//! Who does not answer any more, how soon that shows, and who must not be given up.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lanchat::api::{Event, NetworkState, PeerState};
use lanchat::datagram::Path;
use lanchat::id::{Incarnation, ShortId};
use lanchat::proto::Identity;
use lanchat::wire::{self, Body, Header, Parsed, Suspect};

use crate::world::{World, lobby, seconds, three};

/// A world of so many who list each other, some time after the bursts of the start.
pub fn crowd(people: usize, seed: u64) -> World {
    let mut world = World::new(0.0, seed);
    for _ in 0..people {
        world.add("somebody");
    }
    world.run_until(seconds(20), World::all_listed);
    world.run(seconds(20));
    world
}

/// When this node gave that one up, after `since`.
pub fn given_up(world: &World, at: usize, of: usize, since: Instant) -> Option<Duration> {
    let id = world.id(of);
    let events = world.nodes[at].events.iter().rev();
    let mut later = events.take_while(|(when, _)| *when >= since);
    later.find_map(|(when, event)| match event {
        Event::Peer {
            peer,
            state: PeerState::Offline,
            ..
        } if peer.id == id => Some(*when - since),
        _ => None,
    })
}

fn others(world: &World, of: usize) -> impl Iterator<Item = usize> + use<> {
    (0..world.nodes.len()).filter(move |&at| at != of)
}

/// How long it takes until the last of the others gave somebody up, sorted, over many deaths.
fn deaths(people: usize, rounds: u64, die: fn(&mut World, usize)) -> Vec<Duration> {
    let mut world = crowd(people, people as u64);
    let mut times = Vec::new();
    for _ in 0..rounds {
        let wait = Duration::from_secs_f64(12.0 + 10.0 * world.unit());
        world.run(wait);
        for node in &mut world.nodes {
            node.events.clear();
        }
        let victim = (world.unit() * people as f64) as usize % people;
        let died = world.now.mono;
        die(&mut world, victim);
        let all = |w: &World| others(w, victim).all(|at| given_up(w, at, victim, died).is_some());
        times.push(world.run_until(seconds(30), all));
        for at in others(&world, victim) {
            let wrongly = others(&world, at)
                .filter(|&of| of != victim && given_up(&world, at, of, died).is_some());
            assert_eq!(wrongly.count(), 0, "given up with the victim");
        }
        world.boot(victim);
        world.run_until(seconds(20), |w| {
            others(w, victim).all(|at| w.state(victim, at) == Some((PeerState::Online, true)))
        });
        world.sent.clear();
        world.out.clear();
    }
    times.sort_unstable();
    times
}

fn check_deaths(people: usize, rounds: u64, die: fn(&mut World, usize), most: (u64, u64)) {
    let times = deaths(people, rounds, die);
    let (half, nearly) = (
        times[times.len() / 2],
        times[(times.len() * 99).div_ceil(100) - 1],
    );
    println!("N = {people}: p50 {half:?}, p99 {nearly:?} of {rounds}");
    // The middle of three says nothing.
    if times.len() >= 15 {
        assert!(half <= Duration::from_millis(most.0), "p50 {half:?}");
    }
    assert!(nearly <= Duration::from_millis(most.1), "p99 {nearly:?}");
}

/// Few rounds, as they take long with many people; `LANCHAT_DEATHS=10` has ten times as many.
fn rounds(few: u64) -> u64 {
    let times = std::env::var("LANCHAT_DEATHS").ok();
    few * times.map_or(1, |times| times.parse().unwrap())
}

// Aimed at are medians of 3 s for a power cut and 2 s for a killed process; the bounds have room
// for what few rounds differ by.

#[test]
fn a_power_cut_shows_everywhere_within_seconds() {
    for (people, few) in [(2, 30), (3, 30), (10, 90)] {
        check_deaths(people, rounds(few), World::kill, (3300, 6500));
    }
}

#[test]
fn of_two_the_tenth_death_in_a_row_shows_as_soon_as_the_first() {
    let mut world = crowd(2, 2);
    for round in 0..10 {
        let died = world.now.mono;
        world.kill(1);
        world.run_until(seconds(30), |w| given_up(w, 0, 1, died).is_some());
        let after = given_up(&world, 0, 1, died);
        assert!(after < Some(seconds(5)), "death {round}: after {after:?}");
        world.boot(1);
        world.run_until(seconds(20), World::all_listed);
        world.run(seconds(3));
    }
}

#[test]
fn a_killed_process_shows_everywhere_within_seconds() {
    for (people, few) in [(2, 30), (3, 30), (10, 30)] {
        check_deaths(people, rounds(few), World::kill_process, (2300, 5500));
    }
}

#[test]
fn among_fifty_a_power_cut_and_a_killed_process_show_everywhere_within_seconds() {
    check_deaths(50, rounds(3), World::kill, (4000, 6500));
    check_deaths(50, rounds(3), World::kill_process, (3000, 5500));
}

#[test]
fn among_seventy_nobody_asks_whom_an_alive_was_heard_of_and_no_liar_removes_anybody() {
    let mut world = crowd(70, 70);
    let since = world.now.mono;
    let incarnation = Liar::of(&world, 1).incarnation;
    let mut liar = Liar::of(&world, 2);
    let bytes = liar.suspect(world.id(1).short(), incarnation);
    world.sent.clear();
    to_all(&mut world, 2, &bytes);
    world.run(seconds(1));
    assert_eq!(
        count(&world, 5, PROBE) / 2,
        0,
        "more than the one of its round"
    );
    world.run(seconds(3));
    for at in others(&world, 1) {
        assert_eq!(given_up(&world, at, 1, since), None, "by {at}");
    }
    let died = world.now.mono;
    world.kill(1);
    // The one whose name the liar used is heard by nobody after it, and may take longer.
    let all = |w: &World| {
        let mut at = others(w, 1).filter(|&at| at != 2);
        at.all(|at| given_up(w, at, 1, died).is_some())
    };
    world.run_until(Duration::from_millis(6500), all);
    // It accuses, too, and is accused.
    let accusers = accusations(&world, 1);
    // And some say it again when they give it up.
    assert!(accusers.len() <= 3 + 12, "{accusers:?} accuse one");
    let by_all: usize = accusers.values().sum();
    assert!(by_all <= (3 * 3 + 12 * 2) * 3, "{by_all} SUSPECTs of one");
}

/// Changes of a row that this node told of since then.
fn states(world: &World, at: usize, of: usize, since: Instant) -> Vec<PeerState> {
    let id = world.id(of);
    let events = world.nodes[at].events.iter();
    let state = |(when, event): &(Instant, Event)| match event {
        Event::Peer { peer, state, .. } if peer.id == id && *when >= since => Some(*state),
        _ => None,
    };
    events.filter_map(state).collect()
}

/// Asserts that nobody was given up by anybody of `at` since then.
fn assert_nobody_given_up(world: &World, at: impl IntoIterator<Item = usize>, since: Instant) {
    for at in at {
        for of in others(world, at) {
            let gone = given_up(world, at, of, since);
            assert_eq!(gone, None, "{of} given up by {at}");
        }
    }
}

fn network(world: &World, at: usize) -> Vec<NetworkState> {
    let events = world.nodes[at].events.iter();
    let state = |(_, event): &(Instant, Event)| match event {
        Event::Network { state, .. } => Some(*state),
        _ => None,
    };
    events.filter_map(state).collect()
}

pub fn everybody_online(world: &World) -> bool {
    world.all_listed()
}

/// How many packets of a kind left a node.
fn count(world: &World, from: usize, kind: u8) -> usize {
    let is_kind = |(sender, bytes): &&(usize, Vec<u8>)| {
        *sender == from && bytes.first() == Some(&0x0c) && bytes.get(2) == Some(&kind)
    };
    world.sent.iter().filter(is_kind).count()
}

/// How many SUSPECTs of this target left each node that accuses it, copies by each path included.
fn accusations(world: &World, of: usize) -> BTreeMap<usize, usize> {
    let target = world.id(of).short();
    let mut accusers = BTreeMap::new();
    for (from, bytes) in &world.sent {
        if let Ok(Parsed::Packet(packet)) = wire::parse(bytes)
            && matches!(packet.body, Body::Suspect(suspect) if suspect.target == target)
        {
            *accusers.entry(*from).or_default() += 1;
        }
    }
    accusers
}

const PROBE: u8 = 5;
const PROBE_REQUEST: u8 = 7;
const SUSPECT: u8 = 9;
const ALIVE: u8 = 10;

fn hours(group_loss: f64, unicast_loss: f64, seed: u64) {
    let mut world = World::new(0.0, seed);
    for _ in 0..10 {
        world.add("somebody");
    }
    world.run_until(seconds(20), World::all_listed);
    world.run(seconds(10));
    (world.loss, world.unicast_loss) = (group_loss, Some(unicast_loss));
    let since = world.now.mono;
    for _ in 0..rounds(30) {
        world.run(seconds(60));
        world.sent.clear();
        world.out.clear();
        assert_nobody_given_up(&world, 0..10, since);
    }
    let suspects = (0..10).flat_map(|at| (0..10).map(move |of| (at, of)));
    let suspects = suspects.flat_map(|(at, of)| states(&world, at, of, since));
    println!(
        "{} Suspects",
        suspects.filter(|s| *s == PeerState::Suspect).count()
    );
}

#[test]
fn nobody_alive_is_given_up_on_a_lossy_network() {
    hours(0.1, 0.01, 1);
}

#[test]
fn nobody_alive_is_given_up_on_a_bad_network() {
    hours(0.3, 0.03, 2);
}

#[test]
fn two_who_do_not_reach_each_other_are_kept_by_what_others_report() {
    for cut in [&[(0, 1)][..], &[(0, 1), (1, 0)]] {
        let mut world = three(0.0, 41);
        let since = world.now.mono;
        world.cut.extend(cut);
        world.run(seconds(600));
        for (at, of) in [(0, 1), (1, 0)] {
            assert_eq!(states(&world, at, of, since), [], "{of} at {at}");
        }
        assert_nobody_given_up(&world, 0..3, since);
        assert!(count(&world, 1, PROBE_REQUEST) > 100);
        world.kill(0);
        world.run(seconds(10));
        assert!(given_up(&world, 1, 0, since).is_some(), "kept though dead");
    }
}

#[test]
fn whoever_was_stopped_gives_nobody_up_and_is_back_at_once() {
    for (people, seed) in [(2, 42), (3, 43), (10, 44)] {
        let mut world = crowd(people, seed);
        let since = world.now.mono;
        world.nodes[0].stopped = true;
        world.run(seconds(10));
        for at in 1..people {
            assert!(
                given_up(&world, at, 0, since).is_some(),
                "not by {at} of {people}"
            );
        }
        world.go_on(0);
        let took = world.run_until(seconds(3), everybody_online);
        assert!(took < seconds(1), "{took:?} of {people}");
        world.run(seconds(30));
        assert_nobody_given_up(&world, [0], since);
        assert!(everybody_online(&world));
        assert_eq!(network(&world, 0), [], "it was never disconnected");
    }
}

#[test]
fn a_node_that_hears_nobody_says_so_and_leaves_the_roster_alone() {
    for (people, seed) in [(3, 45), (4, 46), (10, 47)] {
        let mut world = crowd(people, seed);
        let since = world.now.mono;
        world.unplug(0);
        let told = world.run_until(seconds(10), |w| network(w, 0) == [NetworkState::Down]);
        assert!(told < seconds(9), "{told:?}");
        world.run(seconds(600));
        assert_nobody_given_up(&world, [0], since);
        for at in 1..people {
            assert!(given_up(&world, at, 0, since).is_some());
            assert_eq!(network(&world, at), []);
        }
        world.cut.clear();
        world.run_until(seconds(15), everybody_online);
        assert_eq!(network(&world, 0), [NetworkState::Down, NetworkState::Ok]);
        world.run(seconds(60));
        assert!(everybody_online(&world));
    }
}

#[test]
fn whoever_is_gone_when_the_cable_is_back_is_given_up_then() {
    let mut world = crowd(4, 48);
    let since = world.now.mono;
    world.unplug(0);
    world.run(seconds(30));
    world.kill(1);
    assert_nobody_given_up(&world, [0], since);
    world.cut.clear();
    world.run_until(seconds(20), |w| given_up(w, 0, 1, since).is_some());
    world.run(seconds(10));
    assert_eq!(given_up(&world, 0, 2, since), None);
}

#[test]
fn all_others_killed_at_once_are_given_up_where_their_hosts_say_so() {
    for (people, seed) in [(3, 60), (10, 61)] {
        let mut world = crowd(people, seed);
        let since = world.now.mono;
        (1..people).for_each(|other| world.kill_process(other));
        let all = |w: &World| (1..people).all(|of| given_up(w, 0, of, since).is_some());
        let took = world.run_until(seconds(20), all);
        println!("{people}: {took:?}");
        assert_eq!(network(&world, 0), []);
    }
}

#[test]
fn the_silence_of_the_only_other_is_its_own() {
    let mut world = crowd(2, 49);
    let since = world.now.mono;
    world.unplug(0);
    world.run(seconds(10));
    assert!(given_up(&world, 0, 1, since).is_some());
    assert_eq!(network(&world, 0), []);
}

#[test]
fn refusals_that_are_forged_remove_nobody() {
    let mut world = crowd(10, 50);
    let since = world.now.mono;
    let victim = world.nodes[3].address;
    for _ in 0..1000 {
        world.with(0, |endpoint, now| endpoint.handle_refused(now, victim));
        world.run(Duration::from_millis(50));
    }
    world.run(seconds(2));
    assert_nobody_given_up(&world, 0..10, since);
    assert!(everybody_online(&world));
    for at in (1..10).filter(|&at| at != 3) {
        assert_eq!(states(&world, at, 3, since), [], "believed by {at}");
    }
    assert!(
        count(&world, 0, SUSPECT) <= 6 * 3 * 3,
        "{}",
        count(&world, 0, SUSPECT)
    );
}

/// What a node with this key and in this run says to one address.
struct Liar {
    key: Identity,
    incarnation: Incarnation,
    sequence: u32,
}

impl Liar {
    /// In the name of one that runs: with its key, far ahead of its numbers.
    fn of(world: &World, index: usize) -> Liar {
        let of = |(from, bytes): &&(usize, Vec<u8>)| *from == index && bytes.first() == Some(&0x0c);
        let (_, bytes) = world.sent.iter().rev().find(of).unwrap();
        Liar {
            key: Identity::from_secret(&[world.nodes[index].secret; 32]),
            incarnation: Incarnation(u64::from_be_bytes(bytes[14..22].try_into().unwrap())),
            sequence: 1_000_000,
        }
    }

    fn say(&mut self, body: &Body) -> Vec<u8> {
        self.sequence += 1;
        let header = Header {
            path: Path::Mcast4,
            flags: 0,
            sender: self.key.id().short(),
            incarnation: self.incarnation,
            sequence: self.sequence,
        };
        wire::emit(&header, body, &mut |bytes| self.key.sign(bytes)).unwrap()
    }

    fn suspect(&mut self, target: ShortId, incarnation: Incarnation) -> Vec<u8> {
        self.say(&Body::Suspect(Suspect {
            target,
            incarnation,
        }))
    }
}

fn to_all(world: &mut World, from: usize, bytes: &[u8]) {
    let source = world.nodes[from].address;
    for at in others(world, from) {
        world.inject(at, source, true, bytes);
    }
}

#[test]
fn a_flood_of_suspicions_removes_nobody_and_costs_little() {
    for seed in 51..54 {
        let mut world = crowd(10, seed);
        let since = world.now.mono;
        let ben = world.id(1).short();
        let incarnation = Liar::of(&world, 1).incarnation;
        let mut liar = Liar::of(&world, 2);
        world.kill(2);
        world.sent.clear();
        for _ in 0..1000 {
            let bytes = liar.suspect(ben, incarnation);
            to_all(&mut world, 2, &bytes);
            world.run(Duration::from_millis(10));
        }
        world.run(seconds(3));
        for at in others(&world, 1).filter(|&at| at != 2) {
            assert_eq!(states(&world, at, 1, since), [], "believed by {at}");
            let probes = count(&world, at, PROBE);
            assert!(probes < 60, "{probes} PROBEs by {at} in 13 s");
        }
        let alive = count(&world, 1, ALIVE);
        assert!(alive > 10 && alive < 13 * (10 * 2 + 40), "{alive} ALIVEs");
    }
}

#[test]
fn among_seventy_nobody_is_given_up_because_every_alive_was_lost() {
    let mut world = crowd(70, 71);
    let since = world.now.mono;
    let incarnation = Liar::of(&world, 1).incarnation;
    let mut liar = Liar::of(&world, 2);
    let bytes = liar.suspect(world.id(1).short(), incarnation);
    (world.loss, world.unicast_loss) = (1.0, Some(0.0));
    for at in others(&world, 1).filter(|&at| at != 2) {
        world.inject(at, world.nodes[2].address, true, &bytes);
    }
    world.run(seconds(5));
    for at in others(&world, 1) {
        assert_eq!(given_up(&world, at, 1, since), None, "by {at}");
    }
}

#[test]
fn whoever_missed_every_suspect_hears_of_the_verdict() {
    for seed in 62..72 {
        let mut world = crowd(10, seed);
        world.kill(1);
        let died = world.now.mono;
        let accused = |w: &World| others(w, 1).any(|at| !states(w, at, 1, died).is_empty());
        world.run_until(seconds(10), accused);
        // Of those who look on, one that hears nothing while it is said that it does not answer.
        let is_idle = |at: &usize| states(&world, *at, 1, died).is_empty();
        let Some(late) = others(&world, 1).find(is_idle) else {
            continue;
        };
        let gone = |w: &World| others(w, 1).any(|at| given_up(w, at, 1, died).is_some());
        let cuts: Vec<_> = others(&world, late).map(|from| (from, late)).collect();
        world.cut.extend(&cuts);
        world.run(Duration::from_millis(700));
        cuts.iter().for_each(|cut| {
            world.cut.remove(cut);
        });
        world.run_until(seconds(10), gone);
        let took = world.run_until(seconds(30), |w| given_up(w, late, 1, died).is_some());
        assert!(took < seconds(7), "{took:?} after the first, seed {seed}");
    }
}

#[test]
fn suspicions_that_are_forged_replayed_or_of_another_run_change_nothing() {
    let mut world = crowd(5, 54);
    let since = world.now.mono;
    let ben = world.id(1).short();
    let incarnation = Liar::of(&world, 1).incarnation;
    let mut liar = Liar::of(&world, 2);
    world.sent.clear();
    let mut forged = liar.suspect(ben, incarnation);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let old = liar.suspect(ben, Incarnation(incarnation.0 - 1));
    let genuine = liar.suspect(ben, incarnation);
    let of_itself = liar.suspect(liar.key.id().short(), liar.incarnation);
    let of_nobody = liar.suspect(ShortId([9; 8]), incarnation);
    world.unicast_loss = Some(1.0);
    for bytes in [&forged, &old, &of_itself, &of_nobody] {
        world.inject(0, world.nodes[2].address, true, bytes);
    }
    world.run(Duration::from_millis(20));
    let before = count(&world, 0, PROBE);
    world.inject(0, world.nodes[2].address, true, &genuine);
    world.run(Duration::from_millis(20));
    assert_eq!(before, 0, "asked because of them");
    assert_eq!(count(&world, 0, PROBE), 1, "asked because of a genuine one");
    world.unicast_loss = None;
    world.run(seconds(1));
    world.sent.clear();
    world.inject(0, world.nodes[2].address, true, &genuine);
    world.run(Duration::from_millis(20));
    assert_eq!(count(&world, 0, PROBE), 0, "asked because of a replay");
    world.run(seconds(10));
    assert_nobody_given_up(&world, 0..5, since);
}

#[test]
fn what_somebody_said_alive_does_not_revive_them_dead() {
    let mut world = crowd(4, 55);
    let mut liar = Liar::of(&world, 2);
    let ben = world.id(1).short();
    let incarnation = Liar::of(&world, 1).incarnation;
    world.sent.clear();
    for _ in 0..3 {
        let bytes = liar.suspect(ben, incarnation);
        world.inject(1, world.nodes[2].address, true, &bytes);
        world.run(Duration::from_millis(200));
    }
    let alive = |(from, bytes): &&(usize, Vec<u8>)| {
        let parsed = wire::parse(bytes);
        *from == 1 && matches!(parsed, Ok(Parsed::Packet(p)) if matches!(p.body, Body::Alive(_)))
    };
    let alive: Vec<Vec<u8>> = world
        .sent
        .iter()
        .filter(alive)
        .map(|(_, b)| b.clone())
        .collect();
    assert!(alive.len() >= 3, "{}", alive.len());
    let died = world.now.mono;
    world.kill(1);
    let source = world.nodes[1].address;
    for _ in 0..80 {
        for bytes in &alive {
            for at in [0, 2, 3] {
                world.inject(at, source, true, bytes);
            }
        }
        world.run(Duration::from_millis(100));
    }
    for at in [0, 2, 3] {
        assert!(given_up(&world, at, 1, died).is_some(), "kept by {at}");
        assert_eq!(world.state(1, at).map(|s| s.0), Some(PeerState::Offline));
    }
}

#[test]
fn after_a_sleep_all_are_asked_and_only_the_dead_are_given_up() {
    for (people, seed) in [(3, 56), (10, 57)] {
        let mut world = crowd(people, seed);
        let since = world.now.mono;
        world.nodes[0].stopped = true;
        world.run(seconds(600));
        world.kill(1);
        world.run(seconds(10));
        world.nodes[0].backlog.clear();
        world.with(0, |endpoint, now| endpoint.handle_wake(now));
        world.go_on(0);
        let woken = world.now.mono;
        let back = |w: &World| {
            (2..w.nodes.len()).all(|at| w.state(0, at) == Some((PeerState::Online, true)))
        };
        let took = world.run_until(seconds(3), back);
        assert!(took < Duration::from_millis(500), "{took:?}");
        world.run_until(seconds(8), |w| given_up(w, 0, 1, woken).is_some());
        for of in 2..people {
            assert_eq!(states(&world, 0, of, since), [], "{of} of {people}");
        }
    }
}

#[test]
fn any_delay_can_be_told_and_puts_no_verdict_off_for_long() {
    let mut world = crowd(3, 58);
    for by in [
        Duration::ZERO,
        Duration::MAX,
        seconds(1 << 40),
        Duration::from_nanos(1),
    ] {
        world.with(0, |endpoint, now| endpoint.handle_late(now, by));
        world.with(0, |endpoint, now| endpoint.handle_late(now, by));
    }
    let died = world.now.mono;
    world.kill(1);
    for _ in 0..8 {
        world.run(seconds(2));
        world.with(0, |endpoint, now| endpoint.handle_late(now, seconds(1)));
    }
    world.run(seconds(30));
    assert!(given_up(&world, 0, 1, died).is_some());
    assert_nobody_given_up(&world, [2], world.now.mono);
    assert_eq!(given_up(&world, 0, 2, died), None);
}

#[test]
fn a_conversation_is_looked_after_wherever_on_the_ring_it_is() {
    let mut world = crowd(12, 59);
    let partner = 7;
    let to = format!("@{}", world.id(partner));
    world.send(0, &to, "hello");
    world.run(seconds(5));
    world.sent.clear();
    world.out.clear();
    world.run(seconds(20));
    let address: SocketAddr = world.nodes[partner].address;
    let asked = world
        .out
        .iter()
        .filter(|(to, len)| *to == lanchat::datagram::Destination::Unicast(address) && *len == 98);
    // From the two of them, and its ring predecessors.
    let between = count(&world, 0, PROBE) + count(&world, partner, PROBE);
    assert!(between >= 9 + 18, "{between}, {} to them", asked.count());
    assert!(world.texts(partner, &lobby()).is_empty());
}
