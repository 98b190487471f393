//! `lanchat history`: what was said, from the store, whether or not a node runs on it.

use std::io::Write as _;
use std::path::PathBuf;

use chrono::{DateTime, Local, NaiveDate, TimeZone as _};
use clap::Args as ClapArgs;

use super::settings::Settings;
use super::{data_dir, output, own_identity};
use crate::api::Event;
use crate::api::history::line;
use crate::control::json;
use crate::durable::Query;
use crate::error::{ExitCode, UserError};
use crate::id::{MessageId, PeerId};
use crate::proto::history::{Archive, Wanted};
use crate::runtime::Clock;
use crate::store::{FILE, Reader, Store, owner_only};

/// Lines shown where no other number was asked for.
const LINES: usize = 200;

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
        let none = || {
            let hint = "lanchat begins to keep what is said when it runs";
            UserError::new(ExitCode::NotFound, "nothing was said here yet").hint(hint)
        };
        if !dir.join(FILE).exists() {
            // Nor is an identity made of it.
            return Err(none());
        }
        let own = own_identity(settings)?.id();
        // Where no node runs, a store of an older version is brought up to date.
        if Reader::open(dir, &own).is_err()
            && let Ok(lock) = data_dir::lock(dir)
        {
            drop(Store::open(Some(dir), &own)?);
            drop(lock);
        }
        let reader = Reader::open(dir, &own)?.ok_or_else(none)?;
        let text = self.text(&reader, (own, settings.name.as_str()))?;
        match &self.export {
            Some(path) => export(path, &text)?,
            None => {
                output::print(&text)?;
            }
        }
        Ok(ExitCode::Done)
    }

    fn text(&self, reader: &Reader, own: (PeerId, &str)) -> Result<String, UserError> {
        let wanted = Wanted {
            target: self.target.clone(),
            limit: self.limit,
            before: self.before,
            after: self.after,
            since_ms: match self.since {
                Some(Since::At(ms)) => ms,
                Some(Since::Ago(ms)) => Clock::now().wall_ms.saturating_sub(ms),
                None => 0,
            },
            search: self.search.clone(),
        };
        let view = reader.view();
        let find = |query: &Query| view.query(query);
        let (talks, rooms, people) = (view.talks()?, view.rooms()?, view.people()?);
        let events = Archive::new(&find, own, talks, rooms, people).events(&wanted)?;
        let line = |event: &Event| match self.json {
            true => json::to_line(event),
            false => line(event, &Local),
        };
        Ok(events.iter().map(|event| line(event) + "\n").collect())
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
