//! Presence: who is here.

pub mod address;
pub mod beacon;
mod compare;
mod deaf;
pub mod digest;
mod flapping;
mod hearsay;
mod indirect;
mod lifeguard;
#[cfg(test)]
mod limits_tests;
mod news;
pub mod observe;
mod page;
mod past;
mod patience;
pub mod peer;
pub mod probe;
pub mod receive;
mod remembered;
pub mod roster;
mod schedule;
pub mod speak;
mod strangers;
mod suspect;
mod sync;
mod tick;
mod token;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::api::{Event, PeerRef, PeerState, Status};
use crate::datagram::{Arrival, Link, Path};
use crate::durable::Snapshot;
use crate::id::{PeerId, PublicKey};
use crate::limits::{CANDIDATE_PROBE_RATE, PEER_ADDRESSES_MAX, PEERS_MAX};
use crate::proto::Now;
use crate::proto::bucket::Bucket;
use crate::proto::core::Core;
use crate::text::{PeerName, StatusText};
use crate::wire::PeerRecord;
use beacon::{Beacon, Leaving};
use deaf::Reach;
use flapping::Flapping;
use hearsay::Hearsays;
use indirect::Relays;
pub use lifeguard::GAP;
use lifeguard::Health;
use news::Newsboard;
use patience::Patience;
use probe::ROUND_MIN;
use remembered::Remembered;
use roster::{Peer, Roster};
use schedule::Schedule;
use strangers::Strangers;
use suspect::Accusations;
use sync::Sync;
use tick::Pace;

/// Upper bound of the delay before HELLO where an interface came: many see it at once.
pub(super) const CHANGE_JITTER: Duration = Duration::from_millis(20);
/// Bytes to an address that was validated before its link was lost, to find it again: three
/// PROBEs.
const RELINK_ALLOWANCE: u64 = 3 * tick::PROBE_LEN as u64;
/// A roster that is this old has settled, whoever is still missing.
const SETTLE: Duration = Duration::from_secs(1);
/// Upper bound of the group's round trip.
const GROUP_RTT_MAX: Duration = Duration::from_millis(500);
/// Lower bound of it.
const GROUP_RTT_MIN: Duration = Duration::from_millis(10);
/// What it is taken for before anything is measured.
const GROUP_RTT_START: Duration = Duration::from_millis(50);

/// A packet that verified, and how it came.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// Whose it is.
    pub id: PeerId,
    /// Where it came from.
    pub arrival: Arrival,
    /// The path that its header names.
    pub path: Path,
    /// Its length.
    pub len: usize,
}

/// Everything about who is here.
pub struct Presence {
    /// Who is here.
    pub roster: Roster,
    /// Own record.
    pub record: PeerRecord,
    beacon: Beacon,
    flapping: Flapping,
    pins: BTreeMap<String, PublicKey>,
    schedule: Schedule,
    pace: Pace,
    /// When the next round on the ring begins.
    round_at: Instant,
    round: usize,
    /// With whom conversations are open.
    conversations: BTreeSet<PeerId>,
    health: Health,
    accusations: Accusations,
    relays: Relays,
    /// When the links were last seen to change.
    linked_at: Instant,
    /// Up to when standing still was made up for.
    caught_up: Instant,
    candidate_rate: Bucket,
    patience: Patience,
    strangers: Strangers,
    remembered: Remembered,
    reach: Reach,
    /// Jumps above an own past that others told of.
    jumps: u32,
    /// When somebody was last here.
    company: Option<Instant>,
    sync: Sync,
    hearsays: Hearsays,
    newsboard: Newsboard,
    /// Validated addresses and whose they are; what is stale in it is found out when it is used.
    sources: BTreeMap<SocketAddr, PeerId>,
    /// Grows with every change of the pins.
    pins_version: u64,
    opened: Option<Instant>,
    /// How many whoever greeted us first knew, itself included.
    welcomed: Option<u32>,
    confirmed: Vec<PeerId>,
    lost: Vec<(PeerId, PublicKey)>,
    restarted: Vec<PeerId>,
    moved: Vec<PeerId>,
    returned: Vec<PeerId>,
    observed: observe::Observed,
}

