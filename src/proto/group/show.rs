//! Which lines are shown when, and what is shown of them.

use super::log::{AuthorLog, Line};
use super::room::Room;
use super::{Cx, Group, order};
use crate::api::{Event, PeerRef, TextKind, Timestamp};
use crate::id::{MessageId, PeerId};
use crate::text::DisplayText;
use crate::wire::{Entry, EntryKind};

impl Group {
    /// The shows of one log that may be shown now.
    pub(super) fn show_lines(room: &mut Room, cx: &mut Cx, author: &PeerId) {
        let conversation = room.conversation();
        while let Some(line) = room
            .logs
            .get_mut(author)
            .and_then(|log: &mut AuthorLog| log.next_line(cx.now.mono))
        {
            match line {
                Line::Entry(entry, delayed) => {
                    let from = cx.presence.reference_of(&entry.author);
                    let event = room.show(from, &entry, false, delayed);
                    cx.core.event(event);
                }
                Line::Gap(missing) => cx.core.event(Event::Gap {
                    conversation: conversation.clone(),
                    from: cx.presence.reference_of_id(author),
                    missing,
                }),
            }
        }
    }

    /// Lines of an epoch that ended before their turn came: better late than never.
    pub(super) fn show_left_over(room: &mut Room, cx: &mut Cx) {
        for entry in std::mem::take(&mut room.left_over) {
            let from = cx.presence.reference_of(&entry.author);
            let event = room.show(from, &entry, false, true);
            cx.core.event(event);
        }
    }
}

impl Room {
    /// The event that shows an entry, and marks it as shown last.
    pub fn show(&mut self, from: PeerRef, entry: &Entry, own: bool, delayed: bool) -> Event {
        let hash = entry.hash(&self.id);
        let mut dep = [0; 16];
        dep.copy_from_slice(&hash[..16]);
        self.last_shown = Some((dep, entry.hlc));
        let (kind, text) = line(entry);
        Event::Message {
            id: MessageId::of_entry(&hash),
            conversation: self.conversation(),
            from,
            own,
            kind,
            text,
            time: Timestamp(order::ms(entry.hlc)),
            delayed,
        }
    }
}

/// What of an entry is shown.
fn line(entry: &Entry) -> (TextKind, String) {
    let kind = if entry.kind == EntryKind::ACTION {
        TextKind::Action
    } else {
        TextKind::Text
    };
    if entry.kind != EntryKind::TEXT && entry.kind != EntryKind::ACTION {
        return (TextKind::Text, "(needs a newer lanchat)".into());
    }
    match DisplayText::from_wire(&entry.body) {
        Some(text) => (kind, text.into_string()),
        None => (TextKind::Text, "(not text)".into()),
    }
}
