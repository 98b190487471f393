//! Interfaces that come, go and change while lanchat runs, and those that it leaves alone.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Test;
use super::meet::they_talk;
use crate::harness::capture::{self, Capture};
use crate::harness::lan::{Host, Lan};
use crate::harness::node::{Heard, Node, SOON, all_meet, is_peer};
use crate::harness::now;

pub const TESTS: &[Test] = &[
    (
        "interfaces::a_card_that_is_plugged_in_is_used_before_the_next_poll",
        a_card_that_is_plugged_in,
    ),
    (
        "interfaces::addresses_that_change_are_followed",
        addresses_that_change,
    ),
    (
        "interfaces::a_line_written_while_addresses_change_is_for_who_is_there",
        a_line_written_while_addresses_change,
    ),
    (
        "interfaces::a_card_that_joins_another_network_finds_who_is_there",
        a_card_that_joins_another_network,
    ),
    (
        "interfaces::a_link_that_went_down_and_up_is_used_again",
        a_link_that_went_down_and_up,
    ),
    (
        "interfaces::a_pulled_cable_shows_on_both_sides_and_heals",
        a_pulled_cable,
    ),
    (
        "interfaces::a_card_that_returns_with_another_index_is_used",
        a_card_that_returns_with_another_index,
    ),
    (
        "interfaces::a_second_card_takes_over_when_the_first_is_lost",
        a_second_card_takes_over,
    ),
    (
        "interfaces::of_25_the_first_are_used_and_the_rest_is_named",
        of_25_the_first_are_used,
    ),
    (
        "interfaces::containers_are_left_alone_unless_named",
        containers_are_left_alone,
    ),
    (
        "interfaces::a_bridge_with_link_local_addresses_is_a_lan",
        a_bridge_with_link_local_addresses,
    ),
    ("interfaces::with_ipv6_only", with_ipv6_only),
    (
        "interfaces::an_address_that_is_checked_for_duplicates_is_used_after_that",
        an_address_that_is_checked,
    ),
    ("interfaces::with_ipv4_only", with_ipv4_only),
    (
        "interfaces::with_the_loopback_and_ipv6_only",
        with_the_loopback_and_ipv6_only,
    ),
    (
        "interfaces::a_named_one_is_waited_for",
        a_named_one_is_waited_for,
    ),
    ("interfaces::a_loose_plug_heals", a_loose_plug_heals),
];

/// The debounce of 250 ms, a few round trips, and two busy cores.
const BACK_WITHIN: Duration = Duration::from_secs(2);
/// The interfaces are polled this often where the system tells nothing.
const POLL: Duration = Duration::from_secs(5);
/// A lost peer, by the slowest way.
const OFFLINE_WITHIN: Duration = Duration::from_secs(10);

fn pair(lan: &Lan) -> [Node; 2] {
    pair_with(lan, &[])
}

fn pair_with(lan: &Lan, arguments: &[&str]) -> [Node; 2] {
    let start = |number, name| Node::start_with(lan.host(number), name, arguments);
    [start(1, "ana"), start(2, "ben")]
}

fn forget(nodes: &[Node]) {
    nodes.iter().for_each(Node::forget);
}

fn meet_and_forget(nodes: &[Node; 2]) {
    let [ana, ben] = nodes;
    all_meet(&[ana, ben], SOON);
    forget(nodes);
}

/// Waits until `node` shows `other` as online at an address that begins with `prefix`.
fn lists_at(node: &Node, other: &str, prefix: &str, within: Duration) -> Heard {
    let what = format!("{other} at {prefix}");
    node.wait_for(&what, within, |event| {
        let at = event["addresses"][0].as_str().unwrap_or("");
        is_peer(event, other, &["online"])
            && event["confirmed"] != false
            && at.trim_start_matches('[').starts_with(prefix)
    })
}

/// Waits for a `network` event that `wanted` accepts.
fn network(node: &Node, what: &str, wanted: impl Fn(&Value) -> bool) -> Heard {
    let is_wanted = |event: &Value| event["event"] == "network" && wanted(event);
    node.wait_for(what, BACK_WITHIN, is_wanted)
}

