//! The roster: one row for each person, whatever paths they are heard by.

use std::cell::{Ref, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::addresses::Addresses;
use super::digest::Sums;
use super::peer::new_peer;
pub use super::peer::{Hearsay, Peer, Rtt};
use super::summary::Summary;
use super::suspect::Watch;
use crate::api::{Event, PeerRef, PeerState};
use crate::datagram::{Link, LinkId};
use crate::id::{Incarnation, PeerId, ShortId, TAG_CHARS};
use crate::limits::{PEERS_MAX, UNCONFIRMED_DIRECT_MAX, UNCONFIRMED_RELAYED_MAX};
use crate::proto::gate::Window;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::wire::{PeerRecord, RecordRoom};

/// How long a GOODBYE keeps older packets of that run from reviving the row.
const TOMBSTONE: Duration = Duration::from_secs(60);
const TOMBSTONES_MAX: usize = 1024;

/// What became of a verified record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Merged {
    /// Nobody knew this person.
    New,
    /// A new run of a known person.
    Restarted,
    /// The same run says something new.
    Changed,
    /// Known already.
    Same,
    /// Of a past run, of one that left, or over a cap.
    Refused,
    /// There are too many already that nobody could validate.
    Full,
}

/// The rows, by the first bytes of the ids, which no two share: in the order of the ids. Boxed: a
/// node of the tree has room for eleven, and is half empty.
pub(super) type Rows = BTreeMap<ShortId, Box<Peer>>;

/// The row of an id.
pub(super) fn row<'a>(rows: &'a Rows, id: &PeerId) -> Option<&'a Peer> {
    let row = rows.get(&id.short()).filter(|peer| peer.id == *id);
    row.map(Box::as_ref)
}

/// Everybody heard of.
///
/// Rows are changed through [`Roster::get_mut`] and [`Roster::iter_mut`] only, which note that
/// the counts have to look at them again: so no count can go stale.
#[derive(Default)]
pub struct Roster {
    peers: Rows,
    tombstones: BTreeMap<PeerId, (Incarnation, Instant)>,
    /// The tombstones by age, replaced ones included.
    graves: VecDeque<(Instant, PeerId)>,
    summary: RefCell<Summary>,
}

impl Roster {
    /// Takes in a verified record of somebody who was heard.
    pub fn merge(&mut self, now: Instant, record: &PeerRecord) -> Merged {
        let id = record.key.id();
        if self.is_dead(now, record) {
            return Merged::Refused;
        }
        if let Some(peer) = self.get_mut(&id) {
            return merge_known(now, peer, record);
        }
        if !self.has_room(&id) {
            return Merged::Refused;
        }
        if self.summary().totals.strangers.len() >= UNCONFIRMED_DIRECT_MAX {
            return Merged::Full;
        }
        self.insert(new_peer(now, id, record));
        Merged::New
    }

    /// Takes in a verified record that somebody else passed on: no sign of life, and not at the
    /// cost of anybody who was heard.
    pub fn merge_relayed(
        &mut self,
        now: Instant,
        record: &PeerRecord,
        hint: Option<SocketAddr>,
    ) -> Merged {
        let id = record.key.id();
        if self.is_dead(now, record) {
            return Merged::Refused;
        }
        let hearsay = Some(Box::new(Hearsay {
            since: now,
            hint,
            tries: 0,
        }));
        if let Some(peer) = self.get_mut(&id) {
            let merged = merge_known(now, peer, record);
            if merged == Merged::Restarted {
                peer.hearsay = hearsay;
            }
            return merged;
        }
        if self.summary().totals.relayed >= UNCONFIRMED_RELAYED_MAX || !self.has_room(&id) {
            return Merged::Full;
        }
        let mut peer = new_peer(now, id, record);
        peer.hearsay = hearsay;
        self.insert(peer);
        Merged::New
    }

    /// Whether this run said GOODBYE a moment ago.
    fn is_dead(&mut self, now: Instant, record: &PeerRecord) -> bool {
        let old = |at: Instant| now.saturating_duration_since(at) >= TOMBSTONE;
        while self.graves.front().is_some_and(|&(at, _)| old(at)) {
            self.open_grave();
        }
        let grave = self.tombstones.get(&record.key.id());
        !is_sabotaged(Sabotage::TombstoneIgnored)
            && grave.is_some_and(|&(incarnation, _)| record.incarnation <= incarnation)
    }

    /// Whether this run of somebody said GOODBYE a moment ago.
    #[must_use]
    pub fn has_left(&self, short: &ShortId, incarnation: Incarnation) -> bool {
        let mut first = [0; 32];
        first[..8].copy_from_slice(&short.0);
        let graves = self.tombstones.range(PeerId(first)..);
        let mut same = graves.take_while(|(id, _)| id.short() == *short);
        same.any(|(_, &(last, _))| incarnation <= last)
    }

    /// Forgets the oldest tombstone, unless a later one of the same person took its place.
    fn open_grave(&mut self) {
        let Some((at, id)) = self.graves.pop_front() else {
            return;
        };
        if self.tombstones.get(&id).is_some_and(|&(_, of)| of == at) {
            self.tombstones.remove(&id);
        }
    }

