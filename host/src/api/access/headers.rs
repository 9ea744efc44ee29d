//! What every answer says to a browser, whatever it is an answer to: nothing of it is a page, nobody frames it, nothing
//! keeps it.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Request, Response, header},
};

use super::super::problem::Told;

/// Names the request in the answer, in problems and in the log.
pub(in crate::api) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long a browser asks for a host only over TLS: two years.
const HSTS: &str = "max-age=63072000";

const ALWAYS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Completes an answer. A problem says which request it was.
pub(super) fn complete(response: &mut Response<Body>, request: &str, is_tls: bool) {
    if let Some(Told(told)) = response.extensions_mut().remove::<Told>() {
        let mut told = (*told).clone();
        told["request"] = request.into();
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = Body::from(told.to_string());
    }
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
    if let Ok(id) = HeaderValue::from_str(request) {
        headers.insert(REQUEST_ID, id);
    }
}

/// Whether what follows a request cannot be told from its body.
pub(super) fn is_last<B>(request: &Request<B>) -> bool {
    request.headers().contains_key(header::TRANSFER_ENCODING)
}
