//! What is on disk: the ledger, the folder of compiled code, and the room for them.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use clockjack_ledger::SqliteReader;
use clockjack_schedule::{
    manifest::{
        scalar::{show_duration, show_size},
        store_url::StoreUrl,
    },
    ports::{Clock as _, Ledger as _, RunFilter},
};
use rustix::{fs::statvfs, process::geteuid};
use tokio::runtime::Builder;

use super::Check;
use crate::{
    cli::print,
    clock::SystemClock,
    load::{Loaded, stores},
    settings,
};

/// Below this a ledger may stop at any moment.
const SPACE_MIN: u64 = 64 << 20;

/// Below this somebody should look.
const SPACE_LOW: u64 = 1 << 30;

/// A commit waits for the disk once; slower disks make bursts late.
const SYNC_SLOW: Duration = Duration::from_millis(50);

/// How often the disk is asked.
const N_SYNCS: u32 = 5;

/// How many of the newest runs are read, each with its checksum.
const N_RUNS: usize = 1_000;

pub(super) fn checks(loaded: &Loaded, files: &[PathBuf]) -> Vec<Check> {
    let mut checks = match stores::places(None, &loaded.manifest.stores, files) {
        Ok(places) => of_stores(&places),
        Err(error) => vec![Check::fail("ledger", format!("{error:#}"), "name one with `stores:` or `--ledger`")],
    };
    checks.push(cache());
    checks.push(writable("temporary", &settings::temporary_directory(), "name another folder as `TMPDIR`"));
    checks
}

fn of_stores(places: &BTreeMap<clockjack_schedule::id::StoreName, StoreUrl>) -> Vec<Check> {
    let mut checks = Vec::new();
    for place in places.values() {
        match place {
            StoreUrl::Memory => {
                let fix = "write `stores: { default: \"sqlite:state.db\" }` to keep what happens";
                checks.push(Check::warn("ledger", "`memory:` keeps nothing over a restart", fix));
            }
            StoreUrl::Sqlite(path) => checks.extend(of_ledger(path)),
        }
    }
    checks
}

fn of_ledger(path: &Path) -> Vec<Check> {
    let folder = existing(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")));
    let mut checks = vec![writable("ledger.folder", &folder, "give the user of the host the right to write there")];
    checks.push(space(&folder));
    checks.push(speed(&folder));
    if path.exists() {
        checks.push(readable(path));
    } else {
        checks.push(Check::ok("ledger", format!("`{}` is not there yet; the first start makes it", path.display())));
    }
    checks
}

/// The nearest folder that is there.
fn existing(folder: &Path) -> PathBuf {
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    whole.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

/// Opens a ledger as readers do, which looks at its schema, and reads what a host reads at its start and the newest runs.
fn readable(path: &Path) -> Check {
    let shown = path.display();
    let read = async {
        let ledger = SqliteReader::open(path).await?;
        let jobs = ledger.load().await?.jobs.len();
        let runs = ledger.runs(RunFilter { n_max: N_RUNS, ..RunFilter::default() }).await?.len();
        Ok::<_, clockjack_schedule::ports::LedgerError>((jobs, runs))
    };
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return Check::fail("ledger", format!("it cannot be read: {error}"), "see what the process may have");
        }
    };
    match runtime.block_on(read) {
        Ok((jobs, runs)) => {
            Check::ok("ledger", format!("`{shown}`: {jobs} jobs, and the newest {runs} runs are whole"))
        }
        Err(error) => {
            Check::fail("ledger", format!("`{shown}`: {error}"), "the file stays as it is; keep a copy of it")
        }
    }
}

fn space(folder: &Path) -> Check {
    let shown = folder.display();
    let free = match statvfs(folder) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(error) => return Check::warn("disk.space", format!("`{shown}`: {error}"), "see whether the disk is there"),
    };
    let told = format!("{} free at `{shown}`", show_size(free / (1 << 20) * (1 << 20)));
    match free {
        _ if free < SPACE_MIN => {
            Check::fail("disk.space", told, "make room: nothing starts while the ledger cannot be written")
        }
        _ if free < SPACE_LOW => Check::warn("disk.space", told, "make room, or keep less (`keep:`)"),
        _ => Check::ok("disk.space", told),
    }
}

