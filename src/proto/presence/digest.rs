//! The digest of a roster: what two nodes compare to see whether they know the same people. All of it,
//! and by the first bits of the ids, where it differs.

use crate::id::{Incarnation, PeerId, ShortId};
use crate::limits::SYNC_BUCKETS_MAX;
use crate::proto::sabotage::{Sabotage, is_sabotaged};
use crate::wire::sync::bucket_of;
use crate::wire::{Digest, PeerRecord};

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
    pub(super) fn toggle(&mut self, id: &ShortId, mark: u64, add: bool) {
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
