//! Runs and attempts end: their places become free, their followers come.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{
    Core, Ended, Index,
    entry::{Entry, Pending},
};
use crate::{
    id::RunId,
    outcome::OutcomeCode,
    payload::Payload,
    run::{Cause, Decision, Follower, Run, SkipReason},
};

/// The runs of other jobs that follow from a run's end. They pass its slot on: the chain of yesterday stays the chain of
/// yesterday. What the run returned is their payload.
#[must_use]
pub fn followers_of(
    run: &Run,
    code: OutcomeCode,
    payload: Option<&Payload>,
    followers: &[Follower],
    now: DateTime<Utc>,
) -> Vec<Arc<Run>> {
    let follows = followers.iter().filter(|follower| follower.on.matches(code));
    let follow = |follower: &Follower| {
        Arc::new(Run {
            id: RunId::of_upstream(&follower.job, run.scheduled_for, run.id),
            job: follower.job.clone(),
            scheduled_for: run.scheduled_for,
            due_at: now,
            cause: Cause::Upstream(run.job.clone()),
            payload: payload.cloned(),
        })
    };
    follows.map(follow).collect()
}

impl Core {
    pub(super) fn run_ended(&mut self, now: DateTime<Utc>, ended: Ended, decisions: &mut Vec<Decision>) {
        let Ended { run, finished_at, succeeded, followers } = ended;
        self.pools.ended(run.id, now);
        self.incoming.extend(followers.into_iter().map(|run| (run.job.clone(), Pending::first(run))));
        if let Some((index, entry)) = self.lookup(&run.job) {
            entry.activity().leave(run.id);
            entry.basis.last_finished = Some(finished_at);
            if succeeded {
                entry.last_success = entry.last_success.max(Some(run.scheduled_for));
            }
            entry.tidy();
            self.start_waiting(index, now, decisions);
            self.recount(index, now, decisions);
        }
        if !self.incoming.is_empty() {
            self.enter_incoming(now, decisions);
        }
    }

    /// Also a run that came from no slot moves the next one of a trigger that counts from the end of the last run.
    fn recount(&mut self, index: Index, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        let is_quiet = |entry: &Entry| entry.waits_for_finish() && entry.running().is_empty() && entry.n_waiting() == 0;
        if self.entry(index).is_some_and(is_quiet) {
            self.take_back(index, decisions);
            self.entries[index].iter_mut().for_each(|entry| entry.next = None);
            self.count_again(index, now);
        }
    }

    pub(super) fn attempt_ended(
        &mut self,
        now: DateTime<Utc>,
        pending: Pending,
        retry_at: DateTime<Utc>,
        decisions: &mut Vec<Decision>,
    ) {
        self.pools.ended(pending.run.id, now);
        match self.lookup(&pending.run.job.clone()) {
            Some((index, _)) => self.await_attempt(index, pending, retry_at),
            // The job is gone, and with it the wish for another attempt.
            None => self.end_unstarted(pending, SkipReason::Removed, now, decisions),
        }
    }

    /// Plans what follows from runs that the core ended by itself.
    pub(super) fn plan_followers(&mut self, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        for (run, code) in std::mem::take(&mut self.ended) {
            let followers = self.followers.get(&run.job).cloned().unwrap_or_default();
            for run in followers_of(&run, code, None, &followers, now) {
                decisions.push(Decision::Plan(Arc::clone(&run)));
                self.incoming.push((run.job.clone(), Pending::first(run)));
            }
        }
    }

    /// Starts or holds runs that are due and whose rows exist: those of chains, and those that a crash left.
    pub(super) fn enter_incoming(&mut self, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        let all_paused = self.all_paused;
        for (job, pending) in std::mem::take(&mut self.incoming) {
            let skipped = |reason| Decision::Skip(pending.run.skipped(reason, now));
            match self.lookup(&job) {
                None => decisions.push(skipped(SkipReason::Removed)),
                Some((_, entry)) if entry.knows(pending.run.id) => {}
                // It comes again when the job goes on: what makes up for a range of slots sees to that.
                Some((_, entry)) if entry.paused && pending.run.is_backfill() => {
                    decisions.push(Decision::TakeBack { job, run: pending.run.id });
                }
                Some((_, entry)) if entry.paused && (all_paused || matches!(pending.run.cause, Cause::Upstream(_))) => {
                    decisions.push(skipped(SkipReason::Paused));
                }
                Some((index, _)) => self.start_or_hold(index, pending, now, decisions),
            }
        }
    }
}
