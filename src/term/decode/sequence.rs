//! Whole sequences: the key, the mouse or the report that one stands for.

use crate::ui::key::{Input, Key, KeyCode, Mouse, MouseKind};

/// A whole CSI sequence.
pub(super) fn sequence(params: &[u8], end: u8, out: &mut Vec<Input>) {
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

/// A key with the modifiers of a sequence: 1 plus Shift 1, Alt 2, Ctrl 4.
pub(super) fn push(out: &mut Vec<Input>, code: KeyCode, modifiers: u32) {
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

/// The key that ends a CSI or SS3 sequence with this letter.
pub(super) fn letter(letter: u8) -> Option<KeyCode> {
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
