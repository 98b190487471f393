//! Which lines are shown when, and what is shown of them.

use super::log::{AuthorLog, Line};
use super::logs::LogAt;
use super::room::Room;
use super::{Cx, Group, order};
use crate::api::{Event, PeerRef, TextKind, Timestamp};
use crate::id::{MessageId, PeerId};
use crate::text::DisplayText;
use crate::wire::{Entry, EntryKind};

impl Group {
    /// The lines of one log that may be shown now. What its author said before in other logs
    /// comes first, with the gaps in it.
    pub(super) fn show_lines(room: &mut Room, cx: &mut Cx, at: &LogAt) {
        let Some(mut line) = next_line(room, cx, at) else {
            return;
        };
        let earlier = room.logs.of(&at.0).take_while(|(epoch, _)| *epoch < at.1);
        let held_back = earlier.filter(|(_, log)| log.holds_back());
        let held_back: Vec<u64> = held_back.map(|(epoch, _)| epoch).collect();
        for epoch in held_back {
            let at = (at.0, epoch);
            if let Some(log) = room.logs.get_mut(&at) {
                log.let_go(cx.now.mono);
            }
            while let Some(line) = next_line(room, cx, &at) {
                Self::show_line(room, cx, &at.0, line);
            }
        }
        loop {
            Self::show_line(room, cx, &at.0, line);
            match next_line(room, cx, at) {
                Some(next) => line = next,
                None => return,
            }
        }
    }

    fn show_line(room: &mut Room, cx: &mut Cx, author: &PeerId, line: Line) {
        match line {
            Line::Entry(entry, _, delayed) => {
                let from = cx.presence.reference_of(&entry.author);
                let event = room.show(from, &entry, false, delayed);
                cx.core.event(event);
            }
            Line::Gap(missing) => cx.core.event(Event::Gap {
                conversation: room.conversation(),
                from: cx.presence.reference_of_id(author),
                missing,
            }),
        }
    }
}

fn next_line(room: &mut Room, cx: &Cx, at: &LogAt) -> Option<Line> {
    let log: &mut AuthorLog = room.logs.get_mut(at)?;
    log.next_line(cx.now.mono)
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
