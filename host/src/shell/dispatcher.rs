//! The dispatcher: runs what the core started, as many of a pool at once as it has places.
//!
//! What was claimed ahead waits in the queue of its pool; a worker takes the next attempt as soon as it has ended one, so
//! a burst needs no round trip through the core for each. Guests live on a runtime of their own: however busy they are,
//! the trigger loop gets its turn.
//!
//! A worker first asks the executor for leave, which may take as long as other runs do. Until it has leave the attempt has
//! not begun: it is given back like those in the queue where the host stops, or where it has become too late meanwhile.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    core::POOL_SIZE,
    id::{PoolName, RunId, RunMap},
    job::RetryOn,
    outcome::{Again, Outcome, OutcomeCode},
    ports::{Admission, Attempt, Clock, Executor, Finish, Live, Report, StateAccess},
    retry,
    run::{CancelReason, Run, Start},
    stop::Stop,
};
use tokio::{
    runtime,
    sync::mpsc::{self, error::SendError},
};
use tokio_util::task::TaskTracker;

use self::reload::Drain;
use super::{Bus, Event, crash::crash_point, recorder::Ended};

pub(super) mod reload;

/// How long an attempt that was claimed ahead may wait for its place.
pub(super) const STALE_AFTER: Duration = Duration::from_millis(200);

/// From when on it is told that an attempt waits for leave. It keeps its turn among those that wait: given back to the
/// core it would come behind smaller ones, again and again.
const HELD_AFTER: Duration = Duration::from_secs(1);

/// Runs attempts, as many of a pool at once as it has places. Clones are the same dispatcher.
#[derive(Clone)]
pub(super) struct Dispatcher {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    executor: Arc<dyn Executor>,
    bus: Bus,
    live: Live,
    ended: mpsc::Sender<Ended>,
    states: StateAccess,
    guests: runtime::Handle,
    workers: TaskTracker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pools: HashMap<PoolName, Pool>,
    going: RunMap<Going>,
    /// Those of them that have not begun, because they ask for leave, in the order in which they asked. By tickets and not
    /// by their runs: what was given back may come again before its first worker has noticed.
    asking: BTreeMap<u64, Start>,
    /// The attempts that go on until an instant at the most, by that and their tickets.
    drains: BTreeMap<(Duration, u64), Drain>,
    n_tickets: u64,
    stopping: bool,
}

struct Pool {
    size: usize,
    /// What was claimed ahead, with when it came.
    waiting: VecDeque<(Duration, Start)>,
    n_workers: usize,
}

impl Default for Pool {
    fn default() -> Self {
        Self { size: usize::try_from(POOL_SIZE).unwrap_or(1), waiting: VecDeque::new(), n_workers: 0 }
    }
}

impl State {
    /// Takes the next attempt of a pool, or counts a worker less.
    fn next(&mut self, name: &PoolName) -> Option<Begin> {
        let pool = self.pools.get_mut(name)?;
        // Where a pool was made smaller, workers go before the queue does.
        let waiting = if pool.n_workers <= pool.size { pool.waiting.pop_front() } else { None };
        let Some((_, start)) = waiting else {
            pool.n_workers -= 1;
            return None;
        };
        let ticket = self.n_tickets;
        self.n_tickets += 1;
        let going = Going::new(Arc::clone(&start.run), ticket);
        let (stop, generation) = (going.stop.clone(), Arc::clone(&going.generation));
        self.going.insert(start.run.id, going);
        self.asking.insert(ticket, start.clone());
        Some(Begin { start, stop, ticket, generation })
    }

    /// Takes attempts back that ask for leave. Their workers notice when they are answered. Whatever was cancelled ends
    /// as that.
    fn take_asking(&mut self, is_wanted: impl Fn(&Start) -> bool) -> Vec<Start> {
        let Self { going, asking, .. } = self;
        let is_cancelled = |run: &RunId| going.get(run).is_some_and(|going| going.ending.is_some());
        let taken: Vec<Start> = asking
            .extract_if(.., |_, start| is_wanted(start) && !is_cancelled(&start.run.id))
            .map(|(_, start)| start)
            .collect();
        for start in &taken {
            if let Some(Going { stop, .. }) = going.remove(&start.run.id) {
                stop.request();
            }
        }
        taken
    }
}

