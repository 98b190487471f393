//! The texts in which Linux tells of routes, neighbours, groups and sockets (below `/proc/net`), read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::datagram::Gateway;

/// Of `/proc/net/route`: destination 0.0.0.0/0, or one of the halves that VPN clients put over it.
pub(super) fn routes4(text: &str) -> Vec<String> {
    let default = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (name, to, mask) = (fields.first()?, fields.get(1)?, fields.get(7)?);
        let is_default = *to == "00000000" && matches!(*mask, "00000000" | "00000080");
        is_default.then(|| (*name).to_owned())
    };
    text.lines().skip(1).filter_map(default).collect()
}

/// Of `/proc/net/ipv6_route`: destination ::/0 by anything but the loopback.
pub(super) fn routes6(text: &str) -> Vec<String> {
    let default = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (to, len, name) = (fields.first()?, fields.get(1)?, fields.last()?);
        let is_default = to.bytes().all(|byte| byte == b'0') && *len == "00" && *name != "lo";
        is_default.then(|| (*name).to_owned())
    };
    text.lines().filter_map(default).collect()
}

/// Of `/proc/net/route`, the preferred routes first: default routes with a router. The bytes of an
/// address are as they lie in memory.
pub(super) fn gateways4(text: &str, neighbors: impl Fn() -> String) -> Vec<(String, Gateway)> {
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (name, to, via) = (fields.first()?, fields.get(1)?, fields.get(2)?);
        let (metric, mask) = (fields.get(6)?.parse::<u32>().ok()?, fields.get(7)?);
        let via = u32::from_str_radix(via, 16).ok()?.to_ne_bytes();
        let is_default = *to == "00000000" && *mask == "00000000" && via != [0; 4];
        is_default.then(|| {
            let mac = hardware(&neighbors(), via.into(), name);
            let address = IpAddr::V4(via.into());
            (metric, ((*name).to_owned(), Gateway { address, mac }))
        })
    };
    preferred(text.lines().skip(1).filter_map(route))
}

/// The same of `/proc/net/ipv6_route`.
pub(super) fn gateways6(text: &str) -> Vec<(String, Gateway)> {
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (to, len, name) = (fields.first()?, fields.get(1)?, fields.last()?);
        let via = Ipv6Addr::from(u128::from_str_radix(fields.get(4)?, 16).ok()?);
        let metric = u32::from_str_radix(fields.get(5)?, 16).ok()?;
        let is_default = to.bytes().all(|byte| byte == b'0') && *len == "00";
        let gateway = Gateway {
            address: via.into(),
            mac: None,
        };
        let is_routed = is_default && !via.is_unspecified();
        is_routed.then(|| (metric, ((*name).to_owned(), gateway)))
    };
    preferred(text.lines().filter_map(route))
}

fn preferred<T>(routes: impl Iterator<Item = (u32, T)>) -> Vec<T> {
    let mut routes: Vec<(u32, T)> = routes.collect();
    routes.sort_by_key(|(metric, _)| *metric);
    routes.into_iter().map(|(_, route)| route).collect()
}

/// Of `/proc/net/arp`: the hardware address of a neighbour on an interface, if it is known.
fn hardware(text: &str, address: Ipv4Addr, name: &str) -> Option<[u8; 6]> {
    let wanted = address.to_string();
    let of = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields.first() == Some(&wanted.as_str()) && fields.last() == Some(&name);
        let flags = fields.get(2)?.trim_start_matches("0x");
        let is_known = is_it && u32::from_str_radix(flags, 16).ok()? & 2 != 0;
        let bytes = fields.get(3)?.split(':');
        let bytes: Vec<u8> = bytes
            .filter_map(|byte| u8::from_str_radix(byte, 16).ok())
            .collect();
        is_known.then(|| bytes.try_into().ok())?
    };
    text.lines().skip(1).find_map(of)
}

/// Of `/proc/net/arp`: the flag 2 says that a hardware address is known.
pub(super) fn arp(text: &str, address: Ipv4Addr) -> Option<bool> {
    let wanted = address.to_string();
    let flags = text.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        (fields.next()? == wanted).then(|| fields.nth(1))?
    })?;
    let flags = u32::from_str_radix(flags.trim_start_matches("0x"), 16).ok()?;
    Some(flags & 2 != 0)
}

/// Of `/proc/net/igmp`: a line for each interface, and below it one for each of its groups, as
/// the bytes lie in memory.
pub(super) fn joined4(text: &str, group: Ipv4Addr) -> Vec<String> {
    let wanted = format!("{:08X}", u32::from_ne_bytes(group.octets()));
    let mut names = Vec::new();
    let mut current = "";
    for line in text.lines().skip(1) {
        if line.starts_with(char::is_whitespace) {
            if line.split_whitespace().next() == Some(&wanted) {
                names.push(current.to_owned());
            }
        } else {
            current = line.split_whitespace().nth(1).unwrap_or_default();
            current = current.trim_end_matches(':');
        }
    }
    names
}

/// Of `/proc/net/igmp6`: index, name, group.
pub(super) fn joined6(text: &str, group: Ipv6Addr) -> Vec<String> {
    let wanted = format!("{:032x}", u128::from(group));
    let name = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let name = fields.next()?;
        (fields.next()? == wanted).then(|| name.to_owned())
    };
    text.lines().filter_map(name).collect()
}

