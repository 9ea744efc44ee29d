//! The ledger that callers see: the port over a writer and readers, and a reader alone for other processes.

use std::{num::NonZeroU32, path::Path, sync::Arc};

use clockjack_schedule::{
    id::{JobId, RunId},
    ports::{
        Change, Committed, Document, DocumentKind, EventBatch, EventMark, GenerationRow, JobFilter, JobStory, KeepOf,
        Ledger, LedgerError, Loaded, PortFuture, Pruned, RunFilter, RunRow, RunStory, SkipFilter,
    },
    run::Skip,
    state::Kept,
};

use super::{
    connection::Connection,
    fault::Faults,
    open::check_reader,
    owner::{Lock, Owner, resolve},
    reads::Reads,
    writer::{Doomed, Writer},
};

/// How a file is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Who opens it: shown to whoever finds it taken.
    pub owner: Owner,
    /// Largest size of the file in pages of 2 KiB; absent for no bound. A batch that would pass it is `Unavailable`.
    pub pages_max: Option<NonZeroU32>,
}

/// A ledger in an SQLite file. `Ok` of a commit means that the disk has it.
///
/// Dropping it closes the file and lets go of its lock, and waits for both; [`Ledger::close`] does the same without
/// blocking the thread, and leaves one file behind.
pub struct SqliteLedger {
    // The readers are dropped first: the last connection that closes tidies up, and that is to be the writer's.
    reads: Reads,
    writer: Writer,
}

impl SqliteLedger {
    /// Opens the file at a path, and makes it and its directory if there is none. An older schema is brought up to
    /// date.
    ///
    /// # Errors
    /// `Refused` if another process has it, if it is no ledger, or if a newer build made it; `Damaged` if it has lost
    /// something; `Unavailable` or `Failed` if the disk does not do its work. Each says which file and what to do.
    pub async fn open(path: &Path, options: SqliteOptions) -> Result<Self, LedgerError> {
        let path = resolve(path)?;
        super::owner::check_kind(&path)?;
        let lock = Lock::take(&path, &options.owner)?;
        lock.check_emptied(&path)?;
        let faults = Arc::new(Faults::new(&path));
        let writer = Writer::start(Arc::clone(&faults), lock, options.pages_max).await?;
        let ledger = Self { reads: Reads::new(faults), writer };
        // What cannot be read must not be built upon.
        ledger.reads.load().await?;
        Ok(ledger)
    }

    /// Bounds the size of the file to so many pages of 2 KiB from now on; never below what it has already.
    ///
    /// # Errors
    /// If the database does not take it.
    pub async fn limit_pages(&self, pages_max: NonZeroU32) -> Result<(), LedgerError> {
        self.writer.limit_pages(pages_max).await
    }

    async fn prune_all(&self, keep: Vec<KeepOf>, n_max: usize) -> Result<Pruned, LedgerError> {
        let mut pruned = Pruned::default();
        let mut all = Doomed::default();
        for keep in keep {
            // One more than may go tells whether there is more.
            let n_left = n_max - pruned.n_runs - pruned.n_skips;
            let Doomed { mut runs, mut skips } = self.reads.doomed(&keep, n_left.saturating_add(1)).await?;
            if n_left < runs.len() + skips.len() / SKIP_KEY_COLUMNS {
                pruned.has_more = true;
                runs.truncate(n_left);
                skips.truncate(SKIP_KEY_COLUMNS * (n_left - runs.len()));
            }
            pruned.n_runs += runs.len();
            pruned.n_skips += skips.len() / SKIP_KEY_COLUMNS;
            all.runs.append(&mut runs);
            all.skips.append(&mut skips);
            if pruned.has_more {
                break;
            }
        }
        if !all.runs.is_empty() || !all.skips.is_empty() {
            self.writer.forget(all).await?;
        }
        Ok(pruned)
    }
}

/// How many columns the key of a skip has.
const SKIP_KEY_COLUMNS: usize = 5;

