//! What an attempt does with files: writes and new files are counted and stopped at their limits, and what was refused is
//! remembered with the path that the guest knows. WASI itself has neither quotas nor a memory.

mod preview_1;
mod preview_2;
mod stream;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use clockjack_schedule::{
    counts::Counts,
    job::{DirGrant, DirMode},
    outcome::OutcomeCode,
};

pub(crate) use self::{
    preview_1::add_to_linker as add_to_core_linker,
    preview_2::{Guarded, add_to_linker},
};
use crate::{limiter::LimitHit, refusals::Refusals};

/// Longest path that is remembered or told: longer ones say nothing to a person.
const PATH_CHARS_MAX: usize = 300;

/// How many bytes and files an attempt has written. Streams that the guest holds share it.
#[derive(Debug)]
pub(crate) struct FileMeter {
    bytes_max: u64,
    files_max: u64,
    n_bytes: AtomicU64,
    n_files: AtomicU64,
}

impl FileMeter {
    fn new(counts: &Counts) -> Self {
        Self {
            bytes_max: counts.file_bytes_max,
            files_max: counts.files_max,
            n_bytes: AtomicU64::new(0),
            n_files: AtomicU64::new(0),
        }
    }

    /// Counts bytes that are about to be written.
    fn write(&self, n_bytes: u64) -> Result<(), LimitHit> {
        let before = self.n_bytes.load(Relaxed);
        let after = before.saturating_add(n_bytes);
        if self.bytes_max < after {
            return Err(LimitHit::FileBytes { limit: self.bytes_max });
        }
        // One guest has one thread: nobody counts in between.
        self.n_bytes.store(after, Relaxed);
        Ok(())
    }

    /// Counts a file, folder or link that is about to be made.
    fn create(&self) -> Result<(), LimitHit> {
        let before = self.n_files.load(Relaxed);
        if self.files_max <= before {
            return Err(LimitHit::Files { limit: self.files_max });
        }
        self.n_files.store(before + 1, Relaxed);
        Ok(())
    }

    /// Takes back a file that was not made after all.
    fn not_created(&self) {
        self.n_files.store(self.n_files.load(Relaxed).saturating_sub(1), Relaxed);
    }

    /// How much was written.
    pub(crate) fn n_bytes(&self) -> u64 {
        self.n_bytes.load(Relaxed)
    }

    /// How many files, folders and links were made.
    pub(crate) fn n_files(&self) -> u64 {
        self.n_files.load(Relaxed)
    }
}

/// A directory that the guest has open: what the guest calls it, and the grant that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Open {
    path: String,
    grant: Arc<Grant>,
}

/// A granted directory, as a guest sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant {
    guest: String,
    mode: DirMode,
}

/// What an attempt does with files.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) meter: Arc<FileMeter>,
    grants: Vec<Arc<Grant>>,
    /// The directories that are open, by descriptor. It cannot outgrow the resources of the attempt.
    open: HashMap<u32, Open>,
}

impl Files {
    /// The directories in the order in which the guest is given them, with the scratch folder as the last one, if there is one.
    pub(crate) fn new(counts: &Counts, dirs: &[DirGrant], scratch: Option<&str>) -> Self {
        let granted = dirs.iter().map(|dir| Grant { guest: dir.guest.clone(), mode: dir.mode });
        let scratch = scratch.map(|guest| Grant { guest: guest.to_owned(), mode: DirMode::ReadWrite });
        let grants = granted.chain(scratch).map(Arc::new).collect();
        Self { meter: Arc::new(FileMeter::new(counts)), grants, open: HashMap::new() }
    }

    /// The guest was given a granted directory under this descriptor.
    fn give(&mut self, descriptor: u32, guest: &str) {
        let Some(grant) = self.grants.iter().find(|grant| grant.guest == guest) else { return };
        self.open.insert(descriptor, Open { path: grant.guest.clone(), grant: Arc::clone(grant) });
    }

    /// The guest opened a path of a directory.
    fn opened(&mut self, descriptor: u32, dir: u32, path: &str) {
        let Some(parent) = self.open.get(&dir) else { return };
        let open = Open { path: below(&parent.path, path), grant: Arc::clone(&parent.grant) };
        self.open.insert(descriptor, open);
    }

