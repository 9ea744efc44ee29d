//! `pause` and `resume`, of one job and of the whole host.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use clockjack_schedule::core::ResumeFrom;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    asked::{Asked, By, Named},
    instant::{self, NoInstant},
    problem::{Problem, Problems},
    router::Api,
    view::operate::{JobState, PauseAsked, ResumeAsked, SchedulerState},
};
use crate::{
    cli::rfc3339,
    operate::{PauseNote, Pauses, Whose, pause_of},
};

/// Longest note, in characters: some lines for whoever looks.
const NOTE_CHARS_MAX: usize = 1 << 10;

/// Its routes.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(pause_all))
        .routes(routes!(resume_all))
}

/// Starts nothing of a job until it is resumed. Runs that go on finish.
#[utoipa::path(post, path = "/jobs/{job}/pause", tag = "jobs", params(("job" = String, Path)), request_body = Option<PauseAsked>, responses((status = 200, body = JobState), Problems))]
async fn pause(
    State(api): State<Arc<Api>>,
    Named(name): Named,
    By(by): By,
    Asked(asked): Asked<PauseAsked>,
) -> Result<Json<JobState>, Problem> {
    let job = api.job(&name).await?.state.job;
    let note = note(asked, by, api.clock.now())?;
    api.soon(api.operator.pauses.pause(Whose::Job(job), note)).await??;
    state_of(&api, &name).await
}

/// Lets a paused job go on.
#[utoipa::path(post, path = "/jobs/{job}/resume", tag = "jobs", params(("job" = String, Path)), request_body = Option<ResumeAsked>, responses((status = 200, body = JobState), Problems))]
async fn resume(
    State(api): State<Arc<Api>>,
    Named(name): Named,
    By(by): By,
    Asked(asked): Asked<ResumeAsked>,
) -> Result<Json<JobState>, Problem> {
    let job = api.job(&name).await?.state.job;
    let from = from(&asked)?;
    api.soon(api.operator.pauses.resume(Whose::Job(job), from, by)).await??;
    state_of(&api, &name).await
}

/// Starts nothing of any job until all are resumed, also of jobs that come meanwhile. Runs that go on finish.
#[utoipa::path(post, path = "/scheduler/pause", tag = "scheduler", request_body = Option<PauseAsked>, responses((status = 200, body = SchedulerState), Problems))]
async fn pause_all(
    State(api): State<Arc<Api>>,
    By(by): By,
    Asked(asked): Asked<PauseAsked>,
) -> Result<Json<SchedulerState>, Problem> {
    let note = note(asked, by, api.clock.now())?;
    api.soon(api.operator.pauses.pause(Whose::All, note.clone())).await??;
    Ok(Json(SchedulerState { paused: true, pause: Some((&note).into()) }))
}

/// Lets all jobs go on but those that are paused by themselves.
#[utoipa::path(post, path = "/scheduler/resume", tag = "scheduler", request_body = Option<ResumeAsked>, responses((status = 200, body = SchedulerState), Problems))]
async fn resume_all(
    State(api): State<Arc<Api>>,
    By(by): By,
    Asked(asked): Asked<ResumeAsked>,
) -> Result<Json<SchedulerState>, Problem> {
    let from = from(&asked)?;
    api.soon(api.operator.pauses.resume(Whose::All, from, by)).await??;
    Ok(Json(SchedulerState { paused: false, pause: None }))
}

/// How a job is then. Its note is read first: one that goes on meanwhile is not shown as paused without it.
async fn state_of(api: &Api, name: &str) -> Result<Json<JobState>, Problem> {
    let notes = Pauses::all(&*api.ledger).await?.into_iter().collect();
    let row = api.job(name).await?;
    Ok(Json(JobState {
        job: row.state.job.to_string(),
        paused: row.state.paused,
        paused_with_all: row.state.paused_with_all,
        pause: pause_of(&notes, Some(&row)).map(Into::into),
    }))
}

fn note(asked: PauseAsked, by: Option<String>, now: DateTime<Utc>) -> Result<PauseNote, Problem> {
    let PauseAsked { note, until } = asked;
    if note.as_ref().is_some_and(|note| NOTE_CHARS_MAX < note.chars().count()) {
        let detail = format!("`note` has more than {NOTE_CHARS_MAX} characters");
        return Err(invalid("pause.invalid", detail, "say it in fewer words"));
    }
    let until = until.map(|until| read_instant("until", &until)).transpose()?;
    if let Some(until) = until.filter(|until| *until <= now) {
        let detail = format!("`until` is {}, and it is {} now", rfc3339(until), rfc3339(now));
        return Err(invalid("pause.invalid", detail, "name an instant that lies ahead"));
    }
    Ok(PauseNote { note, until, by, at: now })
}

fn from(asked: &ResumeAsked) -> Result<ResumeFrom, Problem> {
    match asked.from.as_deref() {
        None | Some("now") => Ok(ResumeFrom::Now),
        Some("last") => Ok(ResumeFrom::Last),
        Some(text) => instant::read(text).map(ResumeFrom::At).map_err(|error| {
            let fix = "write `now`, `last`, or an instant such as `2027-01-15T08:00:00Z`";
            let why = match &error {
                NoInstant::Form(_) => String::new(),
                NoInstant::Year(_) => format!(": {error}"),
            };
            invalid("resume.invalid", format!("`from` is `{}`{why}", text.escape_debug()), fix)
        }),
    }
}

/// An instant of a request.
pub(super) fn read_instant(key: &str, text: &str) -> Result<DateTime<Utc>, Problem> {
    instant::read(text)
        .map_err(|error| invalid("instant.invalid", format!("`{key}` is no instant: {error}"), instant::FORM))
}

pub(super) fn invalid(code: &'static str, detail: String, fix: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail, fix)
}
