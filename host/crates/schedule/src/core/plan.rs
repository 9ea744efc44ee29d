//! Slots become runs: the look-ahead, and the backlog after a time in which nothing was decided.

use std::{cmp::Reverse, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Core, HORIZON, Index, LATE_AFTER,
    backlog::{self, Gap},
    entry::Pending,
    start::{n_slots, recaused},
};
use crate::{
    id::RunId,
    job::Coalesce,
    run::{Cause, Decision, Run, SkipReason},
};

/// How far ahead slots of a new job are planned at the most where the clock was set back behind the watermark: enough for
/// a corrected drift, and few enough rows.
const CLAIMED_MAX: TimeDelta = TimeDelta::minutes(10);

impl Core {
    /// Plans every slot up to the horizon, once the first unplanned one is nearer than half of it: so the ledger
    /// gets one commit for many slots, not one for each.
    pub(super) fn plan(&mut self, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        // A slot before the watermark is claimed to be decided, so it is not left for later.
        let edge = self.watermark.map_or(now + HORIZON / 2, |watermark| watermark.max(now + HORIZON / 2));
        let near = |Reverse((slot, _)): &Reverse<(DateTime<Utc>, Index)>| *slot <= edge;
        if !self.upcoming.peek().is_some_and(near) {
            return;
        }
        // After a step back of the clock the watermark is far ahead, and what it claims of a new job is planned too.
        let claimed = self.watermark.filter(|watermark| *watermark <= now + CLAIMED_MAX).unwrap_or(now);
        let until = claimed.max(now + HORIZON);
        while let Some(Reverse((slot, index))) = self.upcoming.peek().copied() {
            if until < slot {
                break;
            }
            self.upcoming.pop();
            // The job may have been changed, paused or removed since it was put on the list.
            let Some(entry) = self.entries[index].as_mut().filter(|entry| entry.listed == Some(slot)) else { continue };
            entry.listed = None;
            if !entry.paused && entry.next == Some(slot) {
                self.plan_job(index, now, until, decisions);
            }
            self.await_next(index);
        }
        if self.watermark.is_none_or(|watermark| watermark < until) {
            self.watermark = Some(until);
            decisions.push(Decision::Watermark(until));
        }
    }

    fn plan_job(&mut self, index: Index, now: DateTime<Utc>, until: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        let Some(entry) = self.entry(index) else { return };
        if entry.waits_for_finish() {
            return self.plan_single(index, until, decisions);
        }
        if entry.next.is_some_and(|next| next < now - LATE_AFTER) {
            self.plan_backlog(index, now, decisions);
        }
        loop {
            let Some(entry) = self.entries[index].as_mut() else { return };
            let Some(slot) = entry.next.filter(|slot| *slot <= until) else {
                entry.decided_until = entry.decided_until.max(until);
                return;
            };
            entry.next = entry.slot_after(slot);
            self.plan_slot(index, slot, Cause::Schedule, decisions);
        }
    }

    /// Plans the one slot of a trigger that counts from the end of the last run. The slot after it is known when that
    /// run has ended, so there is never a backlog.
    fn plan_single(&mut self, index: Index, until: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        let Some(entry) = self.entries[index].as_mut() else { return };
        if let Some(slot) = entry.next.take_if(|slot| *slot <= until) {
            self.plan_slot(index, slot, Cause::Schedule, decisions);
        }
    }

    /// Gives a trigger that counts from the end of the last run its next slot, once nothing of its job is under way.
    pub(super) fn count_again(&mut self, index: Index, now: DateTime<Utc>) {
        let Some(entry) = self.entries[index].as_mut() else { return };
        if entry.waits_for_finish() && entry.next.is_none() && entry.is_idle() {
            // Not before the last slot that was decided: one that was cancelled must not come back.
            entry.next = entry.slot_after(now.max(entry.decided_until));
            self.await_next(index);
        }
    }

    /// Decides about a time in which nothing was decided: its slots, and the runs that were planned before it and have
    /// not started, are one backlog.
    fn plan_backlog(&mut self, index: Index, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        let rows = self.take_due(index, now);
        let rows = self.drop_misfired(index, rows, now, decisions);
        let Some(entry) = self.entries[index].as_mut() else { return };
        let id = entry.job.id.clone();
        let too_late = entry.grace().map(|grace| now - grace - TimeDelta::microseconds(1));
        if let Some(misfired) = too_late.and_then(|too_late| backlog::take(entry, too_late)) {
            decisions.push(Decision::Skip(misfired.skip(&id, SkipReason::Misfired, now)));
        }
        let gap = backlog::take(entry, now);
        match entry.job.policy.coalesce {
            Coalesce::Latest => self.run_newest(index, rows, gap, now, decisions),
            Coalesce::Earliest => self.run_oldest(index, rows, gap, now, decisions),
            Coalesce::All => self.run_all(index, rows, gap, now, decisions),
        }
    }

