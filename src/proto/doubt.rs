//! While it is not known which networks the links are in: what is done in rooms waits for the answer.
//!
//! The system says at once that an address or a link changed; what it is now is looked at a moment
//! later, since changes come in groups. Who it is that hears a line depends on it, and so does the log
//! that the line is of: said in the network just left it would be served nowhere else.

use std::time::{Duration, Instant};

use super::Now;
use super::endpoint::Endpoint;
use super::group::too_fast;
use crate::api::Request;
use crate::limits::SEND_QUEUE_MAX;

/// A driver that does not say within this time what the links are now is not waited for.
const DOUBT_MAX: Duration = Duration::from_secs(1);

/// Since when it is not known which networks the links are in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    /// When that began, in milliseconds since the Unix epoch: whoever is elsewhere now came then.
    pub(super) since_ms: u64,
    /// Then it ends in any case.
    pub(super) until: Instant,
}

impl Endpoint {
    /// The links are no longer what this node was told, or may not be: what is done in rooms from now
    /// on waits for the next [`Endpoint::set_links`], which says so in any case; for a second at most.
    pub fn links_in_doubt(&mut self, now: Now) {
        self.core.mono = now.mono;
        self.core.doubt.get_or_insert(Doubt {
            since_ms: now.wall_ms,
            until: now.mono + DOUBT_MAX,
        });
    }

    /// Whether what is done in rooms waits for [`Endpoint::set_links`].
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.core.doubt.is_some()
    }

    /// Keeps a request that is about a room, in turn with the others. Gives back what need not wait.
    pub(super) fn hold(&mut self, request: Request) -> Option<Request> {
        if !self.is_in_doubt() || !request.command.is_of_a_room() {
            return Some(request);
        }
        if self.held.len() < SEND_QUEUE_MAX {
            self.held.push(request);
        } else {
            self.core.refuse(request.reference, too_fast());
        }
        None
    }

    /// The links are as this node was told last: what waited for that is done.
    pub(super) fn end_doubt(&mut self, now: Now) {
        self.core.doubt = None;
        if !self.held.is_empty() {
            self.retry_early(now);
        }
        for request in std::mem::take(&mut self.held) {
            self.handle_request(now, request);
        }
    }

    /// When the answer is overdue.
    pub(super) fn doubt_deadline(&self) -> Option<Instant> {
        self.core.doubt.map(|doubt| doubt.until)
    }

    /// Whether it is.
    pub(super) fn is_doubt_over(&self, now: Instant) -> bool {
        self.doubt_deadline().is_some_and(|until| until <= now)
    }
}
