//! What is in directories of plugins: each `NAME.wasm` is a plugin `NAME`, and `NAME.yaml` beside it has its jobs.
//!
//! Only the directory itself is looked at, not what lies deeper. What is no component and no sidecar is not spoken of.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use clockjack_schedule::{
    diagnostic::{Diagnostic, Diagnostics, Span},
    id::PluginName,
    manifest::directories::DirectoryPlace,
};

use super::{
    files::read,
    units::{Choice, Choices, Fault, Unit},
};

/// Most components, and most sidecars, of one directory: each costs a look at every change.
pub const COMPONENTS_MAX: usize = 1_000;

/// What is under one name in a directory.
#[derive(Debug, Default)]
struct Files {
    component: Option<PathBuf>,
    sidecars: Vec<PathBuf>,
}

/// A unit as it is to be read, with what is wrong with its files.
pub(super) struct Draft {
    pub(super) unit: Unit,
    pub(super) fault: Option<Fault>,
}

/// The units of a directory. A manifest that lies in it is nobody's sidecar.
pub(super) fn drafts(
    place: &DirectoryPlace,
    manifests: &BTreeSet<PathBuf>,
    choices: &Choices,
    watched: &mut BTreeSet<PathBuf>,
    diagnostics: &mut Diagnostics,
) -> Vec<Draft> {
    let files = match list(place, manifests, diagnostics) {
        Ok(files) => files,
        Err(error) => {
            diagnostics.push(error);
            return Vec::new();
        }
    };
    let drafts = files.into_iter().filter_map(|(plugin, files)| {
        let path = place.path.join(plugin.as_str());
        let choice = choices.of(&path);
        // What is not read as it is on disk is looked at again when it changes there.
        watched.extend(files.sidecars.iter().cloned());
        watched.extend(files.component.iter().filter(|_| choice.is_some()).cloned());
        match choice {
            None => Some(as_on_disk(place, plugin, path, &files)),
            Some(Choice::Kept(unit)) => {
                Some(Draft { unit: Unit { directory: place.span, ..unit.clone() }, fault: None })
            }
            Some(Choice::LeftOut) => None,
        }
    });
    drafts.collect()
}

/// The files of a directory by the name of their plugin.
fn list(
    place: &DirectoryPlace,
    manifests: &BTreeSet<PathBuf>,
    diagnostics: &mut Diagnostics,
) -> Result<BTreeMap<PluginName, Files>, Diagnostic> {
    let shown = place.path.display();
    let unreadable = |error: std::io::Error| {
        let message = format!("the directory of plugins `{shown}` cannot be read: {error}");
        Diagnostic::error("manifest.unreadable", place.span, message).fix("look at its permissions")
    };
    let mut found: BTreeMap<PluginName, Files> = BTreeMap::new();
    let mut n_files = (0_usize, 0_usize);
    for entry in fs::read_dir(&place.path).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let Some(kind) = Kind::of(&path).filter(|_| !path.is_dir()) else { continue };
        if path.canonicalize().is_ok_and(|path| manifests.contains(&path)) {
            continue;
        }
        let name = match name_of(&path) {
            Ok(name) => name,
            Err(why) => {
                let message = format!("`{}` is not looked at: {why}", path.display());
                diagnostics.push(Diagnostic::warning("manifest.no_effect", place.span, message).fix("rename the file"));
                continue;
            }
        };
        let files = found.entry(name).or_default();
        match kind {
            Kind::Component => {
                n_files.0 += 1;
                files.component = Some(path);
            }
            Kind::Sidecar => {
                n_files.1 += 1;
                files.sidecars.push(path);
            }
        }
        if COMPONENTS_MAX < n_files.0.max(n_files.1) {
            let message = format!("the directory of plugins `{shown}` holds more than {COMPONENTS_MAX} components");
            let error = Diagnostic::error("manifest.too_large", place.span, message);
            return Err(error.fix("spread them over several directories, and name each under `plugins:`"));
        }
    }
    found.values_mut().for_each(|files| files.sidecars.sort());
    Ok(found)
}

