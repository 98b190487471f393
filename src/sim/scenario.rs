//! The random scenario: a small LAN, faults drawn from a seed, then none, and all must converge.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::byzantine::Mood;
use super::checker::{AFTERMATH, Violation};
use super::network::Loss;
use super::script;
use super::world::{Crash, World};
use crate::proto::sabotage::Sabotage;

/// What a run is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Any moment; virtual time counts from it.
    pub start: Instant,
    /// Decides everything.
    pub seed: u64,
    /// A bug that the core is to have.
    pub sabotage: Option<Sabotage>,
    /// How many nodes; the scenario's own choice where none is given.
    pub peers: Option<usize>,
    /// Loss while nothing else is wrong; the scenario's own choice where none is given.
    pub loss: Option<Loss>,
    /// Whether disks get full as well.
    pub full_disks: bool,
    /// How many of the last steps a report shows.
    pub last: usize,
}

impl Settings {
    /// The random scenario of this seed, nothing else chosen.
    #[must_use]
    pub fn new(start: Instant, seed: u64) -> Settings {
        Settings {
            start,
            seed,
            sabotage: None,
            peers: None,
            loss: None,
            full_disks: false,
            last: super::trace::LAST,
        }
    }
}

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The hash of all that happened.
    pub hash: blake3::Hash,
    /// Events handled.
    pub steps: u64,
    /// What was found, if something was.
    pub violation: Option<Violation>,
    /// The last moments, for a person to read; empty where nothing was found.
    pub report: String,
}

/// How long faults come.
const FAULTS: Duration = Duration::from_secs(90);
/// After the last fault everything has converged.
const CONVERGED: Duration = Duration::from_secs(30);
/// And whoever is gone is gone for all.
const BURIED: Duration = Duration::from_secs(45);

/// Runs the random scenario of a seed.
#[must_use]
pub fn random(settings: &Settings) -> Outcome {
    let mut world = World::new(settings.start, settings.seed, settings.sabotage);
    world.trace.last_max = settings.last;
    world.full_disks = settings.full_disks;
    play(&mut world, settings);
    outcome(&world, settings.seed)
}

fn play(world: &mut World, settings: &Settings) {
    let honest = settings.peers.unwrap_or(3 + world.dice.below(6));
    let byzantine = populate(world, honest);
    let paths = (world.network.multicast, world.network.broadcast);
    let base = settings.loss.unwrap_or_default();
    world.network.loss = base;
    for node in 0..honest {
        if world.dice.chance(0.85) {
            world.boot(node);
        }
    }
    let script = script::draw(world, Duration::from_secs(2), FAULTS, honest);
    for cue in &script {
        if !world.run_to(cue.at) {
            return;
        }
        cue.act.run(world, cue.until);
    }
    heal(world, honest, byzantine);
    (world.network.multicast, world.network.broadcast) = paths;
    world.network.loss = base;
    converge(world, honest);
}

/// Adds the nodes, one of them byzantine in half of the seeds; clocks may be an hour off.
fn populate(world: &mut World, honest: usize) -> Option<usize> {
    for _ in 0..honest {
        let node = world.add();
        world.nodes[node].skew_ms = match world.dice.below(5) {
            0 => 3_600_000,
            1 => -3_600_000,
            2 => 20_000,
            _ => 0,
        };
    }
    if world.dice.chance(0.15) {
        // No group datagrams at all: everybody is named.
        (world.network.multicast, world.network.broadcast) = (false, false);
        let all: Vec<_> = world.nodes.iter().map(|node| node.address).collect();
        world
            .nodes
            .iter_mut()
            .for_each(|node| node.named.clone_from(&all));
    } else if world.dice.chance(0.15) {
        world.network.multicast = false;
    } else if world.dice.chance(0.3) {
        world.network.broadcast = false;
    }
    let byzantine = world.dice.chance(0.5).then(|| world.add_byzantine());
    world.checker.replays = byzantine.is_some();
    byzantine
}

/// Ends all faults: links work, whoever was stopped goes on, some of the dead come back.
fn heal(world: &mut World, honest: usize, byzantine: Option<usize>) {
    let healed = world.now;
    world.fault(0, "heal".into());
    world.network.heal();
    world.network.unicast = true;
    world.disk_time_max = Duration::from_millis(1);
    world.full.clear();
    world.checker.disturb_all(world.now + AFTERMATH);
    if let Some(eve) = byzantine {
        let mood = if world.dice.chance(0.7) {
            Mood::Replays
        } else {
            Mood::Quiet
        };
        script::Act::Byzantine(eve, mood).run(world, healed);
    }
    for node in 0..world.nodes.len() {
        world.arrive_at(node, 0);
    }
    for node in 0..honest {
        world.nodes[node].crash_in = None;
        if world.is_suspended(node) {
            world.resume(node);
        }
        if world.dice.chance(0.7) {
            world.boot(node);
        }
        // Some end now, and nobody may list them for long.
        if node > 1 && world.dice.chance(0.25) {
            world.crash(node, Crash::Power);
        }
    }
}

fn converge(world: &mut World, honest: usize) {
    let healed = world.now;
    if world.dice.chance(0.5) {
        for node in 0..honest {
            if world.dice.chance(0.3) {
                world.say(node, "#lobby", "at last");
            }
        }
    }
    if !world.run_to(healed + CONVERGED) {
        return;
    }
    let (now, nodes) = (world.now, &world.nodes);
    world.checker.rosters_converged(now);
    world.checker.logs_converged(now, |node| &nodes[node].disk);
    if world.checker.violation.is_some() || !world.run_to(healed + CONVERGED + BURIED) {
        return;
    }
    world.checker.rosters_converged(world.now);
    world.checker.dead_are_gone(world.now);
}

/// What became of a world.
#[must_use]
pub fn outcome(world: &World, seed: u64) -> Outcome {
    let mut report = String::new();
    if let Some(violation) = &world.checker.violation {
        // Writing to a string cannot fail.
        let _ = write!(report, "{}seed {seed}: {violation}", world.trace);
    }
    Outcome {
        hash: world.trace.hash(),
        steps: world.steps,
        violation: world.checker.violation.clone(),
        report,
    }
}
