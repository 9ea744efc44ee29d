//! The ports: what the core's shell needs from the world, each with its contract.
//!
//! Each port has two implementations and a contract suite that both pass.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::Value as Json;

use crate::{
    id::{JobId, RunId},
    outcome::Outcome,
    run::{Cut, Decision, JobState, Run, Skip},
    state::{Draft, Kept, StateChange},
    stop::Stop,
};

mod admission;
mod args;
mod attempt;
mod code;
mod documents;
mod filters;
mod generations;
mod live;
mod rows;
mod states;
mod usage;
mod vault;
mod written;

pub use admission::Admission;
pub use args::ArgsMisfit;
pub use attempt::Attempt;
pub use code::CodePin;
pub use documents::{Document, DocumentKind, EventBatch, EventMark};
pub use filters::{JobFilter, KeepOf, Pruned, RunFilter, RunPlace, SkipFilter, SkipPlace};
pub use generations::{GENERATIONS_MAX, GenerationRow, Left};
pub use live::{Listen, Live, Said};
pub use rows::{JobRow, JobStory, Loaded, OpenRun, RunPhase, RunRow, RunState, RunStory};
pub use states::{KeepError, StateAccess, States};
pub use usage::{Figure, Usage};
pub use vault::Vault;
pub use written::{Captured, LogLevel, LogLine};

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
    /// Waits until an attempt of a job may begin, which nothing counts against it. The attempt holds what it is given here
    /// until it has ended. None where somebody asked for its end meanwhile. Without a bound of its own an executor answers
    /// at once.
    fn admit(&self, _job: &JobId, _stop: &Stop) -> PortFuture<'static, Option<Admission>> {
        Box::pin(std::future::ready(Some(Admission::default())))
    }

    /// Whether arguments can take the place of those of a job, for one run. Without knowing better, they can.
    ///
    /// # Errors
    /// Which of them cannot, and why.
    fn check_args(&self, _job: &JobId, _args: &Json) -> Result<(), ArgsMisfit> {
        Ok(())
    }

    /// Runs one attempt to its end.
    fn execute(&self, attempt: Attempt) -> PortFuture<'static, Report>;
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
    /// What it used of what is counted.
    pub usage: Usage,
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
    /// Keeps the code that ran. Not part of the record: whoever ends the attempt takes it out, and drops it but where the
    /// next attempt is to run the same.
    pub code: Option<CodePin>,
    /// What it wrote to the state of its job, if it succeeded and wrote anything. Not part of the record: whoever ends the
    /// run makes [`Finish::state`] of it.
    pub state: Option<Box<Draft>>,
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
            usage: Usage::default(),
            stdout: Captured::default(),
            stderr: Captured::default(),
            logs: Vec::new(),
            n_logs_dropped: 0,
            progress: None,
            generation: 0,
            digest: Arc::from(""),
            code: None,
            state: None,
        }
    }
}

/// The durable record of slots, runs and schedule state.
///
/// **Atomic.** A batch is kept whole or not at all; after an `Err` nothing of it is kept.
/// **Durable.** After `Ok` the batch survives what the ledger's name promises (for the memory ledger: nothing).
/// **Ordered.** Batches take effect in the order in which `commit` was called, and changes in their order in the batch.
/// **Idempotent.** A `Plan` of a run that exists, finished or not, changes nothing, and neither does a repeated `Claim`,
/// `Again` or `Job`, so a batch may be repeated after an unclear end.
/// **Fenced.** A `Finish` of a run that has ended already, or that does not exist, changes nothing and is counted as stale.
/// The same goes for an `Again` whose attempt has ended already. A `Claim` of a run that is not open, or of another
/// attempt than its next one, changes nothing and is told, so that no slot begins twice whatever was planned twice.
/// The state that comes with a `Finish` is kept with it, or not at all where the end is stale. A change of state whose
/// version is not greater than all that were kept of its job changes nothing: what is repeated, or came too late, undoes
/// nothing. State is kept as long as the job is known.
/// A `Generation` takes the place of the row with its plugin and number; of each plugin the [`GENERATIONS_MAX`] with the
/// greatest numbers are kept.
/// A `Document` takes the place of the one of its kind and key, and a batch of events that of the one with the same last
/// number; both stay until they are taken away. They are written in one transaction with what stands beside them.
/// The watermark never moves back. Reads see every batch that was acknowledged before they began.
pub trait Ledger: Send + Sync {
    /// What a host needs to go on: jobs, unfinished runs, the watermark.
    fn load(&self) -> PortFuture<'_, Result<Loaded, LedgerError>>;

