//! One datagram a line, to every peer or to whoever wrote last.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mio::event::Event;
use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use super::UdpOptions;
use super::desk::Desk;
use super::errors::{cannot_listen, cannot_reach, not_sent, other_family};
use super::run::{NETWORK_TOKEN, Network};
use super::text::{is_farewell, trimmed};
use crate::datagram::canonical;
use crate::error::{ExitCode, UserError};
use crate::limits::SOCKET_BUDGET;

/// The largest datagram there is.
const DATAGRAM_LEN_MAX: usize = 64 * 1024;
/// Room that is asked of the system for datagrams that wait; it gives less if it must.
const RECEIVE_BUFFER_LEN: usize = 4 * 1024 * 1024;
/// Errors in a row after which the socket is left alone until its next event.
const ERRORS_MAX: usize = 8;
/// How long the last lines may take at the end.
const FINISH_MAX: Duration = Duration::from_secs(5);

/// The socket and what waits for it.
pub(super) struct Udp {
    socket: UdpSocket,
    /// Whether IPv4 addresses are written as IPv6 ones.
    mapped: bool,
    peers: Vec<SocketAddr>,
    /// Who wrote last.
    last: Option<SocketAddr>,
    /// Where our own datagrams to a group or to everybody come from when they come back.
    own: BTreeSet<SocketAddr>,
    /// Stands before each line.
    prefix: String,
    queue: VecDeque<(Bytes, SocketAddr)>,
    /// Edge-triggered: an event said so, and nothing since said otherwise.
    readable: bool,
    writable: bool,
    buffer: Vec<u8>,
    /// Until when the rest of the queue may take.
    finish_by: Option<Instant>,
}

impl Udp {
    /// Binds the address and looks for a way to each peer; nothing is sent yet.
    pub(super) fn open(
        options: &UdpOptions,
        registry: &Registry,
        desk: &mut Desk,
    ) -> Result<Self, UserError> {
        let listen = options.listen;
        let socket = bind(listen).map_err(|error| cannot_listen(listen, &error))?;
        if listen.ip().is_multicast() {
            let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
            join(&socket, listen, any).map_err(|error| cannot_listen(listen, &error))?;
        }
        let mut own = BTreeSet::new();
        for &peer in &options.peers {
            let both = listen.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            if peer.is_ipv4() != listen.is_ipv4() && !(both && peer.is_ipv4()) {
                return Err(other_family(listen, peer));
            }
            let from = source_towards(peer, listen).map_err(|e| cannot_reach(peer, &e))?;
            if from != peer {
                own.insert(from);
            }
            if peer.ip().is_multicast() && listen.ip().is_unspecified() {
                join(&socket, peer, from).unwrap_or_else(|error| {
                    desk.note(format!("what others write to {peer} is not heard: {error}"));
                });
            }
        }
        let mut socket = UdpSocket::from_std(socket.into());
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry
            .register(&mut socket, Token(NETWORK_TOKEN), interest)
            .map_err(|error| cannot_listen(listen, &error))?;
        desk.note(format!("listening on {listen} (UDP)"));
        let prefix = options.say_name.as_ref();
        Ok(Udp {
            socket,
            mapped: listen.is_ipv6(),
            peers: options.peers.clone(),
            last: None,
            own,
            prefix: prefix.map_or(String::new(), |name| format!("{name}  : ")),
            queue: VecDeque::new(),
            readable: true,
            writable: true,
            buffer: vec![0; DATAGRAM_LEN_MAX],
            finish_by: None,
        })
    }

    fn heard(&mut self, from: SocketAddr, len: usize, desk: &mut Desk) {
        let from = without_flow(canonical(from));
        if self.own.contains(&from) {
            return;
        }
        let text = trimmed(&self.buffer[..len]);
        if is_farewell(text) {
            desk.went_offline(from);
            self.last.take_if(|last| *last == from);
        } else {
            desk.said(from, text);
            self.last = Some(from);
        }
    }
}

impl Network for Udp {
    fn ready(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_error();
        self.writable |= event.is_writable();
    }

