//! The workers of a host: kept warm for the next attempt of the same job, and never more than their pool has places.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroU32,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use clockjack_schedule::{
    id::{JobId, PoolName},
    outcome::{Outcome, OutcomeCode},
    ports::Report,
};
use tokio::{runtime, time::Instant};

use super::{
    process::{Lost, Wanted, Worker, requested},
    setup,
};
use crate::{
    attempt::{self, Facts},
    call::Call,
    classify,
    engine::{Allocation, Sandbox},
    guest_api::StateUse,
    scratch::Scratch,
};

/// How long a worker waits for the next attempt of its job. A worker has some megabytes; to start one takes as long as a
/// thousand small attempts.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// How often it is looked for workers that waited too long.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// After how many attempts a worker makes way for a fresh one, so that nothing piles up in it.
const ATTEMPTS_MAX: u32 = 1_000;

/// A pool whose attempts have processes of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsolatedPool {
    /// Its name.
    pub name: PoolName,
    /// How many attempts go on in it at once, and how many workers it has at the most.
    pub size: NonZeroU32,
}

/// The workers of a host. Clones are the same workers; they end with the last of them, and with the host.
#[derive(Clone, Debug)]
pub struct Workers {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    program: PathBuf,
    certificates: BTreeMap<String, String>,
    pools: Mutex<HashMap<PoolName, Places>>,
    /// Whether somebody looks for workers that waited too long.
    is_watched: AtomicBool,
    has_told: AtomicBool,
}

/// The places of one pool.
#[derive(Debug, Default)]
struct Places {
    /// The one that waits longest comes first.
    idle: Vec<Worker>,
    n_busy: usize,
}

/// A place of a pool that is taken.
struct Place<'p> {
    inner: &'p Inner,
    pool: &'p PoolName,
}

impl Place<'_> {
    /// Leaves the place, and lets its worker wait for the next attempt.
    fn leave(self, worker: Worker) {
        if let Some(places) = self.inner.pools().get_mut(self.pool) {
            places.idle.push(worker);
            // Both at once: nobody sees the worker counted twice, or not at all.
            places.n_busy -= 1;
        }
        std::mem::forget(self);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(places) = self.inner.pools().get_mut(self.pool) {
            places.n_busy -= 1;
        }
    }
}

impl Inner {
    fn pools(&self) -> MutexGuard<'_, HashMap<PoolName, Places>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place, and with it a worker that is as good as a new one, if there is any. Answers with the workers that
    /// have to end to make room, too.
    fn take<'p>(&'p self, pool: &'p IsolatedPool, job: &JobId, key: &str) -> (Place<'p>, Option<Worker>, Vec<Worker>) {
        let mut pools = self.pools();
        let places = pools.entry(pool.name.clone()).or_default();
        places.n_busy += 1;
        // What the job was before a reload is not wanted any more.
        let is_unfit = |worker: &mut Worker| !worker.is_alive() || (worker.job == *job && *worker.key != *key);
        let mut ended: Vec<_> = places.idle.extract_if(.., is_unfit).collect();
        // The one that worked last is the warmest.
        let found = places.idle.iter().rposition(|worker| *worker.key == *key).map(|at| places.idle.remove(at));
        let size = usize::try_from(pool.size.get()).unwrap_or(usize::MAX);
        let n_too_many = (places.idle.len() + places.n_busy).saturating_sub(size).min(places.idle.len());
        ended.extend(places.idle.drain(..n_too_many));
        (Place { inner: self, pool: &pool.name }, found, ended)
    }

    /// Takes out those that waited too long, or are gone.
    fn expired(&self) -> Vec<Worker> {
        let mut pools = self.pools();
        let is_over = |worker: &mut Worker| IDLE_MAX <= worker.idle_since.elapsed() || !worker.is_alive();
        pools.values_mut().flat_map(|places| places.idle.extract_if(.., is_over)).collect()
    }
}

impl Workers {
    /// Workers of a program, which is the one that the host is: its hidden command `guest-worker` calls `serve_worker`.
    /// `certificates` are the variables that name what certificates it trusts; workers have no others.
    #[must_use]
    pub fn new(program: PathBuf, certificates: BTreeMap<String, String>) -> Self {
        let (is_watched, has_told) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { inner: Arc::new(Inner { program, certificates, pools: Mutex::default(), is_watched, has_told }) }
    }

    /// Runs one attempt of a call in a worker of its job.
    pub async fn run(&self, sandbox: &Sandbox, pool: &IsolatedPool, call: &Call, facts: Facts) -> Report {
        match self.attempt(sandbox, pool, call, &facts).await {
            Ok(report) => report,
            Err(outcome) => sandbox.report(call, outcome),
        }
    }

