//! `/runs`: one run, its end before its time, and another one for the same slot.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use chrono::DateTime;
use clockjack_schedule::{core::Input, id::RunId, ports::RunStory, run::Cause};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    asked::{Asked, Named},
    jobs::{find_skip, next_request, skipped},
    problem::{Problem, Problems},
    router::Api,
    view::{
        AskedBy, NothingAsked, RetryAsked,
        runs::{Cancelled, RunDetail, SkippedRun},
    },
};
use crate::cli::{find_run, rfc3339};

/// Its routes.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(cancel)).routes(routes!(retry))
}

#[utoipa::path(get, path = "/runs/{run}", tag = "runs", params(("run" = String, Path)), responses((status = 200, body = RunDetail), Problems))]
pub(super) async fn show(State(api): State<Arc<Api>>, Named(text): Named) -> Result<Json<RunDetail>, Problem> {
    Ok(Json(RunDetail::from(&find(&api, &text).await?)))
}

/// Asks a run to end. The answer is `202`: a guest has a moment to end by itself.
#[utoipa::path(post, path = "/runs/{run}/cancel", tag = "runs", params(("run" = String, Path)), request_body = Option<NothingAsked>, responses((status = 202, body = Cancelled), Problems))]
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    Named(text): Named,
    Asked(NothingAsked {}): Asked<NothingAsked>,
) -> Result<(StatusCode, Json<Cancelled>), Problem> {
    let story = find(&api, &text).await?;
    let run = &story.row.run;
    if let Some(finish) = story.row.finish() {
        let (code, at) = (finish.report.outcome.code, rfc3339(finish.finished_at));
        let detail = format!("run {} of job `{}` ended as {code} at {at}", run.id, run.job);
        return Err(Problem::conflict("run.ended", detail, "there is nothing to cancel any more"));
    }
    let at = api.clock.now();
    api.host.send(vec![Input::Cancel(run.id)]).await;
    api.settle().await?;
    let then = match api.story(run.id).await? {
        Some(story) => Cancelled::Run(Box::new(RunDetail::from(&story))),
        None => {
            // What had not begun is a skip of its slot.
            let skip = find_skip(&api, &run.job, run.id, at.min(run.scheduled_for)).await?;
            Cancelled::Skip(SkippedRun {
                id: run.id.to_string(),
                job: run.job.to_string(),
                scheduled_for: rfc3339(run.scheduled_for),
                state: "skipped".to_owned(),
                reason: skip.map(|skip| skip.reason.as_str().to_owned()),
            })
        }
    };
    Ok((StatusCode::ACCEPTED, Json(then)))
}

/// Asks for another run of the job for the slot of one that has ended, with what came with the wish for that one.
#[utoipa::path(post, path = "/runs/{run}/retry", tag = "runs", params(("run" = String, Path)), request_body = Option<RetryAsked>, responses((status = 202, body = RunDetail), Problems))]
pub(super) async fn retry(
    State(api): State<Arc<Api>>,
    Named(text): Named,
    Asked(asked): Asked<RetryAsked>,
) -> Result<(StatusCode, Json<RunDetail>), Problem> {
    let story = find(&api, &text).await?;
    let old = &story.row.run;
    if story.row.finish().is_none() {
        let detail = format!("run {} of job `{}` has not ended", old.id, old.job);
        return Err(Problem::conflict("run.going", detail, "wait for its end, or cancel it"));
    }
    let job = api.job(old.job.as_str()).await?.state.job;
    let at = api.clock.now();
    let run = RunId::of_request(&job, at, next_request(at));
    let cause = match asked.cause {
        AskedBy::Api => Cause::Api,
        AskedBy::Manual => Cause::Manual,
    };
    let (payload, scheduled_for) = (old.payload.clone(), Some(old.scheduled_for));
    api.host.send(vec![Input::Fire { job: job.clone(), run, cause, payload, scheduled_for }]).await;
    api.settle().await?;
    match api.story(run).await? {
        Some(story) => Ok((StatusCode::ACCEPTED, Json(RunDetail::from(&story)))),
        None => Err(skipped(&job, find_skip(&api, &job, run, at.min(old.scheduled_for)).await?)),
    }
}

/// The run that is meant: a whole id, the first digits of one, `JOB@latest`, or `JOB@INSTANT` with its offset.
pub(super) async fn find(api: &Api, text: &str) -> Result<RunStory, Problem> {
    let at = text.split_once('@').map(|(_, at)| at).filter(|at| *at != "latest");
    if at.is_some_and(|at| DateTime::parse_from_rfc3339(at).is_err()) {
        let detail = format!("`{text}` does not say of which zone its time is");
        let fix = "write the slot with its offset, such as `JOB@2027-01-15T08:00:00Z`, or the id of the run";
        return Err(Problem::unknown("run.unknown", detail, fix));
    }
    let found = find_run(Arc::clone(&api.ledger), api.clock.now(), text).await.map_err(|error| {
        let fix = "look at the log of the host, and ask again";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "ledger.unavailable", format!("{error:#}"), fix)
    })?;
    found.map_err(|why| {
        let (detail, fix) = why.split_once("; ").unwrap_or((&why, "`clockjack runs` lists the runs that are kept"));
        Problem::unknown("run.unknown", detail, fix)
    })
}
