//! What the store asks of a Unix system about files.

use std::fs::{Metadata, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

/// Makes files that these options create readable by their owner alone (mode 0600).
pub(super) fn owner_only(options: &mut OpenOptions) {
    options.mode(0o600);
}

/// Which file this is: device and inode. A copy and a restored backup have another inode. On some
/// file systems the device number changes with a reboot; that costs a new epoch, no harm.
pub(super) fn file_identity(metadata: &Metadata) -> String {
    format!("{}:{}", metadata.dev(), metadata.ino())
}
