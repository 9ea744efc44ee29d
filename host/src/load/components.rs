//! Components on disk, by the SHA-256 of their bytes: what was pulled from registries, and earlier generations of plugins.
//!
//! It is a cache and nothing else: whatever cannot be kept or found again is read from where it came from, and no load
//! fails because of it. The name of an entry says what it must hold, so that an entry needs no trust: each is hashed when it
//! is read. The manifests of images lie here too, by the same rule.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use clockjack_sandbox::{
    COMPONENT_BYTES_MAX,
    own_files::{self, create_private, own_file, own_folder, used_now},
};
use clockjack_schedule::manifest::resolved::Sha256;
use sha2::Digest as _;

use crate::settings;

/// The folder, in that of compiled code.
const FOLDER: &str = "components";

/// What an entry ends with that is not whole yet.
const UNFINISHED: &str = ".new";

/// Most bytes of all entries: some hundred small plugins, or fifty interpreters. What was not used for longest goes.
const BYTES_MAX: u64 = 1 << 30;

/// Characters of a digest, which is the name of an entry.
const NAME_CHARS: usize = 64;

/// Tells the unfinished entries of one process apart.
static N_WRITTEN: AtomicU64 = AtomicU64::new(0);

/// A folder with components.
#[derive(Clone, Debug)]
pub struct Components {
    folder: PathBuf,
}

/// The SHA-256 of some bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

impl Components {
    /// Opens what this machine keeps; nothing where its cache is off, or its folder cannot be trusted.
    #[must_use]
    pub fn open() -> Option<Self> {
        Self::in_folder(&settings::cache_directory()?)
    }

    /// Opens what is kept in the folder of compiled code.
    #[must_use]
    pub fn in_folder(cache: &Path) -> Option<Self> {
        let folder = cache.join(FOLDER);
        match own_folder(cache).and_then(|()| own_folder(&folder)) {
            Ok(()) => Some(Self { folder }),
            Err(problem) => {
                let folder = folder.display();
                tracing::warn!(%folder, "components are not kept: the folder for them {problem}");
                None
            }
        }
    }

    /// Keeps bytes. Where that fails, they are read again from where they came from.
    pub fn put(&self, bytes: &[u8]) -> Sha256 {
        let digest = sha256(bytes);
        if self.get(&digest).is_none() {
            if let Err(error) = self.write(&digest, bytes) {
                tracing::warn!(folder = %self.folder.display(), "a component was not kept: {error}");
            }
            self.shrink(BYTES_MAX);
        }
        digest
    }

    /// The bytes with this digest, if they are kept. What is found under it and is something else is removed.
    #[must_use]
    pub fn get(&self, digest: &Sha256) -> Option<Vec<u8>> {
        let path = self.path(digest);
        match read(&path) {
            Ok(bytes) if sha256(&bytes) == *digest => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            read => {
                let problem = read.map_or_else(|error| error.to_string(), |_bytes| "its bytes have changed".to_owned());
                tracing::warn!(path = %path.display(), "a component that was kept is not used and removed: {problem}");
                drop(fs::remove_file(&path));
                None
            }
        }
    }

    /// Whether there is an entry with this digest. What it holds shows when it is read.
    #[must_use]
    pub fn has(&self, digest: &Sha256) -> bool {
        own_file(&self.path(digest)).is_ok()
    }

    fn path(&self, digest: &Sha256) -> PathBuf {
        self.folder.join(digest.to_string())
    }

    /// Whole or not at all: an entry gets its name when all of it is there.
    fn write(&self, digest: &Sha256, bytes: &[u8]) -> io::Result<()> {
        let n = N_WRITTEN.fetch_add(1, Relaxed);
        let temporary = self.folder.join(format!("{}-{n}{UNFINISHED}", std::process::id()));
        drop(fs::remove_file(&temporary));
        let written = create_private(&temporary).and_then(|mut file| file.write_all(bytes));
        let moved = written.and_then(|()| fs::rename(&temporary, self.path(digest)));
        if moved.is_err() {
            drop(fs::remove_file(&temporary));
        }
        moved
    }

    fn shrink(&self, bytes_max: u64) {
        let is_digest = |name: &str| name.len() == NAME_CHARS && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        own_files::shrink(&self.folder, bytes_max, |name| is_digest(name) || name.ends_with(UNFINISHED));
    }
}

