//! Public rooms belong to one network.

use std::time::Duration;

use lanchat::wire::{self, Body, Parsed};

use super::Test;
use crate::harness::capture::{self, Capture, Datagram};
use crate::harness::lan::{Host, Lan, hardware};
use crate::harness::node::{Node, SOON, all_meet};

pub const TESTS: &[Test] = &[(
    "networks::a_laptop_serves_nothing_of_the_office_in_the_cafe",
    a_laptop_serves_nothing,
)];

/// The address that the router has in both networks.
const ROUTER: &str = "10.77.0.254";

/// A host has this card of a host as its router.
fn routed_by(host: &Host, device: &str, (number, switch): (usize, usize)) {
    let mac = hardware(number, switch);
    host.ip(&format!(
        "neigh replace {ROUTER} lladdr {mac} dev {device} nud permanent\n\
         route replace default via {ROUTER} dev {device}\n"
    ));
}

/// The epochs of which a datagram tells, or that it carries.
fn epochs(datagram: &Datagram) -> Vec<u64> {
    let Ok(Parsed::Packet(packet)) = wire::parse(&datagram.payload) else {
        return Vec::new();
    };
    match packet.body {
        Body::Hello(hello) => hello.logs.iter().map(|log| log.epoch).collect(),
        Body::Welcome(welcome) => welcome.logs.iter().map(|log| log.epoch).collect(),
        Body::Heartbeat(heartbeat) => {
            let heads = heartbeat.rooms.iter().flat_map(|room| &room.heads);
            heads.map(|head| head.epoch).collect()
        }
        Body::Heads(heads) => vec![heads.epoch],
        Body::Data(entry) => vec![entry.epoch],
        Body::Repair(repair) => repair.entries.iter().map(|entry| entry.epoch).collect(),
        _ => Vec::new(),
    }
}

/// Two networks of one prefix: the laptop (1), a colleague (2) and a router (3) at the office, a
/// guest (4) and a router (5) in the café.
fn a_laptop_serves_nothing() {
    let lan = Lan::new(5);
    for (number, address) in [(4, "10.77.0.4"), (5, ROUTER)] {
        lan.second_card(number);
        lan.host(number).ip(&format!(
            "link del eth0\naddr flush dev eth1\naddr add {address}/16 brd + dev eth1\n"
        ));
    }
    lan.host(3).ip(&format!(
        "addr flush dev eth0\naddr add {ROUTER}/16 brd + dev eth0\n"
    ));
    routed_by(lan.host(1), "eth0", (3, 0));
    routed_by(lan.host(2), "eth0", (3, 0));
    routed_by(lan.host(4), "eth1", (5, 1));
    let ana = Node::start(lan.host(1), "ana");
    let ben = Node::start(lan.host(2), "ben");
    let zoe = Node::start(lan.host(4), "zoe");
    all_meet(&[&ana, &ben], SOON);
    let id = ana.say("#lobby", "at the office");
    ana.delivered(&id, SOON);
    ben.say("#lobby", "there as well");
    ana.gets("there as well", SOON);

    // On the way nothing is connected for a while.
    lan.cut(1);
    ana.sees("ben", &["suspect"], SOON);
    let capture = Capture::start(lan.second_switch());
    lan.carry(1, |host| routed_by(host, "eth0", (5, 1)));
    all_meet(&[&ana, &zoe], Duration::from_secs(20));
    let id = ana.say("#lobby", "in the café");
    ana.delivered(&id, SOON);
    zoe.gets("in the café", SOON);
    let datagrams = capture::datagrams(&capture.frames());
    let told: Vec<u64> = datagrams.iter().flat_map(epochs).collect();
    let newest = told.iter().max().copied().unwrap_or_default();
    assert!(newest > 0, "the line in the café was seen");
    let others: Vec<u64> = told
        .into_iter()
        .filter(|&epoch| epoch > 0 && epoch != newest)
        .collect();
    assert_eq!(others, [] as [u64; 0], "logs of the office");
    assert_eq!(zoe.texts("#lobby"), ["in the café"]);
}