impl Presence {
    /// Nobody known yet.
    pub fn new(core: &mut Core, now: Now, snapshot: &Snapshot) -> Option<Self> {
        Some(Presence {
            roster: Roster::default(),
            record: speak::own_record(core, 1)?,
            beacon: Beacon::new(now.mono),
            flapping: Flapping::default(),
            pins: snapshot.pins.iter().cloned().collect(),
            schedule: Schedule::default(),
            pace: Pace::of(1, 0),
            // Not all that were started together at the same time.
            round_at: now.mono + core.jitter(ROUND_MIN),
            round: 0,
            conversations: BTreeSet::new(),
            health: Health::new(now.mono),
            accusations: Accusations::new(now.mono),
            relays: Relays::new(now.mono),
            linked_at: now.mono,
            caught_up: now.mono,
            candidate_rate: Bucket::new(now.mono, CANDIDATE_PROBE_RATE, CANDIDATE_PROBE_RATE),
            patience: Patience::default(),
            strangers: Strangers::new(now.mono),
            remembered: Remembered::new(&snapshot.neighbors, now),
            reach: Reach::new(now.mono),
            jumps: 0,
            company: None,
            sync: Sync::new(now.mono, core.random()),
            hearsays: Hearsays::new(now.mono),
            newsboard: Newsboard::default(),
            sources: BTreeMap::new(),
            pins_version: 0,
            opened: None,
            welcomed: None,
            confirmed: Vec::new(),
            lost: Vec::new(),
            restarted: Vec::new(),
            moved: Vec::new(),
            returned: Vec::new(),
            observed: observe::Observed::default(),
        })
    }

    /// Starts a burst of HELLOs: at the start, for a new interface, after an own change.
    pub fn announce_self(&mut self, core: &mut Core, now: Now, jitter: Duration) {
        if self.beacon.leaving == Leaving::No {
            self.beacon
                .burst(core, now.mono, jitter, self.roster.population());
        }
    }

    /// Says something new of this node, to everybody.
    pub fn change_self(&mut self, core: &mut Core, now: Now) {
        if let Some(record) = speak::own_record(core, self.record.record_seq + 1) {
            self.record = record;
            self.note_news(core.identity.id());
            self.announce_self(core, now, Duration::from_millis(5));
        }
    }

    /// Begins a new run: a new record, and nobody's sequence numbers mean anything any more.
    pub fn renew(&mut self, core: &mut Core, now: Now) {
        if let Some(record) = speak::own_record(core, 1) {
            self.record = record;
        }
        self.beacon = Beacon::new(now.mono);
        self.reach = Reach::new(now.mono);
    }

    /// This node begins to speak.
    pub fn open(&mut self, now: Instant) {
        self.opened.get_or_insert(now);
    }

    /// When those who are here can be taken for known: what is said earlier waits until then, so
    /// that its receipt counts them.
    #[must_use]
    pub fn settled_at(&self) -> Option<Instant> {
        let others = self.roster.population() - 1;
        // Whoever greeted us first knew so many, itself included; all of them are here.
        let greeted = self.welcomed.is_some_and(|known| others >= known as usize);
        // Somebody who is listed and just being validated is to be counted as well.
        let complete = greeted && self.roster.validating() == 0;
        let wait = if complete { Duration::ZERO } else { SETTLE };
        self.opened.map(|opened| opened + wait)
    }