    /// Whether there is room for one more row.
    fn has_room(&mut self, id: &PeerId) -> bool {
        let is_free = !self.peers.contains_key(&id.short());
        is_free && (self.peers.len() < PEERS_MAX || self.forget_one())
    }

    fn insert(&mut self, peer: Peer) {
        let id = peer.id;
        self.peers.insert(id.short(), Box::new(peer));
        self.summary.get_mut().touch(&self.peers, &id);
    }

    /// The counts, up to date.
    fn summary(&self) -> Ref<'_, Summary> {
        self.summary.borrow_mut().settle(&self.peers);
        self.summary.borrow()
    }

    /// Whether the counts are what a full count gives.
    #[cfg(test)]
    pub(super) fn counts_hold(&self) -> bool {
        let summary = self.summary();
        summary.counted_anew(&self.peers) == summary.totals
    }

    /// Counts for these links from now on.
    pub fn set_links(&mut self, links: &[Link]) {
        self.summary.get_mut().set_links(links);
    }

    /// The row of an id.
    #[must_use]
    pub fn get(&self, id: &PeerId) -> Option<&Peer> {
        row(&self.peers, id)
    }

    /// The row of an id, mutable.
    pub fn get_mut(&mut self, id: &PeerId) -> Option<&mut Peer> {
        self.summary.get_mut().touch(&self.peers, id);
        let row = self.peers.get_mut(&id.short());
        row.map(Box::as_mut).filter(|peer| peer.id == *id)
    }

    /// The row that packets name like this.
    #[must_use]
    pub fn by_short(&self, short: &ShortId) -> Option<&Peer> {
        self.peers.get(short).map(Box::as_ref)
    }

    /// Everybody, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values().map(Box::as_ref)
    }

    /// Everybody, by id, mutable.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.summary.get_mut().touch_all();
        self.peers.values_mut().map(Box::as_mut)
    }

    /// Those that count as here.
    pub fn members(&self) -> impl Iterator<Item = &Peer> {
        self.iter().filter(|peer| peer.is_member())
    }

    /// Everybody from one id to another, both included.
    pub fn between(&self, first: ShortId, last: ShortId) -> impl Iterator<Item = &Peer> {
        self.peers
            .range(first..=last)
            .map(|(_, peer)| peer.as_ref())
    }

    /// Live peers and this node: the N of the timers.
    #[must_use]
    pub fn population(&self) -> usize {
        1 + self.summary().totals.members
    }

    /// The same with those that are listed and not validated yet: the N of what is thinned out
    /// while a crowd comes in.
    #[must_use]
    pub fn crowd(&self) -> usize {
        let summary = self.summary();
        1 + summary.totals.members + summary.totals.validating
    }

    /// How many are online and being validated, one-shot commands left out.
    #[must_use]
    pub fn validating(&self) -> usize {
        self.summary().totals.validating
    }

    /// How many were validated before the links to them were lost, one-shot commands left out.
    #[must_use]
    pub fn cut_off(&self) -> usize {
        self.summary().totals.cut_off
    }

    /// The longest smoothed round trip of a member.
    #[must_use]
    pub fn longest_rtt(&self) -> Option<Duration> {
        self.summary().totals.longest_rtt()
    }

    /// The 80th percentile of the losses that members report, in 1/254.
    #[must_use]
    pub fn loss(&self) -> Option<u8> {
        self.summary().totals.loss()
    }

    /// By which group paths members are reached: each mask that at least one has.
    #[must_use]
    pub fn path_masks(&self) -> Vec<u8> {
        self.summary().totals.paths.keys().copied().collect()
    }

    /// Who is validated on this link, this node left out.
    #[must_use]
    pub fn told(&self, link: LinkId) -> Sums {
        self.summary().told(link)
    }

    /// Who is listed on this link, validated or not, this node left out.
    #[must_use]
    pub fn known(&self, link: LinkId) -> Sums {
        self.summary().known(link)
    }

    /// Removes the row of somebody who left, and remembers that this run is over.
    pub fn bury(&mut self, now: Instant, id: &PeerId) -> Option<Box<Peer>> {
        let peer = self.remove(id)?;
        if self.graves.len() >= TOMBSTONES_MAX {
            self.open_grave();
        }
        self.tombstones.insert(*id, (peer.record.incarnation, now));
        self.graves.push_back((now, *id));
        Some(peer)
    }

    /// Removes a row without a trace.
    pub fn remove(&mut self, id: &PeerId) -> Option<Box<Peer>> {
        self.get(id)?;
        let peer = self.peers.remove(&id.short())?;
        self.summary.get_mut().forget(&id.short());
        Some(peer)
    }

    /// The ids of the next `count` live peers after `own` on the ring of ids.
    #[must_use]
    pub fn successors(&self, own: &PeerId, count: usize) -> Vec<PeerId> {
        use std::ops::Bound::{Excluded, Unbounded};
        let after = self.peers.range((Excluded(own.short()), Unbounded));
        let before = self.peers.range(..own.short());
        let live = after
            .chain(before)
            .filter(|(_, peer)| peer.state != PeerState::Offline && peer.is_confirmed());
        live.take(count).map(|(_, peer)| peer.id).collect()
    }

    /// How events name this peer: with as many characters of the id as tell it from the others.
    #[must_use]
    pub fn reference(&self, peer: &Peer) -> PeerRef {
        let text = peer.id.to_string();
        let clash = |len: usize| {
            let same =
                |other: &PeerId| *other != peer.id && other.to_string()[..len] == text[..len];
            self.neighbours(&peer.id).any(|other| same(&other))
        };
        let len = (TAG_CHARS..text.len())
            .find(|&len| !clash(len))
            .unwrap_or(text.len());
        PeerRef {
            id: peer.id,
            name: peer.record.name.as_str().to_owned(),
            tag: text[..len].to_owned(),
            verified: false,
        }
    }

    /// The ids next to this one: whoever shares a prefix with it is among them.
    fn neighbours(&self, id: &PeerId) -> impl Iterator<Item = PeerId> {
        use std::ops::Bound::{Excluded, Unbounded};
        let below = self.peers.range(..id.short()).next_back();
        let mut after = self.peers.range((Excluded(id.short()), Unbounded));
        let near = below.into_iter().chain(after.next());
        near.map(|(_, peer)| peer.id)
    }

    /// The event that describes a row.
    #[must_use]
    pub fn describe(&self, peer: &Peer, name_conflict: bool) -> Event {
        let public = |room: &RecordRoom| match room {
            RecordRoom::Public(name) => Some(format!("#{name}")),
            RecordRoom::Locked(..) => None,
        };
        Event::Peer {
            reference: None,
            peer: self.reference(peer),
            state: peer.state,
            status: peer.record.status,
            status_text: peer.record.status_text.as_str().to_owned(),
            confirmed: peer.is_confirmed(),
            incompatible: false,
            name_conflict,
            addresses: shown_addresses(&peer.addresses),
            rooms: peer.record.rooms.iter().filter_map(public).collect(),
            rtt_ms: peer
                .rtt
                .map(|rtt| (rtt.smoothed.as_secs_f64() * 1e6).round() / 1e3),
            transient: peer.record.transient,
        }
    }

    /// The event that describes a row, if people have not been told just that.
    pub fn announcement(&mut self, id: &PeerId, name_conflict: bool) -> Option<Event> {
        let event = self.describe(self.get(id)?, name_conflict);
        let told = hash_of(&without_rtt(event.clone()));
        let peer = self.peers.get_mut(&id.short())?;
        if peer.announced.replace(told) == Some(told) {
            return None;
        }
        Some(event)
    }

    /// Who was heard, is here and unconfirmed, for the longest time.
    #[must_use]
    pub fn oldest_stranger(&self) -> Option<PeerId> {
        let summary = self.summary();
        let oldest = summary.totals.strangers.first();
        oldest.and_then(|(_, short)| Some(self.by_short(short)?.id))
    }

    /// Makes room for one more: whoever is offline longest goes, those that nobody ever reached
    /// first.
    fn forget_one(&mut self) -> bool {
        let oldest = self
            .iter()
            .filter(|peer| peer.state == PeerState::Offline)
            .min_by_key(|peer| (peer.is_confirmed(), peer.heard))
            .map(|peer| peer.id);
        oldest.is_some_and(|id| self.remove(&id).is_some())
    }
}

