//! The only reader of the clocks; everything else gets the time as an argument.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::proto::Now;

/// The clocks of the system.
pub struct Clock;

impl Clock {
    /// The time now. A wall clock before 1970 reads as 1970.
    #[must_use]
    #[allow(clippy::disallowed_methods)]
    pub fn now() -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        Now {
            mono: Instant::now(),
            wall_ms: wall.map_or(0, |since| {
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
            }),
        }
    }
}

/// A sleep of the system shorter than this is none.
const SLEEP_MIN: Duration = Duration::from_secs(2);

/// Tells when the system slept: then a clock that counts sleep gets ahead of the one that the
/// timers go by.
pub struct SleepWatch {
    started: Now,
    ahead: Duration,
}

impl SleepWatch {
    /// Watches from now on.
    #[must_use]
    pub fn new() -> Self {
        let started = Clock::now();
        SleepWatch {
            started,
            ahead: ahead(started, started),
        }
    }

    /// How long the system slept since the last call, if it did for two seconds at least.
    ///
    /// On Linux `CLOCK_BOOTTIME` is compared with `CLOCK_MONOTONIC`, so that a wall clock that
    /// is set is no sleep. Elsewhere the wall clock is; one set forward looks like a sleep, which
    /// costs a burst of HELLOs.
    pub fn slept(&mut self, now: Now) -> Option<Duration> {
        self.note(ahead(self.started, now))
    }

    fn note(&mut self, ahead: Duration) -> Option<Duration> {
        let before = std::mem::replace(&mut self.ahead, ahead);
        ahead
            .checked_sub(before)
            .filter(|slept| *slept >= SLEEP_MIN)
    }
}

impl Default for SleepWatch {
    fn default() -> Self {
        SleepWatch::new()
    }
}

/// How far the clock that counts sleep is ahead of the one that does not.
#[cfg(target_os = "linux")]
fn ahead(_started: Now, _now: Now) -> Duration {
    use nix::time::{ClockId, clock_gettime};
    let read = |clock| clock_gettime(clock).map(Duration::from);
    let with_sleep = read(ClockId::CLOCK_BOOTTIME);
    let without = read(ClockId::CLOCK_MONOTONIC);
    let ahead = with_sleep.and_then(|with| Ok(with.saturating_sub(without?)));
    ahead.unwrap_or_default()
}

#[cfg(not(target_os = "linux"))]
fn ahead(started: Now, now: Now) -> Duration {
    let wall = Duration::from_millis(now.wall_ms.saturating_sub(started.wall_ms));
    wall.saturating_sub(now.mono.saturating_duration_since(started.mono))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_gap_of_two_seconds_is_a_sleep_and_it_is_told_once() {
        let seconds = Duration::from_secs;
        let mut watch = SleepWatch {
            started: Clock::now(),
            ahead: seconds(100),
        };
        assert_eq!(watch.note(seconds(101)), None);
        assert_eq!(watch.note(seconds(3701)), Some(seconds(3600)));
        assert_eq!(watch.note(seconds(3701)), None);
        assert_eq!(watch.note(seconds(0)), None, "a wall clock set back");
        assert_eq!(watch.note(seconds(2)), Some(seconds(2)));
    }

    #[test]
    fn a_system_that_is_awake_does_not_sleep() {
        let mut watch = SleepWatch::new();
        for _ in 0..1000 {
            assert_eq!(watch.slept(Clock::now()), None);
        }
    }
}
