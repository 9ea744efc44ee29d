//! Where the directories lie that jobs are granted: below `host.roots`, and never where the system or the host itself keeps
//! what no guest should reach.
//!
//! A grant is what a person wrote, so this is a wall against a manifest that grants more than its author meant: a link that
//! leads elsewhere, a `..` too many, the whole disk. A guest that may write can make links as well: those lead nowhere.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use clockjack_schedule::{
    diagnostic::{Diagnostic, Span},
    id::JobId,
    job::{DirGrant, DirMode, Setup},
    manifest::{
        resolved::{Manifest, Root},
        store_url::StoreUrl,
    },
};

use super::{Loaded, stores};
use crate::settings;

/// Refused with everything below.
const SYSTEM: [&str; 5] = ["/dev", "/etc", "/proc", "/run", "/sys"];

/// Refused themselves; what lies below belongs to somebody.
const SHARED: [&str; 5] = ["/", "/home", "/root", "/usr", "/var"];

/// Tells of each directory that may not be granted; with `only`, those of one job. In the others links are resolved, once:
/// what is looked at here is what is opened later, or nothing is.
pub(super) fn check(loaded: &mut Loaded, only: Option<&JobId>) {
    let places = Places::of(loaded);
    let manifest = &loaded.manifest;
    let mut changed = Vec::new();
    for (id, job) in manifest.jobs.iter().filter(|(id, _)| only.is_none_or(|only| only == *id)) {
        let mut dirs = job.grants.dirs.clone();
        for dir in &mut dirs {
            // What is not there, or is no directory, is told with the call.
            let Some(path) = dir.host.canonicalize().ok().filter(|path| path.is_dir()) else { continue };
            if let Some((folder, writer)) = places.left(&dir.host, &path)
                && manifest.job_span(id, "").source < manifest.job_span(&writer.job, "").source
            {
                // Who came later is at fault: what is dropped into a directory takes nothing away from others.
                let span = manifest.job_span(&writer.job, &format!("grants.dirs[{}].host", writer.index));
                loaded.diagnostics.push(leads_through(writer, folder, id, span));
            } else if let Some((why, fix)) =
                places.denied_link(&dir.host, &path).or_else(|| places.denied(&path, dir.mode))
            {
                let shown = dir.host.display();
                let message = format!("job `{id}`: the directory `{shown}` may not be granted: {why}");
                let span = manifest.job_span(id, &format!("grants.dirs[{}].host", dir.index));
                loaded.diagnostics.push(Diagnostic::error("manifest.denied", span, message).fix(fix));
            }
            dir.host = path;
        }
        if dirs != job.grants.dirs {
            changed.push((id.clone(), dirs));
        }
    }
    put(&mut loaded.manifest, changed);
}

/// Jobs that shared a setup share the new one.
fn put(manifest: &mut Manifest, changed: Vec<(JobId, Vec<DirGrant>)>) {
    let mut setups: HashMap<*const Setup, Arc<Setup>> = HashMap::new();
    for (id, dirs) in changed {
        let Some(job) = manifest.jobs.get_mut(&id) else { continue };
        let setup = setups.entry(Arc::as_ptr(&job.setup)).or_insert_with(|| {
            let mut setup = Setup::clone(&job.setup);
            setup.grants.dirs = dirs;
            Arc::new(setup)
        });
        Arc::make_mut(job).setup = Arc::clone(setup);
    }
}

/// What grants are held against, all of it with its links resolved.
#[derive(Default)]
struct Places {
    roots: Option<Vec<PathBuf>>,
    /// The folders in which the host keeps its own things.
    own: Vec<PathBuf>,
    /// Where compiled code is kept: code that runs outside of every sandbox, and the key that says it is the host's.
    code: Option<PathBuf>,
    /// Files that say what the host runs, and folders whose files do.
    sources: Vec<PathBuf>,
    /// The folders in which guests may make links, each with the first grant that lets them.
    written: BTreeMap<PathBuf, Writer>,
}

