//! The contract of the ledger port, as tests that every implementation passes.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use clockjack_schedule::{
    id::{JobId, RunId},
    outcome::{Outcome, OutcomeCode},
    payload::Payload,
    ports::{
        Again, Captured, Change, Claim, Committed, Finish, GenerationRow, Ledger, LogLevel, LogLine, Report, Usage,
    },
    run::{Cause, JobState, Run, Skip, SkipReason},
};

mod changes;
mod documents;
mod generations;
mod prune;
mod reads;
pub mod refinement;
mod state;

/// Opens an empty ledger.
pub type Open<'o> = dyn Fn() -> Pin<Box<dyn Future<Output = Arc<dyn Ledger>>>> + 'o;

/// Checks the whole contract. Panics with the clause that does not hold.
pub async fn check(open: impl Fn() -> Pin<Box<dyn Future<Output = Arc<dyn Ledger>>>>) {
    let open: &Open<'_> = &open;
    changes::check(open).await;
    reads::check(open).await;
    prune::check(open).await;
    state::check(open).await;
    generations::check(open).await;
    documents::check(open).await;
}

/// The instant that is `seconds` after the suite's epoch.
#[must_use]
pub fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_800_000_000 + seconds)
}

/// A job's id.
#[must_use]
pub fn job(id: &str) -> JobId {
    id.parse().expect("the suite's ids are valid")
}

/// What is known of a job that was first seen at an instant.
#[must_use]
pub fn state(id: &str, seconds: i64) -> JobState {
    JobState {
        job: job(id),
        first_seen: at(seconds),
        decided_until: at(seconds),
        paused: false,
        paused_with_all: false,
        paused_in_manifest: false,
        trigger_hash: u64::MAX - 1,
        removed_at: None,
    }
}

/// The run of the slot that is `seconds` after the suite's epoch.
#[must_use]
pub fn run(id: &str, seconds: i64) -> Arc<Run> {
    let slot = at(seconds);
    let job = job(id);
    Arc::new(Run {
        id: RunId::of_slot(&job, slot),
        job,
        scheduled_for: slot,
        due_at: slot,
        cause: Cause::Schedule,
        payload: None,
    })
}

/// What may come with the wish for a run.
#[must_use]
pub fn payload() -> Option<Payload> {
    let json = r#"{"text":"ü\u0000\"","list":[1,-2,0.1,18446744073709551615,null,true],"map":{"":{}}}"#;
    Payload::new(serde_json::from_str(json).expect("it is JSON")).ok()
}

/// A run becomes known.
#[must_use]
pub fn plan(run: &Arc<Run>) -> Change {
    Change::Plan(Arc::clone(run))
}

/// An attempt of a run is about to begin, so many seconds after its slot.
#[must_use]
pub fn claim(run: &Run, attempt: u32, seconds: i64) -> Change {
    let at = run.scheduled_for + TimeDelta::seconds(seconds);
    Change::Claim(Claim { job: run.job.clone(), run: run.id, attempt, at })
}

/// A claim is taken back.
#[must_use]
pub fn release(run: &Run) -> Change {
    Change::Release { job: run.job.clone(), run: run.id }
}

/// A plan is taken back.
#[must_use]
pub fn take_back(run: &Run) -> Change {
    Change::TakeBack { job: run.job.clone(), run: run.id }
}

/// The end of a run.
#[must_use]
pub fn finish(run: &Run, code: OutcomeCode) -> Change {
    Change::Finish(Arc::new(end(run, code, 1)))
}

/// The end of an attempt; the next one is due ten seconds after the slot.
#[must_use]
pub fn again(run: &Run, code: OutcomeCode, number: u32) -> Change {
    let retry_at = run.scheduled_for + TimeDelta::seconds(10);
    Change::Again(Arc::new(Again { finish: end(run, code, number), retry_at }))
}

/// How an attempt ended, with nothing written.
#[must_use]
pub fn end(run: &Run, code: OutcomeCode, n_attempts: u32) -> Finish {
    Finish {
        run: run.id,
        job: run.job.clone(),
        started_at: Some(run.scheduled_for),
        finished_at: run.scheduled_for + TimeDelta::seconds(1),
        duration: Duration::from_secs(1),
        n_attempts,
        report: Report::without_guest(Outcome::ended(code, "")),
        state: None,
    }
}

/// A report with something in every place. `number` tells it from others.
#[must_use]
pub fn full_report(code: OutcomeCode, number: u32) -> Report {
    let captured = |text: &str| Captured { text: format!("{text} {number}\n\0ü"), n_bytes: 99, n_bytes_dropped: 7 };
    let line = |level, fields: &[(&str, &str)]| LogLine {
        at: at(i64::from(number)),
        level,
        message: format!("line of attempt {number}"),
        fields: fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    };
    Report {
        outcome: Outcome {
            code,
            message: "exit code 3".to_owned(),
            output: Some(serde_json::json!({"b": [1, null, 0.1], "a": {"": "ü"}, "n": number})),
            again: clockjack_schedule::outcome::Again::After(Duration::from_millis(1_500)),
        },
        cpu_time: Duration::from_nanos(1_234_567),
        memory_peak_bytes: 1 << 33,
        fuel_used: Some(u64::MAX),
        usage: full_usage(number),
        stdout: captured("out"),
        stderr: captured("err"),
        logs: vec![
            line(LogLevel::Trace, &[]),
            line(LogLevel::Error, &[("key", "value"), ("key", "")]),
            line(LogLevel::Warn, &[]),
        ],
        n_logs_dropped: 12,
        progress: Some("half way".to_owned()),
        generation: 3,
        digest: "3f1c".repeat(16).into(),
        code: None,
        state: None,
    }
}

/// A usage with another figure in every place.
fn full_usage(number: u32) -> Usage {
    let mut usage = Usage::default();
    for (index, (_, place)) in (1_u64..).zip(Usage::FIGURES) {
        *place(&mut usage) = (u64::MAX >> index) - u64::from(number);
    }
    usage
}

/// Slots that became no run.
#[must_use]
pub fn skip(id: &str, first: i64, last: i64, reason: SkipReason) -> Skip {
    let count = u64::try_from(last - first + 1).unwrap_or_default();
    Skip { job: job(id), run: None, first: at(first), last: at(last), count, reason, at: at(last + 1), by: None }
}

/// Code of a plugin that came into force so many seconds after the suite's epoch.
#[must_use]
pub fn generation(plugin: &str, number: u32, seconds: i64) -> GenerationRow {
    GenerationRow {
        plugin: plugin.parse().expect("the suite's plugins have valid names"),
        number,
        digest: format!("{number:064x}").into(),
        n_bytes: u64::MAX - u64::from(number),
        source: "plugins/\u{fc} a.wasm".into(),
        since: at(seconds),
        cause: "file changed".into(),
        approved: false,
        unproven: false,
        left: None,
    }
}

/// Keeps a batch, repeats it, and says what the first time did. The second time changes nothing that can be seen.
pub(crate) async fn commit(ledger: &dyn Ledger, changes: Vec<Change>) -> Committed {
    let committed = ledger.commit(changes.clone()).await.expect("a batch is kept");
    let before = refinement::seen(ledger).await;
    ledger.commit(changes).await.expect("a batch may be repeated");
    assert_eq!(refinement::seen(ledger).await, before, "a repeated batch changes nothing");
    committed
}
