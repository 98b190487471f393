//! Bare datagrams.

use std::net::UdpSocket;

use crate::harness::lan::{Host, Lan};
use crate::harness::ms;
use crate::harness::node::bare_lanchat;
use crate::harness::pty::Terminal;
use crate::harness::world;

use super::{ATTACKS, FAREWELLS, PAIR, PATIENCE, Talk, Test, assert_harmless};

pub const TESTS: &[Test] = &[
    (
        "plain::udp::a_receiver_and_a_sender",
        a_receiver_and_a_sender,
    ),
    ("plain::udp::a_two_way_chat", a_two_way_chat),
    (
        "plain::udp::a_chat_that_takes_turns",
        a_chat_that_takes_turns,
    ),
    ("plain::udp::netcat_both_ways", netcat_both_ways),
    ("plain::udp::farewells_both_ways", farewells_both_ways),
    (
        "plain::udp::the_end_of_stdin_is_no_farewell",
        the_end_of_stdin_is_no_farewell,
    ),
    (
        "plain::udp::several_peers_and_whoever_wrote_last",
        several_peers_and_whoever_wrote_last,
    ),
    ("plain::udp::ipv6_with_scopes", ipv6_with_scopes),
    (
        "plain::udp::datagrams_up_to_the_longest",
        datagrams_up_to_the_longest,
    ),
    ("plain::udp::groups_and_everybody", groups_and_everybody),
    (
        "plain::udp::a_terminal_gets_no_tricks",
        a_terminal_gets_no_tricks,
    ),
];

/// A socket of the test, with a deadline on what it waits for.
fn socket(host: &Host, address: &str) -> UdpSocket {
    let socket = host.enter(|| UdpSocket::bind(address).expect("a port"));
    socket.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    socket
}

/// The next datagram, as text.
fn received(socket: &UdpSocket) -> String {
    let mut buffer = vec![0; 70_000];
    let (len, _) = socket.recv_from(&mut buffer).expect("a datagram");
    String::from_utf8(buffer[..len].to_vec()).expect("text")
}

fn a_receiver_and_a_sender() {
    let host = Host::alone();
    let (receiver, _) = Talk::python(&host, "udp_receiver", &["7001"]);
    let ana = Talk::plain(&host, &PAIR);
    let (sender, port) = Talk::python(&host, "udp_sender", &["7000"]);
    ana.line("hello");
    receiver.hears("7000 'hello'");
    sender.line("hi there");
    ana.hears(&format!("127.0.0.1:{port}: hi there"));
    // It receives while somebody is in the middle of a line.
    ana.bytes(b"half a li");
    sender.line("meanwhile");
    ana.hears(&format!("127.0.0.1:{port}: meanwhile"));
    ana.line("ne");
    receiver.hears("7000 'half a line'");
    ana.line("");
    receiver.hears("7000 ''");
}

fn a_two_way_chat() {
    let host = Host::alone();
    for (farewell, ana_leaves) in [("quit", true), ("bye bye", false)] {
        let (ben, _) = Talk::python(&host, "udp_two_way", &["7001", "7000", "ben"]);
        let arguments = [&PAIR[..], &["--say-name"]].concat();
        let ana = Talk::plain(&host, &arguments);
        ana.line("hello");
        ben.hears("ana  : hello");
        ben.line("hi");
        ana.hears("127.0.0.1:7001: ben  : hi");
        if ana_leaves {
            ana.line(farewell);
            ben.hears(&format!("the friend left with {farewell}"));
        } else {
            ben.line(farewell);
            ana.hears("127.0.0.1:7001 went offline");
            ana.close();
        }
        assert_eq!((ana.ends(), ben.ends()), (0, 0));
    }
}

fn a_chat_that_takes_turns() {
    let host = Host::alone();
    let (ben, _) = Talk::python(&host, "udp_turns", &["7001", "7000"]);
    let ana = Talk::plain(&host, &PAIR);
    for round in 0..5 {
        ana.line(&format!("question {round}"));
        ben.hears(&format!("friend: question {round}"));
        ben.line(&format!("answer {round}"));
        ana.hears(&format!("127.0.0.1:7001: answer {round}"));
    }
    ana.line("exit");
    ben.hears("friend: exit");
    assert_eq!((ana.ends(), ben.ends()), (0, 0));
}

fn netcat_both_ways() {
    let host = Host::alone();
    let ana = Talk::plain(&host, &["udp", "--listen", "127.0.0.1:7000"]);
    ana.line("too early");
    ana.says("nobody has written yet");
    // Netcat sends first, and is answered without having been named.
    let netcat = Talk::netcat(&host, &["-u", "-p", "7001", "127.0.0.1", "7000"]);
    netcat.line("from netcat");
    ana.hears("127.0.0.1:7001: from netcat");
    ana.line("quit it");
    ana.line("quit");
    assert_eq!(ana.ends(), 0);
    drop(netcat);

    // Netcat listens; its lines go back to whoever wrote first. No event says that it has its
    // port, so the line is said until it is heard.
    let netcat = Talk::netcat(&host, &["-u", "-l", "127.0.0.1", "7002"]);
    let peer = [
        "udp",
        "--listen",
        "127.0.0.1:7003",
        "--peer",
        "127.0.0.1:7002",
    ];
    let ana = Talk::plain(&host, &peer);
    netcat.line("from the listener");
    let answer = "127.0.0.1:7002: from the listener";
    ana.says_until("hello netcat", &ana, |heard| heard == answer);
    ana.line("exit");
    assert_eq!(ana.ends(), 0);
    // Where netcat reads both at once, it writes them in one piece.
    netcat.hears_where("the farewell", |said| said.ends_with("exit"));
}

