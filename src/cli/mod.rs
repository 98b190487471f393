//! The command line: arguments to settings, settings to a running command.

pub mod address;
pub mod args;
pub mod config_file;
pub mod data_dir;
pub mod doctor;
pub mod history;
#[cfg(test)]
mod history_tests;
pub mod host;
pub mod identity;
pub mod join;
mod limits;
pub mod log;
pub mod one_shot;
pub mod output;
pub mod plain;
pub mod rooms;
pub mod send;
pub mod settings;
#[cfg(unix)]
mod sys_unix;
#[cfg(windows)]
mod sys_windows;
pub mod target;
#[cfg(test)]
mod tests;
mod text_in;
pub mod who;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};

use clap::Parser;

#[cfg(unix)]
use sys_unix as sys;
#[cfg(windows)]
use sys_windows as sys;

use crate::api::{SelfInfo, Status};
use crate::control::{LineMode, Pipe};
use crate::error::{ExitCode, UserError};
use crate::proto::Identity;
use crate::runtime::{self, FrontEnd, NodeOptions};
use crate::term::{Screen, ScreenOptions};
use args::{Args, Verb};
use data_dir::Lock;
use host::Host;
use settings::Settings;

/// The whole program, from the process's arguments to its exit code. A panic ends it like any
/// other error, after everything on the stack (the terminal above all) was put back.
#[must_use]
pub fn main() -> ExitCode {
    let panicked = Arc::new(Mutex::new(None));
    let first = Arc::clone(&panicked);
    panic::set_hook(Box::new(move |info| {
        tracing::error!(%info, "panic");
        let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| info.to_string());
    }));
    let ended = panic::catch_unwind(AssertUnwindSafe(|| {
        run(std::env::args_os(), &Host::detect())
    }));
    let panicked = panicked.lock().unwrap_or_else(PoisonError::into_inner);
    match (ended, &*panicked) {
        (Ok(code), None) => code,
        (_, what) => {
            let what = what.as_deref().unwrap_or("a panic");
            let message = format!("internal error: {what}");
            let error = UserError::new(ExitCode::Failed, message)
                .hint("this is a bug in lanchat: please report it with this line");
            output::report(&error);
            ExitCode::Failed
        }
    }
}

/// Runs what these arguments ask for, the program's name first, and reports what goes wrong.
#[must_use]
pub fn run(args: impl IntoIterator<Item = OsString>, host: &Host) -> ExitCode {
    let result = match Args::try_parse_from(args) {
        Ok(mut args) => {
            if matches!(args.verb, Some(Verb::Plain(_))) {
                // Those are for the command alone, and no nodes.
                args.options.peer.clear();
            }
            Settings::new(&args, host).and_then(|settings| {
                log::start(&settings)?;
                dispatch(settings)
            })
        }
        Err(error) if args::is_help(&error) => {
            output::print(&error.to_string()).map(|_| ExitCode::Done)
        }
        Err(error) => Err(args::usage_error(&error)),
    };
    result.unwrap_or_else(|error| {
        output::report(&error);
        error.code
    })
}

/// Where each command begins.
fn dispatch(settings: Settings) -> Result<ExitCode, UserError> {
    match settings.verb.clone() {
        None => chat(&settings),
        Some(Verb::Id { json }) => id(&settings, json),
        Some(Verb::Doctor { json }) => doctor::run(&settings, json),
        Some(Verb::History(history)) => history.run(&settings),
        Some(Verb::Plain(plain)) => plain.run(&settings.name),
        Some(Verb::Pipe { stay }) => {
            let mut pipe = Pipe::new(stay).map_err(|error| unusable("stdin", &error))?;
            start(&settings, false, &mut pipe)
        }
        Some(Verb::Who { wait, json, watch }) => {
            start(&settings, true, &mut who::Who::new(wait, json, watch))
        }
        Some(Verb::Rooms { wait, json }) => {
            start(&settings, true, &mut rooms::Rooms::new(wait, json))
        }
        Some(Verb::Join {
            room,
            passphrase_file,
            generate,
        }) => {
            remembers(&settings)?;
            let phrase = passphrase_file.as_deref().map(join::read_passphrase);
            let mut change = join::Change::join(&room, phrase.transpose()?, generate);
            start(&settings, true, &mut change)
        }
        Some(Verb::Leave { room }) => {
            remembers(&settings)?;
            start(&settings, true, &mut join::Change::leave(&room))
        }
        Some(Verb::Send {
            target,
            text,
            wait,
            json,
        }) => {
            let text = match text.join(" ") {
                words if words.is_empty() || words == "-" => text_in::read_stdin_text()?,
                words => words,
            };
            let send = send::Send::new(&target, text, wait, json);
            start(
                &settings,
                true,
                &mut send.ephemeral(settings.data_dir.is_none()),
            )
        }
    }
}

