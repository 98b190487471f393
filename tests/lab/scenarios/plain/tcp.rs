//! Lines over connections.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use nix::sys::signal::Signal;

use crate::harness::lan::{Host, Lan};
use crate::harness::node::{bare, bare_lanchat};
use crate::harness::pty::Terminal;
use crate::harness::{ms, now, world};

use super::{ATTACKS, FAREWELLS, PATIENCE, Talk, Test, assert_harmless};

pub const TESTS: &[Test] = &[
    (
        "plain::tcp::a_server_of_several_clients",
        a_server_of_several_clients,
    ),
    ("plain::tcp::two_clients_at_once", two_clients_at_once),
    ("plain::tcp::netcat_both_ways", netcat_both_ways),
    ("plain::tcp::farewells_both_ways", farewells_both_ways),
    (
        "plain::tcp::the_end_of_stdin_sends_everything",
        the_end_of_stdin_sends_everything,
    ),
    (
        "plain::tcp::lines_however_they_are_split",
        lines_however_they_are_split,
    ),
    (
        "plain::tcp::half_closed_connections",
        half_closed_connections,
    ),
    ("plain::tcp::ipv6_with_scopes", ipv6_with_scopes),
    (
        "plain::tcp::a_terminal_gets_no_tricks",
        a_terminal_gets_no_tricks,
    ),
    ("plain::tcp::signals_end_it", signals_end_it),
    (
        "plain::tcp::more_than_the_system_has_room_for",
        more_than_the_system_has_room_for,
    ),
];

const LISTEN: [&str; 3] = ["tcp", "--listen", "127.0.0.1:7000"];
const CONNECT: [&str; 3] = ["tcp", "--connect", "127.0.0.1:7000"];

/// A client of the test's own.
pub(super) fn client(host: &Host) -> TcpStream {
    let stream = host.enter(|| TcpStream::connect("127.0.0.1:7000").expect("a connection"));
    stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    stream
        .set_nodelay(true)
        .expect("segments as they are written");
    stream
}

/// The next `len` bytes.
fn read(stream: &mut TcpStream, len: usize) -> String {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).expect("as many bytes");
    String::from_utf8(bytes).expect("text")
}

/// Everything up to the end.
fn rest(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the end");
    text
}

fn name(stream: &TcpStream) -> String {
    stream.local_addr().expect("its address").to_string()
}

const GREETING: &str = "Server connected\n";

fn a_server_of_several_clients() {
    let host = Host::alone();
    let (server, _) = Talk::python(&host, "tcp_server", &["7000"]);
    let (other, _) = Talk::python(&host, "tcp_client", &["7000"]);
    let clients = [0, 1].map(|_| Talk::plain(&host, &CONNECT));
    other.hears("server: Server connected");
    for (n, client) in clients.iter().enumerate() {
        // The greeting of such a program has no newline.
        client.hears("127.0.0.1:7000: Server connected");
        client.line(&format!("I am {n}"));
        server.hears(&format!("client: I am {n}"));
    }
    server.line("to all of you");
    other.hears("server: to all of you");
    for client in &clients {
        client.hears("127.0.0.1:7000: to all of you");
    }
    // One leaves, nobody else is bothered.
    clients[0].line("quit");
    server.hears("client: quit");
    assert_eq!(clients[0].ends(), 0);
    server.line("still here?");
    clients[1].hears("127.0.0.1:7000: still here?");
    server.line("bye bye");
    clients[1].hears("127.0.0.1:7000 went offline");
    assert_eq!(clients[1].ends(), 0);
}

fn two_clients_at_once() {
    let host = Host::alone();
    let ana = Talk::plain(&host, &LISTEN);
    let clients = [0, 1].map(|_| Talk::python(&host, "tcp_client", &["7000"]));
    for (client, _) in &clients {
        client.hears("server: Server connected");
    }
    ana.line("welcome");
    for (n, (client, port)) in clients.iter().enumerate() {
        client.hears("server: welcome");
        client.line(&format!("thanks from {n}"));
        ana.hears(&format!("127.0.0.1:{port}: thanks from {n}"));
    }
    let (leaver, port) = &clients[0];
    leaver.line("bye bye");
    ana.hears(&format!("127.0.0.1:{port} went offline"));
    leaver.hears("the server closed");
    ana.line("just us");
    clients[1].0.hears("server: just us");
    ana.line("exit");
    clients[1].0.hears("server: exit");
    clients[1].0.hears("the server closed");
    assert_eq!(ana.ends(), 0);
}

fn netcat_both_ways() {
    let host = Host::alone();
    let ana = Talk::plain(&host, &LISTEN);
    let netcat = Talk::netcat(&host, &["-N", "127.0.0.1", "7000"]);
    netcat.hears("Server connected");
    netcat.line("from netcat");
    ana.hears_where("the line", |line| line.ends_with(": from netcat"));
    ana.line("to netcat");
    netcat.hears("to netcat");
    ana.line("quit");
    netcat.hears("quit");
    netcat.close();
    assert_eq!((ana.ends(), netcat.ends()), (0, 0));

    let netcat = Talk::netcat(&host, &["-v", "-l", "127.0.0.1", "7001"]);
    netcat.says("Listening");
    let ana = Talk::plain(&host, &["tcp", "--connect", "127.0.0.1:7001"]);
    ana.line("hello server");
    netcat.hears("hello server");
    netcat.line("hello client");
    ana.hears("127.0.0.1:7001: hello client");
    netcat.line("exit");
    ana.hears("127.0.0.1:7001 went offline");
    assert_eq!((ana.ends(), netcat.ends()), (0, 0));
}

