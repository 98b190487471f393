//! Datagrams from somebody who means no good.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use serde_json::Value;

use super::Test;
use crate::harness::attack::{self, Attacker, Random, header};
use crate::harness::capture::{self, Capture, Datagram};
use crate::harness::lan::{Host, Lan};
use crate::harness::node::{Node, SOON, all_meet};
use crate::harness::{full, now, world};

pub const TESTS: &[Test] = &[
    (
        "hostile::noise_and_damage_are_dropped",
        noise_and_damage_are_dropped,
    ),
    (
        "hostile::replays_and_forgeries_harm_nobody",
        replays_and_forgeries_harm_nobody,
    ),
    (
        "hostile::an_old_goodbye_removes_nobody",
        an_old_goodbye_removes_nobody,
    ),
];

const PRESENCE_PORT: u16 = 5262;
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 76, 67);
/// Memory that a flood may cost, in KiB: caches with their caps, not a leak.
const GROWTH_KIB_MAX: u64 = 6 * 1024;
/// Sent between two turns of the target, so that its socket does not overflow.
const BATCH: usize = 60;

fn chat_port(node: &Node) -> u16 {
    let port = node.ready().event["chat_port"].as_u64();
    u16::try_from(port.expect("a chat port")).expect("16 bits")
}

/// A socket that hears the group, as anybody's on the LAN may.
fn eavesdropper(host: &Host) -> UdpSocket {
    host.enter(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PRESENCE_PORT)).expect("the port");
        socket
            .join_multicast_v4(&GROUP, &host.v4())
            .expect("the group");
        socket
    })
}

