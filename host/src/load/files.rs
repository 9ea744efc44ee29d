//! Reading manifests: the files that were named, the files in folders that were named, and what they include.

use std::{
    collections::BTreeMap,
    io::Read as _,
    path::{Path, PathBuf},
};

use clockjack_schedule::{
    diagnostic::{Diagnostic, Diagnostics, Source, Span},
    job::Ceilings,
    manifest::{
        parse::SOURCE_BYTES_MAX,
        resolve::{ResolveOptions, includes, resolve_partial},
    },
    zone::Zones,
};

use super::Loaded;
use crate::settings;

/// Most files that one manifest may consist of.
const FILES_MAX: usize = 1_000;

/// The texts and where each of them was.
#[derive(Default)]
struct Files {
    sources: Vec<Source>,
    folders: Vec<PathBuf>,
    diagnostics: Diagnostics,
}

pub(super) fn load(paths: &[PathBuf], zones: &Zones) -> Loaded {
    let mut files = Files::default();
    for path in paths {
        files.add(path, Span { source: usize::MAX, ..Span::default() });
    }
    let n_named = files.sources.len();
    files.include();
    let options = ResolveOptions {
        zones,
        variables: &settings::variable,
        folders: &files.folders,
        ceilings: &Ceilings::default(),
        n_named,
    };
    let (manifest, found) = resolve_partial(&files.sources, &options);
    // Where a file could not even be read, an empty manifest is no news.
    let mut diagnostics = files.diagnostics;
    if !diagnostics.has_errors() || !files.sources.is_empty() {
        diagnostics.append(found);
    }
    Loaded { sources: files.sources, manifest, diagnostics, lock: None, ledger: None, images: BTreeMap::new() }
}

impl Files {
    /// Adds a file, or the `.yaml` files of a folder in the order of their names.
    fn add(&mut self, path: &Path, span: Span) {
        if path.is_dir() {
            return self.add_folder(path, span);
        }
        if FILES_MAX <= self.sources.len() {
            let error =
                Diagnostic::error("manifest.too_large", span, format!("the manifest has more than {FILES_MAX} files"));
            return self.diagnostics.push(error.fix("join some of them"));
        }
        match read(path) {
            Ok(text) => {
                self.sources.push(Source::new(path.display().to_string(), text));
                self.folders.push(path.parent().map_or_else(PathBuf::new, Path::to_path_buf));
            }
            Err(unread) => self.diagnostics.push(unread.diagnostic(path, span)),
        }
    }

    fn add_folder(&mut self, folder: &Path, span: Span) {
        let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
        let is_manifest =
            |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        let mut paths: Vec<_> = entries.filter(is_manifest).collect();
        paths.sort();
        if paths.is_empty() {
            let error =
                Diagnostic::error("manifest.unreadable", span, format!("`{}` holds no `.yaml` file", folder.display()));
            self.diagnostics.push(error.fix("name a manifest with `-f`"));
        }
        for path in paths {
            self.add(&path, span);
        }
    }

    /// Adds what the files include. An included file may include others; none is read twice.
    fn include(&mut self) {
        let mut index = 0;
        while let Some(source) = self.sources.get(index).cloned() {
            for include in includes(index, &source, &settings::variable) {
                let pattern = self.folders[index].join(&include.pattern);
                for path in self.matches(&pattern, include.span) {
                    let shown = path.display().to_string();
                    if !self.sources.iter().any(|known| *known.name == *shown) {
                        self.add(&path, include.span);
                    }
                }
            }
            index += 1;
        }
    }

    fn matches(&mut self, pattern: &Path, span: Span) -> Vec<PathBuf> {
        let pattern = pattern.display().to_string();
        match glob::glob(&pattern) {
            Ok(paths) => {
                let paths: Vec<_> = paths.filter_map(Result::ok).collect();
                // A pattern may match nothing yet; a plain name that does is a mistake.
                let is_plain = !pattern.contains(['*', '?', '[']);
                if is_plain && paths.is_empty() { vec![PathBuf::from(pattern)] } else { paths }
            }
            Err(problem) => {
                let error =
                    Diagnostic::error("manifest.path", span, format!("`{pattern}` is no pattern for files: {problem}"));
                self.diagnostics.push(error.fix("write `conf.d/*.yaml`"));
                Vec::new()
            }
        }
    }
}

/// Why a source could not be read.
enum Unread {
    TooLarge,
    Other(String),
}

impl Unread {
    fn diagnostic(&self, path: &Path, span: Span) -> Diagnostic {
        let shown = path.display();
        match self {
            Self::TooLarge => {
                let message =
                    format!("`{shown}` has more than {SOURCE_BYTES_MAX} bytes, the most that one file may have");
                Diagnostic::error("manifest.too_large", span, message)
                    .fix("split it into several files, and name them under `include:`")
            }
            Self::Other(problem) => Diagnostic::error("manifest.unreadable", span, format!("`{shown}` {problem}"))
                .fix("name a manifest with `-f`; without it `clockjack.yaml` in this folder is read"),
        }
    }
}

fn read(path: &Path) -> Result<String, Unread> {
    let unreadable = |error: std::io::Error| Unread::Other(format!("cannot be read: {error}"));
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Unread::Other("is no regular file".to_owned()));
    }
    // What the file says of its size is no bound: it may grow meanwhile, and what is in `/proc` says nothing.
    let n_bytes_max = u64::try_from(SOURCE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(n_bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if SOURCE_BYTES_MAX < bytes.len() {
        return Err(Unread::TooLarge);
    }
    String::from_utf8(bytes).map_err(|error| Unread::Other(format!("is no UTF-8 text: {error}")))
}
