//! What the command line asks of a Unix system.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use nix::unistd::{Uid, User, gethostname};

/// Variables that may hold the login name, the better first.
pub(super) const LOGIN_VARIABLES: [&str; 2] = ["USER", "LOGNAME"];

/// The login name of the user that this process runs as.
pub(super) fn login() -> Option<String> {
    Some(User::from_uid(Uid::current()).ok()??.name)
}

/// The name of this machine.
pub(super) fn hostname(_env: &BTreeMap<String, OsString>) -> Option<String> {
    gethostname().ok()?.into_string().ok()
}

/// Makes a directory, and those above it, that its owner alone may enter (mode 0700).
pub(super) fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Whether others than the owner may read or write this file.
pub(super) fn is_exposed(metadata: &Metadata) -> bool {
    metadata.mode() & 0o077 != 0
}
