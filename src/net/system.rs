//! What the system says of the network beside the sockets: every interface, joined or not, with
//! an address or without; routes, memberships, neighbours, and who holds a port. Only read, never
//! changed. What a system does not tell is left out.

mod tables;

use std::collections::BTreeMap;
#[cfg(target_os = "linux")]
use std::fs;
use std::net::IpAddr;

use self::tables::{
    arp, bound_inodes, gateways4, gateways6, joined4, joined6, routes4, routes6, setting,
};
use super::NetConfig;
use super::interfaces::is_internal;
use crate::datagram::{Gateway, LinkId};

/// An interface, used or not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SystemLink {
    /// Its index.
    pub id: LinkId,
    /// Its name.
    pub name: String,
    /// Whether it is the loopback.
    pub loopback: bool,
    /// Whether it is a tunnel.
    pub point_to_point: bool,
    /// Whether its name is one of those that lead to containers and virtual machines.
    pub internal: bool,
    /// Whether it is up and connected.
    pub carrier: bool,
    /// Whether it has an address of a family in use.
    pub has_address: bool,
    /// Whether a default route goes by it.
    pub default_route: bool,
    /// Whether the group of a family in use is joined on it; none where the system does not say.
    pub member: Option<bool>,
}

/// Every interface that is there, by ascending index. Empty where the system does not tell.
#[must_use]
pub fn system_links(config: &NetConfig) -> Vec<SystemLink> {
    let mut links = interfaces(config);
    links.retain(|link| link.has_address || !is_port(&link.name));
    let routed = default_routes();
    let memberships = memberships(config);
    for link in &mut links {
        link.default_route = routed.contains(&link.name);
        link.member = memberships
            .as_ref()
            .map(|joined| joined.contains(&link.name));
    }
    links.sort_by_key(|link| link.id);
    links
}

/// Whether an address answers on its link (ARP); none where nothing is known of it. IPv6 is not
/// told here.
#[must_use]
pub fn answers_on_link(address: IpAddr) -> Option<bool> {
    let IpAddr::V4(address) = address else {
        return None;
    };
    arp(&read("net/arp")?, address)
}

/// The router of each interface, by name: that of its default route, of several the one that is
/// preferred. IPv4 goes first; of IPv6 no hardware address is told. Empty where the system does not
/// tell.
#[must_use]
pub fn gateways() -> BTreeMap<String, Gateway> {
    // With many neighbours a long table: read only where there is a router to look for.
    let neighbors = || read("net/arp").unwrap_or_default();
    let v4 = read("net/route").map(|text| gateways4(&text, neighbors));
    let v6 = read("net/ipv6_route").map(|text| gateways6(&text));
    let mut all: BTreeMap<String, Gateway> = BTreeMap::new();
    for (name, gateway) in v4.into_iter().chain(v6).flatten() {
        all.entry(name).or_insert(gateway);
    }
    all
}

/// The program that is bound to this UDP port, beside this one, as `name (pid 7)`.
#[must_use]
pub fn port_holder(port: u16) -> Option<String> {
    let inodes: Vec<u64> = ["net/udp", "net/udp6"]
        .iter()
        .filter_map(|file| read(file))
        .flat_map(|text| bound_inodes(&text, port))
        .collect();
    holder_of(&inodes)
}

/// A firewall that is a service of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FirewallService {
    /// ufw.
    Ufw,
    /// firewalld, with its default zone.
    Firewalld(String),
}

/// The firewall service that is switched on, as its files tell anybody.
#[must_use]
pub fn firewall_service() -> Option<FirewallService> {
    let file = |path: &str| std::fs::read_to_string(path).ok();
    let ufw = file("/etc/ufw/ufw.conf").and_then(|text| setting(&text, "ENABLED"));
    if ufw.is_some_and(|value| value.eq_ignore_ascii_case("yes")) {
        return Some(FirewallService::Ufw);
    }
    file("/run/firewalld.pid")?;
    let zone = file("/etc/firewalld/firewalld.conf").and_then(|text| setting(&text, "DefaultZone"));
    Some(FirewallService::Firewalld(
        zone.unwrap_or_else(|| "public".to_owned()),
    ))
}

