//! People meet, write to all and to one.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Test;
use crate::harness::capture::{self, Capture};
use crate::harness::lan::{Host, Lan};
use crate::harness::ms;
use crate::harness::node::{Node, SOON, all_meet, bare_lanchat, lanchat};
use crate::harness::process::run;
use crate::harness::world;

pub const TESTS: &[Test] = &[
    ("meet::three_meet_and_talk", three_meet_and_talk),
    ("meet::two_on_one_host", two_on_one_host),
    ("meet::with_the_loopback_only", with_the_loopback_only),
    ("meet::by_a_second_card", by_a_second_card),
    ("meet::without_multicast", without_multicast),
    (
        "meet::by_address_where_no_group_passes",
        by_address_where_no_group_passes,
    ),
    ("meet::one_name_twice", one_name_twice),
    ("meet::one_shot_commands", one_shot_commands),
];

/// From the last start until everybody lists everybody.
const MEET_WITHIN: Duration = Duration::from_secs(1);

fn three_meet_and_talk() {
    let lan = Lan::new(3);
    let wire = Capture::start(lan.switch());
    let ana = Node::start(lan.host(1), "ana");
    let ben = Node::start(lan.host(2), "ben");
    let cid = Node::start(lan.host(3), "cid");
    let met = all_meet(&[&ana, &ben, &cid], SOON);
    let took = met.saturating_duration_since(cid.started());
    assert!(
        took < MEET_WITHIN,
        "all listed all {took:?} after the last start"
    );

    let id = ana.say("#lobby", "good morning everybody");
    for other in [&ben, &cid] {
        let heard = other.gets("good morning everybody", SOON);
        assert_eq!(heard.text("/conversation"), "#lobby");
        assert_eq!(heard.text("/from/name"), "ana");
        assert_eq!(heard.text("/from/id"), ana.id());
        assert_eq!(heard.text("/id"), id);
    }
    let receipt = ana.delivered(&id, SOON).event;
    assert_eq!(
        (receipt["delivered"].as_u64(), receipt["of"].as_u64()),
        (Some(2), Some(2))
    );

    let secret = "the key lies under the third stone";
    let id = ben.say("cid", secret);
    let heard = cid.gets(secret, SOON);
    assert_eq!(heard.text("/conversation"), format!("@{}", ben.id()));
    ben.delivered(&id, SOON);

    // Whatever ana is to get of it came before what ben and cid write now.
    ben.say("#lobby", "that was all");
    cid.say("#lobby", "for me as well");
    ana.gets("that was all", SOON);
    ana.gets("for me as well", SOON);
    let leaked = ana.all(|event| event.to_string().contains(secret));
    assert!(
        leaked.is_empty(),
        "the private message reached a third: {leaked:?}"
    );
    let frames = wire.frames();
    assert!(
        capture::contains(&frames, b"good morning everybody"),
        "the capture saw nothing"
    );
    assert!(
        !capture::contains(&frames, secret.as_bytes()),
        "plaintext on the wire"
    );
}

/// Both ways to the lobby and to one another, each with its receipt.
pub(super) fn they_talk(ana: &Node, ben: &Node, within: Duration) {
    for (from, to) in [(ana, ben), (ben, ana)] {
        let text = format!("lobby by {}", from.name);
        let id = from.say("#lobby", &text);
        to.gets(&text, within);
        from.delivered(&id, within);
        let text = format!("private by {}", from.name);
        let id = from.say(&to.name, &text);
        to.gets(&text, within);
        from.delivered(&id, within);
    }
}

fn two_on_one_host() {
    let lan = Lan::new(2);
    let ana = Node::start(lan.host(1), "ana");
    let ben = Node::start(lan.host(1), "ben");
    let cid = Node::start(lan.host(2), "cid");
    all_meet(&[&ana, &ben, &cid], SOON);
    let ports = [&ana, &ben].map(|node| node.ready().event["chat_port"].as_u64());
    assert!(
        ports[0].is_some() && ports[0] != ports[1],
        "chat ports {ports:?}"
    );
    they_talk(&ana, &ben, SOON);
    they_talk(&ana, &cid, SOON);
}

fn with_the_loopback_only() {
    let host = Host::alone();
    let ana = Node::start(&host, "ana");
    let ben = Node::start(&host, "ben");
    all_meet(&[&ana, &ben], SOON);
    they_talk(&ana, &ben, SOON);
}

