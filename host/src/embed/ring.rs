//! The threads of a scheduler inside another program: the ring on one of its own, guests on others.

use std::{num::NonZeroUsize, path::PathBuf, sync::Arc, thread, time::Duration};

use chrono::SubsecRound as _;
use clockjack_ledger::Owner;
use clockjack_sandbox::{CompileSettings, Compiler, Sandbox, SandboxExecutor, Workers};
use clockjack_schedule::{
    id::StoreName,
    manifest::{
        resolved::{ApiSettings, Manifest},
        store_url::StoreUrl,
    },
    notify::Channels,
    ports::{Clock as _, Ledger, LedgerError},
};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::{broadcast, mpsc, oneshot, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    Error,
    native::{Functions, NativeExecutor},
};
use crate::{
    api::{About, Api, Carrier, access::Answers},
    clock::SystemClock,
    hot::{self, First, MadeFor, Reloader, ReloaderParts, Set, Sources},
    load::{self, Faulty, given::Given, secrets::HostVault, stores, stores::OpenStores},
    notify::{self, Notifier, NotifierParts},
    operate::{self, Ending, OperateParts, Operating, Operator},
    settings,
    shell::{Event, Host, HostHandle, HostParts, Summary},
};

/// How many wishes for the end may wait.
const ENDS_MAX: usize = 8;

/// How long runs may go on where somebody ends the scheduler over the routes and does not say how long.
const END_GRACE: Duration = Duration::from_secs(10);

/// How long the reloader may take to end what it is at.
const RELOADER_GRACE: Duration = Duration::from_secs(1);

/// What a scheduler is started with.
pub(super) struct Order {
    pub(super) sources: Sources,
    pub(super) compiler: Compiler,
    /// The program that worker processes are.
    pub(super) children: Option<PathBuf>,
    pub(super) functions: Functions,
    /// The runtime of the program.
    pub(super) caller: Handle,
    pub(super) guest_threads: Option<NonZeroUsize>,
    pub(super) is_watching: bool,
}

/// A wish for the end.
pub(super) struct ShutDown {
    pub(super) grace: Duration,
    pub(super) answer: oneshot::Sender<Result<Summary, Error>>,
}

/// What a running scheduler is reached through.
pub(super) struct Ring {
    pub(super) host: HostHandle,
    pub(super) reloader: Reloader,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) operator: Operator,
    /// What the routes reach it through, for the program to mount them.
    pub(super) api: Arc<Api>,
    /// What carries out what they are asked.
    pub(super) carrier: Carrier,
    /// Who may ask for what, as the manifest says.
    pub(super) access: ApiSettings,
    /// Where guests run.
    pub(super) guests: Handle,
    /// When the last of them goes, the scheduler ends at once.
    pub(super) ends: mpsc::Sender<ShutDown>,
    /// What was told since before the first job came in.
    pub(super) since_start: Option<broadcast::Receiver<Event>>,
    /// Why the scheduler has ended by itself; closed when it has ended.
    pub(super) failure: watch::Receiver<Option<String>>,
}

/// What is ready before the first job starts.
struct Ready {
    sandbox: Sandbox,
    made_for: MadeFor,
    first: First,
    stores: OpenStores,
    /// Where the files of uploaded plugins are.
    uploads: Option<PathBuf>,
}

/// Starts the threads, and answers when the jobs are in force.
pub(super) async fn start(order: Order) -> Result<Ring, Error> {
    let (started, answer) = oneshot::channel();
    thread::Builder::new()
        .name("clockjack-ring".to_owned())
        .spawn(move || work(order, started))
        .map_err(|error| Error::NotStarted(format!("no thread can be started: {error}")))?;
    answer.await.map_err(|_closed| Error::NotStarted("a thread of it has failed; its log says more".to_owned()))?
}

fn work(order: Order, started: oneshot::Sender<Result<Ring, Error>>) {
    let runtimes = runtimes(order.guest_threads).map_err(not_started);
    let ready = runtimes.and_then(|(ring, guests)| {
        let ready = prepare(&order, &ring)?;
        Ok((ring, guests, ready))
    });
    match ready {
        Ok((ring, guests, ready)) => {
            ring.block_on(serve(order, ready, guests.handle(), started));
            guests.shutdown_background();
            // A plugin that is being compiled for a reload is not waited for.
            ring.shutdown_background();
        }
        Err(error) => drop(started.send(Err(error))),
    }
}

