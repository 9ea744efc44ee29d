//! A host starts again: what the ledger knows of a job goes back to the stage at which it was.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Core, Index, Past,
    entry::{Entry, Pending},
};
use crate::{
    job::{Delivery, Job},
    outcome::{Outcome, OutcomeCode},
    ports::OpenRun,
    retry::INTERRUPTIONS_MAX,
    run::{Cut, Decision, JobState, SkipReason},
};

const CUT: &str = "the host stopped or crashed during the attempt";

impl Core {
    /// Takes a job back in with its past. The slots since the watermark are a backlog for the next tick.
    pub(super) fn recover(&mut self, now: DateTime<Utc>, job: Arc<Job>, past: Past, decisions: &mut Vec<Decision>) {
        let Past { row, watermark } = past;
        self.watermark = self.watermark.max(watermark);
        let known = row.state;
        let retriggered = known.trigger_hash != job.trigger_hash;
        let repaused = known.paused_in_manifest != job.policy.paused;
        // The watermark says nothing of a job that was paused.
        let marked = watermark.filter(|_| !known.paused).map_or(known.decided_until, |at| at.max(known.decided_until));
        let state = JobState { decided_until: marked, ..known.clone() };
        let mut entry = Entry::new(job, &state, row.last_finished);
        entry.last_success = row.last_success;
        let index = self.insert(entry);
        self.restore(index, row.open, retriggered, now, decisions);
        if retriggered {
            // Which slots the old trigger would have had since then cannot be known any more.
            self.count_from(index, now);
        }
        if repaused {
            self.settle_pause(index, now, decisions);
            self.repause(index, now, decisions);
        }
        let is_with_all = self.entry(index).map(|entry| entry.paused_with_all);
        self.recover_pause(index, now, decisions);
        let changed_with_all = is_with_all != self.entry(index).map(|entry| entry.paused_with_all);
        let is_fixed_delay = self.entry(index).is_some_and(|entry| entry.waits_for_finish() && !entry.is_idle());
        if let Some(entry) = self.entry_mut(index).filter(|_| is_fixed_delay) {
            entry.next = None;
        }
        // Also a paused job, whose rows were taken back: that their slots are undecided again is known from here only.
        let is_told = retriggered || repaused || known.paused || changed_with_all;
        if let Some(entry) = self.entry(index).filter(|entry| is_told && entry.state() != known) {
            decisions.push(Decision::Job(entry.state()));
        }
        self.await_next(index);
    }

    /// Lets a job's slots count from an instant: it has another trigger than before.
    fn count_from(&mut self, index: Index, now: DateTime<Utc>) {
        let Some(entry) = self.entry_mut(index) else { return };
        entry.next = entry.slot_after(now);
        entry.decided_until = now;
    }

    /// The manifest says something else of `paused` than it did when the host last read it.
    fn repause(&mut self, index: Index, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        let Some(entry) = self.entry_mut(index) else { return };
        entry.paused = entry.job.policy.paused;
        entry.paused_with_all = false;
        if !entry.paused {
            entry.decided_until = entry.decided_until.max(now);
            return;
        }
        self.take_back(index, decisions);
    }

    /// A job is in no manifest any more: what of it has not ended, ends.
    pub(super) fn forget(&mut self, now: DateTime<Utc>, past: Past, decisions: &mut Vec<Decision>) {
        let Past { row, watermark } = past;
        self.watermark = self.watermark.max(watermark);
        for open in row.open {
            let (claimed_at, number) = (open.claimed_at, open.n_attempts + 1);
            let pending = Pending { run: open.run, attempt: number, n_interrupted: open.n_interrupted, code: None };
            match claimed_at {
                // What has not begun and lies ahead is no slot of anybody any more.
                None if pending.is_of_slot() && number == 1 && now < pending.run.scheduled_for => {
                    decisions.push(Decision::TakeBack { job: pending.run.job.clone(), run: pending.run.id });
                }
                None => self.end_unstarted(pending, SkipReason::Removed, now, decisions),
                Some(_) => {
                    let why = format!("{CUT}, and the job has been removed since");
                    self.end_cut(&pending, claimed_at, OutcomeCode::Interrupted, why, now, decisions);
                }
            }
        }
        if row.state.removed_at.is_none() {
            decisions.push(Decision::Job(JobState { removed_at: Some(now), ..row.state }));
        }
    }

