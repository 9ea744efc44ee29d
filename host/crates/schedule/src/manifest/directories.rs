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
    id::{JobId, PluginName},
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
    /// Jobs and plugins that stand in no file. Their sources come after those of units.
    pub beside: Beside<'a>,
    /// The source that is the word of the program which the host is a part of, where there is one. Nothing is filled in
    /// there, it may have no jobs yet, and a job of it may be a function of the program ([`PluginName::native`]).
    pub program: Option<usize>,
}

impl Found<'_> {
    /// Whether a source is the word of the program itself.
    pub(super) fn is_program(&self, source: usize) -> bool {
        self.program == Some(source)
    }

    /// The unit whose jobs a source has.
    pub(super) fn unit(&self, source: usize) -> Option<&UnitSource> {
        self.units.iter().find(|unit| unit.source == source)
    }

    /// The job that a source defines, where it is the definition of one job.
    pub(super) fn definition(&self, source: usize) -> Option<&JobId> {
        let place = source.checked_sub(self.beside.first_source)?;
        self.beside.definitions.get(place)
    }
}

/// What a running host was given beside its files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside<'a> {
    /// The job of each definition; their sources stand in the same order, one after the other.
    pub definitions: &'a [JobId],
    /// The source of the first of them.
    pub first_source: usize,
    /// Plugins by name, and where their files are. Each has an empty source behind those of the definitions, so that what is
    /// said of it has a place.
    pub plugins: &'a [(PluginName, PathBuf)],
}

impl Beside<'_> {
    fn first_plugin(&self) -> usize {
        self.first_source + self.definitions.len()
    }

    /// Whether a source stands for a plugin.
    pub(super) fn is_plugin(&self, source: usize) -> bool {
        source.checked_sub(self.first_plugin()).is_some_and(|place| place < self.plugins.len())
    }

    /// The plugins as if they were written under `plugins`.
    pub(super) fn plugin_entries(&self) -> impl Iterator<Item = (&PluginName, Entry)> {
        let sources = self.first_plugin()..;
        self.plugins.iter().zip(sources).map(|((name, file), source)| {
            let span = Span { source, ..Span::default() };
            (name, entry_at(name, file, span))
        })
    }
}

/// A plugin whose name and file stand at one place.
fn entry_at(name: &PluginName, file: &Path, span: Span) -> Entry {
    let text = Value::Text(file.display().to_string());
    let value = Node { value: text, span, text_start: None, text_before: None };
    Entry { key: name.to_string(), key_span: span, value }
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
        entry_at(&self.plugin, self.component.as_deref().unwrap_or(Path::new("")), self.span())
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
