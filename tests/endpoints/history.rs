//! History: newcomers and those who were away come to hold what the others hold.

use std::collections::BTreeSet;
use std::time::Duration;

use lanchat::api::Event;
use lanchat::durable::EntryHead;

use crate::detect::{crowd, everybody_online, given_up};
use crate::helper::{self, Helper};
use crate::locked::unlock;
use crate::world::{World, lobby, seconds, three};

/// Says lines, a few in each of the seconds that it takes.
fn say(world: &mut World, at: usize, what: &str, count: u32) {
    for number in 0..count {
        world.send(at, "#lobby", &format!("{what} {number}"));
        world.run(Duration::from_millis(20));
    }
}

/// Whether these hold the same entries.
fn same(world: &World, nodes: &[usize]) -> bool {
    let first = &world.nodes[nodes[0]].disk.entries;
    nodes
        .iter()
        .all(|&at| world.nodes[at].disk.entries == *first)
}

/// How many lines it was told that others handed over.
fn fetched(world: &World, at: usize) -> u32 {
    let told = world.nodes[at].events.iter().map(|(_, event)| match event {
        Event::History { lines, .. } => *lines,
        _ => 0,
    });
    told.sum()
}

fn leave(world: &mut World, at: usize) {
    world.with(at, |endpoint, now| endpoint.leave(now));
    world.run(seconds(1));
    world.kill(at);
}

#[test]
fn a_newcomer_gets_all_of_an_author_who_left() {
    for (loss, seed) in [(0.0, 1), (0.1, 2)] {
        let mut world = three(loss, seed);
        say(&mut world, 0, "line", 500);
        world.run(seconds(10));
        let author = world.id(0);
        leave(&mut world, 0);
        assert_eq!(world.nodes[1].disk.numbers(author).len(), 500);
        let newcomer = world.add("zoe");
        world.run_until(seconds(20), |w| fetched(w, newcomer) > 0);
        let named = world.nodes[newcomer].disk.people.contains_key(&author);
        assert!(named, "a line that can be read has the name of who said it");
        let took = world.run_until(seconds(20), |w| same(w, &[1, 2, newcomer]));
        println!("{took:?} at loss {loss}");
        world.run(seconds(1));
        assert_eq!(fetched(&world, newcomer), 500);
        let wanted: Vec<u32> = (1..=500).collect();
        assert_eq!(world.nodes[newcomer].disk.numbers(author), wanted);
        assert!(
            world.texts(newcomer, &lobby()).is_empty(),
            "that is history"
        );
        // What is said from now on is shown.
        world.send(1, "#lobby", "welcome");
        world.run(seconds(2));
        assert_eq!(world.texts(newcomer, &lobby()), ["welcome"]);
    }
}

/// With just two, each may have a reason to ask the other at the same moment: both dial, and one of
/// the two connections goes, with what was asked on it.
#[test]
fn where_two_dial_at_once_the_newcomer_still_has_all() {
    for seed in 1..=8 {
        let mut world = World::new(0.0, seed);
        world.add("ana");
        world.run(seconds(3));
        say(&mut world, 0, "line", 30);
        world.run(seconds(7));
        let zoe = world.add("zoe");
        world.send(zoe, "#lobby", "hello");
        let took = world.run_until(seconds(10), |w| {
            w.nodes[zoe].disk.numbers(w.id(0)).len() == 30
        });
        println!("seed {seed}: {took:?}");
        assert!(took < seconds(3), "seed {seed}: {took:?}");
    }
}

