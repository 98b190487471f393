//! The links of this node: which there are, and what the system says of the ways over them.

use std::net::SocketAddr;
use std::time::Duration;

use super::Now;
use super::endpoint::Endpoint;
use super::presence::CHANGE_JITTER;
use crate::datagram::{Link, LinkId};

impl Endpoint {
    /// The interfaces as they are now. What is new on them gets a burst of HELLOs; whoever was
    /// reached by what is gone is Suspect, or asked for a sign of life by another way.
    pub fn set_links(&mut self, now: Now, links: &[Link]) {
        self.core.mono = now.mono;
        if self.core.links != links {
            self.change_links(now, links);
        }
        self.end_doubt(now);
    }

    fn change_links(&mut self, now: Now, links: &[Link]) {
        let first = self.core.links.is_empty();
        let is_same = are_same(&self.core.links, links);
        let was_here = self.core.here();
        let before = std::mem::replace(&mut self.core.links, links.to_vec());
        let is_link = |id: &LinkId| links.iter().any(|link| link.id == *id);
        self.core.group_sent.retain(|id, _| is_link(id));
        self.core.decide_networks();
        if !was_here.contains(&self.core.network()) {
            self.presence.arrive(now.mono);
        }
        self.group.links_changed(&self.core, now);
        if is_same {
            // What the system knows of a router comes and goes.
            return;
        }
        let most = Duration::from_millis(self.core.config.first_hello_ms_max);
        let jitter = if first { most } else { CHANGE_JITTER };
        self.presence
            .links_changed(&mut self.core, now, &before, jitter);
        let (private, mut cx) = self.private_cx(now);
        private.local_address_changed(&mut cx);
        self.follow_up(now);
    }

    /// Sending to this address failed, or an ICMP error came back for it: there is no way to it,
    /// which may be the fault of our own network.
    pub fn handle_unreachable(&mut self, now: Now, address: SocketAddr) {
        self.unreachable(now, address, false);
    }

    /// The host of this address said that nobody listens there (ICMP port unreachable).
    pub fn handle_refused(&mut self, now: Now, address: SocketAddr) {
        self.unreachable(now, address, true);
    }

    fn unreachable(&mut self, now: Now, address: SocketAddr, refused: bool) {
        self.core.mono = now.mono;
        self.presence
            .handle_unreachable(&mut self.core, now, address, refused);
        self.follow_up(now);
    }
}

/// Whether these are the same links with the same addresses, whatever is known of their routers.
fn are_same(one: &[Link], other: &[Link]) -> bool {
    let bare = |link: &Link| Link {
        gateway: None,
        ..link.clone()
    };
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| bare(a) == bare(b))
}
