//! The whole ring with paused time, a memory ledger and a scripted executor: what is started, recorded and told.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, Utc};
use clockjack_ledger::MemoryLedger;
use clockjack_schedule::{
    core::Input,
    diagnostic::Diagnostics,
    id::RunId,
    job::{Arguments, Grants, Job, Limits, Overlap, Policy},
    manifest::parse::parse,
    outcome::{Outcome, OutcomeCode},
    ports::{
        Attempt, Change, Clock, Committed, Executor, JobRow, Ledger, LedgerError, PortFuture, Report, RunFilter, RunRow,
    },
    run::{Cause, Skip},
    trigger::{Trigger, TriggerContext},
    zone::{Zone, Zones},
};
use expect_test::expect;

use super::{Host, HostError, HostParts};
use crate::clock::TestClock;

/// An executor whose runs take as long as their job's name says, `slow-1500` for instance.
#[derive(Default)]
struct Scripted {
    began: Mutex<Vec<String>>,
}

impl Executor for Scripted {
    fn execute(&self, attempt: Attempt) -> PortFuture<'static, Report> {
        let job = attempt.run.job.to_string();
        self.began.lock().unwrap().push(job.clone());
        assert!(!job.starts_with("panic"), "a fault of the host itself");
        let millis = job.rsplit('-').next().and_then(|millis| millis.parse().ok()).unwrap_or(0);
        Box::pin(async move {
            let mut left: u64 = millis;
            while 0 < left && !attempt.stop.is_requested() {
                tokio::time::sleep(Duration::from_millis(left.min(10))).await;
                left = left.saturating_sub(10);
            }
            let stopped = Outcome::ended(OutcomeCode::Cancelled, "the run was cancelled");
            Report::without_guest(if attempt.stop.is_requested() { stopped } else { Outcome::succeeded(None) })
        })
    }
}

/// A ledger that fails from the n-th commit on.
struct Failing {
    inner: MemoryLedger,
    n_good: Mutex<usize>,
}

impl Ledger for Failing {
    fn load(&self) -> PortFuture<'_, Result<Vec<JobRow>, LedgerError>> {
        self.inner.load()
    }

    fn commit(&self, changes: Vec<Change>) -> PortFuture<'_, Result<Committed, LedgerError>> {
        let mut n_good = self.n_good.lock().unwrap();
        if *n_good == 0 {
            return Box::pin(async { Err(LedgerError::Unavailable("the disk is full".to_owned())) });
        }
        *n_good -= 1;
        self.inner.commit(changes)
    }

    fn runs(&self, filter: RunFilter) -> PortFuture<'_, Result<Vec<RunRow>, LedgerError>> {
        self.inner.runs(filter)
    }

    fn skips(
        &self,
        job: Option<clockjack_schedule::id::JobId>,
        n_max: usize,
    ) -> PortFuture<'_, Result<Vec<Skip>, LedgerError>> {
        self.inner.skips(job, n_max)
    }
}

