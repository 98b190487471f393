//! The listening socket of a server.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::TcpListener;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted.
const LISTEN_BACKLOG: i32 = 1024;

/// A listening socket.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    /// Edge-triggered: an event said so, and nothing since said otherwise.
    pub(super) readable: bool,
    /// The system has no room for another connection; tried again then.
    pub(super) paused_until: Option<Instant>,
}

impl Listener {
    /// Whether somebody may be accepted now.
    pub(super) fn is_ready(&self, now: Instant) -> bool {
        self.readable && self.paused_until.is_none_or(|until| now >= until)
    }
}

/// A listening socket of this address alone. `[::]` takes IPv4 as well.
pub(super) fn listen(
    address: SocketAddr,
    registry: &Registry,
    token: Token,
) -> io::Result<Listener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // Elsewhere connections of an earlier run would keep the port; on Windows it would let
    // another program have it at the same time.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    let mut socket = TcpListener::from_std(socket.into());
    registry.register(&mut socket, token, Interest::READABLE)?;
    Ok(Listener {
        socket,
        readable: true,
        paused_until: None,
    })
}

/// Whether this says something about one connection only, and the next may be accepted.
pub(super) fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
