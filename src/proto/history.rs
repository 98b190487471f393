//! What was said, as people and scripts see it: pages of the store, names, events.
//!
//! One way for all: the `history` command of a running node and `lanchat history` beside it.

use std::collections::BTreeMap;

use crate::api::{Conversation, Event, PeerRef, TextKind, Timestamp};
use crate::durable::{HistoryQuery, LineRow, Loaded, PersonRow, Query, RoomRow, Row, Talk};
use crate::error::{ExitCode, UserError};
use crate::id::{MessageId, PEER_ID_PREFIX_CHARS_MIN, PeerId, RoomId};
use crate::text::{DisplayText, RoomName};
use crate::wire::{EntryKind, PeerRecord};

/// Lines asked of the store at once.
const PAGE: usize = 500;
/// Where somebody is named of whom no record is kept.
const UNKNOWN: &str = "unknown";

/// Which lines are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Of one conversation: `#room`, a name, `name~tag`, the start of an id, or `@` and an id;
    /// else of all.
    pub target: Option<String>,
    /// At most so many: the newest, with `after` the oldest.
    pub limit: usize,
    /// Only what stands before this message.
    pub before: Option<MessageId>,
    /// Only what stands after this message.
    pub after: Option<MessageId>,
    /// Only what was said since then, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// Only lines with all of these words.
    pub search: Option<String>,
}

/// The way into a store.
pub type Find<'a> = &'a dyn Fn(&Query) -> Loaded;

/// What a store holds, and who is named in it.
pub struct Archive<'a> {
    find: Find<'a>,
    own: PeerId,
    talks: Vec<Talk>,
    rooms: BTreeMap<RoomId, String>,
    names: BTreeMap<PeerId, String>,
}

