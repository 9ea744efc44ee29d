//! `/jobs/{job}/definition` and what makes, changes and deletes jobs.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use clockjack_schedule::{id::JobId, manifest::definitions::SCHEDULE_KEYS};
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    asked::{Asked, By, Named},
    condition,
    problem::{Problem, Problems},
    query::Dry,
    router::{Api, near},
    view::{
        Plan,
        definitions::{Changed, Definition, JobAsked},
    },
};
use crate::hot::{Condition, Define, Defined, Edit, EditKind, JobView, Jobs};

/// Its routes.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(show))
        .routes(routes!(replace, patch, delete))
        .routes(routes!(reschedule))
}

/// Make a job.
#[utoipa::path(post, path = "/jobs", tag = "jobs", params(("dry_run" = Option<bool>, Query, description = "Only say what would happen.")), request_body = JobAsked, responses((status = 201, body = Definition), (status = 200, body = Plan, description = "What would happen."), Problems))]
async fn create(
    State(api): State<Arc<Api>>,
    dry: Dry,
    by: By,
    Asked(asked): Asked<JobAsked>,
) -> Result<Response, Problem> {
    let job = id(&asked.id)?;
    let edit = Edit { kind: EditKind::Put(asked.job), condition: Condition::New };
    edited(&api, job, edit, dry, by).await
}

/// A job as it is written.
#[utoipa::path(get, path = "/jobs/{job}/definition", tag = "jobs", params(("job" = String, Path), ("if-match" = Option<String>, Header), ("if-none-match" = Option<String>, Header)), responses((status = 200, body = Definition), (status = 304, description = "It has one of the tags of `if-none-match`."), Problems))]
async fn show(State(api): State<Arc<Api>>, Named(name): Named, headers: HeaderMap) -> Result<Response, Problem> {
    let jobs = api.reloader.jobs();
    let view = find(&jobs, &name)?;
    let (when, definition) = (condition::read(&headers)?, Definition::of(&jobs, &view));
    let etag = Some(definition.etag.as_str());
    if when.matches(etag) && !when.matches_none(etag) {
        return Ok(with_tag(StatusCode::NOT_MODIFIED.into_response(), &definition.etag));
    }
    when.check(&view.id, etag)?;
    Ok(tagged(StatusCode::OK, definition))
}

/// Make a job, or replace it.
#[utoipa::path(put, path = "/jobs/{job}", tag = "jobs", params(("job" = String, Path), ("dry_run" = Option<bool>, Query, description = "Only say what would happen."), ("if-match" = Option<String>, Header), ("if-none-match" = Option<String>, Header)), request_body = Object, responses((status = 200, body = Changed), (status = 201, body = Definition), Problems))]
async fn replace(
    State(api): State<Arc<Api>>,
    Named(name): Named,
    dry: Dry,
    by: By,
    headers: HeaderMap,
    Asked(job): Asked<Value>,
) -> Result<Response, Problem> {
    let edit = Edit { kind: EditKind::Put(job), condition: Condition::When(condition::read(&headers)?) };
    edited(&api, id(&name)?, edit, dry, by).await
}

/// Change a job by a JSON merge patch (RFC 7386).
#[utoipa::path(patch, path = "/jobs/{job}", tag = "jobs", params(("job" = String, Path), ("dry_run" = Option<bool>, Query, description = "Only say what would happen."), ("if-match" = Option<String>, Header), ("if-none-match" = Option<String>, Header)), request_body(content = Object, content_type = "application/merge-patch+json"), responses((status = 200, body = Changed), Problems))]
async fn patch(
    State(api): State<Arc<Api>>,
    Named(name): Named,
    dry: Dry,
    by: By,
    headers: HeaderMap,
    Asked(patch): Asked<Value>,
) -> Result<Response, Problem> {
    if !patch.is_object() {
        let fix = "send the keys that are to change; `null` removes one";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "request.invalid", "the patch is no JSON object", fix));
    }
    let edit = Edit { kind: EditKind::Merge(patch), condition: Condition::When(condition::read(&headers)?) };
    edited(&api, id(&name)?, edit, dry, by).await
}

