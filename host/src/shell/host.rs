//! The host: the ring put together, started and stopped in order.

use std::{sync::Arc, time::Duration};

use clockjack_schedule::{
    core::{Core, Input},
    ports::{Clock, Executor, Ledger, LedgerError},
};
use tokio::{
    runtime,
    sync::mpsc,
    task::{JoinError, JoinHandle},
};
use tokio_util::sync::CancellationToken;

use super::{
    Bus, Summary,
    dispatcher::{Dispatcher, DispatcherParts},
    recorder::{Counts, ENDED_MAX, Recorder},
    scheduler::{INBOX_MAX, Scheduler},
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
    /// How many runs go on at once.
    pub n_permits: usize,
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

/// A task of the ring, which ends with a failure or at shutdown.
type TaskHandle = JoinHandle<Result<(), LedgerError>>;

/// A running host.
pub struct Host {
    bus: Bus,
    counts: Counts,
    dispatcher: Dispatcher,
    inbox: mpsc::Sender<Vec<Input>>,
    stop: CancellationToken,
    scheduler: TaskHandle,
    recorder: TaskHandle,
}

impl Host {
    /// Starts a host without jobs. Must be called inside a runtime, on which the host's own tasks go on.
    #[must_use]
    pub fn start(parts: HostParts) -> Self {
        let HostParts { clock, ledger, executor, guests, n_permits } = parts;
        let (bus, counts, stop) = (Bus::default(), Counts::default(), CancellationToken::new());
        let (inbox, inputs) = mpsc::channel(INBOX_MAX);
        let (ended, ends) = mpsc::channel(ENDED_MAX);
        let dispatcher = Dispatcher::new(DispatcherParts {
            clock: Arc::clone(&clock),
            executor,
            bus: bus.clone(),
            ended,
            guests,
            n_permits,
        });
        let recorder = Recorder {
            ledger: Arc::clone(&ledger),
            bus: bus.clone(),
            counts: counts.clone(),
            ended: ends,
            inbox: inbox.clone(),
        };
        let scheduler = Scheduler {
            core: Core::default(),
            clock,
            ledger,
            bus: bus.clone(),
            counts: counts.clone(),
            dispatcher: dispatcher.clone(),
            inbox: inputs,
            stop: stop.clone(),
            told_wake: None,
            left_over: Vec::new(),
        };
        let (scheduler, recorder) = spawn(scheduler, recorder);
        Self { bus, counts, dispatcher, inbox, stop, scheduler, recorder }
    }

    /// Where to listen.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.bus
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

    /// Puts inputs into the inbox, in their order. They are dropped when the host has stopped.
    pub async fn send(&self, inputs: Vec<Input>) {
        drop(self.inbox.send(inputs).await);
    }

    /// Waits until the host fails by itself. Cancel-safe; never returns while all is well.
    pub async fn failed(&mut self) -> HostError {
        let ended = tokio::select! {
            ended = &mut self.scheduler => ended,
            ended = &mut self.recorder => ended,
        };
        match ended {
            Ok(Ok(())) => LedgerError::Unavailable("a task of the host ended by itself".to_owned()).into(),
            Ok(Err(error)) => error.into(),
            Err(error) => error.into(),
        }
    }

    /// Stops in order: no more starts, drain for `grace` or until `hurry` is done, then end what still goes on.
    ///
    /// # Errors
    /// When the last rows could not be written.
    pub async fn shut_down(self, grace: Duration, hurry: impl Future<Output = ()>) -> Result<Summary, HostError> {
        let Self { counts, dispatcher, inbox, stop, scheduler, recorder, .. } = self;
        stop.cancel();
        scheduler.await??;
        tokio::select! {
            () = dispatcher.idle() => {}
            () = tokio::time::sleep(grace) => {}
            () = hurry => {}
        }
        dispatcher.interrupt();
        dispatcher.idle().await;
        // With the last dispatcher its end of the recorder's channel goes, and the recorder ends after the last row.
        drop((dispatcher, inbox));
        recorder.await??;
        Ok(counts.read())
    }
}

#[expect(clippy::disallowed_methods, reason = "the two tasks of the ring; shutdown waits for their handles")]
fn spawn(scheduler: Scheduler, recorder: Recorder) -> (TaskHandle, TaskHandle) {
    (tokio::spawn(scheduler.work()), tokio::spawn(recorder.work()))
}
