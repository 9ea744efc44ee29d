//! What several stores know of jobs.

use std::collections::BTreeMap;

use clockjack_schedule::{
    id::JobId,
    ports::{JobFilter, JobStory, LedgerError},
};

use super::{Stores, bound, joined, place};

impl Stores {
    pub(super) async fn jobs_of_all(&self, filter: JobFilter) -> Result<Vec<JobStory>, LedgerError> {
        let mut jobs: BTreeMap<JobId, JobStory> = BTreeMap::new();
        for (index, ledger) in self.ledgers.iter().enumerate() {
            for story in ledger.jobs(filter.clone()).await? {
                let job = story.row.state.job.clone();
                let is_home = self.homes().of(&job) == index;
                let merged = match jobs.remove(&job) {
                    Some(other) if is_home => merged(story, other),
                    Some(other) => merged(other, story),
                    None => story,
                };
                jobs.insert(job, merged);
            }
        }
        // Each store gave its first ones, so that the first ones of all are among them.
        Ok(jobs.into_values().take(bound(filter.n_max)).collect())
    }
}

/// A job of which two stores know.
fn merged(home: JobStory, other: JobStory) -> JobStory {
    let last = home.last.into_iter().chain(other.last).max_by(|a, b| place(a).cmp(&place(b)));
    JobStory { row: joined(home.row, other.row), last }
}
