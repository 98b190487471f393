//! Ctrl-C and the closing of the console, as wake-ups of the poll.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use mio::{Registry, Token, Waker};

use super::Notice;
use crate::net::sys::{ConsoleControl, on_console_control};

/// What the console asks for.
pub struct Signals {
    notices: Receiver<Notice>,
}

impl Signals {
    /// From now on console controls come here; `waker` is woken for them.
    ///
    /// # Errors
    /// The system refuses.
    pub fn register(_registry: &Registry, _token: Token, waker: &Arc<Waker>) -> io::Result<Self> {
        let (sender, notices) = channel();
        let waker = Arc::clone(waker);
        on_console_control(Box::new(move |control| {
            let notice = match control {
                ConsoleControl::Interrupt => Notice::Interrupt,
                ConsoleControl::Close => Notice::End,
            };
            if sender.send(notice).is_ok() && waker.wake().is_err() {
                tracing::warn!("the loop cannot be woken");
            }
        }))?;
        Ok(Signals { notices })
    }

    /// Calls `sink` for each that came.
    pub fn take(&mut self, sink: impl FnMut(Notice)) {
        self.notices.try_iter().for_each(sink);
    }

    /// There is no stopping here.
    ///
    /// # Errors
    /// None.
    pub fn stop(&mut self) -> io::Result<()> {
        Ok(())
    }
}
