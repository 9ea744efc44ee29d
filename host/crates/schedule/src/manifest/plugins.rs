//! Reading `plugins`, and giving a name to each file or image that a job names directly.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use super::{
    build,
    directories::{Found, UnitSource, says_directory},
    fields::{self, Fields},
    foreign::{self, Place},
    grants,
    node::{Entry, Node, Value},
    oci_reference::{ReferenceFault, SCHEME},
    reload,
    resolved::{Build, Canary, Plugin, Sha256},
    source::Source,
    wording,
};
use crate::{
    diagnostic::{self, Diagnostic, Diagnostics, Span, did_you_mean},
    id::{PluginName, fnv1a},
};

/// All plugins of all sources.
#[derive(Default)]
pub(super) struct PluginTable {
    pub(super) plugins: BTreeMap<PluginName, Plugin>,
    pub(super) places: BTreeMap<PluginName, Entry>,
    by_source: HashMap<Source, PluginName>,
    /// Directories that have a name, with what holds for the plugins in them.
    directories: BTreeMap<PluginName, Directory>,
    /// Names that stand in a manifest but could not be read: references to them are not a second fault.
    broken: BTreeSet<String>,
}

/// A directory of plugins.
struct Directory {
    place: Entry,
    /// Where its path stands.
    span: Span,
    /// What its plugins have but for the name and the file.
    settings: Plugin,
}

/// What is wrong with a path that a job names and nobody gave a name.
pub(super) type NotNamed = fn(&Node, &str) -> Diagnostic;

/// Whether what a job names as its plugin is a file or an image rather than a name.
pub(super) fn is_path(text: &str) -> bool {
    text.contains(['/', '\\']) || text.ends_with(".wasm") || text.ends_with(".wat")
}

impl PluginTable {
    /// Reads one entry of `plugins`.
    pub(super) fn read(
        &mut self,
        entry: &Entry,
        folder: &Path,
        found: Found<'_>,
        sources: &[diagnostic::Source],
        diagnostics: &mut Diagnostics,
    ) {
        let before = diagnostics.n_errors();
        let name = match entry.key.parse::<PluginName>() {
            Ok(name) => Some(name),
            Err(error) => diagnostics.reject(
                Diagnostic::error("manifest.name", entry.key_span, format!("plugin `{}`: {error}", entry.key))
                    .fix("rename the plugin"),
            ),
        };
        if let Some(first) = name.as_ref().and_then(|name| self.place(name)) {
            return diagnostics.push(defined_twice(&entry.key, entry.key_span, first.key_span, sources));
        }
        let read = read_value(entry, folder, found, diagnostics);
        let (Some(name), Some(read), true) = (name, read, before == diagnostics.n_errors()) else {
            self.broken.insert(entry.key.clone());
            return;
        };
        let Read { source, sha256, build, canary, keep, directory } = read;
        if let Some(span) = directory {
            let settings = Plugin { name: name.clone(), source, sha256, build, canary, keep };
            self.directories.insert(name, Directory { place: entry.clone(), span, settings });
            return;
        }
        self.by_source.entry(source.clone()).or_insert_with(|| name.clone());
        self.places.insert(name.clone(), entry.clone());
        self.plugins.insert(name.clone(), Plugin { name, source, sha256, build, canary, keep });
    }

    /// Whether a directory has a name here.
    pub(super) fn has_directories(&self) -> bool {
        !self.directories.is_empty()
    }

    /// Where a name was given.
    fn place(&self, name: &PluginName) -> Option<&Entry> {
        self.places.get(name).or_else(|| self.directories.get(name).map(|directory| &directory.place))
    }

    /// Adds a component of a directory. It may have the name of a directory, which no job can mean.
    pub(super) fn add_unit(
        &mut self,
        unit: &UnitSource,
        sources: &[diagnostic::Source],
        diagnostics: &mut Diagnostics,
    ) {
        let name = unit.plugin.clone();
        if let Some(first) = self.places.get(&name) {
            return diagnostics.push(defined_twice(name.as_str(), unit.span(), first.key_span, sources));
        }
        let Some(component) = unit.component.clone() else {
            self.broken.insert(name.to_string());
            return;
        };
        let source = Source::File(component);
        let settings = self.directories.values().find(|directory| directory.span == unit.directory);
        let plugin = match settings {
            Some(Directory { settings, .. }) => Plugin { name: name.clone(), source, ..settings.clone() },
            None => Plugin::of_file(name.clone(), source),
        };
        self.by_source.entry(plugin.source.clone()).or_insert_with(|| name.clone());
        self.places.insert(name.clone(), unit.entry());
        self.plugins.insert(name, plugin);
    }

