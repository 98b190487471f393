//! The lab itself: that its network carries, loses and shows what it should.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::process::Command;

use super::Test;
use crate::harness::attack::Attacker;
use crate::harness::capture::{self, Capture};
use crate::harness::lan::{Host, Lan};
use crate::harness::ms;
use crate::harness::node::{SOON, parse_event};
use crate::harness::process::run;
use crate::harness::pty::Terminal;

pub const TESTS: &[Test] = &[
    ("ground::hosts_hear_each_other", hosts_hear_each_other),
    ("ground::the_second_card_is_another_network", second_card),
    ("ground::loss_loses_its_share", loss_loses_its_share),
    (
        "ground::a_cut_cable_carries_nothing",
        a_cut_cable_carries_nothing,
    ),
    (
        "ground::a_filter_stops_what_it_should",
        a_filter_stops_what_it_should,
    ),
    (
        "ground::a_firewall_lets_only_answers_in",
        a_firewall_lets_only_answers_in,
    ),
    (
        "ground::a_router_passes_what_is_for_one",
        a_router_passes_what_is_for_one,
    ),
    (
        "ground::a_capture_sees_text_and_sources",
        a_capture_sees_text_and_sources,
    ),
    (
        "ground::a_terminal_is_watched_to_its_end",
        a_terminal_is_watched_to_its_end,
    ),
    (
        "ground::a_process_ends_with_its_code",
        a_process_ends_with_its_code,
    ),
    (
        "ground::only_events_count_as_lines",
        only_events_count_as_lines,
    ),
];

const PORT: u16 = 4000;
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 0, 99);

fn socket(host: &Host) -> UdpSocket {
    host.enter(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).expect("a socket");
        socket.set_broadcast(true).expect("broadcast");
        socket
            .join_multicast_v4(&GROUP, &host.v4())
            .expect("a join");
        socket.set_read_timeout(Some(ms(300))).expect("a timeout");
        socket
    })
}

/// Sends from an own socket whose multicast goes out by `eth0`.
fn send(host: &Host, to: Ipv4Addr, text: &[u8]) {
    host.enter(|| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)
            .expect("a socket");
        socket
            .set_multicast_if_v4(&host.v4())
            .expect("an interface");
        socket.set_broadcast(true).expect("broadcast");
        let to: SocketAddr = (to, PORT).into();
        socket.send_to(text, &to.into()).expect("sending");
    });
}

/// The next datagram, or none after a while.
fn next(socket: &UdpSocket) -> Option<Vec<u8>> {
    let mut buffer = [0; 1500];
    match socket.recv(&mut buffer) {
        Ok(len) => Some(buffer[..len].to_vec()),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
        Err(e) => panic!("receiving: {e}"),
    }
}

fn hosts_hear_each_other() {
    let lan = Lan::new(2);
    let hears = socket(lan.host(2));
    for to in [lan.host(2).v4(), GROUP, Ipv4Addr::new(10, 77, 255, 255)] {
        send(lan.host(1), to, to.to_string().as_bytes());
        assert_eq!(next(&hears), Some(to.to_string().into_bytes()));
    }
    let hears = lan
        .host(2)
        .enter(|| UdpSocket::bind(("::", PORT + 1)).expect("a socket"));
    hears.set_read_timeout(Some(SOON)).expect("a timeout");
    lan.host(1).enter(|| {
        let scope = nix::net::if_::if_nametoindex("eth0").expect("its index");
        let to = std::net::SocketAddrV6::new(lan.host(2).v6(), PORT + 1, 0, scope);
        let from = UdpSocket::bind(("::", 0)).expect("a socket");
        from.send_to(b"six", to).expect("sending");
    });
    assert_eq!(next(&hears), Some(b"six".to_vec()));
}

fn second_card() {
    let lan = Lan::new(2);
    lan.second_card(1);
    lan.second_card(2);
    let hears = socket(lan.host(2));
    send(lan.host(1), Ipv4Addr::new(10, 78, 0, 2), b"by eth1");
    assert_eq!(next(&hears), Some(b"by eth1".to_vec()));
    lan.cut(2);
    send(lan.host(1), Ipv4Addr::new(10, 78, 0, 2), b"still");
    assert_eq!(next(&hears), Some(b"still".to_vec()));
}

fn loss_loses_its_share() {
    let lan = Lan::new(2);
    let hears = socket(lan.host(2));
    hears.set_read_timeout(Some(ms(20))).expect("a timeout");
    lan.host(2).lose(30);
    let sends = lan
        .host(1)
        .enter(|| UdpSocket::bind(("0.0.0.0", 0)).expect("a socket"));
    let mut arrived = 0;
    for _ in 0..20 {
        for _ in 0..100 {
            sends
                .send_to(b"x", (lan.host(2).v4(), PORT))
                .expect("sending");
        }
        while next(&hears).is_some() {
            arrived += 1;
        }
    }
    // Of 2000 at 30 %, the standard deviation is 20.
    assert!(
        (1260..=1540).contains(&arrived),
        "{arrived} of 2000 arrived at 30 % loss"
    );
    lan.host(2).lose(0);
    send(lan.host(1), lan.host(2).v4(), b"again");
    assert_eq!(next(&hears), Some(b"again".to_vec()));
}

fn a_cut_cable_carries_nothing() {
    let lan = Lan::new(2);
    let hears = socket(lan.host(2));
    lan.cut(2);
    send(lan.host(1), GROUP, b"lost");
    assert_eq!(next(&hears), None);
    lan.join(2);
    send(lan.host(1), GROUP, b"back");
    assert_eq!(next(&hears), Some(b"back".to_vec()));
}

