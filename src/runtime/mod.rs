//! The loop that drives an endpoint: sockets, timers, the store and one front end.

pub mod front_end;
pub mod node;

pub use front_end::{Flow, FrontEnd, Signal};
pub use node::{NodeOptions, run};
