//! What can be read: order, filters, pages, and a run with all that is kept of it.

use std::sync::Arc;

use chrono::TimeDelta;
use clockjack_schedule::{
    id::RunId,
    outcome::OutcomeCode,
    ports::{
        Captured, Change, JobFilter, Ledger, RunFilter, RunPhase, RunPlace, RunRow, RunState, RunStory, SkipFilter,
        SkipPlace,
    },
    run::{Cause, Run, SkipReason},
};

use super::{Open, again, at, claim, commit, end, finish, full_report, job, payload, plan, run, skip, state};

pub(super) async fn check(open: &Open<'_>) {
    the_newest_slot_comes_first(open).await;
    filters_narrow(open).await;
    pages_follow_each_other(open).await;
    a_run_is_told_with_all_that_is_kept_of_it(open).await;
    a_listed_run_has_no_heavy_parts(open).await;
    skips_are_told_newest_first(open).await;
    open_runs_are_loaded_oldest_first(open).await;
    runs_are_found_by_how_far_they_are(open).await;
    jobs_are_told_with_their_last_run(open).await;
    every_cause_and_outcome_reads_back(open).await;
}

async fn ids(ledger: &dyn Ledger, filter: RunFilter) -> Vec<RunId> {
    ledger.runs(filter).await.expect("runs can be read").iter().map(|row| row.run.id).collect()
}

async fn the_newest_slot_comes_first(open: &Open<'_>) {
    let ledger = open().await;
    let manual = |seconds, request| {
        let id = RunId::of_request(&job("a"), at(seconds), request);
        Arc::new(Run { id, cause: Cause::Manual, ..Run::clone(&run("a", seconds)) })
    };
    let mut runs = [run("a", 0), run("b", 0), run("c", 0), run("a", 5), manual(5, 1), manual(5, 2), run("b", 3)];
    commit(&*ledger, runs.iter().map(plan).collect()).await;
    // Some have ended and some have not: the order is one.
    commit(&*ledger, vec![finish(&runs[1], OutcomeCode::Failed), finish(&runs[4], OutcomeCode::Succeeded)]).await;
    runs.sort_by_key(|run| std::cmp::Reverse((run.scheduled_for, run.job.clone(), run.id)));
    let wanted: Vec<_> = runs.iter().map(|run| run.id).collect();
    assert_eq!(ids(&*ledger, RunFilter::default()).await, wanted, "slot, then job, then run, the greatest first");
}

async fn filters_narrow(open: &Open<'_>) {
    let ledger = open().await;
    let runs = [run("a", 0), run("b", 1), run("a", 2)];
    commit(&*ledger, runs.iter().map(plan).collect()).await;
    commit(&*ledger, vec![finish(&runs[0], OutcomeCode::Failed), finish(&runs[1], OutcomeCode::Succeeded)]).await;
    let found = async |filter: RunFilter| {
        let rows = ledger.runs(filter).await.expect("runs can be read");
        rows.iter().map(|row| row.run.scheduled_for.signed_duration_since(at(0)).num_seconds()).collect::<Vec<_>>()
    };
    let any = RunFilter::default;
    assert_eq!(found(any()).await, [2, 1, 0], "all");
    assert_eq!(found(RunFilter { job: Some(job("a")), ..any() }).await, [2, 0], "by job");
    assert_eq!(found(RunFilter { job: Some(job("ab")), ..any() }).await, [0; 0], "by unknown job");
    assert_eq!(found(RunFilter { outcome: Some(OutcomeCode::Failed), ..any() }).await, [0], "by outcome");
    assert_eq!(found(RunFilter { since: Some(at(1)), ..any() }).await, [2, 1], "from a slot on");
    assert_eq!(found(RunFilter { until: Some(at(1)), ..any() }).await, [0], "before a slot");
    assert_eq!(found(RunFilter { n_max: 1, ..any() }).await, [2], "bounded");
    let all = RunFilter {
        job: Some(job("a")),
        outcome: Some(OutcomeCode::Failed),
        phase: Some(RunPhase::Ended),
        since: Some(at(0)),
        until: Some(at(2)),
        beyond: Some(RunPlace::of(&runs[1])),
        n_max: 5,
    };
    assert_eq!(found(all).await, [0], "by all of them");
}

