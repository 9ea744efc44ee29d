//! What a run costs, from the trigger to the finished row, beside what bare wasmtime costs in the same process.
//!
//! Prints one JSON line. `floor_us` is a fresh store, a WASI context, an instantiation and a call on the very engine
//! that the sandbox uses; `sandbox_us` is an attempt of the sandbox with every limit on; `path_us` is the processor time of
//! the whole ring per run, planning and recording included.
//! Figures of one line belong together; figures of two runs on a shared machine do not. `--tiny` only shows that it works;
//! `empty` or `real` measures one guest alone, `history` puts a million rows into the SQLite ledger first.

use std::{num::NonZeroU32, path::Path, sync::Arc, time::Duration};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use chrono::{DateTime, TimeDelta, Utc};
use clockjack::{
    clock::SystemClock,
    load,
    shell::{Host, HostParts},
};
use clockjack_ledger::{MemoryLedger, Owner, SqliteLedger, SqliteOptions};
use clockjack_sandbox::{Call, CompileSettings, Facts, Plugin, Prepared, Sandbox, SandboxExecutor};
use clockjack_schedule::{
    core::Input,
    diagnostic::Diagnostics,
    id::{JobId, PoolName, RunId, StoreName},
    job::{Arguments, Ceilings, Grants, Job, Limits, Policy, Setup},
    manifest::parse::parse,
    outcome::Outcome,
    ports::{Attempt, Change, Clock as _, Finish, Ledger, Report, RunFilter, RunRow},
    run::{Cause, Run},
    trigger::{Trigger, TriggerContext},
    zone::{Zone, Zones},
};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value as Json, json};
use wasmtime::{
    Engine, Store,
    component::{Component, ComponentExportIndex, InstancePre, Linker, ResourceTable, Val},
};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

const N_PERMITS: u32 = 64;

/// How much of everything.
struct Size {
    n_floor: u32,
    n_burst: usize,
    n_late: usize,
    /// Rows that an SQLite ledger holds before.
    n_history: usize,
}

fn main() -> anyhow::Result<()> {
    let has = |word: &str| std::env::args().any(|arg| arg == word);
    let is_tiny = has("--tiny");
    let size = if is_tiny {
        Size { n_floor: 100, n_burst: 100, n_late: 100, n_history: 1_000 }
    } else {
        Size { n_floor: 50_000, n_burst: 50_000, n_late: 1_000, n_history: if has("history") { 1_000_000 } else { 0 } }
    };
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests");
    let mut line = json!({ "cores": std::thread::available_parallelism()?.get() });
    for (name, file) in [("empty", "bench-empty.wasm"), ("real", "bench-real.wasm")] {
        // A name on the command line leaves the other one out.
        let is_wanted =
            !["empty", "real"].iter().any(|other| *other != name && std::env::args().any(|arg| arg == *other));
        if is_wanted {
            line[name] = measure(&guests.join(file), &size)?;
        }
    }
    #[expect(clippy::print_stdout, reason = "the line is what a bench is for")]
    {
        println!("{line}");
    }
    Ok(())
}

fn measure(component: &Path, size: &Size) -> anyhow::Result<Json> {
    let sandbox = load::sandbox_with(&Ceilings::default(), N_PERMITS, CompileSettings::default())?;
    let floor = floor(&sandbox, component, size.n_floor)?;
    let attempt = attempts(&sandbox, component, size.n_floor)?;
    let times = |time: Duration| (time.as_secs_f64() / floor.as_secs_f64() * 100.0).round() / 100.0;
    let mut line = json!({ "floor_us": micros(floor), "sandbox_us": micros(attempt), "sandbox_ratio": times(attempt) });
    for kind in [Kind::Memory, Kind::Sqlite] {
        let of = |n_jobs, spread| ring(&sandbox, component, n_jobs, spread, kind, size.n_history);
        let burst = of(size.n_burst, TimeDelta::zero())?;
        let at_once = of(size.n_late, TimeDelta::zero())?;
        let spread = of(size.n_late, TimeDelta::seconds(1))?;
        line[kind.name()] = json!({
            "path_us": micros(burst.cpu_per_run),
            "ratio": times(burst.cpu_per_run),
            "runs_per_second": burst.runs_per_second.round(),
            "lateness_ms": { "at_one_instant": at_once.lateness, "over_a_second": spread.lateness },
        });
    }
    Ok(line)
}

/// Which ledger the runs are recorded in.
#[derive(Clone, Copy)]
enum Kind {
    Memory,
    Sqlite,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
        }
    }
}

/// An open ledger, with the folder that it lives in.
struct Open {
    ledger: Arc<dyn Ledger>,
    _folder: Option<tempfile::TempDir>,
}

