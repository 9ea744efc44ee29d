//! What has to be watched: the files that a manifest is made of, those that plugins are in, and the folders around them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use clockjack_schedule::{manifest::source::Source, secret::SecretSource};

use super::set::Set;
use crate::load::Loaded;

/// What has to be watched.
#[derive(Default)]
pub(super) struct Paths {
    /// Files and folders that say what the manifest is.
    pub(super) manifest: BTreeSet<PathBuf>,
    /// The files of plugins.
    pub(super) plugins: BTreeMap<PathBuf, BTreeSet<Source>>,
}

impl Paths {
    /// Of a manifest.
    pub(super) fn of(sets: &[&Set]) -> Self {
        let mut paths = Self::default();
        for set in sets {
            paths.add(&set.loaded);
        }
        paths
    }

    fn add(&mut self, loaded: &Loaded) {
        self.manifest.extend(loaded.watched());
        if loaded.diagnostics.has_errors() {
            // What is wrong may be that one of them cannot be read.
            let files = loaded.manifest.secrets.values().filter_map(|source| match source {
                SecretSource::File(path) => Some(PathBuf::clone(path)),
                SecretSource::Env(_) => None,
            });
            self.manifest.extend(files);
        }
        for plugin in loaded.manifest.plugins.values() {
            let Some(file) = plugin.source.file() else { continue };
            for path in [file.to_path_buf(), signature(file)] {
                self.plugins.entry(path).or_default().insert(plugin.source.clone());
            }
        }
    }

    /// All files and folders whose stamps tell of changes.
    pub(super) fn all(&self) -> BTreeSet<PathBuf> {
        self.manifest.iter().chain(self.plugins.keys()).cloned().collect()
    }

    /// The folders in which something happens when one of them changes.
    pub(super) fn folders(&self) -> BTreeSet<PathBuf> {
        let mut folders = BTreeSet::new();
        for path in self.manifest.iter().chain(self.plugins.keys()) {
            folders.extend(path.parent().map(Path::to_path_buf));
            if path.is_dir() {
                folders.insert(path.clone());
            }
        }
        folders
    }
}

/// Where the signature of a file is.
fn signature(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".minisig");
    path.into()
}
