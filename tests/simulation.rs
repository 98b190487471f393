//! The simulator as a test: a fixed set of seeds, the same trace from the same seed, and bugs
//! that have to be found. `examples/simulate.rs` runs many more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use lanchat::proto::sabotage::Sabotage;
use lanchat::sim::{Outcome, Settings, scenario};

/// Seeds that are run each time.
const SEEDS: std::ops::Range<u64> = 0..12;
/// Seeds that found something once.
const FOUND_ONCE: [u64; 10] = [8, 14, 35, 48, 52, 58, 177, 425, 559, 561];

#[allow(clippy::disallowed_methods)]
fn run(seed: u64, sabotage: Option<Sabotage>) -> Outcome {
    let settings = Settings {
        sabotage,
        ..Settings::new(Instant::now(), seed)
    };
    scenario::random(&settings)
}

/// Runs seeds on two threads; what was found, by seed.
fn found(seeds: &[u64]) -> Vec<String> {
    let next = AtomicU64::new(0);
    let work = || {
        let mut found = Vec::new();
        loop {
            let at = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap();
            let Some(&seed) = seeds.get(at) else {
                return found;
            };
            let outcome = run(seed, None);
            if outcome.violation.is_some() {
                found.push(outcome.report);
            }
        }
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(work);
        let mut found = work();
        found.extend(other.join().expect("a seed panicked"));
        found
    })
}

#[test]
fn every_fault_is_borne() {
    let seeds: Vec<u64> = SEEDS.chain(FOUND_ONCE).collect();
    let found = found(&seeds);
    assert!(found.is_empty(), "{}", found.join("\n\n"));
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [3, 6] {
        let (one, other) = (run(seed, None), run(seed, None));
        assert_eq!(one.hash, other.hash, "seed {seed}");
        assert_eq!(one.steps, other.steps, "seed {seed}");
    }
    assert_ne!(run(3, None).hash, run(6, None).hash);
}

/// A bug is found within so many seeds.
fn is_found(bug: Sabotage, seeds: std::ops::Range<u64>) -> bool {
    seeds
        .into_iter()
        .any(|seed| run(seed, Some(bug)).violation.is_some())
}

#[test]
fn bugs_are_found() {
    for (name, bug) in Sabotage::ALL {
        let quick = matches!(
            bug,
            Sabotage::AckBeforePersist
                | Sabotage::TransmitBeforePersist
                | Sabotage::AddressUnvalidated
                | Sabotage::AmplificationUnbounded
        );
        assert!(!quick || is_found(bug, 0..20), "{name} was not found");
    }
}
