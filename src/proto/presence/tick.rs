//! What time does to the roster: probes, verdicts, rows that end.

use std::time::{Duration, Instant};

use super::probe::{Probing, RING, ROUND_MIN, Step};
use super::roster::Peer;
use super::{CHANGE_JITTER, Presence};
use crate::api::PeerState;
use crate::id::PeerId;
use crate::proto::Now;
use crate::proto::bucket::Bucket;
use crate::proto::core::Core;
use crate::proto::group::Group;
use crate::wire::{Body, Probe};

/// Up to this many live peers a node looks after all of them, not only its ring successors.
const ALL_UP_TO: usize = 5;
/// A row that nobody could validate is dropped when nothing is heard for this long.
const UNCONFIRMED_KEPT: Duration = Duration::from_secs(30);
/// The same where every PROBE went unanswered: gone before anybody could reach them.
const UNANSWERED_KEPT: Duration = Duration::from_secs(2);
/// The greyed row of somebody who was never reached is kept this long.
const NEVER_REACHED_KEPT: Duration = Duration::from_secs(10 * 60);
/// A greyed row is kept this long.
const OFFLINE_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// A path by which nothing was heard in so many heartbeats does not work any more: the paths
/// take turns over four.
const PATHS_KEPT: u32 = 5;
/// Silence of this many mean heartbeat intervals has anybody probed by everybody.
const SILENT_HEARTBEATS: f64 = 2.5;

impl Presence {
    /// The deadline passed.
    pub fn handle_timeout(&mut self, core: &mut Core, now: Now, group: &Group) {
        if self.flapping.take_due(now.mono) {
            self.announce_self(core, now, CHANGE_JITTER);
        }
        self.speak(core, now, group);
        if self.beacon.leaving != super::Leaving::No {
            return;
        }
        if now.mono >= self.round_at {
            self.start_round(core, now.mono);
        }
        if self.wake.is_some_and(|wake| wake <= now.mono) {
            self.tick(core, now.mono);
        }
    }

    /// Begins to probe whoever is due and silent.
    fn start_round(&mut self, core: &Core, now: Instant) {
        let population = self.roster.population();
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let seconds = population as f64 / 250.0;
        let interval = ROUND_MIN.max(Duration::from_secs_f64(seconds));
        self.round_at = now + interval;
        self.round += 1;
        let mut due: Vec<PeerId> = self.roster.successors(&core.identity.id(), ALL_UP_TO + 1);
        if due.len() > ALL_UP_TO {
            due.truncate(RING);
            due = vec![due[self.round % RING]];
        }
        let mean = super::beacon::HEARTBEAT_MIN.max(Duration::from_secs_f64(seconds * 12.5));
        let long = mean.mul_f64(SILENT_HEARTBEATS);
        let kept = mean * PATHS_KEPT;
        for peer in self.roster.iter_mut() {
            peer.links
                .values_mut()
                .for_each(|link| link.forget_paths(now, kept));
            let silent = now.saturating_duration_since(peer.heard);
            // Half an interval: whoever answered the last round is asked again in this one.
            let wanted = (due.contains(&peer.id) && silent >= interval / 2) || silent >= long;
            let live = peer.state != PeerState::Offline && peer.is_confirmed();
            if wanted && live && peer.probing.is_none() {
                peer.probing = Some(Probing::start(now, peer.rtt));
                self.wake = Some(now);
            }
        }
        self.wake = Some(
            self.wake
                .map_or(self.round_at, |wake| wake.min(self.round_at)),
        );
    }

    /// Sends the probes that are due and gives up who did not answer.
    fn tick(&mut self, core: &mut Core, now: Instant) {
        let mut states: Vec<(PeerId, PeerState)> = Vec::new();
        let mut ended: Vec<PeerId> = Vec::new();
        let mut wake: Option<Instant> = None;
        for peer in self.roster.iter_mut() {
            probe_candidates(core, now, peer, &mut self.candidate_rate);
            if let Some(mut probing) = peer.probing.take() {
                match probing.step(now) {
                    Step::Wait => {}
                    Step::Probe => probe(core, now, peer, false),
                    Step::ProbeAll => probe(core, now, peer, true),
                    Step::Suspect => {
                        probe(core, now, peer, true);
                        states.push((peer.id, PeerState::Suspect));
                    }
                    Step::Offline => states.push((peer.id, PeerState::Offline)),
                }
                let over = states.last() == Some(&(peer.id, PeerState::Offline));
                peer.probing = (!over).then_some(probing);
            }
            if end_of(peer).is_some_and(|end| now > end) {
                match peer.state {
                    PeerState::Offline => ended.push(peer.id),
                    _ => states.push((peer.id, PeerState::Offline)),
                }
            }
            wake = [wake, next_wake(peer)].into_iter().flatten().min();
        }
        self.wake = wake;
        for (id, state) in states {
            self.set_state(core, &id, state);
        }
        for id in ended {
            self.roster.remove(&id);
        }
    }
}

/// PROBEs to the addresses that are not validated yet.
fn probe_candidates(core: &mut Core, now: Instant, peer: &mut Peer, rate: &mut Bucket) {
    for address in peer.addresses.iter_mut() {
        if address.validated.is_some() || address.next_try.is_none_or(|at| at > now) {
            continue;
        }
        if !rate.take(now, 1) {
            address.next_try = Some(rate.ready_at(now));
            continue;
        }
        let nonce = core.nonce();
        let body = Body::Probe(Probe { nonce });
        if address.may_send(PROBE_LEN) {
            let len = core.send_to(address.at, &body);
            address.sent(len);
        }
        address.candidate_probed(nonce, now);
    }
}

/// Header, nonce and signature.
pub(super) const PROBE_LEN: usize = 26 + 8 + 64;

/// A PROBE to the address in use, or to every validated one.
fn probe(core: &mut Core, now: Instant, peer: &mut Peer, all: bool) {
    let current = peer.addresses.current();
    for address in peer.addresses.iter_mut() {
        let wanted = Some(address.at) == current || (all && address.validated.is_some());
        if !wanted {
            continue;
        }
        let nonce = core.nonce();
        let len = core.send_to(address.at, &Body::Probe(Probe { nonce }));
        address.sent(len);
        address.probed(nonce, now);
    }
}

/// When a row ends if nothing more is heard.
fn end_of(peer: &Peer) -> Option<Instant> {
    if peer.state == PeerState::Offline {
        let kept = if peer.is_confirmed() {
            OFFLINE_KEPT
        } else {
            NEVER_REACHED_KEPT
        };
        return Some(peer.heard + kept);
    }
    if peer.is_confirmed() || peer.hearsay.is_some() {
        return None;
    }
    // Somebody who speaks on and on but never answers is behind a firewall, and still here.
    let speaks_on = peer.heard > peer.first_heard + UNANSWERED_KEPT;
    let tried = peer
        .addresses
        .iter()
        .all(|address| address.next_try.is_none());
    let kept = if tried && !speaks_on {
        UNANSWERED_KEPT
    } else {
        UNCONFIRMED_KEPT
    };
    Some(peer.heard + kept)
}

fn next_wake(peer: &Peer) -> Option<Instant> {
    let candidates = peer
        .addresses
        .iter()
        .filter(|a| a.validated.is_none())
        .filter_map(|a| a.next_try);
    let probing = peer.probing.map(|probing| probing.deadline());
    let end = end_of(peer).map(|end| end + Duration::from_millis(1));
    candidates.chain(probing).chain(end).min()
}
