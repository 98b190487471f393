//! Settings: flag over environment over `config.toml` over default, checked in one place.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use super::address::PeerAddress;
use super::args::{Args, Verb};
use super::config_file;
use super::host::Host;
use super::limits;
use crate::error::{ExitCode, UserError};
use crate::limits::Limits;
use crate::net::NetConfig;
use crate::text::PeerName;

/// Everything that was decided before the program begins its work.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// What to do; the chat if none.
    pub verb: Option<Verb>,
    /// Name to show others.
    pub name: PeerName,
    /// Where things are kept; none with `--ephemeral`.
    pub data_dir: Option<PathBuf>,
    /// How the network is to be used.
    pub net: NetConfig,
    /// Machines to greet, not looked up yet.
    pub peers: Vec<PeerAddress>,
    /// Where to write what happens.
    pub log: Option<PathBuf>,
    /// How much of it: 0, 1, or 2 and more.
    pub verbose: u8,
    /// When to use colours.
    pub color: Color,
    /// What was set of the bounds.
    pub limits: Limits,
}

/// When to use colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Color {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Whether to use colours on an output that is a terminal or is not.
    #[must_use]
    pub fn is_on(self, terminal: bool) -> bool {
        match self {
            Color::Auto => terminal,
            Color::Always => true,
            Color::Never => false,
        }
    }
}

/// What one source gave, by key.
pub type Layer = BTreeMap<&'static str, Given>;

/// A value as it was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Given {
    /// Not empty; more than one only where an option may be repeated.
    pub values: Vec<OsString>,
    /// By whom.
    pub origin: Origin,
}

/// Where a value came from, for errors.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The command line: this option without `--`.
    Flag(&'static str),
    /// This environment variable.
    Env(String),
    /// The file with settings.
    File {
        /// The key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(key) => write!(f, "--{key}"),
            Origin::Env(name) => f.write_str(name),
            Origin::File { key, path, line } => write!(f, "{key} ({path:?} line {line})"),
        }
    }
}

/// What kind of value an option takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Text.
    Text,
    /// A whole number.
    Number,
    /// On or off.
    Switch,
    /// Several texts.
    List,
}

/// An option of all commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OptionSpec {
    /// As on the command line without `--`, and in the file.
    pub key: &'static str,
    /// What it takes.
    pub kind: Kind,
}

const fn spec(key: &'static str, kind: Kind) -> OptionSpec {
    OptionSpec { key, kind }
}

/// Every option of all commands.
pub const OPTIONS: [OptionSpec; 17] = [
    spec("name", Kind::Text),
    spec("data-dir", Kind::Text),
    spec("config", Kind::Text),
    spec("ephemeral", Kind::Switch),
    spec("interface", Kind::List),
    spec("port", Kind::Number),
    spec("chat-port", Kind::Number),
    spec("group", Kind::Text),
    spec("group6", Kind::Text),
    spec("peer", Kind::List),
    spec("no-multicast", Kind::Switch),
    spec("no-broadcast", Kind::Switch),
    spec("no-ipv4", Kind::Switch),
    spec("no-ipv6", Kind::Switch),
    spec("log", Kind::Text),
    spec("verbose", Kind::Number),
    spec("color", Kind::Text),
];

impl Settings {
    /// The settings that follow from the command line, the environment and the file.
    ///
    /// # Errors
    /// A value is wrong, the file cannot be read, or it holds an unknown key.
    pub fn new(args: &Args, host: &Host) -> Result<Self, UserError> {
        let mut sources = Sources(vec![args.options.layer(), environment(host)]);
        let asked = sources.text("config")?.map(|(path, _)| PathBuf::from(path));
        sources.0.push(config_file::read(asked, host)?);
        Ok(Settings {
            verb: args.verb.clone(),
            name: sources.name(host)?,
            data_dir: sources.data_dir(host)?,
            net: sources.net()?,
            peers: sources.list("peer", |text| text.parse::<PeerAddress>())?,
            log: sources.text("log")?.map(|(path, _)| PathBuf::from(path)),
            verbose: sources.parse("verbose", parse_verbose)?.unwrap_or(0),
            color: sources.color(host)?,
            limits: limits::limits(&sources)?,
        })
    }
}

