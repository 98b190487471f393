//! Lines over connections: a server of any number of programs, or the other side of one.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::TcpOptions;
use super::connection::{Connection, ReadEnd};
use super::desk::Desk;
use super::errors::{cannot_listen, cannot_reach, not_of_one_machine, system_error};
use super::listener::{Listener, is_of_one_connection, listen};
use super::run::{NETWORK_TOKEN, Network};
use super::text::{Piece, is_farewell};
use crate::datagram::canonical;
use crate::error::{ExitCode, UserError};
use crate::runtime::clock::Clock;

/// What every program reads first.
const GREETING: &[u8] = b"Server connected\n";
/// Connections accepted in one turn.
const ACCEPTS_PER_TURN: usize = 64;
/// Bytes read at once, and from all connections in one turn.
const READ_LEN: usize = 16 * 1024;
const READ_PER_TURN: usize = 16 * READ_LEN;
/// How long no connection is accepted after the system had no room for one.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// How long one address has to answer.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long what is queued at the end may take.
const FINISH_MAX: Duration = Duration::from_secs(5);
/// How long the others have to close their side after that. Closing ours for good before they
/// did would make their systems throw away what they have not read yet.
const LINGER: Duration = Duration::from_millis(500);

/// The listening socket or the one machine, and the connections.
pub(super) struct Tcp {
    registry: Registry,
    listener: Option<Listener>,
    connecting: Option<Connecting>,
    connections: BTreeMap<usize, Connection>,
    next_token: usize,
    /// The connection that is read first in the next turn.
    turn_of: usize,
    buffer: Vec<u8>,
    /// What ends the chat without anybody's wish.
    failed: Option<UserError>,
    /// No more lines come; until when what is queued may take, and the others to close.
    finish_by: Option<Instant>,
    linger_by: Option<Instant>,
}

/// A connection that is not there yet, and the addresses still to try, the next one last.
struct Connecting {
    stream: TcpStream,
    address: SocketAddr,
    by: Instant,
    ready: bool,
    others: Vec<SocketAddr>,
}

const LISTENER: Token = Token(NETWORK_TOKEN);

impl Tcp {
    /// Listens, or begins to connect.
    pub(super) fn open(
        options: &TcpOptions,
        registry: &Registry,
        desk: &mut Desk,
    ) -> Result<Self, UserError> {
        let mut tcp = Tcp {
            registry: registry.try_clone().map_err(system_error)?,
            listener: None,
            connecting: None,
            connections: BTreeMap::new(),
            next_token: NETWORK_TOKEN + 1,
            turn_of: 0,
            buffer: vec![0; READ_LEN],
            failed: None,
            finish_by: None,
            linger_by: None,
        };
        match options {
            TcpOptions::Listen(address) if address.ip().is_multicast() => {
                return Err(not_of_one_machine(*address));
            }
            TcpOptions::Listen(address) => {
                let listener = listen(*address, registry, LISTENER);
                tcp.listener = Some(listener.map_err(|e| cannot_listen(*address, &e))?);
                desk.note(format!("listening on {address} (TCP)"));
            }
            TcpOptions::Connect(addresses) => {
                let mut others = addresses.clone();
                others.reverse();
                let nowhere = io::ErrorKind::AddrNotAvailable.into();
                let first = addresses.first().copied();
                let first = first.ok_or_else(|| system_error(nowhere))?;
                let unreachable = cannot_reach(first, &io::ErrorKind::TimedOut.into());
                tcp.connect_next(Clock::now().mono, others, unreachable)?;
            }
        }
        Ok(tcp)
    }

    /// Begins to connect to the next of these addresses; with none left, that is the error.
    fn connect_next(
        &mut self,
        now: Instant,
        mut others: Vec<SocketAddr>,
        mut error: UserError,
    ) -> Result<(), UserError> {
        while let Some(address) = others.pop() {
            let interest = Interest::READABLE | Interest::WRITABLE;
            let begun = TcpStream::connect(address).and_then(|mut stream| {
                self.registry
                    .register(&mut stream, Token(self.next_token), interest)?;
                Ok(stream)
            });
            match begun {
                Ok(stream) => {
                    self.connecting = Some(Connecting {
                        stream,
                        address,
                        by: now + CONNECT_MAX,
                        ready: false,
                        others,
                    });
                    return Ok(());
                }
                Err(failed) => error = cannot_reach(address, &failed),
            }
        }
        Err(error)
    }

