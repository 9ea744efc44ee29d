//! What `clockjack runs` lists, page by page, and what `clockjack runs show` says of one run.

use std::sync::Arc;

use chrono::TimeDelta;
use clap::{Args as _, FromArgMatches as _};
use clockjack_schedule::{
    outcome::{OutcomeCode, TrapKind},
    ports::Change,
    run::{Cause, Run, SkipReason},
};
use expect_test::expect;
use serde_json::Value as Json;

use super::{ListArgs, list};
use crate::cli::{
    Output,
    reading::{
        Reading,
        tests::{claim, ended, finish, minutes, now, plan, reading, retried, run, seen, skip, talkative, told},
    },
    show::show,
};

/// The arguments as a person writes them.
fn args(line: &str) -> ListArgs {
    let command = ListArgs::augment_args(clap::Command::new("runs").no_binary_name(true));
    ListArgs::from_arg_matches(&command.get_matches_from(line.split_whitespace())).unwrap()
}

async fn listed(reading: &Reading, line: &str) -> String {
    told(list(reading, &args(line)).await)
}

fn a_day() -> Vec<Change> {
    let mut changes = vec![Change::Job(seen("report")), Change::Job(seen("backup"))];
    let caught_up = Run { cause: Cause::CatchUp(3), ..run("report", minutes(-60)) };
    changes.extend(ended(&caught_up, OutcomeCode::Succeeded, ""));
    changes.push(Change::Skip(skip("report", -50, -30, 3, SkipReason::Misfired)));
    changes.extend(ended(&run("report", minutes(-20)), OutcomeCode::TimeoutCpu, "more than 10s"));
    changes.extend(ended(&run("backup", minutes(-15)), OutcomeCode::Trap(TrapKind::Unreachable), "a panic"));
    changes.extend(retried(&run("report", minutes(-10)), now() + TimeDelta::seconds(30)));
    let running = run("report", now());
    changes.extend([plan(&running), claim(&running, 1, now() + TimeDelta::milliseconds(2))]);
    changes.push(plan(&run("report", minutes(10))));
    changes
}

