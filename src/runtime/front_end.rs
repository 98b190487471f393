//! What a front end is to the loop.

use std::io;
use std::time::Instant;

use mio::{Registry, Token};

use crate::api::{Event, Request};
use crate::error::ExitCode;
use crate::proto::Now;

/// First token that belongs to the front end; it may use this and the next 15.
pub const FRONT_END_TOKEN: usize = 1000;

/// What the front end wants of the loop next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Go on.
    Continue,
    /// No more input: send what is queued (at most until then), say goodbye, end with 0.
    Drain(Instant),
    /// Say goodbye and end with this code.
    Quit(ExitCode),
}

/// A signal, as the loop passes it on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// The terminal changed its size.
    Resize,
    /// About to stop (Ctrl-Z): give the terminal back.
    Suspend,
    /// Running again: take the terminal.
    Resume,
    /// The node is about to end: give the terminal back.
    End,
}

/// The screen, line mode, `pipe`, or a one-shot command: requests out, events in.
///
/// The loop calls `register` once, then in each turn `ready` for its readable or writable tokens,
/// `handle_timeout` when its deadline passed, `handle_event` for each event, then drains
/// `poll_request`, and at the end of the turn calls `flush` once.
pub trait FrontEnd {
    /// Registers input with tokens from [`FRONT_END_TOKEN`].
    ///
    /// # Errors
    /// The input cannot be used with the poll.
    fn register(&mut self, registry: &Registry) -> io::Result<()>;

    /// One of its tokens is ready. Edge-triggered: read until `WouldBlock`, or keep
    /// [`FrontEnd::is_hungry`] true. While the node is crowded it comes later, so nothing is read.
    fn ready(&mut self, now: Now, token: Token);

    /// Whether there is input to read without another event: the budget of the last `ready` ran
    /// out, or the poll cannot watch the input at all (a file). `ready` comes in the next turn,
    /// with the token of the last event, or [`FRONT_END_TOKEN`] where there was none.
    fn is_hungry(&self) -> bool {
        false
    }

    /// Whether its input may wait while the node is crowded: that of a script may, the keys of a
    /// person do not.
    fn may_wait(&self) -> bool {
        true
    }

    /// The next request, if any.
    fn poll_request(&mut self) -> Option<Request>;

    /// Something happened.
    fn handle_event(&mut self, now: Now, event: &Event);

    /// When it wants to be woken.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The deadline passed.
    fn handle_timeout(&mut self, now: Now) {
        let _ = now;
    }

    /// A signal came. Returns whether it was of use.
    fn handle_signal(&mut self, now: Now, signal: Signal) {
        let _ = (now, signal);
    }

    /// Draws or writes what changed, once a turn.
    ///
    /// # Errors
    /// The output is gone; the loop ends the node in order.
    fn flush(&mut self, now: Now) -> io::Result<()>;

    /// What it wants of the loop.
    fn flow(&self) -> Flow;
}
