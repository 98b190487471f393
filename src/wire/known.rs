//! Whom the sender of a HELLO knows already: a list of short ids or a Bloom filter.

use super::cursor::{Reader, Wire, Writer};
use super::error::{EmitError, ParseError};
use super::header::{HEADER_LEN, SIGNATURE_LEN};
use super::record::PeerRecord;
use crate::id::ShortId;
use crate::limits::{BLOOM_HASHES_MAX, DATAGRAM_LEN_MAX, HELLO_BLOOM_LEN_MAX, HELLO_KNOWN_MAX};

/// Whom the sender of a HELLO knows already.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Known {
    /// First 4 bytes of each id, at most 200.
    Ids(Vec<[u8; 4]>),
    /// A Bloom filter of at most 640 bytes with this many hash functions.
    Bloom {
        /// Hash functions, 1 to 16.
        hashes: u8,
        /// The bits.
        bits: Vec<u8>,
    },
}

/// Bits of a filter per id where there is room: one in a hundred strangers is taken for known.
const BLOOM_BITS_PER_ID: usize = 10;
const TYPE_IDS: u8 = 0;
const TYPE_BLOOM: u8 = 1;

impl Known {
    /// These ids one by one; those after the 200th are left out.
    #[must_use]
    pub fn ids(ids: &[ShortId]) -> Known {
        let listed = ids.iter().take(HELLO_KNOWN_MAX);
        Known::Ids(listed.map(short).collect())
    }

    /// A filter that holds these ids, of at most `max_len` bytes (and never over 640, never
    /// under 1).
    #[must_use]
    pub fn bloom(ids: &[ShortId], max_len: usize) -> Known {
        Known::filter(ids, Known::filter_len(ids).min(max_len))
    }

    /// Bytes of a filter for these ids where there is room.
    fn filter_len(ids: &[ShortId]) -> usize {
        ids.len().saturating_mul(BLOOM_BITS_PER_ID).div_ceil(8)
    }

    /// A filter of `len` bytes (never over 640, never under 1).
    fn filter(ids: &[ShortId], len: usize) -> Known {
        let len = len.clamp(1, HELLO_BLOOM_LEN_MAX);
        // The best number of functions is ln 2 for each bit that an id has.
        let best = (len * 8 * 693 + ids.len() * 500) / (ids.len().max(1) * 1000);
        let hashes = u8::try_from(best).unwrap_or(BLOOM_HASHES_MAX);
        let hashes = hashes.clamp(1, BLOOM_HASHES_MAX);
        let mut bits = vec![0; len];
        for id in ids {
            for (byte, mask) in positions(id, hashes, len) {
                bits[byte] |= mask;
            }
        }
        Known::Bloom { hashes, bits }
    }

    /// These ids in the form that fits into a HELLO with this record and so many logs: the list
    /// where it may and can be one, else a filter.
    #[must_use]
    pub fn fitting(ids: &[ShortId], record: &PeerRecord, logs: usize) -> Known {
        Known::padded(ids, record, logs, 0)
    }

    /// The same for a HELLO of at least `len_min` bytes: where the list is too short for that, a
    /// filter as large as it takes (within its bounds).
    #[must_use]
    pub fn padded(ids: &[ShortId], record: &PeerRecord, logs: usize, len_min: usize) -> Known {
        let name_len = record.wire_name().map_or(0, <[u8]>::len);
        let others = HEADER_LEN + 1 + name_len + 2 + record.bytes.len() + 8 + 1 + 20 * logs;
        let room = DATAGRAM_LEN_MAX.saturating_sub(others + SIGNATURE_LEN);
        let list_len = 2 + 4 * ids.len();
        let missing = len_min.saturating_sub(others + SIGNATURE_LEN);
        if ids.len() <= HELLO_KNOWN_MAX && (missing..=room).contains(&list_len) {
            return Known::ids(ids);
        }
        let wanted = Known::filter_len(ids).max(missing.saturating_sub(4));
        Known::filter(ids, wanted.min(room.saturating_sub(4)))
    }

    /// Whether `id` is one of them; a few strangers are taken for known.
    #[must_use]
    pub fn contains(&self, id: &ShortId) -> bool {
        match self {
            Known::Ids(ids) => ids.contains(&short(id)),
            Known::Bloom { bits, .. } if bits.is_empty() => false,
            Known::Bloom { hashes, bits } => {
                positions(id, *hashes, bits.len()).all(|(byte, mask)| bits[byte] & mask != 0)
            }
        }
    }
}

