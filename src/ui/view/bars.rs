//! The lines above and below: title, notice, input, status.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};

use super::super::layout;
use super::super::model::{Focus, Model, Panel};
use super::super::wrap;
use super::{fill, put, put_line, put_right};
use crate::api::{Conversation, NetworkState, PeerState, Status};

/// What to do in the list, in place of the line, which does not have the keys then.
const LIST_KEYS: &str = "↑↓ choose, Enter opens, Esc back";

/// The title of the conversation and what is to be known of it.
pub(super) fn header(model: &Model, area: Rect, buffer: &mut Buffer) {
    let (title, words) = match model.panel {
        Some((Panel::Help, _)) => ("help".to_owned(), "Esc closes".to_owned()),
        Some((Panel::People, _)) => ("people".to_owned(), "Esc closes".to_owned()),
        Some((Panel::Rooms, _)) => ("rooms".to_owned(), "Esc closes".to_owned()),
        None => (model.title_of(&model.current), about(model)),
    };
    fill(buffer, area, model.theme.header());
    let line = Line::from(vec![
        Span::styled(format!(" {title}"), model.theme.title()),
        Span::styled(format!("  {words}"), model.theme.dim()),
    ]);
    put_line(buffer, area, 0, &line);
    let scrolled = model.panel.is_none()
        && model
            .logs
            .get(&model.current)
            .is_some_and(|log| log.bottom.is_some());
    if scrolled {
        put_right(buffer, area, 0, " PageDown for more ", model.theme.unread());
    }
}

fn about(model: &Model) -> String {
    let id = match &model.current {
        Conversation::Peer(id) => id,
        Conversation::Room(name) => return about_room(model, name),
    };
    let Some(person) = model.people.get(id) else {
        return "not here".to_owned();
    };
    let mut words = vec![match person.state {
        PeerState::Online => "online".to_owned(),
        PeerState::Suspect => "not answering".to_owned(),
        PeerState::Offline => "offline".to_owned(),
        PeerState::Left => "left".to_owned(),
    }];
    if let Some(status) = status_words(person.status, &person.status_text)
        && person.is_up()
    {
        words.push(status);
    }
    // The warning first: what has no room is cut off.
    if person.name_conflict {
        words.insert(0, "! not the one known by this name".to_owned());
    }
    if person.incompatible {
        words.push("another lanchat version, cannot talk".to_owned());
    } else {
        words.push("private".to_owned());
    }
    if person.is_up() && !person.confirmed {
        words.push("unconfirmed".to_owned());
    }
    words.join(" · ")
}

/// How many are in a room, what it is about.
fn about_room(model: &Model, name: &str) -> String {
    let mut words = vec![match model.members_of(name) {
        0 if model.online() == 0 => model.alone_words().to_owned(),
        0 => "nobody else in it".to_owned(),
        1 => "1 other here".to_owned(),
        n => format!("{n} others here"),
    }];
    if let Some(room) = model.rooms.get(name) {
        if room.locked {
            words.push("locked".to_owned());
        }
        if !room.topic.is_empty() {
            words.push(room.topic.clone());
        }
    }
    words.join(" · ")
}

/// A status in words; nothing for one who is available.
pub(super) fn status_words(status: Status, text: &str) -> Option<String> {
    let word = match status {
        Status::Available if text.is_empty() => return None,
        Status::Available => return Some(text.to_owned()),
        Status::Away => "away",
        Status::Busy => "busy",
    };
    Some(if text.is_empty() {
        word.to_owned()
    } else {
        format!("{word}: {text}")
    })
}

/// What to tell until the next key.
pub(super) fn notice(model: &Model, area: Rect, buffer: &mut Buffer) {
    let Some(text) = layout::notice(model) else {
        return;
    };
    let rows = wrap::wrap(&text, usize::from(area.width));
    for (row, range) in (0..area.height).zip(rows) {
        let part = &text[range];
        let style = if part.starts_with("hint: ") {
            model.theme.dim()
        } else {
            model.theme.alert()
        };
        put(buffer, area, row, part, style);
    }
}

