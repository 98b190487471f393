//! People as lines of text: who is here, what changed, and which of two bens is meant.

use std::collections::BTreeMap;

use unicode_width::UnicodeWidthStr;

use crate::api::{Event, PeerRef, PeerState, Status};
use crate::id::PeerId;
use crate::text::DisplayText;

/// A person as the last `peer` event told of them. All texts are on one line.
#[derive(Clone, PartialEq, Debug)]
pub struct Person {
    /// Who.
    pub peer: PeerRef,
    /// Whether they can be reached.
    pub state: PeerState,
    /// What they say of themselves.
    pub status: Status,
    /// Words with it, may be empty.
    pub status_text: String,
    /// Whether an address of theirs is validated.
    pub confirmed: bool,
    /// Another lanchat version, with which there is no talking.
    pub incompatible: bool,
    /// The name is pinned to another key.
    pub name_conflict: bool,
    /// The address in use.
    pub address: Option<String>,
    /// Open rooms, with `#`.
    pub rooms: Vec<String>,
    /// Round-trip time in milliseconds.
    pub rtt_ms: Option<f64>,
    /// A one-shot command and nobody to talk to.
    pub transient: bool,
}

/// The people who are here, of those that events told of.
#[derive(Default)]
pub struct Roster {
    here: BTreeMap<PeerId, Person>,
}

impl Person {
    /// The person of a `peer` event; none of any other.
    #[must_use]
    pub fn of(event: &Event) -> Option<Person> {
        let Event::Peer {
            reference: _,
            peer,
            state,
            status,
            status_text,
            confirmed,
            incompatible,
            name_conflict,
            addresses,
            rooms,
            rtt_ms,
            transient,
        } = event
        else {
            return None;
        };
        Some(Person {
            peer: PeerRef {
                name: line(&peer.name),
                tag: line(&peer.tag),
                ..peer.clone()
            },
            state: *state,
            status: *status,
            status_text: line(status_text),
            confirmed: *confirmed,
            incompatible: *incompatible,
            name_conflict: *name_conflict,
            address: addresses.first().map(|address| line(address)),
            rooms: rooms.clone(),
            rtt_ms: *rtt_ms,
            transient: *transient,
        })
    }

    /// Whether they are thought to be on the network now.
    #[must_use]
    pub fn is_here(&self) -> bool {
        matches!(self.state, PeerState::Online | PeerState::Suspect)
    }

    /// The columns of `lanchat who`: name, tag, state, status, address, rtt. `-` for what is
    /// not known.
    #[must_use]
    pub fn columns(&self) -> [String; 6] {
        [
            self.peer.name.clone(),
            self.peer.tag.clone(),
            state_word(self.state).to_owned(),
            self.status_column(),
            self.address.clone().unwrap_or_else(|| "-".to_owned()),
            match self.rtt_ms {
                Some(ms) => format!("{ms:.1} ms"),
                None => "-".to_owned(),
            },
        ]
    }

    fn status_column(&self) -> String {
        if self.incompatible {
            return "another lanchat version, cannot talk".to_owned();
        }
        let mut text = status_word(self.status).to_owned();
        if !self.status_text.is_empty() {
            text += &format!(" ({})", self.status_text);
        }
        if self.name_conflict {
            text += ", not the one you know by this name";
        }
        text
    }
}

/// These people sorted by name, a line each, in aligned columns.
#[must_use]
pub fn table(people: impl IntoIterator<Item = Person>) -> Vec<String> {
    let mut people: Vec<Person> = people.into_iter().collect();
    people.sort_by_cached_key(|person| (person.peer.name.to_lowercase(), person.peer.id));
    let rows: Vec<[String; 6]> = people.iter().map(Person::columns).collect();
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.width().max(*width);
        }
    }
    rows.iter().map(|row| aligned(row, &widths)).collect()
}

