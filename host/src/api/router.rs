//! What the routes are, and what they all share.

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{Method, StatusCode, Uri},
};
use chrono::{DateTime, Utc};
use clockjack_schedule::{
    diagnostic::did_you_mean,
    id::RunId,
    ports::{Clock, JobRow, Ledger, RunStory},
};

use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::{asked::BODY_BYTES_MAX, events, jobs, logs, openapi, plugins, problem::Problem, runs, scheduler};
use crate::{hot::Reloader, shell::HostHandle};

/// How long a decision may take. A ledger that cannot be written, on a full disk for instance, holds up all of them.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(10);

/// What the routes reach the host through.
pub struct Api {
    /// Its inbox.
    pub host: HostHandle,
    /// Its record.
    pub ledger: Arc<dyn Ledger>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What decides which code and which manifest is in force.
    pub reloader: Reloader,
    /// What does not change while it runs.
    pub about: About,
}

/// What a host was started with.
#[derive(Clone, Debug)]
pub struct About {
    /// Since when it has been there.
    pub started_at: DateTime<Utc>,
    /// Its manifests, as they were named.
    pub files: Vec<PathBuf>,
    /// Where its default store is.
    pub ledger: String,
}

/// The routes of version 1, and what describes them.
fn routes() -> OpenApiRouter<Arc<Api>> {
    let routes = OpenApiRouter::new()
        .merge(scheduler::routes())
        .merge(plugins::routes())
        .merge(jobs::routes())
        .merge(runs::routes())
        .merge(logs::routes())
        .merge(events::routes())
        .merge(openapi::routes());
    OpenApiRouter::with_openapi(openapi::frame()).nest("/api/v1", routes)
}

/// How the routes look to programs: OpenAPI 3.1.
pub(super) fn document() -> OpenApi {
    routes().into_openapi()
}

/// All that a host answers to.
pub fn router(api: Api) -> Router {
    let (routes, _document) = routes().split_for_parts();
    routes
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::new(api))
}

async fn no_route(uri: Uri) -> Problem {
    let detail = format!("there is no route `{}`", uri.path());
    Problem::unknown("route.unknown", detail, "every route begins with `/api/v1/`, such as `/api/v1/plugins`")
}

async fn no_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("`{}` cannot be asked with {method}", uri.path());
    let fix = "the header `allow` of this answer names the methods of the route";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method.not_allowed", detail, fix)
}

impl Api {
    /// A job that is in force, by its name.
    pub(super) async fn job(&self, name: &str) -> Result<JobRow, Problem> {
        if let Ok(row) = self.kept_job(name).await? {
            return Ok(row);
        }
        // It may have come a moment ago, with the start of the host or with a reload, and not be kept yet.
        self.settle().await?;
        self.kept_job(name).await?
    }

    /// A job that the ledger knows to be in force; `Err` inside says that there is none.
    async fn kept_job(&self, name: &str) -> Result<Result<JobRow, Problem>, Problem> {
        let mut rows = self.ledger.load().await?.jobs;
        rows.retain(|row| row.state.removed_at.is_none());
        let found = rows.iter().position(|row| row.state.job.as_str() == name);
        Ok(found.map(|place| rows.swap_remove(place)).ok_or_else(|| {
            let fix = near(name, rows.iter().map(|row| row.state.job.as_str()), "`clockjack jobs` lists them");
            Problem::unknown("job.unknown", format!("the host has no job `{name}`"), fix)
        }))
    }

    /// A run with all that is kept of it.
    pub(super) async fn story(&self, run: RunId) -> Result<Option<RunStory>, Problem> {
        Ok(self.ledger.run(run).await?)
    }

    /// Waits until what was asked is decided and kept, so that whoever reads next reads it.
    pub(super) async fn settle(&self) -> Result<(), Problem> {
        match tokio::time::timeout(SETTLE_TIME_MAX, self.host.settle()).await {
            Ok(settled) => Ok(settled?),
            Err(_elapsed) => {
                let detail = format!("the host has taken the request, but has not kept it within {SETTLE_TIME_MAX:?}");
                let fix = "it is carried out when the ledger can be written again; the log of the host says more";
                Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "host.busy", detail, fix))
            }
        }
    }
}

/// What a person who wrote this name most likely meant, or where all names are.
pub(super) fn near<'n>(name: &str, names: impl Iterator<Item = &'n str>, else_: &str) -> String {
    let meant = did_you_mean(name, names);
    meant.map_or_else(|| else_.to_owned(), |meant| format!("did you mean `{meant}`?"))
}
