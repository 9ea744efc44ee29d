//! `clockjack up`: the host in the foreground, from the manifest to the last row.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use clockjack_ledger::Owner;
use clockjack_sandbox::{Plugin, Sandbox, SandboxExecutor};
use clockjack_schedule::{
    id::{PluginName, StoreName},
    manifest::{
        resolved::Manifest,
        scalar::{self, show_duration, show_size},
        store_url::StoreUrl,
    },
    ports::Clock as _,
    zone::Zones,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{Exit, LockedArgs, ManifestArgs, check, diagnostics, made_for::MadeFor, print, reload, story};
use crate::{
    api::{
        self, About, Api,
        socket::{self, Socket},
    },
    clock::SystemClock,
    hot::Reloader,
    load::{
        self, Loaded, PreparedJob,
        secrets::Missing,
        stores::{self, OpenStores},
    },
    logging::{self, Log, LogFormat},
    settings,
    shell::{Host, HostError, HostParts},
};

/// How long runs may go on after the first signal.
const GRACE: &str = "10s";

#[derive(Debug, Args)]
pub(super) struct UpArgs {
    #[command(flatten)]
    pub(super) manifests: ManifestArgs,
    #[command(flatten)]
    pub(super) pins: LockedArgs,
    /// Where slots and runs are recorded: `sqlite:PATH`, or `memory:` to keep nothing. Without it: what the manifest says
    /// under `stores.default`, else a file in the state directory, which the log names.
    #[arg(long, value_name = "URL")]
    pub(super) ledger: Option<StoreUrl>,
    #[command(flatten)]
    control: ControlArgs,
    /// How log lines are written.
    #[arg(long, value_enum, default_value = "text")]
    pub(super) log_format: LogFormat,
    /// How long runs may go on after the first SIGINT or SIGTERM; a second signal ends them at once.
    #[arg(long, value_name = "DURATION", default_value = GRACE, value_parser = scalar::parse_duration)]
    grace: Duration,
    /// Stop by itself after this time.
    #[arg(long = "for", value_name = "DURATION", value_parser = scalar::parse_duration)]
    for_: Option<Duration>,
}

/// How the host is reached while it runs.
#[derive(Debug, Args)]
struct ControlArgs {
    /// Where the socket is that `clockjack plugins`, `pause`, `run` and others talk to; without it `CLOCKJACK_SOCKET`, else
    /// a place that they find by the manifest.
    #[arg(long, value_name = "PATH", conflicts_with = "no_api")]
    socket: Option<PathBuf>,
    /// Answer nobody: no socket is made.
    #[arg(long)]
    no_api: bool,
}

pub(super) fn run(args: &UpArgs) -> anyhow::Result<Exit> {
    let log = logging::start(args.log_format);
    let zones = load::zones::newest();
    let files = &args.manifests.files;
    let loaded = load::manifest(files, &zones).held_to_pins(args.pins.locked, files)?;
    let mut loaded = loaded.recorded_in(args.ledger.as_ref());
    // The ring has a thread of its own; guests share the others, so that none of them can make a slot late.
    let (ring, guests) = (Builder::new_current_thread().enable_all().build()?, guest_runtime()?);
    let hangup = caught_early(&ring)?;
    tell_version(args, &zones);
    let made_for = MadeFor::of(&loaded.manifest);
    let sandbox = load::sandbox_for(&loaded.manifest.host.ceilings, made_for.n_places)?;
    let began = SystemClock.monotonic();
    let (plugins, jobs) = load::jobs(&mut loaded, &sandbox);
    load::secrets::check(&mut loaded, None, Missing::Error);
    check::warn_of_triggers(&loaded.manifest, SystemClock.now(), &mut loaded.diagnostics);
    loaded.diagnostics.sort();
    tell_findings(&loaded, args.log_format);
    if loaded.diagnostics.has_errors() {
        error!(manifest = %shown(&args.manifests.files), "not started: {}", diagnostics::summary(loaded.diagnostics.all()));
        return Ok(Exit::Fault);
    }
    let took = SystemClock.monotonic().saturating_sub(began);
    let places = match stores::places(args.ledger.as_ref(), &loaded.manifest.stores, &args.manifests.files) {
        Ok(places) => places,
        Err(error) => return Ok(not_started(&error)),
    };
    tell_start(&plugins, &places, took);
    raise_open_files();
    outlive_file_size_limit(&ring)?;
    let owner = Owner { what: format!("clockjack up -f {}", shown(&args.manifests.files)), since: SystemClock.now() };
    let ledger = match ring.block_on(stores::open(&places, &loaded.manifest, &owner)) {
        Ok(ledger) => ledger,
        Err(error) => return Ok(not_started(&error)),
    };
    let n_left = sandbox.clear_leftovers();
    if 0 < n_left {
        info!(folders = n_left, "removed the scratch folders of hosts that are gone");
    }
    let scene = Scene { args, zones, sandbox, made_for, manifest: loaded.manifest, ledger };
    let exit = ring.block_on(serve(scene, jobs, &guests, &log, hangup));
    guests.shutdown_background();
    // A plugin that is being compiled for a reload is not waited for; its process ends with this one.
    ring.shutdown_background();
    exit
}

fn not_started(error: &anyhow::Error) -> Exit {
    error!("not started: {error:#}");
    Exit::HostFailed
}

/// Guests may have files open at once in every place: as many as the system allows at all.
fn raise_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        warn!("the number of open files stays as it is: {error}");
    }
}

