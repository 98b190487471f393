//! What keys, pastes and the mouse change.

use ratatui::layout::Position;

use super::complete::complete;
use super::key::{Input, Key, KeyCode, Mouse, MouseKind};
use super::keymap::{self, Action};
use super::layout::{first_shown, layout};
use super::model::{Effect, Focus, Model, Notice, Panel, Pending};
use super::past;
use super::rooms;
use super::rows::Layouter;
use crate::api::slash::{self, Local};
use crate::api::{Command, Conversation, TextKind};

/// Rows that a turn of the wheel scrolls.
const WHEEL_ROWS: isize = 3;
/// Lines that ask whether to leave, as they are typed in a hurry.
const LEAVING_LINES: &[&str] = &["quit", "exit", "bye bye"];

/// Takes what came from the terminal.
pub fn input(model: &mut Model, input: Input) -> Vec<Effect> {
    let mut effects = take(model, input);
    effects.extend(past::wanted(model));
    effects
}

fn take(model: &mut Model, input: Input) -> Vec<Effect> {
    match input {
        Input::Key(key) => self::key(model, key),
        Input::Paste(text) => {
            model.notice = None;
            paste(model, &text);
            Vec::new()
        }
        Input::Mouse(mouse) => {
            self::mouse(model, mouse);
            Vec::new()
        }
        Input::Focus(focused) => {
            model.focused = focused;
            if focused {
                model.current_log().seen();
            }
            Vec::new()
        }
        Input::Resize(columns, rows) => {
            model.size = (columns, rows);
            vec![Effect::Redraw]
        }
    }
}

fn key(model: &mut Model, key: Key) -> Vec<Effect> {
    model.notice = None;
    let action = keymap::action(key);
    if model.leaving {
        return answer(model, key, action);
    }
    if model.asking.is_some() {
        return rooms::type_phrase(model, key, action);
    }
    if action != Some(Action::Complete) {
        model.completion = None;
    }
    if let Some((panel, scrolled)) = model.panel
        && in_panel(model, panel, scrolled, action)
    {
        return Vec::new();
    }
    match (model.focus, action, key.code) {
        (Focus::Input, Some(action), _) => on_line(model, action),
        (Focus::List, Some(action), _) => on_list(model, action),
        // What is typed goes to the line, wherever one is.
        (_, None, KeyCode::Char(c)) if !key.ctrl && !key.alt => {
            model.focus = Focus::Input;
            paste(model, c.encode_utf8(&mut [0; 4]));
            Vec::new()
        }
        (_, None, _) => Vec::new(),
    }
}

/// An answer to whether to leave.
fn answer(model: &mut Model, key: Key, action: Option<Action>) -> Vec<Effect> {
    model.leaving = false;
    let yes = matches!(key.code, KeyCode::Char('y' | 'Y') | KeyCode::Enter)
        || matches!(action, Some(Action::Interrupt | Action::EndOfInput));
    if yes { vec![Effect::Quit] } else { Vec::new() }
}

/// What a key does to a panel; what it has no use for closes it and goes on to what is below.
/// Returns whether the key is done with.
fn in_panel(model: &mut Model, panel: Panel, scrolled: usize, action: Option<Action>) -> bool {
    let page = usize::from(layout(model).pane.height)
        .saturating_sub(1)
        .max(1);
    let rows = super::view::panel_rows(model, panel).len();
    let most = rows.saturating_sub(page);
    let to = match action {
        Some(Action::PageUp) => scrolled.saturating_sub(page),
        Some(Action::PageDown) => scrolled + page,
        Some(Action::RecallOlder) => scrolled.saturating_sub(1),
        Some(Action::RecallNewer) => scrolled + 1,
        Some(Action::Interrupt | Action::Suspend | Action::Redraw) => return false,
        action => {
            model.panel = None;
            return matches!(action, Some(Action::Escape | Action::Enter | Action::Help));
        }
    };
    model.panel = Some((panel, to.min(most)));
    true
}

fn on_list(model: &mut Model, action: Action) -> Vec<Effect> {
    let by = match action {
        Action::RecallOlder => -1,
        Action::RecallNewer => 1,
        Action::LineStart => isize::MIN,
        Action::LineEnd => isize::MAX,
        Action::PageUp => -isize::try_from(model.size.1 / 2).unwrap_or(1),
        Action::PageDown => isize::try_from(model.size.1 / 2).unwrap_or(1),
        Action::Enter => {
            model.open(model.selected.clone());
            return Vec::new();
        }
        Action::Escape | Action::ToggleList | Action::Right | Action::Complete => {
            model.focus = Focus::Input;
            return Vec::new();
        }
        action => return anywhere(model, action),
    };
    let entries = model.entries();
    let at = entries.iter().position(|entry| *entry == model.selected);
    let to = at
        .unwrap_or(0)
        .saturating_add_signed(by)
        .min(entries.len().saturating_sub(1));
    if let Some(entry) = entries.get(to) {
        model.selected = entry.clone();
    }
    Vec::new()
}

