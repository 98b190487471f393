//! What time does to the roster: whom to look at, and rows that end.

use std::time::{Duration, Instant};

use super::beacon::{Leaving, heartbeat_mean};
use super::patience;
use super::probe::{Probing, RING, ROUND_MIN};
use super::roster::Peer;
use super::{CHANGE_JITTER, Presence};
use crate::api::PeerState;
use crate::datagram::Link;
use crate::id::PeerId;
use crate::limits::CANDIDATE_FIRST_RATE;
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
/// Whoever was heard within this is passed over in their turn. No longer: the turns of those who
/// look after one peer are spread, and what all of them hear would bring them together.
const HEARD_JUST_NOW: Duration = Duration::from_millis(250);
/// One look for each 1/250 s of N: 250 PROBEs a second and as many answers, however many people.
const LOOKS_PER_SECOND: f64 = 250.0;

/// How closely peers are looked at; as N wants it, found anew each round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Between two rounds on the ring.
    interval: Duration,
    /// Whether so few are here that each looks after all.
    all: bool,
    /// Silence that has anybody probed by everybody.
    long: Duration,
    /// How long a path counts after something came by it.
    path: Duration,
}

impl Pace {
    /// For so many people, of whom so many are reached.
    pub(super) fn of(population: usize, live: usize) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let interval = Duration::from_secs_f64(population as f64 / LOOKS_PER_SECOND);
        let heartbeat = heartbeat_mean(population);
        Pace {
            interval: interval.max(ROUND_MIN),
            all: live <= ALL_UP_TO,
            long: heartbeat.mul_f64(SILENT_HEARTBEATS),
            path: heartbeat * PATHS_KEPT,
        }
    }
}

impl Presence {
    /// The deadline passed.
    pub fn handle_timeout(&mut self, core: &mut Core, now: Now, group: &Group) {
        if self.flapping.take_due(now.mono) {
            self.announce_self(core, now, CHANGE_JITTER);
        }
        self.speak(core, now, group);
        if self.beacon.leaving != Leaving::No {
            return;
        }
        self.repeat_alive(core, now.mono);
        self.follow_remembered(core, now, group);
        self.follow_reach(core, now, group);
        if self.is_round_due(now.mono) {
            self.walk_ring(core, now.mono);
        }
        while let Some(short) = self.schedule.pop(now.mono) {
            if let Some(id) = self.roster.by_short(&short).map(|peer| peer.id) {
                self.attend(core, now.mono, &id);
            }
        }
    }

    /// Whether the next round on the ring begins, for which to tell whom this node talks with.
    #[must_use]
    pub fn is_round_due(&self, now: Instant) -> bool {
        now >= self.round_at
    }

    /// Those with whom a conversation is open: they are looked at every 2 s.
    pub fn set_conversations(&mut self, with: Vec<PeerId>) {
        for id in with.iter().filter(|id| !self.conversations.contains(id)) {
            // Looked at more often from now on.
            self.schedule.hasten(id.short(), self.round_at);
        }
        self.conversations = with.into_iter().collect();
    }

    /// The next of the ring successors by id is looked at; where there are few, all.
    fn walk_ring(&mut self, core: &mut Core, now: Instant) {
        let own = core.identity.id();
        let near = self.roster.successors(&own, ALL_UP_TO + 1);
        self.pace = Pace::of(self.roster.population(), near.len());
        // The turns of those who look after one peer shall not stay as they once fell.
        self.round_at = now + self.pace.interval.mul_f64(0.9 + 0.2 * core.unit());
        self.round = self.round.wrapping_add(1);
        if self.pace.all {
            near.iter().for_each(|id| self.plan(core, id));
        } else if let Some(&id) = near.get(self.round % RING) {
            self.look_if_silent(now, &id, HEARD_JUST_NOW);
        }
    }

    fn look_if_silent(&mut self, now: Instant, id: &PeerId, least: Duration) {
        let Some(peer) = self.roster.get(id) else {
            return;
        };
        if peer.probing.is_none() && now >= last_sign(peer) + least {
            self.look(now, now, id);
        }
    }

    /// Begins to ask a peer for a sign of life, at `at`.
    pub(super) fn look(&mut self, now: Instant, at: Instant, id: &PeerId) {
        let stretch = self.health.stretch();
        if let Some(peer) = self.roster.get_mut(id) {
            peer.watch.looked = Some(now);
            peer.probing = Some(Box::new(Probing::start(at, peer.rtt, stretch)));
            self.hasten(id, at);
        }
    }

    /// When a peer is looked at if nothing is heard of it.
    fn look_at(&self, peer: &Peer) -> Option<Instant> {
        if !peer.is_live() || peer.probing.is_some() {
            return None;
        }
        let close = self.pace.all || self.conversations.contains(&peer.id);
        let least = if close { ROUND_MIN } else { self.pace.long };
        Some(last_sign(peer) + least)
    }

