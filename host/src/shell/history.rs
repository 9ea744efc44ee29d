//! Whose history is not pruned for now, because somebody still counts on it.

use std::{collections::BTreeSet, sync::Arc};

use clockjack_schedule::id::JobId;
use tokio::sync::{Mutex, MutexGuard};

/// Who counts on the history of which jobs: few of them, and seldom others. Clones are the same set.
#[derive(Clone, Debug, Default)]
pub struct History(Arc<Mutex<Held>>);

/// Jobs, with who holds their history.
#[derive(Debug, Default)]
pub(super) struct Held(BTreeSet<(JobId, String)>);

impl History {
    /// From here on nothing of a job is pruned. Whoever holds it already, holds it.
    pub async fn hold(&self, job: &JobId, holder: &str) {
        self.0.lock().await.0.insert((job.clone(), holder.to_owned()));
    }

    /// What a job keeps counts again, unless somebody else holds its history.
    pub async fn release(&self, job: &JobId, holder: &str) {
        self.0.lock().await.0.remove(&(job.clone(), holder.to_owned()));
    }

    /// For the time of this guard nobody begins to hold.
    pub(super) async fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().await
    }
}

impl Held {
    pub(super) fn has(&self, job: &JobId) -> bool {
        self.0.iter().any(|(held, _)| held == job)
    }
}
