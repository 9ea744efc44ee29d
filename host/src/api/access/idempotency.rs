//! `Idempotency-Key`: who asks again for the same gets the answer that was given before, and nothing happens twice. Kept for
//! a day, also over a restart.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use clockjack_schedule::ports::{Change, Document, DocumentKind};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use tracing::warn;

use super::role::Caller;
use crate::api::{asked::BODY_BYTES_MAX, problem::Problem, router::Api};

/// What the header is called, and the one of an answer that was given before.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Longest key: any id that somebody else gives to something fits.
const KEY_BYTES_MAX: usize = 256;

/// How long an answer is kept, and how many are.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
const ANSWERS_MAX: usize = 10_000;

/// Largest answer that is kept as it was. Of a larger one it is kept that it was given.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// Largest answer that is waited for.
const RESPONSE_BYTES_MAX: usize = 64 << 20;

/// How long a body may take to come.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// The answers that were given to keys.
#[derive(Default)]
pub struct Answers {
    /// Those of before the start are read when somebody first asks with a key.
    is_read: OnceCell<()>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    answers: HashMap<String, Answer>,
    by_age: BTreeSet<(DateTime<Utc>, String)>,
    /// The keys whose first request is still at work.
    at_work: BTreeMap<String, String>,
}

#[derive(Clone)]
struct Answer {
    /// What was asked, as a hash.
    asked: String,
    status: u16,
    media_type: String,
    /// The text of the answer; none where it was too large.
    body: Option<String>,
}

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

impl Answers {
    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
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
    let media_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let text = if body.len() <= ANSWER_BYTES_MAX { std::str::from_utf8(&body).ok() } else { None };
    let answer = Answer {
        asked,
        status: parts.status.as_u16(),
        media_type: media_type.unwrap_or_default().to_owned(),
        body: text.map(ToOwned::to_owned),
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
    let mut kept = api.answers.lock();
    let mismatch = || {
        let detail = "the key stands for another request already";
        let fix = "send a new key with each new request, and the same only with the same body";
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency.mismatch", detail, fix)
    };
    if let Some(answer) = kept.answers.get(scope) {
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
        let detail =
            format!("the request was carried out before; its answer, {}, was too large to keep", answer.status);
        return Err(Problem::conflict("idempotency.answer_gone", detail, "read what you changed"));
    };
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    if let Ok(media_type) = HeaderValue::from_str(&answer.media_type)
        && !media_type.is_empty()
    {
        headers.insert(header::CONTENT_TYPE, media_type);
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

/// Keeps an answer before it is given, and lets go of old ones.
async fn keep(api: &Api, scope: &str, answer: Answer) {
    let now = api.clock.now();
    let text = to_json(&answer).to_string();
    let document = Document { kind: DocumentKind::Answer, key: scope.into(), revision: 1, at: now, text: text.into() };
    let gone = api.answers.lock().put(scope.to_owned(), answer, now);
    let gone = gone.into_iter().map(|key| Change::DocumentGone { kind: DocumentKind::Answer, key: key.into() });
    let changes = gone.chain([Change::Document(Arc::new(document))]).collect();
    if let Err(error) = api.ledger.commit(changes).await {
        warn!("an answer is kept in memory only, so that a restart forgets its key: {error}");
    }
}

/// Reads what was kept before the start.
async fn read(api: &Api) -> Result<(), Problem> {
    let documents = api.ledger.documents(DocumentKind::Answer).await?;
    let mut kept = api.answers.lock();
    for document in documents {
        if let Some(answer) = serde_json::from_str(&document.text).ok().and_then(|json| from_json(&json)) {
            kept.put(document.key.to_string(), answer, document.at);
        }
    }
    Ok(())
}

impl Kept {
    /// Puts an answer among the others; gives the keys of those that go.
    fn put(&mut self, scope: String, answer: Answer, at: DateTime<Utc>) -> Vec<String> {
        let oldest = chrono::TimeDelta::from_std(KEPT_FOR).ok().and_then(|age| at.checked_sub_signed(age));
        self.by_age.insert((at, scope.clone()));
        self.answers.insert(scope, answer);
        let mut gone = Vec::new();
        while let Some((since, key)) = self.by_age.first().cloned() {
            if self.by_age.len() <= ANSWERS_MAX && oldest.is_none_or(|oldest| oldest <= since) {
                break;
            }
            self.by_age.pop_first();
            self.answers.remove(&key);
            gone.push(key);
        }
        gone
    }
}

fn to_json(answer: &Answer) -> Json {
    let Answer { asked, status, media_type, body } = answer;
    json!({ "asked": asked, "status": status, "media_type": media_type, "body": body })
}

fn from_json(json: &Json) -> Option<Answer> {
    let text = |key: &str| json[key].as_str().map(ToOwned::to_owned);
    let status = u16::try_from(json["status"].as_u64()?).ok()?;
    Some(Answer { asked: text("asked")?, status, media_type: text("media_type")?, body: text("body") })
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
