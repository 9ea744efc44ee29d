//! Pauses: of one job, and of the whole host.
//!
//! A pause of the whole host pauses every job that is not paused yet, and those that come while it lasts. Each of them
//! knows that it is paused only with all: so what was paused by itself stays so afterwards, and what a restart finds is
//! true of each job alone.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Core, Index, ResumeFrom};
use crate::{id::JobId, run::Decision};

impl Core {
    pub(super) fn pause(&mut self, now: DateTime<Utc>, id: &JobId, decisions: &mut Vec<Decision>) {
        // Slots that are due already have happened; they start before the pause, if there is a place for them.
        self.tick(now, decisions);
        self.start_ready(now, decisions);
        let Some((index, entry)) = self.lookup(id) else { return };
        if entry.paused_with_all {
            // It stays paused when all others go on.
            entry.paused_with_all = false;
            return decisions.push(Decision::Job(entry.state()));
        }
        self.pause_one(index, now, decisions);
    }

    fn pause_one(&mut self, index: Index, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        let Some(entry) = self.entries[index].as_mut().filter(|entry| !entry.paused) else { return };
        entry.paused = true;
        entry.decided_until = now;
        self.take_back(index, decisions);
        decisions.extend(self.entry(index).map(|entry| Decision::Job(entry.state())));
    }

    pub(super) fn resume(&mut self, now: DateTime<Utc>, id: &JobId, from: ResumeFrom, decisions: &mut Vec<Decision>) {
        let all_paused = self.all_paused;
        let Some((index, entry)) = self.lookup(id) else { return };
        if !entry.paused {
            return;
        }
        if all_paused {
            // It goes on with all others, and its slots up to then are decided then.
            if !entry.paused_with_all {
                entry.paused_with_all = true;
                decisions.push(Decision::Job(entry.state()));
            }
            return;
        }
        self.resume_one(index, now, from, decisions);
    }

    pub(super) fn resume_one(
        &mut self,
        index: Index,
        now: DateTime<Utc>,
        from: ResumeFrom,
        decisions: &mut Vec<Decision>,
    ) {
        match from {
            ResumeFrom::Now => self.settle_pause(index, now, decisions),
            ResumeFrom::Last => {}
            ResumeFrom::At(at) => {
                let before = at.min(now).checked_sub_signed(TimeDelta::microseconds(1));
                self.settle_pause_until(index, before.unwrap_or(DateTime::<Utc>::MIN_UTC), now, decisions);
            }
        }
        if let Some(entry) = self.entry_mut(index) {
            entry.paused = false;
            entry.paused_with_all = false;
            // The slots of the pause are decided in this very turn.
            entry.decided_until = now;
            decisions.push(Decision::Job(entry.state()));
        }
        self.await_next(index);
        self.start_waiting(index, now, decisions);
        self.count_again(index, now);
    }

    pub(super) fn pause_all(&mut self, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        if self.all_paused {
            return;
        }
        self.tick(now, decisions);
        self.start_ready(now, decisions);
        self.all_paused = true;
        for index in 0..self.entries.len() {
            let Some(entry) = self.entries[index].as_mut().filter(|entry| !entry.paused) else { continue };
            entry.paused_with_all = true;
            self.pause_one(index, now, decisions);
        }
    }

    pub(super) fn resume_all(&mut self, now: DateTime<Utc>, from: ResumeFrom, decisions: &mut Vec<Decision>) {
        self.all_paused = false;
        for index in 0..self.entries.len() {
            if self.entry(index).is_some_and(|entry| entry.paused_with_all) {
                self.resume_one(index, now, from, decisions);
            }
        }
    }

    /// A job came back in another state of the whole host than the one in which it was last seen: the host was told
    /// meanwhile, or is told before its jobs come.
    pub(super) fn recover_pause(&mut self, index: Index, now: DateTime<Utc>, decisions: &mut Vec<Decision>) {
        let all_paused = self.all_paused;
        let Some(entry) = self.entries[index].as_mut() else { return };
        if all_paused && !entry.paused {
            entry.paused = true;
            entry.paused_with_all = true;
            self.take_back(index, decisions);
        } else if !all_paused && entry.paused_with_all {
            self.settle_pause(index, now, decisions);
            if let Some(entry) = self.entry_mut(index) {
                entry.paused = false;
                entry.paused_with_all = false;
                entry.decided_until = entry.decided_until.max(now);
            }
        }
    }
}
