//! The loop with a front end that follows a script, on the loopback alone.
#![allow(clippy::disallowed_methods)]

use std::io;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use mio::{Registry, Token};

use super::front_end::FRONT_END_TOKEN;
use super::*;
use crate::api::{Command, Event, Request, TextKind};
use crate::error::ExitCode;
use crate::net::NetConfig;
use crate::proto::{Identity, Now};
use crate::text::PeerName;

/// What a [`Script`] does at its first flush.
#[derive(Clone, Copy, PartialEq)]
enum Act {
    Request,
    Quit(ExitCode),
    Drain,
    Fail(io::ErrorKind),
    /// Is done, and cannot write its last words.
    FailLast,
    /// Has input that the poll does not know of, and quits when it may read it.
    Read,
    /// Asks more than one turn takes, and is done.
    AskMuch,
    /// Reads so many lines of a file, and is done.
    Pour(usize),
    /// Stays; another thing has to end it.
    Stay,
}

struct Script {
    act: Act,
    requests: Vec<Request>,
    poured: usize,
    flow: Flow,
    events: Vec<Event>,
    signals: Vec<Signal>,
    flushes: usize,
    flushed: Option<Instant>,
}

impl Script {
    fn new(act: Act) -> Self {
        Script {
            act,
            requests: Vec::new(),
            poured: 0,
            flow: Flow::Continue,
            events: Vec::new(),
            signals: Vec::new(),
            flushes: 0,
            flushed: None,
        }
    }
}

impl FrontEnd for Script {
    fn register(&mut self, _registry: &Registry) -> io::Result<()> {
        Ok(())
    }

    fn ready(&mut self, now: Now, token: Token) {
        assert_eq!(token, Token(FRONT_END_TOKEN));
        let Act::Pour(most) = self.act else {
            self.flow = Flow::Quit(ExitCode::Done);
            return;
        };
        for _ in 0..16.min(most - self.poured) {
            let mut request = Request::from(Command::Send {
                to: "#lobby".to_owned(),
                text: format!("line {}", self.poured),
                kind: TextKind::Text,
                answers: None,
            });
            request.reference = Some(self.poured.into());
            self.requests.insert(0, request);
            self.poured += 1;
        }
        if self.poured == most {
            self.flow = Flow::Drain(now.mono + Duration::from_secs(5));
        }
    }

    fn is_hungry(&self) -> bool {
        let reads = self.act == Act::Read && self.flushes > 0;
        (reads || matches!(self.act, Act::Pour(_))) && self.flow == Flow::Continue
    }

    fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop()
    }

    fn handle_event(&mut self, _now: Now, event: &Event) {
        self.events.push(event.clone());
    }

    /// Something to do in the next turn.
    fn deadline(&self) -> Option<Instant> {
        self.flushed.filter(|_| self.act == Act::Request)
    }

    fn handle_timeout(&mut self, _now: Now) {
        self.act = Act::Stay;
        let mut request = Request::from(Command::Quit);
        request.reference = Some(7.into());
        self.requests.push(request);
    }

    fn handle_signal(&mut self, _now: Now, signal: Signal) {
        self.signals.push(signal);
    }

    fn flush(&mut self, now: Now) -> io::Result<()> {
        self.flushes += 1;
        self.flushed = Some(now.mono);
        match self.act {
            Act::Quit(code) => self.flow = Flow::Quit(code),
            Act::AskMuch if self.flow == Flow::Continue => {
                let room = "#none".to_owned();
                for number in 0..1000 {
                    let mut request = Request::from(Command::Leave { room: room.clone() });
                    request.reference = Some(number.into());
                    self.requests.push(request);
                }
                self.flow = Flow::Quit(ExitCode::Done);
            }
            Act::Drain => self.flow = Flow::Drain(now.mono + Duration::from_millis(50)),
            Act::Fail(kind) => return Err(kind.into()),
            Act::FailLast if self.flow == Flow::Continue => self.flow = Flow::Quit(ExitCode::Done),
            Act::FailLast => return Err(io::ErrorKind::StorageFull.into()),
            Act::Request | Act::Read | Act::AskMuch | Act::Pour(_) | Act::Stay => {}
        }
        Ok(())
    }

    fn flow(&self) -> Flow {
        self.flow.clone()
    }
}

fn options() -> NodeOptions {
    let port = UdpSocket::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("port")
        .port();
    NodeOptions {
        identity: Identity::from_secret(&[7; 32]),
        name: PeerName::new("ana").expect("name"),
        status: crate::api::Status::Available,
        net: NetConfig {
            port,
            interfaces: vec!["no-such-interface".into()],
            multicast: false,
            broadcast: false,
            ..NetConfig::default()
        },
        peers: Vec::new(),
        data_dir: None,
        transient: false,
        limits: crate::limits::Limits::default(),
    }
}

