//! How a node ends or stops: every way passes by GOODBYE.

use std::io;
use std::time::{Duration, Instant};

use super::node::Node;
use super::{Clock, Flow, Notice, Signal};
use crate::error::ExitCode;
use crate::proto::Now;

/// Longest wait for the last GOODBYE.
const LEAVE: Duration = Duration::from_millis(60);

/// Why a GOODBYE is on its way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    End(ExitCode),
    Suspend,
}

/// A GOODBYE on its way.
pub(super) struct Leaving {
    purpose: Purpose,
    /// When it has to be done.
    pub(super) deadline: Instant,
}

impl Node<'_> {
    /// Does what a signal asks for.
    pub(super) fn heed(&mut self, now: Now, notice: Notice) {
        match notice {
            Notice::Interrupt => self.leave(now, Purpose::End(ExitCode::Interrupted)),
            Notice::End => self.leave(now, Purpose::End(ExitCode::Done)),
            Notice::Resize => self.front_end.handle_signal(now, Signal::Resize),
            Notice::Suspend => self.leave(now, Purpose::Suspend),
            Notice::Continue => {
                self.front_end.handle_signal(now, Signal::Resume);
                self.rescan_at = now.mono;
            }
        }
    }

    /// Does what the front end wants of the loop.
    pub(super) fn follow_flow(&mut self, now: Now) {
        match self.front_end.flow() {
            Flow::Continue => {}
            Flow::Drain(deadline) => {
                let answered = self.histories == 0;
                if answered && self.endpoint.is_settled() || deadline <= now.mono {
                    self.leave(now, Purpose::End(ExitCode::Done));
                }
            }
            Flow::Quit(code) => self.leave(now, Purpose::End(code)),
        }
        self.settle(now);
    }

    /// Says goodbye, for the first reason to end that comes; but to end goes before to stop, and
    /// a failure before an end in order: what was to be written last may be what failed.
    pub(super) fn leave(&mut self, now: Now, purpose: Purpose) {
        if self.leaving.is_none() && self.endpoint.is_in_doubt() {
            // What waits for that is said where the card is now.
            self.rescan(now);
        }
        match &mut self.leaving {
            Some(leaving) => {
                let failed = purpose == Purpose::End(ExitCode::Failed);
                match leaving.purpose {
                    Purpose::Suspend => leaving.purpose = purpose,
                    Purpose::End(ExitCode::Done) if failed => leaving.purpose = purpose,
                    Purpose::End(_) => {}
                }
            }
            None => {
                self.endpoint.leave(now);
                self.drain(now);
                let deadline = now.mono + LEAVE;
                self.leaving = Some(Leaving { purpose, deadline });
            }
        }
    }

    fn suspend(&mut self, now: Now) {
        self.leaving = None;
        self.front_end.handle_signal(now, Signal::Suspend);
        self.flush(now);
        if let Err(error) = self.signals.stop() {
            tracing::warn!(%error, "stop");
        }
        let now = Clock::now();
        self.front_end.handle_signal(now, Signal::Resume);
        self.rescan(now);
        self.endpoint.rejoin(now);
        self.drain(now);
        self.settle(now);
    }

    /// Draws or writes once; an output that is gone ends the node.
    pub(super) fn flush(&mut self, now: Now) {
        if self.output_gone || self.flush_at.is_some_and(|at| now.mono < at) {
            return;
        }
        self.flush_at = None;
        if let Err(error) = self.front_end.flush(now) {
            self.output_gone = true;
            let code = match error.kind() {
                io::ErrorKind::BrokenPipe => ExitCode::Done,
                _ => ExitCode::Failed,
            };
            tracing::info!(%error, "output");
            self.leave(now, Purpose::End(code));
            self.settle(now);
        }
    }

    /// When the GOODBYE is out: the exit code, or the stop and what comes after it.
    pub(super) fn finish(&mut self, now: Now) -> Option<ExitCode> {
        let leaving = self.leaving.as_ref()?;
        if !self.endpoint.has_left() && now.mono < leaving.deadline {
            return None;
        }
        match leaving.purpose {
            Purpose::End(code) => Some(code),
            Purpose::Suspend => {
                self.suspend(now);
                None
            }
        }
    }

    /// Gives the terminal back, and waits until everything is on disk.
    pub(super) fn end(mut self) {
        let now = Clock::now();
        self.front_end.handle_signal(now, Signal::End);
        self.flush_at = None;
        self.flush(now);
        if self.worker.take().is_some_and(|worker| !worker.close()) {
            tracing::warn!("the store ended early");
        }
    }
}
