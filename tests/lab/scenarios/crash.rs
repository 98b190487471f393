//! A member is killed while people talk.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Test;
use crate::harness::attack::Random;
use crate::harness::lan::Lan;
use crate::harness::node::{Heard, SOON};
use crate::harness::party::{LIFTED, Manner, Party};
use crate::harness::{full, ms, now};

pub const TESTS: &[Test] = &[("crash::what_was_shown_is_kept", what_was_shown_is_kept)];

/// Lines that each of three says in a round.
const EACH: usize = 12;
const PATIENCE: Duration = Duration::from_secs(30);

fn is_told(heard: &Heard) -> bool {
    let event = heard.text("/event");
    event == "message" || event == "reply" || event == "receipt"
}

/// Ben is killed in the middle of it, again and again.
fn what_was_shown_is_kept() {
    let (mut random, seed) = Random::new();
    println!("LANCHAT_LAB_SEED={seed}");
    let manner = Manner {
        settings: LIFTED,
        ..Manner::default()
    };
    let mut party = Party::met(Lan::new(3), 3, manner);
    let (ana, ben) = (0, 1);
    let rounds = if full() { 100 } else { 5 };
    let mut told = BTreeSet::new();
    let mut back = Vec::new();
    for round in 0..rounds {
        for number in 0..EACH {
            (0..3).for_each(|who| party.say(who, format!("{round}.{number} of {who}")));
        }
        let until = random.below(EACH + 1);
        let deadline = now() + SOON;
        while party.people[ben].shown_own() < until && now() < deadline {
            std::thread::yield_now();
        }
        party.people[ben].kill();
        while let Some(heard) = party.people[ben].take(SOON) {
            if is_told(&heard) && !heard.text("/id").is_empty() {
                told.insert(heard.text("/id").to_owned());
            }
        }
        party.people[ana].forget();
        let start = now();
        party.start(ben);
        party.people[ben].lists("cid", SOON);
        party.people[ana].lists("ben", SOON);
        back.push(now().duration_since(start));
        let kept = party.ids(ben);
        let lost: Vec<_> = told.difference(&kept).collect();
        assert!(
            lost.is_empty(),
            "seed {seed}, round {round}: {lost:?} are gone"
        );
    }
    let start = now();
    while !(0..3).all(|who| party.ids(who) == party.ids(ana) && party.ids(who).is_superset(&told)) {
        let lens: Vec<usize> = (0..3).map(|who| party.ids(who).len()).collect();
        if now() > start + PATIENCE {
            let lost = told.difference(&party.ids(ana)).count();
            panic!(
                "seed {seed}: of {} told they hold {lens:?}, {lost} not at ana",
                told.len()
            );
        }
        party.pause(ms(50));
    }
    back.sort();
    println!(
        "killed {rounds} times: {} told, all kept by all three, {:?} after the last; back in {:?} p50",
        told.len(),
        now().duration_since(start),
        back[back.len() / 2]
    );
}