fn by_a_second_card() {
    let lan = Lan::new(2);
    lan.second_card(1);
    lan.second_card(2);
    let ana = Node::start(lan.host(1), "ana");
    let ben = Node::start(lan.host(2), "ben");
    all_meet(&[&ana, &ben], SOON);
    they_talk(&ana, &ben, SOON);
    let ids: BTreeSet<String> = ana
        .all(|event| event["event"] == "peer")
        .iter()
        .map(|heard| heard.text("/peer/id").to_owned())
        .collect();
    assert_eq!(ids, BTreeSet::from([ben.id()]), "one person is one row");
    let once = |node: &Node, text| node.texts("#lobby").iter().filter(|t| *t == text).count();
    assert_eq!(
        once(&ben, "lobby by ana"),
        1,
        "shown once, however many cards heard it"
    );

    lan.cut(2);
    for node in [&ana, &ben] {
        node.forget();
    }
    they_talk(&ana, &ben, Duration::from_secs(20));
}

fn without_multicast() {
    let lan = Lan::new(3);
    lan.drop_multicast();
    let ana = Node::start(lan.host(1), "ana");
    let ben = Node::start(lan.host(2), "ben");
    let cid = Node::start(lan.host(3), "cid");
    all_meet(&[&ana, &ben, &cid], SOON);
    they_talk(&ana, &ben, SOON);
    cid.gets("lobby by ana", SOON);
}

fn by_address_where_no_group_passes() {
    let lan = Lan::new(2);
    lan.drop_multicast_and_broadcast();
    let ana = Node::start(lan.host(1), "ana");
    let ben = Node::start_with(lan.host(2), "ben", &["--peer", "10.77.0.1"]);
    all_meet(&[&ana, &ben], SOON);
    let id = ana.say("ben", "found");
    ben.gets("found", SOON);
    ana.delivered(&id, SOON);
}

fn one_name_twice() {
    let lan = Lan::new(3);
    let ana = Node::start(lan.host(1), "ana");
    let one = Node::start(lan.host(2), "ben");
    let two = Node::start(lan.host(3), "ben");
    for other in [&one, &two] {
        let id = other.id();
        ana.wait_for("both rows", SOON, |e| {
            e["event"] == "peer" && e["peer"]["id"] == id && e["state"] == "online"
        });
    }
    let answer = ana.ask(serde_json::json!({"command": "send", "to": "ben", "text": "who?"}));
    assert_eq!(
        answer.text("/event"),
        "error",
        "an ambiguous name: {}",
        answer.event
    );
    // Whoever has just begun to look around does not take the first that is found.
    let data = world::scratch();
    let mut command = lanchat(data.path());
    command.args(["send", "--name", "cid", "ben", "who?"]);
    let ran = run(lan.host(1), command, "", SOON);
    assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
    for tag in [&one, &two].map(|node| format!("ben~{}", &node.id()[..4])) {
        assert!(ran.stderr.contains(&tag), "{tag}: {}", ran.stderr);
    }
    let id = two.id();
    ana.say(&id[..12], "you");
    two.gets("you", SOON);
    one.say("#lobby", "fence");
    ana.gets("fence", SOON);
    assert!(
        one.all(|e| e["text"] == "you" || e["text"] == "who?")
            .is_empty()
    );
}

fn one_shot_commands() {
    let lan = Lan::new(2);
    let ben = Node::start(lan.host(1), "ben");
    ben.ready();
    let home = crate::harness::world::scratch();
    let ask = |arguments: &[&str], input: &str| {
        let mut command = bare_lanchat(home.path());
        command
            .arg("--data-dir")
            .arg(home.path())
            .args(["--name", "ana"])
            .args(arguments);
        run(lan.host(2), command, input, Duration::from_secs(15))
    };
    let who = ask(&["who"], "");
    assert_eq!(who.code, 0, "{}", who.stderr);
    assert!(
        who.stdout.lines().any(|line| line.starts_with("ben")),
        "{}",
        who.stdout
    );
    let id = ask(&["id"], "");
    assert_eq!(
        (id.code, ask(&["id"], "").stdout),
        (0, id.stdout.clone()),
        "the id stays"
    );

    let sent = ask(&["send", "ben", "hello", "from", "a", "script"], "");
    assert_eq!(sent.code, 0, "{}", sent.stderr);
    let heard = ben.gets("hello from a script", SOON);
    assert!(
        id.stdout.contains(heard.text("/from/id")),
        "{} {}",
        id.stdout,
        heard.event
    );
    let sent = ask(&["send", "#lobby", "-"], "from stdin\n");
    assert_eq!(sent.code, 0, "{}", sent.stderr);
    ben.gets("from stdin", SOON);

    let nobody = ask(&["send", "dora", "hello", "--wait", "1"], "");
    assert_eq!(nobody.code, 3, "{}", nobody.stderr);
    ben.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(ben.exit_code(SOON), 0);
    let alone = ask(&["who", "--wait", "1"], "");
    assert_eq!(alone.code, 3, "{}{}", alone.stdout, alone.stderr);
    let started = crate::harness::now();
    let unheard = ask(&["send", "#lobby", "anybody?", "--wait", "2"], "");
    assert_eq!(unheard.code, 4, "{}", unheard.stderr);
    assert!(
        crate::harness::now() - started < ms(6000),
        "it waited too long"
    );
}