impl<'a> Archive<'a> {
    /// Of what a store has. `own` is this node; its name is used where none is kept.
    #[must_use]
    pub fn new(
        find: Find<'a>,
        (own, own_name): (PeerId, &str),
        talks: Vec<Talk>,
        rooms: Vec<RoomRow>,
        people: Vec<PersonRow>,
    ) -> Archive<'a> {
        let lobby = (RoomId::public("lobby"), "lobby".to_owned());
        let rooms = rooms.into_iter().map(|room| (room.id, room.name));
        let name = |record: &[u8]| Some(PeerRecord::parse(record).ok()?.name.to_string());
        let people = people.into_iter();
        let names = people.filter_map(|person| Some((person.id, name(&person.record)?)));
        Archive {
            find,
            own,
            talks,
            rooms: [lobby].into_iter().chain(rooms).collect(),
            names: [(own, own_name.to_owned())]
                .into_iter()
                .chain(names)
                .collect(),
        }
    }

    /// The `message` events of these lines, oldest first, in the order that converges.
    ///
    /// # Errors
    /// The store cannot be read (1), the target is ambiguous (2), or nothing is kept of the target
    /// or the message (3).
    pub fn events(&self, wanted: &Wanted) -> Result<Vec<Event>, UserError> {
        let lines = self.lines(wanted)?;
        Ok(lines.iter().map(|line| self.event(line)).collect())
    }

    fn lines(&self, wanted: &Wanted) -> Result<Vec<LineRow>, UserError> {
        let mut talks = match &wanted.target {
            Some(target) => vec![self.talk(target)?],
            None => self.talks.clone(),
        };
        for id in [wanted.before, wanted.after].into_iter().flatten() {
            let talk = self.talk_of(id)?;
            if !talks.contains(&talk) {
                return Err(nothing(&format!(
                    "the message {id} is of another conversation"
                )));
            }
            talks = vec![talk];
        }
        let mut all = Vec::new();
        for talk in talks {
            all.extend(self.of_talk(wanted, talk)?);
        }
        if wanted.target.is_none() {
            // Of several conversations by time; each for itself in its order as far as that goes.
            all.sort_by_key(|line| line.hlc);
        }
        let too_many = all.len().saturating_sub(wanted.limit);
        match wanted.after {
            Some(_) => all.truncate(wanted.limit),
            None => drop(all.drain(..too_many)),
        }
        Ok(all)
    }

    /// Pages of one conversation until there is enough or no more.
    fn of_talk(&self, wanted: &Wanted, talk: Talk) -> Result<Vec<LineRow>, UserError> {
        let words = wanted.search.as_deref().unwrap_or_default();
        let mut query = HistoryQuery {
            talk,
            before: wanted.before,
            after: wanted.after,
            limit: PAGE,
            since_ms: wanted.since_ms,
            search: words.split_whitespace().map(str::to_owned).collect(),
        };
        let mut found: Vec<LineRow> = Vec::new();
        loop {
            query.limit = PAGE.min(wanted.limit.saturating_sub(found.len()));
            if query.limit == 0 {
                return Ok(found);
            }
            let mut page = Vec::new();
            let mut next = None;
            for row in self.query(&Query::History(query.clone()))? {
                match row {
                    Row::Line(line) => page.push(*line),
                    Row::Rest { id } => next = Some(id),
                    _ => {}
                }
            }
            let full = page.len() == query.limit;
            let edge = match wanted.after {
                Some(_) => page.last(),
                None => page.first(),
            };
            next = next.or_else(|| edge.filter(|_| full).map(|line| line.id));
            page.retain(|line| self.is_shown(line));
            match wanted.after {
                Some(_) => found.append(&mut page),
                None => {
                    page.append(&mut found);
                    found = page;
                }
            }
            match (next, wanted.after) {
                (None, _) => return Ok(found),
                (next, Some(_)) => query.after = next,
                (next, None) => query.before = next,
            }
        }
    }

    fn query(&self, query: &Query) -> Found {
        let failed = |failure: crate::durable::StoreFailure| {
            UserError::new(ExitCode::Failed, failure.0).hint("try it again")
        };
        (self.find)(query).map_err(failed)
    }

    /// Whether a line is one: what takes another back only where that is its author's.
    fn is_shown(&self, line: &LineRow) -> bool {
        if line.at.is_none() || line.kind != EntryKind::REDACTION.0 {
            return true;
        }
        let of = |id: &[u8; 16]| self.query(&Query::Message { id: MessageId(*id) });
        let target = line.deps.first().and_then(|id| of(id).ok()?.pop());
        matches!(target, Some(Row::Line(target)) if target.author == line.author)
    }

    /// The conversation of this message.
    fn talk_of(&self, id: MessageId) -> Result<Talk, UserError> {
        match self.query(&Query::Message { id })?.first() {
            Some(Row::Line(line)) => Ok(line.talk),
            _ => Err(nothing(&format!("no message {id} is kept here"))),
        }
    }

    /// The conversation that is meant.
    fn talk(&self, text: &str) -> Result<Talk, UserError> {
        let none = || nothing(&format!("nothing is kept of {text}"));
        if let Some(Ok(room)) = text.strip_prefix('#').map(RoomName::new) {
            let name = room.as_str();
            let named = self.rooms.iter().filter(|(_, known)| *known == name);
            let ids = named.map(|(id, _)| *id).chain([RoomId::public(name)]);
            let mut talks = ids.map(Talk::Room);
            return talks
                .find(|talk| self.talks.contains(talk))
                .ok_or_else(none);
        }
        let people = self.talks.iter().filter_map(|talk| match talk {
            Talk::Peer(id) => Some(*id),
            Talk::Room(_) => None,
        });
        let fits: Vec<PeerId> = people.filter(|id| self.is_meant(id, text)).collect();
        match fits[..] {
            [] => Err(none()),
            [id] => Ok(Talk::Peer(id)),
            _ => {
                let labels: Vec<String> = fits.iter().map(|id| self.label(id)).collect();
                let message = format!("{text} fits several people: {}", labels.join(", "));
                let hint = "write name~tag, or more characters of the id";
                Err(UserError::new(ExitCode::Usage, message).hint(hint))
            }
        }
    }

    fn is_meant(&self, id: &PeerId, text: &str) -> bool {
        let text = text.strip_prefix('@').unwrap_or(text);
        let prefix = text.len() >= PEER_ID_PREFIX_CHARS_MIN
            && id.to_string().starts_with(&text.to_ascii_lowercase());
        let name = self.name(id).to_lowercase();
        let text = text.to_lowercase();
        prefix || name == text || format!("{name}~{}", id.tag()) == text
    }

    fn name(&self, id: &PeerId) -> &str {
        self.names.get(id).map_or(UNKNOWN, String::as_str)
    }

    fn label(&self, id: &PeerId) -> String {
        format!("{}~{}", self.name(id), id.tag())
    }

    fn event(&self, line: &LineRow) -> Event {
        let conversation = match line.talk {
            Talk::Peer(id) => Conversation::Peer(id),
            Talk::Room(id) => Conversation::Room(match self.rooms.get(&id) {
                Some(name) => name.clone(),
                None => id.tag().to_string(),
            }),
        };
        let own = line.author == self.own;
        let (kind, text) = words(line);
        Event::Message {
            reference: None,
            id: line.id,
            conversation,
            from: PeerRef {
                id: line.author,
                name: self.name(&line.author).to_owned(),
                tag: line.author.tag(),
                verified: own,
            },
            own,
            kind,
            text,
            time: Timestamp(line.hlc >> 16),
            delayed: false,
            answers: line
                .deps
                .first()
                .filter(|_| matches!(kind, TextKind::Reply | TextKind::Redaction))
                .map(|&id| MessageId(id)),
            redacted: line.body.is_none(),
        }
    }
}

/// Rows, or for a person why there are none.
type Found = Result<Vec<Row>, UserError>;

/// The kind and the text that may be shown.
fn words(line: &LineRow) -> (TextKind, String) {
    let kind = match EntryKind(line.kind) {
        EntryKind::TEXT => TextKind::Text,
        EntryKind::ACTION => TextKind::Action,
        EntryKind::TOPIC => TextKind::Topic,
        EntryKind::REPLY => TextKind::Reply,
        EntryKind::REDACTION => TextKind::Redaction,
        _ if line.body.is_some() => return (TextKind::Text, "(needs a newer lanchat)".to_owned()),
        _ => TextKind::Text,
    };
    let text = match &line.body {
        Some(body) if !body.is_empty() => DisplayText::from_wire(body)
            .map_or_else(|| "(not text)".to_owned(), DisplayText::into_string),
        _ => String::new(),
    };
    (kind, text)
}

fn nothing(message: &str) -> UserError {
    let hint = "the history without a target shows everything that is kept";
    UserError::new(ExitCode::NotFound, message).hint(hint)
}
