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

use super::peer::Peer;
use super::reaches;
use super::roster::{Rows, row};
use crate::api::PeerState;
use crate::datagram::{Link, LinkId};
use crate::id::{Incarnation, PeerId, ShortId};
use crate::limits::SYNC_BUCKETS_MAX;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::wire::sync::bucket_of;
use crate::wire::{Digest, PeerRecord};

/// Links that are counted, by their place in the list: more than a node ever has.
const LINKS_MAX: usize = 32;

/// One record's part of a digest: the first 8 bytes of H(id, incarnation, record seq).
#[must_use]
pub fn mark(id: &PeerId, incarnation: Incarnation, record_seq: u32) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("lanchat 1 roster digest");
    hasher.update(&id.0);
    if !is_sabotaged(Sabotage::DigestWithoutRun) {
        hasher.update(&incarnation.0.to_be_bytes());
        hasher.update(&record_seq.to_be_bytes());
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_be_bytes(first)
}

/// What a node's own record adds to a digest: nothing where it is a one-shot command.
#[must_use]
pub fn own_mark(record: &PeerRecord) -> Option<(ShortId, u64)> {
    let id = record.key.id();
    let mark = || mark(&id, record.incarnation, record.record_seq);
    (!record.transient).then(|| (id.short(), mark()))
}

/// Count and XOR over a set of records, by the first bits of their ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sums {
    count: u32,
    /// Of all buckets.
    xor: u64,
    buckets: [u64; SYNC_BUCKETS_MAX],
}

impl Default for Sums {
    fn default() -> Self {
        Sums {
            count: 0,
            xor: 0,
            buckets: [0; SYNC_BUCKETS_MAX],
        }
    }
}

impl Sums {
    fn toggle(&mut self, id: &ShortId, mark: u64, add: bool) {
        self.buckets[bucket_of(id, SYNC_BUCKETS_MAX)] ^= mark;
        self.xor ^= mark;
        self.count = if add {
            self.count + 1
        } else {
            self.count.saturating_sub(1)
        };
    }

    /// The same with one more record.
    #[must_use]
    pub fn with(mut self, record: Option<(ShortId, u64)>) -> Sums {
        if let Some((id, mark)) = record {
            self.toggle(&id, mark, true);
        }
        self
    }

