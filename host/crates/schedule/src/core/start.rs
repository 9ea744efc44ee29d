//! Planned runs start: lateness, overlap and the queue of a job.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Core, Index, LATE_AFTER};
use crate::{
    job::{Coalesce, Overlap},
    run::{CancelReason, Cause, Decision, Run, SkipReason},
};

impl Core {
    /// Starts every planned run that is due.
    pub(super) fn release(&mut self, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        while let Some((key, (index, run))) = self.due.pop_first() {
            if now < key.0 {
                self.due.insert(key, (index, run));
                return;
            }
            let Some(entry) = self.entries[index].as_mut() else { continue };
            entry.planned.retain(|planned| *planned != key);
            let late = key.0 < now - LATE_AFTER;
            let run = if late { self.fold(index, run, now, decisions) } else { Some(run) };
            if let Some(run) = run {
                self.start_or_hold(index, run, now, decisions);
            }
            self.count_again(index, now);
        }
    }

    /// Folds the late runs of a job into one: planned runs whose instants passed while the machine slept.
    /// None is left where all of them are too late.
    fn fold(
        &mut self,
        index: Index,
        run: Arc<Run>,
        now: DateTime<Utc>,
        decisions: &mut Vec<Decision>,
    ) -> Option<Arc<Run>> {
        let entry = self.entries[index].as_mut()?;
        let coalesce = entry.job.policy.coalesce;
        if coalesce == Coalesce::All || entry.planned.front().is_none_or(|(due_at, _)| now < *due_at) {
            return Some(run);
        }
        let mut group = vec![run];
        while let Some(key) = entry.planned.front().copied().filter(|(due_at, _)| *due_at <= now) {
            entry.planned.pop_front();
            group.extend(self.due.remove(&key).map(|(_, run)| run));
        }
        let grace = entry.job.policy.misfire_grace;
        let (misfired, mut group): (Vec<_>, Vec<_>) = group.into_iter().partition(|run| is_misfired(run, grace, now));
        decisions.extend(misfired.iter().map(|run| Decision::Skip(run.skipped(SkipReason::Misfired))));
        let n_slots = group.iter().map(|run| if let Cause::CatchUp(n) = run.cause { n } else { 1 }).sum();
        let last = group.len().checked_sub(1)?;
        let chosen = match coalesce {
            Coalesce::Earliest => group.remove(0),
            Coalesce::Latest | Coalesce::All => group.remove(last),
        };
        if n_slots == 1 {
            return Some(chosen);
        }
        decisions.extend(group.iter().map(|folded| Decision::Skip(folded.skipped(SkipReason::Coalesced))));
        Some(Arc::new(Run { cause: Cause::CatchUp(n_slots), ..Run::clone(&chosen) }))
    }

    /// Starts a due run, or does what the job's policy says where it may not start now.
    pub(super) fn start_or_hold(
        &mut self,
        index: Index,
        run: Arc<Run>,
        now: DateTime<Utc>,
        decisions: &mut Vec<Decision>,
    ) {
        let Some(entry) = self.entries[index].as_mut() else { return };
        let policy = &entry.job.policy;
        if is_misfired(&run, policy.misfire_grace, now) {
            return decisions.push(Decision::Skip(run.skipped(SkipReason::Misfired)));
        }
        if entry.has_room() || policy.overlap == Overlap::Allow {
            entry.running.push(run.id);
            return decisions.push(Decision::Start(run));
        }
        match policy.overlap {
            Overlap::Skip | Overlap::Allow => decisions.push(Decision::Skip(run.skipped(SkipReason::Overlapping))),
            Overlap::Queue => {
                let has_place = u32::try_from(entry.waiting.len()).is_ok_and(|n| n < policy.max_backlog.get());
                if !has_place {
                    return decisions.push(Decision::Skip(run.skipped(SkipReason::Overlapping)));
                }
                entry.waiting.push_back(run);
            }
            Overlap::Replace => {
                let oldest = entry.running.first().copied();
                decisions.extend(oldest.map(|run| Decision::Cancel { run, reason: CancelReason::Replaced }));
                // Only the newest slot waits for the place; one that waited before it is overtaken.
                let overtaken = entry.waiting.drain(..).map(|run| Decision::Skip(run.skipped(SkipReason::Overlapping)));
                decisions.extend(overtaken);
                entry.waiting.push_back(run);
            }
        }
    }

    /// Starts runs that waited for another one of their job to end.
    pub(super) fn start_waiting(&mut self, index: Index, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        loop {
            let Some(entry) = self.entries[index].as_mut() else { return };
            if entry.paused || !entry.has_room() {
                return;
            }
            let Some(run) = entry.waiting.pop_front() else { return };
            self.start_or_hold(index, run, now, decisions);
        }
    }
}

/// Waiting counts: a run that could not start within the grace is misfired, whatever held it up.
fn is_misfired(run: &Run, grace: Option<std::time::Duration>, now: DateTime<Utc>) -> bool {
    let lateness = now.signed_duration_since(run.due_at);
    grace.and_then(|grace| TimeDelta::from_std(grace).ok()).is_some_and(|grace| grace < lateness)
}