struct World {
    clock: Arc<TestClock>,
    ledger: Arc<dyn Ledger>,
    executor: Arc<Scripted>,
    host: Host,
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn world_on(ledger: Arc<dyn Ledger>, n_permits: usize) -> World {
    let clock = Arc::new(TestClock::starting_at(start()));
    let executor = Arc::new(Scripted::default());
    let host = Host::start(HostParts {
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        ledger: Arc::clone(&ledger),
        executor: Arc::clone(&executor) as Arc<dyn Executor>,
        guests: tokio::runtime::Handle::current(),
        n_permits,
    });
    World { clock, ledger, executor, host }
}

fn world(n_permits: usize) -> World {
    world_on(Arc::new(MemoryLedger::default()), n_permits)
}

fn job(id: &str, trigger: &str, policy: Policy) -> Arc<Job> {
    let (zones, zone) = (Zones::bundled(), Zone::utc());
    let context = TriggerContext::new(&zones, &zone, id);
    let trigger = Trigger::read(&parse(0, trigger).0.unwrap(), context, &mut Diagnostics::default()).unwrap();
    Arc::new(Job {
        id: id.parse().unwrap(),
        plugin: "p".parse().unwrap(),
        call: None,
        args: Arguments::None,
        trigger,
        zone,
        policy,
        limits: Limits::default(),
        grants: Grants::default(),
        description: None,
        labels: BTreeMap::new(),
    })
}

fn add(id: &str, trigger: &str) -> Input {
    Input::Add { job: job(id, trigger, Policy::default()), past: None }
}

impl World {
    async fn pass(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    /// All rows and skips, oldest slot first, in milliseconds from the start.
    async fn told(&self) -> String {
        let rel = |at: DateTime<Utc>| (at - start()).num_milliseconds();
        let mut lines: Vec<(i64, String)> = Vec::new();
        for row in self.ledger.runs(RunFilter::default()).await.unwrap() {
            let slot = rel(row.run.scheduled_for);
            let end = row.finish.map_or_else(
                || "planned".to_owned(),
                |finish| {
                    format!(
                        "{} {}..{}",
                        finish.report.outcome.code,
                        finish.started_at.map_or(-1, rel),
                        rel(finish.finished_at)
                    )
                },
            );
            lines.push((slot, format!("{slot} {} {end}", row.run.job)));
        }
        for skip in self.ledger.skips(None, 100).await.unwrap() {
            let slot = rel(skip.first);
            lines.push((slot, format!("{slot} {} skipped {} of {}", skip.job, skip.reason, skip.count)));
        }
        lines.sort();
        lines.into_iter().map(|(_, line)| line + "\n").collect()
    }
}

#[tokio::test(start_paused = true)]
async fn slots_become_rows_with_outcomes() {
    let world = world(8);
    world.host.send(vec![add("quick-20", "every: 1s"), add("slow-1500", "every: 1s")]).await;
    world.pass(3_200).await;
    expect![[r#"
        1000 quick-20 succeeded 1000..1020
        1000 slow-1500 succeeded 1000..2500
        2000 quick-20 succeeded 2000..2020
        2000 slow-1500 skipped overlapping of 1
        3000 quick-20 succeeded 3000..3020
        3000 slow-1500 planned
        4000 quick-20 planned
        4000 slow-1500 planned
        5000 quick-20 planned
        5000 slow-1500 planned
    "#]]
    .assert_eq(&world.told().await);
}

#[tokio::test(start_paused = true)]
async fn permits_bound_what_runs_at_once_and_nothing_is_lost() {
    let world = world(2);
    let jobs = (0..6).map(|n| add(&format!("j{n}-100"), "at: \"2027-01-15T08:00:01Z\"")).collect();
    world.host.send(jobs).await;
    world.pass(2_000).await;
    expect![[r#"
        1000 j0-100 succeeded 1000..1100
        1000 j1-100 succeeded 1000..1100
        1000 j2-100 succeeded 1100..1200
        1000 j3-100 succeeded 1100..1200
        1000 j4-100 succeeded 1200..1300
        1000 j5-100 succeeded 1200..1300
    "#]]
    .assert_eq(&world.told().await);
}

#[tokio::test(start_paused = true)]
async fn shutdown_drains_and_then_interrupts() {
    let world = world(1);
    world
        .host
        .send(vec![add("long-60000", "at: \"2027-01-15T08:00:01Z\""), add("next-10", "at: \"2027-01-15T08:00:01Z\"")])
        .await;
    world.pass(1_500).await;
    let World { clock, ledger, executor, host } = world;
    let summary = host.shut_down(Duration::from_secs(5), std::future::pending()).await.unwrap();
    assert_eq!((clock.now() - start()).num_milliseconds(), 6_500);
    assert_eq!(executor.began.lock().unwrap().as_slice(), ["long-60000"]);
    let outcomes: Vec<_> = summary.runs.values().flat_map(BTreeMap::keys).collect();
    assert_eq!(outcomes, [&OutcomeCode::Interrupted, &OutcomeCode::Interrupted]);
    let rows =
        ledger.runs(RunFilter { outcome: Some(OutcomeCode::Interrupted), ..RunFilter::default() }).await.unwrap();
    let mut messages: Vec<_> =
        rows.iter().map(|row| row.finish.as_ref().unwrap().report.outcome.message.as_str()).collect();
    messages.sort_unstable();
    assert_eq!(messages, ["the host stopped before the run began", "the host stopped before the run had ended"]);
}

#[tokio::test(start_paused = true)]
async fn a_hurry_ends_the_drain() {
    let world = world(1);
    world.host.send(vec![add("long-60000", "at: \"2027-01-15T08:00:01Z\"")]).await;
    world.pass(1_500).await;
    let hurry = tokio::time::sleep(Duration::from_millis(200));
    world.host.shut_down(Duration::from_secs(60), hurry).await.unwrap();
    assert!((world.clock.now() - start()).num_milliseconds() < 1_800);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_asked_for_or_cancelled_is_recorded() {
    let world = world(4);
    let slow = "slow-5000".parse::<clockjack_schedule::id::JobId>().unwrap();
    world.host.send(vec![add("slow-5000", "every: 1h")]).await;
    world.host.send(vec![Input::Fire { job: slow.clone(), request: 1, cause: Cause::Manual }]).await;
    world.pass(100).await;
    world.host.send(vec![Input::Cancel(RunId::of_request(&slow, start(), 1))]).await;
    world.pass(100).await;
    let told = world.told().await;
    assert!(told.contains("slow-5000 cancelled 0.."), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_newer_slot_replaces_the_run_that_goes_on() {
    let world = world(4);
    let policy = Policy { overlap: Overlap::Replace, ..Policy::default() };
    world.host.send(vec![Input::Add { job: job("slow-1500", "every: 1s", policy), past: None }]).await;
    world.pass(3_500).await;
    expect![[r#"
        1000 slow-1500 cancelled 1000..2000
        2000 slow-1500 cancelled 2000..3000
        3000 slow-1500 planned
        4000 slow-1500 planned
        5000 slow-1500 planned
    "#]]
    .assert_eq(&world.told().await);
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_the_host_is_an_interrupted_run_and_the_others_go_on() {
    let world = world(1);
    world.host.send(vec![add("panic", "at: \"2027-01-15T08:00:01Z\""), add("quick-10", "every: 1s")]).await;
    world.pass(2_500).await;
    expect![[r#"
        1000 panic interrupted -1..1000
        1000 quick-10 succeeded 1000..1010
        2000 quick-10 succeeded 2000..2010
        3000 quick-10 planned
        4000 quick-10 planned
        5000 quick-10 planned
    "#]]
    .assert_eq(&world.told().await);
}

#[tokio::test(start_paused = true)]
async fn nothing_starts_that_the_ledger_did_not_keep() {
    let ledger = Arc::new(Failing { inner: MemoryLedger::default(), n_good: Mutex::new(2) });
    let mut world = world_on(ledger, 4);
    world.host.send(vec![add("quick-10", "every: 4s")]).await;
    let failure = tokio::time::timeout(Duration::from_secs(60), world.host.failed()).await.expect("the host gives up");
    assert!(matches!(failure, HostError::Ledger(LedgerError::Unavailable(_))), "{failure:?}");
    // The first two commits took the job and its first slot in; the end of that run could not be kept, and no slot after
    // it began.
    assert_eq!(world.executor.began.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn runs_without_a_place_are_skipped_with_the_reason() {
    let world = world(1);
    let policy = Policy { overlap: Overlap::Allow, ..Policy::default() };
    let hog = "hog-60000".parse::<clockjack_schedule::id::JobId>().unwrap();
    world.host.send(vec![Input::Add { job: job("hog-60000", "every: 24h", policy), past: None }]).await;
    // A hundred thousand find a place, three do not; once the first one runs there is a place again.
    let fire = |request| Input::Fire { job: hog.clone(), request, cause: Cause::Api };
    world.host.send((0..100_003).map(fire).collect()).await;
    world.pass(100).await;
    world.host.send(vec![fire(200_000)]).await;
    world.pass(100).await;
    let summary = world.host.summary();
    let reasons: Vec<_> = summary.skips.values().flatten().collect();
    assert_eq!(reasons, [(&"overloaded", &3)]);
}
