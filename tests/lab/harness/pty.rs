//! The real screen in a pseudo-terminal, read by a VT parser.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio, exit};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{setsid, ttyname};

use super::lan::Host;
use super::node::SOON;
use super::process::Process;
use super::{ms, now};

/// First argument of the process that gives a program its terminal.
const ROLE: &str = "--lab-terminal";

/// A program on a terminal of its own.
pub struct Terminal {
    /// The program.
    pub process: Process,
    keys: File,
    /// Kept open, so that the terminal outlives the program and its modes can be read.
    slave: File,
    before: Termios,
    output: Receiver<(Instant, Vec<u8>)>,
    parser: vt100::Parser,
    raw: Vec<u8>,
}

impl Terminal {
    /// Starts `command` on `host`, on a terminal of this many columns and rows.
    pub fn start(host: &Host, command: &Command, (columns, rows): (u16, u16)) -> Self {
        let size = Winsize {
            ws_col: columns,
            ws_row: rows,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pair = openpty(Some(&size), None).expect("a pseudo-terminal");
        let slave = File::from(pair.slave);
        let before = tcgetattr(&slave).expect("its modes");
        let mut keys = File::from(pair.master);
        let mut screen = keys.try_clone().expect("a second descriptor");
        let mut starter = through_role(command, &slave);
        let started = now();
        let child = host
            .enter(|| starter.spawn())
            .expect("starting on a terminal");
        let (tell, output) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 1 << 14];
            while let Ok(len @ 1..) = screen.read(&mut buffer) {
                if tell.send((now(), buffer[..len].to_vec())).is_err() {
                    return;
                }
            }
        });
        let _ = keys.flush();
        Terminal {
            process: Process::watch(child, started),
            keys,
            slave,
            before,
            output,
            parser: vt100::Parser::new(rows, columns, 0),
            raw: Vec::new(),
        }
    }

    /// Types bytes.
    pub fn keys(&mut self, keys: &str) {
        self.keys
            .write_all(keys.as_bytes())
            .expect("writing to the terminal");
    }

    /// Waits until `wanted` holds of the screen; when its bytes came.
    pub fn shows(&mut self, what: &str, wanted: impl Fn(&vt100::Screen) -> bool) -> Instant {
        match self.shows_within(SOON, wanted) {
            Some(at) => at,
            None => panic!("the screen does not show {what}:\n{}", self.picture()),
        }
    }

    /// As [`Terminal::shows`]; none if it does not `within`.
    pub fn shows_within(
        &mut self,
        within: Duration,
        wanted: impl Fn(&vt100::Screen) -> bool,
    ) -> Option<Instant> {
        let deadline = now() + within;
        let mut at = now();
        while !wanted(self.parser.screen()) {
            let left = deadline.saturating_duration_since(now());
            let (when, bytes) = self.output.recv_timeout(left).ok()?;
            self.parser.process(&bytes);
            self.raw.extend(bytes);
            at = when;
        }
        Some(at)
    }

    /// Waits until `text` stands somewhere on the screen.
    pub fn shows_text(&mut self, text: &str) -> Instant {
        self.shows(&format!("{text:?}"), |screen| {
            screen.contents().contains(text)
        })
    }

    /// What a shell does when its job was stopped: its own modes, and its prompt on a screen
    /// that is not the program's.
    pub fn taken_by_a_shell(&mut self) {
        tcsetattr(&self.slave, SetArg::TCSANOW, &self.before).expect("its modes");
        self.parser.process(b"\x1b[?1049l\x1b[2J$ ");
    }

    /// Whether the program has the terminal in its own modes.
    pub fn has_own_modes(&self) -> bool {
        tcgetattr(&self.slave).expect("its modes") != self.before
    }

    /// The screen as text, in a frame.
    pub fn picture(&self) -> String {
        let (_, columns) = self.parser.screen().size();
        let edge = "-".repeat(columns.into());
        let rows: Vec<String> = self.parser.screen().rows(0, columns).collect();
        format!("+{edge}+\n{}\n+{edge}+", rows.join("\n"))
    }

    /// Every byte that the program drew so far.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Waits for the end of the program; its exit code. The terminal must be as it was found.
    pub fn ends_restored(&mut self) -> i32 {
        let code = self.process.wait(SOON);
        if let Some(left) = self.left_behind() {
            panic!("the program ended with {code} and left {left}");
        }
        code
    }

    /// What an ended program did not put back.
    pub fn left_behind(&mut self) -> Option<&'static str> {
        // What it wrote last may still be on its way through the terminal.
        while let Ok((_, bytes)) = self.output.recv_timeout(ms(50)) {
            self.parser.process(&bytes);
        }
        let screen = self.parser.screen();
        let mouse = screen.mouse_protocol_mode() != vt100::MouseProtocolMode::None;
        let modes = tcgetattr(&self.slave).expect("its modes") != self.before;
        [
            (screen.alternate_screen(), "the alternate screen"),
            (screen.hide_cursor(), "no cursor"),
            (screen.bracketed_paste(), "bracketed paste"),
            (mouse, "mouse reports"),
            (modes, "other terminal modes"),
        ]
        .into_iter()
        .find_map(|(left, what)| left.then_some(what))
    }

    /// Time from the start of the process to the first frame that `wanted` accepts.
    pub fn first_frame(&mut self, wanted: impl Fn(&vt100::Screen) -> bool) -> Duration {
        let at = self.shows("its first frame", wanted);
        at.saturating_duration_since(self.process.started)
    }
}

/// If this process was started to give a program its terminal, does so and does not return.
pub fn play_role() {
    let mut arguments = env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != ROLE) {
        return;
    }
    let (Some(tty), Some(program)) = (arguments.next(), arguments.next()) else {
        exit(2);
    };
    // The first terminal that the leader of a session opens becomes its controlling terminal.
    let tty = setsid()
        .map_err(std::io::Error::from)
        .and_then(|_| OpenOptions::new().read(true).write(true).open(tty));
    let error = match tty.and_then(|tty| Ok((tty.try_clone()?, tty.try_clone()?, tty))) {
        Ok((input, output, errors)) => Command::new(program)
            .args(arguments)
            .stdin(input)
            .stdout(output)
            .stderr(errors)
            .exec(),
        Err(e) => e,
    };
    eprintln!("the lab's terminal: {error}");
    exit(126);
}

/// This program in the role above, for `command` with its arguments and environment.
fn through_role(command: &Command, slave: &impl AsFd) -> Command {
    let me = env::current_exe().expect("this program");
    let mut starter = Command::new(me);
    starter
        .arg(ROLE)
        .arg(ttyname(slave).expect("the terminal's name"))
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    starter
}
