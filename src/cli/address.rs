//! Addresses as they are typed: with or without port and scope, or a host name.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::str::FromStr;

use crate::datagram::canonical;
use crate::error::{ExitCode, UserError};

/// A machine to greet, as it was typed: not looked up yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerAddress {
    host: PeerHost,
    /// 0 where none was given.
    port: u16,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum PeerHost {
    Ip(IpAddr),
    /// Link-local with the name or number of its interface.
    Scoped(Ipv6Addr, String),
    Name(String),
}

impl FromStr for PeerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = split(text)?;
        let port = port.map(parse_port).transpose()?.unwrap_or(0);
        let host = parse_host(host)?;
        let one = match &host {
            PeerHost::Ip(ip) => !is_group(*ip),
            PeerHost::Scoped(ip, _) => !is_group(IpAddr::V6(*ip)),
            PeerHost::Name(_) => true,
        };
        if !one {
            return Err("it must be the address of one machine".to_owned());
        }
        Ok(PeerAddress { host, port })
    }
}

/// An address with its port: of one machine, of this one, of a group or of everybody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FullAddress(PeerAddress);

impl FromStr for FullAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = split(text)?;
        let port = port.ok_or("its port is missing: write ADDR:PORT, IPv6 as [ADDR]:PORT")?;
        let port = parse_port(port)?;
        let host = parse_host(host)?;
        Ok(FullAddress(PeerAddress { host, port }))
    }
}

impl FullAddress {
    /// As [`PeerAddress::resolve`].
    ///
    /// # Errors
    /// The name is not found, or there is no such interface.
    pub fn resolve(&self) -> Result<Vec<SocketAddr>, UserError> {
        self.0.resolve().map_err(|error| {
            let message = error.message.replace("the peer ", "");
            UserError::new(error.code, message).hint("give an address, such as 10.1.2.3:7000")
        })
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            PeerHost::Ip(ip) => write!(f, "{ip}"),
            PeerHost::Scoped(ip, scope) => write!(f, "{ip}%{scope}"),
            PeerHost::Name(name) => f.write_str(name),
        }
    }
}

impl PeerAddress {
    /// The addresses of this machine, port 0 where none was given. Asks the system, and with a
    /// name perhaps the network; this may take seconds.
    ///
    /// # Errors
    /// The name is not found, or there is no such interface.
    pub fn resolve(&self) -> Result<Vec<SocketAddr>, UserError> {
        self.resolve_with(interface_index, |name| {
            Ok((name, 0)
                .to_socket_addrs()?
                .map(|found| found.ip())
                .collect())
        })
    }

    fn resolve_with(
        &self,
        index: impl Fn(&str) -> Option<u32>,
        lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>>,
    ) -> Result<Vec<SocketAddr>, UserError> {
        let failed = |reason: String| {
            let message = format!("the peer \"{self}\" cannot be found: {reason}");
            UserError::new(ExitCode::Usage, message)
                .hint("give its address, such as `--peer 10.1.2.3`")
        };
        match &self.host {
            PeerHost::Ip(ip) => Ok(vec![canonical(SocketAddr::new(*ip, self.port))]),
            PeerHost::Scoped(ip, scope) => {
                let number = scope.parse().ok().or_else(|| index(scope));
                let number =
                    number.ok_or_else(|| failed("there is no such interface".to_owned()))?;
                Ok(vec![SocketAddrV6::new(*ip, self.port, 0, number).into()])
            }
            PeerHost::Name(name) => {
                let found = lookup(name).map_err(|error| failed(error.to_string()))?;
                let mut addresses: Vec<SocketAddr> = found
                    .into_iter()
                    .map(|ip| canonical(SocketAddr::new(ip, self.port)))
                    .collect();
                addresses.sort_unstable();
                addresses.dedup();
                match addresses.is_empty() {
                    true => Err(failed("it has no address".to_owned())),
                    false => Ok(addresses),
                }
            }
        }
    }
}

/// Host and port of `HOST`, `HOST:PORT`, `[V6]`, `[V6]:PORT` or a bare `V6`.
fn split(text: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("a ] is missing")?;
        if !host.contains(':') {
            return Err("only an IPv6 address stands in brackets".to_owned());
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err("after ] only :PORT may follow".to_owned()),
        };
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Ok((text, None)),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

fn parse_port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("its port {text:?} must be a number, 1 to 65535")),
        Ok(port) => Ok(port),
    }
}

