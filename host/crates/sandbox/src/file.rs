//! Reading a plugin's file: once, whole, and without waiting for whatever may be there.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    path::Path,
};

use clockjack_schedule::manifest::scalar::show_size;
use rustix::fs::OFlags;

use crate::{
    error::{LoadCode, LoadError},
    plugin::COMPONENT_BYTES_MAX,
};

/// Reads the file once: what is hashed is what is compiled, whatever happens to the file meanwhile.
///
/// # Errors
/// When there is no such file, when it is no plain file, or when it is too large.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let shown = path.display();
    let unreadable = |error: io::Error| {
        let fix = "check the path; relative paths start at the manifest's folder";
        LoadError::new(LoadCode::NotFound, format!("the file `{shown}` cannot be read: {error}"), fix)
    };
    let file = open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let kind = metadata.file_type();
    if !metadata.is_file() {
        let kind = match () {
            () if metadata.is_dir() => "a folder",
            () if kind.is_fifo() => "a pipe and no regular file",
            () if kind.is_char_device() || kind.is_block_device() => "a device and no regular file",
            () => "no regular file",
        };
        let message = format!("`{shown}` is {kind}");
        return Err(LoadError::new(LoadCode::Invalid, message, "name a component file (`.wasm`)"));
    }
    if COMPONENT_BYTES_MAX < metadata.len() {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::new();
    file.take(COMPONENT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let n_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if COMPONENT_BYTES_MAX < n_bytes {
        return Err(too_large(n_bytes));
    }
    Ok(bytes)
}

/// Reads a small file that stands beside a plugin. The problem follows the path in a sentence.
///
/// # Errors
/// When it is not there, no plain file or too large.
pub(crate) fn read_small(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    let file = open(path).map_err(|error| format!("cannot be read: {error}"))?;
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err("is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    if bytes_max < u64::try_from(bytes.len()).unwrap_or(u64::MAX) {
        return Err(format!("has more than {}", show_size(bytes_max)));
    }
    Ok(bytes)
}

/// Opens what is there, which may be a pipe that nobody writes to: only what is open says for sure what it is.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let bits = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    OpenOptions::new().read(true).custom_flags(bits).open(path)
}

fn too_large(n_bytes: u64) -> LoadError {
    let message = format!("the file has {}; at most {} are loaded", show_size(n_bytes), show_size(COMPONENT_BYTES_MAX));
    LoadError::new(LoadCode::TooLarge, message, "build it for size (`opt-level = \"s\"`, `strip = true`)")
}