/// The input line. Returns where the cursor stands.
pub(super) fn input(model: &Model, area: Rect, buffer: &mut Buffer) -> Option<Position> {
    let prompt = layout::prompt(model);
    let text = layout::typed(model);
    let cursor = layout::cursor(model);
    let rows = layout::input_rows(model, area.width);
    let at = rows
        .iter()
        .rposition(|row| row.start <= cursor)
        .unwrap_or(0);
    let height = usize::from(area.height);
    // As many rows as there is room for, that of the cursor among them.
    let first = (at + 1).saturating_sub(height);
    let indent = u16::try_from(wrap::width(&prompt)).unwrap_or(u16::MAX);
    let right = Rect {
        x: area.x.saturating_add(indent.min(area.width)),
        width: area.width.saturating_sub(indent),
        ..area
    };
    for (row, range) in (0..area.height).zip(rows.iter().skip(first)) {
        put(
            buffer,
            right,
            row,
            &text[range.clone()],
            ratatui::style::Style::new(),
        );
    }
    if model.focus == Focus::List {
        put(buffer, area, 0, &prompt, model.theme.dim());
        if text.is_empty() {
            let room = usize::from(right.width);
            put(
                buffer,
                right,
                0,
                &wrap::cut(LIST_KEYS, room),
                model.theme.dim(),
            );
        }
        return None;
    }
    put(buffer, area, 0, &prompt, model.theme.focus());
    if area.height == 0 {
        return None;
    }
    let before = wrap::width(&text[rows.get(at)?.start..cursor]);
    let x = right.x.saturating_add(u16::try_from(before).ok()?);
    let y = area.y + u16::try_from(at - first).ok()?;
    Some(Position::new(x.min(area.right().saturating_sub(1)), y))
}

/// Who one is, how many are here, by which interfaces, and what is wrong.
pub(super) fn status(model: &Model, area: Rect, buffer: &mut Buffer) {
    let bar = model.theme.bar();
    fill(buffer, area, bar);
    let own = match &model.own {
        Some(own) => format!("{}~{}", own.name, own.tag),
        None => "starting".to_owned(),
    };
    // Each with how soon it is left out where there is no room.
    let mut words = vec![(0, own)];
    words.extend(status_words(model.status, &model.status_text).map(|status| (2, status)));
    let online = match model.online() {
        0 => model.alone_words().to_owned(),
        n => format!("{n} online"),
    };
    words.push((3, online));
    let elsewhere = model
        .logs
        .iter()
        .filter(|(conversation, _)| **conversation != model.current)
        .map(|(_, log)| log.unread)
        .fold(0, u32::saturating_add);
    if elsewhere > 0 {
        words.push((1, format!("{elsewhere} unread")));
    }
    let trouble = model.trouble();
    if trouble.is_none() && !model.interfaces.is_empty() {
        words.push((4, model.interfaces.join(" ")));
    }
    let columns = usize::from(area.width);
    let joined = |words: &[(u8, String)]| {
        let words: Vec<&str> = words.iter().map(|(_, word)| word.as_str()).collect();
        format!(" {}", words.join(" · "))
    };
    let mut line = joined(&words);
    while wrap::width(&line) > columns && words.len() > 1 {
        let first = words.iter().map(|(soon, _)| *soon).max();
        words.retain(|(soon, _)| Some(*soon) != first);
        line = joined(&words);
    }
    put(buffer, area, 0, &wrap::cut(&line, columns), bar);
    if let Some(trouble) = trouble {
        let room = columns.saturating_sub(wrap::width(&line) + 4);
        let down = matches!(model.network, Some((NetworkState::Down, _)));
        let sign = if down { "✗" } else { "!" };
        if room > 8 {
            let text = format!(" {sign} {} ", wrap::cut(&trouble, room));
            put_right(buffer, area, 0, &text, bar.patch(model.theme.title()));
        } else {
            put_right(buffer, area, 0, &format!(" {sign} "), bar);
        }
    }
}