fn farewells_both_ways() {
    let host = Host::alone();
    for word in FAREWELLS {
        let ana = Talk::plain(&host, &LISTEN);
        let mut clients = [0, 1].map(|_| client(&host));
        for client in &mut clients {
            assert_eq!(read(client, GREETING.len()), GREETING);
        }
        let [leaver, stayer] = &mut clients;
        leaver
            .write_all(format!("{word}!\n{word}\r\nunheard\n").as_bytes())
            .expect("sent");
        ana.hears(&format!("{}: {word}!", name(leaver)));
        ana.hears(&format!("{} went offline", name(leaver)));
        ana.bytes(format!("{word} is a word\n{word}\nnever sent\n").as_bytes());
        assert_eq!(rest(stayer), format!("{word} is a word\n{word}\n"));
        assert_eq!(ana.ends(), 0);
        assert_eq!(ana.rest(), Vec::<String>::new());

        // The other side of a connection: typed, and received.
        let server = host.enter(|| TcpListener::bind("127.0.0.1:7001").expect("a port"));
        let connect = ["tcp", "--connect", "127.0.0.1:7001"];
        let ana = Talk::plain(&host, &connect);
        let (mut accepted, _) = server.accept().expect("a client");
        ana.line(word);
        assert_eq!(rest(&mut accepted), format!("{word}\n"));
        drop(accepted);
        assert_eq!(ana.ends(), 0);
        let ana = Talk::plain(&host, &connect);
        let (mut accepted, _) = server.accept().expect("a client");
        accepted.write_all(word.as_bytes()).expect("sent");
        ana.hears("127.0.0.1:7001 went offline");
        assert_eq!(ana.ends(), 0);
    }
}

fn the_end_of_stdin_sends_everything() {
    let host = Host::alone();
    let lines: String = (0..100_000).map(|n| format!("line {n}\n")).collect();
    let ana = Talk::plain(&host, &LISTEN);
    let mut clients = [0, 1, 2].map(|_| client(&host));
    for client in &mut clients {
        assert_eq!(read(client, GREETING.len()), GREETING);
    }
    thread::scope(|scope| {
        for client in &mut clients {
            let lines = &lines;
            scope.spawn(move || assert!(rest(client) == *lines, "something is missing"));
        }
        ana.bytes(lines.as_bytes());
        ana.close();
    });
    drop(clients);
    assert_eq!(ana.ends(), 0);

    let server = host.enter(|| TcpListener::bind("127.0.0.1:7001").expect("a port"));
    let ana = Talk::plain(&host, &["tcp", "--connect", "127.0.0.1:7001"]);
    let (mut accepted, _) = server.accept().expect("a client");
    ana.bytes(b"first\nlast, without its newline");
    ana.close();
    assert_eq!(rest(&mut accepted), "first\nlast, without its newline\n");
    drop(accepted);
    assert_eq!(ana.ends(), 0);
}

fn lines_however_they_are_split() {
    let host = Host::alone();
    let ana = Talk::plain(&host, &LISTEN);
    let mut ben = client(&host);
    let who = name(&ben);
    for part in ["hel", "lo\r", "\nsec", "ond\nthi"] {
        ben.write_all(part.as_bytes()).expect("sent");
        thread::yield_now();
    }
    ana.hears(&format!("{who}: hello"));
    ana.hears(&format!("{who}: second"));
    ben.write_all(b"rd\n\n").expect("sent");
    ana.hears(&format!("{who}: third"));
    ana.hears(&format!("{who}: "));
    // One character in two segments, and bytes that are none.
    ben.write_all(b"caf\xc3").expect("sent");
    ben.write_all(b"\xa9 \xff\n").expect("sent");
    ana.hears(&format!("{who}: caf\u{e9} \u{fffd}"));
    // The rest of a line of more than 64 KiB is no farewell.
    let long = "x".repeat(64 * 1024);
    ben.write_all(format!("{long}quit\n").as_bytes())
        .expect("sent");
    ana.hears(&format!("{who}: {long}"));
    ana.hears(&format!("{who}: quit"));
    // No newline for now: shown after a moment. None at all: shown at the end.
    let written = now();
    ben.write_all(b"no newline").expect("sent");
    let shown = ana.hears(&format!("{who}: no newline"));
    let waited = shown.saturating_duration_since(written);
    assert!(waited > ms(900), "{waited:?}");
    ben.write_all(b"the end").expect("sent");
    drop(ben);
    ana.hears(&format!("{who}: the end"));
    ana.hears(&format!("{who} went offline"));
    ana.close();
    assert_eq!(ana.ends(), 0);
    assert_eq!(ana.rest(), Vec::<String>::new());
}

