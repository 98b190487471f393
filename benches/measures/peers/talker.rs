//! A chat program as a person sees it: who is there, what is said.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::lan::{Host, Lan};
use crate::harness::node::{Node, SOON, bare, is_peer};
use crate::harness::process::Process;
use crate::harness::pty::Terminal;
use crate::harness::{now, world};

/// Which program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Lanchat,
    Termchat,
    Zre,
}

/// One running program.
pub trait Talker: Send {
    /// From when its times count.
    fn started(&self) -> Instant;
    /// Waits until the other is shown as online, or as offline; none if not `within`.
    fn shows(&mut self, other: &str, online: bool, within: Duration) -> Option<Instant>;
    /// Writes a line to everybody.
    fn say(&mut self, text: &str);
    /// Waits until this line of `from` is shown.
    fn hears(&mut self, from: &str, text: &str, within: Duration) -> Option<Instant>;
    /// Kills it as a power cut would.
    fn kill(&mut self);
}

impl Program {
    /// In the order of the columns.
    pub const ALL: [Program; 3] = [Program::Lanchat, Program::Termchat, Program::Zre];

    /// Whether it can be run here.
    pub fn is_installed(self) -> bool {
        self == Program::Lanchat || self.path().is_some_and(|path| path.exists())
    }

    /// Starts it on `host`; it is ready when this returns.
    pub fn start(self, host: &Host, name: &str) -> Box<dyn Talker> {
        let path = || self.path().expect("it is installed");
        match self {
            Program::Lanchat => Box::new(Lanchat::start(host, name)),
            Program::Termchat => Box::new(Termchat::start(host, name, path())),
            Program::Zre => Box::new(Zre::start(host, name, path())),
        }
    }

    /// What is to be run, in the directory where `peers.sh` installed it.
    fn path(self) -> Option<PathBuf> {
        let root = PathBuf::from(std::env::var_os("LANCHAT_PEERS")?);
        match self {
            Program::Lanchat => None,
            Program::Termchat => Some(root.join("bin/termchat")),
            Program::Zre => Some(root.join("venv/bin/python")),
        }
    }
}

/// Two hosts with a route for groups, which the others do not go without.
pub fn lan() -> Lan {
    let lan = Lan::new(2);
    for host in lan.hosts() {
        host.ip("route add 224.0.0.0/4 dev eth0\n");
    }
    lan
}

struct Lanchat {
    node: Node,
    _data: tempfile::TempDir,
}

impl Lanchat {
    fn start(host: &Host, name: &str) -> Self {
        let data = world::disk_scratch();
        let node = Node::start_in(host, name, data.path(), &[]);
        node.ready();
        Lanchat { node, _data: data }
    }

    fn until(
        &self,
        within: Duration,
        wanted: impl Fn(&serde_json::Value) -> bool,
    ) -> Option<Instant> {
        let deadline = now() + within;
        loop {
            let left = deadline.saturating_duration_since(now());
            let heard = self.node.take(left)?;
            if wanted(&heard.event) {
                return Some(heard.at);
            }
        }
    }
}

impl Talker for Lanchat {
    fn started(&self) -> Instant {
        self.node.started()
    }

    fn shows(&mut self, other: &str, online: bool, within: Duration) -> Option<Instant> {
        self.until(within, |event| match online {
            true => is_peer(event, other, &["online"]) && event["confirmed"] == true,
            false => is_peer(event, other, &["offline", "left"]),
        })
    }

    fn say(&mut self, text: &str) {
        let say = json!({"command": "send", "to": "#lobby", "text": text});
        self.node.line(&say.to_string());
    }

    fn hears(&mut self, from: &str, text: &str, within: Duration) -> Option<Instant> {
        self.until(within, |event| {
            event["text"] == text && event["from"]["name"] == from
        })
    }

    fn kill(&mut self) {
        self.node.signal(Signal::SIGKILL);
    }
}

struct Termchat {
    screen: Terminal,
    _home: tempfile::TempDir,
}

impl Termchat {
    fn start(host: &Host, name: &str, program: PathBuf) -> Self {
        let home = world::scratch();
        let mut command = bare(&program, home.path());
        command.args(["--username", name]);
        let mut screen = Terminal::start(host, &command, (80, 60));
        screen.shows_text("Your message");
        Termchat {
            screen,
            _home: home,
        }
    }
}

impl Talker for Termchat {
    fn started(&self) -> Instant {
        self.screen.process.started
    }

    fn shows(&mut self, other: &str, online: bool, within: Duration) -> Option<Instant> {
        let state = if online { "online" } else { "offline" };
        let text = format!("{other} is {state}");
        self.screen
            .shows_within(within, |screen| screen.contents().contains(&text))
    }

    fn say(&mut self, text: &str) {
        self.screen.keys(&format!("{text}\r"));
    }

    fn hears(&mut self, from: &str, text: &str, within: Duration) -> Option<Instant> {
        let line = format!("{from}: {text}");
        self.screen
            .shows_within(within, |screen| screen.contents().contains(&line))
    }

    fn kill(&mut self) {
        self.screen.process.signal(Signal::SIGKILL);
    }
}

/// `zre.py`, which tells each event of its node in a line.
struct Zre {
    process: Process,
    started: Instant,
    lines: Receiver<(Instant, String)>,
}

impl Zre {
    fn start(host: &Host, name: &str, python: PathBuf) -> Self {
        let home = world::scratch();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/measures/peers/zre.py");
        let mut command: Command = bare(&python, home.path());
        command.args([script, name]);
        let (tell, lines) = mpsc::channel();
        let process = Process::start(host, command, move |out| {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let _ = tell.send((now(), line));
            }
        });
        let mut zre = Zre {
            started: process.started,
            process,
            lines,
        };
        let ready = zre.until("START", SOON * 2);
        let stderr = zre.process.stderr();
        zre.started = ready.unwrap_or_else(|| panic!("no ZRE node starts: {stderr}"));
        zre
    }

    fn until(&mut self, wanted: &str, within: Duration) -> Option<Instant> {
        let deadline = now() + within;
        loop {
            let left = deadline.saturating_duration_since(now());
            let (at, line) = self.lines.recv_timeout(left).ok()?;
            if line == wanted {
                return Some(at);
            }
        }
    }
}

impl Talker for Zre {
    fn started(&self) -> Instant {
        self.started
    }

    fn shows(&mut self, other: &str, online: bool, within: Duration) -> Option<Instant> {
        let word = if online { "ENTER" } else { "EXIT" };
        self.until(&format!("{word} {other}"), within)
    }

    fn say(&mut self, text: &str) {
        let stdin = self.process.stdin.as_mut().expect("its stdin is open");
        let _ = writeln!(stdin, "{text}").and_then(|()| stdin.flush());
    }

    fn hears(&mut self, from: &str, text: &str, within: Duration) -> Option<Instant> {
        self.until(&format!("SHOUT {from} {text}"), within)
    }

    fn kill(&mut self) {
        self.process.signal(Signal::SIGKILL);
    }
}
