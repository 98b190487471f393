//! The terminal: raw mode, keys, drawing.
