//! The dispatcher: runs what the core started, as many at once as there are permits.
//!
//! Runs wait in one queue; a worker takes the next one as soon as it has ended one, so a burst needs no round trip
//! through the core. Guests live on a runtime of their own: however busy they are, the trigger loop gets its turn.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::{JobId, RunId, RunMap},
    outcome::{Outcome, OutcomeCode},
    ports::{Attempt, Clock, Executor, Finish, Report},
    run::{CancelReason, Run},
    stop::Stop,
};
use tokio::{runtime, sync::mpsc};
use tokio_util::task::TaskTracker;

use super::{Bus, Event, recorder::Ended};

/// How many runs may wait for a permit: a burst of a hundred thousand slots, at 8 bytes each.
const WAITING_MAX: usize = 100_000;

/// Runs attempts, as many at once as there are permits. Clones are the same dispatcher.
#[derive(Clone)]
pub(super) struct Dispatcher {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    executor: Arc<dyn Executor>,
    bus: Bus,
    ended: mpsc::Sender<Ended>,
    guests: runtime::Handle,
    workers: TaskTracker,
    n_permits: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<Run>>,
    n_workers: usize,
    going: RunMap<Going>,
    last_success: HashMap<JobId, DateTime<Utc>>,
    stopping: bool,
}

impl State {
    /// Takes the next run, or counts a worker less.
    fn next(&mut self) -> Option<Begin> {
        let Some(run) = self.waiting.pop_front() else {
            self.n_workers -= 1;
            return None;
        };
        let stop = Stop::default();
        self.going.insert(run.id, Going { stop: stop.clone(), cancelled: None });
        let last_success = self.last_success.get(&run.job).copied();
        Some(Begin { run, stop, last_success })
    }

    fn settle(&mut self, ended: &Ended) {
        self.going.remove(&ended.run.id);
        if ended.finish.report.outcome.code == OutcomeCode::Succeeded {
            let slot = ended.run.scheduled_for;
            match self.last_success.get_mut(&ended.run.job) {
                Some(newest) => *newest = slot.max(*newest),
                None => {
                    self.last_success.insert(ended.run.job.clone(), slot);
                }
            }
        }
    }
}

/// A run that begins.
struct Begin {
    run: Arc<Run>,
    stop: Stop,
    last_success: Option<DateTime<Utc>>,
}

struct Going {
    stop: Stop,
    cancelled: Option<CancelReason>,
}

pub(super) struct DispatcherParts {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) bus: Bus,
    pub(super) ended: mpsc::Sender<Ended>,
    pub(super) guests: runtime::Handle,
    pub(super) n_permits: usize,
}

impl Dispatcher {
    pub(super) fn new(parts: DispatcherParts) -> Self {
        let DispatcherParts { clock, executor, bus, ended, guests, n_permits } = parts;
        let (workers, state) = (TaskTracker::new(), Mutex::default());
        Self { shared: Arc::new(Shared { clock, executor, bus, ended, guests, workers, n_permits, state }) }
    }

    /// Takes runs over. They begin at once where there are permits, in their order where there are not. Gives back those
    /// for which there is no place.
    #[must_use]
    pub(super) fn submit(&self, mut runs: Vec<Arc<Run>>) -> Vec<Arc<Run>> {
        let overflow = {
            let mut state = self.shared.state();
            let n_places = WAITING_MAX.saturating_sub(state.waiting.len()).min(runs.len());
            let overflow = runs.split_off(n_places);
            state.waiting.extend(runs);
            overflow
        };
        Shared::employ(&self.shared);
        overflow
    }

    /// Ends a run that goes on, or that waits for a permit, or that never came here.
    pub(super) fn cancel(&self, run: RunId, reason: CancelReason) {
        let mut state = self.shared.state();
        if let Some(going) = state.going.get_mut(&run) {
            going.cancelled = Some(reason);
            going.stop.request();
            return;
        }
        let place = state.waiting.iter().position(|waiting| waiting.id == run);
        let waiting = place.and_then(|place| state.waiting.remove(place));
        drop(state);
        if let Some(run) = waiting {
            let outcome = Outcome::ended(OutcomeCode::Cancelled, reason.to_string());
            self.shared.tell(Shared::never_began(run, outcome, self.shared.clock.now()));
        }
    }

    /// How many runs go on or wait.
    pub(super) fn n_unfinished(&self) -> usize {
        let state = self.shared.state();
        state.going.len() + state.waiting.len()
    }

