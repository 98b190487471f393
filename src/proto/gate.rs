//! What a datagram has to pass before any work is done for it.
//!
//! In this order: byte-identical copies are dropped (several paths carry each packet), then
//! sources over their rate, then whatever the budget of signature checks does not allow. Only
//! what verified is ever counted as seen, so that a forged sequence number drops nothing genuine.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::bucket::Bucket;
use super::sabotage::{Sabotage, is_sabotaged};
use crate::datagram::{LinkId, Path};
use crate::id::{PeerId, ShortId};
use crate::limits::{Limits, NEW_IDENTITIES_PER_MINUTE, SYNC_VERIFY_BURST, SYNC_VERIFY_RATE};
use crate::wire::header::PATH_OFFSET;

const RECENT_MAX: usize = 4096;
const SOURCES_MAX: usize = 1024;
/// Copies of a packet come by other paths at about the same time; what comes later is a replay.
const COPIES_WITHIN: Duration = Duration::from_secs(2);
/// Most links and paths by which one packet counts.
const COPIES_MAX: u32 = 32;

/// Names the bytes of a datagram, its path byte left out: 128 bits of a keyed hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fingerprint(u64, u64);

/// Takes the last number of a key for its hash: a fingerprint is one already, with a secret key.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}

/// Rates, copies and budgets.
pub struct Gate {
    start: Instant,
    key: [u8; 32],
    recent: HashMap<Fingerprint, Seen, BuildHasherDefault<AsIs>>,
    order: VecDeque<Fingerprint>,
    sources: BTreeMap<(SocketAddr, bool), Bucket>,
    identities: BTreeMap<IpAddr, Bucket>,
    known: Bucket,
    unknown: Bucket,
    answers: Bucket,
    source_rate: u32,
}

/// A packet that verified.
struct Seen {
    peer: Option<ShortId>,
    /// When, in milliseconds since the gate was set up: thousands of them are remembered.
    at: u32,
    /// By which links it came, and on each by which paths, as bits `1 << Path`; most come by one.
    first: Option<(LinkId, u8)>,
    #[expect(
        clippy::box_collection,
        reason = "rarely there, and thousands are remembered"
    )]
    further: Option<Box<Vec<(LinkId, u8)>>>,
}

impl Seen {
    fn paths(&self) -> impl Iterator<Item = &(LinkId, u8)> {
        let further = self.further.iter().flat_map(|further| further.iter());
        self.first.iter().chain(further)
    }
}

/// Whether these bytes were here before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sighting {
    /// The first time.
    New(Fingerprint),
    /// A copy of something.
    Copy(Fingerprint),
}

impl Gate {
    /// `key` is random, so that nobody can make fingerprints collide.
    pub fn new(now: Instant, key: [u8; 32], limits: &Limits) -> Self {
        let verify = limits.verify_rate;
        Gate {
            start: now,
            key,
            recent: HashMap::default(),
            order: VecDeque::new(),
            sources: BTreeMap::new(),
            identities: BTreeMap::new(),
            known: Bucket::new(now, verify, verify),
            unknown: Bucket::new(now, verify / 2, verify / 2),
            answers: Bucket::new(now, SYNC_VERIFY_RATE, SYNC_VERIFY_BURST),
            source_rate: limits.source_rate,
        }
    }

