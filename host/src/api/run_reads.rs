//! `/runs` and `/jobs/{job}/skips`, for whoever reads: what became of slots, by pages.

use std::{str::FromStr, sync::Arc};

use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::{JobId, RunId},
    outcome::OutcomeCode,
    ports::{RunFilter, RunPhase as Phase, RunPlace, RunRow, SkipFilter, SkipPlace},
    run as skip,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    asked::Named,
    problem::{Problem, Problems},
    query::Query,
    router::Api,
    view::runs::{Run, RunPhase, Runs, Skip, Skips, outcome},
};

/// Its routes.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(skips))
}

/// What is asked of a list of runs.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes the parameters; `list` reads them")]
struct RunsAsked {
    /// Only runs of this job.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length = 128)]
    job: Option<String>,
    /// Only runs that ended so; may be repeated, and any of them fits.
    #[param(required = false, schema_with = outcomes)]
    outcome: Vec<String>,
    /// Only runs that are so far.
    #[param(inline)]
    state: Option<RunPhase>,
    /// Only slots at or after this instant.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only slots before this instant.
    #[param(format = DateTime)]
    until: Option<String>,
    /// How many at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u16>,
    /// `next` of the page before.
    #[param(pattern = "^-?[0-9]{1,18}_[0-9a-f]{32}_[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    cursor: Option<String>,
}

fn outcomes() -> utoipa::openapi::schema::Array {
    utoipa::openapi::schema::ArrayBuilder::new().items(outcome()).max_items(Some(OutcomeCode::ALL.len())).build()
}

/// An instant of a cursor, in microseconds: as many digits as the description of the parameter has.
fn instant(text: &str) -> Option<DateTime<Utc>> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_written = digits.len() <= 18 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let micros = if is_written { text.parse().ok() } else { None };
    micros.and_then(DateTime::from_timestamp_micros)
}

/// A run of a cursor, as all its digits.
fn run_id(text: &str) -> Option<RunId> {
    let is_written = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let id = if is_written { u128::from_str_radix(text, 16).ok() } else { None };
    id.map(RunId::from_u128)
}

/// Where a page of runs begins: behind a place that never changes, whether or not its run is still there.
struct Cursor(RunPlace);

/// The cursor of what comes after a run in the order of the list.
pub(crate) fn cursor_of(place: &RunPlace) -> String {
    format!("{}_{:032x}_{}", place.slot.timestamp_micros(), place.run.as_u128(), place.job)
}

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let mut parts = text.splitn(3, '_');
            let (slot, run) = (instant(parts.next()?)?, run_id(parts.next()?)?);
            Some(Self(RunPlace { slot, run, job: parts.next()?.parse().ok()? }))
        };
        read().ok_or("it is no cursor of runs")
    }
}

/// Runs, the newest slot first.
#[utoipa::path(get, path = "/runs", tag = "runs", operation_id = "list_runs", params(RunsAsked), responses((status = 200, body = Runs), Problems))]
async fn list(State(api): State<Arc<Api>>, mut query: Query) -> Result<Json<Runs>, Problem> {
    let job = query.read::<JobId>("job", "write the id of a job")?;
    let outcomes = outcomes_of(query.many("outcome"))?;
    let phase = query.word("state", &Phase::ALL.map(|phase| (phase.as_str(), phase)))?;
    let (since, until, limit) = (query.instant("since")?, query.instant("until")?, query.limit()?);
    let beyond =
        query.read::<Cursor>("cursor", "write `next` of the page before, as it stands")?.map(|cursor| cursor.0);
    // One more than is shown tells whether there is another page.
    let filter = RunFilter { job, outcome: None, phase, since, until, beyond, n_max: limit + 1 };
    let mut rows = Vec::new();
    if outcomes.is_empty() {
        rows = api.ledger.runs(filter).await?;
    } else {
        for outcome in outcomes {
            rows.extend(api.ledger.runs(RunFilter { outcome: Some(outcome), ..filter.clone() }).await?);
        }
        rows.sort_by_cached_key(|row| std::cmp::Reverse(RunPlace::of(&row.run)));
    }
    let has_more = limit < rows.len();
    rows.truncate(limit);
    let next = rows.last().filter(|_| has_more).map(|last: &RunRow| cursor_of(&RunPlace::of(&last.run)));
    Ok(Json(Runs { items: rows.iter().map(Run::from).collect(), next }))
}

