//! One epoch of the own log in a room: numbering, copies, heads.

mod followed;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use self::followed::acked_within;
pub use self::followed::{Followed, Recipients};
use super::runs::Runs;
use crate::id::{MessageId, NetworkId};
use crate::limits::ROOM_CACHE_ENTRIES;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::wire::Entry;

/// Own messages whose delivery is followed at once; older ones keep their last receipt.
pub const FOLLOWED_MAX: u32 = 256;
/// Between two copies of an entry.
const COPY_GAP_MIN: Duration = Duration::from_millis(20);
const COPY_GAP_MAX: Duration = Duration::from_millis(60);
/// Above this many entries a second one copy has to do.
const SINGLE_COPY_RATE: usize = 20;
/// HEADS go at so many t0 after the last copy; where much is lost once more early, since whoever heard
/// neither the entry nor the first of them waits for the next.
const HEADS_AT: [u32; 4] = [1, 4, 16, 64];
const HEADS_AT_LOSSY: [u32; 5] = [1, 2, 4, 16, 64];
const HEADS_AT_WORST: [u32; 12] = [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 32, 64];
/// From this loss on it is the last of these.
const WORST: f64 = 0.4;
const HEADS_BASE_MIN: Duration = Duration::from_millis(50);

/// One epoch of the own log.
pub struct OwnSender {
    /// The network it belongs to.
    pub network: NetworkId,
    /// Number of the last entry made.
    pub seq: u32,
    /// Its hash.
    pub hash: [u8; 32],
    /// Number of the last entry handed to the network.
    pub sent_seq: u32,
    /// Whether the store does not know it, so that it is never continued.
    pub is_volatile: bool,
    /// What of it was said on other networks than its own in this run.
    said_on: BTreeMap<NetworkId, Runs>,
    followed: BTreeMap<u32, Followed>,
    cache: BTreeMap<u32, Vec<u8>>,
    /// What is left of what was taken back before it was sent.
    stubs: BTreeMap<u32, Vec<u8>>,
    heads: Option<HeadsPlan>,
    lately: VecDeque<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct HeadsPlan {
    base: Duration,
    /// In units of the base, what is left of it.
    at: &'static [u32],
    next: Instant,
}

impl OwnSender {
    /// A log of this network that ends with this number and hash, 0 and zeros if it is new.
    #[must_use]
    pub fn new(network: NetworkId, seq: u32, hash: [u8; 32]) -> Self {
        OwnSender {
            network,
            seq,
            hash,
            sent_seq: seq,
            is_volatile: false,
            said_on: BTreeMap::new(),
            followed: BTreeMap::new(),
            cache: BTreeMap::new(),
            stubs: BTreeMap::new(),
            heads: None,
            lately: VecDeque::new(),
        }
    }

    /// Whether all of it is told of and served on this network.
    #[must_use]
    pub fn is_of(&self, network: NetworkId) -> bool {
        self.network == NetworkId::EVERYWHERE || self.network == network
    }

    /// Whether this number is served on this network: elsewhere than on its own only what was said
    /// there too.
    #[must_use]
    pub fn serves(&self, network: NetworkId, seq: u32) -> bool {
        let said = || self.said_on.get(&network);
        self.is_of(network) || said().is_some_and(|said| said.contains(seq))
    }

    /// The lowest number served on this network, if there is any.
    #[must_use]
    pub fn lowest_on(&self, network: NetworkId) -> Option<u32> {
        match self.is_of(network) {
            true => Some(1),
            false => self.said_on.get(&network)?.first(),
        }
    }

    /// The first and the last number that are told of on this network, if anything is.
    #[must_use]
    pub fn told_on(&self, network: NetworkId) -> Option<(u32, u32)> {
        let told = match self.is_of(network) {
            true => Some((1, self.sent_seq)),
            false => {
                let said = self.said_on.get(&network)?;
                said.first_of_last().zip(said.last())
            }
        };
        told.filter(|(_, last)| *last > 0)
    }

    /// This number was said on these networks.
    pub fn said_on(&mut self, networks: impl IntoIterator<Item = NetworkId>, seq: u32) {
        for network in networks {
            if !self.is_of(network) {
                self.said_on.entry(network).or_default().insert(seq);
            }
        }
    }

