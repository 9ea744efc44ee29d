//! What the operating system knows of this process. What it does not tell is left out.

use std::{fs, time::Duration};

use rustix::{
    param::page_size,
    time::{ClockId, clock_gettime},
};

/// The figures of a process, each where it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process {
    pub(super) cpu_time: Duration,
    pub(super) resident_bytes: Option<u64>,
    pub(super) virtual_bytes: Option<u64>,
    pub(super) n_open_files: Option<u64>,
    pub(super) n_threads: Option<u64>,
}

impl Process {
    /// This one, now.
    pub(super) fn read() -> Self {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        let cpu_time = Duration::new(
            u64::try_from(time.tv_sec).unwrap_or_default(),
            u32::try_from(time.tv_nsec).unwrap_or_default(),
        );
        // In pages: the whole size first, then what is in memory.
        let sizes = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let page = u64::try_from(page_size()).unwrap_or_default();
        let mut sizes = sizes.split_whitespace().map(|pages| Some(pages.parse::<u64>().ok()?.saturating_mul(page)));
        let (virtual_bytes, resident_bytes) = (sizes.next().flatten(), sizes.next().flatten());
        Self {
            cpu_time,
            resident_bytes,
            virtual_bytes,
            // The folder that is being read is one of them.
            n_open_files: n_entries("/proc/self/fd").map(|n| n.saturating_sub(1)),
            n_threads: n_entries("/proc/self/task"),
        }
    }
}

fn n_entries(folder: &str) -> Option<u64> {
    u64::try_from(fs::read_dir(folder).ok()?.count()).ok()
}
