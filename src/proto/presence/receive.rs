//! What others say of themselves. Everything here has verified already.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::beacon::PendingWelcome;
use super::probe::Probing;
use super::roster::{Merged, Peer, Rtt};
use super::strangers::allowance;
use super::tick::PROBE_LEN;
use super::{Heard, Presence, reaches};
use crate::api::PeerState;
use crate::datagram::{LinkId, Path};
use crate::id::PeerId;
use crate::proto::Now;
use crate::proto::core::Core;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::wire::presence::LOSS_UNKNOWN;
use crate::wire::{Body, Heartbeat, Hello, PeerRecord, Probe, ProbeAck, Welcome};

/// Up to this many peers all of them greet a newcomer, and validate it by that.
const ALL_GREET: u32 = 32;
/// First PROBEs a second that a link carries, of all peers together.
const VALIDATION_RATE: f64 = 8000.0;
/// Upper bound of the time over which they are spread.
const VALIDATION_MAX: Duration = Duration::from_secs(5);
/// Above it, before the first PROBE to somebody heard by the group.
const VALIDATION_REST: Duration = Duration::from_millis(10);

impl Presence {
    /// Takes in a verified record; whether its sender may go on.
    pub fn merge(&mut self, core: &mut Core, now: Now, record: &PeerRecord) -> bool {
        let id = record.key.id();
        let mut merged = self.roster.merge(now.mono, record);
        if merged == Merged::Full {
            self.forget_stranger(core);
            merged = self.roster.merge(now.mono, record);
        }
        match merged {
            Merged::Refused | Merged::Full => {
                core.stats.replayed += 1;
                return false;
            }
            Merged::Restarted => {
                self.restarted.push(id);
                self.set_state(core, &id, PeerState::Online);
            }
            Merged::Changed => self.note_news(id),
            Merged::New => self.plan(core, &id),
            Merged::Same => {}
        }
        true
    }

    /// Whoever is unconfirmed longest makes way: a real person is confirmed in a round trip.
    fn forget_stranger(&mut self, core: &mut Core) {
        let Some(id) = self.roster.oldest_stranger() else {
            return;
        };
        self.set_state(core, &id, PeerState::Offline);
        self.roster.remove(&id);
    }

    /// A fresh packet of a known peer: a sign of life, and perhaps a new address of theirs.
    pub fn heard(&mut self, core: &mut Core, now: Now, heard: &Heard) {
        let Some(peer) = self.roster.get_mut(&heard.id) else {
            return;
        };
        peer.heard = now.mono;
        peer.watch.acquit();
        self.company = Some(now.mono);
        // An answer to a probe has to come from the peer; a sign of life is one as well.
        let probing = peer.probing.take();
        let is_back = peer.state != PeerState::Online;
        if is_back {
            peer.state = PeerState::Online;
            self.returned.push(heard.id);
        }
        if probing.is_some() || is_back || !peer.is_confirmed() {
            self.plan(core, &heard.id);
        }
        if probing.is_some_and(|probing| probing.has_asked()) {
            self.health.answered();
        }
        self.network_heard(core, now);
        self.note_group(core, now, heard);
        self.sighted(core, now, heard);
        self.announce(core, &heard.id);
    }

    /// A packet of a known peer comes by a group path for the first time.
    pub fn count_path(&mut self, now: Now, heard: &Heard, link: LinkId) {
        if heard.path != Path::Unicast
            && let Some(peer) = self.roster.get_mut(&heard.id)
        {
            peer.links.at(link).count(heard.path, now.mono);
        }
    }

    /// A packet of a known peer, perhaps a copy: where it came from.
    pub fn sighted(&mut self, core: &mut Core, now: Now, heard: &Heard) {
        self.observe(core, &heard.arrival, Some(heard.path));
        let Some(peer) = self.roster.get_mut(&heard.id) else {
            return;
        };
        let source = heard.arrival.source;
        if !is_usable(core, source) {
            return;
        }
        // Copies cost nobody a signature: sources made up in numbers are not even looked at, but
        // for the first of each.
        let is_further =
            peer.addresses.get_mut(source).is_none() && peer.addresses.shown().is_some();
        if is_further && !self.candidate_rate.holds(now.mono, 1) {
            core.stats.limited += 1;
            return;
        }
        let allowance = allowance(core, source, heard.len);
        let is_new = peer.addresses.heard(now.mono, source, allowance);
        let waiting = peer.addresses.get_mut(source).filter(|a| a.tries == 0);
        let Some(planned) = waiting.and_then(|a| a.next_try) else {
            return;
        };
        let most = self.validation_wait_max(now.mono);
        // Who waits since a crowd was counted waits no longer than what is left of it asks for.
        let is_late = heard.path != Path::Unicast && planned > now.mono + most;
        if is_new || is_late {
            let delay = if most.is_zero() {
                Duration::ZERO
            } else {
                VALIDATION_REST + core.jitter(most - VALIDATION_REST)
            };
            let peer = self.roster.get_mut(&heard.id);
            if let Some(address) = peer.and_then(|peer| peer.addresses.get_mut(source)) {
                address.next_try = Some(now.mono + delay);
            }
            self.plan(core, &heard.id);
        }
    }

