//! What the core remembers of one job.

use std::{collections::VecDeque, sync::Arc};

use chrono::{DateTime, Utc};

use super::{DueKey, input::Past};
use crate::{id::RunId, job::Job, run::Run, trigger::Basis};

/// One job.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) job: Arc<Job>,
    pub(super) basis: Basis,
    pub(super) paused: bool,
    /// The first slot that has not been decided; absent where the trigger has no further slot.
    pub(super) next: Option<DateTime<Utc>>,
    /// The slot under which the job stands in the list of upcoming ones.
    pub(super) listed: Option<DateTime<Utc>>,
    /// Every slot up to here has been decided.
    pub(super) decided_until: DateTime<Utc>,
    /// Where its planned runs stand among those that are due.
    pub(super) planned: VecDeque<DueKey>,
    /// Runs that have started and not ended.
    pub(super) running: Vec<RunId>,
    /// Due runs that wait for another one of the job to end.
    pub(super) waiting: VecDeque<Arc<Run>>,
}

impl Entry {
    pub(super) fn new(job: Arc<Job>, past: Option<Past>, now: DateTime<Utc>) -> Self {
        let paused = past.as_ref().map_or(job.policy.paused, |past| past.paused);
        let past = past.unwrap_or(Past { first_seen: now, decided_until: now, last_finished: None, paused });
        let basis = Basis { first_seen: past.first_seen, last_finished: past.last_finished };
        // A trigger that counts from the end of the last run is asked from there: its slots are not on a grid, and
        // what was decided ahead of time says nothing about them.
        let decided = if job.trigger.waits_for_finish() { past.last_finished } else { None };
        let next = job.trigger.next_after(decided.unwrap_or(past.decided_until), &basis);
        Self {
            job,
            basis,
            paused,
            next,
            listed: None,
            decided_until: past.decided_until,
            planned: VecDeque::new(),
            running: Vec::new(),
            waiting: VecDeque::new(),
        }
    }

    /// The first slot after an instant.
    pub(super) fn slot_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.job.trigger.next_after(after, &self.basis)
    }

    /// Whether another run of the job may go on beside those that do.
    pub(super) fn has_room(&self) -> bool {
        u32::try_from(self.running.len()).is_ok_and(|n_running| n_running < self.job.policy.max_instances.get())
    }
}
