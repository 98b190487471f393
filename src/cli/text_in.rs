//! The text of a message from standard input.

use std::io::{self, Read};

use crate::error::{ExitCode, UserError};
use crate::limits::PRIVATE_BODY_LEN_MAX;

/// The text to send from stdin, without the newline at its end.
///
/// # Errors
/// It is longer than [`PRIVATE_BODY_LEN_MAX`] bytes, not UTF-8, empty, or cannot be read.
pub fn read_stdin_text() -> Result<String, UserError> {
    read_text(io::stdin().lock())
}

fn read_text(source: impl Read) -> Result<String, UserError> {
    let usage = |message: String| UserError::new(ExitCode::Usage, message);
    let mut bytes = Vec::new();
    // A line ending does not count, and one more tells that there is more.
    let most = PRIVATE_BODY_LEN_MAX as u64 + 3;
    source
        .take(most)
        .read_to_end(&mut bytes)
        .map_err(|error| usage(format!("stdin cannot be read: {error}")))?;
    let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if text.len() > PRIVATE_BODY_LEN_MAX {
        let message = format!("the text is longer than {PRIVATE_BODY_LEN_MAX} bytes");
        return Err(usage(message).hint("send it in parts"));
    }
    let text = String::from_utf8(text.to_vec())
        .map_err(|_| usage("the text on stdin is not UTF-8".to_owned()))?;
    if text.is_empty() {
        let error = usage("there is no text to send".to_owned());
        return Err(error.hint("write lanchat send TARGET TEXT, or give the text on stdin"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_stdin_is_checked() {
        let read = |bytes: &[u8]| read_text(bytes);
        assert_eq!(read(b"a\nb\n\n").as_deref(), Ok("a\nb\n"));
        assert_eq!(read(b"a\r\n").as_deref(), Ok("a"));
        let longest = "x".repeat(PRIVATE_BODY_LEN_MAX);
        let with_ending = format!("{longest}\r\n");
        assert_eq!(read(with_ending.as_bytes()).as_deref(), Ok(&longest[..]));
        for bad in ["", "\n", &format!("{longest}x"), &format!("{longest}x\r\n")] {
            assert_eq!(read(bad.as_bytes()).unwrap_err().code, ExitCode::Usage);
        }
        assert!(read(b"\xff").unwrap_err().message.contains("UTF-8"));
        let endless = read_text(io::repeat(b'x')).unwrap_err();
        assert!(endless.message.contains("longer than 65536 bytes"));
    }
}