async fn pages_follow_each_other(open: &Open<'_>) {
    let ledger = open().await;
    let mut runs = Vec::new();
    for seconds in 0..4 {
        runs.extend(["a", "b", "c", "d", "e"].map(|id| run(id, seconds)));
    }
    commit(&*ledger, runs.iter().map(plan).collect()).await;
    commit(&*ledger, runs.iter().step_by(3).map(|run| finish(run, OutcomeCode::Failed)).collect()).await;
    let all = ids(&*ledger, RunFilter::default()).await;
    for n_max in [1, 3, 7, 100] {
        let mut beyond = None;
        let mut read = Vec::new();
        loop {
            let filter = RunFilter { beyond, n_max, ..RunFilter::default() };
            let page = ledger.runs(filter).await.expect("runs can be read");
            let Some(last) = page.last() else { break };
            beyond = Some(RunPlace::of(&last.run));
            read.extend(page.iter().map(|row| row.run.id));
        }
        assert_eq!(read, all, "pages of {n_max}");
    }
    let gone = RunPlace { slot: at(1), job: job("c"), run: RunId::from_u128(7) };
    let rest = ids(&*ledger, RunFilter { beyond: Some(gone.clone()), ..RunFilter::default() }).await;
    let mut all = ledger.runs(RunFilter::default()).await.expect("runs can be read");
    all.retain(|row| RunPlace::of(&row.run) < gone);
    assert_eq!(rest, all.iter().map(|row| row.run.id).collect::<Vec<_>>(), "no run needs to be at the place");
}

async fn a_run_is_told_with_all_that_is_kept_of_it(open: &Open<'_>) {
    let ledger = open().await;
    let run = Arc::new(Run {
        due_at: at(0) + TimeDelta::microseconds(1_234_567),
        cause: Cause::CatchUp(u64::MAX),
        payload: payload(),
        ..Run::clone(&run("a", 0))
    });
    assert_eq!(ledger.run(run.id).await.expect("a run can be read"), None, "what is not there is not told");
    let mut attempts = Vec::new();
    commit(&*ledger, vec![plan(&run)]).await;
    for number in 1..=2 {
        let mut change = again(&run, OutcomeCode::Failed, number);
        if let Change::Again(again) = &mut change {
            Arc::make_mut(again).finish.report = full_report(OutcomeCode::Failed, number);
            attempts.push(again.finish.clone());
        }
        commit(&*ledger, vec![change]).await;
    }
    commit(&*ledger, vec![claim(&run, 3, 11)]).await;
    let state = RunState::Open { n_attempts: 2, claimed_at: Some(at(11)), retry_at: Some(at(10)) };
    let row = RunRow { run: Arc::clone(&run), state };
    let story = RunStory { row, attempts: attempts.clone() };
    assert_eq!(ledger.run(run.id).await.expect("a run can be read"), Some(story), "while it is open");

    let mut last = end(&run, OutcomeCode::Succeeded, 3);
    last.report = full_report(OutcomeCode::Succeeded, 3);
    commit(&*ledger, vec![Change::Finish(Arc::new(last.clone()))]).await;
    let row = RunRow { run: Arc::clone(&run), state: RunState::Ended(Arc::new(last)) };
    let story = RunStory { row, attempts };
    assert_eq!(ledger.run(run.id).await.expect("a run can be read"), Some(story), "when it has ended");

    // Between two attempts somebody cancels it: the end has the number of the attempt before.
    let cut = super::run("b", 0);
    let mut attempt = again(&cut, OutcomeCode::Failed, 1);
    if let Change::Again(again) = &mut attempt {
        Arc::make_mut(again).finish.report = full_report(OutcomeCode::Failed, 1);
    }
    commit(&*ledger, vec![plan(&cut), attempt]).await;
    let mut last = end(&cut, OutcomeCode::Cancelled, 1);
    last.started_at = None;
    last.report.stdout = Captured { text: "last words".into(), n_bytes: 10, n_bytes_dropped: 0 };
    commit(&*ledger, vec![Change::Finish(Arc::new(last.clone()))]).await;
    let story = ledger.run(cut.id).await.expect("a run can be read").expect("the run is there");
    assert_eq!(story.row.finish(), Some(&last), "the end is its own");
    assert_eq!(story.attempts[0].report, full_report(OutcomeCode::Failed, 1), "and so is the attempt before");
}

