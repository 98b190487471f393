//! What is said of a line that is no command, or not written as one, and which one may have been meant.

use super::{COMMANDS, SlashCommand, Wrong};
use crate::error::{ExitCode, UserError};
use crate::text::DisplayText;

/// Most characters of a wrong name that an error repeats.
pub(super) const NAME_SHOWN_MAX: usize = 32;

pub(super) fn misused(command: &SlashCommand, wrong: &Wrong) -> UserError {
    let (name, usage) = (command.name, command.usage());
    let (message, hint) = match wrong {
        Wrong::Missing => (format!("/{name} needs more"), format!("write {usage}")),
        Wrong::TooMuch => (
            format!("there is too much after /{name}"),
            format!("write {usage}"),
        ),
        Wrong::Unclosed => (
            "a name begins with \" and does not end with one".to_owned(),
            format!("write /{name} \"NAME WITH SPACES\""),
        ),
    };
    UserError::new(ExitCode::Usage, message).hint(hint)
}

pub(super) fn unknown(name: &str, lower: &str) -> UserError {
    // Somebody else's words may be pasted here.
    let shown: String = DisplayText::line(name)
        .as_str()
        .chars()
        .take(NAME_SHOWN_MAX)
        .collect();
    let first = match meant(lower) {
        Some(command) => format!("did you mean {}?", command.usage()),
        None => "/help lists the commands;".to_owned(),
    };
    UserError::new(ExitCode::Usage, format!("there is no command /{shown}"))
        .hint(format!("{first} a text that begins with / is said with //"))
}

/// The command that somebody who typed this name may have meant: the only one that begins so,
/// or else the first with one mistake in it, or two in a longer name.
fn meant(name: &str) -> Option<&'static SlashCommand> {
    let mut beginning = COMMANDS
        .iter()
        .filter(|command| !name.is_empty() && command.name.starts_with(name));
    if let (Some(only), None) = (beginning.next(), beginning.next()) {
        return Some(only);
    }
    let near = |command: &&SlashCommand| {
        let most = if command.name.len() > 3 { 2 } else { 1 };
        // The distance is never less, and a long name is not worth the work.
        name.chars().count().abs_diff(command.name.len()) <= most
            && distance(name, command.name) <= most
    };
    COMMANDS
        .iter()
        .filter(near)
        .min_by_key(|command| distance(name, command.name))
}

/// Characters to put in, take out, change, or swap with their neighbour between two words.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    // `rows[i][j]` is the distance of the first `i` of one and the first `j` of the other.
    let mut rows = vec![(0..=to.len()).collect::<Vec<usize>>()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let change = usize::from(from[i - 1] != to[j - 1]);
            let mut best = (rows[i - 1][j - 1] + change)
                .min(rows[i - 1][j] + 1)
                .min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}
