//! What a guest writes to stdout and stderr: the head and the tail are kept, and the true count.
//!
//! The guest is never held up and never told that its output is too long; a job that prints too much still succeeds.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use clockjack_schedule::{
    outcome::{Outcome, json_bytes},
    ports::Captured,
};
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use crate::{
    live::LiveOut,
    redact::{CutAt, Redactor},
};

/// How much a guest may hand over in one write: bounds what one host call copies.
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// The kept part of one stream.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    kept: Arc<Mutex<Kept>>,
    live: LiveOut,
    is_stderr: bool,
}

#[derive(Debug)]
struct Kept {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    half_max: usize,
    n_bytes: u64,
}

impl Capture {
    /// Keeps `bytes_max` at the most: the first half from the beginning, the other from the end.
    pub(crate) fn new(bytes_max: u64) -> Self {
        let half_max = usize::try_from(bytes_max / 2).unwrap_or(usize::MAX);
        let kept = Arc::new(Mutex::new(Kept { head: Vec::new(), tail: VecDeque::new(), half_max, n_bytes: 0 }));
        Self { kept, live: LiveOut::default(), is_stderr: false }
    }

    /// The same stream, passed on as it is written.
    pub(crate) fn heard(self, live: &LiveOut, is_stderr: bool) -> Self {
        Self { live: live.clone(), is_stderr, ..self }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, bytes: &[u8]) {
        self.live.write(self.is_stderr, bytes);
        let mut kept = self.kept();
        let kept = &mut *kept;
        kept.n_bytes = kept.n_bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let room = kept.half_max.saturating_sub(kept.head.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        kept.head.extend_from_slice(first);
        // Of a write that is longer than the tail, only its end can stay.
        let rest = &rest[rest.len().saturating_sub(kept.half_max)..];
        let overflow = (kept.tail.len() + rest.len()).saturating_sub(kept.half_max);
        kept.tail.drain(..overflow);
        kept.tail.extend(rest);
    }

    /// What was kept, as text, without the values of secrets.
    pub(crate) fn take(&self, mut redactor: Option<&mut Redactor>) -> Captured {
        let mut clean = |text: &mut String, cut| redactor.iter_mut().for_each(|redactor| redactor.text(text, cut));
        let mut kept = self.kept();
        if kept.n_bytes == 0 {
            return Captured::default();
        }
        if kept.n_bytes == u64::try_from(kept.head.len() + kept.tail.len()).unwrap_or(u64::MAX) {
            // Nothing is missing between the two: a character may begin in one and end in the other.
            let whole: Vec<u8> = kept.head.iter().chain(&kept.tail).copied().collect();
            let mut text = String::from_utf8_lossy(&whole).into_owned();
            clean(&mut text, CutAt::Nowhere);
            return Captured { text, n_bytes: kept.n_bytes, n_bytes_dropped: 0 };
        }
        let n_kept = u64::try_from(kept.head.len() + kept.tail.len()).unwrap_or(u64::MAX);
        let n_bytes_dropped = kept.n_bytes.saturating_sub(n_kept);
        let mut text = String::from_utf8_lossy(&kept.head).into_owned();
        let mut tail = String::from_utf8_lossy(kept.tail.make_contiguous()).into_owned();
        clean(&mut text, CutAt::End);
        clean(&mut tail, CutAt::Start);
        text.push_str(&format!("\n… {n_bytes_dropped} bytes left out …\n"));
        text.push_str(&tail);
        Captured { text, n_bytes: kept.n_bytes, n_bytes_dropped }
    }
}

impl IsTerminal for Capture {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Capture {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Capture {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Capture {
    async fn ready(&mut self) {}
}

impl tokio::io::AsyncWrite for Capture {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The largest of what `limits.output` bounds.
pub(crate) fn largest(stdout: &Captured, stderr: &Captured, outcome: &Outcome) -> u64 {
    let output = outcome.output.as_ref().map_or(0, json_bytes);
    stdout.n_bytes.max(stderr.n_bytes).max(u64::try_from(output).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_and_tail_are_kept_and_the_rest_is_counted() {
        let capture = Capture::new(8);
        for part in ["ab", "cde", "fghij", "k"] {
            capture.push(part.as_bytes());
        }
        let captured = capture.take(None);
        assert_eq!(captured.text, "abcd\n… 3 bytes left out …\nhijk");
        assert_eq!((captured.n_bytes, captured.n_bytes_dropped), (11, 3));
    }

    #[test]
    fn what_fits_is_kept_whole() {
        let capture = Capture::new(8);
        capture.push(b"abcdefgh");
        assert_eq!(capture.take(None).text, "abcdefgh");
        let capture = Capture::new(8);
        capture.push("abcüefg".as_bytes());
        assert_eq!(capture.take(None).text, "abcüefg");
        assert_eq!(Capture::new(8).take(None), Captured::default());
    }
}
