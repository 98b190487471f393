//! What text programs send, cut into lines and made safe to show.

use crate::text::DisplayText;

/// The lines that end the chat, as they stand alone in a datagram or a line.
const FAREWELLS: [&str; 3] = ["quit", "exit", "bye bye"];

/// Longest piece of a received TCP line that is shown at once, in bytes: as much as the largest
/// datagram. What is longer is shown in several pieces.
pub(super) const PIECE_LEN_MAX: usize = 64 * 1024;

/// Whether this line ends the chat.
pub(super) fn is_farewell(line: &[u8]) -> bool {
    FAREWELLS.iter().any(|word| word.as_bytes() == line)
}

/// `bytes` without what programs leave at the end: a newline of either kind, and the NUL of a C
/// string.
pub(super) fn trimmed(bytes: &[u8]) -> &[u8] {
    let text = without_nuls(bytes);
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    without_nuls(text)
}

fn without_nuls(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&b| b != 0).map_or(0, |at| at + 1);
    &bytes[..end]
}

/// `bytes` as one line that may be shown: replacement characters for what is not UTF-8, spaces for
/// tabs and for newlines, so that nobody can make up a line of somebody else.
pub(super) fn shown(bytes: &[u8]) -> DisplayText {
    let text = String::from_utf8_lossy(bytes);
    DisplayText::line(&text.replace('\t', " "))
}

/// A line of a stream, or a piece of one that is too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Piece<'a> {
    /// Without the newline.
    pub(super) bytes: &'a [u8],
    /// From the beginning of a line to its end. No piece of another is a farewell.
    pub(super) whole: bool,
}

/// A stream of bytes cut into lines, however it is split into segments.
#[derive(Default)]
pub(super) struct Lines {
    /// The beginning of a line whose end has not come; at most [`PIECE_LEN_MAX`].
    partial: Vec<u8>,
    /// What stands before it on its line was given out.
    cut: bool,
    /// A line has ended with a newline.
    knows_newlines: bool,
}

impl Lines {
    /// Adds bytes; `sink` gets each line that is complete, without its newline. A line of more
    /// than [`PIECE_LEN_MAX`] bytes comes in pieces.
    pub(super) fn push(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Piece<'_>)) {
        for part in bytes.split_inclusive(|&b| b == b'\n') {
            let (part, complete) = match part.split_last() {
                Some((b'\n', line)) => (line, true),
                _ => (part, false),
            };
            let mut rest = part;
            while self.partial.len() + rest.len() > PIECE_LEN_MAX {
                let (fits, more) = rest.split_at(PIECE_LEN_MAX - self.partial.len());
                self.partial.extend_from_slice(fits);
                rest = more;
                let left = self.partial.split_off(char_boundary(&self.partial));
                self.cut = true;
                sink(Piece {
                    bytes: &self.partial,
                    whole: false,
                });
                self.partial = left;
            }
            if complete && self.partial.is_empty() {
                sink(Piece {
                    bytes: trimmed(rest),
                    whole: !self.cut,
                });
            } else {
                self.partial.extend_from_slice(rest);
                if complete {
                    self.end(sink);
                }
            }
            if complete {
                self.cut = false;
                self.knows_newlines = true;
            }
        }
    }

