//! What the core remembers of one job.

use std::{collections::VecDeque, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};

use super::due::DueKey;
use crate::{
    id::RunId,
    job::Job,
    ports::CodePin,
    run::{Cause, JobState, Run},
    trigger::Basis,
};

/// An attempt that is still to begin.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) run: Arc<Run>,
    /// Which attempt, counted from 1.
    pub(super) attempt: u32,
    /// How many of the attempts before it were cut by a stop of the host, or by other code for the job.
    pub(super) n_interrupted: u32,
    /// The code of the attempt before it, where it is to run the same.
    pub(super) code: Option<CodePin>,
}

impl Pending {
    pub(super) fn first(run: Arc<Run>) -> Self {
        Self { run, attempt: 1, n_interrupted: 0, code: None }
    }

    /// Whether its run came from a slot of its job's own trigger.
    pub(super) fn is_of_slot(&self) -> bool {
        match self.run.cause {
            Cause::Schedule | Cause::CatchUp(_) => true,
            Cause::Manual | Cause::Upstream(_) | Cause::Api | Cause::Start | Cause::Backfill => false,
        }
    }
}

/// One job.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) job: Arc<Job>,
    pub(super) basis: Basis,
    pub(super) paused: bool,
    /// It is paused only with the whole host.
    pub(super) paused_with_all: bool,
    /// The first slot that has not been decided; absent where the trigger has no further slot.
    pub(super) next: Option<DateTime<Utc>>,
    /// The slot under which the job stands in the list of upcoming ones.
    pub(super) listed: Option<DateTime<Utc>>,
    /// Every slot up to here has been decided.
    pub(super) decided_until: DateTime<Utc>,
    /// The slot of its last run that succeeded.
    pub(super) last_success: Option<DateTime<Utc>>,
    /// What is under way; most jobs of a large host have nothing.
    activity: Option<Box<Activity>>,
}

/// What of a job is under way.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Where its planned runs stand among those that are due.
    pub(super) planned: VecDeque<DueKey>,
    /// Where its runs stand that wait for their next attempt; they count as running.
    pub(super) retries: Vec<DueKey>,
    /// Runs that are ready or have started, and have not ended.
    pub(super) running: Vec<RunId>,
    /// Runs that make up for slots of the past, ready or started: they count for nothing.
    apart: Vec<RunId>,
    /// Due runs that wait for another one of the job to end.
    pub(super) waiting: VecDeque<Pending>,
}

impl Activity {
    fn is_empty(&self) -> bool {
        let has_none = self.planned.is_empty() && self.retries.is_empty() && self.running.is_empty();
        has_none && self.apart.is_empty() && self.waiting.is_empty()
    }

    /// Notes a run that makes up for a slot of the past.
    pub(super) fn stand_apart(&mut self, run: RunId) {
        if !self.apart.contains(&run) {
            self.apart.push(run);
        }
    }

    /// A run is under way no more.
    pub(super) fn leave(&mut self, run: RunId) {
        self.running.retain(|running| *running != run);
        self.apart.retain(|apart| *apart != run);
    }
}

impl Entry {
    pub(super) fn new(job: Arc<Job>, state: &JobState, last_finished: Option<DateTime<Utc>>) -> Self {
        let basis = Basis { first_seen: state.first_seen, last_finished };
        let (paused, paused_with_all, decided_until) = (state.paused, state.paused_with_all, state.decided_until);
        let (next, listed, last_success, activity) = (None, None, None, None);
        let mut entry =
            Self { job, basis, paused, paused_with_all, next, listed, decided_until, last_success, activity };
        // A trigger that counts from the end of the last run is asked from there: its slots are not on a grid, and
        // what was decided ahead of time says nothing about them.
        let decided = if entry.waits_for_finish() { last_finished } else { None };
        entry.next = entry.slot_after(decided.unwrap_or(decided_until));
        if entry.waits_for_finish() && entry.next.is_some_and(|next| next <= decided_until) {
            // Its slot was decided before: it is a row, or it was skipped.
            entry.next = entry.slot_after(decided_until);
        }
        entry
    }

