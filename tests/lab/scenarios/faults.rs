//! A network that loses a third of what it carries.

use std::time::Duration;

use super::Test;
use crate::harness::full;
use crate::harness::lan::Lan;
use crate::harness::node::{Node, SOON, all_meet};

pub const TESTS: &[Test] = &[
    (
        "faults::pairs_meet_at_30_percent_loss",
        pairs_meet_at_30_percent_loss,
    ),
    (
        "faults::the_lobby_is_complete_at_30_percent_loss",
        the_lobby_is_complete,
    ),
    (
        "faults::private_text_arrives_at_30_percent_loss",
        private_text_arrives,
    ),
];

fn lossy(hosts: usize) -> Lan {
    let lan = Lan::new(hosts);
    for host in lan.hosts() {
        host.lose(30);
    }
    lan
}

fn pairs_meet_at_30_percent_loss() {
    let lan = lossy(2);
    for round in 0..if full() { 20 } else { 3 } {
        let ana = Node::start(lan.host(1), "ana");
        let ben = Node::start(lan.host(2), "ben");
        let met = all_meet(&[&ana, &ben], Duration::from_secs(10));
        let took = met.saturating_duration_since(ben.started());
        assert!(
            took < Duration::from_secs(3),
            "pair {round} met after {took:?}"
        );
    }
}

fn the_lobby_is_complete() {
    let lan = lossy(4);
    let ana = Node::start(lan.host(1), "ana");
    let others = ["ben", "cid", "dan"].map(|name| {
        let number = usize::from(name.as_bytes()[0] - b'a') + 1;
        Node::start(lan.host(number), name)
    });
    let [ben, cid, dan] = &others;
    all_meet(&[&ana, ben, cid, dan], Duration::from_secs(20));
    let count = if full() { 200 } else { 30 };
    let texts: Vec<String> = (1..=count)
        .map(|n| format!("line {n} of {count}"))
        .collect();
    let mut last = String::new();
    for text in &texts {
        last = ana.say("#lobby", text);
    }
    // At five a second, the last is sent after this.
    let all_sent = Duration::from_secs(count / 5);
    for other in &others {
        other.gets(&texts[texts.len() - 1], all_sent + Duration::from_secs(20));
        assert_eq!(
            other.texts("#lobby"),
            texts,
            "at {}: in order, once, all",
            other.name
        );
    }
    ana.delivered(&last, Duration::from_secs(20));
}

fn private_text_arrives() {
    let lan = lossy(2);
    let ana = Node::start(lan.host(1), "ana");
    let ben = Node::start(lan.host(2), "ben");
    all_meet(&[&ana, &ben], Duration::from_secs(10));
    let long = "all the way through ".repeat(200);
    let texts = ["one", "two", long.trim(), "four"];
    for text in texts {
        let id = ana.say("ben", text);
        ana.delivered(&id, Duration::from_secs(20));
    }
    ben.gets("four", SOON);
    assert_eq!(ben.texts(&format!("@{}", ana.id())), texts);
}
