//! What the store asks of Windows about files.

use std::fs::{Metadata, OpenOptions};
use std::os::windows::fs::MetadataExt;

/// Nothing to do: a profile directory is its owner's by inherited access control.
pub(super) fn owner_only(options: &mut OpenOptions) {
    let _ = options;
}

/// Which file this is: its creation time in 100 ns, which a copy does not inherit. The standard
/// library does not tell the file index yet.
pub(super) fn file_identity(metadata: &Metadata) -> String {
    format!("created:{}", metadata.creation_time())
}
