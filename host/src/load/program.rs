//! What a program says of jobs that has the host inside itself: a manifest that stands in no file.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

/// The manifest of the program that the host is a part of. Clones are the same; whoever reads the manifest again reads what
/// is said then. Without a word there is none.
#[derive(Clone, Debug, Default)]
pub struct Program {
    said: Arc<RwLock<Option<Said>>>,
}

#[derive(Clone, Debug)]
struct Said {
    text: Arc<str>,
    folder: PathBuf,
}

impl Program {
    /// What its source is called in findings.
    pub const NAME: &str = "the program";

    /// Says a manifest. Its relative paths start at the folder.
    pub fn say(&self, text: &str, folder: &Path) {
        let said = Said { text: text.into(), folder: folder.to_path_buf() };
        *self.said.write().unwrap_or_else(PoisonError::into_inner) = Some(said);
    }

    /// What was said last.
    pub(super) fn read(&self) -> Option<(Arc<str>, PathBuf)> {
        let said = self.said.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some((said.text, said.folder))
    }
}