async fn a_listed_run_has_no_heavy_parts(open: &Open<'_>) {
    let ledger = open().await;
    let run = run("a", 0);
    let mut last = end(&run, OutcomeCode::Failed, 1);
    last.report = full_report(OutcomeCode::Failed, 1);
    commit(&*ledger, vec![plan(&run), Change::Finish(Arc::new(last.clone()))]).await;
    let rows = ledger.runs(RunFilter::default()).await.expect("runs can be read");
    last.report.outcome.output = None;
    last.report.stdout = Captured::default();
    last.report.stderr = Captured::default();
    last.report.logs = Vec::new();
    assert_eq!(rows[0].finish(), Some(&last), "all but output, stdout, stderr and log lines");
}

async fn skips_are_told_newest_first(open: &Open<'_>) {
    let ledger = open().await;
    let mut skips = vec![
        skip("a", 0, 4, SkipReason::Misfired),
        skip("b", 4, 4, SkipReason::Overlapping).because_of(Some(run("b", 3).id)),
        skip("a", 5, 9, SkipReason::Coalesced).because_of(Some(run("a", 10).id)),
        skip("b", 6, 6, SkipReason::Paused),
        run("c", 6).skipped(SkipReason::Overloaded, at(7)),
    ];
    for skip in &skips {
        commit(&*ledger, vec![Change::Skip(skip.clone())]).await;
    }
    skips.sort_by_key(|skip| std::cmp::Reverse((skip.last, skip.job.clone())));
    let found = async |filter: SkipFilter| ledger.skips(filter).await.expect("skips can be read");
    let any = SkipFilter::default;
    assert_eq!(found(any()).await, skips, "by their last slot, then by job, the greatest first");
    let of_b = found(SkipFilter { job: Some(job("b")), ..any() }).await;
    assert_eq!(of_b.iter().map(|skip| skip.last).collect::<Vec<_>>(), [at(6), at(4)], "by job");
    assert_eq!(found(SkipFilter { since: Some(at(6)), ..any() }).await, skips[..3], "which reach up to an instant");
    let early = found(SkipFilter { until: Some(at(5)), ..any() }).await;
    assert_eq!(early, skips[3..], "which begin before an instant");
    assert_eq!(found(SkipFilter { n_max: 2, ..any() }).await, skips[..2], "bounded");
    let beyond = Some(SkipPlace::of(&skips[1]));
    assert_eq!(found(SkipFilter { beyond, n_max: 2, ..any() }).await, skips[2..4], "the next page");
}

async fn open_runs_are_loaded_oldest_first(open: &Open<'_>) {
    let ledger = open().await;
    let jobs = ["a", "b"].map(|id| Change::Job(state(id, 0)));
    let runs = [run("b", 7), run("a", 9), run("b", 2), run("a", 1), run("c", 0)];
    commit(&*ledger, jobs.into_iter().chain(runs.iter().map(plan)).collect()).await;
    commit(&*ledger, vec![finish(&runs[0], OutcomeCode::Failed)]).await;
    let loaded = ledger.load().await.expect("a ledger can be loaded");
    let told: Vec<_> = loaded
        .jobs
        .iter()
        .map(|row| (row.state.job.as_str(), row.open.iter().map(|open| open.run.id).collect::<Vec<_>>()))
        .collect();
    let wanted = [("a", vec![runs[3].id, runs[1].id]), ("b", vec![runs[2].id])];
    assert_eq!(told, wanted, "the unfinished runs of each job that was seen, oldest slot first");
}

async fn runs_are_found_by_how_far_they_are(open: &Open<'_>) {
    let ledger = open().await;
    let [planned, running, retrying, ended] = [0, 1, 2, 3].map(|seconds| run("a", seconds));
    commit(&*ledger, [&planned, &running, &retrying, &ended].map(plan).into()).await;
    let failed = again(&retrying, OutcomeCode::Failed, 1);
    commit(&*ledger, vec![claim(&running, 1, 1), failed, finish(&ended, OutcomeCode::Failed)]).await;
    let found = async |filter: RunFilter| ids(&*ledger, filter).await;
    for (phase, run) in RunPhase::ALL.into_iter().zip([planned, running, retrying, ended]) {
        let filter = RunFilter { phase: Some(phase), ..RunFilter::default() };
        assert_eq!(found(filter.clone()).await, [run.id], "{phase:?}");
        let of_other = RunFilter { job: Some(job("b")), ..filter.clone() };
        assert_eq!(found(of_other).await, [], "{phase:?} of another job");
        let wanted = if phase == RunPhase::Ended { vec![run.id] } else { Vec::new() };
        let failed = RunFilter { outcome: Some(OutcomeCode::Failed), ..filter };
        assert_eq!(found(failed).await, wanted, "{phase:?} and failed");
    }
}

