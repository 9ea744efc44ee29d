//! What a process has that nobody meant for it: descriptors that whoever started the host had left open, privileges of
//! root, and a life that may be longer than that of its host.

use std::{
    io,
    os::fd::{FromRawFd as _, OwnedFd, RawFd},
};

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities as thread_capabilities, set_capabilities};

/// The last of the three streams that every process has.
const STDERR: RawFd = 2;

/// Closes everything but the three streams. Only for the beginning of a process: whatever it has opened itself would be
/// closed, too.
#[expect(unsafe_code, reason = "a descriptor that is only known by its number cannot be closed otherwise")]
pub(crate) fn close() {
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

/// That the host is still there. Where it went before this process asked to end with it, nobody sends the signal.
///
/// # Errors
/// When it is gone.
pub(crate) fn check_parent(host: u32) -> Result<(), String> {
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if parent == Some(host) { Ok(()) } else { Err("the host is gone".to_owned()) }
}

/// What a host that runs as root may do with the files of others. A job of such a host that was granted a folder can use it.
const FILE_PRIVILEGES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER);

/// Gives up what root may do and others may not; there is nothing to give up where the host is not root.
pub(crate) fn drop_privileges(has_files: bool) -> io::Result<()> {
    let held = thread_capabilities(None)?.permitted;
    let kept = if has_files { held & FILE_PRIVILEGES } else { CapabilitySet::empty() };
    Ok(set_capabilities(
        None,
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() },
    )?)
}
