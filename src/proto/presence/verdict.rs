//! Who is given up, and when this node may not judge: while it slept, stood still, or hears
//! nobody at all.

use std::time::{Duration, Instant};

use super::probe::{Probing, Step};
use super::tick::{is_cut_off, probe};
use super::{CHANGE_JITTER, Presence};
use crate::api::{Event, InterfaceState, NetworkState, PeerState};
use crate::datagram::{Link, Path};
use crate::id::PeerId;
use crate::proto::Now;
use crate::proto::core::Core;
use crate::proto::sabotage::{Sabotage, is_sabotaged};

/// Between two looks at a Suspect whom only a broken network of our own may have silenced.
const HOLD: Duration = Duration::from_millis(500);
/// How many others are asked before this node believes its own ears.
const OTHERS: usize = 3;
/// Those who may have gone unnoticed are asked over this for each of them.
const RECHECK_EACH: Duration = Duration::from_millis(4);
/// The longest time to refute there is.
const WINDOW_MAX: Duration = Duration::from_secs(16);

impl Presence {
    /// Goes on with the attempt to hear from this peer.
    pub(super) fn step(&mut self, core: &mut Core, now: Instant, id: &PeerId) {
        let Some(peer) = self.roster.get_mut(id) else {
            return;
        };
        let Some(probing) = &mut peer.probing else {
            return;
        };
        match probing.step(now) {
            Step::Wait => {}
            Step::Probe => probe(core, now, peer, false),
            Step::ProbeAll => probe(core, now, peer, true),
            Step::Ask => {
                probe(core, now, peer, true);
                self.ask_others(core, id);
            }
            Step::Suspect => {
                probe(core, now, peer, true);
                self.suspect(core, now, id);
            }
            Step::Offline => self.judge(core, now, id),
        }
    }

    /// No try was answered.
    fn suspect(&mut self, core: &mut Core, now: Instant, id: &PeerId) {
        let Some(peer) = self.roster.get_mut(id) else {
            return;
        };
        let Some(probing) = &mut peer.probing else {
            return;
        };
        let accused = peer.watch.accused;
        if self.health.is_disconnected() {
            // Nobody answers: that tells nothing of this one.
            peer.probing = None;
            peer.watch.looked = Some(now);
            return;
        }
        let is_deaf = self.health.is_deaf_since(probing.started);
        match accused {
            Some(end) => probing.end_at(now, end),
            None => {
                self.health.missed();
                peer.watch.missed = true;
                self.accuse(now, id);
            }
        }
        if is_deaf {
            self.listen_around(now, id);
        }
        self.set_state(core, id, PeerState::Suspect);
    }

    /// Nothing may come from anybody any more: asks some others, to tell whose fault it is.
    pub(super) fn listen_around(&mut self, now: Instant, but: &PeerId) {
        let mut others = self.roster.successors(but, OTHERS + 1);
        others.retain(|id| id != but);
        for id in others {
            let idle = self.roster.get(&id).is_some_and(|p| p.probing.is_none());
            if idle {
                self.look(now, now, &id);
            }
        }
    }

    /// The time to refute is over.
    fn judge(&mut self, core: &mut Core, now: Instant, id: &PeerId) {
        let Some(peer) = self.roster.get(id) else {
            return;
        };
        let Some(probing) = &peer.probing else {
            return;
        };
        let others = || {
            self.roster
                .iter()
                .any(|other| other.id != *id && other.is_live())
        };
        let is_deaf = !probing.refused && self.health.is_deaf_since(probing.started) && others();
        if !is_deaf && !is_cut_off(&core.links, peer) {
            self.give_up(core, now, id);
            return;
        }
        if is_deaf && self.health.nobody_answers(now) {
            core.event(network_event(core, true));
        }
        if let Some(peer) = self.roster.get_mut(id) {
            probe(core, now, peer, true);
            if let Some(probing) = &mut peer.probing {
                probing.hold(now, HOLD);
            }
        }
    }

    /// The time to refute somebody else's SUSPECT is over, with no attempt of our own going on.
    pub(super) fn close_window(&mut self, now: Instant, id: &PeerId) {
        let Some(peer) = self.roster.get_mut(id) else {
            return;
        };
        let over = peer.watch.accused.is_some_and(|end| end <= now);
        if !over || peer.probing.is_some() {
            return;
        }
        peer.watch.accused = None;
        if !peer.is_live() || self.health.is_disconnected() {
            return;
        }
        self.look(now, now, id);
    }

    fn give_up(&mut self, core: &mut Core, now: Instant, id: &PeerId) {
        if let Some(peer) = self.roster.get_mut(id) {
            peer.probing = None;
            if peer.watch.missed {
                self.health.was_right();
            }
            peer.watch.acquit();
        }
        self.testify(core, now, id);
        self.set_state(core, id, PeerState::Offline);
    }

    /// Whether nothing at all is heard any more.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.health.is_disconnected()
    }

    /// A sign that the network carries.
    pub(super) fn network_heard(&mut self, core: &mut Core, now: Now) {
        if self.health.heard(now.mono) {
            core.event(network_event(core, false));
            self.recheck(core, now);
        }
    }

    /// The system slept: all others may have changed.
    pub fn wake(&mut self, core: &mut Core, now: Now) {
        if is_sabotaged(Sabotage::WakeIgnored) {
            return;
        }
        self.health.heard(now.mono);
        self.recheck(core, now);
    }

    /// Nobody is known to be here any more: all are asked, by HELLO and one by one.
    fn recheck(&mut self, core: &mut Core, now: Now) {
        let live = self.roster.iter().filter(|peer| peer.is_live());
        let ids: Vec<PeerId> = live.map(|peer| peer.id).collect();
        let people = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        for id in ids {
            let at = now.mono + core.jitter(RECHECK_EACH.saturating_mul(people));
            if let Some(peer) = self.roster.get_mut(&id) {
                peer.watch.acquit();
                peer.watch.doubtful = true;
            }
            self.look(now.mono, at, &id);
        }
        self.announce_self(core, now, CHANGE_JITTER);
    }

    /// The own loop stood still for `by`: nobody's silence meanwhile counts.
    pub fn late(&mut self, core: &Core, now: Instant, by: Duration) {
        let by = by.min(now.saturating_duration_since(self.caught_up));
        self.caught_up = now;
        if by.is_zero() || is_sabotaged(Sabotage::LateIgnored) {
            return;
        }
        self.health.late(now, by);
        for peer in self.roster.iter_mut() {
            peer.heard = super::lifeguard::later(peer.heard, by, now);
            peer.watch.delay(now, by, WINDOW_MAX);
            if let Some(probing) = &mut peer.probing {
                Probing::delay(probing, now, by);
            }
        }
        self.plan_all(core);
    }
}

/// Whether anybody is heard. Which interface works how, and what to do, whoever drives the
/// endpoint knows better and adds.
fn network_event(core: &Core, disconnected: bool) -> Event {
    let outside = core.links.iter().filter(|link| !link.loopback);
    let describe = |link: &Link| InterfaceState {
        name: link.name.clone(),
        multicast: core.path_usable(link, Path::Mcast4) || core.path_usable(link, Path::Mcast6),
        broadcast: core.path_usable(link, Path::Bcast4),
        ..InterfaceState::default()
    };
    Event::Network {
        reference: None,
        verdict: None,
        state: if disconnected {
            NetworkState::Down
        } else {
            NetworkState::Ok
        },
        interfaces: outside.map(describe).collect(),
    }
}
