//! The executor port on the sandbox: finds the call of a run's job, and runs it.

use std::{
    collections::{BTreeMap, HashMap},
    future::ready,
    sync::{Arc, PoisonError, RwLock},
};

use clockjack_schedule::{
    id::JobId,
    outcome::{Outcome, OutcomeCode},
    ports::{Admission, Attempt, Executor, PortFuture, Report},
    stop::Stop,
};

use crate::{
    admission::MemoryBudget,
    attempt::Facts,
    call::Call,
    engine::Sandbox,
    worker::{IsolatedPool, Workers},
};

/// What runs when a job runs.
struct Prepared {
    call: Call,
    zone: Arc<str>,
    labels: Arc<BTreeMap<String, String>>,
    /// The pool that it is in, where its attempts have processes of their own.
    isolated: Option<IsolatedPool>,
}

/// Runs attempts in a sandbox. Clones share their jobs.
#[derive(Clone)]
pub struct SandboxExecutor {
    sandbox: Sandbox,
    jobs: Arc<RwLock<HashMap<JobId, Arc<Prepared>>>>,
    workers: Option<Workers>,
    /// Without it, memory is not shared out.
    memory: Option<MemoryBudget>,
}

impl SandboxExecutor {
    /// An executor without jobs.
    #[must_use]
    pub fn new(sandbox: Sandbox) -> Self {
        Self { sandbox, jobs: Arc::default(), workers: None, memory: None }
    }

    /// The same executor with worker processes, for the jobs of isolated pools.
    #[must_use]
    pub fn with_workers(self, workers: Workers) -> Self {
        Self { workers: Some(workers), ..self }
    }

    /// The same executor with this much memory for all attempts together, by their limits.
    #[must_use]
    pub fn with_memory(self, bytes: u64) -> Self {
        Self { memory: Some(MemoryBudget::new(bytes)), ..self }
    }

    /// Says what a job runs from now on. Attempts that go on finish with what they began.
    pub fn put(&self, job: JobId, call: Call, zone: Arc<str>, labels: BTreeMap<String, String>) {
        self.put_in(None, job, call, zone, labels);
    }

    /// The same for a job of an isolated pool.
    pub fn put_in(
        &self,
        isolated: Option<IsolatedPool>,
        job: JobId,
        call: Call,
        zone: Arc<str>,
        labels: BTreeMap<String, String>,
    ) {
        let prepared = Prepared { call, zone, labels: Arc::new(labels), isolated };
        self.jobs.write().unwrap_or_else(PoisonError::into_inner).insert(job, Arc::new(prepared));
    }

    /// Forgets the jobs that are not wanted any more. Attempts that go on finish with what they began.
    pub fn retain(&self, is_wanted: impl Fn(&JobId) -> bool) {
        self.jobs.write().unwrap_or_else(PoisonError::into_inner).retain(|job, _| is_wanted(job));
    }

    /// What the share of an attempt is. A job that is not there runs nothing.
    fn memory_of(&self, job: &JobId) -> u64 {
        self.prepared(job).map_or(0, |prepared| prepared.call.limits.memory_bytes_max)
    }

    fn prepared(&self, job: &JobId) -> Option<Arc<Prepared>> {
        self.jobs.read().unwrap_or_else(PoisonError::into_inner).get(job).cloned()
    }
}

impl Executor for SandboxExecutor {
    fn admit(&self, job: &JobId, stop: &Stop) -> PortFuture<'static, Option<Admission>> {
        let Some(memory) = self.memory.clone() else {
            return Box::pin(ready(Some(Admission::default())));
        };
        let (executor, job, stop) = (self.clone(), job.clone(), stop.clone());
        Box::pin(async move {
            loop {
                let bytes = executor.memory_of(&job);
                let share = memory.share(bytes, &stop).await?;
                // Where the job was given more while it waited, it asks again: it runs as what it is then.
                if executor.memory_of(&job) <= bytes {
                    return Some(Admission::holding(share));
                }
            }
        })
    }

    fn execute(&self, attempt: Attempt) -> PortFuture<'static, Report> {
        let Some(prepared) = self.prepared(&attempt.run.job) else {
            let message = format!("no plugin is loaded for the job `{}`", attempt.run.job);
            return Box::pin(ready(Report::without_guest(Outcome::ended(OutcomeCode::Failed, message))));
        };
        let (sandbox, workers) = (self.sandbox.clone(), self.workers.clone());
        Box::pin(async move {
            let facts = Facts { attempt, zone: Arc::clone(&prepared.zone), labels: Arc::clone(&prepared.labels) };
            match (&prepared.isolated, workers) {
                (None, _) => sandbox.run(&prepared.call, facts).await,
                (Some(pool), Some(workers)) => workers.run(&sandbox, pool, &prepared.call, facts).await,
                // Never in the host's own process: its job asks for more.
                (Some(pool), None) => {
                    let message =
                        format!("the pool `{}` has `isolation: process`, and this host starts none", pool.name);
                    sandbox.report(&prepared.call, Outcome::ended(OutcomeCode::Failed, message))
                }
            }
        })
    }
}
