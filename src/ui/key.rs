//! What a person does at the terminal, as data: keys, pastes, the mouse.
//!
//! Our own types, so that neither the model nor its tests know a terminal library.

use std::fmt;

/// One thing that came from the terminal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// A key was pressed.
    Key(Key),
    /// Text was pasted, as one piece; its line ends may be any of `\n`, `\r`, `\r\n`.
    Paste(String),
    /// A mouse button went down, or the wheel turned.
    Mouse(Mouse),
    /// The terminal got (true) or lost (false) the focus.
    Focus(bool),
    /// The terminal has this many columns and rows.
    Resize(u16, u16),
}

/// A key with its modifiers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    /// Which key.
    pub code: KeyCode,
    /// Ctrl was held.
    pub ctrl: bool,
    /// Alt was held.
    pub alt: bool,
    /// Shift was held; never set with a character, whose case says it.
    pub shift: bool,
}

/// Which key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum KeyCode {
    /// A character; with Ctrl always lower-case.
    Char(char),
    /// Enter.
    Enter,
    /// Tab.
    Tab,
    /// Shift-Tab.
    BackTab,
    /// Backspace.
    Backspace,
    /// Delete.
    Delete,
    /// Insert.
    Insert,
    /// Escape.
    Esc,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
    /// Home.
    Home,
    /// End.
    End,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// A function key, from 1.
    F(u8),
}

/// What the mouse did, and where, from 0 at the upper left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mouse {
    /// What.
    pub kind: MouseKind,
    /// Column.
    pub column: u16,
    /// Row.
    pub row: u16,
}

/// What the mouse did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MouseKind {
    /// The left button went down.
    Press,
    /// The wheel turned up.
    WheelUp,
    /// The wheel turned down.
    WheelDown,
}

impl Key {
    /// A key without modifiers.
    #[must_use]
    pub const fn plain(code: KeyCode) -> Self {
        Key {
            code,
            ctrl: false,
            alt: false,
            shift: false,
        }
    }

    /// A character key.
    #[must_use]
    pub const fn char(c: char) -> Self {
        Key::plain(KeyCode::Char(c))
    }

    /// A key with Ctrl.
    #[must_use]
    pub const fn ctrl(code: KeyCode) -> Self {
        Key {
            ctrl: true,
            ..Key::plain(code)
        }
    }

    /// A key with Alt.
    #[must_use]
    pub const fn alt(code: KeyCode) -> Self {
        Key {
            alt: true,
            ..Key::plain(code)
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (held, name) in [
            (self.ctrl, "Ctrl-"),
            (self.alt, "Alt-"),
            (self.shift, "Shift-"),
        ] {
            if held {
                f.write_str(name)?;
            }
        }
        match self.code {
            KeyCode::Char(' ') => f.write_str("Space"),
            KeyCode::Char(c) => write!(f, "{}", c.to_uppercase()),
            KeyCode::F(n) => write!(f, "F{n}"),
            code => f.write_str(name_of(code)),
        }
    }
}

fn name_of(code: KeyCode) -> &'static str {
    NAMES
        .iter()
        .find(|(named, _, _)| *named == code)
        .map_or("?", |(_, name, _)| name)
}

/// Keys that are no character: the name people read and the one scripts of keys use.
const NAMES: &[(KeyCode, &str, &str)] = &[
    (KeyCode::Enter, "Enter", "ret"),
    (KeyCode::Tab, "Tab", "tab"),
    (KeyCode::BackTab, "Shift-Tab", "backtab"),
    (KeyCode::Backspace, "Backspace", "bs"),
    (KeyCode::Delete, "Delete", "del"),
    (KeyCode::Insert, "Insert", "ins"),
    (KeyCode::Esc, "Esc", "esc"),
    (KeyCode::Up, "Up", "up"),
    (KeyCode::Down, "Down", "down"),
    (KeyCode::Left, "Left", "left"),
    (KeyCode::Right, "Right", "right"),
    (KeyCode::Home, "Home", "home"),
    (KeyCode::End, "End", "end"),
    (KeyCode::PageUp, "PageUp", "pageup"),
    (KeyCode::PageDown, "PageDown", "pagedown"),
];

/// The keys that `script` spells: characters stand for themselves, `<ret>`, `<C-l>`, `<A-1>`,
/// `<A-ret>`, `<S-up>`, `<F1>` for keys, `<lt>` for `<`. What is none of these is typed as it
/// stands.
///
/// ```
/// use lanchat::ui::key::{Key, KeyCode, script};
/// assert_eq!(script("a<ret>"), [Key::char('a'), Key::plain(KeyCode::Enter)]);
/// ```
#[must_use]
pub fn script(text: &str) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some((key, after)) = bracketed(rest) {
            keys.push(key);
            rest = after;
        } else {
            keys.push(Key::char(c));
            rest = &rest[c.len_utf8()..];
        }
    }
    keys
}

fn bracketed(text: &str) -> Option<(Key, &str)> {
    let (mut name, after) = text.strip_prefix('<')?.split_once('>')?;
    let mut key = Key::char(' ');
    loop {
        match name.get(..2) {
            Some("C-") => key.ctrl = true,
            Some("A-") => key.alt = true,
            Some("S-") => key.shift = true,
            _ => break,
        }
        name = &name[2..];
    }
    let mut chars = name.chars();
    key.code = match (chars.next(), chars.next()) {
        (Some(c), None) => KeyCode::Char(c),
        _ if name == "lt" => KeyCode::Char('<'),
        _ if name == "space" => KeyCode::Char(' '),
        (Some('F'), Some(_)) => KeyCode::F(name[1..].parse().ok()?),
        _ => NAMES.iter().find(|(_, _, short)| *short == name)?.0,
    };
    Some((key, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_spells_keys() {
        assert_eq!(
            script("h<lt><C-l><A-ret><F12><C-A-x><nope"),
            [
                Key::char('h'),
                Key::char('<'),
                Key::ctrl(KeyCode::Char('l')),
                Key::alt(KeyCode::Enter),
                Key::plain(KeyCode::F(12)),
                Key {
                    alt: true,
                    ..Key::ctrl(KeyCode::Char('x'))
                },
                Key::char('<'),
                Key::char('n'),
                Key::char('o'),
                Key::char('p'),
                Key::char('e'),
            ]
        );
    }

    #[test]
    fn keys_are_named_as_on_the_keyboard() {
        for (keys, name) in [
            ("<C-l>", "Ctrl-L"),
            ("<A-1>", "Alt-1"),
            ("<A-ret>", "Alt-Enter"),
            ("<F1>", "F1"),
            ("<pageup>", "PageUp"),
            ("<C-left>", "Ctrl-Left"),
        ] {
            assert_eq!(script(keys)[0].to_string(), name);
        }
    }
}
