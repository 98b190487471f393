//! `lanchat join` and `lanchat leave`: one change of the rooms, remembered from then on.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use mio::{Registry, Token};
use zeroize::Zeroizing;

use super::one_shot::OneShot;
use crate::api::{Command, Event, Passphrase, Request};
use crate::control::output::Output;
use crate::control::people::line;
use crate::error::{ExitCode, UserError};
use crate::proto::Now;
use crate::runtime::{Flow, FrontEnd};

/// How long the node may take; a key from a passphrase takes a second on a slow machine.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// Its own requests carry this `ref`.
const REFERENCE: &str = "join";
/// What to do where a room has a passphrase.
pub(super) const LOCKED_HINT: &str = "lanchat join '#ROOM' --passphrase-file FILE";
/// Longest passphrase, in bytes.
const PASSPHRASE_LEN_MAX: u64 = 1024;

/// Asks the node for one change and ends with its answer: 0, or what the error says.
pub struct Change {
    /// What is said when it is done.
    done: String,
    shot: OneShot,
    end: Option<Instant>,
}

impl Change {
    /// Joins a room, on stdout and stderr.
    #[must_use]
    pub fn join(room: &str, passphrase: Option<Passphrase>, generate: bool) -> Change {
        let done = format!("joined {}", line(room));
        let command = Command::Join {
            room: room.to_owned(),
            passphrase,
            generate,
        };
        let (output, errors) = OneShot::outputs();
        Change::on(output, errors, done, command)
    }

    /// Leaves a room, on stdout and stderr.
    #[must_use]
    pub fn leave(room: &str) -> Change {
        let done = format!("left {}", line(room));
        let room = room.to_owned();
        let (output, errors) = OneShot::outputs();
        Change::on(output, errors, done, Command::Leave { room })
    }

    /// On these outputs.
    #[must_use]
    pub fn on(output: Output, errors: Output, done: String, command: Command) -> Change {
        let mut shot = OneShot::new(REFERENCE, (output, errors));
        shot.ask(command);
        Change {
            done,
            shot,
            end: None,
        }
    }

    fn finish(&mut self, result: Result<(), UserError>) {
        self.end = None;
        self.shot.end(result);
    }
}

/// The passphrase in a file, `-` for stdin: its first line.
///
/// # Errors
/// It cannot be read, is not UTF-8, too long or empty.
pub fn read_passphrase(path: &Path) -> Result<Passphrase, UserError> {
    let cannot = |error: io::Error| {
        let message = format!("the passphrase in {path:?} cannot be read: {error}");
        UserError::new(ExitCode::Usage, message)
    };
    let mut bytes = Zeroizing::new(Vec::new());
    let most = PASSPHRASE_LEN_MAX + 3;
    let read = match path.to_str() {
        Some("-") => io::stdin().lock().take(most).read_to_end(&mut bytes),
        _ => File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)),
    };
    read.map_err(cannot)?;
    let text = std::str::from_utf8(&bytes).ok();
    let phrase = text.and_then(|text| text.lines().next()).unwrap_or("");
    let fits = phrase.len() as u64 <= PASSPHRASE_LEN_MAX;
    if phrase.trim().is_empty() || !fits {
        let message = format!("there is no passphrase in {path:?}");
        let error = UserError::new(ExitCode::Usage, message);
        return Err(error.hint("write it on the first line, in UTF-8, at most 1024 bytes"));
    }
    Ok(Passphrase(phrase.to_owned()))
}

impl FrontEnd for Change {
    fn register(&mut self, registry: &Registry) -> io::Result<()> {
        self.shot.register(registry)
    }

    fn ready(&mut self, _: Now, _: Token) {}

    fn poll_request(&mut self) -> Option<Request> {
        self.shot.poll_request()
    }

