//! Token buckets: how rates are bounded.

use std::time::Instant;

/// A level of this much less than what is asked for is enough, so that nobody who waited until
/// [`Bucket::ready_at`] is sent back for what is lost in rounding to nanoseconds.
const ROUNDING: f64 = 1e-5;

/// Lets `rate` units a second through, and up to `burst` at once.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    rate: f64,
    burst: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(now: Instant, rate: u32, burst: u32) -> Self {
        let burst = f64::from(burst);
        Bucket {
            rate: f64::from(rate),
            burst,
            level: burst,
            at: now,
        }
    }

    /// A full bucket that lets `burst` through at once and as many again in a minute.
    #[must_use]
    pub fn a_minute(now: Instant, burst: u32) -> Self {
        Bucket {
            rate: f64::from(burst) / 60.0,
            ..Bucket::new(now, 1, burst)
        }
    }

    /// Takes `units` if they are there.
    pub fn take(&mut self, now: Instant, units: u32) -> bool {
        self.refill(now);
        let units = f64::from(units);
        let enough = self.level + ROUNDING >= units;
        if enough {
            self.level -= units;
        }
        enough
    }

    /// From now on lets `rate` units a second through, and up to `burst` at once.
    pub fn set_pace(&mut self, now: Instant, rate: f64, burst: f64) {
        self.refill(now);
        (self.rate, self.burst) = (rate, burst);
        self.level = self.level.min(burst);
    }

    /// How many whole units are there.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and not above a burst, which is a u32"
    )]
    pub fn level(&mut self, now: Instant) -> u32 {
        self.refill(now);
        (self.level + ROUNDING) as u32
    }

    /// When one unit will be there.
    pub fn ready_at(&mut self, now: Instant) -> Instant {
        self.ready_for(now, 1)
    }

    /// When so many units will be there, at most the burst.
    pub fn ready_for(&mut self, now: Instant, units: u32) -> Instant {
        self.refill(now);
        let wait = ((f64::from(units) - self.level) / self.rate).max(0.0);
        now + std::time::Duration::from_secs_f64(wait)
    }

    /// Whether `units` are there, without taking them.
    pub fn holds(&mut self, now: Instant, units: u32) -> bool {
        self.refill(now);
        self.level + ROUNDING >= f64::from(units)
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + passed * self.rate).min(self.burst);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn a_bucket_lets_its_burst_and_then_its_rate_through() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start, 5, 10);
        let at_once = (0..20).filter(|_| bucket.take(start, 1)).count();
        assert_eq!(at_once, 10);
        let ready = bucket.ready_at(start);
        assert_eq!(ready, start + Duration::from_millis(200));
        assert!(bucket.take(ready, 1) && !bucket.take(ready, 1));
        for rate in [3, 7, 50, 1000, 2000] {
            let (mut bucket, mut now) = (Bucket::new(start, rate, 1), start);
            for _ in 0..1000 {
                now = bucket.ready_at(now);
                assert!(bucket.take(now, 1), "{rate} a second: woken for nothing");
            }
        }
        let later = start + Duration::from_secs(60);
        assert_eq!((0..20).filter(|_| bucket.take(later, 1)).count(), 10);
    }
}