/// Reads an entry and notes that it was used.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = own_file(path)?;
    let mut bytes = Vec::new();
    // One byte more than anything that is kept has: such a file has another digest.
    (&file).take(COMPONENT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    used_now(&file);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
        time::{Duration, SystemTime},
    };

    use super::*;

    fn opened() -> (tempfile::TempDir, Components) {
        let folder = tempfile::tempdir().unwrap();
        let components = Components::in_folder(&folder.path().join("cache")).unwrap();
        (folder, components)
    }

    /// Says that an entry was last used so many seconds ago.
    fn used_ago(components: &Components, digest: &Sha256, seconds: u64) {
        let file = fs::File::options().write(true).open(components.path(digest)).unwrap();
        let now = fs::metadata(&components.folder).unwrap().modified().unwrap();
        file.set_modified(now - Duration::from_secs(seconds)).unwrap();
    }

    fn used_at(components: &Components, digest: &Sha256) -> SystemTime {
        fs::metadata(components.path(digest)).unwrap().modified().unwrap()
    }

    #[test]
    fn what_is_kept_is_found_by_its_digest_alone() {
        let (folder, components) = opened();
        assert_eq!(components.get(&sha256(b"one")), None);
        assert!(!components.has(&sha256(b"one")));
        let one = components.put(b"one");
        assert!(components.has(&one));
        assert_eq!(one, sha256(b"one"));
        assert_eq!(components.get(&one).unwrap(), b"one");
        assert_eq!(components.get(&sha256(b"two")), None);
        let again = Components::in_folder(&folder.path().join("cache")).unwrap();
        assert_eq!(again.get(&one).unwrap(), b"one", "after a restart");
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&components.folder), mode(&components.path(&one))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&components.folder).unwrap().count(), 1, "nothing unfinished is left");
    }

    #[test]
    fn what_was_changed_is_not_given_and_goes() {
        let (_folder, components) = opened();
        for changed in [&b"ona"[..], b"on", b"one more", b""] {
            let one = components.put(b"one");
            fs::write(components.path(&one), changed).unwrap();
            assert_eq!(components.get(&one), None);
            assert!(!components.path(&one).exists());
        }
        let one = components.put(b"one");
        fs::write(components.path(&one), b"ona").unwrap();
        components.put(b"one");
        assert_eq!(components.get(&one).unwrap(), b"one", "what is put again mends it");
    }

    #[test]
    fn links_and_files_that_are_open_to_others_are_not_read() {
        let (folder, components) = opened();
        let one = components.put(b"one");
        let elsewhere = folder.path().join("elsewhere");
        fs::rename(components.path(&one), &elsewhere).unwrap();
        symlink(&elsewhere, components.path(&one)).unwrap();
        assert_eq!(components.get(&one), None);
        assert!(elsewhere.exists(), "what the link leads to is not ours to remove");
        components.put(b"one");
        fs::set_permissions(components.path(&one), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(components.get(&one), None);
        fs::set_permissions(&components.folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(Components::in_folder(&folder.path().join("cache")).is_none());
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let (_folder, components) = opened();
        let [one, two, three] = [&b"one"[..], b"two", b"three"].map(|bytes| components.put(bytes));
        for (digest, seconds) in [(&one, 300), (&two, 200), (&three, 100)] {
            used_ago(&components, digest, seconds);
        }
        fs::write(components.folder.join("notes.txt"), [b'x'; 100]).unwrap();
        let before = used_at(&components, &one);
        assert!(components.get(&one).is_some());
        assert!(before < used_at(&components, &one), "reading is a use");
        components.shrink(8);
        assert_eq!(components.get(&two), None);
        assert!(components.get(&one).is_some() && components.get(&three).is_some());
        assert!(components.folder.join("notes.txt").exists(), "what is not ours stays");
        components.shrink(0);
        assert!(components.get(&one).is_none() && components.get(&three).is_none());
    }

    #[test]
    fn a_folder_that_cannot_be_written_fails_nothing() {
        let (_folder, components) = opened();
        fs::remove_dir(&components.folder).unwrap();
        let one = components.put(b"one");
        assert_eq!(components.get(&one), None);
    }
}
