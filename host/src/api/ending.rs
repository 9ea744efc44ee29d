//! `/scheduler/shutdown`, and what is still answered after it.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use clockjack_schedule::manifest::scalar::{parse_duration, show_duration};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    access::role,
    asked::Asked,
    pauses::invalid,
    problem::{Problem, Problems},
    router::Api,
    view::operate::{ShutdownAsked, Stopping},
};

/// Longest time that runs get to end: beyond it a host is paused rather than ended.
const DEADLINE_MAX: Duration = Duration::from_secs(24 * 3_600);

/// The route that is answered also while the host ends: who is in a hurry may shorten the time.
const SHUTDOWN: &str = "/api/v1/scheduler/shutdown";

/// Its routes.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(shut_down))
}

/// Ends the host as a signal does: nothing new starts, runs that go on get their time. Asking again may shorten that.
#[utoipa::path(post, path = "/scheduler/shutdown", tag = "scheduler", request_body = Option<ShutdownAsked>, responses((status = 202, body = Stopping), Problems))]
async fn shut_down(
    State(api): State<Arc<Api>>,
    Asked(asked): Asked<ShutdownAsked>,
) -> Result<(StatusCode, Json<Stopping>), Problem> {
    let deadline = asked.deadline.as_deref().map(parse_duration).transpose().map_err(|error| {
        invalid("shutdown.invalid", format!("`deadline`: {error}"), "write how long, such as `30s`")
    })?;
    if deadline.is_some_and(|deadline| DEADLINE_MAX < deadline) {
        let detail = format!("`deadline` is longer than {}", show_duration(DEADLINE_MAX));
        return Err(invalid(
            "shutdown.invalid",
            detail,
            "let the runs end first: pause all jobs, and end the host then",
        ));
    }
    let grace = match asked.wait {
        Some(false) if deadline.is_some() => {
            let detail = "`wait: false` leaves no time, and `deadline` says how much".to_owned();
            return Err(invalid("shutdown.invalid", detail, "send one of the two"));
        }
        Some(false) => Some(Duration::ZERO),
        Some(true) | None => deadline,
    };
    let agreed = api.operator.ending.ask(grace);
    let deadline = show_duration(Duration::from_millis(u64::try_from(agreed.as_millis()).unwrap_or(u64::MAX)));
    Ok((StatusCode::ACCEPTED, Json(Stopping { stopping: true, deadline })))
}

/// Refuses what would change something while the host ends. Reads are answered until the end.
pub(super) async fn refuse_writes(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let is_read = request.method().is_safe() || role::is_read(request.method(), request.uri().path());
    if is_read || !api.operator.ending.is_asked() || request.uri().path() == SHUTDOWN {
        return next.run(request).await;
    }
    let fix = "ask the host that comes after it";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "host.stopping", "the host ends", fix).into_response()
}
