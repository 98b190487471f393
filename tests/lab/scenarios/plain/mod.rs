//! `lanchat plain` with programs that know nothing of lanchat: Python of this test's own, netcat.

mod errors;
mod load;
mod tcp;
mod udp;

use std::cell::RefCell;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use super::Test;
use crate::harness::lan::Host;
use crate::harness::node::{bare, bare_lanchat};
use crate::harness::process::Process;
use crate::harness::{ms, now, world};

/// Long enough for what has to happen on a busy machine; no test here is about that.
const PATIENCE: Duration = Duration::from_secs(20);

/// OpenBSD's.
const NETCAT: &str = "nc";

const FAREWELLS: [&str; 3] = ["quit", "exit", "bye bye"];

/// Two who know each other, on one host.
const PAIR: [&str; 5] = [
    "udp",
    "--listen",
    "127.0.0.1:7000",
    "--peer",
    "127.0.0.1:7001",
];

/// Every test of this theme.
pub fn tests() -> impl Iterator<Item = Test> {
    [udp::TESTS, tcp::TESTS, load::TESTS, errors::TESTS]
        .into_iter()
        .flatten()
        .copied()
}

/// What came in from outside and must not reach a terminal as it is: escapes, overwriting, bidi,
/// what is invisible.
const ATTACKS: &[&str] = &[
    "\u{1b}[2J\u{1b}[Hcleared",
    "\u{1b}]0;title\u{7}",
    "\u{1b}]52;c;aGk=\u{1b}\\clipboard",
    "\u{1b}]8;;http://a\u{1b}\\link\u{1b}]8;;\u{1b}\\",
    "\u{1b}[6n\u{1b}[c\u{1b}]11;?\u{7}asked",
    "\u{1b}P$qm\u{1b}\\dcs",
    "\u{1b}c\u{1b}7\u{1b}8reset",
    "\u{1b}",
    "\u{9b}31m\u{9d}0;t\u{9c}\u{90}8-bit",
    "you owe 5\ryou owe 500",
    "rm -rf /\u{8}\u{8}\u{8}\u{7f}",
    "a\u{b}b\u{c}c\u{85}d\u{0}e\u{e}f\u{f}g",
    "one\n10.0.0.9:7: forged",
    "one\r\n10.0.0.9:7 went offline",
    "exe.\u{202e}gpj",
    "\u{202a}a\u{202b}b\u{202c}c\u{202d}d",
    "\u{2066}a\u{2067}b\u{2068}c\u{2069}d",
    "a\u{200e}b\u{200f}c\u{61c}d",
    "ad\u{200b}\u{200c}\u{2060}\u{feff}min",
    "a\u{2028}b\u{2029}c",
    "hi\u{e0001}\u{e0068}\u{e007f}",
    "Z\u{351}\u{352}\u{353}\u{354}\u{355}\u{356}\u{357}\u{358}\u{359}",
];

/// Whether a terminal may get this character of somebody else's text.
fn is_harmless(c: char) -> bool {
    let hides = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}');
    !(c.is_control() || hides)
}

/// Everything that a terminal got: harmless, and no line that pretends to be somebody else's.
fn assert_harmless(raw: &[u8], who: &str) {
    let text = String::from_utf8(raw.to_vec()).expect("UTF-8");
    let harms = |c: &char| !is_harmless(*c) && !matches!(c, '\n' | '\r');
    assert_eq!(text.chars().find(harms), None, "{text:?}");
    // The terminal itself writes \r before \n and nowhere else.
    assert_eq!(text.matches('\r').count(), text.matches("\r\n").count());
    let who = format!("{who}: ");
    let ours = |line: &str| line.starts_with(&who) || line.starts_with("lanchat: ");
    assert!(text.lines().all(ours), "{text:?}");
}

/// A running program that is spoken to by lines.
struct Talk {
    process: RefCell<Process>,
    lines: Receiver<(Instant, String)>,
    /// Read and not waited for.
    heard: RefCell<Vec<(Instant, String)>>,
    _home: tempfile::TempDir,
}

impl Talk {
    /// Starts `lanchat plain` with these arguments and waits until it is at work.
    fn plain(host: &Host, arguments: &[&str]) -> Talk {
        let talk = Talk::plain_at_once(host, arguments);
        talk.says("nothing is encrypted");
        talk
    }

    /// Starts it and does not wait.
    fn plain_at_once(host: &Host, arguments: &[&str]) -> Talk {
        let home = world::scratch();
        let mut command = bare_lanchat(home.path());
        command
            .args(["plain", "--ephemeral", "--name", "ana"])
            .args(arguments);
        Talk::start(host, command, home)
    }

