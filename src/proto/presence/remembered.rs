//! Who was reached on this network before, over all runs: asked by unicast from the first moment,
//! so that a network without multicast works again after a restart.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Presence;
use super::roster::{Peer, Roster};
use crate::api::PeerState;
use crate::durable::{Batch, Durability, Neighbor, Write};
use crate::id::{NetworkId, PeerId};
use crate::limits::{
    NEIGHBOR_DAYS_MAX, NEIGHBOR_HELLO_RATE, NEIGHBOR_NETWORKS_MAX, NEIGHBORS_ASKED_MAX,
    NEIGHBORS_MAX,
};
use crate::proto::Now;
use crate::proto::core::Core;
use crate::proto::group::Group;

/// From the first confirmation until it is kept: whoever else is found by then goes along.
const KEEP_AFTER: Duration = Duration::from_secs(1);
/// Between two looks at who is still here.
const KEEP_EVERY: Duration = Duration::from_secs(10 * 60);
/// A peer at the same address is kept again after this long.
const KEPT_MS: u64 = 60 * 60 * 1000;
const FORGOTTEN_MS: u64 = NEIGHBOR_DAYS_MAX * 24 * 60 * 60 * 1000;
/// Remembered peers that one heartbeat asks, once the burst of HELLOs is over.
const ASKED_BY_HEARTBEAT: usize = 4;

/// Where a peer was reached, and when that was last kept.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Without a scope.
    at: SocketAddr,
    heard_ms: u64,
}

/// The peers of earlier runs and of this one, by network.
pub(super) struct Remembered {
    networks: BTreeMap<NetworkId, BTreeMap<PeerId, Place>>,
    /// Whom to say HELLO to next.
    queue: VecDeque<(PeerId, SocketAddr)>,
    next_at: Option<Instant>,
    keep_at: Option<Instant>,
    /// Heartbeats that asked, so that each asks others.
    turn: usize,
}

impl Remembered {
    /// What earlier runs kept, but nobody who was not heard for 90 days.
    pub(super) fn new(kept: &[Neighbor], now: Now) -> Self {
        let mut networks: BTreeMap<NetworkId, BTreeMap<PeerId, Place>> = BTreeMap::new();
        for neighbor in kept {
            if now.wall_ms.saturating_sub(neighbor.heard_ms) > FORGOTTEN_MS {
                continue;
            }
            let is_full = networks.len() >= NEIGHBOR_NETWORKS_MAX;
            if is_full && !networks.contains_key(&neighbor.network) {
                continue;
            }
            let places = networks.entry(neighbor.network).or_default();
            if places.len() < NEIGHBORS_MAX {
                let (at, heard_ms) = (neighbor.address, neighbor.heard_ms);
                places.insert(neighbor.id, Place { at, heard_ms });
            }
        }
        Remembered {
            networks,
            queue: VecDeque::new(),
            next_at: None,
            keep_at: None,
            turn: 0,
        }
    }

    /// Somebody was confirmed: keeps them soon.
    pub(super) fn confirmed(&mut self, now: Instant) {
        let soon = now + KEEP_AFTER;
        self.keep_at = Some(self.keep_at.map_or(soon, |at| at.min(soon)));
    }

    /// Whoever waits where no link leads any more is not asked: the question would leave by
    /// another network.
    pub(super) fn links_changed(&mut self, is_cut: impl Fn(SocketAddr) -> bool) {
        self.queue.retain(|&(_, at)| !is_cut(at));
    }

