//! Bad input and a bad surrounding: one sentence, a hint, the exit code, nothing lost.

use std::fs;
use std::io::Write;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount, umount2};
use serde_json::json;

use super::Test;
use crate::harness::lan::{Host, Lan};
use crate::harness::node::{Node, SOON, all_meet, bare_lanchat, lanchat};
use crate::harness::process::{Ran, run};
use crate::harness::world;

pub const TESTS: &[Test] = &[
    ("errors::bad_arguments_are_usage", bad_arguments_are_usage),
    (
        "errors::help_and_version_are_no_errors",
        help_and_version_are_no_errors,
    ),
    ("errors::a_taken_chat_port", a_taken_chat_port),
    (
        "errors::a_taken_presence_port_is_said",
        a_taken_presence_port_is_said,
    ),
    ("errors::no_network_at_all", no_network_at_all),
    (
        "errors::a_data_directory_that_cannot_be",
        a_data_directory_that_cannot_be,
    ),
    (
        "errors::a_full_disk_is_said_and_the_chat_goes_on",
        a_full_disk_is_said_and_the_chat_goes_on,
    ),
    (
        "errors::a_corrupt_identity_is_left_alone",
        a_corrupt_identity_is_left_alone,
    ),
    (
        "errors::one_node_a_data_directory",
        one_node_a_data_directory,
    ),
    (
        "errors::bad_lines_get_an_error_and_no_more",
        bad_lines_get_an_error_and_no_more,
    ),
    ("errors::a_file_at_stdin_is_read", a_file_at_stdin_is_read),
    (
        "errors::ephemeral_leaves_nothing_on_disk",
        ephemeral_leaves_nothing_on_disk,
    ),
];

/// What a full disk did not take is tried again within a minute.
const KEPT_AGAIN: Duration = Duration::from_secs(90);

/// Runs `lanchat` with these arguments until it ends.
fn lanchat_with(host: &Host, data_dir: &Path, arguments: &[&str]) -> Ran {
    let mut command = lanchat(data_dir);
    command.args(arguments);
    run(host, command, "", SOON)
}

/// One sentence with a hint, on stderr alone, and this code.
fn is_error(ran: &Ran, code: i32, about: &str) {
    let Ran { stdout, stderr, .. } = ran;
    assert_eq!(ran.code, code, "{about}: {stderr}{stdout}");
    assert!(!stderr.contains("panicked"), "{about}: {stderr}");
    assert!(stdout.is_empty(), "{about}: stdout: {stdout}");
    let lines = stderr.lines().count();
    assert!((1..=8).contains(&lines), "{about}: {lines} lines: {stderr}");
    assert!(stderr.contains("hint:"), "{about}: no hint: {stderr}");
}

fn bad_arguments_are_usage() {
    let host = Host::alone();
    let data = world::scratch();
    let long = "n".repeat(33);
    for arguments in [
        &["pipe", "--fly"][..],
        &["fly"],
        &["pipe", "--port", "0"],
        &["pipe", "--port", "70000"],
        &["pipe", "--chat-port", "x"],
        &["pipe", "--name", &long],
        &["pipe", "--name", ""],
        &["pipe", "--name", "a\u{7}b"],
        &["pipe", "--name", "a#b"],
        &["pipe", "--name", " ana"],
        &["pipe", "--name", "a\u{202e}b"],
        &["pipe", "--peer", "not an address"],
        &["send"],
        &["who", "--wait", "soon"],
    ] {
        let ran = lanchat_with(&host, data.path(), arguments);
        is_error(&ran, 2, &format!("{arguments:?}"));
    }
}

