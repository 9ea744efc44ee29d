//! Whether a page of another site sent a request through somebody's browser.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};

use super::super::problem::Problem;

/// What a browser says about who sent a request, beside `origin`.
const FETCH_SITE: &str = "sec-fetch-site";

/// Media types that a page may send anywhere without asking first.
const SIMPLE_TYPES: [&str; 3] = ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded"];

/// Checks where a request comes from. Pages of other sites get no answer that they could read anyway; this keeps them from
/// making anything happen.
///
/// # Errors
/// When a page of another site sent it.
pub(super) fn check(headers: &HeaderMap, is_tls: bool) -> Result<(), Problem> {
    let site = headers.get(FETCH_SITE).map(HeaderValue::as_bytes);
    if site.is_some_and(|site| !matches!(site, b"same-origin" | b"none")) {
        return Err(foreign());
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let own = format!("{}://{}", if is_tls { "https" } else { "http" }, host.to_ascii_lowercase());
    let is_own = origin.to_str().is_ok_and(|origin| origin.to_ascii_lowercase() == own);
    if is_own { Ok(()) } else { Err(foreign()) }
}

/// Checks that a body is of a kind that a page cannot send anywhere without asking first.
///
/// # Errors
/// When it is one that every form can send, or not said to be anything.
pub(super) fn check_body(headers: &HeaderMap) -> Result<(), Problem> {
    let length = headers.get(header::CONTENT_LENGTH).map(HeaderValue::as_bytes);
    let has_body = headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|length| length != b"0");
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !has_body || !essence.is_empty() && !SIMPLE_TYPES.contains(&essence.as_str()) {
        return Ok(());
    }
    let fix = "send the body as JSON with the header `Content-Type: application/json`";
    let detail = "the body of the request is not said to be JSON";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "request.media_type", detail, fix))
}

fn foreign() -> Problem {
    let fix = "pages of other sites have no access; programs send no `origin`";
    Problem::new(StatusCode::FORBIDDEN, "access.origin", "a page of another site sent the request", fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(said: &[(&'static str, &'static str)]) -> HeaderMap {
        said.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_own_pages_and_programs_may_ask() {
        let may = |said: &[(&'static str, &'static str)], is_tls| {
            let mut headers = headers(said);
            headers.insert(header::HOST, HeaderValue::from_static("localhost:7878"));
            check(&headers, is_tls).is_ok()
        };
        assert!(may(&[], false));
        assert!(may(&[("origin", "http://localhost:7878"), ("sec-fetch-site", "same-origin")], false));
        assert!(may(&[("origin", "https://LOCALHOST:7878")], true));
        assert!(may(&[("sec-fetch-site", "none")], false));
        for origin in
            ["null", "", "http://localhost", "http://localhost:78780", "https://localhost:7878", "http://evil.dev"]
        {
            assert!(!may(&[("origin", origin)], false), "{origin}");
        }
        for site in ["cross-site", "same-site", "", "Same-Origin"] {
            assert!(!may(&[("sec-fetch-site", site)], false), "{site}");
        }
    }

    #[test]
    fn what_a_form_can_send_is_not_taken() {
        let may = |said: &[(&'static str, &'static str)]| check_body(&headers(said)).is_ok();
        assert!(may(&[]) && may(&[("content-length", "0")]));
        assert!(may(&[("content-length", "2"), ("content-type", "application/json; charset=utf-8")]));
        assert!(may(&[("content-length", "2"), ("content-type", "application/wasm")]));
        assert!(!may(&[("content-length", "2")]) && !may(&[("transfer-encoding", "chunked")]));
        for simple in ["text/plain", "Text/Plain; charset=utf-8", "multipart/form-data; boundary=x"] {
            assert!(!may(&[("content-length", "2"), ("content-type", simple)]), "{simple}");
        }
    }
}
