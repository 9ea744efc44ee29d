//! What the description says of each operation, for what holds for all of them: a route that is described cannot forget it.

use std::{collections::HashMap, sync::LazyLock};

use axum::{
    extract::{MatchedPath, Request},
    http::Method,
};
use utoipa::openapi::{
    PathItem, RefOr, Schema,
    path::{self, Parameter, ParameterIn},
};

use super::router::document;

/// By method and path.
static OPERATIONS: LazyLock<HashMap<(Method, String), Operation>> = LazyLock::new(operations);

/// An operation.
#[derive(Default)]
pub(super) struct Operation {
    /// What may stand behind the `?`.
    pub(super) parameters: Vec<Known>,
    /// What it is about has a tag: it knows `If-Match`.
    pub(super) has_tag: bool,
}

/// A parameter that an operation knows.
pub(super) struct Known {
    pub(super) name: String,
    pub(super) may_be_repeated: bool,
}

/// The operation that a request asks for; none where it is not described.
pub(super) fn of(request: &Request) -> Option<&'static Operation> {
    let path = request.extensions().get::<MatchedPath>()?.as_str().to_owned();
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    OPERATIONS.get(&(method.clone(), path))
}

fn operations() -> HashMap<(Method, String), Operation> {
    let of_path = |(path, item): (String, PathItem)| {
        let PathItem { get, put, post, delete, patch, .. } = item;
        let all = [
            (Method::GET, get),
            (Method::PUT, put),
            (Method::POST, post),
            (Method::DELETE, delete),
            (Method::PATCH, patch),
        ];
        all.into_iter().filter_map(move |(method, operation)| Some(((method, path.clone()), read(operation?))))
    };
    document().paths.paths.into_iter().flat_map(of_path).collect()
}

fn read(described: path::Operation) -> Operation {
    let mut operation = Operation::default();
    for parameter in described.parameters.into_iter().flatten() {
        let RefOr::T(Parameter { name, parameter_in, schema, .. }) = parameter else { continue };
        match parameter_in {
            ParameterIn::Query => {
                let may_be_repeated = matches!(schema, Some(RefOr::T(Schema::Array(_))));
                operation.parameters.push(Known { name, may_be_repeated });
            }
            ParameterIn::Header => operation.has_tag |= name == "if-match",
            ParameterIn::Path | ParameterIn::QueryString | ParameterIn::Cookie => {}
        }
    }
    operation
}
