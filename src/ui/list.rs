//! The list at the left: who and what stands in it, under which names, and how many are there.

use super::line::Line;
use super::model::Model;
use super::people::Person;
use crate::api::{Conversation, PeerState};
use crate::id::PeerId;

impl Model {
    /// The entries of the list: rooms, then who is up, then who is not.
    #[must_use]
    pub fn entries(&self) -> Vec<Conversation> {
        let room = |name: &String| Conversation::Room(name.clone());
        let mut entries: Vec<Conversation> = self
            .rooms
            .iter()
            .filter(|(name, room_state)| room_state.joined || self.has_lines(&room(name)))
            .map(|(name, _)| room(name))
            .collect();
        entries.sort_by_key(|entry| *entry != Conversation::Room("lobby".to_owned()));
        let mut people: Vec<(bool, String, PeerId)> = self
            .people
            .iter()
            .filter(|person| self.is_listed(person))
            .map(|person| {
                (
                    !person.is_up(),
                    person.peer.name.to_lowercase(),
                    person.peer.id,
                )
            })
            .collect();
        people.sort();
        entries.extend(people.into_iter().map(|(_, _, id)| Conversation::Peer(id)));
        entries.extend(
            self.logs
                .keys()
                .filter(|entry| self.is_stray(entry))
                .cloned(),
        );
        entries
    }

    /// How many people are here, this one not counted.
    #[must_use]
    pub fn online(&self) -> usize {
        self.people
            .iter()
            .filter(|person| person.is_here() && !person.transient && !person.incompatible)
            .count()
    }

    /// How many others are in a room.
    #[must_use]
    pub fn members_of(&self, name: &str) -> usize {
        match self.rooms.get(name) {
            // Who is in a locked one, only the node can tell.
            Some(room) if room.locked || !room.joined => room.members,
            _ => {
                let here = |person: &&Person| {
                    person.is_here() && !person.transient && !person.incompatible
                };
                let listed = |person: &&Person| {
                    let mut rooms = person.rooms.iter();
                    rooms.any(|room| room.strip_prefix('#') == Some(name))
                };
                self.people.iter().filter(here).filter(listed).count()
            }
        }
    }

    /// The name of a conversation, short.
    #[must_use]
    pub fn title_of(&self, conversation: &Conversation) -> String {
        match conversation {
            Conversation::Room(name) => format!("#{name}"),
            Conversation::Peer(id) if self.people.get(id).is_some() => self.people.label(id, ""),
            Conversation::Peer(id) => self.people.label(id, self.name_in_log(conversation, id)),
        }
    }

    fn has_lines(&self, conversation: &Conversation) -> bool {
        self.logs
            .get(conversation)
            .is_some_and(|log| !log.is_empty())
    }

    fn is_listed(&self, person: &Person) -> bool {
        let conversation = Conversation::Peer(person.peer.id);
        let gone = person.transient || person.state == PeerState::Left;
        !gone || conversation == self.current || self.has_lines(&conversation)
    }

    /// A conversation that no room or person of the list stands for.
    fn is_stray(&self, conversation: &Conversation) -> bool {
        match conversation {
            Conversation::Room(name) => !self.rooms.contains_key(name),
            Conversation::Peer(id) => self.people.get(id).is_none(),
        }
    }

    /// The name under which somebody last wrote here, or their tag.
    fn name_in_log(&self, conversation: &Conversation, id: &PeerId) -> &str {
        let Some(log) = self.logs.get(conversation) else {
            return "?";
        };
        (log.first()..log.end())
            .rev()
            .find_map(|number| match log.get(number) {
                Some(Line::Said(said)) if said.from == *id => Some(said.name.as_str()),
                _ => None,
            })
            .unwrap_or("?")
    }
}
