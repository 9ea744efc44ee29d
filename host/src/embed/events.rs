//! What happens, as a program hears it: the bus of the host in types of its own.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::{JobId, RunId},
    outcome::OutcomeCode,
};
use futures_util::stream::{self, Stream};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::shell;

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
    /// An attempt failed, and another one follows.
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
    /// A run has ended, and the ledger says so.
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
        /// How long its last attempt took.
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
}

impl Events {
    pub(super) fn new(receiver: broadcast::Receiver<shell::Event>) -> Self {
        Self { receiver }
    }

    /// The next event; none when the scheduler has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.receiver.recv().await {
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
        // The rest is about the host's own work, which it logs.
        _ => None,
    }
}
