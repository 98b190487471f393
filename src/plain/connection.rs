//! One TCP connection: lines in, a bounded backlog out, nothing that waits.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{SockRef, TcpKeepalive};

use super::text::{Lines, Piece};

/// Bytes that wait to be sent ([`LINE_COST`] included) at which no more lines are taken from the person, until this
/// connection has come down to [`BACKLOG_LOW`]. With one line above it, the most that ever waits.
const BACKLOG_HIGH: usize = 64 * 1024;
const BACKLOG_LOW: usize = BACKLOG_HIGH / 2;
/// What a line costs there beside its bytes.
const LINE_COST: usize = size_of::<Bytes>() + 16;
/// How long that may take before the connection is given up.
const CLOGGED_MAX: Duration = Duration::from_secs(1);
/// How long a program that was given up has to read why.
const LAST_WORD_MAX: Duration = Duration::from_secs(5);
/// What it reads then.
const LAST_WORD: &[u8] = b"Server disconnected: you do not read\n";
/// How long the beginning of a line waits for its end; what came is then shown as a line.
const PARTIAL_MAX: Duration = Duration::from_secs(1);
/// The same of a program that has sent no newline yet: many never do.
const PARTIAL_UNENDED_MAX: Duration = Duration::from_millis(200);
/// Asks the other side whether it is still there after so much silence, and then so often: an end
/// that was never told (a cable, or a program that closed while we only listen to half of it) is
/// found out.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// What came of reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReadEnd {
    /// There may be more.
    More,
    /// Nothing more for now.
    Empty,
    /// The other side sends no more; it may still read.
    Closed,
}

/// A connection.
pub(super) struct Connection {
    stream: TcpStream,
    /// Of the other side.
    pub(super) address: SocketAddr,
    /// Edge-triggered: an event said so, and nothing since said otherwise.
    readable: bool,
    writable: bool,
    /// The other side may still send.
    pub(super) is_open: bool,
    /// An event said that nothing can be sent any more.
    broken: bool,
    lines: Lines,
    /// When the beginning of a line is shown as it is.
    partial_by: Option<Instant>,
    queue: VecDeque<Bytes>,
    queued: usize,
    /// The first of the queue has been sent in part.
    begun: bool,
    /// Since when it is clogged.
    clogged: Option<Instant>,
    /// After the queue nothing follows; gone by then in any case.
    ending_by: Option<Instant>,
    /// Our side is closed.
    shut: bool,
}

