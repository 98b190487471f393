//! Who answers on the link: what the system says of its neighbours, look by look.
//!
//! A neighbour that does not answer is FAILED only for a moment: as long as it asks for this
//! computer itself, each of its questions has the system learn its address anew, and ask again
//! (RFC 4861, section 7.3.3: 5 s of delay, then three questions a second apart). A look may miss
//! that moment. But whoever answers is REACHABLE for 15 s at least, and that no look misses: who
//! was asked and is not reachable after that time was given up.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::api::diagnosis::Neighbour;

/// From the first look that finds a neighbour being asked until it was given up, or answered.
pub(super) const GIVEN_UP: Duration = Duration::from_millis(9500);
/// Whoever answered since may have been reachable and be so no more.
const ANSWER_KEPT: Duration = Duration::from_secs(15);

/// How the system stands with an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Listed {
    /// It answered lately.
    Reachable,
    /// It did not answer.
    Failed,
    /// Something was sent to it, and it is asked whether it is still there, or will be.
    Asked,
    /// Not known, or learnt from its own question.
    Unknown,
}

/// What was seen so far.
#[derive(Default)]
pub(super) struct Neighbours {
    /// Given up at least once, and not reachable since.
    failed: BTreeSet<IpAddr>,
    /// Since when they are asked.
    asked: BTreeMap<IpAddr, Instant>,
}

impl Neighbours {
    /// What a look tells of one, after all looks before.
    pub(super) fn look(&mut self, now: Instant, address: IpAddr, listed: Listed) -> Neighbour {
        match listed {
            Listed::Reachable => {
                self.failed.remove(&address);
                self.asked.remove(&address);
                return Neighbour::Reachable;
            }
            Listed::Failed => _ = self.failed.insert(address),
            Listed::Asked => _ = self.asked.entry(address).or_insert(now),
            Listed::Unknown => {}
        }
        let since = self.asked.get(&address);
        let waited = since.map(|&since| now.saturating_duration_since(since));
        if waited.is_some_and(|waited| waited >= ANSWER_KEPT) {
            // Too long between two looks to tell.
            self.asked.remove(&address);
        } else if waited.is_some_and(|waited| waited >= GIVEN_UP) {
            self.failed.insert(address);
        }
        // One that failed is learnt anew from its own next question, and fails again.
        if self.failed.contains(&address) {
            Neighbour::Failed
        } else {
            Neighbour::Unknown
        }
    }

    /// Until when it is known of all that are asked whether they answer; none if it is.
    pub(super) fn known_at(&self) -> Option<Instant> {
        let open = self
            .asked
            .iter()
            .filter(|(at, _)| !self.failed.contains(at));
        open.map(|(_, since)| *since + GIVEN_UP).max()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    fn play(looks: &[(u64, Listed)]) -> (Neighbours, Vec<Neighbour>) {
        let (start, at) = (Instant::now(), IpAddr::from([10, 0, 0, 1]));
        let mut neighbours = Neighbours::default();
        let look = |&(ms, listed): &(u64, Listed)| {
            neighbours.look(start + Duration::from_millis(ms), at, listed)
        };
        let seen = looks.iter().map(look).collect();
        (neighbours, seen)
    }

    #[test]
    fn who_fails_between_two_looks_has_failed() {
        use Listed::{Asked, Unknown};
        let (neighbours, seen) = play(&[
            (0, Unknown),
            (1500, Asked),
            (4000, Asked),
            (9000, Asked),
            // FAILED for half a second, and learnt anew from its own question.
            (11_000, Unknown),
            (13_000, Asked),
        ]);
        assert_eq!(seen[..4], [Neighbour::Unknown; 4]);
        assert_eq!(seen[4..], [Neighbour::Failed; 2]);
        assert_eq!(neighbours.known_at(), None);
    }

    #[test]
    fn who_answers_has_not_failed_whenever_it_is_looked_at() {
        use Listed::{Asked, Failed, Reachable, Unknown};
        let (neighbours, seen) = play(&[
            (0, Asked),
            (6000, Reachable),
            (12_000, Reachable),
            (22_000, Unknown),
        ]);
        assert_eq!(seen[3], Neighbour::Unknown);
        assert_eq!(neighbours.known_at(), None);
        let (_, seen) = play(&[(0, Asked), (16_000, Unknown)]);
        assert_eq!(seen[1], Neighbour::Unknown, "no look for too long");
        let (_, seen) = play(&[
            (0, Failed),
            (500, Unknown),
            (1000, Reachable),
            (1500, Unknown),
        ]);
        assert_eq!(seen[1..3], [Neighbour::Failed, Neighbour::Reachable]);
        assert_eq!(seen[3], Neighbour::Unknown);
    }

    #[test]
    fn a_look_waits_for_who_is_asked() {
        let (neighbours, _) = play(&[(0, Listed::Unknown)]);
        assert_eq!(neighbours.known_at(), None);
        let (neighbours, _) = play(&[(0, Listed::Asked)]);
        assert!(neighbours.known_at().is_some());
    }
}
