//! The scratch folder of a command's attempt, which it sees as `/out`: where it may write, and where its result is found.
//!
//! Each attempt has a fresh folder that goes with it, whatever became of the guest. All folders of a process lie in one of
//! its own, held by a lock: what a crash left is known by a lock that nobody holds, and removed at the next start.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Read as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use clockjack_schedule::{manifest::scalar::show_size, outcome::json_bytes};
use rustix::fs::OFlags;
use serde_json::Value as Json;
use tokio::time::Instant;

/// What the guest calls the folder.
pub(crate) const GUEST_PATH: &str = "/out";

/// The file that becomes the run's output.
const RESULT: &str = "result.json";

/// How much an attempt may keep in its folder, as the file system counts it. A result has a few KiB; what needs more
/// belongs into a granted directory.
const BYTES_MAX: u64 = 64 << 20;

/// Files and folders that an attempt may keep there, so that counting them stays cheap.
const ENTRIES_MAX: usize = 1_000;

/// How deep folders may lie in each other: each level is an open file of whoever removes them.
const DEPTH_MAX: usize = 32;

/// How often a folder is measured while its attempt goes on, at the most. What the guest writes between two measurements
/// goes beyond the bound: a fast disk takes some 100 MiB in that time.
const MEASURED_EVERY: Duration = Duration::from_millis(50);

/// A measurement may cost one part in so many of the attempt's time.
const MEASURED_SHARE: u32 = 50;

/// What the file system counts in.
const BLOCK_BYTES: u64 = 512;

/// How the folder of a process is called; its number follows.
const PREFIX: &str = "clockjack-scratch-";

/// The file in it that the process holds a lock on.
const LOCK: &str = "lock";

/// The folder of this process.
#[derive(Debug)]
pub(crate) struct ScratchRoot {
    path: PathBuf,
    /// Held as long as the process lives.
    _lock: File,
    n_made: AtomicU64,
}

impl ScratchRoot {
    /// Makes the folder of this process, which nobody else may enter.
    pub(crate) fn new(parent: &Path) -> io::Result<Self> {
        const TRIES_MAX: u32 = 100;
        // What the system calls open files by.
        let parent = parent.canonicalize()?;
        let mut refused = None;
        for n in 0..TRIES_MAX {
            let path = parent.join(format!("{PREFIX}{}-{n}", std::process::id()));
            match private_folder(&path).and_then(|()| locked(&path)) {
                Ok(lock) => return Ok(Self { path, _lock: lock, n_made: AtomicU64::new(0) }),
                // Taken, or just removed by a process that looked for leftovers.
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.unwrap_or_else(|| io::Error::other("no folder could be made")))
    }

    /// A fresh folder for one attempt.
    pub(crate) fn folder(&self) -> io::Result<Scratch> {
        let path = self.path.join(self.n_made.fetch_add(1, Relaxed).to_string());
        private_folder(&path)?;
        Ok(Scratch { path, is_own: true })
    }
}

/// Says that no folder could be made.
pub(crate) fn refused(error: &io::Error) -> String {
    format!("no scratch folder could be made: {error}")
}

impl Drop for ScratchRoot {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "the scratch folder was not removed");
        }
    }
}

/// Removes what processes left behind that are gone. Answers how many folders that were.
pub(crate) fn clear_leftovers(parent: &Path) -> usize {
    let own_uid = rustix::process::getuid().as_raw();
    let entries = fs::read_dir(parent).into_iter().flatten().filter_map(Result::ok);
    let named = entries.filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)));
    let removed = named.map(|entry| entry.path()).filter(|path| {
        // In a folder that all may write to, the name alone says nothing.
        let own = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == own_uid);
        let lock = own.then(|| File::open(path.join(LOCK)).ok()).flatten();
        // Held until the folder is gone: a process that is just making it sees that, and makes another one.
        lock.is_some_and(|lock| lock.try_lock().is_ok() && fs::remove_dir_all(path).is_ok())
    });
    removed.count()
}

fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

fn locked(folder: &Path) -> io::Result<File> {
    let lock = File::create_new(folder.join(LOCK))?;
    lock.try_lock().map_err(io::Error::from)?;
    // Between the two, somebody who looked for leftovers may have removed it all.
    fs::metadata(folder.join(LOCK))?;
    Ok(lock)
}

/// The folder of one attempt. It goes when this does.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    /// Whether this process removes it.
    is_own: bool,
}

impl Scratch {
    /// A folder that another process has made, and removes.
    pub(crate) fn of_another(path: PathBuf) -> Self {
        Self { path, is_own: false }
    }

