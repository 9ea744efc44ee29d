//! The contract of the ledger port, as tests that every implementation passes.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use clockjack_schedule::{
    id::{JobId, RunId},
    outcome::{Outcome, OutcomeCode},
    ports::{Change, Finish, Ledger, Report, RunFilter},
    run::{Cause, Run, Skip, SkipReason},
};

/// Opens an empty ledger.
pub type Open<'o> = dyn Fn() -> Pin<Box<dyn Future<Output = Arc<dyn Ledger>>>> + 'o;

/// Checks the whole contract. Panics with the clause that does not hold.
pub async fn check(open: impl Fn() -> Pin<Box<dyn Future<Output = Arc<dyn Ledger>>>>) {
    let open: &Open<'_> = &open;
    a_run_is_planned_once_and_finished_once(open).await;
    a_plan_can_be_taken_back_until_it_is_finished(open).await;
    a_skip_takes_the_place_of_its_run(open).await;
    a_job_keeps_what_was_first_seen(open).await;
    the_watermark_never_moves_back(open).await;
    filters_narrow_and_the_newest_slot_comes_first(open).await;
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

/// The run of the slot that is `seconds` after the suite's epoch.
#[must_use]
pub fn run(id: &str, seconds: i64) -> Arc<Run> {
    let slot = at(seconds);
    let job = job(id);
    Arc::new(Run { id: RunId::of_slot(&job, slot), job, scheduled_for: slot, due_at: slot, cause: Cause::Schedule })
}

/// The end of a run.
#[must_use]
pub fn finish(run: &Run, code: OutcomeCode) -> Change {
    Change::Finish(Box::new(Finish {
        run: run.id,
        job: run.job.clone(),
        started_at: Some(run.scheduled_for),
        finished_at: run.scheduled_for + TimeDelta::seconds(1),
        duration: Duration::from_secs(1),
        n_attempts: 1,
        report: Report::without_guest(Outcome::ended(code, "")),
    }))
}

async fn a_run_is_planned_once_and_finished_once(open: &Open<'_>) {
    let ledger = open().await;
    let run = run("a", 0);
    ledger.commit(vec![Change::Plan(Arc::clone(&run))]).await.expect("a plan is kept");
    let again = Arc::new(Run { cause: Cause::Manual, ..Run::clone(&run) });
    ledger.commit(vec![Change::Plan(again)]).await.expect("a plan may be repeated");
    let rows = ledger.runs(RunFilter::default()).await.expect("runs can be read");
    assert_eq!(rows.len(), 1, "a repeated plan changes nothing");
    assert_eq!(*rows[0].run, *run, "a repeated plan changes nothing");
    assert_eq!(rows[0].finish, None, "a planned run has no end");

    let finished = ledger.commit(vec![finish(&run, OutcomeCode::Failed)]).await.expect("an end is kept");
    assert_eq!(finished.n_stale, 0, "the first end counts");
    let stale = ledger.commit(vec![finish(&run, OutcomeCode::Succeeded)]).await.expect("a late end is no failure");
    assert_eq!(stale.n_stale, 1, "a second end is stale");
    let rows = ledger.runs(RunFilter::default()).await.expect("runs can be read");
    let code = rows[0].finish.as_ref().map(|finish| finish.report.outcome.code);
    assert_eq!(code, Some(OutcomeCode::Failed), "a second end changes nothing");

    let unknown = ledger.commit(vec![finish(&self::run("b", 0), OutcomeCode::Succeeded)]).await;
    assert_eq!(unknown.expect("an unknown end is no failure").n_stale, 1, "the end of an unknown run is stale");
}

async fn a_plan_can_be_taken_back_until_it_is_finished(open: &Open<'_>) {
    let ledger = open().await;
    let (kept, taken) = (run("a", 0), run("a", 1));
    let plans =
        vec![Change::Plan(Arc::clone(&kept)), finish(&kept, OutcomeCode::Succeeded), Change::Plan(Arc::clone(&taken))];
    ledger.commit(plans).await.expect("plans are kept");
    ledger.commit(vec![Change::TakeBack(kept.id), Change::TakeBack(taken.id)]).await.expect("plans are taken back");
    let rows = ledger.runs(RunFilter::default()).await.expect("runs can be read");
    assert_eq!(rows.iter().map(|row| row.run.id).collect::<Vec<_>>(), [kept.id], "only the finished run stays");
}

async fn a_skip_takes_the_place_of_its_run(open: &Open<'_>) {
    let ledger = open().await;
    let run = run("a", 0);
    let skip =
        Skip { job: job("a"), run: Some(run.id), first: at(0), last: at(0), count: 1, reason: SkipReason::Overlapping };
    ledger.commit(vec![Change::Plan(Arc::clone(&run)), Change::Skip(skip.clone())]).await.expect("a skip is kept");
    let rows = ledger.runs(RunFilter::default()).await.expect("runs can be read");
    assert_eq!(rows, [], "a slot has one disposition");
    assert_eq!(
        ledger.skips(Some(job("a")), 10).await.expect("skips can be read"),
        std::slice::from_ref(&skip),
        "the skip is told"
    );
    assert_eq!(ledger.skips(Some(job("b")), 10).await.expect("skips can be read"), [], "of its job only");
    assert_eq!(ledger.skips(None, 10).await.expect("skips can be read"), [skip], "or of all jobs");
}

async fn a_job_keeps_what_was_first_seen(open: &Open<'_>) {
    let ledger = open().await;
    let seen = |seconds| Change::Seen { job: job("a"), at: at(seconds) };
    ledger.commit(vec![seen(5), seen(9)]).await.expect("a job is seen");
    let run = run("a", 7);
    ledger
        .commit(vec![Change::Plan(Arc::clone(&run)), finish(&run, OutcomeCode::Succeeded)])
        .await
        .expect("a run is kept");
    let rows = ledger.load().await.expect("jobs can be read");
    assert_eq!(rows.len(), 1, "one job was seen");
    assert_eq!(rows[0].first_seen, at(5), "the first sight stays");
    assert_eq!(rows[0].last_success, Some(at(7)), "the slot of the last success is known");
    assert_eq!(rows[0].last_finished, Some(at(8)), "the end of the last run is known");
}

async fn the_watermark_never_moves_back(open: &Open<'_>) {
    let ledger = open().await;
    ledger.commit(vec![Change::Seen { job: job("a"), at: at(0) }]).await.expect("a job is seen");
    for seconds in [10, 4] {
        ledger.commit(vec![Change::Watermark(at(seconds))]).await.expect("a watermark is kept");
        let rows = ledger.load().await.expect("jobs can be read");
        assert_eq!(rows[0].decided_until, at(10), "the watermark never moves back");
    }
}

async fn filters_narrow_and_the_newest_slot_comes_first(open: &Open<'_>) {
    let ledger = open().await;
    let runs = [run("a", 0), run("b", 1), run("a", 2)];
    let mut changes: Vec<_> = runs.iter().map(|run| Change::Plan(Arc::clone(run))).collect();
    changes.push(finish(&runs[0], OutcomeCode::Failed));
    ledger.commit(changes).await.expect("runs are kept");
    let found = async |filter: RunFilter| {
        let rows = ledger.runs(filter).await.expect("runs can be read");
        rows.iter().map(|row| row.run.scheduled_for.signed_duration_since(at(0)).num_seconds()).collect::<Vec<_>>()
    };
    assert_eq!(found(RunFilter::default()).await, [2, 1, 0], "newest slot first");
    assert_eq!(found(RunFilter { job: Some(job("a")), ..RunFilter::default() }).await, [2, 0], "by job");
    assert_eq!(
        found(RunFilter { outcome: Some(OutcomeCode::Failed), ..RunFilter::default() }).await,
        [0],
        "by outcome"
    );
    assert_eq!(found(RunFilter { since: Some(at(1)), ..RunFilter::default() }).await, [2, 1], "by slot");
    assert_eq!(found(RunFilter { n_max: 1, ..RunFilter::default() }).await, [2], "bounded");
}
