//! What no event told: runs that ended and slots that were skipped while nobody listened, read from the ledger.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use clockjack_schedule::{
    id::JobId,
    job::Job,
    ports::{Finish, Ledger, LedgerError, RunFilter, RunState, SkipFilter},
    run::{Run, Skip},
};

use super::notes::Note;

/// How many of the newest runs and skips of a job are looked at. Who was away for longer learns of these.
const ROWS_MAX: usize = 1_000;

/// How often jobs are caught up with, and how many of them at once: a host that fires more than a listener can hear has
/// better things to do than to read its history.
const PAUSE: Duration = Duration::from_secs(1);
const JOBS_AT_ONCE: usize = 16;

/// Jobs of which events were lost, in the order in which they are caught up with. What is still heard of the ends of such a
/// job does not count: its history says that, too, and in order.
#[derive(Debug, Default)]
pub(super) struct Behind {
    line: VecDeque<JobId>,
    jobs: HashSet<JobId>,
    not_before: Duration,
}

impl Behind {
    /// Events of these jobs were lost.
    pub(super) fn add(&mut self, jobs: impl IntoIterator<Item = JobId>, now: Duration) {
        if self.line.is_empty() {
            self.not_before = self.not_before.max(now.saturating_add(PAUSE));
        }
        for job in jobs {
            if self.jobs.insert(job.clone()) {
                self.line.push_back(job);
            }
        }
    }

    /// Whether it is still to be caught up with.
    pub(super) fn has(&self, job: &JobId) -> bool {
        self.jobs.contains(job)
    }

    /// Takes those whose turn it is.
    pub(super) fn take_due(&mut self, now: Duration) -> Vec<JobId> {
        if self.line.is_empty() || now < self.not_before {
            return Vec::new();
        }
        self.not_before = now.saturating_add(PAUSE);
        let n_jobs = self.line.len().min(JOBS_AT_ONCE);
        let due: Vec<_> = self.line.drain(..n_jobs).collect();
        self.jobs.retain(|job| !due.contains(job));
        due
    }

    /// How long until there are some.
    pub(super) fn until_next(&self, now: Duration) -> Option<Duration> {
        (!self.line.is_empty()).then(|| self.not_before.saturating_sub(now))
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_jobs_at_a_time_are_caught_up_with_and_each_comes_to_its_turn() {
        let id = |n: usize| -> JobId { format!("job-{n:02}").parse().unwrap() };
        let all = || (0..40).map(id);
        let (mut behind, mut now) = (Behind::default(), Duration::from_secs(100));
        assert_eq!(behind.until_next(now), None);
        behind.add(all(), now);
        assert_eq!((behind.take_due(now), behind.until_next(now)), (Vec::new(), Some(PAUSE)));
        let mut caught = Vec::new();
        for _ in 0..3 {
            now += PAUSE;
            let due = behind.take_due(now);
            assert!(due.len() <= JOBS_AT_ONCE && due.iter().all(|job| !behind.has(job)));
            // However often a listener loses events: nobody waits for ever, and no pass comes sooner.
            behind.add(all(), now);
            assert_eq!(behind.take_due(now), []);
            caught.extend(due);
        }
        caught.sort();
        caught.dedup();
        assert_eq!(caught.len(), 40);
        assert!(behind.has(&id(7)), "lost anew");
    }
}
