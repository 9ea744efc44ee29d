//! A host from its first job to its last row: the ring and what stands beside it, started and stopped in order.

use std::{path::PathBuf, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use clockjack_sandbox::{Sandbox, SandboxExecutor};
use clockjack_schedule::{
    manifest::scalar::{show_duration, show_size},
    notify::Channels,
    ports::{Clock as _, Ledger},
};
use tokio::{runtime::Runtime, signal::unix::Signal, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    Exit,
    beside::{self, Beside, Heard},
    doors,
    signals::{Asked, Signals},
    story,
    up::UpArgs,
};
use crate::{
    api::{About, Api, access::Answers},
    clock::SystemClock,
    hot::{self, First, MadeFor, Reloader, ReloaderParts, Sources},
    load::{self, stores::OpenStores},
    logging::Log,
    operate::{self, Ending, OperateParts},
    shell::{Host, HostError, HostParts, Summary},
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
    let api_settings = first.set.manifest().api.clone();
    let api_ledger = ledger.ledger();
    let mut signals = Signals::new(hangup)?;
    let executor = executor(&sandbox, &made_for);
    let api_executor = Arc::new(executor.clone());
    let clock = Arc::new(SystemClock);
    let began = clock.monotonic();
    let mut host = ring(&first, &ledger, &executor, guests);
    let told = CancellationToken::new();
    let teller = story::tell(host.bus().listen(), args.log_format, told.clone());
    let (channels, heard) = listen(&host, &sources, &first);
    first.keep(&*ledger.ledger()).await?;
    executor.put_all(first.prepared());
    begin(&*api_ledger, &host, args.paused.then(|| clock.now())).await?;
    host.take_in(first.set.manifest().jobs.values().map(Arc::clone).collect()).await?;
    let ending = Ending::new(args.grace);
    let operating = OperateParts { clock: clock.clone(), ledger: ledger.ledger(), host: host.handle() };
    let (operator, operating) = operate::start(operating, ending.clone(), guests.handle());
    let parts = ReloaderParts {
        sources,
        sandbox,
        executor,
        host: host.handle(),
        stores: ledger,
        uploads,
        made_for,
        clock,
        is_watching: !args.no_watch,
        channels,
    };
    let still = CancellationToken::new();
    let (reloader, reloading) = hot::start(first, parts, guests.handle(), still.clone());
    let beside = Beside::start(&host.handle(), &reloader, Arc::clone(&api_ledger), heard, guests.handle());
    let api = Api {
        host: host.handle(),
        ledger: api_ledger,
        clock: Arc::new(SystemClock),
        executor: api_executor,
        reloader: reloader.clone(),
        operator,
        about,
        answers: Answers::default(),
    };
    let control = doors::open(&args.control, &args.manifests.files, &api_settings, api, guests).await;
    let failure = until_the_end(&mut host, &mut signals, (&beside, &reloader), &ending, args.for_).await;
    // From here on nothing is changed through the socket; reads are answered until the last run has ended.
    let grace = ending.ask(None);
    beside.stopping();
    still.cancel();
    settle(reloading).await;
    tell_end(failure.as_ref(), show_duration(grace), host.n_unfinished());
    let drained = host.drain(grace, hurried(&mut signals, &ending, grace)).await;
    operating.end().await;
    if let Some(control) = control {
        control.end().await;
    }
    let service = beside.end().await;
    let summary = drained.close().await;
    service.end().await;
    told.cancel();
    teller.await?;
    let took = SystemClock.monotonic().saturating_sub(began);
    Ok(concluded(failure, summary, took, args, log))
}

/// The ring, which knows no job yet.
fn ring(first: &First, ledger: &OpenStores, executor: &SandboxExecutor, guests: &Runtime) -> Host {
    Host::start(HostParts {
        clock: Arc::new(SystemClock),
        ledger: ledger.ledger(),
        executor: Arc::new(executor.clone()),
        guests: guests.handle().clone(),
        pools: first.set.manifest().pools.clone(),
    })
}

/// Begins paused where somebody wants that, or wanted it before.
async fn begin(ledger: &dyn Ledger, host: &Host, paused_at: Option<DateTime<Utc>>) -> anyhow::Result<()> {
    if let Some(note) = operate::begin(ledger, &host.handle(), paused_at).await? {
        warn!("the host is paused{}: nothing starts until `clockjack resume --all`", note.told());
    }
    Ok(())
}

/// What runs guests.
fn executor(sandbox: &Sandbox, made_for: &MadeFor) -> SandboxExecutor {
    info!(memory = show_size(made_for.shared_bytes), "memory that all attempts share");
    let executor = SandboxExecutor::new(sandbox.clone()).with_workers(load::workers());
    executor.with_memory(made_for.shared_bytes).with_traces(beside::is_traced())
}

/// Where the channels are put that are in force, and what the notifier hears: those, and what is told from now on.
fn listen(host: &Host, sources: &Sources, first: &First) -> (watch::Sender<Arc<Channels>>, Heard) {
    host.bus().meter().zone_rules(sources.zones.version());
    let (channels, in_force) = watch::channel(Arc::new(first.set.manifest().channels.clone()));
    (channels, (in_force, host.bus().listen()))
}

/// Waits until somebody does not want to wait any more.
async fn hurried(signals: &mut Signals, ending: &Ending, grace: Duration) {
    tokio::select! {
        () = signals.end() => {}
        () = ending.hurried(grace) => {}
    }
}

/// Waits until somebody ends the host or it cannot go on, and says why in that case.
async fn until_the_end(
    host: &mut Host,
    signals: &mut Signals,
    (beside, reloader): (&Beside, &Reloader),
    ending: &Ending,
    time: Option<Duration>,
) -> Option<HostError> {
    let time_is_up = after(time);
    tokio::pin!(time_is_up);
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Asked::End => return None,
                Asked::Reload => beside.reload(reloader).await,
            },
            () = &mut time_is_up => return None,
            _ = ending.asked() => return None,
            failure = host.failed() => return Some(failure),
        }
    }
}

/// Says how it was, or why it could not go on.
fn concluded(
    failure: Option<HostError>,
    summary: Result<Summary, HostError>,
    took: Duration,
    args: &UpArgs,
    log: &Log,
) -> Exit {
    match (failure, summary) {
        (None, Ok(summary)) => {
            story::conclude(&summary, took, args.log_format, log);
            Exit::Done
        }
        (Some(error), _) | (None, Err(error)) => {
            error!(
                "the host could not go on: {:#}; what the ledger does not know to have ended counts as interrupted at the \
                 next start",
                chain(&error)
            );
            Exit::HostFailed
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