#[tokio::test]
async fn the_newest_slot_comes_first() {
    let reading = reading(a_day()).await;
    expect![[r#"
        SLOT                  JOB     OUTCOME           ATTEMPTS  STARTED        TOOK  LATE  CAUSE          RUN
        2027-01-15 12:00:00Z  report  running           1         12:00:00.002Z  -     2ms   schedule       01a31938-0a00-86f2-b4ef-c1dbfdf52817
        2027-01-15 11:50:00Z  report  retrying          1         -              -     -     schedule       01a3192e-e240-88b4-be02-0cc641159687
        2027-01-15 11:45:00Z  backup  trap.unreachable  1         11:45:00.003Z  1s    3ms   schedule       01a3192a-4e60-8ab7-8ee9-2ca482419545
        2027-01-15 11:40:00Z  report  timeout.cpu       1         11:40:00.003Z  1s    3ms   schedule       01a31925-ba80-8292-9294-685b2c576701
        2027-01-15 11:00:00Z  report  succeeded         1         11:00:00.003Z  1s    3ms   catch-up of 3  01a31901-1b80-80a5-9b7c-1ea9be474d8c"#]].assert_eq(&listed(&reading, "").await);
}

#[tokio::test]
async fn skips_have_their_place_among_runs() {
    let reading = reading(a_day()).await;
    expect![[r#"
        SLOT                  JOB     OUTCOME            ATTEMPTS  STARTED        TOOK  LATE  CAUSE                              RUN
        2027-01-15 11:50:00Z  report  retrying           1         -              -     -     schedule                           01a3192e-e240-88b4-be02-0cc641159687
        2027-01-15 11:40:00Z  report  timeout.cpu        1         11:40:00.003Z  1s    3ms   schedule                           01a31925-ba80-8292-9294-685b2c576701
        2027-01-15 11:30:00Z  report  skipped: misfired  -         -              -     -     3 slots from 2027-01-15 11:10:00Z  -
        2027-01-15 11:00:00Z  report  succeeded          1         11:00:00.003Z  1s    3ms   catch-up of 3                      01a31901-1b80-80a5-9b7c-1ea9be474d8c"#]].assert_eq(&listed(&reading, "--skips --job report --until 5m").await);
    expect![[r#"
        [
          {
            "job": "report",
            "state": "skipped",
            "reason": "misfired",
            "first": "2027-01-15T11:10:00Z",
            "last": "2027-01-15T11:30:00Z",
            "count": 3,
            "decided_at": "2027-01-15T11:37:00Z",
            "run": null,
            "by": null
          }
        ]"#]]
    .assert_eq(&listed(&reading, "--skips --since 55m --until 25m -o json").await);
    expect![[r#"
        SLOT                  JOB     OUTCOME            ATTEMPTS  STARTED        TOOK  LATE  CAUSE                              RUN
        2027-01-15 12:00:00Z  report  running            1         12:00:00.002Z  -     2ms   schedule                           01a31938-0a00-86f2-b4ef-c1dbfdf52817
        2027-01-15 11:50:00Z  report  retrying           1         -              -     -     schedule                           01a3192e-e240-88b4-be02-0cc641159687
        2027-01-15 11:45:00Z  backup  trap.unreachable   1         11:45:00.003Z  1s    3ms   schedule                           01a3192a-4e60-8ab7-8ee9-2ca482419545
        2027-01-15 11:40:00Z  report  timeout.cpu        1         11:40:00.003Z  1s    3ms   schedule                           01a31925-ba80-8292-9294-685b2c576701
        2027-01-15 11:30:00Z  report  skipped: misfired  -         -              -     -     3 slots from 2027-01-15 11:10:00Z  -
        # more: clockjack runs -n 5 --until 2027-01-15T11:30:00.000001Z --skips"#]].assert_eq(&listed(&reading, "--skips -n 5").await);
}

#[tokio::test]
async fn outcomes_are_codes_or_kinds_of_them() {
    let reading = reading(a_day()).await;
    let ids = async |line: &str| {
        let text = listed(&reading, line).await;
        let is_row = |line: &&str| line.starts_with("2027");
        let rows: Vec<_> =
            text.lines().filter(is_row).map(|line| &line[..line.len() - 38]).map(str::trim_end).collect();
        if rows.is_empty() { text } else { rows.join("\n") }
    };
    expect![[r#"
        2027-01-15 11:45:00Z  backup  trap.unreachable  1         11:45:00.003Z  1s    3ms   schedule
        2027-01-15 11:40:00Z  report  timeout.cpu       1         11:40:00.003Z  1s    3ms   schedule"#]]
    .assert_eq(&ids("--outcome trap --outcome timeout").await);
    expect!["2027-01-15 11:45:00Z  backup  trap.unreachable  1         11:45:00.003Z  1s    3ms   schedule"]
        .assert_eq(&ids("--outcome trap --outcome timeout -n 1").await);
    expect!["2027-01-15 11:00:00Z  report  succeeded  1         11:00:00.003Z  1s    3ms   catch-up of 3"]
        .assert_eq(&ids("--outcome succeeded").await);
    expect!["# no run; `clockjack why JOB` says what became of a job's slots"].assert_eq(&ids("--outcome fuel").await);
    expect!["error: --outcome: `timeout.wal` is no outcome; did you mean `timeout.wall`?"]
        .assert_eq(&ids("--outcome timeout.wal").await);
    expect!["error: --outcome: `nonsense` is no outcome; the outcomes are succeeded, failed, skipped, timeout.wall, timeout.cpu, fuel, memory.limit, table.limit, instance.limit, stack.overflow, hostcall.limit, handles.limit, egress.denied, fs.denied, trap.unreachable, trap.memory_out_of_bounds, trap.table_out_of_bounds, trap.indirect_call_to_null, trap.bad_signature, trap.integer_overflow, trap.division_by_zero, trap.bad_conversion, trap.abi, trap.other, cancelled, interrupted, lost"].assert_eq(&ids("--outcome nonsense").await);
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap() {
    let reading = reading(a_day()).await;
    let whole = listed(&reading, "--job report -n 100").await;
    let n_whole = whole.lines().count() - 1;
    let (mut line, mut n_rows) = ("-n 2 --job report".to_owned(), 0);
    for _ in 0..5 {
        let page = listed(&reading, &line).await;
        n_rows += page.lines().filter(|line| line.starts_with("2027")).count();
        let Some((_, next)) = page.split_once("# more: clockjack runs ") else { break };
        next.clone_into(&mut line);
    }
    assert_eq!(n_rows, n_whole, "{whole}");
    expect!["--job report -n 2 --before 01a3192e-e240-88b4-be02-0cc641159687"].assert_eq(&line);
}

/// JSON with a line for each field of its objects.
fn fields(text: &str) -> String {
    let (json, talk) = text.split_once("\n# ").map_or((text, None), |(json, talk)| (json, Some(talk)));
    let json: Json = serde_json::from_str(json).unwrap();
    let objects = json.as_array().cloned().unwrap_or_else(|| vec![json]);
    let lines = |object: &Json| {
        let fields = object.as_object().unwrap().iter();
        fields.map(|(name, value)| format!("{name} {value}\n")).collect::<String>()
    };
    let objects: Vec<_> = objects.iter().map(lines).collect();
    format!("{}{}", objects.join("\n"), talk.unwrap_or_default())
}

#[tokio::test]
async fn json_has_every_field() {
    let reading = reading(a_day()).await;
    expect![[r#"
        id "01a31938-0a00-86f2-b4ef-c1dbfdf52817"
        job "report"
        scheduled_for "2027-01-15T12:00:00Z"
        due_at "2027-01-15T12:00:00Z"
        cause "schedule"
        state "running"
        attempts 1
        started_at "2027-01-15T12:00:00.002Z"
        outcome null
        error null
        note null
        finished_at null
        duration_ms null
        cpu_time_ms null
        memory_peak_bytes null
        fuel_used null
        usage null
        generation null
        digest null
        retry_at null

        id "01a3192e-e240-88b4-be02-0cc641159687"
        job "report"
        scheduled_for "2027-01-15T11:50:00Z"
        due_at "2027-01-15T11:50:00Z"
        cause "schedule"
        state "retrying"
        attempts 1
        started_at null
        outcome null
        error null
        note null
        finished_at null
        duration_ms null
        cpu_time_ms null
        memory_peak_bytes null
        fuel_used null
        usage null
        generation null
        digest null
        retry_at "2027-01-15T12:00:30Z"
    "#]]
    .assert_eq(&fields(&listed(&reading, "--job report --since 11m -n 2 -o json").await));
    expect![[r#"
        id "01a31925-ba80-8292-9294-685b2c576701"
        job "report"
        scheduled_for "2027-01-15T11:40:00Z"
        due_at "2027-01-15T11:40:00Z"
        cause "schedule"
        state "ended"
        attempts 1
        started_at "2027-01-15T11:40:00.003Z"
        outcome "timeout.cpu"
        error "more than 10s"
        note null
        finished_at "2027-01-15T11:40:01.003Z"
        duration_ms 1000.0
        cpu_time_ms 40.0
        memory_peak_bytes 3145728
        fuel_used null
        usage {}
        generation 2
        digest "abababababababababababababababababababababababababababababababab"
        retry_at null
    "#]]
    .assert_eq(&fields(&listed(&reading, "--outcome timeout.cpu -o json").await));
    expect!["[]"].assert_eq(&listed(&reading, "--since 2027-02-01 -o json").await);
}

/// A run whose second attempt succeeded.
async fn retried_and_succeeded() -> Reading {
    let it = run("report", minutes(-10));
    let end = Arc::new(talkative(finish(&it, 2, OutcomeCode::Succeeded, "")));
    let mut changes = vec![Change::Job(seen("report"))];
    changes.extend(retried(&it, now()));
    changes.extend([claim(&it, 2, now()), Change::Finish(end)]);
    reading(changes).await
}

#[tokio::test]
async fn a_run_is_shown_with_all_its_attempts() {
    let reading = retried_and_succeeded().await;
    expect![[r#"
        report: succeeded in 1s

        run         01a3192e-e240-88b4-be02-0cc641159687
        job         report
        slot        2027-01-15 11:50:00Z
        due         11:50:00.000Z; the first attempt began 3ms later
        cause       schedule: a slot of its trigger
        finished    11:50:01.003Z
        memory      3MiB
        cpu time    40ms
        generation  2
        digest      abababababababababababababababababababababababababababababababab

        attempts
          NO  OUTCOME    STARTED        TOOK  MESSAGE
          1   failed     11:50:00.003Z  1s    no route
          2   succeeded  11:50:00.003Z  1s

        output
          {
            "sum": 7
          }

        logs (2 lines, 5 more lines left out)
          11:50:01.003Z info  read rows=10
          11:50:01.003Z error bell \u{7} rung rows=10

        stdout (100 bytes, 92 of them left out of the middle)
          one
          two"#]]
    .assert_eq(&told(show(&reading, "report@latest", Output::Table).await));
}

#[tokio::test]
async fn a_run_in_json_has_every_field_and_attempt() {
    let reading = retried_and_succeeded().await;
    expect![[r#"
        id "01a3192e-e240-88b4-be02-0cc641159687"
        job "report"
        scheduled_for "2027-01-15T11:50:00Z"
        due_at "2027-01-15T11:50:00Z"
        cause "schedule"
        state "ended"
        attempts 2
        started_at "2027-01-15T11:50:00.003Z"
        outcome "succeeded"
        error null
        note null
        finished_at "2027-01-15T11:50:01.003Z"
        duration_ms 1000.0
        cpu_time_ms 40.0
        memory_peak_bytes 3145728
        fuel_used null
        usage {}
        generation 2
        digest "abababababababababababababababababababababababababababababababab"
        retry_at null
        payload null
        args null
        output {"sum":7}
        stdout "one\ntwo\n"
        stdout_bytes 100
        stdout_truncated true
        stderr ""
        stderr_bytes 0
        stderr_truncated false
        logs [{"at":"2027-01-15T11:50:01.003Z","level":"info","message":"read","fields":{"rows":"10"}},{"at":"2027-01-15T11:50:01.003Z","level":"error","message":"bell \u0007 rung","fields":{"rows":"10"}}]
        logs_dropped 5
        progress null
        attempt_list [{"number":1,"started_at":"2027-01-15T11:50:00.003Z","outcome":"failed","error":"no route","note":null,"finished_at":"2027-01-15T11:50:01.003Z","duration_ms":1000.0,"cpu_time_ms":40.0,"memory_peak_bytes":3145728,"fuel_used":null,"usage":{},"generation":2,"digest":"abababababababababababababababababababababababababababababababab","output":null,"stdout":"","stdout_bytes":0,"stdout_truncated":false,"stderr":"","stderr_bytes":0,"stderr_truncated":false,"logs":[],"logs_dropped":0},{"number":2,"started_at":"2027-01-15T11:50:00.003Z","outcome":"succeeded","error":null,"note":null,"finished_at":"2027-01-15T11:50:01.003Z","duration_ms":1000.0,"cpu_time_ms":40.0,"memory_peak_bytes":3145728,"fuel_used":null,"usage":{},"generation":2,"digest":"abababababababababababababababababababababababababababababababab","output":{"sum":7},"stdout":"one\ntwo\n","stdout_bytes":100,"stdout_truncated":true,"stderr":"","stderr_bytes":0,"stderr_truncated":false,"logs":[{"at":"2027-01-15T11:50:01.003Z","level":"info","message":"read","fields":{"rows":"10"}},{"at":"2027-01-15T11:50:01.003Z","level":"error","message":"bell \u0007 rung","fields":{"rows":"10"}}],"logs_dropped":5}]
    "#]].assert_eq(&fields(&told(show(&reading, "report@latest", Output::Json).await)));
}

#[tokio::test]
async fn runs_that_have_not_ended_are_shown_too() {
    let reading = reading(a_day()).await;
    let first = async |run: &str| told(show(&reading, run, Output::Table).await);
    expect![[r#"
        report: waits for attempt 2, which is due at 12:00:30.000Z

        run         01a3192e-e240-88b4-be02-0cc641159687
        job         report
        slot        2027-01-15 11:50:00Z
        due         11:50:00.000Z; the first attempt began 3ms later
        cause       schedule: a slot of its trigger

        attempts
          NO  OUTCOME  STARTED        TOOK  MESSAGE
          1   failed   11:50:00.003Z  1s    no route"#]]
    .assert_eq(&first("report@2027-01-15T11:50Z").await);
    expect![[r#"
        report: running since 12:00:00.002Z, attempt 1

        run         01a31938-0a00-86f2-b4ef-c1dbfdf52817
        job         report
        slot        2027-01-15 12:00:00Z
        due         12:00:00.000Z; the first attempt began 2ms later
        cause       schedule: a slot of its trigger

        attempts
          NO  OUTCOME  STARTED        TOOK  MESSAGE
          1   running  12:00:00.002Z  -"#]]
    .assert_eq(&first("report@latest").await);
    expect![[r#"
        report: planned

        run         01a31941-31c0-8a1d-a7b0-509b6759267a
        job         report
        slot        2027-01-15 12:10:00Z
        due         12:10:00.000Z
        cause       schedule: a slot of its trigger

        attempts
          none has begun"#]]
    .assert_eq(&first("report@2027-01-15T12:10").await);
}

#[tokio::test]
async fn runs_are_found_by_what_a_person_writes() {
    let reading = reading(a_day()).await;
    let first = async |run: &str| {
        let told = told(show(&reading, run, Output::Table).await);
        if told.starts_with("error") { told } else { told.lines().next().unwrap_or_default().to_owned() }
    };
    let id = run("backup", minutes(-15)).id.to_string();
    let mut lines = Vec::new();
    for text in [&*id, &id[..13], &id[..8].to_uppercase(), "backup@2027-01-15T12:45", "backup@latest"] {
        lines.push(first(text).await);
    }
    for text in
        ["report@2027-01-15T11:15Z", "chained@latest", "reprot@latest", "abc", "report", "000000", "0123456789ab"]
    {
        lines.push(first(text).await);
    }
    expect![[r#"
        backup: trap.unreachable in 1s: a panic
        backup: trap.unreachable in 1s: a panic
        backup: trap.unreachable in 1s: a panic
        backup: trap.unreachable in 1s: a panic
        backup: trap.unreachable in 1s: a panic
        error: job `report` has no run of 2027-01-15T11:15:00Z; `clockjack why report --at 2027-01-15T11:15:00Z` says what became of it
        error: job `chained` has no run yet; ask `clockjack why chained`
        error: neither the ledger nor the manifest has a job `reprot`; did you mean `report`?
        error: `abc` has fewer digits than say which run is meant; write its whole id, at least the first 6 digits of it, `JOB@latest` or `JOB@INSTANT`
        error: `report` is no run; write its whole id, at least the first 6 digits of it, `JOB@latest` or `JOB@INSTANT`
        error: the ledger has no run `000000`; `clockjack runs` lists what there is. Runs go when they are older or more than `keep` of their job says
        error: the ledger has no run `0123456789ab`; `clockjack runs` lists what there is. Runs go when they are older or more than `keep` of their job says"#]].assert_eq(&lines.join("\n"));
}
