//! Many datagrams, many connections, one that does not read.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use nix::pty::openpty;
use nix::sys::signal::Signal;

use crate::harness::lan::Host;
use crate::harness::node::bare_lanchat;
use crate::harness::process::Process;
use crate::harness::{ms, now, world};

use super::tcp::client;
use super::{PAIR, PATIENCE, Talk, Test};

pub const TESTS: &[Test] = &[
    (
        "plain::load::a_line_goes_out_under_a_flood",
        a_line_goes_out_under_a_flood,
    ),
    (
        "plain::load::a_screen_that_hangs_blocks_nobody",
        a_screen_that_hangs_blocks_nobody,
    ),
    (
        "plain::load::two_hundred_clients_and_one_stuck",
        two_hundred_clients_and_one_stuck,
    ),
    (
        "plain::load::a_stuck_client_is_told",
        a_stuck_client_is_told,
    ),
];

/// A typed line has to be out within this, in a whole flood.
const LINE_MAX: Duration = ms(100);

fn a_line_goes_out_under_a_flood() {
    let host = Host::alone();
    let short = "a datagram of a flood, as long as a line in a chat is";
    // As long as they get, and of letters that take the most work.
    let long = "\u{e9}".repeat(32_000);
    for (text, count) in [(short, 100_000), (&long, 5_000)] {
        let Flood { line, wall, shown } = flood(&host, text, count);
        println!(
            "{count} datagrams of {} bytes: {shown} shown, a typed line out within {line:?} at \
             worst ({wall:?} with what others had of the processors)",
            text.len()
        );
        assert!(shown > 0, "none of {count} was shown");
        assert!(line < LINE_MAX, "a typed line took {line:?} ({wall:?})");
    }
}

/// What came of a flood.
struct Flood {
    /// The longest that a typed line took to arrive, less what it waited for a processor.
    line: Duration,
    /// The longest with that.
    wall: Duration,
    /// Datagrams of the flood that were shown.
    shown: usize,
}

/// Floods one `plain udp` while lines are typed.
fn flood(host: &Host, text: &str, count: usize) -> Flood {
    let ben = host.enter(|| UdpSocket::bind("127.0.0.1:7001").expect("a port"));
    ben.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    let flooder = host.enter(|| UdpSocket::bind("127.0.0.1:7002").expect("a port"));
    let ana = Talk::plain(host, &PAIR);
    let pid = ana.process.borrow().pid();
    let under_way = AtomicBool::new(true);
    let (line, wall) = thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..count {
                // Where the system has no room for more, it is as lost as it may be.
                let _ = flooder.send_to(text.as_bytes(), "127.0.0.1:7000");
            }
            under_way.store(false, Ordering::Release);
        });
        let is_flood = |line: &str| line.starts_with("127.0.0.1:7002");
        ana.hears_where("the flood", is_flood);
        let mut worst = (Duration::ZERO, Duration::ZERO);
        let mut lines = 0;
        while under_way.load(Ordering::Acquire) {
            let waits = || queued(&format!("{pid}")) + queued("thread-self");
            let (typed, waited) = (now(), waits());
            ana.line("typed in between");
            let mut buffer = [0; 99];
            let len = ben.recv(&mut buffer).expect("the line");
            let wall = now().saturating_duration_since(typed);
            let waited = waits().saturating_sub(waited);
            worst.0 = worst.0.max(wall.saturating_sub(waited));
            worst.1 = worst.1.max(wall);
            assert_eq!(&buffer[..len], b"typed in between");
            lines += 1;
        }
        assert!(lines > 0, "the flood was over before a line was typed");
        worst
    });
    ana.close();
    assert_eq!(ana.ends(), 0);
    let heard = ana.rest();
    let shown = heard.iter().filter(|l| l.starts_with("127.0.0.1:7002"));
    let shown = shown.count() + 1;
    Flood { line, wall, shown }
}