fn help_and_version_are_no_errors() {
    let host = Host::alone();
    let home = world::scratch();
    let ask = |arguments: &[&str]| {
        let mut command = bare_lanchat(home.path());
        command.args(arguments);
        run(&host, command, "", SOON)
    };
    for arguments in [&["--help"][..], &["pipe", "--help"], &["--version"]] {
        let ran = ask(arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(!ran.stdout.trim().is_empty(), "{arguments:?}");
    }
    let help = ask(&["--help"]).stdout;
    for word in [
        "who",
        "send",
        "pipe",
        "id",
        "--name",
        "--data-dir",
        "--ephemeral",
        "--peer",
    ] {
        assert!(help.contains(word), "--help does not name {word}");
    }
    let version = ask(&["--version"]).stdout;
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
}

fn a_taken_chat_port() {
    let host = Host::alone();
    let data = world::scratch();
    let four = host.enter(|| UdpSocket::bind("0.0.0.0:6000").expect("a port"));
    let ran = lanchat_with(&host, data.path(), &["pipe", "--chat-port", "6000"]);
    is_error(&ran, 5, "a taken chat port");
    assert!(ran.stderr.contains("6000"), "{}", ran.stderr);
    drop(four);

    // Without --chat-port the next free one is taken, and nobody is bothered.
    let _taken = host.enter(|| UdpSocket::bind("0.0.0.0:5263").expect("a port"));
    let ana = Node::start(&host, "ana");
    let port = ana.ready().event["chat_port"].as_u64();
    assert!(
        port.is_some_and(|port| (5264..=5279).contains(&port)),
        "{port:?}"
    );
}

fn a_taken_presence_port_is_said() {
    let lan = Lan::new(2);
    // Without any reuse flag: nobody else can bind it.
    let _taken = lan.host(1).enter(|| {
        let v6 = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::DGRAM, None);
        let v6 = v6.expect("a socket");
        v6.set_only_v6(true).expect("only IPv6");
        let any: std::net::SocketAddr = "[::]:5262".parse().expect("an address");
        v6.bind(&any.into()).expect("the IPv6 port");
        (UdpSocket::bind("0.0.0.0:5262").expect("the IPv4 port"), v6)
    });
    let ana = Node::start_with(lan.host(1), "ana", &["--peer", "10.77.0.2"]);
    let ben = Node::start(lan.host(2), "ben");
    let said = ana.wait_for("a word about the port", SOON, |e| {
        e["event"] == "network" && e["state"] != "ok" || e["event"] == "error"
    });
    assert!(said.event.to_string().contains("5262"), "{}", said.event);
    all_meet(&[&ana, &ben], SOON);
}

fn no_network_at_all() {
    let host = Host::without_network();
    let data = world::scratch();
    is_error(
        &lanchat_with(&host, data.path(), &["pipe"]),
        5,
        "no interface",
    );
}

fn a_data_directory_that_cannot_be() {
    let host = Host::alone();
    let dir = world::scratch();
    let file = dir.path().join("file");
    fs::write(&file, "not a directory").expect("a file");
    is_error(&lanchat_with(&host, &file, &["pipe"]), 1, "a file");
    is_error(
        &lanchat_with(&host, &file.join("below"), &["pipe"]),
        1,
        "below a file",
    );
    assert_eq!(
        fs::read_to_string(&file).expect("the file"),
        "not a directory"
    );

    let fixed = dir.path().join("fixed");
    fs::create_dir(&fixed).expect("a directory");
    let none: Option<&str> = None;
    mount(
        Some("tmpfs"),
        &fixed,
        Some("tmpfs"),
        MsFlags::MS_RDONLY,
        none,
    )
    .expect("a mount");
    let ran = lanchat_with(&host, &fixed, &["pipe"]);
    umount(&fixed).expect("unmounting it");
    is_error(&ran, 1, "read-only");
}

/// A file system of 300 KiB, gone with this.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Self {
        let dir = world::scratch();
        let (kind, options) = (Some("tmpfs"), Some("size=2m"));
        mount(kind, dir.path(), kind, MsFlags::empty(), options).expect("a mount");
        SmallDisk(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Leaves no room on it.
    fn fill(&self) {
        let mut file = fs::File::create(self.path().join("fill")).expect("a file");
        while file.write_all(&[0; 1024]).is_ok() {}
    }

    fn make_room(&self) {
        fs::remove_file(self.path().join("fill")).expect("removing it");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(self.path(), MntFlags::MNT_DETACH);
    }
}

