//! Networks on which groups do not pass: routers, firewalls, switches that drop them.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::Test;
use super::meet::they_talk;
use crate::harness::lan::Lan;
use crate::harness::node::{Node, SOON, all_meet};
use crate::harness::world;

pub const TESTS: &[Test] = &[
    ("reach::across_a_router", across_a_router),
    (
        "reach::who_was_met_is_found_again_without_groups",
        who_was_met_is_found_again,
    ),
    (
        "reach::one_address_is_enough_for_all",
        one_address_is_enough_for_all,
    ),
    (
        "reach::behind_a_firewall_that_lets_answers_in",
        behind_a_firewall,
    ),
];

fn across_a_router() {
    let lan = Lan::new(3);
    lan.route(3, 2);
    let ben = Node::start(lan.host(2), "ben");
    ben.ready();
    let ana = Node::start_with(lan.host(1), "ana", &["--peer", "10.78.0.2"]);
    all_meet(&[&ana, &ben], SOON);
    they_talk(&ana, &ben, SOON);
    // The one who was not told an address finds the other again as well.
    ana.signal(Signal::SIGTERM);
    ben.sees("ana", &["left"], SOON);
    ana.exit_code(SOON);
    ben.forget();
    let ana = Node::start_in(lan.host(1), "ana", ana.data_dir(), &[]);
    all_meet(&[&ana, &ben], SOON);
}

/// Two people stop, and start again with nothing but what they kept.
fn who_was_met_is_found_again() {
    let lan = Lan::new(2);
    lan.drop_multicast_and_broadcast();
    let data = [world::scratch(), world::scratch()];
    let start = |number: usize, name, arguments: &[&str]| {
        Node::start_in(lan.host(number), name, data[number - 1].path(), arguments)
    };
    let ana = start(1, "ana", &[]);
    let ben = start(2, "ben", &["--peer", "10.77.0.1"]);
    all_meet(&[&ana, &ben], SOON);
    for node in [&ana, &ben] {
        node.signal(Signal::SIGTERM);
        node.exit_code(SOON);
    }
    let ana = start(1, "ana", &[]);
    ana.ready();
    let ben = start(2, "ben", &[]);
    let took = all_meet(&[&ana, &ben], SOON).saturating_duration_since(ben.started());
    assert!(took < Duration::from_secs(1), "{took:?}");
    they_talk(&ana, &ben, SOON);
}

/// Two who were told the same third find each other through it.
fn one_address_is_enough_for_all() {
    let lan = Lan::new(3);
    lan.drop_multicast_and_broadcast();
    let ana = Node::start(lan.host(1), "ana");
    ana.ready();
    let [ben, cid] = [(2, "ben"), (3, "cid")].map(|(host, name)| {
        let node = Node::start_with(lan.host(host), name, &["--peer", "10.77.0.1"]);
        node.ready();
        node
    });
    all_meet(&[&ana, &ben, &cid], 2 * SOON);
    they_talk(&ben, &cid, SOON);
}

fn behind_a_firewall() {
    let lan = Lan::new(3);
    lan.host(2).refuse_strangers();
    let ana = Node::start(lan.host(1), "ana");
    let cid = Node::start(lan.host(3), "cid");
    all_meet(&[&ana, &cid], SOON);
    let addresses = ["--peer", "10.77.0.1", "--peer", "10.77.0.3"];
    let ben = Node::start_with(lan.host(2), "ben", &addresses);
    all_meet(&[&ana, &ben, &cid], SOON);
    they_talk(&ana, &ben, SOON);
    they_talk(&cid, &ben, SOON);
    // What ben is told by a group does not reach him; it is sent to him all the same.
    for number in 0..5 {
        let text = format!("still {number}");
        let id = ana.say("#lobby", &text);
        ben.gets(&text, SOON);
        ana.delivered(&id, SOON);
    }
}