fn outcomes_of(words: Vec<String>) -> Result<Vec<OutcomeCode>, Problem> {
    let read = |word: String| {
        word.parse().map_err(|error: clockjack_schedule::outcome::UnknownOutcome| {
            let fix = "write one of the outcomes of the documentation, such as `failed`";
            Problem::new(StatusCode::BAD_REQUEST, "query.invalid", format!("`outcome`: {error}"), fix)
        })
    };
    let mut codes: Vec<OutcomeCode> = words.into_iter().map(read).collect::<Result<_, _>>()?;
    codes.sort_unstable();
    codes.dedup();
    Ok(codes)
}

/// What is asked of a list of skips.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes the parameters; `skips` reads them")]
struct SkipsAsked {
    /// Only those whose last slot is at or after this instant.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only those whose first slot is before this instant.
    #[param(format = DateTime)]
    until: Option<String>,
    /// How many at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u16>,
    /// `next` of the page before.
    #[param(
        pattern = "^-?[0-9]{1,18}_-?[0-9]{1,18}_([0-9a-f]{32})?_(misfired|coalesced|overlapping|paused|removed|cancelled|overloaded)$"
    )]
    cursor: Option<String>,
}

/// Where a page of skips begins, among those of one job.
struct SkipCursor {
    last: DateTime<Utc>,
    first: DateTime<Utc>,
    run: Option<RunId>,
    reason: &'static str,
}

impl SkipCursor {
    fn text(skip: &skip::Skip) -> String {
        let run = skip.run.map_or_else(String::new, |run| format!("{:032x}", run.as_u128()));
        let (last, first) = (skip.last.timestamp_micros(), skip.first.timestamp_micros());
        format!("{last}_{first}_{run}_{}", skip.reason.as_str())
    }
}

impl FromStr for SkipCursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let mut parts = text.splitn(4, '_');
            let (last, first) = (instant(parts.next()?)?, instant(parts.next()?)?);
            let run = match parts.next()? {
                "" => None,
                digits => Some(run_id(digits)?),
            };
            let word = parts.next()?;
            let reason =
                skip::SkipReason::ALL.into_iter().map(skip::SkipReason::as_str).find(|reason| *reason == word)?;
            Some(Self { last, first, run, reason })
        };
        read().ok_or("it is no cursor of skips")
    }
}

/// Slots of a job that became no run, and why; the newest first.
#[utoipa::path(get, path = "/jobs/{job}/skips", tag = "jobs", operation_id = "list_skips", params(("job" = String, Path), SkipsAsked), responses((status = 200, body = Skips), Problems))]
async fn skips(State(api): State<Arc<Api>>, Named(name): Named, mut query: Query) -> Result<Json<Skips>, Problem> {
    let (since, until, limit) = (query.instant("since")?, query.instant("until")?, query.limit()?);
    let cursor = query.read::<SkipCursor>("cursor", "write `next` of the page before, as it stands")?;
    let job = api.known_job(&name).await?;
    let beyond =
        cursor.map(|SkipCursor { last, first, run, reason }| SkipPlace { last, job: job.clone(), first, run, reason });
    let filter = SkipFilter { job: Some(job), since, until, beyond, n_max: limit + 1 };
    let mut found = api.ledger.skips(filter).await?;
    let has_more = limit < found.len();
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(SkipCursor::text);
    Ok(Json(Skips { items: found.iter().map(Skip::from).collect(), next }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a page is followed by has the form that the description promises, and nothing else is read.
    #[test]
    fn cursors_are_written_in_one_way() {
        let run = "01a2b3c4d5e6f708192a3b4c5d6e7f80";
        for micros in ["1795335175000000", "0", "-62135596800000000", "253402300799999999"] {
            let text = format!("{micros}_{run}_tick");
            assert_eq!(text.parse::<Cursor>().map(|cursor| cursor_of(&cursor.0)), Ok(text));
            for reason in skip::SkipReason::ALL.map(skip::SkipReason::as_str) {
                assert!(format!("{micros}_{micros}__{reason}").parse::<SkipCursor>().is_ok(), "{reason}");
            }
        }
        for wrong in ["+1", "", "-", "1.0", "9999999999999999999"] {
            assert!(format!("{wrong}_{run}_tick").parse::<Cursor>().is_err(), "{wrong}");
        }
        for wrong in [&run[1..], &run.to_uppercase(), "+1a2b3c4d5e6f708192a3b4c5d6e7f80"] {
            assert!(format!("1_{wrong}_tick").parse::<Cursor>().is_err(), "{wrong}");
        }
    }
}
