//! Runs per second, from plan to end, through the model and through SQLite on this disk, in one run.
//!
//! `cargo bench -p clockjack-ledger --bench commit -- [--tiny] [--jobs N] [--history N] [--seconds S] [--dir PATH]`.
//! As the host has it, one caller plans and claims while another one finishes what was claimed. Under `cargo test` (no
//! `--bench` argument), and with `--tiny`, each case runs a few times only.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use clockjack_ledger::{MemoryLedger, Owner, SqliteLedger, SqliteOptions};
use clockjack_schedule::{
    id::{JobId, RunId},
    outcome::Outcome,
    ports::{Change, Claim, Finish, KeepOf, Ledger, Report},
    run::{Cause, JobState, Run},
};

/// How many runs go into one batch.
const BATCHES: [usize; 5] = [1, 10, 100, 500, 1_000];

/// How many rows one pruning removes, as the host does it.
const PRUNED_MAX: usize = 500;

struct Settings {
    is_tiny: bool,
    n_jobs: usize,
    n_history: usize,
    time: Duration,
    directory: Option<PathBuf>,
}

impl Settings {
    fn of_arguments() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let has = |name: &str| arguments.iter().any(|argument| argument == name);
        let value = |name: &str| {
            let at = arguments.iter().position(|argument| argument == name)?;
            arguments.get(at + 1).cloned()
        };
        let number = |name: &str| value(name).map(|text| text.parse::<usize>().expect("a number"));
        let is_tiny = has("--tiny") || !has("--bench");
        Self {
            is_tiny,
            n_jobs: number("--jobs").unwrap_or(1_000),
            n_history: number("--history").unwrap_or(if is_tiny { 2_000 } else { 0 }),
            time: Duration::from_secs(number("--seconds").unwrap_or(3) as u64),
            directory: value("--dir").map(PathBuf::from),
        }
    }
}

/// The runs of a host: one slot after the other, of one job after the other.
struct Host {
    jobs: Vec<JobId>,
    first: DateTime<Utc>,
}

impl Host {
    fn new(n_jobs: usize) -> Self {
        let jobs = (0..n_jobs).map(|number| format!("team-{}.job-{number}", number % 17).parse().expect("a name"));
        Self { jobs: jobs.collect(), first: DateTime::from_timestamp(1_800_000_000, 0).expect("an instant") }
    }

    fn run(&self, number: usize) -> Arc<Run> {
        let job = self.jobs[number % self.jobs.len()].clone();
        let slot = self.first + TimeDelta::milliseconds((number / self.jobs.len() * 1_000) as i64);
        Arc::new(Run {
            id: RunId::of_slot(&job, slot),
            job,
            scheduled_for: slot,
            due_at: slot,
            cause: Cause::Schedule,
            payload: None,
        })
    }

    fn jobs_known(&self) -> Vec<Change> {
        let state = |job: &JobId| JobState {
            job: job.clone(),
            first_seen: self.first,
            decided_until: self.first,
            paused: false,
            paused_with_all: false,
            paused_in_manifest: false,
            trigger_hash: 7,
            removed_at: None,
        };
        self.jobs.iter().map(|job| Change::Job(state(job))).collect()
    }
}

fn finish(run: &Run) -> Change {
    let digest = Arc::from("3f1c9a".repeat(10) + "3f1c");
    let report = Report {
        cpu_time: Duration::from_micros(17),
        memory_peak_bytes: 1 << 20,
        generation: 1,
        digest,
        ..Report::without_guest(Outcome::succeeded(None))
    };
    Change::Finish(Arc::new(Finish {
        run: run.id,
        job: run.job.clone(),
        started_at: Some(run.due_at),
        finished_at: run.due_at + TimeDelta::milliseconds(3),
        duration: Duration::from_millis(3),
        n_attempts: 1,
        report,
        state: None,
    }))
}

fn claim(run: &Run, at: DateTime<Utc>) -> Change {
    Change::Claim(Claim { job: run.job.clone(), run: run.id, attempt: 1, at })
}

/// What a case took.
struct Measured {
    n_runs: usize,
    time: Duration,
    cpu_time: Duration,
    /// Of one commit, as its caller sees it.
    p50: Duration,
    p99: Duration,
    slowest: Duration,
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::print_stdout, reason = "a bench reports on standard output")]
fn tell(line: &str) {
    println!("{line}");
}

/// The processor time of this process so far, where the system says it.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|text| text.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

