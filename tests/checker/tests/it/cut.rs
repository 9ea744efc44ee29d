//! The reference scheduler: the host dies, and what it does with what was cut.

use clockjack_checker::{Delivery, Micros};

use crate::reference::{Live, Reference};

impl Reference {
    /// The host dies: its guests fall silent, and some had not even begun.
    pub(crate) fn killed(&mut self, now: Micros) {
        let mut silent = Vec::new();
        for live in self.desks.iter_mut().flat_map(|desk| &mut desk.live) {
            live.is_cut = true;
            if now - self.story.witness[live.line].start < 30_000 && self.dice.one_in(2) {
                silent.push(live.line);
            }
        }
        // Lines are told by their place, so one that was never written is only emptied.
        silent.into_iter().for_each(|line| self.story.witness[line].run.clear());
    }

    /// The host stops in good order: it notes what it cuts.
    pub(crate) fn stopped(&mut self, now: Micros) {
        for desk in 0..self.desks.len() {
            for live in std::mem::take(&mut self.desks[desk].live) {
                self.attempt_ended(&live, "interrupted", now);
                self.after_cut(desk, &live, "interrupted", now);
            }
        }
    }

    /// The host is back: what the crash cut is tried again, or lost.
    pub(crate) fn recover(&mut self, desk: usize, now: Micros) {
        let all = std::mem::take(&mut self.desks[desk].live);
        let (cut, live): (Vec<_>, Vec<_>) = all.into_iter().partition(|live| live.is_cut);
        self.desks[desk].live = live;
        for live in cut {
            let is_once = self.delivery(desk, &live) == Delivery::AtMostOnce;
            let code = if is_once { "lost" } else { "interrupted" };
            self.attempt_ended(&live, code, now);
            self.after_cut(desk, &live, code, now);
        }
    }

    /// Notes the ends of guests that have ended.
    pub(crate) fn record(&mut self, desk: usize, now: Micros) {
        let all = std::mem::take(&mut self.desks[desk].live);
        let (ended, live): (Vec<_>, Vec<_>) = all.into_iter().partition(|live| live.ends <= now);
        self.desks[desk].live = live;
        for live in ended {
            self.attempt_ended(&live, live.code, now);
            self.after_cut(desk, &live, live.code, now);
        }
    }

    /// Another attempt, or the end of the run.
    fn after_cut(&mut self, desk: usize, live: &Live, code: &str, now: Micros) {
        let is_again = code == "interrupted" && self.delivery(desk, live) == Delivery::AtLeastOnce;
        let run = live.run;
        let attempts = &self.story.history.runs[run].attempts;
        let n_failed = attempts.iter().filter(|attempt| attempt.outcome != "interrupted").count();
        let job = &self.desks[desk].name;
        let known = self.story.revisions.iter().filter(|revision| revision.job == *job);
        let n_max = known.filter(|revision| revision.in_force.from <= now).map(|revision| revision.attempts_max).min();
        let is_failure = matches!(code, "failed" | "trap.unreachable");
        if is_again {
            self.desks[desk].retries.push((run, now));
        } else if is_failure && u32::try_from(n_failed).expect("few") < n_max.unwrap_or(1) {
            self.desks[desk].retries.push((run, now + 500_000));
        } else {
            self.run_ended(desk, run, code, now);
        }
    }
}
