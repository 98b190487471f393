//! Standard output and standard error: written with their errors handled.
//!
//! `println!` panics when its reader is gone. Here a closed pipe (`lanchat who | head -1`) is no
//! error: whoever read has read enough.

use std::io::{self, Write};

use crate::error::{ExitCode, UserError};
use crate::text::DisplayText;

/// What became of a text that was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    /// It is out.
    All,
    /// Nobody reads any more: end quietly, with 0.
    Closed,
}

/// Writes `text` as it is to standard output, at once.
///
/// # Errors
/// It could not be written, and not because its reader is gone.
pub fn print(text: &str) -> Result<Written, UserError> {
    write_to(&mut io::stdout().lock(), text).map_err(|error| {
        let message = format!("cannot write to standard output: {error}");
        UserError::new(ExitCode::Failed, message)
    })
}

/// Tells a person what went wrong: `lanchat: sentence` and `hint: sentence` on standard error.
/// Where even that cannot be written there is nobody to tell.
pub fn report(error: &UserError) {
    let _ = write_to(&mut io::stderr().lock(), &format_error(error));
}

/// Tells a person on standard error what is going on.
pub fn note(text: &str) {
    let _ = write_to(
        &mut io::stderr().lock(),
        &format!("{}\n", DisplayText::line(text)),
    );
}

/// Writes and flushes, for whatever else is written by lines.
///
/// # Errors
/// It could not be written, and not because its reader is gone.
pub fn write_to(out: &mut dyn Write, text: &str) -> io::Result<Written> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Written::All),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Written::Closed),
        Err(error) => Err(error),
    }
}

/// One line for the sentence and one for the hint, whatever they quote.
fn format_error(error: &UserError) -> String {
    let mut text = format!("lanchat: {}\n", DisplayText::line(&error.message));
    if let Some(hint) = &error.hint {
        text.push_str(&format!("hint: {}\n", DisplayText::line(hint)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_error_and_a_full_disk_is() {
        let mut out = Vec::new();
        assert_eq!(write_to(&mut out, "x\n").unwrap(), Written::All);
        assert_eq!(out, b"x\n");
        let mut closed = Broken(io::ErrorKind::BrokenPipe);
        assert_eq!(write_to(&mut closed, "x").unwrap(), Written::Closed);
        let mut full = Broken(io::ErrorKind::StorageFull);
        assert!(write_to(&mut full, "x").is_err());
    }

    #[test]
    fn an_error_is_two_lines_whatever_it_quotes() {
        let error = UserError::new(ExitCode::Failed, "no \u{1b}[2Jfile\nhint: no").hint("look");
        assert_eq!(
            format_error(&error),
            "lanchat: no [2Jfile hint: no\nhint: look\n"
        );
        let error = UserError::new(ExitCode::Failed, "no");
        assert_eq!(format_error(&error), "lanchat: no\n");
    }
}
