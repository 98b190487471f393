//! Members that no group reaches, this node perhaps among them: what a heartbeat carries goes to
//! them by unicast, each served by its successors on the ring of ids.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::beacon::heartbeat_mean;
use super::probe::RING;
use super::roster::{Peer, Roster};
use super::{Heard, Presence};
use crate::datagram::{LinkId, Path};
use crate::id::PeerId;
use crate::limits::UNREACHED_MAX;
use crate::proto::Now;
use crate::proto::core::Core;
use crate::proto::group::Group;
use crate::wire::Body;

/// A node is deaf that heard no group for so many mean heartbeats, though somebody was heard.
const DEAF_AFTER: u32 = 3;
/// Longest mean interval of pushes: with its spread below the 30 s after which firewalls forget.
const PUSH_MEAN_MAX: Duration = Duration::from_secs(20);

/// What is known of the groups' reach.
pub(super) struct Reach {
    /// When a group datagram was last heard, or the node was last given the benefit of the doubt.
    group_heard: Instant,
    /// The next look, and the next pushes.
    next_at: Instant,
}

impl Reach {
    /// Nothing known yet.
    pub(super) fn new(now: Instant) -> Self {
        Reach {
            group_heard: now,
            // Before that nobody can have been silent for long.
            next_at: now + heartbeat_mean(1),
        }
    }

    /// When the next look is due.
    pub(super) fn deadline(&self) -> Instant {
        self.next_at
    }

    /// There is something new where people are looked for: groups may pass now.
    pub(super) fn links_changed(&mut self, now: Instant) {
        self.group_heard = now;
    }
}

impl Presence {
    /// A fresh packet came. By a group and from another host: this node is not deaf.
    pub(super) fn note_group(&mut self, core: &mut Core, now: Now, heard: &Heard) {
        let is_group = heard.path != Path::Unicast && heard.arrival.presence_port;
        if !is_group || core.is_own_address(heard.arrival.source.ip()) {
            return;
        }
        self.reach.group_heard = now.mono;
        if core.deaf {
            core.deaf = false;
            self.change_self(core, now);
        }
    }

    /// Says whether this node is deaf, and pushes heartbeats to whom groups do not reach.
    pub(super) fn follow_reach(&mut self, core: &mut Core, now: Now, group: &Group) {
        let due = self.reach.next_at;
        if now.mono < due {
            return;
        }
        let mean = heartbeat_mean(self.roster.population());
        let interval = mean.min(PUSH_MEAN_MAX);
        self.reach.next_at = now.mono + interval.mul_f64(0.75 + 0.5 * core.unit());
        let lately = mean * DEAF_AFTER;
        // A node that slept has heard nobody, by whatever path.
        if now.mono > due + mean {
            self.reach.group_heard = now.mono;
        }
        let is_silent = now.mono > self.reach.group_heard + lately;
        if !core.deaf && is_silent && self.is_spoken_to(core, now.mono, lately) {
            core.deaf = true;
            self.change_self(core, now);
        }
        self.push_heartbeats(core, now.mono, group, lately);
    }

    /// Whether somebody on another host has been here for long enough to be heard by a group, and
    /// was heard lately by whatever path.
    fn is_spoken_to(&self, core: &Core, now: Instant, lately: Duration) -> bool {
        let is_elsewhere = |at: SocketAddr| !core.is_own_address(at.ip());
        self.roster.members().any(|peer| {
            let is_here = now < peer.heard + lately && now >= peer.first_heard + lately;
            is_here && peer.addresses.current().is_some_and(is_elsewhere)
        })
    }

    /// A heartbeat by unicast to each member that groups do not reach and whose successor this
    /// node is, and to its own successors where its groups reach nobody.
    fn push_heartbeats(&self, core: &mut Core, now: Instant, group: &Group, lately: Duration) {
        let own = core.identity.id();
        // Whoever is new has had no heartbeat to tell who hears whom.
        let is_settled = |peer: &&Peer| peer.record.deaf || now >= peer.first_heard + lately;
        let unreached = self.roster.members().filter(|peer| peer.paths() == 0);
        let mut to: BTreeSet<PeerId> = unreached
            .filter(is_settled)
            .filter(|peer| is_successor(&self.roster, &own, &peer.id))
            .map(|peer| peer.id)
            .collect();
        let is_heard = |peer: &Peer| peer.hears_us.is_some_and(|paths| paths != 0);
        if self.roster.members().any(|peer| is_settled(&peer))
            && !self.roster.members().any(is_heard)
        {
            to.extend(self.roster.successors(&own, RING));
        }
        for id in to {
            let Some(at) = self.address_of(&id) else {
                continue;
            };
            let Some(link) = link_towards(core, at) else {
                continue;
            };
            let turn = self.beacon.heartbeats;
            let mut heartbeat = self.heartbeat_on(core, group, link, turn);
            heartbeat.news = self.newest_news(now);
            core.send_to(at, &Body::Heartbeat(heartbeat));
        }
    }

    /// Addresses of members that no group path reaches, a bounded number of them.
    pub fn unreached(&self) -> impl Iterator<Item = SocketAddr> {
        self.unreached_of(|_| true)
    }

    /// The same of those among them that are wanted.
    pub fn unreached_of(&self, wanted: impl Fn(&Peer) -> bool) -> impl Iterator<Item = SocketAddr> {
        self.roster
            .members()
            .filter(move |peer| peer.paths() == 0 && wanted(peer))
            .filter_map(|peer| peer.addresses.current())
            .take(UNREACHED_MAX)
    }

    /// Since when nobody is here but this node; none while somebody is, or before it speaks.
    #[must_use]
    pub fn alone_since(&self) -> Option<Instant> {
        let is_alone = self.roster.population() == 1;
        let last = self.company.max(self.opened);
        last.filter(|_| is_alone && self.opened.is_some())
    }
}

/// Whether `own` is one of the next three live peers after `of` on the ring of ids, if it is
/// counted as one.
fn is_successor(roster: &Roster, own: &PeerId, of: &PeerId) -> bool {
    // Upwards from `of`, and then from the lowest id on.
    let place = |id: &PeerId| (id < of, *id);
    let next = roster.successors(of, RING);
    next.len() < RING || next.last().is_none_or(|last| place(own) < place(last))
}

/// The link whose state is told to this address: the one that reaches it, else the first.
pub(super) fn link_towards(core: &Core, at: SocketAddr) -> Option<LinkId> {
    let reaching = core.links.iter().find(|link| link.reaches(at));
    let group = || core.links.iter().find(|link| link.group);
    reaching.or_else(group).map(|link| link.id)
}
