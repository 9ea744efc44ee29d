//! How rows of the ledger look as words in tables; for programs there are views (`api::view`).
//!
//! What is not known is `null` in JSON and `-` in a table. Instants are RFC 3339 in UTC.

use std::time::Duration;

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::RunId,
    manifest::scalar::show_duration,
    outcome::{Outcome, OutcomeCode},
    ports::{Finish, RunRow, RunState, RunStory},
    run::Cause,
};
use serde_json::{Value as Json, json};

use super::print;

/// What stands in a table where nothing is known.
pub(super) const NONE: &str = "-";

/// How far a run is, in one word.
pub(super) fn state(row: &RunRow) -> &'static str {
    row.state.phase().as_str()
}

/// How many attempts have begun.
pub(crate) fn n_attempts(row: &RunRow) -> u32 {
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
pub(crate) fn took(finish: &Finish) -> Option<Duration> {
    Some(finish.duration).filter(|duration| !duration.is_zero())
}

/// What is to be said of a success, such as that its result was too large to be kept.
pub(crate) fn note(outcome: &Outcome) -> Option<&str> {
    let is_said = outcome.code == OutcomeCode::Succeeded && !outcome.message.is_empty();
    is_said.then_some(outcome.message.as_str())
}

/// The attempts that have ended, first to last. The end of a run that waited for its next attempt is none itself.
pub(crate) fn ended_attempts(story: &RunStory) -> Vec<&Finish> {
    let n_before = story.attempts.last().map_or(0, |last| last.n_attempts);
    let last = story.row.finish().filter(|finish| n_before < finish.n_attempts);
    story.attempts.iter().chain(last).collect()
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
