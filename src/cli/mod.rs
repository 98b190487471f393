//! The command line.

pub mod send;
pub mod target;
pub mod who;
