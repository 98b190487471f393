//! The screen without a terminal: model, update, view.