async fn measure(
    ledger: Arc<dyn Ledger>,
    host: Arc<Host>,
    n_batch: usize,
    first: usize,
    settings: &Settings,
) -> Measured {
    let (claimed, mut to_finish) = tokio::sync::mpsc::channel::<Vec<Arc<Run>>>(4);
    let (start, cpu_start) = (now(), cpu_time());
    let n_rounds = if settings.is_tiny { 3 } else { usize::MAX };
    let time_max = settings.time;
    let planner = {
        let ledger = Arc::clone(&ledger);
        async move {
            let mut taken = Vec::new();
            for round in 0..n_rounds {
                if time_max < start.elapsed() {
                    break;
                }
                // Slots are planned a while before they are claimed: here one batch ahead.
                let number = first + round * n_batch;
                let ahead: Vec<_> = (number + n_batch..number + 2 * n_batch).map(|number| host.run(number)).collect();
                let due: Vec<_> = (number..number + n_batch).map(|number| host.run(number)).collect();
                let at = due[0].due_at;
                let mut changes: Vec<_> = ahead.iter().map(|run| Change::Plan(Arc::clone(run))).collect();
                if round == 0 {
                    changes.extend(due.iter().map(|run| Change::Plan(Arc::clone(run))));
                }
                changes.extend(due.iter().map(|run| claim(run, at)));
                changes.push(Change::Watermark(at));
                let begun = now();
                ledger.commit(changes).await.expect("a batch is kept");
                taken.push(begun.elapsed());
                claimed.send(due).await.expect("somebody finishes");
            }
            taken
        }
    };
    let finisher = async move {
        let (mut taken, mut n_runs) = (Vec::new(), 0);
        while let Some(due) = to_finish.recv().await {
            n_runs += due.len();
            let changes = due.iter().map(|run| finish(run)).collect();
            let begun = now();
            let committed = ledger.commit(changes).await.expect("a batch is kept");
            assert_eq!(committed.n_stale, 0, "every run ends once");
            taken.push(begun.elapsed());
        }
        (taken, n_runs)
    };
    let (mut taken, (more, n_runs)) = tokio::join!(planner, finisher);
    let (time, cpu) = (start.elapsed(), cpu_time().saturating_sub(cpu_start));
    taken.extend(more);
    taken.sort_unstable();
    let of = |share: usize| taken[(taken.len() - 1) * share / 100];
    Measured { n_runs, time, cpu_time: cpu, p50: of(50), p99: of(99), slowest: of(100) }
}

async fn fill(ledger: &dyn Ledger, host: &Host, n_runs: usize) {
    let begun = now();
    let mut number = 0;
    while number < n_runs {
        let n_batch = 1_000.min(n_runs - number);
        let runs: Vec<_> = (number..number + n_batch).map(|number| host.run(number)).collect();
        let plans = runs.iter().map(|run| Change::Plan(Arc::clone(run)));
        ledger.commit(plans.chain(runs.iter().map(|run| finish(run))).collect()).await.expect("a batch is kept");
        number += n_batch;
    }
    tell(&format!("{n_runs} runs of history, made in {:.1?}", begun.elapsed()));
}

async fn open(directory: &std::path::Path) -> SqliteLedger {
    let owner = Owner { what: "the bench".to_owned(), since: DateTime::UNIX_EPOCH };
    let options = SqliteOptions { owner, pages_max: None };
    SqliteLedger::open(&directory.join("state.db"), options).await.expect("a ledger")
}

async fn prune(ledger: &dyn Ledger, host: &Host, settings: &Settings) {
    let since = host.first + TimeDelta::days(365);
    let keep: Vec<_> =
        host.jobs.iter().map(|job| KeepOf { job: job.clone(), since, n_max: std::num::NonZeroU32::MAX }).collect();
    let (mut taken, mut n_rows) = (Vec::new(), 0);
    let n_rounds = if settings.is_tiny { 2 } else { 100 };
    for job in 0..n_rounds {
        let keep = keep[job % keep.len()..].iter().take(20).cloned().collect();
        let begun = now();
        let pruned = ledger.prune(keep, PRUNED_MAX).await.expect("a ledger can be pruned");
        taken.push(begun.elapsed());
        n_rows += pruned.n_runs;
    }
    taken.sort_unstable();
    let of = |share: usize| taken[(taken.len() - 1) * share / 100];
    let (p50, p99, slowest) = (of(50), of(99), of(100));
    tell(&format!("prune {PRUNED_MAX} rows: p50 {p50:.1?}, p99 {p99:.1?}, slowest {slowest:.1?}; {n_rows} rows"));
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let settings = Settings::of_arguments();
    let host = Arc::new(Host::new(settings.n_jobs));
    let directory = match &settings.directory {
        Some(path) => tempfile::tempdir_in(path),
        None => tempfile::tempdir(),
    };
    let directory = directory.expect("a directory");
    let ledger = Arc::new(open(directory.path()).await);
    ledger.commit(host.jobs_known()).await.expect("a batch is kept");
    fill(&*ledger, &host, settings.n_history).await;
    tell("batch   memory runs/s   sqlite runs/s   ratio   cores   p50 of a commit       p99   slowest");
    let mut first = settings.n_history;
    for n_batch in BATCHES {
        let memory = Arc::new(MemoryLedger::default());
        let memory = measure(memory, Arc::clone(&host), n_batch, first, &settings).await;
        let sqlite =
            measure(Arc::clone(&ledger) as Arc<dyn Ledger>, Arc::clone(&host), n_batch, first, &settings).await;
        first += sqlite.n_runs + n_batch;
        let per_second = |measured: &Measured| measured.n_runs as f64 / measured.time.as_secs_f64();
        tell(&format!(
            "{n_batch:>5} {:>15.0} {:>15.0} {:>7.3} {:>7.2} {:>17.1?} {:>9.1?} {:>9.1?}",
            per_second(&memory),
            per_second(&sqlite),
            per_second(&sqlite) / per_second(&memory),
            sqlite.cpu_time.as_secs_f64() / sqlite.time.as_secs_f64(),
            sqlite.p50,
            sqlite.p99,
            sqlite.slowest,
        ));
    }
    if settings.n_history != 0 {
        prune(&*ledger, &host, &settings).await;
    }
    let begun = now();
    ledger.close().await.expect("it closes");
    let n_bytes = std::fs::metadata(directory.path().join("state.db")).map_or(0, |metadata| metadata.len());
    tell(&format!("closed in {:.1?}; the file has {} MiB", begun.elapsed(), n_bytes >> 20));
    drop(ledger);
    let begun = now();
    drop(open(directory.path()).await);
    tell(&format!("opened in {:.1?}", begun.elapsed()));
}