    /// What is known of jobs that were ever seen, by id, with the newest run of each that has ended. Of a job of several
    /// stores `decided_until` is what its own one kept.
    fn jobs(&self, filter: JobFilter) -> PortFuture<'_, Result<Vec<JobStory>, LedgerError>>;

    /// Keeps a batch.
    fn commit(&self, changes: Vec<Change>) -> PortFuture<'_, Result<Committed, LedgerError>>;

    /// Runs, finished or not: the newest slot first, of one slot the greatest job id and then the greatest run id. They
    /// have no payload, and the reports no output, no stdout, no stderr and no log lines; [`Ledger::run`] has them.
    fn runs(&self, filter: RunFilter) -> PortFuture<'_, Result<Vec<RunRow>, LedgerError>>;

    /// All that is kept of one run.
    fn run(&self, id: RunId) -> PortFuture<'_, Result<Option<RunStory>, LedgerError>>;

    /// Skips, newest first by their last slot, of one slot the greatest job id first.
    fn skips(&self, filter: SkipFilter) -> PortFuture<'_, Result<Vec<Skip>, LedgerError>>;

    /// Which code of plugins came into force: by plugin, then by number.
    fn generations(&self) -> PortFuture<'_, Result<Vec<GenerationRow>, LedgerError>>;

    /// All documents of a kind, by key.
    fn documents(&self, kind: DocumentKind) -> PortFuture<'_, Result<Vec<Document>, LedgerError>>;

    /// Batches of events whose last number is greater than `after`, in order, at most `n_max` of them; zero means no bound.
    fn events(&self, after: u64, n_max: usize) -> PortFuture<'_, Result<Vec<EventBatch>, LedgerError>>;

    /// Which batches of events are kept, in order.
    fn event_marks(&self) -> PortFuture<'_, Result<Vec<EventMark>, LedgerError>>;

    /// What a job remembers.
    fn state(&self, job: &JobId) -> PortFuture<'_, Result<Kept, LedgerError>>;

    /// Removes what is older or more than is to be kept, at most `n_max` rows in one call, oldest first. Unfinished
    /// runs stay.
    fn prune(&self, keep: Vec<KeepOf>, n_max: usize) -> PortFuture<'_, Result<Pruned, LedgerError>>;

    /// Ends in good order: what was acknowledged stands in one file. Nothing may be called after it.
    fn close(&self) -> PortFuture<'_, Result<(), LedgerError>>;
}

/// The ledger could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Nothing was kept; the same call may work later: a full disk, a file that cannot be written, a lock.
    #[error("the ledger cannot be written now: {0}")]
    Unavailable(String),
    /// What was written may or may not have reached the disk, so that nothing may go on from here: a failed fsync.
    #[error("the ledger failed: {0}")]
    Failed(String),
    /// What is stored makes no sense; nothing may be written over it.
    #[error("the ledger is damaged: {0}")]
    Damaged(String),
    /// The ledger cannot be opened, with what to do about it: another process has it, or a newer version made it.
    #[error("{0}")]
    Refused(String),
}

/// What a commit did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Ends that came too late to count.
    pub n_stale: usize,
    /// Those of them whose runs had written to the state of their jobs; nothing of that was kept.
    pub stale_states: Vec<RunId>,
    /// Runs whose `Claim` found no such attempt open: they have ended before, or never were. They must not begin.
    pub unclaimed: Vec<RunId>,
}

