//! A host from its first job to its last row: the ring and what stands beside it, started and stopped in order.

use std::{path::PathBuf, sync::Arc, time::Duration};

use clockjack_sandbox::{Sandbox, SandboxExecutor};
use clockjack_schedule::{
    manifest::scalar::{show_duration, show_size},
    ports::{Clock as _, Ledger},
};
use tokio::{runtime::Runtime, signal::unix::Signal, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    Exit,
    signals::{Asked, Signals},
    story,
    up::UpArgs,
};
use crate::{
    api::{
        self, About, Api,
        socket::{self, Socket},
    },
    clock::SystemClock,
    hot::{self, First, MadeFor, Reloader, ReloaderParts, Sources},
    load::{self, stores::OpenStores},
    logging::Log,
    shell::{Host, HostError, HostHandle, HostParts},
};

/// How long the reloader may take to end what it is at: a commit of the ledger, not a compilation.
const RELOADER_GRACE: Duration = Duration::from_secs(1);

/// What a host is served with.
pub(super) struct Scene<'a> {
    pub(super) args: &'a UpArgs,
    pub(super) sources: Sources,
    pub(super) sandbox: Sandbox,
    /// What stays as it was at the start.
    pub(super) made_for: MadeFor,
    pub(super) first: First,
    pub(super) ledger: OpenStores,
    /// Where the files of uploaded plugins are.
    pub(super) uploads: Option<PathBuf>,
    pub(super) about: About,
}

/// Serves until somebody ends it or it cannot go on.
pub(super) async fn serve(scene: Scene<'_>, guests: &Runtime, log: &Log, hangup: Signal) -> anyhow::Result<Exit> {
    let Scene { args, sources, sandbox, made_for, mut first, ledger, uploads, about } = scene;
    let api_ledger = ledger.ledger();
    let mut signals = Signals::new(hangup)?;
    info!(memory = show_size(made_for.shared_bytes), "memory that all attempts share");
    let executor = SandboxExecutor::new(sandbox.clone()).with_workers(load::workers());
    let executor = executor.with_memory(made_for.shared_bytes);
    let clock = Arc::new(SystemClock);
    let began = clock.monotonic();
    let mut host = Host::start(HostParts {
        clock: clock.clone(),
        ledger: ledger.ledger(),
        executor: Arc::new(executor.clone()),
        guests: guests.handle().clone(),
        pools: first.set.manifest().pools.clone(),
    });
    let told = CancellationToken::new();
    let teller = story::tell(host.bus().listen(), args.log_format, told.clone());
    first.keep(&*ledger.ledger()).await?;
    executor.put_all(first.prepared());
    host.take_in(first.set.manifest().jobs.values().map(Arc::clone).collect()).await?;
    let (handle, is_watching) = (host.handle(), !args.no_watch);
    let parts = ReloaderParts {
        sources,
        sandbox,
        executor,
        host: handle,
        stores: ledger,
        uploads,
        made_for,
        clock,
        is_watching,
    };
    let still = CancellationToken::new();
    let (reloader, reloading) = hot::start(first, parts, guests.handle(), still.clone());
    let control = control(args, about, api_ledger, host.handle(), reloader.clone(), guests).await;
    let time_is_up = after(args.for_);
    tokio::pin!(time_is_up);
    let failure = loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Asked::End => break None,
                Asked::Reload => reloader.poke("SIGHUP").await,
            },
            () = &mut time_is_up => break None,
            failure = host.failed() => break Some(failure),
        }
    };
    still.cancel();
    settle(reloading).await;
    tell_end(failure.as_ref(), show_duration(args.grace), host.n_unfinished());
    host.announce_end();
    if let Some(control) = control {
        control.end().await;
    }
    let summary = host.shut_down(args.grace, signals.end()).await;
    told.cancel();
    teller.await?;
    match (failure, summary) {
        (None, Ok(summary)) => {
            story::conclude(&summary, SystemClock.monotonic().saturating_sub(began), args.log_format, log);
            Ok(Exit::Done)
        }
        (Some(error), _) | (None, Err(error)) => {
            error!(
                "the host could not go on: {:#}; what the ledger does not know to have ended counts as interrupted at the \
                 next start",
                chain(&error)
            );
            Ok(Exit::HostFailed)
        }
    }
}

/// Says that no more runs start, and why.
fn tell_end(failure: Option<&HostError>, grace: String, unfinished: usize) {
    match failure {
        Some(failure) => error!(grace, unfinished, "nothing new starts: {:#}", chain(failure)),
        None => info!(grace, unfinished, "stopping; a second signal does not wait"),
    }
}

/// Waits for the reloader, so that nothing is half in force; but not for a file system, or for a compiler.
async fn settle(mut reloading: JoinHandle<()>) {
    if tokio::time::timeout(RELOADER_GRACE, &mut reloading).await.is_err() {
        reloading.abort();
    }
}

/// Opens the socket of the host. Jobs run without one too.
async fn control(
    args: &UpArgs,
    about: About,
    ledger: Arc<dyn Ledger>,
    host: HostHandle,
    reloader: Reloader,
    guests: &Runtime,
) -> Option<api::Server> {
    if args.control.no_api {
        return None;
    }
    let files = &args.manifests.files;
    let socket = match Socket::open(&socket::place(args.control.socket.as_deref(), files)).await {
        Ok(socket) => socket,
        Err(problem) => {
            warn!(
                "nobody can talk to this host, and its jobs run all the same: {problem}; name another place with \
                 `--socket PATH`, or `--no-api`"
            );
            return None;
        }
    };
    info!(socket = %socket.path().display(), "commands talk to this host through its socket");
    let api = Api { host, ledger, clock: Arc::new(SystemClock), reloader, about };
    // Beside the guests and not on the ring: who asks makes no slot late.
    Some(api::serve(socket, api::router(api), guests.handle()))
}

/// An error with all its causes in one line.
fn chain(error: &HostError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Ends after the time, or never where none is given.
async fn after(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
