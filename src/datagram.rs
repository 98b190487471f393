//! What travels between the core and the sockets: links, arrivals and transmissions.
//!
//! A leaf, so that `proto` (which decides) and `net` (which only moves bytes) share one
//! vocabulary without knowing each other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An interface index as the system gives it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u32);

/// One IPv4 address of a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkAddress4 {
    /// The address itself.
    pub address: Ipv4Addr,
    /// Leading one bits of its netmask, 0 to 32.
    pub prefix_len: u8,
}

impl LinkAddress4 {
    /// The directed broadcast address, `ip | !mask`; none for /31 and /32 (RFC 3021).
    #[must_use]
    pub fn broadcast(&self) -> Option<Ipv4Addr> {
        if self.prefix_len >= 31 {
            return None;
        }
        let host = u32::MAX.checked_shr(self.prefix_len.into()).unwrap_or(0);
        Some(Ipv4Addr::from_bits(self.address.to_bits() | host))
    }

    /// Whether `other` is on the same subnet.
    #[must_use]
    pub fn contains(&self, other: Ipv4Addr) -> bool {
        let host = u32::MAX.checked_shr(self.prefix_len.into()).unwrap_or(0);
        (self.address.to_bits() | host) == (other.to_bits() | host)
    }
}

/// The router that the default route of a link leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gateway {
    /// Its address on the link.
    pub address: IpAddr,
    /// Its hardware address, where the system knows it.
    pub mac: Option<[u8; 6]>,
}

/// An interface that lanchat uses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Its index.
    pub id: LinkId,
    /// Its name, such as `eth0`.
    pub name: String,
    /// Whether it is the loopback.
    pub loopback: bool,
    /// IPv4 addresses, in order.
    pub v4: Vec<LinkAddress4>,
    /// IPv6 addresses, link-local ones included, in order.
    pub v6: Vec<Ipv6Addr>,
    /// Whether groups are sent to here (joined, and not a container bridge and the like).
    pub group: bool,
    /// The router, where there is one and the system tells it.
    pub gateway: Option<Gateway>,
}

impl Link {
    /// Whether this link reaches an address without a router.
    #[must_use]
    pub fn reaches(&self, at: SocketAddr) -> bool {
        match at {
            SocketAddr::V4(at) => self.v4.iter().any(|own| own.contains(*at.ip())),
            // Or this host itself, without a link.
            SocketAddr::V6(at) => at.scope_id() == self.id.0 || self.v6.contains(at.ip()),
        }
    }
}

/// How a datagram goes or came: the header's path byte.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Path {
    /// To one address.
    Unicast = 0,
    /// IPv4 multicast.
    Mcast4 = 1,
    /// IPv4 directed broadcast.
    Bcast4 = 2,
    /// IPv6 link-local multicast.
    Mcast6 = 3,
}

impl Path {
    /// Every group path, in the order of preference.
    pub const GROUP: [Path; 3] = [Path::Mcast4, Path::Mcast6, Path::Bcast4];

    /// The path of this header byte.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Path> {
        [Path::Unicast, Path::Mcast4, Path::Bcast4, Path::Mcast6]
            .get(usize::from(byte))
            .copied()
    }
}

/// Where a received datagram came from and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// The interface it came in by, where the socket tells it.
    pub link: Option<LinkId>,
    /// Its source address; link-local IPv6 with the scope id of the receiving interface.
    pub source: SocketAddr,
    /// Whether it came to the presence port (a group, or somebody's first unicast HELLO)
    /// and not to the chat port.
    pub presence_port: bool,
    /// Explicit congestion notification bits (RFC 3168), 0 to 3.
    pub ecn: u8,
}

/// Where a datagram goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Destination {
    /// To the group on one link by one path, never [`Path::Unicast`].
    Group(LinkId, Path),
    /// To one address, from the chat socket of its family.
    Unicast(SocketAddr),
}

/// A datagram to send, or several of one size.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// Where to.
    pub destination: Destination,
    /// The bytes; several datagrams one after the other where `segment_len` is set.
    pub bytes: Vec<u8>,
    /// Length of each datagram but the last where `bytes` holds several (GSO).
    pub segment_len: Option<usize>,
    /// Explicit congestion notification bits, 0 to 3.
    pub ecn: u8,
}

/// `address` without an IPv4-mapped form, so that one peer has one spelling.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::new(IpAddr::V4(v4), address.port()),
        IpAddr::V6(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: [u8; 4], prefix_len: u8) -> LinkAddress4 {
        LinkAddress4 {
            address: address.into(),
            prefix_len,
        }
    }

    #[test]
    fn broadcast_is_ip_or_not_mask() {
        assert_eq!(
            at([10, 0, 3, 7], 24).broadcast(),
            Some([10, 0, 3, 255].into())
        );
        assert_eq!(
            at([10, 77, 0, 1], 16).broadcast(),
            Some([10, 77, 255, 255].into())
        );
        assert_eq!(
            at([127, 0, 0, 1], 8).broadcast(),
            Some([127, 255, 255, 255].into())
        );
        assert_eq!(at([10, 0, 3, 7], 31).broadcast(), None);
        assert_eq!(at([10, 0, 3, 7], 32).broadcast(), None);
        assert_eq!(at([10, 0, 3, 7], 0).broadcast(), Some(Ipv4Addr::BROADCAST));
    }

    #[test]
    fn a_subnet_contains_its_own_addresses_only() {
        assert!(at([10, 0, 3, 7], 24).contains([10, 0, 3, 200].into()));
        assert!(!at([10, 0, 3, 7], 24).contains([10, 0, 4, 7].into()));
        assert!(at([10, 0, 3, 7], 0).contains([192, 168, 0, 1].into()));
        assert!(!at([10, 0, 3, 7], 32).contains([10, 0, 3, 8].into()));
    }
}