/// One change to the record.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// What is known of a job.
    Job(JobState),
    /// A slot became a run.
    Plan(Arc<Run>),
    /// A planned run was taken back; its row goes, unless it is claimed.
    TakeBack {
        /// Whose.
        job: JobId,
        /// Which.
        run: RunId,
    },
    /// Slots became no run. Where the slot had been a run already, its row goes.
    Skip(Skip),
    /// An attempt of a run is about to begin.
    Claim(Claim),
    /// An attempt that was claimed has not begun, and will not now: the run is planned as before.
    Release {
        /// Whose.
        job: JobId,
        /// Which.
        run: RunId,
    },
    /// An attempt has ended and another one follows.
    Again(Arc<Again>),
    /// A run has ended.
    Finish(Arc<Finish>),
    /// The state of a job changes while its run goes on.
    State {
        /// Whose.
        job: JobId,
        /// How.
        change: Arc<StateChange>,
    },
    /// Code of a plugin came into force, or what is known of that changes.
    Generation(Arc<GenerationRow>),
    /// A document has this version now.
    Document(Arc<Document>),
    /// A document goes.
    DocumentGone {
        /// Of which kind.
        kind: DocumentKind,
        /// Its name.
        key: Arc<str>,
    },
    /// Events were told.
    Events(Arc<EventBatch>),
    /// The batches of events whose last number is not greater than this go.
    EventsGone {
        /// Up to which number.
        until: u64,
    },
    /// Every slot of every job up to here is decided.
    Watermark(DateTime<Utc>),
}

impl Change {
    /// What of a decision is to be kept. Cancellations are acts; their result comes as a `Finish`.
    #[must_use]
    pub fn of_decision(decision: &Decision, now: DateTime<Utc>) -> Option<Self> {
        match decision {
            Decision::Job(state) => Some(Self::Job(state.clone())),
            Decision::Plan(run) => Some(Self::Plan(Arc::clone(run))),
            Decision::TakeBack { job, run } => Some(Self::TakeBack { job: job.clone(), run: *run }),
            Decision::Skip(skip) => Some(Self::Skip(skip.clone())),
            Decision::Start(start) => Some(Self::Claim(Claim {
                job: start.run.job.clone(),
                run: start.run.id,
                attempt: start.attempt,
                at: now,
            })),
            Decision::Again(cut) => {
                Some(Self::Again(Arc::new(Again { finish: Finish::of_cut(cut), retry_at: cut.at })))
            }
            Decision::End(cut) => Some(Self::Finish(Arc::new(Finish::of_cut(cut)))),
            Decision::Watermark(at) => Some(Self::Watermark(*at)),
            Decision::Cancel { .. } => None,
        }
    }

    /// Whose change it is; absent for what is everybody's: the watermark, code, documents and events.
    #[must_use]
    pub fn job(&self) -> Option<&JobId> {
        match self {
            Self::Job(state) => Some(&state.job),
            Self::Plan(run) => Some(&run.job),
            Self::TakeBack { job, .. } | Self::Release { job, .. } | Self::State { job, .. } => Some(job),
            Self::Skip(skip) => Some(&skip.job),
            Self::Claim(claim) => Some(&claim.job),
            Self::Again(again) => Some(&again.finish.job),
            Self::Finish(finish) => Some(&finish.job),
            Self::Generation(_)
            | Self::Document(_)
            | Self::DocumentGone { .. }
            | Self::Events(_)
            | Self::EventsGone { .. }
            | Self::Watermark(_) => None,
        }
    }
}

/// An attempt of a run is about to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whose.
    pub job: JobId,
    /// Which run.
    pub run: RunId,
    /// Which attempt, counted from 1.
    pub attempt: u32,
    /// When.
    pub at: DateTime<Utc>,
}

/// The end of an attempt after which another one follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Again {
    /// How the attempt ended. `n_attempts` is its number.
    pub finish: Finish,
    /// When the next one is due.
    pub retry_at: DateTime<Utc>,
}

/// The end of a run, or of one of its attempts.
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
    /// What the run wrote to the state of its job; kept together with its end, and never given back with it.
    pub state: Option<Box<StateChange>>,
}

impl Finish {
    fn of_cut(cut: &Cut) -> Self {
        Self {
            run: cut.run.id,
            job: cut.run.job.clone(),
            started_at: cut.started_at,
            finished_at: cut.at,
            duration: Duration::ZERO,
            n_attempts: cut.n_attempts,
            report: Report::without_guest(cut.outcome.clone()),
            state: None,
        }
    }
}