/// Two on one side of a cut and two on the other; both write.
#[test]
fn a_partition_heals_and_all_hold_the_same() {
    for (loss, seed) in [(0.0, 11), (0.1, 12)] {
        let mut world = three(loss, seed);
        world.add("dan");
        world.run_until(seconds(20), World::all_listed);
        world.run(seconds(1));
        say(&mut world, 0, "before", 3);
        world.run(seconds(5));
        let sides = [(0, 2), (0, 3), (1, 2), (1, 3)];
        let both = sides
            .iter()
            .flat_map(|&(one, other)| [(one, other), (other, one)]);
        world.cut = both.collect();
        for round in 0..6 {
            for at in 0..4 {
                say(&mut world, at, &format!("{at} apart {round}"), 5);
            }
            world.run(seconds(9));
        }
        world.cut.clear();
        let took = world.run_until(seconds(60), |w| same(w, &[0, 1, 2, 3]));
        println!("{took:?} at loss {loss}");
        assert!(took < seconds(30), "{took:?}");
        world.run(seconds(1));
        for at in 0..4 {
            let mut texts = world.texts(at, &lobby());
            texts.sort();
            let others = (0..4).filter(|&of| of != at);
            let lines = others.flat_map(|of| {
                let rounds = (0..6).map(move |round| format!("{of} apart {round}"));
                rounds.flat_map(|what| (0..5).map(move |number| format!("{what} {number}")))
            });
            let before = (0..3).filter(|_| at != 0).map(|n| format!("before {n}"));
            let mut wanted: Vec<String> = lines.chain(before).collect();
            wanted.sort();
            assert_eq!(texts, wanted, "at {at}: each line once");
        }
    }
}

/// What was said in an epoch that its author does not go on with is missed as well.
#[test]
fn who_missed_an_epoch_that_ended_comes_to_hold_it() {
    for room in ["#lobby", "#games"] {
        for (round, ends) in ["the store has it otherwise", "a backup is restored"]
            .into_iter()
            .enumerate()
        {
            let mut world = three(0.0, 13);
            if room != "#lobby" {
                (0..3).for_each(|at| world.ask(at, unlock(room, "correct horse battery staple")));
                world.run(seconds(8));
            }
            world.send(1, room, "zero");
            world.run(seconds(2));
            let backup = world.nodes[1].disk.clone();
            world.cut.extend([(1, 2), (2, 1)]);
            world.send(1, room, "one");
            world.send(1, room, "two");
            world.run(seconds(2));
            let author = world.id(1);
            assert_eq!(world.nodes[2].disk.numbers(author), [1]);
            if round == 0 {
                world.disk_forks = 1;
            } else {
                world.kill(1);
                world.nodes[1].disk = backup;
                world.boot(1);
                world.run(seconds(15));
            }
            world.send(1, room, "three");
            world.run(seconds(1));
            world.cut.clear();
            let took = world.run_until(seconds(90), |w| same(w, &[0, 1, 2]));
            println!("{room}, {ends}: {took:?}");
            for node in &world.nodes {
                let numbers = node.disk.numbers(author);
                assert_eq!(numbers, [1, 2, 3, 1], "{room}, {ends}: {}", node.name);
            }
        }
    }
}

/// A log as a VECTOR tells it, and the entries of it.
type Told = (([u8; 32], u64, [u8; 8], u32), Vec<Vec<u8>>);

/// Ben holds what Ana said, who left; Zoe is new; the helper is there, and one of the two whom she
/// asks. What it says: `answer` gets what it was told and the frame.
fn asked(
    seed: u64,
    mut answer: impl FnMut(&Told, u8) -> Vec<helper::Frame>,
) -> (World, Helper, Duration) {
    let mut world = World::new(0.0, seed);
    for name in ["ana", "ben"] {
        world.add(name);
    }
    world.run_until(seconds(20), World::all_listed);
    world.run(seconds(1));
    say(&mut world, 0, "line", 30);
    world.run(seconds(5));
    leave(&mut world, 0);
    let entries = world.nodes[1].disk.entries.iter();
    let entries: Vec<_> = entries
        .map(|(key, (_, bytes))| (*key, bytes.clone()))
        .collect();
    assert_eq!(entries.len(), 30);
    let (_, author, epoch, _) = entries[0].0;
    let network = EntryHead::of(&entries[0].1).unwrap().network;
    let bytes = entries.into_iter().map(|(_, bytes)| bytes).collect();
    let told: Told = ((author.0, epoch, network.0, 30), bytes);
    let mut helper = Helper::new(77, 77);
    helper.hello(&mut world, 1);
    let mut answer = |kind: u8, _: &[u8]| answer(&told, kind);
    helper.run(&mut world, seconds(1), &mut answer);
    let zoe = world.add("zoe");
    // At once: both are found before she asks.
    helper.run(&mut world, Duration::from_millis(5), &mut answer);
    helper.hello(&mut world, zoe);
    let from = world.now.mono;
    while !same(&world, &[1, zoe]) || helper.opened == 0 {
        helper.run(&mut world, Duration::from_millis(20), &mut answer);
        assert!(world.now.mono < from + seconds(45), "does not come to it");
    }
    let took = world.now.mono - from;
    println!(
        "{took:?}, {} streams, {} dropped",
        helper.opened, helper.dropped
    );
    helper.run(&mut world, seconds(3), &mut answer);
    assert!(same(&world, &[1, zoe]), "took in what nobody signed");
    (world, helper, took)
}

