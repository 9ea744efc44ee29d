//! The facts of the attempt that is going on.

use std::time::SystemTime;

use crate::{Value, rt, value::instant};

/// The facts of the attempt that is going on.
///
/// ```
/// let ctx = clockjack_sdk::context();
/// let key = format!("{}/{}", ctx.job, ctx.run_id); // the same for all attempts: fit for idempotency keys
/// assert!(ctx.attempt <= ctx.max_attempts);
/// # let _ = key;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Context {
    /// The same for all attempts of a run: use it as the idempotency key of whatever the job does.
    pub run_id: String,
    /// The id of the job.
    pub job: String,
    /// Counts from 1.
    pub attempt: u32,
    /// After this attempt there is no other.
    pub max_attempts: u32,
    /// Why the run exists.
    pub cause: Cause,
    /// The nominal instant of the slot, never "now": a job that works on "yesterday" computes it from this.
    pub scheduled_for: SystemTime,
    /// When this attempt began.
    pub started_at: SystemTime,
    /// When this attempt will be stopped.
    pub deadline: SystemTime,
    /// The slot of the last run that succeeded: where an incremental job goes on.
    pub last_success: Option<SystemTime>,
    /// The IANA zone of the job.
    pub time_zone: String,
    /// The labels of the job.
    pub labels: Vec<(String, String)>,
    /// The W3C trace context of the run, when it is traced.
    pub traceparent: Option<String>,
}

/// Why a run exists.
#[derive(Debug, Clone, PartialEq, Eq, Value)]
#[non_exhaustive]
pub enum Cause {
    /// A trigger's slot was due.
    Schedule,
    /// A slot was late, and this many slots were folded into this run.
    CatchUp(u32),
    /// A person asked for it on the command line.
    Manual,
    /// An earlier attempt of the same run failed.
    Retry,
    /// A run of the named job ended.
    Upstream(String),
    /// A program asked for it through the API.
    Api,
}

/// The facts of the attempt that is going on.
///
/// Outside a component this is a stand-in: see [`testing`](crate::testing).
///
/// ```
/// use clockjack_sdk::Cause;
///
/// if let Cause::CatchUp(slots) = clockjack_sdk::context().cause {
///     clockjack_sdk::info!(slots = slots, "catching up");
/// }
/// ```
#[must_use]
pub fn context() -> Context {
    rt::imports::context()
}

/// The record as WIT has it: instants in milliseconds.
#[derive(Value)]
pub(crate) struct RawContext {
    run_id: String,
    job: String,
    attempt: u32,
    max_attempts: u32,
    cause: Cause,
    scheduled_for: u64,
    started_at: u64,
    deadline: u64,
    last_success: Option<u64>,
    time_zone: String,
    labels: Vec<(String, String)>,
    traceparent: Option<String>,
}

impl From<RawContext> for Context {
    fn from(raw: RawContext) -> Context {
        Context {
            run_id: raw.run_id,
            job: raw.job,
            attempt: raw.attempt,
            max_attempts: raw.max_attempts,
            cause: raw.cause,
            scheduled_for: instant(raw.scheduled_for),
            started_at: instant(raw.started_at),
            deadline: instant(raw.deadline),
            last_success: raw.last_success.map(instant),
            time_zone: raw.time_zone,
            labels: raw.labels,
            traceparent: raw.traceparent,
        }
    }
}