impl Places {
    fn of(loaded: &Loaded) -> Self {
        let manifest = &loaded.manifest;
        let is_file = |index: &usize| loaded.program != Some(*index);
        let files = loaded.sources.iter().enumerate().filter(move |(index, _)| is_file(index));
        let manifests = files.map(|(_, source)| PathBuf::from(&*source.name));
        let plugins = manifest.plugins.values().filter_map(|plugin| plugin.source.file().map(Path::to_path_buf));
        Self {
            roots: manifest.host.roots.as_ref().map(|roots| canonical_roots(roots)),
            own: own_folders(loaded),
            code: settings::cache_directory().map(|folder| resolved(&folder)),
            // A pin lies beside the first manifest, so that it needs no word of its own.
            // Who writes a file into a folder whose files are run changes that too.
            sources: manifests
                .chain(plugins)
                .chain(loaded.folders.iter().cloned())
                .flat_map(|file| [beside(&file), resolved(&file)])
                .collect(),
            written: writers(manifest),
        }
    }

    /// Why a path may not be followed, and what to do about it.
    fn denied_link(&self, host: &Path, path: &Path) -> Option<(String, String)> {
        let (left, _) = self.left(host, path)?;
        let why = format!(
            "it leads to `{}` through `{}`, in which a job may write and so make links",
            path.display(),
            left.display()
        );
        Some((why, "if it is meant, grant it by its own path; else look who made the link, and remove it".to_owned()))
    }

    /// A folder that a path goes through, and out of it again, although a guest may write there. Only a link does that, and
    /// a guest may have made it.
    fn left(&self, host: &Path, path: &Path) -> Option<(&PathBuf, &Writer)> {
        let folders: Vec<_> = self.written.iter().filter(|(folder, _)| !path.starts_with(folder)).collect();
        if folders.is_empty() {
            return None;
        }
        let whole = std::path::absolute(host).ok()?;
        let way: Vec<PathBuf> = whole.ancestors().filter_map(|step| step.canonicalize().ok()).collect();
        folders.into_iter().find(|(folder, _)| way.iter().any(|step| step.starts_with(folder)))
    }

    /// Why a directory may not be granted, and what to do about it.
    fn denied(&self, path: &Path, mode: DirMode) -> Option<(String, String)> {
        let Self { roots, own, code, sources, written: _ } = self;
        let covering: Vec<&PathBuf> = roots.iter().flatten().filter(|root| path.starts_with(root)).collect();
        if roots.is_some() && covering.is_empty() {
            let why = format!("it is `{}`, which lies below none of `host.roots`", path.display());
            return Some((why, "grant a directory below one of them, or add its path to `host.roots`".to_owned()));
        }
        // Who names a place itself, or one inside of it, means it.
        let is_meant = |place: &Path| covering.iter().any(|root| root.starts_with(place));
        let protected = |place: &Path| {
            let why = format!("`{}` is protected", place.display());
            (why, format!("grant a directory of the job's own, or name `{}` under `host.roots`", path.display()))
        };
        let system = SYSTEM.map(Path::new).into_iter().find(|place| path.starts_with(place));
        let home = settings::home().and_then(|home| home.canonicalize().ok());
        let shared = SHARED.map(Path::new).into_iter().chain(home.as_deref()).find(|place| path == *place);
        if let Some(place) = system.or(shared).filter(|place| !is_meant(place)) {
            return Some(protected(place));
        }
        // Nobody can mean this one, whatever the roots say.
        if let Some(code) = code.as_ref().filter(|code| code.starts_with(path) || path.starts_with(code)) {
            let why = format!("the host keeps compiled code in `{}`", code.display());
            let fix = "grant a directory of the job's own, or keep the code elsewhere (`CLOCKJACK_CACHE`)";
            return Some((why, fix.to_owned()));
        }
        if covering.iter().any(|root| *root == path) {
            return None;
        }
        if let Some(own) = own.iter().find(|folder| folder.starts_with(path)) {
            let why = format!("the host keeps its own state in it (`{}`)", own.display());
            return Some((
                why,
                "grant a directory of the job's own, or keep the state elsewhere (`stores`)".to_owned(),
            ));
        }
        let is_changed = |file: &&PathBuf| mode == DirMode::ReadWrite && file.starts_with(path);
        let file = sources.iter().find(is_changed)?;
        let why = format!("who writes there can change what the host runs (`{}`)", file.display());
        let fix = "grant a directory of the job's own, such as `./out`, or grant this one with `mode: read`; if it is \
                   meant, name it under `host.roots`";
        Some((why, fix.to_owned()))
    }
}

