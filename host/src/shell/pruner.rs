//! The pruner: removes history beyond what jobs keep, a little at a time. It waits for the ledger; nothing waits for it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use clockjack_schedule::{
    id::JobId,
    job::{Job, Keep},
    ports::{Clock, KeepOf, Ledger, LedgerError, Pruned},
};
use tokio_util::sync::CancellationToken;

use super::{History, in_force::InForce};

/// How long after the start the first round begins: late enough to be out of the way of what a host catches up with, and
/// early enough that one which is started again and again prunes at all.
const FIRST: Duration = Duration::from_secs(5);

/// How long after each round the next one begins.
const PAUSE: Duration = Duration::from_secs(60);

/// How long after the start, and after the last time, all jobs are looked at.
const WHOLE_FIRST: Duration = Duration::from_secs(10 * 60);
const WHOLE_PAUSE: Duration = Duration::from_secs(6 * 3_600);

/// How many jobs one call looks at.
const JOBS_MAX: usize = 200;

/// How many rows one call removes, at the most and where they are large.
const ROWS_MAX: usize = 500;
const ROWS_MIN: usize = 10;

/// From when on a call has taken long: nobody is to notice that the ledger's writer was away.
const LONG: Duration = Duration::from_millis(15);

/// How long the ledger is left alone after each call.
const BREATH: Duration = Duration::from_millis(20);

/// Whose history is pruned. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub(super) struct Jobs {
    /// Jobs of this life.
    pub(super) in_force: InForce,
    /// Jobs whose history somebody counts on.
    pub(super) history: History,
    list: Arc<Mutex<List>>,
}

#[derive(Debug, Default)]
struct List {
    /// Jobs that are in no manifest any more. Nobody says what to keep of them, so it is what jobs that say nothing keep.
    gone: BTreeSet<JobId>,
    /// Whose history has grown since the last round.
    grown: HashMap<JobId, Keep>,
}

impl Jobs {
    /// Notes that the history of jobs has grown.
    pub(super) fn grew<'j>(&self, jobs: impl Iterator<Item = (&'j JobId, Keep)>) {
        let mut list = self.list();
        for (job, keep) in jobs {
            // Most have been noted before; a clone of the id would be thrown away.
            match list.grown.get_mut(job) {
                Some(known) => *known = keep,
                None => drop(list.grown.insert(job.clone(), keep)),
            }
        }
    }

    /// Notes jobs as if their history had grown.
    fn come_again(&self, jobs: &[KeepOf]) {
        for KeepOf { job, .. } in jobs {
            let keep = self.in_force.get(job).map(|job| job.policy.keep).unwrap_or_default();
            self.list().grown.insert(job.clone(), keep);
        }
    }

    /// Takes the jobs whose history has grown.
    fn take_grown(&self, now: DateTime<Utc>) -> Vec<KeepOf> {
        let grown = std::mem::take(&mut self.list().grown);
        grown.iter().map(|(job, keep)| keep_of(job, *keep, now)).collect()
    }

    /// Notes a job.
    pub(super) fn add(&self, job: Arc<Job>) {
        self.list().gone.remove(&job.id);
        self.in_force.put(job);
    }

    /// Notes that a job is gone.
    pub(super) fn gone(&self, job: &JobId) {
        self.in_force.remove(job);
        self.list().gone.insert(job.clone());
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to keep of some that are gone, from a place in the list on.
    fn chunk_of_gone(&self, from: usize, now: DateTime<Utc>) -> Vec<KeepOf> {
        let list = self.list();
        let chosen = list.gone.iter().skip(from).take(JOBS_MAX);
        chosen.map(|job| keep_of(job, Keep::default(), now)).collect()
    }
}

fn keep_of(job: &JobId, keep: Keep, now: DateTime<Utc>) -> KeepOf {
    let since = TimeDelta::from_std(keep.age_max).ok().and_then(|age| now.checked_sub_signed(age));
    KeepOf { job: job.clone(), since: since.unwrap_or_default(), n_max: keep.n_max }
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
        let mut whole_at = self.clock.monotonic() + WHOLE_FIRST;
        loop {
            if self.sleep(pause).await {
                return;
            }
            pause = PAUSE;
            if self.small_round().await {
                return;
            }
            // What has not grown may have become too old.
            if whole_at <= self.clock.monotonic() {
                whole_at = self.clock.monotonic() + WHOLE_PAUSE;
                if self.round().await {
                    return;
                }
            }
        }
    }

    /// Goes through the jobs whose history has grown; answers whether the host stops. Jobs that do nothing cost nothing.
    async fn small_round(&self) -> bool {
        let mut n_rows = ROWS_MAX;
        for keep in self.jobs.take_grown(self.clock.now()).chunks(JOBS_MAX) {
            if self.prune(keep, &mut n_rows).await {
                return true;
            }
        }
        false
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
        let mut n_rows = ROWS_MAX;
        let mut beyond = None;
        loop {
            let jobs = self.jobs.in_force.page(beyond.as_ref(), JOBS_MAX);
            let Some(last) = jobs.last() else { break };
            beyond = Some(last.id.clone());
            let now = self.clock.now();
            let keep: Vec<_> = jobs.iter().map(|job| keep_of(&job.id, job.policy.keep, now)).collect();
            if self.prune(&keep, &mut n_rows).await {
                return true;
            }
        }
        let mut n_seen = 0;
        loop {
            let keep = self.jobs.chunk_of_gone(n_seen, self.clock.now());
            if keep.is_empty() {
                return false;
            }
            n_seen += keep.len();
            if self.prune(&keep, &mut n_rows).await {
                return true;
            }
        }
    }

    /// Prunes some jobs, but for those whose history somebody holds. Those come again with the next round.
    async fn prune_but_held(&self, keep: &[KeepOf], n_rows: usize) -> Result<Pruned, LedgerError> {
        // Until the ledger has answered, so that who holds a history from now on finds it whole.
        let held = self.jobs.history.held().await;
        let (later, keep): (Vec<_>, Vec<_>) = keep.iter().cloned().partition(|keep| held.has(&keep.job));
        self.jobs.come_again(&later);
        if keep.is_empty() { Ok(Pruned::default()) } else { self.ledger.prune(keep, n_rows).await }
    }

    /// Prunes some jobs, with fewer rows at a time where that takes long: rows may be large.
    async fn prune(&self, keep: &[KeepOf], n_rows: &mut usize) -> bool {
        loop {
            let began = self.clock.monotonic();
            let pruned = self.prune_but_held(keep, *n_rows).await;
            let took = self.clock.monotonic().saturating_sub(began);
            *n_rows = if LONG < took { *n_rows / 2 } else { 2 * *n_rows }.clamp(ROWS_MIN, ROWS_MAX);
            match pruned {
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
