//! What goes into the core: one closed enum.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::{
    id::{JobId, RunId},
    job::Job,
    run::Cause,
};

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A job came with a manifest, or came back after a restart with what the ledger knows of it.
    Add {
        /// Its definition.
        job: Arc<Job>,
        /// Its past; absent for a job that was never seen before.
        past: Option<Past>,
    },
    /// A job has a new definition. Its past, pause and runs stay.
    Change(Arc<Job>),
    /// A job is gone from the manifest. Runs that go on finish.
    Remove(JobId),
    /// Nothing of the job starts until it is resumed. Runs that go on finish.
    Pause(JobId),
    /// The job goes on.
    Resume {
        /// Which job.
        job: JobId,
        /// From where.
        from: ResumeFrom,
    },
    /// Somebody wants a run now.
    Fire {
        /// Of which job.
        job: JobId,
        /// Tells two requests at one instant apart.
        request: u64,
        /// Who.
        cause: Cause,
    },
    /// Somebody wants a run to end.
    Cancel(RunId),
    /// A run has ended, with whatever outcome.
    Finished {
        /// Whose.
        job: JobId,
        /// Which.
        run: RunId,
    },
    /// Time has passed.
    Tick,
}

/// From where a paused job goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeFrom {
    /// The slots of the pause are skipped as paused.
    Now,
    /// The slots of the pause are a backlog, treated as after a downtime.
    Last,
}

/// What the ledger knows of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// When the job was first seen.
    pub first_seen: DateTime<Utc>,
    /// Every slot up to here has been decided.
    pub decided_until: DateTime<Utc>,
    /// When its last run ended.
    pub last_finished: Option<DateTime<Utc>>,
    /// Whether it is paused.
    pub paused: bool,
}
