//! What went wrong, and what that means for whoever called.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use clockjack_schedule::ports::LedgerError;

use crate::codec::Undecodable;

/// A step that failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The database said no.
    Database(sqlx::Error),
    /// The database gave what makes no sense.
    Undecodable(Undecodable),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Undecodable> for Fault {
    fn from(error: Undecodable) -> Self {
        Self::Undecodable(error)
    }
}

/// What a fault means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Unavailable,
    Failed,
    Damaged,
}

/// The faults of one file. After the first one that cannot be survived there are only faults.
#[derive(Debug)]
pub(super) struct Faults {
    path: PathBuf,
    last: OnceLock<(Meaning, String)>,
}

impl Faults {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), last: OnceLock::new() }
    }

    /// The file that is spoken of.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails if a fault before was final.
    pub(super) fn check(&self) -> Result<(), LedgerError> {
        self.last.get().map_or(Ok(()), |(meaning, message)| Err(error_of(*meaning, message.clone())))
    }

    /// What the caller is told of a fault.
    pub(super) fn told(&self, fault: &Fault) -> LedgerError {
        let path = self.path.display();
        let (meaning, message) = match fault {
            Fault::Undecodable(undecodable) => (Meaning::Damaged, way_out(&self.path, &undecodable.0)),
            Fault::Database(error) => match meaning_of(error) {
                Meaning::Damaged => (Meaning::Damaged, way_out(&self.path, &error.to_string())),
                meaning @ (Meaning::Unavailable | Meaning::Failed) => (meaning, format!("`{path}`: {error}")),
            },
        };
        match meaning {
            Meaning::Unavailable => error_of(meaning, message),
            Meaning::Failed | Meaning::Damaged => {
                let (meaning, message) = self.last.get_or_init(|| (meaning, message));
                error_of(*meaning, message.clone())
            }
        }
    }
}

/// That a file is damaged, with what to do about it.
pub(super) fn damaged(path: &Path, what: &str) -> LedgerError {
    LedgerError::Damaged(way_out(path, what))
}

fn way_out(path: &Path, what: &str) -> String {
    let path = path.display();
    format!(
        "`{path}`: {what}. Nothing was written. Stop the host, keep a copy of `{path}` and of `{path}-wal`, then restore \
         a backup, or save what is left with `sqlite3 {path} .recover`, or start with another path"
    )
}

fn error_of(meaning: Meaning, message: String) -> LedgerError {
    match meaning {
        Meaning::Unavailable => LedgerError::Unavailable(message),
        Meaning::Failed => LedgerError::Failed(message),
        Meaning::Damaged => LedgerError::Damaged(message),
    }
}

/// What an error of the driver means. <https://www.sqlite.org/rescode.html> has the numbers.
fn meaning_of(error: &sqlx::Error) -> Meaning {
    let sqlx::Error::Database(error) = error else {
        // No answer came in time: the connections for reading are busy.
        let is_busy = matches!(error, sqlx::Error::PoolTimedOut);
        return if is_busy { Meaning::Unavailable } else { Meaning::Failed };
    };
    let code: i32 = error.code().and_then(|code| code.parse().ok()).unwrap_or_default();
    meaning_of_code(code)
}

fn meaning_of_code(code: i32) -> Meaning {
    /// The lower eight bits are the kind.
    const KIND: i32 = 0xff;
    match (code & KIND, code) {
        // PERM, BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, FULL, CANTOPEN, PROTOCOL
        (3 | 5..=9 | 13..=15, _) => Meaning::Unavailable,
        // IOERR_WRITE, IOERR_NOMEM, IOERR_SHMOPEN, IOERR_SHMSIZE: nothing was kept, and nothing is unclear.
        (10, 778 | 3082 | 4618 | 4874) => Meaning::Unavailable,
        // ERROR (a table is not there), CORRUPT, MISMATCH, CONSTRAINT (a row is there that cannot be), NOTADB, FORMAT
        (1 | 11 | 19 | 20 | 24 | 26, _) => Meaning::Damaged,
        // Every other IOERR, a failed fsync above all, and what cannot happen.
        _ => Meaning::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_mean_what_the_port_promises() {
        let unavailable = [5, 261, 517, 6, 8, 264, 520, 13, 14, 270, 778, 4874];
        let failed = [10, 266, 522, 1034, 1290, 1546, 2, 21];
        let damaged = [11, 267, 523, 26, 19, 1555, 1];
        for (codes, meaning) in [
            (unavailable.as_slice(), Meaning::Unavailable),
            (failed.as_slice(), Meaning::Failed),
            (damaged.as_slice(), Meaning::Damaged),
        ] {
            for code in codes {
                assert_eq!(meaning_of_code(*code), meaning, "{code}");
            }
        }
    }
}