/// What a `network` event says of an interface.
fn hint<'a>(event: &'a Value, name: &str) -> Option<&'a str> {
    let interfaces = event["interfaces"].as_array()?;
    let found = interfaces.iter().find(|one| one["name"] == name)?;
    found["hint"].as_str()
}

/// Waits until `other` is online and answered: only then what is said counts them.
fn reaches(node: &Node, other: &str) -> Heard {
    node.wait_for(&format!("{other} confirmed"), SOON, |event| {
        is_peer(event, other, &["online"]) && event["confirmed"] == true
    })
}

fn assert_within(limit: Duration, since: Instant, heard: &[Heard]) {
    for one in heard {
        let took = one.at.saturating_duration_since(since);
        assert!(took < limit, "{} took {took:?}", one.event);
    }
}

fn a_card_that_is_plugged_in() {
    let lan = Lan::new(2);
    lan.cut(1);
    let nodes = pair(&lan);
    let [ana, ben] = &nodes;
    ana.ready();
    ben.ready();
    let told = network(ana, "no network", |event| event["state"] == "down");
    let why = hint(&told.event, "eth0").unwrap_or_default();
    assert!(why.contains("cable"), "{why:?}");
    // Nothing has changed since the start: the poll comes five seconds after it.
    let poll = ana.started().min(ben.started()) + POLL;
    let plugged = now();
    lan.second_card(1);
    lan.second_card(2);
    let met = [
        lists_at(ana, "ben", "", SOON),
        lists_at(ben, "ana", "", SOON),
    ];
    assert_within(BACK_WITHIN, plugged, &met);
    let last = met[0].at.max(met[1].at);
    assert!(last < poll, "the poll may have found it");
    network(ana, "the network", |event| {
        event["state"] == "ok" && hint(event, "eth0").is_some() && hint(event, "eth1").is_none()
    });
    they_talk(ana, ben, SOON);
}

fn addresses_that_change() {
    let lan = Lan::new(2);
    let nodes = pair_with(&lan, &["--no-ipv6"]);
    meet_and_forget(&nodes);
    let [ana, ben] = &nodes;
    let changed = now();
    for number in 1..=2 {
        lan.host(number).ip(&format!(
            "addr flush dev eth0\naddr add 10.99.0.{number}/24 brd + dev eth0\n"
        ));
    }
    let met = [
        lists_at(ana, "ben", "10.99.0.2", SOON),
        lists_at(ben, "ana", "10.99.0.1", SOON),
    ];
    assert_within(BACK_WITHIN, changed, &met);
    they_talk(ana, ben, SOON);
}

/// Before it was looked at what changed: it is said on the new network, not in the log of the old one.
fn a_line_written_while_addresses_change() {
    let lan = Lan::new(2);
    let nodes = pair_with(&lan, &["--no-ipv6"]);
    meet_and_forget(&nodes);
    let [ana, ben] = &nodes;
    // Neither waits any more for whom else there may be.
    they_talk(ana, ben, SOON);
    for number in [2, 1] {
        lan.host(number).ip(&format!(
            "addr flush dev eth0\naddr add 10.99.0.{number}/24 brd + dev eth0\n"
        ));
    }
    // Its datagrams are lost until the change is known, so it has to be served on the new network.
    lan.isolate(2);
    let id = ana.say("#lobby", "on the way");
    ana.sees("ben", &["suspect"], SOON);
    lan.rejoin(2);
    ben.gets("on the way", SOON);
    ana.delivered(&id, SOON);
}

fn a_card_that_joins_another_network() {
    let lan = Lan::new(3);
    lan.second_card(3);
    lan.cut(3);
    let nodes = pair(&lan);
    meet_and_forget(&nodes);
    let [ana, ben] = &nodes;
    let cid = Node::start(lan.host(3), "cid");
    cid.ready();
    let moved = now();
    lan.roam(1);
    let met = [
        lists_at(ana, "cid", "", SOON),
        lists_at(&cid, "ana", "", SOON),
    ];
    assert_within(BACK_WITHIN, moved, &met);
    they_talk(ana, &cid, SOON);
    ana.sees("ben", &["suspect", "offline"], OFFLINE_WITHIN);
    ben.sees("ana", &["offline"], OFFLINE_WITHIN);
}

