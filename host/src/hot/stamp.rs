//! What the file system says of a file without opening it: enough to see that it may have changed.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use chrono::{DateTime, TimeDelta, Utc};

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

    /// The same, but as nothing where it changed since then: it may have been read before that, or after.
    pub(super) fn unless_changed_since(self, instant: DateTime<Utc>) -> Self {
        // The clock of file systems goes in steps of some milliseconds.
        const STEP: TimeDelta = TimeDelta::milliseconds(50);
        let Self::Present { changed: (seconds, nanos), .. } = self else { return self };
        let nanos = u32::try_from(nanos).unwrap_or_default();
        let changed = DateTime::from_timestamp(seconds, nanos).unwrap_or(DateTime::UNIX_EPOCH);
        if instant - STEP <= changed { Self::Absent } else { self }
    }
}
