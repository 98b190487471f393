//! Entries of rooms, as their author signed them: each is taken for what it is worth, whoever sent it.

use super::Inbound;
use crate::proto::Now;
use crate::proto::endpoint::Endpoint;
use crate::proto::group::{Source, ack::wants_ack, receive::Worth};
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::wire::Entry;

impl Endpoint {
    /// An entry: genuine if its author signed it, whoever sent it.
    pub(super) fn handle_entry(
        &mut self,
        now: Now,
        inbound: &Inbound,
        entry: Entry,
        source: Source,
    ) {
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
        // Whoever says again what somebody else once said must not use up their share.
        let peer = self.presence.roster.get(&author);
        let from = inbound.arrival.source;
        let by_author = peer.is_some_and(|peer| peer.addresses.is_validated(from));
        let copy = (!by_author).then(|| entry.clone());
        let (group, mut cx) = self.group_cx(now);
        group.take_in(&mut cx, vec![entry], source, told_on);
        if copy.is_none_or(|copy| self.group.worth(&own, &copy) == Worth::Held) {
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
        let genuine = self.keys.verify(
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
