//! The pure scheduling core: same inputs, same decisions.
//!
//! `handle(now, input)` takes one input and says what follows. It reads no clock and waits for nothing; the shell
//! commits what it says to the ledger before it acts, and comes back at `next_wake`.
//!
//! **Look-ahead.** A slot becomes a run up to [`HORIZON`] before it is due, so that its row is durable by then and
//! the start itself needs memory only. Edits, pauses and removals take planned runs back.
//!
//! **Lateness.** A slot more than [`LATE_AFTER`] behind is late: downtime, suspend, a stalled machine. Late slots
//! of a job are looked at together, as one backlog, under `misfire_grace` and `coalesce`.

mod backlog;
mod entry;
mod input;
mod plan;
mod start;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};

use self::entry::Entry;
pub use self::input::{Input, Past, ResumeFrom};
use crate::{
    id::{JobId, RunId},
    job::Job,
    run::{CancelReason, Cause, Decision, Run, SkipReason},
};

/// How far ahead slots become runs. Long enough to hide a slow commit, short enough that an edit takes back little.
pub const HORIZON: TimeDelta = TimeDelta::seconds(5);

/// From when on a slot counts as late. Below it, slots that come together are just a busy moment.
pub const LATE_AFTER: TimeDelta = TimeDelta::seconds(1);

/// A place in the list of jobs.
type Index = usize;

/// When a planned run is due, with a number that keeps runs of one instant in the order of their planning.
type DueKey = (DateTime<Utc>, u64);

/// The scheduling core.
#[derive(Debug, Default)]
pub struct Core {
    entries: Vec<Option<Entry>>,
    free: Vec<Index>,
    by_id: HashMap<JobId, Index>,
    /// The next unplanned slot of each active job; what is stale is told by the entry's own `next`.
    upcoming: BinaryHeap<Reverse<(DateTime<Utc>, Index)>>,
    /// Planned runs in the order in which they start.
    due: BTreeMap<DueKey, (Index, Arc<Run>)>,
    next_number: u64,
    watermark: Option<DateTime<Utc>>,
}

impl Core {
    /// Takes one input and says what follows, in the order in which it is to be carried out.
    pub fn handle(&mut self, now: DateTime<Utc>, input: Input) -> Vec<Decision> {
        let mut decisions = Vec::new();
        match input {
            Input::Add { job, past } => self.add(now, job, past, &mut decisions),
            Input::Change(job) => self.change(now, job, &mut decisions),
            Input::Remove(job) => self.remove(now, &job, &mut decisions),
            Input::Pause(job) => self.pause(now, &job, &mut decisions),
            Input::Resume { job, from } => self.resume(now, &job, from, &mut decisions),
            Input::Fire { job, request, cause } => self.fire(now, &job, request, cause, &mut decisions),
            Input::Cancel(run) => self.cancel(now, run, &mut decisions),
            Input::Finished { job, run } => self.finished(now, &job, run, &mut decisions),
            Input::Tick => self.tick(now, &mut decisions),
        }
        decisions
    }

    /// When the core wants its next tick: the next start, or the next slot that comes within half the horizon.
    #[must_use]
    pub fn next_wake(&self) -> Option<DateTime<Utc>> {
        let next_start = self.due.keys().next().map(|(due_at, _)| *due_at);
        let next_plan = self.upcoming.peek().map(|Reverse((slot, _))| *slot - HORIZON / 2);
        [next_start, next_plan].into_iter().flatten().min()
    }

    /// The instant at which the next run is due, planned already or not.
    #[must_use]
    pub fn next_due(&self) -> Option<(DateTime<Utc>, &JobId)> {
        let planned = self.due.iter().next().map(|((due_at, _), (_, run))| (*due_at, &run.job));
        let upcoming =
            self.upcoming.peek().and_then(|Reverse((slot, index))| Some((*slot, &self.entry(*index)?.job.id)));
        [planned, upcoming].into_iter().flatten().min()
    }

