//! The loop that drives an endpoint: sockets, timers, the store and one front end.

pub mod clock;
pub mod diagnosis;
mod ending;
pub mod front_end;
mod gaps;
mod history;
mod interfaces;
pub mod network;
pub mod node;
mod perform;
#[cfg(unix)]
pub mod signal;
#[cfg(windows)]
#[path = "signal_windows.rs"]
pub mod signal;
#[cfg(test)]
mod tests;
pub mod workers;

pub use clock::Clock;
pub use front_end::{Flow, FrontEnd, Signal};
pub use node::{NodeOptions, run};

/// What the system asks of the process, under one name on all systems.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// Ctrl-C, where the front end does not read it as a key.
    Interrupt,
    /// End in order.
    End,
    /// The terminal changed its size.
    Resize,
    /// Ctrl-Z.
    Suspend,
    /// Continued after a stop that was not ours.
    Continue,
}
