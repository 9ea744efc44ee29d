//! How rows of the ledger look: as JSON with stable names, and as words in tables.
//!
//! What is not known is `null` in JSON and `-` in a table. Instants are RFC 3339 in UTC.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::RunId,
    manifest::scalar::show_duration,
    outcome::{Outcome, OutcomeCode},
    ports::{Captured, Finish, LogLine, Report, RunRow, RunState, RunStory, Usage},
    run::{Cause, Skip},
};
use serde_json::{Map, Value as Json, json};

use super::print;

/// What stands in a table where nothing is known.
pub(super) const NONE: &str = "-";

/// How far a run is, in one word.
pub(super) fn state(row: &RunRow) -> &'static str {
    match &row.state {
        RunState::Open { claimed_at: Some(_), .. } => "running",
        RunState::Open { n_attempts: 0, claimed_at: None, retry_at: None } => "planned",
        RunState::Open { .. } => "retrying",
        RunState::Ended(_) => "ended",
    }
}

/// How many attempts have begun.
pub(super) fn n_attempts(row: &RunRow) -> u32 {
    match &row.state {
        RunState::Open { n_attempts, claimed_at, .. } => n_attempts + u32::from(claimed_at.is_some()),
        RunState::Ended(finish) => finish.n_attempts,
    }
}

/// When the first attempt began, where a row alone tells it: it tells only of the last one.
pub(super) fn first_start(row: &RunRow) -> Option<DateTime<Utc>> {
    match &row.state {
        RunState::Open { n_attempts: 0, claimed_at, .. } => *claimed_at,
        RunState::Open { .. } => None,
        RunState::Ended(finish) => finish.started_at.filter(|_| finish.n_attempts == 1),
    }
}

/// When the first attempt of a run began.
pub(super) fn first_start_of(story: &RunStory) -> Option<DateTime<Utc>> {
    story.attempts.first().map_or_else(|| first_start(&story.row), |first| first.started_at)
}

/// How long after it was due a run began.
pub(super) fn late(row: &RunRow, first_start: Option<DateTime<Utc>>) -> Option<Duration> {
    let late = first_start?.signed_duration_since(row.run.due_at);
    Some(late.to_std().unwrap_or_default())
}

/// How long an attempt took, where that was measured: what a stop of the host cut was not.
pub(super) fn took(finish: &Finish) -> Option<Duration> {
    Some(finish.duration).filter(|duration| !duration.is_zero())
}

/// A run for programs. `started_at` and what follows it are those of the last attempt.
pub(super) fn run_json(row: &RunRow) -> Map<String, Json> {
    let run = &row.run;
    let finish = row.finish();
    let (started_at, retry_at) = match &row.state {
        RunState::Open { claimed_at, retry_at, .. } => (*claimed_at, retry_at.filter(|_| claimed_at.is_none())),
        RunState::Ended(finish) => (finish.started_at, None),
    };
    let mut object = Map::new();
    object.insert("id".to_owned(), json!(run.id.to_string()));
    object.insert("job".to_owned(), json!(run.job.as_str()));
    object.insert("scheduled_for".to_owned(), instant(Some(run.scheduled_for)));
    object.insert("due_at".to_owned(), instant(Some(run.due_at)));
    object.insert("cause".to_owned(), json!(run.cause.to_string()));
    object.insert("state".to_owned(), json!(state(row)));
    object.insert("attempts".to_owned(), json!(n_attempts(row)));
    object.insert("started_at".to_owned(), instant(started_at));
    object.extend(end_json(finish));
    object.insert("retry_at".to_owned(), instant(retry_at));
    object
}

/// How a run, or one of its attempts, ended; all `null` where it has not.
pub(super) fn end_json(finish: Option<&Finish>) -> Map<String, Json> {
    let report = finish.map(|finish| &finish.report);
    let outcome = report.map(|report| &report.outcome);
    // Where no guest ran, its numbers are no zeros but unknown.
    let guest = report.filter(|report| !report.digest.is_empty());
    let fields = [
        ("outcome", json!(outcome.map(|outcome| outcome.code.as_str()))),
        ("error", json!(outcome.and_then(error))),
        ("note", json!(outcome.and_then(note))),
        ("finished_at", instant(finish.map(|finish| finish.finished_at))),
        ("duration_ms", json!(finish.and_then(took).map(print::millis))),
        ("cpu_time_ms", json!(guest.map(|report| print::millis(report.cpu_time)))),
        ("memory_peak_bytes", json!(guest.map(|report| report.memory_peak_bytes))),
        ("fuel_used", json!(guest.and_then(|report| report.fuel_used))),
        ("usage", json!(guest.map(|report| usage_json(report.usage)))),
        ("generation", json!(guest.map(|report| report.generation))),
        ("digest", json!(guest.map(|report| &*report.digest))),
    ];
    fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}

