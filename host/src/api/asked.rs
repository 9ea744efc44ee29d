//! What a request says: its body as JSON, bounded in size and time, and the name in its path.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{StatusCode, header, request::Parts},
};
use serde::de::DeserializeOwned;

use super::{access::Caller, problem::Problem, view::distinct};

/// Most bytes of a body: room for the largest payload of a run, and far less than would hurt the host.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;

/// How long a body may take to come. It comes from this very machine.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// The body of a request. One that has none asks for nothing in particular.
pub(super) struct Asked<T>(pub(super) T);

impl<S, T> FromRequest<S> for Asked<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Default,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_json = is_json(request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()));
        let read = tokio::time::timeout(BODY_TIME_MAX, Bytes::from_request(request, state)).await;
        let bytes = match read {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                let detail = format!("the body of the request has more than {BODY_BYTES_MAX} bytes");
                let fix = "put what is large into a file that the job may read, and send its name";
                return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "request.too_large", detail, fix));
            }
            Ok(Err(rejection)) => return Err(invalid(&rejection.body_text())),
            Err(_elapsed) => {
                let detail = format!("the body of the request did not come within {BODY_TIME_MAX:?}");
                let fix = "send it at once";
                return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "request.slow", detail, fix));
            }
        };
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        if !is_json {
            let fix = "send the body as JSON with the header `Content-Type: application/json`";
            let detail = "the body of the request is not said to be JSON";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "request.media_type", detail, fix));
        }
        // An array would be read as the fields of an object in their order, which nobody means.
        if !bytes.trim_ascii_start().starts_with(b"{") && bytes.trim_ascii() != b"null" {
            return Err(invalid("it is no JSON object"));
        }
        distinct::check(&bytes).map_err(|error| invalid(&error.to_string()))?;
        // `null` is a body that asks for nothing in particular, too.
        let asked: Result<Option<T>, _> = serde_json::from_slice(&bytes);
        asked.map(|asked| Self(asked.unwrap_or_default())).map_err(|error| invalid(&error.to_string()))
    }
}

fn is_json(media_type: Option<&str>) -> bool {
    let essence = media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    // A merge patch (RFC 7386) has a media type of its own.
    ["application/json", "application/merge-patch+json"].iter().any(|known| essence.eq_ignore_ascii_case(known))
}

fn invalid(why: &str) -> Problem {
    let detail = format!("the body of the request cannot be used: {why}");
    Problem::new(StatusCode::BAD_REQUEST, "request.invalid", detail, "send a JSON object with the keys of this route")
}

/// Who asks, where that is known: the name of the token, or the user of the socket.
pub(super) struct By(pub(super) Option<String>);

impl By {
    /// The name, or `unknown`.
    pub(super) fn name(&self) -> Arc<str> {
        self.0.as_deref().unwrap_or("unknown").into()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for By {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<Caller>().map(|caller| caller.name.clone())))
    }
}

/// The name in the path.
pub(super) struct Named(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(name)| Self(name)).map_err(|rejection| {
            let detail = format!("the path of the request cannot be used: {}", rejection.body_text());
            Problem::new(StatusCode::BAD_REQUEST, "request.invalid", detail, "write names as UTF-8, percent-encoded")
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;
    use crate::api::view::{RollBackAsked, definitions::JobAsked, operate::BackfillAsked};

    async fn read<T: DeserializeOwned + Default>(body: &'static str) -> Result<T, String> {
        let request =
            Request::post("/").header(header::CONTENT_TYPE, "application/json").body(Body::from(body)).unwrap();
        Asked::<T>::from_request(request, &()).await.map(|Asked(asked)| asked).map_err(|problem| problem.line())
    }

    #[tokio::test]
    async fn a_body_is_an_object_or_nothing() {
        for body in ["", "null", " null ", "{}", "\n{ \"generation\": null }"] {
            assert_eq!(read::<RollBackAsked>(body).await.map(|asked| asked.generation), Ok(None), "{body}");
        }
        for body in ["[null]", "[]", "3", "\"x\"", "true"] {
            let told = read::<RollBackAsked>(body).await.unwrap_err();
            assert!(told.starts_with("400 request.invalid"), "{body}: {told}");
        }
    }

    /// Of two values of one key, one would be lost without a word.
    #[tokio::test]
    async fn no_key_stands_twice() {
        for body in ["{ \"generation\": 1, \"generation\": 2 }", r#"{ "generation": 1, "gener\u0061tion": 2 }"#] {
            let told = read::<RollBackAsked>(body).await.unwrap_err();
            assert!(told.contains("the key `generation` stands twice at line 1"), "{told}");
        }
        let body =
            r#"{ "id": "dd", "job": { "args": [{ "a": 1 }, { "a": 1, "b": { "every": "1h", "every": "2h" } }] } }"#;
        let told = read::<JobAsked>(body).await.map(|asked| asked.id).unwrap_err();
        assert!(told.starts_with("400 request.invalid") && told.contains("the key `every` stands twice"), "{told}");
        let right = r#"{ "id": "dd", "job": { "a": { "id": null }, "b": [1.5, -1, true, { "id": "x" }] } }"#;
        assert_eq!(read::<JobAsked>(right).await.map(|asked| asked.id), Ok("dd".to_owned()));
    }

    #[tokio::test]
    async fn numbers_are_whole_however_they_are_written() {
        assert_eq!(read::<RollBackAsked>("{ \"generation\": 47.0 }").await.map(|asked| asked.generation), Ok(Some(47)));
        assert_eq!(read::<BackfillAsked>("{ \"at_once\": 4e1 }").await.map(|asked| asked.at_once), Ok(Some(40)));
        for number in ["-1", "0.5", "4294967296", "1e99", "\"1\""] {
            let body: &'static str = format!("{{ \"generation\": {number} }}").leak();
            assert!(read::<RollBackAsked>(body).await.is_err(), "{number}");
        }
    }
}