    /// An entry left: plans its copies, the heads behind it, and follows its delivery.
    pub fn sent(
        &mut self,
        now: Instant,
        entry: &Entry,
        followed: (MessageId, Vec<u8>, Recipients),
        pace: Pace,
    ) {
        let (id, packet, Recipients { of, is_sampled }) = followed;
        self.lately.push_back(now);
        while self
            .lately
            .front()
            .is_some_and(|&at| now > at + Duration::from_secs(1))
        {
            self.lately.pop_front();
        }
        let copies = if self.lately.len() > SINGLE_COPY_RATE {
            1
        } else {
            pace.copies()
        };
        let gap = pace.rtt.mul_f64(1.2).clamp(COPY_GAP_MIN, COPY_GAP_MAX);
        let last_copy = now + gap * (copies - 1);
        self.sent_seq = self.sent_seq.max(entry.seq);
        self.cache.insert(entry.seq, entry.bytes.clone());
        if self.cache.len() > ROOM_CACHE_ENTRIES {
            self.cache.pop_first();
        }
        self.followed.insert(
            entry.seq,
            Followed {
                id,
                ends: !entry.kind.more(),
                packet,
                entry: entry.bytes.clone(),
                next_resend: (!of.is_empty()).then(|| last_copy + acked_within(pace.rtt, of.len())),
                of,
                is_sampled,
                acked: BTreeSet::new(),
                left: BTreeSet::new(),
                sent_at: now,
                copies: copies - 1,
                next_copy: (copies > 1).then(|| now + gap),
                resends: 0,
            },
        );
        if self.followed.len() > FOLLOWED_MAX as usize {
            self.followed.pop_first();
        }
        if let Some(stub) = self.stubs.remove(&entry.seq) {
            self.put_stub(entry.seq, &stub);
        }
        let base = pace.rtt.max(HEADS_BASE_MIN);
        self.heads = Some(HeadsPlan {
            base,
            at: match pace.loss {
                Some(WORST..) => &HEADS_AT_WORST,
                _ if pace.copies() > 2 => &HEADS_AT_LOSSY,
                _ => &HEADS_AT,
            },
            next: last_copy + base,
        });
    }

    /// Copies that are due, with the numbers of their entries.
    pub fn take_copies(&mut self, now: Instant, rtt: Duration) -> Vec<(u32, Vec<u8>)> {
        let gap = rtt.mul_f64(1.2).clamp(COPY_GAP_MIN, COPY_GAP_MAX);
        let mut due = Vec::new();
        for (&seq, followed) in &mut self.followed {
            if followed.next_copy.is_some_and(|at| at <= now) {
                due.push((seq, followed.packet.clone()));
                followed.copies -= 1;
                followed.next_copy = (followed.copies > 0).then(|| now + gap);
            }
        }
        due
    }

    /// Whether the head is to be told now.
    pub fn take_heads(&mut self, now: Instant) -> bool {
        if is_sabotaged(Sabotage::NoHeads) {
            self.heads = None;
        }
        let Some(plan) = &mut self.heads else {
            return false;
        };
        if plan.next > now {
            return false;
        }
        match plan.at {
            [this, next, ..] => {
                plan.next = now + plan.base * (next - this);
                plan.at = &plan.at[1..];
            }
            _ => self.heads = None,
        }
        true
    }

    /// The bytes of an own entry, if still in memory.
    #[must_use]
    pub fn cached(&self, seq: u32) -> Option<&Vec<u8>> {
        self.cache.get(&seq)
    }

    /// The body of an own entry is gone: what goes out of it from now on is its stub, but for the
    /// first time where it waits for its turn.
    pub fn put_stub(&mut self, seq: u32, stub: &[u8]) {
        if seq > self.sent_seq {
            self.stubs.insert(seq, stub.to_vec());
        }
        if let Some(bytes) = self.cache.get_mut(&seq) {
            *bytes = stub.to_vec();
        }
        if let Some(followed) = self.followed.get_mut(&seq) {
            followed.entry = stub.to_vec();
            // A copy would have the body.
            (followed.copies, followed.next_copy) = (0, None);
        }
    }

    /// Whether everybody who can have what was said has it.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let is_open = |followed: &Followed| {
            followed.next_copy.is_some()
                || (followed.next_resend.is_some() && followed.missing().next().is_some())
        };
        !self.followed.values().any(is_open)
    }

    /// When something is due of what left.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let heads = self.heads.map(|plan| plan.next);
        let followed = self
            .followed
            .values()
            .flat_map(|f| [f.next_copy, f.next_resend])
            .flatten();
        heads.into_iter().chain(followed).min()
    }
}

/// What copies and repairs are paced by.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Round trip of the group.
    pub rtt: Duration,
    /// Loss that members report, 0 to 1, if any do.
    pub loss: Option<f64>,
}

impl Pace {
    /// Copies of each entry: 1 under 2 % loss, 2 under 15 %, else 3; 2 while nothing is known.
    #[must_use]
    pub fn copies(&self) -> u32 {
        match self.loss {
            None => 2,
            Some(loss) if loss < 0.02 => 1,
            Some(loss) if loss < 0.15 => 2,
            Some(_) => 3,
        }
    }
}
