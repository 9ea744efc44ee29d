//! The shell around the pure core: it reads files, the clock and the environment, runs guests and talks to people.
//!
//! A program that wants the scheduler inside itself begins with [`Scheduler`].
//!
//! Data goes round one ring: inbox, core, ledger, dispatcher, executor, recorder, and back as an input. Nothing calls
//! back; whoever wants to know what happens listens to the bus.

pub mod api;
pub mod cli;
pub mod clock;
mod embed;
pub mod hot;
pub mod load;
pub mod logging;
pub mod metrics;
pub mod notify;
pub mod operate;
pub mod settings;
pub mod shell;
pub mod systemd;
#[cfg(feature = "otlp")]
pub mod traces;

pub use self::{
    cli::child_process,
    embed::{
        Asker, Builder, Compile, Context, Error, Event, Events, Finding, Job, JobError, JobId, JobInfo, JobResult,
        JobState, LogLevel, LogLine, OutcomeCode, ResumeFrom, Run, RunHandle, RunId, RunState, Schedule, Scheduler,
        Summary,
    },
};
