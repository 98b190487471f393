//! What is counted of the roster: members, strangers, the longest round trip, and for each link
//! the digest of who is there. Kept up to date row by row, never counted anew for a packet.
//!
//! Two sets are kept of each link. *Told* is who is validated: what others are told of. *Known*
//! has those as well who are only listed, because an address takes a round trip to validate and
//! nobody is to be asked for again meanwhile. Both leave out this node, which its own record adds.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::slice;
use std::time::{Duration, Instant};

use super::digest::{Sums, mark};
use super::peer::Peer;
use super::reaches;
use super::roster::{Rows, row};
use crate::api::PeerState;
use crate::datagram::{Link, LinkId};
use crate::id::{Incarnation, PeerId, ShortId};

/// Links that are counted, by their place in the list: more than a node ever has.
const LINKS_MAX: usize = 32;

/// What one row adds to the counts.
#[derive(Clone, PartialEq, Debug)]
struct Counted {
    member: bool,
    /// Here, heard directly and unconfirmed, since then.
    stranger: Option<Instant>,
    /// Here, unconfirmed, known from others only.
    relayed: bool,
    /// Online and unconfirmed, and no one-shot command.
    validating: bool,
    /// Cut off by links that were lost, and no one-shot command.
    cut_off: bool,
    record: (Incarnation, u32),
    mark: u64,
    /// Links it is on, as bits by their place in the list.
    links: u32,
    rtt: Option<Duration>,
    /// The loss that a member reports, in 1/254.
    loss: Option<u8>,
    /// By which group paths a member is reached.
    paths: Option<u8>,
}

impl Counted {
    fn of(links: &[Link], peer: &Peer, before: Option<&Counted>) -> Counted {
        let here = !matches!(peer.state, PeerState::Offline | PeerState::Left);
        let unconfirmed = here && !peer.is_confirmed();
        let member = peer.is_member();
        let record = (peer.record.incarnation, peer.record.record_seq);
        let held = before.filter(|before| before.record == record);
        Counted {
            member,
            stranger: (unconfirmed && peer.hearsay.is_none()).then_some(peer.first_heard),
            relayed: unconfirmed && peer.hearsay.is_some(),
            validating: peer.state == PeerState::Online && unconfirmed && !peer.record.transient,
            cut_off: peer.is_cut_off() && !peer.record.transient,
            record,
            mark: held.map_or_else(|| mark(&peer.id, record.0, record.1), |held| held.mark),
            links: links_of(links, peer),
            rtt: peer.rtt.filter(|_| member).map(|rtt| rtt.smoothed),
            loss: peer.loss.filter(|_| member),
            paths: member.then(|| peer.paths()),
        }
    }

    /// Whether it stands in what is known of its links.
    fn is_known(&self) -> bool {
        self.member || self.validating
    }
}

/// The links that a peer is on: those of its address in use (or, before one is validated, of any
/// candidate), and those where its group traffic is heard.
fn links_of(links: &[Link], peer: &Peer) -> u32 {
    let bits = links.iter().take(LINKS_MAX).enumerate();
    bits.filter(|(_, link)| is_on(link, peer))
        .fold(0, |all, (index, _)| all | 1 << index)
}

/// Whether a peer is on this link.
pub(super) fn is_on(link: &Link, peer: &Peer) -> bool {
    let here = |at| reaches(slice::from_ref(link), at);
    peer.links.get(link.id).is_some()
        || match peer.addresses.current() {
            Some(at) => here(at),
            None => peer.addresses.iter().any(|address| here(address.at)),
        }
}

/// The counts, and the rows that have to be looked at again before they hold.
#[derive(Default)]
pub(super) struct Summary {
    links: Vec<Link>,
    counted: BTreeMap<ShortId, Counted>,
    /// Handed out to be changed since the last look.
    stale: Stale,
    pub(super) totals: Totals,
}

/// Which rows may have changed.
#[derive(Default)]
enum Stale {
    #[default]
    None,
    One(PeerId),
    All,
}

/// The counts themselves.
#[derive(Default, PartialEq, Debug)]
pub(super) struct Totals {
    pub(super) members: usize,
    pub(super) relayed: usize,
    pub(super) validating: usize,
    pub(super) cut_off: usize,
    pub(super) strangers: BTreeSet<(Instant, ShortId)>,
    rtts: BTreeMap<Duration, usize>,
    losses: BTreeMap<u8, usize>,
    pub(super) paths: BTreeMap<u8, usize>,
    told: Vec<Sums>,
    known: Vec<Sums>,
}

impl Summary {
    /// Counts for these links from now on.
    pub(super) fn set_links(&mut self, links: &[Link]) {
        self.links = links.iter().take(LINKS_MAX).cloned().collect();
        self.restart();
    }

