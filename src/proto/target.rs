//! Whom a person means: `#room`, a name, `name~tag`, or 8 or more characters of an id.

use super::group::Refusal;
use super::presence::Presence;
use super::presence::roster::Peer;
use crate::api::PeerState;
use crate::id::{PEER_ID_PREFIX_CHARS_MIN, PeerId, PublicKey};
use crate::text::{PeerName, RoomName};

/// What a target names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// A room.
    Room(RoomName),
    /// A person.
    Peer(PublicKey),
}

/// Resolves a target.
///
/// # Errors
/// Nobody of that name, several, or another key than the one the name is pinned to.
pub fn resolve(presence: &Presence, text: &str) -> Result<Target, Refusal> {
    if text.starts_with('#') {
        return room_name(text).map(Target::Room);
    }
    resolve_peer(presence, text).map(|peer| Target::Peer(peer.key()))
}

/// The room of this name, with or without `#`.
///
/// # Errors
/// No room can be called so.
pub fn room_name(text: &str) -> Result<RoomName, Refusal> {
    RoomName::new(text).map_err(|error| {
        (
            "bad_target",
            format!("{text:?} is no room: {error}"),
            "rooms look like #lobby".into(),
        )
    })
}

/// Resolves a person.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_peer<'a>(presence: &'a Presence, text: &str) -> Result<&'a Peer, Refusal> {
    if let Some(id) = text.strip_prefix('@') {
        let peer = id
            .parse::<PeerId>()
            .ok()
            .and_then(|id| presence.roster.get(&id));
        return peer.ok_or_else(|| nobody(text));
    }
    let (name, tag) = match text.rsplit_once('~') {
        Some((name, tag)) => (name, Some(tag.to_ascii_lowercase())),
        None => (text, None),
    };
    let named = PeerName::new(name)
        .map(|name| name.as_str().to_lowercase())
        .unwrap_or_default();
    let has_tag = |peer: &Peer| {
        tag.as_ref()
            .is_none_or(|tag| peer.id.to_string().starts_with(tag))
    };
    let mut found: Vec<&Peer> = presence
        .roster
        .iter()
        .filter(|peer| peer.record.name.as_str().to_lowercase() == named && has_tag(peer))
        .collect();
    if found.is_empty() && tag.is_none() && text.len() >= PEER_ID_PREFIX_CHARS_MIN {
        let prefix = text.to_ascii_lowercase();
        found = presence
            .roster
            .iter()
            .filter(|p| p.id.to_string().starts_with(&prefix))
            .collect();
        // An id says who is meant, whatever name is pinned to whom.
        return single(presence, text, found);
    }
    if tag.is_some() {
        return single(presence, text, found);
    }
    by_pin(presence, text, found)
}

/// Among people of one name the pinned one is meant.
fn by_pin<'a>(
    presence: &'a Presence,
    text: &str,
    found: Vec<&'a Peer>,
) -> Result<&'a Peer, Refusal> {
    let Some(pinned) = PeerName::new(text)
        .ok()
        .and_then(|name| presence.pinned(&name).copied())
    else {
        // Somebody who is here is meant before somebody who was.
        let online: Vec<&Peer> = found
            .iter()
            .copied()
            .filter(|peer| peer.state != PeerState::Offline)
            .collect();
        return single(
            presence,
            text,
            if online.is_empty() { found } else { online },
        );
    };
    if let Some(peer) = presence.roster.get(&pinned.id()) {
        return Ok(peer);
    }
    match found.first() {
        None => Err(nobody(text)),
        Some(other) => Err(conflict(presence, other)),
    }
}

fn single<'a>(presence: &Presence, text: &str, found: Vec<&'a Peer>) -> Result<&'a Peer, Refusal> {
    match found.as_slice() {
        [] => Err(nobody(text)),
        [peer] => Ok(peer),
        several => {
            let name = |peer: &&Peer| {
                let reference = presence.roster.reference(peer);
                format!("{}~{}", reference.name, reference.tag)
            };
            let names: Vec<String> = several.iter().map(name).collect();
            let sentence = format!("{text:?} may be {}", names.join(" or "));
            Err((
                "ambiguous_name",
                sentence,
                "write the name with its tag".into(),
            ))
        }
    }
}

fn nobody(text: &str) -> Refusal {
    (
        "no_such_peer",
        format!("nobody called {text:?} is here"),
        "`who` lists who is".into(),
    )
}

/// The name is pinned to another key.
pub fn conflict(presence: &Presence, peer: &Peer) -> Refusal {
    let reference = presence.roster.reference(peer);
    let name = format!("{}~{}", reference.name, reference.tag);
    let sentence = format!("{name} is not the {} you wrote to before", reference.name);
    (
        "name_conflict",
        sentence,
        format!("if you know that it is the same person: /trust {name}"),
    )
}
