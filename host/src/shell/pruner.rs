//! The pruner: removes history beyond what jobs keep, a little at a time. It waits for the ledger; nothing waits for it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::TimeDelta;
use clockjack_schedule::{
    job::Job,
    ports::{Clock, KeepOf, Ledger},
};
use tokio_util::sync::CancellationToken;

/// How long after the start the first round begins: late enough to be out of the way of what a host catches up with, and
/// early enough that one which is started again and again prunes at all.
const FIRST: Duration = Duration::from_secs(5);

/// How long after each round the next one begins.
const PAUSE: Duration = Duration::from_secs(60);

/// How many jobs one call looks at, and how many rows it removes at the most: a few milliseconds of the ledger's writer.
const JOBS_MAX: usize = 200;
const ROWS_MAX: usize = 500;

/// How long the ledger is left alone after each call.
const BREATH: Duration = Duration::from_millis(20);

/// All jobs that the host ever had in this life. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub(super) struct Jobs {
    jobs: Arc<Mutex<Vec<Arc<Job>>>>,
}

impl Jobs {
    /// Notes a job. Notes of definitions that nobody else holds go with the next round.
    pub(super) fn add(&self, job: Arc<Job>) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).push(job);
    }

    fn chunk(&self, from: usize) -> Vec<Arc<Job>> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.iter().skip(from).take(JOBS_MAX).cloned().collect()
    }

    fn forget_old(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).retain(|job| 1 < Arc::strong_count(job));
    }
}

/// The pruner's task.
pub(super) struct Pruner {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) jobs: Jobs,
    pub(super) stop: CancellationToken,
}

impl Pruner {
    /// Prunes until it is told to stop.
    pub(super) async fn work(self) {
        let mut pause = FIRST;
        loop {
            if self.sleep(pause).await {
                return;
            }
            pause = PAUSE;
            self.jobs.forget_old();
            if self.round().await {
                return;
            }
        }
    }

    /// Waits; answers whether the host stops.
    async fn sleep(&self, time: Duration) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => true,
            () = tokio::time::sleep(time) => false,
        }
    }

    /// Goes through all jobs once; answers whether the host stops.
    async fn round(&self) -> bool {
        let mut n_seen = 0;
        loop {
            let jobs = self.jobs.chunk(n_seen);
            if jobs.is_empty() {
                return false;
            }
            n_seen += jobs.len();
            if self.prune(&jobs).await {
                return true;
            }
        }
    }

    async fn prune(&self, jobs: &[Arc<Job>]) -> bool {
        let now = self.clock.now();
        let keep_of = |job: &Arc<Job>| {
            let keep = job.policy.keep;
            let since = TimeDelta::from_std(keep.age_max).ok().and_then(|age| now.checked_sub_signed(age));
            KeepOf { job: job.id.clone(), since: since.unwrap_or_default(), n_max: keep.n_max }
        };
        let keep: Vec<_> = jobs.iter().map(keep_of).collect();
        loop {
            match self.ledger.prune(keep.clone(), ROWS_MAX).await {
                Ok(pruned) if pruned.has_more => {}
                Ok(_) => return self.sleep(BREATH).await,
                Err(error) => {
                    // Whoever commits next tells it louder; here nothing is lost but room.
                    tracing::debug!("history could not be pruned: {error}");
                    return self.sleep(PAUSE).await;
                }
            }
            if self.sleep(BREATH).await {
                return true;
            }
        }
    }
}
