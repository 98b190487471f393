//! Bytes of a terminal to keys, one byte at a time, so that it does not matter where a read
//! ends.
//!
//! Knows UTF-8, the CSI and SS3 sequences of xterm and its kin (ECMA-48; "XTerm Control
//! Sequences"), bracketed paste, SGR mouse and focus reports. A sequence it does not know is
//! dropped, never typed.

use crate::ui::key::{Input, Key, KeyCode, Mouse, MouseKind};

/// Longest parameters of a sequence; the rest of a longer one is dropped with it.
const PARAMS_LEN_MAX: usize = 32;
/// Longest paste; the rest is dropped.
pub const PASTE_LEN_MAX: usize = 256 * 1024;
const PASTE_END: &[u8] = b"\x1b[201~";
const ESC: u8 = 0x1b;

/// Where in a sequence the bytes so far end.
#[derive(Clone, Debug, Default)]
enum State {
    #[default]
    Ground,
    /// After ESC.
    Escape,
    /// After ESC `[`; holds the parameters.
    Csi(Vec<u8>),
    /// After ESC `[` `[`, as the Linux console sends F1 to F5.
    Console,
    /// After ESC `O`.
    Ss3,
    /// Within a character of several bytes.
    Char {
        bytes: Vec<u8>,
        len: usize,
        alt: bool,
    },
    /// Within a bracketed paste.
    Paste(Vec<u8>),
}

/// Turns bytes into [`Input`]s.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    state: State,
}

