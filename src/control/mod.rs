//! Front ends without a screen: JSON Lines on stdin and stdout (`pipe`) and line mode.
//!
//! Both read lines through [`input::Input`] and write them through [`output::Output`], neither
//! of which ever makes the loop wait. How that is done is the platform's matter and stands in
//! `stdio_unix.rs` and `stdio_windows.rs`.

pub mod input;
pub mod json;
pub mod line;
pub mod output;
pub mod people;
pub mod pipe;

#[cfg_attr(unix, path = "stdio_unix.rs")]
#[cfg_attr(windows, path = "stdio_windows.rs")]
mod stdio;

pub use line::LineMode;
pub use pipe::Pipe;
