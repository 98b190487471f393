//! What goes wrong in the random scenario, and when.

use std::time::Duration;

use super::byzantine::Mood;
use super::checker::AFTERMATH;
use super::dice::Dice;
use super::network::Loss;
use super::rooms::{self, InRoom};
use super::world::{Crash, World};
use crate::id::RoomId;

/// Something that happens at one moment.
#[derive(Clone, Debug)]
pub enum Act {
    Boot(usize),
    Crash(usize, Crash, u32),
    Leave(usize),
    Backup(usize),
    Restore(usize),
    Copied(usize),
    DiskFull(usize, bool),
    /// The store forgets all but so many lines of the lobby.
    Tidy(usize, u32),
    Suspend(usize),
    Sleep(usize),
    Resume(usize),
    Loss(Loss),
    LinkLoss(usize, usize, Loss),
    Fade(usize, bool),
    Cut(usize, usize, bool),
    Deaf(usize, bool),
    Unplug(usize, bool),
    Depart(usize),
    ArriveAt(usize, u8),
    Part(Vec<usize>),
    Whole,
    Duplicate(f64),
    Hold(f64),
    Multicast(bool),
    Unicast(bool),
    StepClock(usize, i64),
    SlowDisks(Duration),
    Byzantine(usize, Mood),
    Say(usize, String),
    SayTo(usize, usize, String),
    InRoom(usize, usize, InRoom),
}

impl Act {
    /// Whom it concerns: nobody, one or all; loss that the protocol is to bear concerns nobody.
    fn disturbs(&self) -> Disturbed {
        match self {
            Act::Boot(node)
            | Act::Crash(node, ..)
            | Act::Leave(node)
            | Act::Restore(node)
            | Act::Copied(node)
            | Act::Fade(node, _)
            | Act::Deaf(node, _)
            | Act::Unplug(node, _)
            | Act::Depart(node)
            | Act::ArriveAt(node, _)
            | Act::StepClock(node, _) => Disturbed::One(*node),
            Act::Suspend(node) | Act::Sleep(node) | Act::Resume(node) => Disturbed::Absent(*node),
            Act::Cut(a, b, _) | Act::LinkLoss(a, b, _) => Disturbed::Two(*a, *b),
            Act::Loss(loss) if loss.group <= 0.3 && loss.unicast <= 0.1 => Disturbed::Nobody,
            Act::Loss(_)
            | Act::Part(_)
            | Act::Whole
            | Act::Multicast(_)
            | Act::Unicast(_)
            | Act::Hold(_) => Disturbed::All,
            Act::Duplicate(_)
            | Act::SlowDisks(_)
            | Act::DiskFull(..)
            | Act::Tidy(..)
            | Act::Backup(_)
            | Act::Byzantine(..)
            | Act::Say(..)
            | Act::SayTo(..)
            | Act::InRoom(..) => Disturbed::Nobody,
        }
    }

    /// Does it; it lasts `until` then.
    pub fn run(&self, world: &mut World, until: Duration) {
        world.fault(0, format!("{self:?}"));
        let until = until.max(world.now) + AFTERMATH;
        match self.disturbs() {
            Disturbed::Nobody => {}
            Disturbed::One(node) => world.checker.disturb(node, until),
            Disturbed::Absent(node) => world.checker.absent(node, until),
            Disturbed::Two(a, b) => {
                world.checker.disturb(a, until);
                world.checker.disturb(b, until);
            }
            Disturbed::All => world.checker.disturb_all(until),
        }
        match self {
            Act::Boot(node) => world.boot(*node),
            Act::Crash(node, how, 0) => world.crash(*node, *how),
            Act::Crash(node, how, outputs) => world.nodes[*node].crash_in = Some((*outputs, *how)),
            Act::Leave(node) => world.leave(*node),
            Act::Backup(node) => world.nodes[*node].backup = Some(world.nodes[*node].disk.clone()),
            Act::Restore(node) => world.restore(*node),
            Act::Copied(node) => world.copied(*node),
            Act::DiskFull(node, full) => world.disk_full(*node, *full),
            Act::Tidy(node, entries) => {
                let room = RoomId::public(super::checker::LOBBY);
                world.nodes[*node].disk.tidy(room, *entries);
            }
            Act::Suspend(node) => world.suspend(*node),
            Act::Sleep(node) => world.sleep(*node),
            Act::Resume(node) => world.resume(*node),
            Act::Depart(node) => world.depart(*node),
            Act::ArriveAt(node, segment) => world.arrive_at(*node, *segment),
            Act::StepClock(node, ms) => world.nodes[*node].skew_ms += ms,
            Act::SlowDisks(most) => world.disk_time_max = *most,
            Act::Byzantine(node, mood) => {
                world.checker.replays = *mood != Mood::Quiet;
                if let Some(byzantine) = &mut world.nodes[*node].byzantine {
                    byzantine.mood = *mood;
                }
            }
            Act::Say(node, text) => world.say(*node, "#lobby", text),
            Act::InRoom(node, room, what) => world.in_room(*node, *room, what),
            Act::SayTo(node, to, text) => {
                let to = format!("@{}", world.checker.people[*to].id);
                world.say(*node, &to, text);
            }
            _ => self.run_network(world),
        }
    }

