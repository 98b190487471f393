//! The terminal on Unix: our own non-blocking file of it, read by the loop.
//!
//! Not stdin: making that non-blocking would make it so for every process that shares it, the
//! shell included. And not `/dev/tty` where it can be helped: kqueue does not take it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange,
};
use crossterm::queue;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, raise};
use nix::unistd::ttyname;

use super::decode::Decoder;
use crate::ui::Input;

/// How long an ESC waits for what makes it a longer key.
const ESCAPE_WAIT: Duration = Duration::from_millis(40);
/// Bytes read at once, and how often in one turn of the loop.
const READ_LEN: usize = 4096;
const READS_MAX: usize = 8;

/// The terminal: keys in, bytes out.
pub(super) struct Console {
    tty: File,
    decoder: Decoder,
    /// When what the decoder waits for is overdue.
    escape_at: Option<Instant>,
    hungry: bool,
}

impl Console {
    /// Opens the terminal that stdin or stdout is.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn open() -> io::Result<Self> {
        let names = [ttyname(io::stdin()), ttyname(io::stdout())];
        let names = names.into_iter().flatten();
        let mut result = Err(io::ErrorKind::NotFound.into());
        // A terminal can be out of reach by its name: after `su`, or in a container.
        for name in names.chain([PathBuf::from("/dev/tty")]) {
            result = Self::open_path(&name);
            if result.is_ok() {
                break;
            }
        }
        result
    }

    fn open_path(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let tty = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags.bits())
            .open(path)?;
        Ok(Console {
            tty,
            decoder: Decoder::default(),
            escape_at: None,
            hungry: false,
        })
    }

    /// Registers it for both ways: it is written to until it is full, and then when it has
    /// room.
    ///
    /// # Errors
    /// The system cannot poll it.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut SourceFd(&self.tty.as_raw_fd()), token, interest)
    }

    /// Reads what was typed, within a budget. False if the terminal is gone.
    pub(super) fn read(&mut self, now: Instant, out: &mut Vec<Input>) -> bool {
        let mut bytes = [0; READ_LEN];
        self.hungry = false;
        for _ in 0..READS_MAX {
            match self.tty.read(&mut bytes) {
                Ok(0) => return false,
                Ok(n) => {
                    self.decoder.feed(&bytes[..n], out);
                    self.escape_at = self.decoder.is_waiting().then(|| now + ESCAPE_WAIT);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        self.hungry = true;
        true
    }

    /// Whether the budget of the last read ran out.
    pub(super) fn is_hungry(&self) -> bool {
        self.hungry
    }

    /// When an ESC that nothing followed becomes a key.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.escape_at
    }

    /// Makes it a key, if it is time.
    pub(super) fn expire(&mut self, now: Instant, out: &mut Vec<Input>) {
        if self.escape_at.is_some_and(|at| at <= now) {
            self.escape_at = None;
            self.decoder.expire(out);
        }
    }

    /// Writes what the terminal takes now, which may be nothing.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.tty.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Stops the process as Ctrl-Z does; the loop hears of it as of any such signal.
    pub(super) fn suspend(&self) {
        // An error would mean that there is no such signal.
        let _ = raise(Signal::SIGTSTP);
    }

    /// Asks for pastes, focus and clicks to be reported, and keeps the title. Clicks and the
    /// wheel alone: reports of motion would wake us for nothing.
    ///
    /// # Errors
    /// As of `out`.
    pub(super) fn modes_on(out: &mut Vec<u8>) -> io::Result<()> {
        queue!(out, EnableBracketedPaste, EnableFocusChange)?;
        out.extend_from_slice(b"\x1b[?1000h\x1b[?1006h\x1b[22;0t");
        Ok(())
    }

    /// Ends all that.
    ///
    /// # Errors
    /// As of `out`.
    pub(super) fn modes_off(out: &mut Vec<u8>) -> io::Result<()> {
        out.extend_from_slice(b"\x1b[23;0t\x1b[?1006l\x1b[?1000l");
        queue!(out, DisableFocusChange, DisableBracketedPaste)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use mio::{Events, Poll};
    use nix::pty::openpty;
    use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};

    use super::*;
    use crate::ui::key::script;

    /// Both ends of a pseudo-terminal in raw mode: its master, and a console on the slave.
    fn pair() -> (File, OwnedFd, Console) {
        let pty = openpty(None, None).expect("a pseudo-terminal");
        let mut modes = tcgetattr(&pty.slave).expect("modes");
        cfmakeraw(&mut modes);
        tcsetattr(&pty.slave, SetArg::TCSANOW, &modes).expect("raw mode");
        let console = Console::open_path(&ttyname(&pty.slave).expect("a name")).expect("console");
        (File::from(pty.master), pty.slave, console)
    }

    /// Polls and reads until `done`, or fails after ten seconds without anything new.
    fn read_until(console: &mut Console, poll: &mut Poll, done: impl Fn(&[Input]) -> bool) {
        #[allow(clippy::disallowed_methods)]
        let now = Instant::now();
        let mut inputs = Vec::new();
        let mut events = Events::with_capacity(8);
        while !done(&inputs) {
            let wait = if console.is_hungry() { 0 } else { 10 };
            poll.poll(&mut events, Some(Duration::from_secs(wait)))
                .expect("poll");
            assert!(
                console.is_hungry() || !events.is_empty(),
                "nothing came after {inputs:?}"
            );
            assert!(console.read(now, &mut inputs), "hung up");
        }
    }

    #[test]
    fn keys_and_a_large_paste_arrive_whole() {
        let (mut master, _slave, mut console) = pair();
        let mut poll = Poll::new().expect("poll");
        console
            .register(poll.registry(), Token(1))
            .expect("registered");
        let text = "0123456789".repeat(2000);
        let bytes = format!("hi\x1b[A\x1b[200~{text}\x1b[201~é");
        let typing = std::thread::spawn(move || {
            master.write_all(bytes.as_bytes()).expect("typed");
            master
        });
        let key = |spelled| Input::Key(script(spelled)[0]);
        let wanted = [
            key("h"),
            key("i"),
            key("<up>"),
            Input::Paste(text),
            key("é"),
        ];
        read_until(&mut console, &mut poll, |inputs| inputs == wanted);
        drop(typing.join());
    }

    #[test]
    fn a_lone_escape_becomes_a_key_when_its_time_is_up() {
        let (mut master, _slave, mut console) = pair();
        let mut poll = Poll::new().expect("poll");
        console
            .register(poll.registry(), Token(1))
            .expect("registered");
        master.write_all(b"x\x1b").expect("typed");
        read_until(&mut console, &mut poll, |inputs| !inputs.is_empty());
        let at = console.deadline().expect("a deadline");
        let mut inputs = Vec::new();
        console.expire(at - Duration::from_millis(1), &mut inputs);
        assert_eq!(inputs, []);
        console.expire(at, &mut inputs);
        assert_eq!(inputs, [Input::Key(script("<esc>")[0])]);
        assert_eq!(console.deadline(), None);
    }

    #[test]
    fn a_terminal_that_is_gone_is_told_and_one_that_is_full_does_not_block() {
        let (master, slave, mut console) = pair();
        let full = (0..10_000).any(|_| console.write(&[b'x'; 1000]).expect("written") == 0);
        assert!(full);
        drop((master, slave));
        #[allow(clippy::disallowed_methods)]
        let now = Instant::now();
        assert!(!console.read(now, &mut Vec::new()));
        assert!(console.write(b"x").is_err());
    }
}
