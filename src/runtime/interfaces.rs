//! The interfaces while a node runs: when they are looked at, what is done where they are others, and
//! what is said of the network.

use std::time::Duration;

use super::node::Node;
use super::{diagnosis, network};
use crate::api::diagnosis::diagnose;
use crate::proto::Now;

/// Whoever is here would have answered within this.
pub(super) const ALONE: Duration = Duration::from_secs(3);
/// How often the interfaces are looked at.
const RESCAN: Duration = Duration::from_secs(5);
/// How long after the system said that one changed: changes come in groups.
const RESCAN_SOON: Duration = Duration::from_millis(250);
/// Shortest time between two looks at them, however often it says so.
const LOOK_MIN: Duration = Duration::from_millis(20);

impl Node<'_> {
    /// Where the system said that an interface changed, they are looked at soon; at once whether they
    /// are others now, unless that just happened.
    pub(super) fn heed_changes(&mut self, now: Now) {
        if self.net.take_changed() {
            self.rescan_at = self.rescan_at.min(now.mono + RESCAN_SOON);
            self.is_due = now.mono < self.looked_at + LOOK_MIN;
            if !self.is_due {
                self.look(now);
            }
        }
    }

    /// Looks before something is done in a room, where that is due: where the system says nothing of
    /// changes, a line may be the first to depend on one.
    pub(super) fn look_before_a_line(&mut self, now: Now) {
        let is_stale = || self.looked_at + RESCAN_SOON <= now.mono;
        if self.is_due || (!self.net.hears_of_changes() && is_stale()) {
            self.look(now);
        }
    }

    pub(super) fn rescan(&mut self, now: Now) {
        self.rescan_at = now.mono + RESCAN;
        (self.looked_at, self.is_due) = (now.mono, false);
        if self.net.rescan() {
            // What comes by a new link is not known yet.
            self.alone_at = now.mono + ALONE;
        }
        self.endpoint.set_links(now, self.net.links());
        self.drain(now);
        self.tell_network(now);
    }

    /// Looks whether the interfaces are others now. If so, what is done in rooms waits until all
    /// of the change is there.
    fn look(&mut self, now: Now) {
        if self.endpoint.is_in_doubt() {
            return;
        }
        (self.looked_at, self.is_due) = (now.mono, false);
        if self.net.is_outdated() {
            self.rescan_at = self.rescan_at.min(now.mono + RESCAN_SOON);
            self.endpoint.links_in_doubt(now);
            self.drain(now);
        }
    }

    /// A `network` event if something changed. While nobody is found it says why.
    pub(super) fn tell_network(&mut self, now: Now) {
        let states = self.net.states();
        let mut event = network::network_event(&states, self.endpoint.is_disconnected());
        if self.alone_at <= now.mono && self.endpoint.is_alone() {
            let facts = diagnosis::facts(&self.net_config, &self.net, &self.endpoint);
            network::add_causes(&mut event, &facts, &diagnose(&facts));
        }
        if self.network.as_ref() != Some(&event) {
            self.front_end.handle_event(now, &event);
            self.network = Some(event);
        }
    }
}
