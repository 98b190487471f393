//! What a node and its sockets observed, put together for the diagnosis.

use std::net::IpAddr;

use crate::api::diagnosis::{Facts, Firewall, LinkFacts, LinkKind, Neighbour, Paths, System, Tool};
use crate::datagram::{Link, Path};
use crate::net::{self, FirewallService, LinkState, Net, NetConfig, SystemLink};
use crate::proto::{Endpoint, LinkHeard};

/// The facts as far as this node knows them; of the firewall nothing, since asking it may take
/// long.
#[must_use]
pub fn facts(config: &NetConfig, net: &Net, endpoint: &Endpoint) -> Facts {
    let heard = endpoint.links_heard();
    let states = net.states();
    let links: Vec<LinkFacts> = net::system_links(config)
        .iter()
        .map(|system| {
            let link = net.links().iter().find(|link| link.id == system.id);
            let state = states.iter().find(|state| state.name == system.name);
            let heard = heard.get(&system.id).copied().unwrap_or_default();
            link_facts(config, system, (link, state), heard)
        })
        .collect();
    let mut people = endpoint.people_heard();
    for person in &mut people {
        person.neighbour = person.address.map_or(Neighbour::Unknown, neighbour);
    }
    Facts {
        system: this_system(),
        port: config.port,
        chat_port: net.chat_port(),
        firewall: Firewall {
            tool: firewall_service(),
            open: None,
        },
        links,
        people,
        own_round_trip: None,
        sounded: false,
    }
}

/// Finds out who has the presence port where it is taken; looks at every process, so only where
/// somebody asks.
pub fn name_holder(facts: &mut Facts) {
    let mut taken = facts
        .links
        .iter_mut()
        .filter(|link| link.bind_error.is_some())
        .peekable();
    if taken.peek().is_some() {
        let holder = net::port_holder(facts.port);
        taken.for_each(|link| link.port_holder.clone_from(&holder));
    }
}

fn link_facts(
    config: &NetConfig,
    system: &SystemLink,
    (link, state): (Option<&Link>, Option<&LinkState>),
    heard: LinkHeard,
) -> LinkFacts {
    let kind = match system {
        SystemLink { loopback: true, .. } => LinkKind::Loopback,
        SystemLink {
            point_to_point: true,
            ..
        } => LinkKind::Tunnel,
        SystemLink { internal: true, .. } => LinkKind::Internal,
        _ => LinkKind::Lan,
    };
    let usable = link.map_or_else(Paths::default, |link| usable(config, link));
    let unreliable = state.map_or_else(Paths::default, |state| Paths::of(&state.unreliable));
    let named = config.interfaces.is_empty() || config.interfaces.contains(&system.name);
    LinkFacts {
        id: system.id,
        name: system.name.clone(),
        kind,
        // One without an address is no link yet, and would be one with it.
        used: link.map_or(named && !system.has_address, |link| link.group),
        carrier: system.carrier,
        has_address: system.has_address,
        default_route: system.default_route,
        bind_error: state.and_then(|state| state.bind_error.clone()),
        port_holder: None,
        send_error: state.and_then(|state| state.send_error.clone()),
        member: system.member,
        usable: usable.without(unreliable),
        looped: heard.looped,
        heard: heard.heard,
    }
}

/// The paths by which is sent on this link, as `proto` decides it.
fn usable(config: &NetConfig, link: &Link) -> Paths {
    let mut paths = Paths::default();
    if config.multicast && !link.v4.is_empty() {
        paths.insert(Path::Mcast4);
    }
    if config.multicast && !link.v6.is_empty() {
        paths.insert(Path::Mcast6);
    }
    if config.broadcast && link.v4.iter().any(|at| at.broadcast().is_some()) {
        paths.insert(Path::Bcast4);
    }
    paths
}

/// What the table of neighbours says without a tool. An entry there may be old, or learnt from
/// the other's own question: none is what tells.
fn neighbour(address: IpAddr) -> Neighbour {
    match net::answers_on_link(address) {
        Some(false) => Neighbour::Failed,
        Some(true) | None => Neighbour::Unknown,
    }
}

/// The firewall service whose files say that it runs; its rules are not asked.
fn firewall_service() -> Option<Tool> {
    Some(match net::firewall_service()? {
        FirewallService::Ufw => Tool::Ufw,
        FirewallService::Firewalld(zone) => Tool::Firewalld(zone),
    })
}

fn this_system() -> System {
    match std::env::consts::OS {
        "linux" => System::Linux,
        "macos" => System::MacOs,
        "windows" => System::Windows,
        _ => System::Other,
    }
}
