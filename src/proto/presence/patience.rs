//! How long to wait for answers while addresses are being validated.
//!
//! Two people shall find each other within a moment, also where a third of all datagrams is lost:
//! PROBEs follow each other quickly. In a crowd, or where every host is busy, the same pace would
//! only make more of what delays the answers.

use std::time::Duration;

/// Above so many people nobody is in a hurry: whoever is not validated yet is shown all the same.
const CROWD: usize = 32;
/// There waits are so many times as long.
const CROWD_FACTOR: u32 = 4;
/// A wait is at least so many usual round trips.
const ROUND_TRIPS: u32 = 3;
/// Longest round trip that counts: a late answer may have waited for an address resolution.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(2);

/// What answers to PROBEs took lately.
#[derive(Clone, Copy, Default, Debug)]
pub struct Patience {
    usual: Duration,
}

/// The pace of the PROBEs to one address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    factor: u32,
    least: Duration,
}

impl Patience {
    /// A PROBE was answered after this. Soon learnt when it grows, slowly forgotten.
    pub fn learn(&mut self, round_trip: Duration) {
        let sample = round_trip.min(ROUND_TRIP_MAX);
        self.usual = if sample > self.usual {
            (self.usual + sample) / 2
        } else {
            self.usual - (self.usual - sample) / 16
        };
    }

    /// The pace among so many people.
    #[must_use]
    pub fn pace(&self, people: usize) -> Pace {
        if people <= CROWD {
            return Pace {
                factor: 1,
                least: Duration::ZERO,
            };
        }
        Pace {
            factor: CROWD_FACTOR,
            least: self.usual * ROUND_TRIPS,
        }
    }
}

impl Pace {
    /// The wait that takes the place of this one.
    #[must_use]
    pub fn stretch(&self, wait: Duration) -> Duration {
        (wait * self.factor).max(self.least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_with_the_crowd_and_with_what_answers_take() {
        let ms = Duration::from_millis;
        let mut patience = Patience::default();
        assert_eq!(patience.pace(2).stretch(ms(50)), ms(50));
        assert_eq!(patience.pace(200).stretch(ms(50)), ms(200));
        for _ in 0..8 {
            patience.learn(ms(1000));
        }
        let busy = patience.pace(200).stretch(ms(50));
        assert!(busy > ms(2900) && busy <= ms(3000), "{busy:?}");
        for _ in 0..200 {
            patience.learn(ms(1));
        }
        assert_eq!(patience.pace(200).stretch(ms(50)), ms(200));
        patience.learn(Duration::from_secs(3600));
        assert!(patience.pace(200).stretch(ms(50)) <= ROUND_TRIP_MAX * ROUND_TRIPS);
        assert_eq!(patience.pace(2).stretch(ms(50)), ms(50), "two are no crowd");
    }
}
