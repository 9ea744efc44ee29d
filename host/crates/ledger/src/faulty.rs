//! A ledger that fails as it was told to: the failing double of the port, for the tests of whoever uses a ledger.
//!
//! ```
//! # use std::sync::Arc;
//! # use clockjack_ledger::{MemoryLedger, faulty::{Fault, FaultyLedger}};
//! // The third commit and the two after it find the disk full; the tenth is kept, and its answer is lost.
//! let script = [(3, Fault::Unavailable { n_commits: 3 }), (10, Fault::LostAnswer)];
//! let ledger = FaultyLedger::new(Arc::new(MemoryLedger::default()), script);
//! ```

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use clockjack_schedule::{
    id::{JobId, RunId},
    ports::{
        Change, Committed, Document, DocumentKind, EventBatch, EventMark, GenerationRow, JobFilter, JobStory, KeepOf,
        Ledger, LedgerError, Loaded, PortFuture, Pruned, RunFilter, RunRow, RunStory, SkipFilter,
    },
    run::Skip,
    state::Kept,
};

/// What happens to a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is kept, and so for this many commits in a row: a full disk.
    Unavailable {
        /// How many commits, this one included.
        n_commits: u64,
    },
    /// Nothing is kept, from now on: a failed fsync.
    Failed,
    /// The batch is kept, and yet the caller is told that nothing was: the answer got lost.
    LostAnswer,
    /// The batch is kept after this time, by the runtime's clock: a slow disk.
    Delay(Duration),
}

/// A ledger with a script of faults. Commits are counted from 1; reads never fail.
pub struct FaultyLedger {
    ledger: Arc<dyn Ledger>,
    state: Mutex<State>,
}

struct State {
    script: BTreeMap<u64, Fault>,
    n_commits: u64,
    /// Up to and including this commit nothing can be kept.
    unavailable_until: u64,
    has_failed: bool,
}

impl FaultyLedger {
    /// A ledger to whose n-th commit this happens.
    pub fn new(ledger: Arc<dyn Ledger>, script: impl IntoIterator<Item = (u64, Fault)>) -> Self {
        let script = script.into_iter().collect();
        Self { ledger, state: Mutex::new(State { script, n_commits: 0, unavailable_until: 0, has_failed: false }) }
    }

    /// How many commits there were.
    #[must_use]
    pub fn n_commits(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).n_commits
    }

    /// What happens to a commit that is not counted: what happens to all of them at this time.
    fn now(&self) -> Option<Fault> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.has_failed {
            return Some(Fault::Failed);
        }
        (state.n_commits < state.unavailable_until).then_some(Fault::Unavailable { n_commits: 1 })
    }

    /// What happens to the commit that comes now.
    fn next(&self) -> Option<Fault> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.n_commits += 1;
        let number = state.n_commits;
        let fault = state.script.remove(&number);
        match fault {
            Some(Fault::Unavailable { n_commits }) => {
                state.unavailable_until = number.saturating_add(n_commits).saturating_sub(1);
            }
            Some(Fault::Failed) => state.has_failed = true,
            Some(Fault::LostAnswer | Fault::Delay(_)) | None => {}
        }
        if state.has_failed {
            return Some(Fault::Failed);
        }
        if number <= state.unavailable_until {
            return Some(Fault::Unavailable { n_commits: 1 });
        }
        fault
    }
}

impl Ledger for FaultyLedger {
    fn load(&self) -> PortFuture<'_, Result<Loaded, LedgerError>> {
        self.ledger.load()
    }

    fn jobs(&self, filter: JobFilter) -> PortFuture<'_, Result<Vec<JobStory>, LedgerError>> {
        self.ledger.jobs(filter)
    }

    fn commit(&self, changes: Vec<Change>) -> PortFuture<'_, Result<Committed, LedgerError>> {
        let unavailable = || LedgerError::Unavailable("the script says so".to_owned());
        // Events stand beside the ring: how many batches of them there are depends on the time that passes.
        let is_counted = changes.iter().any(|change| !matches!(change, Change::Events(_) | Change::EventsGone { .. }));
        match if is_counted { self.next() } else { self.now() } {
            None => self.ledger.commit(changes),
            Some(Fault::Unavailable { .. }) => Box::pin(std::future::ready(Err(unavailable()))),
            Some(Fault::Failed) => {
                Box::pin(std::future::ready(Err(LedgerError::Failed("the script says so".to_owned()))))
            }
            Some(Fault::LostAnswer) => {
                let kept = self.ledger.commit(changes);
                Box::pin(async move {
                    kept.await?;
                    Err(unavailable())
                })
            }
            Some(Fault::Delay(delay)) => Box::pin(async move {
                tokio::time::sleep(delay).await;
                self.ledger.commit(changes).await
            }),
        }
    }

    fn runs(&self, filter: RunFilter) -> PortFuture<'_, Result<Vec<RunRow>, LedgerError>> {
        self.ledger.runs(filter)
    }

    fn run(&self, id: RunId) -> PortFuture<'_, Result<Option<RunStory>, LedgerError>> {
        self.ledger.run(id)
    }

    fn generations(&self) -> PortFuture<'_, Result<Vec<GenerationRow>, LedgerError>> {
        self.ledger.generations()
    }

    fn documents(&self, kind: DocumentKind) -> PortFuture<'_, Result<Vec<Document>, LedgerError>> {
        self.ledger.documents(kind)
    }

    fn events(&self, after: u64, n_max: usize) -> PortFuture<'_, Result<Vec<EventBatch>, LedgerError>> {
        self.ledger.events(after, n_max)
    }

    fn event_marks(&self) -> PortFuture<'_, Result<Vec<EventMark>, LedgerError>> {
        self.ledger.event_marks()
    }

    fn state(&self, job: &JobId) -> PortFuture<'_, Result<Kept, LedgerError>> {
        self.ledger.state(job)
    }

    fn skips(&self, filter: SkipFilter) -> PortFuture<'_, Result<Vec<Skip>, LedgerError>> {
        self.ledger.skips(filter)
    }

    fn prune(&self, keep: Vec<KeepOf>, n_max: usize) -> PortFuture<'_, Result<Pruned, LedgerError>> {
        self.ledger.prune(keep, n_max)
    }

    fn close(&self) -> PortFuture<'_, Result<(), LedgerError>> {
        self.ledger.close()
    }
}

#[cfg(test)]
mod tests;
