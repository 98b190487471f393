//! Packets with a signature of their own: whose they are, whether they are genuine, and whether they are
//! new.

use super::Inbound;
use crate::id::{PeerId, PublicKey};
use crate::proto::Now;
use crate::proto::crypto::verify;
use crate::proto::endpoint::Endpoint;
use crate::proto::presence::Heard;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::wire::{self, Body, PeerRecord};

impl Endpoint {
    /// A packet with a signature of its own.
    pub(super) fn handle_signed(&mut self, now: Now, inbound: &Inbound, body: Body) {
        if let Body::SyncResponse(response) = &body {
            self.look_for_own_past(now, &response.records);
        }
        let record = match &body {
            Body::Hello(hello) => Some(&hello.record),
            Body::Welcome(welcome) => Some(&welcome.record),
            _ => None,
        };
        let Some(((key, id), is_known)) = self.signer(inbound, record) else {
            return self.handle_unknown(now, inbound, &body);
        };
        if is_sabotaged(Sabotage::DedupBeforeVerify) && !self.is_fresh(inbound, &id) {
            return;
        }
        if matches!(body, Body::Heads(_)) && !self.group.may_send(now, &id) {
            self.core.stats.limited += 1;
            return;
        }
        if !self.is_genuine(now, inbound, (&key, &id), record, is_known) {
            return;
        }
        if key == self.core.identity.public() {
            self.handle_own_key(now, inbound);
            return;
        }
        if let Some(record) = record
            && !self.take_record(now, inbound, record, is_known)
        {
            if let Body::Hello(hello) = &body {
                let from = (inbound.arrival.source, inbound.bytes.len());
                self.presence
                    .tell_later_run(&mut self.core, now, hello, from);
            }
            return;
        }
        if !self.is_current(now, inbound, &id, &body) {
            return;
        }
        let heard = inbound.heard(id);
        self.take_sign(now, inbound, &heard, &body);
        self.act(now, &heard, body);
    }

    /// Whose key the packet has to be signed with, and whether they are known by it.
    fn signer(
        &self,
        inbound: &Inbound,
        record: Option<&PeerRecord>,
    ) -> Option<((PublicKey, PeerId), bool)> {
        let sender = inbound.header.sender;
        let held = self.presence.roster.by_short(&sender);
        let held = held.map(|peer| (peer.key(), peer.id));
        let identity = &self.core.identity;
        let own = Some((identity.public(), identity.id())).filter(|_| sender == self.core.short());
        let told = record.map(|record| match held {
            Some((key, id)) if key == record.key => (key, id),
            _ => (record.key, record.key.id()),
        });
        let (key, id) = told.or(held).or(own)?;
        let is_known = held.is_some_and(|(of, _)| of == key);
        Some(((key, id), is_known))
    }

    /// A packet of somebody whose key is not known: nothing of it can be checked.
    fn handle_unknown(&mut self, now: Now, inbound: &Inbound, body: &Body) {
        self.core.stats.unknown_sender += 1;
        if matches!(body, Body::Heartbeat(_) | Body::Probe(_)) {
            let from = (inbound.header.sender, Some(inbound.header.path));
            self.presence
                .observe_stranger(&self.core, &inbound.arrival, from, None);
            self.presence
                .observe(&self.core, &inbound.arrival, Some(inbound.header.path));
            self.ask(now, inbound.arrival.source, inbound.bytes.len());
        }
    }

