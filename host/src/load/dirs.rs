//! Where the directories lie that jobs are granted: below `host.roots`, and never where the system or the host itself keeps
//! what no guest should reach.
//!
//! A grant is what a person wrote, so this is no wall against an attacker but one against a manifest that grants more than
//! its author meant: a link that leads elsewhere, a `..` too many, the whole disk.

use std::path::{Path, PathBuf};

use clockjack_schedule::{
    diagnostic::Diagnostic,
    id::JobId,
    manifest::{
        resolved::{Manifest, Root},
        store_url::StoreUrl,
    },
};

use super::Loaded;
use crate::settings;

/// Refused with everything below.
const SYSTEM: [&str; 5] = ["/dev", "/etc", "/proc", "/run", "/sys"];

/// Refused themselves; what lies below belongs to somebody.
const SHARED: [&str; 5] = ["/", "/home", "/root", "/usr", "/var"];

/// Tells of each directory that may not be granted; with `only`, those of one job.
pub(super) fn check(loaded: &mut Loaded, only: Option<&JobId>) {
    let manifest = &loaded.manifest;
    let roots = manifest.host.roots.as_ref().map(|roots| canonical_roots(roots));
    let own = own_folders(manifest);
    for (id, job) in manifest.jobs.iter().filter(|(id, _)| only.is_none_or(|only| only == *id)) {
        for (index, dir) in job.grants.dirs.iter().enumerate() {
            // What is not there is told with the call.
            let Ok(path) = dir.host.canonicalize() else { continue };
            let Some((why, fix)) = denied(&path, roots.as_deref(), &own) else { continue };
            let shown = dir.host.display();
            let message = format!("job `{id}`: the directory `{shown}` may not be granted: {why}");
            let span = manifest.job_span(id, &format!("grants.dirs[{index}].host"));
            loaded.diagnostics.push(Diagnostic::error("manifest.denied", span, message).fix(fix));
        }
    }
}

/// Roots with their links resolved. One that is not there allows nothing.
fn canonical_roots(roots: &[Root]) -> Vec<PathBuf> {
    roots.iter().filter_map(|root| root.path.canonicalize().ok()).collect()
}

/// The folders in which the host keeps its own things.
fn own_folders(manifest: &Manifest) -> Vec<PathBuf> {
    let file = |store: &StoreUrl| match store {
        StoreUrl::Sqlite(path) => {
            path.parent().map(|folder| if folder == Path::new("") { Path::new(".") } else { folder }.to_owned())
        }
        StoreUrl::Memory => None,
    };
    let ledgers = manifest.stores.values().filter_map(file);
    ledgers
        .chain(settings::state_directory())
        .chain(settings::cache_directory())
        .filter_map(|folder| folder.canonicalize().ok())
        .collect()
}

/// Why a directory may not be granted, and what to do about it.
fn denied(path: &Path, roots: Option<&[PathBuf]>, own: &[PathBuf]) -> Option<(String, String)> {
    let covering: Vec<&PathBuf> = roots.unwrap_or_default().iter().filter(|root| path.starts_with(root)).collect();
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
    let is_named = covering.iter().any(|root| *root == path);
    let own = own.iter().find(|folder| folder.starts_with(path)).filter(|_| !is_named)?;
    let why = format!("the host keeps its own state in it (`{}`)", own.display());
    Some((why, "grant a directory of the job's own, or keep the state elsewhere (`stores`)".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(path: &str, roots: Option<&[&str]>, own: &[&str]) -> String {
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
        let found = denied(Path::new(path), roots.map(paths).as_deref(), &paths(own));
        found.map_or_else(|| "granted".to_owned(), |(why, _)| why)
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
}