    fn run_network(&self, world: &mut World) {
        let network = &mut world.network;
        match self {
            Act::Loss(loss) => network.loss = *loss,
            Act::LinkLoss(from, to, loss) => {
                network.links.insert((*from, *to), *loss);
            }
            Act::Fade(node, true) => {
                network.faded.insert(*node);
            }
            Act::Fade(node, false) => {
                network.faded.remove(node);
            }
            Act::Cut(from, to, true) => {
                network.cut.insert((*from, *to));
            }
            Act::Cut(from, to, false) => {
                network.cut.remove(&(*from, *to));
            }
            Act::Deaf(node, true) => {
                network.deaf.insert(*node);
            }
            Act::Deaf(node, false) => {
                network.deaf.remove(node);
            }
            Act::Unplug(node, true) => {
                network.unplugged.insert(*node);
            }
            Act::Unplug(node, false) => {
                network.unplugged.remove(node);
            }
            Act::Part(nodes) => {
                network.parts = nodes.iter().map(|node| (*node, 1)).collect();
            }
            Act::Whole => network.parts.clear(),
            Act::Duplicate(probability) => network.duplicated = *probability,
            Act::Hold(probability) => network.held = *probability,
            Act::Multicast(passes) => network.multicast = *passes,
            Act::Unicast(passes) => network.unicast = *passes,
            _ => {}
        }
    }
}

enum Disturbed {
    Nobody,
    One(usize),
    /// It is not there for others; what it shows is to be right all the same.
    Absent(usize),
    Two(usize, usize),
    All,
}

/// A disk is full in the first part of a run.
const EARLY: Duration = Duration::from_secs(15);

/// What happens when, and until when it lasts.
#[derive(Clone, Debug)]
pub struct Cue {
    pub at: Duration,
    pub act: Act,
    pub until: Duration,
}

/// A script, in order of time.
pub type Script = Vec<Cue>;

pub(super) fn cue(at: Duration, act: Act) -> Cue {
    let until = at;
    Cue { at, act, until }
}

/// Draws the faults and the chat of `span` from the world's dice.
pub fn draw(world: &mut World, from: Duration, span: Duration, honest: usize) -> Script {
    let mut script = Script::new();
    let until = from + span;
    let faults = 4 + world.dice.below(12);
    for _ in 0..faults {
        let at = world.dice.between(from, until);
        let longest = Duration::from_secs(if world.dice.chance(0.2) { 60 } else { 12 });
        let end = world.dice.between(at, (at + longest).min(until));
        fault(world, &mut script, honest, (from, at, end));
    }
    let lines = 10 + world.dice.below(40);
    for number in 0..lines {
        let at = world.dice.between(from, until);
        let node = world.dice.below(honest);
        let to = world.dice.below(honest);
        if world.dice.chance(0.3) && to != node {
            script.push(cue(at, Act::SayTo(node, to, format!("private {number}"))));
        } else {
            script.push(cue(at, Act::Say(node, format!("line {number}"))));
            if world.dice.chance(0.3) {
                script.push(cue(at, Act::Say(node, format!("more {number}"))));
            }
        }
    }
    if world.dice.chance(0.3) {
        let at = world.dice.between(from, until);
        let node = world.dice.below(honest);
        let entries = 3 + u32::try_from(world.dice.below(12)).unwrap_or(0);
        script.push(cue(at, Act::Tidy(node, entries)));
    }
    rooms::draw(&mut world.dice, &mut script, (from, until), honest);
    // A stable sort: what was drawn first comes first.
    script.sort_by_key(|cue| cue.at);
    script
}

/// A moment within so many seconds.
fn within(dice: &mut Dice, at: Duration, seconds: u64) -> Duration {
    dice.between(at, at + Duration::from_secs(seconds))
}

