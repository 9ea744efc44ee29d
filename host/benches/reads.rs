//! How long reads take while jobs fire: the routes over a Unix socket, before a whole host on a ledger in an SQLite file.
//!
//! Prints a table. Ten thousand jobs fire each second, at instants that are spread over it; each run is a guest that does
//! nothing, planned, run in the sandbox and recorded. Two clients ask meanwhile, one request after the other, each over a
//! connection of its own. `--tiny` only shows that it works.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    num::NonZeroU32,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use anyhow::Context as _;
use chrono::TimeDelta;
use clockjack::{
    api::{
        About, Api,
        access::Answers,
        router, serve,
        socket::{Place, Socket},
    },
    clock::SystemClock,
    hot::Reloader,
    load,
    operate::{self, Ending, OperateParts},
    shell::{Host, HostParts},
};
use clockjack_ledger::{Owner, SqliteLedger, SqliteOptions};
use clockjack_sandbox::{Call, CompileSettings, Plugin, Prepared, SandboxExecutor};
use clockjack_schedule::{
    core::Input,
    diagnostic::Diagnostics,
    id::{PoolName, StoreName},
    job::{Arguments, Ceilings, Grants, Job, Limits, Policy, Setup},
    manifest::parse::parse,
    ports::{Clock as _, Ledger},
    trigger::{Trigger, TriggerContext},
    zone::{Zone, Zones},
};

const N_PERMITS: u32 = 64;

/// In how many parts the jobs come, so that their slots are spread over a second.
const N_PARTS: usize = 100;

/// How long a client does nothing between two requests. It is no load test of the routes.
const PAUSE: Duration = Duration::from_millis(5);

const PATHS: [&str; 5] =
    ["/api/v1/jobs", "/api/v1/jobs/job-50", "/api/v1/runs", "/api/v1/runs?job=job-50", "/api/v1/scheduler"];

fn main() -> anyhow::Result<()> {
    let is_tiny = std::env::args().any(|arg| arg == "--tiny");
    let (n_jobs, time) = if is_tiny { (200, Duration::from_secs(2)) } else { (10_000, Duration::from_secs(30)) };
    let ring = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let guests = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    ring.block_on(measure(n_jobs, time, folder.path(), guests.handle()))
}

async fn measure(n_jobs: usize, time: Duration, folder: &Path, guests: &tokio::runtime::Handle) -> anyhow::Result<()> {
    let sandbox = load::sandbox_with(&Ceilings::default(), N_PERMITS, CompileSettings::default())?;
    let component = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests/bench-empty.wasm");
    let plugin = Arc::new(Plugin::load(&sandbox, &component, None, false)?);
    let executor = SandboxExecutor::new(sandbox.clone());
    let options =
        SqliteOptions { owner: Owner { what: "bench".to_owned(), since: SystemClock.now() }, pages_max: None };
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(&folder.join("ledger.db"), options).await?);
    let host = Host::start(HostParts {
        clock: Arc::new(SystemClock),
        ledger: Arc::clone(&ledger),
        executor: Arc::new(executor.clone()),
        guests: guests.clone(),
        pools: [(PoolName::default(), NonZeroU32::new(N_PERMITS).unwrap_or(NonZeroU32::MIN))].into(),
    });
    let socket = folder.join("socket");
    let clock = Arc::new(SystemClock);
    let parts = OperateParts { clock: clock.clone(), ledger: Arc::clone(&ledger), host: host.handle() };
    let (operator, operating) = operate::start(parts, Ending::new(Duration::from_secs(1)), guests);
    let (reloader, _wishes, _shown) = Reloader::new();
    let api = Api {
        host: host.handle(),
        ledger: Arc::clone(&ledger),
        clock,
        executor: Arc::new(executor.clone()),
        reloader,
        operator,
        about: About { started_at: SystemClock.now(), files: Vec::new(), ledger: "sqlite:".to_owned() },
        answers: Answers::default(),
    };
    let server = serve(Socket::open(&Place::Given(socket.clone())).await?, router(api), guests);
    let zones = Zones::bundled();
    for part in 0..N_PARTS {
        let jobs: anyhow::Result<Vec<Arc<Job>>> =
            (part * n_jobs / N_PARTS..(part + 1) * n_jobs / N_PARTS).map(|index| job(index, &zones)).collect();
        let (mut prepared, mut inputs) = (Vec::new(), Vec::new());
        for job in jobs? {
            let call = Call::prepare(&plugin, Some("run"), &Arguments::None, &job.limits, &job.grants);
            let call = call.map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
            prepared.push(Prepared::new(Arc::clone(&job), Path::new("").into(), Arc::new(call), 1, None));
            inputs.push(Input::Add { job, past: None });
        }
        executor.put_all(prepared);
        host.handle().send(inputs).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The first slots come a second after the last jobs.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (n_before, began) = (host.n_finished(), SystemClock.monotonic());
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let socket = socket.clone();
            std::thread::spawn(move || ask(&socket, time))
        })
        .collect();
    while clients.iter().any(|client| !client.is_finished()) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let rate = f64::from(u32::try_from(host.n_finished() - n_before)?)
        / SystemClock.monotonic().saturating_sub(began).as_secs_f64();
    let mut times = vec![Vec::new(); PATHS.len()];
    for client in clients {
        let taken = client.join().map_err(|_panic| anyhow::anyhow!("a client broke off"))??;
        times.iter_mut().zip(taken).for_each(|(all, own)| all.extend(own));
    }
    show(rate, times);
    server.end().await;
    operating.end().await;
    host.shut_down(Duration::from_secs(5), std::future::pending()).await?;
    Ok(())
}

