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
        cheapest(&masks)
    }

    /// The paths of a heartbeat whose turn it is to go by this one: it, and those that reach whom
    /// it does not.
    pub(super) fn heartbeat_paths(&self, first: Path) -> Vec<Path> {
        let mut masks = self.roster.path_masks();
        masks.retain(|&mask| mask != 0 && !has(mask, first));
        let mut paths = vec![first];
        if !masks.is_empty() {
            let others = cheapest(&masks).into_iter();
            paths.extend(others.filter(|path| *path != first));
        }
        paths
    }
}

fn has(mask: u8, path: Path) -> bool {
    mask & (1 << path as u8) != 0
}

/// One path that is in all of these masks, else all paths.
fn cheapest(masks: &[u8]) -> Vec<Path> {
    let is_in_all = |path: &&Path| masks.iter().all(|mask| has(*mask, **path));
    let one = Path::GROUP.iter().find(is_in_all);
    match one.filter(|_| !masks.is_empty()) {
        Some(&path) => vec![path],
        None => Path::GROUP.to_vec(),
    }
}
