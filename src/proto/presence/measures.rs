//! What is measured of all members together: round trip, loss, paths.

use std::time::Duration;

use super::Presence;
use crate::datagram::Path;

/// Upper bound of the group's round trip.
const GROUP_RTT_MAX: Duration = Duration::from_millis(500);
/// Lower bound of it.
const GROUP_RTT_MIN: Duration = Duration::from_millis(10);
/// What it is taken for before anything is measured.
const GROUP_RTT_START: Duration = Duration::from_millis(50);

impl Presence {
    /// The round trip of the group: the longest of a live peer, 10 to 500 ms.
    #[must_use]
    pub fn group_rtt(&self) -> Duration {
        self.roster
            .longest_rtt()
            .unwrap_or(GROUP_RTT_START)
            .clamp(GROUP_RTT_MIN, GROUP_RTT_MAX)
    }

    /// The loss of the group: the 80th percentile of what members report, 0 to 1.
    #[must_use]
    pub fn group_loss(&self) -> Option<f64> {
        let loss = self.roster.loss()?;
        Some(f64::from(loss) / 254.0)
    }

    /// The group paths that together reach every member: one where one is enough.
    #[must_use]
    pub fn group_paths(&self) -> Vec<Path> {
        let mut masks = self.roster.path_masks();
        masks.retain(|&mask| mask != 0);
        if masks.is_empty() {
            return Path::GROUP.to_vec();
        }
        let reaches_all = |path: &&Path| masks.iter().all(|mask| mask & (1 << **path as u8) != 0);
        match Path::GROUP.iter().find(reaches_all) {
            Some(&path) => vec![path],
            None => Path::GROUP.to_vec(),
        }
    }
}
