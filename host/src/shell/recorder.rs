//! The recorder: finishes rows, in batches, and only then tells anybody.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use clockjack_schedule::{
    core::Input,
    id::JobId,
    outcome::OutcomeCode,
    ports::{Change, Finish, Ledger, LedgerError},
    run::{Run, Skip, SkipReason},
};
use tokio::sync::mpsc;

use super::{Bus, Event};

/// How many ended runs one commit takes at the most.
const BATCH_MAX: usize = 1_024;

/// From how many ended runs at once on the next ones are gathered.
const BUSY: usize = 8;

/// How long they are gathered: below what a person or a lateness goal notices.
const GATHER: Duration = Duration::from_millis(1);

/// How many ended runs may wait for the recorder before workers wait too.
pub(super) const ENDED_MAX: usize = 4_096;

/// A run that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) run: Arc<Run>,
    pub(super) finish: Finish,
}

/// What happened since the host started, by job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Runs by job and outcome.
    pub runs: BTreeMap<JobId, BTreeMap<OutcomeCode, u64>>,
    /// Skipped slots by job and reason.
    pub skips: BTreeMap<JobId, BTreeMap<&'static str, u64>>,
}

/// The counts, shared by those who count and those who read.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    summary: Arc<Mutex<Summary>>,
    n_finished: Arc<AtomicUsize>,
}

impl Counts {
    fn summary(&self) -> MutexGuard<'_, Summary> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read(&self) -> Summary {
        self.summary().clone()
    }

    pub(super) fn n_finished(&self) -> usize {
        self.n_finished.load(Relaxed)
    }

    pub(super) fn skipped(&self, skip: &Skip) {
        let reason: SkipReason = skip.reason;
        *self.summary().skips.entry(skip.job.clone()).or_default().entry(reason.as_str()).or_default() += skip.count;
    }

    fn finished(&self, ended: &Ended) {
        let code = ended.finish.report.outcome.code;
        let mut summary = self.summary();
        // Most runs are of a job that is known already; a clone of its id would be thrown away.
        match summary.runs.get_mut(&ended.run.job) {
            Some(outcomes) => *outcomes.entry(code).or_default() += 1,
            None => *summary.runs.entry(ended.run.job.clone()).or_default().entry(code).or_default() += 1,
        }
    }
}

/// The recorder's task.
pub(super) struct Recorder {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) bus: Bus,
    pub(super) counts: Counts,
    pub(super) ended: mpsc::Receiver<Ended>,
    pub(super) inbox: mpsc::Sender<Vec<Input>>,
}

impl Recorder {
    /// Records until every worker is gone.
    pub(super) async fn work(mut self) -> Result<(), LedgerError> {
        let mut batch = Vec::new();
        loop {
            let n_ended = self.ended.recv_many(&mut batch, BATCH_MAX).await;
            if n_ended == 0 {
                return Ok(());
            }
            self.record(std::mem::take(&mut batch)).await?;
            if BUSY <= n_ended {
                // Under load the next runs are gathered into one commit instead of waking this task for each.
                tokio::time::sleep(GATHER).await;
            }
        }
    }

    async fn record(&self, batch: Vec<Ended>) -> Result<(), LedgerError> {
        let finished: Vec<_> =
            batch.iter().map(|ended| Input::Finished { job: ended.run.job.clone(), run: ended.run.id }).collect();
        for ended in &batch {
            self.counts.finished(ended);
        }
        let mut changes = Vec::with_capacity(batch.len());
        let mut events = Vec::new();
        for Ended { run, finish } in batch {
            if self.bus.has_listeners() {
                events.push(Event::RunFinished { run, finish: Arc::new(finish.clone()) });
            }
            changes.push(Change::Finish(Box::new(finish)));
        }
        let n_changes = changes.len();
        let committed = self.ledger.commit(changes).await?;
        self.counts.n_finished.fetch_add(n_changes, Relaxed);
        if 0 < committed.n_stale {
            tracing::warn!(n_runs = committed.n_stale, "runs ended that had ended before; their results were dropped");
        }
        events.into_iter().for_each(|event| self.bus.publish(event));
        // After shutdown nobody reads the inbox any more; the rows are finished all the same.
        drop(self.inbox.send(finished).await);
        Ok(())
    }
}
