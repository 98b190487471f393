//! Many datagrams, many connections, one that does not read.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crate::harness::lan::Host;
use crate::harness::{ms, now};

use super::tcp::client;
use super::{PATIENCE, Talk, Test};

pub const TESTS: &[Test] = &[
    (
        "plain::load::a_line_goes_out_under_a_flood",
        a_line_goes_out_under_a_flood,
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

/// Datagrams of the flood.
const FLOOD: usize = 100_000;
/// A typed line has to be out within this, in a whole flood.
const LINE_MAX: Duration = ms(100);
/// Floods tried: the machine may be busy with something else during one.
const FLOODS: usize = 3;

fn a_line_goes_out_under_a_flood() {
    let host = Host::alone();
    let mut worst = Vec::new();
    for _ in 0..FLOODS {
        let (line, shown) = flood(&host);
        println!("{FLOOD} datagrams: {shown} shown, a typed line out within {line:?} at worst");
        assert!(shown > FLOOD / 100, "only {shown} of {FLOOD} were shown");
        worst.push(line);
        if line < LINE_MAX {
            return;
        }
    }
    panic!("a typed line took {worst:?}");
}

/// Floods one `plain udp` while lines are typed; the longest that a line took to arrive, and how
/// many datagrams of the flood were shown.
fn flood(host: &Host) -> (Duration, usize) {
    let ben = host.enter(|| UdpSocket::bind("127.0.0.1:7001").expect("a port"));
    ben.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    let flooder = host.enter(|| UdpSocket::bind("127.0.0.1:7002").expect("a port"));
    let arguments = [
        "udp",
        "--listen",
        "127.0.0.1:7000",
        "--peer",
        "127.0.0.1:7001",
    ];
    let ana = Talk::plain(host, &arguments);
    let under_way = AtomicBool::new(true);
    let line = thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..FLOOD {
                let text = format!("datagram {n} of a flood, as long as a line in a chat is");
                // Where the system has no room for more, it is as lost as it may be.
                let _ = flooder.send_to(text.as_bytes(), "127.0.0.1:7000");
            }
            under_way.store(false, Ordering::Release);
        });
        ana.hears_where("the flood", |line| line.contains("datagram"));
        let mut worst = Duration::ZERO;
        let mut lines = 0;
        while under_way.load(Ordering::Acquire) {
            let typed = now();
            ana.line("typed in between");
            let mut buffer = [0; 99];
            let len = ben.recv(&mut buffer).expect("the line");
            worst = worst.max(now().saturating_duration_since(typed));
            assert_eq!(&buffer[..len], b"typed in between");
            lines += 1;
        }
        assert!(lines > 0, "the flood was over before a line was typed");
        worst
    });
    ana.close();
    assert_eq!(ana.ends(), 0);
    let shown = ana.rest().iter().filter(|l| l.contains("datagram")).count();
    (line, shown + 1)
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