    /// How long a new address may wait for its first PROBE: a thousand who hear one HELLO, or a
    /// crowd of whom each hears all, do not probe at once, nor before they know who they are.
    fn validation_wait_max(&mut self, now: Instant) -> Duration {
        let crowd = u32::try_from(self.roster.crowd()).unwrap_or(u32::MAX);
        if crowd <= ALL_GREET {
            return Duration::ZERO;
        }
        let newcomers = u32::try_from(self.beacon.hellos_heard(now)).unwrap_or(u32::MAX);
        let pairs = f64::from(crowd) * f64::from(newcomers.max(1));
        let spread = Duration::from_secs_f64(pairs / VALIDATION_RATE);
        VALIDATION_REST + spread.min(VALIDATION_MAX)
    }

    /// Somebody asks who is here.
    pub fn handle_hello(&mut self, core: &mut Core, now: Now, heard: &Heard, hello: &Hello) {
        self.beacon.hello_heard(now.mono);
        if hello.known.contains(&core.short()) {
            return;
        }
        let to = heard.arrival.source;
        let welcome = PendingWelcome {
            to,
            echo: hello.nonce,
            link: Self::link_of(core, &heard.arrival).map(|link| link.id),
        };
        // A HELLO to this node alone is answered by nobody else.
        let population = match heard.path {
            Path::Unicast => 1,
            _ => self.roster.crowd().max(2),
        };
        let planned = self
            .beacon
            .plan_welcome(core, now.mono, heard.id, welcome, population);
        let Some(at) = planned else {
            return;
        };
        // The WELCOME is the first PROBE; one of its own would be too much to say.
        let address = self
            .roster
            .get_mut(&heard.id)
            .and_then(|p| p.addresses.get_mut(to));
        if let Some(address) = address
            && address.validated.is_none()
            && address.tries == 0
        {
            // Off the link there is no room for both.
            let rest = if reaches(&core.links, to) { 100 } else { 1000 };
            let next = at + Duration::from_millis(rest);
            address.next_try = Some(next);
            self.hasten(&heard.id, next);
        }
    }

    /// Somebody answers our HELLO.
    pub fn handle_welcome(&mut self, core: &mut Core, now: Now, heard: &Heard, welcome: &Welcome) {
        self.welcomed.get_or_insert(welcome.digest.count);
        self.observed.welcomed(heard.id, welcome);
        self.answer(core, heard, welcome.nonce);
        self.compare_welcome(core, now, heard, welcome);
    }

    /// Somebody asks for a sign of life.
    pub fn handle_probe(&mut self, core: &mut Core, now: Now, heard: &Heard, probe: &Probe) {
        self.answer(core, heard, probe.nonce);
        // A card of theirs that was pulled does not say so; what they use now does.
        let peer = self.roster.get(&heard.id);
        let source = heard.arrival.source;
        if peer.is_some_and(|peer| peer.addresses.may_have_moved(now.mono, source)) {
            self.doubt(now.mono, &heard.id);
        }
    }

    fn answer(&mut self, core: &mut Core, heard: &Heard, echo: crate::id::Nonce) {
        let to = heard.arrival.source;
        let Some(peer) = self.roster.get_mut(&heard.id) else {
            return;
        };
        let Some(address) = peer.addresses.get_mut(to) else {
            return;
        };
        let ack = Body::ProbeAck(ProbeAck { echo });
        // An ACK is not longer than what it answers, a PROBE at the least.
        if address.may_send(PROBE_LEN) {
            let len = core.send_to(to, &ack);
            address.sent(len);
        }
    }