    /// What the ledger keeps of it.
    pub(super) fn state(&self) -> JobState {
        let undecided = self.next.filter(|_| self.paused).map(|next| next - TimeDelta::microseconds(1));
        JobState {
            job: self.job.id.clone(),
            first_seen: self.basis.first_seen,
            decided_until: undecided.map_or(self.decided_until, |undecided| undecided.min(self.decided_until)),
            paused: self.paused,
            paused_with_all: self.paused_with_all,
            paused_in_manifest: self.job.policy.paused,
            trigger_hash: self.job.trigger_hash,
            removed_at: None,
        }
    }

    /// What is under way, for a change.
    pub(super) fn activity(&mut self) -> &mut Activity {
        self.activity.get_or_insert_default()
    }

    /// Frees the room of what is under way, once nothing is.
    pub(super) fn tidy(&mut self) {
        self.activity.take_if(|activity| activity.is_empty());
    }

    pub(super) fn planned(&self) -> impl Iterator<Item = DueKey> {
        self.activity.iter().flat_map(|activity| activity.planned.iter().copied())
    }

    /// How many of its runs wait for another one or for their next attempt.
    pub(super) fn n_waiting(&self) -> usize {
        self.activity.as_ref().map_or(0, |activity| activity.waiting.len() + activity.retries.len())
    }

    pub(super) fn running(&self) -> &[RunId] {
        self.activity.as_ref().map_or(&[], |activity| &activity.running)
    }

    /// All its runs that are ready or have started, those for slots of the past among them.
    pub(super) fn under_way(&self) -> impl Iterator<Item = RunId> {
        self.activity.iter().flat_map(|activity| activity.running.iter().chain(&activity.apart).copied())
    }

    /// Whether a run of the job is under way, at whatever stage but planned.
    pub(super) fn knows(&self, run: RunId) -> bool {
        self.activity.as_ref().is_some_and(|activity| {
            let is_going = activity.running.contains(&run) || activity.apart.contains(&run);
            is_going || activity.waiting.iter().any(|waiting| waiting.run.id == run)
        })
    }

    pub(super) fn is_idle(&self) -> bool {
        self.activity.as_ref().is_none_or(|activity| activity.is_empty())
    }

    pub(super) fn waits_for_finish(&self) -> bool {
        self.job.trigger.as_ref().is_some_and(crate::trigger::Trigger::waits_for_finish)
    }

    /// The first slot after an instant.
    pub(super) fn slot_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.job.trigger.as_ref()?.next_after(after, &self.basis)
    }

    /// Whether another run of the job may go on beside those that do.
    pub(super) fn has_room(&self) -> bool {
        u32::try_from(self.running().len()).is_ok_and(|n_running| n_running < self.job.policy.max_instances.get())
    }

    /// When a slot's run may start.
    pub(super) fn due_at(&self, slot: DateTime<Utc>) -> DateTime<Utc> {
        let delay = self.job.trigger.as_ref().map(|trigger| trigger.start_delay(slot, &self.basis)).unwrap_or_default();
        TimeDelta::from_std(delay).ok().and_then(|delay| slot.checked_add_signed(delay)).unwrap_or(slot)
    }

    /// How late a slot may start.
    pub(super) fn grace(&self) -> Option<TimeDelta> {
        self.job.policy.misfire_grace.and_then(|grace| TimeDelta::from_std(grace).ok())
    }

    /// Waiting counts: a run that could not start within the grace is misfired, whatever held it up.
    pub(super) fn is_misfired(&self, run: &Run, now: DateTime<Utc>) -> bool {
        !run.is_backfill() && self.grace().is_some_and(|grace| grace < now.signed_duration_since(run.due_at))
    }
}