/// An option's value that cannot be.
fn wrong(origin: &Origin, value: &OsStr, reason: &str) -> UserError {
    let message = format!("{origin} cannot be {value:?}: {reason}");
    UserError::new(ExitCode::Usage, message).hint("`lanchat --help` shows what it may be")
}

/// The sources, the stronger first.
pub(super) struct Sources(Vec<Layer>);

impl Sources {
    fn get(&self, key: &str) -> Option<&Given> {
        self.0.iter().find_map(|layer| layer.get(key))
    }

    /// The value as it was given; an empty one is an error.
    fn text(&self, key: &str) -> Result<Option<(&OsStr, &Origin)>, UserError> {
        let Some(given) = self.get(key) else {
            return Ok(None);
        };
        match given.values.first() {
            Some(value) if !value.is_empty() => Ok(Some((value, &given.origin))),
            _ => Err(wrong(&given.origin, OsStr::new(""), "it is empty")),
        }
    }

    /// The value, parsed; none where nobody gave one.
    ///
    /// # Errors
    /// It is empty, not UTF-8, or what `parse` says.
    pub(super) fn parse<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, UserError> {
        let value = self.text(key)?;
        value
            .map(|(value, origin)| apply(value, origin, &parse))
            .transpose()
    }

    fn list<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, UserError> {
        let Some(given) = self.get(key) else {
            return Ok(Vec::new());
        };
        let values = given.values.iter();
        values
            .map(|value| apply(value, &given.origin, &parse))
            .collect()
    }

    fn switch(&self, key: &str) -> Result<bool, UserError> {
        Ok(self.parse(key, parse_switch)?.unwrap_or(false))
    }

    fn name(&self, host: &Host) -> Result<PeerName, UserError> {
        let parse = |text: &str| PeerName::new(text).map_err(|error| error.to_string());
        let hint = "a name has 1 to 32 bytes and none of # @ ~ / or control characters";
        let name = self
            .parse("name", parse)
            .map_err(|error| error.hint(hint))?;
        Ok(name.unwrap_or_else(|| host.default_name()))
    }

    /// The stronger of `ephemeral` and `data-dir` decides; of two equals that is an error.
    fn data_dir(&self, host: &Host) -> Result<Option<PathBuf>, UserError> {
        let ephemeral = self.switch("ephemeral")?;
        let asked = self.text("data-dir")?.map(|(dir, _)| PathBuf::from(dir));
        if ephemeral {
            let rank = |key| self.0.iter().position(|layer| layer.contains_key(key));
            match (rank("ephemeral"), rank("data-dir")) {
                (Some(ephemeral), Some(dir)) if dir < ephemeral => {}
                (ephemeral, dir) if dir.is_some() && dir == ephemeral => {
                    let origins = ["ephemeral", "data-dir"].map(|key| self.get(key));
                    let names = origins
                        .into_iter()
                        .flatten()
                        .map(|given| given.origin.to_string());
                    let names: Vec<String> = names.collect();
                    let message = format!("{} cannot be used together", names.join(" and "));
                    return Err(UserError::new(ExitCode::Usage, message)
                        .hint("with `ephemeral` nothing is kept, so no directory is needed"));
                }
                _ => return Ok(None),
            }
        }
        if asked.is_some() {
            return Ok(asked);
        }
        let dir = host.data_home.as_ref().map(|home| home.join("lanchat"));
        dir.map(Some).ok_or_else(|| {
            let message = "it is not known where your files are: there is no home directory";
            UserError::new(ExitCode::Failed, message)
                .hint("name a directory with `--data-dir`, or run with `--ephemeral`")
        })
    }

