//! Lines that come into a gap after what is behind it was shown.

use std::collections::BTreeMap;

/// Lines behind gaps of which the place is remembered.
const KEPT_MAX: usize = 64;

/// Keys of the lines of one log that were shown behind a gap, and of those that came into one
/// since, by number.
#[derive(Default)]
pub struct BehindGaps(BTreeMap<u32, u64>);

impl BehindGaps {
    /// A line was shown though the one before it is missing.
    pub fn note(&mut self, seq: u32, key: u64) {
        self.0.insert(seq, key);
        if self.0.len() > KEPT_MAX {
            self.0.pop_first();
        }
    }

    /// The key by which a line that comes into a gap finds its place: not above that of what its
    /// author said later, which was found without this line and may be below what it really is.
    pub fn late(&mut self, seq: u32, key: u64) -> u64 {
        let behind = self.0.range(seq.saturating_add(1)..).next();
        let key = behind.map_or(key, |(_, &shown)| key.min(shown));
        self.note(seq, key);
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_into_a_gap_goes_before_what_was_said_later() {
        let mut gaps = BehindGaps::default();
        // Line 3 had the key 90, by what it answers; lines 4 and 5 are missing, line 6 is shown by
        // its stamp alone.
        gaps.note(6, 50);
        assert_eq!(gaps.late(5, 92), 50);
        assert_eq!(gaps.late(4, 91), 50);
        assert_eq!(gaps.late(2, 40), 40, "of an earlier gap");
        assert_eq!(gaps.late(8, 99), 99, "nothing behind it");
        (10..200).for_each(|seq| gaps.note(seq, 100));
        assert_eq!(gaps.0.len(), KEPT_MAX);
    }
}