fn parse_host(text: &str) -> Result<PeerHost, String> {
    if let Some((ip, scope)) = text.split_once('%') {
        let ip: Ipv6Addr = ip
            .parse()
            .map_err(|_| "before % must stand an IPv6 address")?;
        return match scope {
            "" => Err("after % must stand an interface".to_owned()),
            scope => Ok(PeerHost::Scoped(ip, scope.to_owned())),
        };
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return match ip {
            // Groups of the link or of this machine (RFC 4291, 2.7) are in every interface's reach.
            IpAddr::V6(v6) if v6.is_unicast_link_local() || is_group_of_link(v6) => {
                Err("a link-local address needs its interface, such as fe80::1%eth0".to_owned())
            }
            ip => Ok(PeerHost::Ip(ip)),
        };
    }
    // "10.0.0" is a name to nobody, but the system would take it for 10.0.0.0.
    let last = text.trim_end_matches('.').rsplit('.').next().unwrap_or("");
    let numeric = last.chars().all(|c| c.is_ascii_digit());
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    if numeric || !text.chars().all(plain) || text.len() > 253 {
        return Err("it must be ADDR, ADDR:PORT, [ADDR]:PORT or a host name".to_owned());
    }
    Ok(PeerHost::Name(text.to_owned()))
}

fn is_group(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    ip.is_multicast() || ip.is_unspecified() || broadcast
}

fn is_group_of_link(ip: Ipv6Addr) -> bool {
    matches!(ip.octets(), [0xff, scope, ..] if matches!(scope & 0x0f, 1 | 2))
}

fn interface_index(name: &str) -> Option<u32> {
    let interfaces = if_addrs::get_if_addrs().ok()?;
    let mut found = interfaces.iter().filter(|interface| interface.name == name);
    found.find_map(|interface| interface.index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> Result<Vec<SocketAddr>, String> {
        let index = |name: &str| (name == "eth0").then_some(7);
        let lookup = |name: &str| match name {
            "ben.lan" => Ok(vec![
                [10, 0, 0, 9].into(),
                [10, 0, 0, 9].into(),
                Ipv6Addr::LOCALHOST.into(),
            ]),
            "empty" => Ok(vec![]),
            _ => Err(io::Error::other("no such host")),
        };
        let peer: PeerAddress = text.parse()?;
        peer.resolve_with(index, lookup)
            .map_err(|error| error.message)
    }

    #[test]
    fn every_spelling_is_understood() {
        for (text, expected) in [
            ("10.0.0.9", "10.0.0.9:0"),
            ("10.0.0.9:5263", "10.0.0.9:5263"),
            ("fd00::9", "[fd00::9]:0"),
            ("[fd00::9]", "[fd00::9]:0"),
            ("[fd00::9]:7", "[fd00::9]:7"),
            ("fe80::1%3", "[fe80::1%3]:0"),
            ("fe80::1%eth0", "[fe80::1%7]:0"),
            ("[fe80::1%eth0]:5263", "[fe80::1%7]:5263"),
            ("::ffff:10.0.0.9", "10.0.0.9:0"),
            ("::1", "[::1]:0"),
        ] {
            assert_eq!(resolve(text), Ok(vec![expected.parse().unwrap()]), "{text}");
        }
        let both = ["10.0.0.9:7", "[::1]:7"].map(|text| text.parse().unwrap());
        assert_eq!(resolve("ben.lan:7"), Ok(both.to_vec()));
    }

    #[test]
    fn what_is_no_machine_is_refused() {
        for (text, says) in [
            ("", "host name"),
            ("10.0.0", "host name"),
            ("300.1.1.1", "host name"),
            ("a b", "host name"),
            ("a\u{1b}[2J", "host name"),
            ("10.0.0.9:0", "1 to 65535"),
            ("10.0.0.9:", "1 to 65535"),
            ("10.0.0.9:66000", "1 to 65535"),
            ("[fd00::9", "] is missing"),
            ("[fd00::9]7", "only :PORT"),
            ("[10.0.0.9]:7", "in brackets"),
            ("fe80::1", "needs its interface"),
            ("[ff02::1]:7", "needs its interface"),
            ("[ff11::77]:7", "needs its interface"),
            ("fe80::1%", "interface"),
            ("10.0.0.9%eth0", "IPv6"),
            ("239.255.76.67", "one machine"),
            ("255.255.255.255", "one machine"),
            ("0.0.0.0:7", "one machine"),
            ("ff02::1%eth0", "one machine"),
            ("fe80::1%eth9", "no such interface"),
            ("ana.lan", "no such host"),
            ("empty", "no address"),
        ] {
            let error = resolve(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn the_system_knows_localhost() {
        let peer: PeerAddress = "localhost:7".parse().unwrap();
        let found = peer.resolve().unwrap();
        assert!(
            found
                .iter()
                .all(|address| address.ip().is_loopback() && address.port() == 7)
        );
    }
}