async fn open(kind: Kind, n_history: usize) -> anyhow::Result<Open> {
    let Kind::Sqlite = kind else {
        return Ok(Open { ledger: Arc::new(MemoryLedger::default()), _folder: None });
    };
    // In the build folder, which is on a disk; the folder for temporary files may be memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let options =
        SqliteOptions { owner: Owner { what: "bench".to_owned(), since: SystemClock.now() }, pages_max: None };
    let ledger = SqliteLedger::open(&folder.path().join("ledger.db"), options).await?;
    for chunk in 0..n_history / 1_000 {
        let from = SystemClock.now() - TimeDelta::days(30) + TimeDelta::seconds(i64::try_from(chunk)?);
        ledger.commit(history(from)?).await?;
    }
    Ok(Open { ledger: Arc::new(ledger), _folder: Some(folder) })
}

/// A thousand runs that ended long ago, of a hundred jobs.
fn history(from: DateTime<Utc>) -> anyhow::Result<Vec<Change>> {
    let mut changes = Vec::new();
    for number in 0..1_000_i64 {
        let job: JobId = format!("old-{}", number % 100).parse()?;
        let at = from + TimeDelta::milliseconds(number);
        let id = RunId::of_slot(&job, at);
        let run = Run { id, job: job.clone(), scheduled_for: at, due_at: at, cause: Cause::Schedule, payload: None };
        changes.push(Change::Plan(Arc::new(run)));
        changes.push(Change::Finish(Arc::new(Finish {
            run: id,
            job,
            started_at: Some(at),
            finished_at: at,
            duration: Duration::from_millis(1),
            n_attempts: 1,
            report: Report::without_guest(Outcome::succeeded(None)),
            state: None,
        })));
    }
    Ok(changes)
}

fn micros(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e9).round() / 1e3
}

/// Processor time of the whole process so far.
fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.try_into().unwrap_or_default(), now.tv_nsec.try_into().unwrap_or_default())
}

