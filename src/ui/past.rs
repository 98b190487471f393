//! Reading back: what was said before the screen opened comes from the disk, a page at a time.
//!
//! A conversation asks for its last lines when it is shown first, and for the page before its
//! oldest line when the reader comes near that. Where the node tells that it fetched older lines
//! from others, what was read back is asked for again.

use super::layout::layout;
use super::line::{Line, Said};
use super::log::{Log, READ_BACK_MAX};
use super::model::{Effect, Model, Pending};
use super::news::said_of;
use crate::api::{Command, Conversation, Event, TextKind};
use crate::id::MessageId;

/// Least messages of one page; a screen that shows more asks for more.
const PAGE: u32 = 100;

/// How far a conversation was read back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Past {
    /// How many of its first lines came from the disk.
    pub(super) lines: usize,
    /// What is known of the lines before the first.
    pub(super) state: PastState,
    /// Whether others handed over lines that may belong among those.
    pub(super) stale: bool,
    /// The oldest message that was told, a line or not: what is before it comes next.
    pub(super) oldest: Option<MessageId>,
}

/// What is known of the lines before the first one shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PastState {
    /// Nothing: to be asked for as soon as the conversation is shown.
    #[default]
    Unread,
    /// The reader wants none until they page up.
    Cleared,
    /// A page is on its way.
    Asked,
    /// There may be more, for who pages up.
    More,
    /// There is no more.
    Whole,
}

/// A page on its way.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Page {
    pub(super) conversation: Conversation,
    /// Most messages that it has.
    limit: u32,
    /// Whether it replaces what was read back before.
    anew: bool,
    /// Messages told, those that are no line among them.
    told: u32,
    /// The first of them.
    oldest: Option<MessageId>,
    lines: Vec<Said>,
}

/// The page to ask for now, if what is shown wants one.
pub(super) fn wanted(model: &mut Model) -> Option<Effect> {
    model.own.as_ref()?;
    let height = u32::from(layout(model).pane.height);
    let conversation = model.current.clone();
    let log = model.logs.get_mut(&conversation)?;
    let at_end = log.bottom.is_none();
    let anew = log.past.stale && at_end;
    let wants = match log.past.state {
        PastState::Asked | PastState::Cleared => false,
        PastState::Unread => true,
        PastState::Whole => anew,
        PastState::More => anew || log.is_near_first(u64::from(height) * 2),
    };
    if !wants {
        return None;
    }
    let limit = PAGE.max(height * 2);
    let before = match anew {
        true => log.first_said(log.past.lines),
        false => log.past.oldest.or_else(|| log.first_said(0)),
    };
    log.past.state = PastState::Asked;
    log.past.stale = false;
    let page = Page {
        conversation: conversation.clone(),
        limit,
        anew,
        told: 0,
        oldest: None,
        lines: Vec::new(),
    };
    let command = Command::History {
        conversation: Some(conversation.to_string()),
        limit: Some(limit),
        before,
        after: None,
        since: None,
        search: None,
    };
    Some(model.request(command, Some(Pending::Page(page))))
}

impl Page {
    /// A message of it came.
    pub(super) fn take(&mut self, event: &Event) {
        self.told += 1;
        if let Event::Message { id, .. } = event {
            self.oldest.get_or_insert(*id);
        }
        // What was taken back says so itself.
        let said = said_of(event).filter(|said| said.kind != TextKind::Redaction);
        self.lines.extend(said);
    }

    /// All of it came, or there is none: it goes above what is shown.
    pub(super) fn put(self, model: &mut Model, is_there: bool) {
        let Some(log) = model.logs.get_mut(&self.conversation) else {
            return;
        };
        log.past.state = match is_there && self.told >= self.limit {
            true => PastState::More,
            false => PastState::Whole,
        };
        if self.anew && log.bottom.is_some() {
            // Somebody began to read back meanwhile.
            log.past.stale = true;
            log.past.state = PastState::More;
            return;
        }
        if self.anew && is_there {
            log.drop_past();
        }
        log.past.oldest = self.oldest.or(log.past.oldest);
        log.prepend(self.lines);
    }
}