fn a_link_that_went_down_and_up() {
    let lan = Lan::new(2);
    let nodes = pair(&lan);
    meet_and_forget(&nodes);
    let [ana, ben] = &nodes;
    lan.host(1).ip("link set eth0 down\n");
    let down = now();
    let lost = [ana.sees("ben", &["suspect"], SOON)];
    assert_within(BACK_WITHIN, down, &lost);
    network(ana, "no network", |event| event["state"] == "down");
    ben.sees("ana", &["offline"], OFFLINE_WITHIN);
    forget(&nodes);
    // The system took the IPv6 addresses away with the link.
    lan.host(1)
        .ip("link set eth0 up\naddr add fe80::1/64 dev eth0 nodad\n");
    let up = now();
    let met = [reaches(ana, "ben"), reaches(ben, "ana")];
    assert_within(BACK_WITHIN, up, &met);
    they_talk(ana, ben, SOON);
}

fn a_pulled_cable() {
    let lan = Lan::new(2);
    let nodes = pair(&lan);
    meet_and_forget(&nodes);
    let [ana, ben] = &nodes;
    lan.cut(2);
    let pulled = now();
    let lost = [ben.sees("ana", &["suspect"], SOON)];
    assert_within(BACK_WITHIN, pulled, &lost);
    ana.sees("ben", &["offline"], OFFLINE_WITHIN);
    forget(&nodes);
    lan.join(2);
    let plugged = now();
    let met = [reaches(ana, "ben"), reaches(ben, "ana")];
    assert_within(BACK_WITHIN, plugged, &met);
    they_talk(ana, ben, SOON);
}

fn a_card_that_returns_with_another_index() {
    let lan = Lan::new(2);
    let nodes = pair(&lan);
    meet_and_forget(&nodes);
    let [ana, ben] = &nodes;
    let index = || {
        let read = || nix::net::if_::if_nametoindex("eth0").expect("its index");
        lan.host(1).enter(read)
    };
    let before = index();
    lan.host(1).ip("link del eth0\n");
    ana.sees("ben", &["suspect"], BACK_WITHIN);
    ben.sees("ana", &["offline"], OFFLINE_WITHIN);
    forget(&nodes);
    lan.plug_again(1);
    let plugged = now();
    assert_ne!(index(), before);
    let met = [reaches(ana, "ben"), reaches(ben, "ana")];
    assert_within(BACK_WITHIN, plugged, &met);
    they_talk(ana, ben, SOON);

    // So quickly that it was never seen to be gone.
    forget(&nodes);
    lan.host(1).ip("link del eth0\n");
    lan.plug_again(1);
    they_talk(ana, ben, OFFLINE_WITHIN);
}

fn a_second_card_takes_over() {
    let lan = Lan::new(2);
    lan.second_card(1);
    lan.second_card(2);
    let nodes = pair_with(&lan, &["--no-ipv6"]);
    meet_and_forget(&nodes);
    let [ana, ben] = &nodes;
    they_talk(ana, ben, SOON);
    forget(&nodes);
    let in_use = ana.row("ben")["addresses"][0].to_string();
    let (card, other) = if in_use.contains("10.77.") {
        ("eth0", "10.78.0.2")
    } else {
        ("eth1", "10.77.0.2")
    };
    let lost = now();
    lan.host(1).ip(&format!("link set {card} down\n"));
    let moved = [lists_at(ana, "ben", other, SOON)];
    assert_within(BACK_WITHIN, lost, &moved);
    let gone = |event: &Value| is_peer(event, "ben", &["suspect", "offline"]);
    assert!(ana.all(gone).is_empty(), "ben was never in doubt");
    they_talk(ana, ben, SOON);
}