fn guest_runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().thread_name("guests").enable_all().build()
}

/// Findings are drawn for people; in a log for programs each is a line of its own.
pub(super) fn tell_findings(loaded: &Loaded, format: LogFormat) {
    if format == LogFormat::Text {
        return print::findings(loaded.diagnostics.all(), &loaded.sources);
    }
    let findings = diagnostics::to_json(loaded.diagnostics.all(), &loaded.sources);
    for finding in findings.as_array().into_iter().flatten() {
        let text = |key: &str| finding[key].as_str().unwrap_or_default();
        let (code, file, fix, message) = (text("code"), text("file"), text("fix"), text("message"));
        let (line, column) = (finding["line"].as_u64(), finding["column"].as_u64());
        match text("severity") {
            "error" => error!(code, file, line, column, fix, "{message}"),
            _ => warn!(code, file, line, column, fix, "{message}"),
        }
    }
}

fn shown(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Comes before plugins are compiled, which may take a while.
fn tell_version(args: &UpArgs, zones: &Zones) {
    let files = shown(&args.manifests.files);
    info!(manifest = %files, zone_rules = zones.version(), "clockjack {}", env!("CARGO_PKG_VERSION"));
    if settings::cache_directory().is_none() && !settings::cache_is_off() {
        warn!(
            "compiled plugins are not kept, so each start compiles them again: neither `HOME` nor `XDG_CACHE_HOME` is set; \
             name a folder as `CLOCKJACK_CACHE`, or `CLOCKJACK_CACHE=off`"
        );
    }
}

fn tell_start(plugins: &[(PluginName, Arc<Plugin>)], places: &BTreeMap<StoreName, StoreUrl>, took: Duration) {
    let ledger = places.get(&StoreName::default()).map(ToString::to_string).unwrap_or_default();
    info!(ledger, "slots and runs are recorded");
    for (name, url) in places.iter().filter(|(name, _)| **name != StoreName::default()) {
        info!(store = %name, ledger = %url, "store");
    }
    for (name, plugin) in plugins {
        let size = show_size(plugin.n_bytes);
        info!(plugin = %name, size, sha256 = &plugin.digest[..12], functions = plugin.functions.len(), "plugin loaded");
    }
    info!("plugins compiled and jobs checked in {}", show_duration(print::rounded(took)));
}

/// What a host is served with.
pub(super) struct Scene<'a> {
    pub(super) args: &'a UpArgs,
    pub(super) zones: Zones,
    pub(super) sandbox: Sandbox,
    /// What stays as it was at the start.
    pub(super) made_for: MadeFor,
    /// What is in force.
    pub(super) manifest: Manifest,
    pub(super) ledger: OpenStores,
}

