//! The person's side: lines typed, lines shown, signals.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use mio::{Registry, Token, Waker};

use super::text::shown;
use crate::error::{ExitCode, UserError};
use crate::runtime::Notice;
use crate::runtime::signal::Signals;
use crate::stdio::input::{Input, Line};
use crate::stdio::output::{Output, Patience};
use crate::stdio::{STDIN, STDOUT};
use crate::text::DisplayText;

/// What wakes the loop from outside of it.
const WAKE: Token = Token(0);
const SIGNAL: Token = Token(1);

/// Bytes for stdout above which nothing more is received: whoever reads them slowly slows the
/// senders (TCP) or loses datagrams (UDP), and costs no memory.
const SHOWN_PENDING_MAX: usize = 1024 * 1024;
/// Bytes shown in one turn of the loop after which what else arrived waits for the next one, and
/// bytes written in it: a line that was typed meanwhile is not to wait for more.
const SHOWN_PER_TURN: usize = 32 * 1024;
const WRITTEN_PER_TURN: usize = 64 * 1024;

/// Stdin, stdout, stderr and the signals.
pub(super) struct Desk {
    input: Input,
    /// Lines read and not yet handed out.
    lines: VecDeque<Line>,
    output: Output,
    /// Shown in this turn of the loop.
    shown: usize,
    /// There may be room for more of the output.
    eager: bool,
    errors: Output,
    signals: Signals,
    _waker: Arc<Waker>,
}

impl Desk {
    /// On the streams of this process.
    pub(super) fn open(registry: &Registry) -> io::Result<Self> {
        let waker = Arc::new(Waker::new(registry, WAKE)?);
        let signals = Signals::register(registry, SIGNAL, &waker)?;
        let mut input = Input::stdin();
        input.register(registry, STDIN)?;
        let mut output = Output::stdout(Patience::Bounded);
        output.register(registry)?;
        let mut errors = Output::stderr();
        errors.register(registry)?;
        Ok(Desk {
            input,
            lines: VecDeque::new(),
            output,
            shown: 0,
            eager: false,
            errors,
            signals,
            _waker: waker,
        })
    }

    /// Whether this token is one of the desk's; notes that it is ready.
    pub(super) fn ready(&mut self, token: Token) -> bool {
        if token == STDIN {
            self.input.mark_ready();
        }
        // Windows wakes for everything under the first token.
        token == WAKE || token == SIGNAL || (STDIN..=Token(STDIN.0 + 2)).contains(&token)
    }

    /// The next line of stdin, if there is one without waiting.
    pub(super) fn next_line(&mut self) -> Option<Line> {
        if self.lines.is_empty() && self.input.is_hungry() {
            self.lines = self.input.take().into();
        }
        self.lines.pop_front()
    }

    /// Whether [`Desk::next_line`] may find something without another word from the poll.
    pub(super) fn has_lines(&self) -> bool {
        !self.lines.is_empty() || self.input.is_hungry()
    }

    /// Calls `sink` for each signal that came.
    pub(super) fn signals(&mut self) -> Vec<Notice> {
        let mut notices = Vec::new();
        self.signals.take(|notice| notices.push(notice));
        notices
    }

    /// Stops as Ctrl-Z asks, until continued.
    pub(super) fn stop(&mut self) -> io::Result<()> {
        self.signals.stop()
    }

    /// Whether stdout has enough to write: nothing more should be received.
    pub(super) fn is_full(&self) -> bool {
        self.output.pending() >= SHOWN_PENDING_MAX
    }

    /// Whether more may be received in this turn of the loop.
    pub(super) fn has_time(&self) -> bool {
        self.shown < SHOWN_PER_TURN && !self.is_full()
    }

    /// Whether [`Desk::flush`] may write more without another word from the poll.
    pub(super) fn is_eager(&self) -> bool {
        self.eager
    }

    /// Shows what somebody said.
    pub(super) fn said(&mut self, who: SocketAddr, bytes: &[u8]) {
        self.show(&format!("{who}: {}", shown(bytes)));
    }

    /// Shows that somebody is gone.
    pub(super) fn went_offline(&mut self, who: SocketAddr) {
        self.show(&format!("{who} went offline"));
    }

    fn show(&mut self, line: &str) {
        self.shown += line.len();
        self.output.push_line(line);
    }

    /// Tells the person, not the chat.
    pub(super) fn note(&mut self, what: impl fmt::Display) {
        let line = DisplayText::line(&what.to_string());
        self.push_error(|errors| errors.push_line(&format!("lanchat: {line}")));
    }

    /// Tells what went wrong; the chat goes on.
    pub(super) fn problem(&mut self, error: &UserError) {
        self.push_error(|errors| errors.push_error(error));
    }

    /// Unless nobody reads stderr: what it would take is then not worth its memory.
    fn push_error(&mut self, push: impl FnOnce(&mut Output)) {
        if self.errors.pending() < SHOWN_PENDING_MAX {
            push(&mut self.errors);
        }
    }

    /// Ends a turn of the loop: writes what there is room for, within reason. False where nobody
    /// reads stdout any more.
    ///
    /// # Errors
    /// Stdout cannot be written for another reason.
    pub(super) fn flush(&mut self) -> Result<bool, UserError> {
        self.shown = 0;
        // Where stderr is gone there is nobody to tell.
        let more = self.errors.flush_some(WRITTEN_PER_TURN).unwrap_or(false);
        match self.output.flush_some(WRITTEN_PER_TURN) {
            Ok(eager) => {
                self.eager = eager || more;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => {
                let message = format!("cannot write to standard output: {error}");
                let error = UserError::new(ExitCode::Failed, message);
                Err(error.hint("see where it goes: a full disk, or a terminal that is gone"))
            }
        }
    }

    /// Drops what is not written yet.
    pub(super) fn forget(&mut self) {
        self.output.clear();
        self.errors.clear();
    }
}

// The streams' tokens are in a row.
const _: () = assert!(STDOUT.0 == STDIN.0 + 1);