/// A room is joined or left for the runs to come, which nothing is kept for without a directory.
fn remembers(settings: &Settings) -> Result<(), UserError> {
    if settings.data_dir.is_some() {
        return Ok(());
    }
    let message = "with --ephemeral it would be forgotten at once";
    let hint = "join it in the chat: lanchat --ephemeral, then /join";
    Err(UserError::new(ExitCode::Usage, message).hint(hint))
}

/// The chat itself: the screen on a terminal, line mode where stdin or stdout is none.
fn chat(settings: &Settings) -> Result<ExitCode, UserError> {
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        return start(settings, false, &mut LineMode::new());
    }
    let options = ScreenOptions::from_environment(settings.color.is_on(true));
    let mut screen = Screen::new(options).map_err(|error| unusable("the terminal", &error))?;
    // The screen is gone, and the terminal given back, before anything is reported.
    start(settings, false, &mut screen)
}

fn unusable(what: &str, error: &io::Error) -> UserError {
    UserError::new(ExitCode::Failed, format!("{what} cannot be used: {error}"))
}

/// Runs a node with these settings under this front end, as the only one of its data directory.
/// `transient` is for one-shot commands, which no screen announces.
///
/// # Errors
/// The data directory or the identity cannot be used, another node has them, a peer's name is not
/// found, or whatever ends [`runtime::run`].
pub fn start(
    settings: &Settings,
    transient: bool,
    front_end: &mut dyn FrontEnd,
) -> Result<ExitCode, UserError> {
    let profile = Profile::open(settings)?;
    let mut peers = Vec::new();
    for peer in &settings.peers {
        peers.extend(peer.resolve()?);
    }
    let options = NodeOptions {
        identity: profile.identity,
        name: settings.name.clone(),
        status: Status::default(),
        net: settings.net.clone(),
        peers,
        data_dir: settings.data_dir.clone(),
        transient,
        limits: settings.limits.clone(),
    };
    let ended = runtime::run(options, front_end);
    // Held until here: the store is closed by now.
    drop(profile.lock);
    ended
}

/// Who the node is, and its right to be so.
struct Profile {
    identity: Identity,
    lock: Option<Lock>,
}

impl Profile {
    fn open(settings: &Settings) -> Result<Self, UserError> {
        let Some(dir) = &settings.data_dir else {
            let identity = identity::ephemeral()?;
            return Ok(Profile {
                identity,
                lock: None,
            });
        };
        data_dir::create(dir)?;
        let lock = Some(data_dir::lock(dir)?);
        let identity = own_identity(settings)?;
        Ok(Profile { identity, lock })
    }
}

/// The identity of these settings; says so where others could read it.
fn own_identity(settings: &Settings) -> Result<Identity, UserError> {
    let Some(dir) = &settings.data_dir else {
        return identity::ephemeral();
    };
    data_dir::create(dir)?;
    let loaded = identity::load_or_create(dir)?;
    if loaded.exposed {
        let path = dir.join(identity::FILE);
        let message = format!("warning: others can read or change your identity {path:?}");
        let warning =
            UserError::new(ExitCode::Done, message).hint(format!("chmod 600 {}", path.display()));
        output::report(&warning);
    }
    Ok(loaded.identity)
}

/// `lanchat id`: needs no network and no lock, so it works beside a running node.
fn id(settings: &Settings, json: bool) -> Result<ExitCode, UserError> {
    let id = own_identity(settings)?.id();
    let own = SelfInfo {
        id,
        name: settings.name.to_string(),
        tag: id.tag(),
    };
    let text = match json {
        true => serde_json::to_string(&own).map_err(|error| {
            UserError::new(
                ExitCode::Failed,
                format!("cannot write this as JSON: {error}"),
            )
        })?,
        false => format!("{}~{}\n{}", own.name, own.tag, own.id),
    };
    output::print(&format!("{text}\n"))?;
    Ok(ExitCode::Done)
}