fn aligned(row: &[String; 6], widths: &[usize; 6]) -> String {
    let mut text = String::new();
    for (cell, width) in row.iter().zip(widths) {
        text += cell;
        let fill = width.saturating_sub(cell.width()) + 2;
        text.extend(std::iter::repeat_n(' ', fill));
    }
    text.trim_end().to_owned()
}

impl Roster {
    /// Takes in a `peer` event. Answers what to tell people of it, if anything.
    pub fn update(&mut self, event: &Event) -> Option<String> {
        let new = Person::of(event)?;
        let old = self.here.remove(&new.peer.id);
        if new.is_here() {
            self.here.insert(new.peer.id, new.clone());
        }
        if new.transient {
            return None;
        }
        self.change(old.as_ref(), &new)
    }

    /// A name, with the tag where two people who are here share it.
    #[must_use]
    pub fn label(&self, peer: &PeerRef) -> String {
        let name = line(&peer.name);
        let lower = name.to_lowercase();
        let shared = self
            .here
            .values()
            .any(|other| other.peer.id != peer.id && other.peer.name.to_lowercase() == lower);
        if shared {
            format!("{name}~{}", line(&peer.tag))
        } else {
            name
        }
    }

    fn change(&self, old: Option<&Person>, new: &Person) -> Option<String> {
        let label = self.label(&new.peer);
        let Some(old) = old else {
            return new.is_here().then(|| arrival(&label, new));
        };
        match new.state {
            PeerState::Left => return Some(format!("{label} left")),
            PeerState::Offline => return Some(format!("{label} cannot be reached any more")),
            PeerState::Online | PeerState::Suspect => {}
        }
        if old.peer.name != new.peer.name {
            return Some(format!("{} is now called {label}", old.peer.name));
        }
        if new.name_conflict && !old.name_conflict {
            return Some(arrival(&label, new));
        }
        if (old.status, &old.status_text) != (new.status, &new.status_text) {
            return Some(format!("{label} is {}", new.status_column()));
        }
        None
    }
}

/// A `room` event on one line; empty for any other.
#[must_use]
pub fn room_line(event: &Event) -> String {
    let Event::Room {
        room,
        joined,
        locked,
        members,
        topic,
        ..
    } = event
    else {
        return String::new();
    };
    let mut text = format!("{}  {} here", line(room), members.len());
    for (is_so, word) in [(*joined, ", joined"), (*locked, ", locked")] {
        if is_so {
            text += word;
        }
    }
    if !topic.is_empty() {
        text += &format!("  {}", line(topic));
    }
    text
}

fn arrival(label: &str, person: &Person) -> String {
    if person.incompatible {
        return format!("{label} has another lanchat version, cannot talk");
    }
    if person.name_conflict {
        let tag = &person.peer.tag;
        return format!("{label} is here ({tag}), not the one you know by this name");
    }
    format!("{label} is here")
}

/// The word of a state, as in JSON.
#[must_use]
pub fn state_word(state: PeerState) -> &'static str {
    match state {
        PeerState::Online => "online",
        PeerState::Suspect => "suspect",
        PeerState::Offline => "offline",
        PeerState::Left => "left",
    }
}

/// The word of a status, as in JSON.
#[must_use]
pub fn status_word(status: Status) -> &'static str {
    match status {
        Status::Available => "available",
        Status::Away => "away",
        Status::Busy => "busy",
    }
}

/// `text` on one line.
pub(crate) fn line(text: &str) -> String {
    DisplayText::line(text).into_string()
}

/// Peers for the tests of front ends.
#[cfg(test)]
pub(crate) mod fake {
    use std::time::Instant;

    use super::*;
    use crate::proto::Now;

    #[allow(clippy::disallowed_methods)]
    pub(crate) fn now() -> Now {
        Now {
            mono: Instant::now(),
            wall_ms: 1_700_000_000_000,
        }
    }

    pub(crate) fn peer_ref(name: &str, id: u8) -> PeerRef {
        let id = PeerId([id; 32]);
        PeerRef {
            id,
            name: name.to_owned(),
            tag: id.tag(),
            verified: false,
        }
    }

