//! `lanchat pipe`: commands on stdin, events on stdout, one JSON object a line.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use mio::{Registry, Token};

use super::input::{Input, Line};
use super::json;
use super::output::{Output, Patience};
use crate::api::{Command, Event, Request};
use crate::error::ExitCode;
use crate::proto::Now;
use crate::runtime::front_end::FRONT_END_TOKEN;
use crate::runtime::{Flow, FrontEnd};

/// How long what was written before the end of stdin may take to be delivered.
pub const DRAIN_MAX: Duration = Duration::from_secs(5);
/// No more commands are taken while so many bytes of answers wait for their reader.
const PENDING_HIGH: usize = 1024 * 1024;
const STDIN: Token = Token(FRONT_END_TOKEN);

/// The front end of scripts.
///
/// - A line that is no command gets an `error` event, and nothing else happens; see
///   [`json::parse_request`], and `line_too_long` and `not_utf8`. Empty lines are passed over.
/// - The end of stdin drains, unless it is told to stay. `quit` is answered and leaves at once.
/// - Whoever reads so slowly that [`super::output::PENDING_LEN_MAX`] bytes wait gets what was
///   written up to there, then an `error` event `too_slow`, and the node ends with 1.
pub struct Pipe {
    input: Input,
    output: Output,
    stay: bool,
    requests: VecDeque<Request>,
    flow: Flow,
}

impl Pipe {
    /// On stdin and stdout. With `stay` the end of stdin ends nothing.
    ///
    /// # Errors
    /// None at present; what is wrong with stdin shows when it is registered.
    pub fn new(stay: bool) -> io::Result<Pipe> {
        let output = Output::stdout(Patience::Bounded);
        Ok(Pipe::on(Input::stdin(), output, stay))
    }

    /// On this input and output.
    #[must_use]
    pub fn on(input: Input, output: Output, stay: bool) -> Pipe {
        Pipe {
            input,
            output,
            stay,
            requests: VecDeque::new(),
            flow: Flow::Continue,
        }
    }

    fn take(&mut self, now: Now, line: Line) {
        match line {
            Line::Text(text) if text.trim().is_empty() => {}
            Line::Text(text) => match json::parse_request(&text) {
                Ok(request) if request.command == Command::Quit => self.quit(request),
                Ok(request) => self.requests.push_back(request),
                Err(error) => self.push(&error),
            },
            Line::TooLong => self.push(&json::too_long()),
            Line::NotUtf8 => self.push(&json::not_utf8()),
            Line::End if self.stay => {}
            Line::End => self.flow = Flow::Drain(now.mono + DRAIN_MAX),
        }
    }

    fn quit(&mut self, request: Request) {
        self.push(&Event::Reply {
            reference: request.reference,
            ok: true,
            id: None,
            passphrase: None,
        });
        self.flow = Flow::Quit(ExitCode::Done);
    }

    fn push(&mut self, event: &Event) {
        let was_overflowed = self.output.is_overflowed();
        self.output.push_line(&json::to_line(event));
        if self.output.is_overflowed() && !was_overflowed {
            self.output.push_last_line(&json::to_line(&too_slow()));
            self.flow = Flow::Quit(ExitCode::Failed);
        }
    }
}

fn too_slow() -> Event {
    Event::Error {
        reference: None,
        code: "too_slow".to_owned(),
        message: "stdout is read too slowly, so events were lost and the node ends".to_owned(),
        hint: Some("read stdout as it comes".to_owned()),
    }
}

impl FrontEnd for Pipe {
    fn register(&mut self, registry: &Registry) -> io::Result<()> {
        self.output.register(registry)?;
        self.input.register(registry, STDIN)
    }

    fn ready(&mut self, now: Now, token: Token) {
        if token == STDIN {
            self.input.mark_ready();
        }
        if !self.is_hungry() {
            return;
        }
        for line in self.input.take() {
            if !matches!(self.flow, Flow::Quit(_)) {
                self.take(now, line);
            }
        }
    }

    fn is_hungry(&self) -> bool {
        self.input.is_hungry()
            && self.output.pending() < PENDING_HIGH
            && !matches!(self.flow, Flow::Quit(_))
    }

    fn poll_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    fn handle_event(&mut self, _: Now, event: &Event) {
        self.push(event);
    }

    fn flush(&mut self, _: Now) -> io::Result<()> {
        self.output.flush()
    }