fn on_line(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::Enter => return submit(model),
        Action::Newline => paste(model, "\n"),
        Action::Complete => complete(model),
        Action::RecallOlder => {
            if !model.line.line_up()
                && let Some(line) = model.recall.older(model.line.text())
            {
                model.line = super::input::Editor::new(&line);
            }
        }
        Action::RecallNewer => {
            if !model.line.line_down()
                && let Some(line) = model.recall.newer()
            {
                model.line = super::input::Editor::new(&line);
            }
        }
        Action::Left if model.line.is_empty() => go_to_list(model),
        Action::Left => model.line.left(),
        Action::Right => model.line.right(),
        Action::WordLeft => model.line.word_left(),
        Action::WordRight => model.line.word_right(),
        Action::LineStart => model.line.line_start(),
        Action::LineEnd => model.line.line_end(),
        Action::DeleteBack => model.line.delete_back(),
        Action::DeleteForward => model.line.delete_forward(),
        Action::DeleteWord => model.line.delete_word(),
        Action::DeleteToStart => model.line.delete_to_start(),
        Action::DeleteToEnd => model.line.delete_to_end(),
        Action::PageUp => scroll(model, -page(model)),
        Action::PageDown => scroll(model, page(model)),
        Action::Escape => {
            let log = model.current_log();
            (log.bottom, log.picked) = (None, None);
        }
        Action::Search => {
            model.recall.stop();
            if !model.line.text().starts_with("/search ") {
                let words = model.line.take();
                model.line = super::input::Editor::new(&format!("/search {words}"));
            }
        }
        Action::PickOlder => rooms::pick(model, true),
        Action::PickNewer => rooms::pick(model, false),
        Action::ToggleList => go_to_list(model),
        Action::EndOfInput if !model.line.is_empty() => model.line.delete_forward(),
        action => return anywhere(model, action),
    }
    Vec::new()
}

/// What keys do wherever one is.
fn anywhere(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::Nth(n) => {
            if let Some(entry) = model.entries().get(usize::from(n).wrapping_sub(1)) {
                model.open(entry.clone());
            }
        }
        Action::NextUnread => next_unread(model),
        Action::Help => model.panel = Some((Panel::Help, 0)),
        Action::Suspend => return vec![Effect::Suspend],
        Action::Redraw => return vec![Effect::Redraw],
        Action::Interrupt if !model.line.is_empty() => {
            let dropped = model.line.take();
            model.recall.push(&dropped);
            tell(
                model,
                "Ctrl-C again leaves",
                Some("Up brings the line back"),
            );
        }
        Action::Interrupt | Action::EndOfInput => return vec![Effect::Quit],
        _ => {}
    }
    Vec::new()
}

fn go_to_list(model: &mut Model) {
    model.focus = Focus::List;
    model.selected = model.current.clone();
}

/// Opens the next conversation with something unread, those that call for this person first.
fn next_unread(model: &mut Model) {
    let entries = model.entries();
    let unread = |called: bool| {
        entries.iter().find(|entry| {
            model
                .logs
                .get(*entry)
                .is_some_and(|log| log.unread > 0 && (log.called || !called))
        })
    };
    match unread(true).or_else(|| unread(false)).cloned() {
        Some(entry) => model.open(entry),
        None => tell(model, "nothing is unread", None),
    }
}

fn paste(model: &mut Model, text: &str) {
    if let Some(asking) = &mut model.asking {
        asking
            .phrase
            .0
            .push_str(text.trim_end_matches(['\n', '\r']));
        return;
    }
    model.panel = None;
    model.focus = Focus::Input;
    model.recall.stop();
    if !model.line.insert(text) {
        tell(model, "the message is full; the rest was cut off", None);
    }
}

fn page(model: &Model) -> isize {
    isize::try_from(layout(model).pane.height.saturating_sub(1).max(1)).unwrap_or(1)
}

fn scroll(model: &mut Model, by: isize) {
    let pane = layout(model).pane;
    if by < 0 {
        past::paged_up(model.current_log());
    }
    let Some(rows) = Layouter::of_current(model, pane.width) else {
        return;
    };
    let bottom = rows.scrolled(by, usize::from(pane.height));
    model.current_log().bottom = bottom;
}

