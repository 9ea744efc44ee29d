//! Runs, their attempts, and slots that became no run.

use clockjack_schedule::{
    outcome::OutcomeCode,
    payload::Payload,
    ports::{self, Captured, Finish, Report, RunRow, RunStory},
    run,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use utoipa::{
    ToSchema,
    openapi::{Object, ObjectBuilder, Type, schema::SchemaType},
};

use crate::cli::{millis, rfc3339, rows};

/// A run. `started_at` and what follows it are those of the last attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// Its id.
    #[schema(format = "uuid")]
    pub id: String,
    /// Whose run it is.
    pub job: String,
    /// The slot: the nominal instant.
    #[schema(format = DateTime)]
    pub scheduled_for: String,
    /// When it may start: the slot and its jitter.
    #[schema(format = DateTime)]
    pub due_at: String,
    /// Why it exists: `schedule`, `catch-up of 3`, `manual`, `upstream JOB`, `api`, `start`.
    pub cause: String,
    /// How far it is.
    pub state: RunPhase,
    /// How many attempts have begun.
    pub attempts: u32,
    /// When the last attempt began.
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// How it ended.
    #[serde(flatten)]
    pub end: RunEnd,
    /// When the next attempt is due, where it waits for one.
    #[schema(format = DateTime)]
    pub retry_at: Option<String>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunPhase {
    /// No attempt has begun.
    Planned,
    /// An attempt goes on.
    Running,
    /// It waits for its next attempt.
    Retrying,
    /// It has ended.
    Ended,
}

/// How a run, or one of its attempts, ended. All of it is `null` where it has not, and what a guest used is `null` where
/// none ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunEnd {
    /// The code of the outcome.
    #[schema(schema_with = outcome_or_null)]
    pub outcome: Option<String>,
    /// Why, where it did not succeed.
    pub error: Option<String>,
    /// What is to be said of a success, such as that its result was too large to be kept.
    pub note: Option<String>,
    /// When it ended.
    #[schema(format = DateTime)]
    pub finished_at: Option<String>,
    /// How long the attempt took, in milliseconds.
    pub duration_ms: Option<f64>,
    /// Processor time of the guest, in milliseconds.
    pub cpu_time_ms: Option<f64>,
    /// Highest sum of all linear memories.
    pub memory_peak_bytes: Option<u64>,
    /// Instructions, where they were metered.
    pub fuel_used: Option<u64>,
    /// What was used of what is counted, without zeros.
    #[schema(value_type = Option<std::collections::BTreeMap<String, u64>>)]
    pub usage: Option<Map<String, Json>>,
    /// Which generation of the plugin ran.
    pub generation: Option<u32>,
    /// The SHA-256 of the component that ran, in hex.
    pub digest: Option<String>,
}

/// A run with all that is kept of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunDetail {
    /// What a list says of it.
    #[serde(flatten)]
    pub run: Run,
    /// What came with the wish for it.
    pub payload: Option<Json>,
    /// The arguments that it was asked for with, instead of those of its job.
    pub args: Option<Json>,
    /// What the function returned, or the value of its error.
    pub output: Option<Json>,
    /// What the last attempt wrote and logged.
    #[serde(flatten)]
    pub written: Written,
    /// How far the guest last said that it was.
    pub progress: Option<String>,
    /// Its attempts, first to last.
    pub attempt_list: Vec<Attempt>,
}

/// One try of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// Which try, counted from 1.
    #[schema(minimum = 1)]
    pub number: u32,
    /// When it began.
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// How it ended.
    #[serde(flatten)]
    pub end: RunEnd,
    /// What the function returned, or the value of its error.
    pub output: Option<Json>,
    /// What it wrote and logged.
    #[serde(flatten)]
    pub written: Written,
}

/// What a guest wrote and logged. It is kept when its attempt ends, and `null` until then.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Written {
    /// What it wrote to stdout, as far as that was kept.
    pub stdout: Option<String>,
    /// How much it wrote there.
    pub stdout_bytes: Option<u64>,
    /// Whether some of it was not kept.
    pub stdout_truncated: Option<bool>,
    /// What it wrote to stderr, as far as that was kept.
    pub stderr: Option<String>,
    /// How much it wrote there.
    pub stderr_bytes: Option<u64>,
    /// Whether some of it was not kept.
    pub stderr_truncated: Option<bool>,
    /// What it logged.
    pub logs: Vec<LogLine>,
    /// How many lines were not kept.
    pub logs_dropped: Option<u64>,
}

