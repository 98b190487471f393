//! The screen without a terminal: model, update, view.
//!
//! [`Model`] is everything the screen knows. [`update::input`] and [`news::event`] change it and
//! answer with [`Effect`]s; [`view::draw`] draws it into a buffer of cells. None of them reads a
//! clock, knows a terminal or does I/O, so that a test is a list of keys and events and a
//! picture.

pub mod clocks;
pub mod complete;
pub mod input;
pub mod key;
pub mod keymap;
pub mod layout;
pub mod line;
mod list;
pub mod log;
mod mention;
pub mod model;
pub mod news;
mod past;
pub mod people;
pub mod rooms;
pub mod rows;
mod scroll;
pub mod theme;
pub mod update;
pub mod view;
pub mod wrap;

#[cfg(test)]
mod screen_tests;

pub use key::{Input, Key};
pub use model::{Effect, LocalTime, Model};
pub use theme::Theme;