fn of_25_the_first_are_used() {
    let lan = Lan::new(2);
    let mut batch = String::new();
    for n in 1..=24 {
        // One end of each cable is the card; the other is only there for the carrier.
        let _ = write!(
            batch,
            "link add card{n} type veth peer name veth{n}\n\
             link set veth{n} addrgenmode none up\n\
             link set card{n} addrgenmode none up\n\
             addr add 10.100.{n}.1/24 brd + dev card{n}\n"
        );
    }
    lan.host(1).ip(&batch);
    let nodes = pair(&lan);
    let [ana, ben] = &nodes;
    all_meet(&[ana, ben], SOON);
    let told = network(ana, "what is used", |event| event["state"] == "ok");
    let names = |wanted: &dyn Fn(Option<&str>) -> bool| -> Vec<String> {
        let all = told.event["interfaces"].as_array().expect("a list");
        let found = all.iter().filter(|one| wanted(one["hint"].as_str()));
        found
            .map(|one| one["name"].as_str().unwrap_or("").to_owned())
            .collect()
    };
    // With the loopback they are sixteen.
    let used: Vec<String> = std::iter::once("eth0".to_owned())
        .chain((1..=14).map(|n| format!("card{n}")))
        .collect();
    assert_eq!(names(&|hint| hint.is_none()), used);
    let rest: Vec<String> = (15..=24).map(|n| format!("card{n}")).collect();
    let is_told = |hint: Option<&str>| hint.is_some_and(|hint| hint.contains("--interface"));
    assert_eq!(names(&is_told), rest);
    they_talk(ana, ben, SOON);
}

/// A host with a bridge of this name, and a container on it.
fn with_container(bridge: &str) -> (Lan, Host) {
    let lan = Lan::new(2);
    let container = Host::alone();
    lan.host(1).ip(&format!(
        "link add {bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n\
         link set {bridge} addrgenmode none up\n\
         addr add 172.17.0.1/16 brd + dev {bridge}\n\
         addr add fe80::99/64 dev {bridge} nodad\n\
         link add vethc0ffee type veth peer name eth0 netns {}\n\
         link set vethc0ffee master {bridge} addrgenmode none up\n",
        container.path()
    ));
    container.ip("link set eth0 addrgenmode none up\naddr add 172.17.0.2/16 brd + dev eth0\n");
    (lan, container)
}

/// The lanchat datagrams among these frames.
fn datagrams(frames: &[Vec<u8>]) -> usize {
    let all = capture::datagrams(frames);
    let is_ours =
        |datagram: &&capture::Datagram| (5262..=5279).contains(&datagram.destination.port());
    all.iter().filter(is_ours).count()
}

fn containers_are_left_alone() {
    for bridge in ["docker0", "br-0123456789ab", "virbr0"] {
        let (lan, container) = with_container(bridge);
        let seen = Capture::start(&container);
        let nodes = pair(&lan);
        let [ana, ben] = &nodes;
        all_meet(&[ana, ben], SOON);
        they_talk(ana, ben, SOON);
        let told = network(ana, "the network", |event| event["state"] == "ok");
        let why = hint(&told.event, bridge).unwrap_or_default();
        assert!(why.contains("not searched"), "{bridge}: {why:?}");
        assert_eq!(datagrams(&seen.frames()), 0, "{bridge}");

        let seen = Capture::start(&container);
        let cid = Node::start_with(lan.host(1), "cid", &["--interface", bridge]);
        let told = network(&cid, "the network", |event| event["state"] == "ok");
        assert_eq!(hint(&told.event, bridge), None);
        let dan = Node::start(&container, "dan");
        all_meet(&[&cid, &dan], SOON);
        assert!(datagrams(&seen.frames()) > 0, "{bridge} when named");
    }
}

fn a_bridge_with_link_local_addresses() {
    let lan = Lan::new(2);
    lan.host(1).ip(
        "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n\
         link set br0 addrgenmode none up\n\
         addr flush dev eth0\n\
         link set eth0 master br0\n\
         addr add 169.254.7.1/16 brd + dev br0\n",
    );
    lan.host(2)
        .ip("addr flush dev eth0\naddr add 169.254.7.2/16 brd + dev eth0\n");
    let nodes = pair(&lan);
    let [ana, ben] = &nodes;
    lists_at(ana, "ben", "169.254.7.2", SOON);
    lists_at(ben, "ana", "169.254.7.1", SOON);
    they_talk(ana, ben, SOON);
}

