//! Reading `plugins`, and giving a name to each file that a job names directly.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use super::{
    build,
    fields::{self, Fields},
    foreign::{self, Place},
    grants,
    node::{Entry, Node, Value},
    reload,
    resolved::{Build, Canary, Plugin, Sha256},
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Source, did_you_mean},
    id::{PluginName, fnv1a},
};

/// All plugins of all sources.
#[derive(Default)]
pub(super) struct PluginTable {
    pub(super) plugins: BTreeMap<PluginName, Plugin>,
    pub(super) places: BTreeMap<PluginName, Entry>,
    by_path: HashMap<PathBuf, PluginName>,
    /// Names that stand in a manifest but could not be read: references to them are not a second fault.
    broken: BTreeSet<String>,
}

/// Whether what a job names as its plugin is a file rather than a name.
pub(super) fn is_path(text: &str) -> bool {
    text.contains(['/', '\\']) || text.ends_with(".wasm") || text.ends_with(".wat")
}

impl PluginTable {
    /// Reads one entry of `plugins`.
    pub(super) fn read(&mut self, entry: &Entry, folder: &Path, sources: &[Source], diagnostics: &mut Diagnostics) {
        let before = diagnostics.n_errors();
        let name = match entry.key.parse::<PluginName>() {
            Ok(name) => Some(name),
            Err(error) => diagnostics.reject(
                Diagnostic::error("manifest.name", entry.key_span, format!("plugin `{}`: {error}", entry.key))
                    .fix("rename the plugin"),
            ),
        };
        if let Some(first) = name.as_ref().and_then(|name| self.places.get(name)) {
            let (line, column) = first.key_span.position(sources);
            let file = sources.get(first.key_span.source).map_or("", |source| &source.name);
            let message = format!("plugin `{}` is defined twice: here and at {file}:{line}:{column}", entry.key);
            let error = Diagnostic::error("manifest.duplicate_plugin", entry.key_span, message);
            diagnostics.push(error.fix("rename or remove one of them; files that are read together share their names"));
            return;
        }
        let read = read_value(entry, folder, diagnostics);
        let (Some(name), Some(read), true) = (name, read, before == diagnostics.n_errors()) else {
            self.broken.insert(entry.key.clone());
            return;
        };
        let Read { source, sha256, build, canary, keep } = read;
        self.by_path.entry(source.clone()).or_insert_with(|| name.clone());
        self.places.insert(name.clone(), entry.clone());
        self.plugins.insert(name.clone(), Plugin { name, source, sha256, build, canary, keep });
    }

    /// Gives names to the files that jobs name directly: the name of the file, and with a hash of its path where
    /// that is taken or several files have it, so that no name depends on the order of the jobs.
    pub(super) fn add_direct<'n>(&mut self, direct: impl Iterator<Item = (PathBuf, &'n Entry)>) {
        let mut by_stem: BTreeMap<String, BTreeMap<PathBuf, &Entry>> = BTreeMap::new();
        for (path, entry) in direct.filter(|(path, _)| !self.by_path.contains_key(path)) {
            by_stem.entry(stem(&path)).or_default().entry(path).or_insert(entry);
        }
        for (stem, files) in by_stem {
            let n_files = files.len();
            for (source, entry) in files {
                let taken = |name: &PluginName| self.plugins.contains_key(name) || self.broken.contains(name.as_str());
                let plain = stem.parse::<PluginName>().ok().filter(|name| n_files == 1 && !taken(name));
                let hash = fnv1a(source.to_string_lossy().as_bytes(), 0);
                let Some(name) = plain.or_else(|| format!("{stem}-{:08x}", hash >> 32).parse().ok()) else { continue };
                self.by_path.insert(source.clone(), name.clone());
                self.places.insert(name.clone(), entry.clone());
                self.plugins.insert(name.clone(), Plugin::of_file(name, source));
            }
        }
    }

    /// The plugin that a job names.
    pub(super) fn find(&self, node: &Node, folder: &Path, diagnostics: &mut Diagnostics) -> Option<PluginName> {
        let text = fields::text(node, diagnostics)?;
        if is_path(text) {
            let source = source_path(node, folder, diagnostics)?;
            return self.by_path.get(&source).cloned();
        }
        if let Some((name, _)) = text.parse().ok().and_then(|name: PluginName| self.plugins.get_key_value(&name)) {
            return Some(name.clone());
        }
        if self.broken.contains(text) {
            return None;
        }
        let near = did_you_mean(text, self.plugins.keys().map(PluginName::as_str));
        let fix = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add `{text}: ./{text}.wasm` under `plugins:`, or write the path of a file here"),
        };
        diagnostics.reject(
            Diagnostic::error("manifest.unknown_plugin", node.span, format!("no plugin is named `{text}`")).fix(fix),
        )
    }
}

/// A file name as the name of a plugin: without its ending, and without what may not stand in a name.
fn stem(path: &Path) -> String {
    const STEM_BYTES_MAX: usize = 64;
    let stem = path.file_stem().map(std::ffi::OsStr::to_string_lossy).unwrap_or_default();
    let fits = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let name: String = stem.chars().map(fits).take(STEM_BYTES_MAX).collect();
    let name = name.trim_start_matches(['.', '_', '-']);
    if name.is_empty() { "plugin".to_owned() } else { name.to_owned() }
}

/// What stands under the name of a plugin.
struct Read {
    source: PathBuf,
    sha256: Option<Sha256>,
    build: Option<Build>,
    canary: Option<Canary>,
    keep: u32,
}

fn read_value(entry: &Entry, folder: &Path, diagnostics: &mut Diagnostics) -> Option<Read> {
    if entry.value.as_text().is_some() {
        let source = source_path(&entry.value, folder, diagnostics)?;
        return Some(Read { source, sha256: None, build: None, canary: None, keep: reload::KEEP });
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
    let source = fields.get("source").map(|node| source_path(node, folder, diagnostics));
    let sha256 = fields.get("sha256").and_then(|node| digest(node, diagnostics));
    let build = fields.get("build").and_then(|node| build::read(node, folder, diagnostics));
    let (canary, keep) = (reload::canary(&mut fields, diagnostics), reload::kept(&mut fields, diagnostics));
    if source.is_none() && fields.unasked().next().is_none() {
        diagnostics.push(missing());
    }
    fields.finish_translated(|key| foreign::answer(Place::Plugin, key), diagnostics);
    source.flatten().map(|source| Read { source, sha256, build, canary, keep })
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

/// The path of a component file.
pub(super) fn source_path(node: &Node, folder: &Path, diagnostics: &mut Diagnostics) -> Option<PathBuf> {
    let text = fields::text(node, diagnostics)?;
    if let Some((scheme, _)) = text.split_once("://") {
        let message = format!("plugins from `{scheme}://` are not supported by this version yet");
        let error = Diagnostic::error("manifest.path", node.span, message);
        return diagnostics.reject(error.fix("fetch the file and write its path, such as `./file.wasm`"));
    }
    grants::path_in(node, folder, diagnostics)
}
