//! lanchat: serverless chat for the people on one LAN.
//!
//! # The contract of the core
//!
//! [`proto::Endpoint`] is a state machine that does no I/O. Time, randomness and bytes are
//! arguments; datagrams, events for people and the next deadline are results. It opens no
//! socket, reads no clock and never sleeps, so that the same code runs under the loop of the
//! program and in tests in virtual time. Whoever drives it keeps to this:
//!
//! 1. One `&mut` call: `handle_datagram(now, arrival, bytes)`, `handle_timeout(now)`,
//!    `handle_persisted(now, token, result)`, `handle_loaded(now, token, rows)`, or a command.
//! 2. Then drain `poll_output(now)` until it answers `Output::Timeout(deadline, reason)`. The others
//!    are `Transmit`, `Event`, `Persist(batch, token)` and `Load(query, token)`.
//!
//! The store is behind that barrier: an own entry is transmitted, a received entry shown or
//! counted in an ACK, and a private message acknowledged only after its token came back.
//!
//! A hostile datagram is counted by its cause and dropped: never an `Err` to the loop, never
//! a panic.

pub mod api;
pub mod datagram;
pub mod durable;
pub mod error;
pub mod id;
pub mod limits;
pub mod proto;
pub mod text;
pub mod wire;

#[cfg(feature = "sim")]
pub mod sim;

#[cfg(feature = "app")]
pub mod cli;
#[cfg(feature = "app")]
pub mod control;
#[cfg(feature = "app")]
pub mod net;
#[cfg(feature = "app")]
pub mod plain;
#[cfg(feature = "app")]
pub mod runtime;
#[cfg(feature = "app")]
pub mod stdio;
#[cfg(feature = "app")]
pub mod store;
#[cfg(feature = "app")]
pub mod term;
#[cfg(feature = "app")]
pub mod ui;