    /// Whether a packet's signatures hold: its own, and its record's where it is new.
    fn is_genuine(
        &mut self,
        now: Now,
        inbound: &Inbound,
        (key, id): (&PublicKey, &PeerId),
        record: Option<&PeerRecord>,
        known: bool,
    ) -> bool {
        // Names and keys are public: only where a packet comes from tells that it may be theirs.
        let source = inbound.arrival.source;
        let known = known && self.presence.is_validated(id, source);
        if !self.gate.admit_check(now.mono, known) {
            self.core.stats.limited += 1;
            return false;
        }
        let kind_ok = id.short() == inbound.header.sender
            && record.is_none_or(|record| record.incarnation == inbound.header.incarnation);
        let held = self.presence.roster.get(id);
        let is_held =
            |record: &PeerRecord| held.is_some_and(|peer| peer.record.bytes == record.bytes);
        let signed = wire::signature(inbound.bytes).zip(inbound.signing_input());
        let keys = &mut self.keys;
        let packet_ok =
            || signed.is_some_and(|(signature, input)| keys.verify(key, &input, &signature));
        self.core.stats.verified += 1;
        let record_ok = |record: &PeerRecord| {
            is_held(record) || verify(key, &record.signing_input(), &record.signature())
        };
        let genuine = kind_ok && packet_ok() && record.is_none_or(record_ok);
        if !genuine {
            self.core.stats.bad_signature += 1;
        }
        genuine
    }

    /// Takes in a verified record; whether its sender may go on.
    fn take_record(
        &mut self,
        now: Now,
        inbound: &Inbound,
        record: &PeerRecord,
        known: bool,
    ) -> bool {
        if !known
            && !self
                .gate
                .admit_identity(now.mono, inbound.arrival.source.ip())
        {
            self.core.stats.limited += 1;
            return false;
        }
        self.presence.merge(&mut self.core, now, record)
    }

    /// Whether a genuine packet is of the run of its sender that is known, and came for the first time.
    fn is_current(&mut self, now: Now, inbound: &Inbound, id: &PeerId, body: &Body) -> bool {
        let Some(peer) = self.presence.roster.get_mut(id) else {
            return false;
        };
        let any_run = is_sabotaged(Sabotage::GoodbyeOfAnyRun) && matches!(body, Body::Goodbye(_));
        if peer.record.incarnation != inbound.header.incarnation && !any_run {
            // Of a past run, or of a new one whose record is not known yet.
            if inbound.header.incarnation > peer.record.incarnation {
                self.ask(now, inbound.arrival.source, inbound.bytes.len());
            } else {
                self.core.stats.replayed += 1;
            }
            return false;
        }
        let marked = is_sabotaged(Sabotage::DedupBeforeVerify);
        if !marked && !peer.window.accept(inbound.header.sequence) {
            self.core.stats.replayed += 1;
            return false;
        }
        true
    }

    /// Marks a sequence number too early, as only a sabotaged node does.
    fn is_fresh(&mut self, inbound: &Inbound, id: &PeerId) -> bool {
        let peer = self.presence.roster.get_mut(id);
        peer.is_none_or(|peer| {
            peer.record.incarnation != inbound.header.incarnation
                || peer.window.accept(inbound.header.sequence)
        })
    }

    /// What every packet tells, genuine and fresh: that its sender lives, and which way it came.
    fn take_sign(&mut self, now: Now, inbound: &Inbound, heard: &Heard, body: &Body) {
        let id = heard.id;
        // Sealed ones are not counted by who sends them, since few can tell whose they are.
        let owner = inbound.sealed.is_none().then_some(id);
        self.gate.remember(now.mono, inbound.fingerprint, owner);
        if inbound.arrival.presence_port {
            let from = inbound.arrival.source.ip();
            self.group.sent(now, (&id, from), inbound.bytes.len());
        }
        if let Some(room) = &inbound.sealed {
            let (group, mut cx) = self.group_cx(now);
            group.proves(&mut cx, &id, room);
        } else {
            self.count_path(now, inbound.fingerprint, heard);
        }
        let is_missed = is_sabotaged(Sabotage::AliveIgnored) && matches!(body, Body::Alive(_));
        if !is_missed {
            self.presence.heard(&mut self.core, now, heard);
        }
    }

    /// Somebody speaks whom we do not know, or of whom we hold another record.
    fn ask(&mut self, now: Now, source: std::net::SocketAddr, len: usize) {
        self.presence
            .ask(&mut self.core, now, &self.group, (source, len), None);
    }
}
