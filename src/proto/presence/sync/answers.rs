//! What comes back of a request: a challenge, or a page of records, after which it goes on.

use super::{Pending, RTO, Responder};
use crate::proto::Now;
use crate::proto::core::Core;
use crate::proto::gate::Gate;
use crate::proto::presence::hearsay::{Learnt, Source};
use crate::proto::presence::{Heard, Presence};
use crate::wire::sync::{Relayed, SyncChallenge, SyncResponse, Want};
use crate::wire::{Body, Digest};

impl Presence {
    /// One of the three packets of an exchange.
    pub fn handle_sync(
        &mut self,
        core: &mut Core,
        gate: &mut Gate,
        now: Now,
        heard: &Heard,
        body: &Body,
    ) {
        match body {
            Body::SyncRequest(request) => self.handle_sync_request(core, now, heard, request),
            Body::SyncResponse(page) => self.handle_sync_response(core, gate, now, heard, page),
            Body::SyncChallenge(proof) => self.handle_sync_challenge(core, now, heard, proof),
            _ => {}
        }
    }

    /// Somebody wants a token with the request.
    fn handle_sync_challenge(
        &mut self,
        core: &mut Core,
        now: Now,
        heard: &Heard,
        challenge: &SyncChallenge,
    ) {
        let is_asked = |with: &Responder| with.id == heard.id && with.to == heard.arrival.source;
        let echoes = |pending: &Pending| pending.nonce == challenge.echo;
        if let Some(exchange) = self.sync.exchange.as_mut()
            && is_asked(&exchange.with)
            && let Some(part) = exchange.parts.iter_mut().find(|part| echoes(part))
        {
            exchange.with.token.clone_from(&challenge.token);
            part.next = now.mono;
            self.send_parts(core, now.mono);
            return;
        }
        let mut ids = self.sync.ids.iter_mut();
        if let Some((with, pending)) = ids.find(|(with, pending)| is_asked(with) && echoes(pending))
        {
            with.token.clone_from(&challenge.token);
            pending.next = now.mono;
            self.send_ids(core, now.mono);
        }
    }

    /// A page of records that this node asked for.
    fn handle_sync_response(
        &mut self,
        core: &mut Core,
        gate: &mut Gate,
        now: Now,
        heard: &Heard,
        response: &SyncResponse,
    ) {
        let is_asked = |with: &Responder| with.id == heard.id && with.to == heard.arrival.source;
        let echoes = |pending: &Pending| pending.nonce == response.echo;
        let exchange = self.sync.exchange.as_ref();
        let part = exchange
            .filter(|exchange| is_asked(&exchange.with))
            .and_then(|exchange| exchange.parts.iter().position(echoes));
        let mut ids = self.sync.ids.iter();
        let ids = ids.position(|(with, pending)| is_asked(with) && echoes(pending));
        if part.is_none() && ids.is_none() {
            return;
        }
        let link = Self::link_of(core, &heard.arrival).cloned();
        let ip = heard.arrival.source.ip();
        let from = Source {
            link: link.as_ref(),
            named: core.config.peers.iter().any(|peer| peer.ip() == ip),
        };
        let pending = part
            .and_then(|at| exchange.map(|exchange| &exchange.parts[at]))
            .or_else(|| ids.map(|at| &self.sync.ids[at].1));
        let want = pending.map(|pending| pending.want.clone());
        let is_wanted =
            |relayed: &&Relayed| want.as_ref().is_some_and(|want| asks_for(want, relayed));
        let mut gained = false;
        for relayed in response.records.iter().filter(is_wanted) {
            match self.learn(core, gate, now, from, relayed) {
                Learnt::News => gained = true,
                Learnt::Nothing => {}
                // Asked for again later.
                Learnt::Busy => return,
                Learnt::Forged => {
                    self.end_exchange(core, now, heard, response.digest);
                    return;
                }
            }
        }
        if let Some(index) = ids {
            self.sync.ids.remove(index);
        }
        if let Some(index) = part {
            self.next_page(core, now, index, response, gained);
        }
    }

    /// A part goes on where its page ended.
    fn next_page(
        &mut self,
        core: &mut Core,
        now: Now,
        index: usize,
        response: &SyncResponse,
        gained: bool,
    ) {
        let Some(exchange) = self.sync.exchange.as_mut() else {
            return;
        };
        exchange.gained |= gained;
        exchange.with.digest = response.digest;
        let part = &mut exchange.parts[index];
        let goes_on = match (&mut part.want, response.next) {
            // A page without a record, or one that leads back, would have no end.
            (Want::Range { first, last, .. }, Some(next))
                if next > *first && next <= *last && !response.records.is_empty() =>
            {
                *first = next;
                true
            }
            _ => false,
        };
        if goes_on {
            part.nonce = core.nonce();
            (part.tries, part.next) = (0, now.mono);
        } else {
            exchange.parts.swap_remove(index);
        }
        if exchange.parts.is_empty() {
            let done = self.sync.exchange.take();
            if let Some(done) = done.filter(|done| !done.gained) {
                let mine = self.known_on(done.with.link).digest();
                self.sync.note_barren(done.with.id, done.with.digest, mine);
            }
            return;
        }
        self.send_parts(core, now.mono);
    }

    /// Whoever passes on forgeries is not asked again until its roster changes.
    fn end_exchange(&mut self, core: &Core, now: Now, heard: &Heard, theirs: Digest) {
        tracing::warn!(source = %heard.arrival.source, "a forged record in a SYNC RESPONSE");
        self.sync.ids.retain(|(with, _)| with.id != heard.id);
        self.sync.greeters.retain(|with| with.id != heard.id);
        let link = Self::link_of(core, &heard.arrival).map(|link| link.id);
        let mine = self.known_on(link).digest();
        self.sync.note_barren(heard.id, theirs, mine);
        let ended = self
            .sync
            .exchange
            .take_if(|exchange| exchange.with.id == heard.id);
        // Others are asked instead.
        if ended.is_some()
            && let Some(other) = self.sync.greeters.front().cloned()
        {
            self.sync.plan = Some((now.mono + RTO, other));
        }
    }
}

/// Whether a record is one of those that were asked for.
fn asks_for(want: &Want, relayed: &Relayed) -> bool {
    let id = relayed.record.key.id().short();
    match want {
        Want::Ids(ids) => ids.contains(&id),
        Want::Range { first, last, .. } => (*first..=*last).contains(&id),
    }
}
