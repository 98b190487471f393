//! The same LAN for lanchat, termchat and ZRE, side by side: `benches/peers.sh`.
//!
//! The others are not a part of this project; the script installs them into a directory of its
//! own, and `LANCHAT_PEERS` says where. They run nowhere but on hosts that exist only here.

mod talker;

use std::time::Duration;

use super::{Scale, Times, in_parallel, millis, pause_until};
use crate::harness::lan::Lan;
use crate::harness::{ms, now};
use talker::{Program, Talker};

/// A line of the table: what it is about, and what gives the cell of a program.
type Line = (&'static str, fn(Scale, Program) -> String);

const LINES: &[Line] = &[
    ("start to both see each other, p50 / max", meet),
    ("30 % loss: pairs that met within 3 s", loss),
    ("line to all, from one to the other, p50 / max", line),
    ("kill -9 to shown offline, p50 / max", kill),
    ("cable pulled to shown offline, p50 / max", cable),
];

/// How many tries at the same time, each on a LAN of its own.
const BATCH: usize = 4;
const MET_WITHIN: Duration = Duration::from_secs(3);
const MEET_PATIENCE: Duration = Duration::from_secs(5);
const KILL_PATIENCE: Duration = Duration::from_secs(40);
const CABLE_PATIENCE: Duration = Duration::from_secs(60);
const BEAT: Duration = ms(250);

/// Prints the table.
pub fn compare(scale: Scale) {
    println!(
        "Times of ZRE are from the start of its node: Python itself takes longer. Those of termchat\n\
         are read off its screen.\n"
    );
    println!("| what | lanchat | termchat | ZRE |\n| --- | --- | --- | --- |");
    for (what, cell) in LINES {
        let cells = Program::ALL.map(|program| {
            if program.is_installed() {
                cell(scale, program)
            } else {
                "not installed".to_owned()
            }
        });
        println!("| {what} | {} |", cells.join(" | "));
    }
    println!();
}

fn meet(scale: Scale, program: Program) -> String {
    let lan = talker::lan();
    let mut times = Times::default();
    for _ in 0..scale.of(10) {
        let (_, took) = pair(program, &lan);
        times.add_if(took);
    }
    cell(&times)
}

fn loss(scale: Scale, program: Program) -> String {
    let lans = lans();
    for host in lans.iter().flat_map(Lan::hosts) {
        host.lose(30);
    }
    let mut times = Times::default();
    for _ in 0..scale.of(40).div_ceil(BATCH) {
        for took in in_parallel(&lans, |lan| pair(program, lan).1) {
            times.add_if(took);
        }
    }
    format!("{} of {}", times.within(MET_WITHIN), times.len())
}

fn line(scale: Scale, program: Program) -> String {
    let lan = talker::lan();
    let ([mut ana, mut ben], _) = pair(program, &lan);
    // What is said in the first moment may have to wait.
    pause_until(now() + ms(1500));
    let mut times = Times::default();
    for number in 0..scale.of(40) {
        let text = format!("line {number};");
        let start = now();
        ana.say(&text);
        let heard = ben.hears("ana", &text, MEET_PATIENCE);
        times.add_if(heard.map(|at| at.saturating_duration_since(start)));
        pause_until(start + BEAT);
    }
    cell(&times)
}

fn kill(_: Scale, program: Program) -> String {
    gone(program, KILL_PATIENCE, |_, ben| ben.kill())
}

fn cable(_: Scale, program: Program) -> String {
    gone(program, CABLE_PATIENCE, |lan, _| lan.cut(2))
}

/// A pair at rest, and what takes the second away; until the first shows it.
fn gone(program: Program, patience: Duration, take: fn(&Lan, &mut dyn Talker)) -> String {
    let mut times = Times::default();
    for took in in_parallel(&lans(), |lan| {
        let ([mut ana, mut ben], met) = pair(program, lan);
        met?;
        pause_until(now() + MEET_PATIENCE);
        let start = now();
        take(lan, ben.as_mut());
        let seen = ana.shows("ben", false, patience)?;
        Some(seen.saturating_duration_since(start))
    }) {
        times.add_if(took);
    }
    let never = format!("not within {} s", patience.as_secs());
    cell(&times).replace("never", &never)
}

fn lans() -> Vec<Lan> {
    (0..BATCH).map(|_| talker::lan()).collect()
}

/// Two on hosts 1 and 2, and how long after the start of the second each saw the other.
fn pair(program: Program, lan: &Lan) -> ([Box<dyn Talker>; 2], Option<Duration>) {
    let mut ana = program.start(lan.host(1), "ana");
    pause_until(now() + ms(100));
    let mut ben = program.start(lan.host(2), "ben");
    let seen = ben.shows("ana", true, MEET_PATIENCE);
    let seen = seen.and_then(|at| Some(at.max(ana.shows("ben", true, MEET_PATIENCE)?)));
    let took = seen.map(|at| at.saturating_duration_since(ben.started()));
    ([ana, ben], took)
}

fn cell(times: &Times) -> String {
    let [half, most] = [50, 100].map(|percent| millis(times.percentile(percent)));
    format!("{half} / {most}")
}