/// Delete a job. What is known of its runs stays.
#[utoipa::path(delete, path = "/jobs/{job}", tag = "jobs", params(("job" = String, Path), ("dry_run" = Option<bool>, Query, description = "Only say what would happen."), ("if-match" = Option<String>, Header), ("if-none-match" = Option<String>, Header)), responses((status = 204), (status = 200, body = Plan, description = "What would happen."), Problems))]
async fn delete(
    State(api): State<Arc<Api>>,
    Named(name): Named,
    dry: Dry,
    by: By,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let edit = Edit { kind: EditKind::Delete, condition: Condition::When(condition::read(&headers)?) };
    edited(&api, id(&name)?, edit, dry, by).await
}

/// Have a job fire by other triggers than before.
#[utoipa::path(post, path = "/jobs/{job}/reschedule", tag = "jobs", params(("job" = String, Path), ("dry_run" = Option<bool>, Query, description = "Only say what would happen."), ("if-match" = Option<String>, Header), ("if-none-match" = Option<String>, Header)), request_body(content = Object, description = "What takes the place of all keys that say when the job fires, such as `cron`, `every`, `at` or `triggers`."), responses((status = 200, body = Changed), Problems))]
async fn reschedule(
    State(api): State<Arc<Api>>,
    Named(name): Named,
    dry: Dry,
    by: By,
    headers: HeaderMap,
    Asked(asked): Asked<Value>,
) -> Result<Response, Problem> {
    let Value::Object(keys) = asked else {
        let fix = "send an object such as `{ \"cron\": \"30 2 * * *\" }`";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "request.invalid", "the body is no JSON object", fix));
    };
    let known = |key: &str| SCHEDULE_KEYS.contains(&key) || key == "timezone";
    if let Some(other) = keys.keys().find(|key| !known(key)) {
        let fix = format!("send only {}, `timezone`", SCHEDULE_KEYS.map(|key| format!("`{key}`")).join(", "));
        let detail = format!("`{other}` does not say when a job fires");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "job.invalid", detail, fix));
    }
    let edit = Edit { kind: EditKind::Reschedule(keys), condition: Condition::When(condition::read(&headers)?) };
    edited(&api, id(&name)?, edit, dry, by).await
}

/// Asks for one change, and answers what the job is then.
async fn edited(api: &Api, job: JobId, edit: Edit, Dry(is_dry): Dry, by: By) -> Result<Response, Problem> {
    let is_deletion = matches!(edit.kind, EditKind::Delete);
    let edits = BTreeMap::from([(job.clone(), edit)]);
    let defined = api.reloader.define(Define { edits, by: by.name(), is_dry }).await?;
    if is_dry {
        return Ok(Json(Changed::Plan(Box::new(defined.plan.into()))).into_response());
    }
    api.settle().await?;
    if is_deletion {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    // What this change has made of the job, whatever somebody else has made of it since.
    let view = find(&defined.jobs, job.as_str())?;
    let is_new = is_created(&defined);
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = tagged(status, Definition::of(&defined.jobs, &view));
    if is_new && let Ok(place) = HeaderValue::try_from(format!("/api/v1/jobs/{job}")) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

fn is_created(defined: &Defined) -> bool {
    defined.done.iter().any(|done| done.effect == crate::hot::Effect::Created)
}

fn tagged(status: StatusCode, definition: Definition) -> Response {
    let etag = definition.etag.clone();
    with_tag((status, Json(Changed::Job(Box::new(definition)))).into_response(), &etag)
}

fn with_tag(mut response: Response, etag: &str) -> Response {
    if let Ok(etag) = HeaderValue::try_from(etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

fn find(jobs: &Jobs, name: &str) -> Result<JobView, Problem> {
    let found = name.parse().ok().and_then(|id| jobs.get(&id));
    found.ok_or_else(|| {
        let ids = jobs.ids();
        let fix = near(name, ids.iter().map(|id| id.as_str()), "`clockjack jobs` lists them");
        Problem::unknown("job.unknown", format!("the host has no job `{name}`"), fix)
    })
}

/// The id of a job that may be new.
pub(super) fn id(text: &str) -> Result<JobId, Problem> {
    text.parse().map_err(|error| {
        let detail = format!("`{text}` is no id of a job: {error}");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "job.invalid", detail, "choose another id")
    })
}
