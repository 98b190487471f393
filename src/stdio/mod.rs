//! The standard streams without waiting, for whoever runs on a `mio::Poll`.
//!
//! Lines are read through [`input::Input`] and written through [`output::Output`], neither of
//! which ever makes the loop wait. How that is done is the platform's matter and stands in
//! `unix.rs` and `windows.rs`.

use mio::Token;

pub mod input;
pub mod output;

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(windows, path = "windows.rs")]
mod streams;

/// What stdin is registered with where nobody says otherwise.
pub const STDIN: Token = Token(1000);
/// The same of stdout.
pub const STDOUT: Token = Token(1001);
/// The same of stderr.
pub const STDERR: Token = Token(1002);
