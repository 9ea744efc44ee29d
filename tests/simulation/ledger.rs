//! The memory ledger with a fault at any of its calls.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use clockjack_ledger::MemoryLedger;
use clockjack_schedule::{
    id::{JobId, RunId},
    ports::{
        Change, Committed, Document, DocumentKind, EventBatch, EventMark, GenerationRow, JobFilter, JobStory, KeepOf,
        Ledger, LedgerError, Loaded, PortFuture, Pruned, RunFilter, RunRow, RunStory, SkipFilter,
    },
    run::Skip,
    state::Kept,
};
use tokio::{sync::Notify, time::Instant};

/// What is wrong with commits now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Trouble {
    #[default]
    None,
    /// The host dies at the n-th commit from here, before or after the ledger has kept it.
    Crash { n_left: u32, is_kept: bool },
    /// Commits are refused until then. What `is_kept` says is kept although it is refused: the answer was lost.
    Refused { until: Instant, is_kept: bool },
    /// Each commit takes so long until then.
    Slow { until: Instant, each: Duration },
}

/// The ledger of all lives.
#[derive(Default)]
pub(crate) struct SimLedger {
    inner: MemoryLedger,
    trouble: Mutex<Trouble>,
    /// Told when the host is to die.
    pub(crate) crash: Arc<Notify>,
}

enum Act {
    Keep,
    Die { is_kept: bool },
    Refuse { is_kept: bool },
    Wait(Duration),
}

impl SimLedger {
    pub(crate) fn trouble(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap() = trouble;
    }

    fn act(&self) -> Act {
        let mut trouble = self.trouble.lock().unwrap();
        match &mut *trouble {
            Trouble::None => Act::Keep,
            Trouble::Crash { n_left, is_kept } => {
                *n_left = n_left.saturating_sub(1);
                if *n_left == 0 { Act::Die { is_kept: *is_kept } } else { Act::Keep }
            }
            Trouble::Refused { until, is_kept } if Instant::now() < *until => Act::Refuse { is_kept: *is_kept },
            Trouble::Slow { until, each } if Instant::now() < *until => Act::Wait(*each),
            Trouble::Refused { .. } | Trouble::Slow { .. } => {
                *trouble = Trouble::None;
                Act::Keep
            }
        }
    }
}

impl Ledger for SimLedger {
    fn load(&self) -> PortFuture<'_, Result<Loaded, LedgerError>> {
        self.inner.load()
    }

    fn jobs(&self, filter: JobFilter) -> PortFuture<'_, Result<Vec<JobStory>, LedgerError>> {
        self.inner.jobs(filter)
    }

    fn commit(&self, changes: Vec<Change>) -> PortFuture<'_, Result<Committed, LedgerError>> {
        Box::pin(async move {
            match self.act() {
                Act::Keep => self.inner.commit(changes).await,
                Act::Die { is_kept } => {
                    if is_kept {
                        self.inner.commit(changes).await?;
                    }
                    self.crash.notify_one();
                    std::future::pending().await
                }
                Act::Refuse { is_kept } => {
                    if is_kept {
                        self.inner.commit(changes).await?;
                    }
                    Err(LedgerError::Unavailable("the disk is full".to_owned()))
                }
                Act::Wait(time) => {
                    tokio::time::sleep(time).await;
                    self.inner.commit(changes).await
                }
            }
        })
    }

    fn runs(&self, filter: RunFilter) -> PortFuture<'_, Result<Vec<RunRow>, LedgerError>> {
        self.inner.runs(filter)
    }

    fn run(&self, id: RunId) -> PortFuture<'_, Result<Option<RunStory>, LedgerError>> {
        self.inner.run(id)
    }

    fn generations(&self) -> PortFuture<'_, Result<Vec<GenerationRow>, LedgerError>> {
        self.inner.generations()
    }

    fn documents(&self, kind: DocumentKind) -> PortFuture<'_, Result<Vec<Document>, LedgerError>> {
        self.inner.documents(kind)
    }

    fn events(&self, after: u64, n_max: usize) -> PortFuture<'_, Result<Vec<EventBatch>, LedgerError>> {
        self.inner.events(after, n_max)
    }

    fn event_marks(&self) -> PortFuture<'_, Result<Vec<EventMark>, LedgerError>> {
        self.inner.event_marks()
    }

    fn state(&self, job: &JobId) -> PortFuture<'_, Result<Kept, LedgerError>> {
        self.inner.state(job)
    }

    fn skips(&self, filter: SkipFilter) -> PortFuture<'_, Result<Vec<Skip>, LedgerError>> {
        self.inner.skips(filter)
    }

    fn prune(&self, _keep: Vec<KeepOf>, _n_max: usize) -> PortFuture<'_, Result<Pruned, LedgerError>> {
        // The checker wants to see everything.
        Box::pin(std::future::ready(Ok(Pruned::default())))
    }

    fn close(&self) -> PortFuture<'_, Result<(), LedgerError>> {
        self.inner.close()
    }
}
