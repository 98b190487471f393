//! Two rosters become one: the requests, one after the other. One peer is asked at a time, by several
//! parts of the range of ids at once. Why and when: `compare.rs`. What is answered: `page.rs`.

mod answers;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Presence;
use super::token::Tokens;
use crate::datagram::LinkId;
use crate::id::{Nonce, PeerId, ShortId};
use crate::limits::{SYNC_BUCKETS_MAX, SYNC_IDS_MAX, SYNC_RECORDS_MAX};
use crate::proto::Now;
use crate::proto::bucket::Bucket;
use crate::proto::core::Core;
use crate::wire::sync::{SyncRequest, Want};
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
