//! What goes into the core: one closed enum.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};

use chrono::{DateTime, Utc};

use crate::{
    id::{JobId, PoolName, RunId},
    job::Job,
    payload::Payload,
    ports::{CodePin, JobRow},
    run::{Cause, Run, Start},
};

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A job came with a manifest, or came back after a restart with what the ledger knows of it.
    Add {
        /// Its definition.
        job: Arc<Job>,
        /// Its past; absent for a job that was never seen before.
        past: Option<Box<Past>>,
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
    /// Nothing of any job starts until all are resumed, whatever comes meanwhile. Runs that go on finish.
    PauseAll,
    /// All jobs go on but those that are paused by themselves.
    ResumeAll {
        /// From where.
        from: ResumeFrom,
    },
    /// Somebody wants a run now.
    Fire {
        /// Of which job.
        job: JobId,
        /// The run that it becomes: [`RunId::of_key`] or [`RunId::of_request`]. One that is known is not started twice.
        run: RunId,
        /// Who.
        cause: Cause,
        /// What they gave along.
        payload: Option<Payload>,
        /// The slot that it stands for, where it makes up for one; without it the instant of the asking.
        scheduled_for: Option<DateTime<Utc>>,
    },
    /// Somebody wants a run to end.
    Cancel(RunId),
    /// A job that the ledger knows is in no manifest any more. Its history stays; what of it has not ended, ends.
    Forget(Box<Past>),
    /// A run has ended, and its row says so.
    Ended(Ended),
    /// An attempt has ended, and another one follows.
    Again {
        /// The run.
        run: Arc<Run>,
        /// How many attempts have ended.
        n_attempts: u32,
        /// How many of them were cut by a stop of the host, or by other code for the job.
        n_interrupted: u32,
        /// When the next one is due.
        retry_at: DateTime<Utc>,
        /// The code that the next one is to run; without it, what is in force then.
        code: Option<CodePin>,
    },
    /// An attempt that was started ahead of its place found none in time; it waits again.
    Unstarted(Box<Start>),
    /// The pools of the manifest, with how many runs each of them lets go on at once.
    Pools(BTreeMap<PoolName, NonZeroU32>),
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
    /// The slots of the pause from this instant on are a backlog, those before it are skipped as paused.
    At(DateTime<Utc>),
}

/// A run that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The run.
    pub run: Arc<Run>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// Whether it ended as `succeeded`.
    pub succeeded: bool,
    /// The runs of other jobs that follow from it, planned in the same commit as its end.
    pub followers: Vec<Arc<Run>>,
}

/// What the ledger knows of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// Its row.
    pub row: JobRow,
    /// Every slot of every job that is not paused is decided up to here.
    pub watermark: Option<DateTime<Utc>>,
}