impl Decoder {
    /// Takes bytes; what they complete is added to `out`.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<Input>) {
        for &byte in bytes {
            self.byte(byte, out);
        }
    }

    /// Whether what came so far may be a key of its own or the start of a longer one: if
    /// nothing follows in 40 ms, [`Decoder::expire`] decides.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(
            self.state,
            State::Escape | State::Csi(_) | State::Console | State::Ss3
        )
    }

    /// Nothing followed: what came is all there is.
    pub fn expire(&mut self, out: &mut Vec<Input>) {
        if !self.is_waiting() {
            return;
        }
        let key = match std::mem::take(&mut self.state) {
            State::Escape => Key::plain(KeyCode::Esc),
            State::Csi(params) if params.is_empty() => Key::alt(KeyCode::Char('[')),
            State::Ss3 => Key::alt(KeyCode::Char('O')),
            // The rest of a sequence was lost on the way.
            _ => return,
        };
        out.push(Input::Key(key));
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<Input>) {
        match std::mem::take(&mut self.state) {
            State::Ground => self.ground(byte, false, out),
            State::Escape => self.escape(byte, out),
            State::Csi(params) => self.csi(params, byte, out),
            State::Console => {
                if let b'A'..=b'E' = byte {
                    push(out, KeyCode::F(byte - b'A' + 1), 1);
                }
            }
            State::Ss3 => self.ss3(byte, out),
            State::Char { bytes, len, alt } => self.char(bytes, len, alt, byte, out),
            State::Paste(text) => self.paste(text, byte, out),
        }
    }

    fn ground(&mut self, byte: u8, alt: bool, out: &mut Vec<Input>) {
        let len = match byte {
            ESC => {
                self.state = State::Escape;
                return;
            }
            0x00..=0x7f => {
                let key = ascii(byte);
                let alt = alt || key.alt;
                out.push(Input::Key(Key { alt, ..key }));
                return;
            }
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            // No character starts so.
            _ => return,
        };
        let bytes = vec![byte];
        self.state = State::Char { bytes, len, alt };
    }

    fn escape(&mut self, byte: u8, out: &mut Vec<Input>) {
        match byte {
            b'[' => self.state = State::Csi(Vec::new()),
            b'O' => self.state = State::Ss3,
            ESC => {
                out.push(Input::Key(Key::plain(KeyCode::Esc)));
                self.state = State::Escape;
            }
            _ => self.ground(byte, true, out),
        }
    }

    fn csi(&mut self, mut params: Vec<u8>, byte: u8, out: &mut Vec<Input>) {
        match byte {
            b'[' if params.is_empty() => self.state = State::Console,
            0x20..=0x3f => {
                // One byte over the limit marks that something was dropped.
                if params.len() <= PARAMS_LEN_MAX {
                    params.push(byte);
                }
                self.state = State::Csi(params);
            }
            0x40..=0x7e if params.len() > PARAMS_LEN_MAX => {}
            b'~' if params == b"200" => self.state = State::Paste(Vec::new()),
            0x40..=0x7e => sequence(&params, byte, out),
            // Not part of any sequence: this one was cut off.
            _ => self.ground(byte, false, out),
        }
    }

    fn ss3(&mut self, byte: u8, out: &mut Vec<Input>) {
        match byte {
            b'P'..=b'S' => push(out, KeyCode::F(byte - b'P' + 1), 1),
            b'M' => push(out, KeyCode::Enter, 1),
            // Ctrl with an arrow, as rxvt sends it.
            b'a'..=b'd' => {
                if let Some(code) = letter(byte.to_ascii_uppercase()) {
                    push(out, code, 5);
                }
            }
            0x20..=0x7e => {
                if let Some(code) = letter(byte) {
                    push(out, code, 1);
                }
            }
            _ => self.ground(byte, false, out),
        }
    }

    fn char(&mut self, mut bytes: Vec<u8>, len: usize, alt: bool, byte: u8, out: &mut Vec<Input>) {
        if byte & 0xc0 != 0x80 {
            self.ground(byte, false, out);
            return;
        }
        bytes.push(byte);
        if bytes.len() < len {
            self.state = State::Char { bytes, len, alt };
        } else if let Some(c) = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|s| s.chars().next())
            && !c.is_control()
        {
            out.push(Input::Key(Key {
                alt,
                ..Key::char(c)
            }));
        }
    }

    fn paste(&mut self, mut text: Vec<u8>, byte: u8, out: &mut Vec<Input>) {
        text.push(byte);
        if text.ends_with(PASTE_END) {
            text.truncate(text.len() - PASTE_END.len());
            text.truncate(PASTE_LEN_MAX);
            let text = String::from_utf8_lossy(&text).into_owned();
            out.push(Input::Paste(text));
            return;
        }
        if text.len() > PASTE_LEN_MAX + PASTE_END.len() {
            // Keeps the last bytes in view, for the end to be found in them.
            text.remove(PASTE_LEN_MAX);
        }
        self.state = State::Paste(text);
    }
}

/// A byte below 0x80 that is no ESC.
fn ascii(byte: u8) -> Key {
    match byte {
        // Some terminals, and everything that plays one, send a line feed for Enter.
        b'\r' | b'\n' => Key::plain(KeyCode::Enter),
        b'\t' => Key::plain(KeyCode::Tab),
        0x7f | 0x08 => Key::plain(KeyCode::Backspace),
        0x00 => Key::ctrl(KeyCode::Char(' ')),
        0x01..=0x1a => Key::ctrl(KeyCode::Char(char::from(byte - 1 + b'a'))),
        0x1b..=0x1f => Key::ctrl(KeyCode::Char(char::from(byte - 0x1b + b'['))),
        _ => Key::char(char::from(byte)),
    }
}

/// The key that ends a CSI or SS3 sequence with this letter.
fn letter(letter: u8) -> Option<KeyCode> {
    Some(match letter {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'F' => KeyCode::End,
        b'H' => KeyCode::Home,
        b'P'..=b'S' => KeyCode::F(letter - b'P' + 1),
        b'Z' => KeyCode::BackTab,
        _ => return None,
    })
}