    /// Starts one of the Python programs; the number after its `ready`.
    fn python(host: &Host, program: &str, arguments: &[&str]) -> (Talk, String) {
        let home = world::scratch();
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/programs");
        let mut command = bare("python3".as_ref(), home.path());
        command
            .arg("-u")
            .arg(dir.join(program).with_extension("py"))
            .args(arguments);
        let talk = Talk::start(host, command, home);
        let ready = talk.hears_where("ready", |line| line.starts_with("ready"));
        (talk, ready.1["ready".len()..].trim().to_owned())
    }

    /// Starts netcat.
    fn netcat(host: &Host, arguments: &[&str]) -> Talk {
        let home = world::scratch();
        let mut command = bare(NETCAT.as_ref(), home.path());
        command.args(arguments);
        Talk::start(host, command, home)
    }

    fn start(host: &Host, command: Command, home: tempfile::TempDir) -> Talk {
        let (tell, lines) = mpsc::channel();
        let is_netcat = command.get_program() == NETCAT;
        let process = Process::start(host, command, move |mut out| {
            let mut buffer = vec![0; 128 * 1024];
            let mut begun: Vec<u8> = Vec::new();
            while let Ok(len @ 1..) = out.read(&mut buffer) {
                begun.extend_from_slice(&buffer[..len]);
                // Netcat writes datagrams as they are, without newlines.
                let whole = begun.ends_with(b"\n") || is_netcat;
                let kept = match whole {
                    true => begun.len(),
                    false => begun
                        .iter()
                        .rposition(|&b| b == b'\n')
                        .map_or(0, |at| at + 1),
                };
                let rest = begun.split_off(kept);
                let text = String::from_utf8(std::mem::replace(&mut begun, rest));
                let text = text.unwrap_or_else(|error| panic!("not UTF-8 on stdout: {error}"));
                for line in text.split_terminator('\n') {
                    if tell.send((now(), line.to_owned())).is_err() {
                        return;
                    }
                }
            }
        });
        Talk {
            process: RefCell::new(process),
            lines,
            heard: RefCell::default(),
            _home: home,
        }
    }

    /// Types a line.
    fn line(&self, line: &str) {
        self.bytes(format!("{line}\n").as_bytes());
    }

    /// Writes to its input.
    fn bytes(&self, bytes: &[u8]) {
        let mut process = self.process.borrow_mut();
        let stdin = process.stdin.as_mut().expect("its input is open");
        stdin.write_all(bytes).expect("writing to its input");
    }

    /// Ends its input.
    fn close(&self) {
        self.process.borrow_mut().stdin = None;
    }

    /// Waits for a line that is exactly this; when it came.
    fn hears(&self, line: &str) -> Instant {
        self.hears_where(line, |heard| heard == line).0
    }

    /// Types a line until `other` hears one that suits; what it heard. A datagram may be lost
    /// where the other side is not ready yet, or where many namespaces fill the kernel's one
    /// table of neighbours.
    fn says_until(&self, line: &str, other: &Talk, suits: impl Fn(&str) -> bool) -> String {
        let deadline = now() + PATIENCE;
        loop {
            self.line(line);
            let mut heard = other.heard.borrow_mut();
            heard.extend(other.lines.recv_timeout(ms(50)));
            if let Some(at) = heard.iter().position(|(_, line)| suits(line)) {
                return heard.remove(at).1;
            }
            assert!(now() < deadline, "{line:?} is not heard; {}", self.stderr());
        }
    }

    /// Waits for a line that suits.
    fn hears_where(&self, what: &str, suits: impl Fn(&str) -> bool) -> (Instant, String) {
        let deadline = now() + PATIENCE;
        let mut heard = self.heard.borrow_mut();
        loop {
            if let Some(at) = heard.iter().position(|(_, line)| suits(line)) {
                return heard.remove(at);
            }
            let left = deadline.saturating_duration_since(now());
            match self.lines.recv_timeout(left) {
                Ok(line) => heard.push(line),
                Err(_) => panic!(
                    "{what:?} did not come; heard {heard:?}; stderr:\n{}",
                    self.stderr()
                ),
            }
        }
    }

    /// Waits until this stands on its stderr.
    fn says(&self, what: &str) {
        let deadline = now() + PATIENCE;
        while !self.stderr().contains(what) {
            assert!(now() < deadline, "{what:?} is not in\n{}", self.stderr());
            // A moment, in which a line may come.
            self.heard
                .borrow_mut()
                .extend(self.lines.recv_timeout(ms(5)));
        }
    }

    fn stderr(&self) -> String {
        self.process.borrow().stderr()
    }

    /// Waits for its end; its exit code.
    fn ends(&self) -> i32 {
        self.process.borrow_mut().wait(PATIENCE)
    }

    /// Whether it is still there.
    fn runs(&self) -> bool {
        let ended = self.process.borrow_mut().try_wait(Duration::ZERO);
        ended.is_none()
    }

    /// What came and was not waited for, up to its end.
    fn rest(&self) -> Vec<String> {
        let mut heard = self.heard.borrow_mut();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            heard.push(line);
        }
        heard.drain(..).map(|(_, line)| line).collect()
    }
}
