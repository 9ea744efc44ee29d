//! `/scheduler`, `/pools` and `/plan`: the host itself, how full it is, and what it is to do with its manifests.

use std::{path::Path, sync::Arc};

use axum::{Json, extract::State, http::StatusCode};
use clockjack_schedule::{core::PoolLoad, id::PoolName};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    asked::{Asked, Named},
    problem::{Problem, Problems},
    router::{Api, near},
    view::{
        NothingAsked, Plan, PlanAsked,
        scheduler::{Isolation, JobCounts, Pool, Pools, Scheduler, SchedulerPhase},
    },
};
use crate::{
    cli::rfc3339,
    metrics::Glance,
    operate::{Pauses, Whose},
};

/// What the log names as the cause of a reload.
const CAUSE: &str = "asked for";

/// Its routes.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(reload))
        .routes(routes!(plan))
        .routes(routes!(pools))
        .routes(routes!(pool))
}

/// How the host is.
#[utoipa::path(get, path = "/scheduler", tag = "scheduler", responses((status = 200, body = Scheduler), Problems))]
pub(super) async fn show(State(api): State<Arc<Api>>) -> Result<Json<Scheduler>, Problem> {
    let glance = api.host.bus().meter().glance();
    let jobs = api.reloader.jobs();
    let (n_jobs, n_paused) = (api.host.jobs().len(), glance.n_jobs_paused);
    let state = match glance.is_paused {
        _ if api.operator.ending.is_asked() => SchedulerPhase::Stopping,
        true => SchedulerPhase::Paused,
        false => SchedulerPhase::Running,
    };
    let note = if glance.is_paused { Pauses::of(&*api.ledger, &Whose::All).await? } else { None };
    let uptime = api.clock.now().signed_duration_since(api.about.started_at).num_seconds();
    let sum = |of: fn(&PoolLoad) -> usize| glance.pools.values().map(of).sum();
    Ok(Json(Scheduler {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started_at: rfc3339(api.about.started_at),
        files: api.about.files.clone(),
        ledger: api.about.ledger.clone(),
        jobs: n_jobs,
        plugins: api.reloader.plugins().len(),
        state,
        pause: note.as_ref().map(Into::into),
        uptime_seconds: u64::try_from(uptime).unwrap_or_default(),
        jobs_by_state: JobCounts { active: n_jobs.saturating_sub(n_paused), paused: n_paused, broken: jobs.n_broken() },
        runs_running: sum(|pool| pool.n_going),
        runs_waiting: sum(|pool| pool.n_ready),
        runs_ended: glance.n_ended,
        ledger_held: glance.is_held,
        manifest_ok: glance.is_manifest_ok,
        last_reload: glance.last_reload.map(rfc3339),
        pools: all_pools(&api, &glance),
        zone_rules: glance.zone_rules,
    }))
}

/// The pools, as they were when the scheduler last took a turn: at most a second ago.
fn all_pools(api: &Api, glance: &Glance) -> Vec<Pool> {
    let jobs = api.reloader.jobs();
    let pool = |(name, load): (&PoolName, &PoolLoad)| Pool {
        pool: name.to_string(),
        size: load.size,
        running: load.n_going,
        waiting: load.n_ready,
        isolation: if jobs.is_isolated(name) { Isolation::Process } else { Isolation::None },
    };
    glance.pools.iter().map(pool).collect()
}

/// How full each pool is.
#[utoipa::path(get, path = "/pools", tag = "scheduler", responses((status = 200, body = Pools), Problems))]
async fn pools(State(api): State<Arc<Api>>) -> Json<Pools> {
    Json(Pools { items: all_pools(&api, &api.host.bus().meter().glance()) })
}

/// How full a pool is.
#[utoipa::path(get, path = "/pools/{pool}", tag = "scheduler", params(("pool" = String, Path)), responses((status = 200, body = Pool), Problems))]
async fn pool(State(api): State<Arc<Api>>, Named(name): Named) -> Result<Json<Pool>, Problem> {
    let pools = all_pools(&api, &api.host.bus().meter().glance());
    let fix = near(&name, pools.iter().map(|pool| pool.pool.as_str()), "`GET /api/v1/pools` lists them");
    let found = pools.into_iter().find(|pool| pool.pool == name);
    found.map(Json).ok_or_else(|| Problem::unknown("pool.unknown", format!("the host has no pool `{name}`"), fix))
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
