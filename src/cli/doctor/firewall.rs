//! The firewall of this computer, asked with its own tools: commands that list, never one that
//! changes. A tool that is missing, refuses (most want root) or takes too long tells nothing.

use std::ffi::OsString;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::neighbours::Listed;
use super::nft;
use crate::api::diagnosis::{Firewall, Tool};
use crate::net::{self, FirewallService};

/// How long one tool may take; ufw and firewall-cmd start an interpreter first.
const PATIENCE: Duration = Duration::from_millis(2000);
/// Most of a listing that is read, in bytes.
const LISTING_LEN_MAX: u64 = 4 * 1024 * 1024;

/// What is found on this system, for the presence port and the chat port.
pub(super) fn find(ports: (u16, u16)) -> Firewall {
    let found = match std::env::consts::OS {
        "linux" => service(ports).or_else(|| nftables(ports)).or_else(iptables),
        "windows" => windows(),
        "macos" => macos(),
        _ => None,
    };
    found.unwrap_or_default()
}

/// How the system stands with an address on its link; none where there is no tool to ask.
pub(super) fn neighbour(address: IpAddr) -> Option<Listed> {
    let family = if address.is_ipv4() { "-4" } else { "-6" };
    let listed = run("ip", &[family, "neigh", "show", "to", &address.to_string()])?;
    Some(neighbour_state(&listed))
}

/// The states of RFC 4861, section 7.3.2, as ip prints them.
fn neighbour_state(listed: &str) -> Listed {
    match listed.split_whitespace().last() {
        Some("FAILED" | "INCOMPLETE") => Listed::Failed,
        Some("REACHABLE" | "PERMANENT") => Listed::Reachable,
        Some("DELAY" | "PROBE") => Listed::Asked,
        _ => Listed::Unknown,
    }
}

fn service(ports: (u16, u16)) -> Option<Firewall> {
    match net::firewall_service()? {
        FirewallService::Ufw => Some(ufw(ports)),
        FirewallService::Firewalld(zone) => firewalld(ports, zone),
    }
}

fn ufw((port, chat): (u16, u16)) -> Firewall {
    let status = run("ufw", &["status", "verbose"]);
    Firewall {
        tool: Some(Tool::Ufw),
        open: status.map(|status| ufw_opens(&status, &[port, chat])),
    }
}

/// Whether a `ufw status verbose` lets these UDP ports in from anywhere.
fn ufw_opens(status: &str, ports: &[u16]) -> bool {
    let by_default = status.contains("Default: allow (incoming)");
    let allows = |line: &str, port: u16| {
        let mut fields = line.split_whitespace();
        let Some(to) = fields.next() else {
            return false;
        };
        let (list, protocol) = to.split_once('/').unwrap_or((to, "udp"));
        let named = list.split(',').any(|part| in_range(part, port));
        named && protocol == "udp" && line.contains("ALLOW") && !line.contains("ALLOW OUT")
    };
    let is_open = |port: &u16| status.lines().any(|line| allows(line, *port));
    status.contains("Status: inactive") || by_default || ports.iter().all(is_open)
}

/// Whether `5262` or `5262:5279` holds this port.
fn in_range(text: &str, port: u16) -> bool {
    let (first, last) = text.split_once(':').unwrap_or((text, text));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) => (first..=last).contains(&port),
        _ => false,
    }
}

fn firewalld((port, chat): (u16, u16), zone: String) -> Option<Firewall> {
    let state = run("firewall-cmd", &["--state"])?;
    if state.trim() != "running" {
        return None;
    }
    let is_open = |port: u16| {
        let (zone, query) = (format!("--zone={zone}"), format!("--query-port={port}/udp"));
        run_any("firewall-cmd", &[&zone, &query]).map(|(_, said_yes)| said_yes)
    };
    let open = is_open(port).zip(is_open(chat)).map(|(a, b)| a && b);
    let tool = Some(Tool::Firewalld(zone));
    Some(Firewall { tool, open })
}

fn nftables((port, chat): (u16, u16)) -> Option<Firewall> {
    let listed = run("nft", &["-j", "list", "ruleset"])?;
    let ruleset = nft::Ruleset::parse(&listed)?;
    let closed: Vec<String> = ruleset.not_open(&[port, chat]);
    if closed.is_empty() {
        return Some(Firewall {
            tool: None,
            open: Some(true),
        });
    }
    Some(Firewall {
        open: ruleset.drops(&[port, chat]).then_some(false),
        tool: Some(Tool::Nft(closed)),
    })
}

fn iptables() -> Option<Firewall> {
    let listed = run("iptables", &["-S", "INPUT"])?;
    let drops = |line: &str| {
        line.starts_with("-P INPUT DROP") || line.contains("-j DROP") || line.contains("-j REJECT")
    };
    let may_drop = listed.lines().any(drops);
    Some(Firewall {
        tool: may_drop.then_some(Tool::Iptables),
        open: (!may_drop).then_some(true),
    })
}

