//! Which network a link is in: the prefix of its addresses and the router there.
//!
//! Public rooms belong to a network, so two of them must not be taken for one: half of all homes
//! have 192.168.1.0/24. The hardware address of the router tells them apart; where the system does
//! not know it, the router's address has to do, and where there is no router, the prefix alone.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::core::Core;
use crate::datagram::{Arrival, Gateway, Link, LinkId};
use crate::id::NetworkId;

/// What a link is in, as long as it is up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Decided {
    id: NetworkId,
    prefix: Option<Prefix>,
    gateway: Option<Gateway>,
    /// What it was taken for while less was known of it.
    earlier: BTreeSet<NetworkId>,
}

/// The addresses of a network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Prefix {
    V4(u32, u8),
    /// The first half.
    V6(u64),
    /// Nothing but addresses of the link itself.
    LinkLocal,
}

impl Core {
    /// The links changed: what each is in is decided once, and again where its addresses are
    /// others, or its router is another.
    pub(super) fn decide_networks(&mut self) {
        let before = std::mem::take(&mut self.decided);
        for link in self.links.iter().filter(|link| !link.loopback) {
            let (prefix, gateway) = (prefix_of(link), link.gateway);
            let held = before.get(&link.id);
            let is_same = |held: &&Decided| held.prefix == prefix && !moved(held.gateway, gateway);
            let decided = held.filter(is_same).cloned();
            let decided = decided.unwrap_or_else(|| Decided {
                id: id_of(prefix, gateway),
                prefix,
                gateway,
                earlier: held.map_or_else(BTreeSet::new, |held| held.names_of(link)),
            });
            self.decided.insert(link.id, decided);
        }
        if let Some(link) = self.main_link().map(|link| link.id) {
            self.last_network = Some(self.network_on(link));
        }
    }

    /// The first link with a router, else the first that is not the loopback.
    fn main_link(&self) -> Option<&Link> {
        let outside = || {
            let links = self.links.iter();
            links.filter(|link| !link.loopback && link.group)
        };
        let first = outside().find(|link| link.gateway.is_some());
        first.or_else(|| outside().next())
    }

    /// The network that what this node says in public belongs to: that of the first link with
    /// a router, else of the first that is not the loopback. While there is none, it is the one
    /// before: what is said while a cable is out is for those on the other end of it.
    pub fn network(&self) -> NetworkId {
        match self.main_link() {
            Some(link) => self.network_on(link.id),
            None => self.last_network.unwrap_or_else(nowhere),
        }
    }

    /// The network of a link; that of the node for the loopback.
    pub fn network_on(&self, link: LinkId) -> NetworkId {
        let found = self.links.iter().find(|entry| entry.id == link);
        match found.filter(|entry| !entry.loopback) {
            Some(entry) => match self.decided.get(&entry.id) {
                Some(decided) => decided.id,
                None => of_link(entry),
            },
            None => self.network(),
        }
    }

    /// The networks of all links; that of the node alone where there is none but the loopback.
    pub fn networks(&self) -> BTreeSet<NetworkId> {
        let outside = self.links.iter().filter(|link| !link.loopback);
        let outside = outside.map(|link| self.network_on(link.id));
        outside.chain([self.network()]).collect()
    }

    /// The networks that this node is on, by all the names that they had since each link is up: a
    /// router that becomes known makes another name, and no other people.
    pub fn here(&self) -> BTreeSet<NetworkId> {
        let links = self.links.iter().filter(|link| !link.loopback);
        let decided = links.filter_map(|link| self.decided.get(&link.id));
        let earlier = decided.flat_map(|decided| decided.earlier.iter().copied());
        earlier.chain(self.networks()).collect()
    }

    /// The network by which an address is reached: that of the link that leads to it, else the
    /// node's.
    pub fn network_towards(&self, at: SocketAddr) -> NetworkId {
        self.network_at(at).unwrap_or_else(|| self.network())
    }

