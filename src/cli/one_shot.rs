//! What the commands that ask a node for one thing have in common: where they print, what they
//! ask, and how they end.

use std::io;

use mio::Registry;
use serde_json::Value;

use crate::api::{Command, Request};
use crate::control::output::{Output, Patience};
use crate::error::{ExitCode, UserError};
use crate::runtime::Flow;

/// The outputs of such a command, its request and its end.
pub struct OneShot {
    /// Its own requests carry this `ref`.
    reference: &'static str,
    output: Output,
    errors: Output,
    request: Option<Request>,
    flow: Flow,
}

impl OneShot {
    /// Where a command prints that a person or a script ran: stdout, however slowly it is read,
    /// and stderr.
    #[must_use]
    pub fn outputs() -> (Output, Output) {
        (Output::stdout(Patience::Endless), Output::stderr())
    }

    /// On these outputs; what it asks the node carries this `ref`.
    #[must_use]
    pub fn new(reference: &'static str, (output, errors): (Output, Output)) -> OneShot {
        OneShot {
            reference,
            output,
            errors,
            request: None,
            flow: Flow::Continue,
        }
    }

    /// Asks the node for this, instead of what it was not asked yet.
    pub fn ask(&mut self, command: Command) {
        self.request = Some(Request {
            reference: Some(Value::from(self.reference)),
            command,
        });
    }

    /// Whether an event answers to what was asked here.
    #[must_use]
    pub fn is_own(&self, reference: Option<&Value>) -> bool {
        reference.is_some_and(|reference| reference == self.reference)
    }

    /// Prints a line.
    pub fn line(&mut self, text: &str) {
        self.output.push_line(text);
    }

    /// Whether what is printed is read too slowly.
    #[must_use]
    pub fn is_overflowed(&self) -> bool {
        self.output.is_overflowed()
    }

    /// Tells of a problem that ends nothing.
    pub fn problem(&mut self, message: &str, hint: Option<&str>) {
        self.errors.push_problem(message, hint);
    }

    /// Ends the command: with 0, or by what is wrong.
    pub fn end(&mut self, result: Result<(), UserError>) {
        let code = match result {
            Ok(()) => ExitCode::Done,
            Err(error) => {
                self.errors.push_error(&error);
                error.code
            }
        };
        self.flow = Flow::Quit(code);
    }

    /// Whether it ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.flow != Flow::Continue
    }

    /// As [`FrontEnd::register`](crate::runtime::FrontEnd::register).
    pub fn register(&mut self, registry: &Registry) -> io::Result<()> {
        self.output.register(registry)?;
        self.errors.register(registry)
    }

    /// As [`FrontEnd::poll_request`](crate::runtime::FrontEnd::poll_request).
    pub fn poll_request(&mut self) -> Option<Request> {
        self.request.take()
    }

    /// As [`FrontEnd::flush`](crate::runtime::FrontEnd::flush). Without stderr the rest is still
    /// worth printing, and the exit code tells.
    pub fn flush(&mut self) -> io::Result<()> {
        let _ = self.errors.flush();
        self.output.flush()
    }

    /// As [`FrontEnd::flow`](crate::runtime::FrontEnd::flow).
    #[must_use]
    pub fn flow(&self) -> Flow {
        self.flow.clone()
    }
}