/// How long this process of one thread, or this thread, was able to run and had no processor: on
/// a busy machine that says nothing about it. Zero where the system does not tell.
fn queued(who: &str) -> Duration {
    let told = std::fs::read_to_string(format!("/proc/{who}/schedstat"));
    let nanos = told.ok().and_then(|told| {
        let mut fields = told.split_whitespace();
        fields.nth(1)?.parse().ok()
    });
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// A terminal that nobody reads, as where a remote login hangs: the chat goes on.
fn a_screen_that_hangs_blocks_nobody() {
    let host = Host::alone();
    let home = world::scratch();
    let pair = openpty(None, None).expect("a pseudo-terminal");
    let slave = || Stdio::from(pair.slave.try_clone().expect("a descriptor"));
    let mut command = bare_lanchat(home.path());
    command
        .args(["plain", "tcp", "--listen", "127.0.0.1:7000"])
        .stdin(slave())
        .stdout(slave())
        .stderr(Stdio::piped());
    let started = now();
    let child = host.enter(|| command.spawn()).expect("starting it");
    let mut ana = Process::watch(child, started);
    let deadline = now() + PATIENCE;
    while !ana.stderr().contains("nothing is encrypted") {
        assert!(now() < deadline, "it does not start");
        thread::yield_now();
    }
    // More than the terminal, lanchat and the system keep: the rest waits with the sender.
    let mut loud = client(&host);
    loud.set_write_timeout(Some(ms(500))).expect("a deadline");
    let line = format!("{}\n", "x".repeat(LINE - 1));
    while loud.write_all(line.as_bytes()).is_ok() {}
    let mut quiet = client(&host);
    let mut keys = File::from(pair.master);
    keys.write_all(b"still here\n").expect("typed");
    let mut heard = [0; 28];
    quiet.read_exact(&mut heard).expect("the line");
    assert_eq!(heard, *b"Server connected\nstill here\n");
    let ending = now();
    ana.signal(Signal::SIGINT);
    assert_eq!(ana.wait(PATIENCE), 130);
    let took = now().saturating_duration_since(ending);
    assert!(took < ms(3000), "it waited {took:?} for nobody");
}

/// Clients at once, the stuck one included.
const CLIENTS: usize = 200;
/// What is sent to each: more than the system keeps for one that does not read.
const LINES: usize = 6_000;
const LINE: usize = 1_000;
/// What more the server may take with all of them, in KiB. A backlog is 64 KiB, and one text is
/// kept once however many wait for it.
const GROWTH_MAX: u64 = 16 * 1024;

fn two_hundred_clients_and_one_stuck() {
    let host = Host::alone();
    let ana = Talk::plain(&host, &["tcp", "--listen", "127.0.0.1:7000"]);
    let stuck = client(&host);
    let stuck_name = stuck.local_addr().expect("its address").to_string();
    let clients: Vec<TcpStream> = (1..CLIENTS).map(|_| client(&host)).collect();
    let last = clients.last().and_then(|last| last.local_addr().ok());
    ana.says(&format!("{} connected", last.expect("an address")));
    let before = ana.process.borrow().resident_kib();
    let peak = AtomicU64::new(before);
    let began = now();
    let text = format!("{}\n", "x".repeat(LINE - 1));
    let (tell, all_read) = mpsc::channel();
    thread::scope(|scope| {
        for stream in &clients {
            let tell = tell.clone();
            let text = &text;
            scope.spawn(move || read_them_all(stream, text, &tell));
        }
        let finished = watch(&ana, &all_read, &text, &peak);
        assert_eq!(finished, CLIENTS - 1);
    });
    let took = now().saturating_duration_since(began);
    ana.says(&format!(
        "{stuck_name} does not read what it is sent and is dropped"
    ));
    // The others are heard as before.
    for (n, mut stream) in clients.iter().enumerate() {
        stream
            .write_all(format!("client {n}\n").as_bytes())
            .expect("sent");
    }
    for (n, stream) in clients.iter().enumerate() {
        let from = stream.local_addr().expect("its address");
        ana.hears(&format!("{from}: client {n}"));
    }
    let growth = peak.load(Ordering::Relaxed).saturating_sub(before);
    println!(
        "{} clients got {LINES} lines in {took:?} beside one stuck; {before} KiB, at most {growth} more",
        CLIENTS - 1
    );
    assert!(growth <= GROWTH_MAX, "{growth} KiB more than {before}");
}

/// One client: the greeting and every line, as fast as it can.
fn read_them_all(stream: &TcpStream, text: &str, tell: &mpsc::Sender<()>) {
    let mut reader = BufReader::with_capacity(64 * 1024, stream);
    let mut line = String::new();
    reader.read_line(&mut line).expect("the greeting");
    assert_eq!(line, "Server connected\n");
    for _ in 0..LINES {
        line.clear();
        reader.read_line(&mut line).expect("a line");
        assert_eq!(line, text);
    }
    let _ = tell.send(());
}

/// Types the lines and measures meanwhile; how many clients have read all of them.
fn watch(ana: &Talk, all_read: &Receiver<()>, text: &str, peak: &AtomicU64) -> usize {
    let measure = || peak.fetch_max(ana.process.borrow().resident_kib(), Ordering::Relaxed);
    for _ in 0..LINES / 100 {
        ana.bytes(text.repeat(100).as_bytes());
        measure();
    }
    let deadline = now() + 2 * PATIENCE;
    let mut finished = 0;
    while finished < CLIENTS - 1 && now() < deadline {
        finished += all_read.recv_timeout(ms(100)).iter().count();
        measure();
    }
    finished
}

/// A client that reads again soon after it was given up finds whole lines and the reason.
fn a_stuck_client_is_told() {
    let host = Host::alone();
    let ana = Talk::plain(&host, &["tcp", "--listen", "127.0.0.1:7000"]);
    let mut stuck = client(&host);
    let text = format!("{}\n", "x".repeat(LINE - 1));
    let typed = (0..60_000 / LINE).take_while(|_| {
        ana.bytes(text.repeat(LINE).as_bytes());
        !ana.stderr().contains("does not read")
    });
    typed.for_each(drop);
    ana.says("does not read what it is sent and is dropped");
    let mut bytes = Vec::new();
    stuck.read_to_end(&mut bytes).expect("the end");
    let said = String::from_utf8(bytes).expect("text");
    let lines = said
        .strip_prefix("Server connected\n")
        .expect("the greeting");
    let lines = lines.strip_suffix("Server disconnected: you do not read\n");
    let lines = lines.expect("the reason");
    assert_eq!(lines, text.repeat(lines.len() / LINE), "a line was cut");
    println!("a stuck client was given up after {} bytes", said.len());
}
