//! Signals as events of the poll.

use std::io;

use mio::{Interest, Registry, Token};
use nix::unistd::{getpgrp, getsid};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook_mio::v1_0::Signals as Source;

use super::Notice;

/// The signals that lanchat takes care of.
pub struct Signals {
    source: Source,
    /// The next "continue" is the end of our own stop.
    stopped: bool,
}

impl Signals {
    /// From now on the signals come here, as events of `token`.
    ///
    /// # Errors
    /// The system refuses.
    pub fn register(
        registry: &Registry,
        token: Token,
        _waker: &std::sync::Arc<mio::Waker>,
    ) -> io::Result<Self> {
        let mut source = Source::new([SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP, SIGCONT])?;
        registry.register(&mut source, token, Interest::READABLE)?;
        Ok(Signals {
            source,
            stopped: false,
        })
    }

    /// Calls `sink` for each signal that came.
    pub fn take(&mut self, mut sink: impl FnMut(Notice)) {
        for signal in self.source.pending() {
            match signal {
                SIGINT => sink(Notice::Interrupt),
                SIGTERM | SIGHUP => sink(Notice::End),
                SIGWINCH => sink(Notice::Resize),
                SIGTSTP if is_under_a_shell() => sink(Notice::Suspend),
                // As the system does by default: nobody is there to continue it.
                SIGTSTP => {}
                _ if std::mem::take(&mut self.stopped) => {}
                _ => sink(Notice::Continue),
            }
        }
    }

    /// Stops this process, as Ctrl-Z would have; returns when it is continued.
    ///
    /// # Errors
    /// The system refuses.
    pub fn stop(&mut self) -> io::Result<()> {
        self.stopped = true;
        signal_hook::low_level::emulate_default_handler(SIGTSTP)
    }
}

/// Whether somebody can continue this process after a stop. Not so where it belongs to the group
/// of the session's leader: it is what a terminal window or a remote login was opened for, and
/// no shell with job control is above it.
fn is_under_a_shell() -> bool {
    getsid(None).is_ok_and(|session| session != getpgrp())
}