    /// Looks at the connection that is under way.
    fn go_on_connecting(&mut self, now: Instant, desk: &mut Desk) {
        let Some(connecting) = self.connecting.take() else {
            return;
        };
        let failed = match connecting.state(now) {
            Ok(false) => {
                self.connecting = Some(connecting);
                return;
            }
            Ok(true) => {
                desk.note(format!("connected to {}", connecting.address));
                let connection = Connection::established(connecting.stream, connecting.address);
                self.connections.insert(self.next_token, connection);
                self.next_token += 1;
                return;
            }
            Err(error) => cannot_reach(connecting.address, &error),
        };
        self.next_token += 1;
        self.failed = self.connect_next(now, connecting.others, failed).err();
    }

    fn accept(&mut self, now: Instant, desk: &mut Desk) {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listener) = self.listener.as_mut().filter(|l| l.is_ready(now)) else {
                return;
            };
            match listener.socket.accept() {
                Ok((stream, address)) => {
                    listener.paused_until = None;
                    self.welcome(stream, canonical(address), desk);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    listener.readable = false;
                    listener.paused_until = None;
                }
                // Whoever it was gave up already.
                Err(error) if is_of_one_connection(&error) => {}
                Err(_) if self.make_room() => {}
                Err(error) => self.pause(now, &error, desk),
            }
        }
    }

    fn welcome(&mut self, stream: TcpStream, address: SocketAddr, desk: &mut Desk) {
        let token = self.next_token;
        self.next_token += 1;
        match Connection::new(stream, address, &self.registry, Token(token)) {
            Ok(mut connection) => {
                connection.push(&Bytes::from_static(GREETING));
                self.connections.insert(token, connection);
                desk.note(format!("{address} connected"));
            }
            Err(error) => desk.note(format!("{address} cannot be served: {error}")),
        }
    }

    /// Closes the oldest connection whose other side sends no more, if there is one: most of them
    /// are gone altogether.
    fn make_room(&mut self) -> bool {
        let mut all = self.connections.iter();
        let token = all.find_map(|(&token, found)| (!found.is_open).then_some(token));
        token.is_some_and(|token| self.connections.remove(&token).is_some())
    }

    /// Accepts nobody for a while, and says so when that begins.
    fn pause(&mut self, now: Instant, error: &io::Error, desk: &mut Desk) {
        if let Some(listener) = &mut self.listener {
            if listener.paused_until.is_none() {
                desk.note(format!("nobody more can connect for now: {error}"));
            }
            listener.paused_until = Some(now + ACCEPT_PAUSE);
        }
    }

    /// Reads each connection once, beginning where the last turn stopped.
    fn read(&mut self, now: Instant, desk: &mut Desk) {
        let after = self.connections.range(self.turn_of..);
        let before = self.connections.range(..self.turn_of);
        let order: Vec<usize> = after.chain(before).map(|(&token, _)| token).collect();
        let mut left = READ_PER_TURN;
        for token in order {
            if left < READ_LEN || !desk.has_time() {
                self.turn_of = token;
                return;
            }
            let Some(connection) = self.connections.get_mut(&token) else {
                continue;
            };
            let who = connection.address;
            let mut parted = false;
            let mut sink = |line: Piece<'_>| match line.whole && is_farewell(line.bytes) {
                _ if parted => {}
                true => parted = true,
                false => desk.said(who, line.bytes),
            };
            connection.show_overdue(now, &mut sink);
            let end = if connection.is_readable() {
                left -= READ_LEN;
                connection.read(now, &mut self.buffer, &mut sink)
            } else {
                Ok(ReadEnd::Empty)
            };
            // A farewell ends both ways; the end of what they send only theirs.
            let gone = parted || end.is_err();
            if gone || end.is_ok_and(|end| end == ReadEnd::Closed) {
                desk.went_offline(who);
            }
            if gone {
                self.connections.remove(&token);
            }
        }
    }

    /// Whether there is one connection and no more to come.
    fn is_client(&self) -> bool {
        self.listener.is_none() && self.finish_by.is_none()
    }
}

