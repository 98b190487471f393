//! The conversation.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::model::Model;
use super::super::rows::Layouter;
use super::super::wrap;
use super::{put, put_line, put_right};
use crate::api::Conversation;

/// Draws the conversation into `area`, its last row at the bottom. As long as nobody said
/// anything in it, what to do stands above, if there is room.
pub(super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) {
    let rows = Layouter::of_current(model, area.width)
        .map(|layouter| layouter.visible(usize::from(area.height)))
        .unwrap_or_default();
    let shown = u16::try_from(rows.len())
        .unwrap_or(area.height)
        .min(area.height);
    let first = area.height - shown;
    let silent = model
        .logs
        .get(&model.current)
        .is_none_or(|log| !log.has_talk());
    if silent {
        welcome(
            model,
            Rect {
                height: first,
                ..area
            },
            buffer,
        );
    }
    for (row, content) in (first..area.height).zip(&rows) {
        put_line(buffer, area, row, &content.text);
        if let Some(right) = &content.right {
            put_right(buffer, area, row, &right.content, right.style);
        }
    }
}

/// What stands in a room in which nothing is said yet.
fn room_words(model: &Model, name: &str, who: &str) -> Vec<String> {
    let locked = model.rooms.get(name).is_some_and(|room| room.locked);
    let first = match locked {
        true => format!("{who}What you type, only those who know the passphrase can read."),
        false => format!("{who}What you type goes to everybody in #{name}; anybody can join it."),
    };
    vec![first, "/leave takes part no longer.".to_owned()]
}

/// What a conversation says in which nothing is said yet: the sentences that fit whole.
fn welcome(model: &Model, area: Rect, buffer: &mut Buffer) {
    let who = model.own.as_ref().map_or(String::new(), |own| {
        format!("You are {}~{}. ", own.name, own.tag)
    });
    let mut sentences = match &model.current {
        Conversation::Room(name) if name != "lobby" => room_words(model, name, &who),
        Conversation::Room(_) if model.online() > 0 => vec![
            format!("{who}What you type goes to everybody here."),
            "Ctrl-L picks a person to talk in private.".to_owned(),
        ],
        Conversation::Room(_) if !model.settled => vec![format!(
            "{who}Whoever starts lanchat on this network appears in the list."
        )],
        Conversation::Room(_) => vec![
            format!("{who}Whoever starts lanchat on this network appears in the list."),
            "Somebody is missing? Firewalls must let UDP 5262 and 5263 through; \
             lanchat --peer ADDRESS reaches a computer directly."
                .to_owned(),
        ],
        Conversation::Peer(_) => vec![
            "What you type, only the two of you can read: it is encrypted from end to end."
                .to_owned(),
            "Ctrl-L goes back to the list.".to_owned(),
        ],
    };
    sentences.push("/help shows the rest.".to_owned());
    let columns = usize::from(area.width).max(1);
    let mut row = 0;
    for sentence in sentences {
        let ranges = wrap::wrap(&sentence, columns);
        if usize::from(row) + ranges.len() > usize::from(area.height) {
            break;
        }
        for range in ranges {
            put(buffer, area, row, &sentence[range], model.theme.dim());
            row += 1;
        }
    }
}
