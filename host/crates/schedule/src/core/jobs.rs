//! Jobs come, change, pause and go. Each change of what is known of a job is a decision of its own, for the ledger.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{
    Core, Index, Past, ResumeFrom,
    due::DueKey,
    entry::{Entry, Pending},
};
use crate::{
    id::{JobId, RunId},
    job::Job,
    outcome::{Outcome, OutcomeCode},
    ports::OpenRun,
    run::{Cause, Cut, Decision, Follower, JobState, Run, SkipReason},
};

impl Core {
    pub(super) fn add(
        &mut self,
        now: DateTime<Utc>,
        job: Arc<Job>,
        past: Option<Box<Past>>,
        decisions: &mut Vec<Decision>,
    ) {
        if self.by_id.contains_key(&job.id) {
            return self.change(now, job, decisions);
        }
        let mut past = past;
        let going = past.as_deref_mut().map(|past| self.take_going(past)).unwrap_or_default();
        let id = job.id.clone();
        match past {
            // A job that was removed and comes back begins anew; its history stays.
            Some(past) if past.row.state.removed_at.is_some() => {
                self.forget(now, *past, decisions);
                self.add_new(now, job, decisions);
            }
            Some(past) => self.recover(now, job, *past, decisions),
            None => self.add_new(now, job, decisions),
        }
        if let Some((_, entry)) = self.lookup(&id).filter(|_| !going.is_empty()) {
            entry.activity().running.extend(going);
        }
    }

    /// Runs of a job that was removed and came back while they went on: no crash cut them.
    fn take_going(&self, past: &mut Past) -> Vec<RunId> {
        let is_going = |open: &mut OpenRun| self.pools.is_going(open.run.id);
        past.row.open.extract_if(.., is_going).map(|open| open.run.id).collect()
    }

    fn add_new(&mut self, now: DateTime<Utc>, job: Arc<Job>, decisions: &mut Vec<Decision>) {
        let id = job.id.clone();
        let paused = job.policy.paused || self.all_paused;
        let run_on_start = job.policy.run_on_start && !paused;
        let state = JobState {
            job: id.clone(),
            first_seen: now,
            decided_until: now,
            paused,
            paused_with_all: paused && !job.policy.paused,
            paused_in_manifest: job.policy.paused,
            trigger_hash: job.trigger_hash,
            removed_at: None,
        };
        let index = self.insert(Entry::new(job, &state, None));
        decisions.push(Decision::Job(state));
        self.await_next(index);
        if run_on_start {
            let run = RunId::of_request(&id, now, 0);
            let run = Arc::new(Run {
                id: run,
                job: id.clone(),
                scheduled_for: now,
                due_at: now,
                cause: Cause::Start,
                payload: None,
            });
            decisions.push(Decision::Plan(Arc::clone(&run)));
            // It starts with the next tick: jobs that run after it may still be on their way.
            self.incoming.push((id, Pending::first(run)));
        }
    }

