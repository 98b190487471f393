//! The protocol as a state machine without I/O: [`Endpoint`].
//!
//! `lib.rs` states the contract that whoever drives it keeps to.

mod bucket;
pub mod config;
mod core;
pub mod crypto;
pub mod direct;
mod doubt;
pub mod endpoint;
mod facts;
mod follow;
mod gate;
mod group;
pub mod history;
mod inbound;
mod links;
pub mod locked;
pub(crate) mod network;
mod own;
mod presence;
mod private;
mod requests;
pub mod sabotage;
pub mod stats;
pub(crate) mod sync;
mod target;
pub mod timer;

pub use config::Config;
pub use crypto::Identity;
pub use endpoint::{Endpoint, Output};
pub use presence::observe::LinkHeard;
pub use stats::Stats;
pub use timer::Timer;

use std::time::{Duration, Instant};

/// The time, as an argument: a clock that never steps for timers, and the wall for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// Monotonic.
    pub mono: Instant,
    /// Milliseconds since the Unix epoch; may step, moves no timer.
    pub wall_ms: u64,
}

impl std::ops::Add<Duration> for Now {
    type Output = Now;
    fn add(self, by: Duration) -> Now {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        Now {
            mono: self.mono + by,
            wall_ms: self.wall_ms.saturating_add(ms),
        }
    }
}
