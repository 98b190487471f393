//! What each person, and each who asks, may cost.

use std::collections::BTreeMap;
use std::time::Instant;

use super::{Cx, Group};
use crate::id::PeerId;
use crate::limits::{NACK_ANSWER_BYTES, NACK_ANSWER_RATE, STRANGER_MESSAGE_RATE};
use crate::proto::bucket::Bucket;

/// Most authors never met whose messages are counted.
const STRANGERS_MAX: usize = 256;
/// Peers whose NACKs are counted.
const ANSWERS_MAX: usize = 1024;

impl Group {
    pub(super) fn admit_stranger(&mut self, cx: &Cx, author: PeerId) -> bool {
        let now = cx.now.mono;
        if self.strangers.len() >= STRANGERS_MAX && !self.strangers.contains_key(&author) {
            self.strangers
                .retain(|_, bucket| !bucket.holds(now, STRANGER_MESSAGE_RATE));
            if self.strangers.len() >= STRANGERS_MAX {
                return false;
            }
        }
        let fresh = || Bucket::new(now, STRANGER_MESSAGE_RATE, STRANGER_MESSAGE_RATE);
        self.strangers
            .entry(author)
            .or_insert_with(fresh)
            .take(now, 1)
    }
}

/// What one peer may still be answered: packets, bytes.
pub(super) fn budget(
    answers: &mut BTreeMap<PeerId, (Bucket, Bucket)>,
    now: Instant,
    peer: PeerId,
) -> &mut (Bucket, Bucket) {
    if answers.len() >= ANSWERS_MAX && !answers.contains_key(&peer) {
        answers.pop_first();
    }
    answers.entry(peer).or_insert_with(|| {
        (
            Bucket::new(now, NACK_ANSWER_RATE, NACK_ANSWER_RATE),
            Bucket::new(now, NACK_ANSWER_BYTES, NACK_ANSWER_BYTES),
        )
    })
}
