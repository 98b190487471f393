//! The command line as clap reads it, and its help.

mod usage;

pub use usage::{is_help, usage_error};

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand};

use super::history::History;
use super::plain::Plain;
use super::settings::{Given, Layer, Origin};

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

/// Longest `--wait`, a day.
const WAIT_MAX: f64 = 86_400.0;

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=WAIT_MAX).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("it must be a number of seconds, 0 to {WAIT_MAX}")),
    }
}

#[cfg(test)]
mod tests;
