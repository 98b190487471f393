//! Stdin and stdout on Unix, by readiness and without `O_NONBLOCK`.
//!
//! `O_NONBLOCK` belongs to the open file description, which stdin and stdout share with the
//! shell and with whatever else holds the other ends of them: setting it breaks those programs,
//! during the run and after it. A thread that blocks in `read` would do without, but the loop
//! is to own the terminal. So the descriptors stay blocking; epoll or kqueue says when to look,
//! and `poll(2)` with no wait is asked before every single `read` and `write`. A `write` is at
//! most `PIPE_BUF` bytes, which a pipe that is reported writable takes without blocking.
//!
//! A terminal does not: it is reported writable with room for one byte, and `write` then waits
//! for the rest, for hours where a remote login hangs. So it is opened once more, for writing;
//! that is a description of our own, which may have `O_NONBLOCK`.
//!
//! Regular files cannot be registered with epoll (`EPERM`, `/dev/null` too); they are always
//! ready, which `poll(2)` also says of them.

use std::io::{self, Stderr, Stdin, Stdout};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::{libc, unistd};

use super::input::Source;
use super::output::Sink;

/// A descriptor read or written without waiting.
pub struct Descriptor<F> {
    fd: F,
    /// The same terminal without blocking.
    terminal: Option<OwnedFd>,
}

/// Stdin.
pub fn stdin() -> Descriptor<Stdin> {
    Descriptor::new(io::stdin())
}

/// Stdout.
pub fn stdout() -> Descriptor<Stdout> {
    Descriptor::for_writing(io::stdout())
}

/// Stderr.
pub fn stderr() -> Descriptor<Stderr> {
    Descriptor::for_writing(io::stderr())
}

impl<F: AsFd> Descriptor<F> {
    /// Reads or writes this; its flags are left alone.
    pub fn new(fd: F) -> Self {
        Descriptor { fd, terminal: None }
    }

    /// Writes this, even where it is a terminal that nobody reads.
    fn for_writing(fd: F) -> Self {
        let flags = OFlag::O_WRONLY | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let path = unistd::ttyname(&fd);
        // Where it may not be opened (somebody else's, after su), as it is.
        let terminal = path.and_then(|path| open(&path, flags, Mode::empty())).ok();
        Descriptor { fd, terminal }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match &self.terminal {
            Some(terminal) => terminal.as_fd(),
            None => self.fd.as_fd(),
        }
    }

