//! Other code is put in force for jobs: what that means to their attempts that go on.
//!
//! Attempts that have not chosen their code yet, and those that run the new one already, are left alone. So are those that
//! drain, but for their deadline, which goes when their code comes back.

use std::{collections::HashMap, time::Duration};

use clockjack_schedule::{
    id::{JobId, RunId},
    job::OnReload,
    run::CancelReason,
};

use super::{Dispatcher, Ending, State};

/// The code that a job runs from now on, and what that means to its attempts that go on.
#[derive(Clone, Copy, Debug)]
pub(in crate::shell) struct NewCode {
    pub(in crate::shell) generation: u32,
    pub(in crate::shell) on_reload: OnReload,
}

/// An attempt that may go on for a while on the code with which it began.
#[derive(Debug)]
pub(super) struct Drain {
    run: RunId,
    /// How long it was given.
    deadline: Duration,
}

impl State {
    /// Ends an attempt, or gives it a deadline, where it runs other code than its job does by now.
    fn replace_code(&mut self, jobs: &HashMap<JobId, NewCode>, now: Duration) {
        let Self { going, drains, .. } = self;
        for (run, going) in going {
            let Some(new) = jobs.get(&going.run.job) else { continue };
            let Some(generation) = going.generation.get() else { continue };
            if *generation == new.generation {
                // Its code is in force again: nothing hurries it any more.
                if std::mem::take(&mut going.is_draining) {
                    drains.retain(|(_, ticket), _| *ticket != going.ticket);
                }
                continue;
            }
            match new.on_reload {
                OnReload::Drain { deadline: None } => {}
                OnReload::Drain { deadline: Some(deadline) } => {
                    // The first deadline of an attempt holds, whatever comes after it.
                    if !going.is_draining {
                        going.is_draining = true;
                        let until = now.saturating_add(deadline);
                        drains.insert((until, going.ticket), Drain { run: *run, deadline });
                    }
                }
                OnReload::Cancel => going.end(Ending::Cancelled(CancelReason::CodeReplaced)),
                OnReload::Replace => going.end(Ending::Replaced),
            }
        }
    }

    /// Ends the attempts whose deadline has passed. The next attempt of a run is another one, with another ticket.
    fn end_drained(&mut self, now: Duration) {
        while let Some(entry) = self.drains.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((_, ticket), Drain { run, deadline }) = entry.remove_entry();
            if let Some(going) = self.going.get_mut(&run).filter(|going| going.ticket == ticket) {
                going.end(Ending::Cancelled(CancelReason::DrainOver(deadline)));
            }
        }
    }
}

impl Dispatcher {
    /// Does to the attempts of some jobs what is due to them when their code is replaced.
    pub(in crate::shell) fn replace_code(&self, jobs: &HashMap<JobId, NewCode>) {
        let now = self.shared.clock.monotonic();
        self.shared.state().replace_code(jobs, now);
    }

    /// Ends the attempts that had a deadline, where it has passed. Answers how long until the next one does.
    pub(in crate::shell) fn end_drained(&self) -> Option<Duration> {
        let mut state = self.shared.state();
        if state.drains.is_empty() {
            return None;
        }
        let now = self.shared.clock.monotonic();
        state.end_drained(now);
        state.drains.first_key_value().map(|((until, _), _)| until.saturating_sub(now))
    }
}