/// What a file of a directory of plugins is.
#[derive(Clone, Copy)]
enum Kind {
    Component,
    Sidecar,
}

impl Kind {
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "wasm" => Some(Self::Component),
            "yaml" | "yml" => Some(Self::Sidecar),
            _ => None,
        }
    }
}

/// The plugin that a file belongs to, or why there is none.
fn name_of(path: &Path) -> Result<PluginName, String> {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).ok_or("its name is no UTF-8 text")?;
    if stem.starts_with('.') {
        return Err("its name begins with `.`".to_owned());
    }
    // A job that named such a plugin would name a file.
    if stem.ends_with(".wasm") || stem.ends_with(".wat") {
        return Err(format!("`{stem}` is no name of a plugin: it ends like a file"));
    }
    stem.parse().map_err(|error| format!("`{stem}` is no name of a plugin: {error}"))
}

fn as_on_disk(place: &DirectoryPlace, plugin: PluginName, path: PathBuf, files: &Files) -> Draft {
    let component = files.component.clone();
    let sidecar = files.sidecars.first().cloned();
    let read = sidecar.as_deref().map(text_of).transpose();
    let (text, unread) = match read {
        Ok(text) => (text, None),
        Err(fault) => (None, Some(fault)),
    };
    let fault = fault_of(files, &path).or(unread);
    let unit = Unit { plugin, path, component, sidecar, text: text.map(Into::into), source: 0, directory: place.span };
    Draft { unit, fault }
}

fn fault_of(files: &Files, path: &Path) -> Option<Fault> {
    let fault = |message: String, fix: &str| Some(Fault { code: "manifest.sidecar", message, fix: fix.to_owned() });
    match (&files.component, files.sidecars.as_slice()) {
        (_, [first, second, ..]) => {
            fault(format!("`{}` and `{}` are both its sidecar", first.display(), second.display()), "keep one of them")
        }
        (None, [] | [_]) => fault(
            format!("its sidecar is there, and its component `{}.wasm` is not", path.display()),
            "put the component beside the sidecar, or remove the sidecar",
        ),
        (Some(_), [] | [_]) => None,
    }
}

fn text_of(sidecar: &Path) -> Result<String, Fault> {
    read(sidecar).map_err(|unread| Fault {
        code: unread.code(),
        message: format!("its sidecar `{}` {}", sidecar.display(), unread.reason()),
        fix: "mend the file, or remove it: then the plugin has no jobs of its own".to_owned(),
    })
}

/// Which of the paths that may be directories are some, each once, and where such paths stand. One that can be nothing else is
/// told where it is none.
pub(super) fn that_are(places: Vec<DirectoryPlace>, diagnostics: &mut Diagnostics) -> (Vec<DirectoryPlace>, Vec<Span>) {
    let mut known = BTreeSet::new();
    let (mut directories, mut spans) = (Vec::new(), Vec::new());
    for place in places {
        let shown = place.path.display();
        let error = |message: String| Diagnostic::error("manifest.path", place.span, message);
        let canonical = match place.path.canonicalize() {
            Ok(path) if path.is_dir() => path,
            Ok(_) if place.is_certain => {
                diagnostics.push(error(format!("`{shown}` is a file, and a directory of plugins is meant here")).fix(
                    "name the folder in which the components are; a single one is `plugins: { name: ./file.wasm }`",
                ));
                continue;
            }
            Err(problem) if place.is_certain => {
                let fix = match problem.kind() {
                    ErrorKind::NotFound => format!("`mkdir {shown}`; it may be empty"),
                    _ => "look at its permissions".to_owned(),
                };
                diagnostics.push(error(format!("no directory of plugins at `{shown}`: {problem}")).fix(fix));
                continue;
            }
            Ok(_) | Err(_) => continue,
        };
        spans.push(place.span);
        if !known.insert(canonical) {
            diagnostics.push(error(format!("the directory of plugins `{shown}` is named twice")).fix("name it once"));
            continue;
        }
        directories.push(place);
    }
    (directories, spans)
}
