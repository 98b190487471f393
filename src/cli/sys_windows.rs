//! What the command line asks of Windows.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{DirBuilder, Metadata};
use std::io;
use std::path::Path;

/// Variables that may hold the login name, the better first.
pub(super) const LOGIN_VARIABLES: [&str; 1] = ["USERNAME"];

/// The login name where the environment does not tell it: unknown here.
pub(super) fn login() -> Option<String> {
    None
}

/// The name of this machine.
pub(super) fn hostname(env: &BTreeMap<String, OsString>) -> Option<String> {
    env.get("COMPUTERNAME")?.to_str().map(str::to_owned)
}

/// Makes a directory and those above it; in a profile it is its owner's by inheritance.
pub(super) fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(path)
}

/// Whether others may read this file: not told by anything the standard library knows.
pub(super) fn is_exposed(_metadata: &Metadata) -> bool {
    false
}
