//! The host: the ring put together, started and stopped in order.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc, time::Duration};

use chrono::TimeDelta;
use clockjack_schedule::{
    core::{Core, Input},
    id::PoolName,
    job::Job,
    ports::{Clock, Executor, Ledger, LedgerError, Loaded, StateAccess},
};
use tokio::{
    runtime,
    sync::mpsc,
    task::{JoinError, JoinHandle},
};
use tokio_util::sync::CancellationToken;

use super::{
    Bus, Event, Summary,
    books::{Books, FLUSHES_MAX},
    dispatcher::{Dispatcher, DispatcherParts},
    handle::HostHandle,
    journal::Writer,
    keeper::Keeper,
    notices::News,
    pruner::{Jobs, Pruner},
    recorder::{Counts, ENDED_MAX, Recorder},
    scheduler::{INBOX_MAX, Scheduler, pasts},
};

/// What a host is made of.
pub struct HostParts {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The record.
    pub ledger: Arc<dyn Ledger>,
    /// What runs guests.
    pub executor: Arc<dyn Executor>,
    /// Where guests run.
    pub guests: runtime::Handle,
    /// How many runs of each pool go on at once.
    pub pools: BTreeMap<PoolName, NonZeroU32>,
}

/// Why a host stopped working.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The record could not be kept.
    #[error("the ledger failed")]
    Ledger(#[from] LedgerError),
    /// A task of the host panicked.
    #[error("a task of the host failed")]
    Task(#[from] JoinError),
}

/// How far ahead the watermark is at the most where all is well.
const AHEAD_MAX: TimeDelta = TimeDelta::minutes(1);

/// A task of the ring, which ends with a failure or at shutdown.
type TaskHandle = JoinHandle<Result<(), LedgerError>>;

/// A running host.
pub struct Host {
    handle: HostHandle,
    clock: Arc<dyn Clock>,
    counts: Counts,
    dispatcher: Dispatcher,
    ledger: Arc<dyn Ledger>,
    stop: CancellationToken,
    /// Each of the two until its end was seen.
    scheduler: Option<TaskHandle>,
    recorder: Option<TaskHandle>,
    pruner: JoinHandle<()>,
    /// What puts events into the ledger, and what tells it to put the last ones there.
    writer: JoinHandle<()>,
    last_words: CancellationToken,
}

impl Host {
    /// Starts a host without jobs. Must be called inside a runtime, on which the host's own tasks go on.
    #[must_use]
    pub fn start(parts: HostParts) -> Self {
        let HostParts { clock, ledger, executor, guests, pools } = parts;
        let (bus, counts, stop) = (Bus::new(Arc::clone(&clock)), Counts::default(), CancellationToken::new());
        let (inbox, inputs) = mpsc::channel(INBOX_MAX);
        let (ended, ends) = mpsc::channel(ENDED_MAX);
        let (flushes, flushes_asked) = mpsc::channel(FLUSHES_MAX);
        let n_held = Arc::default();
        let states = StateAccess(Arc::new(Books::new(Arc::clone(&ledger), flushes, Arc::clone(&n_held))));
        let parts = DispatcherParts {
            clock: Arc::clone(&clock),
            executor,
            bus: bus.clone(),
            ended,
            states,
            guests: guests.clone(),
        };
        let dispatcher = Dispatcher::new(parts);
        let keeper = Keeper {
            ledger: Arc::clone(&ledger),
            clock: Arc::clone(&clock),
            bus: bus.clone(),
            stop: stop.clone(),
            n_held,
        };
        let jobs = Jobs::default();
        let recorder = Recorder {
            keeper: keeper.clone(),
            bus: bus.clone(),
            counts: counts.clone(),
            jobs: jobs.clone(),
            ended: ends,
            flushes: flushes_asked,
            inbox: inbox.clone(),
        };
        let scheduler = Scheduler {
            core: Core::default(),
            clock: Arc::clone(&clock),
            keeper,
            bus: bus.clone(),
            counts: counts.clone(),
            dispatcher: dispatcher.clone(),
            jobs: jobs.clone(),
            inbox: inputs,
            change: None,
            stop: stop.clone(),
            told_wake: None,
            last_turn: None,
            left_over: vec![Input::Pools(pools)],
            news: News::default(),
        };
        let (in_force, history) = (jobs.in_force.clone(), jobs.history.clone());
        let pruner = Pruner { ledger: Arc::clone(&ledger), clock: Arc::clone(&clock), jobs, stop: stop.clone() };
        let pruner = guests.spawn(pruner.work());
        let (writer, last_words) = keep_events(&bus, &ledger, &guests);
        let (scheduler, recorder) = spawn(scheduler, recorder);
        let (scheduler, recorder) = (Some(scheduler), Some(recorder));
        Self {
            handle: HostHandle::new(bus, inbox, in_force, history),
            clock,
            counts,
            dispatcher,
            ledger,
            stop,
            scheduler,
            recorder,
            pruner,
            writer,
            last_words,
        }
    }

    /// Takes the jobs of a manifest in with what the ledger knows of them, at the start of a host.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn take_in(&self, jobs: Vec<Arc<Job>>) -> Result<(), LedgerError> {
        let loaded = self.ledger.load().await?;
        if let Some(until) = loaded.watermark.filter(|until| self.clock.now() + AHEAD_MAX < *until) {
            self.bus().publish(Event::WatermarkAhead { until });
        }
        self.handle.send(with_their_past(jobs, loaded)).await;
        Ok(())
    }

    /// What others reach the host through.
    #[must_use]
    pub fn handle(&self) -> HostHandle {
        self.handle.clone()
    }

    /// Where to listen.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        self.handle.bus()
    }

    /// What happened so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.counts.read()
    }

    /// How many runs go on or wait for a permit.
    #[must_use]
    pub fn n_unfinished(&self) -> usize {
        self.dispatcher.n_unfinished()
    }

    /// How many runs have ended.
    #[must_use]
    pub fn n_finished(&self) -> usize {
        self.counts.n_finished()
    }

    /// Waits until the host fails by itself. Cancel-safe; never returns while all is well.
    pub async fn failed(&mut self) -> HostError {
        let ended = tokio::select! {
            ended = end_of(&mut self.scheduler) => ended,
            ended = end_of(&mut self.recorder) => ended,
        };
        match ended {
            Ok(()) => LedgerError::Failed("a task of the host ended by itself".to_owned()).into(),
            Err(error) => error,
        }
    }

    /// Stops in order: no more starts, drain for `grace` or until `hurry` is done, then end what still goes on, and close
    /// the ledger.
    ///
    /// # Errors
    /// When the last rows could not be written. What goes on gets its time all the same.
    pub async fn shut_down(self, grace: Duration, hurry: impl Future<Output = ()>) -> Result<Summary, HostError> {
        self.drain(grace, hurry).await.close().await
    }

    /// The first part of [`Host::shut_down`]: no more starts, drain for `grace` or until `hurry` is done, then end what still
    /// goes on. What was kept can be read until the second part, [`Drained::close`].
    pub async fn drain(self, grace: Duration, hurry: impl Future<Output = ()>) -> Drained {
        let Self {
            handle,
            counts,
            dispatcher,
            ledger,
            stop,
            mut scheduler,
            mut recorder,
            pruner,
            writer,
            last_words,
            ..
        } = self;
        let bus = handle.bus().clone();
        bus.publish(Event::Stopping { n_unfinished: dispatcher.n_unfinished() });
        stop.cancel();
        let scheduled = if scheduler.is_some() { end_of(&mut scheduler).await } else { Ok(()) };
        // Where the scheduler failed before, nobody has told the dispatcher yet.
        drop(dispatcher.drain());
        tokio::select! {
            () = dispatcher.idle() => {}
            () = tokio::time::sleep(grace) => {}
            () = hurry => {}
        }
        dispatcher.interrupt();
        dispatcher.idle().await;
        // With the last dispatcher its end of the recorder's channel goes, and the recorder ends after the last row.
        drop((dispatcher, handle));
        let recorded = if recorder.is_some() { end_of(&mut recorder).await } else { Ok(()) };
        drop(pruner.await);
        let ended = scheduled.and(recorded);
        if ended.is_ok() {
            // Who follows what happens has seen everything.
            bus.publish(Event::Stopped);
        }
        Drained { counts, ledger, writer, last_words, ended }
    }
}

