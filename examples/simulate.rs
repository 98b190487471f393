//! Runs the simulator over many seeds, with bugs built in, or for its figures.

use std::time::Instant;

use lanchat::sim::{Settings, scenario};

#[allow(clippy::disallowed_methods)]
fn main() {
    let args: Vec<u64> = std::env::args()
        .skip(1)
        .filter_map(|a| a.parse().ok())
        .collect();
    let (from, to) = (args[0], args[1]);
    for seed in from..to {
        let start = Instant::now();
        let outcome = scenario::random(&Settings {
            start,
            seed,
            sabotage: None,
            peers: None,
            loss: None,
        });
        println!("seed {seed} {} steps {:?}", outcome.steps, start.elapsed());
        if outcome.violation.is_some() {
            println!("{}", outcome.report);
        }
    }
}
