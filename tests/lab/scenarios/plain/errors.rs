//! What cannot be: one sentence, a hint, the exit code.

use std::net::{TcpListener, UdpSocket};

use crate::harness::lan::Host;
use crate::harness::node::bare_lanchat;
use crate::harness::process::{Ran, run};
use crate::harness::world;

use super::{PATIENCE, Test};

pub const TESTS: &[Test] = &[
    (
        "plain::errors::each_is_a_sentence_and_a_hint",
        each_is_a_sentence_and_a_hint,
    ),
    (
        "plain::errors::who_does_not_answer_is_said",
        who_does_not_answer_is_said,
    ),
];

fn plain(host: &Host, arguments: &str) -> Ran {
    let home = world::scratch();
    let mut command = bare_lanchat(home.path());
    command.arg("plain").args(arguments.split_whitespace());
    run(host, command, "", PATIENCE)
}

/// One error, which says this, and a hint; nothing on stdout.
fn fails(host: &Host, arguments: &str, code: i32, says: &str) {
    let ran = plain(host, arguments);
    let Ran { stdout, stderr, .. } = &ran;
    assert_eq!(ran.code, code, "{arguments}: {stderr}");
    assert_eq!(stdout, "", "{arguments}");
    let error: Vec<&str> = stderr
        .lines()
        .filter(|line| !line.contains("nothing is encrypted"))
        .collect();
    assert_eq!(error.len(), 2, "{arguments}: {stderr}");
    assert!(
        error[0].starts_with("lanchat: ") && error[0].contains(says),
        "{arguments}: {stderr}"
    );
    assert!(error[1].starts_with("hint: "), "{arguments}: {stderr}");
}

fn each_is_a_sentence_and_a_hint() {
    let host = Host::alone();
    let _udp = host.enter(|| UdpSocket::bind("127.0.0.1:7001").expect("a port"));
    let _tcp = host.enter(|| TcpListener::bind("127.0.0.1:7001").expect("a port"));
    for (arguments, code, says) in [
        // In use.
        (
            "udp --listen 127.0.0.1:7001",
            5,
            "cannot listen on 127.0.0.1:7001: another program",
        ),
        (
            "tcp --listen 127.0.0.1:7001",
            5,
            "cannot listen on 127.0.0.1:7001: another program",
        ),
        ("tcp --listen [::]:7001", 5, "another program"),
        // Not of this host.
        (
            "udp --listen 10.1.2.3:7000",
            5,
            "this machine has no such address",
        ),
        (
            "tcp --listen 10.1.2.3:7000",
            5,
            "this machine has no such address",
        ),
        (
            "tcp --listen [fd00::9]:7000",
            5,
            "this machine has no such address",
        ),
        (
            "udp --listen [fe80::1%eth9]:7000",
            2,
            "there is no such interface",
        ),
        ("tcp --listen 239.1.2.3:7000", 2, "TCP knows no groups"),
        // Ports.
        (
            "udp --listen 127.0.0.1:0",
            2,
            "must be a number, 1 to 65535",
        ),
        (
            "udp --listen 127.0.0.1:65536",
            2,
            "must be a number, 1 to 65535",
        ),
        (
            "tcp --connect 127.0.0.1:-1",
            2,
            "must be a number, 1 to 65535",
        ),
        ("tcp --listen 127.0.0.1", 2, "its port is missing"),
        (
            "udp --listen 127.0.0.1:7000 --peer 127.0.0.1:70000",
            2,
            "1 to 65535",
        ),
        (
            "udp --listen 127.0.0.1:7000 --peer 127.0.0.1",
            2,
            "its port is missing",
        ),
        // Unreachable.
        (
            "udp --listen 0.0.0.0:7000 --peer 10.9.9.9:7",
            5,
            "cannot reach 10.9.9.9:7: there is no way",
        ),
        (
            "udp --listen 0.0.0.0:7000 --peer 239.1.2.3:7",
            5,
            "there is no way",
        ),
        (
            "tcp --connect 10.9.9.9:7",
            5,
            "cannot reach 10.9.9.9:7: there is no way",
        ),
        ("tcp --connect [fd00::9]:7", 5, "there is no way"),
        (
            "udp --listen 127.0.0.1:7000 --peer [::1]:7000",
            2,
            "one is IPv4, the other IPv6",
        ),
        // Names.
        (
            "udp --listen nobody.invalid:7000",
            2,
            "\"nobody.invalid\" cannot be found",
        ),
        (
            "udp --listen 127.0.0.1:7000 --peer nobody.invalid:7",
            2,
            "cannot be found",
        ),
        ("tcp --connect nobody.invalid:7000", 2, "cannot be found"),
        ("tcp --connect fe80::1:7000", 2, "its port is missing"),
        ("tcp --connect [fe80::1]:7000", 2, "needs its interface"),
        (
            "udp --listen [::]:7000 --peer [ff02::1]:7000",
            2,
            "needs its interface",
        ),
        // Refused.
        (
            "tcp --connect 127.0.0.1:9",
            1,
            "cannot reach 127.0.0.1:9: nobody listens there",
        ),
        ("tcp --connect localhost:9", 1, "nobody listens there"),
        // Usage.
        ("", 2, ""),
        ("sctp", 2, "sctp"),
        ("udp", 2, "--listen"),
        ("tcp", 2, "--listen"),
        (
            "tcp --listen 127.0.0.1:7000 --connect 127.0.0.1:7001",
            2,
            "cannot be used together",
        ),
        ("tcp --listen 127.0.0.1:7000 --say-name", 2, "no option"),
    ] {
        fails(&host, arguments, code, says);
    }
}

fn who_does_not_answer_is_said() {
    let host = Host::alone();
    host.ip("addr add 10.1.2.3/32 dev lo\n");
    host.try_nft(
        "table inet t { chain c { type filter hook input priority 0; tcp dport 9 drop; }; }\n",
    )
    .expect("nft");
    fails(
        &host,
        "tcp --connect 10.1.2.3:9",
        5,
        "cannot reach 10.1.2.3:9: it does not answer",
    );
}
