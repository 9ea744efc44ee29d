//! Looking at files. Polled: it works on every file system, and a project is small.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::SystemTime,
};

use ignore::{DirEntry, WalkBuilder};

use super::project::Project;

/// Most files that are watched in one folder; beyond it, who builds there names a smaller one with `build.folder`.
const FILES_MAX: usize = 20_000;

/// Folders that hold what builds make or fetch, also where no `.gitignore` says so.
const NO_SOURCES: [&str; 5] = ["target", "node_modules", "__pycache__", "dist", "zig-cache"];

/// What is seen of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    n_bytes: u64,
}

/// What all files of a project looked like at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    sources: BTreeMap<PathBuf, Stamp>,
    components: BTreeMap<PathBuf, Stamp>,
}

impl Look {
    /// Looks at manifests, components, and the folders of builds, but for what `.gitignore` leaves out.
    pub(super) fn at(project: &Project) -> Self {
        let mut look = Self::default();
        let folders: BTreeSet<_> = project.builds().map(|build| build.folder.as_path()).collect();
        for folder in folders {
            look.walk(folder);
        }
        look.sources.extend(project.manifests().filter_map(stamped));
        look.components.extend(project.components().filter_map(stamped));
        for component in project.components() {
            look.sources.remove(component);
        }
        look
    }

    fn walk(&mut self, folder: &Path) {
        let root = if folder == Path::new("") { Path::new(".") } else { folder };
        let files = WalkBuilder::new(root).require_git(false).filter_entry(may_hold_sources).build();
        for entry in files.filter_map(Result::ok).filter(is_file).take(FILES_MAX) {
            let path =
                if root == folder { entry.path() } else { entry.path().strip_prefix(root).unwrap_or(entry.path()) };
            self.sources.extend(stamped(path));
        }
    }

    /// What is different in a later look: new, changed or gone.
    pub(super) fn changes(&self, later: &Self) -> BTreeSet<PathBuf> {
        let components = different(&self.components, &later.components);
        self.sources_changed(later).into_iter().chain(components).collect()
    }

    /// The same without the components.
    pub(super) fn sources_changed(&self, later: &Self) -> BTreeSet<PathBuf> {
        different(&self.sources, &later.sources).collect()
    }

    /// The same look with the components of a later one.
    pub(super) fn with_products_of(self, later: &Self) -> Self {
        Self { components: later.components.clone(), ..self }
    }
}

fn different<'a>(
    before: &'a BTreeMap<PathBuf, Stamp>,
    after: &'a BTreeMap<PathBuf, Stamp>,
) -> impl Iterator<Item = PathBuf> {
    before.keys().chain(after.keys()).filter(|path| before.get(*path) != after.get(*path)).cloned()
}

fn may_hold_sources(entry: &DirEntry) -> bool {
    entry.depth() == 0 || !NO_SOURCES.iter().any(|name| entry.file_name() == *name)
}

fn is_file(entry: &DirEntry) -> bool {
    entry.file_type().is_some_and(|kind| kind.is_file())
}

fn stamped(path: &Path) -> Option<(PathBuf, Stamp)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((path.to_path_buf(), Stamp { modified: metadata.modified().ok(), n_bytes: metadata.len() }))
}
