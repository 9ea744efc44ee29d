//! Reading manifests: the files that were named, the files in folders that were named, what they include, and the sidecars in
//! directories of plugins.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use clockjack_schedule::{
    diagnostic::{Diagnostic, Diagnostics, Source, Span},
    job::Ceilings,
    manifest::{
        directories::{Beside, DirectoryPlace, Found, outline},
        parse::SOURCE_BYTES_MAX,
        resolve::{ResolveOptions, resolve_partial},
        resolved::Include,
    },
    zone::Zones,
};

use super::{
    Loaded, Program,
    directories::{self, Draft},
    given::Given,
    placed::Placed,
    units::{Choices, Unit},
};
use crate::settings;

/// Most files that one manifest may consist of.
const FILES_MAX: usize = 1_000;

/// The texts and where each of them was.
#[derive(Default)]
struct Files {
    sources: Vec<Source>,
    folders: Vec<PathBuf>,
    diagnostics: Diagnostics,
    /// Paths that may be directories of plugins.
    places: Vec<DirectoryPlace>,
    /// Folders whose files become part of the manifest when they appear.
    grows: BTreeSet<PathBuf>,
    /// Files that are read, or were to be, and folders in which more may appear.
    watched: BTreeSet<PathBuf>,
}

/// Everything that was read from files, as it was at that moment.
pub(super) struct Texts {
    files: Files,
    n_named: usize,
    /// Which of them is the word of the program that the host is a part of.
    program: Option<usize>,
    /// The directories of plugins, and where their paths stand.
    places: Vec<DirectoryPlace>,
    spans: Vec<Span>,
    units: Vec<Unit>,
}

/// Reads the files, and what they mean beside what the host was given.
pub(super) fn load(paths: &[PathBuf], zones: &Zones, given: &Given, choices: &Choices) -> Loaded {
    resolve(&Arc::new(read_all(paths, choices)), zones, given, choices)
}

fn read_all(paths: &[PathBuf], choices: &Choices) -> Texts {
    let mut files = Files::default();
    for path in paths {
        files.add(path, Span { source: usize::MAX, ..Span::default() });
    }
    let program = files.add_program(&choices.program);
    let n_named = files.sources.len();
    files.include();
    let places = std::mem::take(&mut files.places);
    // Also those that are not there: they may come.
    files.watched.extend(places.iter().map(|place| place.path.clone()).filter(|path| !path.is_file()));
    let (places, spans) = directories::that_are(places, &mut files.diagnostics);
    let units = files.add_units(&places, choices);
    Texts { files, n_named, program, places, spans, units }
}

