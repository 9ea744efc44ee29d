//! Reading `plugins`, and giving a name to each file or image that a job names directly.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use super::{
    build,
    fields::{self, Fields},
    foreign::{self, Place},
    grants,
    node::{Entry, Node, Value},
    oci_reference::{ReferenceFault, SCHEME},
    reload,
    resolved::{Build, Canary, Plugin, Sha256},
    source::Source,
};
use crate::{
    diagnostic::{self, Diagnostic, Diagnostics, did_you_mean},
    id::{PluginName, fnv1a},
};

/// All plugins of all sources.
#[derive(Default)]
pub(super) struct PluginTable {
    pub(super) plugins: BTreeMap<PluginName, Plugin>,
    pub(super) places: BTreeMap<PluginName, Entry>,
    by_source: HashMap<Source, PluginName>,
    /// Names that stand in a manifest but could not be read: references to them are not a second fault.
    broken: BTreeSet<String>,
}

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
        self.by_source.entry(source.clone()).or_insert_with(|| name.clone());
        self.places.insert(name.clone(), entry.clone());
        self.plugins.insert(name.clone(), Plugin { name, source, sha256, build, canary, keep });
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

    /// The plugin that a job names.
    pub(super) fn find(&self, node: &Node, folder: &Path, diagnostics: &mut Diagnostics) -> Option<PluginName> {
        let text = fields::text(node, diagnostics)?;
        if is_path(text) {
            let source = source(node, folder, diagnostics)?;
            return self.by_source.get(&source).cloned();
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

/// The name of a file or image as the name of a plugin: without its ending, and without what may not stand in a name.
fn stem(source: &Source) -> String {
    const STEM_BYTES_MAX: usize = 64;
    let stem = source.stem();
    let fits = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let name: String = stem.chars().map(fits).take(STEM_BYTES_MAX).collect();
    let name = name.trim_start_matches(['.', '_', '-']);
    if name.is_empty() { "plugin".to_owned() } else { name.to_owned() }
}

/// What stands under the name of a plugin.
struct Read {
    source: Source,
    sha256: Option<Sha256>,
    build: Option<Build>,
    canary: Option<Canary>,
    keep: u32,
}

fn read_value(entry: &Entry, folder: &Path, diagnostics: &mut Diagnostics) -> Option<Read> {
    if entry.value.as_text().is_some() {
        let source = source(&entry.value, folder, diagnostics)?;
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
    let source = fields.get("source").map(|node| source(node, folder, diagnostics));
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
