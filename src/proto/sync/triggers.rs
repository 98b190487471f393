//! What makes this node look for what it lacks.

use std::time::Duration;

use super::frame::Why;
use super::helper::why_at_start;
use crate::id::{NetworkId, PeerId, RoomTag};
use crate::proto::Now;
use crate::proto::endpoint::Endpoint;
use crate::wire::RoomDigest;

/// How long after somebody was found a newcomer asks: the second member may be found too.
const FOUND: Duration = Duration::from_millis(200);
/// Bound of the random wait after digests differed.
const SPREAD: Duration = Duration::from_secs(2);
/// So many of a room's members exchange where all differ from one.
const CHOSEN: f64 = 4.0;
/// So many of those who see one that was given up or doubted come back exchange with it at once; the
/// others compare digests.
const GREETED: f64 = 16.0;
/// Two moments at which digests are compared are at least so far apart.
const APART_MIN: Duration = Duration::from_millis(50);

impl Endpoint {
    /// Somebody was found: the first time, all rooms are asked about.
    pub(crate) fn sync_found(&mut self, now: Now) {
        // Who is here for one message only needs no past.
        if self.core.config.transient {
            return;
        }
        self.sync.found = true;
        self.sync_rooms(now);
        self.sync.plans.somebody(now.mono, FOUND);
    }

    /// Asks about rooms that were joined, once somebody was found.
    pub(crate) fn sync_rooms(&mut self, now: Now) {
        if !self.sync.found {
            return;
        }
        let (known, plans) = (&mut self.sync.known, &mut self.sync.plans);
        known.retain(|tag| {
            let is_in = self.group.synced_rooms().any(|(room, _)| room == *tag);
            if !is_in {
                plans.forget(tag);
            }
            is_in
        });
        for (tag, is_new) in self.group.synced_rooms() {
            if known.insert(tag) {
                let why = why_at_start(is_new);
                self.sync.plans.plan(tag, why, None, now.mono + FOUND);
            }
        }
    }

    /// A member that was given up, or doubted, is back. Each who saw it sees it come back at the same
    /// time, and it helps few at once.
    pub(crate) fn sync_returned(&mut self, now: Now, id: &PeerId) {
        if self.core.config.transient {
            return;
        }
        let rooms: Vec<RoomTag> = self.group.synced_rooms().map(|(tag, _)| tag).collect();
        for tag in rooms {
            // Of a locked room, which fewer are in, no digest would tell.
            if self.group.is_locked(&tag) || self.is_chosen(GREETED) {
                self.sync.plans.plan(tag, Why::Heal, Some(*id), now.mono);
            }
        }
        self.sync.plans.somebody(now.mono, Duration::ZERO);
    }

    /// Of some logs too much is missing.
    pub(crate) fn sync_behind(&mut self, now: Now) {
        for (tag, author) in self.group.take_behind() {
            self.sync.plans.plan(tag, Why::Gap, Some(author), now.mono);
            self.sync.plans.somebody(now.mono, Duration::ZERO);
        }
        for (tag, peer) in self.group.take_strange() {
            if self.core.config.transient || self.sync.plans.is_vain(now.mono, (tag, peer)) {
                continue;
            }
            let at = now.mono + self.core.jitter(SPREAD);
            self.sync.plans.doubt((tag, peer), at);
            self.sync.plans.somebody(now.mono, SPREAD);
        }
    }

    /// The digests of a heartbeat: who differs for long enough exchanges with its sender, one of
    /// all that differ as a rule.
    pub(crate) fn sync_compare(
        &mut self,
        now: Now,
        (id, network): (&PeerId, NetworkId),
        rooms: &[RoomDigest],
    ) {
        if self.core.config.transient {
            return;
        }
        let own = self.core.identity.id();
        let apart = self.presence.group_rtt().max(APART_MIN);
        for digest in rooms {
            let Some(held) = self.group.digest_of(&digest.room, network, &own) else {
                continue;
            };
            let (of, both) = ((digest.room, *id), (held, digest.digest));
            if !self.sync.plans.compare(now.mono, of, both, apart) {
                continue;
            }
            if self.is_chosen(CHOSEN) {
                let at = now.mono + self.core.jitter(SPREAD);
                self.sync.plans.doubt(of, at);
                self.sync.plans.somebody(now.mono, SPREAD);
            }
        }
    }

    /// Whether this node is one of so many, where all members ask themselves the same.
    fn is_chosen(&mut self, of_all: f64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let members = self.presence.roster.population() as f64;
        self.core.unit() * members < of_all
    }
}
