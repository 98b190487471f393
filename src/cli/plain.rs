//! `lanchat plain`: chat with programs that speak bare UDP or TCP text.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;

use clap::Subcommand;

use super::address::FullAddress;
use crate::error::{ExitCode, UserError};
use crate::plain::{self, TcpOptions, UdpOptions};
use crate::text::PeerName;

/// How the other programs speak.
#[derive(Subcommand, Clone, PartialEq, Debug)]
pub enum Plain {
    /// One datagram a line
    #[command(after_help = UDP_HELP)]
    Udp {
        /// Where to receive, and to send from
        #[arg(long, value_name = "ADDR:PORT")]
        listen: FullAddress,
        /// To whom each line goes; again for more [default: whoever wrote last]
        // The same name as a node's, so the same type: looked at in `Plain::run`.
        #[arg(long, value_name = "ADDR:PORT")]
        peer: Vec<OsString>,
        /// Put `name  : ` before each line
        #[arg(long)]
        say_name: bool,
    },
    /// Lines over connections
    #[command(after_help = TCP_HELP)]
    Tcp {
        /// Serve whoever connects here
        #[arg(long, value_name = "ADDR:PORT", required_unless_present = "connect")]
        listen: Option<FullAddress>,
        /// Connect to a program that serves
        #[arg(long, value_name = "ADDR:PORT", conflicts_with = "listen")]
        connect: Option<FullAddress>,
    },
}

const UDP_HELP: &str = "\
A line `quit`, `exit` or `bye bye` is sent and ends the chat; so does the end of input, unsaid.
Nothing is encrypted. With netcat at the other side (10.0.0.9):
  lanchat plain udp --listen 0.0.0.0:7000 --peer 10.0.0.9:7000
  nc -u -p 7000 10.0.0.7 7000";

const TCP_HELP: &str = "\
A line `quit`, `exit` or `bye bye` is sent and ends the chat; so does the end of input, unsaid.
Nothing is encrypted. With netcat at the other side:
  lanchat plain tcp --listen 0.0.0.0:7000
  nc 10.0.0.7 7000";

impl Plain {
    /// Chats until it ends; `name` is what `--say-name` says.
    ///
    /// # Errors
    /// An address that cannot be used, or whatever ends the chat.
    pub fn run(&self, name: &PeerName) -> Result<ExitCode, UserError> {
        match self {
            Plain::Udp {
                listen,
                peer,
                say_name,
            } => {
                let listen = first(listen, |_| true)?;
                let peers: Result<Vec<SocketAddr>, UserError> = peer
                    .iter()
                    .map(|peer| {
                        // Of a machine with addresses of both kinds, one that suits.
                        first(&parse_peer(peer)?, |found| {
                            found.is_ipv4() == listen.is_ipv4()
                        })
                    })
                    .collect();
                plain::udp(&UdpOptions {
                    listen,
                    peers: peers?,
                    say_name: say_name.then(|| name.clone()),
                })
            }
            Plain::Tcp {
                listen: Some(listen),
                ..
            } => plain::tcp(&TcpOptions::Listen(first(listen, |_| true)?)),
            Plain::Tcp { connect, .. } => {
                let addresses = connect.as_ref().map(FullAddress::resolve);
                plain::tcp(&TcpOptions::Connect(
                    addresses.transpose()?.unwrap_or_default(),
                ))
            }
        }
    }
}

/// The first of the addresses that suits, or the first.
fn first(
    address: &FullAddress,
    suits: impl Fn(&SocketAddr) -> bool,
) -> Result<SocketAddr, UserError> {
    let found = address.resolve()?;
    let best = found.iter().find(|found| suits(found)).or(found.first());
    best.copied()
        .ok_or_else(|| UserError::new(ExitCode::Usage, "a name without an address was given"))
}

fn parse_peer(text: &OsStr) -> Result<FullAddress, UserError> {
    let parsed = text.to_str().ok_or_else(|| "it is not UTF-8".to_owned());
    parsed.and_then(str::parse).map_err(|reason: String| {
        let message = format!("--peer <ADDR:PORT> cannot be {text:?}: {reason}");
        UserError::new(ExitCode::Usage, message)
            .hint("`lanchat plain udp --help` shows what there is")
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Args, Verb, usage_error};

    fn parse(line: &str) -> Result<Plain, UserError> {
        let words = std::iter::once("lanchat").chain(line.split_whitespace());
        let args = Args::try_parse_from(words).map_err(|error| usage_error(&error))?;
        match args.verb {
            Some(Verb::Plain(plain)) => Ok(plain),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn peers_are_its_own_wherever_they_stand() {
        for line in [
            "plain udp --listen 0.0.0.0:7000 --peer 10.0.0.9:7 --peer 239.1.2.3:7",
            "--peer 10.0.0.9:7 --peer 239.1.2.3:7 plain udp --listen 0.0.0.0:7000",
        ] {
            let Ok(Plain::Udp {
                listen,
                peer,
                say_name,
            }) = parse(line)
            else {
                panic!("{line}");
            };
            assert_eq!(listen, "0.0.0.0:7000".parse().unwrap());
            assert_eq!(peer, ["10.0.0.9:7", "239.1.2.3:7"], "{line}");
            assert!(!say_name);
            assert!(peer.iter().all(|peer| parse_peer(peer).is_ok()));
        }
    }

    #[test]
    fn one_side_of_tcp_or_the_other() {
        for (line, says) in [
            ("plain tcp", "--listen <ADDR:PORT> is missing"),
            (
                "plain tcp --listen 1.2.3.4:5 --connect 1.2.3.4:6",
                "cannot be used together",
            ),
            ("plain tcp --listen 1.2.3.4", "its port is missing"),
            (
                "plain udp --peer 1.2.3.4:5",
                "--listen <ADDR:PORT> is missing",
            ),
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.code, ExitCode::Usage);
            assert!(error.message.contains(says), "{line}: {error}");
        }
        let error = parse_peer("10.0.0.9".as_ref()).expect_err("no port");
        assert!(
            error.message.starts_with("--peer <ADDR:PORT> cannot be"),
            "{error}"
        );
    }
}
