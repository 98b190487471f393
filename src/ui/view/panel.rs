//! What lies over the conversation: help, people, rooms.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::keymap::BINDINGS;
use super::super::model::{Model, Panel, Room};
use super::super::people::Person;
use super::super::{layout, wrap};
use super::bars::status_words;
use super::put_line;
use crate::api::PeerState;
use crate::api::slash::COMMANDS;

/// Draws a panel into `area`, without its first `scrolled` rows.
pub(super) fn draw(model: &Model, panel: Panel, scrolled: usize, area: Rect, buffer: &mut Buffer) {
    let rows = panel_rows(model, panel);
    for (row, line) in (0..area.height).zip(rows.iter().skip(scrolled)) {
        put_line(buffer, area, row, line);
    }
    let hidden = rows
        .len()
        .saturating_sub(scrolled + usize::from(area.height));
    if hidden > 0 && area.height > 0 {
        super::put_right(
            buffer,
            area,
            area.height - 1,
            &format!(" ↓{hidden} "),
            model.theme.unread(),
        );
    }
}

/// All rows of a panel.
#[must_use]
pub fn panel_rows(model: &Model, panel: Panel) -> Vec<Line<'static>> {
    let columns = usize::from(layout::layout(model).pane.width);
    match panel {
        Panel::Help => help(model, columns),
        Panel::People => people(model, columns),
        Panel::Rooms => rooms(model),
    }
}

fn help(model: &Model, columns: usize) -> Vec<Line<'static>> {
    let keys = BINDINGS
        .iter()
        .filter(|binding| !binding.help.is_empty())
        .map(|binding| (binding.keys[0].to_string(), binding.help));
    let commands = COMMANDS
        .iter()
        .map(|command| (command.usage(), command.help));
    let mut rows = vec![heading(model, "commands")];
    table(model, columns, commands, &mut rows);
    rows.push(Line::default());
    rows.push(heading(model, "keys"));
    table(model, columns, keys, &mut rows);
    rows
}

/// Two columns: what to type, and what it does, wrapped under itself.
fn table(
    model: &Model,
    columns: usize,
    entries: impl Iterator<Item = (String, &'static str)>,
    rows: &mut Vec<Line<'static>>,
) {
    let entries: Vec<_> = entries.collect();
    let widest = entries
        .iter()
        .map(|(left, _)| wrap::width(left))
        .max()
        .unwrap_or(0);
    let indent = widest + 3;
    let right = columns.saturating_sub(indent).max(8);
    for (left, help) in entries {
        for (n, range) in wrap::wrap(help, right).into_iter().enumerate() {
            let label = if n == 0 { left.as_str() } else { "" };
            let pad = indent.saturating_sub(1 + wrap::width(label));
            rows.push(Line::from(vec![
                Span::styled(format!(" {label}"), model.theme.title()),
                Span::raw(" ".repeat(pad)),
                Span::raw(help[range].to_owned()),
            ]));
        }
    }
}

fn heading(model: &Model, text: &str) -> Line<'static> {
    Line::styled(format!(" {text}"), model.theme.dim())
}

fn people(model: &Model, columns: usize) -> Vec<Line<'static>> {
    let mut people: Vec<&Person> = model
        .people
        .iter()
        .filter(|person| !person.transient && person.state != PeerState::Left)
        .collect();
    people.sort_by_key(|person| {
        (
            !person.is_up(),
            person.peer.name.to_lowercase(),
            person.peer.id,
        )
    });
    if people.is_empty() {
        return vec![heading(model, "nobody else is here yet")];
    }
    let mut rows = Vec::new();
    for person in people {
        let name = format!("{}~{}", person.peer.name, person.peer.tag);
        rows.push(Line::from(vec![
            Span::styled(format!(" {name}"), model.theme.name(&person.peer.id)),
            Span::raw(format!("  {}", words_of(person))),
        ]));
        let mut places = person.addresses.join(" ");
        if let Some(rtt) = person.rtt_ms {
            places.push_str(&format!("  {rtt:.1} ms"));
        }
        for range in wrap::wrap(&places, columns.saturating_sub(4)) {
            let row = format!("   {}", &places[range]);
            rows.push(Line::styled(row, model.theme.dim()));
        }
    }
    rows
}

fn words_of(person: &Person) -> String {
    let state = match person.state {
        PeerState::Online => "online",
        PeerState::Suspect => "not answering",
        PeerState::Offline => "offline",
        PeerState::Left => "left",
    };
    let mut words = vec![state.to_owned()];
    words.extend(status_words(person.status, &person.status_text));
    if person.incompatible {
        words.push("another lanchat version".to_owned());
    }
    if person.name_conflict {
        words.push("not the one known by this name".to_owned());
    }
    if !person.confirmed {
        words.push("unconfirmed".to_owned());
    }
    words.join(", ")
}

fn rooms(model: &Model) -> Vec<Line<'static>> {
    let known = |(name, room): &(&String, &Room)| room.joined || model.members_of(name) > 0;
    model
        .rooms
        .iter()
        .filter(known)
        .map(|(name, room)| {
            let mut words = vec![match model.members_of(name) {
                1 => "1 other".to_owned(),
                n => format!("{n} others"),
            }];
            if room.joined {
                words.push("joined".to_owned());
            } else {
                words.push(format!("/join #{name}"));
            }
            if room.locked {
                words.push("locked".to_owned());
            }
            if !room.topic.is_empty() {
                words.push(room.topic.clone());
            }
            Line::from(vec![
                Span::styled(format!(" #{name}"), model.theme.title()),
                Span::raw(format!("  {}", words.join(", "))),
            ])
        })
        .collect()
}