fn play(act: Act) -> (ExitCode, Script) {
    let start = Instant::now();
    let played = play_with(options(), act);
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "it waits for nothing"
    );
    played
}

fn play_with(options: NodeOptions, act: Act) -> (ExitCode, Script) {
    let mut script = Script::new(act);
    let code = run(options, &mut script).expect("run");
    (code, script)
}

#[test]
fn ready_comes_first_and_the_terminal_is_given_back_last() {
    let (code, script) = play(Act::Quit(ExitCode::NotFound));
    assert_eq!(code, ExitCode::NotFound);
    let Some(Event::Ready {
        own,
        chat_port,
        rooms,
        ..
    }) = script.events.first()
    else {
        panic!("{:?}", script.events)
    };
    assert_eq!(
        (own.name.as_str(), rooms.as_slice()),
        ("ana", &["#lobby".to_owned()][..])
    );
    assert_ne!(*chat_port, 0);
    let Some(Event::Network {
        state, interfaces, ..
    }) = script.events.get(1)
    else {
        panic!("{:?}", script.events)
    };
    assert_eq!(*state, crate::api::NetworkState::Down);
    assert!(
        interfaces
            .iter()
            .any(|at| at.name == "no-such-interface" && at.hint.is_some())
    );
    assert_eq!(script.signals.last(), Some(&Signal::End));
    assert!(script.flushes >= 2, "once more after the end");
}

#[test]
fn quit_is_answered_and_ends_with_0() {
    let (code, script) = play(Act::Request);
    assert_eq!(code, ExitCode::Done);
    let replied = script
        .events
        .iter()
        .any(|event| matches!(event, Event::Reply { reference: Some(r), ok: true, .. } if *r == 7));
    assert!(replied, "{:?}", script.events);
}

#[test]
fn what_was_asked_before_the_end_is_answered_however_much_it_is() {
    let (code, script) = play(Act::AskMuch);
    assert_eq!(code, ExitCode::Done);
    let answers = script.events.iter().filter_map(|event| match event {
        Event::Error { reference, .. } => reference.as_ref()?.as_u64(),
        _ => None,
    });
    assert!(answers.eq((0..1000).rev()), "{:?}", script.events.last());
}

/// It is not known yet who is there, so none of the lines leaves for a second.
#[test]
fn of_lines_that_come_faster_than_they_leave_none_is_refused_and_no_turn_is_made_in_vain() {
    const LINES: usize = 3 * crate::limits::SEND_QUEUE_MAX;
    let mut options = options();
    let limits = &mut options.limits;
    (limits.person_rate, limits.person_burst) = (1_000_000, 1_000_000);
    (limits.node_rate, limits.node_burst) = (1_000_000, 1_000_000);
    (limits.group_packets, limits.group_bits) = (1_000_000, u32::MAX);
    let (code, script) = play_with(options, Act::Pour(LINES));
    assert_eq!(code, ExitCode::Done);
    let answers = script.events.iter().filter_map(|event| match event {
        Event::Reply { reference, .. } => reference.as_ref()?.as_u64(),
        Event::Error { code, .. } => panic!("{code}"),
        _ => None,
    });
    assert!(answers.eq(0..LINES as u64));
    let turns = script.flushes;
    assert!(turns < LINES / 2, "{turns} turns");
}

#[test]
fn no_more_input_ends_with_0_when_all_is_settled() {
    assert_eq!(play(Act::Drain).0, ExitCode::Done);
}

#[test]
fn input_that_the_poll_cannot_watch_is_read() {
    assert_eq!(play(Act::Read).0, ExitCode::Done);
}

#[test]
fn a_broken_pipe_ends_quietly_and_other_failures_do_not() {
    let (code, script) = play(Act::Fail(io::ErrorKind::BrokenPipe));
    assert_eq!((code, script.flushes), (ExitCode::Done, 1));
    let (code, _) = play(Act::Fail(io::ErrorKind::Other));
    assert_eq!(code, ExitCode::Failed);
    assert_eq!(play(Act::FailLast).0, ExitCode::Failed);
}

#[test]
fn a_chat_port_that_is_taken_is_said_before_the_front_end_is_asked() {
    let holder = UdpSocket::bind("0.0.0.0:0").expect("bind");
    let mut options = options();
    options.net.chat_port = Some(holder.local_addr().expect("address").port());
    let mut script = Script::new(Act::Stay);
    let error = run(options, &mut script).expect_err("taken");
    assert_eq!(error.code, ExitCode::Network);
    assert!(script.events.is_empty() && script.signals.is_empty());
}

