//! What a driver may ask an endpoint: how it stands, and for a diagnosis who is heard by which way.

use std::collections::BTreeMap;
use std::time::Instant;

use super::endpoint::Endpoint;
use super::presence::roster::Peer;
use super::{LinkHeard, Now, Stats};
use crate::api::diagnosis::PersonFacts;
use crate::api::{PeerState, SelfInfo};
use crate::datagram::{LinkId, Path};
use crate::id::{NetworkId, PeerId, PublicKey};
use crate::text::RoomName;

impl Endpoint {
    /// The names of the rooms this node is in.
    pub fn rooms(&self) -> impl Iterator<Item = &RoomName> {
        self.group.joined()
    }

    /// The network that what is said in public here belongs to.
    #[must_use]
    pub fn network(&self) -> NetworkId {
        self.core.network()
    }

    /// Who this node is, as events name it.
    #[must_use]
    pub fn own_info(&self) -> SelfInfo {
        let id = self.core.identity.id();
        SelfInfo {
            id,
            name: self.core.config.name.as_str().to_owned(),
            tag: id.tag(),
        }
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.core.stats
    }

    /// Whether the last GOODBYE is out.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.presence.has_left()
    }

    /// Whether nothing that a person wrote still waits to be sent or acknowledged by somebody
    /// who is here.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let roster = &self.presence.roster;
        let is_here = |key: &PublicKey| {
            let peer = roster.get(&key.id());
            peer.is_some_and(|peer| peer.state != PeerState::Offline && peer.is_confirmed())
        };
        let waits = !self.early.is_empty() || !self.held.is_empty();
        !waits && self.group.is_settled() && self.private.is_settled(is_here)
    }

    /// Whether nobody on any computer is validated.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.presence.roster.population() == 1
    }

    /// Since when nobody is here but this node; none while somebody is, or before it speaks.
    #[must_use]
    pub fn alone_since(&self) -> Option<Instant> {
        self.presence.alone_since()
    }

    /// Whether nothing at all is heard any more of those who were here.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.presence.is_disconnected()
    }

    /// Whether a round trip to this peer succeeded.
    #[must_use]
    pub fn reaches(&self, id: &PeerId) -> bool {
        let peer = self.presence.roster.get(id);
        peer.is_some_and(Peer::is_confirmed)
    }

    /// Those on other computers of whom something came, and the addresses that were named.
    #[must_use]
    pub fn people_heard(&self) -> Vec<PersonFacts> {
        self.presence.people_heard(&self.core)
    }

    /// What came by each link since the start.
    #[must_use]
    pub fn links_heard(&self) -> BTreeMap<LinkId, LinkHeard> {
        self.presence.links_heard()
    }

    /// Asks on this link by this group path alone who hears it, for a diagnosis. A peer answers one
    /// of them in 200 ms.
    pub fn sound(&mut self, now: Now, link: LinkId, path: Path) {
        self.core.mono = now.mono;
        self.presence.sound(&mut self.core, &self.group, link, path);
    }
}