async fn serve(
    mut scene: Scene<'_>,
    jobs: Vec<PreparedJob>,
    guests: &Runtime,
    log: &Log,
    hangup: Signal,
) -> anyhow::Result<Exit> {
    let args = scene.args;
    let mut signals = Signals::new(hangup)?;
    let memory = scene.made_for.shared_bytes;
    info!(memory = show_size(memory), "memory that all attempts share");
    let workers = load::workers();
    let executor = SandboxExecutor::new(scene.sandbox.clone()).with_workers(workers).with_memory(memory);
    let clock = Arc::new(SystemClock);
    let began = clock.monotonic();
    let mut host = Host::start(HostParts {
        clock,
        ledger: scene.ledger.ledger(),
        executor: Arc::new(executor.clone()),
        guests: guests.handle().clone(),
        pools: scene.manifest.pools.clone(),
    });
    let events = host.bus().listen();
    let told = CancellationToken::new();
    let teller = story::tell(events, told.clone());
    host.take_in(reload::put(&executor, jobs, &scene.manifest)).await?;
    let (reloader, wishes, shown) = Reloader::new();
    drop((wishes, shown));
    let control = control(&scene, &host, reloader, guests).await;
    let time_is_up = after(args.for_);
    tokio::pin!(time_is_up);
    let (mut reading, mut is_asked_again) = (None, false);
    let failure = loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Asked::End => break None,
                // One at a time: what is asked for while one goes on is read after it.
                Asked::Reload if reading.is_some() => is_asked_again = true,
                Asked::Reload => reading = Some(reload::read(&scene)),
            },
            read = reload::end_of(&mut reading) => {
                reload::apply(read, &mut scene, &host, &executor).await;
                reading = std::mem::take(&mut is_asked_again).then(|| reload::read(&scene));
            }
            () = &mut time_is_up => break None,
            failure = host.failed() => break Some(failure),
        }
    };
    let n_unfinished = host.n_unfinished();
    if let Some(failure) = &failure {
        error!(
            grace = show_duration(args.grace),
            unfinished = n_unfinished,
            "nothing new starts: {:#}",
            chain(failure)
        );
    } else {
        info!(grace = show_duration(args.grace), unfinished = n_unfinished, "stopping; a second signal does not wait");
    }
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

/// Opens the socket of the host. Jobs run without one too.
async fn control(scene: &Scene<'_>, host: &Host, reloader: Reloader, guests: &Runtime) -> Option<api::Server> {
    let args = scene.args;
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
    let places = stores::places(args.ledger.as_ref(), &scene.manifest.stores, files).unwrap_or_default();
    let about = About {
        started_at: SystemClock.now(),
        files: files.clone(),
        ledger: places.get(&StoreName::default()).map(ToString::to_string).unwrap_or_default(),
    };
    let (ledger, clock) = (scene.ledger.ledger(), Arc::new(SystemClock));
    let api = Api { host: host.handle(), ledger, clock, reloader, about };
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

/// The signals that the host answers to.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

/// The number of SIGXFSZ on Linux and the BSDs.
const SIGXFSZ: i32 = 25;

/// From here on a write beyond the file-size limit of the process is an error like a full disk, and not its death. The
/// ledger may meet it while it is opened.
fn outlive_file_size_limit(runtime: &Runtime) -> std::io::Result<()> {
    let _entered = runtime.enter();
    // Nobody listens: what was caught once never kills again.
    drop(signal(SignalKind::from_raw(SIGXFSZ))?);
    Ok(())
}

/// From here on a wish for a reload does not end the program: one that comes while plugins are compiled waits until the
/// host runs. Signals that ask for the end still end a start at once.
fn caught_early(runtime: &Runtime) -> std::io::Result<Signal> {
    let _entered = runtime.enter();
    signal(SignalKind::hangup())
}

impl Signals {
    fn new(hangup: Signal) -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hangup })
    }

    /// Waits for the next signal.
    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::End,
            _ = self.terminate.recv() => Asked::End,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }

    /// Waits for a signal that asks for the end.
    async fn end(&mut self) {
        while self.next().await == Asked::Reload {}
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    End,
    Reload,
}
