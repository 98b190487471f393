//! The rows that the lines of a conversation take: folded, wrapped, with day and "new" rules.
//!
//! A line's rows depend on it and the line before it alone, so that only what is on the screen
//! is ever laid out.

use chrono::NaiveDateTime;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line as Text, Span};

use super::clocks;
use super::line::{Change, ChangeKind, Line, Mark, Said};
use super::log::Log;
use super::mention::find_word;
use super::model::Model;
use super::wrap;
use crate::api::{Conversation, ReceiptState, TextKind};
use crate::id::MessageId;

/// Up to this width, times are left out.
const NARROW_COLUMNS: usize = 30;
/// People named in a line of comings and goings before they are only counted.
const NAMED_MAX: usize = 5;

/// One row of the conversation.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// What stands at the left.
    pub text: Text<'static>,
    /// What stands at the right edge.
    pub right: Option<Span<'static>>,
}

/// Lays out the lines of one conversation in a width.
#[derive(Clone, Copy)]
pub struct Layouter<'a> {
    model: &'a Model,
    conversation: &'a Conversation,
    pub(super) log: &'a Log,
    columns: usize,
}

impl<'a> Layouter<'a> {
    /// For the conversation that is shown; nothing if it has no line.
    #[must_use]
    pub fn of_current(model: &'a Model, columns: u16) -> Option<Self> {
        let conversation = &model.current;
        let log = model.logs.get(conversation)?;
        (!log.is_empty()).then_some(Layouter {
            model,
            conversation,
            log,
            columns: usize::from(columns).max(1),
        })
    }

    /// All rows of one line, its rules included; none if there is no such line.
    pub(super) fn rows(&self, number: u64) -> Vec<Row> {
        let Some(line) = self.log.get(number) else {
            return Vec::new();
        };
        let before = number.checked_sub(1).and_then(|n| self.log.get(n));
        let time = self.model.local(line.time());
        let mut rows = Vec::new();
        let mut fresh = true;
        match before.map(|before| self.model.local(before.time())) {
            Some(last) if last.date() == time.date() => fresh = false,
            // The first line needs its day only where it is not the day it looks like.
            None if number == 0 => {}
            _ => rows.push(self.rule(&time.format("%a %-d %b %Y").to_string(), self.dim())),
        }
        if self.log.new_from == Some(number) {
            rows.push(self.rule("new", self.model.theme.unread()));
            fresh = true;
        }
        let before = if fresh { None } else { before };
        let clock = self.clock(time, before);
        match line {
            Line::Said(said) => self.said(said, &clock, before, &mut rows),
            Line::Presence { changes, .. } => {
                self.aside(&clock, &self.presence(changes), self.dim(), &mut rows);
            }
            Line::Gap {
                from,
                name,
                missing,
                ..
            } => {
                let lines = if *missing == 1 { "line" } else { "lines" };
                let who = self.model.people.label(from, name);
                let text = format!("… {missing} {lines} of {who} missing");
                self.aside(&clock, &text, self.dim(), &mut rows);
            }
            Line::Note { text, alert, .. } => {
                let style = if *alert {
                    self.model.theme.alert()
                } else {
                    self.dim()
                };
                self.aside(&clock, &format!("– {text}"), style, &mut rows);
            }
        }
        if self.log.picked == Some(number) {
            for row in &mut rows {
                row.text = std::mem::take(&mut row.text).patch_style(self.model.theme.selected());
            }
        }
        rows
    }

    /// The time in its columns, empty where the line before shows the same.
    fn clock(&self, time: NaiveDateTime, before: Option<&Line>) -> String {
        // A narrow screen has no room for it.
        if self.columns <= NARROW_COLUMNS {
            return String::new();
        }
        let clock = |time: NaiveDateTime| time.format("%H:%M ").to_string();
        let shown = before.map(|line| clock(self.model.local(line.time())));
        let clock = clock(time);
        if shown.as_ref() == Some(&clock) {
            " ".repeat(clock.len())
        } else {
            clock
        }
    }

    fn said(&self, said: &Said, clock: &str, before: Option<&Line>, rows: &mut Vec<Row>) {
        let theme = self.model.theme;
        let name = self.model.people.label(&said.from, &said.name);
        let name = wrap::cut(&name, (self.columns / 3).clamp(3, 24));
        let plain = |kind| matches!(kind, TextKind::Text | TextKind::Reply);
        let same_author = |line: &Line| {
            matches!(line, Line::Said(last) if last.from == said.from
                && plain(last.kind) && last.name == said.name)
        };
        let name_style = if said.own {
            theme.title()
        } else {
            theme.name(&said.from)
        };
        let (lead, folded, indent) = match said.kind {
            TextKind::Action | TextKind::Topic | TextKind::Redaction => {
                (format!("* {name} "), false, clock.len() + 2)
            }
            TextKind::Text | TextKind::Reply => {
                let lead = format!("{name}: ");
                let indent = clock.len() + wrap::width(&lead);
                (lead, before.is_some_and(same_author), indent)
            }
        };
        let lead_columns = wrap::width(&lead);
        let lead = if folded {
            Span::raw(" ".repeat(lead_columns))
        } else {
            Span::styled(lead, name_style)
        };
        // An action goes on after the name and wraps under it.
        let hang = clock.len() + lead_columns - indent;
        let words = match said.kind {
            _ if said.redacted => "(taken back)".to_owned(),
            TextKind::Topic if said.text.is_empty() => "cleared the topic".to_owned(),
            TextKind::Topic => format!("set the topic: {}", said.text),
            _ => said.text.clone(),
        };
        if let Some(id) = &said.answers {
            rows.push(self.quote(id, indent));
        }
        let padded = format!("{}{}", "\u{a0}".repeat(hang), words);
        let columns = self.columns.saturating_sub(indent).max(4);
        for (n, range) in wrap::wrap(&padded, columns).into_iter().enumerate() {
            let mut spans = if n == 0 {
                vec![Span::styled(clock.to_owned(), self.dim()), lead.clone()]
            } else {
                vec![Span::raw(" ".repeat(indent))]
            };
            let text = padded[range].trim_start_matches('\u{a0}');
            if said.redacted {
                spans.push(Span::styled(text.to_owned(), self.dim()));
            } else {
                self.text(text, said.own, &mut spans);
            }
            rows.push(Row {
                text: Text::from(spans),
                right: None,
            });
        }
        self.put_right(said, rows);
    }

