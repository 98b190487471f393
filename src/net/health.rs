//! What works on each interface: sends that fail are not tried on and on, and people are told
//! what is wrong and what to do.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use super::NetConfig;
use super::interfaces::Scan;
use super::multicast::{Presence, Problem};
use super::udp::Family;
use crate::datagram::{Link, LinkId, Path};
use crate::limits::INTERFACES_MAX;

/// What works on one interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkState {
    /// Its name.
    pub name: String,
    /// Whether it is the loopback.
    pub loopback: bool,
    /// Whether people are looked for here; not on container bridges, tunnels and the like.
    pub used: bool,
    /// Whether multicast can be sent and received, in one family at least.
    pub multicast: bool,
    /// Whether broadcast can.
    pub broadcast: bool,
    /// What is wrong and what to do, if something is known.
    pub hint: Option<String>,
}

impl LinkState {
    /// One beyond the most that are used.
    pub(super) fn left_out(name: &str) -> Self {
        let why = format!(
            "not used: there are more than {INTERFACES_MAX} interfaces; \
             choose with --interface NAME"
        );
        LinkState::unused(name, why)
    }

    /// One that is down.
    pub(super) fn down(name: &str) -> Self {
        let why = "it is down: is the cable plugged in, the Wi-Fi connected?";
        LinkState::unused(name, why.to_owned())
    }

    fn unused(name: &str, why: String) -> Self {
        LinkState {
            name: name.to_owned(),
            loopback: false,
            used: false,
            multicast: false,
            broadcast: false,
            hint: Some(why),
        }
    }
}

/// The network in one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NetState {
    /// Works.
    Ok,
    /// Works in part; the hints say what does not.
    Degraded,
    /// No interface but the loopback.
    Down,
}

impl NetState {
    /// All interfaces in one word.
    #[must_use]
    pub fn of(states: &[LinkState]) -> NetState {
        let used = || states.iter().filter(|state| state.used);
        if !used().any(|state| !state.loopback) {
            return NetState::Down;
        }
        if used().any(|state| state.hint.is_some()) {
            return NetState::Degraded;
        }
        NetState::Ok
    }
}

/// Failures in a row before sending is suspended.
const FAILURES_MAX: u32 = 3;
/// First and longest suspension.
const BACK_OFF: Duration = Duration::from_secs(1);
const BACK_OFF_MAX: Duration = Duration::from_secs(30);

/// How sending on one path of one interface goes.
#[derive(Default)]
pub(super) struct Health {
    failures: u32,
    retry_at: Option<Instant>,
    error: Option<String>,
}

impl Health {
    /// Whether sending is suspended.
    pub(super) fn is_backing_off(&self, now: Instant) -> bool {
        self.retry_at.is_some_and(|at| now < at)
    }

    /// What became of one send.
    pub(super) fn note(&mut self, now: Instant, path: (LinkId, Path), result: io::Result<()>) {
        let error = match result {
            Ok(()) => {
                *self = Health::default();
                return;
            }
            // A local firewall: it may drop one datagram and pass the next.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.error = Some("the firewall of this host drops it".to_owned());
                return;
            }
            Err(error) => error,
        };
        if self.error.is_none() {
            tracing::warn!(?path, %error, "group send");
        }
        self.error = Some(error.to_string());
        self.failures = self.failures.saturating_add(1);
        if let Some(over) = self.failures.checked_sub(FAILURES_MAX) {
            let back_off = BACK_OFF.saturating_mul(1 << over.min(5)).min(BACK_OFF_MAX);
            self.retry_at = Some(now + back_off);
        }
    }
}

/// Whether a failed send says that its destination is not there; not so when a firewall of this
/// host dropped it.
pub(super) fn means_unreachable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}

/// What works on each interface, and for each named one that is not there that it is not.
pub(super) fn states(
    config: &NetConfig,
    scan: &Scan,
    presence: &Presence,
    health: &BTreeMap<(LinkId, Path), Health>,
) -> Vec<LinkState> {
    let send_error = |link: &Link, path| {
        let health = health.get(&(link.id, path))?;
        // One lost datagram is not worth a word, nor is an address that is seconds old.
        let lasting = health.failures >= FAILURES_MAX || health.failures == 0;
        health.error.clone().filter(|_| lasting)
    };
    let mut states: Vec<LinkState> = scan
        .links
        .iter()
        .map(|link| state(config, link, presence, &send_error))
        .collect();
    for name in &config.interfaces {
        if !scan.links.iter().any(|link| link.name == *name) && !scan.down.contains(name) {
            let why = format!("there is no interface {name:?} with an address now");
            states.push(LinkState::unused(name, why));
        }
    }
    states.extend(scan.left_out.iter().map(|name| LinkState::left_out(name)));
    states.extend(scan.down.iter().map(|name| LinkState::down(name)));
    states
}

