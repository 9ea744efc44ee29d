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

use crate::{admission::MemoryBudget, attempt::Facts, call::Call, engine::Sandbox};

/// What runs when a job runs.
struct Prepared {
    call: Call,
    zone: Arc<str>,
    labels: Arc<BTreeMap<String, String>>,
}

/// Runs attempts in a sandbox. Clones share their jobs.
#[derive(Clone)]
pub struct SandboxExecutor {
    sandbox: Sandbox,
    jobs: Arc<RwLock<HashMap<JobId, Arc<Prepared>>>>,
    /// Without it, memory is not shared out.
    memory: Option<MemoryBudget>,
}

impl SandboxExecutor {
    /// An executor without jobs.
    #[must_use]
    pub fn new(sandbox: Sandbox) -> Self {
        Self { sandbox, jobs: Arc::default(), memory: None }
    }

    /// The same executor with this much memory for all attempts together, by their limits.
    #[must_use]
    pub fn with_memory(self, bytes: u64) -> Self {
        Self { memory: Some(MemoryBudget::new(bytes)), ..self }
    }

    /// Says what a job runs from now on. Attempts that go on finish with what they began.
    pub fn put(&self, job: JobId, call: Call, zone: Arc<str>, labels: BTreeMap<String, String>) {
        let prepared = Prepared { call, zone, labels: Arc::new(labels) };
        self.jobs.write().unwrap_or_else(PoisonError::into_inner).insert(job, Arc::new(prepared));
    }

    /// Forgets the jobs that are not wanted any more. Attempts that go on finish with what they began.
    pub fn retain(&self, is_wanted: impl Fn(&JobId) -> bool) {
        self.jobs.write().unwrap_or_else(PoisonError::into_inner).retain(|job, _| is_wanted(job));
    }

    fn prepared(&self, job: &JobId) -> Option<Arc<Prepared>> {
        self.jobs.read().unwrap_or_else(PoisonError::into_inner).get(job).cloned()
    }
}

impl Executor for SandboxExecutor {
    fn admit(&self, job: &JobId, stop: &Stop) -> PortFuture<'static, Option<Admission>> {
        let (Some(memory), Some(prepared)) = (self.memory.clone(), self.prepared(job)) else {
            return Box::pin(ready(Some(Admission::default())));
        };
        let (bytes, stop) = (prepared.call.limits.memory_bytes_max, stop.clone());
        Box::pin(async move { memory.share(bytes, &stop).await.map(Admission::holding) })
    }

    fn execute(&self, attempt: Attempt) -> PortFuture<'static, Report> {
        let Some(prepared) = self.prepared(&attempt.run.job) else {
            let message = format!("no plugin is loaded for the job `{}`", attempt.run.job);
            return Box::pin(ready(Report::without_guest(Outcome::ended(OutcomeCode::Failed, message))));
        };
        let sandbox = self.sandbox.clone();
        Box::pin(async move {
            let facts = Facts { attempt, zone: Arc::clone(&prepared.zone), labels: Arc::clone(&prepared.labels) };
            sandbox.run(&prepared.call, facts).await
        })
    }
}
