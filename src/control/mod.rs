//! Front ends without a screen: JSON Lines on stdin and stdout (`pipe`) and line mode.

pub mod json;
pub mod line;
pub mod people;
pub mod pipe;
mod said;

pub use crate::stdio::{input, output};
pub use line::LineMode;
pub use pipe::Pipe;

use crate::runtime::front_end::FRONT_END_TOKEN;
use crate::stdio::{STDERR, STDIN};

// The tokens of the streams are among those that belong to a front end.
const _: () = assert!(STDIN.0 == FRONT_END_TOKEN && STDERR.0 < FRONT_END_TOKEN + 16);
