//! Opening a folder that a job was granted: the one that was checked when the manifest was loaded, and no other.
//!
//! A guest that may write can put a link in the place of a folder that another job was granted. So paths have their links
//! resolved at load, and from then on no step of them may be one.

use std::{
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
};

/// Nothing is read through them, and the last step has to be a folder as much as the others.
const STEP: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A folder that is held open.
pub(crate) struct Folder(OwnedFd);

impl Folder {
    /// Opens a folder step by step, without following a link.
    ///
    /// # Errors
    /// When it cannot be opened, or is not the one any more that was checked.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let told = |error: Errno| match error {
            Errno::NOTDIR | Errno::LOOP => format!(
                "the directory `{}` (`grants.dirs`) is not the one that was checked when the manifest was loaded: a link or \
                 a file stands where a folder was; put the folder back, or load the manifest again",
                path.display()
            ),
            _ => {
                let error = io::Error::from(error);
                format!("the directory `{}` (`grants.dirs`) cannot be opened: {error}", path.display())
            }
        };
        let start = if path.is_absolute() { "/" } else { "." };
        let mut folder = openat(CWD, start, STEP, Mode::empty()).map_err(told)?;
        for step in path.components().filter(|step| !matches!(step, Component::RootDir | Component::CurDir)) {
            folder = openat(&folder, step.as_os_str(), STEP, Mode::empty()).map_err(told)?;
        }
        Ok(Self(folder))
    }

    /// A path to this very folder, wherever it is moved, for as long as it is held.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

/// By what a folder, or a file, is told from another one that takes its place. Nothing where there is none.
pub(crate) fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_step_of_a_path_may_be_a_link() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        std::fs::create_dir_all(top.join("data/sub/inner")).unwrap();
        let sub = top.join("data/sub");
        let folder = Folder::open(&sub.join("inner")).unwrap();
        assert_eq!(identity(&folder.path()), identity(&sub.join("inner")));
        std::fs::rename(&sub, top.join("data/moved")).unwrap();
        std::os::unix::fs::symlink("moved", &sub).unwrap();
        for path in [sub.clone(), sub.join("inner")] {
            let refused = Folder::open(&path).err().unwrap();
            assert!(refused.contains("is not the one that was checked"), "{refused}");
        }
        // What is held is still the same.
        assert_eq!(identity(&folder.path()), identity(&top.join("data/moved/inner")));
        let absent = Folder::open(&top.join("absent")).err().unwrap();
        assert!(absent.contains("cannot be opened: No such file"), "{absent}");
    }
}
