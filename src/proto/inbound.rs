//! Datagrams on their way in: told apart, parsed, admitted, verified, and only then acted on.

use super::Now;
use super::crypto::verify;
use super::direct::Direct;
use super::endpoint::Endpoint;
use super::gate::{Fingerprint, Sighting};
use super::group::{Source, ack::wants_ack, receive::Worth};
use super::presence::Heard;
use super::sabotage::{Sabotage, is_sabotaged};
use crate::datagram::{Arrival, canonical};
use crate::id::{PeerId, PublicKey, RoomTag};
use crate::limits::DATAGRAM_LEN_MAX;
use crate::wire::{self, Body, Entry, Header, Packet, Parsed, PeerRecord, Sealed};

/// A packet on its way through the checks.
pub(super) struct Inbound<'a> {
    pub(super) arrival: Arrival,
    bytes: &'a [u8],
    pub(super) header: Header,
    fingerprint: Fingerprint,
    /// Whether it came from a validated address of somebody.
    from_known: bool,
    /// The locked room whose key it was sealed with.
    sealed: Option<RoomTag>,
}

impl Inbound<'_> {
    fn heard(&self, id: PeerId) -> Heard {
        Heard {
            id,
            arrival: self.arrival,
            path: self.header.path,
            len: self.bytes.len(),
        }
    }
}

impl Endpoint {
    /// A datagram came in. QUIC is told from lanchat by its first byte.
    pub fn handle_datagram(&mut self, now: Now, mut arrival: Arrival, bytes: &[u8]) {
        self.core.mono = now.mono;
        self.core.stats.datagrams_in += 1;
        if !self.core.open {
            return;
        }
        self.catch_up(now);
        arrival.source = canonical(arrival.source);
        if Direct::is_quic(bytes) {
            self.direct.handle_datagram(now.mono, &arrival, bytes);
            self.pump(now);
            return;
        }
        let short = self.core.short();
        let is_own = bytes.get(wire::header::SENDER_RANGE) == Some(&short.0[..]);
        if is_own && self.is_own_loop(bytes) {
            self.core.stats.own += 1;
            self.presence.observe(&self.core, &arrival, path_of(bytes));
            return;
        }
        if bytes.len() > DATAGRAM_LEN_MAX {
            self.core.stats.malformed += 1;
            return;
        }
        match self.gate.sight(bytes) {
            Sighting::Copy(of) => self.handle_copy(now, arrival, bytes, of),
            Sighting::New(fingerprint) => self.handle_new(now, arrival, bytes, fingerprint),
        }
        self.follow_up(now);
    }

    /// A copy of a packet of this run, back by multicast loop or broadcast.
    fn is_own_loop(&self, bytes: &[u8]) -> bool {
        bytes.get(wire::header::INCARNATION_RANGE)
            == Some(&self.core.incarnation.0.to_be_bytes()[..])
    }

    /// The same bytes again: only where they came from, and by which path, is news.
    fn handle_copy(&mut self, now: Now, arrival: Arrival, bytes: &[u8], of: Fingerprint) {
        self.core.stats.copies += 1;
        let owner = self.gate.owner(now.mono, of);
        let owner = owner.and_then(|short| self.presence.roster.by_short(&short));
        let (Some(id), Some(path)) = (owner.map(|peer| peer.id), path_of(bytes)) else {
            return;
        };
        let heard = Heard {
            id,
            arrival,
            path,
            len: bytes.len(),
        };
        self.count_path(now, of, &heard);
        self.presence.sighted(&mut self.core, now, &heard);
    }

    /// Counts the path by which a packet came, once.
    fn count_path(&mut self, now: Now, of: Fingerprint, heard: &Heard) {
        if let Some(link) = heard.arrival.link
            && self.gate.is_first_by(of, link, heard.path)
        {
            self.presence.count_path(now, heard, link);
        }
    }

