//! `clockjack up`: the host in the foreground, from the manifest to the last row.

use std::{num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use clockjack_ledger::MemoryLedger;
use clockjack_sandbox::{Plugin, Sandbox, SandboxExecutor};
use clockjack_schedule::{
    core::Input,
    id::{PluginName, PoolName},
    manifest::scalar::{self, show_duration, show_size},
    ports::Clock as _,
    zone::Zones,
};
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{Exit, ManifestArgs, check, diagnostics, print, story};
use crate::{
    clock::SystemClock,
    load::{self, Loaded, PreparedJob},
    logging::{self, Log, LogFormat},
    shell::{Host, HostParts},
};

/// How many runs go on at once. Guests that sleep cost nothing but their memory; those that compute share the cores.
const N_PERMITS: u32 = 64;

/// How long runs may go on after the first signal.
const GRACE: &str = "10s";

#[derive(Debug, Args)]
pub(super) struct UpArgs {
    #[command(flatten)]
    manifests: ManifestArgs,
    /// How log lines are written.
    #[arg(long, value_enum, default_value = "text")]
    log_format: LogFormat,
    /// How long runs may go on after the first SIGINT or SIGTERM; a second signal ends them at once.
    #[arg(long, value_name = "DURATION", default_value = GRACE, value_parser = scalar::parse_duration)]
    grace: Duration,
    /// Stop by itself after this time.
    #[arg(long = "for", value_name = "DURATION", value_parser = scalar::parse_duration)]
    for_: Option<Duration>,
}

pub(super) fn run(args: &UpArgs) -> anyhow::Result<Exit> {
    let log = logging::start(args.log_format);
    let zones = load::zones::newest();
    let mut loaded = load::manifest(&args.manifests.files, &zones);
    let sandbox = load::sandbox_for(&loaded.manifest.host.ceilings, N_PERMITS)?;
    let began = SystemClock.monotonic();
    let (plugins, jobs) = load::jobs(&mut loaded, &sandbox);
    check::warn_of_triggers(&loaded.manifest, SystemClock.now(), &mut loaded.diagnostics);
    loaded.diagnostics.sort();
    tell_findings(&loaded, args.log_format);
    if loaded.diagnostics.has_errors() {
        error!(manifest = %shown(&args.manifests.files), "not started: {}", diagnostics::summary(loaded.diagnostics.all()));
        return Ok(Exit::Fault);
    }
    let took = SystemClock.monotonic().saturating_sub(began);
    tell_start(args, &zones, &plugins, took);
    // The ring has a thread of its own; guests share the others, so that none of them can make a slot late.
    let (ring, guests) = (Builder::new_current_thread().enable_all().build()?, guest_runtime()?);
    let exit = ring.block_on(serve(args, sandbox, jobs, &guests, &log));
    guests.shutdown_background();
    exit
}

fn guest_runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().thread_name("guests").enable_all().build()
}

/// Findings are drawn for people; in a log for programs each is a line of its own.
fn tell_findings(loaded: &Loaded, format: LogFormat) {
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

fn tell_start(args: &UpArgs, zones: &Zones, plugins: &[(PluginName, Arc<Plugin>)], took: Duration) {
    let files = shown(&args.manifests.files);
    info!(manifest = %files, ledger = "memory:", zone_rules = zones.version(), "clockjack {}", env!("CARGO_PKG_VERSION"));
    for (name, plugin) in plugins {
        let size = show_size(plugin.n_bytes);
        info!(plugin = %name, size, sha256 = &plugin.digest[..12], functions = plugin.functions.len(), "plugin loaded");
    }
    info!("plugins compiled and jobs checked in {}", show_duration(print::rounded(took)));
}

async fn serve(
    args: &UpArgs,
    sandbox: Sandbox,
    jobs: Vec<PreparedJob>,
    guests: &Runtime,
    log: &Log,
) -> anyhow::Result<Exit> {
    let mut signals = Signals::new()?;
    let executor = SandboxExecutor::new(sandbox);
    let inputs = jobs.into_iter().map(|PreparedJob { job, call }| {
        executor.put(job.id.clone(), call, job.zone.name().into(), job.labels.clone());
        Input::Add { job, past: None }
    });
    let inputs: Vec<_> = inputs.collect();
    let clock = Arc::new(SystemClock);
    let began = clock.monotonic();
    let mut host = Host::start(HostParts {
        clock,
        ledger: Arc::new(MemoryLedger::default()),
        executor: Arc::new(executor),
        guests: guests.handle().clone(),
        pools: [(PoolName::default(), NonZeroU32::new(N_PERMITS).unwrap_or(NonZeroU32::MIN))].into(),
    });
    let events = host.bus().listen();
    let told = CancellationToken::new();
    let teller = story::tell(events, told.clone());
    host.send(inputs).await;
    let failure = tokio::select! {
        () = signals.next() => None,
        () = after(args.for_) => None,
        failure = host.failed() => Some(failure),
    };
    if let Some(failure) = failure {
        error!("the host cannot go on: {:#}", anyhow::Error::from(failure));
        return Ok(Exit::HostFailed);
    }
    let n_unfinished = host.n_unfinished();
    info!(grace = show_duration(args.grace), unfinished = n_unfinished, "stopping; a second signal does not wait");
    let summary = host.shut_down(args.grace, signals.next()).await?;
    told.cancel();
    teller.await?;
    story::conclude(&summary, SystemClock.monotonic().saturating_sub(began), args.log_format, log);
    Ok(Exit::Done)
}

/// Ends after the time, or never where none is given.
async fn after(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// The signals that ask for the end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
