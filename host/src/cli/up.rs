//! `clockjack up`: the host in the foreground, from the manifest to the last row.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::SubsecRound as _;
use clap::Args;
use clockjack_ledger::Owner;
use clockjack_schedule::{
    diagnostic::{Diagnostic, Diagnostics, Source},
    id::StoreName,
    manifest::{
        scalar::{self, show_duration, show_size},
        store_url::StoreUrl,
    },
    ports::{Clock as _, GenerationRow, LedgerError},
    zone::Zones,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tracing::{error, info, warn};

use super::{
    Exit, LockedArgs, ManifestArgs, check, diagnostics,
    doors::{self, ControlArgs},
    print,
    serve::{Scene, serve},
    signals::{caught_early, outlive_file_size_limit},
};
use crate::{
    api::About,
    clock::SystemClock,
    hot::{First, MadeFor, Set, Sources},
    load::{
        self, FaultyGiven, FaultyUnit, Program,
        given::Given,
        stores::{self, OpenStores},
    },
    logging::{self, LogFormat},
    settings,
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
    pub(super) control: ControlArgs,
    /// How log lines are written.
    #[arg(long, value_enum, default_value = "text")]
    pub(super) log_format: LogFormat,
    /// How long runs may go on after the first SIGINT or SIGTERM; a second signal ends them at once.
    #[arg(long, value_name = "DURATION", default_value = GRACE, value_parser = scalar::parse_duration)]
    pub(super) grace: Duration,
    /// Do not watch the files of the manifest and of its plugins; changes count after SIGHUP or `clockjack reload`.
    #[arg(long)]
    pub(super) no_watch: bool,
    /// Start nothing until `clockjack resume --all`.
    #[arg(long)]
    pub(super) paused: bool,
    /// Stop by itself after this time.
    #[arg(long = "for", value_name = "DURATION", value_parser = scalar::parse_duration)]
    pub(super) for_: Option<Duration>,
}

pub(super) fn run(args: &UpArgs) -> anyhow::Result<Exit> {
    let log = logging::start(args.log_format);
    let zones = load::zones::newest();
    let sources = Sources {
        files: args.manifests.files.clone(),
        zones: zones.clone(),
        is_locked: args.pins.locked,
        ledger: args.ledger.clone(),
        program: Program::default(),
    };
    let set = Set::read(&sources, SystemClock.now())?;
    // The ring has a thread of its own; guests share the others, so that none of them can make a slot late.
    let (ring, guests) = (Builder::new_current_thread().enable_all().build()?, guest_runtime()?);
    let hangup = caught_early(&ring)?;
    outlive_file_size_limit(&ring)?;
    tell_version(args, &zones);
    let made_for = MadeFor::of(set.manifest());
    let sandbox = load::sandbox_for(&set.manifest().host.ceilings, made_for.n_places)?;
    let began = SystemClock.monotonic();
    let places = stores::places(args.ledger.as_ref(), &set.manifest().stores, &args.manifests.files);
    let rows = places.as_ref().map(|places| ring.block_on(stores::generations_of(places))).unwrap_or_default();
    let given = places.as_ref().map(|places| ring.block_on(stores::given_before(places))).unwrap_or_default();
    let load = |set, rows| First::load(set, &sources, &sandbox, rows, SystemClock.now().trunc_subsecs(3));
    let mut first = load(beside(set, given, &sources)?, rows.clone())?;
    let findings = first.set.findings(|manifest, found| {
        check::warn_of_triggers(manifest, SystemClock.now(), found);
        found.append(doors::check(&args.control, &manifest.api));
    });
    tell_findings(findings.all(), first.set.sources(), args.log_format);
    tell_faulty(&first.set.faulty().units, args.log_format);
    if findings.has_errors() {
        return Ok(faulty(args, &findings));
    }
    let took = SystemClock.monotonic().saturating_sub(began);
    let places = match places {
        Ok(places) => places,
        Err(error) => return Ok(not_started(&error)),
    };
    raise_open_files();
    let owner = Owner { what: format!("clockjack up -f {}", shown(&args.manifests.files)), since: SystemClock.now() };
    let ledger = match ring.block_on(stores::open(&places, first.set.manifest(), &owner)) {
        Ok(ledger) => ledger,
        Err(error) => return Ok(not_started(&error)),
    };
    let uploads = stores::uploads(&places);
    match ring.block_on(kept(&ledger, uploads.as_deref())) {
        // Until the ledger was this host's own, another one may have written to it.
        Ok((owned, given)) if owned != rows || !first.set.has_given(&given) => {
            first = load(beside(first.set, given, &sources)?, owned)?;
        }
        Ok(_) => {}
        Err(error) => return Ok(not_started(&error.into())),
    }
    tell_left_out(&first.set.faulty().given, args.log_format);
    let findings = first.set.findings(|_, _| {});
    if findings.has_errors() {
        tell_findings(findings.all(), first.set.sources(), args.log_format);
        return Ok(faulty(args, &findings));
    }
    tell_start(&first, &places, took);
    let n_left = sandbox.clear_leftovers();
    if 0 < n_left {
        info!(folders = n_left, "removed the scratch folders of hosts that are gone");
    }
    let about = about(args, &places);
    let scene = Scene { args, sources, sandbox, made_for, first, ledger, uploads, about };
    let exit = ring.block_on(serve(scene, &guests, &log, hangup));
    guests.shutdown_background();
    // A plugin that is being compiled for a reload is not waited for; its process ends with this one.
    ring.shutdown_background();
    exit
}

/// The manifest with what the host was given beside its files.
fn beside(set: Set, given: Given, sources: &Sources) -> anyhow::Result<Set> {
    if set.has_given(&given) { Ok(set) } else { set.with_given(sources, &given.into(), None) }
}

/// What an open ledger knows of generations, and of what the host was given.
async fn kept(ledger: &OpenStores, uploads: Option<&Path>) -> Result<(Vec<GenerationRow>, Given), LedgerError> {
    let ledger = ledger.ledger();
    Ok((ledger.generations().await?, stores::given_of(&*ledger, uploads).await?))
}

fn about(args: &UpArgs, places: &BTreeMap<StoreName, StoreUrl>) -> About {
    About {
        started_at: SystemClock.now(),
        files: args.manifests.files.clone(),
        ledger: places.get(&StoreName::default()).map(ToString::to_string).unwrap_or_default(),
    }
}

/// Tells what is wrong with components in directories of plugins; the others go on without them.
fn tell_faulty(faulty: &[FaultyUnit], format: LogFormat) {
    for unit in faulty {
        tell_findings(&unit.findings, &unit.sources, format);
        let plugin = unit.plugin.as_str();
        error!(plugin, "left out: {}; the others go on without it", diagnostics::summary(&unit.findings));
    }
}

/// Tells what is wrong with jobs and plugins that the host was given; the others go on without them.
fn tell_left_out(given: &[FaultyGiven], format: LogFormat) {
    for given in given {
        tell_findings(&given.findings, &given.sources, format);
        let what = given.name.to_string();
        error!(what, "left out: {}; the others go on without it", diagnostics::summary(&given.findings));
    }
}

fn faulty(args: &UpArgs, findings: &Diagnostics) -> Exit {
    error!(manifest = %shown(&args.manifests.files), "not started: {}", diagnostics::summary(findings.all()));
    Exit::Fault
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
pub(super) fn tell_findings(found: &[Diagnostic], sources: &[Source], format: LogFormat) {
    if format == LogFormat::Text {
        return print::findings(found, sources);
    }
    let findings = diagnostics::to_json(found, sources);
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

fn tell_start(first: &First, places: &BTreeMap<StoreName, StoreUrl>, took: Duration) {
    let ledger = places.get(&StoreName::default()).map(ToString::to_string).unwrap_or_default();
    info!(ledger, "slots and runs are recorded");
    for (name, url) in places.iter().filter(|(name, _)| **name != StoreName::default()) {
        info!(store = %name, ledger = %url, "store");
    }
    for (name, plugin, generation) in first.plugins() {
        let (size, sha256, functions) = (show_size(plugin.n_bytes), &plugin.digest[..12], plugin.functions.len());
        info!(plugin = %name, generation, size, sha256, functions, "plugin loaded");
    }
    for (name, generation, found) in first.fallen_back() {
        let (state, code) = (found.state.as_str(), found.code.as_deref().unwrap_or_default());
        let (reason, fix) = (&found.reason, &found.fix);
        warn!(plugin = %name, generation, state, code, fix, "its file is not used, and what ran before runs: {reason}");
    }
    info!("plugins compiled and jobs checked in {}", show_duration(print::rounded(took)));
}