fn runtimes(guest_threads: Option<NonZeroUsize>) -> std::io::Result<(Runtime, Runtime)> {
    let ring = Builder::new_current_thread().enable_all().build()?;
    let mut guests = Builder::new_multi_thread();
    if let Some(n_threads) = guest_threads {
        guests.worker_threads(n_threads.get());
    }
    Ok((ring, guests.thread_name("clockjack-guests").enable_all().build()?))
}

fn not_started(error: impl Into<anyhow::Error>) -> Error {
    Error::NotStarted(format!("{:#}", error.into()))
}

/// Reads the manifest, opens the ledger and loads the plugins, as `clockjack up` does.
fn prepare(order: &Order, ring: &Runtime) -> Result<Ready, Error> {
    let sources = &order.sources;
    let set = Set::read(sources, SystemClock.now()).map_err(not_started)?;
    let (made_for, ceilings) = (MadeFor::of(set.manifest()), &set.manifest().host.ceilings);
    let budget = load::compile_budget(ceilings);
    let compile = CompileSettings { compiler: order.compiler.clone(), cache: settings::cache_directory(), budget };
    let sandbox = load::sandbox_with(ceilings, made_for.n_places, compile);
    let sandbox = sandbox.map_err(|error| Error::NotStarted(format!("{}; {}", error.message, error.fix)))?;
    let named = sources.ledger.clone().or_else(|| {
        let is_said = set.manifest().stores.contains_key(&StoreName::default());
        (!is_said).then_some(StoreUrl::Memory)
    });
    let places = stores::places(named.as_ref(), &set.manifest().stores, &sources.files).map_err(not_started)?;
    let rows = ring.block_on(stores::generations_of(&places));
    let given = ring.block_on(stores::given_before(&places));
    let beside = |set: Set, given: Given| match set.has_given(&given) {
        true => Ok(set),
        false => set.with_given(sources, &given.into(), None),
    };
    let load = |set, rows| First::load(set, sources, &sandbox, rows, SystemClock.now().trunc_subsecs(3));
    let set = beside(set, given).map_err(not_started)?;
    let mut first = checked(load(set, rows.clone()))?;
    let owner = Owner { what: "a program with clockjack inside".to_owned(), since: SystemClock.now() };
    let stores = ring.block_on(stores::open(&places, first.set.manifest(), &owner)).map_err(not_started)?;
    let (ledger, uploads) = (stores.ledger(), stores::uploads(&places));
    let owned = ring.block_on(ledger.generations())?;
    let given = ring.block_on(stores::given_of(&*ledger, uploads.as_deref()))?;
    if owned != rows || !first.set.has_given(&given) {
        // Until the ledger was this host's own, another one may have written to it.
        first = checked(load(beside(first.set, given).map_err(not_started)?, owned))?;
    }
    tell_faulty(first.set.faulty());
    let n_left = sandbox.clear_leftovers();
    if 0 < n_left {
        info!(folders = n_left, "removed the scratch folders of hosts that are gone");
    }
    Ok(Ready { sandbox, made_for, first, stores, uploads })
}

/// Tells what stands aside; the others go on without it.
fn tell_faulty(faulty: &Faulty) {
    let units = faulty.units.iter().map(|unit| (unit.plugin.to_string(), &unit.findings));
    let given = faulty.given.iter().map(|given| (given.name.to_string(), &given.findings));
    for (what, findings) in units.chain(given) {
        let found = findings.first().map(|found| found.message.as_str()).unwrap_or_default();
        error!(what, "left out: {found}; the others go on without it");
    }
}

/// What is loaded, if nothing is wrong with it.
fn checked(first: anyhow::Result<First>) -> Result<First, Error> {
    let mut first = first.map_err(not_started)?;
    let findings = first.set.findings(|_, _| {});
    if findings.has_errors() { Err(Error::refused(None, findings.all())) } else { Ok(first) }
}

