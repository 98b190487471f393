//! Several who talk in one room at once: each hears every line, once, in order, and all come to
//! hold the same, whatever of the network works.

use std::time::Duration;

use super::Test;
use crate::harness::lan::Lan;
use crate::harness::node::{SOON, lanchat};
use crate::harness::party::{LIFTED, Manner, Party, figures};
use crate::harness::process::run;
use crate::harness::{full, ms, now, world};

pub const TESTS: &[Test] = &[
    (
        "together::five_hear_every_line_at_30_percent_loss",
        five_hear_every_line_at_30_percent_loss,
    ),
    (
        "together::a_script_waits_for_all_at_30_percent_loss",
        a_script_waits_for_all_at_30_percent_loss,
    ),
    ("together::by_broadcast_alone", by_broadcast_alone),
    ("together::by_unicast_alone", by_unicast_alone),
    ("together::with_a_deaf_member", with_a_deaf_member),
    ("together::as_fast_as_it_goes", as_fast_as_it_goes),
];

/// Two cores that other tests use as well.
const PATIENCE: Duration = Duration::from_secs(20);

fn lossy(hosts: usize) -> Lan {
    let lan = Lan::new(hosts);
    lan.hosts().iter().for_each(|host| host.lose(30));
    lan
}

/// Three of five say what a person may: ten lines at once, and five a second.
fn five_hear_every_line_at_30_percent_loss() {
    let mut party = Party::met(lossy(5), 5, Manner::default());
    match full() {
        true => party.talk("long", 3, 334, ms(200)),
        false => party.talk("short", 3, 20, ms(100)),
    }
    let hearing = party.all_heard(PATIENCE);
    let same = party.same_history(PATIENCE);
    println!(
        "30 % loss, five hosts, {} lines of three: {}; histories the same {same:?} later",
        party.said_len(),
        hearing.figures()
    );
}

/// `lanchat send`, a process for each line, of which four others are to have each.
fn a_script_waits_for_all_at_30_percent_loss() {
    let party = Party::met(lossy(5), 4, Manner::default());
    let count = if full() { 50 } else { 4 };
    let mut took = Vec::new();
    let mut other = Vec::new();
    for number in 0..count {
        let dir = world::scratch();
        let mut command = lanchat(dir.path());
        command.args(["send", "#lobby", &format!("run {number}")]);
        let start = now();
        let sent = run(party.lan.host(5), command, "", PATIENCE);
        took.push(now().saturating_duration_since(start));
        if (sent.code, sent.stdout.as_str()) != (0, "delivered to 4 of 4 in #lobby\n") {
            other.push(sent);
        }
    }
    println!("30 % loss, `send` to four: {}", figures(&took));
    assert!(other.is_empty(), "{} of {count}: {other:?}", other.len());
    for node in &party.people {
        let wanted: Vec<String> = (0..count).map(|n| format!("run {n}")).collect();
        assert_eq!(node.texts("#lobby"), wanted, "at {}", node.name);
    }
}

/// Each says a few lines: all hear them, all are told that they were heard, all hold the same.
fn nothing_is_missing(what: &str, mut party: Party) {
    let each = if full() { 50 } else { 6 };
    let others = party.people.len() - 1;
    let mut ids = Vec::new();
    for number in 0..each {
        for who in 0..party.people.len() {
            let id = party.tell(who, format!("{number} by {who}"));
            ids.push((who, id));
        }
        if number >= 8 {
            party.pause(ms(200));
        }
    }
    for (who, id) in &ids {
        let receipt = party.people[*who].delivered(id, PATIENCE);
        assert_eq!(receipt.event["of"], others, "{}", receipt.event);
    }
    let hearing = party.all_heard(PATIENCE);
    let same = party.same_history(PATIENCE);
    println!("{what}: {}; the same {same:?} later", hearing.figures());
}

fn by_broadcast_alone() {
    let lan = Lan::new(2);
    lan.drop_multicast();
    nothing_is_missing("broadcast alone", Party::met(lan, 2, Manner::default()));
}

fn by_unicast_alone() {
    let lan = Lan::new(2);
    lan.drop_multicast_and_broadcast();
    let manner = Manner {
        arguments: &["--peer", "10.77.0.1", "--peer", "10.77.0.2"],
        ..Manner::default()
    };
    nothing_is_missing("unicast alone", Party::met(lan, 2, manner));
}

/// The fifth hears nothing that is for a group, and says so in time.
fn with_a_deaf_member() {
    let lan = Lan::new(5);
    lan.host(5).deafen();
    let manner = Manner {
        arguments: &["--peer", "10.77.0.1"],
        ..Manner::default()
    };
    nothing_is_missing("one of five deaf", Party::met(lan, 5, manner));
}

/// Limits lifted, everybody writes as fast as they can.
fn as_fast_as_it_goes() {
    let manner = Manner {
        settings: LIFTED,
        ..Manner::default()
    };
    let mut party = Party::met(Lan::new(5), 5, manner);
    let each = if full() { 2000 } else { 60 };
    let start = now();
    party.talk_at_once(each);
    let took = party.all_counted(3 * PATIENCE).duration_since(start);
    let count = party.said_len();
    let hearing = party.all_heard(SOON);
    println!(
        "limits lifted, five authors: {count} lines, {:.0}/s at every member; {}",
        count as f64 / took.as_secs_f64(),
        hearing.figures()
    );
    party.same_history(PATIENCE);
}