fn state(
    config: &NetConfig,
    link: &Link,
    presence: &Presence,
    send_error: &dyn Fn(&Link, Path) -> Option<String>,
) -> LinkState {
    if !link.group {
        return LinkState {
            name: link.name.clone(),
            loopback: link.loopback,
            used: false,
            multicast: false,
            broadcast: false,
            hint: Some(format!(
                "not searched for people; name it with --interface {} to do so",
                link.name
            )),
        };
    }
    let mcast4 = (!link.v4.is_empty()).then(|| {
        receive_error(presence, link, Family::V4, true).or(send_error(link, Path::Mcast4))
    });
    let mcast6 = (!link.v6.is_empty()).then(|| {
        receive_error(presence, link, Family::V6, true).or(send_error(link, Path::Mcast6))
    });
    let bcast4 = link.v4.iter().any(|at| at.broadcast().is_some()).then(|| {
        receive_error(presence, link, Family::V4, false).or(send_error(link, Path::Bcast4))
    });
    // None: no address for it. Some(None): works. Some(Some(error)): does not.
    let works = |path: &Option<Option<String>>| matches!(path, Some(None));
    let multicast = config.multicast && (works(&mcast4) || works(&mcast6));
    let broadcast = config.broadcast && works(&bcast4);
    let multicast_error = match config.multicast && !multicast {
        true => mcast4.or(mcast6).flatten(),
        false => None,
    };
    let broadcast_error = match config.broadcast && !broadcast {
        true => bcast4.flatten(),
        false => None,
    };
    LinkState {
        name: link.name.clone(),
        loopback: link.loopback,
        used: true,
        multicast,
        broadcast,
        hint: hint(multicast_error, broadcast_error),
    }
}

fn receive_error(
    presence: &Presence,
    link: &Link,
    family: Family,
    multicast: bool,
) -> Option<String> {
    match presence.problem(link.id, family)? {
        Problem::Bind(error) => Some(error.clone()),
        Problem::Join(error) => multicast.then(|| error.clone()),
    }
}

fn hint(multicast: Option<String>, broadcast: Option<String>) -> Option<String> {
    match (multicast, broadcast) {
        (None, None) => None,
        (Some(error), None) => Some(format!("multicast does not work: {error}")),
        (None, Some(error)) => Some(format!("broadcast does not work: {error}")),
        (Some(error), Some(other)) if error == other => Some(format!(
            "neither multicast nor broadcast works: {error}; people are reached by --peer ADDRESS"
        )),
        (Some(error), Some(other)) => Some(format!(
            "neither multicast ({error}) nor broadcast ({other}) works; \
             people are reached by --peer ADDRESS"
        )),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    const PATH: (LinkId, Path) = (LinkId(2), Path::Mcast4);

    fn down() -> io::Result<()> {
        Err(io::ErrorKind::NetworkUnreachable.into())
    }

    #[test]
    fn three_failures_suspend_sending_and_one_success_ends_it() {
        let now = Instant::now();
        let mut health = Health::default();
        for _ in 0..2 {
            health.note(now, PATH, down());
            assert!(!health.is_backing_off(now));
        }
        health.note(now, PATH, down());
        assert!(health.is_backing_off(now));
        let later = now + BACK_OFF;
        assert!(!health.is_backing_off(later));
        health.note(later, PATH, down());
        assert!(health.is_backing_off(later + BACK_OFF));
        for _ in 0..100 {
            health.note(later, PATH, down());
        }
        assert!(!health.is_backing_off(later + BACK_OFF_MAX));
        health.note(later, PATH, Ok(()));
        assert!(!health.is_backing_off(later));
        assert_eq!(health.error, None);
    }

    #[test]
    fn a_firewall_that_drops_some_suspends_nothing() {
        let now = Instant::now();
        let mut health = Health::default();
        for _ in 0..100 {
            health.note(now, PATH, Err(io::ErrorKind::PermissionDenied.into()));
            assert!(!health.is_backing_off(now));
        }
        assert!(health.error.is_some());
        assert!(!means_unreachable(&io::ErrorKind::PermissionDenied.into()));
    }

    fn link_state(loopback: bool, used: bool, hint: Option<&str>) -> LinkState {
        LinkState {
            name: "x".into(),
            loopback,
            used,
            multicast: true,
            broadcast: true,
            hint: hint.map(str::to_owned),
        }
    }

    #[test]
    fn the_network_in_one_word() {
        let lo = link_state(true, true, None);
        let eth0 = link_state(false, true, None);
        let broken = link_state(false, true, Some("x"));
        let docker0 = link_state(false, false, Some("not searched"));
        assert_eq!(NetState::of(std::slice::from_ref(&lo)), NetState::Down);
        assert_eq!(NetState::of(&[lo.clone(), docker0.clone()]), NetState::Down);
        assert_eq!(
            NetState::of(&[lo.clone(), eth0.clone(), docker0]),
            NetState::Ok
        );
        assert_eq!(NetState::of(&[lo, eth0, broken]), NetState::Degraded);
    }
}