impl Connection {
    /// Takes a connected stream under the poll.
    pub(super) fn new(
        mut stream: TcpStream,
        address: SocketAddr,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Connection::established(stream, address))
    }

    /// The same of a stream that the poll has already.
    pub(super) fn established(stream: TcpStream, address: SocketAddr) -> Self {
        // Lines go at once; where the system refuses either, the chat works without.
        let _ = stream.set_nodelay(true);
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE)
            .with_interval(KEEPALIVE_INTERVAL);
        let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
        Connection {
            stream,
            address,
            readable: true,
            writable: true,
            is_open: true,
            broken: false,
            lines: Lines::default(),
            partial_by: None,
            queue: VecDeque::new(),
            queued: 0,
            begun: false,
            clogged: None,
            ending_by: None,
            shut: false,
        }
    }

    /// Something happened to its socket.
    pub(super) fn ready(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable();
        self.broken |= event.is_error() || (event.is_write_closed() && !self.shut);
    }

    /// Whether [`Connection::read`] may find something.
    pub(super) fn is_readable(&self) -> bool {
        self.is_open && self.readable
    }

    /// Reads once; `sink` gets each line.
    ///
    /// # Errors
    /// The connection is gone.
    pub(super) fn read(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        sink: &mut dyn FnMut(Piece<'_>),
    ) -> io::Result<ReadEnd> {
        match self.stream.read(buffer) {
            Ok(0) => {
                self.is_open = false;
                self.show_partial(sink);
                Ok(ReadEnd::Closed)
            }
            Ok(len) => {
                self.lines.push(&buffer[..len], sink);
                let wait = match self.lines.knows_newlines() {
                    true => PARTIAL_MAX,
                    false => PARTIAL_UNENDED_MAX,
                };
                self.partial_by = self.lines.has_partial().then_some(now + wait);
                Ok(ReadEnd::More)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(ReadEnd::Empty)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(ReadEnd::More),
            Err(error) => {
                self.is_open = false;
                self.show_partial(sink);
                Err(error)
            }
        }
    }

    /// Shows the beginning of a line whose end does not come.
    pub(super) fn show_overdue(&mut self, now: Instant, sink: &mut dyn FnMut(Piece<'_>)) {
        if self.partial_by.is_some_and(|by| now >= by) {
            self.show_partial(sink);
        }
    }

    fn show_partial(&mut self, sink: &mut dyn FnMut(Piece<'_>)) {
        self.partial_by = None;
        self.lines.end(sink);
    }

    /// Queues bytes.
    pub(super) fn push(&mut self, bytes: &Bytes) {
        if self.ending_by.is_none() && !bytes.is_empty() {
            self.queued += bytes.len() + LINE_COST;
            self.queue.push_back(bytes.clone());
        }
    }

    /// Whether it has a backlog that more lines should wait for.
    pub(super) fn is_clogged(&self) -> bool {
        self.ending_by.is_none() && (self.clogged.is_some() || self.queued >= BACKLOG_HIGH)
    }

    /// Whether everything queued is with the system.
    pub(super) fn is_flushed(&self) -> bool {
        self.queue.is_empty()
    }

    /// Sends what the system takes. False where the connection is over.
    pub(super) fn write(&mut self, now: Instant) -> bool {
        // As long as there may be something to read, reading finds out that it is over.
        if (self.broken && !self.is_open) || self.ending_by.is_some_and(|by| now >= by) {
            return false;
        }
        while self.writable
            && let Some(front) = self.queue.front_mut()
        {
            match self.stream.write(front) {
                Ok(len) => {
                    self.queued -= len;
                    self.begun = len < front.len();
                    if self.begun {
                        let _ = front.split_to(len);
                    } else {
                        self.queue.pop_front();
                        self.queued -= LINE_COST;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.broken = true;
                    self.readable = true;
                    self.queue.clear();
                    self.queued = 0;
                }
            }
        }
        self.watch_backlog(now);
        self.shut_when_flushed()
    }

    fn watch_backlog(&mut self, now: Instant) {
        if self.queued >= BACKLOG_HIGH {
            self.clogged.get_or_insert(now);
        } else if self.queued <= BACKLOG_LOW {
            self.clogged = None;
        }
    }

    /// Closes our side after the last byte. False where the other side is closed as well.
    fn shut_when_flushed(&mut self) -> bool {
        if self.ending_by.is_some() && self.queue.is_empty() && !self.shut {
            self.shut = true;
            if self.stream.shutdown(Shutdown::Write).is_err() {
                return false;
            }
        }
        self.is_open || !self.shut
    }

    /// Whether the other side reads too slowly to wait for.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        let since = self.clogged.filter(|_| self.ending_by.is_none());
        since.is_some_and(|since| now >= since + CLOGGED_MAX)
    }

    /// Drops what waits but the rest of a line that has begun, says why, and ends.
    pub(super) fn give_up(&mut self, now: Instant) {
        let rest = usize::from(self.begun);
        self.queue.truncate(rest);
        self.queued = self.queue.iter().map(|rest| rest.len() + LINE_COST).sum();
        self.push(&Bytes::from_static(LAST_WORD));
        self.clogged = None;
        self.end(now + LAST_WORD_MAX);
    }

    /// Ends after what is queued, at this time at the latest.
    pub(super) fn end(&mut self, by: Instant) {
        let earlier = self.ending_by.map_or(by, |set| set.min(by));
        self.ending_by = Some(earlier);
    }

    /// When it wants a turn without any event; `shows`: there is room for what it has to show.
    pub(super) fn deadline(&self, shows: bool) -> Option<Instant> {
        let stuck = self.clogged.map(|since| since + CLOGGED_MAX);
        [self.partial_by.filter(|_| shows), stuck, self.ending_by]
            .into_iter()
            .flatten()
            .min()
    }
}