/// Signals belong to a process, so each of these runs in one of its own.
#[cfg(unix)]
mod signals {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::CommandExt;
    use std::process::{Child, ChildStdout, Command as Process, Stdio};

    use nix::sys::signal::{Signal as Number, kill};
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    use nix::unistd::Pid;

    use super::*;

    const CHILD: &str = "LANCHAT_TEST_SIGNALS";

    /// Says on stdout what it is told.
    struct Said(Script);

    impl FrontEnd for Said {
        fn register(&mut self, registry: &Registry) -> io::Result<()> {
            self.0.register(registry)
        }
        fn ready(&mut self, _now: Now, _token: Token) {}
        fn poll_request(&mut self) -> Option<Request> {
            None
        }
        fn handle_event(&mut self, _now: Now, _event: &Event) {}
        fn handle_signal(&mut self, _now: Now, signal: Signal) {
            eprintln!("signal {signal:?}");
        }
        fn flush(&mut self, now: Now) -> io::Result<()> {
            if self.0.flushes == 0 {
                eprintln!("running");
            }
            self.0.flush(now)
        }
        fn flow(&self) -> Flow {
            Flow::Continue
        }
    }

    #[test]
    #[ignore = "the other side of the tests here"]
    fn child() {
        if let Some(role) = std::env::var_os(CHILD) {
            if role == "leader" {
                nix::unistd::setsid().expect("a session of its own");
            }
            let code = run(options(), &mut Said(Script::new(Act::Stay))).expect("run");
            std::process::exit(code as i32);
        }
    }

    struct Running {
        process: Child,
        pid: Pid,
        lines: std::io::Lines<BufReader<std::process::ChildStderr>>,
        _stdout: Option<ChildStdout>,
    }

    impl Running {
        /// As a shell with job control starts it, in a group of its own.
        fn start() -> Running {
            let mut process = Self::process("member");
            process.process_group(0);
            Self::run(process)
        }

        /// As a terminal window starts it, as the leader of its session.
        fn start_leader() -> Running {
            Self::run(Self::process("leader"))
        }

        fn process(role: &str) -> Process {
            let mut process = Process::new(std::env::current_exe().expect("own path"));
            process
                .args([
                    "--exact",
                    "runtime::tests::signals::child",
                    "--ignored",
                    "--nocapture",
                ])
                .env(CHILD, role)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            process
        }

        fn run(mut process: Process) -> Running {
            let mut process = process.spawn().expect("spawn");
            let stderr = process.stderr.take().expect("piped");
            let mut running = Running {
                pid: Pid::from_raw(i32::try_from(process.id()).expect("pid")),
                lines: BufReader::new(stderr).lines(),
                _stdout: process.stdout.take(),
                process,
            };
            running.expect("running");
            running
        }

        fn expect(&mut self, wanted: &str) {
            let found = self
                .lines
                .by_ref()
                .any(|line| line.is_ok_and(|line| line == wanted));
            assert!(found, "{wanted}");
        }

        fn send(&self, signal: Number) {
            kill(self.pid, signal).expect("kill");
        }

        fn code(mut self) -> Option<i32> {
            self.expect("signal End");
            self.process.wait().expect("wait").code()
        }
    }

    #[test]
    fn each_signal_ends_in_order_with_its_code() {
        for (signal, code) in [
            (Number::SIGINT, 130),
            (Number::SIGTERM, 0),
            (Number::SIGHUP, 0),
        ] {
            let running = Running::start();
            running.send(signal);
            assert_eq!(running.code(), Some(code), "{signal}");
        }
    }

    #[test]
    fn a_stop_gives_the_terminal_back_and_takes_it_again() {
        let mut running = Running::start();
        for _ in 0..2 {
            running.send(Number::SIGTSTP);
            running.expect("signal Suspend");
            let status = waitpid(running.pid, Some(WaitPidFlag::WUNTRACED)).expect("wait");
            assert_eq!(status, WaitStatus::Stopped(running.pid, Number::SIGSTOP));
            running.send(Number::SIGCONT);
            running.expect("signal Resume");
        }
        running.send(Number::SIGWINCH);
        running.expect("signal Resize");
        running.send(Number::SIGTERM);
        assert_eq!(running.code(), Some(0));
    }

    #[test]
    fn a_stop_that_nobody_could_end_is_not_made() {
        let mut running = Running::start_leader();
        running.send(Number::SIGTSTP);
        // A GOODBYE and then the stop would have come within this time.
        let end = Instant::now() + Duration::from_millis(200);
        while Instant::now() < end {
            running.send(Number::SIGWINCH);
            let next = running.lines.next().expect("a line").expect("a line");
            assert_eq!(next, "signal Resize");
        }
        running.send(Number::SIGTERM);
        assert_eq!(running.code(), Some(0));
    }
}
