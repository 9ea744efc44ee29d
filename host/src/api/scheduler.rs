//! `/scheduler` and `/plan`: the host itself, and what it is to do with its manifests.

use std::{path::Path, sync::Arc};

use axum::{Json, extract::State, http::StatusCode};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    asked::Asked,
    problem::{Problem, Problems},
    router::Api,
    view::{NothingAsked, Plan, PlanAsked, Scheduler},
};
use crate::cli::rfc3339;

/// What the log names as the cause of a reload.
const CAUSE: &str = "asked for";

/// Its routes.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(reload)).routes(routes!(plan))
}

#[utoipa::path(get, path = "/scheduler", tag = "scheduler", responses((status = 200, body = Scheduler), Problems))]
pub(super) async fn show(State(api): State<Arc<Api>>) -> Result<Json<Scheduler>, Problem> {
    Ok(Json(Scheduler {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started_at: rfc3339(api.about.started_at),
        files: api.about.files.clone(),
        ledger: api.about.ledger.clone(),
        jobs: api.host.jobs().len(),
        plugins: api.reloader.plugins().len(),
    }))
}

#[utoipa::path(post, path = "/scheduler/reload", tag = "scheduler", request_body = Option<NothingAsked>, responses((status = 200, body = Plan), Problems))]
pub(super) async fn reload(
    State(api): State<Arc<Api>>,
    Asked(NothingAsked {}): Asked<NothingAsked>,
) -> Result<Json<Plan>, Problem> {
    Ok(Json(api.reloader.reload(CAUSE).await?.into()))
}

#[utoipa::path(post, path = "/plan", tag = "scheduler", request_body = Option<PlanAsked>, responses((status = 200, body = Plan), Problems))]
pub(super) async fn plan(State(api): State<Arc<Api>>, Asked(asked): Asked<PlanAsked>) -> Result<Json<Plan>, Problem> {
    let files = asked.files.as_deref().unwrap_or_default();
    if let Some(path) = files.iter().map(AsRef::<Path>::as_ref).find(|path| !path.is_absolute()) {
        let detail = format!("`files` names `{}`, and the host does not know from which folder", path.display());
        let fix = "send whole paths, which begin with `/`";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "request.invalid", detail, fix));
    }
    let files = asked.files.filter(|files| !files.is_empty());
    Ok(Json(api.reloader.plan(files).await?.into()))
}
