//! The loop: one thread, one poll, bounded work a turn.

use std::io;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Registry};

use super::desk::Desk;
use super::errors::system_error;
use super::text::is_farewell;
use crate::error::{ExitCode, UserError};
use crate::limits::JSON_LINE_LEN_MAX;
use crate::runtime::Notice;
use crate::runtime::clock::Clock;
use crate::stdio::input::Line;

/// First token of the network's side; the desk has those below.
pub(super) const NETWORK_TOKEN: usize = 2000;
/// Events taken from the system at once.
const EVENTS_MAX: usize = 256;

/// The network's side of the chat. In each turn of the loop: `ready` for each of its events,
/// `receive`, `send` for each line typed, then `transmit`.
pub(super) trait Network {
    /// Something happened to one of its sockets.
    fn ready(&mut self, event: &Event);
    /// Shows a bounded part of what arrived.
    fn receive(&mut self, now: Instant, desk: &mut Desk);
    /// Whether there is room for another line.
    fn takes_lines(&self) -> bool;
    /// Queues a line that was typed. `farewell`: it ends the chat.
    fn send(&mut self, line: &str, farewell: bool, desk: &mut Desk);
    /// Sends a bounded part of what is queued, and gives up what takes too long.
    fn transmit(&mut self, now: Instant, desk: &mut Desk);
    /// No more lines will come: send what is queued and end.
    fn finish(&mut self, now: Instant);
    /// Whether there is something to receive or to send without another word from the poll.
    fn is_hungry(&self, desk: &Desk) -> bool;
    /// When it wants a turn without any event.
    fn deadline(&self, desk: &Desk) -> Option<Instant>;
    /// How the chat ended, if it did.
    fn ended(&mut self, now: Instant) -> Option<Result<ExitCode, UserError>>;
}

/// Runs the chat over what `open` opens.
pub(super) fn run<N: Network>(
    open: impl FnOnce(&Registry, &mut Desk) -> Result<N, UserError>,
) -> Result<ExitCode, UserError> {
    let mut poll = Poll::new().map_err(system_error)?;
    let mut desk = Desk::open(poll.registry()).map_err(system_error)?;
    let network = open(poll.registry(), &mut desk)?;
    desk.note("nothing is encrypted here: everybody on the network can read it and write it");
    let mut chat = Chat {
        desk,
        network,
        finishing: false,
    };
    let mut events = Events::with_capacity(EVENTS_MAX);
    loop {
        match poll.poll(&mut events, chat.wait(Clock::now().mono)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
            Err(error) => return Err(system_error(error)),
        }
        for event in &events {
            if !chat.desk.ready(event.token()) {
                chat.network.ready(event);
            }
        }
        if let Some(ended) = chat.turn(Clock::now().mono) {
            return ended;
        }
    }
}

struct Chat<N> {
    desk: Desk,
    network: N,
    /// No more lines are read.
    finishing: bool,
}

impl<N: Network> Chat<N> {
    /// How long to wait for an event; none: until one comes.
    fn wait(&self, now: Instant) -> Option<Duration> {
        let typed = !self.finishing && self.network.takes_lines() && self.desk.has_lines();
        if typed || self.desk.is_eager() || self.network.is_hungry(&self.desk) {
            return Some(Duration::ZERO);
        }
        let deadline = self.network.deadline(&self.desk)?;
        Some(deadline.saturating_duration_since(now))
    }

    fn turn(&mut self, now: Instant) -> Option<Result<ExitCode, UserError>> {
        if let Some(code) = self.heed_signals() {
            return Some(code);
        }
        self.network.receive(now, &mut self.desk);
        self.take_lines(now);
        self.network.transmit(now, &mut self.desk);
        let ended = self.network.ended(now);
        match self.desk.flush() {
            Ok(true) => ended,
            Ok(false) => Some(Ok(ExitCode::Done)),
            Err(error) => Some(Err(error)),
        }
    }

    fn heed_signals(&mut self) -> Option<Result<ExitCode, UserError>> {
        for notice in self.desk.signals() {
            match notice {
                Notice::Interrupt => {
                    // Not even for who reads what was shown.
                    self.desk.forget();
                    return Some(Ok(ExitCode::Interrupted));
                }
                Notice::End => return Some(Ok(ExitCode::Done)),
                Notice::Suspend => {
                    if let Err(error) = self.desk.stop() {
                        return Some(Err(system_error(error)));
                    }
                }
                Notice::Resize | Notice::Continue => {}
            }
        }
        None
    }

    /// Hands typed lines to the network while it has room, a turn's worth at most.
    fn take_lines(&mut self, now: Instant) {
        for _ in 0..LINES_PER_TURN {
            if self.finishing || !self.network.takes_lines() {
                return;
            }
            let Some(line) = self.desk.next_line() else {
                return;
            };
            match line {
                Line::Text(text) => {
                    let farewell = is_farewell(text.as_bytes());
                    self.network.send(&text, farewell, &mut self.desk);
                    self.finishing = farewell;
                }
                Line::TooLong => {
                    let sentence = format!("a line is longer than {JSON_LINE_LEN_MAX} bytes");
                    self.refuse(&sentence, "write it in several lines");
                }
                Line::NotUtf8 => self.refuse("a line is not UTF-8", "convert it, with iconv(1)"),
                Line::End => self.finishing = true,
            }
            if self.finishing {
                self.network.finish(now);
            }
        }
    }

    fn refuse(&mut self, sentence: &str, hint: &str) {
        let message = format!("{sentence} and was not sent");
        let error = UserError::new(ExitCode::Failed, message).hint(hint);
        self.desk.problem(&error);
    }
}

/// Most lines handed to the network in one turn.
const LINES_PER_TURN: usize = 64;