    /// The guest closed a descriptor.
    fn closed(&mut self, descriptor: u32) {
        self.open.remove(&descriptor);
    }

    /// The guest gave a descriptor another number.
    fn renumbered(&mut self, from: u32, to: u32) {
        match self.open.remove(&from) {
            Some(open) => drop(self.open.insert(to, open)),
            None => self.closed(to),
        }
    }

    /// Remembers that an operation on a path was refused, and why.
    fn refused(&self, refusals: &mut Refusals, operation: &str, dir: u32, path: &str) {
        refusals.note(OutcomeCode::FsDenied, || {
            let (shown, why) = match self.open.get(&dir) {
                Some(open) => (below(&open.path, path), reason(&open.grant, &open.path, path)),
                None => (shortened(path), "no directory is granted there (`grants.dirs`)".to_owned()),
            };
            format!("`{operation}` of `{shown}` was refused: {why}")
        });
    }

    /// Remembers that something was not opened that is neither a file nor a directory.
    fn refused_special(&self, refusals: &mut Refusals, dir: u32, path: &str) {
        refusals.note(OutcomeCode::FsDenied, || {
            let shown = self.open.get(&dir).map_or_else(|| shortened(path), |open| below(&open.path, path));
            format!("`open` of `{shown}` was refused: it is neither a file nor a directory, and pipes, sockets and devices are never opened")
        });
    }
}

/// Why a path of a directory was refused. The engine tells only that it was.
fn reason(grant: &Grant, dir: &str, path: &str) -> String {
    let guest = &grant.guest;
    // A descriptor reaches what lies below it, also where the grant holds more.
    if leads_out(path) {
        let which = if dir == guest { "the granted directory" } else { "the opened directory" };
        return format!("it leads out of {which} `{dir}` (`grants.dirs`)");
    }
    match grant.mode {
        DirMode::Read => format!("the directory `{guest}` is granted with `mode: read` (`grants.dirs`)"),
        DirMode::ReadWrite => format!(
            "a link on its way leads out of the granted directory `{guest}`, or into one that is granted with another `mode` (`grants.dirs`)"
        ),
    }
}

/// Whether a path leaves the directory at which it starts, links left aside.
fn leads_out(path: &str) -> bool {
    let mut depth = Some(0_usize);
    for step in path.split('/').filter(|step| !matches!(*step, "" | ".")) {
        depth = match (step, depth) {
            (_, None) => return true,
            ("..", Some(depth)) => depth.checked_sub(1),
            (_, Some(depth)) => Some(depth + 1),
        };
    }
    path.starts_with('/') || depth.is_none()
}

/// A path as the guest knows it.
fn below(dir: &str, path: &str) -> String {
    // Without a path the descriptor itself is meant.
    if path.is_empty() { dir.to_owned() } else { shortened(&format!("{}/{path}", dir.trim_end_matches('/'))) }
}

fn shortened(path: &str) -> String {
    path.chars().filter(|c| !c.is_control()).take(PATH_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leaves_its_directory_is_seen() {
        for path in ["..", "../a", "a/../..", "/etc/passwd", "./.././a", "a/../../a/b"] {
            assert!(leads_out(path), "{path}");
        }
        for path in ["", "a", "a/..", "./a/../b", "a//b", "..a", "a/b/../../c"] {
            assert!(!leads_out(path), "{path}");
        }
    }

    #[test]
    fn limits_are_the_last_that_is_allowed() {
        let meter = FileMeter::new(&Counts { file_bytes_max: 10, files_max: 1, ..Counts::default() });
        assert_eq!(meter.write(10), Ok(()));
        assert_eq!(meter.write(1), Err(LimitHit::FileBytes { limit: 10 }));
        assert_eq!(meter.create(), Ok(()));
        assert_eq!(meter.create(), Err(LimitHit::Files { limit: 1 }));
        meter.not_created();
        assert_eq!((meter.create(), meter.n_files(), meter.n_bytes()), (Ok(()), 1, 10));
    }
}
