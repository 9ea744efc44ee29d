//! The server: connections over the socket of the host and over the network, a bounded number at a time, and none of them
//! for ever.

use std::{io, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Request, Response, StatusCode},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::geteuid;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{UnixListener, UnixStream},
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinHandle},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use super::{
    access::{
        Access, AccessOptions,
        door::{Door, Peer},
    },
    problem::Problem,
    socket::{Socket, SocketFile},
    stall::Stalling,
    tcp::{Accepted, TcpDoor},
    wire::Wire,
};

/// Most connections at once through one door. Who comes then is told so.
const CONNECTIONS_MAX: usize = 256;

/// How many are told so at once; others are just closed.
const TURNED_AWAY_MAX: usize = 64;

/// How long a connection may ask for nothing.
const IDLE_TIME_MAX: Duration = Duration::from_secs(60);

/// How much of a request is held back while it is read.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// How long what has been asked may go on when the host stops.
const END_TIME_MAX: Duration = Duration::from_secs(1);

/// Pause after a connection that could not be taken, when too many files are open for instance.
const PAUSE: Duration = Duration::from_millis(100);

/// The server of a host. Dropping it ends it, and its socket goes.
#[derive(Debug)]
pub struct Server {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// The doors of a host.
#[derive(Default)]
pub struct Doors {
    /// Its socket.
    pub socket: Option<Socket>,
    /// Where it listens on the network.
    pub tcp: Vec<TcpDoor>,
    /// Who may come in through those.
    pub access: AccessOptions,
}

/// Serves on a socket until it is told to stop.
pub fn serve(socket: Socket, router: Router, runtime: &Handle) -> Server {
    serve_all(Doors { socket: Some(socket), ..Doors::default() }, router, runtime)
}

/// Serves through all doors until it is told to stop.
pub fn serve_all(doors: Doors, router: Router, runtime: &Handle) -> Server {
    let Doors { socket, tcp, access } = doors;
    let stop = CancellationToken::new();
    let door = Door::new(router, Arc::new(Access::new(access)));
    let accepting = |listener| Accepting {
        listener,
        door: door.clone(),
        runtime: runtime.clone(),
        stop: stop.clone(),
        places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        turning_away: Arc::new(Semaphore::new(TURNED_AWAY_MAX)),
        connections: TaskTracker::new(),
        give_up: CancellationToken::new(),
    };
    let socket = socket.map(|socket| {
        let (listener, file) = socket.into_parts();
        Listener::Socket(listener, file)
    });
    let listeners = socket.into_iter().chain(tcp.into_iter().map(Listener::Tcp));
    let tasks = listeners.map(|listener| runtime.spawn(accepting(listener).work())).collect();
    Server { stop, tasks }
}

impl Server {
    /// Takes no more requests, gives those that are being answered a moment, and removes the socket.
    pub async fn end(mut self) {
        self.stop.cancel();
        for task in &mut self.tasks {
            drop(task.await);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

enum Listener {
    Socket(UnixListener, #[expect(dead_code, reason = "it goes with the listener")] SocketFile),
    Tcp(TcpDoor),
}

struct Accepting {
    listener: Listener,
    door: Door,
    runtime: Handle,
    stop: CancellationToken,
    places: Arc<Semaphore>,
    turning_away: Arc<Semaphore>,
    connections: TaskTracker,
    give_up: CancellationToken,
}

/// A connection that has come.
enum Came {
    Socket(UnixStream, Peer),
    Network(Accepted),
}

impl Accepting {
    async fn work(self) {
        loop {
            let came = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                came = self.listener.accept() => came,
            };
            match came {
                Ok(Some(came)) => self.take(came),
                Ok(None) => {}
                Err(error) => {
                    warn!("a connection of the control interface could not be taken: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        let Self { listener, connections, give_up, .. } = self;
        // Nobody finds the socket any more, and then nobody waits on it.
        drop(listener);
        connections.close();
        if tokio::time::timeout(END_TIME_MAX, connections.wait()).await.is_err() {
            // After the end of the server nothing asks the ledger for anything.
            give_up.cancel();
            connections.wait().await;
        }
    }

    /// Answers a connection beside the others, or says that there are too many.
    fn take(&self, came: Came) {
        let (door, stop) = (self.door.clone(), self.stop.clone());
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            if let Ok(place) = Arc::clone(&self.turning_away).try_acquire_owned() {
                self.connections.spawn_on(turn_away(came, door, place), &self.runtime);
            }
            return;
        };
        let tasks = Tasks {
            tracker: self.connections.clone(),
            runtime: self.runtime.clone(),
            give_up: self.give_up.clone(),
            place: Arc::new(place),
        };
        drop(tasks.clone().spawn(async move { welcome(came, door, stop, tasks).await }));
    }
}

/// What is done for one connection: the tasks have its place together, and the last one leaves it.
#[derive(Clone)]
struct Tasks {
    tracker: TaskTracker,
    runtime: Handle,
    give_up: CancellationToken,
    place: Arc<OwnedSemaphorePermit>,
}

impl Tasks {
    /// Does something until it is done or given up; it says none then.
    fn spawn<T: Send + 'static>(self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<Option<T>> {
        let Self { tracker, runtime, give_up, place } = self;
        let task = async move {
            let done = tokio::select! {
                // What of a body had not come looks like its end to whoever reads on after that.
                biased;
                () = give_up.cancelled() => None,
                done = work => Some(done),
            };
            drop(place);
            done
        };
        tracker.spawn_on(task, &runtime)
    }

    /// Answers a request. One that changes something is carried out to its end in a task of its own, for its connection may
    /// go at any moment, and what it asks for must not be done by half: neither without its line in the log, nor without the
    /// answer that is kept for its key.
    async fn answer(self, door: Door, request: Request<Incoming>, peer: Peer) -> Result<Response<Body>, JoinError> {
        if request.method().is_safe() {
            let Ok(response) = door.answer(request, peer).await;
            return Ok(response);
        }
        match self.spawn(door.answer(request, peer)).await? {
            Some(Ok(response)) => Ok(response),
            // Its connection is given up with it.
            None => std::future::pending().await,
        }
    }
}

impl Listener {
    /// The next connection of somebody who may have one. Cancel-safe.
    async fn accept(&self) -> io::Result<Option<Came>> {
        match self {
            Self::Socket(listener, _) => {
                let (stream, _address) = listener.accept().await?;
                Ok(friend(&stream).map(|user| Came::Socket(stream, Peer::Socket { user })))
            }
            Self::Tcp(door) => Ok(Some(Came::Network(door.accept().await?))),
        }
    }
}

/// The user of a connection, where it is that of this host or the administrator. The mode of the socket says the same
/// already; folders that a person names may be open to others for a moment.
fn friend(stream: &UnixStream) -> Option<u32> {
    match stream.peer_cred() {
        Ok(peer) if may_ask(peer.uid(), geteuid().as_raw()) => Some(peer.uid()),
        Ok(peer) => {
            warn!(user = peer.uid(), "another user asked the control interface for something, and was not answered");
            None
        }
        Err(error) => {
            debug!("it is not known who asks: {error}");
            None
        }
    }
}

/// Whether a user may ask the host of another one.
pub(super) fn may_ask(user: u32, owner: u32) -> bool {
    user == owner || user == 0
}

async fn welcome(came: Came, door: Door, stop: CancellationToken, tasks: Tasks) {
    match came {
        Came::Socket(stream, peer) => answer(stream, peer, door, stop, tasks).await,
        Came::Network(accepted) => {
            let peer = accepted.peer();
            match accepted.open().await {
                Ok(stream) => answer(stream, peer, door, stop, tasks).await,
                Err(error) => debug!("a connection did not come to be: {error}"),
            }
        }
    }
}

/// Says that there are too many connections, and ends.
async fn turn_away(came: Came, door: Door, place: OwnedSemaphorePermit) {
    let problem = || {
        let detail = format!("{CONNECTIONS_MAX} connections are open already");
        let fix = "close those that you do not need, and ask again in 1s";
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "host.busy", detail, fix);
        problem.and(axum::http::header::RETRY_AFTER, axum::http::HeaderValue::from(1))
    };
    match came {
        Came::Socket(stream, peer) => Wire::new(stream).end(Some(&door.refuse(problem(), peer))).await,
        Came::Network(accepted) => {
            let peer = accepted.peer();
            // Nobody waits for a handshake for this.
            if let Some(stream) = accepted.plain() {
                Wire::new(stream).end(Some(&door.refuse(problem(), peer))).await;
            }
        }
    }
    drop(place);
}

async fn answer<S>(stream: S, peer: Peer, door: Door, stop: CancellationToken, tasks: Tasks)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let routes = door.clone();
    let service = service_fn(move |request| Box::pin(tasks.clone().answer(routes.clone(), request, peer)));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIME_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(Wire::new(Stalling::new(stream))), service);
    let ended = {
        let mut going = pin!(&mut connection);
        tokio::select! {
            ended = going.as_mut() => Some(ended),
            () = stop.cancelled() => None,
        }
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    if let Err(error) = ended {
        debug!("a connection of the control interface ended early: {error}");
    }
    let mut wire = connection.into_parts().io.into_inner();
    let refusal = wire.take_refusal().map(|problem| door.refuse(problem, peer));
    wire.end(refusal.as_deref()).await;
}
