//! Jobs and runs as a program reads them.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::{JobId, RunId},
    outcome::OutcomeCode,
    ports::{Ledger, LogLine, RunRow, RunState as Kept, RunStory},
};
use serde_json::Value as Json;
use tokio::sync::broadcast::{self, error::RecvError};

use super::Error;
use crate::shell;

/// How often the ledger is asked for the end of a run that no event tells of.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// It has not begun.
    Planned,
    /// An attempt of it goes on.
    Running,
    /// An attempt has failed, and it waits for the next one.
    Retrying,
    /// It has ended.
    Ended,
}

/// A run as the ledger has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its id, the same for all its attempts.
    pub id: RunId,
    /// Whose run it is.
    pub job: JobId,
    /// Its slot.
    pub scheduled_for: DateTime<Utc>,
    /// Why it exists: `schedule`, `catch-up of 3`, `manual`, `api`, `upstream JOB`, `start`.
    pub cause: String,
    /// How far it is.
    pub state: RunState,
    /// How it ended; none where it has not.
    pub outcome: Option<OutcomeCode>,
    /// Why; empty on success and where it has not ended.
    pub message: String,
    /// What it gave back. Lists of runs leave it out.
    pub output: Option<Json>,
    /// What it logged. Lists of runs leave it out.
    pub logs: Vec<LogLine>,
    /// How far it last said that it was.
    pub progress: Option<String>,
    /// How many attempts have begun.
    pub attempts: u32,
    /// When its last attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// How long its last attempt took.
    pub duration: Option<Duration>,
}

impl Run {
    pub(super) fn of(row: &RunRow) -> Self {
        let finish = row.finish();
        let report = finish.map(|finish| &finish.report);
        let (state, attempts, started_at) = match &row.state {
            Kept::Open { claimed_at: Some(at), n_attempts, .. } => (RunState::Running, n_attempts + 1, Some(*at)),
            Kept::Open { n_attempts: 0, .. } => (RunState::Planned, 0, None),
            Kept::Open { n_attempts, .. } => (RunState::Retrying, *n_attempts, None),
            Kept::Ended(finish) => (RunState::Ended, finish.n_attempts, finish.started_at),
        };
        Self {
            id: row.run.id,
            job: row.run.job.clone(),
            scheduled_for: row.run.scheduled_for,
            cause: row.run.cause.to_string(),
            state,
            outcome: report.map(|report| report.outcome.code),
            message: report.map(|report| report.outcome.message.clone()).unwrap_or_default(),
            output: report.and_then(|report| report.outcome.output.clone()),
            logs: report.map(|report| report.logs.clone()).unwrap_or_default(),
            progress: report.and_then(|report| report.progress.clone()),
            attempts,
            started_at,
            finished_at: finish.map(|finish| finish.finished_at),
            duration: finish.map(|finish| finish.duration),
        }
    }
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Its slots become runs.
    Active,
    /// Nothing of it starts until it is resumed.
    Paused,
    /// It was there before, and is not now: nothing of it starts, its history stays.
    Removed,
}

/// A job that is in force, or was.
#[derive(Clone, Debug, PartialEq)]
pub struct JobInfo {
    /// Its id.
    pub id: JobId,
    /// How it stands.
    pub state: JobState,
    /// Whether the program added it; the others come from manifests.
    pub is_of_program: bool,
    /// Whether it is a function of the program.
    pub is_native: bool,
    /// When it runs, in words; none where it is not in force.
    pub trigger: Option<String>,
    /// Its next slot; none where it is paused, has none, or counts from the end of a run that goes on.
    pub next: Option<DateTime<Utc>>,
    /// How many of its runs go on.
    pub n_running: usize,
    /// When its last run ended.
    pub last_finished: Option<DateTime<Utc>>,
    /// The slot of its last run that succeeded.
    pub last_success: Option<DateTime<Utc>>,
}

/// A run that was asked for.
pub struct RunHandle {
    pub(super) id: RunId,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) events: broadcast::Receiver<shell::Event>,
}

impl std::fmt::Debug for RunHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RunHandle").field(&self.id).finish()
    }
}

impl RunHandle {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> RunId {
        self.id
    }

    /// Waits until it has ended, and tells how. It goes on where this is dropped.
    ///
    /// # Errors
    /// When the scheduler stops before, or the ledger cannot be read.
    pub async fn wait(mut self) -> Result<Run, Error> {
        loop {
            let story: Option<RunStory> = self.ledger.run(self.id).await?;
            let run = story.map(|story| Run::of(&story.row)).ok_or_else(|| Error::UnknownRun(self.id.to_string()))?;
            if run.state == RunState::Ended {
                return Ok(run);
            }
            match tokio::time::timeout(LOOK_AGAIN, heard(&mut self.events, self.id)).await {
                Ok(true) | Err(_) => {}
                Ok(false) => return Err(Error::Stopped),
            }
        }
    }
}

/// Waits for news of a run; whether there can be more.
async fn heard(events: &mut broadcast::Receiver<shell::Event>, id: RunId) -> bool {
    loop {
        match events.recv().await {
            Ok(shell::Event::RunFinished { run, .. }) if run.id == id => return true,
            Ok(shell::Event::Skipped(skip)) if skip.run == Some(id) => return true,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return true,
            Err(RecvError::Closed) => return false,
        }
    }
}