/// Of `/proc/net/udp`: the inodes of the sockets that are bound to this port.
pub(super) fn bound_inodes(text: &str, port: u16) -> Vec<u64> {
    let suffix = format!(":{port:04X}");
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let local = fields.get(1)?;
        local
            .ends_with(&suffix)
            .then(|| fields.get(9)?.parse().ok())?
    };
    text.lines().skip(1).filter_map(inode).collect()
}

/// Of a file of `KEY=value` lines.
pub(super) fn setting(text: &str, key: &str) -> Option<String> {
    let value = |line: &str| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| value.trim().trim_matches('"').to_owned())
    };
    text.lines().find_map(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{GROUP4, GROUP6};

    #[test]
    fn default_routes_are_those_to_everywhere_and_the_halves_of_it() {
        let head =
            "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";
        let text = format!(
            "{head}tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n\
             eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
             eth1\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        );
        assert_eq!(routes4(&text), ["tun0", "eth0"]);
        let zeros = "0".repeat(32);
        let via = "fe800000000000000000000000000001";
        let text = format!(
            "{zeros} 00 {zeros} 00 {via} 00000400 00000001 00000000 00000003     eth0\n\
             {zeros} 00 {zeros} 00 {zeros} ffffffff 00000001 00000000 00200200       lo\n\
             fd770000000000000000000000000000 40 {zeros} 00 {zeros} 100 1 0 1     eth1\n"
        );
        assert_eq!(routes6(&text), ["eth0"]);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn memberships_are_read_for_each_interface() {
        let text = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n\
            1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n\
            2\teth0      :     2      V3\n\t\t\t\t434CFFEF     1 0:00000000\t\t1\n\
            \t\t\t\t010000E0     1 0:00000000\t\t0\n";
        assert_eq!(joined4(text, GROUP4), ["eth0"]);
        let text = "1    lo              ff12000000000000006c616e63686174     1 0000000C 0\n\
            2    eth0            ff120000000000000000000000000001     1 0000000C 0\n\
            3    eth1            ff12000000000000006c616e63686174     1 0000000C 0\n";
        let text = text.replace(
            "ff12000000000000006c616e63686174",
            &format!("{:032x}", u128::from(GROUP6)),
        );
        assert_eq!(joined6(&text, GROUP6), ["lo", "eth1"]);
    }

    #[test]
    fn the_table_of_neighbours_tells_who_answers() {
        let text = "IP address       HW type     Flags       HW address            Mask     Device\n\
            10.0.0.9         0x1         0x2         02:00:00:00:00:09     *        eth0\n\
            10.0.0.1         0x1         0x0         00:00:00:00:00:00     *        eth0\n";
        let at = |last| arp(text, Ipv4Addr::new(10, 0, 0, last));
        assert_eq!((at(9), at(1), at(7)), (Some(true), Some(false), None));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_router_of_a_link_is_that_of_its_preferred_default_route() {
        let routes = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
            eth0\t00000000\t0900000A\t0003\t0\t0\t600\t00000000\t0\n\
            eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\n\
            tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\n\
            eth1\t0000000A\t0700000A\t0003\t0\t0\t1\t00FFFFFF\t0\n";
        let neighbors = "IP address  HW type  Flags  HW address         Mask  Device\n\
            10.0.0.1    0x1      0x2    02:00:00:00:00:07  *     eth1\n\
            10.0.0.1    0x1      0x2    02:00:00:00:00:01  *     eth0\n\
            10.0.0.9    0x1      0x0    00:00:00:00:00:00  *     eth0\n";
        let found = gateways4(routes, || neighbors.to_owned());
        let named: Vec<_> = found.iter().map(|(name, of)| (&name[..], *of)).collect();
        let at = |last, mac| Gateway {
            address: [10, 0, 0, last].into(),
            mac,
        };
        let wanted = [
            ("eth0", at(1, Some([2, 0, 0, 0, 0, 1]))),
            ("eth0", at(9, None)),
        ];
        assert_eq!(named, wanted);
        let zeros = "0".repeat(32);
        let via = "fe800000000000000000000000000001";
        let text = format!(
            "{zeros} 00 {zeros} 00 {via} 00000400 00000001 00000000 00000003     eth0\n\
             {zeros} 00 {zeros} 00 {zeros} ffffffff 00000001 00000000 00200200       lo\n"
        );
        let found = gateways6(&text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].1.address, "fe80::1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn a_setting_is_the_value_behind_its_name() {
        let text = "# ENABLED=no\nENABLED = yes\nDefaultZone=\"home\"\n";
        assert_eq!(setting(text, "ENABLED").as_deref(), Some("yes"));
        assert_eq!(setting(text, "DefaultZone").as_deref(), Some("home"));
        assert_eq!(setting(text, "LOGLEVEL"), None);
    }

    #[test]
    fn sockets_are_found_by_their_port() {
        let text = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            50: 00000000:148E 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 4711 2 0 0\n\
            51: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 12 2 0 0\n";
        assert_eq!(bound_inodes(text, 5262), [4711]);
        assert_eq!(
            bound_inodes("nonsense\nmore nonsense\n", 5262),
            [] as [u64; 0]
        );
    }
}
