//! Streams of server-sent events: frames, signs of life, and an end that says why.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde_json::Value as Json;

use super::problem::Problem;
use crate::shell::journal::READERS_MAX;

/// The media type of a stream.
pub(super) const MEDIA_TYPE: &str = "text/event-stream";

/// How often a stream that has nothing to say says that it is there: often enough for proxies that close what is silent.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);

/// How many frames are put together at the most: what a reader that stalls has waiting for it.
const FRAMES_MAX: usize = 256;

/// How soon a reader is asked to come back.
const BEGINNING: &str = "retry: 1000\n\n";

/// Frames that wait to be sent.
#[derive(Debug, Default)]
pub(super) struct Frames(VecDeque<String>);

impl Frames {
    /// A frame. `data` is JSON, which has no line breaks of its own.
    pub(super) fn put(&mut self, id: Option<u64>, event: &str, data: &str) {
        let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
        self.0.push_back(format!("{id}event: {event}\ndata: {data}\n\n"));
    }

    pub(super) fn put_json(&mut self, event: &str, data: &Json) {
        self.put(None, event, &data.to_string());
    }

    fn take(&mut self) -> Option<Bytes> {
        let n_frames = self.0.len().min(FRAMES_MAX);
        let text: String = self.0.drain(..n_frames).collect();
        (!text.is_empty()).then(|| text.into())
    }
}

/// What a stream is made of.
pub(super) trait Source: Send + 'static {
    /// Puts what comes next, however long that takes; answers whether more may come. Cancel-safe.
    fn advance(&mut self, frames: &mut Frames) -> impl Future<Output = bool> + Send;

    /// Up to which event the reader has everything, where that has a number: it comes back with it, also where nothing of
    /// what it wants happened.
    fn position(&self) -> Option<u64> {
        None
    }
}

/// That the stream is there. An `id` alone is no event, and is remembered all the same.
fn sign(source: &impl Source) -> String {
    source.position().map_or_else(|| ": here\n\n".to_owned(), |id| format!(": here\nid: {id}\n\n"))
}

/// Whether a request asks for a stream.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let essence = range.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case(MEDIA_TYPE)
    })
}

/// There are as many readers as there may be.
pub(super) fn too_many() -> Problem {
    let detail = format!("{READERS_MAX} readers follow events or logs, and no more may");
    let fix = "end one of them, or ask for what is kept without following it";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "events.too_many", detail, fix)
}

/// The answer.
pub(super) fn response(source: impl Source) -> Response {
    let frames = Frames(VecDeque::from([BEGINNING.to_owned(), sign(&source)]));
    let stream = stream::unfold((source, frames, true), |(mut source, mut frames, mut goes_on)| async move {
        loop {
            if let Some(bytes) = frames.take() {
                return Some((Ok::<_, Infallible>(bytes), (source, frames, goes_on)));
            }
            if !goes_on {
                return None;
            }
            match tokio::time::timeout(KEEP_ALIVE_EVERY, source.advance(&mut frames)).await {
                Ok(more) => goes_on = more,
                Err(_elapsed) => frames.0.push_back(sign(&source)),
            }
        }
    });
    let headers = [(header::CONTENT_TYPE, MEDIA_TYPE), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::from_stream(stream)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_sent_to_who_asks_for_one() {
        let wants = |accept: &'static str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT, header::HeaderValue::from_static(accept))]);
            is_wanted(&headers)
        };
        assert!(wants("text/event-stream") && wants("application/json;q=0.5, TEXT/Event-Stream ; q=1"));
        assert!(!wants("*/*") && !wants("application/json") && !is_wanted(&HeaderMap::new()));
    }
}
