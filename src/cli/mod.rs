//! The command line.

pub mod send;
pub mod target;
pub mod who;

pub use send::{Send, read_stdin_text};
pub use who::Who;
