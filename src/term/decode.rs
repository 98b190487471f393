//! Bytes of a terminal to keys, one byte at a time, so that it does not matter where a read
//! ends.
//!
//! Knows UTF-8, the CSI and SS3 sequences of xterm and its kin (ECMA-48; "XTerm Control
//! Sequences"), bracketed paste, SGR mouse and focus reports. A sequence it does not know is
//! dropped, never typed.

mod sequence;

use sequence::{letter, push, sequence};

use crate::ui::key::{Input, Key, KeyCode};

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

#[cfg(test)]
mod tests;
