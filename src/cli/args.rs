//! The command line as clap reads it, its help, and its errors as sentences.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand};

use super::history::History;
use super::plain::Plain;
use super::settings::{Given, Layer, Origin};
use crate::error::{ExitCode, UserError};

/// Chat with the people on your network. No server, no account, no address to type.
///
/// Without a command the chat opens: pick a person from the list, or write to everybody in #lobby.
/// Whoever else runs lanchat on the same network is found by itself.
#[derive(Parser, Clone, PartialEq, Debug)]
#[command(
    name = "lanchat",
    version,
    after_long_help = AFTER_HELP,
    after_help = "`lanchat --help` shows more: examples, exit codes and files.",
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Args {
    /// What to do; the chat if none.
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// Options for all commands.
    #[command(flatten)]
    pub options: Options,
}

/// What to do instead of opening the chat.
#[derive(Subcommand, Clone, PartialEq, Debug)]
pub enum Verb {
    /// List the people found
    Who {
        /// Seconds to look around
        #[arg(long, value_name = "S", default_value = "1", value_parser = seconds)]
        wait: Duration,
        /// Print JSON, one `peer` object a line
        #[arg(long)]
        json: bool,
        /// Go on and print every change
        #[arg(long)]
        watch: bool,
    },
    /// Send one message and wait until it is delivered
    #[command(
        after_help = "TARGET is #room (quote it for the shell), a name, name~tag, or 8 or \
        more characters of an id.\nTo a room: delivered when everybody online in it has it."
    )]
    Send {
        /// To whom: '#room', a name, name~tag, or the start of an id
        #[arg(value_name = "TARGET")]
        target: String,
        /// The words of the message; standard input if `-` or missing
        #[arg(value_name = "TEXT")]
        text: Vec<String>,
        /// Seconds to wait for the delivery
        #[arg(long, value_name = "S", default_value = "10", value_parser = seconds)]
        wait: Duration,
        /// Print JSON: the `receipt` object
        #[arg(long)]
        json: bool,
    },
    /// List the rooms found
    Rooms {
        /// Seconds to look around
        #[arg(long, value_name = "S", default_value = "1", value_parser = seconds)]
        wait: Duration,
        /// Print JSON, one `room` object a line
        #[arg(long)]
        json: bool,
    },
    /// Take part in a room, from now on and after every restart
    #[command(after_help = JOIN_HELP)]
    Join {
        /// The room: '#name' (quote it for the shell)
        #[arg(value_name = "ROOM")]
        room: String,
        /// Locked: the passphrase is the first line of this file, `-` for standard input
        #[arg(long, value_name = "F", conflicts_with = "generate")]
        passphrase_file: Option<PathBuf>,
        /// Locked: make a passphrase of five words and print it
        #[arg(long)]
        generate: bool,
    },
    /// Take part in a room no longer
    Leave {
        /// The room: '#name'
        #[arg(value_name = "ROOM")]
        room: String,
    },
    /// Show or search what was said
    #[command(after_help = HISTORY_HELP)]
    History(History),
    /// Say why somebody is not found, and what helps
    #[command(after_help = DOCTOR_HELP)]
    Doctor {
        /// Print JSON: the `network` object
        #[arg(long)]
        json: bool,
    },
    /// For scripts: JSON commands on standard input, JSON events on standard output
    #[command(after_help = PIPE_HELP)]
    Pipe {
        /// Go on after the end of standard input, until a signal
        #[arg(long)]
        stay: bool,
    },
    /// Chat with programs that speak bare UDP or TCP text, such as netcat
    #[command(subcommand)]
    Plain(Plain),
    /// Show your identity
    Id {
        /// Print JSON: the `self` object
        #[arg(long)]
        json: bool,
    },
}

/// Options for all commands. What a value means is decided by `settings`, for the environment and
/// the file alike.
#[derive(ClapArgs, Clone, PartialEq, Debug, Default)]
pub struct Options {
    /// Name to show others [default: your login name]
    #[arg(long, global = true, value_name = "NAME", help_heading = YOU)]
    pub name: Option<OsString>,
    /// Where identity and messages are kept
    #[arg(long, global = true, value_name = "DIR", help_heading = YOU)]
    pub data_dir: Option<OsString>,
    /// The file with settings
    #[arg(long, global = true, value_name = "FILE", help_heading = YOU)]
    pub config: Option<OsString>,
    /// New identity for this run, nothing kept on disk
    #[arg(long, global = true, conflicts_with = "data_dir", help_heading = YOU)]
    pub ephemeral: bool,

