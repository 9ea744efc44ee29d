//! The jobs that are in force, for whoever reads. The trigger loop writes here when the set of jobs changes and at no other
//! time, so that no read makes a slot late.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
    sync::{Arc, PoisonError, RwLock},
};

use clockjack_schedule::{id::JobId, job::Job};

/// The jobs that are in force, by id. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub struct InForce {
    jobs: Arc<RwLock<BTreeMap<JobId, Arc<Job>>>>,
}

impl InForce {
    /// One of them.
    #[must_use]
    pub fn get(&self, id: &JobId) -> Option<Arc<Job>> {
        self.jobs.read().unwrap_or_else(PoisonError::into_inner).get(id).map(Arc::clone)
    }

    /// At most so many of them after an id, or from the first one on.
    #[must_use]
    pub fn page(&self, beyond: Option<&JobId>, n_max: usize) -> Vec<Arc<Job>> {
        let from = beyond.map_or(Unbounded, Excluded);
        let jobs = self.jobs.read().unwrap_or_else(PoisonError::into_inner);
        jobs.range::<JobId, _>((from, Unbounded)).take(n_max).map(|(_, job)| Arc::clone(job)).collect()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.jobs.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn put(&self, job: Arc<Job>) {
        self.jobs.write().unwrap_or_else(PoisonError::into_inner).insert(job.id.clone(), job);
    }

    pub(super) fn remove(&self, id: &JobId) {
        self.jobs.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}
