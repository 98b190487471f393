//! `lanchat doctor` where something is wrong: each fault is made with real tools, and the verdict
//! has to name it.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::Test;
use crate::harness::attack::{Attacker, header};
use crate::harness::capture;
use crate::harness::lan::{Host, Lan};
use crate::harness::node::{Node, all_meet, bare_lanchat};
use crate::harness::process::{Ran, run};
use crate::harness::{ms, now, world};

pub const TESTS: &[Test] = &[
    (
        "doctor::each_fault_has_its_verdict",
        each_fault_has_its_verdict,
    ),
    ("doctor::the_remedy_helps", the_remedy_helps),
    (
        "doctor::it_disturbs_no_running_node",
        it_disturbs_no_running_node,
    ),
    (
        "doctor::a_running_node_tells_the_same",
        a_running_node_tells_the_same,
    ),
];

const PORT: u16 = 5262;
const GROUP: &str = "239.255.76.67";
/// The doctor listens for 26 s at most.
const WITHIN: Duration = Duration::from_secs(40);
/// Until ben said all his HELLOs: then a heartbeat in 10 s is all that he says unasked.
const SETTLED: Duration = Duration::from_secs(30);
const HELLOS: usize = 7;

/// What the doctor on host 2 says while ben is on host 1.
struct Case {
    fault: &'static str,
    play: fn() -> Ran,
    cause: &'static str,
    code: i32,
    /// A part of the command that helps; empty where there is none.
    remedy: &'static str,
    /// The interface that is named, and its cause, where that is another.
    other: Option<(&'static str, &'static str)>,
}

const fn case(
    fault: &'static str,
    play: fn() -> Ran,
    cause: &'static str,
    code: i32,
    remedy: &'static str,
) -> Case {
    Case {
        fault,
        play,
        cause,
        code,
        remedy,
        other: None,
    }
}

fn cases() -> Vec<Case> {
    vec![
        case("none", || with_ben(&[], |_| {}), "none", 0, ""),
        case(
            "no multicast on the wire",
            || with_ben(&[], |lan| lan.drop_multicast()),
            "no_multicast",
            0,
            "IGMP snooping",
        ),
        case(
            "no broadcast",
            || with_ben(&[], |lan| lan.drop_broadcast()),
            "no_broadcast",
            0,
            "",
        ),
        case(
            "stations kept apart",
            || with_ben(&[], isolate),
            "unknown",
            3,
            "lanchat doctor --peer",
        ),
        case(
            "stations kept apart, with --peer",
            || with_ben(&["--peer", "10.77.0.1"], isolate),
            "isolation",
            3,
            "client isolation",
        ),
        case(
            "only unicast kept apart",
            || with_ben(&[], isolate_unicast),
            "isolation",
            3,
            "client isolation",
        ),
        case(
            "firewall here, two ports dropped",
            || with_ben(&[], |lan| drop_ports(lan.host(2))),
            "own_firewall",
            5,
            "sudo nft insert rule inet lab lab udp dport { 5262-5279 } accept",
        ),
        case(
            "firewall here, default deny",
            || with_ben(&[], |lan| deny(lan.host(2))),
            "own_firewall",
            5,
            "sudo nft insert rule inet lab lab udp dport { 5262-5279 } accept",
        ),
        case(
            "firewall there",
            || with_ben(&[], |lan| deny(lan.host(1))),
            "other_firewall",
            3,
            "sudo ufw allow 5262:5279/udp",
        ),
        case(
            "switch forgot the group",
            pruned,
            "pruned_multicast",
            0,
            "querier",
        ),
        case("port taken", port_taken, "port_taken", 0, "(pid "),
        Case {
            other: Some(("tun0", "vpn")),
            ..case(
                "VPN with the default route",
                || with_ben(&[], |lan| vpn(lan.host(2))),
                "none",
                0,
                "",
            )
        },
        case(
            "only a VPN",
            || {
                with_ben(&[], |lan| {
                    vpn(lan.host(2));
                    lan.host(2).ip("link set eth0 down\n");
                })
            },
            "vpn",
            5,
            "connect to the LAN",
        ),
        case(
            "no address",
            || {
                with_ben(&[], |lan| {
                    lan.host(2).ip("addr flush dev eth0\n");
                })
            },
            "no_address",
            5,
            "eth0",
        ),
        case(
            "another version",
            another_version,
            "other_version",
            3,
            "version",
        ),
        case(
            "nobody else",
            || examine(&Lan::new(2), &[]),
            "unknown",
            3,
            "--peer",
        ),
        case(
            "lanchat not running there, with --peer",
            || examine(&Lan::new(2), &["--peer", "10.77.0.1"]),
            "not_running",
            3,
            "start lanchat there",
        ),
    ]
}

