//! Asking through others: PROBE REQUEST and PROBE REPORT, so that a path that is broken between
//! two makes neither of them a Suspect.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::probe::Asked;
use super::tick::probe;
use super::{Heard, Presence};
use crate::api::PeerState;
use crate::id::{Nonce, PeerId};
use crate::limits::{RELAY_RATE, RELAY_REQUESTER_RATE, RELAYS_MAX};
use crate::proto::Now;
use crate::proto::bucket::Bucket;
use crate::proto::core::Core;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::wire::{Body, ProbeReport, ProbeRequest};

/// How many others are asked at once.
const HELPERS: usize = 3;
/// How long the answer to a PROBE for somebody else is waited for.
const WAIT: Duration = Duration::from_secs(1);
/// Between two PROBEs to one target, whoever asks for them.
const PROBE_EVERY: Duration = Duration::from_millis(50);
/// Most requesters of whom a rate is remembered.
const REQUESTERS_MAX: usize = 256;

/// What this node asks on behalf of others.
pub(super) struct Relays {
    waiting: Vec<Relay>,
    rate: Bucket,
    rates: BTreeMap<PeerId, Bucket>,
}

/// One request that is not answered yet.
#[derive(Clone, Copy, Debug)]
struct Relay {
    target: PeerId,
    requester: PeerId,
    to: SocketAddr,
    nonce: Nonce,
    at: Instant,
}

impl Relays {
    pub(super) fn new(now: Instant) -> Self {
        Relays {
            waiting: Vec::new(),
            rate: Bucket::new(now, RELAY_RATE, RELAY_RATE),
            rates: BTreeMap::new(),
        }
    }

    /// Whether this requester, and all together, may ask for one more.
    fn admit(&mut self, now: Instant, requester: PeerId) -> bool {
        if self.rates.len() >= REQUESTERS_MAX {
            self.rates
                .retain(|_, rate| !rate.holds(now, RELAY_REQUESTER_RATE));
        }
        if self.rates.len() >= REQUESTERS_MAX && !self.rates.contains_key(&requester) {
            return false;
        }
        let fresh = Bucket::new(now, RELAY_REQUESTER_RATE, RELAY_REQUESTER_RATE);
        let own = self.rates.entry(requester).or_insert(fresh);
        own.take(now, 1) && self.rate.take(now, 1)
    }

    /// Remembers a request. Returns whether a PROBE is to leave for it: not if one just did.
    fn add(&mut self, relay: Relay) -> bool {
        let now = relay.at;
        self.waiting.retain(|other| now < other.at + WAIT);
        let is_same = |other: &Relay| {
            (other.target, other.requester, other.nonce)
                == (relay.target, relay.requester, relay.nonce)
        };
        let last = self
            .waiting
            .iter()
            .filter(|other| other.target == relay.target);
        let asks = last
            .map(|other| other.at)
            .max()
            .is_none_or(|at| now >= at + PROBE_EVERY);
        self.waiting.retain(|other| !is_same(other));
        if self.waiting.len() >= RELAYS_MAX {
            return false;
        }
        self.waiting.push(relay);
        asks
    }

    /// Those who wait for a sign of life of this target.
    fn take(&mut self, now: Instant, target: &PeerId) -> Vec<Relay> {
        let (found, rest) = std::mem::take(&mut self.waiting)
            .into_iter()
            .filter(|relay| now < relay.at + WAIT)
            .partition(|relay| relay.target == *target);
        self.waiting = rest;
        found
    }
}

impl Presence {
    /// Asks up to three other live peers to probe this one.
    pub(super) fn ask_others(&mut self, core: &mut Core, id: &PeerId) {
        let start = PeerId(core.random());
        let is_fit = |other: &PeerId| {
            let peer = self.roster.get(other);
            other != id
                && peer.is_some_and(|peer| {
                    peer.state == PeerState::Online
                        && peer.probing.is_none()
                        && !peer.watch.doubtful
                        && !peer.record.transient
                })
        };
        let mut helpers = self.roster.successors(&start, HELPERS * 4);
        helpers.retain(is_fit);
        helpers.truncate(HELPERS);
        let nonce = core.nonce();
        let Some(probing) = self.roster.get_mut(id).and_then(|p| p.probing.as_mut()) else {
            return;
        };
        let asked = probing.asked.get_or_insert(Asked {
            nonce,
            helpers: Vec::new(),
        });
        asked.helpers.extend(&helpers);
        let nonce = asked.nonce;
        let request = Body::ProbeRequest(ProbeRequest {
            nonce,
            target: id.short(),
        });
        for helper in helpers {
            if let Some(to) = self.address_of(&helper) {
                core.send_to(to, &request);
            }
        }
    }

