//! Compiled code on disk, between starts of the program.
//!
//! What lies here is run as it is. So the folder belongs to this user alone, and each entry carries a code of
//! authentication over what it is for and what it holds, under a key that only this user can read. An entry that does not
//! fit is told, ignored and replaced; where the folder itself cannot be trusted, there is no cache.

use std::{
    fs::{self, File},
    hash::{Hash as _, Hasher},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use hmac::{Hmac, Mac as _};
use rustix::rand::GetRandomFlags;
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;

use super::{Compiled, Effort, Source};
use crate::{
    ENGINE_VERSION,
    engine::{Allocation, Metering},
    own_files::{self, create_private, own_file, own_folder, used_now},
};

/// What an entry begins with. It changes with the layout.
const MAGIC: &[u8; 16] = b"clockjack code 1";

/// The file with the secret, and its size.
const SECRET: &str = "key";
const SECRET_BYTES: usize = 32;

/// What entries are called after.
const ENDING: &str = "code";

/// Most bytes of all entries: some hundred small plugins, or ten interpreters. The oldest go.
const BYTES_MAX: u64 = 1 << 30;

/// Largest entry: the code of the largest file.
const ENTRY_BYTES_MAX: u64 = 1 << 30;

const MAC_BYTES: usize = 32;

/// What code is kept under: everything that it depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key([u8; 32]);

/// A hasher whose answer is the same in every process.
struct Stable(Sha256);

impl Hasher for Stable {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let (head, _) = self.0.clone().finalize().split_first_chunk().map_or(([0; 8], ()), |(head, _)| (*head, ()));
        u64::from_le_bytes(head)
    }
}

impl Key {
    pub(crate) fn of(engine: &Engine, source: Source<'_>, effort: Effort) -> Self {
        let mut hash = Stable(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hash);
        let (metered, pooled) = (source.metering == Metering::Fuel, source.allocation == Allocation::Pooling);
        let words = [
            env!("CARGO_PKG_VERSION"),
            ENGINE_VERSION,
            std::env::consts::ARCH,
            source.digest,
            if metered { "fuel" } else { "plain" },
            if pooled { "pooling" } else { "on demand" },
            if effort == Effort::Full { "full" } else { "least" },
        ];
        words.iter().for_each(|word| hash.0.update(format!("{word}\n")));
        Self(hash.0.finalize().into())
    }

    fn file(&self) -> String {
        let name: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{name}.{ENDING}")
    }
}

/// A folder with code.
pub(crate) struct Cache {
    folder: PathBuf,
    secret: [u8; SECRET_BYTES],
    n_written: AtomicU64,
}

impl Cache {
    /// Opens the cache, or says why there is none.
    pub(crate) fn open(folder: &Path) -> Option<Self> {
        let opened = own_folder(folder).and_then(|()| secret(&folder.join(SECRET)));
        match opened {
            Ok(secret) => Some(Self { folder: folder.to_owned(), secret, n_written: AtomicU64::new(0) }),
            Err(problem) => {
                let folder = folder.display();
                tracing::warn!(%folder, "plugins are compiled at each start: the folder for compiled code {problem}");
                None
            }
        }
    }

