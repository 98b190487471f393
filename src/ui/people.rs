//! The people the screen knows of, and how it names them.

use std::collections::BTreeMap;

use crate::api::{PeerRef, PeerState, Status};
use crate::id::{PEER_ID_CHARS, PeerId};
use crate::text::PeerName;

/// Somebody, as last told by the node.
#[derive(Clone, PartialEq, Debug)]
pub struct Person {
    /// Name, tag and id.
    pub peer: PeerRef,
    /// Whether they can be reached.
    pub state: PeerState,
    /// What they say of themselves.
    pub status: Status,
    /// Words with it.
    pub status_text: String,
    /// Whether an address of theirs is validated.
    pub confirmed: bool,
    /// Another version, with which there is no talking.
    pub incompatible: bool,
    /// The name is pinned to another key.
    pub name_conflict: bool,
    /// Addresses, the one in use first.
    pub addresses: Vec<String>,
    /// Open rooms, with `#`.
    pub rooms: Vec<String>,
    /// Round-trip time in milliseconds.
    pub rtt_ms: Option<f64>,
    /// A one-shot command, not shown.
    pub transient: bool,
}

impl Person {
    /// Whether they count as here: reachable, and proved to be where they say.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.is_up() && self.confirmed
    }

    /// Whether they were heard of lately.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.state, PeerState::Online | PeerState::Suspect)
    }
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct People {
    by_id: BTreeMap<PeerId, Person>,
    /// How many have a name of this look, this node included.
    looks: BTreeMap<String, u32>,
    /// Id and look of this node.
    own: Option<(PeerId, String)>,
}

/// Why a target names nobody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FindError {
    /// Nobody is called so.
    Nobody,
    /// Several are; how to name each.
    Several(Vec<String>),
}

impl People {
    /// Takes what the node told of somebody. Returns what was known before.
    pub fn put(&mut self, person: Person) -> Option<Person> {
        let look = look_of(&person.peer.name);
        let before = self.by_id.insert(person.peer.id, person);
        *self.looks.entry(look).or_default() += 1;
        if let Some(before) = &before {
            self.drop_look(&look_of(&before.peer.name));
        }
        before
    }

    /// Takes the name of this node, so that somebody of the same name is shown with a tag.
    pub fn put_own(&mut self, id: PeerId, name: &str) {
        let look = look_of(name);
        *self.looks.entry(look.clone()).or_default() += 1;
        if let Some((_, before)) = self.own.replace((id, look)) {
            self.drop_look(&before);
        }
    }

    /// Forgets those for whom `keep` is false.
    pub fn retain(&mut self, keep: impl Fn(&Person) -> bool) {
        let gone: Vec<PeerId> = self
            .by_id
            .values()
            .filter(|person| !keep(person))
            .map(|person| person.peer.id)
            .collect();
        for id in gone {
            if let Some(person) = self.by_id.remove(&id) {
                self.drop_look(&look_of(&person.peer.name));
            }
        }
    }

    /// What is known of one.
    #[must_use]
    pub fn get(&self, id: &PeerId) -> Option<&Person> {
        self.by_id.get(id)
    }

    /// Everybody, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Person> {
        self.by_id.values()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether nobody is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// How to name somebody: the name, with the tag where others look the same. `name` is for
    /// those not known (any more).
    #[must_use]
    pub fn label(&self, id: &PeerId, name: &str) -> String {
        let (name, tag, others) = match self.by_id.get(id) {
            Some(person) => (person.peer.name.as_str(), person.peer.tag.clone(), 1),
            None => {
                let own = self.own.as_ref().is_some_and(|(own, _)| own == id);
                (name, id.tag(), u32::from(own))
            }
        };
        if self.looks.get(&look_of(name)).copied().unwrap_or(0) > others {
            format!("{name}~{tag}")
        } else {
            name.to_owned()
        }
    }