    /// The network of the link that something came by.
    pub fn network_from(&self, arrival: &Arrival) -> NetworkId {
        match arrival.link {
            Some(link) => self.network_on(link),
            None => self.network_towards(arrival.source),
        }
    }

    /// The network that an address is remembered of: that of the link which reaches it, else the
    /// node's. None for what is on this host.
    pub fn network_at(&self, at: SocketAddr) -> Option<NetworkId> {
        let ip = at.ip();
        if ip.is_loopback() || self.is_own_address(ip) {
            return None;
        }
        let link = self
            .links
            .iter()
            .find(|link| !link.loopback && link.reaches(at));
        Some(link.map_or_else(|| self.network(), |link| self.network_on(link.id)))
    }
}

/// What is said before there was any network belongs to this one.
#[must_use]
pub(crate) fn nowhere() -> NetworkId {
    id_of(None, None)
}

impl Decided {
    /// What the network of a link was taken for, this included, where as much as was known of it is
    /// so still; else nothing.
    fn names_of(&self, link: &Link) -> BTreeSet<NetworkId> {
        let is_there = match self.prefix {
            None | Some(Prefix::LinkLocal) => true,
            Some(prefix) => prefixes_of(link).any(|of| of == prefix),
        };
        let same_router = match (self.gateway, link.gateway) {
            (Some(before), Some(now)) => match (before.mac, now.mac) {
                (Some(before), Some(now)) => before == now,
                _ => before.address == now.address,
            },
            _ => true,
        };
        match is_there && same_router {
            true => self.earlier.iter().copied().chain([self.id]).collect(),
            false => BTreeSet::new(),
        }
    }
}

/// The network that a link is in.
#[must_use]
pub(crate) fn of_link(link: &Link) -> NetworkId {
    id_of(prefix_of(link), link.gateway)
}

/// Whether a link leads elsewhere now. What the system forgot is no sign of that.
fn moved(before: Option<Gateway>, now: Option<Gateway>) -> bool {
    let Some(now) = now else { return false };
    let Some(before) = before else { return true };
    match (before.mac, now.mac) {
        (Some(before), Some(now)) => before != now,
        (None, Some(_)) => true,
        (_, None) => before.address != now.address,
    }
}

fn prefix_of(link: &Link) -> Option<Prefix> {
    let first = prefixes_of(link).next();
    first.or((!link.v6.is_empty()).then_some(Prefix::LinkLocal))
}

/// Those of a link but that of the link itself: IPv4 first.
fn prefixes_of(link: &Link) -> impl Iterator<Item = Prefix> {
    let v4 = link.v4.iter().map(|own| {
        let host = u32::MAX.checked_shr(own.prefix_len.into()).unwrap_or(0);
        Prefix::V4(own.address.to_bits() & !host, own.prefix_len)
    });
    let global = |address: &&Ipv6Addr| !address.is_unicast_link_local();
    let half = |address: &Ipv6Addr| Prefix::V6((address.to_bits() >> 64) as u64);
    v4.chain(link.v6.iter().filter(global).map(half))
}