fn each_fault_has_its_verdict() {
    let only = std::env::var("LANCHAT_LAB_FAULT").ok();
    let wanted = |case: &Case| only.as_ref().is_none_or(|only| case.fault.contains(only));
    let cases: Vec<Case> = cases().into_iter().filter(wanted).collect();
    // Most of the time each of them waits for datagrams.
    let rans: Vec<Ran> = thread::scope(|scope| {
        let threads: Vec<_> = cases.iter().map(|case| scope.spawn(case.play)).collect();
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"));
        joined.collect()
    });
    println!("{:<40} | {:<16} | exit | says", "fault", "verdict");
    let mut wrong = Vec::new();
    let mut unknown = 0;
    for (case, ran) in cases.iter().zip(&rans) {
        let event: Value = serde_json::from_str(ran.stdout.trim()).unwrap_or(Value::Null);
        let verdict = &event["verdict"];
        let cause = verdict["cause"].as_str().unwrap_or_default();
        let says = verdict["message"].as_str().unwrap_or_default();
        println!(
            "{:<40} | {cause:<16} | {:>4} | {says}",
            case.fault, ran.code
        );
        if let Some(remedy) = verdict["remedy"].as_str() {
            println!("{:40} |   {remedy}", "");
        }
        unknown += usize::from(cause == "unknown");
        let remedy = verdict["remedy"].as_str().unwrap_or_default();
        let mut right = cause == case.cause && ran.code == case.code;
        right &= remedy.contains(case.remedy) && remedy.is_empty() == case.remedy.is_empty();
        if let Some((name, cause)) = case.other {
            let interfaces = event["interfaces"].as_array().cloned().unwrap_or_default();
            right &= interfaces
                .iter()
                .any(|at| at["name"] == name && at["cause"] == cause);
        }
        if !right {
            wrong.push(format!("{}: {}{}", case.fault, ran.stdout, ran.stderr));
        }
    }
    assert!(wrong.is_empty(), "wrong verdicts:\n{}", wrong.join("\n"));
    assert!(unknown <= 2, "{unknown} verdicts are unknown");
}

// ------------------------------------------------------------ the faults

/// Ben has been on host 1 for a while; then the fault; then the doctor on host 2.
fn with_ben(arguments: &[&str], fault: impl Fn(&Lan)) -> Ran {
    let lan = Lan::new(2);
    let _ben = settled_ben(&lan);
    fault(&lan);
    examine(&lan, arguments)
}

fn settled_ben(lan: &Lan) -> Node {
    let watch = capture::Watch::start(lan.switch());
    let ben = Node::start(lan.host(1), "ben");
    ben.ready();
    let group: SocketAddr = (GROUP.parse::<Ipv4Addr>().expect("an address"), PORT).into();
    let mut seen = Vec::new();
    watch.until("ben's HELLOs", SETTLED, |datagram| {
        let is_hello = datagram.payload.get(header::KIND) == Some(&1);
        let number = datagram.payload.get(header::SEQUENCE).map(<[u8]>::to_vec);
        if datagram.destination == group && is_hello && !seen.contains(&number) {
            seen.push(number);
        }
        seen.len() == HELLOS
    });
    ben
}