/// The next packet of this type from `from`.
fn overhear(socket: &UdpSocket, kind: u8, from: Ipv4Addr) -> Datagram {
    let deadline = now() + Duration::from_secs(30);
    let mut buffer = [0; 2000];
    loop {
        let left = deadline.saturating_duration_since(now());
        assert!(!left.is_zero(), "no packet of type {kind} from {from}");
        socket.set_read_timeout(Some(left)).expect("a timeout");
        let Ok((len, source)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        if source.ip() == from && attack::is_packet(&buffer[..len], Some(kind)) {
            return Datagram {
                source,
                destination: (GROUP, PRESENCE_PORT).into(),
                payload: buffer[..len].to_vec(),
            };
        }
    }
}

fn they_chat(one: &Node, other: &Node, word: &str) {
    for (from, to) in [(one, other), (other, one)] {
        for target in ["#lobby", to.name.as_str()] {
            let text = format!("{word} {} to {target}", from.name);
            let id = from.say(target, &text);
            to.gets(&text, Duration::from_secs(10));
            from.delivered(&id, Duration::from_secs(10));
        }
    }
}

fn noise_and_damage_are_dropped() {
    let (mut random, seed) = Random::new();
    println!("hostile::noise_and_damage_are_dropped: LANCHAT_LAB_SEED={seed}");
    let lan = Lan::new(3);
    let wire = Capture::start(lan.switch());
    let ana = Node::start(lan.host(1), "ana");
    let ben = Node::start(lan.host(2), "ben");
    all_meet(&[&ana, &ben], SOON);
    they_chat(&ana, &ben, "before");
    let mut real = capture::datagrams(&wire.frames());
    real.retain(|d| !d.payload.is_empty());
    let ours = real
        .iter()
        .filter(|d| attack::is_packet(&d.payload, None))
        .count();
    assert!(
        ours > 0 && ours < real.len(),
        "{ours} of {} captured are no QUIC",
        real.len()
    );

    let mallory = Attacker::new(lan.host(3), 50);
    let target = lan.host(1).v4();
    let ports = [chat_port(&ana), PRESENCE_PORT];
    let before = ana.resident_kib();
    let count = if full() { 100_000 } else { 2_000 };
    for number in 0..count {
        let bytes = attack::hostile(&mut random, &real);
        let to = match number % 5 {
            0 => (GROUP, PRESENCE_PORT),
            n => (target, ports[n % 2]),
        };
        mallory.send(random.below(50), &bytes, to.into());
        if number % BATCH == BATCH - 1 {
            ana.row("ben");
            ana.forget();
        }
    }
    ben.forget();
    they_chat(&ana, &ben, "after");
    let row = ana.row("ben");
    assert_eq!(row["state"], "online", "seed {seed}: {row}");
    let grown = ana.resident_kib().saturating_sub(before);
    assert!(
        grown < GROWTH_KIB_MAX,
        "seed {seed}: {grown} KiB more after {count} datagrams"
    );
}

/// Whether this event would mean that a peer's row was harmed.
fn harmed(event: &Value, name: &str, attacker: Ipv4Addr) -> bool {
    let first = event["addresses"][0].as_str().unwrap_or("");
    event["event"] == "peer"
        && event["peer"]["name"] == name
        && (event["state"] != "online" || first.starts_with(&format!("{attacker}:")))
}

fn replays_and_forgeries_harm_nobody() {
    let lan = Lan::new(3);
    let mallory = lan.host(3);
    let ears = eavesdropper(mallory);
    let ana = Node::start(lan.host(1), "ana");
    let ben = Node::start(lan.host(2), "ben");
    all_meet(&[&ana, &ben], SOON);
    they_chat(&ana, &ben, "before");
    ana.say("#lobby", "to be copied");
    let data = overhear(&ears, header::DATA, lan.host(1).v4());
    let heartbeat = overhear(&ears, header::HEARTBEAT, lan.host(1).v4());
    let address = ben.row("ana")["addresses"][0].clone();
    ben.forget();

    let attacker = Attacker::new(mallory, 20);
    let target = lan.host(2).v4();
    let ports = [chat_port(&ben), PRESENCE_PORT];
    let SocketAddr::V4(genuine) = heartbeat.source else {
        panic!("heard by IPv4");
    };
    for ahead in 0..300_u32 {
        for packet in [&heartbeat.payload, &data.payload] {
            // 0 ahead is the replay itself.
            let forged = attack::renumbered(packet, ahead);
            for port in ports {
                attacker.send(ahead as usize, &forged, (target, port).into());
            }
            attacker.send(ahead as usize, &forged, (GROUP, PRESENCE_PORT).into());
            if ahead % 3 == 0 {
                attacker.spoof(genuine, &forged, SocketAddrV4::new(target, ports[1]));
            }
        }
        if ahead % 10 == 9 {
            ben.row("ana");
        }
    }
    let texts: Vec<String> = (1..=20).map(|n| format!("genuine {n}")).collect();
    for text in &texts {
        ana.say("#lobby", text);
    }
    ben.gets("genuine 20", Duration::from_secs(20));
    assert_eq!(
        ben.texts("#lobby"),
        texts,
        "in order, once, all, and nothing else"
    );
    let row = ben.row("ana");
    assert_eq!(
        (&row["state"], &row["addresses"][0]),
        (&"online".into(), &address),
        "{row}"
    );
    let wrong = ben.all(|event| harmed(event, "ana", mallory.v4()));
    assert!(wrong.is_empty(), "the row was harmed: {wrong:?}");
}

fn an_old_goodbye_removes_nobody() {
    let lan = Lan::new(3);
    let ears = eavesdropper(lan.host(3));
    let ana = Node::start(lan.host(1), "ana");
    let data = world::scratch();
    let ben = Node::start_in(lan.host(2), "ben", data.path(), &[]);
    all_meet(&[&ana, &ben], SOON);
    ben.signal(nix::sys::signal::Signal::SIGTERM);
    let goodbye = overhear(&ears, header::GOODBYE, lan.host(2).v4());
    assert_eq!(ben.exit_code(SOON), 0);
    ana.sees("ben", &["left"], SOON);
    ana.forget();

    let ben = Node::start_in(lan.host(2), "ben", data.path(), &[]);
    ana.lists("ben", SOON);
    let attacker = Attacker::new(lan.host(3), 4);
    for source in 0..4 {
        attacker.send(source, &goodbye.payload, (GROUP, PRESENCE_PORT).into());
        let to = SocketAddrV4::new(lan.host(1).v4(), PRESENCE_PORT);
        attacker.send(source, &goodbye.payload, to.into());
        if let SocketAddr::V4(genuine) = goodbye.source {
            attacker.spoof(genuine, &goodbye.payload, to);
        }
    }
    they_chat(&ana, &ben, "after");
    let wrong = ana.all(|event| harmed(event, "ben", lan.host(3).v4()));
    assert!(wrong.is_empty(), "a goodbye of the past counted: {wrong:?}");
}