/// The key of a sequence `CSI number ~`.
fn numbered(number: u32) -> Option<KeyCode> {
    Some(match number {
        1 | 7 => KeyCode::Home,
        2 => KeyCode::Insert,
        3 => KeyCode::Delete,
        4 | 8 => KeyCode::End,
        5 => KeyCode::PageUp,
        6 => KeyCode::PageDown,
        11..=15 => KeyCode::F(u8::try_from(number - 10).ok()?),
        17..=21 => KeyCode::F(u8::try_from(number - 11).ok()?),
        23..=24 => KeyCode::F(u8::try_from(number - 12).ok()?),
        _ => return None,
    })
}

/// A whole CSI sequence.
fn sequence(params: &[u8], end: u8, out: &mut Vec<Input>) {
    if let Some(report) = params.strip_prefix(b"<") {
        mouse(report, end, out);
        return;
    }
    let Some(numbers) = numbers(params) else {
        return;
    };
    let number = |n: usize| numbers.get(n).copied().unwrap_or(1);
    match end {
        b'I' => out.push(Input::Focus(true)),
        b'O' => out.push(Input::Focus(false)),
        // modifyOtherKeys of xterm, and the same of kitty.
        b'~' if number(0) == 27 => character(number(2), number(1), out),
        b'u' => character(number(0), number(1), out),
        b'~' => {
            if let Some(code) = numbered(number(0)) {
                push(out, code, number(1));
            }
        }
        // Ctrl and Shift, as rxvt sends them.
        b'^' | b'$' => {
            if let Some(code) = numbered(number(0)) {
                push(out, code, if end == b'^' { 5 } else { 2 });
            }
        }
        b'a'..=b'd' => {
            if let Some(code) = letter(end.to_ascii_uppercase()) {
                push(out, code, 2);
            }
        }
        // A report of the cursor's place looks like F3, which has always a 1 here.
        b'R' if number(0) != 1 => {}
        _ => {
            if let Some(code) = letter(end) {
                push(out, code, number(1));
            }
        }
    }
}

/// Numbers between semicolons, what follows a colon left out; nothing if there is anything
/// else. An empty one is 1.
fn numbers(params: &[u8]) -> Option<Vec<u32>> {
    let text = std::str::from_utf8(params).ok()?;
    text.split(';')
        .map(|field| match field.split(':').next().unwrap_or("") {
            "" => Some(1),
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok(),
            _ => None,
        })
        .collect()
}

/// A character by its code point, with modifiers.
fn character(code: u32, modifiers: u32, out: &mut Vec<Input>) {
    let Some(c) = char::from_u32(code) else {
        return;
    };
    let code = match c {
        '\r' | '\n' => KeyCode::Enter,
        '\t' => KeyCode::Tab,
        '\u{1b}' => KeyCode::Esc,
        '\u{7f}' | '\u{8}' => KeyCode::Backspace,
        // Kitty numbers its further keys in the private use area.
        c if c.is_control() || ('\u{e000}'..='\u{f8ff}').contains(&c) => return,
        c => KeyCode::Char(c),
    };
    push(out, code, modifiers);
}

/// A key with the modifiers of a sequence: 1 plus Shift 1, Alt 2, Ctrl 4.
fn push(out: &mut Vec<Input>, code: KeyCode, modifiers: u32) {
    let bits = modifiers.saturating_sub(1);
    let (shift, alt, ctrl) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
    let (code, shift) = match code {
        KeyCode::Char(c) if ctrl => (KeyCode::Char(c.to_ascii_lowercase()), false),
        KeyCode::Char(c) if shift => {
            let mut upper = c.to_uppercase();
            let one = upper.next().filter(|_| upper.next().is_none());
            (KeyCode::Char(one.unwrap_or(c)), false)
        }
        KeyCode::Tab if shift => (KeyCode::BackTab, false),
        // A key that means the same with and without Shift.
        KeyCode::Enter | KeyCode::Backspace | KeyCode::BackTab | KeyCode::Esc => (code, false),
        code => (code, shift),
    };
    out.push(Input::Key(Key {
        code,
        ctrl,
        alt,
        shift,
    }));
}