fn id_of(prefix: Option<Prefix>, gateway: Option<Gateway>) -> NetworkId {
    let mut hasher = blake3::Hasher::new_derive_key("lanchat 1 network");
    match prefix {
        Some(Prefix::V4(bits, len)) => {
            hasher.update(&bits.to_be_bytes());
            hasher.update(&[len]);
        }
        Some(Prefix::V6(bits)) => {
            hasher.update(&bits.to_be_bytes());
            hasher.update(&[64]);
        }
        Some(Prefix::LinkLocal) => {
            hasher.update(b"link-local");
        }
        None => {
            hasher.update(b"no prefix");
        }
    }
    match gateway {
        Some(Gateway { mac: Some(mac), .. }) => {
            hasher.update(b"mac").update(&mac);
        }
        Some(Gateway { address, .. }) => {
            let address = match address {
                IpAddr::V4(v4) => v4.octets().to_vec(),
                IpAddr::V6(v6) => v6.octets().to_vec(),
            };
            hasher.update(b"router").update(&address);
        }
        None => {}
    }
    let mut id = [0; 8];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    NetworkId(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram::LinkAddress4;

    fn link(v4: Option<[u8; 4]>, v6: &[&str], mac: Option<u8>) -> Link {
        let own = |address: [u8; 4]| LinkAddress4 {
            address: address.into(),
            prefix_len: 24,
        };
        Link {
            id: LinkId(2),
            name: "eth0".into(),
            loopback: false,
            v4: v4.map(own).into_iter().collect(),
            v6: v6
                .iter()
                .map(|at| at.parse().expect("an address"))
                .collect(),
            group: true,
            gateway: mac.map(|mac| Gateway {
                address: [192, 168, 1, 1].into(),
                mac: (mac > 0).then_some([mac; 6]),
            }),
        }
    }

    fn id(link: &Link) -> NetworkId {
        id_of(prefix_of(link), link.gateway)
    }

    #[test]
    fn networks_are_told_apart_by_prefix_and_router() {
        let home = [192, 168, 1, 7];
        let all = [
            link(Some(home), &[], None),
            link(Some(home), &[], Some(0)),
            link(Some(home), &[], Some(1)),
            link(Some(home), &[], Some(2)),
            link(Some([192, 168, 2, 7]), &[], Some(1)),
            link(None, &[], None),
            link(None, &["fe80::1"], None),
            link(None, &["2001:db8:1::1", "fe80::1"], None),
            link(None, &["2001:db8:2::1", "fe80::1"], None),
        ];
        let ids: BTreeSet<NetworkId> = all.iter().map(id).collect();
        assert_eq!(ids.len(), all.len());
        let same = link(Some([192, 168, 1, 9]), &["fe80::2"], Some(1));
        assert_eq!(id(&same), id(&all[2]), "whoever the host is");
        let same = link(None, &["2001:db8:1::9", "fe80::9"], None);
        assert_eq!(id(&same), id(&all[7]));
    }

    #[test]
    fn what_becomes_known_of_a_network_makes_it_no_other() {
        let home = Some([192, 168, 1, 7]);
        let cafe = Some([192, 168, 7, 9]);
        let stays = [
            (link(None, &[], None), link(home, &[], None)),
            (
                link(None, &["fe80::1"], None),
                link(home, &["fe80::1"], Some(1)),
            ),
            (link(home, &[], None), link(home, &[], Some(0))),
            (link(home, &[], Some(0)), link(home, &[], Some(1))),
            (
                link(None, &["2001:db8::1"], None),
                link(home, &["2001:db8::1"], None),
            ),
        ];
        let goes = [
            (link(home, &[], None), link(cafe, &[], None)),
            (link(home, &[], Some(1)), link(home, &[], Some(2))),
            (link(home, &[], Some(1)), link(cafe, &[], Some(1))),
            (link(home, &[], Some(1)), link(None, &["2001:db8::1"], None)),
        ];
        let all = stays.iter().map(|pair| (pair, true));
        for ((before, now), expected) in all.chain(goes.iter().map(|pair| (pair, false))) {
            let decided = Decided {
                id: id(before),
                prefix: prefix_of(before),
                gateway: before.gateway,
                earlier: BTreeSet::from([NetworkId([7; 8])]),
            };
            let names = decided.names_of(now);
            assert_eq!(names.contains(&id(before)), expected, "{before:?} {now:?}");
            assert_eq!(names.len(), if expected { 2 } else { 0 });
        }
    }

    #[test]
    fn a_router_that_the_system_forgot_is_no_other_network() {
        let at = |mac| link(None, &[], mac).gateway;
        for (before, now, expected) in [
            (Some(1), Some(1), false),
            (Some(1), Some(2), true),
            (Some(1), Some(0), false),
            (Some(1), None, false),
            (Some(0), Some(1), true),
            (None, Some(0), true),
            (None, None, false),
        ] {
            assert_eq!(moved(at(before), at(now)), expected, "{before:?} {now:?}");
        }
    }
}