    /// The next slot of a job: planned already, or the next undecided one. Absent while it is paused.
    #[must_use]
    pub fn next_slot(&self, id: &JobId) -> Option<DateTime<Utc>> {
        let entry = self.entry(*self.by_id.get(id)?)?;
        let planned = entry.planned.front().and_then(|key| self.due.get(key)).map(|(_, run)| run.scheduled_for);
        planned.or(entry.next.filter(|_| !entry.paused))
    }

    /// The definition of a job.
    #[must_use]
    pub fn job(&self, id: &JobId) -> Option<&Arc<Job>> {
        self.entry(*self.by_id.get(id)?).map(|entry| &entry.job)
    }

    /// How many jobs there are.
    #[must_use]
    pub fn n_jobs(&self) -> usize {
        self.by_id.len()
    }

    /// Takes the runs that wait for another one of their job to end, because nothing will start any more.
    pub fn take_waiting(&mut self) -> Vec<Arc<Run>> {
        self.entries.iter_mut().flatten().flat_map(|entry| entry.waiting.drain(..)).collect()
    }

    fn entry(&self, index: Index) -> Option<&Entry> {
        self.entries.get(index)?.as_ref()
    }

    fn lookup(&mut self, id: &JobId) -> Option<(Index, &mut Entry)> {
        let index = *self.by_id.get(id)?;
        Some((index, self.entries.get_mut(index)?.as_mut()?))
    }

