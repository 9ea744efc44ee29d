//! What can go wrong for a program that has the host inside itself.

use clockjack_schedule::{
    diagnostic::{Diagnostic, Severity},
    ports::LedgerError,
};

/// Why the scheduler did not do what it was asked for. Each has a stable code.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A manifest or a job is wrong, or cannot be in force now; nothing of the change is.
    #[error("{message}")]
    Refused {
        /// What is wrong, in one line.
        message: String,
        /// Everything that was found.
        findings: Vec<Finding>,
    },
    /// The scheduler could not be started: the ledger cannot be opened, no engine can be set up.
    #[error("the scheduler did not start: {0}")]
    NotStarted(String),
    /// There is no such job in force.
    #[error("there is no job `{0}`")]
    UnknownJob(String),
    /// There is no such run in the ledger, or none any more.
    #[error("there is no run `{0}`")]
    UnknownRun(String),
    /// The job stands in a manifest, which is where it is changed or taken out.
    #[error("job `{0}` was not added by the program: change the manifest that has it")]
    NotOfProgram(String),
    /// A job of that id is there already; it may be taken out first, or put in another's place with `put`.
    #[error("there is a job `{0}` already")]
    Exists(String),
    /// A run that was asked for is none: its job may not run beside itself, or is gone.
    #[error("job `{job}` does not run now: {reason}")]
    Skipped {
        /// Which job.
        job: String,
        /// Why: a reason of skips.
        reason: String,
    },
    /// What came along with a wish is too large or too deep.
    #[error("the payload cannot be kept: {0}")]
    Payload(String),
    /// The ledger cannot be read or written now.
    #[error("{0}")]
    Ledger(String),
    /// The scheduler has been shut down, or has failed.
    #[error("the scheduler has stopped")]
    Stopped,
}

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "job.invalid",
            Self::NotStarted(_) => "host.not_started",
            Self::UnknownJob(_) => "job.unknown",
            Self::UnknownRun(_) => "run.unknown",
            Self::NotOfProgram(_) => "job.in_manifest",
            Self::Exists(_) => "job.exists",
            Self::Skipped { .. } => "run.skipped",
            Self::Payload(_) => "payload.invalid",
            Self::Ledger(_) => "ledger.unavailable",
            Self::Stopped => "host.stopping",
        }
    }

    /// A refusal with the first thing that is wrong in front.
    pub(super) fn refused(why: Option<&str>, found: &[Diagnostic]) -> Self {
        let is_error = |found: &&Diagnostic| found.severity == Severity::Error;
        let first = found.iter().find(is_error).map(|found| match &found.fix {
            Some(fix) => format!("{}; {fix}", found.message),
            None => found.message.clone(),
        });
        let n_more = found.iter().filter(is_error).count().saturating_sub(1);
        let more = if n_more == 0 { String::new() } else { format!(" (and {n_more} more)") };
        let message = first.map(|first| format!("{first}{more}")).or(why.map(str::to_owned));
        let findings = found.iter().map(Finding::of).collect();
        Self::Refused { message: message.unwrap_or_else(|| "the host refuses it".to_owned()), findings }
    }
}

impl From<LedgerError> for Error {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error.to_string())
    }
}

/// Something that was found in a manifest or in a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is wrong, or only to be thought about.
    pub is_error: bool,
    /// The stable code, such as `manifest.unknown_key`.
    pub code: String,
    /// What is the matter.
    pub message: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Finding {
    fn of(found: &Diagnostic) -> Self {
        Self {
            is_error: found.severity == Severity::Error,
            code: found.code.to_owned(),
            message: found.message.clone(),
            fix: found.fix.as_ref().map(ToString::to_string),
        }
    }
}