/// Takes the first jobs in.
async fn begin(
    host: &Host,
    ledger: &dyn Ledger,
    executor: &SandboxExecutor,
    first: &mut First,
) -> Result<(), LedgerError> {
    first.keep(ledger).await?;
    executor.put_all(first.prepared());
    drop(operate::begin(ledger, &host.handle(), None).await?);
    host.take_in(first.set.manifest().jobs.values().map(Arc::clone).collect()).await?;
    host.handle().settle().await
}

/// Tells people of runs, as the manifest says.
fn notifier(
    host: &Host,
    ledger: &Arc<dyn Ledger>,
    channels: watch::Receiver<Arc<Channels>>,
    events: broadcast::Receiver<Event>,
    guests: &Handle,
) -> Notifier {
    let parts = NotifierParts {
        host: host.handle(),
        ledger: Arc::clone(ledger),
        clock: Arc::new(SystemClock),
        vault: Arc::new(HostVault),
        channels,
        host_name: notify::host_name(),
        events,
    };
    notify::start(parts, guests)
}

/// Who wishes for the end.
enum Wish {
    /// The program.
    Program(ShutDown),
    /// Somebody over the routes that the program has mounted, who gives runs so much time.
    Route(Duration),
}

/// Waits until somebody wishes for the end, or the host cannot go on.
async fn until_the_end(
    host: &mut Host,
    wishes: &mut mpsc::Receiver<ShutDown>,
    ending: &Ending,
    failed: &watch::Sender<Option<String>>,
) -> Option<Wish> {
    tokio::select! {
        wish = wishes.recv() => wish.map(Wish::Program),
        grace = ending.asked() => Some(Wish::Route(grace)),
        error = host.failed() => {
            error!("the scheduler cannot go on: {error}");
            failed.send_replace(Some(format!("{:#}", anyhow::Error::from(error))));
            None
        }
    }
}

/// Waits until runs may not go on any more: somebody over a route has shortened their time, or the program asks for the end a
/// second time, or has let go of the scheduler. The first time that the program asks after a route has, it may only shorten it.
async fn hurry(
    wishes: &mut mpsc::Receiver<ShutDown>,
    ending: &Ending,
    (has_asked, grace): (bool, Duration),
    late: &mut Option<ShutDown>,
) {
    let wish = tokio::select! {
        () = ending.hurried(grace) => return,
        wish = wishes.recv() => wish,
    };
    let (Some(wish), false) = (wish, has_asked) else { return };
    let left = ending.ask(Some(wish.grace));
    *late = Some(wish);
    tokio::select! {
        () = tokio::time::sleep(left) => {}
        () = ending.hurried(left) => {}
        _ = wishes.recv() => {}
    }
}

/// The program, where it is waiting for the end, and how long runs may go on.
fn agreed(wish: Option<Wish>, ending: &Ending) -> (Option<ShutDown>, Duration) {
    match wish {
        Some(Wish::Program(wish)) => {
            let grace = ending.ask(Some(wish.grace));
            (Some(wish), grace)
        }
        Some(Wish::Route(grace)) => (None, grace),
        None => (None, ending.ask(Some(Duration::ZERO))),
    }
}

/// What runs guests.
fn executor(sandbox: &Sandbox, made_for: &MadeFor, children: Option<PathBuf>) -> SandboxExecutor {
    let executor = SandboxExecutor::new(sandbox.clone()).with_memory(made_for.shared_bytes);
    match children {
        Some(program) => executor.with_workers(Workers::new(program, settings::certificates())),
        None => executor,
    }
}

/// What the routes tell of this scheduler.
fn about(sources: &Sources, manifest: &Manifest) -> About {
    let ledger = sources.ledger.as_ref().or_else(|| manifest.stores.get(&StoreName::default()));
    About {
        started_at: SystemClock.now(),
        files: sources.files.clone(),
        ledger: ledger.unwrap_or(&StoreUrl::Memory).to_string(),
    }
}

