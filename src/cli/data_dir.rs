//! The data directory: made for its owner alone, used by one node at a time.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use super::sys;
use crate::error::{ExitCode, UserError};
use crate::store::owner_only;

const LOCK_FILE: &str = "lock";
const ELSEWHERE: &str = "choose another directory with `--data-dir`, or run with `--ephemeral`";

/// The right to be the node of a data directory, for as long as this lives. It is the system's
/// lock on an open file (flock), never the file's existence: it cannot be left behind by a crash.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Makes the directory if it is not there yet.
///
/// # Errors
/// It cannot be made, or something else has its name.
pub fn create(dir: &Path) -> Result<(), UserError> {
    sys::create_private_dir(dir)
        .map_err(|error| failed(format!("cannot use the data directory {dir:?}: {error}")))
}

/// Takes the lock of this directory, which has to exist.
///
/// # Errors
/// Another node has it, or the directory cannot be written or does not know locks.
pub fn lock(dir: &Path) -> Result<Lock, UserError> {
    let path = dir.join(LOCK_FILE);
    let cannot =
        |error: io::Error| failed(format!("cannot lock the data directory {dir:?}: {error}"));
    let file = owner_only()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { _file: file }),
        Err(TryLockError::WouldBlock) => {
            let message = format!("another lanchat is running on the data directory {dir:?}");
            Err(UserError::new(ExitCode::Failed, message).hint(format!("end it, or {ELSEWHERE}")))
        }
        Err(TryLockError::Error(error)) => Err(cannot(error)),
    }
}

fn failed(message: String) -> UserError {
    UserError::new(ExitCode::Failed, message).hint(ELSEWHERE)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_directory_has_one_node() {
        let dir = TempDir::new().unwrap();
        let first = lock(dir.path()).unwrap();
        let error = lock(dir.path()).expect_err("taken");
        assert_eq!(error.code, ExitCode::Failed);
        assert!(
            error.message.contains(dir.path().to_str().unwrap()),
            "{error}"
        );
        let hint = error.hint.unwrap();
        assert!(hint.contains("--data-dir") && hint.contains("--ephemeral"));
        drop(first);
        lock(dir.path()).unwrap();
    }

    #[test]
    fn it_is_made_with_all_above_it() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("share/lanchat");
        create(&path).unwrap();
        create(&path).unwrap();
        lock(&path).unwrap();
        #[cfg(unix)]
        for made in [&*path, path.parent().unwrap()] {
            use std::os::unix::fs::PermissionsExt;
            let mode = made.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
    }

    #[test]
    fn a_file_in_its_place_is_an_error_with_a_hint() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "x").unwrap();
        for error in [
            create(&path).expect_err("a file"),
            create(&path.join("below")).expect_err("a file"),
            lock(&path).expect_err("a file"),
        ] {
            assert!(error.message.contains("data directory"), "{error}");
            assert!(error.hint.unwrap().contains("--data-dir"));
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"x");
    }
}
