//! What people and programs ask for: a run now, the end of a run.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{Core, entry::Pending};
use crate::{
    id::RunId,
    run::{CancelReason, Decision, Run, SkipReason},
};

impl Core {
    /// Starts a run that somebody asked for. Asking for a run that is under way asks for nothing new.
    pub(super) fn fire(&mut self, wanted: Run, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        let all_paused = self.all_paused;
        let Some((index, entry)) = self.lookup(&wanted.job) else { return };
        if entry.knows(wanted.id) {
            return;
        }
        if entry.paused && wanted.is_backfill() {
            // Whoever asked asks again when the job goes on.
            return;
        }
        if all_paused {
            return decisions.push(Decision::Skip(wanted.skipped(SkipReason::Paused, now)));
        }
        let run = Arc::new(wanted);
        decisions.push(Decision::Plan(Arc::clone(&run)));
        self.start_or_hold(index, Pending::first(run), now, decisions);
    }

    pub(super) fn cancel(&mut self, now: DateTime<Utc>, run: RunId, decisions: &mut Vec<Decision>) {
        if let Some(pending) = self.take_waiting(run) {
            return self.cancel_taken(Some(pending), now, decisions);
        }
        for entry in self.entries.iter_mut().flatten().filter(|entry| entry.knows(run)) {
            let waiting = &mut entry.activity().waiting;
            if let Some(place) = waiting.iter().position(|waiting| waiting.run.id == run) {
                let taken = waiting.remove(place);
                entry.tidy();
                return self.cancel_taken(taken, now, decisions);
            }
        }
        // It has started: the dispatcher ends it, and its row says cancelled.
        decisions.push(Decision::Cancel { run, reason: CancelReason::Requested });
    }

    /// Takes a run that is planned, ready, or waits for its next attempt.
    pub(super) fn take_waiting(&mut self, run: RunId) -> Option<Pending> {
        if let Some(pending) = self.pools.take_ready(run) {
            return Some(pending);
        }
        if let Some((key, index)) = self.due.find(run) {
            if let Some(entry) = self.entry_mut(index) {
                let activity = entry.activity();
                activity.planned.retain(|planned| *planned != key);
                activity.retries.retain(|retry| *retry != key);
            }
            return self.due.remove(key);
        }
        None
    }

    fn cancel_taken(&mut self, taken: Option<Pending>, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        let Some(pending) = taken else { return };
        let (job, run) = (pending.run.job.clone(), pending.run.id);
        self.end_unstarted(pending, SkipReason::Cancelled, now, decisions);
        let Some((index, entry)) = self.lookup(&job) else { return };
        entry.activity().leave(run);
        entry.tidy();
        self.start_waiting(index, now, decisions);
        self.count_again(index, now);
    }
}