    async fn attempt(
        &self,
        sandbox: &Sandbox,
        pool: &IsolatedPool,
        call: &Call,
        facts: &Facts,
    ) -> Result<Report, Outcome> {
        let inputs = sandbox.begin(call, facts)?;
        let (place, mut worker) = self.worker(sandbox, pool, call, facts).await?;
        let scratch = worker.scratch().map_err(|message| Outcome::ended(OutcomeCode::FsDenied, message))?;
        let folder = scratch.as_ref().map(|scratch| scratch.path().to_path_buf());
        let begin = setup::of_attempt(call, facts, &inputs, folder).map_err(host_failed)?;
        let redactor = inputs.secrets.redactor();
        let mut state = StateUse::new(call.grants.state);
        match worker.run(begin, &facts.attempt, call, &mut state).await {
            Ok(report) => {
                let code = report.outcome.code;
                let own = sandbox.report(call, report.outcome);
                let (outcome, digest) = (own.outcome, own.digest);
                let report = Report { outcome, digest, state: state.into_draft(), ..report };
                self.put_back(place, worker, code).await;
                Ok(attempt::concluded(report, redactor, scratch, call).await)
            }
            Err(lost) => {
                worker.kill().await;
                Err(match lost {
                    Lost::Died(outcome) => outcome,
                    Lost::Silent(OutcomeCode::Cancelled) => cancelled(),
                    Lost::Silent(_) => classify::timed_out(call),
                })
            }
        }
    }

    /// A worker for the call: one that waits, or a new one.
    async fn worker<'p>(
        &'p self,
        sandbox: &Sandbox,
        pool: &'p IsolatedPool,
        call: &Call,
        facts: &Facts,
    ) -> Result<(Place<'p>, Worker), Outcome> {
        let is_pooled = sandbox.allocation() == Allocation::Pooling;
        let job = &facts.attempt.run.job;
        let mut setup = setup::of_call(call, job, is_pooled, sandbox.settings().memory_bytes_max);
        if setup.reach.is_open() {
            setup.reach.certificates.clone_from(&self.inner.certificates);
        }
        let key = serde_json::to_string(&setup).map_err(|error| host_failed(error.to_string()))?;
        let (place, found, ended) = self.inner.take(pool, job, &key);
        end(ended).await;
        if let Some(worker) = found {
            return Ok((place, worker));
        }
        let code = call.plugin.code(call.metering).map_err(|error| host_failed(format!("{error:#}")))?;
        let folder: Option<Scratch> = sandbox.scratch(call)?;
        let program = self.inner.program.as_path();
        let wanted = Wanted { program, call: setup, key: key.into(), job: job.clone(), code, folder };
        let started = tokio::select! {
            biased;
            () = requested(&facts.attempt.stop) => return Err(cancelled()),
            started = Worker::start(wanted) => started,
        };
        let worker = started.map_err(host_failed)?;
        self.tell(&worker.missing);
        Ok((place, worker))
    }

    /// Keeps a worker for the next attempt, if this one ended by itself.
    async fn put_back(&self, place: Place<'_>, mut worker: Worker, code: OutcomeCode) {
        let by_itself = matches!(code, OutcomeCode::Succeeded | OutcomeCode::Failed | OutcomeCode::Skipped);
        if !by_itself || ATTEMPTS_MAX <= worker.n_attempts() {
            return worker.kill().await;
        }
        worker.idle_since = Instant::now();
        place.leave(worker);
        if !self.inner.is_watched.swap(true, Relaxed) {
            // It holds nothing but a weak reference, and ends by itself soon after the workers' last owner.
            drop(runtime::Handle::current().spawn(watch(Arc::downgrade(&self.inner))));
        }
    }

    /// Says once which parts of the wall the system does not have.
    fn tell(&self, missing: &[String]) {
        if !missing.is_empty() && !self.inner.has_told.swap(true, Relaxed) {
            let missing = missing.join("; ");
            tracing::warn!(missing, "`isolation: process` has a wall with gaps: this system lacks a part of it");
        }
    }
}

/// Ends workers that waited too long.
async fn watch(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(inner) = inner.upgrade() else { return };
        let expired = inner.expired();
        drop(inner);
        end(expired).await;
    }
}

async fn end(workers: Vec<Worker>) {
    for mut worker in workers {
        worker.kill().await;
    }
}

fn cancelled() -> Outcome {
    Outcome::ended(OutcomeCode::Cancelled, "the run was cancelled")
}

/// No worker could be had.
fn host_failed(why: String) -> Outcome {
    let message = format!(
        "no worker process could run the attempt (`isolation: process` of its pool): {why}; look at the limits of the host's \
         user for processes and memory"
    );
    Outcome::ended(OutcomeCode::Failed, message)
}