/// An SGR report: button, column, row; a small `m` ends that of a release.
fn mouse(report: &[u8], end: u8, out: &mut Vec<Input>) {
    let Some([button, column, row]) = numbers(report).and_then(|n| <[u32; 3]>::try_from(n).ok())
    else {
        return;
    };
    let kind = match (button, end) {
        (0, b'M') => MouseKind::Press,
        (64, b'M') => MouseKind::WheelUp,
        (65, b'M') => MouseKind::WheelDown,
        _ => return,
    };
    let place = |n: u32| u16::try_from(n.saturating_sub(1)).unwrap_or(u16::MAX);
    out.push(Input::Mouse(Mouse {
        kind,
        column: place(column),
        row: place(row),
    }));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ui::key::script;

    fn decode(bytes: &[u8]) -> Vec<Input> {
        let mut out = Vec::new();
        Decoder::default().feed(bytes, &mut out);
        out
    }

    fn keys(spelled: &str) -> Vec<Input> {
        script(spelled).into_iter().map(Input::Key).collect()
    }

    #[test]
    fn what_terminals_send_is_read_as_meant() {
        for (bytes, wanted) in [
            (&b"hi\r"[..], "hi<ret>"),
            (b"\n\t\x7f\x08", "<ret><tab><bs><bs>"),
            (b"\x01\x0c\x00\x1f", "<C-a><C-l><C-space><C-_>"),
            ("é日🎉".as_bytes(), "é日🎉"),
            (b"\x1b[A\x1b[B\x1b[C\x1b[D", "<up><down><right><left>"),
            (
                b"\x1bOA\x1bOH\x1bOF\x1bOP\x1bOM",
                "<up><home><end><F1><ret>",
            ),
            (b"\x1b[1;5D\x1b[1;3C\x1b[1;2A", "<C-left><A-right><S-up>"),
            (b"\x1b[1;7A", "<C-A-up>"),
            (
                b"\x1b[3~\x1b[5~\x1b[6~\x1b[2~",
                "<del><pageup><pagedown><ins>",
            ),
            (
                b"\x1b[1~\x1b[4~\x1b[7~\x1b[8~\x1b[H\x1b[F",
                "<home><end><home><end><home><end>",
            ),
            (
                b"\x1b[3;5~\x1b[3^\x1b[d\x1bOd",
                "<C-del><C-del><S-left><C-left>",
            ),
            (
                b"\x1b[11~\x1b[15~\x1b[17~\x1b[24~\x1b[[A\x1b[[E",
                "<F1><F5><F6><F12><F1><F5>",
            ),
            (b"\x1b[1;5P", "<C-F1>"),
            (b"\x1b[Z", "<backtab>"),
            (b"\x1ba\x1b1\x1b\r\x1b\x7f", "<A-a><A-1><A-ret><A-bs>"),
            ("\x1bé".as_bytes(), "<A-é>"),
            (b"\x1b\x1b[A", "<esc><up>"),
            (
                b"\x1b[27;3;13~\x1b[13;3u\x1b[97;5u\x1b[97:65;2u",
                "<A-ret><A-ret><C-a>A",
            ),
            (b"\x1b[13;2u", "<ret>"),
            // Cut off, unknown, too long, and bytes that are no UTF-8: dropped, nothing typed.
            (b"\x1b[12\x1b[A", "<up>"),
            (b"\x1b[99~\x1b[?1;2c\x1b[5;7R\x1b[>0x", ""),
            (b"\xff\xc0\x80\xe9a\xf0\x9f\x8ex", "ax"),
            (b"\xed\xa0\x80\xc2\x9b", ""),
        ] {
            assert_eq!(decode(bytes), keys(wanted), "{}", bytes.escape_ascii());
        }
        let long = [b"\x1b[".as_slice(), &[b'1'; 100], b"~x"].concat();
        assert_eq!(decode(&long), keys("x"));
    }

    #[test]
    fn reports_of_the_terminal() {
        let mouse = |kind, column, row| Input::Mouse(Mouse { kind, column, row });
        assert_eq!(
            decode(b"\x1b[I\x1b[O\x1b[<0;3;5M\x1b[<0;3;5m\x1b[<64;1;1M\x1b[<65;200;1M\x1b[<0;0;99999M\x1b[<x"),
            [
                Input::Focus(true),
                Input::Focus(false),
                mouse(MouseKind::Press, 2, 4),
                mouse(MouseKind::WheelUp, 0, 0),
                mouse(MouseKind::WheelDown, 199, 0),
                mouse(MouseKind::Press, 0, u16::MAX),
            ]
        );
    }

    #[test]
    fn a_paste_is_one_piece_whatever_is_in_it() {
        let text = "line of text é \x1b[A\r\n".repeat(1000);
        assert_eq!(text.len(), 20_000 + 1000);
        let bytes = [b"a\x1b[200~", text.as_bytes(), b"\x1b[201~b"].concat();
        let wanted = [keys("a"), vec![Input::Paste(text)], keys("b")].concat();
        assert_eq!(decode(&bytes), wanted);
    }

    #[test]
    fn a_paste_too_long_is_cut_and_ends_where_it_ends() {
        let bytes = [
            b"\x1b[200~".as_slice(),
            &vec![b'x'; PASTE_LEN_MAX + 1000],
            b"\x1b[201~y",
        ]
        .concat();
        let wanted = [vec![Input::Paste("x".repeat(PASTE_LEN_MAX))], keys("y")].concat();
        assert_eq!(decode(&bytes), wanted);
    }

    #[test]
    fn what_nothing_follows_is_decided_by_the_deadline() {
        for (bytes, wanted) in [
            (&b"\x1b"[..], "<esc>"),
            (b"\x1b[", "<A-[>"),
            (b"\x1bO", "<A-O>"),
            (b"\x1b[12", ""),
            (b"\x1b[[", ""),
        ] {
            let mut decoder = Decoder::default();
            let mut out = Vec::new();
            decoder.feed(bytes, &mut out);
            assert!(decoder.is_waiting() && out.is_empty());
            decoder.expire(&mut out);
            assert!(!decoder.is_waiting());
            decoder.feed(b"x", &mut out);
            assert_eq!(out, [keys(wanted), keys("x")].concat());
        }
        let mut decoder = Decoder::default();
        decoder.feed(b"\xe6\x97", &mut Vec::new());
        assert!(!decoder.is_waiting());
    }

    /// Bytes that look like what a terminal sends, and bytes that do not.
    fn terminal_bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..8),
            Just(b"\x1b".to_vec()),
            Just(b"\x1b[200~".to_vec()),
            Just(b"\x1b[201~".to_vec()),
            Just(b"\x1b[<0;1;1M".to_vec()),
            "[0-9;:<]{0,40}".prop_map(|s| [b"\x1b[", s.as_bytes()].concat()),
            "\\PC{0,4}".prop_map(String::into_bytes),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_give_the_same_keys(
            bytes in terminal_bytes(), cuts in prop::collection::vec(0usize..80, 0..8),
        ) {
            let whole = decode(&bytes);
            let mut decoder = Decoder::default();
            let mut out = Vec::new();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            for pair in cuts.windows(2) {
                decoder.feed(&bytes[pair[0]..pair[1]], &mut out);
            }
            prop_assert_eq!(out, whole);
        }

        #[test]
        fn no_key_is_a_control_character(bytes in terminal_bytes()) {
            for input in decode(&bytes) {
                if let Input::Key(Key { code: KeyCode::Char(c), .. }) = input {
                    prop_assert!(!c.is_control());
                }
            }
        }
    }
}
