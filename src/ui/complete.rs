//! Tab: completes commands at the start of the line, rooms and names anywhere.

use super::model::Model;
use crate::api::slash::{COMMANDS, quoted};

/// A completion under way: the next Tab puts the next candidate in its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Completion {
    /// Where the completed word starts, in bytes.
    start: usize,
    candidates: Vec<String>,
    /// The candidate that stands in the line.
    at: usize,
}

/// Completes the word before the cursor, or goes to the next candidate.
pub fn complete(model: &mut Model) {
    if let Some(mut completion) = model.completion.take() {
        completion.at = (completion.at + 1) % completion.candidates.len();
        put(model, completion);
        return;
    }
    let before = &model.line.text()[..model.line.cursor()];
    let start = before
        .char_indices()
        .rfind(|(_, c)| c.is_whitespace())
        .map_or(0, |(at, c)| at + c.len_utf8());
    let word = before[start..].to_lowercase();
    let candidates = candidates(model, &before[..start], &word);
    if !candidates.is_empty() {
        let completion = Completion {
            start,
            candidates,
            at: 0,
        };
        put(model, completion);
    }
}

fn put(model: &mut Model, completion: Completion) {
    let text = completion.candidates[completion.at].clone();
    model.line.replace_back_to(completion.start, &text);
    // One candidate is done with; the next Tab is about what follows.
    model.completion = (completion.candidates.len() > 1).then_some(completion);
}

fn candidates(model: &Model, before: &str, word: &str) -> Vec<String> {
    if let Some(name) = word.strip_prefix('/')
        && before.is_empty()
    {
        return COMMANDS
            .iter()
            .filter(|command| command.name.starts_with(name))
            .map(|command| format!("/{} ", command.name))
            .collect();
    }
    let argument = takes_target(before.trim_end());
    if before.trim_end().eq_ignore_ascii_case("/join") {
        // Those that others are in.
        let found = model.rooms.iter().filter(|(_, room)| !room.joined);
        let names = found.map(|(name, _)| format!("#{name} "));
        return names.filter(|name| name.starts_with(word)).collect();
    }
    let after = if before.is_empty() { ": " } else { " " };
    let mut found: Vec<String> = Vec::new();
    for entry in model.entries() {
        let title = model.title_of(&entry);
        if word.is_empty() && !argument || !title.to_lowercase().starts_with(word) {
            continue;
        }
        found.push(if argument {
            format!("{} ", quoted(&title))
        } else if title.starts_with('#') {
            format!("{title} ")
        } else {
            format!("{title}{after}")
        });
    }
    found
}

/// Whether this is all of a command but its target.
fn takes_target(before: &str) -> bool {
    let name = before.strip_prefix('/').unwrap_or_default().to_lowercase();
    COMMANDS
        .iter()
        .any(|command| command.name == name && command.takes_target())
}
