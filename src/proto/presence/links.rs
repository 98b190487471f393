//! The links change: addresses behind them are lost or found again.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::roster::Peer;
use super::{Presence, tick};
use crate::api::PeerState;
use crate::datagram::Link;
use crate::id::PeerId;
use crate::proto::Now;
use crate::proto::core::Core;

/// Bytes to an address that was validated before its link was lost, to find it again: three
/// PROBEs.
const RELINK_ALLOWANCE: u64 = 3 * tick::PROBE_LEN as u64;

impl Presence {
    /// The links changed. An address that only a link reached which is gone is not used, and
    /// whoever was reached there is asked for a sign of life by what is left. What is new gets
    /// a burst of HELLOs, later the more often it comes and goes.
    pub fn links_changed(&mut self, core: &mut Core, now: Now, before: &[Link], jitter: Duration) {
        self.roster.set_links(&core.links);
        let is_cut = |at: SocketAddr| reaches(before, at) && !reaches(&core.links, at);
        self.observed.links_changed(before, &core.links);
        self.remembered.links_changed(is_cut);
        let is_back = |at: SocketAddr| !reaches(before, at) && reaches(&core.links, at);
        let links: Vec<_> = core.links.iter().map(|link| link.id).collect();
        let mut doubted = Vec::new();
        for peer in self.roster.iter_mut() {
            peer.links.retain(&links);
            let was_used = peer.addresses.current();
            let all: Vec<SocketAddr> = peer.addresses.iter().map(|address| address.at).collect();
            for &at in all.iter().filter(|&&at| is_cut(at)) {
                peer.addresses.unlinked(now.mono, at);
            }
            for &at in all.iter().filter(|&&at| is_back(at)) {
                peer.addresses.linked(now.mono, at, RELINK_ALLOWANCE);
            }
            if was_used.map_or(all.iter().any(|&at| is_cut(at)), is_cut) {
                doubted.push(peer.id);
            }
        }
        for id in doubted {
            self.unlink(core, now.mono, &id);
        }
        let ids: Vec<PeerId> = self.roster.iter().map(|peer| peer.id).collect();
        for id in ids {
            self.announce(core, &id);
        }
        self.linked_at = now.mono;
        let burst = self.flapping.links_changed(now.mono, before, &core.links);
        // Containers that come and go change nothing of what is heard.
        if burst.is_some() {
            self.regained_at = now.mono;
            self.reach.links_changed(now.mono);
        }
        match burst {
            Some(at) if at <= now.mono => self.announce_self(core, now, jitter),
            Some(at) => self.flapping.postpone(at),
            None => {}
        }
        self.plan_all(core);
    }

    /// The address in use of this peer is cut off on our side: another one is tried at once;
    /// without one nobody can tell whether they are still here.
    fn unlink(&mut self, core: &mut Core, now: Instant, id: &PeerId) {
        self.doubt(now, id);
        let is_lost = |peer: &Peer| {
            let out_of_reach = !peer.is_confirmed() && !peer.addresses.is_trying();
            peer.state == PeerState::Online && out_of_reach
        };
        if self.roster.get(id).is_some_and(is_lost) {
            self.set_state(core, id, PeerState::Suspect);
        }
    }
}

/// Whether one of these links reaches an address without a router.
pub(super) fn reaches(links: &[Link], at: SocketAddr) -> bool {
    links.iter().any(|link| link.reaches(at))
}
