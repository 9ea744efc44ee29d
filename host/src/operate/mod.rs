//! What whoever operates a host asks of it and what is to be remembered: why jobs are paused and until when, ranges of
//! slots that are made up for, the end of the host.
//!
//! Everything is kept in the ledger as documents. Two tasks look after it, one for pauses and one for backfills; what they
//! do are inputs of the core like those of anybody else, so nothing here decides what starts.

mod backfills;
mod ending;
mod pauses;
mod range;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use clockjack_schedule::ports::{Clock, Ledger, LedgerError};
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    backfills::{BackfillError, Backfills, Wanted},
    ending::Ending,
    pauses::{PauseNote, Pauses, Whose, pause_of},
    range::{AT_ONCE_MAX, RangeError, SLOTS_MAX},
};
use crate::shell::HostHandle;

/// What the tasks work with.
#[derive(Clone)]
pub struct OperateParts {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The record.
    pub ledger: Arc<dyn Ledger>,
    /// The host.
    pub host: HostHandle,
}

/// What requests reach the tasks through. Clones reach the same ones.
#[derive(Clone, Debug)]
pub struct Operator {
    /// Why jobs are paused and until when.
    pub pauses: Pauses,
    /// Ranges of slots that are made up for.
    pub backfills: Backfills,
    /// The end of the host.
    pub ending: Ending,
}

/// The tasks, until their end.
#[derive(Debug)]
pub struct Operating {
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Before the jobs of a host come: keeps the history that backfills of an earlier life count on, and pauses a whole host
/// that was paused when it ended, or is to begin so. Says why it is paused.
///
/// # Errors
/// When the ledger cannot be read or written.
pub async fn begin(
    ledger: &dyn Ledger,
    host: &HostHandle,
    paused_at: Option<DateTime<Utc>>,
) -> Result<Option<PauseNote>, LedgerError> {
    backfills::hold(ledger, host).await?;
    let mut note = Pauses::of(ledger, &Whose::All).await?;
    if let (None, Some(at)) = (&note, paused_at) {
        let by_start = PauseNote { note: Some("started with `--paused`".to_owned()), until: None, by: None, at };
        note = Some(by_start);
    }
    if let Some(note) = &note {
        pauses::pause(ledger, host, &Whose::All, note, true).await?;
    }
    Ok(note)
}

/// Begins to look after what is kept. The host has its jobs by now, or gets them a moment later.
#[must_use]
pub fn start(parts: OperateParts, ending: Ending, runtime: &Handle) -> (Operator, Operating) {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let (pauses, look_after_pauses) = pauses::task(parts.clone(), stop.clone());
    let (backfills, look_after_backfills) = backfills::task(parts, stop.clone());
    tasks.spawn_on(look_after_pauses, runtime);
    tasks.spawn_on(look_after_backfills, runtime);
    tasks.close();
    (Operator { pauses, backfills, ending }, Operating { tasks, stop })
}

impl Operating {
    /// Ends the tasks; after it they ask the ledger for nothing.
    pub async fn end(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for Operating {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
