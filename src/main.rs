//! The program: parses the command line and runs what it asks for.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(lanchat::cli::main() as u8)
}
