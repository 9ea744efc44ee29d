//! What the routes are, and what they all share.

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{Method, StatusCode, Uri},
    middleware::{from_fn, from_fn_with_state},
};
use chrono::{DateTime, Utc};
use clockjack_schedule::{
    diagnostic::did_you_mean,
    id::{JobId, RunId},
    ports::{Clock, Executor, JobFilter, JobRow, Ledger, LedgerError, RunStory},
};

use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::{
    access::{Answers, idempotency},
    asked::BODY_BYTES_MAX,
    backfills, condition, definitions, ending, events, health, job_reads, jobs, logs, metrics, openapi, pauses,
    plugins,
    problem::Problem,
    query, run_reads, runs, scheduler, slots, transfer, uploads,
};
use crate::{hot::Reloader, operate::Operator, shell::HostHandle};

/// How long a decision may take. A ledger that cannot be written, on a full disk for instance, holds up all of them.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(10);

/// How many names are looked through for the one that was meant.
const NAMES_MAX: usize = 10_000;

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
    /// What runs guests, and knows what their functions take.
    pub executor: Arc<dyn Executor>,
    /// What is remembered of pauses and backfills, and the wish for the end.
    pub operator: Operator,
    /// What does not change while it runs.
    pub about: About,
    /// What was answered to requests with a key.
    pub answers: Answers,
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
        .merge(job_reads::routes())
        .merge(jobs::routes())
        .merge(definitions::routes())
        .merge(transfer::routes())
        .merge(uploads::routes())
        .merge(run_reads::routes())
        .merge(pauses::routes())
        .merge(backfills::routes())
        .merge(ending::routes())
        .merge(runs::routes())
        .merge(slots::routes())
        .merge(logs::routes())
        .merge(events::routes())
        .merge(openapi::routes());
    OpenApiRouter::with_openapi(openapi::frame())
        .nest("/api/v1", routes)
        .merge(metrics::routes())
        .merge(health::routes())
}

/// How the routes look to programs: OpenAPI 3.1.
pub(super) fn document() -> OpenApi {
    openapi::complete(routes().into_openapi())
}

/// All that a host answers to.
pub fn router(api: impl Into<Arc<Api>>) -> Router {
    let (routes, _document) = routes().split_for_parts();
    let api = api.into();
    routes
        .layer(from_fn(condition::refuse_untagged))
        .layer(from_fn(query::refuse_unknown))
        .layer(from_fn_with_state(Arc::clone(&api), ending::refuse_writes))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(from_fn_with_state(Arc::clone(&api), idempotency::once))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(api)
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
        let kept = match name.parse::<JobId>() {
            Ok(id) => self.row(&id).await?.filter(|row| row.state.removed_at.is_none()),
            Err(_no_name) => None,
        };
        Ok(kept.ok_or_else(|| self.unknown_job(name)))
    }

    /// The id of a job that there is, or of which there still is a history.
    pub(super) async fn known_job(&self, name: &str) -> Result<JobId, Problem> {
        if let Ok(id) = name.parse::<JobId>()
            && (self.host.jobs().get(&id).is_some() || self.row(&id).await?.is_some())
        {
            return Ok(id);
        }
        Err(self.unknown_job(name))
    }

    /// That there is no such job, and which one was most likely meant.
    pub(super) fn unknown_job(&self, name: &str) -> Problem {
        let jobs = self.host.jobs().page(None, NAMES_MAX);
        let fix = near(name, jobs.iter().map(|job| job.id.as_str()), "`clockjack jobs` lists them");
        Problem::unknown("job.unknown", format!("the host has no job `{name}`"), fix)
    }

    /// What the ledger knows of one job; it reads that job alone.
    async fn row(&self, job: &JobId) -> Result<Option<JobRow>, LedgerError> {
        let only = JobFilter { only: Some(vec![job.clone()]), ..JobFilter::default() };
        Ok(self.ledger.jobs(only).await?.pop().map(|story| story.row))
    }

    /// A run with all that is kept of it.
    pub(super) async fn story(&self, run: RunId) -> Result<Option<RunStory>, Problem> {
        Ok(self.ledger.run(run).await?)
    }

    /// Waits until what was asked is decided and kept, so that whoever reads next reads it.
    pub(super) async fn settle(&self) -> Result<(), Problem> {
        Ok(self.soon(self.host.settle()).await??)
    }

    /// Waits for what others carry out, but not for ever: a request that waits has a place among the connections.
    pub(super) async fn soon<T>(&self, work: impl Future<Output = T>) -> Result<T, Problem> {
        tokio::time::timeout(SETTLE_TIME_MAX, work).await.map_err(|_elapsed| {
            let detail = format!("the host has taken the request, but has not kept it within {SETTLE_TIME_MAX:?}");
            let fix = "it is carried out when the ledger can be written again; the log of the host says more";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "host.busy", detail, fix)
        })
    }
}

/// What a person who wrote this name most likely meant, or where all names are.
pub(super) fn near<'n>(name: &str, names: impl Iterator<Item = &'n str>, else_: &str) -> String {
    let meant = did_you_mean(name, names);
    meant.map_or_else(|| else_.to_owned(), |meant| format!("did you mean `{meant}`?"))
}