/// What was used of what is counted, without zeros.
pub(super) fn usage_json(usage: Usage) -> Json {
    let used = usage.figures().filter(|(_, figure)| *figure != 0);
    Json::Object(used.map(|(name, figure)| (name.to_owned(), json!(figure))).collect())
}

fn error(outcome: &Outcome) -> Option<&str> {
    (outcome.code != OutcomeCode::Succeeded).then_some(outcome.message.as_str())
}

/// What is to be said of a success, such as that its result was too large to be kept.
pub(super) fn note(outcome: &Outcome) -> Option<&str> {
    let is_said = outcome.code == OutcomeCode::Succeeded && !outcome.message.is_empty();
    is_said.then_some(outcome.message.as_str())
}

/// What a guest wrote, logged and returned, for programs.
pub(super) fn written_json(report: Option<&Report>) -> Map<String, Json> {
    let mut object = Map::new();
    let captured = [("stdout", report.map(|report| &report.stdout)), ("stderr", report.map(|report| &report.stderr))];
    for (name, captured) in captured {
        let dropped = captured.map(|captured: &Captured| captured.n_bytes_dropped);
        object.insert(name.to_owned(), json!(captured.map(|captured| &captured.text)));
        object.insert(format!("{name}_bytes"), json!(captured.map(|captured| captured.n_bytes)));
        object.insert(format!("{name}_truncated"), json!(dropped.map(|dropped| 0 < dropped)));
    }
    let logs = report.map_or(&[][..], |report| &report.logs);
    object.insert("logs".to_owned(), logs.iter().map(log_json).collect());
    object.insert("logs_dropped".to_owned(), json!(report.map(|report| report.n_logs_dropped)));
    object
}

/// A line that a guest logged, for programs.
pub(crate) fn log_json(line: &LogLine) -> Json {
    let fields: Map<_, _> = line.fields.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    json!({ "at": print::rfc3339(line.at), "level": line.level.as_str(), "message": line.message, "fields": fields })
}

/// Skipped slots for programs.
pub(super) fn skip_json(skip: &Skip) -> Json {
    json!({
        "job": skip.job.as_str(),
        "state": "skipped",
        "reason": skip.reason.as_str(),
        "first": print::rfc3339(skip.first),
        "last": print::rfc3339(skip.last),
        "count": skip.count,
        "decided_at": print::rfc3339(skip.at),
        "run": id(skip.run),
        "by": id(skip.by),
    })
}

/// An instant for programs.
pub(super) fn instant(at: Option<DateTime<Utc>>) -> Json {
    json!(at.map(print::rfc3339))
}

/// A run's id for programs.
pub(super) fn id(run: Option<RunId>) -> Json {
    json!(run.map(|run| run.to_string()))
}

/// An instant in a table.
pub(super) fn shown(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.fZ").to_string()
}

/// An instant in a table that may be unknown.
pub(super) fn shown_or_none(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| NONE.to_owned(), shown)
}

/// A time of day in a column beside that of the slot; with its date where it has another one.
pub(super) fn beside(at: DateTime<Utc>, slot: DateTime<Utc>) -> String {
    let format = if at.date_naive() == slot.date_naive() { "%H:%M:%S%.3fZ" } else { "%Y-%m-%d %H:%M:%SZ" };
    at.format(format).to_string()
}

/// A time that passed, in its two largest units.
pub(super) fn span(duration: Duration) -> String {
    let millis = Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    // Next to milliseconds nobody wants to read microseconds.
    let shown = if millis.is_zero() { duration } else { millis };
    show_duration(print::rounded(shown)).split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// A time that passed, in a table that may not know it.
pub(super) fn span_or_none(duration: Option<Duration>) -> String {
    duration.map_or_else(|| NONE.to_owned(), span)
}

/// How far apart two instants are, whichever comes first.
pub(super) fn distance(one: DateTime<Utc>, other: DateTime<Utc>) -> Duration {
    one.signed_duration_since(other).abs().to_std().unwrap_or_default()
}

/// A number of things.
pub(super) fn plural(n: u64, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

/// Why a run exists, for people.
pub(super) fn cause(cause: &Cause) -> String {
    match cause {
        Cause::Schedule => "schedule: a slot of its trigger".to_owned(),
        Cause::CatchUp(n_slots) => {
            format!("catch-up of {n_slots}: that many slots were late together, and this run stands for all of them")
        }
        Cause::Manual => "manual: somebody asked for it".to_owned(),
        Cause::Upstream(job) => format!("upstream {job}: a run of that job had ended (`after`)"),
        Cause::Api => "api: a program asked for it".to_owned(),
        Cause::Start => "start: the host saw the job for the first time (`run_on_start`)".to_owned(),
        Cause::Backfill => "backfill: somebody asked to make up for this slot".to_owned(),
    }
}