    /// Gives a job its place in the list.
    pub(super) fn insert(&mut self, entry: Entry) -> Index {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() - 1
        });
        let job = Arc::clone(&entry.job);
        self.by_id.insert(job.id.clone(), index);
        self.entries[index] = Some(entry);
        self.chain(&job);
        index
    }

    /// Notes after which jobs a job runs.
    fn chain(&mut self, job: &Job) {
        for after in &job.after {
            let follower = Follower { job: job.id.clone(), on: after.on };
            // Copied only while a run of the other job holds the list.
            Arc::make_mut(self.followers.entry(after.job.clone()).or_default()).push(follower);
        }
    }

    fn unchain(&mut self, job: &Job) {
        for after in &job.after {
            let Some(known) = self.followers.get_mut(&after.job) else { continue };
            Arc::make_mut(known).retain(|follower| follower.job != job.id);
            if known.is_empty() {
                self.followers.remove(&after.job);
            }
        }
    }

    pub(super) fn change(&mut self, now: DateTime<Utc>, job: Arc<Job>, decisions: &mut Vec<Decision>) {
        if self.job(&job.id).is_some_and(|before| *before == job) {
            return;
        }
        // Slots that are due already have happened under the old definition.
        self.tick(now, decisions);
        self.start_ready(now, decisions);
        let Some((index, entry)) = self.lookup(&job.id) else {
            return self.add_new(now, job, decisions);
        };
        let before = Arc::clone(&entry.job);
        let retriggered = before.trigger != job.trigger;
        let repaused = before.policy.paused != job.policy.paused;
        if retriggered {
            self.settle_pause(index, now, decisions);
            self.give_up_passed(index, now, decisions);
            self.take_back(index, decisions);
        }
        self.unchain(&before);
        self.chain(&job);
        let paused = job.policy.paused;
        if let Some(entry) = self.entry_mut(index) {
            entry.job = job;
            if retriggered {
                entry.next = entry.slot_after(now);
                entry.decided_until = now;
            }
        }
        self.await_next(index);
        if repaused && paused {
            self.pause(now, &before.id, decisions);
        } else if repaused {
            self.resume(now, &before.id, ResumeFrom::Now, decisions);
        }
        let has_new_hash = self.entry(index).is_some_and(|entry| entry.job.trigger_hash != before.trigger_hash);
        if retriggered || repaused || has_new_hash {
            decisions.extend(self.entry(index).map(|entry| Decision::Job(entry.state())));
        }
    }

    pub(super) fn remove(&mut self, now: DateTime<Utc>, id: &JobId, decisions: &mut Vec<Decision>) {
        self.tick(now, decisions);
        self.start_ready(now, decisions);
        let Some((index, _)) = self.lookup(id) else { return };
        self.settle_pause(index, now, decisions);
        self.give_up_passed(index, now, decisions);
        self.take_back(index, decisions);
        let Some(mut entry) = self.entries[index].take() else { return };
        let retries = std::mem::take(&mut entry.activity().retries);
        let retrying = retries.into_iter().filter_map(|key| self.due.remove(key));
        let waiting = std::mem::take(&mut entry.activity().waiting);
        let mut pending: Vec<_> = waiting.into_iter().chain(retrying).collect();
        pending.extend(entry.under_way().filter_map(|run| self.pools.take_ready(run)));
        for pending in pending {
            self.end_unstarted(pending, SkipReason::Removed, now, decisions);
        }
        self.unchain(&entry.job);
        decisions.push(Decision::Job(JobState { decided_until: now, removed_at: Some(now), ..entry.state() }));
        self.by_id.remove(id);
        self.free.push(index);
    }

    /// Ends a run of which no attempt goes on: as a skip where none ever began, else as cancelled.
    pub(super) fn end_unstarted(
        &mut self,
        pending: Pending,
        reason: SkipReason,
        now: DateTime<Utc>,
        decisions: &mut Vec<Decision>,
    ) {
        if pending.attempt == 1 {
            return decisions.push(Decision::Skip(pending.run.skipped(reason, now)));
        }
        let why = match reason {
            SkipReason::Removed => "the job was removed while the run waited for its next attempt",
            SkipReason::Misfired
            | SkipReason::Coalesced
            | SkipReason::Overlapping
            | SkipReason::Paused
            | SkipReason::Cancelled
            | SkipReason::Overloaded => "cancelled on request while the run waited for its next attempt",
        };
        self.end_between(pending, why.to_owned(), now, decisions);
    }

    /// Ends a run as cancelled that waits for its next attempt.
    pub(super) fn end_between(
        &mut self,
        pending: Pending,
        why: String,
        now: DateTime<Utc>,
        decisions: &mut Vec<Decision>,
    ) {
        let outcome = Outcome::ended(OutcomeCode::Cancelled, why);
        self.ended.push((Arc::clone(&pending.run), outcome.code));
        let cut = Cut { run: pending.run, n_attempts: pending.attempt - 1, started_at: None, at: now, outcome };
        decisions.push(Decision::End(Box::new(cut)));
    }

    /// Skips the planned runs of a job whose slot has passed and which only wait for their jitter: the slot is not free
    /// for another trigger.
    fn give_up_passed(&mut self, index: Index, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        let Some(entry) = self.entries[index].as_mut() else { return };
        let has_passed = |key: DueKey| self.due.get(key).is_some_and(|run| run.scheduled_for <= now);
        let passed: Vec<_> = entry.planned().filter(|key| has_passed(*key)).collect();
        entry.activity().planned.retain(|key| !passed.contains(key));
        for pending in passed.into_iter().filter_map(|key| self.due.remove(key)) {
            decisions.push(Decision::Skip(pending.run.skipped(SkipReason::Removed, now)));
        }
    }

    /// Takes the planned runs of a job back, so that their slots are undecided again.
    pub(super) fn take_back(&mut self, index: Index, decisions: &mut Vec<Decision>) {
        let Some(entry) = self.entries[index].as_mut() else { return };
        for key in std::mem::take(&mut entry.activity().planned) {
            if let Some(Pending { run, .. }) = self.due.remove(key) {
                entry.next = Some(entry.next.map_or(run.scheduled_for, |next| next.min(run.scheduled_for)));
                decisions.push(Decision::TakeBack { job: run.job.clone(), run: run.id });
            }
        }
        entry.tidy();
    }
}