    fn restart(&mut self) {
        self.counted.clear();
        self.totals = Totals {
            told: vec![Sums::default(); self.links.len()],
            known: vec![Sums::default(); self.links.len()],
            ..Totals::default()
        };
        self.stale = Stale::All;
    }

    /// This row is handed out to be changed.
    pub(super) fn touch(&mut self, peers: &Rows, id: &PeerId) {
        match self.stale {
            Stale::One(other) if other != *id => self.settle(peers),
            _ => {}
        }
        if !matches!(self.stale, Stale::All) {
            self.stale = Stale::One(*id);
        }
    }

    /// Any row may be changed.
    pub(super) fn touch_all(&mut self) {
        self.stale = Stale::All;
    }

    /// A row is gone.
    pub(super) fn forget(&mut self, id: &ShortId) {
        if let Some(old) = self.counted.remove(id) {
            self.totals.count(id, &old, false);
        }
    }

    /// Looks again at the rows that may have changed.
    pub(super) fn settle(&mut self, peers: &Rows) {
        match std::mem::take(&mut self.stale) {
            Stale::None => {}
            Stale::One(id) => self.look(&id.short(), row(peers, &id)),
            Stale::All => {
                let gone = |id: &&ShortId| !peers.contains_key(id);
                let gone: Vec<ShortId> = self.counted.keys().filter(gone).copied().collect();
                gone.iter().for_each(|id| self.forget(id));
                for peer in peers.values() {
                    self.look(&peer.id.short(), Some(peer));
                }
            }
        }
    }

    fn look(&mut self, id: &ShortId, peer: Option<&Peer>) {
        let Some(peer) = peer else {
            return self.forget(id);
        };
        let old = self.counted.get(id);
        let new = Counted::of(&self.links, peer, old);
        if old == Some(&new) {
            return;
        }
        if let Some(old) = old {
            self.totals.count(id, old, false);
        }
        self.totals.count(id, &new, true);
        self.counted.insert(*id, new);
    }

    /// The counts by a full count.
    #[cfg(test)]
    pub(super) fn counted_anew(&self, peers: &Rows) -> Totals {
        let mut fresh = Summary::default();
        fresh.set_links(&self.links);
        fresh.settle(peers);
        fresh.totals
    }

    /// What is told of a link.
    pub(super) fn told(&self, link: LinkId) -> Sums {
        self.place(link)
            .map_or_else(Sums::default, |at| self.totals.told[at])
    }

    /// What is known of a link.
    pub(super) fn known(&self, link: LinkId) -> Sums {
        self.place(link)
            .map_or_else(Sums::default, |at| self.totals.known[at])
    }

    fn place(&self, link: LinkId) -> Option<usize> {
        self.links.iter().position(|entry| entry.id == link)
    }
}

impl Totals {
    /// The longest smoothed round trip of a member.
    pub(super) fn longest_rtt(&self) -> Option<Duration> {
        self.rtts.last_key_value().map(|(&rtt, _)| rtt)
    }

    /// The 80th percentile of the losses that members report, in 1/254.
    pub(super) fn loss(&self) -> Option<u8> {
        let reports: usize = self.losses.values().sum();
        let mut below = reports * 4 / 5;
        let mut losses = self.losses.iter();
        let at = losses.find(|&(_, &count)| {
            let found = below < count;
            below = below.saturating_sub(count);
            found
        });
        at.map(|(&loss, _)| loss)
    }

    fn count(&mut self, id: &ShortId, row: &Counted, add: bool) {
        let step = |total: &mut usize| {
            *total = if add {
                *total + 1
            } else {
                total.saturating_sub(1)
            };
        };
        [
            (row.member, &mut self.members),
            (row.relayed, &mut self.relayed),
            (row.validating, &mut self.validating),
            (row.cut_off, &mut self.cut_off),
        ]
        .into_iter()
        .filter(|(counts, _)| *counts)
        .for_each(|(_, total)| step(total));
        tally(&mut self.rtts, row.rtt, step);
        tally(&mut self.losses, row.loss, step);
        tally(&mut self.paths, row.paths, step);
        if let Some(since) = row.stranger {
            if add {
                self.strangers.insert((since, *id));
            } else {
                self.strangers.remove(&(since, *id));
            }
        }
        for at in (0..self.told.len()).filter(|at| row.links & (1 << at) != 0) {
            if row.member {
                self.told[at].toggle(id, row.mark, add);
            }
            if row.is_known() {
                self.known[at].toggle(id, row.mark, add);
            }
        }
    }
}

/// One more or one less of a value.
fn tally<T: Ord>(counts: &mut BTreeMap<T, usize>, value: Option<T>, step: impl Fn(&mut usize)) {
    let Some(value) = value else {
        return;
    };
    match counts.entry(value) {
        Entry::Vacant(entry) => step(entry.insert(0)),
        Entry::Occupied(mut entry) => {
            step(entry.get_mut());
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests;
