//! `/metrics`: the figures of the host, for Prometheus.

use std::sync::Arc;

use axum::{extract::State, http::header::CONTENT_TYPE, response::IntoResponse};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{problem::Problems, router::Api};
use crate::metrics::{self, Scene};

/// Its route.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(show))
}

/// Figures, as OpenMetrics.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, body = String, content_type = "application/openmetrics-text"), Problems))]
pub(super) async fn show(State(api): State<Arc<Api>>) -> impl IntoResponse {
    let plugins = api.reloader.plugins();
    let of = |plugin: &crate::hot::PluginView| {
        let generation = plugin.current.as_ref().map_or(0, |current| current.number);
        (plugin.name.to_string(), generation, plugin.candidate.is_some())
    };
    let scene = Scene {
        now: api.clock.now(),
        started_at: api.about.started_at,
        plugins: plugins.iter().map(of).collect(),
        n_listeners: api.host.bus().n_listeners(),
    };
    let meter = api.host.bus().meter().clone();
    // The coming slots of thousands of jobs take a while, which nobody else is to wait for.
    let text = tokio::task::spawn_blocking(move || metrics::text(&meter, scene)).await.unwrap_or_default();
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text)
}
