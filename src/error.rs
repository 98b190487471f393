//! Errors for people: one sentence, a hint, and the exit code that scripts rely on.

use std::fmt;

/// How a command ends, as the interface page fixes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum ExitCode {
    /// Done.
    Done = 0,
    /// Failed; an offer rejected too.
    Failed = 1,
    /// Usage, or an ambiguous name.
    Usage = 2,
    /// No such person or room within the wait.
    NotFound = 3,
    /// Not delivered in time.
    NotDelivered = 4,
    /// The network cannot be used, or an explicit chat port is taken.
    Network = 5,
    /// Interrupted (SIGINT).
    Interrupted = 130,
}

/// What went wrong, in one sentence, what to do about it, and how the process ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserError {
    /// One sentence without a full stop: what went wrong.
    pub message: String,
    /// What the person can do about it, if anything is known to help.
    pub hint: Option<String>,
    /// How the process ends if this ends it.
    pub code: ExitCode,
}

impl UserError {
    /// An error without a hint yet.
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        UserError {
            message: message.into(),
            hint: None,
            code,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for UserError {}
