//! What happens, as a program hears it: the bus of the host in types of its own.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use clockjack_schedule::{
    id::{JobId, RunId},
    outcome::OutcomeCode,
    run::Cut,
};
use futures_util::stream::{self, Stream};
use tokio::sync::{
    broadcast::{self, error::RecvError},
    watch,
};

use crate::shell;
pub use crate::shell::Asker;

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A job came in.
    JobAdded {
        /// Which.
        job: JobId,
        /// Its next slot.
        next: Option<DateTime<Utc>>,
    },
    /// A job has another definition.
    JobChanged {
        /// Which.
        job: JobId,
        /// Its next slot.
        next: Option<DateTime<Utc>>,
    },
    /// A job is gone; its history stays.
    JobRemoved {
        /// Which.
        job: JobId,
    },
    /// Nothing of a job starts until it is resumed.
    JobPaused {
        /// Which.
        job: JobId,
        /// Why, and who asked for it.
        asker: Asker,
    },
    /// A paused job goes on.
    JobResumed {
        /// Which.
        job: JobId,
        /// Who asked for it, where that is known.
        by: Option<Arc<str>>,
    },
    /// An attempt of a run is due, and waits for its place.
    RunQueued {
        /// Whose.
        job: JobId,
        /// Which run.
        run: RunId,
        /// Its slot.
        scheduled_for: DateTime<Utc>,
        /// Which attempt, counted from 1.
        attempt: u32,
    },
    /// A run has its place and waits until others give back the memory that it needs.
    RunHeld {
        /// Whose.
        job: JobId,
        /// Which run.
        run: RunId,
        /// How much it needs.
        memory_bytes: u64,
    },
    /// An attempt of a run began.
    RunStarted {
        /// Whose.
        job: JobId,
        /// Which run.
        run: RunId,
        /// Its slot.
        scheduled_for: DateTime<Utc>,
        /// Which attempt, counted from 1.
        attempt: u32,
    },
    /// A run says how far it is: the newest twice a second, and the last one of each attempt.
    RunProgress {
        /// Whose.
        job: JobId,
        /// Which run.
        run: RunId,
        /// Which attempt, counted from 1.
        attempt: u32,
        /// How much is done.
        done: u64,
        /// Of how much, where that is known.
        total: Option<u64>,
        /// In words of the job.
        message: Arc<str>,
    },
    /// An attempt failed, or a crash or a stop cut it, and another one follows.
    RunRetrying {
        /// Whose.
        job: JobId,
        /// Which run.
        run: RunId,
        /// How the attempt ended.
        outcome: OutcomeCode,
        /// Why.
        message: String,
        /// When the next one is due.
        retry_at: DateTime<Utc>,
    },
    /// A run has ended, and the ledger says so. Those are among them that a crash cut for good: they are told when the next
    /// scheduler starts, see [`Scheduler::events_since_start`](super::Scheduler::events_since_start).
    RunFinished {
        /// Whose.
        job: JobId,
        /// Which run.
        run: RunId,
        /// Its slot.
        scheduled_for: DateTime<Utc>,
        /// How it ended.
        outcome: OutcomeCode,
        /// Why; empty on success.
        message: String,
        /// What it gave back.
        output: Option<Arc<serde_json::Value>>,
        /// How long its last attempt took; zero where nobody saw it end.
        duration: Duration,
        /// How many attempts there were.
        attempts: u32,
    },
    /// Slots became no run.
    Skipped {
        /// Whose.
        job: JobId,
        /// Why: `misfired`, `coalesced`, `overlapping`, `paused`, `removed`, `cancelled`, `overloaded`.
        reason: &'static str,
        /// The first slot.
        first: DateTime<Utc>,
        /// The last slot.
        last: DateTime<Utc>,
        /// How many.
        count: u64,
    },
    /// Something happened to a plugin: it runs other code, its new file is refused or held.
    Plugin {
        /// Which.
        plugin: String,
        /// What, as `clockjack events` names it.
        what: &'static str,
        /// The generation that runs from now on.
        generation: u32,
        /// Why.
        reason: String,
    },
    /// The manifest was read again.
    ManifestRead {
        /// Why it is not in force, where it is not.
        refused: Option<String>,
    },
    /// Nothing of any job starts until all are resumed.
    SchedulerPaused {
        /// Why, and who asked for it.
        asker: Asker,
    },
    /// Jobs start again.
    SchedulerResumed {
        /// Who asked for it, where that is known.
        by: Option<Arc<str>>,
    },
    /// The scheduler starts nothing more.
    SchedulerStopping {
        /// How many runs go on or wait for a place.
        n_unfinished: usize,
    },
    /// The scheduler has ended in good order: every row is written.
    SchedulerStopped,
    /// A pool came, went or has another size.
    PoolChanged {
        /// Which.
        pool: String,
        /// How many of its runs go on at once from now on; none where it is gone.
        size: Option<NonZeroU32>,
    },
    /// The wall clock was set, or the machine slept.
    ClockStepped {
        /// How far the clock is ahead of where it should be; negative where it was set back.
        by: TimeDelta,
    },
    /// Every slot until then is decided: the clock was ahead when that was done, or is behind now.
    WatermarkAhead {
        /// Until when.
        until: DateTime<Utc>,
    },
    /// A commit of the ledger took long.
    LedgerSlow {
        /// How long.
        took: Duration,
    },
    /// The ledger cannot be written; nothing new starts until it can.
    LedgerHeld {
        /// Why.
        why: String,
    },
    /// The ledger can be written again.
    LedgerBack {
        /// After how long.
        after: Duration,
    },
    /// The listener was too slow, and so many events are lost to it. What became of runs is in the ledger.
    Lagged(u64),
}

