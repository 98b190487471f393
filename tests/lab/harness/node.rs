//! One lanchat under test, spoken to in JSON Lines.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::lan::Host;
use super::process::Process;
use super::{ms, now, world};

/// Long enough for what has to happen, where a test is not about how fast.
pub const SOON: Duration = Duration::from_secs(5);

/// An event and when it was read.
#[derive(Clone, Debug)]
pub struct Heard {
    /// When its line was complete.
    pub at: Instant,
    /// The object.
    pub event: Value,
}

impl Heard {
    /// A field of the event, as text; empty where it is none.
    pub fn text(&self, pointer: &str) -> &str {
        text(&self.event, pointer)
    }
}

/// How many lines of chat came, counted as they are read.
#[derive(Default)]
struct Shown {
    own: AtomicUsize,
    others: AtomicUsize,
}

/// A running `lanchat pipe --stay`.
pub struct Node {
    /// The name it was started with.
    pub name: String,
    /// The process.
    pub process: RefCell<Process>,
    lines: Receiver<(Instant, String)>,
    shown: Arc<Shown>,
    heard: RefCell<Vec<Heard>>,
    mark: Cell<usize>,
    next_ref: Cell<u64>,
    own_id: RefCell<String>,
    data_dir: PathBuf,
    _scratch: Option<tempfile::TempDir>,
}

impl Node {
    /// Starts one with a new data directory of its own.
    pub fn start(host: &Host, name: &str) -> Self {
        Self::start_with(host, name, &[])
    }

    /// The same with further arguments.
    pub fn start_with(host: &Host, name: &str, arguments: &[&str]) -> Self {
        let scratch = world::scratch();
        let dir = scratch.path().to_owned();
        let mut node = Self::start_in(host, name, &dir, arguments);
        node._scratch = Some(scratch);
        node
    }

    /// Starts one with this data directory.
    pub fn start_in(host: &Host, name: &str, data_dir: &Path, arguments: &[&str]) -> Self {
        let mut command = lanchat(data_dir);
        command
            .args(["pipe", "--stay", "--name", name])
            .args(arguments);
        let (tell, lines) = mpsc::channel();
        let shown = Arc::new(Shown::default());
        let count = Arc::clone(&shown);
        let process = Process::start(host, command, move |out| read_lines(out, &tell, &count));
        Node {
            name: name.to_owned(),
            process: RefCell::new(process),
            lines,
            shown,
            heard: RefCell::default(),
            mark: Cell::new(0),
            next_ref: Cell::new(1),
            own_id: RefCell::default(),
            data_dir: data_dir.to_owned(),
            _scratch: None,
        }
    }

    /// When the process was started.
    pub fn started(&self) -> Instant {
        self.process.borrow().started
    }

    /// Its data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    // ------------------------------------------------------------ events

    /// The first event since the last [`Node::forget`] that `wanted` accepts; waits for it at most
    /// `within`.
    pub fn wait_for(&self, what: &str, within: Duration, wanted: impl Fn(&Value) -> bool) -> Heard {
        self.wait_from(self.mark.get(), what, within, wanted)
    }

