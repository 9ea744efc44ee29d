//! What a manifest says of its sources: which files are manifests, which are components, and how these are made.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use clockjack_schedule::{
    id::{JobId, PluginName},
    job::Job,
    manifest::resolved::{Build, Manifest},
};
use sha2::{Digest as _, Sha256};

use crate::{
    cli::{diagnostics, print},
    load,
};

/// A manifest in the eyes of whoever writes its plugins.
pub(super) struct Project {
    manifests: Vec<PathBuf>,
    manifest: Manifest,
    has_errors: bool,
    /// The digests of the components that were there when it was last looked at.
    digests: BTreeMap<PluginName, [u8; 32]>,
}

impl Project {
    /// Reads a manifest and tells what is wrong with it. Components need not be there yet.
    pub(super) fn read(files: &[PathBuf]) -> Self {
        let loaded = load::manifest(files, &load::zones::newest());
        print::findings(loaded.diagnostics.all(), &loaded.sources);
        let has_errors = loaded.diagnostics.has_errors();
        if has_errors {
            super::say(&format!("the manifest has {}", diagnostics::summary(loaded.diagnostics.all())));
        }
        let manifests = loaded.texts().map(Path::to_path_buf).collect();
        let mut project = Self { manifests, manifest: loaded.manifest, has_errors, digests: BTreeMap::new() };
        project.refresh();
        project
    }

    /// Whether it has faults, which were told when it was read.
    pub(super) fn is_unreadable(&self) -> bool {
        self.has_errors
    }

    pub(super) fn is_manifest(&self, path: &Path) -> bool {
        self.manifests.iter().any(|manifest| manifest == path)
    }

    pub(super) fn manifests(&self) -> impl Iterator<Item = &Path> {
        self.manifests.iter().map(PathBuf::as_path)
    }

    pub(super) fn components(&self) -> impl Iterator<Item = &Path> {
        self.manifest.plugins.values().filter_map(|plugin| plugin.source.file())
    }

    pub(super) fn builds(&self) -> impl Iterator<Item = &Build> {
        self.manifest.plugins.values().filter_map(|plugin| plugin.build.as_ref())
    }

    /// The builds whose folder holds one of the files. Components are what builds make, and manifests are read.
    pub(super) fn builds_of(&self, changed: &BTreeSet<PathBuf>) -> Vec<&Build> {
        let is_source = |path: &&PathBuf| !self.is_manifest(path) && !self.components().any(|c| c == path.as_path());
        let sources: Vec<_> = changed.iter().filter(is_source).collect();
        self.builds().filter(|build| sources.iter().any(|path| path.starts_with(&build.folder))).collect()
    }

    /// The builds of components that are not there.
    pub(super) fn builds_to_begin_with(&self) -> impl Iterator<Item = &Build> {
        let plugins =
            self.manifest.plugins.values().filter(|plugin| plugin.source.file().is_some_and(|file| !file.exists()));
        plugins.filter_map(|plugin| plugin.build.as_ref())
    }

    pub(super) fn all_jobs(&self) -> Vec<JobId> {
        self.manifest.jobs.keys().cloned().collect()
    }

    pub(super) fn jobs_of(&self, plugins: &BTreeSet<PluginName>) -> Vec<JobId> {
        let is_meant = |(_, job): &(&JobId, &std::sync::Arc<Job>)| plugins.contains(&job.plugin);
        self.manifest.jobs.iter().filter(is_meant).map(|(id, _)| id.clone()).collect()
    }

    /// Looks at the components again; answers those that have other bytes than before.
    pub(super) fn refresh(&mut self) -> BTreeSet<PluginName> {
        let read = |source: &Path| std::fs::read(source).ok().map(|bytes| Sha256::digest(bytes).into());
        let plugins = self.manifest.plugins.values();
        let digests = plugins.filter_map(|plugin| Some((plugin.name.clone(), read(plugin.source.file()?)?))).collect();
        let before = std::mem::replace(&mut self.digests, digests);
        let is_new = |(name, digest): &(&PluginName, &[u8; 32])| before.get(*name) != Some(*digest);
        self.digests.iter().filter(is_new).map(|(name, _)| name.clone()).collect()
    }

    /// What is watched, in words.
    pub(super) fn shown(&self) -> String {
        let manifests = self.manifests.iter().map(|path| format!("`{}`", path.display()));
        let folders: BTreeSet<_> = self.builds().map(|build| build.folder.clone()).collect();
        let folders = folders.iter().map(|folder| match folder.as_os_str().is_empty() {
            true => "this folder".to_owned(),
            false => format!("`{}`", folder.display()),
        });
        manifests.chain(folders).collect::<Vec<_>>().join(", ")
    }
}