    fn handle_new(&mut self, now: Now, arrival: Arrival, bytes: &[u8], fingerprint: Fingerprint) {
        let packet = match wire::parse(bytes) {
            Ok(Parsed::Packet(packet)) => packet,
            Ok(Parsed::OtherVersion(other)) => {
                self.core.stats.other_version += 1;
                if self.gate.admit_source(now.mono, arrival.source, false) {
                    let sender = (other.sender, path_of(bytes));
                    self.presence
                        .observe_stranger(&self.core, &arrival, sender, Some(&other));
                    self.presence
                        .handle_other_version(&mut self.core, now, &other);
                }
                return;
            }
            Err(cause) => {
                self.core.stats.malformed += 1;
                tracing::trace!(%cause, source = %arrival.source, "dropped");
                return;
            }
        };
        let known = self.presence.is_known_source(arrival.source);
        if !self.gate.admit_source(now.mono, arrival.source, known) {
            self.core.stats.limited += 1;
            return;
        }
        let Packet { header, body } = packet;
        let inbound = Inbound {
            arrival,
            bytes,
            header,
            fingerprint,
            from_known: known,
            sealed: None,
        };
        match body {
            Body::Sealed(sealed) => self.handle_sealed(now, &inbound, &sealed),
            body => self.handle_body(now, &inbound, body),
        }
    }

    /// A packet of a locked room; who has no key drops it.
    fn handle_sealed(&mut self, now: Now, inbound: &Inbound, sealed: &Sealed) {
        let Some(seal) = self.group.seal(&sealed.room) else {
            return;
        };
        let opened = match wire::open(sealed, &inbound.header, seal) {
            Ok(opened) => opened,
            Err(cause) => {
                self.core.stats.bad_signature += 1;
                tracing::trace!(%cause, source = %inbound.arrival.source, "not opened");
                return;
            }
        };
        let inner = Inbound {
            bytes: &opened.bytes,
            sealed: Some(sealed.room),
            ..*inbound
        };
        self.handle_body(now, &inner, opened.body);
    }

    /// What a packet says, sealed or not. Of a locked room only what is sealed counts.
    fn handle_body(&mut self, now: Now, inbound: &Inbound, body: Body) {
        let of = match &body {
            Body::Data(entry) => Some(entry.room),
            Body::Heads(heads) => Some(heads.room),
            Body::Nack(nack) => Some(nack.room),
            Body::Ack(ack) => Some(ack.room),
            _ => None,
        };
        let is_open = inbound.sealed.is_none();
        if is_open && of.is_some_and(|room| self.group.is_locked(&room)) {
            self.core.stats.malformed += 1;
            return;
        }
        match body {
            Body::Data(entry) => self.handle_entry(now, inbound, entry, Source::Live),
            Body::Repair(repair) => {
                for entry in repair.entries {
                    if !is_open || !self.group.is_locked(&entry.room) {
                        self.handle_entry(now, inbound, entry, Source::Repair);
                    }
                }
            }
            // Nothing is sealed twice.
            Body::Sealed(_) => {}
            body => self.handle_signed(now, inbound, body),
        }
    }

