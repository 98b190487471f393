//! Runs the simulator: many seeds, with bugs built in, or for its figures.

use std::io::{IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use lanchat::proto::sabotage::Sabotage;
use lanchat::sim::{Loss, Settings, figures, scenario, trace};

const HELP: &str = "\
simulate: a LAN of lanchat nodes in virtual time

  --scenario NAME   random (default), join, crash, power, rest, crowd, day, chat
  --seeds A..B | N  seeds to run, or the first N (default 100; 1 for figures)
  --seed S          one seed
  --peers N         nodes
  --loss G/U        loss of group and unicast datagrams in percent, such as 10/1
  --rounds N        joins, crashes or lines of join, crash, power, chat (default 20)
  --hours H         of day (default 24)
  --pause           day: one node is stopped for a minute every hour
  --fades           chat: each node fades for 300 ms every 5 s
  --full-disks      random: disks get full for a while
  --sabotage NAME   builds this bug into the core; `all` for a table, `list` for the names
  --threads N       (default: as many as there are)
  --trace N         steps that a report shows (default 40)
";

/// What the command line asks for.
struct Options {
    scenario: String,
    seeds: Option<(u64, u64)>,
    sabotage: Option<String>,
    threads: usize,
    settings: Settings,
    extent: figures::Extent,
}

/// What became of one seed.
struct Run {
    seed: u64,
    steps: u64,
    hash: String,
    /// The report of what was found.
    found: Option<String>,
    /// Figures.
    text: String,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("simulate: {error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match options.sabotage.as_deref() {
        None => explore(&options),
        Some("list") => {
            Sabotage::ALL
                .iter()
                .for_each(|(name, _)| println!("{name}"));
            ExitCode::SUCCESS
        }
        Some("all") => sabotage(&options, &Sabotage::ALL),
        Some(name) => match Sabotage::ALL.iter().find(|(of, _)| *of == name) {
            Some(one) => sabotage(&options, std::slice::from_ref(one)),
            None => {
                eprintln!("simulate: no bug is called {name}; --sabotage list");
                ExitCode::from(2)
            }
        },
    }
}

#[allow(clippy::disallowed_methods)] // Where virtual time counts from is for whoever runs it.
fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options {
        scenario: "random".into(),
        seeds: None,
        sabotage: None,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        settings: Settings::new(Instant::now(), 0),
        extent: figures::Extent {
            rounds: 20,
            hours: 24,
            pause: false,
            fades: false,
        },
    };
    while let Some(name) = arguments.next() {
        match name.as_str() {
            "--help" | "-h" => return Ok(None),
            "--pause" => {
                options.extent.pause = true;
                continue;
            }
            "--full-disks" => {
                options.settings.full_disks = true;
                continue;
            }
            "--fades" => {
                options.extent.fades = true;
                continue;
            }
            _ => {}
        }
        let value = arguments
            .next()
            .ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--scenario" => options.scenario = value,
            "--sabotage" => options.sabotage = Some(value),
            "--seeds" => options.seeds = Some(range(&value)?),
            "--seed" => {
                let seed = number(&value)?;
                options.seeds = Some((seed, seed + 1));
            }
            "--peers" => options.settings.peers = Some(number(&value)?),
            "--loss" => options.settings.loss = Some(loss(&value)?),
            "--rounds" => options.extent.rounds = number(&value)?,
            "--hours" => options.extent.hours = number(&value)?,
            "--threads" => options.threads = number::<usize>(&value)?.max(1),
            "--trace" => options.settings.last = number::<usize>(&value)?.max(trace::LAST),
            _ => return Err(format!("unknown option {name}")),
        }
    }
    let known = options.scenario == "random" || figures::NAMES.contains(&&*options.scenario);
    if !known {
        return Err(format!("no scenario is called {}", options.scenario));
    }
    Ok(Some(options))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

fn range(text: &str) -> Result<(u64, u64), String> {
    match text.split_once("..") {
        Some((from, to)) => Ok((number(from)?, number(to)?)),
        None => Ok((0, number(text)?)),
    }
}

fn loss(text: &str) -> Result<Loss, String> {
    let (group, unicast) = text.split_once('/').unwrap_or((text, text));
    let (group, unicast): (f64, f64) = (number(group)?, number(unicast)?);
    let right = |percent: f64| (0.0..=100.0).contains(&percent);
    if !right(group) || !right(unicast) {
        return Err(format!("{text} is not 0 to 100 percent"));
    }
    Ok(Loss::percent(group, unicast))
}

