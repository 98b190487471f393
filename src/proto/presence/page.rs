//! What somebody is answered who asks for records: a page of them, or that the address has to be
//! proven first. Nothing is remembered: what is answered follows from the request alone.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::beacon::heartbeat_mean;
use super::roster::Peer;
use super::summary::is_on;
use super::{Heard, Presence};
use crate::api::PeerState;
use crate::datagram::Link;
use crate::id::{PeerId, ShortId};
use crate::limits::{DATAGRAM_LEN_MAX, SYNC_RECORDS_MAX};
use crate::proto::Now;
use crate::proto::core::Core;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::wire::Body;
use crate::wire::sync::{Hint, Relayed, SyncChallenge, SyncRequest, SyncResponse, Want, bucket_of};

/// Header, echo, digest, next, number of records, signature.
const RESPONSE_LEN: usize = 26 + 8 + 12 + 9 + 1 + 64;
/// Whoever was not heard for this many mean heartbeats is not told of.
const RELAYED_HEARTBEATS: u32 = 3;

/// Header, echo, token of 8, signature.
const CHALLENGE_LEN: usize = 26 + 8 + 1 + 8 + 64;

/// A page being filled.
struct Page {
    records: Vec<Relayed>,
    room: usize,
}

impl Page {
    /// Adds a record; false where there is no room for it.
    fn add(&mut self, relayed: Relayed) -> bool {
        let hint = match relayed.hint.map(|hint| hint.address) {
            None => 1,
            Some(SocketAddr::V4(_)) => 1 + 4 + 2 + 2,
            Some(SocketAddr::V6(_)) => 1 + 16 + 2 + 2,
        };
        let len = 2 + relayed.record.bytes.len() + hint;
        if self.records.len() >= SYNC_RECORDS_MAX || len > self.room {
            return false;
        }
        self.room -= len;
        self.records.push(relayed);
        true
    }
}

impl Presence {
    /// Somebody asks for records: answered where the address is theirs, else they prove it first.
    pub(super) fn handle_sync_request(
        &mut self,
        core: &mut Core,
        now: Now,
        heard: &Heard,
        request: &SyncRequest,
    ) {
        let source = heard.arrival.source;
        let proven = self.is_validated(&heard.id, source)
            || self.sync.tokens.accepts(now.mono, source, &request.token)
            || is_sabotaged(Sabotage::SyncUnproven);
        let body = if proven {
            let Some(link) = Self::link_of(core, &heard.arrival).cloned() else {
                return;
            };
            let (records, next) = self.page(core, now.mono, &link, &request.want);
            Body::SyncResponse(SyncResponse {
                echo: request.nonce,
                digest: self.told_on(Some(link.id)).digest(),
                next,
                records,
            })
        } else {
            Body::SyncChallenge(SyncChallenge {
                echo: request.nonce,
                token: self.sync.tokens.issue(now.mono, source),
            })
        };
        let peer = self.roster.get_mut(&heard.id);
        let Some(address) = peer.and_then(|peer| peer.addresses.get_mut(source)) else {
            return;
        };
        // A token proves the address as well; what it stands for lasts no longer than the answer.
        if proven || address.may_send(CHALLENGE_LEN) {
            let len = core.send_to(source, &body);
            address.sent(len);
        }
    }

    /// What is answered to a request that came by this link: a page of records, and where the next
    /// one begins.
    fn page(
        &self,
        core: &Core,
        now: Instant,
        link: &Link,
        want: &Want,
    ) -> (Vec<Relayed>, Option<ShortId>) {
        let mut page = Page {
            records: Vec::new(),
            room: DATAGRAM_LEN_MAX - RESPONSE_LEN,
        };
        let next = match want {
            Want::Ids(ids) => {
                let mut ids = ids.clone();
                ids.sort_unstable();
                ids.dedup();
                let mut ids = ids.into_iter();
                ids.find(|&id| !self.add_between(core, now, link, &mut page, (id, id)))
            }
            Want::Range {
                first,
                last,
                buckets,
            } => {
                let own = self.told_on(Some(link.id)).buckets(buckets.len());
                let differs = |bucket: usize| own.get(bucket) != buckets.get(bucket);
                let mut from = Some(*first);
                let mut next = None;
                while let Some(first) = from.filter(|first| first <= last && next.is_none()) {
                    let bucket = bucket_of(&first, buckets.len());
                    let end = end_of(bucket, buckets.len()).min(*last);
                    if differs(bucket) {
                        next = self.first_without_room(core, now, link, &mut page, (first, end));
                    }
                    from = after(end);
                }
                next
            }
        };
        (page.records, next)
    }

