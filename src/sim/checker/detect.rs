//! Invariant 5 in detail: nobody is given up without the time to refute, and whoever stood still or
//! slept is not rash and is soon back.

use std::time::Duration;

use super::{Checker, Row};
use crate::api::PeerState;
use crate::id::ShortId;
use crate::wire::{self, Body, Parsed};

/// The shortest time to refute is 500 ms after a refusal, of which a stop may take a timer's length.
const REFUTE_MIN: Duration = Duration::from_millis(250);
/// A SUSPECT counts for a verdict so long: all waits are stretched eightfold at most.
const ACCUSED: Duration = Duration::from_secs(40);
/// Whoever stood still for this long waits eight times as long.
const LONG: Duration = Duration::from_secs(5);
/// And so gives up nobody within this whom it did not suspect before.
const RASH: Duration = Duration::from_millis(900);
/// Whoever slept is listed again by all within this.
const BACK: Duration = Duration::from_secs(1);

/// How a process stood still.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pause {
    /// It was stopped for so long.
    Stopped(Duration),
    /// Its host slept.
    Slept,
}

impl Checker {
    /// What others show of a node may be wrong until then, not what it shows.
    pub fn absent(&mut self, node: usize, until: Duration) {
        let absent = &mut self.people[node].absent;
        *absent = (*absent).max(until);
    }

    /// A process stops.
    pub fn halted(&mut self, now: Duration, node: usize) {
        self.people[node].still.1 = Some(now);
    }

    /// It goes on.
    pub fn went_on(&mut self, now: Duration, node: usize, asleep: bool) {
        let person = &mut self.people[node];
        let Some(since) = person.still.1.take() else {
            return;
        };
        let length = now - since;
        person.still.0 += length;
        let pause = if asleep {
            Pause::Slept
        } else {
            Pause::Stopped(length)
        };
        person.went_on = Some((now, pause));
    }

    /// For how long a node ran in all.
    fn ran(&self, now: Duration, node: usize) -> Duration {
        now.saturating_sub(self.people[node].still.0)
    }

    /// A packet came that names this sender: of somebody dead it is late, or said again by another.
    fn replayed(&mut self, now: Duration, node: usize, sender: ShortId) {
        if !self.replays {
            return;
        }
        let is_sender = |person: &super::Person| person.id.short() == sender;
        let of = self.people.iter().position(is_sender);
        if let Some(of) = of.filter(|of| !self.people[*of].alive) {
            self.rows[node][of].replayed = Some(now);
        }
    }

    /// A datagram came: a SUSPECT of somebody?
    pub fn accused(&mut self, now: Duration, node: usize, bytes: &[u8]) {
        let Ok(Parsed::Packet(packet)) = wire::parse(bytes) else {
            return;
        };
        self.replayed(now, node, packet.header.sender);
        let Body::Suspect(suspect) = packet.body else {
            return;
        };
        let is_target = |person: &super::Person| person.id.short() == suspect.target;
        let Some(of) = self.people.iter().position(is_target) else {
            return;
        };
        let ran = self.ran(now, node);
        let accused = self.accused.entry((node, of)).or_default();
        accused.retain(|&at| ran <= at + ACCUSED);
        accused.push(ran);
    }

    /// Whether this is an ALIVE that has to count: of somebody who is validated in this run, fresh
    /// and from themselves. Their node.
    #[must_use]
    pub fn is_refuted(&mut self, node: usize, bytes: &[u8]) -> Option<usize> {
        let Ok(Parsed::Packet(packet)) = wire::parse(bytes) else {
            return None;
        };
        let Body::Alive(_) = packet.body else {
            return None;
        };
        let header = packet.header;
        let of = self
            .people
            .iter()
            .position(|person| person.id.short() == header.sender)?;
        let first = self
            .alives
            .insert((node, of, header.incarnation, header.sequence));
        let (row, person) = (&self.rows[node][of], &self.people[of]);
        let is_met = row.validated.is_some_and(|at| at > person.since);
        let is_shown = row.confirmed && row.is_here();
        let told = first && is_met && is_shown && row.state == Some(PeerState::Suspect);
        let sound = person.honest && person.alive && person.goodbye.is_none() && !person.forgetful;
        (told && sound && !self.replays && !self.lenient).then_some(of)
    }

    /// An ALIVE was handled.
    pub fn alive_came(&mut self, now: Duration, node: usize, of: usize) {
        let row = self.rows[node][of];
        if row.state == Some(PeerState::Suspect) {
            let what = format!("heard node {of} say that it is alive, and shows {row:?}");
            self.fail(now, node, 5, what);
        }
    }

    pub(super) fn told_suspect(&mut self, now: Duration, node: usize, of: usize, state: PeerState) {
        let ran = self.ran(now, node);
        let row = &mut self.rows[node][of];
        row.suspected = match state {
            PeerState::Suspect => row.suspected.or(Some(ran)),
            _ => None,
        };
    }

    /// Nobody is given up before they had the time to refute, by the time that the judge ran.
    pub(super) fn took_its_time(
        &mut self,
        now: Duration,
        (node, of): (usize, usize),
        before: &Row,
    ) -> bool {
        if self.lenient || !before.is_here() || !before.confirmed {
            return true;
        }
        let ran = self.ran(now, node);
        let accused = self.accused.get(&(node, of)).into_iter().flatten();
        let accused = accused.filter(|&&at| ran <= at + ACCUSED);
        let began = before.suspected.iter().chain(accused).min().copied();
        if began.is_none_or(|began| ran < began + REFUTE_MIN) {
            let what = format!("gives up node {of} without the time to refute: {before:?}");
            self.fail(now, node, 5, what);
            return false;
        }
        let Some((on, Pause::Stopped(length))) = self.people[node].went_on else {
            return true;
        };
        let known = began.is_some_and(|began| began < self.ran(on, node));
        if length >= LONG && now < on + RASH && !known {
            let what = format!("gives up node {of} at once after it stood still for {length:?}");
            self.fail(now, node, 5, what);
            return false;
        }
        true
    }

    /// Whoever slept on a network that works is listed by all again soon.
    pub(super) fn woken_are_back(&mut self, now: Duration) {
        for of in 0..self.people.len() {
            let person = &self.people[of];
            let Some((on, Pause::Slept)) = person.went_on else {
                continue;
            };
            let is_time = now >= on + BACK && now < on + BACK + Duration::from_secs(1);
            if !is_time || person.still.1.is_some() || !self.judges(now, of) {
                continue;
            }
            let missing = (0..self.people.len()).find(|&node| {
                let calm = node != of && self.is_calm(now, node, Duration::ZERO);
                calm && self.rows[node][of].state != Some(PeerState::Online)
            });
            if let Some(node) = missing {
                let row = self.rows[node][of];
                let what = format!("does not list node {of}, awake since {on:?}: {row:?}");
                self.fail(now, node, 5, what);
            }
        }
    }
}