/// Runs every seed and tells what was found.
#[allow(clippy::disallowed_methods)]
fn explore(options: &Options) -> ExitCode {
    let start = Instant::now();
    let count = if options.scenario == "random" { 100 } else { 1 };
    let seeds = options.seeds.unwrap_or((0, count));
    let mut runs = run_all(options, seeds, None, false);
    runs.sort_by_key(|run| run.seed);
    for run in &runs {
        print!("{}", run.text);
        if let Some(found) = &run.found {
            println!("{found}\n");
        }
    }
    let failed: Vec<u64> = runs
        .iter()
        .filter(|run| run.found.is_some())
        .map(|run| run.seed)
        .collect();
    let steps: u64 = runs.iter().map(|run| run.steps).sum();
    println!("scenario   {}", options.scenario);
    println!("seeds      {} to {}", seeds.0, seeds.1.saturating_sub(1));
    println!("steps      {steps}");
    println!("time       {:.1} s", start.elapsed().as_secs_f64());
    if let [run] = runs.as_slice() {
        println!("trace      {}", run.hash);
    }
    println!("violations {} {failed:?}", failed.len());
    ExitCode::from(u8::from(!failed.is_empty()))
}

/// Looks for each bug, and tells at which seed it was found first.
fn sabotage(options: &Options, bugs: &[(&str, Sabotage)]) -> ExitCode {
    let seeds = options.seeds.unwrap_or((0, 200));
    let mut missed = 0;
    for (name, bug) in bugs {
        let runs = run_all(options, seeds, Some(*bug), true);
        let found = runs.iter().filter(|run| run.found.is_some());
        match found.min_by_key(|run| run.seed) {
            Some(run) => {
                let last = run.found.as_deref().and_then(|found| found.lines().last());
                println!("{name:<26} found  {}", last.unwrap_or_default());
            }
            None => {
                missed += 1;
                println!("{name:<26} MISSED in {} to {}", seeds.0, seeds.1);
            }
        }
    }
    ExitCode::from(u8::from(missed > 0))
}

/// Runs seeds on all threads; with `until_found` no new one begins once something was found.
fn run_all(
    options: &Options,
    (from, to): (u64, u64),
    sabotage: Option<Sabotage>,
    until_found: bool,
) -> Vec<Run> {
    let (next, enough) = (AtomicU64::new(from), AtomicBool::new(false));
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..options.threads {
            let sender = sender.clone();
            let (next, enough) = (&next, &enough);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= to || enough.load(Ordering::Relaxed) {
                        return;
                    }
                    let mut run = run_one(options, seed, sabotage);
                    // What is found without the bug as well does not tell of it.
                    if sabotage.is_some() && run.found.is_some() {
                        let healthy = run_one(options, seed, None);
                        run.found = run.found.filter(|_| healthy.found.is_none());
                    }
                    let found = run.found.is_some();
                    enough.fetch_or(until_found && found, Ordering::Relaxed);
                    if sender.send(run).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut runs = Vec::new();
        let mut found = 0;
        for run in receiver {
            found += usize::from(run.found.is_some());
            runs.push(run);
            progress(runs.len() as u64, to - from, found);
        }
        runs
    })
}

fn progress(done: u64, of: u64, found: usize) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() && of > 1 {
        let filled = usize::try_from(done * 40 / of).unwrap_or(0);
        let bar = "#".repeat(filled);
        let end = if done == of { "\r\x1b[K" } else { "" };
        // Only decoration: what cannot be written is not missed.
        let _ = write!(stderr, "\r[{bar:<40}] {done}/{of}, {found} found{end}");
    }
}

fn run_one(options: &Options, seed: u64, sabotage: Option<Sabotage>) -> Run {
    let settings = Settings {
        seed,
        sabotage,
        ..options.settings
    };
    let play = || match options.scenario.as_str() {
        "random" => (scenario::random(&settings), String::new()),
        name => match figures::run(name, &settings, &options.extent) {
            Some((outcome, text)) => (outcome, text),
            None => unreachable!("the name was checked"),
        },
    };
    match catch_unwind(AssertUnwindSafe(play)) {
        Ok((outcome, text)) => Run {
            seed,
            steps: outcome.steps,
            hash: outcome.hash.to_string(),
            found: outcome.violation.map(|_| outcome.report),
            text,
        },
        Err(_) => Run {
            seed,
            steps: 0,
            hash: String::new(),
            found: Some(format!("seed {seed}: a panic, as told above")),
            text: String::new(),
        },
    }
}