    /// `coalesce: latest`: the newest slot runs for all.
    fn run_newest(
        &mut self,
        index: Index,
        mut rows: Vec<Arc<Run>>,
        gap: Option<Gap>,
        now: DateTime<Utc>,
        decisions: &mut Vec<Decision>,
    ) {
        let n_all = rows.iter().map(|run| n_slots(run)).sum::<u64>() + gap.map_or(0, |gap| gap.count);
        let Some(entry) = self.entry(index) else { return };
        let id = entry.job.id.clone();
        let Some(gap) = gap else {
            let Some(chosen) = rows.pop() else { return };
            fold_rows(&rows, chosen.id, now, decisions);
            let chosen = recaused(chosen, n_all, decisions);
            return self.plan_again(index, chosen);
        };
        let chosen = RunId::of_slot(&id, gap.last);
        fold_rows(&rows, chosen, now, decisions);
        if let (Some(older), _) = backlog::split(entry, gap, 1) {
            let skip = older.skip(&id, SkipReason::Coalesced, now).because_of(Some(chosen));
            decisions.push(Decision::Skip(skip));
        }
        self.plan_slot(index, gap.last, catch_up(n_all), decisions);
    }

    /// `coalesce: earliest`: the oldest slot runs for all.
    fn run_oldest(
        &mut self,
        index: Index,
        mut rows: Vec<Arc<Run>>,
        gap: Option<Gap>,
        now: DateTime<Utc>,
        decisions: &mut Vec<Decision>,
    ) {
        let n_all = rows.iter().map(|run| n_slots(run)).sum::<u64>() + gap.map_or(0, |gap| gap.count);
        let Some(entry) = self.entry(index) else { return };
        let id = entry.job.id.clone();
        let (chosen, younger) = if rows.is_empty() {
            let Some(gap) = gap else { return };
            let second = entry.slot_after(gap.first).filter(|second| *second <= gap.last);
            (RunId::of_slot(&id, gap.first), second.map(|first| Gap { first, count: gap.count - 1, ..gap }))
        } else {
            (rows[0].id, gap)
        };
        if let Some(younger) = younger {
            let skip = younger.skip(&id, SkipReason::Coalesced, now).because_of(Some(chosen));
            decisions.push(Decision::Skip(skip));
        }
        if rows.is_empty() {
            let first = gap.map(|gap| gap.first);
            return first.into_iter().for_each(|slot| self.plan_slot(index, slot, catch_up(n_all), decisions));
        }
        let run = rows.remove(0);
        fold_rows(&rows, run.id, now, decisions);
        let run = recaused(run, n_all, decisions);
        self.plan_again(index, run);
    }

    /// `coalesce: all`: each slot runs, the newest `max_backlog` of them.
    fn run_all(
        &mut self,
        index: Index,
        mut rows: Vec<Arc<Run>>,
        gap: Option<Gap>,
        now: DateTime<Utc>,
        decisions: &mut Vec<Decision>,
    ) {
        let Some(entry) = self.entry(index) else { return };
        let id = entry.job.id.clone();
        let n_max = usize::try_from(entry.job.policy.max_backlog.get()).unwrap_or(usize::MAX);
        let (older, newest) = gap.map_or((None, Vec::new()), |gap| backlog::split(entry, gap, n_max));
        let n_rows_too_many = (rows.len() + newest.len()).saturating_sub(n_max).min(rows.len());
        for run in rows.drain(..n_rows_too_many) {
            decisions.push(Decision::Skip(run.skipped(SkipReason::Coalesced, now)));
        }
        if let Some(older) = older {
            decisions.push(Decision::Skip(older.skip(&id, SkipReason::Coalesced, now)));
        }
        rows.into_iter().for_each(|run| self.plan_again(index, run));
        for slot in newest {
            self.plan_slot(index, slot, Cause::Schedule, decisions);
        }
    }

    /// Accounts for the slots of a pause up to now.
    pub(super) fn settle_pause(&mut self, index: Index, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        self.settle_pause_until(index, now, now, decisions);
    }

    /// Accounts for the slots of a pause up to an instant.
    pub(super) fn settle_pause_until(
        &mut self,
        index: Index,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
        decisions: &mut Vec<Decision>,
    ) {
        let Some(entry) = self.entries[index].as_mut().filter(|entry| entry.paused) else { return };
        if let Some(gap) = backlog::take(entry, until) {
            decisions.push(Decision::Skip(gap.skip(&entry.job.id, SkipReason::Paused, now)));
        }
        entry.decided_until = until;
    }

    /// Puts a run whose row exists among those that will be due.
    fn plan_again(&mut self, index: Index, run: Arc<Run>) {
        let key = self.due.insert(run.due_at, index, Pending::first(run));
        self.entry_mut(index).into_iter().for_each(|entry| entry.activity().planned.push_back(key));
    }

    fn plan_slot(&mut self, index: Index, slot: DateTime<Utc>, cause: Cause, decisions: &mut Vec<Decision>) {
        let Some(entry) = self.entries[index].as_mut() else { return };
        let run = Arc::new(Run {
            id: RunId::of_slot(&entry.job.id, slot),
            job: entry.job.id.clone(),
            scheduled_for: slot,
            due_at: entry.due_at(slot),
            cause,
            payload: None,
        });
        entry.decided_until = entry.decided_until.max(slot);
        // A row that outlived the mark that speaks of it is planned already.
        if entry.knows(run.id) || entry.planned().any(|key| self.due.get(key).is_some_and(|due| due.id == run.id)) {
            return;
        }
        decisions.push(Decision::Plan(Arc::clone(&run)));
        self.plan_again(index, run);
    }
}

fn fold_rows(rows: &[Arc<Run>], into: RunId, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
    let folded = rows.iter().map(|run| run.skipped(SkipReason::Coalesced, now).because_of(Some(into)));
    decisions.extend(folded.map(Decision::Skip));
}

fn catch_up(n_slots: u64) -> Cause {
    if 1 < n_slots { Cause::CatchUp(n_slots) } else { Cause::Schedule }
}
