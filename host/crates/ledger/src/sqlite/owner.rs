//! One process per file: a lock that dies with its process, and a note that says who holds it.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read, Seek, Write},
    path::{Path, PathBuf},
};

use chrono::{DateTime, SecondsFormat, Utc};
use clockjack_schedule::ports::LedgerError;

/// How many links are followed before it is taken for a circle.
const LINKS_MAX: usize = 40;

/// Longest note that is read: it may be anybody's file.
const NOTE_BYTES_MAX: u64 = 1_024;

/// Who opens a ledger, for whoever finds it taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// What it is, for example the command that was given.
    pub what: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// The lock on a file. Whoever drops it lets go of it.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    was_kept: bool,
}

/// The one name of a file: links resolved, its directory made if it is not there.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, LedgerError> {
    let refused = |error: io::Error| {
        LedgerError::Refused(format!(
            "no ledger can be kept at `{}`: its folder cannot be made or used: {error}. Make the folder, see to it that \
             this user may write there, or give another path (`--ledger sqlite:PATH`, `stores` in the manifest)",
            path.display()
        ))
    };
    let mut path_now = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&path_now) {
            Ok(target) => path_now = path_now.parent().unwrap_or(Path::new("")).join(target),
            Err(_no_link) => return resolved(&path_now).map_err(refused),
        }
    }
    Err(LedgerError::Refused(format!("no ledger can be kept at `{}`: its links lead in a circle", path.display())))
}

fn resolved(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::Error::new(ErrorKind::InvalidInput, "the path names no file"))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_private(parent)?;
    Ok(fs::canonicalize(parent)?.join(name))
}

#[cfg(unix)]
fn make_private(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;

    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

#[cfg(not(unix))]
fn make_private(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(directory)
}

/// Fails if it is no file, or one with several names: the WAL lies beside one name only.
pub(super) fn check_kind(path: &Path) -> Result<(), LedgerError> {
    let refused =
        |what: &str| Err(LedgerError::Refused(format!("no ledger can be kept at `{}`: {what}", path.display())));
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return refused(&error.to_string()),
    };
    if metadata.is_dir() {
        let file = path.join("state.db");
        return refused(&format!("it is a directory; name a file in it, such as `sqlite:{}`", file.display()));
    }
    if !metadata.is_file() {
        return refused("it is no regular file");
    }
    #[cfg(unix)]
    if 1 < std::os::unix::fs::MetadataExt::nlink(&metadata) {
        return refused("it has several names (hard links), and a second host might use another one; keep one name");
    }
    Ok(())
}

/// Makes an empty file that only its owner may read, and makes its name durable.
pub(super) fn create(path: &Path) -> io::Result<()> {
    let file = open_private(path)?;
    file.sync_all()?;
    #[cfg(unix)]
    if let Some(parent) = path.parent() {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

impl Lock {
    /// Takes the lock of a file, or says who has it.
    pub(super) fn take(path: &Path, owner: &Owner) -> Result<Self, LedgerError> {
        let lock_path = lock_of(path);
        let unavailable = |error: io::Error| LedgerError::Unavailable(format!("`{}`: {error}", lock_path.display()));
        let mut file = open_private(&lock_path).map_err(unavailable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken(path, &mut file)),
            Err(TryLockError::Error(error)) => return Err(unavailable(error)),
        }
        let since = owner.since.to_rfc3339_opts(SecondsFormat::Secs, true);
        let mut before = String::new();
        let read = (&file).take(NOTE_BYTES_MAX).read_to_string(&mut before);
        let was_kept = read.is_ok() && before.lines().any(|line| line == KEPT);
        let mut note = format!("process {} on {} since {since}: {}\n", std::process::id(), host_name(), owner.what);
        if was_kept {
            note.push_str(&format!("{KEPT}\n"));
        }
        let write = file.rewind().and_then(|()| file.set_len(0)).and_then(|()| file.write_all(note.as_bytes()));
        write.map_err(unavailable)?;
        Ok(Self { file, was_kept })
    }

    /// Fails if the file is empty although a ledger was kept in it: somebody or something emptied it.
    pub(super) fn check_emptied(&self, path: &Path) -> Result<(), LedgerError> {
        if !self.was_kept || fs::metadata(path).is_ok_and(|metadata| metadata.len() != 0) || !path.exists() {
            return Ok(());
        }
        let (path, lock) = (path.display(), lock_of(path));
        Err(LedgerError::Damaged(format!(
            "`{path}` is empty, and a ledger was kept in it before. Put a backup in its place; or, to begin anew, remove it \
             and `{}`",
            lock.display()
        )))
    }

    /// Notes that a ledger is kept in the file.
    pub(super) fn note_kept(&mut self) -> io::Result<()> {
        if self.was_kept {
            return Ok(());
        }
        self.was_kept = true;
        self.file.write_all(format!("{KEPT}\n").as_bytes())
    }
}

/// The line of the note that says that there was a ledger.
const KEPT: &str = "a ledger is kept here";

fn taken(path: &Path, file: &mut File) -> LedgerError {
    let mut note = String::new();
    let read = file.rewind().and_then(|()| file.take(NOTE_BYTES_MAX).read_to_string(&mut note));
    let holder = match read {
        Ok(_) if !note.trim().is_empty() => note.lines().next().unwrap_or_default().trim().to_owned(),
        Ok(_) | Err(_) => "another process".to_owned(),
    };
    LedgerError::Refused(format!(
        "the ledger `{}` is in use by {holder}. Two hosts on one ledger would run slots twice: stop the other one, or \
         give this one another path",
        path.display()
    ))
}

fn lock_of(path: &Path) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_error| fs::read_to_string("/etc/hostname"));
    name.map_or_else(|_error| "this machine".to_owned(), |name| name.trim().to_owned())
}
