//! What `clockjack jobs` says of jobs in each state.

use chrono::TimeDelta;
use clockjack_schedule::{outcome::OutcomeCode, ports::Change, run::JobState};
use expect_test::expect;

use super::list;
use crate::cli::{
    Output,
    reading::tests::{claim, ended, job, minutes, now, plan, reading, run, seen, told},
};

fn a_day() -> Vec<Change> {
    let paused = JobState { paused: true, paused_in_manifest: true, ..seen("mirror") };
    let removed = JobState { removed_at: Some(minutes(-60)), ..seen("old") };
    let states = [seen("report"), paused, removed, seen("unlisted")];
    let mut changes: Vec<_> = states.into_iter().map(Change::Job).collect();
    changes.extend(ended(&run("report", minutes(-20)), OutcomeCode::Succeeded, ""));
    changes.extend(ended(&run("report", minutes(-10)), OutcomeCode::Failed, "no route"));
    let running = run("report", now());
    changes.extend([plan(&running), claim(&running, 1, now() + TimeDelta::milliseconds(2))]);
    changes
}

#[tokio::test]
async fn every_job_of_the_manifest_and_of_the_ledger_is_listed() {
    let reading = reading(a_day()).await;
    expect![[r#"
        JOB       STATE                NEXT                  LAST RUN           RUNNING  TRIGGER
        backup    new                  -                     -                  0        At 09:30, every day, Europe/Berlin
        chained   new                  -                     -                  0        After `report` has succeeded
        mirror    paused               -                     -                  0        Every 1h since the job was first seen
        old       removed              -                     -                  0        -
        report    active               2027-01-15 12:10:00Z  failed 9m 58s ago  1        Every 10 minutes, UTC
        unlisted  not in the manifest  -                     -                  0        -
        # note: what is `new` is not in force yet: `clockjack reload` puts it in force or tells why not; where no host runs, `clockjack up` does"#]].assert_eq(&told(list(&reading, &[], Output::Table).await));
}

#[tokio::test]
async fn json_has_every_field() {
    let reading = reading(a_day()).await;
    expect![[r#"
        [
          {
            "job": "old",
            "state": "removed",
            "paused": false,
            "paused_with_all": false,
            "pause": null,
            "next": null,
            "last_run": null,
            "running": 0,
            "open": 0,
            "trigger": null,
            "plugin": null,
            "call": null,
            "pool": null,
            "store": null,
            "first_seen": "2027-01-14T12:00:00Z",
            "removed_at": "2027-01-15T11:00:00Z",
            "timezone": null,
            "description": null,
            "labels": {},
            "origin": null,
            "place": null,
            "etag": null,
            "fault": null
          },
          {
            "job": "report",
            "state": "active",
            "paused": false,
            "paused_with_all": false,
            "pause": null,
            "next": "2027-01-15T12:10:00Z",
            "last_run": {
              "id": "01a3192e-e240-88b4-be02-0cc641159687",
              "scheduled_for": "2027-01-15T11:50:00Z",
              "outcome": "failed",
              "started_at": "2027-01-15T11:50:00.003Z",
              "finished_at": "2027-01-15T11:50:01.003Z"
            },
            "running": 1,
            "open": 1,
            "trigger": "Every 10 minutes, UTC",
            "plugin": "a",
            "call": null,
            "pool": "default",
            "store": "default",
            "first_seen": "2027-01-14T12:00:00Z",
            "removed_at": null,
            "timezone": "UTC",
            "description": null,
            "labels": {},
            "origin": null,
            "place": null,
            "etag": null,
            "fault": null
          }
        ]"#]]
    .assert_eq(&told(list(&reading, &[job("old"), job("report")], Output::Json).await));
}

#[tokio::test]
async fn without_a_manifest_nothing_is_said_to_be_missing_in_it() {
    let mut reading = reading(a_day()).await;
    reading.manifest = clockjack_schedule::manifest::resolved::Manifest::default();
    reading.knows_all_jobs = false;
    expect![[r#"
        JOB       STATE    NEXT  LAST RUN           RUNNING  TRIGGER
        mirror    paused   -     -                  0        -
        old       removed  -     -                  0        -
        report    active   -     failed 9m 58s ago  1        -
        unlisted  active   -     -                  0        -"#]]
    .assert_eq(&told(list(&reading, &[], Output::Table).await));
}

#[tokio::test]
async fn an_unknown_job_is_told_with_the_nearest_one() {
    let reading = reading(a_day()).await;
    expect!["error: neither the ledger nor the manifest has a job `unlistet`; did you mean `unlisted`?"]
        .assert_eq(&told(list(&reading, &[job("unlistet")], Output::Table).await));
}

#[tokio::test]
async fn jobs_are_new_only_where_a_host_could_have_had_them() {
    let states = async |reading: &super::Reading| {
        let told: serde_json::Value = serde_json::from_str(&told(list(reading, &[], Output::Json).await)).unwrap();
        let state = |job: &serde_json::Value| format!("{} {}", job["job"], job["state"]).replace('"', "");
        told.as_array().unwrap().iter().map(state).collect::<Vec<_>>().join(", ")
    };
    let before_the_first_start = reading(Vec::new()).await;
    let all = states(&before_the_first_start).await;
    assert_eq!(all, "backup active, chained active, mirror paused, report active");
    let mut begun = reading(vec![Change::Job(seen("report"))]).await;
    assert_eq!(states(&begun).await, "backup new, chained new, mirror new, report active");
    // In a store that only its host can read there may be anything.
    begun.unread.insert(clockjack_schedule::id::StoreName::default());
    assert_eq!(states(&begun).await, "backup active, chained active, mirror paused, report active");
}
