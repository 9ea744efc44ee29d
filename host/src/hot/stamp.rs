//! What the file system says of a file without opening it: enough to see that it may have changed.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

/// A file, a folder, or nothing, at one moment. Links are followed, so that another target is another stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    /// Nothing is there, or nothing that may be looked at.
    Absent,
    /// Something is there.
    Present {
        device: u64,
        inode: u64,
        n_bytes: u64,
        /// When its content changed, in seconds and nanoseconds.
        modified: (i64, i64),
        /// When anything of it changed: unlike the other one, nobody can set it.
        changed: (i64, i64),
    },
}

impl Stamp {
    /// Looks at a path.
    pub(super) fn of(path: &Path) -> Self {
        let Ok(metadata) = fs::metadata(path) else { return Self::Absent };
        Self::Present {
            device: metadata.dev(),
            inode: metadata.ino(),
            n_bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}
