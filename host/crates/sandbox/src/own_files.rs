//! Folders and files that belong to this user alone: what caches are made of.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustix::fs::{OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

/// Makes a folder, or sees that it belongs to this user alone.
///
/// # Errors
/// What is the matter with it; follows its name in a sentence.
pub fn own_folder(folder: &Path) -> Result<(), String> {
    let told = |error: io::Error| format!("cannot be had: {error}");
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(told)?;
    let metadata = fs::symlink_metadata(folder).map_err(told)?;
    if !metadata.is_dir() {
        return Err("is a link or a file".to_owned());
    }
    private(&metadata).map_err(|problem| format!("{problem}: `chmod 700` it, or name another one"))
}

fn private(metadata: &fs::Metadata) -> Result<(), String> {
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err("belongs to somebody else".to_owned());
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(format!("is open to others (mode {:o})", metadata.mode() & 0o777));
    }
    Ok(())
}

/// Opens a plain file of this user alone, not through a link.
///
/// # Errors
/// When it is not there, is no plain file, or is another's or open to others.
pub fn own_file(path: &Path) -> io::Result<File> {
    let bits = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).map_err(io::Error::other)?;
    let file = OpenOptions::new().read(true).custom_flags(bits).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    private(&metadata).map_err(|problem| io::Error::other(format!("it {problem}")))?;
    Ok(file)
}

/// Makes a file that only this user can read.
///
/// # Errors
/// When there is one already, or none can be made.
pub fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Notes that a file was used: what was used last stays longest.
pub fn used_now(file: &File) {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    // Where that fails it goes sooner, and is made again.
    let _ignored = rustix::fs::futimens(file, &Timestamps { last_access: access, last_modification: now });
}

/// Removes the files of a folder that were not used for longest, until the rest fits. Only those count whose name is ours.
pub fn shrink(folder: &Path, bytes_max: u64, is_ours: impl Fn(&str) -> bool) {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let ours = entries.filter(|entry| entry.file_name().to_str().is_some_and(&is_ours));
    let mut known: Vec<_> = ours
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            Some((metadata.modified().ok()?, metadata.len(), entry.path()))
        })
        .collect();
    known.sort();
    let mut sum: u64 = known.iter().map(|(_, n_bytes, _)| n_bytes).sum();
    for (_, n_bytes, path) in known {
        if sum <= bytes_max {
            return;
        }
        drop(fs::remove_file(path));
        sum = sum.saturating_sub(n_bytes);
    }
}