    /// Gives names to what jobs name directly: the name of the file or of the image, and with a hash of the whole where
    /// that is taken or several have it, so that no name depends on the order of the jobs.
    pub(super) fn add_direct<'n>(&mut self, direct: impl Iterator<Item = (Source, &'n Entry)>) {
        let mut by_stem: BTreeMap<String, BTreeMap<Source, &Entry>> = BTreeMap::new();
        for (source, entry) in direct.filter(|(source, _)| !self.by_source.contains_key(source)) {
            by_stem.entry(stem(&source)).or_default().entry(source).or_insert(entry);
        }
        for (stem, sources) in by_stem {
            let n_sources = sources.len();
            for (source, entry) in sources {
                let taken = |name: &PluginName| self.plugins.contains_key(name) || self.broken.contains(name.as_str());
                let plain = stem.parse::<PluginName>().ok().filter(|name| n_sources == 1 && !taken(name));
                let hash = fnv1a(source.to_string().as_bytes(), 0);
                let Some(name) = plain.or_else(|| format!("{stem}-{:08x}", hash >> 32).parse().ok()) else { continue };
                self.by_source.insert(source.clone(), name.clone());
                self.places.insert(name.clone(), entry.clone());
                self.plugins.insert(name.clone(), Plugin::of_file(name, source));
            }
        }
    }

    /// Adds a plugin that stands in no file. A name that a file gives means what the file says.
    pub(super) fn add_beside(&mut self, name: &PluginName, entry: Entry) {
        let Some(file) = entry.value.as_text() else { return };
        if self.places.contains_key(name) || self.broken.contains(name.as_str()) {
            return;
        }
        let source = Source::File(file.into());
        self.by_source.entry(source.clone()).or_insert_with(|| name.clone());
        self.places.insert(name.clone(), entry);
        self.plugins.insert(name.clone(), Plugin::of_file(name.clone(), source));
    }

    /// Gives a name to what a job names directly that stands in no file: always with a hash, so that no other job changes it.
    pub(super) fn add_direct_beside(&mut self, source: Source, entry: &Entry) {
        if self.by_source.contains_key(&source) {
            return;
        }
        let hash = fnv1a(source.to_string().as_bytes(), 0);
        let Ok(name) = format!("{}-{:08x}", stem(&source), hash >> 32).parse::<PluginName>() else { return };
        self.by_source.insert(source.clone(), name.clone());
        self.places.insert(name.clone(), entry.clone());
        self.plugins.insert(name.clone(), Plugin::of_file(name, source));
    }

    /// The plugin that a job names. `not_named` says what is wrong with a path that nobody gave a name.
    pub(super) fn find(
        &self,
        node: &Node,
        folder: &Path,
        not_named: NotNamed,
        diagnostics: &mut Diagnostics,
    ) -> Option<PluginName> {
        let text = fields::text(node, diagnostics)?;
        if is_path(text) {
            let source = source(node, folder, diagnostics)?;
            let known = self.by_source.get(&source);
            return known.cloned().or_else(|| diagnostics.reject(not_named(node, text)));
        }
        if let Some((name, _)) = text.parse().ok().and_then(|name: PluginName| self.plugins.get_key_value(&name)) {
            return Some(name.clone());
        }
        if self.broken.contains(text) {
            return None;
        }
        let near = did_you_mean(text, self.plugins.keys().map(PluginName::as_str));
        let is_directory = text.parse().is_ok_and(|name: PluginName| self.directories.contains_key(&name));
        let fix = match near {
            _ if is_directory => format!("`{text}` is a directory of plugins: name one of them, without its ending"),
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add `{text}: ./{text}.wasm` under `plugins:`, or write the path of a file here"),
        };
        diagnostics.reject(
            Diagnostic::error("manifest.unknown_plugin", node.span, format!("no plugin is named `{text}`")).fix(fix),
        )
    }
}

/// The name of a file or image as the name of a plugin: without its ending, and without what may not stand in a name.
fn stem(source: &Source) -> String {
    const STEM_BYTES_MAX: usize = 64;
    let stem = source.stem();
    let fits = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let name: String = stem.chars().map(fits).take(STEM_BYTES_MAX).collect();
    let name = name.trim_start_matches(['.', '_', '-']);
    if name.is_empty() { "plugin".to_owned() } else { name.to_owned() }
}

fn defined_twice(name: &str, span: Span, first: Span, sources: &[diagnostic::Source]) -> Diagnostic {
    let message = format!("plugin `{name}` is defined twice: here and at {}", wording::place(first, sources));
    Diagnostic::error("manifest.duplicate_plugin", span, message)
        .fix("rename or remove one of them; files that are read together share their names")
}

/// What jobs of a manifest name directly was given a name before; only a sidecar names what nobody knows.
pub(super) fn not_beside(node: &Node, text: &str) -> Diagnostic {
    let message = format!("jobs of a sidecar run the component beside it, or a plugin by its name, not `{text}`");
    Diagnostic::error("manifest.denied", node.span, message)
        .fix("put the file into the directory of plugins, and write its name without the ending")
}