impl Wire for Known {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ParseError> {
        match reader.read::<u8>()? {
            TYPE_IDS => Ok(Known::Ids(reader.list(HELLO_KNOWN_MAX)?)),
            TYPE_BLOOM => {
                let hashes = reader.read()?;
                let bits = reader.long(HELLO_BLOOM_LEN_MAX)?.to_vec();
                if bits.is_empty() || !(1..=BLOOM_HASHES_MAX).contains(&hashes) {
                    return Err(ParseError::Range);
                }
                Ok(Known::Bloom { hashes, bits })
            }
            _ => Err(ParseError::Range),
        }
    }

    fn write(&self, writer: &mut Writer) -> Result<(), EmitError> {
        match self {
            Known::Ids(ids) => {
                writer.put(&[TYPE_IDS]);
                writer.list(ids, HELLO_KNOWN_MAX)
            }
            Known::Bloom { hashes, bits } => {
                if bits.is_empty() || !(1..=BLOOM_HASHES_MAX).contains(hashes) {
                    return Err(EmitError::Range);
                }
                writer.put(&[TYPE_BLOOM, *hashes]);
                writer.long(bits, HELLO_BLOOM_LEN_MAX)
            }
        }
    }
}

fn short(id: &ShortId) -> [u8; 4] {
    let [a, b, c, d, ..] = id.0;
    [a, b, c, d]
}

/// Where an id's bits stand in a filter of `len` bytes (not 0): as (byte, mask). An id is a hash
/// already, so its two halves are all the hashing there is (Kirsch and Mitzenmacher, 2006).
fn positions(id: &ShortId, hashes: u8, len: usize) -> impl Iterator<Item = (usize, u8)> {
    let [a, b, c, d, e, f, g, h] = id.0;
    let start = u64::from(u32::from_be_bytes([a, b, c, d]));
    let step = u64::from(u32::from_be_bytes([e, f, g, h]) | 1);
    let bits = len as u64 * 8;
    (0..u64::from(hashes)).map(move |i| {
        let bit = (start + i * step) % bits;
        ((bit / 8) as usize, 1 << (bit % 8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> ShortId {
        let hash = blake3::hash(&number.to_be_bytes());
        let mut id = [0; 8];
        id.copy_from_slice(&hash.as_bytes()[..8]);
        ShortId(id)
    }

    fn ids(from: u64, to: u64) -> Vec<ShortId> {
        (from..to).map(id).collect()
    }

    #[test]
    fn a_list_knows_its_ids_and_stops_at_200() {
        let known = Known::ids(&ids(0, 250));
        assert!(ids(0, 200).iter().all(|id| known.contains(id)));
        assert!(!ids(200, 250).iter().any(|id| known.contains(id)));
    }

    #[test]
    fn a_filter_knows_its_ids_and_few_others() {
        for count in [1, 20, 201, 512] {
            let known = Known::bloom(&ids(0, count), 640);
            assert!(ids(0, count).iter().all(|id| known.contains(id)), "{count}");
            let wrong = ids(10_000, 20_000)
                .iter()
                .filter(|id| known.contains(id))
                .count();
            // 0.8 % expected of 10 bits and 7 functions an id; small filters are coarser.
            let allowed = if count < 200 { 600 } else { 150 };
            assert!(wrong < allowed, "{count}: {wrong}");
        }
    }

    #[test]
    fn a_filter_keeps_to_its_size_and_works_when_it_is_too_small() {
        for (count, max_len, len, hashes) in [
            (0, 640, 1, 5),
            (1, 640, 2, 11),
            (100, 0, 1, 1),
            (512, 640, 640, 7),
            (1000, 9999, 640, 4),
            (4096, 640, 640, 1),
        ] {
            let Known::Bloom { hashes: k, bits } = Known::bloom(&ids(0, count), max_len) else {
                panic!("not a filter");
            };
            assert_eq!((bits.len(), k), (len, hashes), "{count} in {max_len}");
        }
        let full = Known::bloom(&ids(0, 4096), 640);
        assert!(ids(0, 4096).iter().all(|id| full.contains(id)));
        assert!(!ids(9000, 9100).iter().all(|id| full.contains(id)));
        assert!(!Known::bloom(&[], 640).contains(&id(1)));
        let empty = Known::Bloom {
            hashes: 1,
            bits: vec![],
        };
        assert!(!empty.contains(&id(1)));
    }

    #[test]
    fn the_bits_of_an_id_are_where_the_specification_says() {
        // start 0x0000_0003, step 0x0000_0005 (made odd), 16 bits: 3, 8, 13, 18 % 16 = 2.
        let known = Known::Bloom {
            hashes: 4,
            bits: vec![0b0000_1100, 0b0010_0001],
        };
        assert!(known.contains(&ShortId([0, 0, 0, 3, 0, 0, 0, 4])));
        assert!(!known.contains(&ShortId([0, 0, 0, 4, 0, 0, 0, 4])));
    }
}