struct Bare {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Bare {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Processor time per call of bare wasmtime.
fn floor(sandbox: &Sandbox, component: &Path, n_calls: u32) -> anyhow::Result<Duration> {
    let engine = sandbox.engine();
    let component = Component::new(engine, std::fs::read(component)?).map_err(anyhow::Error::from)?;
    let mut linker = Linker::<Bare>::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(anyhow::Error::from)?;
    let pre = linker.instantiate_pre(&component).map_err(anyhow::Error::from)?;
    let place = component.get_export_index(None, "run").ok_or_else(|| anyhow::anyhow!("the guest exports no `run`"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(call_often(engine, &pre, place, n_calls)).map_err(anyhow::Error::from)
}

async fn call_often(
    engine: &Engine,
    pre: &InstancePre<Bare>,
    place: ComponentExportIndex,
    n_calls: u32,
) -> wasmtime::Result<Duration> {
    for _ in 0..n_calls / 10 {
        call_once(engine, pre, place).await?;
    }
    let before = cpu();
    for _ in 0..n_calls {
        call_once(engine, pre, place).await?;
    }
    Ok(cpu().saturating_sub(before) / n_calls)
}

async fn call_once(engine: &Engine, pre: &InstancePre<Bare>, place: ComponentExportIndex) -> wasmtime::Result<()> {
    let bare = Bare { wasi: WasiCtxBuilder::new().build(), table: ResourceTable::new() };
    let mut store = Store::new(engine, bare);
    store.set_epoch_deadline(u64::MAX / 2);
    let instance = pre.instantiate_async(&mut store).await?;
    let function = instance.get_func(&mut store, place).expect("the place was taken from this component");
    let mut results = [Val::Bool(false)];
    let n_results = function.ty(&store).results().len();
    function.call_async(&mut store, &[], &mut results[..n_results]).await
}

/// Processor time per attempt of the sandbox with all its limits: no ring, no ledger.
fn attempts(sandbox: &Sandbox, component: &Path, n_attempts: u32) -> anyhow::Result<Duration> {
    let plugin = Arc::new(Plugin::load(sandbox, component, None, false)?);
    let call = Call::prepare(&plugin, Some("run"), &Arguments::None, &Limits::default(), &Grants::default());
    let call = call.map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let facts = facts()?;
    runtime.block_on(async {
        let mut before = cpu();
        for n in 0..n_attempts + n_attempts / 10 {
            if n == n_attempts / 10 {
                before = cpu();
            }
            let report = sandbox.run(&call, facts.clone()).await;
            anyhow::ensure!(report.outcome.code.is_success(), "{}", report.outcome.message);
        }
        Ok(cpu().saturating_sub(before) / n_attempts)
    })
}

fn facts() -> anyhow::Result<Facts> {
    let (now, job) = (SystemClock.now(), "bench".parse::<JobId>()?);
    let id = RunId::of_request(&job, now, 0);
    let run = Run { id, job, scheduled_for: now, due_at: now, cause: Cause::Manual, payload: None };
    let attempt = Attempt::only(Arc::new(run), now);
    Ok(Facts { attempt, zone: "UTC".into(), labels: Arc::default(), is_traced: false })
}

struct Measured {
    cpu_per_run: Duration,
    runs_per_second: f64,
    lateness: Json,
}

/// Runs one slot of each of many jobs through the whole ring, at one instant or spread over a time.
fn ring(
    sandbox: &Sandbox,
    component: &Path,
    n_jobs: usize,
    spread: TimeDelta,
    kind: Kind,
    n_history: usize,
) -> anyhow::Result<Measured> {
    let plugin = Arc::new(Plugin::load(sandbox, component, None, false)?);
    let executor = SandboxExecutor::new(sandbox.clone());
    let guests = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ring = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Open { ledger, _folder } = ring.block_on(open(kind, n_history))?;
    // Far enough away that all jobs are in by then, so that planning is measured and adding is not.
    let start = SystemClock.now() + TimeDelta::seconds(7) + TimeDelta::milliseconds(i64::try_from(n_jobs / 10)?);
    let (mut inputs, mut prepared, zones) = (Vec::new(), Vec::new(), Zones::bundled());
    for index in 0..n_jobs {
        let share = i32::try_from(index)?;
        let slot = start + spread * share / i32::try_from(n_jobs)?;
        let job = job(index, slot, &zones)?;
        let call = Call::prepare(&plugin, Some("run"), &Arguments::None, &job.limits, &job.grants);
        let call = call.map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
        let job = Arc::new(job);
        prepared.push(Prepared::new(Arc::clone(&job), Path::new("").into(), Arc::new(call), 1, None));
        inputs.push(Input::Add { job, past: None });
    }
    executor.put_all(prepared);
    let parts = HostParts {
        clock: Arc::new(SystemClock),
        ledger: Arc::clone(&ledger),
        executor: Arc::new(executor),
        guests: guests.handle().clone(),
        pools: [(PoolName::default(), NonZeroU32::new(N_PERMITS).unwrap_or(NonZeroU32::MIN))].into(),
    };
    ring.block_on(async {
        let host = Host::start(parts);
        host.handle().send(inputs).await;
        let until = (start - SystemClock.now() - TimeDelta::milliseconds(5_500)).to_std().unwrap_or_default();
        tokio::time::sleep(until).await;
        let before = cpu();
        // Looking often before the slots are due would count as their cost.
        tokio::time::sleep((start - SystemClock.now()).to_std().unwrap_or_default()).await;
        while host.n_finished() < n_jobs {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let used = cpu().saturating_sub(before);
        let rows =
            ledger.runs(RunFilter { since: Some(start - TimeDelta::seconds(1)), ..RunFilter::default() }).await?;
        host.shut_down(Duration::from_secs(1), std::future::pending()).await?;
        anyhow::ensure!(rows.len() == n_jobs, "{} rows for {n_jobs} slots", rows.len());
        let finishes: Vec<_> = rows.iter().filter_map(|row| row.finish().map(|finish| (row, finish))).collect();
        anyhow::ensure!(finishes.iter().all(|(_, finish)| finish.report.outcome.code.is_success()), "a guest failed");
        let late = |row: &RunRow, finish: &Finish| {
            finish.started_at.map(|started| (started - row.run.scheduled_for).as_seconds_f64() * 1e3)
        };
        let lateness: Vec<f64> = finishes.iter().filter_map(|(row, finish)| late(row, finish)).collect();
        let last = finishes.iter().map(|(_, finish)| finish.finished_at).max().unwrap_or(start);
        let n_runs = u32::try_from(n_jobs)?;
        Ok(Measured {
            cpu_per_run: used / n_runs,
            runs_per_second: f64::from(n_runs) / (last - start).as_seconds_f64(),
            lateness: percentiles(lateness),
        })
    })
}

fn job(index: usize, slot: DateTime<Utc>, zones: &Zones) -> anyhow::Result<Job> {
    let id = format!("job-{index}");
    let text = format!("at: \"{}\"", slot.to_rfc3339_opts(chrono::SecondsFormat::Micros, true));
    let mut diagnostics = Diagnostics::default();
    let zone = Zone::utc();
    let context = TriggerContext::new(zones, &zone, &id);
    let trigger = parse(0, &text).0.and_then(|node| Trigger::read(&node, context, &mut diagnostics));
    Ok(Job {
        id: id.parse()?,
        trigger: Some(trigger.ok_or_else(|| anyhow::anyhow!("{diagnostics:?}"))?),
        trigger_hash: 0,
        setup: Arc::new(Setup {
            plugin: "bench".parse()?,
            call: None,
            args: Arguments::None,
            command: None,
            after: Vec::new(),
            pool: PoolName::default(),
            store: StoreName::default(),
            zone,
            policy: Policy::default(),
            limits: Limits::default(),
            grants: Grants::default(),
            notify: Arc::default(),
            description: None,
            labels: std::collections::BTreeMap::default(),
        }),
    })
}

fn percentiles(mut values: Vec<f64>) -> Json {
    values.sort_by(f64::total_cmp);
    let at = |share: usize| {
        let place = (values.len() * share / 100).min(values.len().saturating_sub(1));
        values.get(place).map_or(0.0, |value| (value * 1e3).round() / 1e3)
    };
    json!({ "p50": at(50), "p99": at(99), "max": at(100) })
}
