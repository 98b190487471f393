//! `--log` and `-v`: where diagnostics go.

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::{self, SubscriberBuilder};

use super::settings::Settings;
use crate::error::{ExitCode, UserError};
use crate::store::owner_only;

/// Begins to log as these settings ask: to the file, or with `-v` alone to standard error, unless
/// a screen would be drawn over. Without either nothing is logged.
///
/// # Errors
/// The file cannot be opened for appending.
pub fn start(settings: &Settings) -> Result<(), UserError> {
    let begun = match &settings.log {
        Some(path) => {
            let file = owner_only().append(true).create(true).open(path);
            let file = file.map_err(|error| {
                let message = format!("cannot write the log {path:?}: {error}");
                UserError::new(ExitCode::Failed, message).hint("name another file with `--log`")
            })?;
            builder(settings.verbose).with_writer(file).try_init()
        }
        None if settings.verbose > 0 && !draws(settings) => {
            // The first -v asks for output at all.
            builder(settings.verbose - 1)
                .with_writer(io::stderr)
                .try_init()
        }
        None => return Ok(()),
    };
    // Somebody else's subscriber is there already (a test's): theirs, then.
    let _ = begun;
    Ok(())
}

/// Plain text, no colours: values are written by `Debug`, so that nothing from outside reaches a
/// terminal by way of the log.
fn builder(
    verbose: u8,
) -> SubscriberBuilder<fmt::format::DefaultFields, fmt::format::Format, LevelFilter> {
    let level = match verbose {
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt()
        .with_ansi(false)
        .log_internal_errors(false)
        .with_max_level(level)
}

fn draws(settings: &Settings) -> bool {
    settings.verb.is_none() && io::stderr().is_terminal()
}