    fn add(&mut self, now: DateTime<Utc>, job: Arc<Job>, past: Option<Past>, decisions: &mut Vec<Decision>) {
        let id = job.id.clone();
        if self.by_id.contains_key(&id) {
            return self.change(now, job, decisions);
        }
        let new = past.is_none();
        let run_on_start = job.policy.run_on_start && new && !job.policy.paused;
        let entry = Entry::new(job, past, now);
        if new {
            decisions.push(Decision::Seen { job: id.clone(), at: now });
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() - 1
        });
        self.by_id.insert(id.clone(), index);
        self.entries[index] = Some(entry);
        self.await_next(index);
        if run_on_start {
            self.fire(now, &id, 0, Cause::Start, decisions);
        }
    }

    fn change(&mut self, now: DateTime<Utc>, job: Arc<Job>, decisions: &mut Vec<Decision>) {
        // Slots that are due already have happened under the old definition.
        self.tick(now, decisions);
        let Some((index, entry)) = self.lookup(&job.id) else {
            return self.add(now, job, None, decisions);
        };
        let retriggered = entry.job.trigger != job.trigger;
        if retriggered {
            self.settle_pause(index, now, decisions);
            self.give_up_passed(index, now, decisions);
            self.take_back(index, decisions);
        }
        if let Some(entry) = self.entries[index].as_mut() {
            entry.job = job;
            if retriggered {
                entry.next = entry.slot_after(now);
            }
        }
        self.await_next(index);
    }

    fn remove(&mut self, now: DateTime<Utc>, id: &JobId, decisions: &mut Vec<Decision>) {
        self.tick(now, decisions);
        let Some((index, _)) = self.lookup(id) else { return };
        self.settle_pause(index, now, decisions);
        self.give_up_passed(index, now, decisions);
        self.take_back(index, decisions);
        let Some(entry) = self.entries[index].take() else { return };
        for run in entry.waiting {
            decisions.push(Decision::Skip(run.skipped(SkipReason::Removed)));
        }
        self.by_id.remove(id);
        self.free.push(index);
    }

    fn pause(&mut self, now: DateTime<Utc>, id: &JobId, decisions: &mut Vec<Decision>) {
        // Slots that are due already have happened; they start before the pause.
        self.tick(now, decisions);
        let Some((index, entry)) = self.lookup(id) else { return };
        entry.paused = true;
        self.take_back(index, decisions);
    }

    fn resume(&mut self, now: DateTime<Utc>, id: &JobId, from: ResumeFrom, decisions: &mut Vec<Decision>) {
        let Some((index, entry)) = self.lookup(id) else { return };
        if !entry.paused {
            return;
        }
        match from {
            ResumeFrom::Now => self.settle_pause(index, now, decisions),
            ResumeFrom::Last => {}
        }
        if let Some(entry) = self.entries[index].as_mut() {
            entry.paused = false;
        }
        self.await_next(index);
        self.start_waiting(index, now, decisions);
    }

    /// Accounts for the slots of a pause up to now.
    fn settle_pause(&mut self, index: Index, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        let Some(entry) = self.entries[index].as_mut().filter(|entry| entry.paused) else { return };
        let slots = backlog::collect(entry, now, 0);
        if let Some(gap) = slots.older {
            decisions.push(Decision::Skip(gap.skip(&entry.job.id, SkipReason::Paused)));
        }
        entry.next = slots.next;
    }

    fn fire(&mut self, now: DateTime<Utc>, id: &JobId, request: u64, cause: Cause, decisions: &mut Vec<Decision>) {
        let Some((index, _)) = self.lookup(id) else { return };
        let run = Arc::new(Run {
            id: RunId::of_request(id, now, request),
            job: id.clone(),
            scheduled_for: now,
            due_at: now,
            cause,
        });
        decisions.push(Decision::Plan(Arc::clone(&run)));
        self.start_or_hold(index, run, now, decisions);
    }

    fn cancel(&mut self, now: DateTime<Utc>, run: RunId, decisions: &mut Vec<Decision>) {
        let planned =
            self.due.iter().find(|(_, (_, planned))| planned.id == run).map(|(key, (index, _))| (*key, *index));
        if let Some((key, index)) = planned {
            let taken = self.due.remove(&key).map(|(_, run)| run);
            if let Some(entry) = self.entries[index].as_mut() {
                entry.planned.retain(|planned| *planned != key);
            }
            decisions.extend(taken.map(|run| Decision::Skip(run.skipped(SkipReason::Cancelled))));
            return self.count_again(index, now);
        }
        for entry in self.entries.iter_mut().flatten() {
            if let Some(place) = entry.waiting.iter().position(|waiting| waiting.id == run) {
                let taken = entry.waiting.remove(place);
                return decisions.extend(taken.map(|run| Decision::Skip(run.skipped(SkipReason::Cancelled))));
            }
        }
        // It has started: the dispatcher ends it, and its row says cancelled.
        decisions.push(Decision::Cancel { run, reason: CancelReason::Requested });
    }

    fn finished(&mut self, now: DateTime<Utc>, id: &JobId, run: RunId, decisions: &mut Vec<Decision>) {
        let Some((index, entry)) = self.lookup(id) else { return };
        entry.running.retain(|running| *running != run);
        entry.basis.last_finished = Some(now);
        self.start_waiting(index, now, decisions);
        let is_idle = self.entry(index).is_some_and(|entry| {
            entry.job.trigger.waits_for_finish() && entry.running.is_empty() && entry.waiting.is_empty()
        });
        if is_idle {
            // Also a run that came from no slot moves the next one.
            self.take_back(index, decisions);
            self.entries[index].iter_mut().for_each(|entry| entry.next = None);
            self.count_again(index, now);
        }
    }

    fn tick(&mut self, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
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

    /// Skips the planned runs of a job whose slot has passed and which only wait for their jitter: the slot is not free
    /// for another trigger.
    fn give_up_passed(&mut self, index: Index, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        let Some(entry) = self.entries[index].as_mut() else { return };
        let has_passed = |key: &DueKey| self.due.get(key).is_some_and(|(_, run)| run.scheduled_for <= now);
        let passed: Vec<_> = entry.planned.iter().copied().filter(has_passed).collect();
        entry.planned.retain(|key| !passed.contains(key));
        for (_, run) in passed.iter().filter_map(|key| self.due.remove(key)) {
            decisions.push(Decision::Skip(run.skipped(SkipReason::Removed)));
        }
    }

    /// Takes the planned runs of a job back, so that their slots are undecided again.
    fn take_back(&mut self, index: Index, decisions: &mut Vec<Decision>) {
        let Some(entry) = self.entries[index].as_mut() else { return };
        for key in std::mem::take(&mut entry.planned) {
            if let Some((_, run)) = self.due.remove(&key) {
                entry.next = Some(entry.next.map_or(run.scheduled_for, |next| next.min(run.scheduled_for)));
                decisions.push(Decision::TakeBack(run.id));
            }
        }
    }
}