    fn wait_from(
        &self,
        start: usize,
        what: &str,
        within: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Heard {
        let deadline = now() + within;
        let mut next = start;
        loop {
            while let Some(heard) = self.nth(next) {
                if wanted(&heard.event) {
                    return heard;
                }
                next += 1;
            }
            if !self.read_one(deadline.saturating_duration_since(now())) {
                self.fail(&format!("did not get {what} within {within:?}"));
            }
        }
    }

    /// From now on only what comes from now on is looked at.
    pub fn forget(&self) {
        self.drain();
        self.mark.set(self.heard.borrow().len());
    }

    /// Every event since the last [`Node::forget`] that is there already and accepted by `wanted`.
    pub fn all(&self, wanted: impl Fn(&Value) -> bool) -> Vec<Heard> {
        self.drain();
        let heard = self.heard.borrow();
        let since = &heard[self.mark.get()..];
        since.iter().filter(|h| wanted(&h.event)).cloned().collect()
    }

    /// The next event that was not looked at, and forgets it; none if there is none `within`.
    pub fn take(&self, within: Duration) -> Option<Heard> {
        let next = self.mark.get();
        if self.nth(next).is_none() && !self.read_one(within) {
            return None;
        }
        self.mark.set(next + 1);
        self.nth(next)
    }

    /// Waits for the first event of all, and keeps its own id.
    pub fn ready(&self) -> Heard {
        let ready = self.wait_from(0, "ready", SOON, |e| e["event"] == "ready");
        *self.own_id.borrow_mut() = ready.text("/self/id").to_owned();
        ready
    }

    /// Its id.
    pub fn id(&self) -> String {
        if self.own_id.borrow().is_empty() {
            self.ready();
        }
        self.own_id.borrow().clone()
    }

    /// Waits until `other` is shown in one of these states.
    pub fn sees(&self, other: &str, states: &[&str], within: Duration) -> Heard {
        let what = format!("{other} as {states:?}");
        self.wait_for(&what, within, |e| is_peer(e, other, states))
    }

    /// Waits until `other` is online.
    pub fn lists(&self, other: &str, within: Duration) -> Heard {
        self.sees(other, &["online"], within)
    }

    /// Waits for a line with this text.
    pub fn gets(&self, text_wanted: &str, within: Duration) -> Heard {
        let what = format!("the message {text_wanted:?}");
        self.wait_for(&what, within, |e| {
            e["event"] == "message" && e["text"] == text_wanted && e["own"] == false
        })
    }

    /// Waits until an own message is delivered to everybody it was for.
    pub fn delivered(&self, id: &str, within: Duration) -> Heard {
        self.wait_for("the receipt", within, |e| {
            e["event"] == "receipt" && e["id"] == id && e["state"] == "delivered"
        })
    }

    /// The texts of others so far, in the order they were shown.
    pub fn texts(&self, conversation: &str) -> Vec<String> {
        let wanted = |e: &Value| {
            e["event"] == "message" && e["own"] == false && e["conversation"] == conversation
        };
        let all = self.all(wanted);
        all.iter()
            .map(|heard| heard.text("/text").to_owned())
            .collect()
    }

    /// How many own lines it showed so far.
    pub fn shown_own(&self) -> usize {
        self.shown.own.load(Ordering::Relaxed)
    }

    /// How many lines of others it showed so far.
    pub fn shown_of_others(&self) -> usize {
        self.shown.others.load(Ordering::Relaxed)
    }

    // ------------------------------------------------------------ commands

    /// Writes one line to its stdin.
    pub fn line(&self, line: &str) {
        let mut process = self.process.borrow_mut();
        let stdin = process.stdin.as_mut().expect("its stdin is open");
        let written = writeln!(stdin, "{line}").and_then(|()| stdin.flush());
        drop(process);
        if let Err(e) = written {
            self.fail(&format!("cannot be written to: {e}"));
        }
    }

    /// Gives a command with a `ref`, and waits for its reply or error.
    pub fn ask(&self, command: Value) -> Heard {
        self.ask_within(SOON, command)
    }

    /// The same for what may take longer.
    pub fn ask_within(&self, within: Duration, mut command: Value) -> Heard {
        let reference = self.next_ref.get();
        self.next_ref.set(reference + 1);
        command["ref"] = json!(reference);
        self.line(&command.to_string());
        self.wait_for(&format!("an answer to {command}"), within, |e| {
            e["ref"] == reference && (e["event"] == "reply" || e["event"] == "error")
        })
    }

    /// Writes to a room or a person; the id of the message.
    pub fn say(&self, to: &str, what: &str) -> String {
        let answer = self.ask(json!({"command": "send", "to": to, "text": what}));
        let id = answer.text("/id");
        if answer.event["event"] != "reply" || id.is_empty() {
            self.fail(&format!("could not send to {to}: {}", answer.event));
        }
        id.to_owned()
    }

    /// The row of `other` as it is now.
    pub fn row(&self, other: &str) -> Value {
        let start = self.heard.borrow().len();
        let answer = self.ask(json!({"command": "who"}));
        let reference = answer.event["ref"].clone();
        let heard = self.heard.borrow();
        let mut rows = heard[start..].iter().map(|h| &h.event).filter(|e| {
            e["event"] == "peer"
                && e["ref"] == reference
                && e["peer"]["name"] == other
                && e["incompatible"] != true
        });
        rows.next_back().cloned().unwrap_or(Value::Null)
    }

    /// Closes its stdin.
    pub fn close(&self) {
        self.process.borrow_mut().stdin = None;
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.borrow().signal(signal);
    }

    /// Kills it as a power cut would.
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
        self.process.borrow_mut().wait(SOON);
    }

