//! People leave, crash, pause and come back.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use super::Test;
use crate::harness::lan::Lan;
use crate::harness::node::{Node, SOON, all_meet, bare, lanchat};
use crate::harness::process::{Process, run};
use crate::harness::{ms, now, world};

pub const TESTS: &[Test] = &[
    ("leave::is_seen_at_once", is_seen_at_once),
    (
        "leave::every_signal_ends_in_order",
        every_signal_ends_in_order,
    ),
    (
        "leave::the_end_of_stdin_delivers_first",
        the_end_of_stdin_delivers_first,
    ),
    ("leave::stdin_may_be_a_file", stdin_may_be_a_file),
    (
        "leave::a_closed_stdout_ends_quietly",
        a_closed_stdout_ends_quietly,
    ),
    (
        "leave::a_crash_shows_and_a_restart_heals",
        a_crash_shows_and_a_restart_heals,
    ),
    (
        "leave::a_pause_makes_nobody_else_offline",
        a_pause_makes_nobody_else_offline,
    ),
    (
        "leave::a_pulled_cable_shows_and_heals",
        a_pulled_cable_shows_and_heals,
    ),
];

/// A GOODBYE takes a few milliseconds; this allows for two busy cores.
const GONE_WITHIN: Duration = ms(500);
/// A crash or a pulled cable.
const OFFLINE_WITHIN: Duration = Duration::from_secs(8);

fn is_seen_at_once() {
    let lan = Lan::new(3);
    let ana = Node::start(lan.host(1), "ana");
    let ben = Node::start(lan.host(2), "ben");
    let cid = Node::start(lan.host(3), "cid");
    all_meet(&[&ana, &ben, &cid], SOON);
    let left = now();
    ben.line(&json!({"command": "quit"}).to_string());
    for other in [&ana, &cid] {
        let seen = other.sees("ben", &["left"], SOON);
        let took = seen.at.saturating_duration_since(left);
        assert!(took < GONE_WITHIN, "{} saw it after {took:?}", other.name);
    }
    assert_eq!(ben.exit_code(SOON), 0);
    // Nobody revives him: the two that are left still talk, and he stays gone.
    ana.forget();
    let id = ana.say("#lobby", "he left");
    cid.gets("he left", SOON);
    let receipt = ana.delivered(&id, SOON).event;
    assert_eq!(receipt["of"], 1, "who left is not waited for");
    assert!(
        ana.all(|e| e["event"] == "peer" && e["peer"]["name"] == "ben")
            .is_empty()
    );
}

fn every_signal_ends_in_order() {
    for (signal, code) in [
        (Signal::SIGTERM, 0),
        (Signal::SIGHUP, 0),
        (Signal::SIGINT, 130),
    ] {
        let lan = Lan::new(2);
        let ana = Node::start(lan.host(1), "ana");
        let ben = Node::start(lan.host(2), "ben");
        all_meet(&[&ana, &ben], SOON);
        ben.signal(signal);
        ana.sees("ben", &["left"], SOON);
        assert_eq!(ben.exit_code(SOON), code, "{signal}");
        let stderr = ben.process.borrow().stderr();
        assert!(!stderr.contains("panicked"), "{signal}: {stderr}");
    }
}

