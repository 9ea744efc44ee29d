//! What a process has open that nobody meant for it: descriptors that whoever started the host had left open.

use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

/// The last of the three streams that every process has.
const STDERR: RawFd = 2;

/// Closes everything but the three streams. Only for the beginning of a process: whatever it has opened itself would be
/// closed, too.
#[expect(unsafe_code, reason = "a descriptor that is only known by its number cannot be closed otherwise")]
pub(super) fn close() {
    // Collected first, because reading the folder has a descriptor of its own.
    let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten().filter_map(Result::ok);
    let numbers: Vec<RawFd> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|number| STDERR < *number) {
        // The folder's own descriptor is in the list, and closed already.
        if std::fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok() {
            // SAFETY: the process has opened nothing yet that it keeps, so nobody else owns this descriptor.
            drop(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
}