/// What texts mean beside what the host was given. No file is read.
pub(super) fn resolve(texts: &Arc<Texts>, zones: &Zones, given: &Given, choices: &Choices) -> Loaded {
    let Texts { files, n_named, program, places, spans, units } = &**texts;
    let first_source = files.sources.len();
    let (mut sources, mut folders) = (files.sources.clone(), files.folders.clone());
    let placed = choices.placed(given, first_source);
    sources.extend(placed.iter().map(Placed::as_source));
    // Relative paths of what was given start where those of the first file do.
    folders.resize(sources.len(), files.folders.first().cloned().unwrap_or_default());
    let (definitions, uploads) = (Placed::jobs(&placed), Placed::plugins(&placed));
    let unit_sources: Vec<_> = units.iter().map(Unit::as_source).collect();
    let beside = Beside { definitions: &definitions, first_source, plugins: &uploads };
    let options = ResolveOptions {
        zones,
        variables: &settings::variable,
        folders: &folders,
        ceilings: &Ceilings::default(),
        n_named: *n_named,
        found: Found { directories: spans, units: &unit_sources, program: *program, beside },
    };
    let (manifest, found) = resolve_partial(&sources, &options);
    // Where a file could not even be read, an empty manifest is no news.
    let mut diagnostics = files.diagnostics.clone();
    if !diagnostics.has_errors() || !files.sources.is_empty() {
        diagnostics.append(found);
    }
    Loaded {
        sources,
        manifest,
        diagnostics,
        units: units.clone(),
        placed,
        texts: Arc::clone(texts),
        program: *program,
        lock: None,
        ledger: None,
        images: BTreeMap::new(),
        folders: places.iter().map(|place| place.path.clone()).chain(files.grows.iter().cloned()).collect(),
        watched: files.watched.clone(),
    }
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
        self.watched.insert(path.to_path_buf());
        match read(path) {
            Ok(text) => {
                self.sources.push(Source::new(path.display().to_string(), text));
                self.folders.push(path.parent().map_or_else(PathBuf::new, Path::to_path_buf));
            }
            Err(unread) => self.diagnostics.push(unread.diagnostic(path, span)),
        }
    }

    /// Adds what the program says, and says which source that is.
    fn add_program(&mut self, program: &Program) -> Option<usize> {
        let (text, folder) = program.read()?;
        self.sources.push(Source::new(Program::NAME, text));
        self.folders.push(folder);
        Some(self.sources.len() - 1)
    }

    fn add_folder(&mut self, folder: &Path, span: Span) {
        self.watched.insert(folder.to_path_buf());
        self.grows.insert(folder.to_path_buf());
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
            let outline = outline(index, &source, &self.folders[index], &settings::variable);
            self.places.extend(outline.directories);
            for Include { pattern, span } in outline.includes {
                let pattern = self.folders[index].join(&pattern);
                self.grows.extend(folder_of_pattern(&pattern));
                self.watched.extend(folder_of_pattern(&pattern));
                for path in self.matches(&pattern, span) {
                    let shown = path.display().to_string();
                    if !self.sources.iter().any(|known| *known.name == *shown) {
                        self.add(&path, span);
                    }
                }
            }
            index += 1;
        }
    }

    /// Adds the sidecars of directories of plugins.
    fn add_units(&mut self, places: &[DirectoryPlace], choices: &Choices) -> Vec<Unit> {
        let mut drafts = Vec::new();
        let manifests: BTreeSet<_> =
            self.sources.iter().filter_map(|source| Path::new(&*source.name).canonicalize().ok()).collect();
        for place in places {
            self.watched.insert(place.path.clone());
            let watched = &mut self.watched;
            drafts.extend(directories::drafts(place, &manifests, choices, watched, &mut self.diagnostics));
        }
        drafts.sort_by_key(|draft| choices.rank(&draft.unit));
        let mut units = Vec::new();
        for Draft { unit, fault } in drafts {
            let unit = Unit { source: self.sources.len(), ..unit };
            self.sources.push(Source::new(unit.shown(), unit.text.clone().unwrap_or_default()));
            self.folders.push(unit.path.parent().map_or_else(PathBuf::new, Path::to_path_buf));
            self.watched.extend(unit.sidecar.clone());
            if let Some(fault) = fault {
                self.diagnostics.push(fault.diagnostic(&unit));
            }
            units.push(unit);
        }
        units
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

/// The folder in which files that fit a pattern appear: the last one before the first wildcard. None for a plain name.
fn folder_of_pattern(pattern: &Path) -> Option<PathBuf> {
    let is_wild = |step: &std::path::Component<'_>| step.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    let plain: PathBuf = pattern.components().take_while(|step| !is_wild(step)).collect();
    let shown = if plain.as_os_str().is_empty() { PathBuf::from(".") } else { plain.clone() };
    (plain != pattern).then_some(shown)
}

/// Why a source could not be read.
pub(super) enum Unread {
    TooLarge,
    Other(String),
}

impl Unread {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "manifest.too_large",
            Self::Other(_) => "manifest.unreadable",
        }
    }

    /// What is wrong, as the rest of a sentence about the file.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::TooLarge => format!("has more than {SOURCE_BYTES_MAX} bytes, the most that one file may have"),
            Self::Other(problem) => problem.clone(),
        }
    }

    fn diagnostic(&self, path: &Path, span: Span) -> Diagnostic {
        let fix = match self {
            Self::TooLarge => "split it into several files, and name them under `include:`",
            Self::Other(_) => "name a manifest with `-f`; without it `clockjack.yaml` in this folder is read",
        };
        Diagnostic::error(self.code(), span, format!("`{}` {}", path.display(), self.reason())).fix(fix)
    }
}

pub(super) fn read(path: &Path) -> Result<String, Unread> {
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