    /// Whether these bytes were here before.
    pub fn sight(&self, bytes: &[u8]) -> Sighting {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&bytes[..PATH_OFFSET.min(bytes.len())]);
        hasher.update(bytes.get(PATH_OFFSET + 1..).unwrap_or(&[]));
        let hash = hasher.finalize();
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = *hash.as_bytes();
        let fingerprint = Fingerprint(
            u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            u64::from_be_bytes([i, j, k, l, m, n, o, p]),
        );
        match self.recent.contains_key(&fingerprint) {
            true if !is_sabotaged(Sabotage::ReplayTaken) => Sighting::Copy(fingerprint),
            _ => Sighting::New(fingerprint),
        }
    }

    /// Whose packet this copy is of; none if it is nobody's, or comes too late to be one.
    pub fn owner(&self, now: Instant, fingerprint: Fingerprint) -> Option<ShortId> {
        let seen = self.recent.get(&fingerprint)?;
        let age = Duration::from_millis(self.ms(now).wrapping_sub(seen.at).into());
        seen.peer.filter(|_| age <= COPIES_WITHIN)
    }

    /// Milliseconds since the gate was set up; they begin anew after 49 days.
    #[expect(clippy::cast_possible_truncation, reason = "only differences count")]
    fn ms(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.start).as_millis() as u32
    }

    /// Whether a packet comes for the first time by this path. The path is not signed: each counts
    /// once, or copies with another path byte would tell of paths and hide losses at will.
    pub fn is_first_by(&mut self, fingerprint: Fingerprint, link: LinkId, path: Path) -> bool {
        let Some(seen) = self.recent.get_mut(&fingerprint) else {
            return false;
        };
        let bit = 1 << path as u8;
        let count = seen.paths().map(|(_, paths)| paths.count_ones()).sum();
        if seen.paths().any(|by| by.0 == link && by.1 & bit != 0) || COPIES_MAX <= count {
            return false;
        }
        let mut known = seen
            .first
            .iter_mut()
            .chain(seen.further.iter_mut().flat_map(|f| f.iter_mut()));
        if let Some((_, paths)) = known.find(|(of, _)| *of == link) {
            *paths |= bit;
        } else if seen.first.is_none() {
            seen.first = Some((link, bit));
        } else {
            seen.further.get_or_insert_default().push((link, bit));
        }
        true
    }

    /// Whether a source may send one more. Sources that are a known peer's validated address get
    /// ten times as much.
    pub fn admit_source(&mut self, now: Instant, source: SocketAddr, known: bool) -> bool {
        let rate = if known {
            self.source_rate.saturating_mul(10)
        } else {
            self.source_rate
        };
        let key = (source, known);
        make_room(&mut self.sources, &key, |bucket| bucket.holds(now, rate));
        let bucket = self
            .sources
            .entry(key)
            .or_insert_with(|| Bucket::new(now, rate, rate));
        bucket.take(now, 1)
    }

    /// Whether one more signature may be checked; half of the budget is kept for known peers.
    pub fn admit_check(&mut self, now: Instant, known: bool) -> bool {
        if known {
            self.known.take(now, 1)
        } else {
            self.unknown.take(now, 1) && self.known.take(now, 1)
        }
    }

    /// Whether the signature of one more record may be checked that this node asked for.
    pub fn admit_answer(&mut self, now: Instant) -> bool {
        self.answers.take(now, 1)
    }

    /// Whether a source may bring one more new identity.
    pub fn admit_identity(&mut self, now: Instant, source: IpAddr) -> bool {
        // A LAN party of users on one host is not an attack; a thousand a minute is.
        let most = NEW_IDENTITIES_PER_MINUTE;
        make_room(&mut self.identities, &source, |bucket| {
            bucket.holds(now, most)
        });
        let fresh = || Bucket::a_minute(now, most);
        self.identities
            .entry(source)
            .or_insert_with(fresh)
            .take(now, 1)
    }

    /// Remembers a datagram that passed, and whose it is if it verified.
    pub fn remember(&mut self, now: Instant, fingerprint: Fingerprint, peer: Option<PeerId>) {
        let seen = Seen {
            peer: peer.map(|id| id.short()),
            at: self.ms(now),
            first: None,
            further: None,
        };
        if self.recent.insert(fingerprint, seen).is_some() {
            return;
        }
        if self.order.len() >= RECENT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.recent.remove(&oldest);
        }
        self.order.push_back(fingerprint);
    }
}

/// Keeps a table of buckets within its cap: the idle ones go first, then any.
fn make_room<K: Ord + Copy>(
    table: &mut BTreeMap<K, Bucket>,
    key: &K,
    mut is_idle: impl FnMut(&mut Bucket) -> bool,
) {
    if table.len() < SOURCES_MAX || table.contains_key(key) {
        return;
    }
    table.retain(|_, bucket| !is_idle(bucket));
    if table.len() >= SOURCES_MAX {
        table.pop_first();
    }
}

/// Which sequence numbers of one run were seen: the highest and the 127 before it (as the
/// anti-replay window of RFC 4303, section 3.4.3).
#[derive(Clone, Copy, Default, Debug)]
pub struct Window {
    highest: u32,
    seen: u128,
}