    /// What is kept under a key.
    pub(crate) fn read(&self, key: &Key) -> Option<Compiled> {
        let path = self.folder.join(key.file());
        let read = match own_file(&path) {
            Ok(file) => self.verified(key, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok(compiled) => Some(compiled),
            Err(problem) => {
                tracing::warn!(path = %path.display(), "compiled code is not used and made again: {problem}");
                drop(fs::remove_file(&path));
                None
            }
        }
    }

    fn verified(&self, key: &Key, file: File) -> Result<Compiled, String> {
        let n_bytes = file.metadata().map_err(|error| error.to_string())?.len();
        if ENTRY_BYTES_MAX < n_bytes {
            return Err("it is larger than anything that is kept".to_owned());
        }
        let mut bytes = Vec::new();
        let read = (&file).take(ENTRY_BYTES_MAX).read_to_end(&mut bytes);
        read.map_err(|error| format!("it cannot be read: {error}"))?;
        let strange = || "it is not of this version, or it is truncated".to_owned();
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(strange)?;
        let (code, body) = rest.split_first_chunk::<MAC_BYTES>().ok_or_else(strange)?;
        let told = self.mac(key, body).ok_or_else(strange)?;
        told.verify_slice(code)
            .map_err(|_error| "its code of authentication is wrong: somebody changed it".to_owned())?;
        let compiled = Compiled::from_bytes(bytes.split_off(MAGIC.len() + MAC_BYTES)).ok_or_else(strange)?;
        // What is used stays longest.
        used_now(&file);
        Ok(compiled)
    }

    /// Keeps code. Where that fails, it is compiled again the next time.
    pub(crate) fn write(&self, key: &Key, compiled: &Compiled) {
        if let Err(error) = self.put(key, compiled.bytes()) {
            tracing::warn!(folder = %self.folder.display(), "compiled code was not kept: {error}");
        }
        self.shrink(BYTES_MAX);
    }

    fn put(&self, key: &Key, body: &[u8]) -> io::Result<()> {
        let Some(mac) = self.mac(key, body) else { return Err(io::Error::other("no code of authentication")) };
        let n = self.n_written.fetch_add(1, Relaxed);
        let temporary = self.folder.join(format!("{}-{n}.new", std::process::id()));
        drop(fs::remove_file(&temporary));
        let written = create_private(&temporary).and_then(|mut file| {
            file.write_all(MAGIC)?;
            file.write_all(&mac.finalize().into_bytes())?;
            file.write_all(body)
        });
        let moved = written.and_then(|()| fs::rename(&temporary, self.folder.join(key.file())));
        if moved.is_err() {
            drop(fs::remove_file(&temporary));
        }
        moved
    }

    fn mac(&self, key: &Key, body: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).ok()?;
        mac.update(MAGIC);
        // An entry under another name is not what it was made for.
        mac.update(&key.0);
        mac.update(body);
        Some(mac)
    }

    /// Removes the oldest entries until the rest fits.
    fn shrink(&self, bytes_max: u64) {
        let is_ours = |name: &str| name.ends_with(&format!(".{ENDING}")) || name.ends_with(".new");
        own_files::shrink(&self.folder, bytes_max, is_ours);
    }
}

/// The secret of this folder, made when there is none.
fn secret(path: &Path) -> Result<[u8; SECRET_BYTES], String> {
    let told = |error: io::Error| format!("has no key of its own: {error}");
    match read_secret(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read.map_err(told),
    }
    let mut fresh = [0; SECRET_BYTES];
    let n_bytes = rustix::rand::getrandom(&mut fresh, GetRandomFlags::empty()).map_err(|error| told(error.into()))?;
    if n_bytes != SECRET_BYTES {
        return Err("has no key of its own: the system gave too few random bytes".to_owned());
    }
    // Whole before it has its name, and never in place of one that another process was first to make.
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    drop(fs::remove_file(&temporary));
    let linked = create_private(&temporary)
        .and_then(|mut file| file.write_all(&fresh).and_then(|()| file.sync_all()))
        .and_then(|()| fs::hard_link(&temporary, path));
    drop(fs::remove_file(&temporary));
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(told(error)),
        Ok(()) | Err(_) => read_secret(path).map_err(told),
    }
}

fn read_secret(path: &Path) -> io::Result<[u8; SECRET_BYTES]> {
    let mut bytes = Vec::new();
    own_file(path)?.take(1_024).read_to_end(&mut bytes)?;
    bytes.try_into().map_err(|_bytes| io::Error::other("`key` has another length: remove it, and a new one is made"))
}

#[cfg(test)]
mod tests;
