//! Two rosters become one: requests and what comes back. One peer is asked at a time, by several
//! parts of the range of ids at once. Why and when: `compare.rs`. What is answered: `page.rs`.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::hearsay::{Learnt, Source};
use super::token::Tokens;
use super::{Heard, Presence};
use crate::datagram::LinkId;
use crate::id::{Nonce, PeerId, ShortId};
use crate::limits::{SYNC_BUCKETS_MAX, SYNC_IDS_MAX, SYNC_RECORDS_MAX};
use crate::proto::Now;
use crate::proto::bucket::Bucket;
use crate::proto::core::Core;
use crate::proto::gate::Gate;
use crate::wire::sync::{Relayed, SyncChallenge, SyncRequest, SyncResponse, Want};
use crate::wire::{Body, Digest};

/// Requests under way at once.
const PARTS: usize = 8;
/// Before a request goes out again.
const RTO: Duration = Duration::from_millis(100);
/// Times that a request goes out, a challenge's answer included.
const TRIES: u8 = 4;
/// Peers that one exchange asks in turn.
const RESPONDERS: usize = 3;
/// Exchanges begun a second, and at once.
const EXCHANGE_RATE: u32 = 1;
const EXCHANGE_BURST: u32 = 4;
/// Requests for single ids a second, and at once.
const IDS_RATE: u32 = 8;
/// Such requests under way at once.
const IDS_PENDING_MAX: usize = 4;
/// Fruitless exchanges remembered.
const BARREN_MAX: usize = 256;
/// Whom to ask.
#[derive(Clone, Debug)]
pub(super) struct Responder {
    pub(super) id: PeerId,
    pub(super) to: SocketAddr,
    pub(super) link: Option<LinkId>,
    pub(super) token: Vec<u8>,
    pub(super) digest: Digest,
}

/// A request under way.
#[derive(Clone, Debug)]
struct Pending {
    nonce: Nonce,
    want: Want,
    tries: u8,
    /// When it goes out, again or for the first time.
    next: Instant,
    /// The address has to be validated before it may go out.
    held: bool,
}

/// One roster being compared with ours.
pub(super) struct Exchange {
    with: Responder,
    parts: Vec<Pending>,
    gained: bool,
    /// Whom it asked and who did not answer.
    silent: Vec<PeerId>,
}

/// What this node asks others for, and how it knows whom to answer.
pub(super) struct Sync {
    pub(super) tokens: Tokens,
    pub(super) plan: Option<(Instant, Responder)>,
    pub(super) exchange: Option<Exchange>,
    ids: VecDeque<(Responder, Pending)>,
    pub(super) greeters: VecDeque<Responder>,
    /// What they had and what was known here when an exchange brought nothing.
    barren: BTreeMap<PeerId, (Digest, Digest)>,
    /// The last heartbeat's digest that was not ours.
    pub(super) differing: Option<(PeerId, Digest)>,
    rate: Bucket,
    ids_rate: Bucket,
}

impl Sync {
    pub(super) fn new(now: Instant, secret: [u8; 32]) -> Self {
        Sync {
            tokens: Tokens::new(now, secret),
            plan: None,
            exchange: None,
            ids: VecDeque::new(),
            greeters: VecDeque::new(),
            barren: BTreeMap::new(),
            differing: None,
            rate: Bucket::new(now, EXCHANGE_RATE, EXCHANGE_BURST),
            ids_rate: Bucket::new(now, IDS_RATE, IDS_RATE),
        }
    }

    /// When a request is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let parts = self.exchange.iter().flat_map(|exchange| &exchange.parts);
        let ids = self.ids.iter().map(|(_, pending)| pending);
        let pending = parts.chain(ids).map(|pending| pending.next);
        let plan = self.plan.as_ref().map(|(at, _)| *at);
        pending.chain(plan).min()
    }

    pub(super) fn is_barren(&self, with: &PeerId, theirs: Digest, mine: Digest) -> bool {
        self.barren.get(with) == Some(&(theirs, mine))
    }

    fn note_barren(&mut self, with: PeerId, theirs: Digest, mine: Digest) {
        if self.barren.len() >= BARREN_MAX && !self.barren.contains_key(&with) {
            self.barren.pop_first();
        }
        self.barren.insert(with, (theirs, mine));
    }
}

impl Presence {
    /// Asks for the records of single ids.
    pub(super) fn ask_for(
        &mut self,
        core: &mut Core,
        now: Now,
        with: Responder,
        mut ids: Vec<ShortId>,
    ) {
        let is_asked = |id: &ShortId| {
            let mut wants = self.sync.ids.iter().map(|(_, pending)| &pending.want);
            wants.any(|want| matches!(want, Want::Ids(ids) if ids.contains(id)))
        };
        ids.retain(|id| !is_asked(id));
        ids.truncate(SYNC_IDS_MAX);
        let full = self.sync.ids.len() >= IDS_PENDING_MAX;
        if ids.is_empty() || full || !self.sync.ids_rate.take(now.mono, 1) {
            return;
        }
        let pending = Pending {
            nonce: core.nonce(),
            want: Want::Ids(ids),
            tries: 0,
            next: now.mono,
            held: false,
        };
        self.sync.ids.push_back((with, pending));
        self.send_ids(core, now.mono);
    }

