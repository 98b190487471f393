//! What QUIC has to say: messages and acknowledgements that came, connections that went.

use super::event::{receipt, row_of, shown};
use super::{DOUBT, Pending, Private};
use crate::api::ReceiptState;
use crate::durable::{Batch, Durability, PrivateState, Stored, Write};
use crate::id::{MessageId, PublicKey};
use crate::proto::direct::{DirectOutput, PrivateMessage};
use crate::proto::group::Cx;
use crate::proto::presence::names::person_write;
use crate::proto::sabotage::{Sabotage, is_sabotaged};

impl Private {
    /// A message came in and the store answered.
    pub(super) fn in_stored(
        &mut self,
        cx: &mut Cx,
        from: PublicKey,
        message: PrivateMessage,
        result: &Stored,
    ) {
        self.storing.remove(&(from, message.id));
        match result {
            // Not acknowledged: it comes again.
            Err(failure) => tracing::warn!(%failure, "private message not stored"),
            Ok(new) => {
                cx.direct.acknowledge(cx.now.mono, &from, message.id);
                let is_new = new.first().is_none_or(|kept| kept.is_new());
                if is_new || is_sabotaged(Sabotage::PrivateTwice) {
                    let reference = cx.presence.reference_of(&from);
                    cx.core.event(shown(&message, from.id(), reference, false));
                }
            }
        }
    }

    /// Takes what QUIC has to say of messages.
    pub fn handle_direct(&mut self, cx: &mut Cx, output: DirectOutput) {
        match output {
            DirectOutput::Message { from, message, .. } => self.take_in(cx, from, message),
            DirectOutput::Sent { peer, id } => {
                cx.core.event(receipt(cx, &peer, id, ReceiptState::Sent));
            }
            DirectOutput::Acknowledged { peer, id } => self.delivered(cx, peer, id),
            DirectOutput::Connected { peer, .. } => {
                if let Some(outbox) = self.outboxes.get_mut(&peer) {
                    outbox.reached();
                }
            }
            DirectOutput::Lost {
                peer,
                unacknowledged,
            } => self.lost(cx, peer, unacknowledged.is_empty()),
            _ => {}
        }
    }

    fn take_in(&mut self, cx: &mut Cx, from: PublicKey, message: PrivateMessage) {
        // From now on it is a conversation.
        self.outboxes.entry(from).or_default();
        if !self.storing.insert((from, message.id)) {
            return;
        }
        if is_sabotaged(Sabotage::PrivateAckEarly) {
            cx.direct.acknowledge(cx.now.mono, &from, message.id);
        }
        self.hlc.observe(cx.now.wall_ms, message.hlc);
        let row = row_of(&message);
        let write = Write::PrivateIn {
            id: message.id,
            from: from.id(),
            message: row,
        };
        let record = cx.presence.record_of(&from.id());
        let person = record.map(person_write);
        let token = cx.core.persist(Batch {
            durability: Durability::Power,
            writes: [write].into_iter().chain(person).collect(),
        });
        self.pending.insert(
            token,
            Pending::In {
                from,
                message: Box::new(message),
            },
        );
    }

    fn delivered(&mut self, cx: &mut Cx, peer: PublicKey, id: MessageId) {
        let Some(outbox) = self.outboxes.get_mut(&peer) else {
            return;
        };
        if outbox.under_way.remove(&id).is_none() {
            return;
        }
        if let Some(loading) = &mut outbox.loading {
            loading.delivered.insert(id);
        }
        let waits = !outbox.under_way.is_empty();
        outbox.doubt_at = waits.then(|| cx.now.mono + DOUBT);
        let state = PrivateState::Delivered;
        let writes = vec![Write::PrivateState { id, state }];
        // Lost in a power cut it only goes once more, and its id tells the other side.
        cx.core.persist(Batch {
            durability: Durability::Process,
            writes,
        });
        cx.core
            .event(receipt(cx, &peer, id, ReceiptState::Delivered));
        if !waits {
            // More than could be under way at once waits on the disk.
            self.load(cx, peer);
        }
    }

    fn lost(&mut self, cx: &Cx, peer: PublicKey, nothing_waits: bool) {
        let Some(outbox) = self.outboxes.get_mut(&peer) else {
            return;
        };
        if nothing_waits {
            if outbox.is_empty() {
                self.outboxes.remove(&peer);
            }
            return;
        }
        outbox.redial(cx.now.mono);
    }
}
