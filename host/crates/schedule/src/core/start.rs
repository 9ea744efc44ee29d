//! Due runs start: lateness, overlap, the queue of a job, the places of a pool.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{Core, Index, LATE_AFTER, due::DueKey, entry::Pending, pools::READY_MAX};
use crate::{
    id::RunId,
    job::{Coalesce, Delivery, Overlap},
    run::{CancelReason, Cause, Decision, Run, SkipReason, Start},
};

impl Core {
    /// Lets every run go on that is due.
    pub(super) fn release(&mut self, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        while let Some((key, index, pending)) = self.due.pop(now) {
            let Some(entry) = self.entries[index].as_mut() else { continue };
            if 1 < pending.attempt {
                // It never gave up its place among the runs of its job.
                entry.activity().retries.retain(|retry| *retry != key);
                self.make_ready(index, pending, now, decisions);
                continue;
            }
            entry.activity().planned.retain(|planned| *planned != key);
            let late = key.0 < now - LATE_AFTER;
            let pending = if late { self.fold(index, pending, now, decisions) } else { Some(pending) };
            if let Some(pending) = pending {
                self.start_or_hold(index, pending, now, decisions);
            }
            self.count_again(index, now);
        }
    }

    /// Folds the late runs of a job into one: planned runs whose instants passed while the machine slept.
    /// None is left where all of them are too late.
    fn fold(
        &mut self,
        index: Index,
        pending: Pending,
        now: DateTime<Utc>,
        decisions: &mut Vec<Decision>,
    ) -> Option<Pending> {
        let coalesce = self.entry(index)?.job.policy.coalesce;
        if coalesce == Coalesce::All {
            return Some(pending);
        }
        let mut group = vec![pending.run];
        group.extend(self.take_due(index, now));
        let mut group = self.drop_misfired(index, group, now, decisions);
        let last = group.len().checked_sub(1)?;
        let chosen = match coalesce {
            Coalesce::Earliest => group.remove(0),
            Coalesce::Latest | Coalesce::All => group.remove(last),
        };
        let n_slots = n_slots(&chosen) + group.iter().map(|run| n_slots(run)).sum::<u64>();
        decisions.extend(
            group
                .iter()
                .map(|folded| Decision::Skip(folded.skipped(SkipReason::Coalesced, now).because_of(Some(chosen.id)))),
        );
        Some(Pending::first(recaused(chosen, n_slots, decisions)))
    }

    /// Takes the planned runs of a job that are due, oldest first.
    pub(super) fn take_due(&mut self, index: Index, now: DateTime<Utc>) -> Vec<Arc<Run>> {
        let Some(entry) = self.entries[index].as_mut() else { return Vec::new() };
        let keys: Vec<DueKey> = entry.planned().filter(|(due_at, _)| *due_at <= now).collect();
        if keys.is_empty() {
            return Vec::new();
        }
        entry.activity().planned.retain(|key| !keys.contains(key));
        let mut runs: Vec<_> = keys.into_iter().filter_map(|key| self.due.remove(key)).map(|taken| taken.run).collect();
        runs.sort_by_key(|run| run.scheduled_for);
        runs
    }

    /// Skips the runs that are too late and leaves the others.
    pub(super) fn drop_misfired(
        &mut self,
        index: Index,
        runs: Vec<Arc<Run>>,
        now: DateTime<Utc>,
        decisions: &mut Vec<Decision>,
    ) -> Vec<Arc<Run>> {
        let Some(entry) = self.entry(index) else { return runs };
        let (misfired, left): (Vec<_>, Vec<_>) = runs.into_iter().partition(|run| entry.is_misfired(run, now));
        decisions.extend(misfired.iter().map(|run| Decision::Skip(run.skipped(SkipReason::Misfired, now))));
        left
    }

    /// Makes a due run ready, or does what the job's policy says where it may not go on now.
    pub(super) fn start_or_hold(
        &mut self,
        index: Index,
        pending: Pending,
        now: DateTime<Utc>,
        decisions: &mut Vec<Decision>,
    ) {
        let Some(entry) = self.entries[index].as_mut() else { return };
        if pending.run.is_backfill() {
            entry.activity().stand_apart(pending.run.id);
            return self.make_ready(index, pending, now, decisions);
        }
        let policy = &entry.job.policy;
        if pending.attempt == 1 && entry.is_misfired(&pending.run, now) {
            return decisions.push(Decision::Skip(pending.run.skipped(SkipReason::Misfired, now)));
        }
        if entry.has_room() || policy.overlap == Overlap::Allow {
            entry.activity().running.push(pending.run.id);
            return self.make_ready(index, pending, now, decisions);
        }
        let (overlap, max_backlog, oldest) = (policy.overlap, policy.max_backlog, entry.running().first().copied());
        let overlapping = |run: &Run| Decision::Skip(run.skipped(SkipReason::Overlapping, now).because_of(oldest));
        match overlap {
            Overlap::Skip | Overlap::Allow => decisions.push(overlapping(&pending.run)),
            Overlap::Queue => {
                let waiting = &mut entry.activity().waiting;
                if u32::try_from(waiting.len()).is_ok_and(|n| n < max_backlog.get()) {
                    waiting.push_back(pending);
                } else {
                    decisions.push(overlapping(&pending.run));
                }
            }
            Overlap::Replace => {
                // Only the newest slot waits for the place; one that waited before it is overtaken.
                decisions.extend(entry.activity().waiting.drain(..).map(|overtaken| overlapping(&overtaken.run)));
                let by = pending.run.id;
                entry.activity().waiting.push_back(pending);
                self.replace(index, by, now, decisions);
            }
        }
    }

