//! The chat sockets: every datagram leaves from them, and all unicast comes in here.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use mio::{Interest, Registry, Token};
use quinn_udp::EcnCodepoint;
use socket2::Socket;

use super::udp::{BUFFER_LEN, Family, Udp, harmless};
use super::{CHAT_PORT, CHAT_PORT_LAST, NetConfig, Unreachable, sys};
use crate::datagram::LinkId;
use crate::error::{ExitCode, UserError};

/// Datagrams (or joined batches) that wait for room in the kernel; the oldest goes beyond it.
const WAITING_MAX: usize = 256;
/// Segments in one send: more exceed 64 KiB at the largest datagrams.
const SEGMENTS_MAX: usize = 10;
/// Errors taken from the queue at once.
const ERRORS_MAX: usize = 64;
/// Ephemeral ports tried until one is free in both families.
const EPHEMERAL_TRIES: usize = 16;

/// The chat sockets of both families, bound to one port.
pub(super) struct Pair {
    pub(super) v4: Option<Socket>,
    pub(super) v6: Option<Socket>,
    pub(super) port: u16,
}

/// Opens the chat sockets on the port asked for, else on the first that is free in both
/// families. A family that the system does not have is left out.
///
/// # Errors
/// The port asked for is taken or refused, or no socket can be opened at all.
pub(super) fn open_pair(config: &NetConfig) -> Result<Pair, UserError> {
    if let Some(port) = config.chat_port {
        return bind_pair(config, port).map_err(|error| explain(port, &error));
    }
    let free = (CHAT_PORT..=CHAT_PORT_LAST).filter(|&port| port != config.port);
    let candidates = free.chain(std::iter::repeat_n(0, EPHEMERAL_TRIES));
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for port in candidates {
        match bind_pair(config, port) {
            Ok(pair) if pair.port != config.port => return Ok(pair),
            Ok(_) => {}
            Err(error) => last = error,
        }
    }
    Err(UserError::new(
        ExitCode::Network,
        format!("the network cannot be used: {last}"),
    )
    .hint("no UDP socket could be opened; is networking allowed for this program?"))
}

fn explain(port: u16, error: &io::Error) -> UserError {
    let error = match error.kind() {
        io::ErrorKind::AddrInUse => "another program uses it".to_owned(),
        _ => error.to_string(),
    };
    UserError::new(
        ExitCode::Network,
        format!("chat port {port} cannot be used: {error}"),
    )
    .hint("choose another with --chat-port, or leave it out to take the first that is free")
}

/// Both sockets on this port; 0 for any.
fn bind_pair(config: &NetConfig, port: u16) -> io::Result<Pair> {
    let v4 = bind(config.ipv4, Family::V4, port)?;
    let bound = |socket: &Socket| Ok::<_, io::Error>(socket.local_addr()?.as_socket());
    let port4 = v4.as_ref().map(bound).transpose()?.flatten();
    let v6 = bind(config.ipv6, Family::V6, port4.map_or(port, |at| at.port()))?;
    let port6 = v6.as_ref().map(bound).transpose()?.flatten();
    match port4.or(port6) {
        Some(at) => Ok(Pair {
            v4,
            v6,
            port: at.port(),
        }),
        None => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// A bound socket, or none where the family is switched off or the system does not have it.
fn bind(wanted: bool, family: Family, port: u16) -> io::Result<Option<Socket>> {
    if !wanted {
        return Ok(None);
    }
    let Ok(socket) = family.socket() else {
        return Ok(None);
    };
    match socket.bind(&family.any(port).into()) {
        Ok(()) => Ok(Some(socket)),
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => Ok(None),
        Err(error) => Err(error),
    }
}

/// The interface that a multicast datagram leaves by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Via {
    pub(super) link: LinkId,
    /// An IPv4 address of it, by which some systems name it; unspecified for IPv6.
    pub(super) address: Ipv4Addr,
}

/// One datagram to send, or several of one size.
#[derive(Clone, Copy)]
pub(super) struct Packet<'a> {
    pub(super) via: Option<Via>,
    pub(super) to: SocketAddr,
    pub(super) bytes: &'a [u8],
    pub(super) segment_len: Option<usize>,
    pub(super) ecn: u8,
}

/// A [`Packet`] that waits for room.
struct Waiting {
    via: Option<Via>,
    to: SocketAddr,
    bytes: Vec<u8>,
    segment_len: Option<usize>,
    ecn: u8,
}

