//! Schedulers inside this very test, with real threads, real ledgers and real components.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use serde_json::json;
use tempfile::TempDir;

use super::*;

/// Long enough for a machine that does ten other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// A component that adds numbers.
const ADD: &str = r#"(component
    (core module $m (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))
    (core instance $i (instantiate $m))
    (func (export "add") (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $i "add"))))"#;

async fn scheduler(ledger: &str) -> Scheduler {
    Scheduler::builder().ledger(ledger).start().await.unwrap()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it happens in time")
}

/// Runs a job once and tells how it ended.
async fn ran(scheduler: &Scheduler, job: &str) -> (String, String) {
    let run = within(scheduler.run(job).await.unwrap().wait()).await.unwrap();
    (run.outcome.unwrap().to_string(), run.message)
}

#[tokio::test]
async fn a_function_fires_by_its_trigger_and_on_request() {
    let scheduler = scheduler("memory:").await;
    let mut events = scheduler.events();
    let job = Job::native("greet", |context| async move {
        context.info("here");
        context.progress(1, Some(2), "half");
        Ok(json!({ "hello": context.args()["who"], "why": context.cause(), "with": context.payload() }))
    });
    scheduler.add(job.arg("who", "${run.id}").every(Duration::from_secs(1))).await.unwrap();
    let finished = loop {
        if let Event::RunFinished { job, run, outcome, output, .. } = within(events.next()).await.unwrap() {
            assert_eq!((job.as_str(), outcome), ("greet", OutcomeCode::Succeeded));
            // What a program says is no template.
            assert_eq!(output.unwrap()["hello"], "${run.id}");
            break run;
        }
    };
    let kept = scheduler.run_info(finished).await.unwrap();
    assert_eq!((kept.cause.as_str(), kept.state, kept.attempts), ("schedule", RunState::Ended, 1));
    assert_eq!((kept.logs[0].message.as_str(), kept.progress.as_deref()), ("here", Some("1 of 2: half")));
    // By its trigger it is not to come into the way.
    scheduler.pause("greet").await.unwrap();
    let asked = scheduler.run_with("greet", json!(7), Some("key")).await.unwrap();
    let again = scheduler.run_with("greet", json!(8), Some("key")).await.unwrap();
    assert_eq!(asked.id(), again.id());
    let run = within(asked.wait()).await.unwrap();
    assert_eq!(run.output, Some(json!({ "hello": "${run.id}", "why": "api", "with": 7 })));
    let summary = scheduler.shutdown(PATIENCE).await.unwrap();
    assert!(2 <= summary.runs.values().flat_map(|counts| counts.values()).sum::<u64>());
    assert!(matches!(scheduler.run("greet").await, Err(Error::Stopped | Error::Ledger(_))));
}

