//! What went wrong with a request: problem details as in RFC 9457, with a stable code and what to do next.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use clockjack_schedule::ports::LedgerError;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use utoipa::{
    IntoResponses, PartialSchema as _, ToSchema,
    openapi::{ContentBuilder, RefOr, ResponseBuilder, response::Response as Described},
};

use super::codes;
use crate::{
    cli::diagnostics,
    hot::{Refusal, Rejection},
};

/// The media type of problem details.
const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request has no answer.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    /// Stable and dotted, such as `job.unknown`.
    code: &'static str,
    detail: String,
    fix: String,
    /// What else is to be said, by name.
    more: Box<Map<String, Json>>,
    /// What the answer says beside that.
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The body of a problem, for whoever knows which request it is about.
#[derive(Clone)]
pub(super) struct Told(pub(super) Arc<Json>);

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        debug_assert!(codes::is_known(code), "`{code}` stands in `CODES`");
        Self { status, code, detail: detail.into(), fix: fix.into(), more: Box::default(), headers: Vec::new() }
    }

    /// The same with something more to say.
    pub(super) fn with(mut self, name: &str, more: &impl Serialize) -> Self {
        // What cannot be written as JSON is left out; the problem is told all the same.
        self.more.insert(name.to_owned(), serde_json::to_value(more).unwrap_or_default());
        self
    }

    /// Nothing of that name is there.
    pub(super) fn unknown(code: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail, fix)
    }

    /// It is there, and not in a state in which that can be done.
    pub(super) fn conflict(code: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail, fix)
    }

    /// The same with a header.
    pub(super) fn and(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same in a line.
    #[cfg(test)]
    pub(super) fn line(&self) -> String {
        format!("{} {}: {}; {}", self.status.as_u16(), self.code, self.detail, self.fix)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, code, detail, fix, more, headers } = self;
        let mut body = json!({
            "type": format!("urn:clockjack:problem:{code}"),
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": detail,
            "code": code,
            "fix": fix,
        });
        if let Json::Object(body) = &mut body {
            body.extend(*more);
        }
        let mut response = (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body.to_string()).into_response();
        response.headers_mut().extend(headers);
        response.extensions_mut().insert(Told(Arc::new(body)));
        response
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        let fix = "look at the log of the host, and ask again when the ledger can be read and written";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ledger.unavailable", error.to_string(), fix)
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let Rejection { refusal, findings, sources, etag } = rejection;
        let mut problem = Self::from(*refusal);
        problem.status = match problem.code {
            "job.unknown" | "plugin.unknown" => StatusCode::NOT_FOUND,
            "job.changed" => StatusCode::PRECONDITION_FAILED,
            "job.exists" | "job.in_manifest" | "job.needed" | "host.needs_restart" => StatusCode::CONFLICT,
            "host.fault" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => problem.status,
        };
        if !findings.is_empty() {
            let text = diagnostics::render(&findings, &sources, diagnostics::Look::Plain);
            problem = problem.with("findings", &diagnostics::to_json(&findings, &sources)).with("findings_text", &text);
        }
        match etag {
            Some(etag) => problem.with("etag", &etag),
            None => problem,
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let Refusal { code, message, fix } = refusal;
        let status = match code {
            "plugin.unknown" => StatusCode::NOT_FOUND,
            "host.stopping" | "ledger.unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            code if code.starts_with("plugin.") => StatusCode::CONFLICT,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, code, message, fix)
    }
}

/// Problem details as in RFC 9457.
#[derive(ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "it says how a problem looks; `Problem` writes it")]
struct ProblemView {
    /// `urn:clockjack:problem:` and the code.
    r#type: String,
    /// What the status means.
    title: String,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is the matter.
    detail: String,
    /// Stable and dotted, such as `job.unknown`.
    code: String,
    /// What to do about it.
    fix: String,
    /// What is wrong with what was sent, one by one, where that is known.
    #[schema(required = false, value_type = Option<Vec<Object>>)]
    findings: Option<Json>,
    /// The same for people.
    findings_text: Option<String>,
    /// The tag of a job as it is, where another one was meant.
    etag: Option<String>,
    /// Which request it was: the header `x-request-id` of the answer, and the log of the host, have the same.
    request: Option<String>,
}

/// What every route may answer instead of what was asked for.
pub(super) struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        let told = |status: StatusCode| {
            let content = ContentBuilder::new().schema(Some(ProblemView::schema())).build();
            let told = ResponseBuilder::new().description(status.canonical_reason().unwrap_or_default());
            (status.as_str().to_owned(), RefOr::T(told.content(MEDIA_TYPE, content).build()))
        };
        let statuses = [400, 401, 403, 404, 405, 406, 408, 409, 412, 413, 415, 421, 422, 428, 429, 431, 500, 503];
        statuses.into_iter().filter_map(|status| StatusCode::from_u16(status).ok()).map(told).collect()
    }
}
