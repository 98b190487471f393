//! Names: to whose key each is pinned, and how events name people.

use super::Presence;
use super::roster::Peer;
use crate::api::{Event, PeerRef};
use crate::durable::{PersonRow, Write};
use crate::id::{PeerId, PublicKey};
use crate::text::PeerName;
use crate::wire::PeerRecord;

/// What keeps a record.
#[must_use]
pub fn person_write(record: &PeerRecord) -> Write {
    Write::Person(PersonRow {
        id: record.key.id(),
        key: record.key,
        incarnation: record.incarnation.0,
        record_seq: record.record_seq,
        record: record.bytes.clone(),
    })
}

impl Presence {
    /// Whether this name belongs to another key than this one.
    #[must_use]
    pub fn is_name_conflict(&self, name: &PeerName, key: &PublicKey) -> bool {
        self.pins
            .get(&name.skeleton())
            .is_some_and(|pinned| pinned != key)
    }

    /// The key that a name is pinned to.
    #[must_use]
    pub fn pinned(&self, name: &PeerName) -> Option<&PublicKey> {
        self.pins.get(&name.skeleton())
    }

    /// Pins a name to a key. Returns whether that is new.
    pub fn pin(&mut self, name: &PeerName, key: PublicKey) -> bool {
        self.pins_version += 1;
        self.pins.insert(name.skeleton(), key) != Some(key)
    }

    /// How events name whoever holds this key, known or not.
    #[must_use]
    pub fn reference_of(&self, key: &PublicKey) -> PeerRef {
        self.reference_of_id(&key.id())
    }

    /// How events name somebody, known or not.
    #[must_use]
    pub fn reference_of_id(&self, id: &PeerId) -> PeerRef {
        match self.roster.get(id) {
            Some(peer) => self.roster.reference(peer),
            None => PeerRef {
                id: *id,
                name: "unknown".into(),
                tag: id.tag(),
                verified: false,
            },
        }
    }

    /// The newest record of somebody on the roster, or the own one.
    #[must_use]
    pub fn record_of(&self, id: &PeerId) -> Option<&PeerRecord> {
        if self.record.key.id() == *id {
            return Some(&self.record);
        }
        self.roster.get(id).map(|peer| &*peer.record)
    }

    /// The event that describes a row, for `who`.
    #[must_use]
    pub fn describe(&self, peer: &Peer) -> Event {
        let conflict = self.is_name_conflict(&peer.record.name, &peer.key());
        self.roster.describe(peer, conflict)
    }
}
