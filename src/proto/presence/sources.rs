//! Which address is whose.

use std::net::{IpAddr, SocketAddr};

use super::Presence;
use crate::api::PeerState;
use crate::id::{PeerId, ShortId};
use crate::limits::{PEER_ADDRESSES_MAX, PEERS_MAX};

impl Presence {
    /// Where to send to a peer: its validated address in use.
    #[must_use]
    pub fn address_of(&self, id: &PeerId) -> Option<SocketAddr> {
        self.roster
            .get(id)
            .and_then(|peer| peer.addresses.current())
    }

    /// Whether this address is a validated one of this peer.
    #[must_use]
    pub fn is_validated(&self, id: &PeerId, at: SocketAddr) -> bool {
        self.roster
            .get(id)
            .is_some_and(|peer| peer.addresses.is_validated(at))
    }

    /// Whether this address is a validated one of anybody.
    #[must_use]
    pub fn is_known_source(&self, at: SocketAddr) -> bool {
        self.holder_of(at).is_some()
    }

    /// Whose validated address this is.
    #[must_use]
    pub fn holder_of(&self, at: SocketAddr) -> Option<PeerId> {
        self.held_by(at, self.sources.get(&at)?)
    }

    /// Whose short id this is, if this address is a validated one of theirs.
    fn held_by(&self, at: SocketAddr, short: &ShortId) -> Option<PeerId> {
        let peer = self.roster.by_short(short);
        let peer = peer.filter(|peer| peer.addresses.is_validated(at));
        peer.map(|peer| peer.id)
    }

    /// Whether somebody who is here has a validated address with this IP address.
    pub(super) fn is_known_host(&self, ip: IpAddr) -> bool {
        let from = self.sources.range(SocketAddr::new(ip, 0)..);
        from.take_while(|(at, _)| at.ip() == ip)
            .filter_map(|(&at, short)| self.held_by(at, short))
            .any(|id| self.is_here(&id))
    }

    /// Whether somebody was not given up.
    pub(super) fn is_here(&self, id: &PeerId) -> bool {
        let peer = self.roster.get(id);
        peer.is_some_and(|peer| peer.state != PeerState::Offline)
    }

    /// An address was validated.
    pub(super) fn note_source(&mut self, at: SocketAddr, id: PeerId) {
        if self.sources.len() >= PEERS_MAX * PEER_ADDRESSES_MAX {
            let roster = &self.roster;
            let holds = |at: &SocketAddr, id: &ShortId| {
                let peer = roster.by_short(id);
                peer.is_some_and(|peer| peer.addresses.is_validated(*at))
            };
            self.sources.retain(|at, id| holds(at, id));
        }
        self.sources.insert(at, id.short());
    }
}
