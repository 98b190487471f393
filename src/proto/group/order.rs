//! The hybrid logical clock that puts entries into one order (Kulkarni et al., 2014).
//!
//! 48 bits of milliseconds, 16 bits of counter, in one `u64` that compares as the clock does.

use crate::proto::sabotage::{Sabotage, is_sabotaged};

/// A remote clock further ahead than this does not move the own one, in milliseconds.
const AHEAD_MS_MAX: u64 = 60_000;

/// The own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hlc {
    last: u64,
}

impl Hlc {
    /// Continues behind an own past, unless that is too far in the future to be true.
    #[must_use]
    pub fn restored(wall_ms: u64, last: u64) -> Hlc {
        let mut hlc = Hlc::default();
        hlc.observe(wall_ms, last);
        hlc
    }

    /// The stamp of an own entry: after everything seen, and not before the wall clock.
    pub fn tick(&mut self, wall_ms: u64) -> u64 {
        self.last = (wall_ms << 16).max(self.last + 1);
        self.last
    }

    /// A stamp was seen. Returns whether it moved or could have moved the clock; a stamp too far
    /// in the future does not.
    pub fn observe(&mut self, wall_ms: u64, stamp: u64) -> bool {
        if is_sabotaged(Sabotage::HlcStands) {
            return true;
        }
        let sane = ms(stamp) <= wall_ms.saturating_add(AHEAD_MS_MAX);
        if sane {
            self.last = self.last.max(stamp);
        }
        sane
    }
}

/// The milliseconds of a stamp.
#[must_use]
pub fn ms(stamp: u64) -> u64 {
    stamp >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_stamped_after_what_it_answers() {
        let mut hlc = Hlc::default();
        let own = hlc.tick(1000);
        assert_eq!(ms(own), 1000);
        let ahead = 5000 << 16 | 3;
        assert!(hlc.observe(1000, ahead));
        assert!(hlc.tick(1001) > ahead);
    }

    #[test]
    fn a_clock_set_back_does_not_fall_behind_the_own_past() {
        let own = Hlc::default().tick(31_000);
        assert!(Hlc::restored(1000, own).tick(1000) > own);
        assert_eq!(ms(Hlc::restored(1000, 3_600_000 << 16).tick(1000)), 1000);
    }

    #[test]
    fn a_clock_an_hour_ahead_does_not_drag_others_along() {
        let mut hlc = Hlc::default();
        assert!(!hlc.observe(1000, 3_600_000 << 16));
        assert_eq!(ms(hlc.tick(1000)), 1000);
    }
}