/// The chat socket of one family.
pub(super) struct ChatSocket {
    pub(super) udp: Udp,
    family: Family,
    /// The interface set last.
    via: Option<Via>,
    waiting: VecDeque<Waiting>,
    registry: Registry,
    /// Datagrams given up because too many waited.
    pub(super) dropped: u64,
}

impl ChatSocket {
    /// Makes a bound socket ready.
    pub(super) fn new(
        socket: Socket,
        family: Family,
        token: Token,
        registry: &Registry,
    ) -> io::Result<Self> {
        sys::prepare_chat(&socket).or_else(harmless)?;
        match family {
            Family::V4 => {
                socket.set_broadcast(true)?;
                // Directed broadcast keeps the unicast TTL: no router forwards it anyway.
                socket.set_multicast_ttl_v4(1)?;
                socket.set_multicast_loop_v4(true)?;
            }
            Family::V6 => {
                socket.set_multicast_hops_v6(1)?;
                socket.set_multicast_loop_v6(true)?;
            }
        }
        socket.set_send_buffer_size(BUFFER_LEN).or_else(harmless)?;
        let udp = Udp::register(socket, token, true, registry)?;
        Ok(ChatSocket {
            udp,
            family,
            via: None,
            waiting: VecDeque::new(),
            registry: registry.try_clone()?,
            dropped: 0,
        })
    }

    /// Sends, or keeps what the kernel has no room for now. Destinations that turn out to be
    /// unreachable, of this or of earlier datagrams, go to `unreachable`.
    ///
    /// # Errors
    /// This datagram cannot be sent; said only after a second try, since the first may report
    /// what became of an earlier one.
    pub(super) fn send(
        &mut self,
        packet: Packet<'_>,
        unreachable: &mut Vec<Unreachable>,
    ) -> io::Result<()> {
        let sent = if self.waiting.is_empty() {
            self.transmit(packet, unreachable)?
        } else {
            0
        };
        if sent < packet.bytes.len() {
            self.keep(packet, sent);
        }
        Ok(())
    }

    /// The kernel has room again: sends what waits.
    pub(super) fn flush(&mut self, unreachable: &mut Vec<Unreachable>) {
        while let Some(mut first) = self.waiting.pop_front() {
            let packet = Packet {
                via: first.via,
                to: first.to,
                bytes: &first.bytes,
                segment_len: first.segment_len,
                ecn: first.ecn,
            };
            match self.transmit(packet, unreachable) {
                Ok(sent) if sent < first.bytes.len() => {
                    first.bytes.drain(..sent);
                    self.waiting.push_front(first);
                    return;
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, to = %first.to, "send"),
            }
        }
        self.listen(Interest::READABLE);
    }

    /// Takes all errors that came back; what they are about goes to `unreachable`.
    pub(super) fn take_errors(&self, unreachable: &mut Vec<Unreachable>) {
        take_errors(&self.udp.io, self.family, unreachable);
    }

    /// The family, for taking errors while the socket is borrowed otherwise.
    pub(super) fn family(&self) -> Family {
        self.family
    }