fn fault(
    world: &mut World,
    script: &mut Script,
    honest: usize,
    (from, at, end): (Duration, Duration, Duration),
) {
    // Where it never passes, no fault's end makes it pass.
    let multicast = world.network.multicast;
    let full_disks = world.full_disks;
    let dice = &mut world.dice;
    let node = dice.below(honest);
    let other = (node + 1 + dice.below(honest.max(2) - 1)) % honest;
    let mut both = |act: Act, then: Act| {
        let until = end;
        script.extend([Cue { at, act, until }, cue(end, then)]);
    };
    match dice.below(if full_disks { 23 } else { 22 }) {
        0 => {
            let loss = Loss::percent(90.0 * dice.unit(), 90.0 * dice.unit());
            both(Act::Loss(loss), Act::Loss(Loss::default()));
        }
        1 | 2 => {
            let loss = Loss::percent(30.0 * dice.unit(), 10.0 * dice.unit());
            both(Act::Loss(loss), Act::Loss(Loss::default()));
        }
        3 => {
            let loss = Loss::percent(90.0 * dice.unit(), 90.0 * dice.unit());
            let none = Loss::default();
            both(
                Act::LinkLoss(node, other, loss),
                Act::LinkLoss(node, other, none),
            );
        }
        4 => both(Act::Fade(node, true), Act::Fade(node, false)),
        5 => both(Act::Cut(node, other, true), Act::Cut(node, other, false)),
        6 => both(Act::Deaf(node, true), Act::Deaf(node, false)),
        7 => both(Act::Unplug(node, true), Act::Unplug(node, false)),
        8 => {
            let part = (0..honest).filter(|_| dice.chance(0.5)).collect();
            both(Act::Part(part), Act::Whole);
        }
        9 => both(Act::Duplicate(0.5 * dice.unit()), Act::Duplicate(0.0)),
        10 => both(Act::Hold(0.3 * dice.unit()), Act::Hold(0.0)),
        11 if dice.chance(0.5) => both(Act::Sleep(node), Act::Resume(node)),
        11 => both(Act::Suspend(node), Act::Resume(node)),
        17 => {
            // Somebody dies while somebody else stands still, perhaps in the middle of a verdict.
            let die = within(dice, at, 6);
            let stop = within(dice, at, 6);
            let on = stop + Duration::from_secs(1).mul_f64(1.0 + 20.0 * dice.unit());
            let how = if dice.chance(0.5) {
                Crash::Kill
            } else {
                Crash::Power
            };
            let act = Act::Crash(other, how, 0);
            let back = on + Duration::from_secs(10);
            script.push(Cue {
                at: die,
                act,
                until: back,
            });
            script.push(cue(back, Act::Boot(other)));
            let (act, until) = (Act::Suspend(node), on);
            script.push(Cue {
                at: stop,
                act,
                until,
            });
            script.push(cue(on, Act::Resume(node)));
        }
        12 => both(Act::Multicast(false), Act::Multicast(multicast)),
        13 => both(Act::Unicast(false), Act::Unicast(true)),
        14 => {
            both(Act::Leave(node), Act::Boot(node));
            // A visit so short that its HELLOs come after its GOODBYE.
            let (leave, back) = (Duration::from_millis(700), Duration::from_secs(5));
            let until = end + back;
            let act = Act::Hold(0.4);
            script.push(Cue {
                at: end,
                act,
                until,
            });
            script.push(cue(end + leave, Act::Leave(node)));
            script.push(cue(end + leave * 2, Act::Hold(0.0)));
            script.push(cue(until, Act::Boot(node)));
        }
        15 => {
            let far = 1 + i64::try_from(dice.below(3_600_000)).unwrap_or(0);
            let most = Duration::from_millis(200);
            both(
                Act::SlowDisks(most),
                Act::SlowDisks(Duration::from_millis(1)),
            );
            script.push(cue(at, Act::StepClock(node, far)));
        }
        16 => {
            let then = end + Duration::from_secs(1);
            script.push(cue(at, Act::Backup(node)));
            script.push(cue(end, Act::Crash(node, Crash::Kill, 0)));
            let back = match dice.chance(0.7) {
                true => Act::Restore(node),
                false => Act::Copied(node),
            };
            script.push(cue(end, back));
            script.push(cue(then, Act::Boot(node)));
        }
        22 => {
            // What waits for room is tried again within a minute.
            let (at, end) = (within(dice, from, 15), within(dice, from + EARLY, 15));
            script.push(cue(at, Act::DiskFull(node, true)));
            script.push(cue(end, Act::DiskFull(node, false)));
        }
        20 | 21 => {
            let all = world.nodes.len();
            travel(
                world,
                script,
                (at, end),
                (node, other),
                (honest..all).next(),
            );
        }
        _ => {
            let how = if dice.chance(0.7) {
                Crash::Kill
            } else {
                Crash::Power
            };
            // Between any two outputs.
            let outputs = u32::try_from(dice.below(60)).unwrap_or(0);
            let text = "the last words";
            both(Act::Crash(node, how, outputs), Act::Boot(node));
            script.push(cue(at, Act::Say(node, text.into())));
        }
    }
}

/// Somebody is carried to another LAN and back, perhaps with others.
fn travel(
    world: &mut World,
    script: &mut Script,
    (at, end): (Duration, Duration),
    (node, other): (usize, usize),
    byzantine: Option<usize>,
) {
    let dice = &mut world.dice;
    let end = end.max(at + Duration::from_secs(10));
    let mut people = vec![node];
    people.extend(Some(other).filter(|_| dice.chance(0.5)));
    people.extend(byzantine.filter(|_| dice.chance(0.5)));
    for node in people {
        let (there, back) = (within(dice, at, 3), within(dice, end, 3));
        for (from, to, segment, until) in [(at, there, 1, end), (end, back, 0, back)] {
            let act = Act::Depart(node);
            script.push(Cue {
                at: from,
                act,
                until,
            });
            script.push(cue(to, Act::ArriveAt(node, segment)));
        }
    }
}
