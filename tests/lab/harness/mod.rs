//! The LAN lab: hosts, cables and processes that exist only while a test runs.
//!
//! [`world::enter`] puts the whole test process into user, pid, mount and network namespaces of
//! its own. What the harness makes there (hosts, bridges, processes, data directories) belongs to
//! these namespaces, so it is gone when the process is, however that ends: nothing has a name that
//! could stay behind or clash with another run. No datagram can leave them.

// Benches and tests share this and use different parts of it.
#![allow(dead_code)]

pub mod attack;
pub mod capture;
pub mod crowd;
pub mod flooder;
pub mod lan;
pub mod node;
pub mod party;
pub mod process;
pub mod pty;
pub mod simulated;
pub mod traffic;
pub mod world;

use std::time::{Duration, Instant};

/// The one place where the lab reads a clock.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Instant {
    Instant::now()
}

/// A span of milliseconds.
pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Whether the long forms of the tests were asked for (`LANCHAT_LAB_FULL=1`).
pub fn full() -> bool {
    std::env::var_os("LANCHAT_LAB_FULL").is_some_and(|v| v != "0")
}