/// Events from the moment on at which it was asked for. A listener that is too slow loses some ([`Event::Lagged`]) and
/// never slows a run.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<shell::Event>,
    /// Closed when the scheduler has ended; the program may hold on to it for longer.
    failure: watch::Receiver<Option<String>>,
}

impl Events {
    pub(super) fn new(receiver: broadcast::Receiver<shell::Event>, failure: watch::Receiver<Option<String>>) -> Self {
        Self { receiver, failure }
    }

    async fn receive(&mut self) -> Result<shell::Event, RecvError> {
        tokio::select! {
            biased;
            event = self.receiver.recv() => event,
            () = ended(&mut self.failure) => Err(RecvError::Closed),
        }
    }

    /// The next event; none when the scheduler has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.receive().await {
                Ok(event) => {
                    if let Some(event) = of(event) {
                        return Some(event);
                    }
                }
                Err(RecvError::Lagged(n_lost)) => return Some(Event::Lagged(n_lost)),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// The same as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Event> + Send {
        stream::unfold(self, |mut events| async move {
            let event = events.next().await?;
            Some((event, events))
        })
    }
}

/// An event of the bus as programs have it. Some are for the log only.
async fn ended(failure: &mut watch::Receiver<Option<String>>) {
    while failure.changed().await.is_ok() {}
}

fn of(event: shell::Event) -> Option<Event> {
    match event {
        shell::Event::JobAdded { job, next, .. } => Some(Event::JobAdded { job, next }),
        shell::Event::JobChanged { job, next, .. } => Some(Event::JobChanged { job, next }),
        shell::Event::JobRemoved(job) => Some(Event::JobRemoved { job }),
        shell::Event::RunStarted { run, attempt, .. } => {
            Some(Event::RunStarted { job: run.job.clone(), run: run.id, scheduled_for: run.scheduled_for, attempt })
        }
        shell::Event::AttemptEnded { run, again } => {
            let outcome = &again.finish.report.outcome;
            let (outcome, message, retry_at) = (outcome.code, outcome.message.clone(), again.retry_at);
            Some(Event::RunRetrying { job: run.job.clone(), run: run.id, outcome, message, retry_at })
        }
        shell::Event::RunFinished { run, finish } => {
            let outcome = &finish.report.outcome;
            Some(Event::RunFinished {
                job: run.job.clone(),
                run: run.id,
                scheduled_for: run.scheduled_for,
                outcome: outcome.code,
                message: outcome.message.clone(),
                output: outcome.output.clone().map(Arc::new),
                duration: finish.duration,
                attempts: finish.n_attempts,
            })
        }
        shell::Event::RunCut { cut, is_tried_again } => Some(cut_off(*cut, is_tried_again)),
        shell::Event::RunQueued { run, attempt } => {
            Some(Event::RunQueued { job: run.job.clone(), run: run.id, scheduled_for: run.scheduled_for, attempt })
        }
        shell::Event::RunHeld { run, memory_bytes } => {
            Some(Event::RunHeld { job: run.job.clone(), run: run.id, memory_bytes })
        }
        shell::Event::RunProgress { run, attempt, done, total, message } => {
            Some(Event::RunProgress { job: run.job.clone(), run: run.id, attempt, done, total, message })
        }
        shell::Event::Skipped(skip) => Some(Event::Skipped {
            reason: skip.reason.as_str(),
            first: skip.first,
            last: skip.last,
            count: skip.count,
            job: skip.job,
        }),
        shell::Event::Plugin(news) => Some(Event::Plugin {
            plugin: news.plugin.to_string(),
            what: news.kind.as_str(),
            generation: news.generation,
            reason: news.reason.clone(),
        }),
        shell::Event::Manifest(news) => Some(Event::ManifestRead { refused: news.refused.clone() }),
        shell::Event::LedgerHeld { why } => Some(Event::LedgerHeld { why }),
        shell::Event::LedgerBack { after } => Some(Event::LedgerBack { after }),
        shell::Event::LedgerSlow { took } => Some(Event::LedgerSlow { took }),
        shell::Event::ClockStepped { by } => Some(Event::ClockStepped { by }),
        shell::Event::WatermarkAhead { until } => Some(Event::WatermarkAhead { until }),
        shell::Event::JobPaused { job, asker } => Some(Event::JobPaused { job, asker }),
        shell::Event::JobResumed { job, by } => Some(Event::JobResumed { job, by }),
        shell::Event::Paused { asker } => Some(Event::SchedulerPaused { asker }),
        shell::Event::Resumed { by } => Some(Event::SchedulerResumed { by }),
        shell::Event::Stopping { n_unfinished } => Some(Event::SchedulerStopping { n_unfinished }),
        shell::Event::Stopped => Some(Event::SchedulerStopped),
        shell::Event::Pool { pool, size, .. } => Some(Event::PoolChanged { pool: pool.to_string(), size }),
        // Who hears it has the scheduler already; and when it wakes next is its own business.
        shell::Event::Started | shell::Event::NextWake { .. } => None,
    }
}

/// A run that an earlier life of the scheduler left unfinished.
fn cut_off(cut: Cut, is_tried_again: bool) -> Event {
    let Cut { run, n_attempts, outcome, at, .. } = cut;
    let (job, id) = (run.job.clone(), run.id);
    if is_tried_again {
        let (outcome, message) = (outcome.code, outcome.message);
        return Event::RunRetrying { job, run: id, outcome, message, retry_at: at };
    }
    Event::RunFinished {
        job,
        run: id,
        scheduled_for: run.scheduled_for,
        outcome: outcome.code,
        message: outcome.message,
        output: None,
        duration: Duration::ZERO,
        attempts: n_attempts,
    }
}
