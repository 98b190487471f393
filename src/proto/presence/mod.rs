//! Presence: who is here.

pub mod address;
pub mod addresses;
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
mod links;
mod measures;
pub mod names;
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
mod sources;
pub mod speak;
mod strangers;
mod summary;
mod suspect;
mod sync;
mod tick;
mod token;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::api::{PeerState, Status};
use crate::datagram::{Arrival, Path};
use crate::durable::Snapshot;
use crate::id::{PeerId, PublicKey, ShortId};
use crate::limits::CANDIDATE_PROBE_RATE;
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
use links::reaches;
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
/// Between two looks at somebody who acknowledges nothing.
const DOUBTED_AGAIN: Duration = Duration::from_millis(500);
/// A roster that is this old has settled, whoever is still missing.
const SETTLE: Duration = Duration::from_secs(1);
/// The same while somebody greeted us who knows more people than are here: with a third of all
/// datagrams lost one of 25 starts misses somebody for longer than a second.
const SETTLE_SHORT: Duration = Duration::from_secs(3);
/// Who was here before a link was lost is proven anew within this once it is back, if at all.
const RELINK: Duration = Duration::from_millis(300);

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
    /// What it adds to a digest.
    own_mark: Option<(ShortId, u64)>,
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
    /// When something new was last on them.
    regained_at: Instant,
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
    sources: BTreeMap<SocketAddr, ShortId>,
    /// Grows with every change of the pins.
    pins_version: u64,
    /// Grows with every change of a row that people are told of.
    rows_version: u64,
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
        let record = speak::own_record(core, 1)?;
        Some(Presence {
            roster: Roster::default(),
            own_mark: digest::own_mark(&record),
            record,
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
            regained_at: now.mono,
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
            rows_version: 0,
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
            self.set_record(record);
            self.note_news(core.identity.id());
            self.announce_self(core, now, Duration::from_millis(5));
        }
    }

    fn set_record(&mut self, record: PeerRecord) {
        self.own_mark = digest::own_mark(&record);
        self.record = record;
    }

    /// Begins a new run: a new record, and nobody's sequence numbers mean anything any more.
    pub fn renew(&mut self, core: &mut Core, now: Now) {
        if let Some(record) = speak::own_record(core, 1) {
            self.set_record(record);
        }
        self.beacon = Beacon::new(now.mono);
        self.reach = Reach::new(now.mono);
    }

    /// This node begins to speak.
    pub fn open(&mut self, now: Instant) {
        self.opened.get_or_insert(now);
    }

    /// This node came into another network: who is there is as unknown as at the start.
    pub fn arrive(&mut self, now: Instant) {
        if self.opened.is_some() {
            self.opened = Some(now);
            self.welcomed = None;
        }
        for peer in self.roster.iter_mut() {
            peer.addresses.forget_unlinked();
        }
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
        // That count may have this node in it, unless nobody counts it.
        let counted = usize::from(!self.record.transient);
        let is_short = |known| known as usize > others + counted;
        let wait = match self.welcomed {
            Some(_) if complete => Duration::ZERO,
            Some(known) if is_short(known) => SETTLE_SHORT,
            _ => SETTLE,
        };
        let settled = self.opened? + wait;
        let is_cut_off = self.roster.cut_off() > 0;
        Some(settled.max(self.regained_at + RELINK * u32::from(is_cut_off)))
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

    /// A number that grows with every change of who is here and of what they say of themselves.
    #[must_use]
    pub fn rows_version(&self) -> u64 {
        self.rows_version
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

    /// The same of somebody who does not acknowledge what is said: however much that is, they are
    /// looked at once in [`DOUBTED_AGAIN`].
    pub fn doubt_silence(&mut self, now: Instant, id: &PeerId) {
        let looked = self.roster.get(id).and_then(|peer| peer.watch.looked);
        if looked.is_none_or(|at| now >= at + DOUBTED_AGAIN) {
            self.doubt(now, id);
        }
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
        self.rows_version += 1;
        let Some(peer) = self.roster.get(id) else {
            return;
        };
        let conflict = self.is_name_conflict(&peer.record.name, &peer.key());
        if let Some(event) = self.roster.announcement(id, conflict) {
            core.event(event);
        }
    }

    /// When something is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        if self.beacon.leaving == Leaving::No {
            let deadlines = [
                self.beacon.deadline(),
                self.flapping.deadline(),
                self.alive_at(),
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
                self.rows_version += 1;
                self.lost.push((*id, peer.record.key));
            }
        }
        self.announce(core, id);
        self.plan(core, id);
    }
}