impl Ledger for SqliteLedger {
    fn load(&self) -> PortFuture<'_, Result<Loaded, LedgerError>> {
        Box::pin(self.reads.load())
    }

    fn jobs(&self, filter: JobFilter) -> PortFuture<'_, Result<Vec<JobStory>, LedgerError>> {
        Box::pin(async move { self.reads.jobs(&filter).await })
    }

    fn commit(&self, changes: Vec<Change>) -> PortFuture<'_, Result<Committed, LedgerError>> {
        Box::pin(self.writer.commit(changes))
    }

    fn runs(&self, filter: RunFilter) -> PortFuture<'_, Result<Vec<RunRow>, LedgerError>> {
        Box::pin(async move { self.reads.runs(&filter).await })
    }

    fn run(&self, id: RunId) -> PortFuture<'_, Result<Option<RunStory>, LedgerError>> {
        Box::pin(self.reads.run(id))
    }

    fn generations(&self) -> PortFuture<'_, Result<Vec<GenerationRow>, LedgerError>> {
        Box::pin(self.reads.generations())
    }

    fn documents(&self, kind: DocumentKind) -> PortFuture<'_, Result<Vec<Document>, LedgerError>> {
        Box::pin(self.reads.documents(kind))
    }

    fn events(&self, after: u64, n_max: usize) -> PortFuture<'_, Result<Vec<EventBatch>, LedgerError>> {
        Box::pin(self.reads.events(after, n_max))
    }

    fn event_marks(&self) -> PortFuture<'_, Result<Vec<EventMark>, LedgerError>> {
        Box::pin(self.reads.event_marks())
    }

    fn state(&self, job: &JobId) -> PortFuture<'_, Result<Kept, LedgerError>> {
        let job = job.clone();
        Box::pin(async move { self.reads.state(&job).await })
    }

    fn skips(&self, filter: SkipFilter) -> PortFuture<'_, Result<Vec<Skip>, LedgerError>> {
        Box::pin(async move { self.reads.skips(&filter).await })
    }

    fn prune(&self, keep: Vec<KeepOf>, n_max: usize) -> PortFuture<'_, Result<Pruned, LedgerError>> {
        Box::pin(self.prune_all(keep, n_max))
    }

    fn close(&self) -> PortFuture<'_, Result<(), LedgerError>> {
        Box::pin(async {
            self.reads.close().await;
            self.writer.close().await
        })
    }
}

/// Reads a ledger that another process may have open, or had when it died. It takes no lock and writes nothing.
pub struct SqliteReader {
    reads: Reads,
}

impl SqliteReader {
    /// Opens a file that is there.
    ///
    /// # Errors
    /// `Refused` if there is none, if it is no ledger, or if its schema is not the one of this build; `Damaged` if it
    /// makes no sense; `Unavailable` or `Failed` if the disk does not do its work.
    pub async fn open(path: &Path) -> Result<Self, LedgerError> {
        let shown = path.display();
        let path = match std::fs::canonicalize(path) {
            Ok(path) => path,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(LedgerError::Refused(format!("no ledger at `{shown}`; has a host run with it?")));
            }
            Err(error) => return Err(LedgerError::Refused(format!("no ledger can be read at `{shown}`: {error}"))),
        };
        super::owner::check_kind(&path)?;
        let faults = Arc::new(Faults::new(&path));
        let opened = Connection::open_to_read(&path).await;
        let mut connection = opened.map_err(|fault| faults.told(&fault))?;
        check_reader(&mut connection, &faults).await?;
        connection.close().await.map_err(|fault| faults.told(&fault))?;
        Ok(Self { reads: Reads::new(faults) })
    }
}

impl Ledger for SqliteReader {
    fn load(&self) -> PortFuture<'_, Result<Loaded, LedgerError>> {
        Box::pin(self.reads.load())
    }

    fn jobs(&self, filter: JobFilter) -> PortFuture<'_, Result<Vec<JobStory>, LedgerError>> {
        Box::pin(async move { self.reads.jobs(&filter).await })
    }

    fn commit(&self, _changes: Vec<Change>) -> PortFuture<'_, Result<Committed, LedgerError>> {
        Box::pin(std::future::ready(Err(only_read())))
    }

    fn runs(&self, filter: RunFilter) -> PortFuture<'_, Result<Vec<RunRow>, LedgerError>> {
        Box::pin(async move { self.reads.runs(&filter).await })
    }

    fn run(&self, id: RunId) -> PortFuture<'_, Result<Option<RunStory>, LedgerError>> {
        Box::pin(self.reads.run(id))
    }

    fn generations(&self) -> PortFuture<'_, Result<Vec<GenerationRow>, LedgerError>> {
        Box::pin(self.reads.generations())
    }

    fn documents(&self, kind: DocumentKind) -> PortFuture<'_, Result<Vec<Document>, LedgerError>> {
        Box::pin(self.reads.documents(kind))
    }

    fn events(&self, after: u64, n_max: usize) -> PortFuture<'_, Result<Vec<EventBatch>, LedgerError>> {
        Box::pin(self.reads.events(after, n_max))
    }

    fn event_marks(&self) -> PortFuture<'_, Result<Vec<EventMark>, LedgerError>> {
        Box::pin(self.reads.event_marks())
    }

    fn state(&self, job: &JobId) -> PortFuture<'_, Result<Kept, LedgerError>> {
        let job = job.clone();
        Box::pin(async move { self.reads.state(&job).await })
    }

    fn skips(&self, filter: SkipFilter) -> PortFuture<'_, Result<Vec<Skip>, LedgerError>> {
        Box::pin(async move { self.reads.skips(&filter).await })
    }

    fn prune(&self, _keep: Vec<KeepOf>, _n_max: usize) -> PortFuture<'_, Result<Pruned, LedgerError>> {
        Box::pin(std::future::ready(Err(only_read())))
    }

    fn close(&self) -> PortFuture<'_, Result<(), LedgerError>> {
        Box::pin(async {
            self.reads.close().await;
            Ok(())
        })
    }
}

fn only_read() -> LedgerError {
    LedgerError::Refused("this ledger was opened for reading only".to_owned())
}
