//! The roster: one row for each person, whatever paths they are heard by.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::address::Addresses;
use super::peer::new_peer;
pub use super::peer::{Peer, Rtt};
use super::suspect::Watch;
use crate::api::{Event, PeerRef, PeerState};
use crate::id::{Incarnation, PeerId, ShortId, TAG_CHARS};
use crate::limits::{PEERS_MAX, UNCONFIRMED_DIRECT_MAX};
use crate::proto::gate::Window;
use crate::wire::{Digest, PeerRecord, RecordRoom};

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

/// Everybody heard of.
#[derive(Default)]
pub struct Roster {
    peers: BTreeMap<PeerId, Peer>,
    shorts: BTreeMap<ShortId, PeerId>,
    tombstones: BTreeMap<PeerId, (Incarnation, Instant)>,
}

impl Roster {
    /// Takes in a verified record.
    pub fn merge(&mut self, now: Instant, record: &PeerRecord) -> Merged {
        let id = record.key.id();
        self.tombstones
            .retain(|_, &mut (_, at)| now.saturating_duration_since(at) < TOMBSTONE);
        let is_dead =
            |&(incarnation, _): &(Incarnation, Instant)| record.incarnation <= incarnation;
        if self.tombstones.get(&id).is_some_and(is_dead) {
            return Merged::Refused;
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            return merge_known(now, peer, record);
        }
        if self.peers.len() >= PEERS_MAX && !self.forget_one() {
            return Merged::Refused;
        }
        let unconfirmed = self
            .peers
            .values()
            .filter(|peer| !peer.is_confirmed() && peer.state != PeerState::Offline)
            .count();
        if self.shorts.contains_key(&id.short()) {
            return Merged::Refused;
        }
        if unconfirmed >= UNCONFIRMED_DIRECT_MAX {
            return Merged::Full;
        }
        self.shorts.insert(id.short(), id);
        self.peers.insert(id, new_peer(now, id, record.clone()));
        Merged::New
    }

    /// The row of an id.
    #[must_use]
    pub fn get(&self, id: &PeerId) -> Option<&Peer> {
        self.peers.get(id)
    }

    /// The row of an id, mutable.
    pub fn get_mut(&mut self, id: &PeerId) -> Option<&mut Peer> {
        self.peers.get_mut(id)
    }

    /// The row that packets name like this.
    #[must_use]
    pub fn by_short(&self, short: &ShortId) -> Option<&Peer> {
        self.shorts.get(short).and_then(|id| self.peers.get(id))
    }

    /// Everybody, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    /// Everybody, by id, mutable.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.peers.values_mut()
    }

    /// Those that count as here.
    pub fn members(&self) -> impl Iterator<Item = &Peer> {
        self.iter().filter(|peer| peer.is_member())
    }

    /// Live peers and this node: the N of the timers.
    #[must_use]
    pub fn population(&self) -> usize {
        1 + self.members().count()
    }

    /// Removes the row of somebody who left, and remembers that this run is over.
    pub fn bury(&mut self, now: Instant, id: &PeerId) -> Option<Peer> {
        let peer = self.remove(id)?;
        if self.tombstones.len() >= TOMBSTONES_MAX {
            let oldest = self.tombstones.iter().min_by_key(|(_, (_, at))| *at);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                self.tombstones.remove(&oldest);
            }
        }
        self.tombstones.insert(*id, (peer.record.incarnation, now));
        Some(peer)
    }

    /// Removes a row without a trace.
    pub fn remove(&mut self, id: &PeerId) -> Option<Peer> {
        let peer = self.peers.remove(id)?;
        self.shorts.remove(&id.short());
        Some(peer)
    }

    /// Count and XOR over the validated peers: two rosters that agree have equal digests.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut digest = Digest::default();
        for peer in self.members() {
            let mut hasher = blake3::Hasher::new_derive_key("lanchat 1 roster digest");
            hasher.update(&peer.id.0);
            hasher.update(&peer.record.incarnation.0.to_be_bytes());
            hasher.update(&peer.record.record_seq.to_be_bytes());
            digest.count += 1;
            let hash = hasher.finalize();
            digest
                .xor
                .iter_mut()
                .zip(hash.as_bytes())
                .for_each(|(x, byte)| *x ^= byte);
        }
        digest
    }

    /// The ids of the next `count` live peers after `own` on the ring of ids.
    #[must_use]
    pub fn successors(&self, own: &PeerId, count: usize) -> Vec<PeerId> {
        use std::ops::Bound::{Excluded, Unbounded};
        let after = self.peers.range((Excluded(own), Unbounded));
        let before = self.peers.range(..own);
        let live = after
            .chain(before)
            .filter(|(_, peer)| peer.state != PeerState::Offline && peer.is_confirmed());
        live.take(count).map(|(id, _)| *id).collect()
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
        let below = self.peers.range(..id).next_back().map(|(id, _)| *id);
        let above = self
            .peers
            .range((Excluded(id), Unbounded))
            .next()
            .map(|(id, _)| *id);
        below.into_iter().chain(above)
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
        let peer = self.peers.get(id)?;
        let event = self.describe(peer, name_conflict);
        let comparable = without_rtt(event.clone());
        let peer = self.peers.get_mut(id)?;
        if peer.announced.as_ref() == Some(&comparable) {
            return None;
        }
        peer.announced = Some(comparable);
        Some(event)
    }

    /// Who is here and unconfirmed for the longest time.
    #[must_use]
    pub fn oldest_stranger(&self) -> Option<PeerId> {
        self.iter()
            .filter(|peer| !peer.is_confirmed() && peer.state != PeerState::Offline)
            .min_by_key(|peer| peer.first_heard)
            .map(|peer| peer.id)
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
        peer.record = record.clone();
        return Merged::Restarted;
    }
    if new.record_seq > old.record_seq {
        peer.record = record.clone();
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
