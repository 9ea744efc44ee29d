//! `/healthz` and `/readyz`: whether the process lives, and whether it can do its work. Open to all, and therefore in a word
//! or two.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use clockjack_schedule::ports::{Change, DocumentKind};
use serde_json::{Value, json};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::router::Api;

/// How long the host may take for what it does all the time.
const READY_TIME_MAX: Duration = Duration::from_secs(2);

/// A document that never is: taking it away is a write that changes nothing.
const PROBE: &str = "probe";

/// Its routes.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz))
}

/// That the process lives.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()), responses((status = 200, body = Object)))]
pub(super) async fn healthz() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// That the host can do its work: it decides, and the ledger can be written.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()), responses((status = 200, body = Object), (status = 503, body = Object)))]
pub(super) async fn readyz(State(api): State<Arc<Api>>) -> (StatusCode, Json<Value>) {
    let decides = async { tokio::time::timeout(READY_TIME_MAX, api.host.settle()).await };
    let writes = async {
        let probe = Change::DocumentGone { kind: DocumentKind::Answer, key: PROBE.into() };
        tokio::time::timeout(READY_TIME_MAX, api.ledger.commit(vec![probe])).await
    };
    let (decides, writes) = tokio::join!(decides, writes);
    let mut reasons = Vec::new();
    if api.operator.ending.is_asked() {
        reasons.push("the host is stopping");
    }
    if !matches!(decides, Ok(Ok(_))) {
        reasons.push("the scheduler does not decide");
    }
    if !matches!(writes, Ok(Ok(_))) {
        reasons.push("the ledger cannot be written");
    }
    if reasons.is_empty() {
        return (StatusCode::OK, Json(json!({ "status": "ready" })));
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "not ready", "reasons": reasons })))
}