    /// Does what is due for one peer, and plans what is next.
    fn attend(&mut self, core: &mut Core, now: Instant, id: &PeerId) {
        let waits = self.patience.pace(self.roster.crowd());
        let Some(peer) = self.roster.get_mut(id) else {
            return;
        };
        let kept = self.pace.path;
        peer.links
            .iter_mut()
            .for_each(|(_, link)| link.forget_paths(now, kept));
        probe_candidates(core, now, peer, (&mut self.candidate_rate, waits));
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.roster.get(id).and_then(|peer| self.look_at(peer))) {
            self.look(now, now, id);
        }
        self.step(core, now, id);
        self.say_suspect(core, now, id);
        self.close_window(now, id);
        if self.expire(core, now, id) {
            self.roster.remove(id);
            return;
        }
        // Whatever is due was done: what is left waits, if only for what time is lost in rounding.
        let next = self.next_of(core, id);
        let later = now + Duration::from_millis(1);
        self.schedule.set(id.short(), next.map(|at| at.max(later)));
    }

    /// Gives up a row that ends. Returns whether it is to be removed.
    fn expire(&mut self, core: &mut Core, now: Instant, id: &PeerId) -> bool {
        let Some(peer) = self.roster.get(id) else {
            return false;
        };
        if self.end_of(core, peer).is_none_or(|end| now <= end) {
            return false;
        }
        let is_over = peer.state == PeerState::Offline;
        if !is_over {
            self.set_state(core, id, PeerState::Offline);
        }
        is_over
    }

    /// Something about a peer changed: finds out anew when something is due for it.
    pub(super) fn plan(&mut self, core: &Core, id: &PeerId) {
        let next = self.next_of(core, id);
        self.schedule.set(id.short(), next);
    }

    /// The same for every row.
    pub(super) fn plan_all(&mut self, core: &Core) {
        let ids: Vec<PeerId> = self.roster.iter().map(|peer| peer.id).collect();
        ids.iter().for_each(|id| self.plan(core, id));
    }

    /// Something is due for a peer at `at`.
    pub(super) fn hasten(&mut self, id: &PeerId, at: Instant) {
        self.schedule.hasten(id.short(), at);
    }

    fn next_of(&self, core: &Core, id: &PeerId) -> Option<Instant> {
        let peer = self.roster.get(id)?;
        let candidates = peer
            .addresses
            .iter()
            .filter(|a| a.validated.is_none())
            .filter_map(|a| a.next_try);
        let probing = peer.probing.as_deref().map(Probing::deadline);
        // While it is asked, its failure decides.
        let window = peer.watch.accused.filter(|_| peer.probing.is_none());
        let end = self.end_of(core, peer);
        let end = end.map(|end| end + Duration::from_millis(1));
        candidates
            .chain(probing)
            .chain(window)
            .chain(peer.watch.accuse_at())
            .chain(self.look_at(peer))
            .chain(end)
            .min()
    }

    /// When a row ends if nothing more is heard.
    fn end_of(&self, core: &Core, peer: &Peer) -> Option<Instant> {
        if peer.state == PeerState::Offline {
            let kept = if peer.is_confirmed() {
                OFFLINE_KEPT
            } else {
                NEVER_REACHED_KEPT
            };
            return Some(peer.heard + kept);
        }
        // Without any link nobody can be heard; that tells nothing of them.
        if peer.is_confirmed() || peer.hearsay.is_some() || is_cut_off(&core.links, peer) {
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
        Some(peer.heard.max(self.linked_at) + kept)
    }
}

/// When a peer was last heard of, or asked for.
fn last_sign(peer: &Peer) -> Instant {
    peer.watch
        .looked
        .map_or(peer.heard, |looked| looked.max(peer.heard))
}

/// Whether the only links left are those inside this host, and they do not reach the peer.
pub(super) fn is_cut_off(links: &[Link], peer: &Peer) -> bool {
    let is_inside = |link: &Link| link.loopback || (link.v4.is_empty() && link.v6.is_empty());
    let mut addresses = peer.addresses.iter().peekable();
    addresses.peek().is_some()
        && links.iter().all(is_inside)
        && !addresses.any(|address| super::reaches(links, address.at))
}

/// PROBEs to the addresses that are not validated yet. A first PROBE goes before further ones:
/// a crowd that never answers keeps no newcomer waiting.
fn probe_candidates(
    core: &mut Core,
    now: Instant,
    peer: &mut Peer,
    (rate, waits): (&mut Bucket, patience::Pace),
) {
    for address in peer.addresses.iter_mut() {
        if address.validated.is_some() || address.next_try.is_none_or(|at| at > now) {
            continue;
        }
        let wanted = if address.tries == 0 {
            1
        } else {
            1 + CANDIDATE_FIRST_RATE
        };
        if !rate.holds(now, wanted) {
            address.next_try = Some(rate.ready_for(now, wanted));
            continue;
        }
        rate.take(now, 1);
        let nonce = core.nonce();
        let body = Body::Probe(Probe { nonce });
        if address.may_send(PROBE_LEN) {
            let len = core.send_to(address.at, &body);
            address.sent(len);
        }
        address.candidate_probed(nonce, now, waits);
    }
}

/// Header, nonce and signature.
pub(super) const PROBE_LEN: usize = 26 + 8 + 64;

/// A PROBE to the address in use, or to every validated one.
pub(super) fn probe(core: &mut Core, now: Instant, peer: &mut Peer, all: bool) {
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
