//! `/openapi.json`: the routes as OpenAPI 3.1, made from the types that they read and write.

use std::sync::{Arc, LazyLock};

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, Object, ObjectBuilder, OpenApi, OpenApiBuilder, RefOr, Type,
    path::ParameterIn,
    schema::{Schema, SchemaType},
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    described,
    problem::Problems,
    router::{Api, document},
};

/// The document as JSON, made once.
static DOCUMENT: LazyLock<Result<String, serde_json::Error>> = LazyLock::new(|| {
    let mut json = serde_json::to_value(document())?;
    described::complete(&mut json);
    serde_json::to_string(&json)
});

/// The document.
pub(super) fn text() -> Result<&'static str, &'static serde_json::Error> {
    DOCUMENT.as_ref().map(String::as_str)
}

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

/// What a name of the manifest looks like.
const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9._-]*$";

/// Longest name.
const NAME_CHARS_MAX: usize = 128;

/// Completes what the routes say of themselves: each operation has a name of its own, made of its method and its path, and
/// each parameter of a path says what it looks like.
pub(super) fn complete(mut document: OpenApi) -> OpenApi {
    for (path, item) in &mut document.paths.paths {
        let operations = [
            ("get", &mut item.get),
            ("put", &mut item.put),
            ("post", &mut item.post),
            ("delete", &mut item.delete),
            ("patch", &mut item.patch),
        ];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            let words =
                path.split(['/', '{', '}', '.']).filter(|word| !word.is_empty() && !["api", "v1"].contains(word));
            operation.operation_id = Some(std::iter::once(method).chain(words).collect::<Vec<_>>().join("_"));
            for parameter in operation.parameters.iter_mut().flatten() {
                let RefOr::T(parameter) = parameter else { continue };
                if matches!(parameter.parameter_in, ParameterIn::Path)
                    && ["job", "name", "plugin", "pool"].contains(&&*parameter.name)
                {
                    parameter.schema = Some(RefOr::T(Schema::Object(name())));
                }
            }
        }
    }
    document
}

fn name() -> Object {
    let text = ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
    text.pattern(Some(NAME)).min_length(Some(1)).max_length(Some(NAME_CHARS_MAX)).build()
}

/// Its routes.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(show))
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "scheduler", responses((status = 200, body = Object), Problems))]
async fn show() -> Response {
    match text() {
        Ok(document) => ([(header::CONTENT_TYPE, "application/json")], document).into_response(),
        Err(error) => {
            let fix = "tell the developers of Clockjack";
            let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
            super::problem::Problem::new(status, "host.fault", error.to_string(), fix).into_response()
        }
    }
}