    fn receive(&mut self, _now: Instant, desk: &mut Desk) {
        let mut errors = 0;
        for _ in 0..SOCKET_BUDGET {
            if !self.readable || !desk.has_time() {
                return;
            }
            match self.socket.recv_from(&mut self.buffer) {
                Ok((len, from)) => {
                    errors = 0;
                    self.heard(from, len, desk);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                // A peer that refused an earlier datagram (Windows): says nothing about what
                // waits behind it.
                Err(error) => {
                    tracing::debug!(%error, "receive");
                    errors += 1;
                    self.readable = errors < ERRORS_MAX;
                }
            }
        }
    }

    fn takes_lines(&self) -> bool {
        self.queue.is_empty()
    }

    fn send(&mut self, line: &str, farewell: bool, desk: &mut Desk) {
        // A farewell is known by standing alone.
        let text = match farewell {
            true => Bytes::copy_from_slice(line.as_bytes()),
            false => Bytes::from(format!("{}{line}", self.prefix)),
        };
        let listed = self.peers.iter().copied();
        let written = self.last.filter(|_| self.peers.is_empty());
        self.queue
            .extend(listed.chain(written).map(|peer| (text.clone(), peer)));
        if self.queue.is_empty() && !farewell {
            let message = "nobody has written yet, or they left, so this line went to nobody";
            let error = UserError::new(ExitCode::Failed, message);
            desk.problem(&error.hint("name somebody with `--peer ADDR:PORT`"));
        }
    }

    fn transmit(&mut self, _now: Instant, desk: &mut Desk) {
        while self.writable
            && let Some((text, peer)) = self.queue.front()
        {
            let to = if self.mapped { mapped(*peer) } else { *peer };
            match self.socket.send_to(text, to) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.writable = false;
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => desk.problem(&not_sent(*peer, text.len(), &error)),
            }
            self.queue.pop_front();
        }
    }

    fn finish(&mut self, now: Instant) {
        self.finish_by = Some(now + FINISH_MAX);
    }

    fn is_hungry(&self, desk: &Desk) -> bool {
        self.readable && !desk.is_full()
    }

    fn deadline(&self, _desk: &Desk) -> Option<Instant> {
        self.finish_by
    }

    fn ended(&mut self, now: Instant) -> Option<Result<ExitCode, UserError>> {
        let by = self.finish_by?;
        (self.queue.is_empty() || now >= by).then_some(Ok(ExitCode::Done))
    }
}

/// A socket of this address alone. `[::]` takes IPv4 as well.
fn bind(listen: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(listen),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if listen.is_ipv6() {
        socket.set_only_v6(!listen.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    socket.set_broadcast(true)?;
    // As much as the system gives.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_LEN);
    socket.bind(&listen.into())?;
    use_card_of(&socket, listen)?;
    Ok(socket)
}

/// Groups are written to by the card that has this IPv4 address. (An IPv6 group carries its card
/// as its scope.)
fn use_card_of(socket: &Socket, listen: SocketAddr) -> io::Result<()> {
    match listen.ip() {
        IpAddr::V4(v4) if !v4.is_unspecified() && !v4.is_multicast() => {
            socket.set_multicast_if_v4(&v4)
        }
        _ => Ok(()),
    }
}

/// What a datagram to `peer` would come from, if there is a way. Connecting a UDP socket asks the
/// system and sends nothing.
fn source_towards(peer: SocketAddr, listen: SocketAddr) -> io::Result<SocketAddr> {
    let probe = Socket::new(Domain::for_address(peer), Type::DGRAM, Some(Protocol::UDP))?;
    probe.set_broadcast(true)?;
    let mut local = listen;
    local.set_port(0);
    let ip = listen.ip();
    if !ip.is_unspecified() && !ip.is_multicast() {
        probe.bind(&local.into())?;
        use_card_of(&probe, listen)?;
    }
    probe.connect(&peer.into())?;
    let found = probe.local_addr()?.as_socket();
    let mut from = found.ok_or(io::ErrorKind::AddrNotAvailable)?;
    from.set_port(listen.port());
    Ok(without_flow(from))
}

/// Hears what is written to the group `peer`, on the card that has the address of `from`.
fn join(socket: &Socket, peer: SocketAddr, from: SocketAddr) -> io::Result<()> {
    match (peer, from.ip()) {
        (SocketAddr::V4(group), IpAddr::V4(card)) => {
            socket.join_multicast_v4_n(group.ip(), &InterfaceIndexOrAddress::Address(card))
        }
        (SocketAddr::V6(group), _) => socket.join_multicast_v6(group.ip(), group.scope_id()),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// An IPv4 address as sockets of IPv6 take it.
fn mapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
        SocketAddr::V6(_) => address,
    }
}

/// The flow label is no part of who somebody is.
fn without_flow(mut address: SocketAddr) -> SocketAddr {
    if let SocketAddr::V6(v6) = &mut address {
        v6.set_flowinfo(0);
    }
    address
}
