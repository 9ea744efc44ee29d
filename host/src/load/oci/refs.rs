//! What tags meant when they were last asked for: one small file each.
//!
//! Only where a registry cannot be reached does anybody look here. A file says which image to look for among what is kept,
//! and that is checked by its digest.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use clockjack_sandbox::own_files::{self, create_private, own_file, own_folder, used_now};
use clockjack_schedule::manifest::{oci_reference::OciReference, resolved::Sha256};

use super::super::components::sha256;
use crate::settings;

/// The folder, in that of compiled code.
const FOLDER: &str = "refs";

/// Largest file that is read: a reference and a digest.
const FILE_BYTES_MAX: u64 = 1 << 10;

/// Most bytes of all files: tens of thousands of tags.
const BYTES_MAX: u64 = 4 << 20;

/// Tells the unfinished files of one process apart.
static N_WRITTEN: AtomicU64 = AtomicU64::new(0);

/// A folder with what tags meant.
pub(super) struct Refs {
    folder: PathBuf,
}

impl Refs {
    /// Opens what this machine keeps.
    pub(super) fn open() -> Option<Self> {
        let folder = settings::cache_directory()?.join(FOLDER);
        own_folder(&folder).ok().map(|()| Self { folder })
    }

    /// Which image a reference meant.
    pub(super) fn get(&self, reference: &OciReference) -> Option<Sha256> {
        let file = own_file(&self.path(reference)).ok()?;
        let mut text = String::new();
        (&file).take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
        let (of, digest) = text.trim_end().split_once('\n')?;
        used_now(&file);
        digest.parse().ok().filter(|_| of == reference.to_string())
    }

    /// Notes which image a reference means. Where that fails, nothing is known when the registry is away.
    pub(super) fn put(&self, reference: &OciReference, image: &Sha256) {
        if let Err(error) = self.write(reference, image) {
            tracing::warn!(folder = %self.folder.display(), "what `{reference}` means was not noted: {error}");
        }
        own_files::shrink(&self.folder, BYTES_MAX, |_name| true);
    }

    fn write(&self, reference: &OciReference, image: &Sha256) -> io::Result<()> {
        let n = N_WRITTEN.fetch_add(1, Relaxed);
        let temporary = self.folder.join(format!("{}-{n}.new", std::process::id()));
        drop(fs::remove_file(&temporary));
        let text = format!("{reference}\nsha256:{image}\n");
        let written = create_private(&temporary).and_then(|mut file| file.write_all(text.as_bytes()));
        let moved = written.and_then(|()| fs::rename(&temporary, self.path(reference)));
        if moved.is_err() {
            drop(fs::remove_file(&temporary));
        }
        moved
    }

    /// References hold what file names may not.
    fn path(&self, reference: &OciReference) -> PathBuf {
        self.folder.join(sha256(reference.to_string().as_bytes()).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reference_has_its_own_meaning_and_the_last_one_counts() {
        let folder = tempfile::tempdir().unwrap();
        let refs = Refs { folder: folder.path().to_owned() };
        let read = |text: &str| text.parse::<OciReference>().unwrap();
        let (one, two) = (read("oci://h/a:1"), read("oci://h/a:2"));
        assert_eq!(refs.get(&one), None);
        refs.put(&one, &sha256(b"first"));
        refs.put(&one, &sha256(b"second"));
        refs.put(&two, &sha256(b"third"));
        assert_eq!((refs.get(&one), refs.get(&two)), (Some(sha256(b"second")), Some(sha256(b"third"))));
        fs::copy(refs.path(&two), refs.path(&one)).unwrap();
        assert_eq!(refs.get(&one), None, "it is about another reference");
        fs::write(refs.path(&two), "oci://h/a:2\nsha256:12\n").unwrap();
        assert_eq!(refs.get(&two), None);
    }
}
