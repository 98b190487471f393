//! What was said of late, for lines that answer it.

use std::collections::VecDeque;

use super::people::line;
use crate::api::{Conversation, Event, TextKind};
use crate::id::MessageId;

/// Messages that are remembered.
const SAID_MAX: usize = 256;
/// Most characters of what is answered that stand in the answer's line.
const QUOTE_CHARS_MAX: usize = 40;

/// The last messages.
#[derive(Default)]
pub(super) struct Said {
    messages: VecDeque<Message>,
}

struct Message {
    id: MessageId,
    own: bool,
    in_lobby: bool,
    name: String,
    text: String,
}

impl Said {
    /// Takes in a message.
    pub(super) fn push(&mut self, event: &Event) {
        let Event::Message {
            id,
            conversation,
            from,
            own,
            kind,
            text,
            answers,
            redacted,
            ..
        } = event
        else {
            return;
        };
        if *kind == TextKind::Redaction {
            self.messages.retain(|said| Some(said.id) != *answers);
            return;
        }
        if *redacted {
            return;
        }
        if self.messages.len() >= SAID_MAX {
            self.messages.pop_front();
        }
        self.messages.push_back(Message {
            id: *id,
            own: *own,
            in_lobby: *conversation == Conversation::Room("lobby".to_owned()),
            name: line(&from.name),
            text: line(text),
        });
    }

    /// What is answered, in words.
    pub(super) fn quote(&self, id: &MessageId) -> String {
        match self.messages.iter().rev().find(|said| said.id == *id) {
            None => "answers something said before".to_owned(),
            Some(said) => {
                let mut quote: String = said.text.chars().take(QUOTE_CHARS_MAX).collect();
                if quote.len() < said.text.len() {
                    quote.push('…');
                }
                format!("answers {}: {quote}", said.name)
            }
        }
    }

    /// The last one of somebody else in the lobby.
    pub(super) fn last_of_others(&self) -> Option<MessageId> {
        self.last(|said| !said.own)
    }

    /// The last own one in the lobby.
    pub(super) fn last_own(&self) -> Option<MessageId> {
        self.last(|said| said.own)
    }

    fn last(&self, meant: impl Fn(&Message) -> bool) -> Option<MessageId> {
        let mut messages = self.messages.iter().rev();
        messages
            .find(|said| said.in_lobby && meant(said))
            .map(|said| said.id)
    }
}
