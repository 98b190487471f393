//! Whose clock is off: a line shows its author's time, and says so where that is not what it is
//! for the others.

use std::collections::BTreeMap;

use crate::api::Timestamp;
use crate::id::PeerId;
use crate::limits::PEERS_MAX;

/// A clock that differs by more than this from the median of all is off.
const OFF_MIN_MS: i64 = 60_000;

/// Lines that come late are as old as they are late: a clock is behind only if the lines of so
/// many milliseconds agree on it.
const AGREE_MS: i64 = 10_000;

/// How far the clocks of others are from the own one, by the last lines that each of them said.
#[derive(Clone, Debug, Default)]
pub struct Clocks {
    all: BTreeMap<PeerId, Clock>,
}

#[derive(Clone, Copy, Debug)]
struct Clock {
    /// By so much it is ahead of the own one.
    ahead: i64,
    /// Since then it said the same.
    since: i64,
    sure: bool,
}

impl Clocks {
    /// Somebody said something now; `time` is what their clock showed. Returns by how much that is
    /// off, in milliseconds, ahead if positive, if it is off at all. The own clock counts as one of
    /// those that the median is of.
    pub fn heard(&mut self, from: PeerId, time: Timestamp, now: Timestamp) -> Option<i64> {
        let ms = |time: Timestamp| i64::try_from(time.0).unwrap_or(i64::MAX);
        let now = ms(now);
        let ahead = ms(time).saturating_sub(now);
        if self.all.len() >= PEERS_MAX && !self.all.contains_key(&from) {
            self.all.pop_first();
        }
        let agrees = |clock: &&Clock| clock.ahead.abs_diff(ahead) <= AGREE_MS.unsigned_abs();
        let known = self.all.get(&from).filter(agrees);
        let since = known.map_or(now, |clock| clock.since.min(now));
        let sure = ahead >= -OFF_MIN_MS || now.saturating_sub(since) >= AGREE_MS;
        let clock = Clock { ahead, since, sure };
        self.all.insert(from, clock);
        let off = ahead.saturating_sub(self.median());
        (sure && off.saturating_abs() > OFF_MIN_MS).then_some(off)
    }

    /// Of two in the middle the one that is nearer to the own clock.
    fn median(&self) -> i64 {
        let sure = self.all.values().filter(|clock| clock.sure);
        let mut all: Vec<i64> = sure.map(|clock| clock.ahead).chain([0]).collect();
        all.sort_unstable();
        let (low, high) = (all[(all.len() - 1) / 2], all[all.len() / 2]);
        if low.saturating_abs() <= high.saturating_abs() {
            low
        } else {
            high
        }
    }
}

/// By how much a clock is off, short.
#[must_use]
pub fn words(off_ms: i64) -> String {
    let sign = if off_ms < 0 { '-' } else { '+' };
    let minutes = off_ms.unsigned_abs() / 60_000;
    let amount = match (minutes / (24 * 60), minutes / 60) {
        (0, 0) => format!("{minutes} min"),
        (0, hours) => format!("{hours} h"),
        (days, _) => format!("{days} d"),
    };
    format!("clock {sign}{amount}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_773_480_360_000;

    fn heard(clocks: &mut Clocks, from: u8, ahead_ms: i64, second: u64) -> Option<i64> {
        let now = NOW + second * 1000;
        let time = Timestamp(now.saturating_add_signed(ahead_ms));
        clocks.heard(PeerId([from; 32]), time, Timestamp(now))
    }

    #[test]
    fn the_one_whose_clock_differs_from_the_others_is_named() {
        let mut clocks = Clocks::default();
        assert_eq!(heard(&mut clocks, 1, 200, 0), None);
        assert_eq!(heard(&mut clocks, 2, 300_000, 0), Some(299_800));
        assert_eq!(heard(&mut clocks, 3, -60_000, 0), None);
        assert_eq!(heard(&mut clocks, 3, -61_000, 5), None, "may be late");
        assert_eq!(heard(&mut clocks, 3, -61_100, 11), Some(-61_100));
    }

    #[test]
    fn lines_that_come_late_are_no_matter_of_the_clock() {
        let mut clocks = Clocks::default();
        // Ten lines of the last five minutes come at once, and then one that is fresh.
        for line in 0..10 {
            assert_eq!(heard(&mut clocks, 1, -300_000 + line * 20_000, 0), None);
        }
        assert_eq!(heard(&mut clocks, 1, -10, 20), None);
    }

    #[test]
    fn where_the_own_clock_is_off_the_others_are_not() {
        let mut clocks = Clocks::default();
        heard(&mut clocks, 1, 3_600_000, 0);
        heard(&mut clocks, 2, 3_600_100, 0);
        assert_eq!(heard(&mut clocks, 3, 3_600_200, 0), None);
        assert_eq!(heard(&mut clocks, 1, 3_600_000, 0), None);
    }

    #[test]
    fn any_time_may_be_claimed() {
        let mut clocks = Clocks::default();
        let from = PeerId([1; 32]);
        assert!(clocks.heard(from, Timestamp(u64::MAX), Timestamp(NOW)) > Some(0));
        assert_eq!(clocks.heard(from, Timestamp(0), Timestamp(NOW)), None);
        let later = Timestamp(NOW + 20_000);
        assert_eq!(
            clocks.heard(from, Timestamp(20_000), later),
            Some(-(NOW as i64))
        );
        clocks.heard(from, Timestamp(0), Timestamp(u64::MAX));
    }

    #[test]
    fn it_is_said_shortly() {
        assert_eq!(words(61_000), "clock +1 min");
        assert_eq!(words(-7_200_000), "clock -2 h");
        assert_eq!(words(i64::MIN), "clock -106751991167 d");
    }
}
