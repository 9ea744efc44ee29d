//! The whole ring with paused time, a memory ledger and a scripted executor: what is started, recorded and told.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use clockjack_ledger::{
    MemoryLedger,
    faulty::{Fault, FaultyLedger},
};
use clockjack_schedule::{
    core::Input,
    diagnostic::Diagnostics,
    id::{JobId, PoolName, RunId, StoreName},
    job::{Arguments, Grants, Job, Keep, Limits, Overlap, Policy, Setup},
    manifest::parse::parse,
    outcome::{Outcome, OutcomeCode},
    ports::{
        Admission, Attempt, Clock, CodePin, Executor, Ledger, LedgerError, PortFuture, Report, RunFilter, SkipFilter,
    },
    run::Cause,
    stop::Stop,
    trigger::{Trigger, TriggerContext},
    zone::{Zone, Zones},
};
use expect_test::expect;
use tokio::sync::Semaphore;

use super::{Event, Host, HostError, HostParts};
use crate::clock::TestClock;

mod code;
mod leave;

/// An executor whose runs take as long as their job's name says, `slow-1500` for instance. Of those that are called
/// `large` one goes on at a time; those that are called `fails` do so. Its code is the number of a generation.
struct Scripted {
    began: Mutex<Vec<String>>,
    leave: Arc<Semaphore>,
    generation: Mutex<Arc<u32>>,
}

impl Default for Scripted {
    fn default() -> Self {
        Self { began: Mutex::default(), leave: Arc::new(Semaphore::new(1)), generation: Mutex::new(Arc::new(1)) }
    }
}

impl Executor for Scripted {
    fn admit(&self, job: &JobId, stop: &Stop) -> PortFuture<'static, Option<Admission>> {
        let (leave, stop) = (Arc::clone(&self.leave), stop.clone());
        let is_large = job.as_str().starts_with("large");
        Box::pin(async move {
            while is_large && !stop.is_requested() {
                if let Ok(leave) = Arc::clone(&leave).try_acquire_owned() {
                    return Some(Admission::holding(leave));
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            (!stop.is_requested()).then(Admission::default)
        })
    }

    fn execute(&self, attempt: Attempt) -> PortFuture<'static, Report> {
        let job = attempt.run.job.to_string();
        self.began.lock().unwrap().push(job.clone());
        assert!(!job.starts_with("panic"), "a fault of the host itself");
        let earlier = attempt.code.as_ref().and_then(CodePin::code::<u32>);
        let code = earlier.unwrap_or_else(|| Arc::clone(&self.generation.lock().unwrap()));
        let generation = *attempt.generation.get_or_init(|| *code);
        let millis = job.rsplit('-').next().and_then(|millis| millis.parse().ok()).unwrap_or(0);
        Box::pin(async move {
            let mut left: u64 = millis;
            while 0 < left && !attempt.stop.is_requested() {
                tokio::time::sleep(Duration::from_millis(left.min(10))).await;
                left = left.saturating_sub(10);
            }
            let stopped = Outcome::ended(OutcomeCode::Cancelled, "the run was cancelled");
            let ended = match job.starts_with("fails") {
                true => Outcome::ended(OutcomeCode::Failed, "so it is called"),
                false => Outcome::succeeded(None),
            };
            let outcome = if attempt.stop.is_requested() { stopped } else { ended };
            Report { generation, code: Some(CodePin::keeping(code)), ..Report::without_guest(outcome) }
        })
    }
}

