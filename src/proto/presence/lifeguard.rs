//! How far this node may trust its own judgement: who seems dead to somebody whose own loop
//! stands still, or whose cable is out, is most likely alive.
//!
//! After Dadgar, Phillips and Currey, "Lifeguard: Local Health Awareness for More Accurate Failure
//! Detection" (2018): a score grows with signs that the fault is ours and shrinks with every
//! answer; all verdicts take 1 + score times as long.

use std::time::{Duration, Instant};

use crate::proto::sabotage::{Sabotage, is_sabotaged};

/// Highest score: verdicts take eight times as long.
const SCORE_MAX: u32 = 7;
/// A loop that stood still for longer is late.
pub const GAP: Duration = Duration::from_millis(500);
/// Nothing heard from anybody for so long means that we are disconnected, not they.
pub const DISCONNECTED_AFTER: Duration = Duration::from_secs(2);

/// Own health.
pub struct Health {
    score: u32,
    /// When a verified packet of anybody last came, or a host refused one of ours.
    heard: Instant,
    disconnected: bool,
}

impl Health {
    /// Well.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Health {
            score: 0,
            heard: now,
            disconnected: false,
        }
    }

    /// How many times as long verdicts take, 1 to 8.
    #[must_use]
    pub fn stretch(&self) -> u32 {
        if is_sabotaged(Sabotage::HealthIgnored) {
            return 1;
        }
        1 + self.score
    }

    /// Somebody who was asked answered.
    pub fn answered(&mut self) {
        self.score = self.score.saturating_sub(1);
    }

    /// Somebody who was asked did not answer, and nobody else says the same of them.
    pub fn missed(&mut self) {
        self.score = (self.score + 1).min(SCORE_MAX);
    }

    /// Who did not answer was gone indeed: that miss was no fault of ours.
    pub fn was_right(&mut self) {
        self.score = self.score.saturating_sub(1);
    }

    /// The own loop stood still for `by`.
    pub fn late(&mut self, now: Instant, by: Duration) {
        let steps = by.as_millis() / GAP.as_millis();
        let steps = u32::try_from(steps).unwrap_or(SCORE_MAX);
        self.score = self.score.saturating_add(steps).min(SCORE_MAX);
        self.heard = later(self.heard, by, now);
    }

    /// A sign that the network carries. Returns whether it ends a disconnection.
    pub fn heard(&mut self, now: Instant) -> bool {
        self.heard = now;
        std::mem::take(&mut self.disconnected)
    }

    /// Whether nothing came from anybody since then.
    #[must_use]
    pub fn is_deaf_since(&self, then: Instant) -> bool {
        self.disconnected || self.heard < then
    }

    /// Nobody answers. Returns whether that became a disconnection just now.
    pub fn nobody_answers(&mut self, now: Instant) -> bool {
        let long = now.saturating_duration_since(self.heard) >= DISCONNECTED_AFTER;
        let is_new = long && !self.disconnected;
        self.disconnected |= long;
        is_new
    }

    /// Whether nothing at all is heard any more.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.disconnected
    }
}

/// `at` moved by a delay of ours, never beyond now.
#[must_use]
pub fn later(at: Instant, by: Duration, now: Instant) -> Instant {
    at.checked_add(by)
        .map_or(now, |moved| moved.min(now))
        .max(at)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn the_score_grows_with_misses_and_gaps_to_eightfold_and_shrinks_with_answers() {
        let now = Instant::now();
        let mut health = Health::new(now);
        health.answered();
        assert_eq!(health.stretch(), 1);
        health.missed();
        health.missed();
        assert_eq!(health.stretch(), 3);
        health.late(now, Duration::from_millis(1100));
        assert_eq!(health.stretch(), 5);
        health.late(now, Duration::MAX);
        health.missed();
        assert_eq!(health.stretch(), 8);
        (0..7).for_each(|_| health.answered());
        assert_eq!(health.stretch(), 1);
    }

    #[test]
    fn a_disconnection_begins_once_and_ends_with_the_first_sign() {
        let start = Instant::now();
        let mut health = Health::new(start);
        assert!(!health.nobody_answers(start + Duration::from_millis(1900)));
        assert!(health.nobody_answers(start + DISCONNECTED_AFTER));
        assert!(!health.nobody_answers(start + DISCONNECTED_AFTER * 2));
        assert!(health.is_deaf_since(start) && health.is_disconnected());
        assert!(health.heard(start + DISCONNECTED_AFTER * 3));
        assert!(!health.heard(start + DISCONNECTED_AFTER * 3));
        assert!(!health.is_deaf_since(start));
    }

    #[test]
    fn a_gap_of_our_own_is_no_silence_of_theirs() {
        let start = Instant::now();
        let mut health = Health::new(start);
        let now = start + Duration::from_secs(10);
        health.late(now, Duration::from_secs(10));
        assert!(!health.nobody_answers(now + Duration::from_secs(1)));
        assert_eq!(later(start, Duration::MAX, now), now);
        assert_eq!(later(now, Duration::from_secs(1), start), now, "never back");
    }
}