fn the_end_of_stdin_delivers_first() {
    let lan = Lan::new(2);
    let ben = Node::start(lan.host(2), "ben");
    ben.ready();
    let data = world::scratch();
    let mut command = lanchat(data.path());
    command.args(["pipe", "--name", "ana"]);
    // The lobby needs no peer to be known: what is queued is delivered before the end.
    let line = json!({"command": "send", "to": "#lobby", "text": "in passing"}).to_string();
    let ran = run(
        lan.host(1),
        command,
        &format!("{line}\n"),
        Duration::from_secs(10),
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ben.gets("in passing", SOON);
    ben.sees("ana", &["left"], SOON);
    let first = ran.stdout.lines().next().unwrap_or("");
    assert!(
        first.contains(r#""event":"ready""#),
        "the first line is {first}"
    );
}

/// No poll watches a file; it is read all the same, and its end is an end.
fn stdin_may_be_a_file() {
    let lan = Lan::new(2);
    let ben = Node::start(lan.host(2), "ben");
    ben.ready();
    let data = world::scratch();
    let script = data.path().join("script");
    let command = json!({"command": "send", "to": "#lobby", "text": "from a file"});
    std::fs::write(&script, format!("{command}\n")).expect("a file");
    let from = |stdin: &Path, arguments: &[&str]| {
        let program = lanchat(data.path());
        let mut shell = bare(Path::new("sh"), data.path());
        shell.args(["-c", "exec \"$@\" < \"$0\""]).arg(stdin);
        shell.arg(program.get_program()).args(program.get_args());
        shell.args(arguments);
        shell
    };
    let pipe = from(&script, &["pipe", "--name", "ana"]);
    let ran = run(lan.host(1), pipe, "", Duration::from_secs(10));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ben.gets("from a file", SOON);

    // Whoever stays after the end of a file costs no processor time.
    ben.forget();
    let stay = from(Path::new("/dev/null"), &["pipe", "--stay", "--name", "ana"]);
    let mut ana = Process::start(lan.host(1), stay, |mut out| {
        let _ = std::io::copy(&mut out, &mut std::io::sink());
    });
    ben.lists("ana", SOON);
    let before = ana.cpu_time();
    assert!(ana.try_wait(ms(1000)).is_none(), "{}", ana.stderr());
    let busy = ana.cpu_time() - before;
    assert!(busy < ms(300), "busy for {busy:?} of a second at rest");
}

fn a_closed_stdout_ends_quietly() {
    let lan = Lan::new(2);
    let ana = Node::start(lan.host(1), "ana");
    let data = world::scratch();
    let mut command = lanchat(data.path());
    command.args(["pipe", "--stay", "--name", "ben"]);
    // Reads until ana is there, as `grep -m 1` does, and closes: ana has heard him by then.
    let (tell, told) = std::sync::mpsc::channel();
    let mut ben = Process::start(lan.host(2), command, move |out| {
        let lines = BufReader::new(out).lines().map_while(Result::ok);
        let _ = tell.send(
            lines
                .take_while(|line| !line.contains("\"confirmed\":true"))
                .last(),
        );
    });
    let read = told.recv_timeout(SOON).expect("what it printed");
    assert!(read.is_some(), "nothing before the first peer");
    ana.lists("ben", SOON);
    // What he is to print next finds the pipe closed.
    ana.say("#lobby", "into the void");
    assert_eq!(ben.wait(SOON), 0, "{}", ben.stderr());
    assert_eq!(ben.stderr(), "");
    ana.sees("ben", &["left"], SOON);
}

fn a_crash_shows_and_a_restart_heals() {
    let lan = Lan::new(2);
    let ana = Node::start(lan.host(1), "ana");
    let data = world::scratch();
    let ben = Node::start_in(lan.host(2), "ben", data.path(), &[]);
    all_meet(&[&ana, &ben], SOON);
    let id = ben.id();
    ana.forget();
    let killed = now();
    ben.kill();
    let shown = ana.sees("ben", &["offline"], OFFLINE_WITHIN).at;
    assert!(shown.saturating_duration_since(killed) < OFFLINE_WITHIN);
    assert!(
        ana.all(|e| e["event"] == "peer" && e["state"] == "left")
            .is_empty(),
        "a crash is no goodbye"
    );

    // What is written meanwhile waits, and arrives once.
    let message = ana.say(&id, "while you were away");
    ana.forget();
    let ben = Node::start_in(lan.host(2), "ben", data.path(), &[]);
    assert_eq!(ben.id(), id, "the identity is kept");
    ana.lists("ben", SOON);
    ben.gets("while you were away", SOON);
    ana.delivered(&message, SOON);
    let id = ana.say("#lobby", "welcome back");
    ben.gets("welcome back", SOON);
    ana.delivered(&id, SOON);
    let again = ben.all(|e| e["text"] == "while you were away");
    assert_eq!(again.len(), 1);
}

fn a_pause_makes_nobody_else_offline() {
    let lan = Lan::new(3);
    let ana = Node::start(lan.host(1), "ana");
    let ben = Node::start(lan.host(2), "ben");
    let cid = Node::start(lan.host(3), "cid");
    all_meet(&[&ana, &ben, &cid], SOON);
    ben.signal(Signal::SIGSTOP);
    ana.sees("ben", &["offline"], Duration::from_secs(15));
    for node in [&ana, &ben, &cid] {
        node.forget();
    }
    ben.signal(Signal::SIGCONT);
    ana.lists("ben", Duration::from_secs(15));
    let id = ben.say("#lobby", "awake again");
    ana.gets("awake again", SOON);
    cid.gets("awake again", SOON);
    ben.delivered(&id, SOON);
    let wrong = ben.all(|e| e["event"] == "peer" && e["state"] == "offline");
    assert!(
        wrong.is_empty(),
        "the paused one blamed the others: {wrong:?}"
    );
}

fn a_pulled_cable_shows_and_heals() {
    let lan = Lan::new(2);
    let ana = Node::start(lan.host(1), "ana");
    let ben = Node::start(lan.host(2), "ben");
    all_meet(&[&ana, &ben], SOON);
    ana.forget();
    lan.cut(2);
    ana.sees("ben", &["offline"], Duration::from_secs(10));
    ana.forget();
    lan.join(2);
    ana.lists("ben", Duration::from_secs(20));
    let id = ana.say("#lobby", "plugged in");
    ben.gets("plugged in", SOON);
    ana.delivered(&id, SOON);
}
