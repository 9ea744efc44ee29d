//! What the record gives back: jobs and runs as rows.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::Finish;
use crate::run::{JobState, Run};

/// What a host needs to go on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// Every job that was ever seen and whose history is kept, by id.
    pub jobs: Vec<JobRow>,
    /// Every slot of every job that is not paused is decided up to here.
    pub watermark: Option<DateTime<Utc>>,
}

/// What the ledger knows of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRow {
    /// Its state as it was last kept.
    pub state: JobState,
    /// When its last run ended.
    pub last_finished: Option<DateTime<Utc>>,
    /// The slot of its last run that succeeded.
    pub last_success: Option<DateTime<Utc>>,
    /// Its runs that have not ended, oldest slot first.
    pub open: Vec<OpenRun>,
}

/// What the ledger knows of a job, with how it last went.
#[derive(Clone, Debug, PartialEq)]
pub struct JobStory {
    /// As [`Ledger::load`] gives it.
    pub row: JobRow,
    /// Of its runs that have ended and are kept, the one of the newest slot, as [`Ledger::runs`] gives it.
    pub last: Option<RunRow>,
}

/// A run that has not ended.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenRun {
    /// The run.
    pub run: Arc<Run>,
    /// How many attempts have ended.
    pub n_attempts: u32,
    /// How many of them were cut by a stop of the host.
    pub n_interrupted: u32,
    /// When the next attempt was claimed, if it was: it has begun, or was about to.
    pub claimed_at: Option<DateTime<Utc>>,
    /// When the next attempt is due, after one that ended.
    pub retry_at: Option<DateTime<Utc>>,
}

/// What the ledger knows of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// The run.
    pub run: Arc<Run>,
    /// How far it is.
    pub state: RunState,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq)]
pub enum RunState {
    /// It has not ended.
    Open {
        /// How many attempts have ended.
        n_attempts: u32,
        /// When the next attempt was claimed.
        claimed_at: Option<DateTime<Utc>>,
        /// When the next attempt is due, after one that ended.
        retry_at: Option<DateTime<Utc>>,
    },
    /// It has ended.
    Ended(Arc<Finish>),
}

/// How far a run is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunPhase {
    /// No attempt has begun.
    Planned,
    /// An attempt goes on, or is about to begin.
    Running,
    /// It waits for its next attempt.
    Retrying,
    /// It has ended.
    Ended,
}

impl RunPhase {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Planned, Self::Running, Self::Retrying, Self::Ended];

    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Ended => "ended",
        }
    }
}

impl RunState {
    /// How far that is.
    #[must_use]
    pub fn phase(&self) -> RunPhase {
        match self {
            Self::Open { claimed_at: Some(_), .. } => RunPhase::Running,
            Self::Open { n_attempts: 0, claimed_at: None, retry_at: None } => RunPhase::Planned,
            Self::Open { .. } => RunPhase::Retrying,
            Self::Ended(_) => RunPhase::Ended,
        }
    }
}

impl RunRow {
    /// How it ended, if it has.
    #[must_use]
    pub fn finish(&self) -> Option<&Finish> {
        match &self.state {
            RunState::Open { .. } => None,
            RunState::Ended(finish) => Some(finish),
        }
    }
}

/// All that is kept of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunStory {
    /// The run; where it has ended, with the whole report of its last attempt.
    pub row: RunRow,
    /// Its earlier attempts with their whole reports, first to last.
    pub attempts: Vec<Finish>,
}