    /// Whether the last GOODBYE is out.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.beacon.leaving == Leaving::Done
    }

    /// Whether a GOODBYE is out.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.beacon.leaving != Leaving::No
    }

    /// Peers of whom an address was validated since the last call.
    pub fn take_confirmed(&mut self) -> Vec<PeerId> {
        std::mem::take(&mut self.confirmed)
    }

    /// Peers that left or went offline since the last call.
    pub fn take_lost(&mut self) -> Vec<(PeerId, PublicKey)> {
        std::mem::take(&mut self.lost)
    }

    /// Peers that began a new run since the last call.
    pub fn take_restarted(&mut self) -> Vec<PeerId> {
        std::mem::take(&mut self.restarted)
    }

    /// Peers whose address in use changed since the last call.
    pub fn take_moved(&mut self) -> Vec<PeerId> {
        std::mem::take(&mut self.moved)
    }

    /// Peers that were given up or doubted and spoke again since the last call.
    pub fn take_returned(&mut self) -> Vec<PeerId> {
        std::mem::take(&mut self.returned)
    }

    /// What was sent to this peer is not answered: asks it for a sign of life.
    pub fn doubt(&mut self, now: Instant, id: &PeerId) {
        let is_idle = |peer: &Peer| peer.is_live() && peer.probing.is_none();
        if self.roster.get(id).is_some_and(is_idle) {
            self.look(now, now, id);
        }
    }

    /// The links changed. An address that only a link reached which is gone is not used, and
    /// whoever was reached there is asked for a sign of life by what is left. What is new gets
    /// a burst of HELLOs, later the more often it comes and goes.
    pub fn links_changed(&mut self, core: &mut Core, now: Now, before: &[Link], jitter: Duration) {
        self.roster.set_links(&core.links);
        let is_cut = |at: SocketAddr| reaches(before, at) && !reaches(&core.links, at);
        self.reach.links_changed(now.mono);
        let is_back = |at: SocketAddr| !reaches(before, at) && reaches(&core.links, at);
        let links: Vec<_> = core.links.iter().map(|link| link.id).collect();
        let mut doubted = Vec::new();
        for peer in self.roster.iter_mut() {
            peer.links.retain(|id, _| links.contains(id));
            let was_used = peer.addresses.current();
            let all: Vec<SocketAddr> = peer.addresses.iter().map(|address| address.at).collect();
            for &at in all.iter().filter(|&&at| is_cut(at)) {
                peer.addresses.unlinked(now.mono, at);
            }
            for &at in all.iter().filter(|&&at| is_back(at)) {
                peer.addresses.linked(now.mono, at, RELINK_ALLOWANCE);
            }
            if was_used.map_or(all.iter().any(|&at| is_cut(at)), is_cut) {
                doubted.push(peer.id);
            }
        }
        for id in doubted {
            self.unlink(core, now.mono, &id);
        }
        let ids: Vec<PeerId> = self.roster.iter().map(|peer| peer.id).collect();
        for id in ids {
            self.announce(core, &id);
        }
        self.linked_at = now.mono;
        match self.flapping.links_changed(now.mono, before, &core.links) {
            Some(at) if at <= now.mono => self.announce_self(core, now, jitter),
            Some(at) => self.flapping.postpone(at),
            None => {}
        }
        self.plan_all(core);
    }

    /// The address in use of this peer is cut off on our side: another one is tried at once;
    /// without one nobody can tell whether they are still here.
    fn unlink(&mut self, core: &mut Core, now: Instant, id: &PeerId) {
        self.doubt(now, id);
        let is_lost = |peer: &Peer| {
            let out_of_reach = !peer.is_confirmed() && !peer.addresses.is_trying();
            peer.state == PeerState::Online && out_of_reach
        };
        if self.roster.get(id).is_some_and(is_lost) {
            self.set_state(core, id, PeerState::Suspect);
        }
    }

    /// The round trip of the group: the longest of a live peer, 10 to 500 ms.
    #[must_use]
    pub fn group_rtt(&self) -> Duration {
        self.roster
            .longest_rtt()
            .unwrap_or(GROUP_RTT_START)
            .clamp(GROUP_RTT_MIN, GROUP_RTT_MAX)
    }

    /// The loss of the group: the 80th percentile of what members report, 0 to 1.
    #[must_use]
    pub fn group_loss(&self) -> Option<f64> {
        let loss = self.roster.loss()?;
        Some(f64::from(loss) / 254.0)
    }

    /// The group paths that together reach every member: one where one is enough.
    #[must_use]
    pub fn group_paths(&self) -> Vec<Path> {
        let mut masks = self.roster.path_masks();
        masks.retain(|&mask| mask != 0);
        if masks.is_empty() {
            return Path::GROUP.to_vec();
        }
        let reaches_all = |path: &&Path| masks.iter().all(|mask| mask & (1 << **path as u8) != 0);
        match Path::GROUP.iter().find(reaches_all) {
            Some(&path) => vec![path],
            None => Path::GROUP.to_vec(),
        }
    }

    /// Whether this name belongs to another key than this one.
    #[must_use]
    pub fn is_name_conflict(&self, name: &PeerName, key: &PublicKey) -> bool {
        self.pins
            .get(&name.skeleton())
            .is_some_and(|pinned| pinned != key)
    }

    /// The key that a name is pinned to.
    #[must_use]
    pub fn pinned(&self, name: &PeerName) -> Option<&PublicKey> {
        self.pins.get(&name.skeleton())
    }

    /// Pins a name to a key. Returns whether that is new.
    pub fn pin(&mut self, name: &PeerName, key: PublicKey) -> bool {
        self.pins_version += 1;
        self.pins.insert(name.skeleton(), key) != Some(key)
    }

    /// Takes another name or status; the caller announces it.
    pub fn set_self(core: &mut Core, name: Option<PeerName>, status: Option<(Status, StatusText)>) {
        if let Some(name) = name {
            core.config.name = name;
        }
        if let Some((status, text)) = status {
            core.config.status = status;
            core.config.status_text = text;
        }
    }

    /// Tells people of a row if it is not what they were told last.
    pub fn announce(&mut self, core: &mut Core, id: &PeerId) {
        let moved = self
            .roster
            .get_mut(id)
            .is_some_and(|peer| peer.addresses.take_moved());
        if moved {
            self.moved.push(*id);
        }
        let version = self.pins_version;
        let told = |peer: &mut Peer| !peer.is_news(version);
        if self.roster.get_mut(id).is_none_or(told) {
            return;
        }
        let Some(peer) = self.roster.get(id) else {
            return;
        };
        let conflict = self.is_name_conflict(&peer.record.name, &peer.key());
        if let Some(event) = self.roster.announcement(id, conflict) {
            core.event(event);
        }
    }

    /// How events name whoever holds this key, known or not.
    #[must_use]
    pub fn reference_of(&self, key: &PublicKey) -> PeerRef {
        self.reference_of_id(&key.id())
    }

    /// How events name somebody, known or not.
    #[must_use]
    pub fn reference_of_id(&self, id: &PeerId) -> PeerRef {
        match self.roster.get(id) {
            Some(peer) => self.roster.reference(peer),
            None => PeerRef {
                id: *id,
                name: "unknown".into(),
                tag: id.tag(),
                verified: false,
            },
        }
    }

    /// The event that describes a row, for `who`.
    #[must_use]
    pub fn describe(&self, peer: &Peer) -> Event {
        let conflict = self.is_name_conflict(&peer.record.name, &peer.key());
        self.roster.describe(peer, conflict)
    }

    /// Where to send to a peer: its validated address in use.
    #[must_use]
    pub fn address_of(&self, id: &PeerId) -> Option<SocketAddr> {
        self.roster
            .get(id)
            .and_then(|peer| peer.addresses.current())
    }

    /// Whether this address is a validated one of this peer.
    #[must_use]
    pub fn is_validated(&self, id: &PeerId, at: SocketAddr) -> bool {
        self.roster
            .get(id)
            .is_some_and(|peer| peer.addresses.is_validated(at))
    }

    /// Whether this address is a validated one of anybody.
    #[must_use]
    pub fn is_known_source(&self, at: SocketAddr) -> bool {
        self.holder_of(at).is_some()
    }

    /// Whose validated address this is.
    #[must_use]
    pub fn holder_of(&self, at: SocketAddr) -> Option<PeerId> {
        let id = self.sources.get(&at)?;
        self.is_validated(id, at).then_some(*id)
    }

    /// Whether somebody who is here has a validated address with this IP address.
    fn is_known_host(&self, ip: std::net::IpAddr) -> bool {
        let from = self.sources.range(SocketAddr::new(ip, 0)..);
        from.take_while(|(at, _)| at.ip() == ip)
            .any(|(&at, id)| self.is_validated(id, at) && self.is_here(id))
    }

    /// Whether somebody was not given up.
    fn is_here(&self, id: &PeerId) -> bool {
        let peer = self.roster.get(id);
        peer.is_some_and(|peer| peer.state != PeerState::Offline)
    }

    /// An address was validated.
    fn note_source(&mut self, at: SocketAddr, id: PeerId) {
        if self.sources.len() >= PEERS_MAX * PEER_ADDRESSES_MAX {
            let roster = &self.roster;
            let holds = |at: &SocketAddr, id: &PeerId| {
                let peer = roster.get(id);
                peer.is_some_and(|peer| peer.addresses.is_validated(*at))
            };
            self.sources.retain(|at, id| holds(at, id));
        }
        self.sources.insert(at, id);
    }

    /// When something is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        if self.beacon.leaving == Leaving::No {
            let deadlines = [
                self.beacon.deadline(),
                self.flapping.deadline(),
                self.schedule.next(),
                Some(self.round_at),
                self.sync.deadline(),
                self.hearsays.deadline(),
                self.remembered.deadline(),
                Some(self.reach.deadline()),
            ];
            deadlines.into_iter().flatten().min()
        } else {
            self.beacon.deadline()
        }
    }

    /// A row changes its state.
    fn set_state(&mut self, core: &mut Core, id: &PeerId, state: PeerState) {
        let Some(peer) = self.roster.get_mut(id) else {
            return;
        };
        if peer.state != state {
            peer.state = state;
            if state == PeerState::Offline {
                self.lost.push((*id, peer.record.key));
            }
        }
        self.announce(core, id);
        self.plan(core, id);
    }
}

/// Whether one of these links reaches an address without a router.
pub(super) fn reaches(links: &[Link], at: SocketAddr) -> bool {
    links.iter().any(|link| link.reaches(at))
}
