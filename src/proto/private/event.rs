//! Private messages as rows of the store and as events.

use crate::api::{Conversation, Event, PeerRef, ReceiptState, TextKind, Timestamp};
use crate::durable::PrivateRow;
use crate::id::{MessageId, PeerId, PublicKey};
use crate::proto::direct::PrivateMessage;
use crate::proto::group::{Cx, order};
use crate::text::DisplayText;

const KIND_TEXT: u8 = 1;
const KIND_ACTION: u8 = 2;

/// The byte that says what kind of line a message is.
pub(super) fn kind_byte(kind: TextKind) -> u8 {
    match kind {
        TextKind::Text => KIND_TEXT,
        TextKind::Action => KIND_ACTION,
        _ => KIND_TEXT,
    }
}

/// A message as the store had it.
pub(super) fn message_of(id: MessageId, row: PrivateRow) -> PrivateMessage {
    PrivateMessage {
        id,
        hlc: row.hlc,
        kind: row.kind,
        body: row.body,
        answers: None,
    }
}

/// A message as the store keeps it.
pub(super) fn row_of(message: &PrivateMessage) -> PrivateRow {
    PrivateRow {
        hlc: message.hlc,
        kind: message.kind,
        body: message.body.clone(),
    }
}

/// The event that shows a message.
pub(super) fn shown(message: &PrivateMessage, with: PeerId, from: PeerRef, own: bool) -> Event {
    let text = match (message.kind, DisplayText::from_wire(&message.body)) {
        (KIND_TEXT | KIND_ACTION, Some(text)) => text.into_string(),
        (KIND_TEXT | KIND_ACTION, None) => "(not text)".into(),
        _ => "(needs a newer lanchat)".into(),
    };
    Event::Message {
        reference: None,
        id: message.id,
        conversation: Conversation::Peer(with),
        from,
        own,
        kind: if message.kind == KIND_ACTION {
            TextKind::Action
        } else {
            TextKind::Text
        },
        text,
        time: Timestamp(order::ms(message.hlc)),
        delayed: false,
        after: None,
        answers: None,
        redacted: false,
    }
}

/// The event that tells how a message stands.
pub(super) fn receipt(cx: &Cx, peer: &PublicKey, id: MessageId, state: ReceiptState) -> Event {
    let delivered = u32::from(state == ReceiptState::Delivered);
    let missing = if delivered == 0 {
        vec![cx.presence.reference_of(peer)]
    } else {
        Vec::new()
    };
    Event::Receipt {
        id,
        conversation: Conversation::Peer(peer.id()),
        state,
        delivered,
        of: 1,
        missing,
        left: Vec::new(),
        sampled: false,
    }
}
