//! `/backfills`: slots of the past that are made up for.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    asked::{Asked, By, Named},
    pauses::{invalid, read_instant},
    problem::{Problem, Problems},
    query::Dry,
    router::Api,
    view::operate::{Backfill, BackfillAsked, BackfillList, BackfillPlan},
};
use crate::operate::{AT_ONCE_MAX, BackfillError, Backfills, SLOTS_MAX, Wanted};

/// Its routes.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(begin)).routes(routes!(list)).routes(routes!(show)).routes(routes!(cancel))
}

/// Makes up for the slots of a range, or says what that would do: `200` with a plan, or `202` with what was begun.
#[utoipa::path(post, path = "/jobs/{job}/backfill", tag = "jobs", params(("job" = String, Path), ("dry_run" = Option<bool>, Query)), request_body = BackfillAsked, responses((status = 200, body = BackfillPlan), (status = 202, body = Backfill), Problems))]
async fn begin(
    State(api): State<Arc<Api>>,
    Named(name): Named,
    By(by): By,
    Dry(is_dry): Dry,
    Asked(asked): Asked<BackfillAsked>,
) -> Result<Response, Problem> {
    let job = api.job(&name).await?.state.job;
    let (from, to) = (read_instant("from", &asked.from)?, read_instant("to", &asked.to)?);
    let bounded = |key: &str, value: Option<u32>, most: u32| match value {
        Some(value) if value == 0 || most < value => {
            Err(invalid("backfill.invalid", format!("`{key}` is {value}; it is 1 to {most}"), "write such a number"))
        }
        value => Ok(value),
    };
    let slots_max = u32::try_from(SLOTS_MAX).unwrap_or(u32::MAX);
    let max = bounded("max", asked.max, slots_max)?.and_then(|max| usize::try_from(max).ok());
    let at_once = bounded("at_once", asked.at_once, AT_ONCE_MAX)?.unwrap_or(1);
    let wanted = Wanted { job, from, to, max, at_once, again: asked.again, by };
    let backfills = &api.operator.backfills;
    if asked.dry_run || is_dry {
        return Ok(
            Json(api.soon(backfills.plan(wanted)).await?.map_err(|error| problem(&name, error))?).into_response()
        );
    }
    let begun = api.soon(backfills.begin(next_id(&api), wanted)).await?.map_err(|error| problem(&name, error))?;
    Ok((StatusCode::ACCEPTED, Json(begun)).into_response())
}

/// All backfills that go on, and those that ended last.
#[utoipa::path(get, path = "/backfills", tag = "jobs", responses((status = 200, body = BackfillList), Problems))]
async fn list(State(api): State<Arc<Api>>) -> Result<Json<BackfillList>, Problem> {
    Ok(Json(BackfillList { items: Backfills::list(&*api.ledger).await? }))
}

/// How a backfill goes on.
#[utoipa::path(get, path = "/backfills/{backfill}", tag = "jobs", params(("backfill" = String, Path)), responses((status = 200, body = Backfill), Problems))]
async fn show(State(api): State<Arc<Api>>, Named(id): Named) -> Result<Json<Backfill>, Problem> {
    let found = Backfills::list(&*api.ledger).await?.into_iter().find(|backfill| backfill.id == id);
    found.map(Json).ok_or_else(|| problem(&id, BackfillError::Unknown))
}

/// Ends a backfill. Runs of it that go on finish.
#[utoipa::path(post, path = "/backfills/{backfill}/cancel", tag = "jobs", params(("backfill" = String, Path)), responses((status = 200, body = Backfill), Problems))]
async fn cancel(State(api): State<Arc<Api>>, Named(id): Named) -> Result<Json<Backfill>, Problem> {
    Ok(Json(api.soon(api.operator.backfills.cancel(&id)).await?.map_err(|error| problem(&id, error))?))
}

/// An id that no other backfill of this ledger has.
fn next_id(api: &Api) -> String {
    static N_BEFORE: AtomicU64 = AtomicU64::new(0);
    let n_before = N_BEFORE.fetch_add(1, Ordering::Relaxed);
    format!("{:x}-{n_before:x}", api.clock.now().timestamp_micros())
}

fn problem(name: &str, error: BackfillError) -> Problem {
    match error {
        BackfillError::Ledger(error) => error.into(),
        BackfillError::Gone => {
            let detail = format!("the host has no job `{name}` any more");
            Problem::unknown("job.unknown", detail, "`clockjack jobs` lists them")
        }
        BackfillError::Unknown => {
            let detail = format!("there is no backfill `{name}`");
            Problem::unknown("backfill.unknown", detail, "`clockjack backfills` lists those that are remembered")
        }
        BackfillError::Ended(state) => {
            let detail = format!("the backfill `{name}` has ended as {state}");
            Problem::conflict("backfill.ended", detail, "there is nothing to cancel any more")
        }
        BackfillError::Busy => {
            let fix = "ask again when one of them has ended, or cancel one";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "backfill.busy", error.to_string(), fix)
        }
        BackfillError::Range(error) => {
            let fix = "name a range of the past with at most 10,000 slots, or `max`, for a job with a trigger";
            invalid("backfill.range", format!("job `{name}`: {error}"), fix)
        }
    }
}
