//! What `clockjack logs` prints: of runs that said something, of those that said nothing, and of those that go on.

use std::sync::Arc;

use clockjack_schedule::{outcome::OutcomeCode, ports::Change};
use expect_test::expect;

use super::logs;
use crate::cli::{
    Output,
    reading::tests::{claim, finish, minutes, now, plan, reading, retried, run, seen, talkative, told},
};

fn a_day() -> Vec<Change> {
    let it = run("report", minutes(-10));
    let mut changes = vec![Change::Job(seen("report")), Change::Job(seen("backup"))];
    changes.extend(retried(&it, now()));
    let end = talkative(finish(&it, 2, OutcomeCode::Failed, "no route"));
    changes.extend([claim(&it, 2, now()), Change::Finish(Arc::new(end))]);
    let planned = run("report", now());
    changes.extend([plan(&planned), claim(&planned, 1, now())]);
    changes
}

#[tokio::test]
async fn the_last_ended_run_of_a_job() {
    let reading = reading(a_day()).await;
    expect![[r#"
        logs (2 lines, 5 more lines left out)
          11:50:01.003Z info  read rows=10
          11:50:01.003Z error bell \u{7} rung rows=10

        stdout (100 bytes, 92 of them left out of the middle)
          one
          two
        # report of 2027-01-15 11:50:00Z, attempt 2: failed: no route"#]]
    .assert_eq(&told(logs(&reading, "report", None, Output::Table).await));
    expect![[r#"
        {
          "run": "01a3192e-e240-88b4-be02-0cc641159687",
          "job": "report",
          "scheduled_for": "2027-01-15T11:50:00Z",
          "attempt": 2,
          "outcome": "failed",
          "stdout": "one\ntwo\n",
          "stdout_bytes": 100,
          "stdout_truncated": true,
          "stderr": "",
          "stderr_bytes": 0,
          "stderr_truncated": false,
          "logs": [
            {
              "at": "2027-01-15T11:50:01.003Z",
              "level": "info",
              "message": "read",
              "fields": {
                "rows": "10"
              }
            },
            {
              "at": "2027-01-15T11:50:01.003Z",
              "level": "error",
              "message": "bell \u0007 rung",
              "fields": {
                "rows": "10"
              }
            }
          ],
          "logs_dropped": 5
        }"#]]
    .assert_eq(&told(logs(&reading, "report", None, Output::Json).await));
}

#[tokio::test]
async fn attempts_runs_and_what_is_not_there() {
    let reading = reading(a_day()).await;
    let told = async |subject: &str, attempt| told(logs(&reading, subject, attempt, Output::Table).await);
    expect!["# report of 2027-01-15 11:50:00Z, attempt 1: failed: no route; it logged and wrote nothing"]
        .assert_eq(&told("report", Some(1)).await);
    expect!["error: attempt 3 of run 01a3192e-e240-88b4-be02-0cc641159687 is not among those that have ended: 1 to 2"]
        .assert_eq(&told("report", Some(3)).await);
    expect!["error: no attempt of run 01a31938-0a00-86f2-b4ef-c1dbfdf52817 has ended yet (it is running); what a guest writes is kept when its attempt ends"].assert_eq(&told("report@latest", None).await);
    expect!["error: no run of job `backup` has ended yet; `clockjack why backup` says more"]
        .assert_eq(&told("backup", None).await);
    expect!["error: neither the ledger nor the manifest has a job `rebort`; did you mean `report`?"]
        .assert_eq(&told("rebort", None).await);
    expect!["error: the ledger has no run `0199999999`; `clockjack runs` lists what there is. Runs go when they are older or more than `keep` of their job says"].assert_eq(&told("0199999999", None).await);
}
