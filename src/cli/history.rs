//! `lanchat history`: what was said, from the store, whether or not a node runs on it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use chrono::{DateTime, Local, NaiveDate, TimeZone as _, Utc};
use clap::Args as ClapArgs;

use super::settings::Settings;
use super::target::Target;
use super::{data_dir, output, own_identity};
use crate::api::{Conversation, Event, PeerRef, TextKind, Timestamp};
use crate::control::json;
use crate::durable::{HistoryQuery, LineRow, Query, Row, Talk};
use crate::error::{ExitCode, UserError};
use crate::id::{MessageId, PEER_ID_PREFIX_CHARS_MIN, PeerId, RoomId};
use crate::runtime::Clock;
use crate::store::{Reader, Store, owner_only};
use crate::text::DisplayText;
use crate::wire::{EntryKind, PeerRecord};

/// Lines shown where no other number was asked for.
const LINES: usize = 200;
/// Lines asked of the store at once.
const PAGE: usize = 500;

/// What of what was said is to be shown.
#[derive(ClapArgs, Clone, PartialEq, Debug)]
pub struct History {
    /// Of one conversation: '#room', a name, name~tag, or the start of an id; else of all
    #[arg(value_name = "TARGET")]
    target: Option<String>,
    /// Only lines with all of these words
    #[arg(long, value_name = "WORDS")]
    search: Option<String>,
    /// At most so many lines, the newest
    #[arg(long, value_name = "N", default_value_t = LINES)]
    limit: usize,
    /// Only what was said since then
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
    /// Only what stands before this message
    #[arg(long, value_name = "ID")]
    before: Option<MessageId>,
    /// Only what stands after this message, the oldest first
    #[arg(long, value_name = "ID")]
    after: Option<MessageId>,
    /// Write it to this file, which must not exist yet
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// Print JSON, one `message` object a line
    #[arg(long)]
    json: bool,
}

/// From when on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Since {
    /// Milliseconds since the Unix epoch.
    At(u64),
    /// So many milliseconds ago.
    Ago(u64),
}

fn since(text: &str) -> Result<Since, String> {
    let wrong = || "it must be a date, a time as 2026-11-21T09:30:00Z, or 30m, 12h, 7d".to_owned();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        let ms = u64::try_from(time.timestamp_millis());
        return ms.map(Since::At).map_err(|_| wrong());
    }
    if let Ok(date) = text.parse::<NaiveDate>() {
        let midnight = date.and_hms_opt(0, 0, 0).ok_or_else(wrong)?;
        let local = Local.from_local_datetime(&midnight).earliest();
        let ms = local.and_then(|time| u64::try_from(time.timestamp_millis()).ok());
        return ms.map(Since::At).ok_or_else(wrong);
    }
    let unit = match text.chars().last() {
        Some('s') => 1000,
        Some('m') => 60 * 1000,
        Some('h') => 60 * 60 * 1000,
        Some('d') => 24 * 60 * 60 * 1000,
        _ => return Err(wrong()),
    };
    let number = text[..text.len() - 1].parse::<u64>().map_err(|_| wrong())?;
    Ok(Since::Ago(number.saturating_mul(unit)))
}

impl History {
    /// Prints it.
    ///
    /// # Errors
    /// The store cannot be read (1), the target is ambiguous or the settings keep nothing on disk
    /// (2), or nothing is kept of the target or the message (3).
    pub fn run(&self, settings: &Settings) -> Result<ExitCode, UserError> {
        let Some(dir) = &settings.data_dir else {
            let message = "there is no history with --ephemeral: nothing is kept";
            return Err(UserError::new(ExitCode::Usage, message)
                .hint("leave it out, or name a directory with --data-dir"));
        };
        let own = own_identity(settings)?.id();
        // Where no node runs, a store of an older version is brought up to date.
        if Reader::open(dir, &own).is_err()
            && let Ok(lock) = data_dir::lock(dir)
        {
            drop(Store::open(Some(dir), &own)?);
            drop(lock);
        }
        let Some(reader) = Reader::open(dir, &own)? else {
            return Err(nothing("nothing was said here yet"));
        };
        let own = (own, settings.name.to_string());
        let archive = Archive::new(reader, own)?;
        let text = self.text(&archive)?;
        match &self.export {
            Some(path) => export(path, &text)?,
            None => {
                output::print(&text)?;
            }
        }
        Ok(ExitCode::Done)
    }

