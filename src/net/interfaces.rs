//! Which interfaces there are and which of them lanchat uses: [`scan`].

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddrV6, UdpSocket};

use super::NetConfig;
use super::system::gateways;
use crate::datagram::{Link, LinkAddress4, LinkId};
use crate::limits::INTERFACES_MAX;

/// What a look at the interfaces found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Scan {
    /// The interfaces to use now, by ascending index, at most [`INTERFACES_MAX`].
    pub links: Vec<Link>,
    /// The names of those beyond that, by ascending index: they are not used.
    pub left_out: Vec<String>,
    /// The names of those that have an address and would be used, were they not down or without
    /// a carrier.
    pub down: Vec<String>,
}

/// The interfaces as they are now. One without a carrier counts as absent.
///
/// # Errors
/// The system does not tell its interfaces.
pub fn scan(config: &NetConfig) -> io::Result<Scan> {
    let entries = if_addrs::get_if_addrs()?.into_iter().map(|found| {
        let prefix_len = match &found.addr {
            if_addrs::IfAddr::V4(v4) => v4.prefixlen,
            if_addrs::IfAddr::V6(v6) => v6.prefixlen,
        };
        Entry {
            up: found.is_oper_up(),
            point_to_point: found.is_p2p(),
            ip: found.ip(),
            index: found.index,
            prefix_len,
            name: found.name,
        }
    });
    let usable = entries.filter(|entry| match (entry.ip, entry.index) {
        (IpAddr::V6(address), Some(index)) if config.ipv6 => !is_tentative(address, index),
        _ => true,
    });
    let mut scan = links(usable.collect(), config);
    let routers = gateways();
    for link in &mut scan.links {
        link.gateway = routers.get(&link.name).copied();
    }
    Ok(scan)
}

/// Whether nothing can be sent from an address yet: for a second or so after it was assigned the
/// system looks for a duplicate of it on the link (RFC 4862, section 5.4).
fn is_tentative(address: Ipv6Addr, index: u32) -> bool {
    let scope = if address.is_unicast_link_local() {
        index
    } else {
        0
    };
    let bound = UdpSocket::bind(SocketAddrV6::new(address, 0, 0, scope));
    bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
}

/// One address of one interface, as the system tells it.
#[derive(Clone, Debug)]
struct Entry {
    name: String,
    index: Option<u32>,
    ip: IpAddr,
    prefix_len: u8,
    up: bool,
    point_to_point: bool,
}

fn links(entries: Vec<Entry>, config: &NetConfig) -> Scan {
    let mut by_name: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    for entry in entries {
        by_name.entry(entry.name.clone()).or_default().push(entry);
    }
    let mut links = Vec::new();
    let mut down = Vec::new();
    for (name, entries) in by_name {
        let is_up = entries.iter().any(|entry| entry.up);
        match link(name, &entries, config) {
            Some(link) if is_up => links.push(link),
            Some(link) if link.group => down.push(link.name),
            _ => {}
        }
    }
    // Where there are more than can be used, those that find people come first.
    links.sort_by_key(|link| (!link.loopback, !link.group, link.id));
    let beyond = links.split_off(links.len().min(INTERFACES_MAX));
    links.sort_by_key(|link| link.id);
    Scan {
        links,
        left_out: beyond.into_iter().map(|link| link.name).collect(),
        down,
    }
}

/// The link that these entries of one interface make, if it is one to use; up or not.
fn link(name: String, entries: &[Entry], config: &NetConfig) -> Option<Link> {
    // Windows may leave the index out of an adapter's IPv6 entries.
    let index = entries.iter().find_map(|entry| entry.index)?;
    let loopback = entries.iter().any(|entry| entry.ip.is_loopback());
    let named = config.interfaces.contains(&name);
    if !loopback && !named && !config.interfaces.is_empty() {
        return None;
    }
    let mut v4 = Vec::new();
    let mut v6 = Vec::new();
    for entry in entries {
        match entry.ip {
            IpAddr::V4(address) if config.ipv4 => v4.push(LinkAddress4 {
                address,
                prefix_len: entry.prefix_len.min(32),
            }),
            IpAddr::V6(address) if config.ipv6 => v6.push(address),
            _ => {}
        }
    }
    if v4.is_empty() && v6.is_empty() {
        return None;
    }
    v4.sort_unstable();
    v4.dedup();
    v6.sort_unstable();
    v6.dedup();
    let point_to_point = entries.iter().any(|entry| entry.point_to_point);
    let group = loopback || named || !(point_to_point || is_internal(&name));
    Some(Link {
        id: LinkId(index),
        name,
        loopback,
        v4,
        v6,
        group,
        gateway: None,
    })
}

