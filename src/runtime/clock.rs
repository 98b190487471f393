//! The only reader of the clocks; everything else gets the time as an argument.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

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