fn examine(lan: &Lan, arguments: &[&str]) -> Ran {
    doctor(lan.host(2), &[&["--json"], arguments].concat())
}

fn doctor(host: &Host, arguments: &[&str]) -> Ran {
    let home = world::scratch();
    let mut command = bare_lanchat(home.path());
    command.args(["doctor", "--name", "ana"]).args(arguments);
    run(host, command, "", WITHIN)
}

/// As an access point with client isolation does it: nothing passes between its stations.
fn isolate(lan: &Lan) {
    for port in ["p1", "p2"] {
        lan.switch()
            .run("bridge", &["link", "set", "dev", port, "isolated", "on"]);
    }
}

/// As one that passes on what is for everybody, and ARP requests with it.
fn isolate_unicast(lan: &Lan) {
    lan.filter("ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 drop");
}

fn drop_ports(host: &Host) {
    let rules = "table inet lab {\nchain lab {\ntype filter hook input priority 0\n\
                 udp dport { 5262, 5263 } drop\n}\n}\n";
    host.try_nft(rules).expect("nft");
}

fn deny(host: &Host) {
    let rules = "table inet lab {\nchain lab {\ntype filter hook input priority 0; policy drop;\n\
                 iif lo accept\nct state established,related accept\n\
                 meta l4proto { icmp, icmpv6 } accept\n}\n}\n";
    host.try_nft(rules).expect("nft");
}

/// The switch snoops IGMP and MLD, asked once, and has forgotten that ben's port joined.
fn pruned() -> Ran {
    let lan = Lan::new(2);
    let _ben = settled_ben(&lan);
    let switch = lan.switch();
    switch.ip("addr add fe80::ff/64 dev br0 nodad\n\
         link set br0 type bridge mcast_query_response_interval 100 mcast_startup_query_count 1 \
         mcast_query_interval 60000 mcast_snooping 1 mcast_querier 1\n");
    for group in [GROUP, "ff12::6c:616e:6368:6174"] {
        let deadline = now() + Duration::from_secs(15);
        let entry = |line: &&str| line.contains("port p1") && line.contains(group);
        while !switch
            .run("bridge", &["mdb", "show"])
            .lines()
            .any(|line| entry(&line))
        {
            assert!(now() < deadline, "ben's port did not join {group}");
            thread::yield_now();
        }
        switch.run(
            "bridge",
            &["mdb", "del", "dev", "br0", "port", "p1", "grp", group],
        );
    }
    // It floods until it counts itself as the one who asks.
    let probe = Attacker::new(lan.host(2), 1);
    let watch = capture::Watch::start(lan.host(1));
    let group: SocketAddr = (GROUP.parse::<Ipv4Addr>().expect("an address"), 4000).into();
    let deadline = now() + SETTLED;
    let mut number = 0_u32;
    loop {
        assert!(now() < deadline, "the switch still floods");
        number += 1;
        probe.send(0, &number.to_be_bytes(), group);
        if !watch.sees(ms(200), |datagram| datagram.payload == number.to_be_bytes()) {
            break;
        }
    }
    examine(&lan, &[])
}

/// A program that does not share the port.
fn port_taken() -> Ran {
    let lan = Lan::new(2);
    let _ben = settled_ben(&lan);
    let any = (Ipv4Addr::UNSPECIFIED, PORT);
    let _holder = lan
        .host(2)
        .enter(|| UdpSocket::bind(any).expect("the port"));
    examine(&lan, &[])
}

/// A tunnel that everything goes by but the LAN.
fn vpn(host: &Host) {
    host.run("ip", &["tuntap", "add", "tun0", "mode", "tun"]);
    host.ip(
        "addr add 10.8.0.2/24 dev tun0\nlink set tun0 up\nroute add default via 10.8.0.1 dev tun0\n",
    );
}