    /// Somebody asks for a sign of life of somebody else. Only where both are validated.
    pub fn handle_probe_request(
        &mut self,
        core: &mut Core,
        now: Now,
        heard: &Heard,
        request: &ProbeRequest,
    ) {
        let to = heard.arrival.source;
        if !self.is_validated(&heard.id, to) {
            return;
        }
        let target = self.roster.by_short(&request.target);
        let Some(target) = target.filter(|p| p.is_confirmed()).map(|p| p.id) else {
            return;
        };
        if target == heard.id || !self.relays.admit(now.mono, heard.id) {
            core.stats.limited += 1;
            return;
        }
        let asks = self.relays.add(Relay {
            target,
            requester: heard.id,
            to,
            nonce: request.nonce,
            at: now.mono,
        });
        if asks && let Some(peer) = self.roster.get_mut(&target) {
            probe(core, now.mono, peer, false);
        }
    }

    /// A PROBE was answered: tells whoever asked for it.
    pub(super) fn report(&mut self, core: &mut Core, now: Instant, target: &PeerId) {
        let waiting = self.relays.take(now, target);
        let Some(incarnation) = self.roster.get(target).map(|p| p.record.incarnation) else {
            return;
        };
        for relay in waiting {
            if self.is_validated(&relay.requester, relay.to) {
                let report = ProbeReport {
                    echo: relay.nonce,
                    target: target.short(),
                    incarnation,
                };
                core.send_to(relay.to, &Body::ProbeReport(report));
            }
        }
    }

    /// Somebody who was asked for it got a sign of life of somebody else.
    pub fn handle_probe_report(
        &mut self,
        core: &mut Core,
        now: Now,
        heard: &Heard,
        report: &ProbeReport,
    ) {
        let target = self.roster.by_short(&report.target).map(|peer| peer.id);
        let Some(peer) = target.and_then(|id| self.roster.get_mut(&id)) else {
            return;
        };
        let is_asked =
            |asked: &Asked| asked.nonce == report.echo && asked.helpers.contains(&heard.id);
        let asked = peer
            .probing
            .as_ref()
            .and_then(|probing| probing.asked.as_ref());
        let is_asked = asked.is_some_and(is_asked) || is_sabotaged(Sabotage::ReportUnasked);
        if !is_asked || peer.record.incarnation != report.incarnation {
            return;
        }
        peer.probing = None;
        peer.watch.acquit();
        peer.watch.looked = Some(now.mono);
        let id = peer.id;
        if peer.state == PeerState::Suspect {
            peer.state = PeerState::Online;
            self.returned.push(id);
        }
        self.announce(core, &id);
        self.plan(core, &id);
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    fn relay(target: u8, requester: u8, nonce: u8, at: Instant) -> Relay {
        Relay {
            target: PeerId([target; 32]),
            requester: PeerId([requester; 32]),
            to: SocketAddr::from(([10, 0, 0, requester], 5263)),
            nonce: Nonce([nonce; 8]),
            at,
        }
    }

    #[test]
    fn many_who_ask_for_one_share_its_probe_and_each_gets_the_answer() {
        let now = Instant::now();
        let mut relays = Relays::new(now);
        assert!(relays.add(relay(1, 2, 7, now)));
        assert!(!relays.add(relay(1, 3, 8, now)));
        assert!(relays.add(relay(9, 3, 8, now)));
        assert!(relays.add(relay(1, 2, 7, now + PROBE_EVERY)), "asked again");
        let found = relays.take(now + PROBE_EVERY, &PeerId([1; 32]));
        assert_eq!(found.len(), 2);
        assert!(relays.take(now, &PeerId([1; 32])).is_empty(), "told once");
        assert!(
            relays.take(now + WAIT, &PeerId([9; 32])).is_empty(),
            "too late"
        );
    }

    #[test]
    fn requests_are_bounded_for_each_requester_and_in_all() {
        let now = Instant::now();
        let mut relays = Relays::new(now);
        let of_one = (0..1000).filter(|_| relays.admit(now, PeerId([1; 32])));
        assert_eq!(of_one.count(), RELAY_REQUESTER_RATE as usize);
        let of_all = (0..=255).filter(|&n| relays.admit(now, PeerId([n; 32])));
        assert!(of_all.count() <= RELAY_RATE as usize);
        for n in 0..=255 {
            relays.add(relay(n, n, n, now));
            relays.add(relay(n, n, n.wrapping_add(1), now));
        }
        assert!(relays.waiting.len() <= RELAYS_MAX);
    }
}
