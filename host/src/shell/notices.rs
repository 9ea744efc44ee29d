//! What a turn of the scheduler tells of jobs and pools: gathered while inputs are entered, told when they are kept.

use std::{collections::BTreeMap, num::NonZeroU32};

use clockjack_schedule::{
    core::{Core, Input},
    id::{JobId, PoolName, RunMap},
    run::{Decision, Start},
};

use super::{Asker, Bus, Event};

/// How many changes of jobs a turn tells one by one. A manifest of a hundred thousand new jobs would drown everything else;
/// that it came is told by `manifest.reloaded`, or by the start of the host.
const JOBS_MAX: u64 = 1_000;

/// Of how many attempts it is remembered that it was told that they wait.
const WAITING_MAX: usize = 100_000;

/// What a turn tells.
#[derive(Debug, Default)]
pub(super) struct News {
    events: Vec<Event>,
    n_jobs: u64,
    /// Nothing of any job starts.
    all_paused: bool,
    /// Who wishes for what is entered next.
    asked: Asked,
    /// The pools, once they are known.
    pools: Option<BTreeMap<PoolName, NonZeroU32>>,
    /// Attempts that were told to wait and found no place in time: that they wait again is no news.
    waiting: RunMap<()>,
}

/// Who wishes that something is paused or goes on.
#[derive(Clone, Debug, Default)]
struct Asked {
    asker: Asker,
    /// It is told also where nothing else changes by it.
    is_news: bool,
}

/// What is known before an input is entered.
#[derive(Debug)]
pub(super) struct Mark {
    /// The job that the input may pause or resume.
    pausing: Option<JobId>,
    /// Who wishes that.
    asked: Asked,
    n_decisions: usize,
    /// The ledger knew the job already.
    pub(super) is_known: bool,
}

impl News {
    /// Notes who wishes for the input that is entered next.
    pub(super) fn asks(&mut self, asker: Asker, is_news: bool) {
        self.asked = Asked { asker, is_news };
    }

    /// Looks at an input before it is entered.
    pub(super) fn mark(&mut self, core: &Core, input: &Input, n_decisions: usize) -> Mark {
        let asked = std::mem::take(&mut self.asked);
        match input {
            Input::PauseAll => {
                let is_new = !std::mem::replace(&mut self.all_paused, true);
                let event = || Event::Paused { asker: asked.asker.clone() };
                self.events.extend((is_new || asked.is_news).then(event));
            }
            Input::ResumeAll { .. } => {
                let is_new = std::mem::replace(&mut self.all_paused, false);
                self.events.extend(is_new.then(|| Event::Resumed { by: asked.asker.by.clone() }));
            }
            _ => {}
        }
        let pausing = match input {
            Input::Pause(job) | Input::Resume { job, .. } => Some(job.clone()),
            Input::Change(job) => {
                let is_other = core.job(&job.id).is_some_and(|known| known.policy.paused != job.policy.paused);
                is_other.then(|| job.id.clone())
            }
            _ => None,
        };
        let is_known = match input {
            Input::Add { past: Some(past), .. } => past.row.state.removed_at.is_none(),
            _ => false,
        };
        Mark { pausing, asked, n_decisions, is_known }
    }

    /// Tells of a job that was paused or resumed by what was just decided.
    pub(super) fn pauses(&mut self, core: &Core, mark: &Mark, decisions: &[Decision]) {
        let Some(job) = &mark.pausing else { return };
        let Asked { asker, is_news } = &mark.asked;
        let new = decisions.get(mark.n_decisions..).unwrap_or_default();
        let paused = new.iter().find_map(|decision| match decision {
            Decision::Job(state) if state.job == *job => Some(state.paused),
            _ => None,
        });
        match paused {
            Some(false) => self.events.push(Event::JobResumed { job: job.clone(), by: asker.by.clone() }),
            None if !*is_news || core.job(job).is_none() => {}
            Some(true) | None => self.events.push(Event::JobPaused { job: job.clone(), asker: asker.clone() }),
        }
    }

    /// Tells of another set of pools. The first is none: it is what the host began with.
    pub(super) fn pools(&mut self, pools: &BTreeMap<PoolName, NonZeroU32>) {
        let Some(known) = self.pools.replace(pools.clone()) else { return };
        let gone = known.iter().filter(|(pool, _)| !pools.contains_key(*pool));
        let gone = gone.map(|(pool, size)| Event::Pool { pool: pool.clone(), before: Some(*size), size: None });
        let new = pools.iter().filter_map(|(pool, size)| {
            let before = known.get(pool).copied();
            (before != Some(*size)).then(|| Event::Pool { pool: pool.clone(), before, size: Some(*size) })
        });
        let events: Vec<_> = gone.chain(new).collect();
        self.events.extend(events);
    }

    /// Tells of a job when the turn is kept. What is more than that is told at once, and not in the journal.
    pub(super) fn of_job(&mut self, bus: &Bus, event: impl FnOnce() -> Event) {
        self.n_jobs += 1;
        if self.n_jobs <= JOBS_MAX {
            self.events.push(event());
        } else if bus.has_listeners() {
            bus.broadcast(event());
        }
    }

    /// The turn is kept: tells what it has to tell.
    pub(super) fn tell(&mut self, bus: &Bus) {
        self.events.drain(..).for_each(|event| bus.publish(event));
        let n_more = std::mem::take(&mut self.n_jobs).saturating_sub(JOBS_MAX);
        if 0 < n_more {
            bus.more_jobs(n_more);
        }
    }

    /// Attempts found no place in time and come again.
    pub(super) fn wait_again(&mut self, stale: &[Start]) {
        if WAITING_MAX < self.waiting.len() {
            self.waiting.clear();
        }
        self.waiting.extend(stale.iter().map(|start| (start.run.id, ())));
    }

    /// Whether it is news that an attempt waits for its place.
    pub(super) fn is_queued_now(&mut self, start: &Start) -> bool {
        self.waiting.remove(&start.run.id).is_none()
    }
}