    fn net(&self) -> Result<NetConfig, UserError> {
        let default = NetConfig::default();
        let net = NetConfig {
            port: self.parse("port", parse_port)?.unwrap_or(default.port),
            chat_port: self.parse("chat-port", parse_port)?,
            group4: self.parse("group", parse_group4)?.unwrap_or(default.group4),
            group6: self
                .parse("group6", parse_group6)?
                .unwrap_or(default.group6),
            interfaces: self.list("interface", parse_interface)?,
            multicast: !self.switch("no-multicast")?,
            broadcast: !self.switch("no-broadcast")?,
            ipv4: !self.switch("no-ipv4")?,
            ipv6: !self.switch("no-ipv6")?,
        };
        if !net.ipv4 && !net.ipv6 {
            let message = "with no-ipv4 and no-ipv6 there is no network left";
            return Err(UserError::new(ExitCode::Usage, message).hint("leave one of them out"));
        }
        if net.chat_port == Some(net.port) {
            let message = format!("port and chat-port cannot both be {}", net.port);
            return Err(UserError::new(ExitCode::Usage, message)
                .hint("leave chat-port out: a free one is found"));
        }
        Ok(net)
    }

    fn color(&self, host: &Host) -> Result<Color, UserError> {
        let asked = self.parse("color", |text| match text {
            "auto" => Ok(Color::Auto),
            "always" => Ok(Color::Always),
            "never" => Ok(Color::Never),
            _ => Err("it must be auto, always or never".to_owned()),
        })?;
        // NO_COLOR (no-color.org) is weaker than what was asked of lanchat itself.
        let no_color = host
            .env
            .get("NO_COLOR")
            .is_some_and(|value| !value.is_empty());
        Ok(match asked {
            None | Some(Color::Auto) if no_color => Color::Never,
            asked => asked.unwrap_or_default(),
        })
    }
}

fn apply<T>(
    value: &OsStr,
    origin: &Origin,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<T, UserError> {
    let text = value.to_str().ok_or_else(|| "it is not UTF-8".to_owned());
    text.and_then(parse)
        .map_err(|reason| wrong(origin, value, &reason))
}

/// `LANCHAT_*` as a layer. Others than the options' are not ours to judge; empty means unset.
fn environment(host: &Host) -> Layer {
    let mut layer = Layer::new();
    for option in OPTIONS.into_iter().chain(limits::specs()) {
        let name = option.key.to_uppercase().replace(['-', '.'], "_");
        let name = format!("LANCHAT_{name}");
        let Some(value) = host.env.get(&name).filter(|value| !value.is_empty()) else {
            continue;
        };
        let values = match (option.kind, value.to_str()) {
            (Kind::List, Some(text)) => text
                .split(',')
                .map(|part| OsString::from(part.trim()))
                .collect(),
            _ => vec![value.clone()],
        };
        let origin = Origin::Env(name);
        layer.insert(option.key, Given { values, origin });
    }
    layer
}

fn parse_switch(text: &str) -> Result<bool, String> {
    match text {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err("it must be 1, true, 0 or false".to_owned()),
    }
}

fn parse_verbose(text: &str) -> Result<u8, String> {
    let number = text.parse().ok();
    number.ok_or_else(|| "it must be a number, 0 to 255".to_owned())
}

fn parse_port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("it must be a number, 1 to 65535".to_owned()),
        Ok(port) => Ok(port),
    }
}

fn parse_group4(text: &str) -> Result<Ipv4Addr, String> {
    match text.parse::<Ipv4Addr>() {
        Ok(group) if group.is_multicast() => Ok(group),
        _ => Err("it must be an IPv4 multicast address, 224.0.0.0 to 239.255.255.255".to_owned()),
    }
}

fn parse_group6(text: &str) -> Result<Ipv6Addr, String> {
    match text.parse::<Ipv6Addr>() {
        Ok(group) if group.is_multicast() => Ok(group),
        _ => Err("it must be an IPv6 multicast address, which begins with ff".to_owned()),
    }
}

fn parse_interface(text: &str) -> Result<String, String> {
    match text {
        "" => Err("it is empty".to_owned()),
        name => Ok(name.to_owned()),
    }
}
