//! History: newcomers and those who were away come to hold what the others hold.

use std::time::Duration;

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
        let took = world.run_until(seconds(20), |w| same(w, &[1, 2, newcomer]));
        println!("{took:?} at loss {loss}");
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
