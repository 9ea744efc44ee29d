//! `Idempotency-Key`: who asks again for the same gets the answer that was given before, and nothing happens twice. Kept for
//! a day, also over a restart.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use clockjack_schedule::ports::DocumentKind;
use sha2::{Digest as _, Sha256};
use tracing::warn;

use super::{
    answers::{Answer, HEADERS},
    role::Caller,
};
use crate::api::{asked::BODY_BYTES_MAX, problem::Problem, router::Api};

/// What the header is called, and the one of an answer that was given before.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Longest key: any id that somebody else gives to something fits.
const KEY_BYTES_MAX: usize = 256;

/// Largest answer that is kept as it was. Of a larger one it is kept that it was given.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// Largest answer that is waited for.
const RESPONSE_BYTES_MAX: usize = 64 << 20;

/// How long a body may take to come.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// A key whose request is at work. Dropping it, with its request, frees the key.
struct AtWork {
    api: Arc<Api>,
    scope: String,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.api.answers.lock().at_work.remove(&self.scope);
    }
}

/// Answers a request that has a key; lets all others through.
pub(in crate::api) async fn once(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let key = match request.headers().get(KEY) {
        Some(key) if request.method() == Method::POST => key.clone(),
        Some(_) | None => return next.run(request).await,
    };
    match answer(&api, &key, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn answer(api: &Arc<Api>, key: &HeaderValue, request: Request, next: Next) -> Result<Response, Problem> {
    let key = key.to_str().unwrap_or_default();
    if key.is_empty() || KEY_BYTES_MAX < key.len() {
        let detail = format!("`idempotency-key` has {} bytes; a key has 1 to {KEY_BYTES_MAX}", key.len());
        return Err(Problem::new(StatusCode::BAD_REQUEST, "idempotency.invalid", detail, "send another key"));
    }
    let caller = request.extensions().get::<Caller>().map(|caller| caller.name.clone()).unwrap_or_default();
    let scope = hex(&[caller.as_bytes(), request.uri().path().as_bytes(), key.as_bytes()]);
    let (parts, body) = request.into_parts();
    let body = whole(body).await?;
    let query = parts.uri.query().unwrap_or_default();
    let asked = hex(&[query.as_bytes(), &body]);
    api.answers.is_read.get_or_try_init(|| read(api)).await?;
    if let Some(answer) = begin(api, &scope, &asked)? {
        return replay(answer);
    }
    let at_work = AtWork { api: Arc::clone(api), scope };
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    // What was refused has changed nothing, and may be asked again.
    if !response.status().is_success() {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, RESPONSE_BYTES_MAX).await.map_err(|error| {
        let fix = "ask for the state of what you changed; the request was carried out";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "host.fault", error.to_string(), fix)
    })?;
    let text = if body.len() <= ANSWER_BYTES_MAX { std::str::from_utf8(&body).ok() } else { None };
    let answer = Answer {
        asked,
        status: parts.status.as_u16(),
        headers: kept_headers(&parts.headers),
        body: text.map(Arc::from),
    };
    keep(api, &at_work.scope, answer).await;
    drop(at_work);
    Ok(Response::from_parts(parts, Body::from(body)))
}

async fn whole(body: Body) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_TIME_MAX, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_too_large)) => {
            let detail =
                format!("the body of a request with a key has at most {BODY_BYTES_MAX} bytes, and comes whole");
            let fix = "send it without `idempotency-key`";
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "request.too_large", detail, fix))
        }
        Err(_elapsed) => {
            let detail = format!("the body of the request did not come within {BODY_TIME_MAX:?}");
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "request.slow", detail, "send it at once"))
        }
    }
}

/// The answer of before, or none where this is the first request with its key.
fn begin(api: &Api, scope: &str, asked: &str) -> Result<Option<Answer>, Problem> {
    let (now, mut kept) = (api.clock.now(), api.answers.lock());
    let mismatch = || {
        let detail = "the key stands for another request already";
        let fix = "send a new key with each new request, and the same only with the same body";
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency.mismatch", detail, fix)
    };
    if let Some(answer) = kept.find(scope, now) {
        return if answer.asked == asked { Ok(Some(answer.clone())) } else { Err(mismatch()) };
    }
    match kept.at_work.get(scope) {
        Some(first) if first != asked => Err(mismatch()),
        Some(_) => {
            let detail = "the first request with this key is still at work";
            let problem = Problem::conflict("idempotency.busy", detail, "ask again in 1s");
            Err(problem.and(header::RETRY_AFTER, HeaderValue::from(1)))
        }
        None => {
            kept.at_work.insert(scope.to_owned(), asked.to_owned());
            Ok(None)
        }
    }
}

fn replay(answer: Answer) -> Result<Response, Problem> {
    let Some(body) = answer.body else {
        let detail = format!("the request was carried out before; what was answered, {}, is not kept", answer.status);
        return Err(Problem::conflict("idempotency.answer_gone", detail, "read what you changed"));
    };
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, body.to_string()).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

fn kept_headers(headers: &HeaderMap) -> Vec<(HeaderName, String)> {
    let value = |name: &HeaderName| Some(headers.get(name)?.to_str().ok()?.to_owned());
    HEADERS.into_iter().filter_map(|name| value(&name).map(|value| (name, value))).collect()
}

/// Keeps an answer before it is given.
async fn keep(api: &Api, scope: &str, answer: Answer) {
    let changes = api.answers.lock().keep(scope, answer, api.clock.now());
    if let Err(error) = api.ledger.commit(changes).await {
        warn!("an answer is kept in memory only, so that a restart forgets its key: {error}");
    }
}

/// Reads what was kept before the start.
async fn read(api: &Api) -> Result<(), Problem> {
    let documents = api.ledger.documents(DocumentKind::Answer).await?;
    api.answers.lock().take_in(&documents, api.clock.now());
    Ok(())
}

/// A hash of several texts, none of which runs into the next.
fn hex(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