/// How long the disk takes to have what was written.
fn speed(folder: &Path) -> Check {
    let path = folder.join(format!(".clockjack-doctor-{}", std::process::id()));
    let measured = (|| {
        let mut file = fs::File::create_new(&path)?;
        let mut worst = Duration::ZERO;
        for _ in 0..N_SYNCS {
            let began = SystemClock.monotonic();
            file.write_all(&[0; 4_096])?;
            file.sync_data()?;
            worst = worst.max(SystemClock.monotonic().saturating_sub(began));
        }
        Ok::<_, std::io::Error>(worst)
    })();
    drop(fs::remove_file(&path));
    match measured {
        Ok(worst) => {
            let told = format!("a commit takes the disk {} at most", show_duration(print::rounded(worst)));
            if worst < SYNC_SLOW {
                return Check::ok("disk.sync", told);
            }
            Check::warn("disk.sync", told, "bursts of runs are late by that; put the ledger on a faster disk")
        }
        Err(error) => Check::fail("disk.sync", format!("nothing can be written: {error}"), "see the folder above"),
    }
}

/// Whether files can be made in a folder. The rights of its entries do not say that of every file system.
fn writable(name: &'static str, folder: &Path, fix: &str) -> Check {
    let path = folder.join(format!(".clockjack-doctor-{}", std::process::id()));
    let made = fs::File::create_new(&path);
    drop(fs::remove_file(&path));
    match made {
        Ok(_) => Check::ok(name, format!("`{}` can be written", folder.display())),
        Err(error) => Check::fail(name, format!("`{}` cannot be written: {error}", folder.display()), fix),
    }
}

fn cache() -> Check {
    if settings::cache_is_off() {
        return Check::warn(
            "cache",
            "compiled code is not kept (`CLOCKJACK_CACHE=off`)",
            "each start compiles it again",
        );
    }
    let Some(folder) = settings::cache_directory() else {
        let fix = "set `HOME`, `XDG_CACHE_HOME`, or a folder as `CLOCKJACK_CACHE`";
        return Check::warn("cache", "there is no folder for compiled code, so each start compiles it again", fix);
    };
    let shown = folder.display().to_string();
    let Ok(metadata) = fs::metadata(&folder) else {
        return Check::ok("cache", format!("`{shown}` is not there yet; the first start makes it"));
    };
    let is_own = metadata.uid() == geteuid().as_raw() && metadata.mode() & 0o077 == 0;
    if !metadata.is_dir() || !is_own {
        let fix = "it is not used so: make it a folder of the host's user, with mode 0700";
        return Check::warn("cache", format!("`{shown}` is open to others, or somebody else's"), fix);
    }
    writable("cache", &folder, "name another folder as `CLOCKJACK_CACHE`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Verdict;

    #[test]
    fn a_folder_is_looked_at_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/state.db");
        let checks = of_ledger(&path);
        let told = |name: &str| checks.iter().find(|check| check.name == name).unwrap();
        assert_eq!(told("ledger.folder").verdict, Verdict::Ok);
        assert!(told("ledger").told.contains("not there yet"), "{checks:?}");
        assert_ne!(told("disk.sync").verdict, Verdict::Fail);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn a_file_that_is_no_ledger_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        fs::write(&path, "shopping list").unwrap();
        let checks = of_ledger(&path);
        assert!(checks.iter().any(|check| check.name == "ledger" && check.verdict == Verdict::Fail), "{checks:?}");
    }

    #[test]
    fn a_folder_that_is_not_there_cannot_be_written() {
        let check = writable("temporary", Path::new("/nowhere/at/all"), "name another one");
        assert_eq!((check.verdict, &*check.fix), (Verdict::Fail, "name another one"));
    }
}
