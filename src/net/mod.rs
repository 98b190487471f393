//! The sockets and interfaces: bytes only, no protocol. [`Net`] is all of it.
//!
//! Everything leaves from the chat sockets, so that the source port of each datagram is the port
//! where its sender is reached; the presence sockets only receive.

mod chat_socket;
mod health;
mod interfaces;
mod multicast;
#[cfg(all(test, target_os = "linux"))]
mod namespace_tests;
mod system;
mod udp;

#[cfg(target_os = "linux")]
#[path = "changes_linux.rs"]
mod changes;
#[cfg(not(target_os = "linux"))]
#[path = "changes_none.rs"]
mod changes;
#[cfg(all(unix, not(target_os = "linux")))]
#[path = "sys_bsd.rs"]
mod sys;
#[cfg(target_os = "linux")]
#[path = "sys_linux.rs"]
mod sys;
#[cfg(windows)]
#[path = "sys_windows.rs"]
pub mod sys;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::ops::Range;
use std::time::Instant;

use mio::{Registry, Token};

use crate::datagram::{Arrival, Destination, Link, LinkId, Path, Transmit};
use crate::error::{ExitCode, UserError};
use crate::limits::INTERFACES_MAX;
use changes::Changes;
use chat_socket::{ChatSocket, Packet, Via};
use health::Health;
use interfaces::Scan;
use multicast::Presence;
use udp::{Buffers, Family, Origin};

pub use health::{LinkState, NetState};
pub use system::{
    FirewallService, SystemLink, answers_on_link, firewall_service, port_holder, system_links,
};

/// The tokens that belong to the sockets.
pub const TOKENS: Range<usize> = 100..103 + 2 * INTERFACES_MAX;
/// Two chat sockets, then the word of changes, then the presence sockets.
const CHANGES_TOKEN: Token = Token(TOKENS.start + 2);
const PRESENCE_TOKENS: Range<usize> = TOKENS.start + 3..TOKENS.end;

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

/// A destination that cannot be reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unreachable {
    /// Where to.
    pub at: SocketAddr,
    /// Whether its host said that nobody listens there; else there is no way to it.
    pub refused: bool,
}

/// What was counted since the start; each only grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NetStats {
    /// Sends that failed, each also tried a second time.
    pub failed: u64,
    /// Datagrams given up because the kernel had no room for too long.
    pub dropped: u64,
}

/// The open sockets and the interfaces that they serve.
pub struct Net {
    config: NetConfig,
    registry: Registry,
    chat4: Option<ChatSocket>,
    chat6: Option<ChatSocket>,
    chat_port: u16,
    presence: Presence,
    /// None where the system has no such thing: then the poll alone finds changes.
    changes: Option<Changes>,
    scan: Scan,
    health: BTreeMap<(LinkId, Path), Health>,
    unreachable: Vec<Unreachable>,
    buffers: Buffers,
    failed: u64,
}

impl Net {
    /// Opens the sockets and joins the groups. Interfaces that do not work, or none at all, are
    /// no error; [`Net::states`] tells.
    ///
    /// # Errors
    /// The chat port that was asked for is taken, or no socket can be opened.
    pub fn open(config: &NetConfig, registry: &Registry) -> Result<Net, UserError> {
        if config.chat_port == Some(config.port) {
            return Err(UserError::new(
                ExitCode::Usage,
                format!("port {} cannot be both chat and presence port", config.port),
            )
            .hint("give --port and --chat-port different numbers"));
        }
        if !config.ipv4 && !config.ipv6 {
            return Err(
                UserError::new(ExitCode::Usage, "both IPv4 and IPv6 are switched off")
                    .hint("leave out --no-ipv4 or --no-ipv6"),
            );
        }
        let pair = chat_socket::open_pair(config)?;
        let ready = |socket: Option<socket2::Socket>, family, token| {
            socket
                .map(|socket| ChatSocket::new(socket, family, Token(token), registry))
                .transpose()
        };
        let own = |error: io::Error| {
            UserError::new(
                ExitCode::Network,
                format!("the network cannot be used: {error}"),
            )
        };
        let mut net = Net {
            config: config.clone(),
            registry: registry.try_clone().map_err(own)?,
            chat4: ready(pair.v4, Family::V4, TOKENS.start).map_err(own)?,
            chat6: ready(pair.v6, Family::V6, TOKENS.start + 1).map_err(own)?,
            chat_port: pair.port,
            presence: Presence::new(PRESENCE_TOKENS),
            changes: Changes::listen(registry, CHANGES_TOKEN)
                .inspect_err(|error| tracing::info!(%error, "interfaces are polled only"))
                .ok(),
            scan: Scan::default(),
            health: BTreeMap::new(),
            unreachable: Vec::new(),
            buffers: Buffers::new(),
            failed: 0,
        };
        net.rescan();
        Ok(net)
    }

