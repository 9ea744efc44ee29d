//! The pure scheduling core: same inputs, same decisions.
//!
//! `handle(now, input)` takes one input and says what follows. It reads no clock and waits for nothing; the shell
//! commits what it says to the ledger before it acts, and comes back at `next_wake`.
//!
//! **Look-ahead.** A slot becomes a run up to [`HORIZON`] before it is due, so that its row is durable by then and
//! only the claim is left to write when it starts. Edits, pauses and removals take planned runs back.
//!
//! **Lateness.** A slot more than [`LATE_AFTER`] behind is late: downtime, suspend, a stalled machine. Late slots
//! of a job are looked at together, as one backlog, under `misfire_grace` and `coalesce`.
//!
//! **One way.** A run is planned, becomes due, is ready (its job has room), starts (its pool has a place) and ends.
//! What a crash left comes back as an input at the stage that the ledger knows, and goes on from there.
//!
//! **One turn, one commit.** The decisions of inputs that are handled at one instant, and of the tick after them, are
//! committed together. What a state of a job promises about its slots is true only of the whole.

mod backlog;
mod due;
mod ends;
mod entry;
mod input;
mod jobs;
mod pauses;
mod plan;
mod pools;
mod recover;
mod requests;
mod start;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};

use self::{
    due::Due,
    entry::{Entry, Pending},
    pools::Pools,
};
pub use self::{
    ends::followers_of,
    input::{Ended, Input, Past, ResumeFrom},
    pools::{POOL_SIZE, PoolLoad},
};
use crate::{
    id::{JobId, PoolName},
    job::Job,
    outcome::OutcomeCode,
    run::{Decision, Follower, Run},
};

/// How far ahead slots become runs. Long enough to hide a slow commit, short enough that an edit takes back little.
pub const HORIZON: TimeDelta = TimeDelta::seconds(5);

/// From when on a slot counts as late. Below it, slots that come together are just a busy moment.
pub const LATE_AFTER: TimeDelta = TimeDelta::seconds(1);

/// A place in the list of jobs.
type Index = usize;

/// The scheduling core.
#[derive(Debug, Default)]
pub struct Core {
    entries: Vec<Option<Entry>>,
    free: Vec<Index>,
    by_id: HashMap<JobId, Index>,
    /// The next unplanned slot of each active job; what is stale is told by the entry's own `next`.
    upcoming: BinaryHeap<Reverse<(DateTime<Utc>, Index)>>,
    due: Due,
    pools: Pools,
    /// Which jobs run after a job.
    followers: HashMap<JobId, Arc<Vec<Follower>>>,
    /// Runs that are due and came from no slot here, until the next tick.
    incoming: Vec<(JobId, Pending)>,
    /// Runs that the core ended by itself, whose followers the next tick plans.
    ended: Vec<(Arc<Run>, OutcomeCode)>,
    watermark: Option<DateTime<Utc>>,
    /// The whole host is paused.
    all_paused: bool,
}

impl Core {
    /// Takes one input and says what follows, in the order in which it is to be carried out.
    pub fn handle(&mut self, now: DateTime<Utc>, input: Input) -> Vec<Decision> {
        let mut decisions = Vec::new();
        match input {
            Input::Add { job, past } => self.add(now, job, past, &mut decisions),
            Input::Change(job) => self.change(now, job, &mut decisions),
            Input::Remove(job) => self.remove(now, &job, &mut decisions),
            Input::Forget(past) => self.forget(now, *past, &mut decisions),
            Input::Pause(job) => self.pause(now, &job, &mut decisions),
            Input::Resume { job, from } => self.resume(now, &job, from, &mut decisions),
            Input::PauseAll => self.pause_all(now, &mut decisions),
            Input::ResumeAll { from } => self.resume_all(now, from, &mut decisions),
            Input::Fire { job, run, cause, payload, scheduled_for } => {
                let scheduled_for = scheduled_for.unwrap_or(now);
                let wanted = Run { id: run, job, scheduled_for, due_at: now, cause, payload };
                self.fire(wanted, now, &mut decisions);
            }
            Input::Cancel(run) => self.cancel(now, run, &mut decisions),
            Input::Ended(ended) => self.run_ended(now, ended, &mut decisions),
            Input::Again { run, n_attempts, n_interrupted, retry_at, code } => {
                let pending = Pending { run, attempt: n_attempts + 1, n_interrupted, code };
                self.attempt_ended(now, pending, retry_at, &mut decisions);
            }
            Input::Unstarted(start) => self.unstarted(*start, now, &mut decisions),
            Input::Pools(sizes) => self.pools.resize(&sizes),
            Input::Tick => self.tick(now, &mut decisions),
        }
        self.start_ready(now, &mut decisions);
        decisions
    }

    /// When the core wants its next tick: the next start, or the next slot that comes within half the horizon.
    #[must_use]
    pub fn next_wake(&self) -> Option<DateTime<Utc>> {
        let next_plan = self.upcoming.peek().map(|Reverse((slot, _))| *slot - HORIZON / 2);
        [self.due.next(), next_plan].into_iter().flatten().min()
    }

    /// The instant at which the next run is due, planned already or not.
    #[must_use]
    pub fn next_due(&self) -> Option<(DateTime<Utc>, &JobId)> {
        let upcoming =
            self.upcoming.peek().and_then(|Reverse((slot, index))| Some((*slot, &self.entry(*index)?.job.id)));
        [self.due.first(), upcoming].into_iter().flatten().min()
    }

    /// The next slot of a job: planned already, or the next undecided one. Absent while it is paused.
    #[must_use]
    pub fn next_slot(&self, id: &JobId) -> Option<DateTime<Utc>> {
        let entry = self.entry(*self.by_id.get(id)?)?;
        let planned = entry.planned().next().and_then(|key| self.due.get(key)).map(|run| run.scheduled_for);
        planned.or(entry.next.filter(|_| !entry.paused))
    }

    /// How full each pool is, by name.
    pub fn pools(&self) -> impl Iterator<Item = (&PoolName, PoolLoad)> + Clone {
        self.pools.loads()
    }

    /// The definition of a job.
    #[must_use]
    pub fn job(&self, id: &JobId) -> Option<&Arc<Job>> {
        self.entry(*self.by_id.get(id)?).map(|entry| &entry.job)
    }

    /// Since when a job is known, and whether it is paused.
    #[must_use]
    pub fn known(&self, id: &JobId) -> Option<(DateTime<Utc>, bool)> {
        self.entry(*self.by_id.get(id)?).map(|entry| (entry.basis.first_seen, entry.paused))
    }

    fn entry(&self, index: Index) -> Option<&Entry> {
        self.entries.get(index)?.as_ref()
    }

    fn entry_mut(&mut self, index: Index) -> Option<&mut Entry> {
        self.entries.get_mut(index)?.as_mut()
    }

    fn lookup(&mut self, id: &JobId) -> Option<(Index, &mut Entry)> {
        let index = *self.by_id.get(id)?;
        Some((index, self.entries.get_mut(index)?.as_mut()?))
    }

    fn tick(&mut self, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        self.plan_followers(now, decisions);
        self.enter_incoming(now, decisions);
        self.plan(now, decisions);
        self.release(now, decisions);
    }

    /// Puts the next slot of a job on the list, unless the job has none or is paused.
    fn await_next(&mut self, index: Index) {
        let Some(entry) = self.entries[index].as_mut() else { return };
        if entry.paused || entry.next == entry.listed {
            return;
        }
        entry.listed = entry.next;
        self.upcoming.extend(entry.next.map(|next| Reverse((next, index))));
    }
}