const VECTOR: u8 = 2;
const WANT: u8 = 4;

#[test]
fn a_member_that_is_silent_or_withholds_is_made_up_for_by_the_next() {
    // Whichever of the two is asked first.
    for seed in 41..44 {
        let (_, _, took) = asked(seed, |_, _| Vec::new());
        assert!(took < seconds(5), "silent: {took:?}");
    }
    let (_, _, took) = asked(44, |_, kind| match kind {
        VECTOR => vec![helper::vector(&[]), helper::done()],
        WANT => vec![helper::done(), helper::no_want()],
        _ => Vec::new(),
    });
    assert!(took < seconds(5), "claims nothing: {took:?}");
    // Tells of all of it, and then says nothing more.
    for seed in 46..49 {
        let (_, _, took) = asked(seed, |(log, _), kind| match kind {
            VECTOR => vec![helper::vector(&[*log]), helper::done()],
            _ => Vec::new(),
        });
        assert!(took < seconds(5), "falls silent: {took:?}");
    }
    // Tells of the half of it, and gives none.
    let (_, _, took) = asked(45, |((author, epoch, network, _), _), kind| match kind {
        VECTOR => vec![
            helper::vector(&[(*author, *epoch, *network, 15)]),
            helper::done(),
        ],
        WANT => vec![helper::done(), helper::no_want()],
        _ => Vec::new(),
    });
    assert!(took < seconds(5), "withholds: {took:?}");
}

#[test]
fn a_member_that_gives_what_nobody_signed_or_asked_for_is_dropped() {
    let forged = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    };
    let (world, helper, _) = asked(51, |(log, bytes), kind| match kind {
        VECTOR => vec![
            helper::vector(&[*log]),
            helper::entries(&[forged(&bytes[7])]),
        ],
        _ => Vec::new(),
    });
    assert!(helper.dropped > 0, "a forged entry");
    assert!(world.endpoint(2).stats().bad_signature > 0);
    // More than was asked for, though genuine.
    let (_, helper, _) = asked(52, |(log, bytes), kind| match kind {
        VECTOR => {
            let many = (0..20).map(|_| helper::entries(bytes));
            [helper::vector(&[*log])].into_iter().chain(many).collect()
        }
        _ => Vec::new(),
    });
    assert!(helper.dropped > 0, "endless");
    // Of an author of whom it told nothing.
    let (_, helper, _) = asked(53, |(_, bytes), kind| match kind {
        VECTOR => vec![helper::vector(&[]), helper::entries(&bytes[..1])],
        _ => Vec::new(),
    });
    assert!(helper.dropped > 0, "unasked");
    // Not what a frame is made of.
    for payload in [vec![0xff; 1000], Vec::new()] {
        let (_, helper, _) = asked(54, |(log, _), kind| match kind {
            VECTOR => vec![helper::vector(&[*log]), (5, payload.clone())],
            _ => Vec::new(),
        });
        assert!(helper.dropped > 0, "no frame");
    }
}

/// Each sees it come back at the same moment, and it helps four at once.
#[test]
fn of_many_who_see_somebody_back_few_ask_it_for_history() {
    let mut world = crowd(60, 61);
    let since = world.now.mono;
    world.unplug(0);
    let all = |w: &World| (1..60).all(|at| given_up(w, at, 0, since).is_some());
    world.run_until(seconds(60), all);
    world.forget();
    world.cut.clear();
    world.run_until(seconds(15), everybody_online);
    world.run(seconds(10));
    // The first packet of a connection (RFC 9000, 17.2.2).
    let dials = |bytes: &[u8]| bytes[0] & 0xf0 == 0xc0 && bytes.len() >= 1200;
    let sent = world.sent.iter().filter(|(_, bytes)| dials(bytes));
    let speak: BTreeSet<usize> = sent.map(|(from, _)| *from).collect();
    println!("{} of 60 speak QUIC", speak.len());
    assert!(speak.contains(&0));
    assert!(speak.len() <= 40, "{speak:?}");
}