    /// The interfaces in use, by ascending index.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.scan.links
    }

    /// The port of the chat sockets, the same in both families.
    #[must_use]
    pub fn chat_port(&self) -> u16 {
        self.chat_port
    }

    /// What works on each interface; named ones that are not there are listed too.
    #[must_use]
    pub fn states(&self) -> Vec<LinkState> {
        health::states(&self.config, &self.scan, &self.presence, &self.health)
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> NetStats {
        let chats = [&self.chat4, &self.chat6].into_iter().flatten();
        NetStats {
            failed: self.failed,
            dropped: chats.map(|chat| chat.dropped).sum(),
        }
    }

    /// Looks for interfaces that came, went or changed, and tries again what failed. Returns
    /// whether [`Net::links`] changed.
    pub fn rescan(&mut self) -> bool {
        let scan = match interfaces::scan(&self.config) {
            Ok(scan) => scan,
            Err(error) => {
                tracing::warn!(%error, "interfaces");
                return false;
            }
        };
        let before = std::mem::replace(&mut self.scan, scan);
        let links = &self.scan.links;
        self.presence.update(&self.config, links, &self.registry);
        if *links == before.links {
            return false;
        }
        // An address that came may be what a send failed for.
        let find = |links: &[Link], id| links.iter().find(|link| link.id == id).cloned();
        let is_same = |id| find(links, id) == find(&before.links, id);
        self.health.retain(|(id, _), _| is_same(*id));
        true
    }

    /// Whether the interfaces are other than [`Net::links`] by now. Changes nothing.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        interfaces::scan(&self.config).is_ok_and(|scan| scan.links != self.scan.links)
    }

    /// Whether the system says when interfaces change, see [`Net::take_changed`].
    #[must_use]
    pub fn hears_of_changes(&self) -> bool {
        self.changes.is_some()
    }

    /// Opens the presence sockets anew and forgets what failed: after the system slept, what is
    /// left of a card's groups is unknown. Returns whether [`Net::links`] changed.
    pub fn rebuild(&mut self) -> bool {
        self.presence.close(&self.registry);
        self.health.clear();
        self.rescan()
    }

    /// Whether the system said since the last call that an interface or an address changed: time
    /// for a [`Net::rescan`].
    pub fn take_changed(&mut self) -> bool {
        self.changes.as_mut().is_some_and(Changes::take)
    }

    /// Takes note of an event for one of [`TOKENS`].
    pub fn handle_ready(&mut self, token: Token, readable: bool, writable: bool, error: bool) {
        if token == CHANGES_TOKEN
            && let Some(changes) = &mut self.changes
        {
            changes.handle_ready();
        }
        let unreachable = &mut self.unreachable;
        for chat in [&mut self.chat4, &mut self.chat6].into_iter().flatten() {
            if chat.udp.token == token {
                if error {
                    chat.take_errors(unreachable);
                }
                // An error wakes both ways.
                chat.udp.readable |= readable || error;
                if writable {
                    chat.flush(unreachable);
                }
            }
        }
        for socket in self.presence.sockets() {
            if socket.udp.token == token {
                socket.udp.readable |= readable || error;
            }
        }
    }

    /// Takes about `budget` datagrams of each socket that has some. Returns whether a socket may
    /// have more: call again without waiting.
    pub fn receive(&mut self, budget: usize, sink: &mut dyn FnMut(Arrival, &[u8])) -> bool {
        let buffers = &mut self.buffers;
        let unreachable = &mut self.unreachable;
        let mut more = false;
        for chat in [&mut self.chat4, &mut self.chat6].into_iter().flatten() {
            if !chat.udp.readable {
                continue;
            }
            // Before anything is received: an error left in the queue makes the socket deaf.
            chat.take_errors(unreachable);
            let origin = Origin {
                link: None,
                presence_port: false,
            };
            let family = chat.family();
            let mut on_error =
                |io: &mio::net::UdpSocket| chat_socket::take_errors(io, family, unreachable);
            chat.udp
                .receive(origin, budget, buffers, &mut on_error, sink);
            more |= chat.udp.readable;
        }
        for socket in self.presence.sockets() {
            let origin = socket.origin();
            socket
                .udp
                .receive(origin, budget, buffers, &mut |_| {}, sink);
            more |= socket.udp.readable;
        }
        more
    }

    /// Sends. What the kernel has no room for waits; what fails is counted, and remembered in
    /// the state of its interface or as [`Net::next_unreachable`].
    pub fn send(&mut self, now: Instant, transmit: &Transmit) {
        let packet = |via, to| Packet {
            via,
            to,
            bytes: &transmit.bytes,
            segment_len: transmit.segment_len,
            ecn: transmit.ecn,
        };
        match transmit.destination {
            Destination::Unicast(to) => {
                if let Err(error) = self.send_packet(packet(None, to)) {
                    tracing::debug!(%error, %to, "send");
                    self.failed += 1;
                    if health::means_unreachable(&error) {
                        // What is refused here may be an answer to an earlier datagram.
                        self.unreachable.push(Unreachable {
                            at: to,
                            refused: false,
                        });
                    }
                }
            }
            Destination::Group(link, path) => {
                let health = self.health.get(&(link, path));
                if health.is_some_and(|health| health.is_backing_off(now)) {
                    return;
                }
                for (via, to) in self.group_targets(link, path) {
                    let result = self.send_packet(packet(via, to));
                    self.failed += u64::from(result.is_err());
                    self.health
                        .entry((link, path))
                        .or_default()
                        .note(now, (link, path), result);
                }
            }
        }
    }

    /// A destination that turned out to be unreachable: refused by its host, or without a route.
    pub fn next_unreachable(&mut self) -> Option<Unreachable> {
        self.unreachable.pop()
    }

    fn send_packet(&mut self, packet: Packet<'_>) -> io::Result<()> {
        let chat = match packet.to {
            SocketAddr::V4(_) => &mut self.chat4,
            SocketAddr::V6(_) => &mut self.chat6,
        };
        match chat {
            Some(chat) => chat.send(packet, &mut self.unreachable),
            None => Err(io::ErrorKind::NetworkUnreachable.into()),
        }
    }

    /// In place of an IPv6 group on the loopback, where systems have no route for one: the ports
    /// of everybody on this host who has one of the usual ones.
    fn loopback_targets6(&self) -> impl Iterator<Item = (Option<Via>, SocketAddr)> {
        let others = (CHAT_PORT..=CHAT_PORT_LAST).filter(|port| *port != self.chat_port);
        others.map(|port| (None, (Ipv6Addr::LOCALHOST, port).into()))
    }

    /// Where a group datagram for this link and path goes; nowhere if the link is gone or has
    /// no address of the family.
    fn group_targets(&self, id: LinkId, path: Path) -> Vec<(Option<Via>, SocketAddr)> {
        let Some(link) = self.scan.links.iter().find(|link| link.id == id) else {
            return Vec::new();
        };
        let port = self.config.port;
        let via = |address| Some(Via { link: id, address });
        match path {
            Path::Unicast => Vec::new(),
            Path::Mcast4 => {
                let address = link.v4.first().map(|at| at.address);
                let target = |address| (via(address), (self.config.group4, port).into());
                address.map(target).into_iter().collect()
            }
            Path::Bcast4 => {
                let mut all: Vec<Ipv4Addr> =
                    link.v4.iter().filter_map(|at| at.broadcast()).collect();
                all.sort_unstable();
                all.dedup();
                all.into_iter()
                    .map(|address| (None, (address, port).into()))
                    .collect()
            }
            Path::Mcast6 if link.v6.is_empty() => Vec::new(),
            Path::Mcast6 if link.loopback => self.loopback_targets6().collect(),
            Path::Mcast6 => {
                let to = SocketAddrV6::new(self.config.group6, port, 0, id.0);
                vec![(via(Ipv4Addr::UNSPECIFIED), to.into())]
            }
        }
    }
}

#[cfg(test)]
mod tests;
