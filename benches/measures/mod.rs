//! What is measured, and the table of it.

mod crowd;
pub mod echo;
mod faults;
mod flood;
mod group;
mod hundreds;
mod interfaces;
mod loss;
mod paths;
pub mod peers;
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

    /// A span of this length, or a tenth of it.
    pub fn time(self, full: Duration) -> Duration {
        if self.quick { full / 10 } else { full }
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
    ("kill", loss::kill),
    ("power", loss::power),
    ("no-multicast", paths::no_multicast),
    ("no-broadcast-peer", paths::no_group_but_a_peer),
    ("room", talk::room),
    ("private", talk::private),
    ("cable", interfaces::cable),
    ("loss-meet", faults::pairs_meet),
    ("loss-lobby", faults::lobby_complete),
    ("flood", flood::flood),
    ("five-loss", group::five_at_loss),
    ("send-loss", group::send_at_loss),
    ("room-paths", group::paths),
    ("heal", group::heal),
    ("newcomer", group::newcomer),
    ("fast", group::fast),
    ("member-flood", group::member_flood),
    ("frame", weight::first_frame),
    ("rest", weight::at_rest),
    ("size", weight::binary_size),
    ("crowd-50", crowd::fifty),
    ("crowd-200", crowd::two_hundred),
    ("hundreds", hundreds::hundreds),
];

/// The name of the comparison with other programs, which are not here unless asked for.
const PEERS: &str = "peers";

/// Runs what the arguments name, or all, and prints the table.
pub fn run(arguments: impl Iterator<Item = String>) {
    let mut scale = Scale { quick: false };
    let mut names = Vec::new();
    let mut compare = false;
    for argument in arguments {
        match argument.as_str() {
            "--bench" => {}
            "--quick" => scale.quick = true,
            PEERS => compare = true,
            name if ALL.iter().any(|(known, _)| *known == name) => names.push(argument),
            other => {
                let known: Vec<_> = ALL.iter().map(|(name, _)| *name).collect();
                eprintln!("{other}: none of --quick {PEERS} {}", known.join(" "));
                std::process::exit(2);
            }
        }
    }
    surroundings();
    if compare {
        peers::compare(scale);
        if names.is_empty() {
            return;
        }
    }
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

/// What a sample counts as that did not come to an end in time.
const NEVER: Duration = Duration::MAX;

/// Samples of a time.
#[derive(Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Adds one.
    pub fn add(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// Adds one of something that may not have happened while it was waited for.
    pub fn add_if(&mut self, sample: Option<Duration>) {
        self.0.push(sample.unwrap_or(NEVER));
    }

    /// How many took at most this long.
    pub fn within(&self, bound: Duration) -> usize {
        self.0.iter().filter(|sample| **sample <= bound).count()
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
            high: format!("{} {word}{}", millis(high), self.missed()),
            target,
        }
    }

    /// How many never came to an end, where some did not, and the longest of the others.
    fn missed(&self) -> String {
        let missed = self.0.iter().filter(|sample| **sample == NEVER).count();
        let others = self.0.iter().filter(|sample| **sample != NEVER).max();
        match (missed, others) {
            (0, _) => String::new(),
            (missed, Some(longest)) => format!(" ({missed} never, else {} max)", millis(*longest)),
            (missed, None) => format!(" ({missed} never)"),
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

/// As `1.23 ms`, or `never`.
pub fn millis(time: Duration) -> String {
    if time == NEVER {
        return "never".to_owned();
    }
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// Waits for the beat of a measurement; nothing depends on the exact moment.
#[allow(clippy::disallowed_methods)]
pub fn pause_until(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(now()));
}

/// Does `work` with each of these at the same time.
pub fn in_parallel<T: Send + Sync, R: Send>(of: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = of.iter().map(|one| scope.spawn(|| work(one))).collect();
        threads
            .into_iter()
            .map(|thread| match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}
