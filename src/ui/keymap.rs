//! Which key does what: one table for the screen and for its help.

use super::key::{Key, KeyCode};

/// What a key can ask of the screen. Typing a character is no action.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Action {
    /// Send the line, or open the selected conversation.
    Enter,
    /// Add a line to the message.
    Newline,
    /// Complete the name or command before the cursor.
    Complete,
    /// The line typed before.
    RecallOlder,
    /// The line typed after.
    RecallNewer,
    /// One character to the left; on an empty line to the list.
    Left,
    /// One character to the right.
    Right,
    /// One word to the left.
    WordLeft,
    /// One word to the right.
    WordRight,
    /// To the start of the line.
    LineStart,
    /// To the end of the line.
    LineEnd,
    /// Delete the character before the cursor.
    DeleteBack,
    /// Delete the character under the cursor.
    DeleteForward,
    /// Delete the word before the cursor.
    DeleteWord,
    /// Delete from the start of the line.
    DeleteToStart,
    /// Delete to the end of the line.
    DeleteToEnd,
    /// Show the list and go to it, or back.
    ToggleList,
    /// Back to the input line.
    Escape,
    /// Open the nth entry of the list, from 1.
    Nth(u8),
    /// Open the next conversation with something unread.
    NextUnread,
    /// Pick the message before, to answer it or to take it back.
    PickOlder,
    /// Pick the message after.
    PickNewer,
    /// A page back.
    PageUp,
    /// A page on.
    PageDown,
    /// Searches what was said.
    Search,
    /// Show the keys and commands.
    Help,
    /// Leave if nothing is typed, else drop what is typed.
    Interrupt,
    /// Leave if nothing is typed, else delete under the cursor.
    EndOfInput,
    /// Stop the process; `fg` brings it back.
    Suspend,
    /// Draw everything anew.
    Redraw,
}

/// Some keys that do one thing, and how the help says it.
pub struct Binding {
    /// The keys, the one to name in the help first.
    pub keys: &'static [Key],
    /// What they do.
    pub action: Action,
    /// The line of the help; empty for what needs no word (arrows, Backspace).
    pub help: &'static str,
}

use Action as A;
use KeyCode as K;

const fn bind(keys: &'static [Key], action: Action, help: &'static str) -> Binding {
    Binding { keys, action, help }
}

const fn c(letter: char) -> Key {
    Key::ctrl(K::Char(letter))
}

const fn alt(letter: char) -> Key {
    Key::alt(K::Char(letter))
}

/// All keys but the characters themselves.
pub const BINDINGS: &[Binding] = &[
    bind(
        &[c('l')],
        A::ToggleList,
        "show the list and go to it, or back",
    ),
    bind(
        &[Key::plain(K::Enter)],
        A::Enter,
        "send; in the list: open the conversation",
    ),
    bind(
        &[alt('1')],
        A::Nth(1),
        "open an entry of the list, to Alt-9",
    ),
    bind(&[alt('2')], A::Nth(2), ""),
    bind(&[alt('3')], A::Nth(3), ""),
    bind(&[alt('4')], A::Nth(4), ""),
    bind(&[alt('5')], A::Nth(5), ""),
    bind(&[alt('6')], A::Nth(6), ""),
    bind(&[alt('7')], A::Nth(7), ""),
    bind(&[alt('8')], A::Nth(8), ""),
    bind(&[alt('9')], A::Nth(9), ""),
    bind(&[alt('a')], A::NextUnread, "go to the next unread"),
    bind(
        &[Key::plain(K::Tab)],
        A::Complete,
        "complete a name or command",
    ),
    bind(
        &[Key::alt(K::Enter)],
        A::Newline,
        "add a line to the message",
    ),
    bind(
        &[Key::plain(K::Up), c('p')],
        A::RecallOlder,
        "recall what was typed",
    ),
    bind(&[Key::plain(K::Down), c('n')], A::RecallNewer, ""),
    bind(
        &[Key::alt(K::Up)],
        A::PickOlder,
        "pick a message for /reply or /redact",
    ),
    bind(&[Key::alt(K::Down)], A::PickNewer, ""),
    bind(&[Key::plain(K::PageUp)], A::PageUp, "read back"),
    bind(&[Key::plain(K::PageDown)], A::PageDown, "read on"),
    bind(&[c('r')], A::Search, "search what was said"),
    bind(&[Key::plain(K::Left), c('b')], A::Left, ""),
    bind(&[Key::plain(K::Right), c('f')], A::Right, ""),
    bind(
        &[Key::ctrl(K::Left), alt('b'), Key::alt(K::Left)],
        A::WordLeft,
        "a word to the left",
    ),
    bind(
        &[Key::ctrl(K::Right), alt('f'), Key::alt(K::Right)],
        A::WordRight,
        "a word to the right",
    ),
    bind(
        &[c('a'), Key::plain(K::Home)],
        A::LineStart,
        "to the start of the line",
    ),
    bind(
        &[c('e'), Key::plain(K::End)],
        A::LineEnd,
        "to the end of the line",
    ),
    bind(&[Key::plain(K::Backspace)], A::DeleteBack, ""),
    bind(&[Key::plain(K::Delete)], A::DeleteForward, ""),
    bind(
        &[c('w'), Key::alt(K::Backspace), Key::ctrl(K::Backspace)],
        A::DeleteWord,
        "delete the word before",
    ),
    bind(&[c('u')], A::DeleteToStart, "delete to the start"),
    bind(&[c('k')], A::DeleteToEnd, "delete to the end"),
    bind(&[Key::plain(K::Esc)], A::Escape, "back to the input line"),
    bind(&[Key::plain(K::F(1))], A::Help, "this help"),
    bind(&[Key::plain(K::F(5))], A::Redraw, "draw everything anew"),
    bind(&[c('c')], A::Interrupt, "leave; drops what is typed first"),
    bind(&[c('d')], A::EndOfInput, "leave, if nothing is typed"),
    bind(&[c('z')], A::Suspend, "suspend; `fg` comes back"),
];

/// What a key does, if it is in the table.
#[must_use]
pub fn action(key: Key) -> Option<Action> {
    BINDINGS
        .iter()
        .find(|binding| binding.keys.contains(&key))
        .map(|binding| binding.action)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_key_and_no_action_stands_in_the_table_twice() {
        let mut keys = BTreeSet::new();
        let mut actions = BTreeSet::new();
        for binding in BINDINGS {
            assert!(actions.insert(binding.action), "{:?}", binding.action);
            for key in binding.keys {
                assert!(keys.insert(*key), "{key}");
                assert_eq!(action(*key), Some(binding.action));
            }
        }
    }

    #[test]
    fn a_typed_character_is_no_action() {
        for c in ['a', '1', '/', 'é', '\u{1f600}'] {
            assert_eq!(action(Key::char(c)), None);
        }
    }
}
