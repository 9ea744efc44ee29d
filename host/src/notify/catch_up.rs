//! What no event told: runs that ended and slots that were skipped while nobody listened, read from the ledger.

use std::sync::Arc;

use clockjack_schedule::{
    job::Job,
    ports::{Finish, Ledger, LedgerError, RunFilter, RunState, SkipFilter},
    run::{Run, Skip},
};

use super::notes::Note;

/// How many of the newest runs and skips of a job are looked at. Who was away for longer learns of these.
const ROWS_MAX: usize = 1_000;

/// What happened to a job that its note does not know of, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Missed {
    pub(super) ends: Vec<(Arc<Run>, Arc<Finish>)>,
    pub(super) skips: Vec<Skip>,
}

/// Reads what happened since a note was written.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) async fn since(ledger: &dyn Ledger, job: &Job, note: &Note) -> Result<Missed, LedgerError> {
    let filter = RunFilter { job: Some(job.id.clone()), n_max: ROWS_MAX, ..RunFilter::default() };
    let mut ends = Vec::new();
    for row in ledger.runs(filter).await? {
        let RunState::Ended(finish) = row.state else { continue };
        if note.seen < finish.finished_at && !note.read.contains(&finish.run) {
            ends.push((row.run, finish));
        }
    }
    ends.sort_by_key(|(_, finish)| finish.finished_at);
    let filter = SkipFilter { job: Some(job.id.clone()), n_max: ROWS_MAX, ..SkipFilter::default() };
    let mut skips = ledger.skips(filter).await?;
    skips.retain(|skip| note.skips_seen < skip.at);
    skips.sort_by_key(|skip| skip.at);
    Ok(Missed { ends, skips })
}