fn a_filter_stops_what_it_should() {
    let broadcast = Ipv4Addr::new(10, 77, 255, 255);
    let lan = Lan::new(2);
    let hears = socket(lan.host(2));
    lan.drop_multicast();
    send(lan.host(1), GROUP, b"group");
    send(lan.host(1), broadcast, b"all");
    assert_eq!(next(&hears), Some(b"all".to_vec()));
    let lan = Lan::new(2);
    let hears = socket(lan.host(2));
    lan.drop_multicast_and_broadcast();
    send(lan.host(1), GROUP, b"group");
    send(lan.host(1), broadcast, b"all");
    send(lan.host(1), lan.host(2).v4(), b"one");
    assert_eq!(next(&hears), Some(b"one".to_vec()));
}

fn a_firewall_lets_only_answers_in() {
    let lan = Lan::new(2);
    lan.host(2).refuse_strangers();
    let inside = socket(lan.host(2));
    for to in [lan.host(2).v4(), GROUP] {
        send(lan.host(1), to, b"unasked");
        assert_eq!(next(&inside), None, "{to}");
    }
    let outside = socket(lan.host(1));
    inside
        .send_to(b"asked", (lan.host(1).v4(), PORT))
        .expect("sending");
    assert_eq!(next(&outside), Some(b"asked".to_vec()));
    outside
        .send_to(b"answer", (lan.host(2).v4(), PORT))
        .expect("sending");
    assert_eq!(next(&inside), Some(b"answer".to_vec()));
}

fn a_router_passes_what_is_for_one() {
    let lan = Lan::new(3);
    lan.route(3, 2);
    let far = lan.host(2).enter(|| {
        let socket = UdpSocket::bind(("0.0.0.0", PORT)).expect("a socket");
        let far = Ipv4Addr::new(10, 78, 0, 2);
        socket.join_multicast_v4(&GROUP, &far).expect("a join");
        socket.set_read_timeout(Some(ms(300))).expect("a timeout");
        socket
    });
    send(lan.host(1), GROUP, b"to all");
    send(lan.host(1), Ipv4Addr::new(10, 77, 255, 255), b"to all");
    send(lan.host(1), Ipv4Addr::new(10, 78, 0, 2), b"to one");
    assert_eq!(next(&far), Some(b"to one".to_vec()));
    assert_eq!(next(&far), None);
}

fn a_capture_sees_text_and_sources() {
    let lan = Lan::new(3);
    let hears = socket(lan.host(2));
    let wire = Capture::start(lan.switch());
    send(lan.host(1), lan.host(2).v4(), b"plain as day");
    assert_eq!(next(&hears), Some(b"plain as day".to_vec()));
    let forged = SocketAddrV4::new(lan.host(1).v4(), 9);
    let to = SocketAddrV4::new(lan.host(2).v4(), PORT);
    let attacker = Attacker::new(lan.host(3), 1);
    attacker.spoof(forged, b"not from one", to);
    assert_eq!(next(&hears), Some(b"not from one".to_vec()));
    attacker.send(0, b"to the group", (GROUP, PORT).into());
    assert_eq!(next(&hears), Some(b"to the group".to_vec()));
    let frames = wire.frames();
    assert!(capture::contains(&frames, b"plain as day"));
    assert!(!capture::contains(&frames, b"plain as night"));
    let datagrams = capture::datagrams(&frames);
    let of = |text: &[u8]| datagrams.iter().filter(|d| d.payload == text).count();
    assert_eq!((of(b"plain as day"), of(b"not from one")), (1, 1));
    let forged_one = datagrams.iter().find(|d| d.payload == b"not from one");
    assert_eq!(forged_one.map(|d| d.source), Some(forged.into()));
}

fn a_terminal_is_watched_to_its_end() {
    let host = Host::alone();
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Terminal::start(&host, &command, (40, 10))
    };
    let mut tidy = shell(
        "stty -echo; printf '\\033[?1049hname? '; read name < /dev/tty; \
         printf '\\033[?1049l'; stty echo; stty size; exit 7",
    );
    tidy.shows_text("name?");
    tidy.keys("ana\r");
    assert_eq!(tidy.ends_restored(), 7);
    tidy.shows_text("10 40");

    for (script, left) in [
        ("stty -echo", Some("other terminal modes")),
        ("printf '\\033[?1049h'", Some("the alternate screen")),
        ("printf '\\033[?25l'", Some("no cursor")),
        ("printf '\\033[?2004h'", Some("bracketed paste")),
        ("printf '\\033[?1000h'", Some("mouse reports")),
        ("true", None),
    ] {
        let mut untidy = shell(script);
        assert_eq!(untidy.process.wait(SOON), 0);
        assert_eq!(untidy.left_behind(), left, "{script}");
    }
}

fn a_process_ends_with_its_code() {
    let host = Host::alone();
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    };
    let ran = run(&host, shell("cat; echo bad >&2; exit 3"), "hello", SOON);
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (3, "hello", "bad\n")
    );
    let ran = run(&host, shell("kill -9 $$"), "", SOON);
    assert_eq!(ran.code, 137);
}

fn only_events_count_as_lines() {
    assert!(parse_event(r#"{"event":"ready","v":1}"#).is_ok());
    for line in [
        "",
        "hello",
        "[]",
        "{}",
        r#"{"event":7}"#,
        r#"{"event":"ready"} x"#,
    ] {
        assert!(parse_event(line).is_err(), "{line}");
    }
}
