//! `lanchat rooms`: the open rooms found, one a line.

use std::io;
use std::time::{Duration, Instant};

use mio::{Registry, Token};

use super::one_shot::OneShot;
use crate::api::{Command, Event, Request};
use crate::control::json;
use crate::control::output::Output;
use crate::control::people::room_line;
use crate::error::{ExitCode, UserError};
use crate::proto::Now;
use crate::runtime::{Flow, FrontEnd};

/// How long the node's answer at the end of the wait is waited for; it takes one turn.
const ANSWER_WAIT: Duration = Duration::from_millis(500);
/// Its own requests carry this `ref`.
const REFERENCE: &str = "rooms";

/// Waits as long as it is told, from the first event on, then prints the rooms by name, with how
/// many others are in each: lines of text, or `room` events. Ends with 0, or with 3 where there is
/// none.
pub struct Rooms {
    wait: Duration,
    json: bool,
    shot: OneShot,
    end: Option<Instant>,
    asked: bool,
    found: usize,
}

impl Rooms {
    /// On stdout and stderr.
    #[must_use]
    pub fn new(wait: Duration, json: bool) -> Rooms {
        let (output, errors) = OneShot::outputs();
        Rooms::on(output, errors, wait, json)
    }

    /// On these outputs.
    #[must_use]
    pub fn on(output: Output, errors: Output, wait: Duration, json: bool) -> Rooms {
        Rooms {
            wait,
            json,
            shot: OneShot::new(REFERENCE, (output, errors)),
            end: None,
            asked: false,
            found: 0,
        }
    }

    fn print(&mut self, event: &Event) {
        let mut event = event.clone();
        if let Event::Room { reference, .. } = &mut event {
            *reference = None;
        }
        self.found += 1;
        self.shot.line(&match self.json {
            true => json::to_line(&event),
            false => room_line(&event),
        });
    }

    fn ended(&mut self) {
        self.end = None;
        let found = if self.found > 0 {
            Ok(())
        } else {
            let error = UserError::new(ExitCode::NotFound, "no room was found");
            Err(error.hint("lanchat join '#NAME' begins one"))
        };
        self.shot.end(found);
    }
}

impl FrontEnd for Rooms {
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
        self.end.get_or_insert(now.mono + self.wait);
        match event {
            Event::Room { reference, .. } if self.shot.is_own(reference.as_ref()) => {
                self.print(event)
            }
            Event::Reply { reference, .. } if self.shot.is_own(reference.as_ref()) => self.ended(),
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
        if self.end.is_none_or(|end| now.mono < end) {
            return;
        }
        if self.asked {
            return self.ended();
        }
        self.asked = true;
        self.end = Some(now.mono + ANSWER_WAIT);
        self.shot.ask(Command::Rooms);
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
    use super::*;
    use crate::control::output::fake::Written;
    use crate::control::people::fake::now;
    use crate::id::PeerId;

    fn room(name: &str, joined: bool) -> Event {
        Event::Room {
            reference: Some(REFERENCE.into()),
            room: name.into(),
            joined,
            locked: false,
            members: vec![PeerId([3; 32])],
            topic: String::new(),
        }
    }

    fn run(json: bool, answers: &[Event]) -> (String, String, Flow) {
        let (out, output) = Written::new();
        let (err, errors) = Written::new();
        let mut rooms = Rooms::on(output, errors, Duration::from_secs(1), json);
        let mut now = now();
        rooms.handle_event(now, &room("#early", false));
        now = now + Duration::from_secs(1);
        rooms.handle_timeout(now);
        let request = rooms.poll_request().expect("it asks");
        assert_eq!(request.command, Command::Rooms);
        for event in answers {
            rooms.handle_event(now, event);
        }
        rooms.handle_event(
            now,
            &Event::Reply {
                reference: request.reference,
                ok: true,
                id: None,
                passphrase: None,
            },
        );
        rooms.flush(now).expect("written");
        (out.take(), err.take(), rooms.flow())
    }

    #[test]
    fn the_rooms_of_the_answer_are_printed_and_no_others() {
        let answers = [room("#games", false), room("#lobby", true)];
        let (out, err, flow) = run(false, &answers[..]);
        // One came before it asked, as news do; here it carries the same `ref` all the same.
        assert!(
            out.ends_with("#games  1 here\n#lobby  1 here, joined\n"),
            "{out}"
        );
        assert_eq!((err.as_str(), flow), ("", Flow::Quit(ExitCode::Done)));
        let (out, ..) = run(true, &answers[..]);
        assert!(
            out.lines()
                .all(|line| line.starts_with(r#"{"event":"room","room":"#))
        );
    }
}