/// A line that a guest logged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// How important it is.
    #[schema(schema_with = log_level)]
    pub level: String,
    /// What it says.
    pub message: String,
    /// What it says it of.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub fields: Map<String, Json>,
}

/// Slots that became no run, with the reason: one slot, or a gap of many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Skip {
    /// Whose slots they were.
    pub job: String,
    /// Always `skipped`.
    pub state: String,
    /// Why: `misfired`, `coalesced`, `overlapping`, `paused`, `removed`, `cancelled`, `overloaded`.
    pub reason: String,
    /// The first slot.
    #[schema(format = DateTime)]
    pub first: String,
    /// The last slot; the same for one.
    #[schema(format = DateTime)]
    pub last: String,
    /// How many slots.
    #[schema(minimum = 1)]
    pub count: u64,
    /// When that was decided.
    #[schema(format = DateTime)]
    pub decided_at: String,
    /// The run that the slot had already become.
    #[schema(format = "uuid")]
    pub run: Option<String>,
    /// The run that was in the way, or into which the slots were folded.
    #[schema(format = "uuid")]
    pub by: Option<String>,
}

/// What became of a run that was to end.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Cancelled {
    /// It ends, or has ended.
    Run(Box<RunDetail>),
    /// It had not begun, and its slot is a skip.
    Skip(SkippedRun),
}

/// A run that was cancelled before it began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SkippedRun {
    /// The id that it had.
    #[schema(format = "uuid")]
    pub id: String,
    /// Whose it was.
    pub job: String,
    /// Its slot.
    #[schema(format = DateTime)]
    pub scheduled_for: String,
    /// Always `skipped`.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
}

/// A page of runs, the newest slot first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Runs {
    /// The runs.
    pub items: Vec<Run>,
    /// The `cursor` of the next page; `null` on the last one.
    pub next: Option<String>,
}

/// A page of slots that became no run, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Skips {
    /// The skips.
    pub items: Vec<Skip>,
    /// The `cursor` of the next page; `null` on the last one.
    pub next: Option<String>,
}

/// One of some words.
fn words<'w>(words: impl Iterator<Item = &'w str>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).enum_values(Some(words))
}

/// The codes of outcomes.
pub(crate) fn outcome() -> Object {
    words(OutcomeCode::ALL.iter().map(|code| code.as_str())).build()
}

fn outcome_or_null() -> Object {
    let codes = OutcomeCode::ALL.iter().map(|code| Json::from(code.as_str()));
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some(codes.chain([Json::Null])))
        .description(Some("The code of the outcome."))
        .build()
}

fn log_level() -> Object {
    words(["trace", "debug", "info", "warn", "error"].into_iter()).build()
}

impl From<ports::RunPhase> for RunPhase {
    fn from(phase: ports::RunPhase) -> Self {
        match phase {
            ports::RunPhase::Planned => Self::Planned,
            ports::RunPhase::Running => Self::Running,
            ports::RunPhase::Retrying => Self::Retrying,
            ports::RunPhase::Ended => Self::Ended,
        }
    }
}

impl From<RunPhase> for ports::RunPhase {
    fn from(phase: RunPhase) -> Self {
        match phase {
            RunPhase::Planned => Self::Planned,
            RunPhase::Running => Self::Running,
            RunPhase::Retrying => Self::Retrying,
            RunPhase::Ended => Self::Ended,
        }
    }
}

impl From<&RunRow> for Run {
    fn from(row: &RunRow) -> Self {
        let run = &row.run;
        let (started_at, retry_at) = match &row.state {
            ports::RunState::Open { claimed_at, retry_at, .. } => {
                (*claimed_at, retry_at.filter(|_| claimed_at.is_none()))
            }
            ports::RunState::Ended(finish) => (finish.started_at, None),
        };
        Self {
            id: run.id.to_string(),
            job: run.job.to_string(),
            scheduled_for: rfc3339(run.scheduled_for),
            due_at: rfc3339(run.due_at),
            cause: run.cause.to_string(),
            state: row.state.phase().into(),
            attempts: rows::n_attempts(row),
            started_at: started_at.map(rfc3339),
            end: row.finish().map(Into::into).unwrap_or_default(),
            retry_at: retry_at.map(rfc3339),
        }
    }
}