fn mouse(model: &mut Model, mouse: Mouse) {
    match mouse.kind {
        MouseKind::WheelUp => scroll(model, -WHEEL_ROWS),
        MouseKind::WheelDown => scroll(model, WHEEL_ROWS),
        MouseKind::Press => {
            let list = layout(model).list;
            if !list.contains(Position::new(mouse.column, mouse.row)) {
                return;
            }
            let entries = model.entries();
            let first = first_entry(model, &entries, list.height);
            if let Some(entry) = entries.get(first + usize::from(mouse.row - list.y)) {
                model.open(entry.clone());
            }
        }
    }
}

/// The number of the first entry of the list on the screen.
#[must_use]
pub fn first_entry(model: &Model, entries: &[Conversation], rows: u16) -> usize {
    let wanted = match model.focus {
        Focus::List => &model.selected,
        Focus::Input => &model.current,
    };
    let at = entries.iter().position(|entry| entry == wanted);
    first_shown(entries.len(), at.unwrap_or(0), usize::from(rows))
}

/// Does what the line says.
fn submit(model: &mut Model) -> Vec<Effect> {
    if model.line.text().trim().is_empty() {
        model.line.take();
        return Vec::new();
    }
    // A paste often ends with a newline, which nobody means to send.
    let typed = model.line.take().trim_end().to_owned();
    model.recall.push(&typed);
    if LEAVING_LINES.contains(&typed.as_str()) {
        model.leaving = true;
        return Vec::new();
    }
    match slash::parse(&typed) {
        Ok(slash::Input::Say(kind, text)) => say(model, text, kind, typed),
        Ok(slash::Input::Request(command)) => ask(model, command, typed),
        Ok(slash::Input::Local(local)) => here(model, local, typed),
        Err(error) => {
            refuse(model, &error.message, error.hint.as_deref(), typed);
            Vec::new()
        }
    }
}

fn say(model: &mut Model, text: String, kind: TextKind, typed: String) -> Vec<Effect> {
    let current = model.current.clone();
    let log = model.log_mut(&current);
    log.bottom = None;
    log.new_from = None;
    let command = Command::Send {
        answers: None,
        to: current.to_string(),
        text,
        kind,
    };
    vec![model.request(command, Some(Pending::Text(current, typed)))]
}

/// A command for the node, with what the screen does about it itself.
fn ask(model: &mut Model, command: Command, typed: String) -> Vec<Effect> {
    let pending = match &command {
        Command::Quit => return vec![Effect::Quit],
        Command::Send { to, .. } => {
            let conversation = match model.find(to) {
                Ok(conversation) => conversation,
                Err(notice) => {
                    refuse(model, &notice.text, notice.hint.as_deref(), typed);
                    return Vec::new();
                }
            };
            model.open(conversation.clone());
            Some(Pending::Text(conversation, typed))
        }
        Command::Status { status, text } => Some(Pending::Status(*status, text.clone())),
        Command::Who => {
            model.panel = Some((Panel::People, 0));
            None
        }
        Command::Rooms => {
            model.panel = Some((Panel::Rooms, 0));
            None
        }
        Command::Doctor => Some(Pending::Answer),
        Command::Join { room, .. } => Some(Pending::Join(room.clone(), typed)),
        Command::Name { .. }
        | Command::Trust { .. }
        | Command::Leave { .. }
        | Command::Topic { .. }
        | Command::Redact { .. } => Some(Pending::Text(model.current.clone(), typed)),
        Command::History { .. } => Some(Pending::Answer),
    };
    let command = match (command, &pending) {
        // The id says whom the screen showed; the name could by now be somebody else's.
        (
            Command::Send {
                text,
                kind,
                answers,
                ..
            },
            Some(Pending::Text(conversation, _)),
        ) => Command::Send {
            answers,
            to: conversation.to_string(),
            text,
            kind,
        },
        (command, _) => command,
    };
    vec![model.request(command, pending)]
}

fn here(model: &mut Model, local: Local, typed: String) -> Vec<Effect> {
    match local {
        Local::Open(target) => match model.find(&target) {
            Ok(conversation) => model.open(conversation),
            Err(notice) => refuse(model, &notice.text, notice.hint.as_deref(), typed),
        },
        Local::Clear => model.current_log().clear(),
        Local::Help => model.panel = Some((Panel::Help, 0)),
        local => return rooms::local(model, local, typed),
    }
    Vec::new()
}

/// Says why a line was not taken, and gives it back to be mended.
pub(super) fn refuse(model: &mut Model, text: &str, hint: Option<&str>, typed: String) {
    model.line = super::input::Editor::new(&typed);
    tell(model, text, hint);
}

pub(super) fn tell(model: &mut Model, text: &str, hint: Option<&str>) {
    model.notice = Some(Notice {
        text: text.to_owned(),
        hint: hint.map(str::to_owned),
    });
}