fn merge_known(now: Instant, peer: &mut Peer, record: &PeerRecord) -> Merged {
    let (old, new) = (&peer.record, record);
    if new.incarnation < old.incarnation {
        return Merged::Refused;
    }
    if new.incarnation > old.incarnation {
        peer.window = Window::default();
        peer.links.clear();
        peer.hears_us = None;
        peer.probing = None;
        peer.watch = Watch::default();
        peer.addresses.invalidate(now);
        peer.set_record(record);
        return Merged::Restarted;
    }
    if new.record_seq > old.record_seq {
        peer.set_record(record);
        return Merged::Changed;
    }
    Merged::Same
}

/// Validated addresses, the one in use first; the candidates where none is validated yet.
fn shown_addresses(addresses: &Addresses) -> Vec<String> {
    let validated: Vec<SocketAddr> = addresses
        .iter()
        .filter(|a| a.validated.is_some())
        .map(|a| a.at)
        .collect();
    let shown = if validated.is_empty() {
        addresses.iter().map(|a| a.at).collect()
    } else {
        validated
    };
    shown.iter().map(ToString::to_string).collect()
}

/// What stands for an event that was told: a thousand whole ones would be large.
fn hash_of(event: &Event) -> [u8; 16] {
    let words = serde_json::to_vec(event).unwrap_or_default();
    let mut first = [0; 16];
    first.copy_from_slice(&blake3::hash(&words).as_bytes()[..16]);
    first
}

fn without_rtt(mut event: Event) -> Event {
    if let Event::Peer {
        rtt_ms, addresses, ..
    } = &mut event
    {
        *rtt_ms = None;
        // Only the address in use is worth an event of its own.
        addresses.truncate(1);
    }
    event
}
