//! What others say of themselves. Everything here has verified already.

use std::net::SocketAddr;
use std::time::Duration;

use super::probe::Probing;
use super::roster::{Merged, Rtt};
use super::{Heard, Presence};
use crate::api::{Event, PeerRef, PeerState, Status};
use crate::datagram::Path;
use crate::id::{PeerId, ShortId};
use crate::proto::Now;
use crate::proto::core::Core;
use crate::proto::group::Group;
use crate::wire::presence::LOSS_UNKNOWN;
use crate::wire::{
    Body, Header, Heartbeat, Hello, OtherVersion, PeerRecord, Probe, ProbeAck, Welcome,
};

/// Between two requests for the record of somebody unknown.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Most unknown senders remembered, other versions included.
const STRANGERS_MAX: usize = 64;
/// How long another version is not told of again.
const STRANGER_REST: Duration = Duration::from_secs(60);

impl Presence {
    /// Takes in a verified record; whether its sender may go on.
    pub fn merge(&mut self, core: &mut Core, now: Now, record: &PeerRecord) -> bool {
        let id = record.key.id();
        match self.roster.merge(now.mono, record) {
            Merged::Refused => {
                core.stats.replayed += 1;
                return false;
            }
            Merged::Restarted => {
                self.restarted.push(id);
                self.set_state(core, &id, PeerState::Online);
            }
            Merged::New | Merged::Changed | Merged::Same => {}
        }
        true
    }

    /// A fresh packet of a known peer: a sign of life, and perhaps a new address of theirs.
    pub fn heard(&mut self, core: &mut Core, now: Now, heard: &Heard) {
        let Some(peer) = self.roster.get_mut(&heard.id) else {
            return;
        };
        peer.heard = now.mono;
        // An answer to a probe has to come from the peer; a sign of life is one as well.
        peer.probing = None;
        if peer.state != PeerState::Online {
            peer.state = PeerState::Online;
            self.returned.push(heard.id);
        }
        self.sighted(core, now, heard);
        self.announce(core, &heard.id);
    }

    /// A packet of a known peer, perhaps a copy: where it came from and by which path.
    pub fn sighted(&mut self, core: &mut Core, now: Now, heard: &Heard) {
        let Some(peer) = self.roster.get_mut(&heard.id) else {
            return;
        };
        if heard.path != Path::Unicast
            && let Some(link) = heard.arrival.link
        {
            peer.links.entry(link).or_default().count(heard.path);
        }
        let source = heard.arrival.source;
        if is_usable(core, source) && peer.addresses.heard(now.mono, source, heard.len) {
            self.wake_at(now.mono);
        }
    }

    /// Somebody asks who is here.
    pub fn handle_hello(&mut self, core: &mut Core, now: Now, heard: &Heard, hello: &Hello) {
        self.beacon.hello_heard(now.mono);
        if hello.known.contains(&core.short()) {
            return;
        }
        let to = (heard.id, heard.arrival.source, hello.nonce);
        let population = self.roster.population().max(2);
        let Some(at) = self.beacon.plan_welcome(core, now.mono, to, population) else {
            return;
        };
        // The WELCOME is the first PROBE; one of its own would be too much to say.
        let address = self
            .roster
            .get_mut(&heard.id)
            .and_then(|p| p.addresses.get_mut(to.1));
        if let Some(address) = address
            && address.validated.is_none()
            && address.tries == 0
        {
            address.next_try = Some(at + Duration::from_millis(100));
        }
    }

    /// Somebody answers our HELLO.
    pub fn handle_welcome(&mut self, core: &mut Core, heard: &Heard, welcome: &Welcome) {
        self.welcomed.get_or_insert(welcome.digest.count);
        self.answer(core, heard, welcome.nonce);
    }

