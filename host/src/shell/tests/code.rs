//! Other code for jobs: what becomes of the attempts that go on, and what their runs are tried again on.

use clockjack_schedule::job::{Delivery, OnReload, Retry, RetryOn};

use super::*;
use crate::shell::CodeChange;

const AT: &str = "at: \"2027-01-15T08:00:01Z\"";

fn on_reload(on_reload: OnReload) -> Policy {
    Policy { on_reload, ..Policy::default() }
}

fn deadline(seconds: u64) -> Policy {
    on_reload(OnReload::Drain { deadline: Some(Duration::from_secs(seconds)) })
}

fn adding(id: &str, policy: Policy) -> Input {
    Input::Add { job: job(id, AT, policy), past: None }
}

impl World {
    /// Puts other code in force, and says so for jobs.
    async fn put_code(&self, generation: u32, jobs: &[&str]) {
        *self.executor.generation.lock().unwrap() = Arc::new(generation);
        let change = |job: &&str| CodeChange { job: job.parse().unwrap(), generation };
        self.host.handle().code_changed(jobs.iter().map(change).collect()).await;
    }

    /// The attempts of the only run of a job: outcome, generation, when they began and ended, and what is told of it.
    async fn attempts(&self, job: &str) -> Vec<String> {
        let rel = |at: DateTime<Utc>| (at - start()).num_milliseconds();
        let rows = self.ledger.runs(of(job)).await.unwrap();
        assert_eq!(rows.len(), 1, "{rows:?}");
        let story = self.ledger.run(rows[0].run.id).await.unwrap().unwrap();
        let last = story.row.finish().cloned();
        let attempts = story.attempts.into_iter().chain(last).map(|finish| {
            let (began, ended) = (finish.started_at.map_or(-1, rel), rel(finish.finished_at));
            let Report { outcome, generation, .. } = finish.report;
            let told = format!("{} of {generation} {began}..{ended} {}", outcome.code, outcome.message);
            told.trim_end().to_owned()
        });
        attempts.collect()
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_drain_are_cancelled_or_replaced_as_their_jobs_say() {
    let world = world(8);
    let jobs = [
        ("drains-3000", on_reload(OnReload::Drain { deadline: None })),
        ("hurries-3000", deadline(1)),
        ("in-time-2000", deadline(1)),
        ("ends-3000", on_reload(OnReload::Cancel)),
        ("again-3000", on_reload(OnReload::Replace)),
        ("once-3000", Policy { delivery: Delivery::AtMostOnce, ..on_reload(OnReload::Replace) }),
        ("other-3000", on_reload(OnReload::Cancel)),
    ];
    let ids = jobs.clone().map(|(id, _)| id);
    world.host.handle().send(jobs.map(|(id, policy)| adding(id, policy)).into()).await;
    world.pass(2_500).await;
    world.put_code(2, &ids[..6]).await;
    // Once more: what runs the new code already is left alone.
    world.pass(100).await;
    world.put_code(2, &ids[..6]).await;
    world.pass(10_000).await;
    let mut told = String::new();
    for id in ids {
        told += &format!("{id}: {}\n", world.attempts(id).await.join("; "));
    }
    expect![[r#"
        drains-3000: succeeded of 1 1000..4000
        hurries-3000: cancelled of 1 1000..3500 cancelled because its plugin was replaced and it had not ended 1s later (`on_reload: { mode: drain, deadline: 1s }`)
        in-time-2000: succeeded of 1 1000..3000
        ends-3000: cancelled of 1 1000..2510 cancelled because its plugin was replaced (`on_reload: cancel`)
        again-3000: interrupted of 1 1000..2510 its plugin was replaced, and it is tried again on the new code (`on_reload: replace`); succeeded of 2 2510..5510
        once-3000: interrupted of 1 1000..2510 its plugin was replaced, and it is tried again on the new code (`on_reload: replace`); succeeded of 2 2510..5510
        other-3000: succeeded of 1 1000..4000
    "#]]
    .assert_eq(&told);
    // What was replaced counts once, by how its run ended.
    let counted = &world.host.summary().runs[&"again-3000".parse().unwrap()];
    assert_eq!(counted.iter().collect::<Vec<_>>(), [(&OutcomeCode::Succeeded, &1)]);
}

#[tokio::test(start_paused = true)]
async fn code_that_comes_back_has_no_deadline() {
    let world = world(8);
    let [back, away, again] = ["back-4000", "away-4000", "again-9000"];
    let jobs = [adding(back, deadline(2)), adding(away, deadline(2)), adding(again, deadline(2))];
    world.host.handle().send(jobs.into()).await;
    world.pass(1_500).await;
    world.put_code(2, &[back, away, again]).await;
    world.pass(1_000).await;
    // What was put in force is taken back, for all but one.
    world.put_code(1, &[back, again]).await;
    world.pass(3_500).await;
    // A deadline that comes later is one of its own.
    world.put_code(3, &[again]).await;
    world.pass(10_000).await;
    assert_eq!(world.attempts(back).await, ["succeeded of 1 1000..5000"]);
    let (away, again) = (world.attempts(away).await, world.attempts(again).await);
    assert!(away.len() == 1 && away[0].starts_with("cancelled of 1 1000..3500 "), "{away:?}");
    assert!(again.len() == 1 && again[0].starts_with("cancelled of 1 1000..8000 "), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn replacing_counts_against_nothing_however_often() {
    let world = world(8);
    let retry = Retry { attempts_max: NonZeroU32::new(2).unwrap(), jitter_percent: 0, ..Retry::default() };
    let policy = Policy { retry, ..on_reload(OnReload::Replace) };
    world.host.handle().send(vec![adding("fails-3000", policy)]).await;
    world.pass(1_500).await;
    for generation in 2..=31 {
        world.put_code(generation, &["fails-3000"]).await;
        world.pass(100).await;
    }
    world.pass(10_000).await;
    let attempts = world.attempts("fails-3000").await;
    let (replaced, counted) = attempts.split_at(30);
    assert!(replaced.iter().all(|attempt| attempt.starts_with("interrupted")), "{attempts:?}");
    assert_eq!(counted, ["failed of 31 4410..7410 so it is called", "failed of 31 8410..11410 so it is called"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_cancelled_stays_so_and_the_job_of_now_decides() {
    let world = world(8);
    let policy = on_reload(OnReload::Replace);
    world.host.handle().send(vec![adding("a-3000", policy.clone()), adding("b-3000", policy)]).await;
    world.pass(1_500).await;
    let run = world.ledger.runs(of("a-3000")).await.unwrap()[0].run.id;
    // Both before the attempt has noticed either.
    world.host.handle().send(vec![Input::Cancel(run)]).await;
    world.host.handle().send(vec![Input::Change(job("b-3000", AT, on_reload(OnReload::Cancel)))]).await;
    world.put_code(2, &["a-3000", "b-3000"]).await;
    world.pass(5_000).await;
    assert_eq!(world.attempts("a-3000").await, ["cancelled of 1 1000..1510 cancelled on request"]);
    let told = "cancelled of 1 1000..1510 cancelled because its plugin was replaced (`on_reload: cancel`)";
    assert_eq!(world.attempts("b-3000").await, [told]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_has_not_chosen_its_code_takes_the_new_one() {
    let world = world(8);
    let jobs = [adding("large-first-2000", Policy::default()), adding("large-second-100", on_reload(OnReload::Cancel))];
    world.host.handle().send(jobs.into()).await;
    world.pass(1_500).await;
    world.put_code(2, &["large-first-2000", "large-second-100"]).await;
    world.pass(5_000).await;
    let second = world.attempts("large-second-100").await;
    assert!(second.len() == 1 && second[0].starts_with("succeeded of 2 "), "{second:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_of_its_attempt_and_not_of_the_next_one() {
    let world = world(8);
    let retry = Retry { attempts_max: NonZeroU32::new(2).unwrap(), jitter_percent: 0, ..Retry::default() };
    world.host.handle().send(vec![adding("fails-1500", Policy { retry, ..deadline(2) })]).await;
    world.pass(2_000).await;
    world.put_code(2, &["fails-1500"]).await;
    world.pass(5_000).await;
    // Its deadline, at 4,000, lies in the middle of the second one.
    let told = ["failed of 1 1000..2500 so it is called", "failed of 2 3500..5000 so it is called"];
    assert_eq!(world.attempts("fails-1500").await, told);
}

#[tokio::test(start_paused = true)]
async fn runs_are_tried_again_on_the_latest_code_or_on_the_same() {
    let world = world(8);
    let retry = Retry { attempts_max: NonZeroU32::new(3).unwrap(), jitter_percent: 0, ..Retry::default() };
    let latest = Policy { retry: retry.clone(), ..Policy::default() };
    let same = Policy { retry_on: RetryOn::Same, ..latest.clone() };
    let both = Policy { retry, retry_on: RetryOn::Same, ..on_reload(OnReload::Replace) };
    let jobs = [("fails-100", latest), ("fails-same-100", same), ("fails-both-1000", both)];
    world.host.handle().send(jobs.map(|(id, policy)| adding(id, policy)).into()).await;
    world.pass(1_500).await;
    let first = Arc::downgrade(&world.executor.generation.lock().unwrap());
    world.put_code(2, &["fails-100", "fails-same-100", "fails-both-1000"]).await;
    assert!(first.upgrade().is_some(), "a run waits for its next attempt on it");
    world.pass(20_000).await;
    let generations = async |job| {
        let attempts = world.attempts(job).await;
        let words = attempts.iter().map(|told| told.split(' ').take(3).collect::<Vec<_>>().join(" "));
        words.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(generations("fails-100").await, "failed of 1, failed of 2, failed of 2");
    assert_eq!(generations("fails-same-100").await, "failed of 1, failed of 1, failed of 1");
    // What makes way for other code goes on with that.
    assert_eq!(generations("fails-both-1000").await, "interrupted of 1, failed of 2, failed of 2, failed of 2");
    assert!(first.upgrade().is_none(), "nothing holds the old code any more");
}