    /// Whom a target means: a name, `name~tag`, `@` and an id, or 8 or more characters of one.
    /// Those who are up are meant before those who are not.
    ///
    /// # Errors
    /// It names nobody, or several.
    pub fn find(&self, target: &str) -> Result<PeerId, FindError> {
        let named = |person: &&Person| {
            let (name, tag) = target.split_once('~').unwrap_or((target, ""));
            person.peer.name.to_lowercase() == name.to_lowercase()
                && person.peer.id.to_string().starts_with(tag)
        };
        let mut found: Vec<&Person> = self.iter().filter(named).collect();
        if found.iter().any(|person| person.is_up()) {
            found.retain(|person| person.is_up());
        }
        if found.is_empty() {
            let prefix = target.strip_prefix('@').unwrap_or(target).to_lowercase();
            if (8..=PEER_ID_CHARS).contains(&prefix.len()) {
                let of_id = |person: &&Person| person.peer.id.to_string().starts_with(&prefix);
                found = self.iter().filter(of_id).collect();
            }
        }
        match found.as_slice() {
            [] => Err(FindError::Nobody),
            [one] => Ok(one.peer.id),
            several => Err(FindError::Several(
                several
                    .iter()
                    .map(|person| format!("{}~{}", person.peer.name, person.peer.tag))
                    .collect(),
            )),
        }
    }

    fn drop_look(&mut self, look: &str) {
        if let Some(count) = self.looks.get_mut(look) {
            *count -= 1;
            if *count == 0 {
                self.looks.remove(look);
            }
        }
    }
}

/// What a name looks like: two of the same look need their tags.
fn look_of(name: &str) -> String {
    PeerName::new(name).map_or_else(|_| name.to_lowercase(), |name| name.skeleton())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Somebody who is online and confirmed; the id is made of `number`.
    pub(crate) fn person(number: u8, name: &str) -> Person {
        let id = PeerId([number; 32]);
        Person {
            peer: PeerRef {
                id,
                name: name.to_owned(),
                tag: id.tag(),
                verified: false,
            },
            state: PeerState::Online,
            status: Status::Available,
            status_text: String::new(),
            confirmed: true,
            incompatible: false,
            name_conflict: false,
            addresses: vec![format!("10.0.0.{number}:5263")],
            rooms: vec!["#lobby".to_owned()],
            rtt_ms: Some(0.4),
            transient: false,
        }
    }

    #[test]
    fn a_tag_is_shown_only_where_names_look_the_same() {
        let mut people = People::default();
        people.put_own(PeerId([9; 32]), "ana");
        people.put(person(1, "ben"));
        let label = |people: &People, n: u8| people.label(&PeerId([n; 32]), "?");
        assert_eq!(label(&people, 1), "ben");
        assert_eq!(people.label(&PeerId([9; 32]), "ana"), "ana");
        // A Cyrillic letter in the second.
        people.put(person(2, "b\u{435}n"));
        people.put(person(3, "Ana"));
        let tag = |n: u8| PeerId([n; 32]).tag();
        assert_eq!(label(&people, 1), format!("ben~{}", tag(1)));
        assert_eq!(label(&people, 2), format!("b\u{435}n~{}", tag(2)));
        assert_eq!(label(&people, 3), format!("Ana~{}", tag(3)));
        people.put(person(2, "dan"));
        assert_eq!(label(&people, 1), "ben");
        people.put_own(PeerId([9; 32]), "eve");
        assert_eq!(label(&people, 3), "Ana");
        people.retain(|person| person.peer.name == "ben");
        assert_eq!(people.len(), 1);
        assert_eq!(people.looks.len(), 2);
    }

    #[test]
    fn targets_find_people() {
        let mut people = People::default();
        people.put(person(1, "ben"));
        people.put(person(2, "Cai"));
        people.put(person(3, "cai"));
        let id = |n: u8| PeerId([n; 32]);
        assert_eq!(people.find("BEN"), Ok(id(1)));
        assert_eq!(people.find(&format!("cai~{}", id(3).tag())), Ok(id(3)));
        assert_eq!(people.find(&format!("@{}", id(2))), Ok(id(2)));
        assert_eq!(people.find(&id(2).to_string()[..8]), Ok(id(2)));
        assert_eq!(people.find(&id(2).to_string()[..7]), Err(FindError::Nobody));
        assert_eq!(people.find("eve"), Err(FindError::Nobody));
        assert!(matches!(people.find("cai"), Err(FindError::Several(names)) if names.len() == 2));
        people.put(Person {
            state: PeerState::Left,
            ..person(3, "cai")
        });
        assert_eq!(people.find("cai"), Ok(id(2)));
    }
}
