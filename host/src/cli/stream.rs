//! How commands follow a running host: a stream of server-sent events, and the way back to it where the line breaks.

use std::{collections::BTreeMap, ops::ControlFlow, time::Duration};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{HeaderMap, Request, body::Bytes, body::Incoming, client::conn::http1, header};
use hyper_util::rt::TokioIo;

use super::{
    client::{Client, Failure, refused},
    print,
};

/// Longest frame: an event has some hundred bytes, a line of a log some thousands.
const FRAME_BYTES_MAX: usize = 4 << 20;

/// Longest answer that says why there is no stream.
const PROBLEM_BYTES_MAX: usize = 1 << 20;

/// How long a host may say nothing, signs of life included: four of them.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// How often a host that is gone is looked for, and how long that takes at the first and at the last time: half a minute
/// in all, in which a host restarts.
const TRIES_MAX: u32 = 10;
const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A frame of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) id: Option<u64>,
    pub(super) event: String,
    pub(super) data: String,
}

/// How a stream ended.
enum End {
    /// Whoever reads it has enough.
    Enough,
    /// The other side closed it.
    Closed,
}

impl Client {
    /// Follows a stream to its end, and over the end of its host where frames have numbers: whoever has enough says so by a
    /// break.
    pub(super) async fn follow(
        &self,
        route: &str,
        after: Option<u64>,
        mut each: impl FnMut(&Frame) -> anyhow::Result<ControlFlow<()>>,
    ) -> Result<(), Failure> {
        let (mut after, mut n_tries, mut pause) = (after, 0, PAUSE_FIRST);
        let mut has_begun = false;
        loop {
            let mut n_frames = 0_u64;
            let ended = self
                .read_stream(route, after, &mut |frame| {
                    n_frames += 1;
                    after = frame.id.or(after);
                    if frame.data.is_empty() { Ok(ControlFlow::Continue(())) } else { each(frame) }
                })
                .await;
            let why = match ended {
                Ok(End::Enough) => return Ok(()),
                Ok(End::Closed) => "it closed the stream".to_owned(),
                Err(Failure::Host(error)) if has_begun || 0 < n_frames => format!("{error:#}"),
                Err(failure) => return Err(failure),
            };
            has_begun |= 0 < n_frames;
            if 0 < n_frames {
                (n_tries, pause) = (0, PAUSE_FIRST);
            }
            // Without a number nobody knows from where to go on.
            if TRIES_MAX <= n_tries || after.is_none() {
                return Err(Failure::Host(anyhow::anyhow!("the host is gone: {why}")));
            }
            if n_tries == 0 {
                print::talk("note: the host does not answer any more; waiting for it to come back");
            }
            n_tries += 1;
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(PAUSE_MAX);
        }
    }

    async fn read_stream(
        &self,
        route: &str,
        after: Option<u64>,
        each: &mut impl FnMut(&Frame) -> anyhow::Result<ControlFlow<()>>,
    ) -> Result<End, Failure> {
        let mut head = HeaderMap::new();
        self.sign(&mut head)?;
        let stream = self.connect().await?;
        let told =
            |error: hyper::Error| Failure::Host(anyhow::Error::from(error).context("the line to the host broke"));
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(told)?;
        let mut request = Request::get(format!("/api/v1{route}")).header(header::ACCEPT, "text/event-stream");
        if let Some(headers) = request.headers_mut() {
            headers.extend(head);
        }
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let request = request.body(Full::<Bytes>::default()).map_err(|error| Failure::Host(error.into()))?;
        let read = async {
            let response = sender.send_request(request).await.map_err(told)?;
            let status = response.status();
            if !status.is_success() {
                let read = Limited::new(response.into_body(), PROBLEM_BYTES_MAX).collect().await;
                let bytes = read.map_err(|error| Failure::Host(anyhow::anyhow!("{error}")))?.to_bytes();
                return Err(refused(status, &serde_json::from_slice(&bytes)?));
            }
            frames(response.into_body(), each).await
        };
        tokio::pin!(read, connection);
        tokio::select! {
            ended = read.as_mut() => ended,
            // What had come before the end is there.
            _ended = connection.as_mut() => read.await,
        }
    }
}

async fn frames(
    mut body: Incoming,
    each: &mut impl FnMut(&Frame) -> anyhow::Result<ControlFlow<()>>,
) -> Result<End, Failure> {
    let mut unread = Vec::new();
    loop {
        while let Some(end) = unread.windows(2).position(|two| two == b"\n\n") {
            let frame: Vec<u8> = unread.drain(..end + 2).collect();
            let Some(frame) = read(&String::from_utf8_lossy(&frame)) else { continue };
            if each(&frame).map_err(Failure::Host)?.is_break() {
                return Ok(End::Enough);
            }
        }
        if FRAME_BYTES_MAX < unread.len() {
            return Err(Failure::Host(anyhow::anyhow!("the host sent a frame of more than {FRAME_BYTES_MAX} bytes")));
        }
        let next = tokio::time::timeout(SILENCE_MAX, body.frame()).await;
        match next {
            Ok(Some(Ok(more))) => unread.extend(more.into_data().unwrap_or_default()),
            Ok(None | Some(Err(_))) => return Ok(End::Closed),
            Err(_elapsed) => {
                return Err(Failure::Host(anyhow::anyhow!("the host has said nothing for {SILENCE_MAX:?}")));
            }
        }
    }
}

/// A frame from its lines; none where it is only a sign of life. One may only say how far the stream is.
fn read(text: &str) -> Option<Frame> {
    let mut fields = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with(':')) {
        if let Some((name, value)) = line.split_once(':') {
            fields.insert(name, value.strip_prefix(' ').unwrap_or(value));
        }
    }
    let id = fields.get("id").and_then(|id| id.parse().ok());
    let text = |name: &str| fields.get(name).copied().unwrap_or_default().to_owned();
    let frame = Frame { id, event: text("event"), data: text("data") };
    (id.is_some() || !frame.data.is_empty()).then_some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_and_signs_of_life_are_none() {
        let frame = read("id: 12\nevent: run.finished\ndata: {\"a\":\"b: c\"}\n\n");
        let expected = Frame { id: Some(12), event: "run.finished".to_owned(), data: "{\"a\":\"b: c\"}".to_owned() };
        assert_eq!(frame, Some(expected));
        assert_eq!(read(": here\n\n"), None);
        assert_eq!(read("retry: 1000\n\n"), None);
        assert_eq!(read(": here\nid: 3\n\n"), Some(Frame { id: Some(3), ..Frame::default() }));
    }
}