    /// What is answered, in a row above the answer.
    fn quote(&self, id: &MessageId, indent: usize) -> Row {
        let words = match self.log.said(id) {
            Some(said) if said.redacted => "↱ (taken back)".to_owned(),
            Some(said) => {
                let name = self.model.people.label(&said.from, &said.name);
                format!("↱ {name}: {}", said.text.replace('\n', " "))
            }
            None => "↱ something said before".to_owned(),
        };
        let room = self.columns.saturating_sub(indent).max(4);
        let spans = vec![
            Span::raw(" ".repeat(indent)),
            Span::styled(wrap::cut(&words, room), self.dim()),
        ];
        Row {
            text: Text::from(spans),
            right: None,
        }
    }

    /// The text, with the own name in it standing out.
    fn text(&self, text: &str, own: bool, spans: &mut Vec<Span<'static>>) {
        let name = self.model.own.as_ref().map_or("", |own| own.name.as_str());
        let mut rest = text;
        if !own {
            while let Some((start, end)) = find_word(rest, name) {
                spans.push(Span::raw(rest[..start].to_owned()));
                let style = self.model.theme.mention();
                spans.push(Span::styled(rest[start..end].to_owned(), style));
                rest = &rest[end..];
            }
        }
        spans.push(Span::raw(rest.to_owned()));
    }

    /// How the message stands, at the right of its last row, or on one more if that is full.
    fn put_right(&self, said: &Said, rows: &mut Vec<Row>) {
        let (word, style) = match said.mark {
            Some(mark) => self.mark_word(&mark),
            None if said.clock_off.is_some() => {
                let off = said.clock_off.unwrap_or_default();
                (clocks::words(off), self.dim())
            }
            None if said.delayed => ("late".to_owned(), self.dim()),
            None => return,
        };
        let needed = wrap::width(&word) + 1;
        let full = rows.last().is_none_or(|row| {
            let used: usize = row.text.spans.iter().map(|s| wrap::width(&s.content)).sum();
            used + needed > self.columns
        });
        if full {
            rows.push(Row::default());
        }
        if let Some(row) = rows.last_mut() {
            row.right = Some(Span::styled(word, style));
        }
    }

    fn mark_word(&self, mark: &Mark) -> (String, Style) {
        let room = matches!(self.conversation, Conversation::Room(_));
        let word = match mark.state {
            ReceiptState::Queued => "queued".to_owned(),
            ReceiptState::Failed => return ("failed".to_owned(), self.model.theme.alert()),
            ReceiptState::Read => "read".to_owned(),
            ReceiptState::Sent | ReceiptState::Delivered if room && mark.of == 0 => {
                "nobody here".to_owned()
            }
            ReceiptState::Delivered if room => "all".to_owned(),
            ReceiptState::Delivered => "delivered".to_owned(),
            ReceiptState::Sent if room && mark.delivered > 0 => {
                format!("{}/{}", mark.delivered, mark.of)
            }
            ReceiptState::Sent => "sent".to_owned(),
        };
        (word, self.dim())
    }

    fn presence(&self, changes: &[Change]) -> String {
        let mut parts = Vec::new();
        for (kind, sign, word) in [
            (ChangeKind::Online, "→", "online"),
            (ChangeKind::Joined, "→", "joined"),
            (ChangeKind::Parted, "←", "left the room"),
            (ChangeKind::Left, "←", "left"),
            (ChangeKind::Offline, "←", "offline"),
        ] {
            let names: Vec<String> = changes
                .iter()
                .filter(|change| change.kind == kind)
                .map(|change| self.model.people.label(&change.id, &change.name))
                .collect();
            if names.is_empty() {
                continue;
            }
            let more = names.len().saturating_sub(NAMED_MAX);
            let mut named = names[..names.len() - more].join(", ");
            if more > 0 {
                named.push_str(&format!(" and {more} more"));
            }
            parts.push(format!("{sign} {named} {word}"));
        }
        parts.join("  ")
    }

    /// A line of the program: under the names, wrapped under itself.
    fn aside(&self, clock: &str, text: &str, style: Style, rows: &mut Vec<Row>) {
        let columns = self.columns.saturating_sub(clock.len() + 2).max(4);
        for (n, range) in wrap::wrap(text, columns).into_iter().enumerate() {
            let lead = if n == 0 {
                clock.to_owned()
            } else {
                " ".repeat(clock.len() + 2)
            };
            let spans = vec![
                Span::styled(lead, self.dim()),
                Span::styled(text[range].to_owned(), style),
            ];
            rows.push(Row {
                text: Text::from(spans),
                right: None,
            });
        }
    }

    fn rule(&self, word: &str, style: Style) -> Row {
        let rest = self.columns.saturating_sub(wrap::width(word) + 2);
        let left = rest / 2;
        let rule = format!("{} {word} {}", "─".repeat(left), "─".repeat(rest - left));
        Row {
            text: Text::from(Span::styled(
                rule,
                style.remove_modifier(Modifier::REVERSED),
            )),
            right: None,
        }
    }

    fn dim(&self) -> Style {
        self.model.theme.dim()
    }
}
