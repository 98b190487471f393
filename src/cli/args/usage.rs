//! What clap says of a wrong command line, as one sentence and a hint.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::error::{ExitCode, UserError};

/// Whether this is no error but `--help` or `--version`, whose text goes to standard output.
#[must_use]
pub fn is_help(error: &clap::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    )
}

/// An error of the command line as one sentence and a hint.
#[must_use]
pub fn usage_error(error: &clap::Error) -> UserError {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(", ")),
        _ => None,
    };
    let arg = text(ContextKind::InvalidArg).unwrap_or_default();
    let value = text(ContextKind::InvalidValue).unwrap_or_default();
    let message = match error.kind() {
        ErrorKind::UnknownArgument if arg.starts_with('-') => {
            format!("there is no option {arg:?} here")
        }
        ErrorKind::UnknownArgument => format!("{arg:?} is too much here"),
        ErrorKind::InvalidSubcommand => {
            let name = text(ContextKind::InvalidSubcommand).unwrap_or_default();
            format!("there is no command {name:?}")
        }
        ErrorKind::InvalidValue if value.is_empty() => format!("{arg} needs a value"),
        ErrorKind::ValueValidation => {
            let reason = std::error::Error::source(error).map(ToString::to_string);
            let reason = reason.unwrap_or_else(|| "it is not understood".to_owned());
            format!("{arg} cannot be {value:?}: {reason}")
        }
        ErrorKind::MissingRequiredArgument => format!("{arg} is missing"),
        ErrorKind::ArgumentConflict => {
            let other = text(ContextKind::PriorArg).unwrap_or_default();
            format!("{arg} cannot be used together with {other}")
        }
        ErrorKind::TooManyValues => format!("{value:?} is too much here"),
        // What clap says first is a sentence too.
        _ => {
            let rendered = error.to_string();
            let line = rendered.lines().next().unwrap_or_default();
            line.trim_start_matches("error: ").to_owned()
        }
    };
    let suggestion = text(ContextKind::SuggestedArg)
        .or_else(|| text(ContextKind::SuggestedSubcommand))
        .filter(|suggestion| !suggestion.is_empty());
    UserError::new(ExitCode::Usage, message).hint(match suggestion {
        Some(suggestion) => format!("did you mean {suggestion:?}? `lanchat --help` shows all"),
        None => "`lanchat --help` shows what there is".to_owned(),
    })
}