    /// Somebody asks for a sign of life.
    pub fn handle_probe(&mut self, core: &mut Core, heard: &Heard, probe: &Probe) {
        self.answer(core, heard, probe.nonce);
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
        if address.may_send(heard.len) {
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
        peer.rtt = Some(Rtt::update(peer.rtt, rtt));
        if !was_confirmed {
            self.confirmed.push(heard.id);
        }
        self.announce(core, &heard.id);
    }

    /// A peer is still here. Returns whether its record is not the one we hold.
    pub fn handle_heartbeat(&mut self, core: &Core, heard: &Heard, heartbeat: &Heartbeat) -> bool {
        let Some(peer) = self.roster.get_mut(&heard.id) else {
            return false;
        };
        if let Some(link) = heard.arrival.link {
            peer.links
                .entry(link)
                .or_default()
                .compare(heartbeat.group_sent);
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
        peer.record.hash() != heartbeat.record_hash
    }

    /// A peer leaves.
    pub fn handle_goodbye(&mut self, core: &mut Core, now: Now, id: &PeerId) {
        let Some(peer) = self.roster.get_mut(id) else {
            return;
        };
        peer.state = PeerState::Left;
        self.lost.push((*id, peer.record.key));
        self.announce(core, id);
        self.roster.bury(now.mono, id);
    }

    /// Somebody speaks whom we do not know, or whose record changed: says HELLO to them, so that
    /// they answer with their record.
    pub fn ask(
        &mut self,
        core: &mut Core,
        now: Now,
        group: &Group,
        header: &Header,
        source: SocketAddr,
    ) {
        if !is_usable(core, source) || !self.may_ask(now, header.sender) {
            return;
        }
        self.hello_to(core, group, source);
    }

    fn may_ask(&mut self, now: Now, sender: ShortId) -> bool {
        let rested = |at: std::time::Instant| now.mono >= at + ASK_EVERY;
        if self.strangers.get(&sender).is_some_and(|&at| !rested(at)) {
            return false;
        }
        if self.strangers.len() >= STRANGERS_MAX {
            self.strangers.retain(|_, &mut at| !rested(at));
        }
        self.strangers.len() < STRANGERS_MAX
            && self.strangers.insert(sender, now.mono).is_none_or(rested)
    }

    /// Somebody with another version: shown, not talked with. Nothing of it is verified.
    pub fn handle_other_version(&mut self, core: &mut Core, now: Now, other: &OtherVersion) {
        let recent = |at: &std::time::Instant| now.mono < *at + STRANGER_REST;
        self.strangers.retain(|_, at| recent(at));
        let known = self.strangers.contains_key(&other.sender);
        if known
            || self.strangers.len() >= STRANGERS_MAX
            || self.roster.by_short(&other.sender).is_some()
        {
            return;
        }
        self.strangers.insert(other.sender, now.mono);
        // Only 8 bytes of the id are known; the rest stays zero.
        let mut id = [0; 32];
        id[..8].copy_from_slice(&other.sender.0);
        let id = PeerId(id);
        let name = other.name.as_str().to_owned();
        core.event(Event::Error {
            reference: None,
            code: "other_version".into(),
            message: format!("{name}: another lanchat version, cannot talk"),
            hint: Some("the same version on both sides can".into()),
        });
        core.event(Event::Peer {
            reference: None,
            peer: PeerRef {
                id,
                name,
                tag: id.tag(),
                verified: false,
            },
            state: PeerState::Online,
            status: Status::Available,
            status_text: format!("lanchat protocol {}", other.version),
            confirmed: false,
            incompatible: true,
            name_conflict: false,
            addresses: Vec::new(),
            rooms: Vec::new(),
            rtt_ms: None,
            transient: false,
        });
    }

    /// The host of this address said that nobody listens there.
    pub fn handle_unreachable(&mut self, core: &mut Core, now: Now, at: SocketAddr) {
        if !core.used_lately(now.mono, at) {
            return;
        }
        let holder = self
            .roster
            .iter()
            .find(|peer| peer.addresses.iter().any(|a| a.at == at));
        let Some(id) = holder.map(|peer| peer.id) else {
            return;
        };
        let Some(peer) = self.roster.get_mut(&id) else {
            return;
        };
        let is_current = peer.addresses.current() == Some(at);
        if !is_current {
            peer.addresses.failed(now.mono, at);
            self.announce(core, &id);
            return;
        }
        if peer.state == PeerState::Online
            && peer.probing.is_none_or(|probing| !probing.is_verdict())
        {
            peer.probing = Some(Probing::refused(now.mono, peer.rtt));
            self.wake_at(now.mono);
            self.set_state(core, &id, PeerState::Suspect);
        }
    }
}

/// Whether an address can be answered: a port, and not a group or a broadcast.
fn is_usable(core: &Core, source: SocketAddr) -> bool {
    let ip = source.ip();
    let own_socket = source.port() == core.config.chat_port && core.is_own_address(ip);
    source.port() != 0 && !ip.is_multicast() && !ip.is_unspecified() && !own_socket
}