fn farewells_both_ways() {
    let host = Host::alone();
    let ben = socket(&host, "127.0.0.1:7001");
    let cid = socket(&host, "127.0.0.1:7002");
    for word in FAREWELLS {
        let more = ["--peer", "127.0.0.1:7002", "--say-name"];
        let arguments = [&PAIR[..], &more].concat();
        let ana = Talk::plain(&host, &arguments);
        for bytes in [
            word.to_owned(),
            format!("{word}\n"),
            format!("{word}\r\n"),
            format!("{word}\0"),
        ] {
            ben.send_to(bytes.as_bytes(), "127.0.0.1:7000")
                .expect("sent");
            ana.hears("127.0.0.1:7001 went offline");
        }
        ben.send_to(format!("{word}!").as_bytes(), "127.0.0.1:7000")
            .expect("sent");
        ana.hears(&format!("127.0.0.1:7001: {word}!"));
        ana.line(&format!("{word} is a word"));
        ana.bytes(format!("{word}\nnever sent\n").as_bytes());
        for peer in [&ben, &cid] {
            assert_eq!(received(peer), format!("ana  : {word} is a word"));
            assert_eq!(received(peer), word, "bare, to everybody");
        }
        assert_eq!(ana.ends(), 0);
    }
    for peer in [&ben, &cid] {
        peer.set_read_timeout(Some(ms(50))).expect("a deadline");
        assert!(peer.recv(&mut [0; 99]).is_err(), "sent after the farewell");
    }
}

fn the_end_of_stdin_is_no_farewell() {
    let host = Host::alone();
    let ben = socket(&host, "127.0.0.1:7001");
    let ana = Talk::plain(&host, &PAIR);
    let lines: Vec<String> = (0..100).map(|n| format!("line {n}")).collect();
    ana.bytes(lines.join("\n").as_bytes());
    ana.close();
    for line in &lines {
        assert_eq!(&received(&ben), line);
    }
    assert_eq!(ana.ends(), 0);
    ben.set_read_timeout(Some(ms(50))).expect("a deadline");
    assert!(ben.recv(&mut [0; 99]).is_err(), "a farewell nobody typed");
}

fn several_peers_and_whoever_wrote_last() {
    let host = Host::alone();
    let sockets: Vec<UdpSocket> = (1..=20)
        .map(|n| socket(&host, &format!("127.0.0.{n}:7001")))
        .collect();
    let ana = Talk::plain(&host, &["udp", "--listen", "0.0.0.0:7000"]);
    for (n, socket) in sockets.iter().enumerate() {
        let text = format!("I am {n}");
        socket
            .send_to(text.as_bytes(), "127.0.0.1:7000")
            .expect("sent");
    }
    for n in 0..20 {
        ana.hears(&format!("127.0.0.{}:7001: I am {n}", n + 1));
    }
    for socket in &sockets[3..6] {
        socket.send_to(b"me", "127.0.0.1:7000").expect("sent");
        let from = socket.local_addr().expect("its address");
        ana.hears(&format!("{from}: me"));
        ana.line("you");
        assert_eq!(received(socket), "you");
    }
    // Whoever has left is not answered any more.
    sockets[5].send_to(b"quit", "127.0.0.1:7000").expect("sent");
    ana.hears("127.0.0.6:7001 went offline");
    ana.line("anybody?");
    ana.says("nobody has written yet");
    // Not UTF-8, and NULs inside.
    sockets[0]
        .send_to(b"a\xff\xfeb\0c\tz", "127.0.0.1:7000")
        .expect("sent");
    ana.hears("127.0.0.1:7001: a\u{fffd}\u{fffd}bc z");
    ana.bytes(b"\xff\n");
    ana.says("not UTF-8");
    ana.close();
    assert_eq!(ana.ends(), 0);
    assert_eq!(ana.rest(), Vec::<String>::new());
}

fn ipv6_with_scopes() {
    let lan = Lan::new(2);
    let ana = Talk::plain(
        lan.host(1),
        &[
            "udp",
            "--listen",
            "[fe80::1%eth0]:7000",
            "--peer",
            "[fe80::2%eth0]:7000",
        ],
    );
    let ben = Talk::plain(lan.host(2), &["udp", "--listen", "[::]:7000"]);
    let heard = ana.says_until("over a link", &ben, |line| line.ends_with(": over a link"));
    assert!(heard.starts_with("[fe80::1%"), "{heard}");
    let heard = ben.says_until("and back", &ana, |line| line.ends_with(": and back"));
    assert!(heard.starts_with("[fe80::2%"), "{heard}");
    // `[::]` takes IPv4 as well, and shows it as such.
    let four = [
        "udp",
        "--listen",
        "10.77.0.1:7001",
        "--peer",
        "10.77.0.2:7000",
    ];
    let cid = Talk::plain(lan.host(1), &four);
    cid.says_until("four", &ben, |line| line == "10.77.0.1:7001: four");
    ben.says_until("for four", &cid, |line| line == "10.77.0.2:7000: for four");
}