    /// Whether a line has begun and not ended.
    pub(super) fn has_partial(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Whether the other side ends its lines with newlines, as far as it is known.
    pub(super) fn knows_newlines(&self) -> bool {
        self.knows_newlines
    }

    /// Gives out the line that has begun, if there is one, as if it ended here.
    pub(super) fn end(&mut self, sink: &mut dyn FnMut(Piece<'_>)) {
        let bytes = std::mem::take(&mut self.partial);
        if !bytes.is_empty() {
            sink(Piece {
                bytes: trimmed(&bytes),
                whole: !self.cut,
            });
        }
    }
}

/// Where to cut the end of `bytes`, so that no character of UTF-8 is split; their length where
/// they are not UTF-8.
fn char_boundary(bytes: &[u8]) -> usize {
    match std::str::from_utf8(&bytes[bytes.len().saturating_sub(4)..]) {
        Ok(_) => bytes.len(),
        Err(_) => {
            let starts = |at: &usize| bytes[*at] & 0xc0 == 0xc0;
            let tail = bytes.len().saturating_sub(3)..bytes.len();
            // A character that begins here and is not complete stays for the next piece.
            let begun = tail.rev().find(starts);
            begun
                .filter(|&at| bytes.len() - at < char_len(bytes[at]))
                .unwrap_or(bytes.len())
        }
    }
}

/// Length of the UTF-8 sequence that this byte begins.
fn char_len(first: u8) -> usize {
    match first {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of these parts, and what is left.
    fn lines(parts: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<u8>) {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for part in parts {
            lines.push(part, &mut |piece| found.push(piece.bytes.to_vec()));
        }
        (found, lines.partial)
    }

    #[test]
    fn what_programs_leave_at_the_end_is_no_text() {
        for (bytes, expected) in [
            (&b"hi"[..], &b"hi"[..]),
            (b"hi\n", b"hi"),
            (b"hi\r\n", b"hi"),
            (b"hi\0", b"hi"),
            (b"hi\n\0\0", b"hi"),
            (b"hi\0\n", b"hi"),
            (b"hi\n\n", b"hi\n"),
            (b"\0hi", b"\0hi"),
            (b"\n", b""),
            (b"", b""),
        ] {
            assert_eq!(trimmed(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_farewell_stands_alone() {
        for text in ["quit", "exit\n", "bye bye\r\n", "quit\0"] {
            assert!(is_farewell(trimmed(text.as_bytes())), "{text:?}");
        }
        for text in ["quit now", "Quit", " quit", "bye", "", "quit\nexit"] {
            assert!(!is_farewell(trimmed(text.as_bytes())), "{text:?}");
        }
    }

    #[test]
    fn what_is_shown_is_one_line_without_tricks() {
        for (bytes, expected) in [
            (&b"a\xffb"[..], "a\u{fffd}b"),
            (
                b"one\n10.0.0.9:7: two\r\nthree",
                "one 10.0.0.9:7: two three",
            ),
            (b"\x1b[2Ja\tb", "[2Ja b"),
            ("exe.\u{202e}gpj".as_bytes(), "exe.gpj"),
        ] {
            assert_eq!(shown(bytes).as_str(), expected);
        }
    }

    #[test]
    fn lines_come_whole_however_they_are_split() {
        let bytes = "one\r\n\nzw\u{e9}i\nlast".as_bytes();
        let expected: Vec<Vec<u8>> = ["one", "", "zw\u{e9}i"].map(Vec::from).to_vec();
        assert_eq!(lines(&[bytes]), (expected.clone(), b"last".to_vec()));
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(lines(&single), (expected, b"last".to_vec()));
    }

    #[test]
    fn an_endless_line_comes_in_pieces_and_splits_no_character() {
        let text = format!("x{}\nnext\n", "\u{20ac}".repeat(PIECE_LEN_MAX));
        let (found, left) = lines(&[text.as_bytes()]);
        assert!(left.is_empty());
        assert!(found.iter().all(|piece| piece.len() <= PIECE_LEN_MAX));
        assert!(found.iter().all(|piece| std::str::from_utf8(piece).is_ok()));
        assert_eq!(found.last().unwrap(), b"next");
        let joined = found[..found.len() - 1].concat();
        assert_eq!(joined, &text.as_bytes()[..text.len() - "\nnext\n".len()]);

        let mut lines = Lines::default();
        let mut pieces = 0;
        for _ in 0..100 {
            lines.push(&[0xff; 4096], &mut |piece| {
                assert!(piece.bytes.len() <= PIECE_LEN_MAX);
                pieces += 1;
            });
        }
        assert_eq!(pieces, 100 * 4096 / PIECE_LEN_MAX);
    }

    #[test]
    fn the_rest_of_a_long_line_is_no_farewell() {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        let text = format!("{}quit\nquit\nqu", "x".repeat(PIECE_LEN_MAX));
        let mut sink = |piece: Piece<'_>| found.push((piece.bytes.to_vec(), piece.whole));
        lines.push(text.as_bytes(), &mut sink);
        assert!(lines.knows_newlines());
        lines.end(&mut sink);
        lines.end(&mut sink);
        assert_eq!(found[0].0.len(), PIECE_LEN_MAX);
        let rest = [(b"quit".to_vec(), false), (b"quit".to_vec(), true)];
        assert_eq!(found[1..3], rest);
        assert_eq!(found[3..], [(b"qu".to_vec(), true)]);
    }
}