fn with_ipv6_only() {
    let lan = Lan::new(2);
    for host in lan.hosts() {
        host.ip(&format!("addr del {}/16 dev eth0\n", host.v4()));
    }
    let nodes = pair(&lan);
    let [ana, ben] = &nodes;
    lists_at(ana, "ben", "fe80::2", SOON);
    lists_at(ben, "ana", "fe80::1", SOON);
    they_talk(ana, ben, SOON);
}

fn an_address_that_is_checked() {
    let lan = Lan::new(2);
    for host in lan.hosts() {
        host.ip("addr flush dev eth0\n");
    }
    let nodes = pair(&lan);
    let [ana, ben] = &nodes;
    ana.ready();
    ben.ready();
    let given = now();
    for number in 1..=2 {
        lan.host(number)
            .ip(&format!("addr add fe80::{number}/64 dev eth0\n"));
    }
    let met = [
        lists_at(ana, "ben", "fe80::2", SOON),
        lists_at(ben, "ana", "fe80::1", SOON),
    ];
    // The system looks for a duplicate for up to two seconds.
    assert_within(BACK_WITHIN + BACK_WITHIN, given, &met);
    they_talk(ana, ben, SOON);
}

fn with_ipv4_only() {
    let lan = Lan::new(2);
    for host in lan.hosts() {
        host.ip(&format!(
            "addr flush dev eth0\naddr add {}/16 brd + dev eth0\n",
            host.v4()
        ));
    }
    let nodes = pair(&lan);
    let [ana, ben] = &nodes;
    lists_at(ana, "ben", "10.77.0.2", SOON);
    lists_at(ben, "ana", "10.77.0.1", SOON);
    they_talk(ana, ben, SOON);
}

fn with_the_loopback_and_ipv6_only() {
    let host = Host::alone();
    let names = ["ana", "ben", "cid"];
    let nodes = names.map(|name| Node::start_with(&host, name, &["--no-ipv4"]));
    let [ana, ben, cid] = &nodes;
    all_meet(&[ana, ben, cid], SOON);
    they_talk(ana, ben, SOON);
    they_talk(cid, ana, SOON);
}

fn a_named_one_is_waited_for() {
    let lan = Lan::new(2);
    let ana = Node::start_with(lan.host(1), "ana", &["--interface", "eth1"]);
    let ben = Node::start(lan.host(2), "ben");
    let told = network(&ana, "no network", |event| event["state"] == "down");
    let why = hint(&told.event, "eth1").unwrap_or_default();
    assert!(why.contains("no interface"), "{why:?}");
    ben.ready();
    lan.second_card(2);
    lan.second_card(1);
    network(&ana, "eth1", |event| {
        event["state"] == "ok" && hint(event, "eth1").is_none()
    });
    all_meet(&[&ana, &ben], SOON);
    ana.forget();
    lan.host(1).ip("link set eth1 down\n");
    let told = network(&ana, "no network", |event| event["state"] == "down");
    assert!(hint(&told.event, "eth1").is_some(), "{}", told.event);
}

fn a_loose_plug_heals() {
    let lan = Lan::new(2);
    let nodes = pair(&lan);
    meet_and_forget(&nodes);
    let [ana, ben] = &nodes;
    for _ in 0..8 {
        ana.forget();
        lan.host(1).ip("link set eth0 down\n");
        network(ana, "no network", |event| event["state"] == "down");
        lan.host(1).ip("link set eth0 up\n");
        network(ana, "the network", |event| event["state"] == "ok");
    }
    let steady = now();
    // Not forgetting what came since the last pull: ben may be back already.
    let met = [reaches(ana, "ben")];
    assert_within(BACK_WITHIN, steady, &met);
    they_talk(ana, ben, SOON);
}
