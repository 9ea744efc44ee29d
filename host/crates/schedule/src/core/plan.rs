//! Slots become runs: the look-ahead, and the backlog after a time in which nothing was decided.

use std::{cmp::Reverse, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Core, HORIZON, Index, LATE_AFTER, backlog};
use crate::{
    id::RunId,
    job::Coalesce,
    run::{Cause, Decision, Run, SkipReason},
};

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
        let until = now + HORIZON;
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
        if self.entry(index).is_some_and(|entry| entry.job.trigger.waits_for_finish()) {
            return self.plan_single(index, until, decisions);
        }
        let late = self.entry(index).and_then(|entry| entry.next).is_some_and(|next| next < now - LATE_AFTER);
        if late {
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
        let is_under_way = !(entry.planned.is_empty() && entry.running.is_empty() && entry.waiting.is_empty());
        if entry.job.trigger.waits_for_finish() && entry.next.is_none() && !is_under_way {
            // Not before the last slot that was decided: one that was cancelled must not come back.
            entry.next = entry.slot_after(now.max(entry.decided_until));
            self.await_next(index);
        }
    }

    /// Decides about the slots of a time in which nothing could be decided.
    fn plan_backlog(&mut self, index: Index, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        let Some(entry) = self.entries[index].as_mut() else { return };
        let id = entry.job.id.clone();
        let grace = entry.job.policy.misfire_grace.and_then(|grace| TimeDelta::from_std(grace).ok());
        if let Some(misfired) = grace.and_then(|grace| backlog::pass(entry, now - grace)) {
            decisions.push(Decision::Skip(misfired.skip(&id, SkipReason::Misfired)));
        }
        let coalesce = entry.job.policy.coalesce;
        let n_newest = match coalesce {
            Coalesce::Latest | Coalesce::Earliest => 1,
            Coalesce::All => usize::try_from(entry.job.policy.max_backlog.get()).unwrap_or(usize::MAX),
        };
        let earliest = entry.next;
        let slots = backlog::collect(entry, now, n_newest);
        entry.next = slots.next;
        let n_slots =
            slots.older.map_or(0, |older| older.count) + u64::try_from(slots.newest.len()).unwrap_or_default();
        let cause = if 1 < n_slots { Cause::CatchUp(n_slots) } else { Cause::Schedule };
        match (coalesce, slots.older, earliest) {
            (Coalesce::Earliest, Some(_), Some(earliest)) => {
                // All but the first are folded into it.
                entry.next = entry.slot_after(earliest);
                if let Some(folded) = backlog::pass(entry, now + TimeDelta::microseconds(1)) {
                    decisions.push(Decision::Skip(folded.skip(&id, SkipReason::Coalesced)));
                }
                self.plan_slot(index, earliest, cause, decisions);
            }
            (Coalesce::Latest | Coalesce::Earliest | Coalesce::All, older, _) => {
                if let Some(folded) = older {
                    decisions.push(Decision::Skip(folded.skip(&id, SkipReason::Coalesced)));
                }
                let single = coalesce != Coalesce::All;
                for slot in slots.newest {
                    let cause = if single { cause.clone() } else { Cause::Schedule };
                    self.plan_slot(index, slot, cause, decisions);
                }
            }
        }
    }

    fn plan_slot(&mut self, index: Index, slot: DateTime<Utc>, cause: Cause, decisions: &mut Vec<Decision>) {
        let Some(entry) = self.entries[index].as_mut() else { return };
        let delay = TimeDelta::from_std(entry.job.trigger.start_delay(slot, &entry.basis)).unwrap_or_default();
        let run = Arc::new(Run {
            id: RunId::of_slot(&entry.job.id, slot),
            job: entry.job.id.clone(),
            scheduled_for: slot,
            due_at: slot.checked_add_signed(delay).unwrap_or(slot),
            cause,
        });
        let key = (run.due_at, self.next_number);
        self.next_number += 1;
        entry.decided_until = entry.decided_until.max(slot);
        entry.planned.push_back(key);
        decisions.push(Decision::Plan(Arc::clone(&run)));
        self.due.insert(key, (index, run));
    }
}
