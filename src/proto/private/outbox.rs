//! What is known of the messages to one peer: which are under way, which wait and where.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::id::MessageId;
use crate::limits::{OUTBOX_BYTES_MAX, OUTBOX_MESSAGES_MAX};
use crate::proto::direct::PrivateMessage;

/// Before a lost connection is dialled again while the peer is here; doubles.
const REDIAL: Duration = Duration::from_millis(200);
const REDIAL_SLOWEST: Duration = Duration::from_secs(10);

/// The messages to one peer that are not delivered.
#[derive(Default)]
pub(super) struct Outbox {
    /// Handed to [`crate::proto::direct::Direct`], not acknowledged yet.
    pub under_way: BTreeMap<MessageId, usize>,
    /// Ids that wait for the peer to be here.
    pub waiting: BTreeMap<MessageId, usize>,
    /// Whether the store may hold more than what is under way.
    pub on_disk: bool,
    /// The store is being asked.
    pub loading: Option<Loading>,
    redials: u32,
    /// When to dial again.
    pub redial_at: Option<Instant>,
    /// When to doubt that the peer is there, if nothing was acknowledged by then.
    pub doubt_at: Option<Instant>,
}

/// What happened while the store was asked.
#[derive(Default)]
pub(super) struct Loading {
    /// Acknowledged meanwhile: the answer may still name them.
    pub delivered: BTreeSet<MessageId>,
    /// Stored meanwhile: they go behind what the answer holds.
    pub later: Vec<PrivateMessage>,
}

impl Outbox {
    /// An outbox of which the store has something, as at a start.
    pub(super) fn stored() -> Outbox {
        Outbox {
            on_disk: true,
            ..Outbox::default()
        }
    }

    /// Whether a message of this length is too much.
    pub(super) fn is_full(&self, len: usize) -> bool {
        let bytes: usize = self.waiting.values().chain(self.under_way.values()).sum();
        self.waiting.len() + self.under_way.len() >= OUTBOX_MESSAGES_MAX
            || bytes + len > OUTBOX_BYTES_MAX
    }

    /// Whether a message may be handed over now: not before what the store holds.
    pub(super) fn is_next(&self) -> bool {
        !self.on_disk && self.loading.is_none()
    }

    /// Whether the store has to be asked for what waits.
    pub(super) fn wants_load(&self) -> bool {
        self.loading.is_none() && (self.on_disk || !self.waiting.is_empty())
    }

    /// The store is asked.
    pub(super) fn load(&mut self) {
        self.on_disk = false;
        self.loading = Some(Loading::default());
    }

    /// Whether nothing is known to wait.
    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
            && self.waiting.is_empty()
            && !self.on_disk
            && self.loading.is_none()
    }

    /// A connection is up, or the peer is back.
    pub(super) fn reached(&mut self) {
        self.redials = 0;
    }

    /// The connection was lost with something under way.
    pub(super) fn redial(&mut self, now: Instant) {
        let wait = REDIAL
            .saturating_mul(1 << self.redials.min(8))
            .min(REDIAL_SLOWEST);
        self.redials += 1;
        self.redial_at = Some(now + wait);
    }
}