fn datagrams_up_to_the_longest() {
    let host = Host::alone();
    let ben = socket(&host, "127.0.0.1:7001");
    let ana = Talk::plain(&host, &PAIR);
    let longest = "x".repeat(65_507);
    ben.send_to(longest.as_bytes(), "127.0.0.1:7000")
        .expect("sent");
    ana.hears(&format!("127.0.0.1:7001: {longest}"));
    ana.line(&longest);
    assert_eq!(received(&ben), longest);
    ana.line(&format!("{longest}y"));
    ana.says("65508 bytes do not fit into one datagram");
    ana.line(&"z".repeat(300 * 1024));
    ana.says("a line is longer than");
    ana.line("short again");
    assert_eq!(received(&ben), "short again");
    assert_eq!(ana.stderr().matches("hint:").count(), 2, "{}", ana.stderr());
}

fn groups_and_everybody() {
    let lan = Lan::new(3);
    for host in lan.hosts() {
        host.ip("route add default dev eth0\n");
    }
    for (group, listen, from) in [
        ("10.77.255.255:7000", "0.0.0.0:7000", "10.77.0."),
        ("255.255.255.255:7000", "0.0.0.0:7000", "10.77.0."),
        ("239.77.1.2:7000", "0.0.0.0:7000", "10.77.0."),
        ("[ff12::77%eth0]:7000", "[::]:7000", "[fe80::"),
    ] {
        let start = |n| Talk::plain(lan.host(n), &["udp", "--listen", listen, "--peer", group]);
        let talks: Vec<Talk> = (1..=3).map(start).collect();
        for (speaker, talk) in talks.iter().enumerate() {
            let text = format!("{speaker} to {group}");
            for listener in (0..3).filter(|&n| n != speaker) {
                let ours = |line: &str| line.ends_with(&text);
                let heard = talk.says_until(&text, &talks[listener], ours);
                let expected = format!("{from}{}", speaker + 1);
                assert!(heard.starts_with(&expected), "{heard}");
            }
        }
        talks[0].line("quit");
        assert_eq!(talks[0].ends(), 0);
        let own = format!("0 to {group}");
        let echoes = talks[0].rest().iter().any(|line| line.ends_with(&own));
        assert!(!echoes, "he hears himself");
        for talk in &talks[1..] {
            talk.hears_where("the farewell", |line| line.ends_with(" went offline"));
        }
    }
    // Who listens on the group itself hears it as well, also beside others that do.
    let ben = Talk::plain(lan.host(2), &["udp", "--listen", "239.77.1.2:7000"]);
    let group = ["udp", "--listen", "[::]:7001", "--peer", "239.77.1.2:7000"];
    let ana = Talk::plain(lan.host(1), &group);
    let both_kinds = "10.77.0.1:7001: from both kinds";
    ana.says_until("from both kinds", &ben, |line| line == both_kinds);
    ben.says_until("and back", &ana, |line| line == "10.77.0.2:7000: and back");
    drop((ana, ben));
    // By the card of the address that is listened on, without any route to a group.
    lan.host(1).ip("route del default dev eth0\n");
    let ben = Talk::plain(
        lan.host(2),
        &[
            "udp",
            "--listen",
            "0.0.0.0:7000",
            "--peer",
            "239.77.1.2:7000",
        ],
    );
    for group in ["239.77.1.2:7000", "255.255.255.255:7000"] {
        let ana = Talk::plain(
            lan.host(1),
            &["udp", "--listen", "10.77.0.1:7000", "--peer", group],
        );
        let card = "10.77.0.1:7000: by this card";
        ana.says_until("by this card", &ben, |line| line == card);
    }
}

fn a_terminal_gets_no_tricks() {
    let host = Host::alone();
    let ben = socket(&host, "127.0.0.1:7001");
    let home = world::scratch();
    let mut command = bare_lanchat(home.path());
    command.arg("plain").args(PAIR);
    let mut terminal = Terminal::start(&host, &command, (120, 40));
    terminal.shows_text("nothing is encrypted");
    for (n, attack) in ATTACKS.iter().enumerate() {
        let text = format!("{attack} #{n}.");
        ben.send_to(text.as_bytes(), "127.0.0.1:7000")
            .expect("sent");
        terminal.shows_text(&format!("#{n}."));
    }
    assert_harmless(terminal.raw(), "127.0.0.1:7001");
    // Typed there, it goes out; Ctrl-D is the end of input.
    terminal.keys("typed on a terminal\n");
    assert_eq!(received(&ben), "typed on a terminal");
    terminal.keys("\u{4}");
    assert_eq!(terminal.ends_restored(), 0);
}
