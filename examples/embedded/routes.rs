//! The routes of the service, which are its own: what it lets its users do with the scheduler is its decision.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use clockjack::{Event, JobState, ResumeFrom, Scheduler};
use serde_json::{Value, json};

use crate::jobs;

/// How many of the last ends the service remembers.
const ENDS_MAX: usize = 50;

#[derive(Clone)]
struct Service {
    scheduler: Scheduler,
    ends: Arc<Mutex<VecDeque<Value>>>,
}

/// All that the service answers to.
///
/// # Errors
/// When there is no place for the operator's token.
pub(crate) fn service(scheduler: &Scheduler) -> Result<Router, clockjack::Error> {
    let api = scheduler.router()?;
    let service = Service { scheduler: scheduler.clone(), ends: Arc::default() };
    listen(&service);
    let routes = Router::new()
        .route("/jobs", get(list))
        .route("/jobs/{job}/pause", post(pause))
        .route("/jobs/{job}/resume", post(resume))
        .route("/jobs/{job}/run", post(run))
        .route("/reminders/{customer}", post(remind))
        .route("/reminders/{customer}", delete(forget))
        .route("/ends", get(ends))
        .with_state(service)
        // All that `clockjack` itself can be asked, for whoever shows the operator's token: what users may do stands above.
        .nest("/scheduler", api);
    Ok(routes)
}

/// Remembers how runs end, for as long as the scheduler goes on.
#[expect(clippy::disallowed_methods, reason = "an example of a program, which has no tracker of tasks")]
fn listen(service: &Service) {
    // Also the ends of runs that a crash has cut, which are told while the scheduler starts.
    let Some(mut events) = service.scheduler.events_since_start() else { return };
    let ends = Arc::clone(&service.ends);
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            let end = match event {
                Event::RunFinished { job, outcome, message, .. } => {
                    json!({ "job": job.as_str(), "outcome": outcome.as_str(), "message": message })
                }
                Event::Skipped { job, reason, count, .. } => {
                    json!({ "job": job.as_str(), "skipped": count, "why": reason })
                }
                _ => continue,
            };
            let mut ends = ends.lock().unwrap_or_else(PoisonError::into_inner);
            ends.push_back(end);
            if ENDS_MAX < ends.len() {
                ends.pop_front();
            }
        }
    });
}

async fn list(State(service): State<Service>) -> Result<Json<Value>, Refused> {
    let state = |state| match state {
        JobState::Active => "active",
        JobState::Paused => "paused",
        JobState::Removed => "removed",
    };
    let jobs = service.scheduler.jobs().await?;
    Ok(Json(jobs.iter().map(|job| json!({ "job": job.id.as_str(), "state": state(job.state) })).collect()))
}

async fn pause(State(service): State<Service>, Path(job): Path<String>) -> Result<StatusCode, Refused> {
    service.scheduler.pause(&job).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn resume(State(service): State<Service>, Path(job): Path<String>) -> Result<StatusCode, Refused> {
    service.scheduler.resume(&job, ResumeFrom::Now).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Runs a job now, and answers when it has ended.
async fn run(State(service): State<Service>, Path(job): Path<String>) -> Result<Json<Value>, Refused> {
    let run = service.scheduler.run(&job).await?.wait().await?;
    let outcome = run.outcome.map(|outcome| outcome.as_str());
    Ok(Json(json!({ "outcome": outcome, "message": run.message, "output": run.output })))
}

async fn remind(State(service): State<Service>, Path(customer): Path<String>) -> Result<StatusCode, Refused> {
    service.scheduler.add(jobs::reminder(&customer, Duration::from_secs(1))).await?;
    Ok(StatusCode::CREATED)
}

async fn forget(State(service): State<Service>, Path(customer): Path<String>) -> Result<StatusCode, Refused> {
    service.scheduler.remove(&format!("reminder-{customer}")).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn ends(State(service): State<Service>) -> Json<Value> {
    let ends = service.ends.lock().unwrap_or_else(PoisonError::into_inner);
    Json(ends.iter().cloned().collect())
}

/// What the scheduler refuses, as an answer.
struct Refused(clockjack::Error);

impl From<clockjack::Error> for Refused {
    fn from(error: clockjack::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match self.0 {
            clockjack::Error::UnknownJob(_) | clockjack::Error::UnknownRun(_) => StatusCode::NOT_FOUND,
            clockjack::Error::Exists(_) | clockjack::Error::Skipped { .. } => StatusCode::CONFLICT,
            clockjack::Error::Refused { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, Json(json!({ "code": self.0.code(), "message": self.0.to_string() }))).into_response()
    }
}