    fn flow(&self) -> Flow {
        self.flow.clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::control::input::fake::Reads;
    use crate::control::output::fake::Written;

    struct Driven {
        pipe: Pipe,
        reads: Reads,
        written: Written,
        now: Now,
    }

    impl Driven {
        fn new(stay: bool) -> Driven {
            let reads = Reads::default();
            let (written, output) = Written::new();
            Driven {
                pipe: Pipe::on(Input::new(reads.clone()), output, stay),
                reads,
                written,
                now: crate::control::people::fake::now(),
            }
        }

        /// One turn of the loop after the source became readable: requests and lines written.
        fn turn(&mut self) -> (Vec<Request>, Vec<Value>) {
            self.pipe.ready(self.now, STDIN);
            while self.pipe.is_hungry() {
                self.pipe.ready(self.now, STDIN);
            }
            let requests = std::iter::from_fn(|| self.pipe.poll_request()).collect();
            self.pipe.flush(self.now).unwrap();
            let lines = self.written.take();
            let lines = lines
                .lines()
                .map(|line| serde_json::from_str(line).unwrap());
            (requests, lines.collect())
        }
    }

    #[test]
    fn commands_become_requests_in_order_and_empty_lines_nothing() {
        let mut driven = Driven::new(false);
        driven
            .reads
            .push("{\"command\":\"who\",\"ref\":1}\r\n\n  \n{\"command\":\"rooms\"}\n{\"comm");
        let (requests, lines) = driven.turn();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0].reference, Some(json!(1)));
        assert_eq!(requests[0].command, Command::Who);
        assert_eq!(requests[1].command, Command::Rooms);
        assert_eq!(lines, [] as [Value; 0]);
        driven.reads.push("and\":\"who\"}\n");
        assert_eq!(driven.turn().0.len(), 1);
        assert_eq!(driven.pipe.flow(), Flow::Continue);
    }

    #[test]
    fn a_bad_line_is_answered_and_the_next_is_taken() {
        let mut driven = Driven::new(false);
        let long = "x".repeat(crate::limits::JSON_LINE_LEN_MAX + 100);
        driven.reads.push("{\"ref\":5,\"command\":\"fly\"}\nnope\n");
        driven.reads.push(b"\xff\n");
        driven
            .reads
            .push(format!("{long}\n{{\"command\":\"who\"}}\n"));
        let (requests, lines) = driven.turn();
        let codes: Vec<&Value> = lines.iter().map(|line| &line["code"]).collect();
        assert_eq!(
            codes,
            ["bad_command", "bad_json", "not_utf8", "line_too_long"]
        );
        assert!(lines.iter().all(|line| line["event"] == "error"));
        assert_eq!(lines[0]["ref"], 5);
        assert_eq!(requests, [Request::from(Command::Who)]);
    }

    #[test]
    fn the_end_of_stdin_drains_after_the_last_line_even_without_a_newline() {
        let mut driven = Driven::new(false);
        driven.reads.push("{\"command\":\"who\"}");
        driven.reads.end();
        assert_eq!(driven.turn().0, [Request::from(Command::Who)]);
        let end = driven.now.mono + Duration::from_secs(5);
        assert_eq!(driven.pipe.flow(), Flow::Drain(end));
        // Events still come while it drains.
        driven.pipe.handle_event(driven.now, &too_slow());
        assert_eq!(driven.turn().1.len(), 1);
    }

    #[test]
    fn with_stay_the_end_of_stdin_ends_nothing() {
        let mut driven = Driven::new(true);
        driven.reads.end();
        driven.turn();
        assert_eq!(driven.pipe.flow(), Flow::Continue);
        assert!(!driven.pipe.is_hungry(), "or it would spin");
    }

    #[test]
    fn quit_is_answered_and_nothing_after_it_is_taken() {
        let mut driven = Driven::new(true);
        driven
            .reads
            .push("{\"command\":\"who\"}\n{\"command\":\"quit\",\"ref\":[1]}\n{\"command\":\"who\"}\nnope\n");
        driven.reads.end();
        let (requests, lines) = driven.turn();
        assert_eq!(requests.len(), 1, "what came before is still done");
        assert_eq!(lines, [json!({"event": "reply", "ref": [1], "ok": true})]);
        assert_eq!(driven.pipe.flow(), Flow::Quit(ExitCode::Done));
    }

    #[test]
    fn while_answers_wait_no_commands_are_taken() {
        let mut driven = Driven::new(false);
        driven.written.set_room(0);
        let event = Event::Error {
            reference: None,
            code: "x".repeat(PENDING_HIGH),
            message: String::new(),
            hint: None,
        };
        driven.pipe.handle_event(driven.now, &event);
        driven.reads.push("{\"command\":\"who\"}\n");
        driven.pipe.ready(driven.now, STDIN);
        assert_eq!(driven.pipe.poll_request(), None);
        assert!(!driven.pipe.is_hungry(), "or it would spin");
        driven.written.set_room(usize::MAX);
        driven.pipe.flush(driven.now).unwrap();
        assert!(driven.pipe.is_hungry(), "the line was not forgotten");
        driven.pipe.ready(driven.now, Token(FRONT_END_TOKEN + 1));
        assert!(driven.pipe.poll_request().is_some());
    }

    #[test]
    fn a_reader_that_never_reads_ends_the_node_and_is_told() {
        let mut driven = Driven::new(false);
        driven.written.set_room(0);
        let event = Event::Error {
            reference: None,
            code: "x".repeat(1024 * 1024),
            message: String::new(),
            hint: None,
        };
        let mut events = 0;
        while driven.pipe.flow() == Flow::Continue {
            driven.pipe.handle_event(driven.now, &event);
            events += 1;
            assert!(events < 100, "the bound was never reached");
        }
        assert_eq!(driven.pipe.flow(), Flow::Quit(ExitCode::Failed));
        driven.pipe.handle_event(driven.now, &event);
        driven.written.set_room(usize::MAX);
        driven.pipe.flush(driven.now).unwrap();
        let text = driven.written.take();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines.len(),
            events,
            "all but the one that did not fit, and the word"
        );
        let last: Value = serde_json::from_str(lines[events - 1]).unwrap();
        assert_eq!(last["code"], "too_slow");
    }
}