/// A ledger in memory to whose n-th commit this happens.
fn failing(n_commit: u64, fault: Fault) -> Arc<dyn Ledger> {
    Arc::new(FaultyLedger::new(Arc::new(MemoryLedger::default()), [(n_commit, fault)]))
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

fn world_on(ledger: Arc<dyn Ledger>, n_places: u32) -> World {
    let clock = Arc::new(TestClock::starting_at(start()));
    let executor = Arc::new(Scripted::default());
    let host = Host::start(HostParts {
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        ledger: Arc::clone(&ledger),
        executor: Arc::clone(&executor) as Arc<dyn Executor>,
        guests: tokio::runtime::Handle::current(),
        pools: [(PoolName::default(), NonZeroU32::new(n_places).unwrap())].into(),
    });
    World { clock, ledger, executor, host }
}

fn world(n_places: u32) -> World {
    world_on(Arc::new(MemoryLedger::default()), n_places)
}

fn job(id: &str, trigger: &str, policy: Policy) -> Arc<Job> {
    let (zones, zone) = (Zones::bundled(), Zone::utc());
    let context = TriggerContext::new(&zones, &zone, id);
    let trigger = Trigger::read(&parse(0, trigger).0.unwrap(), context, &mut Diagnostics::default()).unwrap();
    Arc::new(Job {
        id: id.parse().unwrap(),
        trigger: Some(trigger),
        trigger_hash: 0,
        setup: Arc::new(Setup {
            plugin: "p".parse().unwrap(),
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
            labels: BTreeMap::new(),
        }),
    })
}

fn add(id: &str, trigger: &str) -> Input {
    Input::Add { job: job(id, trigger, Policy::default()), past: None }
}

/// The runs of a job.
fn of(job: &str) -> RunFilter {
    RunFilter { job: Some(job.parse().unwrap()), ..RunFilter::default() }
}

impl World {
    async fn pass(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    /// How many runs that have begun and how many skips are kept of each job of the test of the pruner.
    async fn kept(&self) -> String {
        let mut told = Vec::new();
        for job in ["few-1", "fresh-1", "all-1", "slow-1500"] {
            let runs = self.ledger.runs(of(job)).await.unwrap();
            let n_begun = runs.iter().filter(|row| row.run.scheduled_for <= self.clock.now()).count();
            let skips = SkipFilter { job: Some(job.parse().unwrap()), ..SkipFilter::default() };
            told.push(format!("{job} {n_begun}+{}", self.ledger.skips(skips).await.unwrap().len()));
        }
        told.join(", ")
    }

    /// All rows and skips, oldest slot first, in milliseconds from the start.
    async fn told(&self) -> String {
        let rel = |at: DateTime<Utc>| (at - start()).num_milliseconds();
        let mut lines: Vec<(i64, String)> = Vec::new();
        for row in self.ledger.runs(RunFilter::default()).await.unwrap() {
            let slot = rel(row.run.scheduled_for);
            let end = row.finish().map_or_else(
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
        for skip in self.ledger.skips(SkipFilter::default()).await.unwrap() {
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
    world.host.handle().send(vec![add("quick-20", "every: 1s"), add("slow-1500", "every: 1s")]).await;
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
    world.host.handle().send(jobs).await;
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
async fn shutdown_drains_then_interrupts_and_keeps_what_did_not_begin() {
    let world = world(1);
    world
        .host
        .handle()
        .send(vec![add("long-60000", "at: \"2027-01-15T08:00:01Z\""), add("next-10", "at: \"2027-01-15T08:00:01Z\"")])
        .await;
    world.pass(1_500).await;
    let World { clock, ledger, executor, host } = world;
    let summary = host.shut_down(Duration::from_secs(5), std::future::pending()).await.unwrap();
    assert_eq!((clock.now() - start()).num_milliseconds(), 6_500);
    assert_eq!(executor.began.lock().unwrap().as_slice(), ["long-60000"]);
    let outcomes: Vec<_> = summary.runs.values().flat_map(BTreeMap::keys).collect();
    assert_eq!(outcomes, [&OutcomeCode::Interrupted]);
    // What was cut is tried again by the next life of the host, what had not begun begins there.
    let open: Vec<_> = ledger.load().await.unwrap().jobs.into_iter().flat_map(|row| row.open).collect();
    let told: Vec<_> = open.iter().map(|open| (open.run.job.as_str(), open.n_attempts, open.claimed_at)).collect();
    assert_eq!(told, [("long-60000", 1, None), ("next-10", 0, None)]);
    let story = ledger.run(open[0].run.id).await.unwrap().unwrap();
    assert_eq!(story.attempts[0].report.outcome.message, "the host stopped before the run had ended");
}

#[tokio::test(start_paused = true)]
async fn a_hurry_ends_the_drain() {
    let world = world(1);
    world.host.handle().send(vec![add("long-60000", "at: \"2027-01-15T08:00:01Z\"")]).await;
    world.pass(1_500).await;
    let hurry = tokio::time::sleep(Duration::from_millis(200));
    world.host.shut_down(Duration::from_secs(60), hurry).await.unwrap();
    assert!((world.clock.now() - start()).num_milliseconds() < 1_800);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_asked_for_or_cancelled_is_recorded() {
    let world = world(4);
    let slow = "slow-5000".parse::<JobId>().unwrap();
    world.host.handle().send(vec![add("slow-5000", "every: 1h")]).await;
    world
        .host
        .handle()
        .send(vec![Input::Fire {
            job: slow.clone(),
            run: RunId::of_request(&slow, start(), 1),
            cause: Cause::Manual,
            payload: None,
            scheduled_for: None,
        }])
        .await;
    world.pass(100).await;
    world.host.handle().send(vec![Input::Cancel(RunId::of_request(&slow, start(), 1))]).await;
    world.pass(100).await;
    let told = world.told().await;
    assert!(told.contains("slow-5000 cancelled 0.."), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_newer_slot_replaces_the_run_that_goes_on() {
    let world = world(4);
    let policy = Policy { overlap: Overlap::Replace, ..Policy::default() };
    world.host.handle().send(vec![Input::Add { job: job("slow-1500", "every: 1s", policy), past: None }]).await;
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
async fn a_fault_of_the_host_is_a_failed_run_and_the_others_go_on() {
    let world = world(1);
    world.host.handle().send(vec![add("panic", "at: \"2027-01-15T08:00:01Z\""), add("quick-10", "every: 1s")]).await;
    world.pass(2_500).await;
    expect![[r#"
        1000 panic failed -1..1000
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
    let ledger = failing(3, Fault::Failed);
    let mut world = world_on(ledger, 4);
    world.host.handle().send(vec![add("quick-10", "every: 4s")]).await;
    let failure = tokio::time::timeout(Duration::from_secs(60), world.host.failed()).await.expect("the host gives up");
    assert!(matches!(failure, HostError::Ledger(LedgerError::Failed(_))), "{failure:?}");
    // The first commits took the job and its first slot in; its claim could not be kept, so it did not begin.
    assert_eq!(world.executor.began.lock().unwrap().len(), 0);
    world.host.shut_down(Duration::from_secs(1), std::future::pending()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_is_full_for_a_while_holds_the_host_up_and_loses_nothing() {
    // The job, its first slots, and from then on nothing for some tries of both tasks.
    let ledger = failing(3, Fault::Unavailable { n_commits: 8 });
    let world = world_on(ledger, 4);
    let mut events = world.host.bus().listen();
    world.host.handle().send(vec![add("quick-10", "every: 1s")]).await;
    world.pass(10_000).await;
    let told = world.told().await;
    assert!(told.lines().filter(|line| line.contains("succeeded")).count() >= 4, "{told}");
    let (mut n_held, mut n_back) = (0, 0);
    while let Ok(event) = events.try_recv() {
        n_held += usize::from(matches!(event, Event::LedgerHeld { .. }));
        n_back += usize::from(matches!(event, Event::LedgerBack { .. }));
    }
    assert_eq!((n_held, n_back), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_stops_while_its_ledger_is_full_says_so() {
    let ledger = failing(4, Fault::Unavailable { n_commits: 1_000_000 });
    let world = world_on(ledger, 4);
    world.host.handle().send(vec![add("quick-10", "every: 1s")]).await;
    world.pass(5_000).await;
    let ended = world.host.shut_down(Duration::from_secs(1), std::future::pending()).await;
    assert!(matches!(ended, Err(HostError::Ledger(LedgerError::Unavailable(_)))), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn runs_without_a_place_are_skipped_with_the_reason() {
    let world = world(1);
    let policy = Policy { overlap: Overlap::Allow, ..Policy::default() };
    let hog = "hog-60000".parse::<JobId>().unwrap();
    world.host.handle().send(vec![Input::Add { job: job("hog-60000", "every: 24h", policy), past: None }]).await;
    // A hundred thousand find a place, three do not; once the first one runs there is a place again.
    let fire = |request| Input::Fire {
        job: hog.clone(),
        run: RunId::of_request(&hog, start(), request),
        cause: Cause::Api,
        payload: None,
        scheduled_for: None,
    };
    world.host.handle().send((0..100_003).map(fire).collect()).await;
    world.pass(100).await;
    world.host.handle().send(vec![fire(200_000)]).await;
    world.pass(100).await;
    let summary = world.host.summary();
    let reasons: Vec<_> = summary.skips.values().flatten().collect();
    assert_eq!(reasons, [(&"overloaded", &3)]);
}

/// What jobs keep, and nothing else: the runs of the newest slots by their number, those of the last hours by their age,
/// skips as well as runs, and the slots go on as if nothing was removed.
#[tokio::test(start_paused = true)]
async fn history_is_pruned_to_what_each_job_keeps() {
    let world = world(8);
    let keeping = |seconds: u64, count: u32| {
        let keep = Keep { age_max: Duration::from_secs(seconds), n_max: NonZeroU32::new(count).unwrap() };
        Policy { keep, ..Policy::default() }
    };
    let jobs = [
        ("few-1", "every: 1s", keeping(86_400, 5)),
        ("fresh-1", "every: 1s", keeping(30, 1_000)),
        ("all-1", "every: 1s", Policy::default()),
        ("slow-1500", "every: 1s", keeping(86_400, 5)),
    ];
    let added = jobs.map(|(id, trigger, policy)| Input::Add { job: job(id, trigger, policy), past: None });
    world.host.handle().send(added.into()).await;
    world.pass(4_900).await;
    expect!["few-1 4+0, fresh-1 4+0, all-1 4+0, slow-1500 2+2"].assert_eq(&world.kept().await);
    // The first round comes after five seconds, the others a minute after each other.
    world.pass(60_000).await;
    expect!["few-1 64+0, fresh-1 64+0, all-1 64+0, slow-1500 32+32"].assert_eq(&world.kept().await);
    world.pass(300).await;
    expect!["few-1 5+0, fresh-1 30+0, all-1 65+0, slow-1500 6+5"].assert_eq(&world.kept().await);
    world.pass(600_000).await;
    let summary = world.host.summary();
    let n_runs = |job: &str| summary.runs[&job.parse().unwrap()].values().sum::<u64>();
    expect!["665 665"].assert_eq(&format!("{} {}", n_runs("few-1"), n_runs("all-1")));
    let slots = world.ledger.runs(of("few-1")).await.unwrap();
    assert!(slots.iter().all(|row| start() + TimeDelta::seconds(600) < row.run.scheduled_for), "{slots:?}");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_changes_is_told_with_its_next_slot_before_and_after() {
    let world = world(1);
    let every = |trigger: &str, labels: &[&str]| {
        let job = Job::clone(&job("quick-10", trigger, Policy::default()));
        let labels = labels.iter().map(|label| ((*label).to_owned(), String::new())).collect();
        Arc::new(Job { setup: Arc::new(Setup { labels, ..Setup::clone(&job.setup) }), ..job })
    };
    world.host.handle().change(vec![every("every: 1h", &[])], Vec::new(), Vec::new()).await.unwrap();
    let mut events = world.host.bus().listen();
    for changed in [every("every: 30m", &[]), every("every: 30m", &["a"]), every("every: 30m", &["a"])] {
        world.host.handle().change(Vec::new(), vec![changed], Vec::new()).await.unwrap();
    }
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let Event::JobChanged { before, next, .. } = event {
            told.push([before, next].map(|at| (at.unwrap() - start()).num_minutes()));
        }
    }
    assert_eq!(told, [[60, 30], [30, 30]], "what is the same is not told");
}