    /// Whether `read` or `write` would return at once; waits for that as long as it is told.
    fn is_ready(&self, flags: PollFlags, wait: PollTimeout) -> io::Result<bool> {
        let mut fds = [PollFd::new(self.fd(), flags)];
        match poll(&mut fds, wait) {
            // A hang-up or an error counts as ready: the call that follows tells which.
            Ok(count) => Ok(count > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn add(&self, registry: &Registry, token: Token, interest: Interest) -> io::Result<bool> {
        let fd = self.fd().as_raw_fd();
        match registry.register(&mut SourceFd(&fd), token, interest) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl<F: AsFd> Source for Descriptor<F> {
    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<bool> {
        self.add(registry, token, Interest::READABLE)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.is_ready(PollFlags::POLLIN, PollTimeout::ZERO)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        loop {
            match unistd::read(&self.fd, buffer) {
                Err(Errno::EINTR) => {}
                other => return other.map_err(io::Error::from),
            }
        }
    }
}

impl<F: AsFd> Sink for Descriptor<F> {
    fn watch(&mut self, registry: &Registry, token: Token, on: bool) -> io::Result<()> {
        if on {
            return self.add(registry, token, Interest::WRITABLE).map(drop);
        }
        registry.deregister(&mut SourceFd(&self.fd().as_raw_fd()))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_ready(PollFlags::POLLOUT, PollTimeout::ZERO)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let chunk = &bytes[..bytes.len().min(libc::PIPE_BUF)];
        loop {
            match unistd::write(self.fd(), chunk) {
                Err(Errno::EINTR) => {}
                other => return other.map_err(io::Error::from),
            }
        }
    }

    fn wait(&mut self, ms: Option<u16>) -> io::Result<bool> {
        let wait = ms.map_or(PollTimeout::NONE, PollTimeout::from);
        self.is_ready(PollFlags::POLLOUT, wait)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::time::Duration;

    use mio::{Events, Poll};
    use nix::fcntl::{FcntlArg, OFlag, fcntl};

    use super::*;
    use crate::stdio::input::{Input, Line};
    use crate::stdio::output::{Output, Patience};

    const TOKEN: Token = Token(1000);
    const DEADLINE: Option<Duration> = Some(Duration::from_secs(10));

    fn is_blocking(fd: impl AsFd) -> bool {
        let flags = fcntl(fd, FcntlArg::F_GETFL).unwrap();
        !OFlag::from_bits_retain(flags).contains(OFlag::O_NONBLOCK)
    }

    #[test]
    fn a_pipe_is_read_by_readiness_and_stays_blocking() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(8);
        let mut input = Input::new(Descriptor::new(reader.try_clone().unwrap()));
        input.register(poll.registry(), TOKEN).unwrap();
        assert!(!input.is_hungry(), "nothing is there yet");

        for round in 0..3 {
            writeln!(writer, "line {round}").unwrap();
            poll.poll(&mut events, DEADLINE).unwrap();
            assert!(events.iter().any(|event| event.token() == TOKEN), "woken");
            input.mark_ready();
            assert_eq!(input.take(), [Line::Text(format!("line {round}"))]);
            // It looked again, and neither blocked nor asked to be called for nothing.
            assert!(!input.is_hungry());
        }
        drop(writer);
        poll.poll(&mut events, DEADLINE).unwrap();
        assert!(!events.is_empty(), "the end wakes too");
        input.mark_ready();
        assert_eq!(input.take(), [Line::End]);
        assert!(is_blocking(&reader));
    }

    #[test]
    fn a_terminal_gives_lines_and_ends_with_control_d() {
        let pty = nix::pty::openpty(None, None).unwrap();
        let mut keys = File::from(pty.master);
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(8);
        let mut input = Input::new(Descriptor::new(pty.slave.try_clone().unwrap()));
        input.register(poll.registry(), TOKEN).unwrap();
        for (typed, expected) in [
            ("hello\n", Line::Text("hello".into())),
            ("\u{4}", Line::End),
        ] {
            keys.write_all(typed.as_bytes()).unwrap();
            let mut taken = Vec::new();
            while taken.is_empty() {
                poll.poll(&mut events, DEADLINE).unwrap();
                assert!(!events.is_empty(), "woken by {typed:?}");
                input.mark_ready();
                taken = input.take();
            }
            assert_eq!(taken, [expected]);
        }
        assert!(is_blocking(&pty.slave));
    }

    #[test]
    fn regular_files_and_dev_null_are_always_ready() {
        let poll = Poll::new().unwrap();
        let mut null = Input::new(Descriptor::new(File::open("/dev/null").unwrap()));
        null.register(poll.registry(), TOKEN).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"a\nb").unwrap();
        io::Seek::rewind(&mut file).unwrap();
        let mut input = Input::new(Descriptor::new(file));
        input.register(poll.registry(), TOKEN).unwrap();
        assert!(input.is_hungry());
        assert_eq!(
            input.take(),
            [Line::Text("a".into()), Line::Text("b".into()), Line::End]
        );
        assert!(!input.is_hungry(), "the end is the end");
        if null.is_hungry() {
            assert_eq!(null.take(), [Line::End]);
        }
    }

    #[test]
    fn a_full_pipe_never_blocks_and_goes_on_when_it_is_read() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(8);
        let sink = Descriptor::new(writer.try_clone().unwrap());
        let mut output = Output::new(sink, TOKEN, Patience::Bounded);
        output.register(poll.registry()).unwrap();
        let line = "x".repeat(999);
        for _ in 0..1000 {
            output.push_line(&line);
        }
        let mut read = 0;
        output.flush().unwrap();
        assert!(output.pending() > 0, "a pipe does not hold a megabyte");
        let mut buffer = vec![0; 64 * 1024];
        while output.pending() > 0 {
            read += reader.read(&mut buffer).unwrap();
            poll.poll(&mut events, DEADLINE).unwrap();
            assert!(!events.is_empty(), "woken when there is room");
            output.flush().unwrap();
        }
        assert!(is_blocking(&writer));
        drop((output, writer));
        while let n @ 1.. = reader.read(&mut buffer).unwrap() {
            read += n;
        }
        assert_eq!(read, 1_000_000);
    }

    #[test]
    fn a_terminal_that_nobody_reads_never_blocks() {
        let pty = nix::pty::openpty(None, None).unwrap();
        let slave = pty.slave.try_clone().unwrap();
        let (tell, written) = std::sync::mpsc::channel();
        // In a thread: what blocks is to fail and not to hang.
        std::thread::spawn(move || {
            let mut sink = Descriptor::for_writing(slave);
            let mut total = 0;
            // Until it is full; room is told of before there is enough for everything.
            while let Ok(len) = sink.write(&[b'x'; 999]) {
                total += len;
            }
            let waits = !sink.wait(Some(0)).unwrap();
            tell.send((total, waits)).unwrap();
        });
        let (total, waits) = written.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(total > 0 && waits, "{total}");
        assert!(is_blocking(&pty.slave));
    }

    #[test]
    fn a_reader_that_went_away_is_a_broken_pipe() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut output = Output::new(Descriptor::new(writer), TOKEN, Patience::Endless);
        output.push_line("hello");
        let error = output.flush().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(output.pending(), 0, "nothing is kept for nobody");
    }
}