    /// A packet with a signature of its own.
    fn handle_signed(&mut self, now: Now, inbound: &Inbound, body: Body) {
        if let Body::SyncResponse(response) = &body {
            self.look_for_own_past(now, &response.records);
        }
        let record = match &body {
            Body::Hello(hello) => Some(&hello.record),
            Body::Welcome(welcome) => Some(&welcome.record),
            _ => None,
        };
        let sender = inbound.header.sender;
        let held = self.presence.roster.by_short(&sender);
        let held = held.map(|peer| (peer.key(), peer.id));
        let identity = &self.core.identity;
        let own = Some((identity.public(), identity.id())).filter(|_| sender == self.core.short());
        let told = record.map(|record| match held {
            Some((key, id)) if key == record.key => (key, id),
            _ => (record.key, record.key.id()),
        });
        let Some((key, id)) = told.or(held).or(own) else {
            self.core.stats.unknown_sender += 1;
            if matches!(body, Body::Heartbeat(_) | Body::Probe(_)) {
                let from = (sender, Some(inbound.header.path));
                self.presence
                    .observe_stranger(&self.core, &inbound.arrival, from, None);
                self.presence
                    .observe(&self.core, &inbound.arrival, Some(inbound.header.path));
                self.ask(now, inbound.arrival.source, inbound.bytes.len());
            }
            return;
        };
        let is_known = held.is_some_and(|(of, _)| of == key);
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
        let Some(peer) = self.presence.roster.get_mut(&id) else {
            return;
        };
        let any_run = is_sabotaged(Sabotage::GoodbyeOfAnyRun) && matches!(body, Body::Goodbye(_));
        if peer.record.incarnation != inbound.header.incarnation && !any_run {
            // Of a past run, or of a new one whose record is not known yet.
            if inbound.header.incarnation > peer.record.incarnation {
                self.ask(now, inbound.arrival.source, inbound.bytes.len());
            } else {
                self.core.stats.replayed += 1;
            }
            return;
        }
        let marked = is_sabotaged(Sabotage::DedupBeforeVerify);
        if !marked && !peer.window.accept(inbound.header.sequence) {
            self.core.stats.replayed += 1;
            return;
        }
        let heard = inbound.heard(id);
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
            self.count_path(now, inbound.fingerprint, &heard);
        }
        let is_missed = is_sabotaged(Sabotage::AliveIgnored) && matches!(body, Body::Alive(_));
        if !is_missed {
            self.presence.heard(&mut self.core, now, &heard);
        }
        self.act(now, &heard, body);
    }

    /// Marks a sequence number too early, as only a sabotaged node does.
    fn is_fresh(&mut self, inbound: &Inbound, id: &PeerId) -> bool {
        let peer = self.presence.roster.get_mut(id);
        peer.is_none_or(|peer| {
            peer.record.incarnation != inbound.header.incarnation
                || peer.window.accept(inbound.header.sequence)
        })
    }

    /// Somebody speaks whom we do not know, or of whom we hold another record.
    fn ask(&mut self, now: Now, source: std::net::SocketAddr, len: usize) {
        self.presence
            .ask(&mut self.core, now, &self.group, (source, len), None);
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
        let packet_ok = || signed.is_some_and(|(signature, input)| verify(key, &input, &signature));
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

    /// A packet of a peer, genuine and fresh.
    fn act(&mut self, now: Now, heard: &Heard, body: Body) {
        let id = heard.id;
        let on = self.core.network_from(&heard.arrival);
        match body {
            Body::Hello(hello) => {
                self.presence
                    .handle_hello(&mut self.core, now, heard, &hello);
                let (group, mut cx) = self.group_cx(now);
                group.learn_logs(&mut cx, &id, on, &hello.logs);
            }
            Body::Welcome(welcome) => {
                self.presence
                    .handle_welcome(&mut self.core, now, heard, &welcome);
                let (group, mut cx) = self.group_cx(now);
                group.learn_logs(&mut cx, &id, on, &welcome.logs);
            }
            Body::Heartbeat(heartbeat) => {
                if self
                    .presence
                    .handle_heartbeat(&mut self.core, now, heard, &heartbeat)
                {
                    let from = (heard.arrival.source, heard.len);
                    self.presence
                        .ask(&mut self.core, now, &self.group, from, Some(&id));
                }
                let (group, mut cx) = self.group_cx(now);
                group.learn_digests(&mut cx, &id, on, &heartbeat.rooms);
                self.sync_compare(now, (&id, on), &heartbeat.rooms);
            }
            Body::Goodbye(_) => self.presence.handle_goodbye(&mut self.core, now, &id),
            Body::Probe(probe) => self
                .presence
                .handle_probe(&mut self.core, now, heard, &probe),
            Body::ProbeAck(ack) => {
                self.presence
                    .handle_probe_ack(&mut self.core, now, heard, &ack);
            }
            Body::Heads(heads) => {
                let (group, mut cx) = self.group_cx(now);
                group.handle_heads(&mut cx, &id, on, &heads);
            }
            Body::Nack(nack) => {
                if self.presence.is_validated(&id, heard.arrival.source) {
                    let (group, mut cx) = self.group_cx(now);
                    group.handle_nack(&mut cx, heard, &nack);
                }
            }
            Body::Ack(ack) => {
                let came_by = self.core.network_from(&heard.arrival);
                let (group, mut cx) = self.group_cx(now);
                group.handle_ack(&mut cx, &id, came_by, &ack);
            }
            Body::ProbeRequest(request) => {
                self.presence
                    .handle_probe_request(&mut self.core, now, heard, &request);
            }
            Body::ProbeReport(report) => {
                self.presence
                    .handle_probe_report(&mut self.core, now, heard, &report);
            }
            Body::Suspect(suspect) => {
                self.presence
                    .handle_suspect(&mut self.core, now, heard, &suspect);
            }
            // A sign of life like any other, and taken as one above.
            Body::Alive(_) => {}
            Body::SyncRequest(_) | Body::SyncResponse(_) | Body::SyncChallenge(_) => {
                self.presence
                    .handle_sync(&mut self.core, &mut self.gate, now, heard, &body);
            }
            Body::RoomBeacon(beacon) => {
                let (group, mut cx) = self.group_cx(now);
                group.handle_beacon(&mut cx, &id, &beacon);
            }
            Body::Data(_) | Body::Repair(_) | Body::Sealed(_) => {}
        }
    }

    /// An entry: genuine if its author signed it, whoever sent it.
    fn handle_entry(&mut self, now: Now, inbound: &Inbound, entry: Entry, source: Source) {
        let own = self.core.identity.id();
        let worth = self.group.worth(&own, &entry);
        let author = entry.author_id();
        match worth {
            Worth::No => {
                let is_of_author = self.group.has_author(&entry.room, &author);
                if entry.redacted && is_of_author && self.is_signed(now, inbound, &entry) {
                    let (group, mut cx) = self.group_cx(now);
                    group.doubt_stub(&mut cx, &entry);
                }
                return;
            }
            Worth::Held => {
                if wants_ack(&inbound.arrival) {
                    let (group, mut cx) = self.group_cx(now);
                    group.held_again(&mut cx, &entry);
                }
                return;
            }
            Worth::New | Worth::Fork | Worth::OwnBeyond => {}
        }
        // What is above its author's share is asked for once it has some of it left.
        if worth == Worth::New && !self.group.may_say(now, &author) {
            self.core.stats.limited += 1;
            return;
        }
        if !self.is_signed(now, inbound, &entry) {
            return;
        }
        // Whose datagram it was is not signed, so a copy of it tells nothing of where it is from.
        self.gate.remember(now.mono, inbound.fingerprint, None);
        let met = inbound.from_known
            || worth == Worth::OwnBeyond
            || self.presence.roster.get(&author).is_some()
            || self.group.has_author(&entry.room, &author);
        if !met
            && !self
                .gate
                .admit_identity(now.mono, inbound.arrival.source.ip())
        {
            self.core.stats.limited += 1;
            return;
        }
        if worth == Worth::OwnBeyond {
            let (group, mut cx) = self.group_cx(now);
            group.abandon_epoch(&mut cx, &entry);
            return;
        }
        let told_on = self.core.network_from(&inbound.arrival);
        let copy = entry.clone();
        let (group, mut cx) = self.group_cx(now);
        group.take_in(&mut cx, vec![entry], source, told_on);
        // Whoever says again what somebody else once said must not use up their share.
        let peer = self.presence.roster.get(&author);
        let from = inbound.arrival.source;
        let by_author = peer.is_some_and(|peer| peer.addresses.is_validated(from));
        if by_author || self.group.worth(&own, &copy) == Worth::Held {
            self.group.said(now, &author);
            if inbound.arrival.presence_port {
                let from = (&author, from.ip());
                self.group.sent(now, from, inbound.bytes.len());
            }
        }
    }

    /// Whether the author of an entry signed it, as far as there is time to look.
    fn is_signed(&mut self, now: Now, inbound: &Inbound, entry: &Entry) -> bool {
        // Anybody can name a known author; nobody can pose as a validated address but who is
        // on the way to it.
        if !self.gate.admit_check(now.mono, inbound.from_known) {
            self.core.stats.limited += 1;
            return false;
        }
        let Some(room) = self.group.room_id(&entry.room) else {
            return false;
        };
        self.core.stats.verified += 1;
        let genuine = verify(
            &entry.author,
            &entry.signing_input(&room),
            &entry.signature(),
        );
        if !genuine && !is_sabotaged(Sabotage::EntryUnverified) {
            self.core.stats.bad_signature += 1;
            return false;
        }
        true
    }
}

/// The path that the header names; a hint, it is not signed.
fn path_of(bytes: &[u8]) -> Option<crate::datagram::Path> {
    let byte = bytes.get(wire::header::PATH_OFFSET).copied();
    byte.and_then(crate::datagram::Path::from_byte)
}

impl Inbound<'_> {
    fn signing_input(&self) -> Option<Vec<u8>> {
        let kind = wire::header::Kind::from_byte(*self.bytes.get(2)?)?;
        wire::signing_input(kind, self.bytes)
    }
}