fn a_full_disk_is_said_and_the_chat_goes_on() {
    let lan = Lan::new(2);
    let disk = SmallDisk::new();
    let ana = Node::start_in(lan.host(1), "ana", disk.path(), &[]);
    let ben = Node::start(lan.host(2), "ben");
    all_meet(&[&ana, &ben], SOON);
    disk.fill();
    let lines: Vec<String> = (0..40)
        .map(|n| format!("{n} {}", "x".repeat(800)))
        .collect();
    // Everybody goes on reading everybody. What is not kept is not acknowledged, and no line is
    // refused or lost.
    let mut of_ben = String::new();
    for line in &lines {
        let by_ben = format!("ben {line}");
        of_ben = ben.say("#lobby", &by_ben);
        ana.gets(&by_ben, SOON);
        let id = ana.say("#lobby", line);
        ben.gets(line, SOON);
        ana.delivered(&id, SOON);
    }
    let full = ana.all(|e| e["event"] == "store" && e["kept"] == false);
    assert!(!full.is_empty(), "the disk is not full, or nobody is told");
    let said = ana.all(|e| e["event"] == "error" && e["ref"].is_null());
    assert!(
        said.iter().all(|e| e.text("/code") == "store_failed"),
        "{said:?}"
    );
    let early = ben.all(|e| e["id"] == of_ben && e["state"] == "delivered");
    assert!(early.is_empty(), "counted as kept: {early:?}");
    // A private message is not sent where it cannot be kept.
    let secret = format!("a secret {}", lines[0]);
    let command = json!({"command": "send", "to": "ben", "text": secret});
    assert_eq!(ana.ask(command.clone()).text("/code"), "store_failed");
    disk.make_room();
    assert_eq!(ana.ask(command).text("/event"), "reply");
    ben.gets(&secret, SOON);
    ana.wait_for("that all is kept again", KEPT_AGAIN, |e| {
        e["event"] == "store" && e["kept"] == true
    });
    ben.delivered(&of_ben, KEPT_AGAIN);

    // No number that went out without being kept is used again.
    disk.fill();
    let full = json!({"command": "send", "to": "ben", "text": "y".repeat(60_000)});
    assert_eq!(ana.ask(full).text("/code"), "store_failed");
    let perhaps = format!("perhaps kept {}", lines[0]);
    ana.say("#lobby", &perhaps);
    ben.gets(&perhaps, SOON);
    ana.kill();
    disk.make_room();
    let ana = Node::start_in(lan.host(1), "ana", disk.path(), &[]);
    all_meet(&[&ana, &ben], SOON);
    let id = ana.say("#lobby", "from the beginning");
    ben.gets("from the beginning", SOON);
    ana.delivered(&id, SOON);
    let broken = ben.all(|e| e["event"] == "gap" || e["event"] == "error");
    assert!(broken.is_empty(), "{broken:?}");
}

/// The file of the identity in a data directory.
fn identity_file(data_dir: &Path) -> PathBuf {
    let files = fs::read_dir(data_dir).expect("the data directory");
    let paths = files.flatten().map(|entry| entry.path());
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.contains("identity") || name.contains("key")
    };
    paths
        .into_iter()
        .find(named)
        .expect("a file of the identity")
}

fn a_corrupt_identity_is_left_alone() {
    let host = Host::alone();
    let data = world::scratch();
    let ana = Node::start_in(&host, "ana", data.path(), &[]);
    ana.ready();
    ana.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(ana.exit_code(SOON), 0);
    let path = identity_file(data.path());
    let mode = fs::metadata(&path)
        .expect("the identity")
        .permissions()
        .mode();
    assert_eq!(
        mode & 0o077,
        0,
        "the identity is for its owner only: {mode:o}"
    );
    for broken in [&b""[..], b"seven b", &[0xff; 4096]] {
        fs::write(&path, broken).expect("breaking it");
        let ran = lanchat_with(&host, data.path(), &["pipe"]);
        is_error(&ran, 1, "a corrupt identity");
        assert_eq!(
            fs::read(&path).expect("the identity"),
            broken,
            "it was overwritten"
        );
    }
}

