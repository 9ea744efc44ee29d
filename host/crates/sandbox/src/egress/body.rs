//! The body of a response: counted, and not waited for without end.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};
use wasmtime_wasi_http::Error;

use super::Network;

pub(super) struct Bounded {
    incoming: Incoming,
    network: Arc<Network>,
    /// How long the next part may take.
    pause: Duration,
    patience: Pin<Box<Sleep>>,
}

impl Bounded {
    pub(super) fn new(incoming: Incoming, network: Arc<Network>, pause: Duration) -> Self {
        Self { incoming, network, pause, patience: Box::pin(sleep(pause)) }
    }

    fn received(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        let n_bytes = frame.data_ref().map_or(0, Bytes::len);
        if !self.network.may_receive(n_bytes) {
            return Err(Error::HttpResponseBodySize(Some(self.network.bounds.bytes_max)));
        }
        if let Some(next) = Instant::now().checked_add(self.pause) {
            self.patience.as_mut().reset(next);
        }
        Ok(frame)
    }
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(self.received(frame))),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(Error::Hyper(error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                ready!(self.patience.as_mut().poll(cx));
                Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
