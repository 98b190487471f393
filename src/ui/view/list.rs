//! The list: rooms and people.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::super::model::{Focus, Model};
use super::super::people::Person;
use super::super::update::first_entry;
use super::super::wrap;
use super::{fill, put_line};
use crate::api::{Conversation, PeerState, Status};

/// Draws the list into `area`.
pub(super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) {
    fill(buffer, area, Style::default());
    let entries = model.entries();
    let first = first_entry(model, &entries, area.height);
    let end = entries.len().min(first + usize::from(area.height));
    for (row, entry) in (0..).zip(&entries[first..end]) {
        let is_last = first + usize::from(row) + 1 == end;
        let below = if is_last { &entries[end..] } else { &[] };
        let mut line = line(model, entry, below, usize::from(area.width));
        if model.focus == Focus::List && *entry == model.selected {
            line = line.patch_style(model.theme.selected());
        }
        put_line(buffer, area, row, &line);
    }
}

/// One entry, filled with spaces to the width: mark, name, status, how many are `below` the
/// edge, unread count.
fn line(
    model: &Model,
    entry: &Conversation,
    below: &[Conversation],
    columns: usize,
) -> Line<'static> {
    let theme = model.theme;
    let here = if *entry == model.current { "▸" } else { " " };
    let log = model.logs.get(entry);
    let unread = log.map_or(0, |log| log.unread);
    let called = log.is_some_and(|log| log.called);
    let count = match unread {
        0 => String::new(),
        1..=999 => format!(" {unread}"),
        _ => " 999+".to_owned(),
    };
    let person = match entry {
        Conversation::Peer(id) => model.people.get(id),
        Conversation::Room(_) => None,
    };
    let (sign, style) = match (entry, person) {
        (Conversation::Room(_), _) => ("", theme.title()),
        (Conversation::Peer(_), None) => ("○ ", theme.dim()),
        (Conversation::Peer(id), Some(person)) => match person.state {
            PeerState::Online => ("● ", theme.name(id)),
            PeerState::Suspect => ("◌ ", theme.dim()),
            PeerState::Offline | PeerState::Left => ("○ ", theme.dim()),
        },
    };
    let (mark, mark_style) = mark(model, person);
    let (more, more_style) = more(model, below);
    let taken = [here, sign, &more, &count]
        .map(wrap::width)
        .iter()
        .sum::<usize>()
        + 1;
    let name_columns = columns.saturating_sub(taken + mark.len());
    let name = wrap::cut(&model.title_of(entry), name_columns);
    let style = if unread > 0 {
        style.patch(theme.title())
    } else {
        style
    };
    let mut words = person.map_or("", status_word).to_owned();
    let used = taken + mark.len() + wrap::width(&name);
    if used + words.len() + 1 > columns {
        words.clear();
    }
    let words = if words.is_empty() {
        words
    } else {
        format!(" {words}")
    };
    let space = columns.saturating_sub(used + words.len());
    let count_style = if called {
        theme.mention()
    } else {
        theme.unread()
    };
    Line::from(vec![
        Span::styled(here, theme.title()),
        Span::styled(
            sign,
            if sign == "● " {
                theme.good()
            } else {
                theme.dim()
            },
        ),
        Span::styled(name, style),
        Span::styled(mark, mark_style),
        Span::styled(words, theme.dim()),
        Span::raw(" ".repeat(space)),
        Span::styled(more, more_style),
        Span::styled(count, count_style),
        Span::raw(" "),
    ])
}

/// How many entries are below the edge of the list, standing out if there is something unread.
fn more(model: &Model, below: &[Conversation]) -> (String, Style) {
    if below.is_empty() {
        return (String::new(), Style::default());
    }
    let is_unread = |entry| model.logs.get(entry).is_some_and(|log| log.unread > 0);
    let style = if below.iter().any(is_unread) {
        model.theme.unread()
    } else {
        model.theme.dim()
    };
    (format!(" ↓{}", below.len()), style)
}

/// What is to be known before one writes to somebody.
fn mark(model: &Model, person: Option<&Person>) -> (&'static str, Style) {
    match person {
        Some(person) if person.incompatible => (" x", model.theme.alert()),
        Some(person) if person.name_conflict => (" !", model.theme.alert()),
        Some(person) if person.is_up() && !person.confirmed => (" ?", model.theme.dim()),
        _ => ("", Style::default()),
    }
}

fn status_word(person: &Person) -> &'static str {
    match person.status {
        _ if !person.is_up() => "",
        Status::Available => "",
        Status::Away => "away",
        Status::Busy => "busy",
    }
}
