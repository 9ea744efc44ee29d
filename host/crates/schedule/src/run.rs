//! Runs and skips: what a slot becomes.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};

use crate::id::{JobId, RunId};

/// The record of one slot, or of one start that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its identity, the same for all its attempts.
    pub id: RunId,
    /// Whose run it is.
    pub job: JobId,
    /// The slot: the nominal instant. For a start that somebody asked for, the instant of the asking.
    pub scheduled_for: DateTime<Utc>,
    /// When it may start: the slot and its jitter.
    pub due_at: DateTime<Utc>,
    /// Why it exists.
    pub cause: Cause,
}

/// Why a run exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A trigger's slot was due.
    Schedule,
    /// A slot was late, and this many slots (itself included) were folded into this run.
    CatchUp(u64),
    /// A person asked for it.
    Manual,
    /// A run of another job ended.
    Upstream(JobId),
    /// A program asked for it.
    Api,
    /// The host saw the job for the first time, and the job asks for a run then.
    Start,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schedule => f.write_str("schedule"),
            Self::CatchUp(n_slots) => write!(f, "catch-up of {n_slots}"),
            Self::Manual => f.write_str("manual"),
            Self::Upstream(job) => write!(f, "upstream {job}"),
            Self::Api => f.write_str("api"),
            Self::Start => f.write_str("start"),
        }
    }
}

impl Run {
    /// That this run's slot became no run after all.
    #[must_use]
    pub fn skipped(&self, reason: SkipReason) -> Skip {
        Skip {
            job: self.job.clone(),
            run: Some(self.id),
            first: self.scheduled_for,
            last: self.scheduled_for,
            count: 1,
            reason,
        }
    }
}

/// Slots that became no run, with the reason: one slot, or a gap of many with the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// Whose slots they were.
    pub job: JobId,
    /// The run that the slot had already become when the decision fell, if it had.
    pub run: Option<RunId>,
    /// The first slot.
    pub first: DateTime<Utc>,
    /// The last slot; equal to `first` for one.
    pub last: DateTime<Utc>,
    /// How many slots.
    pub count: u64,
    /// Why.
    pub reason: SkipReason,
}

/// Why a slot became no run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// Later than the job's `misfire_grace`.
    Misfired,
    /// Folded into another slot of the same backlog.
    Coalesced,
    /// `max_instances` runs were going on.
    Overlapping,
    /// The job was paused.
    Paused,
    /// The job was removed or given other triggers while the slot waited.
    Removed,
    /// Somebody cancelled it before it began.
    Cancelled,
    /// More runs waited for a permit than the host holds.
    Overloaded,
}

impl SkipReason {
    /// The stable string.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Misfired => "misfired",
            Self::Coalesced => "coalesced",
            Self::Overlapping => "overlapping",
            Self::Paused => "paused",
            Self::Removed => "removed",
            Self::Cancelled => "cancelled",
            Self::Overloaded => "overloaded",
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a run is to end before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// Somebody asked for it.
    Requested,
    /// A newer slot of the job takes its place (`overlap: replace`).
    Replaced,
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requested => "cancelled on request",
            Self::Replaced => "cancelled because a newer slot of the job takes its place (`overlap: replace`)",
        })
    }
}

/// What the core says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A job was seen for the first time; its triggers count from here.
    Seen {
        /// Which job.
        job: JobId,
        /// When.
        at: DateTime<Utc>,
    },
    /// A slot becomes a run that will start at `due_at`. Durable before anything acts on it.
    Plan(Arc<Run>),
    /// A planned run is taken back; its slot is free again.
    TakeBack(RunId),
    /// Slots become no run.
    Skip(Skip),
    /// A planned run starts now.
    Start(Arc<Run>),
    /// A run that goes on, or waits for a permit, is to end.
    Cancel {
        /// Which run.
        run: RunId,
        /// Why.
        reason: CancelReason,
    },
    /// Every slot of every job up to here has been decided. Never moves back.
    Watermark(DateTime<Utc>),
}
