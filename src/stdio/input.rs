//! Lines from stdin: bounded work a turn, bounded length, never waiting.

use std::io;

use mio::{Registry, Token};

use super::streams;
use crate::limits::JSON_LINE_LEN_MAX;

/// Most lines taken in one turn of the loop.
pub const LINES_PER_TURN: usize = 16;
/// Most reads in one turn of the loop, of 16 KiB each.
const READS_PER_TURN: usize = 16;
const READ_LEN: usize = 16 * 1024;

/// Where bytes come from without waiting for them.
pub trait Source {
    /// Registers it. Answers whether the poll will tell when there is something to read; if
    /// not, there always is.
    ///
    /// # Errors
    /// It cannot be used with the poll at all.
    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<bool>;

    /// Reads what is there; 0 is the end.
    ///
    /// # Errors
    /// `WouldBlock` where nothing is there now; anything else ends the input.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

/// One line, or why it is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line {
    /// A line without its line ending.
    Text(String),
    /// More than [`JSON_LINE_LEN_MAX`] bytes; dropped.
    TooLong,
    /// Not UTF-8; dropped.
    NotUtf8,
    /// No more input; the last one.
    End,
}

/// Lines from a [`Source`].
pub struct Input {
    source: Box<dyn Source>,
    lines: LineBuffer,
    ready: bool,
    ended: bool,
}

impl Input {
    /// Lines from stdin.
    #[must_use]
    pub fn stdin() -> Self {
        Input::new(streams::stdin())
    }

    /// Lines from this source.
    #[must_use]
    pub fn new(source: impl Source + 'static) -> Self {
        Input {
            source: Box::new(source),
            lines: LineBuffer::default(),
            ready: false,
            ended: false,
        }
    }

    /// Registers the source under this token.
    ///
    /// # Errors
    /// It cannot be used with the poll.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.ready = !self.source.register(registry, token)?;
        Ok(())
    }

    /// The poll says that there is something to read.
    pub fn mark_ready(&mut self) {
        self.ready = true;
    }

    /// Whether [`Input::take`] may find something without another word from the poll.
    #[must_use]
    pub fn is_hungry(&self) -> bool {
        self.ready && !self.ended
    }

    /// One turn's worth of lines.
    pub fn take(&mut self) -> Vec<Line> {
        let mut taken = Vec::new();
        let mut buffer = [0; READ_LEN];
        let mut reads = 0;
        while !self.ended && taken.len() < LINES_PER_TURN {
            if let Some(line) = self.lines.next() {
                taken.push(line);
                continue;
            }
            if reads == READS_PER_TURN {
                break;
            }
            reads += 1;
            match self.source.read(&mut buffer) {
                Ok(0) => self.end(&mut taken),
                Ok(len) => self.lines.push(&buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready = false;
                    break;
                }
                Err(error) => {
                    tracing::warn!(%error, "stdin cannot be read");
                    self.end(&mut taken);
                }
            }
        }
        taken
    }

    fn end(&mut self, taken: &mut Vec<Line>) {
        self.ended = true;
        taken.extend(self.lines.finish());
        taken.push(Line::End);
    }
}

/// Bytes cut into lines. Holds at most one read more than the longest line allowed.
#[derive(Default)]
struct LineBuffer {
    bytes: Vec<u8>,
    /// How much of `bytes` was given out.
    start: usize,
    /// How much of `bytes` is known to hold no newline.
    searched: usize,
    /// Inside a line that is too long, up to its newline.
    skipping: bool,
    /// Past the first line, before which a byte order mark may stand.
    begun: bool,
}

impl LineBuffer {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next line, if all of it is here.
    fn next(&mut self) -> Option<Line> {
        loop {
            let newline = self.bytes[self.searched..].iter().position(|&b| b == b'\n');
            let Some(offset) = newline else {
                self.searched = self.bytes.len();
                if self.skipping || self.searched - self.start > JSON_LINE_LEN_MAX + 1 {
                    self.start = self.searched;
                    return (!std::mem::replace(&mut self.skipping, true)).then_some(Line::TooLong);
                }
                return None;
            };
            let end = self.searched + offset;
            let range = std::mem::replace(&mut self.start, end + 1)..end;
            self.searched = self.start;
            if !std::mem::take(&mut self.skipping) {
                return Some(self.line(range));
            }
        }
    }

