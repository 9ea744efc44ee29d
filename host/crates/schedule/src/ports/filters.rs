//! Which rows of the record to read, and which to remove.

use std::num::NonZeroU32;

use chrono::{DateTime, Utc};

use super::RunPhase;
use crate::{
    id::{JobId, RunId},
    outcome::OutcomeCode,
    run::{Run, Skip},
};

/// Which jobs to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Only these; absent means all.
    pub only: Option<Vec<JobId>>,
    /// Only jobs whose ids are greater than this one: the next page.
    pub beyond: Option<JobId>,
    /// At most this many; zero means no bound.
    pub n_max: usize,
}

/// Which runs to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Only of this job.
    pub job: Option<JobId>,
    /// Only with this outcome, which leaves those out that have not ended.
    pub outcome: Option<OutcomeCode>,
    /// Only those that are so far.
    pub phase: Option<RunPhase>,
    /// Only slots at or after this instant.
    pub since: Option<DateTime<Utc>>,
    /// Only slots before this instant.
    pub until: Option<DateTime<Utc>>,
    /// Only runs that come after this place in the order of the answer: the next page. No run needs to be there.
    pub beyond: Option<RunPlace>,
    /// At most this many; zero means no bound.
    pub n_max: usize,
}

/// Where a run stands among all of them, the other way round than [`super::Ledger::runs`] gives them. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunPlace {
    /// Its slot.
    pub slot: DateTime<Utc>,
    /// Whose it is.
    pub job: JobId,
    /// Which it is.
    pub run: RunId,
}

impl RunPlace {
    /// The place of a run.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        Self { slot: run.scheduled_for, job: run.job.clone(), run: run.id }
    }
}

/// Which skips to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkipFilter {
    /// Only of this job.
    pub job: Option<JobId>,
    /// Only those whose last slot is at or after this instant.
    pub since: Option<DateTime<Utc>>,
    /// Only those whose first slot is before this instant.
    pub until: Option<DateTime<Utc>>,
    /// Only skips that come after this place in the order of the answer: the next page. No skip needs to be there.
    pub beyond: Option<SkipPlace>,
    /// At most this many; zero means no bound.
    pub n_max: usize,
}

/// Where a skip stands among all of them, the other way round than [`super::Ledger::skips`] gives them. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SkipPlace {
    /// Its last slot.
    pub last: DateTime<Utc>,
    /// Whose slots they were.
    pub job: JobId,
    /// Its first slot.
    pub first: DateTime<Utc>,
    /// The run that the slot had been.
    pub run: Option<RunId>,
    /// The word of its reason.
    pub reason: &'static str,
}

impl SkipPlace {
    /// The place of a skip.
    #[must_use]
    pub fn of(skip: &Skip) -> Self {
        let (job, reason) = (skip.job.clone(), skip.reason.as_str());
        Self { last: skip.last, job, first: skip.first, run: skip.run, reason }
    }
}

/// What to keep of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeepOf {
    /// Which job.
    pub job: JobId,
    /// Slots before this instant go.
    pub since: DateTime<Utc>,
    /// More runs than this, and more skips than this, go.
    pub n_max: NonZeroU32,
}

/// What a pruning removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// How many finished runs.
    pub n_runs: usize,
    /// How many skips.
    pub n_skips: usize,
    /// There is more to remove.
    pub has_more: bool,
}