/// Somebody on host 1 says HELLO in version 2, again and again.
fn another_version() -> Ran {
    let lan = Lan::new(2);
    let mut hello = vec![header::MAGIC, 2, 1, 1, 0, 0];
    hello.extend([7; 16]);
    hello.extend([0, 0, 0, 1, 3]);
    hello.extend(b"zoe and what version 2 puts here");
    let attacker = Attacker::new(lan.host(1), 1);
    let (stop, stopped) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let group: SocketAddr = (GROUP.parse::<Ipv4Addr>().expect("an address"), PORT).into();
            while stopped.recv_timeout(ms(300)) == Err(RecvTimeoutError::Timeout) {
                attacker.send(0, &hello, group);
            }
        });
        let ran = examine(&lan, &[]);
        drop(stop);
        ran
    })
}

// ------------------------------------------------------------ what it is good for

/// The command that the doctor names, typed as it is, is the one that helps.
fn the_remedy_helps() {
    let lan = Lan::new(2);
    let ben = Node::start(lan.host(1), "ben");
    ben.ready();
    deny(lan.host(2));
    let ran = examine(&lan, &[]);
    assert_eq!(ran.code, 5, "{}{}", ran.stdout, ran.stderr);
    let event: Value = serde_json::from_str(ran.stdout.trim()).expect("a network object");
    let remedy = event["verdict"]["remedy"].as_str().expect("a remedy");
    let command = remedy
        .strip_prefix("sudo ")
        .expect("a command for the administrator");
    let mut shell = Command::new("sh");
    shell.args(["-c", command]);
    let applied = run(lan.host(2), shell, "", WITHIN);
    assert_eq!(applied.code, 0, "{command}: {}", applied.stderr);
    let ran = doctor(lan.host(2), &[]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.contains("fine: people are found, such as ben"),
        "{}",
        ran.stdout
    );
}

/// With the data directory and the chat port of a node that runs, and nobody notices.
fn it_disturbs_no_running_node() {
    let lan = Lan::new(2);
    let ben = Node::start(lan.host(1), "ben");
    let ana = Node::start_with(lan.host(2), "ana", &["--chat-port", "5263"]);
    all_meet(&[&ana, &ben], SETTLED);
    ana.forget();
    ben.forget();
    let dir = ana.data_dir().display().to_string();
    let ran = examine(&lan, &["--data-dir", &dir, "--chat-port", "5263"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let event: Value = serde_json::from_str(ran.stdout.trim()).expect("a network object");
    assert_eq!(event["verdict"]["own_round_trip"], true);
    // Nobody new is announced, and nobody is lost.
    for (node, other) in [(&ana, &ben), (&ben, &ana)] {
        let id = other.id();
        let told = node.all(|e| {
            let same = e["peer"]["id"] == id.as_str() && e["state"] == "online";
            e["event"] == "peer" && e["transient"] != true && !same
        });
        assert!(told.is_empty(), "{}: {told:?}", node.name);
    }
}

/// `doctor` of a running node: `network` with the `ref`, then the reply; and while nobody is
/// found, the words come unasked.
fn a_running_node_tells_the_same() {
    let lan = Lan::new(2);
    deny(lan.host(2));
    let ana = Node::start(lan.host(2), "ana");
    let hint = "the firewall of this computer lets nothing of the network in";
    let told = ana.wait_for("the cause", Duration::from_secs(8), |event| {
        event["event"] == "network" && event["interfaces"][0]["cause"] == "own_firewall"
    });
    assert!(
        told.text("/interfaces/0/hint").starts_with(hint),
        "{}",
        told.event
    );
    let answer = ana.ask(serde_json::json!({"command": "doctor"}));
    assert_eq!(answer.event["event"], "reply");
    let asked = ana.all(|event| event["event"] == "network" && event["ref"] == answer.event["ref"]);
    assert_eq!(asked.len(), 1, "one network event with the ref");
    assert_eq!(asked[0].text("/verdict/cause"), "own_firewall");
}