impl Window {
    /// Marks a verified number; false if it was seen before or is too old to tell.
    pub fn accept(&mut self, sequence: u32) -> bool {
        if is_sabotaged(Sabotage::ReplayTaken) {
            return true;
        }
        if sequence > self.highest {
            let shift = sequence - self.highest;
            self.seen = self.seen.checked_shl(shift).unwrap_or(0) | 1;
            self.highest = sequence;
            return true;
        }
        let Some(bit) = 1u128.checked_shl(self.highest - sequence) else {
            return false;
        };
        let fresh = self.seen & bit == 0;
        self.seen |= bit;
        fresh && sequence > 0
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn a_window_takes_each_number_once() {
        let mut window = Window::default();
        assert!(window.accept(5) && !window.accept(5));
        assert!(window.accept(3) && !window.accept(3));
        assert!(window.accept(200) && !window.accept(5));
        assert!(window.accept(199) && window.accept(73) && !window.accept(72));
        assert!(window.accept(u32::MAX) && !window.accept(200) && !window.accept(0));
    }

    #[test]
    fn a_copy_by_another_path_is_a_copy() {
        let now = Instant::now();
        let mut gate = Gate::new(now, [1; 32], &Limits::default());
        let mut bytes = vec![0x0c, 1, 3, 1, 9, 9];
        let Sighting::New(fingerprint) = gate.sight(&bytes) else {
            panic!("seen before")
        };
        gate.remember(now, fingerprint, None);
        bytes[PATH_OFFSET] = 2;
        assert_eq!(gate.sight(&bytes), Sighting::Copy(fingerprint));
        bytes[PATH_OFFSET + 1] = 8;
        assert!(matches!(gate.sight(&bytes), Sighting::New(_)));
    }

    #[test]
    fn a_copy_counts_once_for_each_path_and_only_at_once() {
        let now = Instant::now();
        let mut gate = Gate::new(now, [1; 32], &Limits::default());
        let Sighting::New(packet) = gate.sight(&[1, 2, 3]) else {
            panic!("seen before")
        };
        let ben = PeerId([2; 32]);
        assert_eq!(gate.owner(now, packet), None);
        assert!(!gate.is_first_by(packet, LinkId(1), Path::Mcast4));
        gate.remember(now, packet, Some(ben));
        for (link, path) in [(1, Path::Mcast4), (1, Path::Bcast4), (2, Path::Mcast4)] {
            assert!(gate.is_first_by(packet, LinkId(link), path));
            assert!(!gate.is_first_by(packet, LinkId(link), path));
        }
        let firsts = (3..100).filter(|&link| gate.is_first_by(packet, LinkId(link), Path::Mcast4));
        assert_eq!(firsts.count(), COPIES_MAX as usize - 3);
        assert_eq!(gate.owner(now + COPIES_WITHIN, packet), Some(ben.short()));
        let late = now + COPIES_WITHIN + Duration::from_millis(1);
        assert_eq!(gate.owner(late, packet), None);
    }

    #[test]
    fn a_flood_of_sources_stays_within_the_cap_and_the_budget() {
        let now = Instant::now();
        let mut gate = Gate::new(now, [1; 32], &Limits::default());
        let source = |port| SocketAddr::from(([10, 0, 0, 1], port));
        let admitted = (0..500)
            .filter(|_| gate.admit_source(now, source(1), false))
            .count();
        assert_eq!(admitted, Limits::default().source_rate as usize);
        for port in 0..5000 {
            gate.admit_source(now, source(port), false);
        }
        assert!(gate.sources.len() <= SOURCES_MAX);
        let unknown = (0..5000).filter(|_| gate.admit_check(now, false)).count();
        assert_eq!(unknown, Limits::default().verify_rate as usize / 2);
        assert!(gate.admit_check(now, true), "half is kept for known peers");
        let new = (0..100)
            .filter(|_| gate.admit_identity(now, [10, 0, 0, 1].into()))
            .count();
        assert_eq!(new, NEW_IDENTITIES_PER_MINUTE as usize);
        let minute = (0..600).map(|tenth| now + Duration::from_millis(100 * (tenth + 1)));
        let more = minute.filter(|&now| gate.admit_identity(now, [10, 0, 0, 1].into()));
        assert_eq!(more.count(), NEW_IDENTITIES_PER_MINUTE as usize);
        let known = (0..5000).filter(|_| gate.admit_source(now, source(7), true));
        assert_eq!(known.count(), 10 * Limits::default().source_rate as usize);
    }

    #[test]
    fn recent_fingerprints_are_bounded() {
        let now = Instant::now();
        let mut gate = Gate::new(now, [1; 32], &Limits::default());
        for i in 0..10_000u32 {
            if let Sighting::New(fingerprint) = gate.sight(&i.to_be_bytes()) {
                gate.remember(now, fingerprint, None);
            }
        }
        assert!(gate.recent.len() <= RECENT_MAX && gate.order.len() <= RECENT_MAX);
    }
}