    fn handle_event(&mut self, now: Now, event: &Event) {
        if self.shot.is_over() {
            return;
        }
        self.end.get_or_insert(now.mono + ANSWER_WAIT);
        match event {
            Event::Reply {
                reference,
                passphrase,
                ..
            } if self.shot.is_own(reference.as_ref()) => {
                self.shot.line(&self.done);
                if let Some(phrase) = passphrase {
                    self.shot.line(&format!("passphrase: {}", phrase.0));
                }
                self.finish(Ok(()));
            }
            Event::Error {
                reference,
                code,
                message,
                hint,
            } if self.shot.is_own(reference.as_ref()) => {
                let exit = match code.as_str() {
                    "no_such_room" | "room_locked" => ExitCode::NotFound,
                    _ if code.starts_with("bad_") => ExitCode::Usage,
                    _ => ExitCode::Failed,
                };
                let mut error = UserError::new(exit, message);
                error.hint = match code.as_str() {
                    "room_locked" => Some(LOCKED_HINT.to_owned()),
                    "no_such_room" => Some("lanchat rooms lists the rooms".to_owned()),
                    _ => hint.clone(),
                };
                self.finish(Err(error));
            }
            Event::Error { message, hint, .. } => {
                self.shot.problem(message, hint.as_deref());
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.end
    }

    fn handle_timeout(&mut self, now: Now) {
        if self.end.is_some_and(|end| end <= now.mono) {
            let message = "the node did not answer";
            self.finish(Err(UserError::new(ExitCode::Failed, message)));
        }
    }

    fn flush(&mut self, _: Now) -> io::Result<()> {
        self.shot.flush()
    }

    fn flow(&self) -> Flow {
        self.shot.flow()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::control::output::fake::Written;
    use crate::control::people::fake::now;

    fn run(answer: impl Fn(Option<Value>) -> Event) -> (String, String, Flow) {
        let (out, output) = Written::new();
        let (err, errors) = Written::new();
        let command = Command::Leave { room: "#x".into() };
        let mut change = Change::on(output, errors, "left #x".into(), command);
        let request = change.poll_request().expect("it asks");
        change.handle_event(now(), &answer(None));
        assert_eq!(change.flow(), Flow::Continue, "that answers nothing of it");
        err.take();
        change.handle_event(now(), &answer(request.reference));
        change.flush(now()).expect("written");
        (out.take(), err.take(), change.flow())
    }

    #[test]
    fn it_ends_with_the_answer_of_the_node() {
        let (out, err, flow) = run(|reference| Event::Reply {
            reference,
            ok: true,
            id: None,
            passphrase: Some(Passphrase("a b c d e".into())),
        });
        assert_eq!(
            (out.as_str(), err.as_str()),
            ("left #x\npassphrase: a b c d e\n", "")
        );
        assert_eq!(flow, Flow::Quit(ExitCode::Done));
        for (code, exit) in [
            ("no_such_room", ExitCode::NotFound),
            ("room_locked", ExitCode::NotFound),
            ("wrong_passphrase", ExitCode::Failed),
            ("too_many_rooms", ExitCode::Failed),
            ("bad_target", ExitCode::Usage),
        ] {
            let (out, err, flow) = run(|reference| Event::Error {
                reference,
                code: code.into(),
                message: "no".into(),
                hint: Some("so".into()),
            });
            assert_eq!((out.as_str(), flow), ("", Flow::Quit(exit)));
            let hint = match code {
                "no_such_room" => "lanchat rooms lists the rooms",
                "room_locked" => LOCKED_HINT,
                _ => "so",
            };
            assert!(
                err.ends_with(&format!("lanchat: no\nhint: {hint}\n")),
                "{err}"
            );
        }
    }

    #[test]
    fn a_passphrase_is_the_first_line_of_its_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("phrase");
        for (text, phrase) in [
            ("a b c\n", Some("a b c")),
            ("a b\r\nmore\n", Some("a b")),
            ("\n", None),
            ("", None),
        ] {
            std::fs::write(&path, text).expect("written");
            let read = read_passphrase(&path).ok().map(|phrase| phrase.0.clone());
            assert_eq!(read.as_deref(), phrase, "{text:?}");
        }
        std::fs::write(&path, "x".repeat(1025)).expect("written");
        assert!(read_passphrase(&path).is_err());
        assert!(read_passphrase(&dir.path().join("none")).is_err());
    }
}
