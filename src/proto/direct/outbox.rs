//! What one peer has not acknowledged yet, in the order in which it was written.

use std::collections::VecDeque;

use super::PrivateMessage;
use crate::id::MessageId;
use crate::limits::{OUTBOX_BYTES_MAX, OUTBOX_MESSAGES_MAX};

/// Own messages to one peer until they are acknowledged.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Waiting>,
    /// How many of `waiting`, from the front, went into the connection in use.
    taken: usize,
    /// Bytes of all bodies.
    bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    message: PrivateMessage,
    /// Whether `Sent` was reported.
    told: bool,
}

impl Outbox {
    /// Appends a message, unless one of its id waits already. Whether it is kept.
    pub(super) fn push(&mut self, message: PrivateMessage) -> bool {
        if self.position(&message.id).is_some() {
            return true;
        }
        let bytes = self.bytes + message.body.len();
        if self.waiting.len() >= OUTBOX_MESSAGES_MAX || bytes > OUTBOX_BYTES_MAX {
            return false;
        }
        self.bytes = bytes;
        self.waiting.push_back(Waiting {
            message,
            told: false,
        });
        true
    }

    /// The next message that did not go into the connection in use.
    pub(super) fn take_next(&mut self) -> Option<&PrivateMessage> {
        let next = self.waiting.get(self.taken)?;
        self.taken += 1;
        Some(&next.message)
    }

    /// Another connection is in use: everything goes again.
    pub(super) fn rewind(&mut self) {
        self.taken = 0;
    }

    /// Notes that a message was written. Whether that is news.
    pub(super) fn sent(&mut self, id: &MessageId) -> bool {
        let position = self.position(id);
        let waiting = position.and_then(|at| self.waiting.get_mut(at));
        waiting.is_some_and(|waiting| !std::mem::replace(&mut waiting.told, true))
    }

    /// Removes a message. Whether it was there.
    pub(super) fn remove(&mut self, id: &MessageId) -> bool {
        let Some(at) = self.position(id) else {
            return false;
        };
        if let Some(waiting) = self.waiting.remove(at) {
            self.bytes -= waiting.message.body.len();
        }
        if at < self.taken {
            self.taken -= 1;
        }
        true
    }

    /// Ids of all, in order.
    pub(super) fn ids(&self) -> Vec<MessageId> {
        self.waiting.iter().map(|w| w.message.id).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn position(&self, id: &MessageId) -> Option<usize> {
        self.waiting.iter().position(|w| w.message.id == *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: usize, body_len: usize) -> PrivateMessage {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_le_bytes());
        PrivateMessage {
            id: MessageId(id),
            hlc: 0,
            kind: 1,
            body: vec![0; body_len],
            answers: None,
        }
    }

    #[test]
    fn what_was_taken_stays_right_when_acknowledged_out_of_order() {
        let mut outbox = Outbox::default();
        for number in 0..4 {
            assert!(outbox.push(message(number, 1)));
        }
        for number in 0..3 {
            assert_eq!(outbox.take_next(), Some(&message(number, 1)));
        }
        assert!(outbox.remove(&message(1, 1).id));
        assert!(!outbox.remove(&message(1, 1).id));
        assert_eq!(outbox.take_next(), Some(&message(3, 1)));
        assert_eq!(outbox.take_next(), None);
        outbox.rewind();
        assert_eq!(outbox.take_next(), Some(&message(0, 1)));
        assert_eq!(outbox.take_next(), Some(&message(2, 1)));
        assert!(outbox.sent(&message(2, 1).id));
        assert!(!outbox.sent(&message(2, 1).id));
    }

    #[test]
    fn count_and_bytes_are_bounded_and_an_id_waits_once() {
        let mut outbox = Outbox::default();
        for number in 0..OUTBOX_MESSAGES_MAX {
            assert!(outbox.push(message(number, 0)));
        }
        assert!(!outbox.push(message(OUTBOX_MESSAGES_MAX, 0)));
        assert!(outbox.push(message(3, 0)));
        assert_eq!(outbox.len(), OUTBOX_MESSAGES_MAX);

        let mut outbox = Outbox::default();
        assert!(outbox.push(message(0, OUTBOX_BYTES_MAX)));
        assert!(!outbox.push(message(1, 1)));
        assert!(outbox.remove(&message(0, 0).id));
        assert!(outbox.push(message(1, 1)));
    }
}