    /// The digest of all.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest {
            count: self.count,
            xor: self.xor.to_be_bytes(),
        }
    }

    /// The XORs of `count` buckets, a power of two up to 64.
    #[must_use]
    pub fn buckets(&self, count: usize) -> Vec<[u8; 8]> {
        let each = SYNC_BUCKETS_MAX / count.clamp(1, SYNC_BUCKETS_MAX);
        let xor = |part: &[u64]| part.iter().fold(0, |all, bucket| all ^ bucket);
        self.buckets
            .chunks(each)
            .map(|part| xor(part).to_be_bytes())
            .collect()
    }
}

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
#[allow(clippy::disallowed_methods)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::api::Status;
    use crate::datagram::{LinkAddress4, Path};
    use crate::id::Nonce;
    use crate::proto::Identity;
    use crate::proto::presence::roster::{Merged, Roster};
    use crate::text::{PeerName, StatusText};
    use crate::wire::presence::RecordFields;

    fn record(secret: u8, incarnation: u64, record_seq: u32) -> PeerRecord {
        let identity = Identity::from_secret(&[secret; 32]);
        let fields = RecordFields {
            key: identity.public(),
            incarnation: Incarnation(incarnation),
            record_seq,
            chat_port: 5263,
            transient: secret % 8 == 7,
            deaf: false,
            status: Status::Available,
            status_text: StatusText::default(),
            name: PeerName::new("ana").unwrap(),
            rooms: Vec::new(),
            extensions: Vec::new(),
        };
        PeerRecord::build(fields, &mut |bytes| identity.sign(bytes)).unwrap()
    }

    fn link(id: u32) -> Link {
        Link {
            id: LinkId(id),
            name: format!("eth{id}"),
            loopback: false,
            v4: vec![LinkAddress4 {
                address: [10, 0, u8::try_from(id).unwrap(), 1].into(),
                prefix_len: 24,
            }],
            v6: Vec::new(),
            group: true,
            gateway: None,
        }
    }

    fn validate(peer: &mut Peer, now: Instant, at: SocketAddr) {
        peer.addresses.heard(now, at, 100);
        if let Some(address) = peer.addresses.get_mut(at) {
            address.probed(Nonce([1; 8]), now);
            peer.addresses.acknowledged(now, at, Nonce([1; 8]));
            peer.hearsay = None;
        }
    }

    /// One random change.
    fn change(roster: &mut Roster, now: Instant, random: &mut impl FnMut(u8) -> u8) {
        let secret = random(24);
        let record = record(secret, 1 + u64::from(random(3)), 1 + u32::from(random(3)));
        let id = record.key.id();
        let at = SocketAddr::from(([10, 0, random(3), 2 + secret], 5263));
        match random(12) {
            0 | 1 => _ = roster.merge(now, &record),
            2 => _ = roster.merge_relayed(now, &record, Some(at)),
            3 => _ = roster.remove(&id),
            4 => _ = roster.bury(now, &id),
            5 => roster.set_links(&[link(1), link(2)][..usize::from(random(3))]),
            6 => roster.iter_mut().for_each(|peer| {
                peer.links.clear();
                peer.addresses.failed(now, at);
            }),
            number => {
                let Some(peer) = roster.get_mut(&id) else {
                    return;
                };
                match number {
                    7 => peer.state = PeerState::Offline,
                    8 => peer.state = PeerState::Suspect,
                    9 => peer.state = PeerState::Online,
                    10 => peer.links.at(LinkId(1)).count(Path::Mcast4, now),
                    _ => validate(peer, now, at),
                }
            }
        }
    }

    #[test]
    fn whatever_changes_the_counts_are_those_of_a_full_count() {
        let start = Instant::now();
        for seed in 1..=20u64 {
            println!("seed {seed}");
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut random = |below: u8| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                u8::try_from((state >> 33) % u64::from(below)).unwrap()
            };
            let mut roster = Roster::default();
            roster.set_links(&[link(1), link(2)]);
            for step in 0..300 {
                change(
                    &mut roster,
                    start + Duration::from_millis(step),
                    &mut random,
                );
                // Some reads come after several changes.
                if random(3) > 0 {
                    assert!(roster.counts_hold(), "step {step}");
                }
            }
        }
    }

    #[test]
    fn coarse_buckets_are_xors_of_fine_ones_and_all_of_them_the_digest() {
        let mut sums = Sums::default();
        for secret in 0..50 {
            let record = record(secret, 1, 1);
            let id = record.key.id();
            sums = sums.with(Some((id.short(), mark(&id, record.incarnation, 1))));
        }
        let fold = |buckets: &[[u8; 8]]| {
            let all = buckets.iter().map(|bucket| u64::from_be_bytes(*bucket));
            all.fold(0, |all, bucket| all ^ bucket).to_be_bytes()
        };
        assert_eq!(sums.digest().count, 50);
        let fine = sums.buckets(64);
        for count in [1, 2, 4, 8, 16, 32] {
            let coarse = sums.buckets(count);
            let folded: Vec<_> = fine.chunks(64 / count).map(fold).collect();
            assert_eq!(coarse, folded);
            assert_eq!(fold(&coarse), sums.digest().xor);
        }
    }

    #[test]
    fn two_who_know_each_other_and_a_third_tell_the_same_digest() {
        let now = Instant::now();
        let records: Vec<PeerRecord> = (0..3).map(|secret| record(secret, 5, 2)).collect();
        let told = |own: usize| {
            let mut roster = Roster::default();
            roster.set_links(&[link(1)]);
            for (index, other) in records.iter().enumerate().filter(|(i, _)| *i != own) {
                assert_eq!(roster.merge(now, other), Merged::New);
                let host = u8::try_from(index).unwrap() + 2;
                let peer = roster.get_mut(&other.key.id()).unwrap();
                validate(peer, now, SocketAddr::from(([10, 0, 1, host], 5263)));
            }
            let id = records[own].key.id();
            let own = (id.short(), mark(&id, Incarnation(5), 2));
            roster.told(LinkId(1)).with(Some(own)).digest()
        };
        assert_eq!(told(0).count, 3);
        assert_eq!(told(0), told(1));
        assert_eq!(told(1), told(2));
    }
}