    /// Use only this interface; again for more
    #[arg(long, global = true, value_name = "NAME", help_heading = NETWORK)]
    pub interface: Vec<OsString>,
    /// UDP port where nodes find each other, the same for all [default: 5262]
    #[arg(long, global = true, value_name = "PORT", help_heading = NETWORK)]
    pub port: Option<OsString>,
    /// UDP port of this node [default: the first free one from 5263]
    #[arg(long, global = true, value_name = "PORT", help_heading = NETWORK)]
    pub chat_port: Option<OsString>,
    /// IPv4 multicast group [default: 239.255.76.67]
    #[arg(long, global = true, value_name = "ADDR", help_heading = NETWORK)]
    pub group: Option<OsString>,
    /// IPv6 multicast group [default: ff12::6c:616e:6368:6174]
    #[arg(long, global = true, value_name = "ADDR", help_heading = NETWORK)]
    pub group6: Option<OsString>,
    /// Also greet this machine, where neither multicast nor broadcast reaches; again for more
    #[arg(long, global = true, value_name = "ADDR[:PORT]", help_heading = NETWORK)]
    pub peer: Vec<OsString>,
    /// Send no multicast
    #[arg(long, global = true, help_heading = NETWORK)]
    pub no_multicast: bool,
    /// Send no broadcast
    #[arg(long, global = true, help_heading = NETWORK)]
    pub no_broadcast: bool,
    /// Use no IPv4
    #[arg(long, global = true, help_heading = NETWORK)]
    pub no_ipv4: bool,
    /// Use no IPv6
    #[arg(long, global = true, help_heading = NETWORK)]
    pub no_ipv6: bool,

    /// Write what happens to this file
    #[arg(long, global = true, value_name = "FILE", help_heading = OUTPUT)]
    pub log: Option<OsString>,
    /// Write more of it; twice for all. Without --log to standard error, but not on the screen
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = OUTPUT)]
    pub verbose: u8,
    /// Use colours: auto, always or never [default: auto]
    #[arg(long, global = true, value_name = "WHEN", help_heading = OUTPUT)]
    pub color: Option<OsString>,
}

const YOU: &str = "You";
const NETWORK: &str = "Network";
const OUTPUT: &str = "Output";

const PIPE_HELP: &str = r##"One object a line. Commands, for example (a "ref" comes back in the answer):
  {"command":"send","ref":1,"to":"#lobby","text":"hello"}
  {"command":"send","ref":2,"to":"ben","text":"hello, you"}
  {"command":"who"}
  {"command":"quit"}
The end of standard input delivers what is queued (at most 5 s), says goodbye and ends."##;

const JOIN_HELP: &str = "\
Without an option the room is open: anybody on the network can join it and read what is said.
With a passphrase it is locked: only those who know it find, read and write what is said in it.";

const HISTORY_HELP: &str = "\
TARGET is #room (quote it for the shell), a name, name~tag, or 8 or more characters of an id.
TIME is 2026-11-21, 2026-11-21T09:30:00Z, or how long ago: 90s, 30m, 12h, 7d.
It needs no network and works beside a running lanchat.";

const DOCTOR_HELP: &str = "\
It looks around for 3 seconds, for up to 26 where nobody answers or multicast does not pass, and
changes nothing. With --peer ADDR it says why that computer is not reached.
Exit code 0 if somebody was reached, 3 if nobody was, 5 if this computer cannot use its network.";

const AFTER_HELP: &str = "\
Examples:
  lanchat                              open the chat
  lanchat --name ana --ephemeral       the same as somebody new, leaving no trace
  lanchat who                          who is here?
  lanchat send ben 'lunch?'            write to one person
  date | lanchat send '#lobby'         write to everybody
  lanchat history '#lobby' --since 1d  what was said since yesterday
  lanchat pipe                         talk to a script
  lanchat --peer 10.1.2.3              greet a machine behind a router
  lanchat plain tcp --listen 0.0.0.0:7000   serve netcat and programs like it

Every option is also an environment variable (--chat-port is LANCHAT_CHAT_PORT; lists are separated
by commas) and a key in config.toml (chat-port = 5263). The command line wins over the
environment, the environment over the file.

Exit codes:
    0  done
    1  failed
    2  wrong usage, or a name that fits several people
    3  no such person or room found in time; who, doctor: nobody
    4  not delivered in time
    5  the network cannot be used, or the --chat-port is taken
  130  interrupted

Files (XDG directories are honoured; elsewhere where the system keeps such files):
  ~/.config/lanchat/config.toml        settings
  ~/.local/share/lanchat/identity      your key: whoever has it is you
  ~/.local/share/lanchat/lanchat.db    messages, not encrypted, readable by you alone";

impl Options {
    /// What was given on the command line.
    #[must_use]
    pub fn layer(&self) -> Layer {
        let mut layer = Layer::default();
        let mut put = |key: &'static str, values: Vec<OsString>| {
            if !values.is_empty() {
                let origin = Origin::Flag(key);
                layer.insert(key, Given { values, origin });
            }
        };
        let one = |value: &Option<OsString>| value.iter().cloned().collect();
        let flag = |set: bool| if set { vec!["true".into()] } else { Vec::new() };
        put("name", one(&self.name));
        put("data-dir", one(&self.data_dir));
        put("config", one(&self.config));
        put("ephemeral", flag(self.ephemeral));
        put("interface", self.interface.clone());
        put("port", one(&self.port));
        put("chat-port", one(&self.chat_port));
        put("group", one(&self.group));
        put("group6", one(&self.group6));
        put("peer", self.peer.clone());
        put("no-multicast", flag(self.no_multicast));
        put("no-broadcast", flag(self.no_broadcast));
        put("no-ipv4", flag(self.no_ipv4));
        put("no-ipv6", flag(self.no_ipv6));
        put("log", one(&self.log));
        if self.verbose > 0 {
            put("verbose", vec![self.verbose.to_string().into()]);
        }
        put("color", one(&self.color));
        layer
    }
}

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

