//! Clockjack inside another program: the scheduler as a library.
//!
//! A [`Scheduler`] is a whole host: ledger, sandbox, hot load. It lives beside the rest of a program, the way people use
//! APScheduler's `BackgroundScheduler`. Its jobs come from manifests, and from the program itself ([`Job`]): components, and
//! functions of the program ([`Job::native`]), which share triggers, policies, retries and history with all others.
//!
//! The library prints nothing, handles no signals, sets no subscriber for `tracing`, and leaves the limits of the process
//! alone; all that belongs to the program. What it tells goes to `tracing` and to [`Scheduler::events`].
//!
//! ```
//! use std::time::Duration;
//! use clockjack::{Event, Job, Scheduler};
//! use serde_json::json;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let scheduler = Scheduler::builder().ledger("memory:").timezone("Europe/Berlin").start().await?;
//! let mut events = scheduler.events();
//!
//! let cleanup = Job::native("cleanup", |context| async move {
//!     context.info("looking for old files");
//!     Ok(json!({ "deleted": context.args()["limit"] }))
//! });
//! scheduler.add(cleanup.cron("0 3 * * *").arg("limit", 3).timeout(Duration::from_secs(60))).await?;
//!
//! // Once now, whatever its triggers say.
//! let run = scheduler.run("cleanup").await?.wait().await?;
//! assert_eq!(run.output, Some(json!({ "deleted": 3 })));
//! while let Some(event) = events.next().await {
//!     if let Event::RunFinished { job, outcome, .. } = event {
//!         assert_eq!((job.as_str(), outcome.as_str()), ("cleanup", "succeeded"));
//!         break;
//!     }
//! }
//! scheduler.shutdown(Duration::from_secs(10)).await?;
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # The HTTP API
//!
//! [`Scheduler::router`] is the API of `clockjack up`, for an axum service of the program: the same routes, and the same
//! rules for who may ask. A program that guards it itself takes [`Scheduler::router_without_tokens`].
//!
//! # What stays and what does not
//!
//! Slots, runs, pauses and what components remember are in the ledger, and survive the program where that is a file.
//! Definitions that the program adds are the program's: each start adds them anew, before [`Builder::start`] where slots of
//! the downtime are to count ([`Builder::job`]). What is not added again is gone, as a job that was taken out of a manifest:
//! its history stays and nothing of it runs.
//!
//! # How components are compiled
//!
//! Clockjack compiles components in a child process with bounds of its own, because a hostile one can cost gigabytes and
//! minutes. That child is normally `clockjack` itself; another program has three ways, see [`Compile`].

mod builder;
mod error;
mod events;
mod job;
mod native;
mod ring;
mod routes;
mod runs;
mod scheduler;
#[cfg(test)]
mod tests;

pub use self::{
    builder::{Builder, Compile},
    error::{Error, Finding},
    events::{Asker, Event, Events},
    job::{Job, Schedule},
    native::{Context, JobError, JobResult},
    runs::{JobInfo, JobState, Run, RunHandle, RunState},
    scheduler::{ResumeFrom, Scheduler},
};
pub use crate::shell::Summary;
pub use clockjack_schedule::{
    id::{JobId, RunId},
    outcome::OutcomeCode,
    ports::{LogLevel, LogLine},
};