#[cfg(unix)]
fn interfaces(config: &NetConfig) -> Vec<SystemLink> {
    use nix::net::if_::{InterfaceFlags as Flags, if_nametoindex};

    let mut links: Vec<SystemLink> = Vec::new();
    for found in nix::ifaddrs::getifaddrs().into_iter().flatten() {
        let has_address = found.address.is_some_and(|address| {
            (config.ipv4 && address.as_sockaddr_in().is_some())
                || (config.ipv6 && address.as_sockaddr_in6().is_some())
        });
        let name = found.interface_name;
        if let Some(link) = links.iter_mut().find(|link| link.name == name) {
            link.has_address |= has_address;
            continue;
        }
        let Ok(index) = if_nametoindex(name.as_str()) else {
            continue;
        };
        links.push(SystemLink {
            id: LinkId(index),
            loopback: found.flags.contains(Flags::IFF_LOOPBACK),
            point_to_point: found.flags.contains(Flags::IFF_POINTOPOINT),
            internal: is_internal(&name),
            carrier: found.flags.contains(Flags::IFF_UP | Flags::IFF_RUNNING),
            has_address,
            default_route: false,
            member: None,
            name,
        });
    }
    links
}

/// Those with an address are all that is told here.
#[cfg(windows)]
fn interfaces(_: &NetConfig) -> Vec<SystemLink> {
    let mut links: Vec<SystemLink> = Vec::new();
    for found in if_addrs::get_if_addrs().into_iter().flatten() {
        let Some(index) = found.index else { continue };
        if links.iter().any(|link| link.name == found.name) {
            continue;
        }
        links.push(SystemLink {
            id: LinkId(index),
            loopback: found.is_loopback(),
            point_to_point: found.is_p2p(),
            internal: is_internal(&found.name),
            carrier: found.is_oper_up(),
            has_address: true,
            default_route: false,
            member: None,
            name: found.name,
        });
    }
    links
}

/// A file below `/proc`; none elsewhere.
#[cfg(target_os = "linux")]
fn read(file: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/{file}")).ok()
}

#[cfg(not(target_os = "linux"))]
fn read(_: &str) -> Option<String> {
    None
}

/// Whether an interface is a port of a bridge or a bond, which has the addresses in its place.
fn is_port(name: &str) -> bool {
    cfg!(target_os = "linux")
        && std::path::Path::new("/sys/class/net")
            .join(name)
            .join("master")
            .exists()
}

fn default_routes() -> Vec<String> {
    let v4 = read("net/route").map(|text| routes4(&text));
    let v6 = read("net/ipv6_route").map(|text| routes6(&text));
    v4.into_iter().chain(v6).flatten().collect()
}

/// Names of the interfaces on which the group of a family in use is joined; none where the system
/// does not say.
fn memberships(config: &NetConfig) -> Option<Vec<String>> {
    let v4 = read("net/igmp").map(|text| joined4(&text, config.group4));
    let v6 = read("net/igmp6").map(|text| joined6(&text, config.group6));
    let (v4, v6) = (v4.filter(|_| config.ipv4), v6.filter(|_| config.ipv6));
    match (v4, v6) {
        (None, None) => None,
        (v4, v6) => Some(v4.into_iter().chain(v6).flatten().collect()),
    }
}

/// The first other process that has one of these sockets open, as far as this user may see it.
#[cfg(target_os = "linux")]
fn holder_of(inodes: &[u64]) -> Option<String> {
    let wanted: Vec<String> = inodes.iter().map(|i| format!("socket:[{i}]")).collect();
    let has = |pid: u32| {
        let open = fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten();
        let mut targets = open
            .flatten()
            .filter_map(|fd| fs::read_link(fd.path()).ok());
        targets.any(|target| {
            wanted
                .iter()
                .any(|name| target.as_os_str() == name.as_str())
        })
    };
    let pids = fs::read_dir("/proc").ok()?.flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pid = pids
        .filter(|&pid| pid != std::process::id())
        .find(|&pid| has(pid))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("{} (pid {pid})", name.trim()))
}

#[cfg(not(target_os = "linux"))]
fn holder_of(_: &[u64]) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_computer_has_a_loopback() {
        let links = system_links(&NetConfig::default());
        assert!(links.iter().any(|link| link.loopback), "{links:?}");
    }
}