/// A host of which nothing goes on any more.
pub struct Drained {
    counts: Counts,
    ledger: Arc<dyn Ledger>,
    writer: JoinHandle<()>,
    last_words: CancellationToken,
    ended: Result<(), HostError>,
}

impl Drained {
    /// Closes the ledger. Nobody may read it any more.
    ///
    /// # Errors
    /// When the last rows could not be written.
    pub async fn close(self) -> Result<Summary, HostError> {
        let Self { counts, ledger, writer, last_words, ended } = self;
        last_words.cancel();
        drop(writer.await);
        ended?;
        ledger.close().await?;
        Ok(counts.read())
    }
}

/// Begins to keep what is told, and answers with what asks for the last of it.
fn keep_events(bus: &Bus, ledger: &Arc<dyn Ledger>, guests: &runtime::Handle) -> (JoinHandle<()>, CancellationToken) {
    bus.publish(Event::Started);
    let last_words = CancellationToken::new();
    let writer = Writer::new(bus.journal().clone(), Arc::clone(ledger), last_words.clone());
    (guests.spawn(writer.work()), last_words)
}

/// Waits for the end of a task; for ever where it has been seen already. Cancel-safe.
async fn end_of(task: &mut Option<TaskHandle>) -> Result<(), HostError> {
    let Some(handle) = task.as_mut() else { return std::future::pending().await };
    let ended = handle.await;
    *task = None;
    Ok(ended??)
}

/// The inputs that take jobs in with what the ledger knows of them. What it knows beside them is forgotten, but for its
/// history.
fn with_their_past(jobs: Vec<Arc<Job>>, loaded: Loaded) -> Vec<Input> {
    let mut pasts = pasts(loaded);
    let adds = jobs.into_iter().map(|job| {
        let past = pasts.remove(&job.id);
        Input::Add { job, past }
    });
    let mut inputs: Vec<_> = adds.collect();
    inputs.extend(pasts.into_values().map(Input::Forget));
    inputs
}

#[expect(clippy::disallowed_methods, reason = "the two tasks of the ring; shutdown waits for their handles")]
fn spawn(scheduler: Scheduler, recorder: Recorder) -> (TaskHandle, TaskHandle) {
    (tokio::spawn(scheduler.work()), tokio::spawn(recorder.work()))
}
