//! The sockets and interfaces: bytes only, no protocol.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The presence port: LANC on a phone keypad.
pub const PRESENCE_PORT: u16 = 5262;
/// The first chat port to try.
pub const CHAT_PORT: u16 = 5263;
/// The last chat port to try before an ephemeral one.
pub const CHAT_PORT_LAST: u16 = 5279;
/// The IPv4 group.
pub const GROUP4: Ipv4Addr = Ipv4Addr::new(239, 255, 76, 67);
/// The IPv6 group, link-local.
pub const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff12, 0, 0, 0, 0x006c, 0x616e, 0x6368, 0x6174);

/// How the network is to be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetConfig {
    /// Presence port, never 0.
    pub port: u16,
    /// A chat port that was asked for by number: taken means an error. None: the first free one
    /// of 5263 to 5279, else an ephemeral one.
    pub chat_port: Option<u16>,
    /// IPv4 group.
    pub group4: Ipv4Addr,
    /// IPv6 group.
    pub group6: Ipv6Addr,
    /// Only these interfaces (and the loopback), if any are named.
    pub interfaces: Vec<String>,
    /// Whether to use multicast.
    pub multicast: bool,
    /// Whether to use directed broadcast.
    pub broadcast: bool,
    /// Whether to use IPv4.
    pub ipv4: bool,
    /// Whether to use IPv6.
    pub ipv6: bool,
}

impl Default for NetConfig {
    fn default() -> Self {
        NetConfig {
            port: PRESENCE_PORT,
            chat_port: None,
            group4: GROUP4,
            group6: GROUP6,
            interfaces: Vec::new(),
            multicast: true,
            broadcast: true,
            ipv4: true,
            ipv6: true,
        }
    }
}
