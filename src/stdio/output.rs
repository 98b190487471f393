//! Lines to stdout and stderr: kept here until they can be written without waiting.

use std::io;

use mio::{Registry, Token};

use super::{STDERR, STDOUT, streams};
use crate::error::UserError;
use crate::text::DisplayText;

/// Most bytes kept for a reader that does not read.
pub const PENDING_LEN_MAX: usize = 8 * 1024 * 1024;
/// How long a bounded [`Patience`] waits at the end for a reader that takes nothing, in ms.
const PATIENCE_MS: u16 = 5000;

/// Where bytes go without waiting.
pub trait Sink {
    /// Asks the poll to tell when there is room, or no longer.
    ///
    /// # Errors
    /// It cannot be used with the poll.
    fn watch(&mut self, registry: &Registry, token: Token, on: bool) -> io::Result<()>;

    /// Writes some of these bytes.
    ///
    /// # Errors
    /// `WouldBlock` where there is no room now; anything else means that the output is gone.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Waits for room, so many milliseconds or without end. Answers whether there is some.
    ///
    /// # Errors
    /// The output is gone.
    fn wait(&mut self, ms: Option<u16>) -> io::Result<bool>;
}

/// How long what is left is waited for when the output is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Patience {
    /// As long as the reader takes it, as any command in a pipeline does.
    Endless,
    /// Until the reader took nothing for five seconds: a node that ends lets go of its store.
    Bounded,
}

/// Lines on their way to a [`Sink`].
pub struct Output {
    sink: Box<dyn Sink>,
    token: Token,
    patience: Patience,
    registry: Option<Registry>,
    watched: bool,
    /// What is not written yet starts at `start`.
    bytes: Vec<u8>,
    start: usize,
    overflowed: bool,
}

impl Output {
    /// Lines to stdout, under the token [`STDOUT`].
    #[must_use]
    pub fn stdout(patience: Patience) -> Self {
        Output::new(streams::stdout(), STDOUT, patience)
    }

    /// Lines to stderr, under the token [`STDERR`].
    #[must_use]
    pub fn stderr() -> Self {
        Output::new(streams::stderr(), STDERR, Patience::Bounded)
    }

    /// Lines to this sink.
    #[must_use]
    pub fn new(sink: impl Sink + 'static, token: Token, patience: Patience) -> Self {
        Output {
            sink: Box::new(sink),
            token,
            patience,
            registry: None,
            watched: false,
            bytes: Vec::new(),
            start: 0,
            overflowed: false,
        }
    }

    /// Remembers the poll, which is asked for room only while something is pending.
    ///
    /// # Errors
    /// The poll's handle cannot be copied.
    pub fn register(&mut self, registry: &Registry) -> io::Result<()> {
        self.registry = Some(registry.try_clone()?);
        Ok(())
    }

    /// Adds a line, with a newline after it. Where more than [`PENDING_LEN_MAX`] would wait it
    /// is dropped with all that follow, and [`Output::is_overflowed`] tells.
    pub fn push_line(&mut self, line: &str) {
        if self.overflowed || self.pending() + line.len() >= PENDING_LEN_MAX {
            self.overflowed = true;
            return;
        }
        self.push_last_line(line);
    }

    /// Adds a line even after an overflow: the one that says so.
    pub fn push_last_line(&mut self, line: &str) {
        self.bytes.extend_from_slice(line.as_bytes());
        self.bytes.push(b'\n');
    }

    /// Adds an error for a person: `lanchat: sentence` and `hint: what to do`, a line each.
    pub fn push_error(&mut self, error: &UserError) {
        self.push_problem(&error.message, error.hint.as_deref());
    }

    /// The same from its parts, as an `error` event has them.
    pub fn push_problem(&mut self, message: &str, hint: Option<&str>) {
        self.push_line(&format!("lanchat: {}", DisplayText::line(message)));
        if let Some(hint) = hint {
            self.push_line(&format!("hint: {}", DisplayText::line(hint)));
        }
    }

    /// Bytes not written yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether lines were dropped because nobody reads.
    #[must_use]
    pub fn is_overflowed(&self) -> bool {
        self.overflowed
    }

    /// Writes what there is room for and has the poll tell when there is more.
    ///
    /// # Errors
    /// The output is gone (`BrokenPipe` where its reader left); what was pending is dropped.
    pub fn flush(&mut self) -> io::Result<()> {
        self.flush_some(usize::MAX).map(drop)
    }

    /// The same, of about so many bytes: a reader that keeps up would keep the loop from
    /// everything else. Answers whether there may be room for more without a word from the poll.
    ///
    /// # Errors
    /// As [`Output::flush`].
    pub fn flush_some(&mut self, len_max: usize) -> io::Result<bool> {
        let result = self.write_some(len_max);
        let result = result.and_then(|more| self.watch().map(|()| more));
        if result.is_err() {
            self.clear();
        }
        result
    }

