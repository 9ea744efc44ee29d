//! `/openapi.json`: the routes as OpenAPI 3.1, made from the types that they read and write.

use std::sync::{Arc, LazyLock};

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder,
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    problem::Problems,
    router::{Api, document},
};

/// The document as JSON, made once.
static DOCUMENT: LazyLock<Result<String, serde_json::Error>> = LazyLock::new(|| document().to_json());

/// The name of the way in which callers say who they are.
const BEARER: &str = "bearer";

/// What stands around the routes.
pub(super) fn frame() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Clockjack")
        .description(Some("A running host: its jobs, runs, plugins and events."))
        .version(env!("CARGO_PKG_VERSION"));
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    let components = ComponentsBuilder::new().security_scheme(BEARER, bearer).build();
    let every_route = vec![SecurityRequirement::new(BEARER, Vec::<String>::new())];
    let document = OpenApiBuilder::new().info(info.build()).components(Some(components));
    document.security(Some(every_route)).build()
}

/// Its routes.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(show))
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "scheduler", responses((status = 200, body = Object), Problems))]
async fn show() -> Response {
    match &*DOCUMENT {
        Ok(document) => ([(header::CONTENT_TYPE, "application/json")], document.as_str()).into_response(),
        Err(error) => {
            let fix = "tell the developers of Clockjack";
            let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
            super::problem::Problem::new(status, "host.fault", error.to_string(), fix).into_response()
        }
    }
}