    /// Begins to compare rosters with one peer.
    pub(super) fn start_exchange(&mut self, core: &mut Core, now: Now, with: Responder) {
        if !self.sync.rate.take(now.mono, 1) {
            let at = self.sync.rate.ready_at(now.mono);
            self.sync.plan = Some((at, with));
            return;
        }
        self.sync.plan = None;
        let known = self.known_on(with.link);
        let theirs = usize::try_from(with.digest.count).unwrap_or(usize::MAX);
        let mine = usize::try_from(known.digest().count).unwrap_or(usize::MAX);
        // Whoever knows few gets nearly everybody, in parts at once; else few buckets differ.
        let missing = theirs.saturating_sub(mine);
        let (parts, buckets) = if missing > mine {
            let parts = (missing / SYNC_RECORDS_MAX).clamp(1, PARTS);
            let parts = 1 << parts.ilog2();
            (parts, parts)
        } else {
            (1, SYNC_BUCKETS_MAX)
        };
        let buckets = known.buckets(buckets);
        let part = |number: usize| Pending {
            nonce: core.nonce(),
            want: Want::Range {
                first: edge(number, parts, 0),
                last: edge(number, parts, 0xff),
                buckets: buckets.clone(),
            },
            tries: 0,
            next: now.mono,
            held: false,
        };
        self.sync.exchange = Some(Exchange {
            parts: (0..parts).map(part).collect(),
            with,
            gained: false,
            silent: Vec::new(),
        });
        self.send_parts(core, now.mono);
    }

    /// Sends what is due of an exchange and of the requests for single ids.
    pub(super) fn follow_sync(&mut self, core: &mut Core, now: Now) {
        self.send_ids(core, now.mono);
        self.send_parts(core, now.mono);
        let due = |(at, _): &mut (Instant, Responder)| *at <= now.mono;
        if self.sync.exchange.is_none()
            && let Some((_, with)) = self.sync.plan.take_if(due)
            && !self.agrees(&with)
        {
            self.start_exchange(core, now, with);
        }
    }

    fn send_ids(&mut self, core: &mut Core, now: Instant) {
        let mut ids = std::mem::take(&mut self.sync.ids);
        ids.retain(|(_, pending)| pending.next > now || pending.tries < TRIES);
        for (with, pending) in &mut ids {
            self.send_request(core, now, with, pending);
        }
        self.sync.ids = ids;
    }

    fn send_parts(&mut self, core: &mut Core, now: Instant) {
        let Some(mut exchange) = self.sync.exchange.take() else {
            return;
        };
        let over = |part: &Pending| part.next <= now && part.tries >= TRIES;
        if exchange.parts.iter().any(over) && !self.turn_to_another(core, now, &mut exchange) {
            return;
        }
        for part in &mut exchange.parts {
            self.send_request(core, now, &exchange.with, part);
        }
        self.sync.exchange = Some(exchange);
    }

    /// One that does not answer is left for another; false if there is nobody else.
    fn turn_to_another(&self, core: &mut Core, now: Instant, exchange: &mut Exchange) -> bool {
        exchange.silent.push(exchange.with.id);
        if exchange.silent.len() >= RESPONDERS {
            return false;
        }
        let fits = |other: &&Responder| {
            other.link == exchange.with.link && !exchange.silent.contains(&other.id)
        };
        let Some(next) = self.sync.greeters.iter().find(fits) else {
            return false;
        };
        exchange.with = next.clone();
        for part in &mut exchange.parts {
            part.nonce = core.nonce();
            (part.tries, part.next) = (0, now);
        }
        true
    }

    /// Sends a request that is due. Where its address is not validated yet, only as much goes
    /// there as may.
    fn send_request(
        &mut self,
        core: &mut Core,
        now: Instant,
        with: &Responder,
        pending: &mut Pending,
    ) {
        if pending.next > now {
            return;
        }
        pending.next = now + RTO;
        let request = SyncRequest {
            nonce: pending.nonce,
            token: with.token.clone(),
            want: pending.want.clone(),
        };
        let peer = self.roster.get_mut(&with.id);
        let Some(address) = peer.and_then(|peer| peer.addresses.get_mut(with.to)) else {
            pending.tries = TRIES;
            return;
        };
        pending.tries += 1;
        pending.held = !address.may_send(request_len(&request));
        if !pending.held {
            let len = core.send_to(with.to, &Body::SyncRequest(request));
            address.sent(len);
        }
    }

    /// An address was validated: what could not go there goes now.
    pub(super) fn resume_sync(&mut self, core: &mut Core, now: Instant, id: &PeerId) {
        let Some(exchange) = self.sync.exchange.as_mut() else {
            return;
        };
        if exchange.with.id == *id {
            for part in exchange.parts.iter_mut().filter(|part| part.held) {
                part.next = now;
            }
            self.send_parts(core, now);
        }
    }

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

/// The lowest (`fill` 0) or highest (0xff) id of a part of all ids.
fn edge(part: usize, parts: usize, fill: u8) -> ShortId {
    let width = 256 / parts;
    let first = part * width + usize::from(fill) * (width - 1) / 255;
    let mut id = [fill; 8];
    id[0] = u8::try_from(first).unwrap_or(u8::MAX);
    ShortId(id)
}

/// Header, nonce, token, want, signature.
fn request_len(request: &SyncRequest) -> usize {
    let want = match &request.want {
        Want::Ids(ids) => 1 + 1 + 8 * ids.len(),
        Want::Range { buckets, .. } => 1 + 8 + 8 + 1 + 8 * buckets.len(),
    };
    26 + 8 + 1 + request.token.len() + want + 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_all_ids_without_a_gap() {
        for parts in [1, 2, 4, 8] {
            let mut next = [0u8; 8];
            for part in 0..parts {
                let (first, last) = (edge(part, parts, 0), edge(part, parts, 0xff));
                assert_eq!(first.0, next, "{part} of {parts}");
                assert!(first < last);
                next = (u64::from_be_bytes(last.0).wrapping_add(1)).to_be_bytes();
            }
            assert_eq!(next, [0; 8]);
        }
    }
}
