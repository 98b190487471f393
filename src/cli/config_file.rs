//! `config.toml`: the options under their own names, every complaint with its line.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::host::Host;
use super::limits;
use super::settings::{Given, Kind, Layer, OPTIONS, OptionSpec, Origin};
use crate::error::{ExitCode, UserError};

/// What the file gives: the one that was asked for, which then has to exist, or the usual one.
///
/// # Errors
/// It cannot be read, is not TOML, holds an unknown key or a value of a wrong kind.
pub fn read(asked: Option<PathBuf>, host: &Host) -> Result<Layer, UserError> {
    let required = asked.is_some();
    let usual = || {
        Some(
            host.config_home
                .as_ref()?
                .join("lanchat")
                .join("config.toml"),
        )
    };
    let Some(path) = asked.or_else(usual) else {
        return Ok(Layer::new());
    };
    match fs::read_to_string(&path) {
        Ok(text) => parse(&text, &path),
        // A home that is no directory has no settings either; what needs one says so.
        Err(error) if !required && is_absent(&error) => Ok(Layer::new()),
        Err(error) => {
            let message = format!("cannot read the settings in {path:?}: {error}");
            Err(UserError::new(ExitCode::Usage, message)
                .hint("name another file with `--config`, or make this one readable"))
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// What this text gives.
///
/// # Errors
/// As for [`read`].
pub fn parse(text: &str, path: &Path) -> Result<Layer, UserError> {
    let at = |span: Range<usize>| Place {
        path,
        line: line_of(text, span.start),
    };
    let table = DeTable::parse(text).map_err(|error| {
        let place = at(error.span().unwrap_or(0..0));
        let reason = error
            .message()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        place.error(&reason, "settings look like this: port = 5262")
    })?;
    let mut layer = Layer::new();
    for (key, value) in table.get_ref() {
        let place = at(key.span());
        let name: &str = key.get_ref();
        if !limits::is_table(name) {
            take(&mut layer, name, value.get_ref(), &place)?;
            continue;
        }
        let DeValue::Table(inner) = value.get_ref() else {
            let hint = format!("begin a table with a line: [{name}]");
            return Err(place.error(&format!("{name} must be a table"), &hint));
        };
        for (key, value) in inner {
            let name = format!("{name}.{}", key.get_ref());
            take(&mut layer, &name, value.get_ref(), &at(key.span()))?;
        }
    }
    Ok(layer)
}

/// Puts one setting into the layer.
fn take(
    layer: &mut Layer,
    name: &str,
    value: &DeValue<'_>,
    place: &Place<'_>,
) -> Result<(), UserError> {
    let option = find(name).ok_or_else(|| unknown(name, place))?;
    let values = values(option.kind, value).ok_or_else(|| {
        let message = format!("{} must be {}", option.key, expected(option.kind));
        place.error(&message, &format!("for example: {}", example(option)))
    })?;
    let origin = Origin::File {
        key: option.key,
        path: place.path.to_owned(),
        line: place.line,
    };
    layer.insert(option.key, Given { values, origin });
    Ok(())
}

/// Where in which file.
struct Place<'a> {
    path: &'a Path,
    line: usize,
}

impl Place<'_> {
    fn error(&self, what: &str, hint: &str) -> UserError {
        let message = format!("{:?} line {}: {what}", self.path, self.line);
        UserError::new(ExitCode::Usage, message).hint(hint)
    }
}

fn find(key: &str) -> Option<OptionSpec> {
    // A file that names itself would only confuse.
    known().find(|option| option.key == key)
}

/// Everything the file may set.
fn known() -> impl Iterator<Item = OptionSpec> {
    let options = OPTIONS.into_iter().filter(|option| option.key != "config");
    options.chain(limits::specs())
}

fn unknown(key: &str, place: &Place<'_>) -> UserError {
    let hint = match find(&key.to_lowercase().replace('_', "-")) {
        Some(option) => format!("did you mean {}?", option.key),
        None => {
            let known: Vec<&str> = known().map(|option| option.key).collect();
            format!("the keys are {}", known.join(", "))
        }
    };
    place.error(&format!("there is no setting {key:?}"), &hint)
}

fn values(kind: Kind, value: &DeValue<'_>) -> Option<Vec<OsString>> {
    let one = |text: &str| vec![OsString::from(text)];
    match (kind, value) {
        (Kind::Text | Kind::List, DeValue::String(text)) => Some(one(text)),
        (Kind::Switch, DeValue::Boolean(on)) => Some(one(&on.to_string())),
        (Kind::Number, DeValue::Integer(number)) => {
            let number = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
            Some(one(&number.to_string()))
        }
        (Kind::List, DeValue::Array(items)) => items
            .iter()
            .map(|item| Some(OsString::from(item.get_ref().as_str()?)))
            .collect(),
        _ => None,
    }
}

fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a text in quotes",
        Kind::Number => "a whole number",
        Kind::Switch => "true or false",
        Kind::List => "a text in quotes, or several in brackets",
    }
}

fn example(option: OptionSpec) -> String {
    let value = match option.kind {
        Kind::Text => "\"...\"",
        Kind::Number => "5262",
        Kind::Switch => "true",
        Kind::List => "[\"...\", \"...\"]",
    };
    // In its table a setting has the last part of its name.
    let key = option.key.rsplit('.').next().unwrap_or(option.key);
    format!("{key} = {value}")
}

/// The line, from 1, that this byte is in.
fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at);
    1 + before.filter(|&&byte| byte == b'\n').count()
}
