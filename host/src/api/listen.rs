//! The server: connections over the socket of the host, few at a time and none of them for ever.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rustix::process::geteuid;
use tokio::{
    net::{UnixListener, UnixStream},
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use super::socket::{Socket, SocketFile};

/// Most connections at once. Who comes then waits.
const CONNECTIONS_MAX: usize = 64;

/// How long the headers of a request may take to come, and how long a connection may ask for nothing. Whoever asks is on
/// this very machine.
const HEADERS_TIME_MAX: Duration = Duration::from_secs(10);

/// Largest head of a request.
const HEADERS_BYTES_MAX: usize = 16 << 10;

/// How long what has been asked may go on when the host stops.
const END_TIME_MAX: Duration = Duration::from_secs(1);

/// Pause after a connection that could not be taken, when too many files are open for instance.
const PAUSE: Duration = Duration::from_millis(100);

/// The server of a host. Dropping it ends it, and its socket goes.
#[derive(Debug)]
pub struct Server {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Serves on a socket until it is told to stop.
pub fn serve(socket: Socket, router: Router, runtime: &Handle) -> Server {
    let stop = CancellationToken::new();
    let (listener, file) = socket.into_parts();
    let accepting = Accepting { listener, file, router, runtime: runtime.clone(), stop: stop.clone() };
    Server { stop, task: runtime.spawn(accepting.work()) }
}

impl Server {
    /// Takes no more requests, gives those that are being answered a moment, and removes the socket.
    pub async fn end(mut self) {
        self.stop.cancel();
        drop((&mut self.task).await);
    }
}

struct Accepting {
    listener: UnixListener,
    file: SocketFile,
    router: Router,
    runtime: Handle,
    stop: CancellationToken,
}

impl Accepting {
    async fn work(self) {
        let Self { listener, file, router, runtime, stop } = self;
        let (connections, places) = (TaskTracker::new(), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
        let give_up = CancellationToken::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = accept(&listener, &places) => accepted,
            };
            let Some((stream, place)) = accepted else { continue };
            let (router, stop, give_up) = (router.clone(), stop.clone(), give_up.clone());
            let connection = async move {
                tokio::select! {
                    () = answer(stream, router, stop) => {}
                    () = give_up.cancelled() => {}
                }
                drop(place);
            };
            connections.spawn_on(connection, &runtime);
        }
        // Nobody finds the socket any more, and then nobody waits on it.
        drop(file);
        drop(listener);
        connections.close();
        if tokio::time::timeout(END_TIME_MAX, connections.wait()).await.is_err() {
            // After the end of the server nothing asks the ledger for anything.
            give_up.cancel();
            connections.wait().await;
        }
    }
}

/// The next connection, with its place among those that go on. Cancel-safe.
async fn accept(listener: &UnixListener, places: &Arc<Semaphore>) -> Option<(UnixStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _address)) => is_from_friend(&stream).then_some((stream, place)),
        Err(error) => {
            warn!("a connection of the control interface could not be taken: {error}");
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}

/// Whether a connection comes from the user of this host, or from the administrator. The mode of the socket says the same
/// already; folders that a person names may be open to others for a moment.
fn is_from_friend(stream: &UnixStream) -> bool {
    match stream.peer_cred() {
        Ok(peer) if may_ask(peer.uid(), geteuid().as_raw()) => true,
        Ok(peer) => {
            warn!(user = peer.uid(), "another user asked the control interface for something, and was not answered");
            false
        }
        Err(error) => {
            debug!("it is not known who asks: {error}");
            false
        }
    }
}

/// Whether a user may ask the host of another one.
pub(super) fn may_ask(user: u32, owner: u32) -> bool {
    user == owner || user == 0
}

async fn answer(stream: UnixStream, router: Router, stop: CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_TIME_MAX)
        .max_buf_size(HEADERS_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!("a connection of the control interface ended early: {error}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