    fn write_some(&mut self, len_max: usize) -> io::Result<bool> {
        let mut written = 0;
        let mut full = false;
        while self.pending() > 0 && written < len_max && !full {
            match self.sink.write(&self.bytes[self.start..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => {
                    self.start += len;
                    written += len;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => full = true,
                Err(error) => return Err(error),
            }
        }
        // Moving the rest to the front costs its length, so only when most of it is written.
        if self.start * 2 >= self.bytes.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        Ok(self.pending() > 0 && !full)
    }

    fn watch(&mut self) -> io::Result<()> {
        let wanted = self.pending() > 0;
        match &self.registry {
            Some(registry) if wanted != self.watched => {
                self.watched = wanted;
                self.sink.watch(registry, self.token, wanted)
            }
            _ => Ok(()),
        }
    }

    /// Drops what is not written yet: nobody is to wait for its reader.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let wait = match self.patience {
            Patience::Endless => None,
            Patience::Bounded => Some(PATIENCE_MS),
        };
        while self.write_some(usize::MAX).is_ok() && self.pending() > 0 {
            match self.sink.wait(wait) {
                Ok(true) => {}
                Ok(false) if wait.is_none() => {}
                Ok(false) | Err(_) => break,
            }
        }
    }
}

/// Output for the tests of front ends.
#[cfg(test)]
pub(crate) mod fake {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    /// What was written, how much more there is room for, and how much is taken at once.
    #[derive(Clone)]
    pub(crate) struct Written(Rc<RefCell<(Vec<u8>, usize, usize)>>);

    impl Written {
        /// With room for everything.
        pub(crate) fn new() -> (Written, Output) {
            Written::with_room(usize::MAX)
        }

        pub(crate) fn with_room(room: usize) -> (Written, Output) {
            let written = Written(Rc::new(RefCell::new((Vec::new(), room, usize::MAX))));
            let output = Output::new(written.clone(), Token(0), Patience::Bounded);
            (written, output)
        }

        pub(crate) fn set_room(&self, room: usize) {
            self.0.borrow_mut().1 = room;
        }

        pub(crate) fn set_chunk(&self, chunk: usize) {
            self.0.borrow_mut().2 = chunk;
        }

        /// Takes all that was written.
        pub(crate) fn take(&self) -> String {
            String::from_utf8(std::mem::take(&mut self.0.borrow_mut().0)).unwrap()
        }
    }

    impl Sink for Written {
        fn watch(&mut self, _: &Registry, _: Token, _: bool) -> io::Result<()> {
            Ok(())
        }

        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut inner = self.0.borrow_mut();
            let len = bytes.len().min(inner.1).min(inner.2);
            if len == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            inner.0.extend_from_slice(&bytes[..len]);
            inner.1 -= len;
            Ok(len)
        }

        fn wait(&mut self, _: Option<u16>) -> io::Result<bool> {
            Ok(self.0.borrow().1 > 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;

    #[test]
    fn what_does_not_fit_waits_in_order() {
        let (written, mut output) = fake::Written::with_room(3);
        output.push_line("one");
        output.push_line("two");
        output.flush().unwrap();
        assert_eq!((written.take().as_str(), output.pending()), ("one", 5));
        written.set_room(2);
        output.flush().unwrap();
        output.push_line("three");
        written.set_room(100);
        output.flush().unwrap();
        assert_eq!(written.take(), "\ntwo\nthree\n");
        assert_eq!(output.pending(), 0);
    }

    #[test]
    fn a_reader_that_keeps_up_does_not_keep_the_loop() {
        let (written, mut output) = fake::Written::new();
        for _ in 0..10 {
            output.push_line("123456789");
        }
        written.set_chunk(10);
        assert!(output.flush_some(25).unwrap(), "there is more");
        assert_eq!((written.take().len(), output.pending()), (30, 70));
        written.set_room(20);
        assert!(!output.flush_some(25).unwrap(), "the poll tells");
        assert_eq!((written.take().len(), output.pending()), (20, 50));
        written.set_room(usize::MAX);
        assert!(!output.flush_some(50).unwrap(), "there is no more");
        assert_eq!(output.pending(), 0);
    }

    #[test]
    fn a_reader_that_does_not_read_overflows_the_bound() {
        let (written, mut output) = fake::Written::with_room(0);
        let line = "x".repeat(1024 * 1024 - 1);
        for _ in 0..8 {
            assert!(!output.is_overflowed());
            output.push_line(&line);
        }
        output.push_line("");
        assert!(output.is_overflowed());
        assert!(output.pending() <= PENDING_LEN_MAX);
        output.push_line("dropped");
        output.push_last_line("last");
        written.set_room(usize::MAX);
        output.flush().unwrap();
        assert!(written.take().ends_with("x\nlast\n"));
    }

    #[test]
    fn the_rest_is_written_when_it_is_dropped() {
        let (written, mut output) = fake::Written::with_room(0);
        output.push_line("hello");
        output.flush().unwrap();
        written.set_room(100);
        drop(output);
        assert_eq!(written.take(), "hello\n");

        let (written, mut output) = fake::Written::with_room(0);
        output.push_line("for nobody");
        drop(output);
        assert_eq!(written.take(), "");
    }

    #[test]
    fn an_error_is_a_sentence_and_a_hint() {
        let (written, mut output) = fake::Written::new();
        let error = UserError::new(ExitCode::Failed, "it is\nbroken\u{1b}[2J").hint("mend it");
        output.push_error(&error);
        output.flush().unwrap();
        assert_eq!(written.take(), "lanchat: it is broken[2J\nhint: mend it\n");
    }
}
