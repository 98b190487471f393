//! Hostile datagrams: noise, damaged copies, replays and forgeries.

use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use super::capture::Datagram;
use super::lan::Host;

/// Where the header of a packet has what a forger changes; `docs/protocol.md`.
pub mod header {
    use std::ops::Range;
    /// First byte of every packet.
    pub const MAGIC: u8 = 0x0c;
    /// Offset of the version.
    pub const VERSION: usize = 1;
    /// Offset of the packet's type.
    pub const KIND: usize = 2;
    /// The first 8 bytes of the sender's id.
    pub const SENDER: Range<usize> = 6..14;
    /// The packet's number in this run, big-endian.
    pub const SEQUENCE: Range<usize> = 22..26;
    /// Length of the whole header.
    pub const LEN: usize = 26;
    /// The type of a HEARTBEAT.
    pub const HEARTBEAT: u8 = 3;
    /// The type of a GOODBYE.
    pub const GOODBYE: u8 = 4;
    /// The type of DATA, an entry of a room.
    pub const DATA: u8 = 16;
}

/// IP protocol 255: the caller writes the IP header (raw(7)).
const RAW: i32 = 255;
const IPV4_LEN: usize = 20;
const UDP_LEN: usize = 8;

/// A small seeded generator (SplitMix64); not for secrets.
pub struct Random(u64);

impl Random {
    /// One with the seed of `LANCHAT_LAB_SEED`, or another each time, and that seed.
    pub fn new() -> (Self, u64) {
        let given = std::env::var("LANCHAT_LAB_SEED")
            .ok()
            .and_then(|s| s.parse().ok());
        let seed = given.unwrap_or_else(|| {
            std::collections::hash_map::RandomState::new()
                .build_hasher()
                .finish()
        });
        (Random(seed), seed)
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).expect("64 bits");
        usize::try_from(self.next() % bound).expect("below a usize")
    }

    /// Random bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next().to_be_bytes()[0]).collect()
    }
}

/// The next hostile datagram: noise, or a real one cut short, lengthened, damaged or spliced.
pub fn hostile(random: &mut Random, real: &[Datagram]) -> Vec<u8> {
    let noise_len = random.below(1300);
    let mut bytes = real[random.below(real.len())].payload.clone();
    match random.below(8) {
        0 => random.bytes(noise_len),
        1 => {
            // Noise that looks like ours at first.
            let mut noise = random.bytes(noise_len.max(header::LEN));
            noise[0] = header::MAGIC;
            noise[header::VERSION] = 1;
            noise[header::KIND] %= 24;
            noise
        }
        2 => {
            bytes.truncate(random.below(bytes.len()));
            bytes
        }
        3 => {
            bytes.extend(random.bytes(1 + noise_len / 4));
            bytes
        }
        4 => {
            bytes[header::VERSION.min(random.below(2))] ^= 1 << random.below(8);
            bytes
        }
        5 => {
            let other = &real[random.below(real.len())].payload;
            let at = random.below(bytes.len().min(other.len()));
            [&bytes[..at], &other[at..]].concat()
        }
        _ => {
            for _ in 0..=random.below(8) {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
            bytes
        }
    }
}

/// `packet` with another sequence number; its signature no longer holds.
pub fn renumbered(packet: &[u8], ahead: u32) -> Vec<u8> {
    let mut forged = packet.to_vec();
    let mut number = [0; 4];
    number.copy_from_slice(&forged[header::SEQUENCE]);
    let number = u32::from_be_bytes(number).wrapping_add(ahead);
    forged[header::SEQUENCE].copy_from_slice(&number.to_be_bytes());
    forged
}

/// Whether this is a packet of ours, and not QUIC.
pub fn is_packet(payload: &[u8], kind: Option<u8>) -> bool {
    payload.len() >= header::LEN
        && payload[0] == header::MAGIC
        && kind.is_none_or(|kind| payload[header::KIND] == kind)
}

/// Sockets of an attacker, many so that no limit on one source hides what lies behind it.
pub struct Attacker {
    sockets: Vec<UdpSocket>,
    raw: Socket,
}

impl Attacker {
    /// One with `sources` source ports on `host`.
    pub fn new(host: &Host, sources: usize) -> Self {
        host.enter(|| {
            let open = |_| {
                let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
                // There is no default route: the group leaves by the card of this address.
                socket
                    .set_multicast_if_v4(&host.v4())
                    .expect("an interface");
                let any: SocketAddr = (Ipv4Addr::UNSPECIFIED, 0).into();
                socket.bind(&any.into()).expect("a port");
                UdpSocket::from(socket)
            };
            let raw = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(RAW)));
            Attacker {
                sockets: (0..sources).map(open).collect(),
                raw: raw.expect("a raw socket"),
            }
        })
    }

    /// Sends from the `source`th port.
    pub fn send(&self, source: usize, bytes: &[u8], to: SocketAddr) {
        let socket = &self.sockets[source % self.sockets.len()];
        let sent = socket.send_to(bytes, to);
        // An attack that does not leave proves nothing.
        assert!(
            sent.is_ok(),
            "sending {} bytes to {to}: {sent:?}",
            bytes.len()
        );
    }

    /// Sends as if it came from `source`.
    pub fn spoof(&self, source: SocketAddrV4, bytes: &[u8], to: SocketAddrV4) {
        let packet = ipv4_udp(source, to, bytes);
        let sent = self.raw.send_to(&packet, &SocketAddr::from(to).into());
        assert!(sent.is_ok(), "sending as {source}: {sent:?}");
    }
}

/// An IPv4 packet with a UDP datagram without checksum; the kernel fills in that of the header.
pub fn ipv4_udp(source: SocketAddrV4, to: SocketAddrV4, bytes: &[u8]) -> Vec<u8> {
    let udp_len = u16::try_from(UDP_LEN + bytes.len()).expect("a datagram");
    let total = u16::try_from(IPV4_LEN + UDP_LEN + bytes.len()).expect("a packet");
    let mut packet = vec![0x45, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    packet.extend(source.ip().octets());
    packet.extend(to.ip().octets());
    packet.extend(source.port().to_be_bytes());
    packet.extend(to.port().to_be_bytes());
    packet.extend(udp_len.to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(bytes);
    packet
}
