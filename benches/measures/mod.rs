//! What is measured, and the table of it.

pub mod echo;
mod faults;
mod flood;
mod interfaces;
mod presence;
mod talk;
mod weight;

use std::time::{Duration, Instant};

use crate::harness::{now, world};

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Scale {
    quick: bool,
}

impl Scale {
    /// `full` samples, or a tenth of them.
    pub fn of(self, full: usize) -> usize {
        if self.quick { full.div_ceil(10) } else { full }
    }
}

/// One line of the table.
pub struct Row {
    what: String,
    middle: String,
    high: String,
    target: &'static str,
}

/// A measurement: its name, and what makes its lines.
type Measure = (&'static str, fn(Scale) -> Vec<Row>);

const ALL: &[Measure] = &[
    ("meet", presence::meet),
    ("leave", presence::leave),
    ("kill", presence::kill),
    ("room", talk::room),
    ("private", talk::private),
    ("cable", interfaces::cable),
    ("loss-meet", faults::pairs_meet),
    ("loss-lobby", faults::lobby_complete),
    ("flood", flood::flood),
    ("frame", weight::first_frame),
    ("rest", weight::at_rest),
    ("size", weight::binary_size),
];

/// Runs what the arguments name, or all, and prints the table.
pub fn run(arguments: impl Iterator<Item = String>) {
    let mut scale = Scale { quick: false };
    let mut names = Vec::new();
    for argument in arguments {
        match argument.as_str() {
            "--bench" => {}
            "--quick" => scale.quick = true,
            name if ALL.iter().any(|(known, _)| *known == name) => names.push(argument),
            other => {
                let known: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
                eprintln!("{other}: none of --quick {}", known.join(" "));
                std::process::exit(2);
            }
        }
    }
    surroundings();
    println!("| what | p50 | high | target |\n| --- | --- | --- | --- |");
    for (name, measure) in ALL {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            for row in measure(scale) {
                println!(
                    "| {} | {} | {} | {} |",
                    row.what, row.middle, row.high, row.target
                );
            }
        }
    }
}

/// Where the figures come from.
fn surroundings() {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let program = world::program();
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let build = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    println!(
        "{name}, {build} build of the bench, {cores} cores, Linux {}\n",
        kernel.trim()
    );
}

/// Samples of a time.
#[derive(Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Adds one.
    pub fn add(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// The sample that `percent` % of all do not exceed; the nearest rank.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or_default()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// A line with the median and the maximum.
    pub fn row_max(&self, what: &str, target: &'static str) -> Row {
        self.row(what, self.percentile(100), "max", target)
    }

    /// A line with the median and the 99th percentile.
    pub fn row_p99(&self, what: &str, target: &'static str) -> Row {
        self.row(what, self.percentile(99), "p99", target)
    }

    fn row(&self, what: &str, high: Duration, word: &str, target: &'static str) -> Row {
        Row {
            what: format!("{what} (n = {})", self.len()),
            middle: millis(self.percentile(50)),
            high: format!("{} {word}", millis(high)),
            target,
        }
    }
}

/// A line of other figures.
pub fn figure(what: impl Into<String>, middle: String, high: String, target: &'static str) -> Row {
    Row {
        what: what.into(),
        middle,
        high,
        target,
    }
}

/// As `1.23 ms`.
pub fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// Waits for the beat of a measurement; nothing depends on the exact moment.
#[allow(clippy::disallowed_methods)]
pub fn pause_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(now()));
}