    fn text(&self, archive: &Archive) -> Result<String, UserError> {
        let lines = self.lines(archive)?;
        let text = |line: &LineRow| {
            let event = archive.event(line);
            match self.json {
                true => json::to_line(&event),
                false => plain(&event),
            }
        };
        Ok(lines.iter().map(|line| text(line) + "\n").collect())
    }

    fn lines(&self, archive: &Archive) -> Result<Vec<LineRow>, UserError> {
        let mut talks = match &self.target {
            Some(target) => vec![archive.talk(target)?],
            None => archive.talks.clone(),
        };
        for id in [self.before, self.after].into_iter().flatten() {
            let talk = archive.talk_of(id)?;
            if !talks.contains(&talk) {
                return Err(nothing(&format!(
                    "the message {id} is of another conversation"
                )));
            }
            talks = vec![talk];
        }
        let mut all = Vec::new();
        for talk in talks {
            all.extend(self.of_talk(archive, talk)?);
        }
        if self.target.is_none() {
            // Of several conversations by time; each for itself in its order as far as that goes.
            all.sort_by_key(|line| line.hlc);
        }
        let too_many = all.len().saturating_sub(self.limit);
        match self.after {
            Some(_) => all.truncate(self.limit),
            None => drop(all.drain(..too_many)),
        }
        Ok(all)
    }

    /// Pages of one conversation until there is enough or no more.
    fn of_talk(&self, archive: &Archive, talk: Talk) -> Result<Vec<LineRow>, UserError> {
        let words = self.search.as_deref().unwrap_or_default();
        let mut query = HistoryQuery {
            talk,
            before: self.before,
            after: self.after,
            limit: PAGE,
            since_ms: match self.since {
                Some(Since::At(ms)) => ms,
                Some(Since::Ago(ms)) => Clock::now().wall_ms.saturating_sub(ms),
                None => 0,
            },
            search: words.split_whitespace().map(str::to_owned).collect(),
        };
        let mut found: Vec<LineRow> = Vec::new();
        loop {
            query.limit = PAGE.min(self.limit - found.len());
            if query.limit == 0 {
                return Ok(found);
            }
            let mut page = Vec::new();
            let mut next = None;
            for row in archive.query(&Query::History(query.clone()))? {
                match row {
                    Row::Line(line) => page.push(*line),
                    Row::Rest { id } => next = Some(id),
                    _ => {}
                }
            }
            let full = page.len() == query.limit;
            let edge = match self.after {
                Some(_) => page.last(),
                None => page.first(),
            };
            next = next.or_else(|| edge.filter(|_| full).map(|line| line.id));
            match self.after {
                Some(_) => found.append(&mut page),
                None => {
                    page.append(&mut found);
                    found = page;
                }
            }
            match (next, self.after) {
                (None, _) => return Ok(found),
                (next, Some(_)) => query.after = next,
                (next, None) => query.before = next,
            }
        }
    }
}

/// The store and who is named in it.
struct Archive {
    reader: Reader,
    own: (PeerId, String),
    talks: Vec<Talk>,
    rooms: BTreeMap<RoomId, String>,
    names: BTreeMap<PeerId, String>,
}

impl Archive {
    fn new(reader: Reader, own: (PeerId, String)) -> Result<Archive, UserError> {
        let mut rooms: BTreeMap<RoomId, String> =
            [(RoomId::public("lobby"), "lobby".to_owned())].into();
        rooms.extend(reader.rooms()?.into_iter().map(|room| (room.id, room.name)));
        let name = |record: &[u8]| Some(PeerRecord::parse(record).ok()?.name.to_string());
        let people = reader.people()?.into_iter();
        let names = people.filter_map(|person| Some((person.id, name(&person.record)?)));
        Ok(Archive {
            names: names.collect(),
            talks: reader.talks()?,
            rooms,
            reader,
            own,
        })
    }