fn half_closed_connections() {
    let host = Host::alone();
    let ana = Talk::plain(&host, &LISTEN);
    let mut ben = client(&host);
    let who = name(&ben);
    ben.write_all(b"that is all").expect("sent");
    ben.shutdown(Shutdown::Write).expect("half closed");
    ana.hears(&format!("{who}: that is all"));
    ana.hears(&format!("{who} went offline"));
    // It still reads.
    ana.line("noted");
    assert_eq!(
        read(&mut ben, GREETING.len() + 6),
        format!("{GREETING}noted\n")
    );
    // Gone altogether: found out by sending, and said only once.
    drop(ben);
    let mut cid = client(&host);
    ana.says(&format!("{} connected", name(&cid)));
    for n in 0..3 {
        ana.line(&format!("{n}"));
    }
    assert_eq!(
        read(&mut cid, GREETING.len() + 6),
        format!("{GREETING}0\n1\n2\n")
    );
    ana.close();
    assert_eq!(rest(&mut cid), "");
    drop(cid);
    assert_eq!(ana.ends(), 0);
    let said = ana.rest();
    assert!(!said.iter().any(|line| line.starts_with(&who)), "{said:?}");

    // A server that has said everything and still listens.
    let server = host.enter(|| TcpListener::bind("127.0.0.1:7001").expect("a port"));
    let ana = Talk::plain(&host, &["tcp", "--connect", "127.0.0.1:7001"]);
    let (mut accepted, _) = server.accept().expect("a client");
    accepted.shutdown(Shutdown::Write).expect("half closed");
    ana.hears("127.0.0.1:7001 went offline");
    ana.line("are you there?");
    assert_eq!(read(&mut accepted, 15), "are you there?\n");
    // One that has left ends it with the next line.
    drop(accepted);
    assert!(ana.runs());
    ana.line("and now?");
    assert_eq!(ana.ends(), 0);
}

fn ipv6_with_scopes() {
    let lan = Lan::new(2);
    let ana = Talk::plain(lan.host(1), &["tcp", "--listen", "[fe80::1%eth0]:7000"]);
    let ben = Talk::plain(lan.host(2), &["tcp", "--connect", "[fe80::1%eth0]:7000"]);
    ben.says("connected to");
    let is_greeting = |line: &str| line.ends_with("]:7000: Server connected");
    let (_, heard) = ben.hears_where("the greeting", is_greeting);
    assert!(heard.starts_with("[fe80::1%"), "{heard}");
    ben.line("over a link");
    let (_, heard) = ana.hears_where("the line", |line| line.ends_with(": over a link"));
    assert!(heard.starts_with("[fe80::2%"), "{heard}");
}

fn a_terminal_gets_no_tricks() {
    let host = Host::alone();
    let home = world::scratch();
    let mut command = bare_lanchat(home.path());
    command.arg("plain").args(LISTEN);
    let mut terminal = Terminal::start(&host, &command, (120, 40));
    terminal.shows_text("nothing is encrypted");
    let mut ben = client(&host);
    for (n, attack) in ATTACKS.iter().enumerate() {
        ben.write_all(format!("{attack} #{n}.\n").as_bytes())
            .expect("sent");
        terminal.shows_text(&format!("#{n}."));
    }
    assert_harmless(terminal.raw(), &name(&ben));
    terminal.keys("quit\n");
    assert!(rest(&mut ben).ends_with("quit\n"));
    drop(ben);
    assert_eq!(terminal.ends_restored(), 0);
}

fn signals_end_it() {
    let host = Host::alone();
    for (signal, code) in [
        (Signal::SIGTERM, 0),
        (Signal::SIGHUP, 0),
        (Signal::SIGINT, 130),
    ] {
        let ana = Talk::plain(&host, &LISTEN);
        let mut ben = client(&host);
        assert_eq!(read(&mut ben, GREETING.len()), GREETING);
        ana.process.borrow().signal(signal);
        assert_eq!(ana.ends(), code, "{signal}");
        assert_eq!(rest(&mut ben), "");
    }
}

fn more_than_the_system_has_room_for() {
    let host = Host::alone();
    let home = world::scratch();
    let program = bare_lanchat(home.path());
    let mut command = bare("sh".as_ref(), home.path());
    command
        .args(["-c", "ulimit -n 24; exec \"$@\"", "sh"])
        .arg(program.get_program())
        .arg("plain")
        .args(LISTEN);
    let ana = Talk::start(&host, command, home);
    ana.says("nothing is encrypted");
    let mut clients: Vec<TcpStream> = (0..30).map(|_| client(&host)).collect();
    ana.says("nobody more can connect for now");
    ana.line("hello");
    assert_eq!(
        read(&mut clients[0], GREETING.len() + 6),
        format!("{GREETING}hello\n")
    );
    // Those who leave make room.
    clients.drain(..20);
    for client in &mut clients {
        assert_eq!(read(client, GREETING.len()), GREETING);
    }
}