    /// What is left at the end, which needs no newline.
    fn finish(&mut self) -> Option<Line> {
        let range = self.start..self.bytes.len();
        self.start = range.end;
        self.searched = range.end;
        (!self.skipping && !range.is_empty()).then(|| self.line(range))
    }

    fn line(&mut self, range: std::ops::Range<usize>) -> Line {
        let mut bytes = &self.bytes[range];
        if !std::mem::replace(&mut self.begun, true) {
            bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        }
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if bytes.len() > JSON_LINE_LEN_MAX {
            return Line::TooLong;
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Line::Text(text.to_owned()),
            Err(_) => Line::NotUtf8,
        }
    }
}

/// Input and output for the tests of front ends.
#[cfg(test)]
pub(crate) mod fake {
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::rc::Rc;

    use super::*;

    /// A source of prepared reads; without any it would block, an empty one is the end.
    #[derive(Clone, Default)]
    pub(crate) struct Reads(Rc<RefCell<VecDeque<Vec<u8>>>>);

    impl Reads {
        pub(crate) fn push(&self, bytes: impl AsRef<[u8]>) {
            for chunk in bytes.as_ref().chunks(READ_LEN) {
                self.0.borrow_mut().push_back(chunk.to_vec());
            }
        }

        pub(crate) fn end(&self) {
            self.0.borrow_mut().push_back(Vec::new());
        }
    }

    impl Source for Reads {
        fn register(&mut self, _: &Registry, _: Token) -> io::Result<bool> {
            Ok(true)
        }

        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some(bytes) = self.0.borrow_mut().pop_front() else {
                return Err(io::ErrorKind::WouldBlock.into());
            };
            buffer[..bytes.len()].copy_from_slice(&bytes);
            Ok(bytes.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> Line {
        Line::Text(line.to_owned())
    }

    /// All lines of these reads, with the end.
    fn lines(reads: &[&[u8]]) -> Vec<Line> {
        let source = fake::Reads::default();
        reads.iter().for_each(|bytes| source.push(bytes));
        source.end();
        let mut input = Input::new(source);
        input.mark_ready();
        let mut all = Vec::new();
        while input.is_hungry() {
            all.append(&mut input.take());
        }
        all
    }

    #[test]
    fn lines_come_whole_however_they_are_read() {
        let bytes = "\u{feff}one\r\n\ntw\u{e9}\n\u{feff}three".as_bytes();
        let expected = [
            text("one"),
            text(""),
            text("tw\u{e9}"),
            text("\u{feff}three"),
            Line::End,
        ];
        assert_eq!(lines(&[bytes]), expected);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(lines(&single), expected);
    }

    #[test]
    fn a_line_too_long_is_told_once_and_skipped() {
        let longest = "x".repeat(JSON_LINE_LEN_MAX);
        for over in [1, 2, READ_LEN, 4 * JSON_LINE_LEN_MAX] {
            let bad = "y".repeat(JSON_LINE_LEN_MAX + over);
            let all = format!("{longest}\n{bad}\nnext\n{bad}");
            let expected = [text(&longest), Line::TooLong, text("next"), Line::TooLong];
            let found = lines(&[all.as_bytes()]);
            assert_eq!(found[..4], expected, "over by {over}");
            assert_eq!(found[4..], [Line::End]);
        }
    }

    #[test]
    fn what_is_not_utf8_is_told_and_the_next_line_is_fine() {
        assert_eq!(
            lines(&[b"\xff\xfe\nok\n"]),
            [Line::NotUtf8, text("ok"), Line::End]
        );
    }

    #[test]
    fn a_turn_takes_a_bounded_number_of_lines_and_reads() {
        let source = fake::Reads::default();
        source.push("a\n".repeat(LINES_PER_TURN + 1));
        let mut input = Input::new(source.clone());
        input.mark_ready();
        assert_eq!(input.take().len(), LINES_PER_TURN);
        assert!(input.is_hungry());
        assert_eq!(input.take().len(), 1);
        assert!(!input.is_hungry());

        source.push("z".repeat(READ_LEN * (READS_PER_TURN + 2)));
        input.mark_ready();
        assert_eq!(input.take(), []);
        assert!(input.is_hungry(), "stopped before the source was empty");
        assert_eq!(input.take(), [Line::TooLong]);
    }
}
