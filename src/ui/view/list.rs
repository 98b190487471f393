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
    for (row, entry) in (0..area.height).zip(entries.iter().skip(first)) {
        let columns = usize::from(area.width);
        let mut line = line(model, entry, columns);
        if model.focus == Focus::List && *entry == model.selected {
            line = line.patch_style(model.theme.selected());
        }
        put_line(buffer, area, row, &line);
    }
    let hidden = entries
        .len()
        .saturating_sub(first + usize::from(area.height));
    if hidden > 0 && area.height > 0 {
        let more = format!("↓{hidden} ");
        super::put_right(buffer, area, area.height - 1, &more, model.theme.dim());
    }
}

/// One entry, filled with spaces to the width: mark, name, status, unread count.
fn line(model: &Model, entry: &Conversation, columns: usize) -> Line<'static> {
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
    let taken = wrap::width(here) + wrap::width(sign) + wrap::width(&count) + 1;
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
        Span::styled(count, count_style),
        Span::raw(" "),
    ])
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
