//! The executor port on the sandbox: finds the call of a run's job, and runs it.

use std::{
    collections::HashMap,
    future::ready,
    sync::{Arc, PoisonError, RwLock},
};

use clockjack_schedule::{
    id::JobId,
    outcome::{Outcome, OutcomeCode},
    ports::{Admission, ArgsMisfit, Attempt, CodePin, Executor, PortFuture, Report},
    stop::Stop,
};
use serde_json::Value as Json;

use crate::{admission::MemoryBudget, attempt::Facts, engine::Sandbox, prepared::Prepared, worker::Workers};

/// Runs attempts in a sandbox. Clones share their jobs.
#[derive(Clone)]
pub struct SandboxExecutor {
    sandbox: Sandbox,
    jobs: Arc<RwLock<HashMap<JobId, Arc<Prepared>>>>,
    workers: Option<Workers>,
    /// Without it, memory is not shared out.
    memory: Option<MemoryBudget>,
    is_traced: bool,
}

impl SandboxExecutor {
    /// An executor without jobs.
    #[must_use]
    pub fn new(sandbox: Sandbox) -> Self {
        Self { sandbox, jobs: Arc::default(), workers: None, memory: None, is_traced: false }
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

    /// The same executor, whose attempts are told what to pass on as `traceparent`.
    #[must_use]
    pub fn with_traces(self, is_traced: bool) -> Self {
        Self { is_traced, ..self }
    }

    /// Says what jobs run from now on, all of them at one moment. Attempts that go on finish with what they began.
    pub fn put_all(&self, prepared: Vec<Prepared>) {
        let prepared: Vec<_> = prepared.into_iter().map(|it| (it.job.id.clone(), Arc::new(it))).collect();
        let mut jobs = self.jobs.write().unwrap_or_else(PoisonError::into_inner);
        let replaced: Vec<_> = prepared.into_iter().filter_map(|(job, it)| jobs.insert(job, it)).collect();
        // Freeing code takes its time, in which no attempt should have to wait.
        drop(jobs);
        drop(replaced);
    }

    /// Forgets the jobs that are not wanted any more. Attempts that go on finish with what they began.
    pub fn retain(&self, is_wanted: impl Fn(&JobId) -> bool) {
        let mut jobs = self.jobs.write().unwrap_or_else(PoisonError::into_inner);
        let forgotten: Vec<_> = jobs.extract_if(|job, _| !is_wanted(job)).collect();
        drop(jobs);
        drop(forgotten);
    }

    /// What a job runs.
    #[must_use]
    pub fn prepared(&self, job: &JobId) -> Option<Arc<Prepared>> {
        self.jobs.read().unwrap_or_else(PoisonError::into_inner).get(job).cloned()
    }

    /// What the share of an attempt is. A job that is not there runs nothing.
    fn memory_of(&self, job: &JobId) -> u64 {
        self.prepared(job).map_or(0, |prepared| prepared.call.limits.memory_bytes_max)
    }

    /// What an attempt runs: what is in force. The attempt is told while nothing else can be put in force, so that
    /// whoever puts other code in force and then looks sees what each attempt has chosen before.
    fn chosen(&self, attempt: &Attempt) -> Option<Arc<Prepared>> {
        let jobs = self.jobs.read().unwrap_or_else(PoisonError::into_inner);
        let prepared = jobs.get(&attempt.run.job)?;
        told(attempt, prepared);
        Some(Arc::clone(prepared))
    }

    /// What the attempt before this one ran, with what is in force, where this one is to run the same and the two differ.
    fn earlier(&self, attempt: &mut Attempt) -> Option<(Arc<Prepared>, Arc<Prepared>)> {
        let earlier = attempt.code.take()?.code::<Prepared>()?;
        let current = self.prepared(&attempt.run.job)?;
        let is_other = current.job.plugin == earlier.job.plugin && current.digest() != earlier.digest();
        is_other.then_some((earlier, current))
    }

    /// What an attempt runs that is to run the same as the one before it: that code under the job's definition of now, so
    /// that what was taken away from the job meanwhile stays taken away. Where it does not fit, what is in force.
    async fn chosen_of(
        &self,
        earlier: Arc<Prepared>,
        current: Arc<Prepared>,
        attempt: &Attempt,
    ) -> Option<Arc<Prepared>> {
        let (wanted, latest) = (earlier.generation, current.generation);
        // Files of the arguments may be read.
        let made = tokio::task::spawn_blocking(move || current.with_code_of(&earlier)).await;
        let why = match made {
            Ok(Ok(prepared)) => {
                told(attempt, &prepared);
                return Some(Arc::new(prepared));
            }
            Ok(Err(problems)) => problems.first().map(|problem| problem.error.message.clone()).unwrap_or_default(),
            Err(error) => error.to_string(),
        };
        let (job, run) = (attempt.run.job.as_str(), attempt.run.id.to_string());
        tracing::warn!(
            job,
            run,
            "`retry_on: same` wants generation {wanted}, which does not fit the job any more: {why}; generation {latest} \
             or a later one runs"
        );
        self.chosen(attempt)
    }

    /// Runs an attempt.
    async fn run(self, prepared: Option<Arc<Prepared>>, attempt: Attempt) -> Report {
        let Some(prepared) = prepared else {
            let message = format!("no plugin is loaded for the job `{}`", attempt.run.job);
            return Report::without_guest(Outcome::ended(OutcomeCode::Failed, message));
        };
        let (zone, labels) = (Arc::clone(&prepared.zone), Arc::clone(&prepared.labels));
        let facts = Facts { attempt, zone, labels, is_traced: self.is_traced };
        let report = match (&prepared.isolated, self.workers) {
            (None, _) => self.sandbox.run(&prepared.call, facts).await,
            (Some(pool), Some(workers)) => workers.run(&self.sandbox, pool, &prepared.call, facts).await,
            // Never in the host's own process: its job asks for more.
            (Some(pool), None) => {
                let message = format!("the pool `{}` has `isolation: process`, and this host starts none", pool.name);
                self.sandbox.report(&prepared.call, Outcome::ended(OutcomeCode::Failed, message))
            }
        };
        Report { generation: prepared.generation, code: Some(CodePin::keeping(prepared)), ..report }
    }
}

/// Tells an attempt which generation it runs. An attempt chooses once.
fn told(attempt: &Attempt, prepared: &Prepared) {
    attempt.generation.get_or_init(|| prepared.generation);
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

    fn check_args(&self, job: &JobId, args: &Json) -> Result<(), ArgsMisfit> {
        let Some(prepared) = self.prepared(job) else {
            return Err(ArgsMisfit { path: "args".to_owned(), message: "no plugin is loaded for the job".to_owned() });
        };
        prepared.call.check_args(args)
    }

    fn execute(&self, mut attempt: Attempt) -> PortFuture<'static, Report> {
        let executor = self.clone();
        match self.earlier(&mut attempt) {
            None => {
                let prepared = self.chosen(&attempt);
                Box::pin(executor.run(prepared, attempt))
            }
            Some((earlier, current)) => Box::pin(async move {
                let prepared = executor.chosen_of(earlier, current, &attempt).await;
                executor.run(prepared, attempt).await
            }),
        }
    }
}