/// Longest `--wait`, a day.
const WAIT_MAX: f64 = 86_400.0;

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=WAIT_MAX).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("it must be a number of seconds, 0 to {WAIT_MAX}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::settings::OPTIONS;

    fn parse(line: &str) -> Result<Args, UserError> {
        let words = std::iter::once("lanchat").chain(line.split_whitespace());
        Args::try_parse_from(words).map_err(|error| {
            assert!(!is_help(&error), "{line}");
            usage_error(&error)
        })
    }

    #[test]
    fn clap_finds_no_fault() {
        Args::command().debug_assert();
    }

    #[test]
    fn options_stand_before_or_after_the_command() {
        for line in ["--port 7000 -vv who", "who --port 7000 -v -v"] {
            let args = parse(line).unwrap();
            assert_eq!(args.options.port, Some("7000".into()), "{line}");
            assert_eq!(args.options.verbose, 2, "{line}");
            assert!(matches!(args.verb, Some(Verb::Who { .. })));
        }
        let args = parse("send ben hello there --wait 2.5 --peer a --peer b").unwrap();
        assert_eq!(args.options.peer, ["a", "b"]);
        let Some(Verb::Send {
            target, text, wait, ..
        }) = args.verb
        else {
            panic!("not a send")
        };
        assert_eq!(target, "ben");
        assert_eq!(text, ["hello", "there"]);
        assert_eq!(wait, Duration::from_millis(2500));
        assert_eq!(parse("").unwrap().verb, None);
    }

    #[test]
    fn every_option_of_the_table_is_a_flag_and_no_other() {
        let command = Args::command();
        let mut flags: Vec<&str> = command
            .get_arguments()
            .filter_map(|arg| arg.get_long())
            .collect();
        flags.retain(|flag| !["help", "version"].contains(flag));
        flags.sort_unstable();
        let mut keys: Vec<&str> = OPTIONS.iter().map(|option| option.key).collect();
        keys.sort_unstable();
        assert_eq!(flags, keys);
    }

    #[test]
    fn every_flag_reaches_its_layer() {
        let args = parse(
            "--name a --data-dir b --config c --interface d --port e --chat-port f --group g \
             --group6 h --peer i --no-multicast --no-broadcast --no-ipv4 --no-ipv6 --log j -v \
             --color k",
        );
        let mut layer = args.unwrap().options.layer();
        layer.append(&mut parse("--ephemeral").unwrap().options.layer());
        for option in OPTIONS {
            assert!(layer.contains_key(option.key), "{}", option.key);
        }
    }

    #[test]
    fn wrong_usage_is_a_sentence_and_a_hint() {
        for (line, says, hint) in [
            ("--prot 1", "there is no option \"--prot\" here", "--port"),
            ("whoo", "there is no command \"whoo\"", "who\""),
            ("fly", "there is no command \"fly\"", "--help"),
            ("--port", "--port <PORT> needs a value", "--help"),
            ("send", "<TARGET> is missing", "--help"),
            (
                "who --wait x",
                "--wait <S> cannot be \"x\": it must be a number of seconds, 0 to 86400",
                "--help",
            ),
            ("who --wait -1", "there is no option \"-1\" here", "--help"),
            ("who --wait nan", "cannot be \"nan\"", "--help"),
            ("who --wait 1e9", "cannot be \"1e9\"", "--help"),
            (
                "--ephemeral --data-dir x",
                "--ephemeral cannot be used together with --data-dir <DIR>",
                "--help",
            ),
            ("who there", "\"there\" is too much here", "--help"),
            ("--no-ipv4=x", "", "--help"),
            ("id --json --json", "", "--help"),
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.code, ExitCode::Usage);
            assert!(error.message.contains(says), "{line}: {error}");
            assert!(
                !error.message.contains('\n') && !error.message.is_empty(),
                "{error}"
            );
            assert!(
                error.hint.as_ref().unwrap().contains(hint),
                "{line}: {error}"
            );
        }
    }

    #[test]
    fn help_shows_every_option_examples_codes_and_files() {
        let error = Args::try_parse_from(["lanchat", "--help"]).expect_err("help");
        assert!(is_help(&error));
        let help = error.to_string();
        for option in OPTIONS {
            assert!(
                help.contains(&format!("--{}", option.key)),
                "{}",
                option.key
            );
        }
        for part in [
            "Examples:",
            "Exit codes:",
            "130",
            "Files",
            "identity",
            "Network:",
        ] {
            assert!(help.contains(part), "{part}");
        }
        assert!(
            help.lines().all(|line| line.chars().count() <= 100),
            "{help}"
        );
    }
}