/// Asks for each path in turn, and says how long each took, in milliseconds.
fn ask(socket: &PathBuf, time: Duration) -> anyhow::Result<Vec<Vec<f64>>> {
    let mut stream = BufReader::new(UnixStream::connect(socket)?);
    let mut times = vec![Vec::new(); PATHS.len()];
    let began = SystemClock.monotonic();
    while SystemClock.monotonic().saturating_sub(began) < time {
        for (path, times) in PATHS.iter().zip(&mut times) {
            let asked = SystemClock.monotonic();
            get(&mut stream, path).with_context(|| format!("GET {path}"))?;
            times.push(SystemClock.monotonic().saturating_sub(asked).as_secs_f64() * 1e3);
            std::thread::park_timeout(PAUSE);
        }
    }
    Ok(times)
}

fn get(stream: &mut BufReader<UnixStream>, path: &str) -> anyhow::Result<()> {
    stream.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes())?;
    let (mut line, mut n_bytes) = (String::new(), 0);
    stream.read_line(&mut line)?;
    anyhow::ensure!(line.starts_with("HTTP/1.1 200"), "{line}");
    while line != "\r\n" {
        line.clear();
        anyhow::ensure!(0 < stream.read_line(&mut line)?, "the answer broke off");
        if let Some(length) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            n_bytes = length.trim().parse()?;
        }
    }
    let mut body = vec![0; n_bytes];
    stream.read_exact(&mut body)?;
    anyhow::ensure!(body.starts_with(b"{") && body.ends_with(b"}"), "the answer is no object");
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the table is what a bench is for")]
fn show(rate: f64, times: Vec<Vec<f64>>) {
    println!("{rate:.0} runs a second, on SQLite\n");
    println!("{:<28} {:>8} {:>9} {:>9} {:>9}", "GET", "requests", "p50 ms", "p99 ms", "most ms");
    for (path, mut times) in PATHS.iter().zip(times) {
        times.sort_by(f64::total_cmp);
        let at = |per_mille: usize| times.get((times.len() * per_mille / 1_000).min(times.len().saturating_sub(1)));
        let [p50, p99, most] = [500, 990, 1_000].map(|place| at(place).copied().unwrap_or_default());
        println!("{path:<28} {:>8} {p50:>9.1} {p99:>9.1} {most:>9.1}", times.len());
    }
}

fn job(index: usize, zones: &Zones) -> anyhow::Result<Arc<Job>> {
    let (id, zone, mut found) = (format!("job-{index}"), Zone::utc(), Diagnostics::default());
    let context = TriggerContext::new(zones, &zone, &id);
    let trigger = parse(0, "every: 1s").0.and_then(|node| Trigger::read(&node, context, &mut found));
    let policy = Policy { misfire_grace: Some(TimeDelta::minutes(1).to_std()?), ..Policy::default() };
    Ok(Arc::new(Job {
        id: id.parse()?,
        trigger: Some(trigger.ok_or_else(|| anyhow::anyhow!("{found:?}"))?),
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
            policy,
            limits: Limits::default(),
            grants: Grants::default(),
            notify: Arc::default(),
            description: None,
            labels: std::collections::BTreeMap::default(),
        }),
    }))
}