async fn serve(order: Order, ready: Ready, guests: &Handle, started: oneshot::Sender<Result<Ring, Error>>) {
    let Ready { sandbox, made_for, mut first, stores, uploads } = ready;
    let Order { sources, children, functions, caller, is_watching, .. } = order;
    let executor = executor(&sandbox, &made_for, children);
    let clock = Arc::new(SystemClock);
    let host = Host::start(HostParts {
        clock: clock.clone(),
        ledger: stores.ledger(),
        executor: Arc::new(NativeExecutor { sandbox: executor.clone(), functions, program: caller }),
        guests: guests.clone(),
        pools: first.set.manifest().pools.clone(),
    });
    let ledger = stores.ledger();
    let (channels, in_force) = watch::channel(Arc::new(first.set.manifest().channels.clone()));
    let (heard, since_start) = (host.bus().listen(), Some(host.bus().listen()));
    if let Err(error) = begin(&host, &*ledger, &executor, &mut first).await {
        drop(started.send(Err(error.into())));
        drop(host.shut_down(Duration::ZERO, std::future::ready(())).await);
        return;
    }
    let operating = OperateParts { clock: clock.clone(), ledger: Arc::clone(&ledger), host: host.handle() };
    let ending = Ending::new(END_GRACE);
    let (operator, operating) = operate::start(operating, ending.clone(), guests);
    let notifier = notifier(&host, &ledger, in_force, heard, guests);
    let (access, about) = (first.set.manifest().api.clone(), about(&sources, first.set.manifest()));
    let (api_executor, still) = (Arc::new(executor.clone()), CancellationToken::new());
    let parts = ReloaderParts {
        sources,
        sandbox,
        executor,
        host: host.handle(),
        stores,
        uploads,
        channels,
        made_for,
        clock,
        is_watching,
    };
    let (reloader, reloading) = hot::start(first, parts, guests, still.clone());
    let (ends, wishes) = mpsc::channel(ENDS_MAX);
    let (failed, failure) = watch::channel(None);
    let api = Arc::new(Api {
        host: host.handle(),
        ledger: Arc::clone(&ledger),
        clock: Arc::new(SystemClock),
        reloader: reloader.clone(),
        executor: api_executor,
        operator: operator.clone(),
        about,
        answers: Answers::default(),
    });
    let carrying = Carrier::new(guests.clone());
    let ring = Ring {
        host: host.handle(),
        reloader,
        ledger,
        operator,
        api,
        carrier: carrying.clone(),
        access,
        guests: guests.clone(),
        ends,
        since_start,
        failure,
    };
    if started.send(Ok(ring)).is_err() {
        warn!("who started the scheduler has gone; it ends");
    }
    Going { host, operating, notifier, carrying, still, reloading, ending, wishes, failed }.work().await;
}

/// A scheduler that goes on.
struct Going {
    host: Host,
    operating: Operating,
    notifier: Notifier,
    carrying: Carrier,
    /// Ends the reloader.
    still: CancellationToken,
    reloading: JoinHandle<()>,
    ending: Ending,
    wishes: mpsc::Receiver<ShutDown>,
    failed: watch::Sender<Option<String>>,
}

impl Going {
    /// Goes on until somebody wishes for the end, and ends one thing after the other.
    async fn work(self) {
        let Self { mut host, operating, notifier, carrying, still, mut reloading, ending, mut wishes, failed } = self;
        let wish = until_the_end(&mut host, &mut wishes, &ending, &failed).await;
        still.cancel();
        if tokio::time::timeout(RELOADER_GRACE, &mut reloading).await.is_err() {
            reloading.abort();
        }
        let (wish, grace) = agreed(wish, &ending);
        let mut late = None;
        let drained = host.drain(grace, hurry(&mut wishes, &ending, (wish.is_some(), grace), &mut late)).await;
        operating.end().await;
        notifier.end().await;
        carrying.end().await;
        let ended = drained.close().await;
        let ended = ended.map_err(|error| Error::Ledger(format!("{:#}", anyhow::Error::from(error))));
        conclude(wish.or(late), ended);
        // Whoever waits for the end is told by this.
        drop(failed);
    }
}

/// Tells whoever wished for the end how it went.
fn conclude(wish: Option<ShutDown>, ended: Result<Summary, Error>) {
    match wish {
        Some(wish) => drop(wish.answer.send(ended)),
        None => drop(ended.inspect_err(|error| error!("the scheduler did not end well: {error}"))),
    }
}
