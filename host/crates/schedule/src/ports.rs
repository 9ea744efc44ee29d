//! The ports: what the core's shell needs from the world, each with its contract.
//!
//! Each port has two implementations and a contract suite that both pass.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};

use crate::{
    id::{JobId, RunId},
    outcome::{Outcome, OutcomeCode},
    run::{Decision, Run, Skip},
    stop::Stop,
};

/// A future that a port hands out.
pub type PortFuture<'p, T> = Pin<Box<dyn Future<Output = T> + Send + 'p>>;

/// The time.
///
/// `now` may jump in both directions, as a wall clock does. `monotonic` never goes back and does not jump; it may
/// stand still while the machine is suspended.
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> DateTime<Utc>;

    /// Time since an arbitrary start.
    fn monotonic(&self) -> Duration;
}

/// What runs an attempt.
///
/// `execute` always ends with a report: whatever a guest does is an outcome. A request to stop ends the attempt
/// within a fraction of a second, which the guest may use to end by itself. Dropping the future stops the guest too, and frees what it held; nothing of it goes on afterwards.
pub trait Executor: Send + Sync {
    /// Runs one attempt to its end.
    fn execute(&self, attempt: Attempt) -> PortFuture<'static, Report>;
}

/// One try of a run.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The run.
    pub run: Arc<Run>,
    /// Which try, counted from 1.
    pub number: u32,
    /// After this try there is no other.
    pub number_max: u32,
    /// When it begins.
    pub started_at: DateTime<Utc>,
    /// The slot of the last run of the job that succeeded.
    pub last_success: Option<DateTime<Utc>>,
    /// Asks the attempt to end; it then reports `cancelled` with what it had written so far.
    pub stop: Stop,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Processor time of the guest.
    pub cpu_time: Duration,
    /// Highest sum of all linear memories.
    pub memory_peak_bytes: u64,
    /// Instructions, where they were metered.
    pub fuel_used: Option<u64>,
    /// What the guest wrote to stdout.
    pub stdout: Captured,
    /// What the guest wrote to stderr.
    pub stderr: Captured,
    /// What the guest logged.
    pub logs: Vec<LogLine>,
    /// How many log lines were not kept.
    pub n_logs_dropped: u64,
    /// How far the guest last said that it was.
    pub progress: Option<String>,
    /// Which generation of the plugin ran.
    pub generation: u32,
    /// The SHA-256 of the component that ran, in hex.
    pub digest: Arc<str>,
}

impl Report {
    /// The report of an attempt in which no guest ran.
    #[must_use]
    pub fn without_guest(outcome: Outcome) -> Self {
        Self {
            outcome,
            cpu_time: Duration::ZERO,
            memory_peak_bytes: 0,
            fuel_used: None,
            stdout: Captured::default(),
            stderr: Captured::default(),
            logs: Vec::new(),
            n_logs_dropped: 0,
            progress: None,
            generation: 0,
            digest: Arc::from(""),
        }
    }
}

/// Output of a guest: head and tail of it, and how much there was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// What was kept, as text; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// How many bytes the guest wrote.
    pub n_bytes: u64,
    /// How many bytes from the middle are missing in `text`.
    pub n_bytes_dropped: u64,
}

/// One line that a guest logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When.
    pub at: DateTime<Utc>,
    /// How much it matters.
    pub level: LogLevel,
    /// What it says.
    pub message: String,
    /// Values that belong to it.
    pub fields: Vec<(String, String)>,
}

/// How much a log line of a guest matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For following each step.
    Trace,
    /// For finding a fault.
    Debug,
    /// Good to know.
    Info,
    /// Should be looked at.
    Warn,
    /// Went wrong.
    Error,
}