/// An attempt that begins.
struct Begin {
    start: Start,
    stop: Stop,
    ticket: u64,
    generation: Arc<OnceLock<u32>>,
}

/// An attempt that goes on, or asks for leave to.
struct Going {
    run: Arc<Run>,
    ticket: u64,
    stop: Stop,
    /// Which generation of its plugin it runs, from the moment at which it has chosen its code.
    generation: Arc<OnceLock<u32>>,
    ending: Option<Ending>,
    /// It has a deadline, because it runs code that is replaced.
    is_draining: bool,
}

/// Why an attempt is to end before it is done.
#[derive(Clone, Copy)]
enum Ending {
    /// Its run ends with it.
    Cancelled(CancelReason),
    /// Another attempt follows at once, on other code.
    Replaced,
}

impl Going {
    fn new(run: Arc<Run>, ticket: u64) -> Self {
        let (stop, generation) = (Stop::default(), Arc::default());
        Self { run, ticket, stop, generation, ending: None, is_draining: false }
    }

    /// Asks for the end. The end of a run stays that, whatever is wished for its attempt.
    fn end(&mut self, ending: Ending) {
        if !matches!((self.ending, ending), (Some(Ending::Cancelled(_)), Ending::Replaced)) {
            self.ending = Some(ending);
        }
        self.stop.request();
    }
}

const REPLACED: &str = "its plugin was replaced, and it is tried again on the new code (`on_reload: replace`)";

pub(super) struct DispatcherParts {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) bus: Bus,
    pub(super) ended: mpsc::Sender<Ended>,
    pub(super) states: StateAccess,
    pub(super) guests: runtime::Handle,
}

impl Dispatcher {
    pub(super) fn new(parts: DispatcherParts) -> Self {
        let DispatcherParts { clock, executor, bus, ended, states, guests } = parts;
        let (workers, state) = (TaskTracker::new(), Mutex::default());
        let live = Live(Some(Arc::new(bus.live().clone())));
        Self { shared: Arc::new(Shared { clock, executor, bus, live, ended, states, guests, workers, state }) }
    }

    /// Gives pools their sizes. Runs that go on, go on.
    pub(super) fn resize(&self, sizes: &BTreeMap<PoolName, NonZeroU32>) {
        let mut state = self.shared.state();
        for (name, size) in sizes {
            let size = usize::try_from(size.get()).unwrap_or(usize::MAX);
            state.pools.entry(name.clone()).or_default().size = size;
        }
    }

    /// Takes attempts over that the core started. They begin at once where there are places, in their order where they
    /// were claimed ahead.
    pub(super) fn submit(&self, starts: Vec<Start>) {
        let now = self.shared.clock.monotonic();
        let mut state = self.shared.state();
        for start in starts {
            // Most are of a pool that is known already; a clone of its name would be thrown away.
            let pool = match state.pools.get_mut(&start.job.pool) {
                Some(pool) => pool,
                None => state.pools.entry(start.job.pool.clone()).or_default(),
            };
            pool.waiting.push_back((now, start));
        }
        drop(state);
        Shared::employ(&self.shared);
    }

    /// Ends a run that goes on, or that was claimed and has not begun, or that never came here.
    pub(super) fn cancel(&self, run: RunId, reason: CancelReason) {
        let mut state = self.shared.state();
        if let Some(going) = state.going.get_mut(&run) {
            return going.end(Ending::Cancelled(reason));
        }
        let taken = state.pools.values_mut().find_map(|pool| {
            let place = pool.waiting.iter().position(|(_, waiting)| waiting.run.id == run)?;
            pool.waiting.remove(place)
        });
        drop(state);
        if let Some((_, start)) = taken {
            let outcome = Outcome::ended(OutcomeCode::Cancelled, reason.to_string());
            self.shared.tell(Shared::never_began(start, outcome, self.shared.clock.now()));
        }
    }