    /// Online, confirmed, in `#lobby`.
    pub(crate) fn peer(name: &str, id: u8) -> Event {
        Event::Peer {
            reference: None,
            peer: peer_ref(name, id),
            state: PeerState::Online,
            status: Status::Available,
            status_text: String::new(),
            confirmed: true,
            incompatible: false,
            name_conflict: false,
            addresses: vec![format!("10.0.0.{id}:5263")],
            rooms: vec!["#lobby".to_owned()],
            rtt_ms: Some(0.44),
            transient: false,
        }
    }

    /// The same peer in another state.
    pub(crate) fn in_state(mut event: Event, new: PeerState) -> Event {
        if let Event::Peer { state, .. } = &mut event {
            *state = new;
        }
        event
    }
}

#[cfg(test)]
mod tests {
    use super::fake::{in_state, peer, peer_ref};
    use super::*;

    #[test]
    fn a_table_is_sorted_and_aligned_by_what_is_seen() {
        let people = [peer("zoë", 1), peer("Ben", 2), peer("世界", 130)];
        let mut away = peer("ana", 3);
        if let Event::Peer {
            status,
            status_text,
            rtt_ms,
            addresses,
            ..
        } = &mut away
        {
            (*status, *status_text) = (Status::Away, "lunch\nfake  row".into());
            (*rtt_ms, *addresses) = (None, Vec::new());
        }
        let all = people.iter().chain([&away]);
        let tag = |id: u8| PeerId([id; 32]).tag();
        assert_eq!(
            table(all.filter_map(Person::of)),
            [
                format!(
                    "ana   {}  online  away (lunch fake  row)  -                -",
                    tag(3)
                ),
                format!(
                    "Ben   {}  online  available               10.0.0.2:5263    0.4 ms",
                    tag(2)
                ),
                format!(
                    "zoë   {}  online  available               10.0.0.1:5263    0.4 ms",
                    tag(1)
                ),
                format!(
                    "世界  {}  online  available               10.0.0.130:5263  0.4 ms",
                    tag(130)
                ),
            ]
        );
        assert!(table([]).is_empty());
    }

    #[test]
    fn changes_are_told_once() {
        let mut roster = Roster::default();
        let ben = peer("ben", 1);
        assert_eq!(roster.update(&ben).as_deref(), Some("ben is here"));
        assert_eq!(roster.update(&ben), None);
        let suspect = in_state(ben.clone(), PeerState::Suspect);
        assert_eq!(roster.update(&suspect), None, "may be back in a moment");
        let named = peer("bob", 1);
        let told = roster.update(&named);
        assert_eq!(told.as_deref(), Some("ben is now called bob"));
        let left = in_state(named, PeerState::Left);
        assert_eq!(roster.update(&left).as_deref(), Some("bob left"));
        assert_eq!(roster.update(&left), None);
        let gone = in_state(ben.clone(), PeerState::Offline);
        assert_eq!(roster.update(&gone), None, "was not here");
        roster.update(&ben);
        let told = roster.update(&gone);
        assert_eq!(told.as_deref(), Some("ben cannot be reached any more"));
    }

    #[test]
    fn one_shot_commands_are_not_announced() {
        let mut event = peer("ben", 1);
        if let Event::Peer { transient, .. } = &mut event {
            *transient = true;
        }
        assert_eq!(Roster::default().update(&event), None);
    }

    #[test]
    fn namesakes_carry_their_tags_while_both_are_here() {
        let mut roster = Roster::default();
        roster.update(&peer("ben", 1));
        assert_eq!(roster.label(&peer_ref("ben", 1)), "ben");
        let other = peer("Ben", 2);
        roster.update(&other);
        let tagged = format!("ben~{}", PeerId([1; 32]).tag());
        assert_eq!(roster.label(&peer_ref("ben", 1)), tagged);
        roster.update(&in_state(other, PeerState::Left));
        assert_eq!(roster.label(&peer_ref("ben", 1)), "ben");
    }
}
