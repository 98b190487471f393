//! What the store has to know of an entry: read at fixed offsets from its bytes.
//!
//! The store knows no packets. It reads these few fields of an entry that the core has parsed and
//! verified; a test in `wire` keeps the two layouts from drifting apart.

use crate::id::{NetworkId, PublicKey};

const TAG_LEN: usize = 8;
const BODY_HASH_LEN: usize = 32;
const SIGNATURE_LEN: usize = 64;
const DEPS_MAX: usize = crate::limits::ENTRY_DEPS_MAX;
/// The kind of an entry that says what its room is about.
pub const KIND_TOPIC: u8 = 3;
/// Bit of the kind: the next number continues the body.
pub const KIND_MORE: u8 = 0x80;
/// Bit of the kind: this continues the body of the number before.
pub const KIND_CONTINUES: u8 = 0x40;
/// In place of the length of the body: it was redacted, and none follows.
pub const BODY_REDACTED: u16 = 0xFFFF;

/// The head of an entry, from its bytes as signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryHead {
    /// Its author.
    pub author: PublicKey,
    /// The network that its log belongs to.
    pub network: NetworkId,
    /// The epoch.
    pub epoch: u64,
    /// The number.
    pub seq: u32,
    /// Hybrid logical clock: 48 bits of milliseconds, 16 bits of counter.
    pub hlc: u64,
    /// Hash of the author's entry before.
    pub prev: [u8; 32],
    /// What the body is.
    pub kind: u8,
    /// First 16 bytes of the hashes of entries that stand before it.
    pub deps: Vec<[u8; 16]>,
    /// The body; none where it was redacted.
    pub body: Option<Vec<u8>>,
}

impl EntryHead {
    /// The head of these bytes; none if they are no entry.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<EntryHead> {
        let mut rest = bytes;
        let _: [u8; TAG_LEN] = take(&mut rest)?;
        let author = PublicKey(take(&mut rest)?);
        let network = NetworkId(take(&mut rest)?);
        let epoch = u64::from_be_bytes(take(&mut rest)?);
        let seq = u32::from_be_bytes(take(&mut rest)?);
        let hlc = u64::from_be_bytes(take(&mut rest)?);
        let prev = take(&mut rest)?;
        let [kind] = take(&mut rest)?;
        let [count] = take(&mut rest)?;
        if usize::from(count) > DEPS_MAX {
            return None;
        }
        let deps: Option<Vec<[u8; 16]>> = (0..count).map(|_| take(&mut rest)).collect();
        let _: [u8; BODY_HASH_LEN] = take(&mut rest)?;
        let len = u16::from_be_bytes(take(&mut rest)?);
        let body = match len {
            BODY_REDACTED => None,
            len => {
                let (body, after) = rest.split_at_checked(usize::from(len))?;
                rest = after;
                Some(body.to_vec())
            }
        };
        (rest.len() == SIGNATURE_LEN).then_some(EntryHead {
            author,
            network,
            epoch,
            seq,
            hlc,
            prev,
            kind,
            deps: deps?,
            body,
        })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*first)
}

/// The parts of a message, put together one after the other.
pub struct Parts {
    kind: u8,
    body: Option<Vec<u8>>,
    left: u32,
}

impl Parts {
    /// Begins with the first part: its kind and its body, none where that was redacted.
    #[must_use]
    pub fn new(kind: u8, body: Option<Vec<u8>>) -> Parts {
        Parts {
            kind,
            body,
            left: crate::limits::ENTRY_PARTS_MAX - 1,
        }
    }

