//! Scenarios that measure: join, crash, rest, crowd, day, chat; for any number of nodes and any loss.

use std::fmt::Write as _;
use std::time::Duration;

use super::chat::chat;
use super::network::Counts;
use super::scenario::{Outcome, Settings, outcome};
use super::world::{Crash, World};
use crate::api::PeerState;
use crate::proto::crypto;

/// Times of one kind.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Adds one.
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The time that this part of them does not exceed; `part` from 0 to 1.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index"
        )]
        let at = (part * sorted.len() as f64).ceil() as usize;
        let last = sorted.len().saturating_sub(1);
        let time = sorted.get(at.saturating_sub(1).min(last));
        time.copied().unwrap_or_default()
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn line(&self, what: &str, of: usize) -> String {
        let ms = |part| self.quantile(part).as_secs_f64() * 1e3;
        let (p50, p99, most) = (ms(0.5), ms(0.99), ms(1.0));
        let count = self.0.len();
        format!("{what}: p50 {p50:.1} ms, p99 {p99:.1} ms, max {most:.1} ms ({count} of {of})\n")
    }
}

/// What a scenario of this name is asked for beside [`Settings`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Extent {
    /// Joins, crashes or lines; each is one sample for everybody who looks on.
    pub rounds: usize,
    /// Virtual hours of `day`.
    pub hours: u64,
    /// Whether `day` stops one node for a minute every hour.
    pub pause: bool,
    /// Whether each node of `chat` fades for 300 ms now and then.
    pub fades: bool,
}

/// Names of the scenarios.
pub const NAMES: [&str; 7] = ["join", "crash", "power", "rest", "crowd", "day", "chat"];

/// Runs the scenario of this name: what became of it, and its figures in words.
#[must_use]
pub fn run(name: &str, settings: &Settings, extent: &Extent) -> Option<(Outcome, String)> {
    let default = match name {
        "crowd" => 200,
        "day" => 100,
        _ => 10,
    };
    let peers = settings.peers.unwrap_or(default).max(2);
    let mut world = World::new(settings.start, settings.seed, settings.sabotage);
    // A thousand nodes could not be afforded otherwise.
    crypto::shared::begin_with_macs();
    world.trace.last_max = settings.last;
    world.checker.lenient = true;
    world.network.loss = settings.loss.unwrap_or_default();
    for _ in 0..peers {
        world.add();
    }
    let text = match name {
        "join" => join(&mut world, extent),
        "crash" => crash(&mut world, extent, Crash::Kill),
        "power" => crash(&mut world, extent, Crash::Power),
        "rest" => rest(&mut world),
        "crowd" => crowd(&mut world),
        "day" => day(&mut world, extent),
        "chat" => chat(&mut world, extent),
        _ => return None,
    };
    let mut report = format!("{name}, {peers} nodes: {} steps\n", world.steps);
    report.push_str(&text);
    Some((outcome(&world, settings.seed), report))
}

/// Mean time between two heartbeats of one node.
fn heartbeat(nodes: usize) -> Duration {
    Duration::from_secs((nodes as u64 / 20).max(10))
}

/// Starts everybody, one after the other, and waits until each had its first heartbeats.
pub(super) fn settle(world: &mut World) {
    let nodes = world.nodes.len();
    for node in 0..nodes {
        world.boot(node);
        world.run_to(world.now + Duration::from_millis(20));
    }
    world.run_to(world.now + Duration::from_secs(20) + heartbeat(nodes) * 2);
}

fn complete(world: &World, live: usize) -> bool {
    world.checker.lists.iter().sum::<usize>() == live * (live - 1)
}

fn join(world: &mut World, extent: &Extent) -> String {
    settle(world);
    let others = world.nodes.len();
    let joiner = world.add();
    let whole = complete(world, others);
    let (mut full, mut listed, mut each) = <(Times, Times, Times)>::default();
    let rounds = extent.rounds;
    for _ in 0..rounds {
        let start = world.now;
        let cap = start + Duration::from_secs(60);
        world.checker.watched = Some(joiner);
        world.checker.seen.clear();
        world.boot(joiner);
        let mut done = [false; 2];
        while done != [true; 2] {
            if !done[0] && world.checker.lists[joiner] == others {
                full.add(world.now - start);
                done[0] = true;
            }
            if !done[1] && world.checker.listed_by[joiner] == others {
                listed.add(world.now - start);
                done[1] = true;
            }
            if !world.step(cap) {
                break;
            }
        }
        first_times(world, start, PeerState::Online, &mut each);
        world.run_to(world.now + Duration::from_secs(2));
        world.leave(joiner);
        // What a GOODBYE did not reach is not to count as listed in the next round.
        let gone = world.now + Duration::from_secs(90);
        world.run_until(gone, |world| {
            world.nodes[joiner].endpoint.is_none() && world.checker.listed_by[joiner] == 0
        });
    }
    let mut text = format!("rosters of the others complete before: {whole}\n");
    text += &full.line("joiner lists everybody", rounds);
    text += &listed.line("everybody lists the joiner", rounds);
    text += &each.line("each lists the joiner", rounds * others);
    text
}

