//! No word of the system that an interface changed: only looking at them tells.

use std::io;

use mio::{Registry, Token};

/// Never says anything.
pub(super) enum Changes {}

impl Changes {
    /// Not here.
    ///
    /// # Errors
    /// Always.
    pub(super) fn listen(_registry: &Registry, _token: Token) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Never called.
    pub(super) fn handle_ready(&mut self) {
        match *self {}
    }

    /// Never called.
    pub(super) fn take(&mut self) -> bool {
        match *self {}
    }
}
