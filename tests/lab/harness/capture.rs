//! What was on the wire: every frame that a switch saw, and the UDP datagrams in them.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::lan::Host;
use super::{ms, now};

/// `ETH_P_ALL` in network byte order, as packet(7) wants it.
const EVERY_PROTOCOL: i32 = 0x0003_u16.to_be() as i32;
const ETHERNET_LEN: usize = 14;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const UDP: u8 = 17;

/// A running capture.
pub struct Capture {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Vec<u8>>>,
}

/// A UDP datagram that was on the wire.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Datagram {
    /// Whence.
    pub source: SocketAddr,
    /// Whereto.
    pub destination: SocketAddr,
    /// The bytes.
    pub payload: Vec<u8>,
}

/// A capture that waits for something.
pub struct Watch(Socket);

impl Watch {
    /// Watches whatever passes any interface of `host` from now on.
    pub fn start(host: &Host) -> Self {
        Watch(packet_socket(host))
    }

    /// Reads until `wanted` accepts a datagram.
    pub fn until(&self, what: &str, within: Duration, wanted: impl FnMut(&Datagram) -> bool) {
        let seen = self.sees(within, wanted);
        assert!(seen, "{what} did not pass within {within:?}");
    }

    /// Whether `wanted` accepts a datagram within this time.
    pub fn sees(&self, within: Duration, mut wanted: impl FnMut(&Datagram) -> bool) -> bool {
        let deadline = now() + within;
        let mut buffer = vec![0; 1 << 16];
        while now() < deadline {
            let len = (&self.0).read(&mut buffer).unwrap_or(0);
            if datagram(&buffer[..len]).is_some_and(|datagram| wanted(&datagram)) {
                return true;
            }
        }
        false
    }
}

fn packet_socket(host: &Host) -> Socket {
    let open = || {
        Socket::new(
            Domain::PACKET,
            Type::RAW,
            Some(Protocol::from(EVERY_PROTOCOL)),
        )
    };
    let socket = host.enter(open).expect("a packet socket");
    socket.set_read_timeout(Some(ms(50))).expect("a timeout");
    socket
}

impl Capture {
    /// Captures whatever passes any interface of `host`; a switch sees each frame at every port.
    pub fn start(host: &Host) -> Self {
        let mut socket = packet_socket(host);
        // As much as the system gives: what overflows is not captured.
        let _ = socket.set_recv_buffer_size(8 << 20);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut frames = Vec::new();
            let mut buffer = vec![0; 1 << 16];
            loop {
                match socket.read(&mut buffer) {
                    Ok(len) => frames.push(buffer[..len].to_vec()),
                    // Nothing for a while: only then it may end, so that what was sent is in it.
                    Err(_) if stopped.load(Ordering::Acquire) => return frames,
                    Err(_) => {}
                }
            }
        });
        Capture { stop, thread }
    }

    /// Ends it; the frames so far, once the wire was quiet for a moment.
    pub fn frames(self) -> Vec<Vec<u8>> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("no panic in the capture")
    }
}

/// Whether `text` stands in any of the frames.
pub fn contains(frames: &[Vec<u8>], text: &[u8]) -> bool {
    let mut windows = frames.iter().flat_map(|frame| frame.windows(text.len()));
    windows.any(|window| window == text)
}

/// The UDP datagrams in `frames`, each once, in no order.
pub fn datagrams(frames: &[Vec<u8>]) -> Vec<Datagram> {
    let mut all: Vec<Datagram> = frames.iter().filter_map(|frame| datagram(frame)).collect();
    all.sort();
    all.dedup();
    all
}

/// The UDP datagram in an Ethernet frame, if there is a whole one.
pub fn datagram(frame: &[u8]) -> Option<Datagram> {
    let kind = u16::from_be_bytes([*frame.get(12)?, *frame.get(13)?]);
    let packet = frame.get(ETHERNET_LEN..)?;
    let (source, destination, udp): (IpAddr, IpAddr, _) = match kind {
        IPV4 if *packet.get(9)? == UDP => {
            let header = usize::from(packet[0] & 0x0f) * 4;
            let at = |from: usize| -> Option<Ipv4Addr> {
                Some(
                    <[u8; 4]>::try_from(packet.get(from..from + 4)?)
                        .ok()?
                        .into(),
                )
            };
            (at(12)?.into(), at(16)?.into(), packet.get(header..)?)
        }
        IPV6 if *packet.get(6)? == UDP => {
            let at = |from: usize| -> Option<Ipv6Addr> {
                Some(
                    <[u8; 16]>::try_from(packet.get(from..from + 16)?)
                        .ok()?
                        .into(),
                )
            };
            (at(8)?.into(), at(24)?.into(), packet.get(40..)?)
        }
        _ => return None,
    };
    let field = |from: usize| Some(u16::from_be_bytes([*udp.get(from)?, *udp.get(from + 1)?]));
    let payload = udp.get(8..usize::from(field(4)?))?;
    Some(Datagram {
        source: SocketAddr::new(source, field(0)?),
        destination: SocketAddr::new(destination, field(2)?),
        payload: payload.to_vec(),
    })
}
