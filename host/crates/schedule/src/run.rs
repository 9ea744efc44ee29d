//! Runs and skips: what a slot becomes.

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

use crate::{
    id::{JobId, RunId},
    job::{AfterOn, Job},
    manifest::scalar::show_duration,
    outcome::Outcome,
    payload::Payload,
    ports::CodePin,
};

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
    /// What came with the wish for it.
    pub payload: Option<Payload>,
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
    /// Somebody wants a slot of the past made up for, as one of a range of them.
    Backfill,
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
            Self::Backfill => f.write_str("backfill"),
        }
    }
}

impl Run {
    /// Whether it makes up for a slot of the past. Such a run is in nobody's way: it counts neither for `overlap` nor for
    /// `misfire_grace`, and starts behind all others.
    #[must_use]
    pub fn is_backfill(&self) -> bool {
        self.cause == Cause::Backfill
    }

    /// That this run's slot became no run after all.
    #[must_use]
    pub fn skipped(&self, reason: SkipReason, at: DateTime<Utc>) -> Skip {
        Skip {
            job: self.job.clone(),
            run: Some(self.id),
            first: self.scheduled_for,
            last: self.scheduled_for,
            count: 1,
            reason,
            at,
            by: None,
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
    /// When that was decided.
    pub at: DateTime<Utc>,
    /// The run that was in the way (`overlapping`), or into which the slots were folded (`coalesced`).
    pub by: Option<RunId>,
}

impl Skip {
    /// The same with the run that caused it.
    #[must_use]
    pub fn because_of(self, by: Option<RunId>) -> Self {
        Self { by, ..self }
    }
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
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Misfired,
        Self::Coalesced,
        Self::Overlapping,
        Self::Paused,
        Self::Removed,
        Self::Cancelled,
        Self::Overloaded,
    ];

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
    /// Other code was put in force for the job (`on_reload: cancel`).
    CodeReplaced,
    /// Other code was put in force for the job, and it has not ended within this time (`on_reload: { mode: drain }`).
    DrainOver(Duration),
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested => f.write_str("cancelled on request"),
            Self::Replaced => {
                f.write_str("cancelled because a newer slot of the job takes its place (`overlap: replace`)")
            }
            Self::CodeReplaced => f.write_str("cancelled because its plugin was replaced (`on_reload: cancel`)"),
            Self::DrainOver(deadline) => {
                let deadline = show_duration(*deadline);
                write!(
                    f,
                    "cancelled because its plugin was replaced and it had not ended {deadline} later (`on_reload: {{ mode: \
                     drain, deadline: {deadline} }}`)"
                )
            }
        }
    }
}

/// What is known of a job beside its definition. Kept in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobState {
    /// Which job.
    pub job: JobId,
    /// When it was first seen: its triggers count from here.
    pub first_seen: DateTime<Utc>,
    /// Every slot up to here is decided or does not count. While the job is not paused, what the watermark says counts
    /// too, where that is later.
    pub decided_until: DateTime<Utc>,
    /// Whether it is paused, for whatever reason.
    pub paused: bool,
    /// Whether it is paused only with the whole host, and goes on with it. A job that is paused by itself stays so then.
    pub paused_with_all: bool,
    /// What the manifest said of `paused` when it was last read. Only a change of it pauses or resumes the job, so that
    /// what a person did stays.
    pub paused_in_manifest: bool,
    /// The hash of its trigger.
    pub trigger_hash: u64,
    /// When it was removed; its history stays.
    pub removed_at: Option<DateTime<Utc>>,
}

/// A run that starts now, with all that its attempt and its end need.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// The run.
    pub run: Arc<Run>,
    /// Which attempt, counted from 1.
    pub attempt: u32,
    /// How many of the attempts before it were cut by a stop of the host, or by other code for the job.
    pub n_interrupted: u32,
    /// The code of the attempt before it, where it is to run the same.
    pub code: Option<CodePin>,
    /// The definition of its job.
    pub job: Arc<Job>,
    /// The slot of the last run of the job that succeeded.
    pub last_success: Option<DateTime<Utc>>,
    /// The jobs that run after it.
    pub followers: Arc<Vec<Follower>>,
}

/// A job that runs after another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follower {
    /// Which job.
    pub job: JobId,
    /// After which ends.
    pub on: AfterOn,
}

/// The end of an attempt that the core itself decides, because the host was not there to see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Cut {
    /// The run.
    pub run: Arc<Run>,
    /// How many attempts it had, this one included.
    pub n_attempts: u32,
    /// When the last one was about to begin.
    pub started_at: Option<DateTime<Utc>>,
    /// When that was noticed.
    pub at: DateTime<Utc>,
    /// How it counts.
    pub outcome: Outcome,
}

/// What the core says.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// What is known of a job has changed.
    Job(JobState),
    /// A slot becomes a run that will start at `due_at`. Durable before anything acts on it.
    Plan(Arc<Run>),
    /// A planned run is taken back; its slot is free again.
    TakeBack {
        /// Whose.
        job: JobId,
        /// Which run.
        run: RunId,
    },
    /// Slots become no run.
    Skip(Skip),
    /// An attempt of a planned run starts now. That it does is durable before it does.
    Start(Box<Start>),
    /// An attempt was cut; another one follows.
    Again(Box<Cut>),
    /// A run ends without a further attempt.
    End(Box<Cut>),
    /// A run that goes on is to end.
    Cancel {
        /// Which run.
        run: RunId,
        /// Why.
        reason: CancelReason,
    },
    /// Every slot of every job up to here has been decided. Never moves back.
    Watermark(DateTime<Utc>),
}