fn windows() -> Option<Firewall> {
    let state = run("netsh", &["advfirewall", "show", "currentprofile", "state"])?;
    let is_on = state.split_whitespace().any(|word| word == "ON");
    is_on.then_some(Firewall {
        tool: Some(Tool::Windows),
        open: None,
    })
}

fn macos() -> Option<Firewall> {
    let tool = "/usr/libexec/ApplicationFirewall/socketfilterfw";
    let state = run(tool, &["--getglobalstate"])?;
    let program = std::env::current_exe().ok()?;
    state.contains("enabled").then(|| Firewall {
        tool: Some(Tool::MacOs(program.display().to_string())),
        open: None,
    })
}

/// What a command printed, if it ended well.
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    run_any(program, arguments).and_then(|(printed, well)| well.then_some(printed))
}

/// What a command printed and whether it ended well; none if it could not be run or took too long.
fn run_any(program: &str, arguments: &[&str]) -> Option<(String, bool)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if cfg!(unix) {
        // The tools of the administrator are not on everybody's path.
        command.env("PATH", with_sbin(path));
    }
    let mut child = command.spawn().ok()?;
    let out = child.stdout.take()?;
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut printed = Vec::new();
        let read = out.take(LISTING_LEN_MAX).read_to_end(&mut printed);
        // Nobody listens any more if it took too long.
        let _ = tell.send(read.map(|_| printed));
    });
    let printed = told.recv_timeout(PATIENCE);
    if printed.is_err() {
        // It may have ended just now.
        let _ = child.kill();
    }
    let status = child.wait().ok()?;
    let printed = printed.ok()?.ok()?;
    Some((
        String::from_utf8_lossy(&printed).into_owned(),
        status.success(),
    ))
}

/// The directories of the administrator's tools behind those of the path. An empty entry would
/// be the current directory, and what lies there is no tool of the system.
fn with_sbin(path: OsString) -> OsString {
    let dirs: Vec<_> = std::env::split_paths(&path)
        .filter(|dir| dir.is_absolute())
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .collect();
    std::env::join_paths(dirs).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ufw_opens_what_its_status_says() {
        let status = |rules: &str| {
            format!(
                "Status: active\nLogging: on (low)\nDefault: deny (incoming), allow (outgoing)\n\n\
                 To                         Action      From\n--                         ------      ----\n{rules}"
            )
        };
        for (rules, open) in [
            ("", false),
            ("22/tcp                     ALLOW IN    Anywhere\n", false),
            ("5262,5263/udp              ALLOW IN    Anywhere\n", true),
            ("5262:5279/udp              ALLOW IN    Anywhere\n", true),
            ("5262/udp                   ALLOW IN    Anywhere\n", false),
            ("5262:5279/tcp              ALLOW IN    Anywhere\n", false),
            ("5262:5279/udp              DENY IN     Anywhere\n", false),
            ("5262:5279/udp              ALLOW OUT   Anywhere\n", false),
        ] {
            assert_eq!(ufw_opens(&status(rules), &[5262, 5263]), open, "{rules}");
        }
        assert!(ufw_opens("Status: inactive\n", &[5262]));
        assert!(ufw_opens(
            "Default: allow (incoming), deny (routed)\n",
            &[5262]
        ));
    }

    #[test]
    #[cfg(unix)]
    fn tools_are_looked_for_in_no_current_directory() {
        let with = |path: &str| with_sbin(path.into()).into_string().unwrap();
        assert_eq!(with("/usr/bin:/bin"), "/usr/bin:/bin:/usr/sbin:/sbin");
        for path in ["", ":", ".:", "bin"] {
            assert_eq!(with(path), "/usr/sbin:/sbin", "{path:?}");
        }
    }

    #[test]
    fn the_state_of_a_neighbour_stands_last() {
        let of = neighbour_state;
        assert_eq!(of("fe80::1 dev eth0  FAILED\n"), Listed::Failed);
        let there = |state: &str| format!("fe80::1 dev eth0 lladdr 02:00:00:00:00:01 {state}\n");
        assert_eq!(of(&there("REACHABLE")), Listed::Reachable);
        assert_eq!(of(&there("PROBE")), Listed::Asked);
        assert_eq!(of(&there("STALE")), Listed::Unknown);
        assert_eq!(of(""), Listed::Unknown);
    }

    #[test]
    #[cfg(unix)]
    fn a_command_that_is_missing_fails_or_hangs_tells_nothing() {
        assert_eq!(run("lanchat-no-such-tool", &[]), None);
        assert_eq!(run("false", &[]), None);
        assert_eq!(run_any("false", &[]), Some((String::new(), false)));
        assert_eq!(run("echo", &["7"]).as_deref(), Some("7\n"));
        assert_eq!(run("sleep", &["600"]), None);
    }
}
