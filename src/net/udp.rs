//! One UDP socket under the poll: bounded, batched receiving, with what the system tells about
//! each datagram.

use std::array;
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use quinn_udp::{RecvMeta, UdpSocketState};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::sys;
use crate::datagram::{Arrival, LinkId};

/// An address family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    /// The unspecified address of the family with this port.
    pub(super) fn any(self, port: u16) -> SocketAddr {
        match self {
            Family::V4 => (Ipv4Addr::UNSPECIFIED, port).into(),
            Family::V6 => (Ipv6Addr::UNSPECIFIED, port).into(),
        }
    }

    /// A socket of the family that does not block; IPv6 without IPv4 in it.
    pub(super) fn socket(self) -> io::Result<Socket> {
        let domain = match self {
            Family::V4 => Domain::IPV4,
            Family::V6 => Domain::IPV6,
        };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if self == Family::V6 {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        // What everybody in a room says comes by a socket of the presence port: what the system
        // gives by default is full after some 200 datagrams.
        let grown = socket.set_recv_buffer_size(BUFFER_LEN);
        grown.or_else(harmless)?;
        Ok(socket)
    }
}

/// An option that a system may refuse without harm.
pub(super) fn harmless(error: io::Error) -> io::Result<()> {
    tracing::debug!(%error, "socket option");
    Ok(())
}

/// Kernel buffer asked for in each direction; the system may grant less.
pub(super) const BUFFER_LEN: usize = 2 * 1024 * 1024;
/// Datagram batches taken at once.
const BATCH: usize = 8;
/// Room for one batch: several datagrams of one sender that the kernel joined (GRO).
const SLOT_LEN: usize = 64 * 1024;
/// Errors in a row after which a socket is left alone until its next event.
const ERRORS_MAX: usize = 8;

/// Where datagrams are received into, shared by all sockets. The pages of it that are never
/// written to take no memory.
pub(super) struct Buffers(Vec<u8>);

impl Buffers {
    pub(super) fn new() -> Self {
        Buffers(vec![0; BATCH * SLOT_LEN])
    }
}

/// A bound socket.
pub(super) struct Udp {
    pub(super) io: UdpSocket,
    /// None where the system refuses what quinn-udp needs: then one datagram at a time.
    pub(super) state: Option<UdpSocketState>,
    pub(super) token: Token,
    /// Edge-triggered: an event said that there is something, and nothing said yet that it is
    /// all read.
    pub(super) readable: bool,
}

/// What is the same for all arrivals of one socket.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    /// The interface that the socket is bound to, if it is to one.
    pub(super) link: Option<LinkId>,
    pub(super) presence_port: bool,
}

impl Udp {
    /// Takes a bound socket under the poll. `with_info` for one that has to be told the interface
    /// and the congestion bits of each datagram; where the system refuses, it goes without.
    pub(super) fn register(
        socket: Socket,
        token: Token,
        with_info: bool,
        registry: &Registry,
    ) -> io::Result<Udp> {
        let state = with_info.then(|| state_of(&socket)).and_then(|state| {
            state
                .inspect_err(|error| tracing::info!(%error, "one datagram at a time"))
                .ok()
        });
        let mut io = UdpSocket::from_std(socket.into());
        registry.register(&mut io, token, Interest::READABLE)?;
        Ok(Udp {
            io,
            state,
            token,
            readable: true,
        })
    }

    /// Receives until at least `budget` datagrams came or the socket is empty. May exceed the
    /// budget by what one batch holds. `on_error` is called for each error, before the next try.
    pub(super) fn receive(
        &mut self,
        origin: Origin,
        budget: usize,
        buffers: &mut Buffers,
        on_error: &mut dyn FnMut(&UdpSocket),
        sink: &mut dyn FnMut(Arrival, &[u8]),
    ) {
        let mut received = 0;
        let mut errors = 0;
        while self.readable && received < budget {
            match self.receive_batch(origin, buffers, sink) {
                Ok(count) => {
                    received += count.max(1);
                    errors = 0;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // A peer that refused an earlier datagram, or one longer than the buffer
                    // (Windows): says nothing about what waits behind it.
                    tracing::debug!(%error, "receive");
                    on_error(&self.io);
                    errors += 1;
                    if errors == ERRORS_MAX {
                        self.readable = false;
                    }
                }
            }
        }
    }

    fn receive_batch(
        &self,
        origin: Origin,
        buffers: &mut Buffers,
        sink: &mut dyn FnMut(Arrival, &[u8]),
    ) -> io::Result<usize> {
        let Some(state) = &self.state else {
            let (len, source) = self.io.recv_from(&mut buffers.0[..SLOT_LEN])?;
            sink(arrival(origin, source, None, 0), &buffers.0[..len]);
            return Ok(1);
        };
        let mut metas = [RecvMeta::default(); BATCH];
        let mut slots = buffers.0.chunks_exact_mut(SLOT_LEN);
        let mut slices: [IoSliceMut; BATCH] =
            array::from_fn(|_| IoSliceMut::new(slots.next().unwrap_or_default()));
        let batches = self
            .io
            .try_io(|| state.recv((&self.io).into(), &mut slices, &mut metas))?;
        let mut count = 0;
        for (slot, meta) in buffers.0.chunks_exact(SLOT_LEN).zip(&metas).take(batches) {
            let ecn = meta.ecn.map_or(0, |ecn| ecn as u8);
            let arrival = arrival(origin, meta.addr, meta.interface_index, ecn);
            let bytes = &slot[..meta.len.min(SLOT_LEN)];
            for datagram in bytes.chunks(meta.stride.max(1)) {
                sink(arrival, datagram);
                count += 1;
            }
        }
        Ok(count)
    }

    /// The socket for setting options.
    pub(super) fn options(&self) -> SockRef<'_> {
        SockRef::from(&self.io)
    }
}

fn state_of(socket: &Socket) -> io::Result<UdpSocketState> {
    let state = UdpSocketState::new(socket.into())?;
    sys::set_up_info(socket, &state)?;
    Ok(state)
}

fn arrival(origin: Origin, source: SocketAddr, index: Option<u32>, ecn: u8) -> Arrival {
    let source = match source {
        // The flow label is no part of who somebody is.
        SocketAddr::V6(v6) => SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into(),
        SocketAddr::V4(_) => source,
    };
    Arrival {
        link: origin.link.or(index.filter(|&i| i != 0).map(LinkId)),
        source,
        presence_port: origin.presence_port,
        ecn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_of_either_kind_has_all_the_room_that_the_system_gives() {
        let plain = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
        let refused = plain.set_recv_buffer_size(BUFFER_LEN).is_err();
        let given = plain.recv_buffer_size().expect("its size");
        let ours = Family::V4.socket().expect("a socket");
        let len = ours.recv_buffer_size().expect("its size");
        assert!(refused || len == given, "{len} bytes of {given}");
    }
}