    /// Begins nothing more; runs that wait here for a permit, and those that waited elsewhere, end as interrupted. Runs
    /// that go on, go on.
    pub(super) fn drain(&self, waited: Vec<Arc<Run>>) {
        let waiting = {
            let mut state = self.shared.state();
            state.stopping = true;
            std::mem::take(&mut state.waiting)
        };
        for run in waiting.into_iter().chain(waited) {
            let outcome = Outcome::ended(OutcomeCode::Interrupted, "the host stopped before the run began");
            self.shared.tell(Shared::never_began(run, outcome, self.shared.clock.now()));
        }
        self.shared.workers.close();
    }

    /// Waits until no run goes on.
    pub(super) async fn idle(&self) {
        self.shared.workers.wait().await;
    }

    /// Ends every run that goes on.
    pub(super) fn interrupt(&self) {
        self.shared.state().going.values().for_each(|going| going.stop.request());
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Spawns as many workers as there are runs that wait and permits that are free.
    fn employ(shared: &Arc<Self>) {
        let n_new = {
            let mut state = shared.state();
            let n_new = state.waiting.len().min(shared.n_permits.saturating_sub(state.n_workers));
            state.n_workers += n_new;
            n_new
        };
        for _ in 0..n_new {
            shared.workers.spawn_on(Arc::clone(shared).work(), &shared.guests);
        }
    }

    /// One worker: runs what waits until nothing does.
    async fn work(self: Arc<Self>) {
        let mut next = self.state().next();
        while let Some(begin) = next {
            let mut watch = Watch { shared: &self, run: Some(Arc::clone(&begin.run)) };
            let ended = self.attempt(begin).await;
            watch.run = None;
            // One look at the shared state ends a run and begins the next.
            next = {
                let mut state = self.state();
                state.settle(&ended);
                state.next()
            };
            // The channel's bound is the brake: guests wait for the ledger, not the other way round.
            drop(self.ended.send(ended).await);
        }
    }

    async fn attempt(&self, begin: Begin) -> Ended {
        let Begin { run, stop, last_success } = begin;
        let (started_at, began) = (self.clock.now(), self.clock.monotonic());
        self.bus.publish(Event::RunStarted(Arc::clone(&run)));
        let attempt = Attempt { run: Arc::clone(&run), number: 1, number_max: 1, started_at, last_success, stop };
        let mut report = self.executor.execute(attempt).await;
        let duration = self.clock.monotonic().saturating_sub(began);
        if report.outcome.code == OutcomeCode::Cancelled {
            self.name_the_reason(run.id, &mut report);
        }
        let finished_at = self.clock.now();
        let finish = Finish {
            run: run.id,
            job: run.job.clone(),
            started_at: Some(started_at),
            finished_at,
            duration,
            n_attempts: 1,
            report,
        };
        Ended { run, finish }
    }

    /// The executor knows only that it was stopped; here it is known why.
    fn name_the_reason(&self, run: RunId, report: &mut Report) {
        let state = self.state();
        let cancelled = state.going.get(&run).and_then(|going| going.cancelled);
        report.outcome = match cancelled {
            Some(reason) => Outcome::ended(OutcomeCode::Cancelled, reason.to_string()),
            None if state.stopping => {
                Outcome::ended(OutcomeCode::Interrupted, "the host stopped before the run had ended")
            }
            None => return,
        };
    }

    fn never_began(run: Arc<Run>, outcome: Outcome, now: DateTime<Utc>) -> Ended {
        let finish = Finish {
            run: run.id,
            job: run.job.clone(),
            started_at: None,
            finished_at: now,
            duration: Duration::ZERO,
            n_attempts: 0,
            report: Report::without_guest(outcome),
        };
        Ended { run, finish }
    }

    /// Tells the recorder from where nothing can wait.
    fn tell(&self, ended: Ended) {
        let channel = self.ended.clone();
        self.workers.spawn_on(async move { drop(channel.send(ended).await) }, &self.guests);
    }
}

/// Sees to it that a run ends even where the host's own code panics: such a run is interrupted, and says so.
struct Watch<'w> {
    shared: &'w Arc<Shared>,
    run: Option<Arc<Run>>,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let Some(run) = self.run.take() else { return };
        let mut state = self.shared.state();
        state.n_workers -= 1;
        state.going.remove(&run.id);
        drop(state);
        let outcome = Outcome::ended(OutcomeCode::Interrupted, "the host failed while it ran this; please report it");
        self.shared.tell(Shared::never_began(run, outcome, self.shared.clock.now()));
        // The worker is gone; what waits gets another one.
        Shared::employ(self.shared);
    }
}
