//! Newcomers and those who were cut off: all come to hold the same.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::Test;
use crate::harness::lan::{Host, Lan};
use crate::harness::node::{Node, SOON, all_meet, lanchat};
use crate::harness::party::{Manner, Party};
use crate::harness::{full, ms, now, world};

pub const TESTS: &[Test] = &[
    (
        "history::a_newcomer_gets_what_an_author_said_who_left",
        a_newcomer_gets_what_an_author_said_who_left,
    ),
    (
        "history::who_was_cut_off_holds_the_same_afterwards",
        who_was_cut_off_holds_the_same_afterwards,
    ),
];

/// A node whose user may write a thousand lines a second.
fn start(host: &Host, name: &str) -> (Node, tempfile::TempDir) {
    let home = world::scratch();
    let config = home.path().join(".config/lanchat");
    std::fs::create_dir_all(&config).expect("a directory");
    let limits = "[limits]\nperson-rate = 1000\nperson-burst = 1000\nnode-rate = 1000\nnode-burst = 1000\n\
                  group-packets = 10000\ngroup-bits = 100000000\n";
    std::fs::write(config.join("config.toml"), limits).expect("a file");
    (Node::start_in(host, name, home.path(), &[]), home)
}

/// Lets time pass in which this node goes on.
fn pause(node: &Node, time: Duration) {
    let ended = node.process.borrow_mut().try_wait(time);
    assert_eq!(ended, None, "{} ended", node.name);
}

/// What `lanchat history` prints of the lobby: id, name and text of each line.
fn history(host: &Host, node: &Node, limit: usize) -> Vec<(String, String, String)> {
    let mut command = lanchat(node.data_dir());
    command.args(["history", "#lobby", "--json", "--limit", &limit.to_string()]);
    let output = host.enter(move || command.output()).expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let row = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).expect("an object");
        let field = |pointer| {
            let value = event.pointer(pointer).and_then(serde_json::Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        (field("/id"), field("/from/name"), field("/text"))
    };
    text.lines().map(row).collect()
}

fn a_newcomer_gets_what_an_author_said_who_left() {
    let lan = Lan::new(4);
    let (ana, _ana) = start(lan.host(1), "ana");
    let (ben, _ben) = start(lan.host(2), "ben");
    let (cid, _cid) = start(lan.host(3), "cid");
    all_meet(&[&ana, &ben, &cid], SOON);
    let count = 500;
    let mut last = String::new();
    for number in 1..=count {
        last = ana.say("#lobby", &format!("line {number}"));
    }
    ana.delivered(&last, Duration::from_secs(30));
    ana.signal(Signal::SIGTERM);
    ben.sees("ana", &["left"], SOON);
    let (dan, _dan) = start(lan.host(4), "dan");
    let deadline = now() + Duration::from_secs(20);
    let mut first = None;
    let took = |dan: &Node| now().saturating_duration_since(dan.started());
    loop {
        let held = history(lan.host(4), &dan, 1000).len();
        if held > 0 && first.is_none() {
            first = Some((took(&dan), held));
        }
        if held == count {
            break;
        }
        if now() > deadline {
            dan.fail(&format!("holds {held} lines of {count}"));
        }
        pause(&dan, ms(20));
    }
    println!(
        "{count} lines: the first {first:?}, all {:?} after the start",
        took(&dan)
    );
    assert!(took(&dan) < Duration::from_secs(10));
    let of_dan = history(lan.host(4), &dan, 1000);
    assert!(
        of_dan.iter().all(|(_, name, _)| name == "ana"),
        "who said it is known"
    );
    assert_eq!(of_dan, history(lan.host(2), &ben, 1000));
    assert!(
        dan.texts("#lobby").is_empty(),
        "nothing rings for what is past"
    );
}

/// All write while one of three is cut off.
fn who_was_cut_off_holds_the_same_afterwards() {
    let mut party = Party::met(Lan::new(3), 3, Manner::default());
    party.talk("before", 3, 1, ms(0));
    party.all_heard(SOON);
    party.lan.isolate(3);
    match full() {
        true => party.talk("meanwhile", 3, 60, ms(1000)),
        false => party.talk("meanwhile", 3, 10, ms(500)),
    }
    let healed = now();
    party.lan.rejoin(3);
    party.all_heard(Duration::from_secs(30));
    let heard = now().saturating_duration_since(healed);
    party.same_history(Duration::from_secs(30));
    println!(
        "{} lines, of three who were two and one: all heard {heard:?} after it healed, the same \
         is in all histories after {:?}",
        party.said_len(),
        now().saturating_duration_since(healed)
    );
}
