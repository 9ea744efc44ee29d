//! Pauses with notes, backfills, arguments for one run, and the end of a host.

use chrono::TimeDelta;

use super::*;
use crate::cli::rfc3339;

/// Waits until the answer of a route fits.
async fn until(world: &World, path: &str, fits: impl Fn(&Json) -> bool) -> Json {
    for _ in 0..2_000 {
        let answer = world.get(path).await;
        if fits(&answer.body) {
            return answer.body;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{path} never was as it should be: {:?}", world.get(path).await)
}

fn from_now(delta: TimeDelta) -> String {
    rfc3339(SystemClock.now() + delta)
}

/// Whether the ledger says that a job is paused.
async fn is_paused(world: &World, job: &str) -> bool {
    let rows = world.ledger.load().await.unwrap().jobs;
    rows.iter().find(|row| row.state.job.as_str() == job).unwrap().state.paused
}

#[tokio::test]
async fn a_pause_has_a_note_and_ends_by_itself() {
    let world = world().await;
    let until_then = from_now(TimeDelta::milliseconds(700));
    let asked = json!({ "note": "the database moves", "until": until_then });
    let paused = world.post("/api/v1/jobs/backup/pause", asked).await;
    assert_eq!(paused.status, 200, "{paused:?}");
    assert_eq!((&paused.body["paused"], &paused.body["paused_with_all"]), (&json!(true), &json!(false)));
    let pause = &paused.body["pause"];
    assert_eq!((&pause["note"], &pause["until"]), (&json!("the database moves"), &json!(until_then)));
    let documents = world.ledger.documents(DocumentKind::Pause).await.unwrap();
    assert_eq!(documents.len(), 1, "it is kept");
    for _ in 0..2_000 {
        if !is_paused(&world, "backup").await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!is_paused(&world, "backup").await, "it goes on by itself");
    assert!(at(&until_then) <= SystemClock.now(), "and not before its time");
    while !world.ledger.documents(DocumentKind::Pause).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Who lets it go on ends the note, too.
    world.post("/api/v1/jobs/backup/pause", json!({ "note": "again" })).await;
    let resumed = world.post("/api/v1/jobs/backup/resume", json!({ "from": "2027-01-15T08:00:00Z" })).await;
    assert_eq!((resumed.status, &resumed.body["paused"], &resumed.body["pause"]), (200, &json!(false), &json!(null)));
    assert_eq!(world.ledger.documents(DocumentKind::Pause).await.unwrap(), []);
    let told = [
        world.post("/api/v1/jobs/backup/pause", json!({ "note": "x".repeat(1_025) })).await.problem(),
        world.post("/api/v1/jobs/backup/pause", json!({ "until": "soon" })).await.problem(),
        world.post("/api/v1/jobs/backup/pause", json!({ "until": "+262142-12-31T23:59:59Z" })).await.problem(),
        world.post("/api/v1/jobs/backup/pause", json!({ "until": "9999-12-31T23:59:59-01:00" })).await.problem(),
        world.post("/api/v1/jobs/backup/resume", json!({ "from": "then" })).await.problem(),
        world.post("/api/v1/scheduler/resume", json!({ "from": "0000-01-01T00:00:00Z" })).await.problem(),
    ];
    expect_test::expect![[r#"
        422 pause.invalid: `note` has more than 1024 characters; say it in fewer words
        422 instant.invalid: `until` is no instant: premature end of input; write it with its offset, such as `2027-01-15T08:00:00Z`
        422 instant.invalid: `until` is no instant: input contains invalid characters; write it with its offset, such as `2027-01-15T08:00:00Z`
        422 instant.invalid: `until` is no instant: in UTC it is of the year 10000, and only 1 to 9999 are taken; write it with its offset, such as `2027-01-15T08:00:00Z`
        422 resume.invalid: `from` is `then`; write `now`, `last`, or an instant such as `2027-01-15T08:00:00Z`
        422 resume.invalid: `from` is `0000-01-01T00:00:00Z`: in UTC it is of the year 0, and only 1 to 9999 are taken; write `now`, `last`, or an instant such as `2027-01-15T08:00:00Z`"#]].assert_eq(&told.join("\n"));
    let past = world.post("/api/v1/scheduler/pause", json!({ "until": "2020-01-01T00:00:00Z" })).await;
    assert_eq!((past.status, &past.body["code"]), (422, &json!("pause.invalid")), "{past:?}");
}

#[tokio::test]
async fn all_are_paused_and_go_on_but_what_is_paused_by_itself() {
    let world = world().await;
    world.post("/api/v1/jobs/slow/pause", json!({ "note": "by itself" })).await;
    let all = world.post("/api/v1/scheduler/pause", json!({ "note": "all of them" })).await;
    assert_eq!((all.status, &all.body["pause"]["note"]), (200, &json!("all of them")), "{all:?}");
    assert!(is_paused(&world, "backup").await && is_paused(&world, "slow").await);
    let run = world.post("/api/v1/jobs/backup/run", json!({})).await;
    assert_eq!((run.status, &run.body["code"]), (409, &json!("run.skipped")), "nothing starts: {run:?}");
    // A job does not leave the pause of all alone; it only is not paused by itself any more.
    let resumed = world.post("/api/v1/jobs/backup/resume", json!({})).await;
    assert_eq!((&resumed.body["paused"], &resumed.body["paused_with_all"]), (&json!(true), &json!(true)));
    assert_eq!(resumed.body["pause"]["note"], "all of them", "{resumed:?}");
    let gone_on = world.post("/api/v1/scheduler/resume", json!({})).await;
    assert_eq!((gone_on.status, &gone_on.body["paused"]), (200, &json!(false)), "{gone_on:?}");
    assert!(!is_paused(&world, "backup").await && is_paused(&world, "slow").await);
    assert_eq!(world.post("/api/v1/jobs/backup/run", json!({})).await.status, 202);
}

#[tokio::test]
async fn a_run_has_arguments_of_its_own() {
    let world = world().await;
    let asked = world.post("/api/v1/jobs/backup/run", json!({ "args": { "days": 3 }, "payload": [1] })).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    assert_eq!((&asked.body["args"], &asked.body["payload"]), (&json!({ "days": 3 }), &json!([1])));
    let refused = world.post("/api/v1/jobs/backup/run", json!({ "args": { "dais": 3 } })).await.problem();
    expect_test::expect!["422 args.invalid: args.dais: there is no such parameter; send arguments that fit the function of `backup`; `clockjack inspect` shows its types"].assert_eq(&refused);
}

#[tokio::test]
async fn slots_of_the_past_are_made_up_for() {
    let world = world().await;
    // The world's jobs fire each hour from when they were first seen, so they have no past; this one has.
    let (from, to) = (from_now(TimeDelta::minutes(-60)), from_now(TimeDelta::zero()));
    let range = |more: Json| {
        let mut body = json!({ "from": from, "to": to });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let plan = world.post("/api/v1/jobs/minutely/backfill", range(json!({ "dry_run": true }))).await;
    assert_eq!((plan.status, &plan.body["slots"], &plan.body["left_out"]), (200, &json!(60), &json!(0)), "{plan:?}");
    assert_eq!(plan.body["sample"].as_array().unwrap().len(), 10);
    let same = world.post("/api/v1/jobs/minutely/backfill?dry_run=true", range(json!({ "max": 7 }))).await;
    assert_eq!((same.status, &same.body["slots"]), (200, &json!(7)), "{same:?}");
    let begun = world.post("/api/v1/jobs/minutely/backfill", range(json!({ "max": 7, "at_once": 3 }))).await;
    assert_eq!((begun.status, &begun.body["slots"]), (202, &json!(7)), "{begun:?}");
    let id = begun.body["id"].as_str().unwrap();
    let done = until(&world, &format!("/api/v1/backfills/{id}"), |it| it["state"] == "done").await;
    assert_eq!((&done["settled"], &done["succeeded"]), (&json!(7), &json!(7)), "{done:#}");
    let job = Some("minutely".parse().unwrap());
    let mut runs = world.ledger.runs(RunFilter { job, ..RunFilter::default() }).await.unwrap();
    runs.retain(|row| row.run.cause == Cause::Backfill);
    assert_eq!(runs.len(), 7, "one run for each slot");
    assert_eq!(
        world.ledger.documents(DocumentKind::Backfill).await.unwrap().len(),
        1,
        "its slots are not needed any more"
    );
    // What has a run is left out, unless somebody wants it again.
    let rest = world.post("/api/v1/jobs/minutely/backfill?dry_run=true", range(json!({}))).await;
    assert_eq!((&rest.body["slots"], &rest.body["left_out"]), (&json!(53), &json!(7)), "{rest:?}");
    let again = world.post("/api/v1/jobs/minutely/backfill?dry_run=true", range(json!({ "again": true }))).await;
    assert_eq!((&again.body["slots"], &again.body["left_out"]), (&json!(60), &json!(0)), "{again:?}");
    let ended = world.post(&format!("/api/v1/backfills/{id}/cancel"), json!({})).await;
    assert_eq!((ended.status, &ended.body["code"]), (409, &json!("backfill.ended")), "{ended:?}");
    let ahead = json!({ "from": from, "to": from_now(TimeDelta::hours(1)) });
    for (body, code) in [
        (ahead, "backfill.range"),
        (json!({ "from": to, "to": from }), "backfill.range"),
        (json!({ "from": "1990-01-01T00:00:00Z", "to": to }), "backfill.range"),
        (json!({ "from": "x", "to": to }), "instant.invalid"),
        (range(json!({ "at_once": 0 })), "backfill.invalid"),
        (range(json!({ "max": 10_001 })), "backfill.invalid"),
    ] {
        let refused = world.post("/api/v1/jobs/minutely/backfill", body).await;
        assert_eq!((refused.status, &refused.body["code"]), (422, &json!(code)), "{refused:?}");
    }
}

/// A backfill that goes on is cancelled; and one that an earlier life left goes on where it was, each slot once.
#[tokio::test]
async fn a_backfill_is_cancelled_and_taken_up_again() {
    let world = world().await;
    let (from, to) = (from_now(TimeDelta::minutes(-30)), from_now(TimeDelta::zero()));
    let begun =
        world.post("/api/v1/jobs/slow-minutely/backfill", json!({ "from": from, "to": to, "at_once": 2 })).await;
    let id = begun.body["id"].as_str().unwrap().to_owned();
    let job: JobId = "slow-minutely".parse().unwrap();
    let open = async || {
        let filter = RunFilter { job: Some(job.clone()), ..RunFilter::default() };
        let mut rows = world.ledger.runs(filter).await.unwrap();
        rows.retain(|row| row.finish().is_none() && row.run.is_backfill());
        rows
    };
    while open().await.len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Another task that knows only the ledger takes it up: what goes on is not asked for twice.
    let parts =
        OperateParts { clock: Arc::new(SystemClock), ledger: Arc::clone(&world.ledger), host: world.host.handle() };
    let (again, tasks) = operate::start(parts, Ending::new(Duration::ZERO), &Handle::current());
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(open().await.len(), 2);
    }
    tasks.end().await;
    drop(again);
    let cancelled = world.post(&format!("/api/v1/backfills/{id}/cancel"), json!({})).await;
    assert_eq!((cancelled.status, &cancelled.body["state"]), (200, &json!("cancelled")), "{cancelled:?}");
    let first = open().await.first().map(|row| row.run.id).unwrap();
    assert_eq!(world.post(&format!("/api/v1/runs/{first}/cancel"), json!({})).await.status, 202);
    while open().await.len() != 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(open().await.len(), 1, "nothing more is asked for");
}

#[tokio::test]
async fn who_asks_for_the_end_is_answered_and_nothing_is_changed_after_it() {
    let world = world().await;
    for (body, code) in [
        (json!({ "deadline": "30" }), "shutdown.invalid"),
        (json!({ "deadline": "25h" }), "shutdown.invalid"),
        (json!({ "wait": false, "deadline": "1s" }), "shutdown.invalid"),
    ] {
        let refused = world.post("/api/v1/scheduler/shutdown", body).await;
        assert_eq!((refused.status, &refused.body["code"]), (422, &json!(code)), "{refused:?}");
    }
    assert!(!world.operator.ending.is_asked());
    let asked = world.post("/api/v1/scheduler/shutdown", json!({ "deadline": "30s" })).await;
    assert_eq!((asked.status, asked.body), (202, json!({ "stopping": true, "deadline": "30s" })));
    assert_eq!(world.operator.ending.asked().await, Duration::from_secs(30));
    let refused = world.post("/api/v1/jobs/backup/pause", json!({})).await;
    assert_eq!((refused.status, &refused.body["code"]), (503, &json!("host.stopping")), "{refused:?}");
    assert_eq!(world.get("/api/v1/scheduler").await.status, 200, "reads are answered");
    let preview = world.post("/api/v1/triggers/preview", json!({ "trigger": { "every": "1h" } })).await;
    assert_eq!(preview.status, 200, "one with a body, too: {preview:?}");
    let hurried = world.post("/api/v1/scheduler/shutdown", json!({ "wait": false })).await;
    assert_eq!((hurried.status, hurried.body), (202, json!({ "stopping": true, "deadline": "0s" })));
}