    /// A fresh folder in this one.
    pub(crate) fn inner(&self, number: u32) -> io::Result<Self> {
        let path = self.path.join(number.to_string());
        private_folder(&path)?;
        Ok(Self { path, is_own: true })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nothing was left in the folder.
    pub(crate) fn is_empty(&self) -> bool {
        fs::read_dir(&self.path).is_ok_and(|mut entries| entries.next().is_none())
    }

    /// Waits until the folder holds more than it may, and says what. Cancel-safe.
    pub(crate) async fn overflow(&self) -> String {
        let mut pause = MEASURED_EVERY;
        loop {
            tokio::time::sleep(pause).await;
            let began = Instant::now();
            if let Some(excess) = excess(&self.path) {
                return excess;
            }
            pause = MEASURED_EVERY.max(began.elapsed() * MEASURED_SHARE);
        }
    }

    /// What the attempt left in `result.json`; none where there is no such file.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(crate) fn result(&self, bytes_max: u64) -> Result<Option<Json>, String> {
        let file = match open(&self.path.join(RESULT)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                return Err("is a symbolic link, which is not followed".to_owned());
            }
            Err(error) => return Err(format!("cannot be read: {error}")),
        };
        let metadata = file.metadata().map_err(|error| format!("cannot be read: {error}"))?;
        if !metadata.is_file() {
            return Err("is no regular file".to_owned());
        }
        let too_large = |n_bytes: u64| {
            let (size, limit) = (show_size(n_bytes), show_size(bytes_max));
            format!("has {size}; its limit is {limit} (`limits.output`)")
        };
        if bytes_max < metadata.len() {
            return Err(too_large(metadata.len()));
        }
        let mut bytes = Vec::new();
        file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
        let json: Json = serde_json::from_slice(&bytes).map_err(|error| format!("is not valid JSON: {error}"))?;
        // Many small values weigh more in the host than in the file.
        let n_bytes = u64::try_from(json_bytes(&json)).unwrap_or(u64::MAX);
        if bytes_max < n_bytes { Err(too_large(n_bytes)) } else { Ok(Some(json)) }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Most attempts leave nothing behind.
        if !self.is_own || fs::remove_dir(&self.path).is_ok() {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the scratch folder of an attempt was not removed");
        }
    }
}

/// Opens a file that a guest has made: not through a link, and without waiting for whatever may be there.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let bits = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    fs::OpenOptions::new().read(true).custom_flags(bits).open(path)
}

/// What a folder holds too much of.
fn excess(folder: &Path) -> Option<String> {
    let hint = "no key changes that; grant a directory under `grants.dirs` for more";
    let (mut n_bytes, mut n_entries) = (removed_but_open(folder), 0_usize);
    let mut folders = vec![(folder.to_path_buf(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        if DEPTH_MAX < depth {
            return Some(format!("the attempt keeps folders more than {DEPTH_MAX} deep in `{GUEST_PATH}`, and {hint}"));
        }
        for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            // What is removed while it is counted does not count.
            let Ok(metadata) = entry.metadata() else { continue };
            n_entries += 1;
            n_bytes = n_bytes.saturating_add(metadata.blocks().saturating_mul(BLOCK_BYTES));
            if ENTRIES_MAX < n_entries {
                return Some(format!("the attempt keeps more than {ENTRIES_MAX} files in `{GUEST_PATH}`, and {hint}"));
            }
            if metadata.is_dir() {
                folders.push((entry.path(), depth + 1));
            }
        }
    }
    let limit = show_size(BYTES_MAX);
    (BYTES_MAX < n_bytes).then(|| format!("the attempt keeps more than {limit} in `{GUEST_PATH}`, and {hint}"))
}

/// Bytes of files that have no name any more, but are still open. Where the system does not tell, none.
fn removed_but_open(folder: &Path) -> u64 {
    let mut prefix = folder.as_os_str().as_bytes().to_vec();
    prefix.push(b'/');
    let is_removed = |entry: &fs::DirEntry| {
        let target = fs::read_link(entry.path()).unwrap_or_default();
        let target = target.as_os_str().as_bytes();
        target.starts_with(&prefix) && target.ends_with(b" (deleted)")
    };
    let open = fs::read_dir("/proc/self/fd").into_iter().flatten().filter_map(Result::ok);
    let sizes = open.filter(is_removed).filter_map(|entry| fs::metadata(entry.path()).ok());
    sizes.map(|metadata| metadata.blocks().saturating_mul(BLOCK_BYTES)).sum()
}