/// Whether an interface of this name leads to containers, virtual machines or a radio that is
/// not the LAN. A bridge that somebody named `br0` is the LAN.
pub(super) fn is_internal(name: &str) -> bool {
    let docker_bridge = name
        .strip_prefix("br-")
        .is_some_and(|rest| rest.len() == 12 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let prefixes = ["veth", "virbr", "vmnet", "utun", "awdl", "llw"];
    name == "docker0" || docker_bridge || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, index: u32, ip: &str, prefix_len: u8) -> Entry {
        Entry {
            name: name.into(),
            index: Some(index),
            ip: ip.parse().expect(ip),
            prefix_len,
            up: true,
            point_to_point: false,
        }
    }

    fn lo() -> Entry {
        entry("lo", 1, "127.0.0.1", 8)
    }

    fn names(links: &[Link]) -> Vec<&str> {
        links.iter().map(|link| link.name.as_str()).collect()
    }

    #[test]
    fn the_addresses_of_one_interface_are_one_link() {
        let found = vec![
            entry("eth0", 2, "fe80::2", 64),
            entry("eth0", 2, "10.0.0.7", 24),
            lo(),
            entry("eth0", 2, "10.0.0.5", 24),
            entry("eth0", 2, "2001:db8::1", 64),
        ];
        let links = links(found, &NetConfig::default()).links;
        assert_eq!(names(&links), ["lo", "eth0"]);
        let eth0 = &links[1];
        assert_eq!(
            (eth0.id, eth0.loopback, eth0.group),
            (LinkId(2), false, true)
        );
        let v4: Vec<_> = eth0.v4.iter().map(|at| at.address.to_string()).collect();
        assert_eq!(v4, ["10.0.0.5", "10.0.0.7"]);
        assert_eq!(eth0.v6.len(), 2);
        assert!(links[0].loopback && links[0].group);
    }

    #[test]
    fn groups_are_not_sent_to_containers_machines_and_tunnels_unless_named() {
        let internal = [
            "docker0",
            "br-0123456789ab",
            "veth1a2b3c",
            "virbr0",
            "vmnet8",
            "utun3",
            "awdl0",
            "llw0",
        ];
        for name in internal {
            assert!(is_internal(name), "{name}");
            let found = || vec![lo(), entry(name, 5, "172.17.0.1", 16)];
            let config = NetConfig::default();
            assert!(!links(found(), &config).links[1].group, "{name}");
            let config = NetConfig {
                interfaces: vec![name.into()],
                ..NetConfig::default()
            };
            assert!(links(found(), &config).links[1].group, "{name} when named");
        }
        for name in ["br0", "br-lan", "br-0123456789xy", "eth0", "wlan0", "en0"] {
            assert!(!is_internal(name), "{name}");
        }
        let tunnel = Entry {
            point_to_point: true,
            ..entry("wg0", 7, "10.9.0.1", 24)
        };
        assert!(!links(vec![tunnel], &NetConfig::default()).links[0].group);
    }

    #[test]
    fn only_named_interfaces_and_the_loopback_are_used() {
        let config = NetConfig {
            interfaces: vec!["wlan0".into()],
            ..NetConfig::default()
        };
        let found = vec![
            lo(),
            entry("eth0", 2, "10.0.0.7", 24),
            entry("wlan0", 3, "10.0.1.7", 24),
        ];
        assert_eq!(names(&links(found, &config).links), ["lo", "wlan0"]);
    }

    #[test]
    fn what_is_down_or_has_no_address_of_a_family_in_use_is_left_out() {
        let down = Entry {
            up: false,
            ..entry("eth1", 3, "10.0.1.7", 24)
        };
        let found = vec![lo(), down, entry("eth0", 2, "fe80::2", 64)];
        let config = NetConfig {
            ipv6: false,
            ..NetConfig::default()
        };
        let scan = links(found, &config);
        assert_eq!(names(&scan.links), ["lo"]);
        assert_eq!(scan.down, ["eth1"]);
    }

    #[test]
    fn an_index_that_is_missing_is_taken_from_another_entry() {
        let v6 = Entry {
            index: None,
            ..entry("Ethernet", 0, "fe80::2", 64)
        };
        let found = vec![v6, entry("Ethernet", 12, "10.0.0.7", 24)];
        let links = links(found, &NetConfig::default()).links;
        assert_eq!(links[0].id, LinkId(12));
        assert_eq!(links[0].v6.len(), 1);
    }

    #[test]
    fn the_loopback_survives_the_cut_at_sixteen_and_the_rest_is_named() {
        let mut found: Vec<Entry> = (0..20_u32)
            .map(|i| entry(&format!("eth{i}"), 10 + i, &format!("10.0.{i}.1"), 24))
            .collect();
        found.push(entry("lo", 99, "127.0.0.1", 8));
        found.push(entry("docker0", 2, "172.17.0.1", 16));
        let Scan {
            links, left_out, ..
        } = links(found, &NetConfig::default());
        assert_eq!(links.len(), INTERFACES_MAX);
        assert!(links.iter().any(|link| link.loopback));
        assert!(links.iter().all(|link| link.group));
        let rest = ["eth15", "eth16", "eth17", "eth18", "eth19", "docker0"];
        assert_eq!(left_out, rest);
    }
}