    /// Whether another part has to follow.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.kind & KIND_MORE != 0
    }

    /// The next part; false if it is none of this message, or one too many.
    pub fn push(&mut self, next: EntryHead) -> bool {
        let of = |kind: u8| kind & !(KIND_MORE | KIND_CONTINUES);
        let fits = next.kind & KIND_CONTINUES != 0 && of(next.kind) == of(self.kind);
        if !fits || self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.kind = next.kind;
        self.body = self.body.take().zip(next.body).map(|(mut body, more)| {
            body.extend(more);
            body
        });
        true
    }

    /// The kind and the body of the whole; no body where any part was redacted.
    #[must_use]
    pub fn whole(self) -> (u8, Option<Vec<u8>>) {
        (self.kind & !(KIND_MORE | KIND_CONTINUES), self.body)
    }
}

/// The place of an entry in the order that people see: `max(hlc, k(prev) + 1, k(dep) + 1 ...)` of
/// what is held, ties by author, epoch and number. What is not held does not count, so that who
/// holds the same entries has the same order, however they came.
#[must_use]
pub fn order_key(hlc: u64, prev: Option<u64>, deps: &[u64]) -> u64 {
    let before = prev.into_iter().chain(deps.iter().copied());
    before.map(|key| key.saturating_add(1)).fold(hlc, u64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RoomId;
    use crate::wire::group::EntryFields;
    use crate::wire::{Entry, EntryKind};

    fn entry(deps: usize, body: &[u8]) -> Entry {
        let fields = EntryFields {
            author: PublicKey([7; 32]),
            network: NetworkId([6; 8]),
            epoch: u64::MAX - 1,
            seq: 0x0102_0304,
            hlc: 0x0506_0708_090a_0b0c,
            prev: [9; 32],
            kind: EntryKind(42),
            deps: (1..).map(|n| [n; 16]).take(deps).collect(),
            body: body.to_vec(),
        };
        Entry::build(fields, &RoomId::public("lobby"), &mut |_| [8; 64]).unwrap()
    }

    #[test]
    fn it_is_what_the_wire_reads() {
        for (deps, body) in [(0, &b""[..]), (1, b"hello"), (4, &[0xff; 900])] {
            let entry = entry(deps, body);
            let head = EntryHead::of(&entry.bytes).unwrap();
            assert_eq!((head.author, head.network), (entry.author, entry.network));
            assert_eq!((head.epoch, head.seq), (entry.epoch, entry.seq));
            assert_eq!((head.hlc, head.prev), (entry.hlc, entry.prev));
            assert_eq!((head.kind, &head.deps), (entry.kind.0, &entry.deps));
            assert_eq!(head.body, Some(entry.body));
        }
    }

    #[test]
    fn a_topic_is_told_by_the_byte_that_the_store_looks_at() {
        assert_eq!(EntryKind::TOPIC.0, KIND_TOPIC);
        assert_eq!(EntryKind::MORE, KIND_MORE);
        assert_eq!(EntryKind::CONTINUES, KIND_CONTINUES);
        assert_eq!(entry(0, b"").bytes[100], 42);
    }

    #[test]
    fn a_stub_has_no_body_and_what_is_no_entry_has_no_head() {
        let bytes = entry(2, b"hello").bytes;
        let signature = bytes.len() - SIGNATURE_LEN;
        let mut stub = bytes[..signature - 7].to_vec();
        stub.extend(BODY_REDACTED.to_be_bytes());
        stub.extend(&bytes[signature..]);
        let head = EntryHead::of(&stub).unwrap();
        assert_eq!((head.body, head.deps.len()), (None, 2));
        for len in 0..bytes.len() {
            assert_eq!(EntryHead::of(&bytes[..len]), None, "{len}");
        }
        assert_eq!(EntryHead::of(&[bytes, vec![0]].concat()), None);
    }

    #[test]
    fn the_key_is_behind_everything_it_follows() {
        assert_eq!(order_key(5, None, &[]), 5);
        assert_eq!(order_key(5, Some(9), &[3]), 10);
        assert_eq!(order_key(5, Some(1), &[9, 30, 2]), 31);
        assert_eq!(order_key(5, Some(u64::MAX), &[]), u64::MAX);
    }
}