    /// Waits for its end; its exit code.
    pub fn exit_code(&self, within: Duration) -> i32 {
        self.process.borrow_mut().wait(within)
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.process.borrow().resident_kib()
    }

    /// Fails the test with what this node last said.
    pub fn fail(&self, why: &str) -> ! {
        self.drain();
        let heard = self.heard.borrow();
        let mut report = format!("{} {why}\n", self.name);
        let skipped = heard.len().saturating_sub(25);
        let _ = writeln!(
            report,
            "  its last events ({skipped} earlier ones left out):"
        );
        for one in &heard[skipped..] {
            let after = one.at.saturating_duration_since(self.started());
            let _ = writeln!(
                report,
                "  {:>8.1} ms {}",
                after.as_secs_f64() * 1e3,
                one.event
            );
        }
        let mut process = self.process.borrow_mut();
        match process.try_wait(ms(0)) {
            Some(code) => _ = writeln!(report, "  it ended with {code}"),
            None => _ = writeln!(report, "  it is running"),
        }
        let _ = write!(report, "  its stderr:\n{}", process.stderr());
        drop(process);
        panic!("{report}")
    }

    fn nth(&self, index: usize) -> Option<Heard> {
        self.heard.borrow().get(index).cloned()
    }

    fn drain(&self) {
        while self.read_one(Duration::ZERO) {}
    }

    /// Takes one line in; false where none came in time.
    fn read_one(&self, within: Duration) -> bool {
        let (at, line) = match self.lines.recv_timeout(within) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return false,
        };
        let event = parse_event(&line)
            .unwrap_or_else(|why| panic!("{} wrote a line that is none: {why}: {line}", self.name));
        self.heard.borrow_mut().push(Heard { at, event });
        true
    }
}

/// Waits until each of `nodes` lists all the others; when the last row appeared.
pub fn all_meet(nodes: &[&Node], within: Duration) -> Instant {
    let deadline = now() + within;
    let mut last = now();
    for node in nodes {
        for other in nodes.iter().filter(|other| other.name != node.name) {
            let left = deadline.saturating_duration_since(now());
            let seen = node.lists(&other.name, left.max(ms(1))).at;
            last = last.max(seen);
        }
    }
    last
}

/// The program, with nothing of this user's environment, and this data directory.
pub fn lanchat(data_dir: &Path) -> Command {
    let mut command = bare_lanchat(data_dir);
    command.arg("--data-dir").arg(data_dir);
    command
}

/// The program with `home` as its home and nothing else of this user's environment.
pub fn bare_lanchat(home: &Path) -> Command {
    bare(world::program().as_ref(), home)
}

/// A program with `home` as its home and nothing else of this user's environment.
pub fn bare(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("USER", "labuser")
        .env("LOGNAME", "labuser")
        .env("TERM", "xterm-256color")
        .env("LANG", "C.UTF-8")
        .env("RUST_BACKTRACE", "1");
    command
}

/// Whether this event shows the peer of this name in one of these states.
pub fn is_peer(event: &Value, name: &str, states: &[&str]) -> bool {
    event["event"] == "peer"
        && event["peer"]["name"] == name
        && states.iter().any(|state| event["state"] == *state)
}

/// Reads one line of JSON Lines: an object with an `event`.
///
/// # Errors
/// What it is instead.
pub fn parse_event(line: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
    match value.get("event") {
        Some(Value::String(_)) => Ok(value),
        _ => Err("no event".to_owned()),
    }
}

fn text<'a>(event: &'a Value, pointer: &str) -> &'a str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

fn read_lines(out: ChildStdout, tell: &Sender<(Instant, String)>, shown: &Shown) {
    let mut out = BufReader::new(out);
    let mut line = String::new();
    while out.read_line(&mut line).is_ok() {
        // One that was cut short by the end of its writer is none.
        if line.pop() != Some('\n') {
            return;
        }
        if line.starts_with(r#"{"event":"message""#) {
            let of = match line.contains(r#""own":true"#) {
                true => &shown.own,
                false => &shown.others,
            };
            of.fetch_add(1, Ordering::Relaxed);
        }
        if tell.send((now(), std::mem::take(&mut line))).is_err() {
            return;
        }
    }
}