impl From<&Finish> for RunEnd {
    fn from(finish: &Finish) -> Self {
        let report = &finish.report;
        let outcome = &report.outcome;
        // Where no guest ran, its numbers are no zeros but unknown.
        let guest = Some(report).filter(|report| !report.digest.is_empty());
        let is_success = outcome.code == OutcomeCode::Succeeded;
        Self {
            outcome: Some(outcome.code.as_str().to_owned()),
            error: (!is_success).then(|| outcome.message.clone()),
            note: rows::note(outcome).map(ToOwned::to_owned),
            finished_at: Some(rfc3339(finish.finished_at)),
            duration_ms: rows::took(finish).map(millis),
            cpu_time_ms: guest.map(|report| millis(report.cpu_time)),
            memory_peak_bytes: guest.map(|report| report.memory_peak_bytes),
            fuel_used: guest.and_then(|report| report.fuel_used),
            usage: guest.map(|report| used(report.usage)),
            generation: guest.map(|report| report.generation),
            digest: guest.map(|report| report.digest.to_string()),
        }
    }
}

/// What was used of what is counted, without zeros.
pub(crate) fn used(usage: ports::Usage) -> Map<String, Json> {
    let used = usage.figures().filter(|(_, figure)| *figure != 0);
    used.map(|(name, figure)| (name.to_owned(), figure.into())).collect()
}

impl From<&RunStory> for RunDetail {
    fn from(story: &RunStory) -> Self {
        let report = story.row.finish().map(|finish| &finish.report);
        let ended = rows::ended_attempts(story).into_iter().map(Attempt::from);
        Self {
            run: (&story.row).into(),
            payload: story.row.run.payload.as_ref().map(Payload::json).cloned(),
            args: story.row.run.payload.as_ref().and_then(Payload::args).cloned(),
            output: report.and_then(|report| report.outcome.output.clone()),
            written: report.map(Into::into).unwrap_or_default(),
            progress: report.and_then(|report| report.progress.clone()),
            attempt_list: ended.chain(open_attempt(&story.row)).collect(),
        }
    }
}

impl From<&Finish> for Attempt {
    fn from(finish: &Finish) -> Self {
        Self {
            number: finish.n_attempts,
            started_at: finish.started_at.map(rfc3339),
            end: finish.into(),
            output: finish.report.outcome.output.clone(),
            written: (&finish.report).into(),
        }
    }
}

/// The attempt that goes on.
fn open_attempt(row: &RunRow) -> Option<Attempt> {
    let ports::RunState::Open { n_attempts, claimed_at: Some(claimed_at), .. } = &row.state else { return None };
    Some(Attempt {
        number: n_attempts + 1,
        started_at: Some(rfc3339(*claimed_at)),
        end: RunEnd::default(),
        output: None,
        written: Written::default(),
    })
}

impl From<&Report> for Written {
    fn from(report: &Report) -> Self {
        let is_truncated = |captured: &Captured| Some(0 < captured.n_bytes_dropped);
        Self {
            stdout: Some(report.stdout.text.to_string()),
            stdout_bytes: Some(report.stdout.n_bytes),
            stdout_truncated: is_truncated(&report.stdout),
            stderr: Some(report.stderr.text.to_string()),
            stderr_bytes: Some(report.stderr.n_bytes),
            stderr_truncated: is_truncated(&report.stderr),
            logs: report.logs.iter().map(Into::into).collect(),
            logs_dropped: Some(report.n_logs_dropped),
        }
    }
}

impl From<&ports::LogLine> for LogLine {
    fn from(line: &ports::LogLine) -> Self {
        Self {
            at: rfc3339(line.at),
            level: line.level.as_str().to_owned(),
            message: line.message.clone(),
            fields: line.fields.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect(),
        }
    }
}

impl From<&run::Skip> for Skip {
    fn from(skip: &run::Skip) -> Self {
        Self {
            job: skip.job.to_string(),
            state: "skipped".to_owned(),
            reason: skip.reason.as_str().to_owned(),
            first: rfc3339(skip.first),
            last: rfc3339(skip.last),
            count: skip.count,
            decided_at: rfc3339(skip.at),
            run: skip.run.map(|run| run.to_string()),
            by: skip.by.map(|run| run.to_string()),
        }
    }
}
