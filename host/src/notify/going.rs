//! Runs that go on, with the definition under which they began: a job may be gone before its last run has ended, and whoever
//! heard of the start is to hear of the end.

use std::{collections::HashSet, sync::Arc};

use clockjack_schedule::{
    id::{JobId, RunId, RunMap},
    job::Job,
};

/// Runs of jobs that somebody wants to be told of.
#[derive(Debug, Default)]
pub(super) struct Going {
    by_run: RunMap<Arc<Job>>,
    /// Jobs that are gone, and of which some still go on.
    leaving: HashSet<JobId>,
}

impl Going {
    /// A run began.
    pub(super) fn began(&mut self, run: RunId, job: &Arc<Job>) {
        self.by_run.insert(run, Arc::clone(job));
    }

    /// A run has ended; its job as it was when it began.
    pub(super) fn ended(&mut self, run: RunId) -> Option<Arc<Job>> {
        self.by_run.remove(&run)
    }

    /// A job is gone. Whether nothing of it goes on.
    pub(super) fn is_gone(&mut self, job: &JobId) -> bool {
        self.leaving.insert(job.clone());
        self.is_over(job)
    }

    /// A job is there again, or for the first time.
    pub(super) fn is_there(&mut self, job: &JobId) {
        self.leaving.remove(job);
    }

    /// Whether nothing goes on any more of a job that is gone; said once.
    pub(super) fn is_over(&mut self, job: &JobId) -> bool {
        let goes_on = || self.by_run.values().any(|begun| begun.id == *job);
        self.leaving.contains(job) && !goes_on() && self.leaving.remove(job)
    }

    /// Events were lost: nobody knows what still goes on. Gives the jobs that are gone.
    pub(super) fn forget(&mut self) -> Vec<JobId> {
        self.by_run.clear();
        self.leaving.drain().collect()
    }
}