    /// How many runs go on, or are about to.
    pub(super) fn n_unfinished(&self) -> usize {
        let state = self.shared.state();
        state.going.len() + state.pools.values().map(|pool| pool.waiting.len()).sum::<usize>()
    }

    /// Begins nothing more, and gives back what was claimed and has not begun. Runs that go on, go on.
    pub(super) fn drain(&self) -> Vec<Start> {
        let mut state = self.shared.state();
        state.stopping = true;
        let mut given_back = state.take_asking(|_| true);
        let waiting = state.pools.values_mut().flat_map(|pool| std::mem::take(&mut pool.waiting));
        given_back.extend(waiting.map(|(_, start)| start));
        drop(state);
        self.shared.workers.close();
        given_back
    }

    /// Whether anything was claimed ahead and has not begun.
    pub(super) fn has_waiting(&self) -> bool {
        let state = self.shared.state();
        !state.asking.is_empty() || state.pools.values().any(|pool| !pool.waiting.is_empty())
    }

    /// Takes back what was claimed ahead and found no place in time, because longer runs came into its way, and what has
    /// become too late while it asked for leave.
    pub(super) fn take_stale(&self, is_too_late: impl Fn(&Start) -> bool) -> Vec<Start> {
        let now = self.shared.clock.monotonic();
        let mut state = self.shared.state();
        let mut stale = state.take_asking(is_too_late);
        for pool in state.pools.values_mut() {
            let is_stale = |(since, _): &mut (Duration, _)| STALE_AFTER <= now.saturating_sub(*since);
            while let Some((_, start)) = pool.waiting.pop_front_if(is_stale) {
                stale.push(start);
            }
        }
        stale
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

    /// Spawns as many workers as there are attempts that wait and places that are free.
    fn employ(shared: &Arc<Self>) {
        let mut new = Vec::new();
        for (name, pool) in &mut shared.state().pools {
            let n_new = pool.waiting.len().min(pool.size.saturating_sub(pool.n_workers));
            pool.n_workers += n_new;
            new.extend((0..n_new).map(|_| name.clone()));
        }
        for pool in new {
            shared.workers.spawn_on(Arc::clone(shared).work(pool), &shared.guests);
        }
    }

    /// One worker: runs what waits until nothing does.
    async fn work(self: Arc<Self>, pool: PoolName) {
        let mut next = self.state().next(&pool);
        while let Some(begin) = next {
            let (start, ticket) = (Some(begin.start.clone()), begin.ticket);
            let mut watch = Watch { shared: &self, pool: &pool, start, ticket };
            let ended = self.attempt(begin).await;
            watch.start = None;
            // One look at the shared state ends a run and begins the next.
            next = {
                let mut state = self.state();
                if let Some(ended) = &ended {
                    state.going.remove(&ended.start.run.id);
                }
                state.next(&pool)
            };
            if let Some(ended) = ended {
                // The channel's bound is the brake: guests wait for the ledger, not the other way round.
                self.hand_over(ended).await;
            }
        }
    }

    async fn hand_over(&self, ended: Ended) {
        if let Err(SendError(Ended { start, finish })) = self.ended.send(ended).await {
            let (run, outcome) = (start.run.id.to_string(), finish.report.outcome.code.as_str());
            tracing::warn!(job = start.run.job.as_str(), run, outcome, "the end of this run could not be recorded");
        }
    }

    /// Runs an attempt to its end. None where it was given back before it began.
    async fn attempt(&self, begin: Begin) -> Option<Ended> {
        let Begin { start, stop, ticket, generation } = begin;
        let run = &start.run;
        crash_point!("dispatcher::before_attempt");
        // Held until the attempt has ended; its clock starts when it has what it needs.
        let admission = self.leave(&start, &stop).await;
        self.state().asking.remove(&ticket)?;
        let Some(_admission) = admission else {
            let mut report = Report::without_guest(Outcome::ended(OutcomeCode::Cancelled, "the run was cancelled"));
            self.name_the_reason(run.id, &mut report);
            return Some(Self::never_began(start, report.outcome, self.clock.now()));
        };
        let (started_at, began) = (self.clock.now(), self.clock.monotonic());
        let attempt = Attempt {
            run: Arc::clone(run),
            number: start.attempt,
            number_max: retry::attempts_max(&start.job.policy, start.n_interrupted),
            started_at,
            last_success: start.last_success,
            stop,
            states: self.states.clone(),
            code: start.code.clone(),
            generation: Arc::clone(&generation),
            live: self.live.clone(),
        };
        let execution = self.executor.execute(attempt);
        let generation = generation.get().copied();
        self.bus.publish(Event::RunStarted { run: Arc::clone(run), attempt: start.attempt, generation });
        let mut report = execution.await;
        crash_point!("dispatcher::after_attempt");
        let duration = self.clock.monotonic().saturating_sub(began);
        if start.job.policy.retry_on == RetryOn::Latest || report.outcome.code.is_success() {
            // Old code is freed as soon as nothing runs it, and here, where that keeps nobody else waiting.
            report.code = None;
        }
        match report.outcome.code {
            OutcomeCode::Cancelled => self.name_the_reason(run.id, &mut report),
            // That it was cut says nobody but the host.
            OutcomeCode::Interrupted => report.outcome.again = Again::default(),
            _ => {}
        }
        let finish = Finish {
            run: run.id,
            job: run.job.clone(),
            started_at: Some(started_at),
            finished_at: self.clock.now(),
            duration,
            n_attempts: start.attempt,
            report,
            state: None,
        };
        Some(Ended { start, finish })
    }

    /// Waits for the executor's leave, and tells of it where that takes long.
    async fn leave(&self, start: &Start, stop: &Stop) -> Option<Admission> {
        let mut leave = self.executor.admit(&start.run.job, stop);
        if let Ok(leave) = tokio::time::timeout(HELD_AFTER, &mut leave).await {
            return leave;
        }
        let memory_bytes = start.job.limits.memory_bytes_max;
        self.bus.publish(Event::RunHeld { run: Arc::clone(&start.run), memory_bytes });
        leave.await
    }

    /// The executor knows only that it was stopped; here it is known why.
    fn name_the_reason(&self, run: RunId, report: &mut Report) {
        let state = self.state();
        let ending = state.going.get(&run).and_then(|going| going.ending);
        report.outcome = match ending {
            Some(Ending::Replaced) => Outcome::replaced(REPLACED),
            Some(Ending::Cancelled(reason)) => Outcome::ended(OutcomeCode::Cancelled, reason.to_string()),
            None if state.stopping => {
                Outcome::ended(OutcomeCode::Interrupted, "the host stopped before the run had ended")
            }
            None => return,
        };
    }

    fn never_began(start: Start, outcome: Outcome, now: DateTime<Utc>) -> Ended {
        let finish = Finish {
            run: start.run.id,
            job: start.run.job.clone(),
            started_at: None,
            finished_at: now,
            duration: Duration::ZERO,
            n_attempts: start.attempt,
            report: Report::without_guest(outcome),
            state: None,
        };
        Ended { start, finish }
    }

    /// Tells the recorder from where nothing can wait.
    fn tell(self: &Arc<Self>, ended: Ended) {
        let shared = Arc::clone(self);
        self.workers.spawn_on(async move { shared.hand_over(ended).await }, &self.guests);
    }
}

/// Sees to it that a run ends even where the host's own code panics: such a run has failed, and says so. It is not
/// tried again: what made the host panic once would do so again.
struct Watch<'w> {
    shared: &'w Arc<Shared>,
    pool: &'w PoolName,
    start: Option<Start>,
    ticket: u64,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let Some(start) = self.start.take() else { return };
        let mut state = self.shared.state();
        state.pools.entry(self.pool.clone()).and_modify(|pool| pool.n_workers -= 1);
        state.going.remove(&start.run.id);
        state.asking.remove(&self.ticket);
        drop(state);
        let outcome = Outcome {
            again: Again::Never,
            ..Outcome::ended(OutcomeCode::Failed, "the host itself failed while it ran this; please report it")
        };
        self.shared.tell(Shared::never_began(start, outcome, self.shared.clock.now()));
        // The worker is gone; what waits gets another one.
        Shared::employ(self.shared);
    }
}
