//! Lines that nobody can give any more, and receipts that stay true meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use lanchat::api::{Event, ReceiptState};
use lanchat::id::MessageId;

use crate::world::{World, lobby, seconds, three};

/// What a node was told of gaps.
fn gaps(world: &World, at: usize) -> Vec<u32> {
    let gap = |(_, event): &(_, Event)| match event {
        Event::Gap { missing, .. } => Some(*missing),
        _ => None,
    };
    world.nodes[at].events.iter().filter_map(gap).collect()
}

/// The numbers of a node's lines by their ids.
fn numbers(world: &World, of: usize) -> BTreeMap<MessageId, u32> {
    let id = world.id(of);
    let own = world.nodes[of].disk.entries.iter();
    let own = own.filter(|(key, _)| key.1 == id);
    own.filter_map(|(key, (hash, _))| Some((MessageId(hash[..16].try_into().ok()?), key.3)))
        .collect()
}

#[test]
fn a_line_that_nobody_holds_any_more_ends_neither_receipts_nor_its_author() {
    let mut world = three(0.0, 41);
    world.send(0, "#lobby", "one");
    world.run(seconds(1));
    world.unplug(1);
    world.send(0, "#lobby", "two");
    world.send(0, "#lobby", "three");
    world.run(seconds(20));
    // Those who have it lose it: all but the newest line passed out of their histories.
    let (ana, old) = (world.id(0), 3);
    for at in [0, 2] {
        world.kill(at);
        let entries = &mut world.nodes[at].disk.entries;
        entries.retain(|key, _| key.1 != ana || key.3 >= old);
    }
    world.boot(0);
    world.boot(2);
    world.cut.clear();
    world.run_until(seconds(60), World::all_listed);
    world.run(seconds(2));
    world.nodes[0].events.clear();
    world.send(0, "#lobby", "four");
    world.run(seconds(1));
    assert_eq!(gaps(&world, 1), [1]);
    assert_eq!(world.texts(1, &lobby()), ["one", "three", "four"]);
    let last = world.receipts(0).last().copied();
    assert_ne!(
        last,
        Some((ReceiptState::Delivered, 2, 2)),
        "not asked long enough"
    );
    world.run(seconds(60));
    let last = world.receipts(0).last().copied();
    assert_eq!(last, Some((ReceiptState::Delivered, 2, 2)));
    let asked = world.endpoint(1).stats().nacks_out;
    world.send(0, "#lobby", "five");
    world.run(seconds(60));
    let last = world.receipts(0).last().copied();
    assert_eq!(last, Some((ReceiptState::Delivered, 2, 2)));
    assert_eq!(world.endpoint(1).stats().nacks_out, asked, "for ever");
    assert_eq!((gaps(&world, 1), world.errors(1)), (vec![1], vec![]));
    // That is known after a restart as well: nothing is asked for, acknowledged late or told again.
    world.kill(1);
    world.nodes[1].events.clear();
    world.boot(1);
    world.run(seconds(5));
    world.send(0, "#lobby", "six");
    world.run(seconds(2));
    let last = world.receipts(0).last().copied();
    assert_eq!(last, Some((ReceiptState::Delivered, 2, 2)));
    assert_eq!(world.endpoint(1).stats().nacks_out, 0, "once more");
    assert_eq!(gaps(&world, 1), Vec::<u32>::new());
    assert_eq!(world.texts(1, &lobby()), ["six"]);
}

#[test]
fn what_was_given_up_while_its_author_was_away_is_asked_for_when_it_is_back() {
    let mut world = three(0.0, 42);
    world.send(0, "#lobby", "one");
    world.run(seconds(1));
    world.cut.extend([(0, 1), (0, 2)]);
    world.send(0, "#lobby", "two");
    world.run(Duration::from_millis(200));
    // Eva hears the third line, ben hears of it from her.
    world.cut.remove(&(0, 2));
    world.send(0, "#lobby", "three");
    world.run(Duration::from_millis(1));
    world.unplug(0);
    world.run(seconds(120));
    assert_eq!(world.texts(2, &lobby()), ["one", "three"]);
    assert_eq!(gaps(&world, 2), [1]);
    let asked = world.endpoint(2).stats().nacks_out;
    world.run(seconds(60));
    assert_eq!(world.endpoint(2).stats().nacks_out, asked, "for ever");
    world.cut.clear();
    world.run(seconds(60));
    for at in [1, 2] {
        let mut texts = world.texts(at, &lobby());
        texts.sort();
        assert_eq!(texts, ["one", "three", "two"], "{at}");
    }
}

#[test]
fn who_was_away_for_many_lines_acknowledges_none_that_it_does_not_hold() {
    let mut world = three(0.0, 43);
    world.send(0, "#lobby", "first");
    world.run(seconds(1));
    world.unplug(1);
    for number in 0..250 {
        world.send(0, "#lobby", &format!("line {number}"));
    }
    world.run(seconds(30));
    let of = numbers(&world, 0);
    world.nodes[0].events.clear();
    world.cut.clear();
    let until = world.now.mono + seconds(30);
    let mut seen = 0;
    while world.step(until) {
        for (_, event) in &world.nodes[0].events[seen..] {
            let Event::Receipt { id, state, .. } = event else {
                continue;
            };
            if let Some(number) = of.get(id).filter(|_| *state == ReceiptState::Delivered) {
                let held = world.nodes[1].disk.numbers(world.id(0));
                assert!(held.contains(number), "number {number} is not there");
            }
        }
        seen = world.nodes[0].events.len();
    }
    assert_eq!(world.texts(1, &lobby()).len(), 251);
}

/// Ana said six lines; then all restart, she without the last three, which a power cut took, ben
/// without two of them, which nobody can give but eva, who is away.
fn with_a_hole(seed: u64) -> World {
    let mut world = three(0.0, seed);
    let ana = world.id(0);
    for line in ["one", "two", "three", "four", "five", "six"] {
        world.send(0, "#lobby", line);
    }
    world.run(seconds(2));
    (0..3).for_each(|at| world.kill(at));
    for (at, lost) in [(0, 4..=6), (1, 4..=5)] {
        let entries = &mut world.nodes[at].disk.entries;
        entries.retain(|key, _| key.1 != ana || !lost.contains(&key.3));
    }
    (0..2).for_each(|at| world.boot(at));
    world.run(seconds(60));
    world
}

fn held(world: &World) -> Vec<Vec<u32>> {
    let ana = world.id(0);
    let disks = world.nodes.iter().map(|node| &node.disk);
    disks.map(|disk| disk.numbers(ana)).collect()
}

#[test]
fn an_author_gets_back_what_is_beyond_a_hole_of_its_log_and_so_does_a_newcomer() {
    let mut world = with_a_hole(44);
    let all = vec![1, 2, 3, 6];
    assert_eq!(held(&world)[..2], [all.clone(), all.clone()]);
    world.kill(0);
    world.boot(0);
    let dan = world.add("dan");
    world.run(seconds(60));
    assert_eq!(held(&world)[dan], all);
    assert_eq!(world.texts(dan, &lobby()), Vec::<String>::new(), "history");
}

#[test]
fn a_hole_that_all_gave_up_is_filled_once_somebody_has_it() {
    let mut world = with_a_hole(45);
    world.run(seconds(120));
    world.boot(2);
    world.run(seconds(60));
    assert_eq!(held(&world), vec![(1..=6).collect::<Vec<u32>>(); 3]);
}