/// Others handed over lines of this conversation that are older than what they say now.
pub(super) fn fetched(model: &mut Model, conversation: &Conversation) {
    if let Some(log) = model.logs.get_mut(conversation) {
        log.past.stale = !matches!(log.past.state, PastState::Unread | PastState::Cleared);
    }
}

/// The reader pages up: a conversation that was cleared is read back again.
pub(super) fn paged_up(log: &mut Log) {
    if log.past.state == PastState::Cleared {
        log.past.state = PastState::More;
    }
}

impl Log {
    /// The id of the first message at or behind this index.
    fn first_said(&self, from: usize) -> Option<MessageId> {
        self.lines.iter().skip(from).find_map(|line| match line {
            Line::Said(said) => Some(said.id),
            _ => None,
        })
    }

    /// Whether what is shown ends within so many lines of the first, or there is none.
    fn is_near_first(&self, lines: u64) -> bool {
        let few = self.lines.len() < READ_BACK_MAX;
        few && match self.bottom {
            Some(place) => place.line < self.first + lines,
            None => self.lines.is_empty(),
        }
    }

    /// Puts messages of the disk above all lines, those that are here already left out.
    fn prepend(&mut self, said: Vec<Said>) {
        let here: std::collections::BTreeSet<MessageId> = self
            .lines
            .iter()
            .filter_map(|line| match line {
                Line::Said(said) => Some(said.id),
                _ => None,
            })
            .collect();
        let new = said.into_iter().filter(|said| !here.contains(&said.id));
        let mut count = 0_u32;
        for said in new.rev() {
            let line = Line::Said(said);
            self.bytes += line.cost();
            self.lines.push_front(line);
            count += 1;
        }
        self.past.lines += count as usize;
        self.shift_places(0, count.into());
    }

    /// Drops what was read back.
    fn drop_past(&mut self) {
        for _ in 0..self.past.lines {
            self.drop_first();
        }
        self.past.lines = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Timestamp;
    use crate::id::PeerId;
    use crate::ui::theme::Theme;

    fn said(number: u16) -> Said {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        Said {
            id: MessageId(id),
            from: PeerId([2; 32]),
            name: "ben".into(),
            own: false,
            kind: TextKind::Text,
            text: format!("line {number}"),
            time: Timestamp(u64::from(number)),
            clock_off: None,
            delayed: false,
            mark: None,
            answers: None,
            redacted: false,
        }
    }

    fn texts(log: &Log) -> Vec<&str> {
        let mut texts = Vec::new();
        for line in &log.lines {
            if let Line::Said(said) = line {
                texts.push(said.text.as_str());
            }
        }
        texts
    }

    #[test]
    fn a_page_goes_above_all_and_moves_no_place() {
        let mut log = Log::default();
        log.push(Line::Said(said(7)));
        log.push(Line::Said(said(8)));
        log.picked = Some(1);
        log.prepend(vec![said(5), said(6), said(7)]);
        assert_eq!(texts(&log), ["line 5", "line 6", "line 7", "line 8"]);
        assert_eq!(log.picked, Some(3), "still line 8");
        assert_eq!(log.past.lines, 2);
        log.drop_past();
        assert_eq!(texts(&log), ["line 7", "line 8"]);
        let Some(Line::Said(picked)) = log.picked.and_then(|number| log.get(number)) else {
            panic!("nothing is picked")
        };
        assert_eq!(picked.text, "line 8");
    }

    #[test]
    fn a_page_that_was_refused_is_not_asked_for_again() {
        let mut model = Model::new((80, 24), Theme::Mono, crate::ui::model::utc);
        assert_eq!(wanted(&mut model), None, "no node yet");
        model.own = Some(crate::api::SelfInfo {
            id: PeerId([1; 32]),
            name: "ana".into(),
            tag: "k7q2".into(),
        });
        let Some(Effect::Request(request)) = wanted(&mut model) else {
            panic!("no page is asked for")
        };
        assert_eq!(wanted(&mut model), None, "one is on its way");
        let refused = Event::Error {
            reference: request.reference,
            code: "store_failed".into(),
            message: "no".into(),
            hint: None,
        };
        super::super::news::event(&mut model, Timestamp(0), &refused);
        assert_eq!(wanted(&mut model), None);
        assert_eq!(model.notice, None, "nobody asked for it");
    }
}
