//! The conversation.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::model::Model;
use super::super::rows::Layouter;
use super::super::wrap;
use super::{put, put_line, put_right};
use crate::api::Conversation;

/// Draws the conversation into `area`, its last row at the bottom.
pub(super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) {
    let Some(layouter) = Layouter::of_current(model, area.width) else {
        welcome(model, area, buffer);
        return;
    };
    let rows = layouter.visible(usize::from(area.height));
    let first = area.height
        - u16::try_from(rows.len())
            .unwrap_or(area.height)
            .min(area.height);
    for (row, content) in (first..area.height).zip(&rows) {
        put_line(buffer, area, row, &content.text);
        if let Some(right) = &content.right {
            put_right(buffer, area, row, &right.content, right.style);
        }
    }
}

/// What an empty conversation says.
fn welcome(model: &Model, area: Rect, buffer: &mut Buffer) {
    let text = match &model.current {
        Conversation::Room(_) if model.online() == 0 => {
            "Nobody else is here yet. Whoever starts lanchat on this network appears in the list.\n\n\
             F1 shows the keys and commands."
        }
        Conversation::Room(_) => {
            "What you write here, everybody in the room reads.\n\n\
             Ctrl-L goes to the list: pick somebody with the arrow keys and Enter to talk in private. \
             F1 shows the keys and commands."
        }
        Conversation::Peer(_) => {
            "What you write here, only the two of you read: it is encrypted from end to end."
        }
    };
    let columns = usize::from(area.width).max(1);
    for (row, range) in (0..area.height).zip(wrap::wrap(text, columns)) {
        put(buffer, area, row, &text[range], model.theme.dim());
    }
}
