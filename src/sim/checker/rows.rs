//! Whom a node shows, and how: nobody who is not there, everybody who is, each at their address
//! (invariants 1, 5 and 8).

use std::time::Duration;

use super::{AFTERMATH, Checker};
use crate::api::{Event, PeerState};
use crate::sim::byzantine::puppet;

/// A dead peer's row may say so as late as this where nothing is wrong with the network.
const DEAD_SHOWN_MAX: Duration = Duration::from_secs(60);
/// For how long a GOODBYE keeps a late packet from reviving the row.
const BURIED: Duration = Duration::from_secs(60);
/// An ACK of a past run may still be on its way for so long.
pub(super) const LATE: Duration = Duration::from_secs(3);

impl Checker {
    pub(super) fn told_peer(&mut self, now: Duration, node: usize, event: &Event) {
        let Event::Peer {
            peer,
            state,
            confirmed,
            addresses,
            incompatible: false,
            ..
        } = event
        else {
            return;
        };
        let Some(of) = self.index.get(&peer.id).copied() else {
            if peer.id == puppet().id() {
                return;
            }
            let what = format!("shows {}, who does not exist", peer.id);
            return self.fail(now, node, 1, what);
        };
        let before = self.rows[node][of];
        let row = &mut self.rows[node][of];
        (row.state, row.confirmed) = (Some(*state), *confirmed);
        if *confirmed && !before.confirmed {
            row.validated = Some(now);
        }
        row.since = row.is_here().then(|| before.since.unwrap_or(now));
        if *state == PeerState::Left {
            (row.left, row.confirmed) = (Some(now), false);
        }
        self.count(now, (node, of), before.state);
        self.told_suspect(now, node, of, *state);
        let person = self.people[of].clone();
        if !person.honest {
            return;
        }
        if peer.name != format!("node{of}") {
            let what = format!("calls node {of} {:?}, which it does not itself", peer.name);
            return self.fail(now, node, 1, what);
        }
        let here = matches!(state, PeerState::Online | PeerState::Suspect);
        if here && *confirmed && addresses.first() != Some(&person.address.to_string()) {
            let what = format!(
                "takes node {of} to be at {addresses:?}, it is at {}",
                person.address
            );
            return self.fail(now, node, 8, what);
        }
        match state {
            PeerState::Left if person.alive && person.goodbye.is_none() => {
                let knows = |at: Duration| at > person.since + LATE;
                if before.validated.is_some_and(knows) {
                    let what = format!("says that node {of} left, which it did not in this run");
                    self.fail(now, node, 5, what);
                }
            }
            PeerState::Offline if !self.took_its_time(now, (node, of), &before) => {}
            PeerState::Offline if person.alive => self.told_offline(now, node, of),
            PeerState::Online if !person.alive => {
                // What it hears then may tell of a run before the last.
                let resumed = self.people[node].resumed;
                let catches_up =
                    resumed.is_some() && (resumed == Some(now) || resumed == before.left);
                let buried = before.left.zip(person.goodbye).filter(|_| !catches_up);
                if buried.is_some_and(|(left, said)| left >= said && now < left + BURIED) {
                    let what = format!("revives node {of}, which said GOODBYE");
                    self.fail(now, node, 5, what);
                }
            }
            _ => {}
        }
    }

    fn told_offline(&mut self, now: Duration, node: usize, of: usize) {
        self.false_offlines[of] += 1;
        if self.lenient {
            return;
        }
        let calm = self.judges(now, node) && self.is_calm(now, of, Duration::ZERO);
        if calm {
            let what = format!("gives up node {of}, which is there");
            self.fail(now, node, 5, what);
        }
    }

    /// Counts who shows whom.
    pub(super) fn count(
        &mut self,
        now: Duration,
        (node, of): (usize, usize),
        was: Option<PeerState>,
    ) {
        let state = self.rows[node][of].state;
        let online = |state| usize::from(state == Some(PeerState::Online));
        self.listed_by[of] = self.listed_by[of] + online(state) - online(was);
        self.lists[node] = self.lists[node] + online(state) - online(was);
        if self.watched == Some(of)
            && let Some(state) = state
            && Some(state) != was
        {
            self.seen.push((now, node, state));
        }
    }

    /// What is to hold at any moment, over all nodes.
    pub fn each_second(&mut self, now: Duration) {
        if self.lenient {
            return;
        }
        self.woken_are_back(now);
        let kept = if self.replays { 2 } else { 1 };
        for node in 0..self.people.len() {
            if !self.is_calm(now, node, DEAD_SHOWN_MAX * kept) {
                continue;
            }
            for of in 0..self.people.len() {
                let (row, person) = (self.rows[node][of], &self.people[of]);
                let here = row.is_here();
                let dead = !person.alive && now > person.since + DEAD_SHOWN_MAX * kept;
                if dead && here && person.honest {
                    let what = format!(
                        "still shows node {of}, dead since {:.1} s",
                        person.since.as_secs_f64()
                    );
                    self.fail(now, node, 5, what);
                }
                if of != node && !here && self.is_calm(now, of, AFTERMATH) {
                    let what = format!("does not show node {of}, which is there: {row:?}");
                    self.fail(now, node, 5, what);
                }
            }
        }
    }

    /// Whether a node has run undisturbed for `time` after the aftermath of the last fault.
    pub(super) fn is_calm(&self, now: Duration, node: usize, time: Duration) -> bool {
        self.judges(now.saturating_sub(time), node) && now > self.people[node].absent + time
    }

    /// The same of what it shows, even if it stood still or slept.
    pub(super) fn judges(&self, now: Duration, node: usize) -> bool {
        let person = &self.people[node];
        person.honest
            && person.alive
            && person.goodbye.is_none()
            && now > person.since + AFTERMATH
            && now > person.disturbed
    }
}