/// When each node showed the watched one like this first.
fn first_times(world: &World, start: Duration, wanted: PeerState, times: &mut Times) {
    let mut seen = vec![false; world.nodes.len()];
    for (at, node, state) in &world.checker.seen {
        if *state == wanted && !std::mem::replace(&mut seen[*node], true) {
            times.add(*at - start);
        }
    }
}

fn crash(world: &mut World, extent: &Extent, how: Crash) -> String {
    settle(world);
    let others = world.nodes.len() - 1;
    let (mut each, mut all) = <(Times, Times)>::default();
    for _ in 0..extent.rounds {
        let victim = world.dice.below(others + 1);
        let wait = world
            .dice
            .between(Duration::ZERO, heartbeat(others).mul_f64(0.5));
        world.run_to(world.now + wait);
        let start = world.now;
        world.checker.watched = Some(victim);
        world.checker.seen.clear();
        world.crash(victim, how);
        let cap = start + Duration::from_secs(60) + heartbeat(others) * 3;
        let offline = |world: &World| {
            let rows = world.checker.rows.iter();
            rows.filter(|row| row[victim].state == Some(PeerState::Offline))
                .count()
        };
        // A row is counted when something was told of it, not at each step.
        let mut told = 0;
        let mut done = false;
        while !done && world.step(cap) {
            if world.checker.seen.len() != told {
                told = world.checker.seen.len();
                done = offline(world) == others;
            }
        }
        if done {
            all.add(world.now - start);
        }
        first_times(world, start, PeerState::Offline, &mut each);
        world.boot(victim);
        world.run_to(world.now + Duration::from_secs(20));
    }
    let mut text = each.line("Offline at each", extent.rounds * others);
    text += &all.line("Offline at everybody", extent.rounds);
    text
}

fn rest(world: &mut World) -> String {
    settle(world);
    let nodes = world.nodes.len();
    // The HELLOs of whoever came last are over; a minute and a few heartbeats of rest.
    let from = world.now.as_secs() + 1;
    let to = from + 60 + heartbeat(nodes).as_secs();
    let before = world.network.traffic.kinds.clone();
    world.run_to(Duration::from_secs(to));
    let per_second = |counts: &Counts, seconds: u64| {
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let per = |count: u64| count as f64 / seconds as f64;
        format!(
            "group {:.1}/s, {:.0} B/s; unicast {:.1}/s, {:.0} B/s\n",
            per(counts.group),
            per(counts.group_bytes),
            per(counts.unicast),
            per(counts.unicast_bytes)
        )
    };
    let traffic = &world.network.traffic;
    let mut text = format!("rosters complete: {}\n", complete(world, nodes));
    text += &format!("mean: {}", per_second(&traffic.sum(from, to), to - from));
    let peak = traffic.peak(from, to, 10);
    text += &format!("most in any 10 s: {}", per_second(&peak, 10));
    text.push_str("by kind:");
    for ((kind, group), count) in &traffic.kinds {
        let count = count - before.get(&(*kind, *group)).unwrap_or(&0);
        let how = if *group { "group" } else { "unicast" };
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let rate = count as f64 / (to - from) as f64;
        if rate >= 0.1 {
            let _ = write!(text, " {kind} {how} {rate:.1}/s");
        }
    }
    text.push('\n');
    text
}

fn crowd(world: &mut World) -> String {
    let nodes = world.nodes.len();
    let mut starts: Vec<(Duration, usize)> = (0..nodes)
        .map(|node| (Duration::from_secs(1).mul_f64(world.dice.unit()), node))
        .collect();
    starts.sort_unstable();
    for (at, node) in starts {
        world.run_to(at);
        world.boot(node);
    }
    let cap = Duration::from_secs(60) + heartbeat(nodes) * 3;
    let done = world.run_until(cap, |world| complete(world, nodes));
    let took = world.now.as_secs_f64();
    world.run_to(cap);
    let peak = world.network.traffic.peak(0, cap.as_secs(), 1);
    let mut text = format!("all rosters complete: {done}, after {took:.2} s\n");
    let _ = writeln!(
        text,
        "most in any second: group {}, unicast {}",
        peak.group, peak.unicast
    );
    text
}

fn day(world: &mut World, extent: &Extent) -> String {
    settle(world);
    let nodes = world.nodes.len();
    world.checker.false_offlines.fill(0);
    let mut paused = vec![false; nodes];
    for _ in 0..extent.hours {
        let hour = world.now + Duration::from_secs(3600);
        if extent.pause {
            let node = world.dice.below(nodes);
            paused[node] = true;
            world.suspend(node);
            world.run_to(world.now + Duration::from_secs(60));
            world.resume(node);
        }
        world.run_to(hour);
    }
    let counts = world.checker.false_offlines.iter().zip(&paused);
    let of = |wanted: bool| -> u64 {
        let those = counts.clone().filter(|(_, paused)| **paused == wanted);
        those.map(|(count, _)| count).sum()
    };
    let mut text = format!(
        "live nodes shown Offline in {} h: {}",
        extent.hours,
        of(false)
    );
    let _ = writeln!(text, " (and {} times those that were paused)", of(true));
    text
}