    /// Sends as much as the kernel takes; returns how many bytes that was.
    fn transmit(
        &mut self,
        packet: Packet<'_>,
        unreachable: &mut Vec<Unreachable>,
    ) -> io::Result<usize> {
        self.set_multicast_interface(packet.via)?;
        let mut sent = 0;
        let mut second_try = false;
        while sent < packet.bytes.len() {
            let rest = &packet.bytes[sent..];
            let segments_max = self.segments_max();
            let len = chunk_len(packet.segment_len, segments_max, rest.len());
            match self.transmit_once(packet, &rest[..len]) {
                Ok(()) => {
                    sent += len;
                    second_try = false;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(sent),
                // Larger than the link takes: a probe of QUIC for the path's size.
                Err(error) if quinn_udp::is_msg_size_err(&error) => sent += len,
                // The card does not do segmentation: quinn-udp noticed, so go on one by one.
                Err(_) if self.segments_max() < segments_max => {}
                Err(error) if second_try => return Err(error),
                Err(_) => {
                    self.take_errors(unreachable);
                    second_try = true;
                }
            }
        }
        Ok(sent)
    }

    fn transmit_once(&self, packet: Packet<'_>, bytes: &[u8]) -> io::Result<()> {
        let io = &self.udp.io;
        let Some(state) = &self.udp.state else {
            return io.send_to(bytes, packet.to).map(drop);
        };
        let transmit = quinn_udp::Transmit {
            destination: packet.to,
            ecn: EcnCodepoint::from_bits(packet.ecn),
            contents: bytes,
            segment_size: packet.segment_len,
            src_ip: None,
        };
        io.try_io(|| state.try_send(io.into(), &transmit))
    }

    fn segments_max(&self) -> usize {
        let state = self.udp.state.as_ref();
        state.map_or(1, |state| state.max_gso_segments().min(SEGMENTS_MAX))
    }

    fn set_multicast_interface(&mut self, via: Option<Via>) -> io::Result<()> {
        let Some(wanted) = via else { return Ok(()) };
        if self.via == via {
            return Ok(());
        }
        let options = self.udp.options();
        match self.family {
            Family::V4 => sys::set_multicast_interface4(options, wanted.link, wanted.address)?,
            Family::V6 => options.set_multicast_if_v6(wanted.link.0)?,
        }
        self.via = via;
        Ok(())
    }

    fn keep(&mut self, packet: Packet<'_>, sent: usize) {
        if self.waiting.is_empty() {
            self.listen(Interest::READABLE | Interest::WRITABLE);
        }
        if self.waiting.len() == WAITING_MAX {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back(Waiting {
            via: packet.via,
            to: packet.to,
            bytes: packet.bytes[sent..].to_vec(),
            segment_len: packet.segment_len,
            ecn: packet.ecn,
        });
    }

    /// Whether nothing waits.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// As if the kernel had no room for this.
    #[cfg(test)]
    pub(super) fn keep_for_test(&mut self, to: SocketAddr, bytes: &[u8]) {
        let packet = Packet {
            via: None,
            to,
            bytes,
            segment_len: None,
            ecn: 0,
        };
        self.keep(packet, 0);
    }

    /// Room in the kernel is asked for only while something waits: it would otherwise wake the
    /// loop for each datagram that left.
    fn listen(&mut self, interest: Interest) {
        let token = self.udp.token;
        if let Err(error) = self.registry.reregister(&mut self.udp.io, token, interest) {
            tracing::warn!(%error, "reregister");
        }
    }
}

/// Takes all errors that came back to this socket.
pub(super) fn take_errors(
    io: &mio::net::UdpSocket,
    family: Family,
    unreachable: &mut Vec<Unreachable>,
) {
    for _ in 0..ERRORS_MAX {
        match sys::take_error(socket2::SockRef::from(io), family) {
            Ok(Some(destination)) => unreachable.push(destination),
            Ok(None) => {}
            Err(_) => return,
        }
    }
}

/// How many of `rest` bytes go in one send.
fn chunk_len(segment_len: Option<usize>, segments_max: usize, rest: usize) -> usize {
    match segment_len {
        Some(len) if len > 0 => len.saturating_mul(segments_max.max(1)).min(rest),
        _ => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(chat_port: Option<u16>) -> NetConfig {
        NetConfig {
            chat_port,
            ..NetConfig::default()
        }
    }

    #[test]
    fn a_port_asked_for_that_is_taken_is_an_error_with_a_hint_and_exit_5() {
        let holder = std::net::UdpSocket::bind("127.0.0.1:0").expect("bind");
        let port = holder.local_addr().expect("address").port();
        let error = open_pair(&config(Some(port))).err().expect("taken");
        assert_eq!(error.code, ExitCode::Network);
        assert!(error.message.contains(&port.to_string()), "{error}");
        assert!(error.hint.is_some());
    }

    #[test]
    fn both_families_have_one_port_and_a_second_node_gets_another() {
        let first = open_pair(&config(None)).expect("first");
        let second = open_pair(&config(None)).expect("second");
        assert_ne!(first.port, second.port);
        for pair in [&first, &second] {
            for socket in [&pair.v4, &pair.v6].into_iter().flatten() {
                let address = socket.local_addr().expect("address");
                assert_eq!(address.as_socket().map(|at| at.port()), Some(pair.port));
            }
        }
    }

    #[test]
    fn a_port_that_is_free_in_one_family_only_is_not_used() {
        let Ok(holder) = std::net::UdpSocket::bind("[::1]:0") else {
            return; // no IPv6 on this machine
        };
        let port = holder.local_addr().expect("address").port();
        assert!(bind_pair(&config(None), port).is_err());
    }

    #[test]
    fn a_batch_is_cut_at_whole_segments() {
        assert_eq!(chunk_len(None, 10, 5000), 5000);
        assert_eq!(chunk_len(Some(1200), 10, 50_000), 12_000);
        assert_eq!(chunk_len(Some(1200), 10, 5000), 5000);
        assert_eq!(chunk_len(Some(1200), 1, 5000), 1200);
        assert_eq!(chunk_len(Some(0), 10, 5000), 5000);
    }
}