    /// Our nonce came back: the address is theirs.
    pub fn handle_probe_ack(&mut self, core: &mut Core, now: Now, heard: &Heard, ack: &ProbeAck) {
        let Some(peer) = self.roster.get_mut(&heard.id) else {
            return;
        };
        let was_confirmed = peer.is_confirmed();
        let source = heard.arrival.source;
        let Some(rtt) = peer.addresses.acknowledged(now.mono, source, ack.echo) else {
            return;
        };
        self.patience.learn(rtt);
        // Of the address in use only: others may hold an address resolution, or another network.
        if peer.addresses.current() == Some(source) {
            peer.rtt = Some(Rtt::update(peer.rtt, rtt));
        }
        peer.hearsay = None;
        self.note_source(source, heard.id);
        if !was_confirmed {
            self.confirmed.push(heard.id);
            self.observed.reached(&heard.id);
            self.remembered.confirmed(now.mono);
            self.note_news(heard.id);
            self.plan(core, &heard.id);
        }
        self.report(core, now.mono, &heard.id);
        self.resume_sync(core, now.mono, &heard.id);
        self.announce(core, &heard.id);
    }

    /// A peer is still here. Returns whether its record is not the one we hold.
    pub fn handle_heartbeat(
        &mut self,
        core: &mut Core,
        now: Now,
        heard: &Heard,
        heartbeat: &Heartbeat,
    ) -> bool {
        let Some(peer) = self.roster.get_mut(&heard.id) else {
            return false;
        };
        // One that was pushed is not in the count of those that groups lost.
        if let Some(link) = heard.arrival.link.filter(|_| heard.path != Path::Unicast) {
            peer.links.at(link).compare(heartbeat.group_sent);
        }
        peer.loss = (heartbeat.loss != LOSS_UNKNOWN).then_some(heartbeat.loss);
        let own = core.identity.id().0;
        let of_us = heartbeat
            .heard
            .iter()
            .find(|heard| heard.id[..] == own[..4]);
        if let Some(heard) = of_us {
            peer.hears_us = Some(heard.paths);
        }
        let is_other = peer.record_hash != heartbeat.record_hash;
        self.compare_heartbeat(core, now, heard, heartbeat);
        is_other
    }

    /// A peer leaves.
    pub fn handle_goodbye(&mut self, core: &mut Core, now: Now, id: &PeerId) {
        let Some(peer) = self.roster.get_mut(id) else {
            return;
        };
        peer.state = PeerState::Left;
        self.rows_version += 1;
        self.lost.push((*id, peer.record.key));
        self.announce(core, id);
        self.roster.bury(now.mono, id);
    }

    /// There is no way to this address; `refused`: its host says that nobody listens there.
    pub fn handle_unreachable(&mut self, core: &mut Core, now: Now, at: SocketAddr, refused: bool) {
        if !core.used_lately(now.mono, at) {
            return;
        }
        self.observed.refused(at.ip());
        let has = |peer: &&Peer| peer.addresses.iter().any(|a| a.at == at);
        let candidate = || self.roster.iter().find(has).map(|peer| peer.id);
        let Some(id) = self.holder_of(at).or_else(candidate) else {
            return;
        };
        let Some(peer) = self.roster.get_mut(&id) else {
            return;
        };
        let is_current = peer.addresses.current() == Some(at);
        let has_others = peer
            .addresses
            .iter()
            .any(|a| a.at != at && a.validated.is_some());
        if !is_current || has_others {
            peer.addresses.failed(now.mono, at);
            self.doubt(now.mono, &id);
            self.announce(core, &id);
            self.plan(core, &id);
            return;
        }
        if let Some(probing) = peer.probing.as_mut().filter(|p| p.is_verdict()) {
            probing.refused |= refused;
        } else if refused && is_sabotaged(Sabotage::RefusalIsProof) {
            self.set_state(core, &id, PeerState::Offline);
        } else if peer.state == PeerState::Online && (refused || !self.health.is_disconnected()) {
            let stretch = self.health.stretch();
            let mut probing = Probing::unreachable(now.mono, peer.rtt, stretch);
            probing.refused = refused;
            peer.probing = Some(Box::new(probing));
            if peer.watch.accused.is_none() {
                self.accuse(now.mono, &id);
            }
            // It may be our own network that is gone.
            self.listen_around(now.mono, &id);
            self.set_state(core, &id, PeerState::Suspect);
        }
    }
}

/// Whether an address can be answered: a port, and not a group or a broadcast.
pub(super) fn is_usable(core: &Core, source: SocketAddr) -> bool {
    let ip = source.ip();
    let own_socket = source.port() == core.config.chat_port && core.is_own_address(ip);
    source.port() != 0 && !ip.is_multicast() && !ip.is_unspecified() && !own_socket
}