    fn add_between(
        &self,
        core: &Core,
        now: Instant,
        link: &Link,
        page: &mut Page,
        range: (ShortId, ShortId),
    ) -> bool {
        self.first_without_room(core, now, link, page, range)
            .is_none()
    }

    /// Adds who is in this range, this node too. Returns the first for whom there is no room.
    fn first_without_room(
        &self,
        core: &Core,
        now: Instant,
        link: &Link,
        page: &mut Page,
        (first, last): (ShortId, ShortId),
    ) -> Option<ShortId> {
        let population = self.roster.population();
        let own = core.short();
        let mut own_due = (first..=last).contains(&own) && !self.record.transient;
        let relayable = |peer: &&Peer| is_relayable(peer, now, population) && is_on(link, peer);
        for peer in self.roster.between(first, last).filter(relayable) {
            if own_due && own < peer.id.short() {
                own_due = false;
                if !page.add(self.own_relayed()) {
                    return Some(own);
                }
            }
            let relayed = Relayed {
                record: (*peer.record).clone(),
                hint: hint_of(link, peer, now),
            };
            if !page.add(relayed) {
                return Some(peer.id.short());
            }
        }
        (own_due && !page.add(self.own_relayed())).then_some(own)
    }

    /// Whether somebody may be told of to others.
    pub(super) fn is_news_worthy(&self, id: &PeerId, now: Instant) -> bool {
        let population = self.roster.population();
        let peer = self.roster.get(id);
        peer.is_some_and(|peer| is_relayable(peer, now, population))
    }
    /// The own record: where this node is, the answer itself tells.
    fn own_relayed(&self) -> Relayed {
        Relayed {
            record: self.record.clone(),
            hint: None,
        }
    }
}

/// Whether a peer is told of to others: validated, online and heard of lately.
pub(super) fn is_relayable(peer: &Peer, now: Instant, population: usize) -> bool {
    let kept = heartbeat_mean(population) * RELAYED_HEARTBEATS;
    peer.is_member()
        && peer.state == PeerState::Online
        && now.saturating_duration_since(peer.heard) <= kept
}

/// Where this node reaches a peer, as far as that means anything to somebody on this link.
fn hint_of(link: &Link, peer: &Peer, now: Instant) -> Option<Hint> {
    let at = peer.addresses.current()?;
    let is_here = match at {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => v6.scope_id() == link.id.0,
        _ => true,
    };
    let heard = peer.addresses.iter().next().map(|address| address.heard);
    let age = heard.map_or(Duration::ZERO, |heard| now.saturating_duration_since(heard));
    is_here.then(|| Hint {
        // The scope means nothing elsewhere.
        address: SocketAddr::new(at.ip(), at.port()),
        age_s: u16::try_from(age.as_secs()).unwrap_or(u16::MAX),
    })
}

/// The last id of a bucket.
fn end_of(bucket: usize, count: usize) -> ShortId {
    let mut id = [0xff; 8];
    id[0] = u8::try_from((bucket + 1) * 256 / count - 1).unwrap_or(u8::MAX);
    ShortId(id)
}

/// The next id, if this is not the last there can be.
fn after(id: ShortId) -> Option<ShortId> {
    let next = u64::from_be_bytes(id.0).checked_add(1)?;
    Some(ShortId(next.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_end_where_the_next_begins() {
        for count in [1, 2, 64] {
            for bucket in 0..count {
                let end = end_of(bucket, count);
                assert_eq!(bucket_of(&end, count), bucket);
                let next = after(end).map(|next| bucket_of(&next, count));
                assert_eq!(next, (bucket + 1 < count).then_some(bucket + 1));
            }
        }
    }
}
