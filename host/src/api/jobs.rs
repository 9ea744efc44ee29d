//! `/jobs`: what a person or a program asks of a job.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, TimeDelta, Utc};
use clockjack_schedule::{
    core::Input,
    id::{JobId, RunId},
    payload::Payload,
    ports::{RunStory, SkipFilter},
    run::{Cause, Skip},
};
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    asked::{Asked, Named},
    problem::{Problem, Problems},
    router::Api,
    view::{AskedBy, RunAsked, runs::RunDetail},
};

/// Longest idempotency key, in characters: any id that somebody else gives to something fits.
const KEY_CHARS_MAX: usize = 256;

const TOO_LARGE: &str = "put what is large into a file that the job may read, and send its name";

/// How many skips are looked through for the one of a run that was asked for just now.
const SKIPS_MAX: usize = 1_000;

/// Its routes.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(run))
}

/// Asks for a run. The answer is `202` with the run, or `200` where the key stands for a run that is there already.
#[utoipa::path(post, path = "/jobs/{job}/run", tag = "jobs", params(("job" = String, Path)), request_body = Option<RunAsked>, responses((status = 200, body = RunDetail), (status = 202, body = RunDetail), Problems))]
pub(super) async fn run(
    State(api): State<Arc<Api>>,
    Named(name): Named,
    Asked(asked): Asked<RunAsked>,
) -> Result<Response, Problem> {
    let job = api.job(&name).await?.state.job;
    let payload = asked.payload.map(Payload::new).transpose().map_err(|error| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "payload.invalid", format!("`payload`: {error}"), TOO_LARGE)
    })?;
    let payload = with_args(&api, &job, payload, asked.args)?;
    let at = api.clock.now();
    let run = match &asked.key {
        Some(key) => RunId::of_key(&job, checked_key(key)?),
        None => RunId::of_request(&job, at, next_request(at)),
    };
    if let Some(story) = api.story(run).await? {
        check_same(&story, payload.as_ref())?;
        return Ok(Json(RunDetail::from(&story)).into_response());
    }
    let cause = match asked.cause {
        AskedBy::Api => Cause::Api,
        AskedBy::Manual => Cause::Manual,
    };
    let fire = Input::Fire { job: job.clone(), run, cause, payload: payload.clone(), scheduled_for: None };
    api.host.send(vec![fire]).await;
    api.settle().await?;
    match api.story(run).await? {
        Some(story) => {
            // Somebody else may have asked under the same key at the same time.
            check_same(&story, payload.as_ref())?;
            Ok((StatusCode::ACCEPTED, Json(RunDetail::from(&story))).into_response())
        }
        None => Err(skipped(&job, find_skip(&api, &job, run, at).await?)),
    }
}

/// What comes with a run, its own arguments among it. Whether they fit is seen here, and not when the run begins.
fn with_args(
    api: &Api,
    job: &JobId,
    payload: Option<Payload>,
    args: Option<Value>,
) -> Result<Option<Payload>, Problem> {
    let Some(args) = args else { return Ok(payload) };
    let invalid = |detail, fix: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "args.invalid", detail, fix);
    api.executor.check_args(job, &args).map_err(|misfit| {
        let fix = format!("send arguments that fit the function of `{job}`; `clockjack inspect` shows its types");
        invalid(misfit.to_string(), fix)
    })?;
    let kept = Payload::with_args(payload, args);
    kept.map(Some).map_err(|error| invalid(format!("`args`: {error}"), TOO_LARGE.to_owned()))
}

fn checked_key(key: &str) -> Result<&str, Problem> {
    let n_chars = key.chars().count();
    if !(1..=KEY_CHARS_MAX).contains(&n_chars) {
        let detail = format!("`key` has {n_chars} characters; a key has 1 to {KEY_CHARS_MAX}");
        let fix = "send a shorter one, or none where every request is to be a run of its own";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "key.invalid", detail, fix));
    }
    Ok(key)
}

/// That a run is the one that was asked for, and not one that somebody asked for with something else under the same key.
fn check_same(story: &RunStory, payload: Option<&Payload>) -> Result<(), Problem> {
    let parts = |payload: Option<&Payload>| match payload {
        Some(payload) => (payload.json().clone(), payload.args().cloned()),
        None => (Value::Null, None),
    };
    // What the ledger has was written and read once more, which may change the last digit of a number.
    let reread = |json: Value| serde_json::from_str(&json.to_string()).unwrap_or(json);
    let (kept, (value, args)) = (parts(story.row.run.payload.as_ref()), parts(payload));
    if kept == (value.clone(), args.clone()) || kept == (reread(value), args.map(reread)) {
        return Ok(());
    }
    let detail =
        format!("`key` stands for run {} already, which has another `payload` or other `args`", story.row.run.id);
    let fix = "send a new key with each new run, and the same only with the same `payload` and `args`";
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency.mismatch", detail, fix))
}

/// A number that no other request of this job has in this millisecond: the instant, and how many came before.
pub(super) fn next_request(at: DateTime<Utc>) -> u64 {
    static N_REQUESTS: AtomicU64 = AtomicU64::new(0);
    let n_before = N_REQUESTS.fetch_add(1, Ordering::Relaxed);
    at.timestamp_micros().cast_unsigned().wrapping_add(n_before << 52)
}

/// Why a run that was asked for is none. Its skip was decided after it was asked for.
pub(super) async fn find_skip(
    api: &Api,
    job: &JobId,
    run: RunId,
    asked_at: DateTime<Utc>,
) -> Result<Option<Skip>, Problem> {
    // The core reads the clock a moment later; a step back of it is no reason to find nothing.
    let since = asked_at.checked_sub_signed(TimeDelta::minutes(1));
    let filter = SkipFilter { job: Some(job.clone()), since, n_max: SKIPS_MAX, ..SkipFilter::default() };
    Ok(api.ledger.skips(filter).await?.into_iter().find(|skip| skip.run == Some(run)))
}

pub(super) fn skipped(job: &JobId, skip: Option<Skip>) -> Problem {
    let reason = skip.as_ref().map_or("the job has just been removed", |skip| skip.reason.as_str());
    let by = skip.and_then(|skip| skip.by).map_or_else(String::new, |by| format!(", for run {by} goes on"));
    let detail = format!("job `{job}` does not run now: {reason}{by}");
    let fix = format!("ask again later; `overlap` and `max_instances` of `{job}` say how many of its runs may go on");
    Problem::conflict("run.skipped", detail, fix)
}