impl LogLevel {
    /// The stable string.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// The durable record of slots, runs and schedule state.
///
/// **Atomic.** A batch is kept whole or not at all; after an `Err` nothing of it is kept.
/// **Durable.** After `Ok` the batch survives what the ledger's name promises (for the memory ledger: nothing).
/// **Ordered.** Batches take effect in the order in which `commit` was called.
/// **Idempotent.** A `Plan` of a run that exists changes nothing, so a batch may be repeated after an unclear end.
/// **Fenced.** A `Finish` of a run that has ended already, or that does not exist, changes nothing and is counted as stale.
/// The watermark never moves back. Reads see every batch that was acknowledged before they began.
pub trait Ledger: Send + Sync {
    /// What is known of all jobs.
    fn load(&self) -> PortFuture<'_, Result<Vec<JobRow>, LedgerError>>;

    /// Keeps a batch.
    fn commit(&self, changes: Vec<Change>) -> PortFuture<'_, Result<Committed, LedgerError>>;

    /// Runs, newest slot first.
    fn runs(&self, filter: RunFilter) -> PortFuture<'_, Result<Vec<RunRow>, LedgerError>>;

    /// Skips of a job, newest first.
    fn skips(&self, job: Option<JobId>, n_max: usize) -> PortFuture<'_, Result<Vec<Skip>, LedgerError>>;
}

/// The ledger could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Nothing was kept; the same call may work later.
    #[error("the ledger cannot be reached: {0}")]
    Unavailable(String),
    /// What is stored makes no sense; nothing may be written over it.
    #[error("the ledger is damaged: {0}")]
    Damaged(String),
}

/// What a commit did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Finishes that came too late to count.
    pub n_stale: usize,
}

/// One change to the record.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A job was seen for the first time.
    Seen {
        /// Which.
        job: JobId,
        /// When.
        at: DateTime<Utc>,
    },
    /// A slot became a run.
    Plan(Arc<Run>),
    /// A planned run was taken back; its row goes.
    TakeBack(RunId),
    /// Slots became no run.
    Skip(Skip),
    /// A run has ended.
    Finish(Box<Finish>),
    /// Every slot of every job up to here is decided.
    Watermark(DateTime<Utc>),
}

impl Change {
    /// What of a decision is to be kept. Starts and cancellations are acts; their result comes as a `Finish`.
    #[must_use]
    pub fn of_decision(decision: &Decision) -> Option<Self> {
        match decision {
            Decision::Seen { job, at } => Some(Self::Seen { job: job.clone(), at: *at }),
            Decision::Plan(run) => Some(Self::Plan(Arc::clone(run))),
            Decision::TakeBack(run) => Some(Self::TakeBack(*run)),
            Decision::Skip(skip) => Some(Self::Skip(skip.clone())),
            Decision::Watermark(at) => Some(Self::Watermark(*at)),
            Decision::Start(_) | Decision::Cancel { .. } => None,
        }
    }
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Finish {
    /// Which run.
    pub run: RunId,
    /// Whose.
    pub job: JobId,
    /// When its last attempt began; absent where none did.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// How long its last attempt took, by the monotonic clock.
    pub duration: Duration,
    /// How many attempts there were.
    pub n_attempts: u32,
    /// What came of the last one.
    pub report: Report,
}

/// What the ledger knows of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// Which job.
    pub job: JobId,
    /// When it was first seen.
    pub first_seen: DateTime<Utc>,
    /// Every slot up to here is decided.
    pub decided_until: DateTime<Utc>,
    /// When its last run ended.
    pub last_finished: Option<DateTime<Utc>>,
    /// The slot of its last run that succeeded.
    pub last_success: Option<DateTime<Utc>>,
}

/// What the ledger knows of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// The run.
    pub run: Arc<Run>,
    /// How it ended; absent while it has not.
    pub finish: Option<Box<Finish>>,
}

/// Which runs to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Only of this job.
    pub job: Option<JobId>,
    /// Only with this outcome.
    pub outcome: Option<OutcomeCode>,
    /// Only slots at or after this instant.
    pub since: Option<DateTime<Utc>>,
    /// At most this many; zero means no bound.
    pub n_max: usize,
}
