//! A connection as the server reads it: each head whole and checked, within its time, and only then the rest.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::http::StatusCode;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    time::Sleep,
};

use super::{
    framing::{self, Body, Head},
    problem::Problem,
};

/// How long the head of a request may take from its first byte to its last.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);

/// How long nothing of a body may come. Routes that want it sooner say so themselves.
const BODY_PAUSE_MAX: Duration = Duration::from_secs(30);

/// How much is read at once.
const READ_BYTES: usize = 8 << 10;

/// How much is still read of what nobody wants, and for how long: whoever is cut off while writing does not see the answer.
const LINGER_BYTES_MAX: usize = 1 << 20;
const LINGER_TIME_MAX: Duration = Duration::from_secs(1);

/// A connection.
pub(super) struct Wire<S> {
    stream: S,
    /// What has come and was not read yet.
    buffer: Vec<u8>,
    /// How much of it may be read.
    n_open: usize,
    /// How much of a head that has begun was looked at.
    n_seen: usize,
    expects: Expects,
    /// Until when something has to come.
    timer: Option<Pin<Box<Sleep>>>,
    /// Why nothing more is read.
    refusal: Option<Problem>,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Expects {
    Head,
    Body(u64),
    Chunks,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new(), n_open: 0, n_seen: 0, expects: Expects::Head, timer: None, refusal: None }
    }

    /// Why nothing more was read, to be answered in the words of the caller.
    pub(super) fn take_refusal(&mut self) -> Option<Problem> {
        self.refusal.take()
    }

    /// Writes a last answer and ends the connection.
    pub(super) async fn end(mut self, answer: Option<&[u8]>) {
        let said = async {
            if let Some(answer) = answer {
                self.stream.write_all(answer).await?;
            }
            self.stream.shutdown().await?;
            let is_cut = answer.is_some() || !matches!(self.expects, Expects::Head);
            let mut n_left = if is_cut { LINGER_BYTES_MAX } else { 0 };
            let mut bytes = vec![0; READ_BYTES];
            while 0 < n_left {
                match self.stream.read(&mut bytes).await? {
                    0 => break,
                    n => n_left = n_left.saturating_sub(n),
                }
            }
            io::Result::Ok(())
        };
        // Whoever has gone already is told nothing.
        drop(tokio::time::timeout(LINGER_TIME_MAX, said).await);
    }

    /// Finds out how much of what has come may be read.
    fn open(&mut self) {
        let is_worth_reading = self.has_news();
        self.n_open = match self.expects {
            Expects::Head if !is_worth_reading => 0,
            Expects::Head => match framing::read(&self.buffer) {
                Ok(Head::Begun) => 0,
                Ok(Head::Whole { n_bytes, body }) => {
                    self.n_seen = 0;
                    self.expects = match body {
                        Body::Bytes(0) => Expects::Head,
                        Body::Bytes(n) => Expects::Body(n),
                        Body::Chunks => Expects::Chunks,
                    };
                    n_bytes
                }
                Err(problem) => {
                    self.refusal = Some(problem);
                    0
                }
            },
            Expects::Body(n_left) => {
                let n_open = usize::try_from(n_left).map_or(self.buffer.len(), |n| n.min(self.buffer.len()));
                let n_left = n_left.saturating_sub(n_open as u64);
                self.expects = if n_left == 0 { Expects::Head } else { Expects::Body(n_left) };
                n_open
            }
            Expects::Chunks => self.buffer.len(),
        };
        if 0 < self.n_open {
            self.timer = None;
        }
    }

    /// Whether a head may be whole now, or wrong. Whoever sends it byte by byte does not have it read as often.
    fn has_news(&mut self) -> bool {
        let new = &self.buffer[self.n_seen..];
        let is_more = new.iter().any(|byte| !matches!(byte, b'\t' | b'\r' | 0x20..=0x7e));
        self.n_seen = self.buffer.len();
        is_more || framing::LINE_BYTES_MAX < self.n_seen
    }

    /// Gives up what does not come in time.
    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let time_max = match self.expects {
            // Whoever asks for nothing is the server's business.
            Expects::Head if self.buffer.is_empty() => return Poll::Pending,
            Expects::Head => HEAD_TIME_MAX,
            Expects::Body(_) | Expects::Chunks => BODY_PAUSE_MAX,
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(time_max)));
        ready!(timer.as_mut().poll(cx));
        if matches!(self.expects, Expects::Head) {
            let detail = format!("the head of the request did not come within {HEAD_TIME_MAX:?}");
            self.refusal = Some(Problem::new(StatusCode::REQUEST_TIMEOUT, "request.slow", detail, "send it at once"));
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Reads more of what comes; how much it was.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut bytes = [0; READ_BYTES];
        let mut more = ReadBuf::new(&mut bytes);
        match Pin::new(&mut self.stream).poll_read(cx, &mut more)? {
            Poll::Ready(()) => {
                self.buffer.extend_from_slice(more.filled());
                Poll::Ready(Ok(more.filled().len()))
            }
            Poll::Pending => {
                ready!(self.poll_time(cx))?;
                Poll::Pending
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = &mut *self;
        loop {
            if wire.n_open == 0 {
                wire.open();
            }
            if 0 < wire.n_open {
                let n_bytes = wire.n_open.min(buf.remaining());
                buf.put_slice(&wire.buffer[..n_bytes]);
                wire.buffer.drain(..n_bytes);
                wire.n_open -= n_bytes;
                wire.n_seen = 0;
                return Poll::Ready(Ok(()));
            }
            if wire.refusal.is_some() {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            if ready!(wire.poll_more(cx))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// The end is [`Wire::end`]'s: there may be something left to say.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