/// Roots with their links resolved. One that is not there allows nothing.
fn canonical_roots(roots: &[Root]) -> Vec<PathBuf> {
    roots.iter().filter_map(|root| root.path.canonicalize().ok()).collect()
}

fn own_folders(loaded: &Loaded) -> Vec<PathBuf> {
    let file = |store: &StoreUrl| match store {
        StoreUrl::Sqlite(path) => Some(folder_of(path).to_owned()),
        StoreUrl::Memory => None,
    };
    let stores = || loaded.manifest.stores.values().chain(&loaded.ledger);
    let uploads = stores().filter_map(stores::uploads_beside);
    stores()
        .filter_map(file)
        .chain(uploads)
        .chain(settings::state_directory())
        .map(|folder| resolved(&folder))
        .collect()
}

/// A grant that lets a job write.
#[derive(Clone, Debug)]
struct Writer {
    job: JobId,
    index: usize,
}

/// Who may write where; of several the one that comes first in the sources.
fn writers(manifest: &Manifest) -> BTreeMap<PathBuf, Writer> {
    let mut found: BTreeMap<PathBuf, (usize, Writer)> = BTreeMap::new();
    for (id, job) in &manifest.jobs {
        let source = manifest.job_span(id, "").source;
        for dir in job.grants.dirs.iter().filter(|dir| dir.mode == DirMode::ReadWrite) {
            let Ok(folder) = dir.host.canonicalize() else { continue };
            if found.get(&folder).is_none_or(|(first, _)| source < *first) {
                found.insert(folder, (source, Writer { job: id.clone(), index: dir.index }));
            }
        }
    }
    found.into_iter().map(|(folder, (_, writer))| (folder, writer)).collect()
}

fn leads_through(writer: &Writer, folder: &Path, other: &JobId, span: Span) -> Diagnostic {
    let (job, folder) = (&writer.job, folder.display());
    let message = format!(
        "job `{job}`: the directory `{folder}` may not be granted for writing: a directory of job `{other}` leads through \
         it, and who writes there can lead it elsewhere"
    );
    Diagnostic::error("manifest.denied", span, message)
        .fix("grant a directory of the job's own, such as `./out`, or grant this one with `mode: read`")
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}

/// A file by the name that it has, even if that is a link: who can replace the link replaces the file.
fn beside(file: &Path) -> PathBuf {
    resolved(folder_of(file)).join(file.file_name().unwrap_or_default())
}

