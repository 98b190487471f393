//! Draws the model. Nothing here changes anything.

mod bars;
mod list;
mod pane;
mod panel;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::Line;

use super::layout::layout;
use super::model::{Focus, Model};

pub use panel::panel_rows;

/// Draws the whole screen into `buffer`, which must be empty and of the size of the model.
/// Returns where the cursor stands, if it is shown.
#[must_use]
pub fn draw(model: &Model, buffer: &mut Buffer) -> Option<Position> {
    let parts = layout(model);
    bars::header(model, parts.header, buffer);
    match model.panel {
        Some((panel, scrolled)) => panel::draw(model, panel, scrolled, parts.pane, buffer),
        None => pane::draw(model, parts.pane, buffer),
    }
    let (rule, style) = match model.focus {
        Focus::List => ("┃", model.theme.focus()),
        Focus::Input => ("│", model.theme.dim()),
    };
    for y in parts.rule.top()..parts.rule.bottom() {
        put(buffer, parts.rule, y - parts.rule.y, rule, style);
    }
    list::draw(model, parts.list, buffer);
    bars::notice(model, parts.notice, buffer);
    bars::status(model, parts.status, buffer);
    bars::input(model, parts.input, buffer)
}

/// Writes `text` on the `row`th row of `area`, cut at its right edge.
fn put(buffer: &mut Buffer, area: Rect, row: u16, text: &str, style: Style) {
    put_line(buffer, area, row, &Line::styled(text.to_owned(), style));
}

/// The same with a line of many styles.
fn put_line(buffer: &mut Buffer, area: Rect, row: u16, line: &Line<'_>) {
    let area = area.intersection(buffer.area);
    if row < area.height && area.width > 0 {
        buffer.set_line(area.x, area.y + row, line, area.width);
    }
}

/// Writes `text` so that it ends at the right edge.
fn put_right(buffer: &mut Buffer, area: Rect, row: u16, text: &str, style: Style) {
    let columns = u16::try_from(super::wrap::width(text)).unwrap_or(u16::MAX);
    if columns <= area.width {
        let part = Rect {
            x: area.right() - columns,
            width: columns,
            ..area
        };
        put(buffer, part, row, text, style);
    }
}

/// Fills an area with spaces of a style.
fn fill(buffer: &mut Buffer, area: Rect, style: Style) {
    let area = area.intersection(buffer.area);
    for position in area.positions() {
        if let Some(cell) = buffer.cell_mut(position) {
            cell.reset();
            cell.set_style(style);
        }
    }
}