/// What stands under the name of a plugin.
struct Read {
    source: Source,
    sha256: Option<Sha256>,
    build: Option<Build>,
    canary: Option<Canary>,
    keep: u32,
    /// Where its path stands, where that is the one of a directory.
    directory: Option<Span>,
}

fn read_value(entry: &Entry, folder: &Path, found: Found<'_>, diagnostics: &mut Diagnostics) -> Option<Read> {
    if entry.value.as_text().is_some() {
        let source = source(&entry.value, folder, diagnostics)?;
        let directory = directory_at(&entry.value, found);
        return Some(Read { source, sha256: None, build: None, canary: None, keep: reload::KEEP, directory });
    }
    let subject = format!("plugin `{}`", entry.key);
    let missing = || {
        Diagnostic::error("manifest.missing_key", entry.key_span, format!("{subject} has no `source`"))
            .fix(format!("write `{}: ./{}.wasm`, or add `source:`", entry.key, entry.key))
    };
    if entry.value.value == Value::Null {
        return diagnostics.reject(missing());
    }
    let mut fields = Fields::open(&entry.value, subject.as_str(), diagnostics)?;
    let directory = fields.get("directory");
    let file = fields.get("source");
    if let (Some(_), Some(file)) = (directory, file) {
        let error = Diagnostic::error("manifest.value", file.span, format!("{subject} has `source` and `directory`"));
        diagnostics.push(error.fix("keep one of them: `source` is a component, `directory` holds several"));
    }
    let source = match directory {
        Some(node) => Some(grants::path_in(node, folder, diagnostics).map(Source::File)),
        None => file.map(|node| source(node, folder, diagnostics)),
    };
    let directory = directory.map(|node| node.span).or_else(|| directory_at(file?, found));
    if directory.is_some() {
        refuse_of_a_file(&fields, diagnostics);
    }
    let sha256 = fields.get("sha256").and_then(|node| digest(node, diagnostics));
    let build = fields.get("build").and_then(|node| build::read(node, folder, diagnostics));
    let (canary, keep) = (reload::canary(&mut fields, diagnostics), reload::kept(&mut fields, diagnostics));
    if source.is_none() && fields.unasked().next().is_none() {
        diagnostics.push(missing());
    }
    fields.finish_translated(|key| foreign::answer(Place::Plugin, key), diagnostics);
    source.flatten().map(|source| Read { source, sha256, build, canary, keep, directory })
}

/// The place of a path, where that is the one of a directory.
fn directory_at(node: &Node, found: Found<'_>) -> Option<Span> {
    let is_directory = node.as_text().is_some_and(says_directory) || found.directories.contains(&node.span);
    is_directory.then_some(node.span)
}

/// Keys that cannot hold for all components of a directory.
fn refuse_of_a_file(fields: &Fields<'_>, diagnostics: &mut Diagnostics) {
    let fixes = [
        (
            "sha256",
            "remove it; `clockjack lock` writes down the digests of all components, and `--locked` holds them to it",
        ),
        ("build", "remove it; name the component under `plugins:` by its file, with its `build`"),
    ];
    for (key, fix) in fixes {
        if let Some(entry) = fields.own(key) {
            let message = format!("`{key}` is of one component, and {} is a directory", fields.subject());
            diagnostics.push(Diagnostic::error("manifest.value", entry.key_span, message).fix(fix));
        }
    }
}

fn digest(node: &Node, diagnostics: &mut Diagnostics) -> Option<Sha256> {
    match fields::text(node, diagnostics)?.parse() {
        Ok(digest) => Some(digest),
        Err(problem) => {
            let error = Diagnostic::error("manifest.sha256", node.span, problem);
            diagnostics.reject(error.fix("`sha256sum FILE` prints the digest of a file"))
        }
    }
}

/// Where a component is: the path of a file, or a reference to a registry.
pub(super) fn source(node: &Node, folder: &Path, diagnostics: &mut Diagnostics) -> Option<Source> {
    let text = fields::text(node, diagnostics)?;
    if text.starts_with(SCHEME) {
        return match text.parse() {
            Ok(reference) => Some(Source::Oci(reference)),
            Err(ReferenceFault { start, end, message, fix }) => {
                diagnostics.reject(Diagnostic::error("manifest.oci", node.span_within(start, end), message).fix(fix))
            }
        };
    }
    if let Some((scheme, _)) = text.split_once("://") {
        let message = format!("plugins come from files and from registries (`oci://`), not from `{scheme}://`");
        let error = Diagnostic::error("manifest.path", node.span, message);
        return diagnostics.reject(error.fix("fetch the file and write its path, such as `./file.wasm`"));
    }
    grants::path_in(node, folder, diagnostics).map(Source::File)
}