/// A path with its links resolved as far as it is there: what is made later is made at the same place.
fn resolved(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_unknown| path.to_owned());
    let found = whole.ancestors().find_map(|above| Some((above.canonicalize().ok()?, whole.strip_prefix(above).ok()?)));
    let Some((mut place, rest)) = found else { return whole };
    for step in rest.components() {
        if step == Component::ParentDir {
            place.pop();
        } else {
            place.push(step);
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &str, roots: Option<&[&str]>, own: &[&str]) -> String {
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
        let places = Places { roots: roots.map(paths), own: paths(own), ..Places::default() };
        in_words(&places, path, DirMode::Read)
    }

    fn in_words(places: &Places, path: &str, mode: DirMode) -> String {
        places.denied(Path::new(path), mode).map_or_else(|| "granted".to_owned(), |(why, _)| why)
    }

    #[test]
    fn places_of_the_system_are_granted_only_where_a_root_names_them() {
        for path in
            ["/", "/etc", "/etc/ssl", "/proc/self", "/sys", "/dev/shm", "/home", "/root", "/usr", "/var", "/run/x"]
        {
            assert!(told(path, None, &[]).ends_with("is protected"), "{path}");
            assert!(path == "/" || told(path, Some(&["/"]), &[]).ends_with("is protected"), "{path}");
            assert_eq!(told(path, Some(&[path]), &[]), "granted", "{path}");
        }
        for path in ["/srv/jobs", "/var/reports", "/usr/local/share"] {
            assert_eq!(told(path, None, &[]), "granted", "{path}");
        }
    }

    #[test]
    fn roots_bound_what_may_be_granted() {
        assert_eq!(told("/srv/jobs/a", Some(&["/srv/jobs"]), &[]), "granted");
        assert!(told("/srv/other", Some(&["/srv/jobs"]), &[]).contains("below none of `host.roots`"));
        assert!(told("/srv/jobs-2", Some(&["/srv/jobs"]), &[]).contains("below none of `host.roots`"));
        assert!(told("/srv/jobs", Some(&[]), &[]).contains("below none of `host.roots`"));
    }

    #[test]
    fn the_hosts_own_folder_and_what_is_above_it_are_refused() {
        let own = &["/srv/state"];
        assert!(told("/srv/state", None, own).contains("its own state"));
        assert!(told("/srv", None, own).contains("its own state"));
        assert_eq!(told("/srv/state/of-a-job", None, own), "granted");
        assert_eq!(told("/srv", Some(&["/srv"]), own), "granted");
    }

    #[test]
    fn compiled_code_is_granted_to_nobody() {
        let code = Some(PathBuf::from("/srv/cache/clockjack"));
        for roots in [None, Some("/"), Some("/srv/cache/clockjack"), Some("/srv/cache/clockjack/inner")] {
            let places = Places { roots: roots.map(|root| vec![root.into()]), code: code.clone(), ..Places::default() };
            let inner = in_words(&places, "/srv/cache/clockjack/inner", DirMode::Read);
            assert!(inner.contains("keeps compiled code"), "{roots:?}: {inner}");
        }
        let places = Places { roots: Some(vec!["/srv".into()]), code, ..Places::default() };
        for (path, refused) in [("/srv", true), ("/srv/cache/clockjack", true), ("/srv/cache/other", false)] {
            assert_eq!(in_words(&places, path, DirMode::Read).contains("keeps compiled code"), refused, "{path}");
        }
    }

    #[test]
    fn nobody_writes_beside_what_says_what_is_run() {
        let sources = vec![PathBuf::from("/srv/host/clockjack.yaml"), PathBuf::from("/srv/plugins/a.wasm")];
        let places = Places { sources: sources.clone(), ..Places::default() };
        for path in ["/srv", "/srv/host", "/srv/plugins"] {
            let told = in_words(&places, path, DirMode::ReadWrite);
            assert!(told.contains("can change what the host runs"), "{path}: {told}");
            assert_eq!(in_words(&places, path, DirMode::Read), "granted", "{path}");
            let named = Places { roots: Some(vec![path.into()]), sources: sources.clone(), ..Places::default() };
            assert_eq!(in_words(&named, path, DirMode::ReadWrite), "granted", "{path}");
        }
        assert_eq!(in_words(&places, "/srv/host/out", DirMode::ReadWrite), "granted");
    }

    #[test]
    fn a_place_is_known_before_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        std::fs::create_dir(top.join("real")).unwrap();
        std::os::unix::fs::symlink("real", top.join("link")).unwrap();
        assert_eq!(resolved(&top.join("link")), top.join("real"));
        assert_eq!(resolved(&top.join("link/a/b")), top.join("real/a/b"));
        assert_eq!(resolved(&top.join("link/a/../b")), top.join("real/b"));
        assert_eq!(beside(&top.join("link")), top.join("link"));
    }
}