    /// Keeps the networks within their cap: the one where nobody was heard for longest goes.
    fn make_network_room(&mut self) {
        while self.networks.len() > NEIGHBOR_NETWORKS_MAX {
            let latest = |places: &BTreeMap<PeerId, Place>| {
                places.values().map(|place| place.heard_ms).max()
            };
            let oldest = self
                .networks
                .iter()
                .min_by_key(|(_, places)| latest(places));
            let Some(oldest) = oldest.map(|(network, _)| *network) else {
                return;
            };
            self.networks.remove(&oldest);
        }
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.next_at, self.keep_at].into_iter().flatten().min()
    }

    /// Puts the next `count` of those who are not reached at the end of the queue, the latest
    /// first; `skip` of them are passed over.
    fn ask(&mut self, core: &Core, now: Instant, roster: &Roster, count: usize, skip: usize) {
        let mut open: Vec<(u64, PeerId, SocketAddr)> = Vec::new();
        let mut asked: Vec<NetworkId> = Vec::new();
        for link in core.links.iter().filter(|link| !link.loopback) {
            let network = core.network_on(link.id);
            if asked.contains(&network) {
                continue;
            }
            asked.push(network);
            let places = self.networks.get(&network).into_iter().flatten();
            let mut places: Vec<_> = places
                .map(|(id, place)| (place.heard_ms, *id, scoped(place.at, link.id.0)))
                .collect();
            places.sort_unstable_by(|a, b| b.cmp(a));
            places.truncate(NEIGHBORS_ASKED_MAX);
            open.extend(places.into_iter().filter(|(_, id, _)| !is_here(roster, id)));
        }
        let len = open.len().max(1);
        let chosen = open
            .iter()
            .cycle()
            .skip(skip % len)
            .take(count.min(open.len()));
        for &(_, id, at) in chosen {
            if !self.queue.contains(&(id, at)) {
                self.queue.push_back((id, at));
            }
        }
        if !self.queue.is_empty() {
            self.next_at.get_or_insert(now);
        }
    }

    /// Whom to say HELLO to now.
    fn take_due(&mut self, now: Instant, roster: &Roster) -> Option<SocketAddr> {
        if self.next_at.is_none_or(|at| at > now) {
            return None;
        }
        while let Some((id, at)) = self.queue.pop_front() {
            if !is_here(roster, &id) {
                self.next_at = Some(now + Duration::from_secs(1) / NEIGHBOR_HELLO_RATE);
                return Some(at);
            }
        }
        self.next_at = None;
        None
    }

    /// What is to be kept of those who are here: who is new or elsewhere, the others once an
    /// hour.
    pub(super) fn take_writes(&mut self, core: &Core, now: Now, roster: &Roster) -> Vec<Write> {
        self.keep_at = Some(now.mono + KEEP_EVERY);
        let mut writes = Vec::new();
        // Where one found no room nobody does: those who are here do not make way.
        let mut full = BTreeSet::new();
        for peer in roster.members() {
            let Some(at) = peer.addresses.current() else {
                continue;
            };
            let Some(network) = core.network_at(at) else {
                continue;
            };
            let place = Place {
                at: scoped(at, 0),
                heard_ms: now.wall_ms,
            };
            let is_kept = |kept: &Place| {
                kept.at == place.at && kept.heard_ms.abs_diff(place.heard_ms) < KEPT_MS
            };
            let places = self.networks.entry(network).or_default();
            let held = places.get(&peer.id);
            if held.is_some_and(is_kept) || (held.is_none() && full.contains(&network)) {
                continue;
            }
            if !make_room(places, peer, roster) {
                full.insert(network);
                continue;
            }
            places.insert(peer.id, place);
            writes.push(Write::Neighbor(Neighbor {
                network,
                id: peer.id,
                address: place.at,
                heard_ms: place.heard_ms,
            }));
        }
        self.make_network_room();
        writes
    }
}

impl Remembered {
    /// How many networks are kept in memory.
    #[cfg(test)]
    pub(super) fn networks(&self) -> usize {
        self.networks.len()
    }

    /// How many wait to be asked.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }
}

impl Presence {
    /// With each HELLO to all: whoever is remembered and not reached yet is asked as well.
    pub(super) fn ask_remembered(&mut self, core: &Core, now: Instant) {
        let remembered = &mut self.remembered;
        remembered.ask(core, now, &self.roster, usize::MAX, 0);
    }

    /// With a heartbeat: a few of them in turn.
    pub(super) fn ask_some_remembered(&mut self, core: &Core, now: Instant) {
        let remembered = &mut self.remembered;
        let skip = remembered.turn * ASKED_BY_HEARTBEAT;
        remembered.turn = remembered.turn.wrapping_add(1);
        remembered.ask(core, now, &self.roster, ASKED_BY_HEARTBEAT, skip);
    }

    /// Says the HELLOs that are due, and keeps who is here.
    pub(super) fn follow_remembered(&mut self, core: &mut Core, now: Now, group: &Group) {
        while let Some(at) = self.remembered.take_due(now.mono, &self.roster) {
            let holder = self.holder_of(at);
            if !holder.is_some_and(|id| is_here(&self.roster, &id)) {
                self.say_hello_to(core, group, at);
            }
        }
        if self.remembered.keep_at.is_some_and(|at| at <= now.mono) {
            self.keep_remembered(core, now);
        }
    }

    /// Keeps who is here, before a leave and now and then.
    pub(super) fn keep_remembered(&mut self, core: &mut Core, now: Now) {
        let writes = self.remembered.take_writes(core, now, &self.roster);
        if !writes.is_empty() {
            let durability = Durability::Process;
            core.persist(Batch { durability, writes });
        }
    }
}

fn is_here(roster: &Roster, id: &PeerId) -> bool {
    let live = |peer: &Peer| peer.is_confirmed() && peer.state == PeerState::Online;
    roster.get(id).is_some_and(live)
}

/// Keeps within the cap: whoever is not here and was heard longest ago makes way. Whether there
/// is room for this peer.
fn make_room(places: &mut BTreeMap<PeerId, Place>, peer: &Peer, roster: &Roster) -> bool {
    if places.contains_key(&peer.id) || places.len() < NEIGHBORS_MAX {
        return true;
    }
    let absent = places.iter().filter(|(id, _)| !is_here(roster, id));
    let oldest = absent.min_by_key(|(_, place)| place.heard_ms);
    let oldest = oldest.map(|(id, _)| *id);
    oldest.is_some_and(|id| places.remove(&id).is_some())
}

/// A link-local IPv6 address with this scope; any other as it is.
fn scoped(mut at: SocketAddr, scope: u32) -> SocketAddr {
    if let SocketAddr::V6(v6) = &mut at
        && v6.ip().is_unicast_link_local()
    {
        v6.set_scope_id(scope);
    }
    at
}
