//! A plugin in Rust without the SDK: the bindings come straight from the WIT files.

mod date;
mod retention;

use std::{fs, io, path::Path};

use crate::{
    clockjack::job::{
        log::{self, Level},
        run,
    },
    date::Date,
    retention::{Backup, Plan},
};

wit_bindgen::generate!({
    // The package of the host first: ours refers to it.
    path: ["../../wit", "wit/jobs.wit"],
    world: "acme:backups/jobs",
    generate_all,
});

struct Backups;

export!(Backups);

impl Guest for Backups {
    fn hello(name: String) -> String {
        log::log(Level::Info, "saying hello", &[("name".to_owned(), name.clone())]);
        format!("hello {name}, from Rust by hand")
    }

    fn thin_out(dir: String, keep: Retention, mode: Mode) -> Result<Decision, Failure> {
        let folder = Path::new(&dir);
        let (backups, unknown) = read(folder)?;
        for name in &unknown {
            say(Level::Warn, "no date in the name: left alone", name);
        }
        let Plan { keep, drop } = retention::plan(&backups, keep);
        if keep.is_empty() && !drop.is_empty() {
            return Err(Failure::Permanent("`keep` keeps nothing: all backups would go".to_owned()));
        }
        let deleted = match mode {
            Mode::Plan => 0,
            Mode::Delete(at_most) => delete(folder, &drop, at_most)?,
        };
        let facts =
            [("kept", keep.len().to_string()), ("dropped", drop.len().to_string()), ("deleted", deleted.to_string())];
        log::log(Level::Info, "decided", &facts.map(|(name, value)| (name.to_owned(), value)));
        Ok(Decision { keep, drop, deleted, unknown })
    }
}

/// The backups of a folder, and the names of the files that are none.
fn read(folder: &Path) -> Result<(Vec<Backup>, Vec<String>), Failure> {
    let (mut backups, mut unknown) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(|error| refused("cannot list", folder, &error))? {
        let entry = entry.map_err(|error| refused("cannot list", folder, &error))?;
        let metadata = entry.metadata().map_err(|error| refused("cannot look at", &entry.path(), &error))?;
        let file = entry.file_name().to_string_lossy().into_owned();
        match Date::within(&file) {
            Some(_) if metadata.len() == 0 => {
                return Err(Failure::Retry(format!("{file} is empty: is it still being written?")));
            }
            Some(date) if metadata.is_file() => backups.push(Backup { date, file }),
            _ => unknown.push(file),
        }
    }
    unknown.sort();
    Ok((backups, unknown))
}

/// Deletes the oldest files first, and stops in good order when the run is to end.
fn delete(folder: &Path, files: &[String], at_most: u32) -> Result<u32, Failure> {
    let mut deleted = 0;
    for file in files.iter().take(at_most as usize) {
        if run::cancel_requested() {
            return Err(Failure::Retry(format!("asked to stop after {deleted} of {} files", files.len())));
        }
        let path = folder.join(file);
        fs::remove_file(&path).map_err(|error| refused("cannot delete", &path, &error))?;
        say(Level::Info, "deleted", file);
        deleted += 1;
        run::progress(deleted.into(), Some(files.len() as u64), Some(file));
    }
    Ok(deleted)
}

fn say(level: Level, message: &str, file: &str) {
    log::log(level, message, &[("file".to_owned(), file.to_owned())]);
}

/// What the file system refuses it refuses again.
fn refused(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::Permanent(format!("{what} {}: {error}", path.display()))
}
