//! What the own key signed in another run: an own past, or a copied identity.

use super::Now;
use super::crypto::verify;
use super::endpoint::Endpoint;
use super::inbound::Inbound;
use crate::api::Event;
use crate::id::Incarnation;
use crate::wire::sync::Relayed;

impl Endpoint {
    /// Whoever hands us a record of a later run of our own, relayed or replayed, is right: this
    /// node jumps above it.
    pub(super) fn look_for_own_past(&mut self, now: Now, records: &[Relayed]) {
        let own = self.core.identity.public();
        let mut records = records.iter().map(|relayed| &relayed.record);
        let past = records.find(|record| record.key == own);
        let Some(past) = past.filter(|past| past.incarnation > self.core.incarnation) else {
            return;
        };
        if self.presence.is_leaving() || !self.gate.admit_check(now.mono, false) {
            return;
        }
        self.core.stats.verified += 1;
        if !verify(&own, &past.signing_input(), &past.signature()) {
            self.core.stats.bad_signature += 1;
        } else if self.presence.may_jump(&self.core, past.incarnation) {
            let next = Incarnation(past.incarnation.0.saturating_add(1));
            self.renew(now, next);
        }
    }

    /// A packet signed by our own key, of another run.
    pub(super) fn handle_own_key(&mut self, now: Now, inbound: &Inbound) {
        let theirs = inbound.header.incarnation;
        if theirs <= self.core.incarnation {
            // Our own past.
            self.core.stats.own += 1;
            return;
        }
        if self.presence.is_leaving() {
            return;
        }
        self.doubles += 1;
        if self.doubles == 1 {
            // A clock that was set back: one jump above it settles that.
            let next = Incarnation(theirs.0.saturating_add(1));
            self.renew(now, next);
            return;
        }
        let source = inbound.arrival.source;
        self.core.event(Event::Error {
            reference: None,
            code: "copied_identity".into(),
            message: format!("this identity also runs at {source}; this node is silent now"),
            hint: Some("give each node its own data directory, never a copy of one".into()),
        });
        let (private, mut cx) = self.private_cx(now);
        private.close_all(&mut cx);
        self.pump(now);
        self.core.open = false;
    }
}
