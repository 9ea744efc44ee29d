//! A scene for the tests of every command that reads: a manifest from text, a ledger filled by hand, and a fixed now.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use clockjack_ledger::MemoryLedger;
use clockjack_schedule::{
    diagnostic::Source,
    id::{JobId, RunId},
    job::Ceilings,
    manifest::{
        directories::Found,
        resolve::{ResolveOptions, resolve_partial},
    },
    outcome::{Outcome, OutcomeCode},
    ports::{Again, Captured, Change, Claim, Finish, Ledger as _, LogLevel, LogLine, Report},
    run::{Cause, JobState, Run, Skip, SkipReason},
    zone::Zones,
};

use super::{Answer, Reading, Trouble};

const MANIFEST: &str = "
version: 1
pools: { small: { size: 1 } }
jobs:
  backup:
    plugin: ./a.wasm
    call: save
    cron: 30 9 * * *
    timezone: Europe/Berlin
    pool: small
  chained: { plugin: ./a.wasm, after: report }
  mirror: { plugin: ./a.wasm, every: 1h, paused: true }
  report:
    plugin: ./a.wasm
    cron: '*/10 * * * *'
    misfire_grace: 5m
    retry: { attempts: 3 }
";

/// What a test's clock shows: a Friday.
pub(in crate::cli) fn now() -> DateTime<Utc> {
    "2027-01-15T12:00:00Z".parse().unwrap()
}

/// The instant that is so many minutes from now.
pub(in crate::cli) fn minutes(minutes: i64) -> DateTime<Utc> {
    now() + TimeDelta::minutes(minutes)
}

pub(in crate::cli) fn job(id: &str) -> JobId {
    id.parse().unwrap()
}

/// The run of a slot.
pub(in crate::cli) fn run(id: &str, slot: DateTime<Utc>) -> Run {
    let job = job(id);
    Run {
        id: RunId::of_slot(&job, slot),
        job,
        scheduled_for: slot,
        due_at: slot,
        cause: Cause::Schedule,
        payload: None,
    }
}

pub(in crate::cli) fn plan(run: &Run) -> Change {
    Change::Plan(Arc::new(run.clone()))
}

pub(in crate::cli) fn claim(run: &Run, attempt: u32, at: DateTime<Utc>) -> Change {
    Change::Claim(Claim { job: run.job.clone(), run: run.id, attempt, at })
}

/// The end of an attempt that began a moment after the run was due and took a second.
pub(in crate::cli) fn finish(run: &Run, number: u32, code: OutcomeCode, message: &str) -> Finish {
    let started_at = run.due_at + TimeDelta::milliseconds(3);
    let report = Report {
        cpu_time: Duration::from_millis(40),
        memory_peak_bytes: 3 << 20,
        generation: 2,
        digest: "ab".repeat(32).into(),
        ..Report::without_guest(Outcome::ended(code, message))
    };
    Finish {
        run: run.id,
        job: run.job.clone(),
        started_at: Some(started_at),
        finished_at: started_at + TimeDelta::seconds(1),
        duration: Duration::from_secs(1),
        n_attempts: number,
        report,
        state: None,
    }
}

/// A report of a guest that said something.
pub(in crate::cli) fn talkative(mut finish: Finish) -> Finish {
    let line = |level, message: &str| LogLine {
        at: finish.finished_at,
        level,
        message: message.to_owned(),
        fields: vec![("rows".to_owned(), "10".to_owned())],
    };
    finish.report.logs = vec![line(LogLevel::Info, "read"), line(LogLevel::Error, "bell \u{7} rung")];
    finish.report.n_logs_dropped = 5;
    finish.report.stdout = Captured { text: "one\ntwo\n".to_owned(), n_bytes: 100, n_bytes_dropped: 92 };
    finish.report.outcome.output = Some(serde_json::json!({ "sum": 7 }));
    finish
}

