//! Directories of plugins: what a source names beside itself, and what the caller found there.
//!
//! Nothing here looks at a file. [`outline`] says which paths may be directories; whoever reads files says which of them
//! are, and what is in them ([`Found`]).

use std::path::{Path, PathBuf};

use super::{
    document::Document,
    grants,
    interpolate::{Lookup, interpolate},
    node::{Entry, Node, Value},
    parse::parse,
    resolved::Include,
};
use crate::{
    diagnostic::{Diagnostics, Source, Span},
    id::PluginName,
    job::Ceilings,
};

/// What a source names beside itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Patterns of further files.
    pub includes: Vec<Include>,
    /// Paths under `plugins` that are directories, or may be.
    pub directories: Vec<DirectoryPlace>,
}

/// A path under `plugins`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryPlace {
    /// The path, joined to the folder of its source.
    pub path: PathBuf,
    /// Where it stands.
    pub span: Span,
    /// It cannot be meant as a file.
    pub is_certain: bool,
}

/// What was found where `plugins` names directories.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found<'a> {
    /// The places of those paths that are directories.
    pub directories: &'a [Span],
    /// What is in them. Their sources come after all others; of two that do not go together the later one is at fault.
    pub units: &'a [UnitSource],
}

impl Found<'_> {
    /// The unit whose jobs a source has.
    pub(super) fn unit(&self, source: usize) -> Option<&UnitSource> {
        self.units.iter().find(|unit| unit.source == source)
    }
}

/// A component in a directory of plugins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitSource {
    /// Its name.
    pub plugin: PluginName,
    /// Where its file is; none where there is only a sidecar, which the caller has told.
    pub component: Option<PathBuf>,
    /// Which source has its jobs. One without jobs has an empty one, so that what is said of it has a place.
    pub source: usize,
    /// Whether it has a sidecar.
    pub has_sidecar: bool,
    /// Where its directory is named.
    pub directory: Span,
}

impl UnitSource {
    /// As if it were written under `plugins`: its name and its file stand where its source begins.
    pub(super) fn entry(&self) -> Entry {
        let file = self.component.as_deref().unwrap_or(Path::new(""));
        let text = Value::Text(file.display().to_string());
        let value = Node { value: text, span: self.span(), text_start: None, text_before: None };
        Entry { key: self.plugin.to_string(), key_span: self.span(), value }
    }

    /// Its beginning, for what is said of all of it.
    #[must_use]
    pub fn span(&self) -> Span {
        Span { source: self.source, ..Span::default() }
    }
}

/// What one source names beside itself. Faults are not told here: [`super::resolve::resolve`] tells them.
#[must_use]
pub fn outline(index: usize, source: &Source, folder: &Path, variables: Lookup<'_>) -> Outline {
    let mut unheard = Diagnostics::default();
    let Some(mut root) = parse(index, &source.text).0 else { return Outline::default() };
    interpolate(&mut root, variables, &mut unheard);
    let Some(document) = Document::open(&root, folder, &Ceilings::default(), &mut unheard) else {
        return Outline::default();
    };
    let named = document.plugins.iter().filter_map(place_of);
    let bare = document.plugin_directories.iter().map(|node| (node, true));
    let directories = named.chain(bare).filter_map(|(node, is_certain)| {
        // A folder that is called like a component is a mistake, which whoever opens the file tells.
        let is_other = |text: &str| text.contains("://") || !is_certain && text.ends_with(".wasm");
        let path = grants::path_in(node, folder, &mut unheard)?;
        node.as_text().filter(|text| !is_other(text))?;
        Some(DirectoryPlace { path, span: node.span, is_certain })
    });
    let directories = directories.collect();
    Outline { includes: document.includes, directories }
}

/// The path of an entry of `plugins`, and whether only a directory can be meant.
fn place_of(entry: &Entry) -> Option<(&Node, bool)> {
    if let Some(node) = entry.value.get("directory") {
        return Some((node, true));
    }
    let node = entry.value.get("source").unwrap_or(&entry.value);
    Some((node, says_directory(node.as_text()?)))
}

/// Whether the path of a plugin can only be that of a directory.
pub(super) fn says_directory(text: &str) -> bool {
    text.ends_with('/')
}