impl Network for Tcp {
    fn ready(&mut self, event: &Event) {
        if let Some(listener) = &mut self.listener
            && event.token() == LISTENER
        {
            listener.readable = true;
        } else if let Some(connection) = self.connections.get_mut(&event.token().0) {
            connection.ready(event);
        } else if let Some(connecting) = &mut self.connecting {
            connecting.ready = true;
        }
    }

    fn receive(&mut self, now: Instant, desk: &mut Desk) {
        self.go_on_connecting(now, desk);
        self.accept(now, desk);
        self.read(now, desk);
    }

    fn takes_lines(&self) -> bool {
        self.connecting.is_none() && !self.connections.values().any(Connection::is_clogged)
    }

    fn send(&mut self, line: &str, farewell: bool, desk: &mut Desk) {
        let bytes = Bytes::from(format!("{line}\n"));
        for connection in self.connections.values_mut() {
            connection.push(&bytes);
        }
        if self.connections.is_empty() && !farewell {
            let message = "nobody is connected, so this line went to nobody";
            let error = UserError::new(ExitCode::Failed, message);
            desk.problem(&error.hint("wait until somebody connects"));
        }
    }

    fn transmit(&mut self, now: Instant, desk: &mut Desk) {
        self.connections.retain(|_, connection| {
            // Only then is it known: it may have read while this process was stopped.
            let mut alive = connection.write(now);
            if alive && connection.is_stuck(now) {
                let who = connection.address;
                desk.note(format!(
                    "{who} does not read what it is sent and is dropped"
                ));
                connection.give_up(now);
                alive = connection.write(now);
            }
            if !alive && connection.is_open {
                desk.went_offline(connection.address);
            }
            alive
        });
    }

    fn finish(&mut self, now: Instant) {
        self.listener = None;
        self.finish_by = Some(now + FINISH_MAX);
        for connection in self.connections.values_mut() {
            connection.end(now + FINISH_MAX + LINGER);
        }
    }

    fn is_hungry(&self, desk: &Desk) -> bool {
        let accepts = |listener: &Listener| listener.readable && listener.paused_until.is_none();
        let readable = !desk.is_full() && self.connections.values().any(Connection::is_readable);
        readable || self.listener.as_ref().is_some_and(accepts)
    }

    fn deadline(&self, desk: &Desk) -> Option<Instant> {
        let shows = !desk.is_full();
        let connections = self.connections.values();
        let connections = connections.filter_map(|connection| connection.deadline(shows));
        let paused = self.listener.as_ref().and_then(|l| l.paused_until);
        let connecting = self.connecting.as_ref().map(|c| c.by);
        let others = [paused, connecting, self.finish_by, self.linger_by];
        others.into_iter().flatten().chain(connections).min()
    }

    fn ended(&mut self, now: Instant) -> Option<Result<ExitCode, UserError>> {
        if let Some(error) = self.failed.take() {
            return Some(Err(error));
        }
        let done = Some(Ok(ExitCode::Done));
        if self.connections.is_empty() && self.connecting.is_none() {
            return done.filter(|_| self.is_client() || self.finish_by.is_some());
        }
        let by = self.finish_by?;
        if now < by && !self.connections.values().all(Connection::is_flushed) {
            return None;
        }
        let linger_by = *self.linger_by.get_or_insert(now + LINGER);
        done.filter(|_| now >= linger_by)
    }
}

impl Connecting {
    /// Whether it is connected.
    fn state(&self, now: Instant) -> io::Result<bool> {
        if self.ready {
            if let Some(error) = self.stream.take_error()? {
                return Err(error);
            }
            match self.stream.peer_addr() {
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
                Err(error) => return Err(error),
            }
        }
        if now >= self.by {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(false)
    }
}