#[tokio::test]
async fn functions_fail_panic_and_take_too_long_as_guests_do() {
    let scheduler = scheduler("memory:").await;
    let n_calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&n_calls);
    let flaky = Job::native("flaky", move |context| {
        counted.fetch_add(1, SeqCst);
        async move { if context.attempt().0 < 3 { Err(JobError::failed("not yet")) } else { Ok(json!("at last")) } }
    });
    let flaky = flaky.with("retry", json!({ "attempts": 3, "backoff": "10ms" }));
    let jobs = vec![
        flaky,
        Job::native("panics", |_| async { panic!("out of {}", "tea") }),
        Job::native("sleeps", |_| async { Ok(std::future::pending().await) }).timeout(Duration::from_millis(50)),
        Job::native("reads", |_| async { Ok(std::fs::read_to_string("not/there")?.into()) }),
        Job::native("idle", |_| async { Err(JobError::skipped("nothing to do")) }),
        Job::native("never", |_| async { Err(JobError::permanent("no")) }).attempts(5),
        Job::native("large", |_| async { Ok("x".repeat(2 << 20).into()) }),
    ];
    scheduler.add_all(jobs).await.unwrap();
    let told = |outcome: &str, message: &str| (outcome.to_owned(), message.to_owned());
    assert_eq!(ran(&scheduler, "flaky").await, told("succeeded", ""));
    assert_eq!(n_calls.load(SeqCst), 3);
    assert_eq!(ran(&scheduler, "panics").await, told("failed", "the function panicked: out of tea"));
    let late = "ran longer than `timeout: 50ms`; it may be set higher";
    assert_eq!(ran(&scheduler, "sleeps").await, told("timeout.wall", late));
    assert_eq!(ran(&scheduler, "reads").await.0, "failed");
    assert_eq!(ran(&scheduler, "idle").await, told("skipped", "nothing to do"));
    assert_eq!(ran(&scheduler, "never").await, told("failed", "no"));
    assert_eq!(ran(&scheduler, "large").await.0, "succeeded");
    scheduler.shutdown(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_run_is_cancelled_and_its_function_is_told() {
    let scheduler = scheduler("memory:").await;
    let polite = Job::native("polite", |context| async move {
        context.cancelled().await;
        Err(JobError::failed("tidied up"))
    });
    let deaf = Job::native("deaf", |_| async { Ok(std::future::pending().await) });
    scheduler.add_all(vec![polite, deaf]).await.unwrap();
    let mut told = Vec::new();
    for job in ["polite", "deaf"] {
        let mut events = scheduler.events();
        let run = scheduler.run(job).await.unwrap();
        while !matches!(within(events.next()).await.unwrap(), Event::RunStarted { .. }) {}
        scheduler.cancel(run.id()).await.unwrap();
        let run = within(run.wait()).await.unwrap();
        told.push((run.outcome.unwrap().to_string(), run.message));
    }
    assert_eq!(told[0].0, "cancelled");
    assert_eq!(told[1].0, "cancelled");
    scheduler.shutdown(Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn jobs_come_change_pause_and_go() {
    let scheduler = scheduler("memory:").await;
    assert_eq!(scheduler.jobs().await.unwrap(), []);
    let job = || Job::native("a", |_| async { Ok(json!(1)) });
    scheduler.add(job().cron("0 3 * * *")).await.unwrap();
    assert!(matches!(scheduler.add(job()).await, Err(Error::Exists(_))));
    scheduler.put(Job::native("a", |_| async { Ok(json!(2)) })).await.unwrap();
    let run = within(scheduler.run("a").await.unwrap().wait()).await.unwrap();
    assert_eq!(run.output, Some(json!(2)));
    scheduler.reschedule("a", Schedule::every(Duration::from_secs(3_600))).await.unwrap();
    let refused = scheduler.reschedule("a", Schedule::cron("61 * * * *")).await.unwrap_err();
    let Error::Refused { message, findings } = &refused else { panic!("{refused:?}") };
    assert!(message.contains("61") && findings[0].is_error, "{refused:?}");
    let wrong = scheduler.add(Job::native("b", |_| async { Ok(json!(1)) }).with("timout", "1s")).await.unwrap_err();
    assert!(wrong.to_string().contains("did you mean `timeout`?"), "{wrong}");
    assert_eq!(wrong.code(), "job.invalid");
    scheduler.pause("a").await.unwrap();
    let states = async || {
        let jobs = scheduler.jobs().await.unwrap();
        jobs.into_iter().map(|job| (job.id.to_string(), job.state, job.is_native)).collect::<Vec<_>>()
    };
    assert_eq!(states().await, [("a".to_owned(), JobState::Paused, true)]);
    scheduler.resume("a", ResumeFrom::Now).await.unwrap();
    assert_eq!(states().await, [("a".to_owned(), JobState::Active, true)]);
    let slots = scheduler.next("a", 3).await.unwrap();
    assert_eq!((slots[1] - slots[0]).num_minutes(), 60);
    let told = &scheduler.jobs().await.unwrap()[0];
    assert_eq!((told.next, told.is_of_program), (Some(slots[0]), true));
    assert!(told.trigger.as_ref().is_some_and(|words| words.contains("1h")), "{told:?}");
    scheduler.pause_all().await.unwrap();
    assert_eq!(states().await, [("a".to_owned(), JobState::Paused, true)]);
    scheduler.resume_all(ResumeFrom::Now).await.unwrap();
    assert_eq!(states().await, [("a".to_owned(), JobState::Active, true)]);
    scheduler.remove("a").await.unwrap();
    assert_eq!(states().await, [("a".to_owned(), JobState::Removed, false)]);
    assert!(matches!(scheduler.run("a").await, Err(Error::UnknownJob(_))));
    assert!(matches!(scheduler.remove("a").await, Err(Error::UnknownJob(_))));
    assert_eq!(scheduler.runs(Some("a"), 10).await.unwrap().len(), 1);
    scheduler.shutdown(PATIENCE).await.unwrap();
}

/// Components of the program, those of a manifest, and functions live side by side, and a manifest is watched.
#[tokio::test]
async fn components_and_functions_live_side_by_side() {
    let folder = TempDir::with_prefix("clockjack-").unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("add.wasm"), wat::parse_str(ADD).unwrap()).unwrap();
    let manifest = |jobs: &str| std::fs::write(at("clockjack.yaml"), format!("version: 1\njobs:\n{jobs}")).unwrap();
    manifest("  sum: { plugin: ./add.wasm, args: { a: 1, b: 2 }, every: 1h }\n");
    let after = Job::native("after", |context| async move { Ok(json!([context.payload(), context.cause()])) });
    let builder = Scheduler::builder().folder(folder.path()).manifest(at("clockjack.yaml"));
    let scheduler = builder.job(after.after("sum")).start().await.unwrap();
    let own = Job::component("own", "./add.wasm").call("add").arg("a", 20).arg("b", 22);
    scheduler.add(own).await.unwrap();
    let run = within(scheduler.run("own").await.unwrap().wait()).await.unwrap();
    assert_eq!((run.output, run.message.as_str()), (Some(json!(42)), ""));
    let mut events = scheduler.events();
    scheduler.run("sum").await.unwrap();
    let output = loop {
        match within(events.next()).await.unwrap() {
            Event::RunFinished { job, output, .. } if job.as_str() == "after" => break output,
            _ => {}
        }
    };
    assert_eq!(output.as_deref(), Some(&json!([3, "upstream sum"])));
    let foreign = scheduler.remove("sum").await.unwrap_err();
    assert!(matches!(foreign, Error::NotOfProgram(_)), "{foreign}");
    let wrong = scheduler.add(Job::component("wrong", "./add.wasm").arg("a", "x").arg("b", 1)).await.unwrap_err();
    assert!(wrong.to_string().contains("args"), "{wrong}");
    // What the file says later comes into force by itself, and takes nothing away from the program.
    manifest(
        "  sum: { plugin: ./add.wasm, args: { a: 1, b: 2 }, every: 1h }\n  more: { plugin: ./add.wasm, args: [5, 6], every: 1h }\n",
    );
    while !matches!(within(events.next()).await.unwrap(), Event::JobAdded { job, .. } if job.as_str() == "more") {}
    assert_eq!(ran(&scheduler, "own").await.0, "succeeded");
    assert_eq!(ran(&scheduler, "more").await.0, "succeeded");
    scheduler.shutdown(PATIENCE).await.unwrap();
}

async fn on_file(path: &Path, jobs: Vec<Job>) -> Scheduler {
    let builder = Scheduler::builder().ledger(format!("sqlite:{}", path.display()));
    jobs.into_iter().fold(builder, Builder::job).start().await.unwrap()
}

/// What a program does not add again is gone, and is nothing that runs by itself; what it adds again goes on.
#[tokio::test]
async fn a_restart_keeps_history_and_pauses_and_runs_nothing_that_is_not_there() {
    let folder = TempDir::with_prefix("clockjack-").unwrap();
    let path = folder.path().join("state.db");
    let job = |id: &str| Job::native(id, |_| async { Ok(json!("ran")) }).every(Duration::from_secs(1));
    let first = on_file(&path, vec![job("stays"), job("goes")]).await;
    let second = Scheduler::builder().ledger(format!("sqlite:{}", path.display())).start().await.unwrap_err();
    assert!(matches!(second, Error::NotStarted(_)), "{second}");
    ran(&first, "goes").await;
    first.pause("stays").await.unwrap();
    first.shutdown(PATIENCE).await.unwrap();

    let next = on_file(&path, vec![job("stays")]).await;
    let states: Vec<_> = next.jobs().await.unwrap().into_iter().map(|job| (job.id.to_string(), job.state)).collect();
    assert_eq!(states, [("goes".to_owned(), JobState::Removed), ("stays".to_owned(), JobState::Paused)]);
    let n_before = next.runs(Some("goes"), 100).await.unwrap().len();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(next.runs(Some("goes"), 100).await.unwrap().len(), n_before);
    assert!(0 < n_before);
    next.resume("stays", ResumeFrom::Now).await.unwrap();
    assert_eq!(ran(&next, "stays").await.0, "succeeded");
    next.add(job("goes")).await.unwrap();
    assert_eq!(ran(&next, "goes").await.0, "succeeded");
    // Let go of without a word: it ends, and the file is free again.
    drop(next);
    let freed = async {
        loop {
            match Scheduler::builder().ledger(format!("sqlite:{}", path.display())).start().await {
                Ok(scheduler) => return scheduler,
                Err(_held) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    within(freed).await.shutdown(PATIENCE).await.unwrap();
}

/// Events until one of them is the last that somebody waits for.
async fn heard(events: &mut Events, is_last: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut heard = Vec::new();
    loop {
        heard.push(within(events.next()).await.expect("the scheduler has not ended"));
        if heard.last().is_some_and(&is_last) {
            return heard;
        }
    }
}

/// Whoever listens from the start on hears of the end of a run that a crash cut, although nobody ever saw it end.
#[tokio::test]
async fn the_end_of_a_run_that_was_cut_is_heard_at_the_next_start() {
    let (folder, after) = (TempDir::with_prefix("clockjack-").unwrap(), TempDir::with_prefix("clockjack-").unwrap());
    let job = |id: &str, delivery: &str| {
        Job::native(id, |context| async move {
            if context.attempt().0 == 1 { std::future::pending().await } else { Ok(json!("at last")) }
        })
        .with("delivery", delivery)
    };
    let jobs = || vec![job("once", "at_most_once"), job("again", "at_least_once")];
    let first = on_file(&folder.path().join("state.db"), jobs()).await;
    let mut events = first.events();
    let (once, again) = (first.run("once").await.unwrap().id(), first.run("again").await.unwrap().id());
    for _ in 0..2 {
        heard(&mut events, |event| matches!(event, Event::RunStarted { .. })).await;
    }
    // What a crash would leave behind now.
    for file in std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap).filter(|file| file.path().is_file()) {
        std::fs::copy(file.path(), after.path().join(file.file_name())).unwrap();
    }
    drop(first);

    let next = on_file(&after.path().join("state.db"), jobs()).await;
    let mut events = next.events_since_start().expect("nobody has asked yet");
    assert!(next.events_since_start().is_none());
    let is_end = |event: &Event| matches!(event, Event::RunFinished { job, .. } if job.as_str() == "again");
    let heard = heard(&mut events, is_end).await;
    let end = heard.iter().find_map(|event| match event {
        Event::RunFinished { run, outcome, attempts, .. } if *run == once => Some((*outcome, *attempts)),
        _ => None,
    });
    assert_eq!(end, Some((OutcomeCode::Lost, 1)), "{heard:?}");
    let cut = |event: &Event| matches!(event, Event::RunRetrying { run, outcome: OutcomeCode::Interrupted, .. } if *run == again);
    assert!(heard.iter().any(cut), "{heard:?}");
    next.shutdown(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn all_that_happens_to_a_scheduler_is_heard() {
    let scheduler = scheduler("memory:").await;
    let mut events = scheduler.events();
    let job = Job::native("steps", |context| async move {
        context.progress(1, Some(2), "half");
        Ok(json!(1))
    });
    scheduler.add(job).await.unwrap();
    within(scheduler.run("steps").await.unwrap().wait()).await.unwrap();
    scheduler.pause("steps").await.unwrap();
    scheduler.resume("steps", ResumeFrom::Now).await.unwrap();
    scheduler.pause_all().await.unwrap();
    scheduler.resume_all(ResumeFrom::Now).await.unwrap();
    scheduler.shutdown(PATIENCE).await.unwrap();
    let mut told = Vec::new();
    while let Some(event) = within(events.next()).await {
        told.push(match event {
            Event::JobAdded { job, .. } => format!("{job} added"),
            Event::RunQueued { attempt, .. } => format!("queued {attempt}"),
            Event::RunStarted { attempt, .. } => format!("started {attempt}"),
            Event::RunProgress { done, total, message, .. } => format!("{done} of {total:?}: {message}"),
            Event::RunFinished { outcome, .. } => outcome.to_string(),
            Event::JobPaused { job, .. } => format!("{job} paused"),
            Event::JobResumed { job, .. } => format!("{job} resumed"),
            Event::SchedulerPaused { .. } => "all paused".to_owned(),
            Event::SchedulerResumed { .. } => "all resumed".to_owned(),
            Event::SchedulerStopping { n_unfinished } => format!("stopping with {n_unfinished}"),
            Event::SchedulerStopped => "stopped".to_owned(),
            // How fast a disk is, and when files were looked at, differs.
            _ => continue,
        });
    }
    let expected = [
        "steps added",
        "queued 1",
        "started 1",
        "1 of Some(2): half",
        "succeeded",
        "steps paused",
        "steps resumed",
        "all paused",
        "all resumed",
        "stopping with 0",
        "stopped",
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn what_is_wrong_at_the_start_is_told() {
    let wrong = Scheduler::builder().job(Job::native("a b", |_| async { Ok(json!(1)) })).start().await.unwrap_err();
    assert!(wrong.to_string().contains("a b"), "{wrong}");
    let twice = || Job::native("a", |_| async { Ok(json!(1)) });
    let wrong = Scheduler::builder().job(twice()).job(twice()).start().await.unwrap_err();
    assert!(matches!(wrong, Error::Exists(_)), "{wrong}");
    let wrong = Scheduler::builder().timezone("Europe/Atlantis").start().await.unwrap_err();
    assert!(wrong.to_string().contains("Atlantis"), "{wrong}");
    let wrong = Scheduler::builder().manifest("not/there.yaml").start().await.unwrap_err();
    assert!(wrong.to_string().contains("not/there.yaml"), "{wrong}");
    // Only a program has functions: a manifest cannot say that a job is one.
    let folder = TempDir::with_prefix("clockjack-").unwrap();
    let file = folder.path().join("clockjack.yaml");
    std::fs::write(&file, "version: 1\njobs: { a: { plugin: (native), every: 1h } }\n").unwrap();
    let wrong = Scheduler::builder().manifest(&file).start().await.unwrap_err();
    assert!(wrong.to_string().contains("(native)"), "{wrong}");
}
