//! What is judged: the history as the ledger tells it, beside what the guests themselves wrote down.

use crate::time::Micros;

/// One attempt, written down by the guest itself. True time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The id of the run that the guest was told.
    pub run: String,
    /// The job that it was told.
    pub job: String,
    /// The slot that it was told (wall time); for a run without a slot, the instant of the asking.
    pub slot: Micros,
    /// The attempt that it was told, counted from 1.
    pub attempt: u32,
    /// Which life of the host: the place in [`crate::Facts::up`].
    pub host: usize,
    /// When it began.
    pub start: Micros,
    /// When it ended; absent where it was cut: a crash, a trap, a limit.
    pub end: Option<Micros>,
    /// How it ended. What is said beside an absent `end` counts for nothing.
    pub said: Said,
    /// The cause that it was told, in the words of [`Cause::word`].
    pub cause: Option<String>,
}

/// What a guest said at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It did its work.
    Succeeded,
    /// It did not.
    Failed,
}

/// The history as the ledger tells it. Wall time of the host throughout, but for `nexts`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// All runs of all jobs; nothing pruned.
    pub runs: Vec<Run>,
    /// All skips of all jobs; nothing pruned.
    pub skips: Vec<Skip>,
    /// What the host answered when it was asked for the next slot of a job, in the order of the asking. May be empty.
    pub nexts: Vec<NextSeen>,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// Whose.
    pub job: String,
    /// The nominal instant.
    pub slot: Micros,
    /// Why it exists.
    pub cause: Cause,
    /// The code of its outcome; absent while it is open.
    pub outcome: Option<String>,
    /// How many attempts have ended.
    pub n_attempts: u32,
    /// When its last attempt began or was claimed.
    pub started: Option<Micros>,
    /// When it ended.
    pub finished: Option<Micros>,
    /// Its attempts that have ended, first to last. May be left out; then less is checked.
    pub attempts: Vec<Attempt>,
}

/// An attempt that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which, counted from 1.
    pub number: u32,
    /// The code of its outcome.
    pub outcome: String,
    /// When it began or was claimed.
    pub started: Option<Micros>,
    /// When it ended.
    pub finished: Micros,
}

/// Why a run exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its slot was due.
    Schedule,
    /// Its slot was late, and so many slots were folded into the run, itself included.
    CatchUp(u64),
    /// Somebody asked for it.
    Manual,
    /// A run of this job ended.
    Upstream(String),
    /// The job was seen for the first time.
    Start,
    /// Somebody asked for a slot of the past to be made up for.
    Backfill,
}

impl Cause {
    /// The word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::CatchUp(_) => "catch-up",
            Self::Manual => "manual",
            Self::Upstream(_) => "upstream",
            Self::Start => "start",
            Self::Backfill => "backfill",
        }
    }

    /// Whether the run comes from a slot of a trigger.
    pub(crate) fn is_slot(&self) -> bool {
        match self {
            Self::Schedule | Self::CatchUp(_) => true,
            Self::Manual | Self::Upstream(_) | Self::Start | Self::Backfill => false,
        }
    }
}

/// Slots that became no run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// Whose.
    pub job: String,
    /// The run that the slot had been before, if it had.
    pub run: Option<String>,
    /// The first slot.
    pub first: Micros,
    /// The last slot.
    pub last: Micros,
    /// How many.
    pub count: u64,
    /// `misfired`, `coalesced`, `overlapping`, `paused`, `removed`, `cancelled` or `overloaded`.
    pub reason: String,
    /// When that was decided.
    pub at: Micros,
    /// The run that was in the way, or into which the slots were folded.
    pub by: Option<String>,
}

/// What the host answered when it was asked for the next slot of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextSeen {
    /// Which job.
    pub job: String,
    /// When it was asked, in true time.
    pub asked: Micros,
    /// The answer, in wall time.
    pub next: Option<Micros>,
}
