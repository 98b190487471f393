//! Datagrams on their way in: told apart, parsed, admitted, verified, and only then acted on.

mod act;
mod entries;
mod signed;

use super::Now;
use super::direct::Direct;
use super::endpoint::Endpoint;
use super::gate::{Fingerprint, Sighting};
use super::group::Source;
use super::presence::Heard;
use crate::datagram::{Arrival, canonical};
use crate::id::{PeerId, RoomTag};
use crate::limits::DATAGRAM_LEN_MAX;
use crate::wire::{self, Body, Header, Packet, Parsed, Sealed};

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

    fn signing_input(&self) -> Option<Vec<u8>> {
        let kind = wire::header::Kind::from_byte(*self.bytes.get(2)?)?;
        wire::signing_input(kind, self.bytes)
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
}

/// The path that the header names; a hint, it is not signed.
fn path_of(bytes: &[u8]) -> Option<crate::datagram::Path> {
    let byte = bytes.get(wire::header::PATH_OFFSET).copied();
    byte.and_then(crate::datagram::Path::from_byte)
}