/// A run from its plan to its end.
pub(in crate::cli) fn ended(run: &Run, code: OutcomeCode, message: &str) -> Vec<Change> {
    let finish = finish(run, 1, code, message);
    vec![plan(run), claim(run, 1, run.due_at), Change::Finish(Arc::new(finish))]
}

/// A first attempt that failed; the second one is due so many minutes from now.
pub(in crate::cli) fn retried(run: &Run, retry_at: DateTime<Utc>) -> Vec<Change> {
    let finish = finish(run, 1, OutcomeCode::Failed, "no route");
    vec![plan(run), claim(run, 1, run.due_at), Change::Again(Arc::new(Again { finish, retry_at }))]
}

pub(in crate::cli) fn skip(id: &str, first: i64, last: i64, count: u64, reason: SkipReason) -> Skip {
    let (first, last) = (minutes(first), minutes(last));
    Skip { job: job(id), run: None, first, last, count, reason, at: last + TimeDelta::minutes(7), by: None }
}

/// A job that was seen a day ago.
pub(in crate::cli) fn seen(id: &str) -> JobState {
    JobState {
        job: job(id),
        first_seen: minutes(-24 * 60),
        decided_until: minutes(-24 * 60),
        paused: false,
        paused_with_all: false,
        paused_in_manifest: false,
        trigger_hash: 0,
        removed_at: None,
    }
}

/// A ledger in which this happened, and a manifest of four jobs.
pub(in crate::cli) async fn reading(changes: Vec<Change>) -> Reading {
    let zones = Zones::bundled();
    let sources = [Source::new("clockjack.yaml", MANIFEST)];
    let (folders, ceilings) = ([PathBuf::new()], Ceilings::default());
    let options = ResolveOptions {
        zones: &zones,
        variables: &|_| None,
        folders: &folders,
        ceilings: &ceilings,
        n_named: 1,
        found: Found::default(),
    };
    let (manifest, diagnostics) = resolve_partial(&sources, &options);
    assert!(!diagnostics.has_errors(), "{diagnostics:?}");
    let ledger = MemoryLedger::default();
    ledger.commit(changes).await.unwrap();
    let unread = BTreeSet::new();
    Reading { ledger: Arc::new(ledger), manifest, knows_all_jobs: true, unread, zones, now: now() }
}

/// All of an answer as one text, for snapshots.
pub(in crate::cli) fn told(answer: Result<Answer, Trouble>) -> String {
    match answer {
        Ok(Answer { data, talk: None }) => data,
        Ok(Answer { data, talk: Some(talk) }) if data.is_empty() => format!("# {talk}"),
        Ok(Answer { data, talk: Some(talk) }) => format!("{data}\n# {talk}"),
        Err(Trouble::Asked(_, problem)) => format!("error: {problem}"),
        Err(Trouble::Host(error)) => format!("host: {error:#}"),
    }
}

#[tokio::test]
async fn moments_are_instants_local_times_or_ages() {
    let reading = reading(Vec::new()).await;
    let zone = reading.zone(Some(&job("backup")));
    let moment = |text: &str| match reading.moment("--since", text, &zone) {
        Ok(at) => at.to_rfc3339(),
        Err(Trouble::Asked(_, problem)) => problem,
        Err(Trouble::Host(error)) => error.to_string(),
    };
    let texts = ["2h", "2h ago", "2027-01-15T09:30", "2027-01-15T09:30Z", "900000d", "2027-02-30", "soon"];
    expect_test::expect![[r#"
        2027-01-15T10:00:00+00:00
        2027-01-15T10:00:00+00:00
        2027-01-15T08:30:00+00:00
        2027-01-15T09:30:00+00:00
        --since: expected `-`, found `0`; write a date such as `2026-12-24`; how long ago is written `2h`
        --since: day 30 does not exist: February has at most 29 days; how long ago is written `2h`
        --since: expected the year in 4 digits, found `s`; write a date such as `2026-12-24`; how long ago is written `2h`"#]].assert_eq(&texts.map(moment).join("\n"));
}