async fn jobs_are_told_with_their_last_run(open: &Open<'_>) {
    let ledger = open().await;
    let jobs = ["a", "b", "ba", "c"].map(|id| Change::Job(state(id, 0)));
    let runs = [run("a", 1), run("a", 3), run("a", 2), run("a", 9), run("b", 4), run("d", 5)];
    let payload = Arc::new(Run { payload: payload(), ..Run::clone(&run("b", 7)) });
    commit(&*ledger, jobs.into_iter().chain(runs.iter().map(plan)).chain([plan(&payload)]).collect()).await;
    // They end in another order than that of their slots.
    for run in [&runs[1], &runs[0], &runs[2], &runs[5]] {
        commit(&*ledger, vec![finish(run, OutcomeCode::Failed)]).await;
    }
    let found = async |filter: JobFilter| ledger.jobs(filter).await.expect("jobs can be read");
    let stories = found(JobFilter::default()).await;
    let rows: Vec<_> = stories.iter().map(|story| story.row.clone()).collect();
    assert_eq!(rows, ledger.load().await.expect("a ledger can be loaded").jobs, "the same as at the start of a host");
    let lasts: Vec<_> = stories.iter().map(|story| story.last.as_ref().map(|last| last.run.id)).collect();
    assert_eq!(lasts, [Some(runs[1].id), None, None, None], "the newest slot that has ended");
    let of = |ids: &[&str]| Some(ids.iter().map(|id| job(id)).collect());
    let named = async |filter: JobFilter| {
        found(filter).await.iter().map(|story| story.row.state.job.to_string()).collect::<Vec<_>>().join(" ")
    };
    let any = JobFilter::default;
    assert_eq!(named(any()).await, "a b ba c", "by id");
    assert_eq!(named(JobFilter { n_max: 2, ..any() }).await, "a b", "bounded");
    assert_eq!(named(JobFilter { beyond: Some(job("b")), n_max: 1, ..any() }).await, "ba", "the next page");
    assert_eq!(named(JobFilter { beyond: Some(job("aa")), ..any() }).await, "b ba c", "beyond what is not there");
    assert_eq!(named(JobFilter { only: of(&["c", "x", "a", "c"]), ..any() }).await, "a c", "some, each once");
    let both = JobFilter { only: of(&["c", "a", "b"]), beyond: Some(job("a")), n_max: 1 };
    assert_eq!(named(both).await, "b", "by all of them");
    assert_eq!(named(JobFilter { only: of(&[]), ..any() }).await, "", "none");
    let only = async |id: &str| {
        let filter = JobFilter { only: Some(vec![job(id)]), ..JobFilter::default() };
        ledger.jobs(filter).await.expect("a job can be read").pop().map(|story| story.row)
    };
    assert_eq!(only("b").await.as_ref(), Some(&rows[1]), "one");
    assert_eq!(only("d").await, None, "one that was never seen");
}

async fn every_cause_and_outcome_reads_back(open: &Open<'_>) {
    let ledger = open().await;
    let causes =
        [Cause::Schedule, Cause::CatchUp(7), Cause::Manual, Cause::Upstream(job("u")), Cause::Api, Cause::Start];
    let mut wanted = Vec::new();
    for (seconds, cause) in (0..).zip(causes) {
        let run = Arc::new(Run { cause, ..Run::clone(&run("a", seconds)) });
        commit(&*ledger, vec![plan(&run)]).await;
        wanted.push(run);
    }
    let rows = ledger.runs(RunFilter::default()).await.expect("runs can be read");
    assert_eq!(rows.into_iter().rev().map(|row| row.run).collect::<Vec<_>>(), wanted);
    for (seconds, code) in (100..).zip(OutcomeCode::ALL) {
        let run = run("a", seconds);
        ledger.commit(vec![plan(&run), finish(&run, code)]).await.expect("a batch is kept");
        let found = ids(&*ledger, RunFilter { outcome: Some(code), ..RunFilter::default() }).await;
        assert_eq!(found, [run.id], "{code}");
    }
}
