//! Where the parts of the screen are. Update and view both ask here, so that a click lands on
//! what was drawn.

use std::borrow::Cow;

use ratatui::layout::Rect;

use super::model::{Focus, Model};
use super::wrap;

/// From this width on the list stands beside the conversation.
const WIDE_COLUMNS: u16 = 60;
/// Columns of the list.
const LIST_COLUMNS: u16 = 20;
/// Columns of the list on a screen of 100 columns or more.
const LIST_COLUMNS_WIDE: u16 = 26;

/// The parts of the screen. Parts for which there is no room are empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The list: at the left, or over everything but the lower lines.
    pub list: Rect,
    /// The rule between the list and the conversation.
    pub rule: Rect,
    /// The title of the conversation.
    pub header: Rect,
    /// The conversation.
    pub pane: Rect,
    /// What to tell until the next key.
    pub notice: Rect,
    /// The input line.
    pub input: Rect,
    /// The status line.
    pub status: Rect,
}

/// Lays out the screen.
#[must_use]
pub fn layout(model: &Model) -> Layout {
    let (width, height) = model.size;
    let wide = width >= WIDE_COLUMNS;
    let input_rows = input_rows(model, width).len();
    let input_rows = u16::try_from(input_rows)
        .unwrap_or(u16::MAX)
        .clamp(1, (height / 3).max(1));
    let mut bottom = height;
    let mut take = |rows: u16| {
        let rows = rows.min(bottom);
        bottom -= rows;
        Rect::new(0, bottom, width, rows)
    };
    let status = if height >= 3 {
        take(1)
    } else {
        Rect::default()
    };
    let input = take(input_rows);
    let notice_rows = notice(model).map_or(0, |text| wrap::wrap(&text, usize::from(width)).len());
    let notice = take(
        u16::try_from(notice_rows)
            .unwrap_or(u16::MAX)
            .min(height / 3),
    );
    let over = Rect::new(0, 0, width, bottom);
    let (list, left) = match (wide, model.focus) {
        (true, _) => {
            let columns = if width >= 100 {
                LIST_COLUMNS_WIDE
            } else {
                LIST_COLUMNS
            };
            (Rect::new(0, 0, columns, bottom), columns + 1)
        }
        (false, Focus::List) => (over, 0),
        (false, Focus::Input) => (Rect::default(), 0),
    };
    let rule = if wide {
        Rect::new(left - 1, 0, 1, bottom)
    } else {
        Rect::default()
    };
    let margin = u16::from(wide);
    let header_rows = u16::from(bottom >= 4);
    Layout {
        list,
        rule,
        header: Rect::new(left, 0, width - left, header_rows),
        pane: Rect::new(
            left + margin,
            header_rows,
            width - left - margin,
            bottom - header_rows,
        ),
        notice,
        input,
        status,
    }
}

/// What stands before the text that is typed: where it goes.
#[must_use]
pub fn prompt(model: &Model) -> String {
    let columns = usize::from(model.size.0 / 3);
    if let Some(asking) = &model.asking {
        return format!("passphrase of {}: ", wrap::cut(&asking.room, columns));
    }
    format!("{}> ", wrap::cut(&model.title_of(&model.current), columns))
}

/// The rows of what is typed, as byte ranges.
#[must_use]
pub fn input_rows(model: &Model, width: u16) -> Vec<std::ops::Range<usize>> {
    // One column is kept free for the cursor after the last character.
    let columns = usize::from(width).saturating_sub(wrap::width(&prompt(model)) + 1);
    wrap::fold(&typed(model), columns)
}

/// What is shown of what is typed: of a passphrase nothing but its length.
#[must_use]
pub fn typed(model: &Model) -> Cow<'_, str> {
    match &model.asking {
        Some(asking) => Cow::Owned("•".repeat(asking.phrase.0.chars().count())),
        None => Cow::Borrowed(model.line.text()),
    }
}

/// Where the cursor stands in it, in bytes.
#[must_use]
pub fn cursor(model: &Model) -> usize {
    match &model.asking {
        Some(_) => typed(model).len(),
        None => model.line.cursor(),
    }
}

/// What to tell above the input line.
#[must_use]
pub fn notice(model: &Model) -> Option<String> {
    if model.leaving {
        return Some("leave lanchat? y or n".to_owned());
    }
    let notice = model.notice.as_ref()?;
    Some(match &notice.hint {
        Some(hint) => format!("{}\nhint: {hint}", notice.text),
        None => notice.text.clone(),
    })
}

/// The number of the first entry shown of a list of `count`, so that `wanted` is among the
/// `rows`.
#[must_use]
pub fn first_shown(count: usize, wanted: usize, rows: usize) -> usize {
    let last = count.saturating_sub(rows);
    wanted.saturating_sub(rows / 2).min(last)
}