fn one_node_a_data_directory() {
    let lan = Lan::new(2);
    let data = world::scratch();
    let ana = Node::start_in(lan.host(1), "ana", data.path(), &[]);
    let ben = Node::start(lan.host(2), "ben");
    all_meet(&[&ana, &ben], SOON);
    let ran = lanchat_with(lan.host(1), data.path(), &["pipe"]);
    is_error(&ran, 1, "a second node");
    let id = ana.say("#lobby", "unharmed");
    ben.gets("unharmed", SOON);
    ana.delivered(&id, SOON);
    ana.kill();
    // The lock goes with its holder, however it ended.
    Node::start_in(lan.host(1), "ana", data.path(), &[]).ready();
}

fn bad_lines_get_an_error_and_no_more() {
    let lan = Lan::new(2);
    let ana = Node::start(lan.host(1), "ana");
    let ben = Node::start(lan.host(2), "ben");
    all_meet(&[&ana, &ben], SOON);
    let overlong = format!(
        "{{\"command\":\"who\",\"x\":\"{}\"}}",
        "y".repeat(300 * 1024)
    );
    for line in [
        "{not json",
        "[]",
        "7",
        "hello",
        r#"{"command":"fly"}"#,
        r#"{"command":"send","to":"ben"}"#,
        r#"{"command":"status","status":"asleep"}"#,
        "\u{0}\u{1b}[31m",
        overlong.as_str(),
    ] {
        ana.forget();
        ana.line(line);
        let error = ana.wait_for("an error", SOON, |e| e["event"] == "error");
        let shown = &line[..line.len().min(60)];
        assert!(!error.text("/code").is_empty(), "{shown}: {}", error.event);
        assert!(
            !error.text("/message").is_empty(),
            "{shown}: {}",
            error.event
        );
        assert!(
            !error.event.to_string().contains("\\u001b"),
            "{shown}: {}",
            error.event
        );
    }
    for (to, text, code) in [
        ("dora", "hi", "no_such_peer"),
        ("ben", "", ""),
        ("", "hi", ""),
    ] {
        let answer = ana.ask(json!({"command": "send", "to": to, "text": text}));
        assert_eq!(
            answer.text("/event"),
            "error",
            "{to:?} {text:?}: {}",
            answer.event
        );
        assert!(
            code.is_empty() || answer.text("/code") == code,
            "{}",
            answer.event
        );
    }
    let answer = ana.ask(json!({"command": "name", "name": "x".repeat(33)}));
    assert_eq!(answer.text("/event"), "error", "{}", answer.event);
    let id = ana.say("ben", "still here");
    ben.gets("still here", SOON);
    ana.delivered(&id, SOON);
    assert_eq!(ben.texts(&format!("@{}", ana.id())), ["still here"]);
}

fn ephemeral_leaves_nothing_on_disk() {
    let host = Host::alone();
    let home = world::scratch();
    let mut command = bare_lanchat(home.path());
    command.args(["pipe", "--ephemeral", "--name", "ana"]);
    let ran = run(&host, command, "", SOON);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains(r#""event":"ready""#), "{}", ran.stdout);
    let left: Vec<_> = fs::read_dir(home.path())
        .expect("the home")
        .flatten()
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// No poll tells of a regular file.
fn a_file_at_stdin_is_read() {
    let lan = Lan::new(1);
    let data = world::scratch();
    let lines = data.path().join("lines");
    fs::write(&lines, "/nope\nhello\n").expect("a file");
    let program = lanchat(data.path());
    let mut command = Command::new("sh");
    command
        .env_clear()
        .envs(
            program
                .get_envs()
                .filter_map(|(key, value)| Some((key, value?))),
        )
        .args(["-c", "lines=$1; shift; exec \"$@\" < \"$lines\"", "sh"])
        .arg(&lines)
        .arg(program.get_program())
        .args(program.get_args());
    let ran = run(lan.host(1), command, "", SOON);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("there is no command /nope"),
        "{}",
        ran.stderr
    );
}
