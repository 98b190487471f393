//! The simulator: a LAN of real [`Endpoint`](crate::proto::Endpoint)s in virtual time.
//!
//! No socket, no clock, no disk: one heap of events, one seed. Faults come first (loss, partitions,
//! crashes, restored backups, suspended nodes, a byzantine one), then they stop and everything has
//! to converge. [`checker`] holds the invariants; the same seed gives the same [`trace`] hash.
//! `examples/simulate.rs` runs it at night, `tests/simulation.rs` a part of it each time.

mod byzantine;
mod chat;
pub mod checker;
pub mod dice;
pub mod disk;
pub mod figures;
pub mod network;
pub mod rooms;
pub mod scenario;
mod script;
pub mod trace;
pub mod world;

pub use crate::proto::crypto::shared::begin as share_signatures;
pub use dice::Dice;
pub use network::{Loss, Network};
pub use scenario::{Outcome, Settings};
pub use world::World;