    /// Ends the oldest run of a job in favour of the one that waits.
    fn replace(&mut self, index: Index, by: RunId, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        let Some(oldest) = self.entry(index).and_then(|entry| entry.running().first().copied()) else { return };
        if self.pools.is_going(oldest) {
            return decisions.push(Decision::Cancel { run: oldest, reason: CancelReason::Replaced });
        }
        // It waits for a place or for its next attempt.
        let Some(pending) = self.take_waiting(oldest) else { return };
        if let Some(entry) = self.entry_mut(index) {
            entry.activity().running.retain(|running| *running != oldest);
        }
        if pending.attempt == 1 {
            let skip = pending.run.skipped(SkipReason::Overlapping, now).because_of(Some(by));
            decisions.push(Decision::Skip(skip));
        } else {
            self.end_between(pending, CancelReason::Replaced.to_string(), now, decisions);
        }
        self.start_waiting(index, now, decisions);
    }

    /// Lets a run wait for a place in its pool.
    pub(super) fn make_ready(
        &mut self,
        index: Index,
        pending: Pending,
        now: DateTime<Utc>,
        decisions: &mut Vec<Decision>,
    ) {
        let Some(entry) = self.entries[index].as_mut() else { return };
        if pending.attempt == 1 && READY_MAX <= self.pools.n_ready() {
            entry.activity().leave(pending.run.id);
            entry.tidy();
            return decisions.push(Decision::Skip(pending.run.skipped(SkipReason::Overloaded, now)));
        }
        self.pools.push(index, &entry.job, pending);
    }

    /// Takes back what was claimed ahead and found no place.
    pub(super) fn unstarted(&mut self, start: Start, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        let Start { run, attempt, n_interrupted, code, job, .. } = start;
        self.pools.withdraw(run.id);
        let pending = Pending { run, attempt, n_interrupted, code };
        match self.lookup(&job.id) {
            Some((index, _)) => self.pools.push(index, &job, pending),
            None => self.end_unstarted(pending, SkipReason::Removed, now, decisions),
        }
    }

    /// Starts ready runs as long as there are places.
    pub(super) fn start_ready(&mut self, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        loop {
            let entries = &self.entries;
            let delivery = |index: Index| {
                let entry = entries.get(index).and_then(Option::as_ref);
                entry.map_or(Delivery::AtLeastOnce, |entry| entry.job.policy.delivery)
            };
            let Some((place, index, pending)) = self.pools.pop(now, delivery) else { return };
            let Some(entry) = self.entries[index].as_mut() else { continue };
            let run = pending.run.id;
            if entry.paused && pending.is_of_slot() && pending.attempt == 1 {
                entry.activity().running.retain(|running| *running != run);
                entry.activity().waiting.push_back(pending);
                continue;
            }
            if entry.paused && pending.run.is_backfill() && pending.attempt == 1 {
                // It comes again when the job goes on, as it would if it were asked for now.
                entry.activity().leave(run);
                entry.tidy();
                decisions.push(Decision::TakeBack { job: pending.run.job.clone(), run });
                continue;
            }
            if pending.attempt == 1 && entry.is_misfired(&pending.run, now) {
                entry.activity().running.retain(|running| *running != run);
                decisions.push(Decision::Skip(pending.run.skipped(SkipReason::Misfired, now)));
                self.start_waiting(index, now, decisions);
                self.count_again(index, now);
                continue;
            }
            let (job, last_success) = (Arc::clone(&entry.job), entry.last_success);
            let followers = self.followers.get(&job.id).cloned().unwrap_or_default();
            self.pools.occupy(place, run, now);
            let Pending { run, attempt, n_interrupted, code } = pending;
            let start = Start { run, attempt, n_interrupted, code, job, last_success, followers };
            decisions.push(Decision::Start(Box::new(start)));
        }
    }

    /// Lets runs go on that waited for another one of their job to end.
    pub(super) fn start_waiting(&mut self, index: Index, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        loop {
            let Some(entry) = self.entries[index].as_mut() else { return };
            if entry.paused || entry.is_idle() || !entry.has_room() {
                return entry.tidy();
            }
            let Some(pending) = entry.activity().waiting.pop_front() else { return };
            self.start_or_hold(index, pending, now, decisions);
        }
    }
}

/// How many slots a run stands for.
pub(super) fn n_slots(run: &Run) -> u64 {
    match run.cause {
        Cause::CatchUp(n_slots) => n_slots,
        Cause::Schedule | Cause::Manual | Cause::Upstream(_) | Cause::Api | Cause::Start | Cause::Backfill => 1,
    }
}

/// A planned run that now stands for several slots; its row is written anew.
pub(super) fn recaused(run: Arc<Run>, n_slots: u64, decisions: &mut Vec<Decision>) -> Arc<Run> {
    if n_slots == 1 || run.cause == Cause::CatchUp(n_slots) {
        return run;
    }
    let run = Arc::new(Run { cause: Cause::CatchUp(n_slots), ..Run::clone(&run) });
    decisions.push(Decision::TakeBack { job: run.job.clone(), run: run.id });
    decisions.push(Decision::Plan(Arc::clone(&run)));
    run
}
