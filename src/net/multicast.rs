//! The presence sockets: one per interface and family on the port where groups and first
//! contacts arrive. Nothing is sent from them.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use mio::{Registry, Token};

use super::udp::{Family, Origin, Udp};
use super::{NetConfig, sys};
use crate::datagram::{Link, LinkId};

/// All presence sockets.
pub(super) struct Presence {
    sockets: Vec<PresenceSocket>,
    /// What does not work, by interface and family: a bind or a join that failed.
    problems: BTreeMap<(LinkId, Family), Problem>,
    /// Whether the system does not bind sockets to interfaces: one per family serves all.
    shared: bool,
    tokens: std::ops::Range<usize>,
}

/// A failed bind, or a failed join.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Problem {
    /// Nothing is received on the presence port.
    Bind(String),
    /// Broadcast and unicast arrive, the group does not.
    Join(String),
}

pub(super) struct PresenceSocket {
    family: Family,
    /// The interface it is bound to; none where one socket serves all.
    link: Option<LinkId>,
    /// What it is bound for: an interface that changes these gets another socket.
    name: String,
    joined: Vec<LinkId>,
    pub(super) udp: Udp,
}

impl PresenceSocket {
    pub(super) fn origin(&self) -> Origin {
        Origin {
            link: self.link,
            presence_port: true,
        }
    }
}

impl Presence {
    /// No sockets yet; they will have tokens of this range.
    pub(super) fn new(tokens: std::ops::Range<usize>) -> Self {
        Presence {
            sockets: Vec::new(),
            problems: BTreeMap::new(),
            shared: false,
            tokens,
        }
    }

    /// As on a system that does not bind sockets to interfaces.
    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn shared_for_test(tokens: std::ops::Range<usize>) -> Self {
        Presence {
            shared: true,
            ..Presence::new(tokens)
        }
    }

    /// The open sockets.
    pub(super) fn sockets(&mut self) -> impl Iterator<Item = &mut PresenceSocket> {
        self.sockets.iter_mut()
    }

    /// What does not work here.
    pub(super) fn problem(&self, link: LinkId, family: Family) -> Option<&Problem> {
        self.problems.get(&(link, family))
    }

    /// Closes all; the next [`Presence::update`] opens them anew.
    pub(super) fn close(&mut self, registry: &Registry) {
        for socket in &mut self.sockets {
            deregister(&mut socket.udp, registry);
        }
        self.sockets.clear();
    }

    /// Opens, joins and closes until the sockets are those of `links`; tries again what failed.
    pub(super) fn update(&mut self, config: &NetConfig, links: &[Link], registry: &Registry) {
        let before = std::mem::take(&mut self.problems);
        self.close_unwanted(links, registry);
        for link in links {
            for family in families(link) {
                let result = self
                    .open(config, family, link, registry)
                    .map_err(|error| Problem::Bind(bind_problem(config.port, &error)))
                    .and_then(|index| {
                        self.join(config, index, link)
                            .map_err(|error| Problem::Join(error.to_string()))
                    });
                if let Err(problem) = result {
                    let key = (link.id, family);
                    if before.get(&key) != Some(&problem) {
                        tracing::warn!(link = link.name, ?family, ?problem, "presence port");
                    }
                    self.problems.insert(key, problem);
                }
            }
        }
    }

    fn close_unwanted(&mut self, links: &[Link], registry: &Registry) {
        for socket in &mut self.sockets {
            let wanted = match socket.link {
                Some(id) => links
                    .iter()
                    .any(|link| link.id == id && sys::bind_key(link, socket.family) == socket.name),
                // Left groups of interfaces that are gone do no harm, a new index does not meet
                // an old one.
                None => true,
            };
            if !wanted {
                deregister(&mut socket.udp, registry);
                socket.name.clear();
            }
        }
        self.sockets
            .retain(|socket| socket.link.is_none() || !socket.name.is_empty());
        for socket in &mut self.sockets {
            let is_there = |id: &LinkId| links.iter().any(|link| link.id == *id);
            socket.joined.retain(is_there);
        }
    }

    /// The socket for this link, opened where it was missing; its place in the list.
    fn open(
        &mut self,
        config: &NetConfig,
        family: Family,
        link: &Link,
        registry: &Registry,
    ) -> io::Result<usize> {
        if !self.shared {
            match self.open_one(config, family, Some(link), registry) {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported
                    ) && config.port >= 1024 =>
                {
                    tracing::info!(%error, "one presence socket for all interfaces");
                    self.shared = true;
                    self.close(registry);
                }
                result => return result,
            }
        }
        self.open_one(config, family, None, registry)
    }

    fn open_one(
        &mut self,
        config: &NetConfig,
        family: Family,
        link: Option<&Link>,
        registry: &Registry,
    ) -> io::Result<usize> {
        let id = link.map(|link| link.id);
        let found = |socket: &PresenceSocket| socket.family == family && socket.link == id;
        if let Some(index) = self.sockets.iter().position(found) {
            return Ok(index);
        }
        let socket = family.socket()?;
        sys::share_port(&socket, family)?;
        match link {
            Some(link) => sys::bind_to_link(&socket, family, link, config.port)?,
            None => socket.bind(&family.any(config.port).into())?,
        }
        let token = self.free_token()?;
        // Only a socket for all interfaces has to be told by which one a datagram came.
        let udp = Udp::register(socket, token, link.is_none(), registry)?;
        self.sockets.push(PresenceSocket {
            family,
            link: id,
            name: link.map_or_else(String::new, |link| sys::bind_key(link, family)),
            joined: Vec::new(),
            udp,
        });
        Ok(self.sockets.len() - 1)
    }

    fn join(&mut self, config: &NetConfig, index: usize, link: &Link) -> io::Result<()> {
        let socket = &mut self.sockets[index];
        if !config.multicast || !link.group || socket.joined.contains(&link.id) {
            return Ok(());
        }
        let group: IpAddr = match socket.family {
            Family::V4 => config.group4.into(),
            Family::V6 => config.group6.into(),
        };
        match sys::join(socket.udp.options(), group, link) {
            Ok(()) => {}
            // Joined already, on another address of the same interface.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
        socket.joined.push(link.id);
        Ok(())
    }

    fn free_token(&self) -> io::Result<Token> {
        let mut free = self.tokens.clone().map(Token);
        free.find(|token| self.sockets.iter().all(|socket| socket.udp.token != *token))
            .ok_or_else(|| io::Error::other("too many sockets"))
    }
}

fn families(link: &Link) -> impl Iterator<Item = Family> {
    let v4 = (!link.v4.is_empty()).then_some(Family::V4);
    let v6 = (!link.v6.is_empty()).then_some(Family::V6);
    v4.into_iter().chain(v6)
}

fn bind_problem(port: u16, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("port {port} is held by a program that does not share it")
        }
        _ => format!("port {port} cannot be used: {error}"),
    }
}

fn deregister(udp: &mut Udp, registry: &Registry) {
    if let Err(error) = registry.deregister(&mut udp.io) {
        tracing::debug!(%error, "deregister");
    }
}
