//! What is read of the memory ledger, by the orders that it keeps.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::{JobId, RunId},
    ports::{Captured, JobFilter, JobRow, JobStory, KeepOf, Loaded, OpenRun, RunFilter, RunPlace, RunRow, RunState},
    run::{JobState, Run},
};

use super::{Entry, History, Progress, State, bound};

impl State {
    /// What is kept of some jobs, oldest first.
    pub(super) fn history_of(&self, keep: &[KeepOf]) -> Vec<History> {
        let mut histories: Vec<_> = keep.iter().map(|_| History::default()).collect();
        for (keep, history) in keep.iter().zip(&mut histories) {
            let ended = self.places_of(&keep.job).filter(|(_, id)| self.runs.get(id).is_some_and(|run| !run.is_open()));
            history.runs.extend(ended);
        }
        let places: HashMap<&JobId, usize> = keep.iter().enumerate().map(|(place, keep)| (&keep.job, place)).collect();
        for key in self.skips.keys() {
            if let Some(place) = places.get(&key.1) {
                histories[*place].skips.push(key.clone());
            }
        }
        histories
    }

    /// The runs of a job, oldest slot first.
    fn places_of(&self, job: &JobId) -> impl DoubleEndedIterator<Item = (DateTime<Utc>, RunId)> {
        self.by_job.get(job).into_iter().flatten().copied()
    }

    pub(super) fn load(&self) -> Loaded {
        Loaded { jobs: self.jobs.values().map(|state| self.job_row(state)).collect(), watermark: self.watermark }
    }

    fn job_row(&self, state: &JobState) -> JobRow {
        let open = self.places_of(&state.job).filter_map(|(_, id)| self.runs.get(&id)?.open()).collect();
        let last = self.last.get(&state.job).copied().unwrap_or_default();
        JobRow { state: state.clone(), last_finished: last.finished, last_success: last.success, open }
    }

    pub(super) fn find_jobs(&self, filter: &JobFilter) -> Vec<JobStory> {
        let JobFilter { only, beyond, n_max } = filter;
        let story = |state: &JobState| {
            let ended = self.places_of(&state.job).rev().filter_map(|(_, id)| self.runs.get(&id));
            let last = ended.into_iter().find(|entry| !entry.is_open()).map(|entry| listed(entry.row()));
            JobStory { row: self.job_row(state), last }
        };
        let is_beyond = |id: &JobId| beyond.as_ref().is_none_or(|beyond| beyond < id);
        if let Some(only) = only {
            let only: BTreeSet<_> = only.iter().filter(|id| is_beyond(id)).collect();
            let states = only.into_iter().filter_map(|id| self.jobs.get(id));
            return states.take(bound(*n_max)).map(story).collect();
        }
        let from = beyond.as_ref().map_or(Unbounded, Excluded);
        self.jobs.range::<JobId, _>((from, Unbounded)).take(bound(*n_max)).map(|(_, state)| story(state)).collect()
    }

    pub(super) fn find_runs(&self, filter: &RunFilter) -> Vec<RunRow> {
        // A job has an order of its own; else all runs are walked through, the newest slot first.
        let ids: Box<dyn Iterator<Item = RunId>> = match &filter.job {
            Some(job) => Box::new(self.places_of(job).rev().map(|(_, id)| id)),
            None => Box::new(self.by_slot.iter().rev().map(|(_, _, id)| *id)),
        };
        ids.filter_map(|id| self.runs.get(&id))
            .skip_while(|entry| filter.until.is_some_and(|until| until <= entry.run.scheduled_for))
            .take_while(|entry| filter.since.is_none_or(|since| since <= entry.run.scheduled_for))
            .skip_while(|entry| filter.beyond.as_ref().is_some_and(|beyond| *beyond <= RunPlace::of(&entry.run)))
            .filter(|entry| filter.outcome.is_none_or(|outcome| entry.code() == Some(outcome)))
            .map(Entry::row)
            .filter(|row| filter.phase.is_none_or(|phase| row.state.phase() == phase))
            .take(bound(filter.n_max))
            .map(listed)
            .collect()
    }
}

impl Entry {
    fn open(&self) -> Option<OpenRun> {
        match self.progress {
            Progress::Open { n_attempts, claimed_at, retry_at } => {
                let (run, n_interrupted) = (Arc::clone(&self.run), self.n_interrupted);
                Some(OpenRun { run, n_attempts, n_interrupted, claimed_at, retry_at })
            }
            Progress::Ended(_) => None,
        }
    }
}

/// A row as [`Ledger::runs`] gives it: without what may be large.
fn listed(row: RunRow) -> RunRow {
    let state = match row.state {
        RunState::Open { .. } => row.state,
        RunState::Ended(finish) => {
            let mut finish = Arc::unwrap_or_clone(finish);
            finish.report.outcome.output = None;
            finish.report.stdout = Captured::default();
            finish.report.stderr = Captured::default();
            finish.report.logs = Vec::new();
            RunState::Ended(Arc::new(finish))
        }
    };
    let run = if row.run.payload.is_some() {
        Arc::new(Run { payload: None, ..Arc::unwrap_or_clone(row.run) })
    } else {
        row.run
    };
    RunRow { run, state }
}
