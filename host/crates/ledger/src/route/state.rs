//! What jobs remember, where there are several stores: it is read from the job's own store, and goes with the job.

use std::sync::Arc;

use clockjack_schedule::{
    id::JobId,
    ports::{Change, Ledger, LedgerError},
    state::{Entry, Kept, StateChange, StateWrite},
};

use super::Stores;

impl Stores {
    /// The state of jobs that their own store, the one at `home`, has just heard of, from where it was kept until now.
    pub(super) async fn states_elsewhere(&self, news: &[Change], home: usize) -> Result<Vec<Change>, LedgerError> {
        let mut changes = Vec::new();
        for job in news.iter().filter_map(Change::job) {
            let mut newest = Kept::default();
            for (_, ledger) in self.ledgers.iter().enumerate().filter(|(index, _)| *index != home) {
                let kept = ledger.state(job).await?;
                newest = if newest.version < kept.version { kept } else { newest };
            }
            changes.extend(as_change(job, newest));
        }
        Ok(changes)
    }
}

/// All that a store keeps of the state of a job, as one change; none where it keeps nothing.
pub(super) async fn whole(ledger: &dyn Ledger, job: &JobId) -> Result<Option<Change>, LedgerError> {
    Ok(as_change(job, ledger.state(job).await?))
}

fn as_change(job: &JobId, kept: Kept) -> Option<Change> {
    if kept.version == 0 {
        return None;
    }
    let write = |(key, entry): (String, Entry)| StateWrite { key, version: entry.version, value: Some(entry.value) };
    let writes = kept.entries.into_iter().map(write).collect();
    let change = Arc::new(StateChange { version: kept.version, writes });
    Some(Change::State { job: job.clone(), change })
}

/// The state that comes with the end of a run, as a change of its own: the end finds its run in a former store of the
/// job, and the state belongs to the one where the job is now. There it is kept whether or not the end comes too late,
/// which that store cannot know.
pub(super) fn apart(change: &Change) -> Option<Change> {
    let Change::Finish(finish) = change else { return None };
    let change = Arc::new(StateChange::clone(finish.state.as_ref()?));
    Some(Change::State { job: finish.job.clone(), change })
}