    /// Puts unfinished runs where they were.
    fn restore(
        &mut self,
        index: Index,
        open: Vec<OpenRun>,
        retriggered: bool,
        now: DateTime<Utc>,
        decisions: &mut Vec<Decision>,
    ) {
        for OpenRun { run, n_attempts, n_interrupted, claimed_at, retry_at } in open {
            // What it ran before is not known any more: it takes what is in force.
            let pending = Pending { run, attempt: n_attempts + 1, n_interrupted, code: None };
            let Some(entry) = self.entry(index) else { return };
            if claimed_at.is_some() {
                self.restore_cut(index, pending, claimed_at, now, decisions);
            } else if n_attempts != 0 {
                self.await_attempt(index, pending, retry_at.unwrap_or(now));
            } else if !pending.is_of_slot() {
                self.incoming.push((pending.run.job.clone(), pending));
            } else if retriggered && pending.run.scheduled_for <= now {
                decisions.push(Decision::Skip(pending.run.skipped(SkipReason::Removed, now)));
            } else if retriggered || entry.paused && entry.decided_until < pending.run.scheduled_for {
                self.take_back_one(index, &pending, decisions);
            } else {
                // Of a paused job what was due before the pause: it waited for its place then, and goes on doing so.
                let key = self.due.insert(pending.run.due_at, index, pending);
                self.entry_mut(index).into_iter().for_each(|entry| entry.activity().planned.push_back(key));
            }
        }
    }

    /// A planned run of a job that was paused or given another trigger: its slot is undecided again.
    fn take_back_one(&mut self, index: Index, pending: &Pending, decisions: &mut Vec<Decision>) {
        let slot = pending.run.scheduled_for;
        if let Some(entry) = self.entry_mut(index) {
            entry.next = Some(entry.next.map_or(slot, |next| next.min(slot)));
            entry.decided_until = entry.decided_until.min(slot - TimeDelta::microseconds(1));
        }
        decisions.push(Decision::TakeBack { job: pending.run.job.clone(), run: pending.run.id });
    }

    /// An attempt was claimed and has not ended: the host was stopped in the middle of it, or right before it. Its slot
    /// began within `misfire_grace`; how long the host was away says nothing about that.
    fn restore_cut(
        &mut self,
        index: Index,
        pending: Pending,
        claimed_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
        decisions: &mut Vec<Decision>,
    ) {
        let Some(entry) = self.entry(index) else { return };
        match entry.job.policy.delivery {
            Delivery::AtMostOnce => {
                let why = format!("{CUT}; it is not started twice (`delivery: at_most_once`)");
                self.end_cut(&pending, claimed_at, OutcomeCode::Lost, why, now, decisions);
            }
            Delivery::AtLeastOnce if INTERRUPTIONS_MAX <= pending.n_interrupted => {
                let why = format!("{CUT}, for the {}th time; it is not tried again", pending.n_interrupted + 1);
                self.end_cut(&pending, claimed_at, OutcomeCode::Interrupted, why, now, decisions);
            }
            Delivery::AtLeastOnce => {
                let outcome = Outcome::ended(OutcomeCode::Interrupted, format!("{CUT}; it is tried again"));
                let Pending { run, attempt, n_interrupted, .. } = pending;
                let cut = Cut { run: Arc::clone(&run), n_attempts: attempt, started_at: claimed_at, at: now, outcome };
                decisions.push(Decision::Again(Box::new(cut)));
                let pending = Pending { run, attempt: attempt + 1, n_interrupted: n_interrupted + 1, code: None };
                self.await_attempt(index, pending, now);
            }
        }
    }

    fn end_cut(
        &mut self,
        pending: &Pending,
        started_at: Option<DateTime<Utc>>,
        code: OutcomeCode,
        why: String,
        at: DateTime<Utc>,
        decisions: &mut Vec<Decision>,
    ) {
        let run = Arc::clone(&pending.run);
        self.ended.push((Arc::clone(&run), code));
        // A trigger that counts from the end of the last run counts from here.
        if let Some((index, entry)) = self.lookup(&run.job).filter(|(_, entry)| entry.waits_for_finish()) {
            entry.basis.last_finished = Some(at);
            entry.next = None;
            self.count_again(index, at);
        }
        let outcome = Outcome::ended(code, why);
        decisions.push(Decision::End(Box::new(Cut { run, n_attempts: pending.attempt, started_at, at, outcome })));
    }

    /// Lets a run wait for its next attempt. It counts as running.
    pub(super) fn await_attempt(&mut self, index: Index, pending: Pending, at: DateTime<Utc>) {
        let (run, is_backfill) = (pending.run.id, pending.run.is_backfill());
        let key = self.due.insert(at, index, pending);
        let Some(entry) = self.entry_mut(index) else { return };
        let activity = entry.activity();
        activity.retries.push(key);
        if is_backfill {
            activity.stand_apart(run);
        } else if !activity.running.contains(&run) {
            activity.running.push(run);
        }
    }
}