    fn query(&self, query: &Query) -> Result<Vec<Row>, UserError> {
        let failed = |failure: crate::durable::StoreFailure| {
            UserError::new(ExitCode::Failed, failure.0).hint("try it again")
        };
        self.reader.query(query).map_err(failed)
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
        if let Target::Room(room) = Target::new(text) {
            let name = room.trim_start_matches('#');
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
        match self.names.get(id) {
            _ if *id == self.own.0 => &self.own.1,
            Some(name) => name,
            None => "unknown",
        }
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
        let (kind, text) = words(line);
        Event::Message {
            id: line.id,
            conversation,
            from: PeerRef {
                id: line.author,
                name: self.name(&line.author).to_owned(),
                tag: line.author.tag(),
                verified: line.own,
            },
            own: line.own,
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

/// The kind and the text that may be shown.
fn words(line: &LineRow) -> (TextKind, String) {
    let kind = match line.kind {
        kind if kind == EntryKind::ACTION.0 => TextKind::Action,
        kind if kind == EntryKind::TOPIC.0 => TextKind::Topic,
        kind if kind == EntryKind::REPLY.0 => TextKind::Reply,
        kind if kind == EntryKind::REDACTION.0 => TextKind::Redaction,
        _ => TextKind::Text,
    };
    let is_text = line.kind == EntryKind::TEXT.0 || kind != TextKind::Text;
    let text = match &line.body {
        None => String::new(),
        Some(_) if !is_text => "(needs a newer lanchat)".to_owned(),
        Some(body) if body.is_empty() => String::new(),
        Some(body) => DisplayText::from_wire(body)
            .map_or_else(|| "(not text)".to_owned(), DisplayText::into_string),
    };
    (kind, text)
}

/// One line for a person; what has several lines goes on indented.
fn plain(event: &Event) -> String {
    let Event::Message {
        conversation,
        from,
        kind,
        text,
        time,
        redacted,
        ..
    } = event
    else {
        return String::new();
    };
    let name = DisplayText::line(&from.name).into_string();
    let place = match conversation {
        Conversation::Room(room) => format!("#{}", DisplayText::line(room).as_str()),
        Conversation::Peer(id) => format!("@{}", id.tag()),
    };
    let text = text.replace('\n', "\n    ");
    let said = match kind {
        _ if *redacted => format!("{name}: (taken back)"),
        TextKind::Text | TextKind::Reply => format!("{name}: {text}"),
        TextKind::Topic => format!("* {name} set the topic: {text}"),
        TextKind::Redaction => format!("* {name} took a message back"),
        TextKind::Action => format!("* {name} {text}"),
    };
    format!("{} {place} {said}", moment(*time))
}

/// Date and time in the local zone; anybody can claim any time.
fn moment(time: Timestamp) -> String {
    let utc = i64::try_from(time.0)
        .ok()
        .filter(|&ms| ms < 253_000_000_000_000)
        .and_then(DateTime::<Utc>::from_timestamp_millis);
    match utc {
        Some(utc) => utc
            .with_timezone(&Local)
            .format("%Y-%m-%d %H:%M")
            .to_string(),
        None => "----/--/-- --:--".to_owned(),
    }
}

fn export(path: &PathBuf, text: &str) -> Result<(), UserError> {
    let written = owner_only()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
        });
    written.map_err(|error| {
        UserError::new(ExitCode::Failed, format!("cannot write {path:?}: {error}"))
            .hint("name another file; one that exists is not overwritten")
    })
}

fn nothing(message: &str) -> UserError {
    let hint = "lanchat history without a target shows everything that is kept";
    UserError::new(ExitCode::NotFound, message).hint(hint)
}
