//! A stream into a file whose bytes are counted before they are written.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime_wasi::p2::{DynOutputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::FileMeter;

/// Counts what goes through a stream.
pub(super) struct Counted {
    pub(super) inner: DynOutputStream,
    pub(super) meter: Arc<FileMeter>,
}

impl Counted {
    fn count(&self, n_bytes: usize) -> StreamResult<()> {
        let n_bytes = u64::try_from(n_bytes).unwrap_or(u64::MAX);
        self.meter.write(n_bytes).map_err(|hit| StreamError::Trap(hit.into()))
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Counted {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.count(bytes.len())?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.inner.check_write()
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.count(bytes.len())?;
        self.inner.blocking_write_and_flush(bytes).await
    }

    fn write_zeroes(&mut self, n_bytes: usize) -> StreamResult<()> {
        self.count(n_bytes)?;
        self.inner.write_zeroes(n_bytes)
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Counted {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}
