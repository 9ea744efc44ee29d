//! What each change does, what it leaves alone, and that it may come twice.

use std::sync::Arc;

use clockjack_schedule::{
    id::RunId,
    outcome::OutcomeCode,
    payload::Payload,
    ports::{Change, Ledger, Loaded, OpenRun, RunFilter, RunState},
    run::{Cause, JobState, Run, SkipReason},
};

use super::{
    Open, again, at, claim, commit, end, finish, full_report, job, payload, plan, release, run, skip, state, take_back,
};

pub(super) async fn check(open: &Open<'_>) {
    a_run_is_planned_once_and_ends_once(open).await;
    a_key_is_one_run_whenever_it_is_asked_for(open).await;
    a_claim_stands_until_it_is_released_or_the_attempt_ends(open).await;
    an_attempt_ends_once(open).await;
    a_plan_is_taken_back_while_nothing_came_of_it(open).await;
    a_skip_takes_the_place_of_its_run(open).await;
    a_skip_counts_once(open).await;
    a_job_is_as_it_was_last_kept(open).await;
    the_last_end_and_the_last_success_only_move_on(open).await;
    the_watermark_never_moves_back(open).await;
    a_payload_goes_with_its_run(open).await;
    changes_of_one_batch_follow_each_other(open).await;
    batches_follow_each_other_in_the_order_of_their_calls(open).await;
}

async fn load(ledger: &dyn Ledger) -> Loaded {
    ledger.load().await.expect("a ledger can be loaded")
}

/// The only open run of the only job.
async fn open_run(ledger: &dyn Ledger) -> OpenRun {
    let mut loaded = load(ledger).await;
    assert_eq!(loaded.jobs.len(), 1, "one job is known");
    assert_eq!(loaded.jobs[0].open.len(), 1, "one run is open");
    loaded.jobs.remove(0).open.remove(0)
}

async fn a_run_is_planned_once_and_ends_once(open: &Open<'_>) {
    let ledger = open().await;
    let run = run("a", 0);
    commit(&*ledger, vec![plan(&run)]).await;
    let other = Arc::new(Run { cause: Cause::Manual, ..Run::clone(&run) });
    commit(&*ledger, vec![plan(&other)]).await;
    let rows = ledger.runs(RunFilter::default()).await.expect("runs can be read");
    assert_eq!(rows.len(), 1, "a repeated plan changes nothing");
    assert_eq!(*rows[0].run, *run, "a repeated plan changes nothing");
    assert_eq!(rows[0].finish(), None, "a planned run has no end");

    assert_eq!(commit(&*ledger, vec![finish(&run, OutcomeCode::Failed)]).await.n_stale, 0, "the first end counts");
    let stale = commit(&*ledger, vec![finish(&run, OutcomeCode::Succeeded)]).await;
    assert_eq!(stale.n_stale, 1, "a second end is stale");
    commit(&*ledger, vec![plan(&run), claim(&run, 2, 5), release(&run), take_back(&run)]).await;
    let rows = ledger.runs(RunFilter::default()).await.expect("runs can be read");
    let code = rows[0].finish().map(|finish| finish.report.outcome.code);
    assert_eq!(code, Some(OutcomeCode::Failed), "nothing changes a run that has ended");

    let unknown = commit(&*ledger, vec![finish(&super::run("b", 0), OutcomeCode::Succeeded)]).await;
    assert_eq!(unknown.n_stale, 1, "the end of an unknown run is stale");
}

async fn a_key_is_one_run_whenever_it_is_asked_for(open: &Open<'_>) {
    let ledger = open().await;
    let asked = |seconds| {
        let id = RunId::of_key(&job("a"), "order-7");
        Arc::new(Run {
            id,
            job: job("a"),
            scheduled_for: at(seconds),
            due_at: at(seconds),
            cause: Cause::Api,
            payload: None,
        })
    };
    let slot = run("a", 500);
    commit(&*ledger, vec![plan(&asked(0)), finish(&asked(0), OutcomeCode::Succeeded), plan(&slot)]).await;
    commit(&*ledger, vec![finish(&slot, OutcomeCode::Succeeded)]).await;
    commit(&*ledger, vec![plan(&asked(1_000))]).await;
    let rows = ledger.runs(RunFilter::default()).await.expect("runs can be read");
    assert_eq!(rows.iter().map(|row| row.run.scheduled_for).collect::<Vec<_>>(), [at(500), at(0)], "one run per key");
}

async fn a_claim_stands_until_it_is_released_or_the_attempt_ends(open: &Open<'_>) {
    let ledger = open().await;
    let run = run("a", 0);
    commit(&*ledger, vec![Change::Job(state("a", 0)), plan(&run)]).await;
    assert_eq!(open_run(&*ledger).await.claimed_at, None, "a plan is not claimed");
    let refused = ledger.commit(vec![claim(&run, 2, 1)]).await.expect("a batch is kept").unclaimed;
    assert_eq!(refused, [run.id], "a claim of another attempt is told");
    assert_eq!(open_run(&*ledger).await.claimed_at, None, "only the next attempt can be claimed");
    for at in [1, 2] {
        let refused = ledger.commit(vec![claim(&run, 1, at)]).await.expect("a batch is kept").unclaimed;
        assert_eq!(refused, [], "a claim of the next attempt holds, also when it is repeated");
    }
    assert_eq!(open_run(&*ledger).await.claimed_at, Some(at(1)), "a repeated claim changes nothing");
    commit(&*ledger, vec![release(&run)]).await;
    assert_eq!(open_run(&*ledger).await.claimed_at, None, "a release undoes a claim");
    commit(&*ledger, vec![claim(&run, 1, 3)]).await;
    commit(&*ledger, vec![again(&run, OutcomeCode::Failed, 1)]).await;
    let row = open_run(&*ledger).await;
    assert_eq!((row.claimed_at, row.retry_at), (None, Some(at(10))), "the end of an attempt undoes its claim");
    commit(&*ledger, vec![claim(&run, 1, 4)]).await;
    assert_eq!(open_run(&*ledger).await.claimed_at, None, "an attempt that has ended cannot be claimed");
    commit(&*ledger, vec![claim(&run, 2, 11)]).await;
    let row = open_run(&*ledger).await;
    assert_eq!((row.claimed_at, row.retry_at), (Some(at(11)), Some(at(10))), "the next one can");
    commit(&*ledger, vec![finish(&run, OutcomeCode::Succeeded)]).await;
    let late = ledger.commit(vec![plan(&run), claim(&run, 1, 12)]).await.expect("a batch is kept");
    assert_eq!(late.unclaimed, [run.id], "a run that has ended does not begin again, though it be planned again");
}

async fn an_attempt_ends_once(open: &Open<'_>) {
    let ledger = open().await;
    let run = run("a", 0);
    commit(&*ledger, vec![Change::Job(state("a", 0)), plan(&run)]).await;
    let end_of = async |code, number| commit(&*ledger, vec![again(&run, code, number)]).await.n_stale;
    assert_eq!(end_of(OutcomeCode::Failed, 2).await, 1, "an attempt that has not begun does not end");
    assert_eq!(end_of(OutcomeCode::Interrupted, 1).await, 0, "the first end counts");
    assert_eq!(end_of(OutcomeCode::Failed, 1).await, 1, "an attempt does not end twice");
    assert_eq!(end_of(OutcomeCode::Failed, 2).await, 0, "the next one ends");
    let row = open_run(&*ledger).await;
    assert_eq!((row.n_attempts, row.n_interrupted), (2, 1), "interrupted attempts are counted apart");
    let mut last = end(&run, OutcomeCode::Succeeded, 3);
    last.report = full_report(OutcomeCode::Succeeded, 3);
    commit(&*ledger, vec![Change::Finish(Arc::new(last))]).await;
    assert_eq!(end_of(OutcomeCode::Failed, 3).await, 1, "the run has ended");
    let story = ledger.run(run.id).await.expect("a run can be read").expect("the run is there");
    let told: Vec<_> = story.attempts.iter().map(|finish| (finish.n_attempts, finish.report.outcome.code)).collect();
    assert_eq!(told, [(1, OutcomeCode::Interrupted), (2, OutcomeCode::Failed)], "earlier attempts, first to last");
}

async fn a_plan_is_taken_back_while_nothing_came_of_it(open: &Open<'_>) {
    let ledger = open().await;
    let [ended, taken, claimed, tried] = [0, 1, 2, 3].map(|seconds| run("a", seconds));
    commit(&*ledger, [&ended, &taken, &claimed, &tried].map(plan).to_vec()).await;
    commit(
        &*ledger,
        vec![finish(&ended, OutcomeCode::Succeeded), claim(&claimed, 1, 0), again(&tried, OutcomeCode::Failed, 1)],
    )
    .await;
    commit(&*ledger, [&ended, &taken, &claimed, &tried].map(|run| take_back(run)).to_vec()).await;
    let rows = ledger.runs(RunFilter::default()).await.expect("runs can be read");
    let left: Vec<_> = rows.iter().map(|row| row.run.id).collect();
    assert_eq!(left, [tried.id, claimed.id, ended.id], "only what nobody touched is taken back");
    let retaken = ledger.commit(vec![plan(&taken)]).await;
    retaken.expect("a plan that was taken back may be made again");
    assert_eq!(ledger.runs(RunFilter::default()).await.expect("runs can be read").len(), 4);
}

async fn a_skip_takes_the_place_of_its_run(open: &Open<'_>) {
    let ledger = open().await;
    let (tried, ended) = (run("a", 0), run("a", 1));
    commit(&*ledger, vec![plan(&tried), plan(&ended), finish(&ended, OutcomeCode::Succeeded)]).await;
    let mut attempt = again(&tried, OutcomeCode::Failed, 1);
    if let Change::Again(again) = &mut attempt {
        Arc::make_mut(again).finish.report = full_report(OutcomeCode::Failed, 1);
    }
    commit(&*ledger, vec![attempt]).await;
    let skips = [&tried, &ended].map(|run| Change::Skip(run.skipped(SkipReason::Cancelled, at(2))));
    commit(&*ledger, skips.to_vec()).await;
    assert_eq!(ledger.run(tried.id).await.expect("a run can be read"), None, "a slot has one disposition");
    let story = ledger.run(ended.id).await.expect("a run can be read").expect("what has ended stays");
    assert!(matches!(story.row.state, RunState::Ended(_)));
    ledger.commit(vec![plan(&tried)]).await.expect("a plan is kept");
    let story = ledger.run(tried.id).await.expect("a run can be read").expect("it was planned anew");
    assert_eq!(story.attempts, [], "what was forgotten stays forgotten");
}

async fn a_skip_counts_once(open: &Open<'_>) {
    let ledger = open().await;
    let gap = skip("a", 0, 9, SkipReason::Misfired);
    let slot = run("a", 9).skipped(SkipReason::Misfired, at(10));
    commit(&*ledger, vec![Change::Skip(gap.clone()), Change::Skip(slot.clone()), Change::Skip(gap.clone())]).await;
    let skips = ledger.skips(Default::default()).await.expect("skips can be read");
    assert_eq!(skips, [slot, gap], "a repeated skip changes nothing, and each field is kept");
}

async fn a_job_is_as_it_was_last_kept(open: &Open<'_>) {
    let ledger = open().await;
    commit(&*ledger, vec![Change::Job(state("b", 5)), Change::Job(state("a", 3)), Change::Job(state("b", 7))]).await;
    let changed = JobState {
        decided_until: at(9),
        paused: true,
        paused_with_all: true,
        paused_in_manifest: true,
        trigger_hash: 1,
        removed_at: Some(at(10)),
        ..state("b", 5)
    };
    commit(&*ledger, vec![Change::Job(changed.clone()), Change::Watermark(at(1_000))]).await;
    let states: Vec<_> = load(&*ledger).await.jobs.into_iter().map(|row| row.state).collect();
    assert_eq!(states[0].job, job("a"), "by id");
    assert_eq!(states[0].decided_until, at(3), "the watermark is told apart");
    assert_eq!(states[1], changed, "the last one counts");
}

async fn the_last_end_and_the_last_success_only_move_on(open: &Open<'_>) {
    let ledger = open().await;
    let runs = [0, 10, 20, 30].map(|seconds| run("a", seconds));
    commit(&*ledger, runs.iter().map(plan).collect()).await;
    commit(&*ledger, vec![finish(&runs[1], OutcomeCode::Succeeded)]).await;
    commit(&*ledger, vec![finish(&runs[0], OutcomeCode::Succeeded), again(&runs[3], OutcomeCode::Failed, 1)]).await;
    commit(&*ledger, vec![Change::Job(state("a", 0))]).await;
    let last = async || {
        let row = load(&*ledger).await.jobs.remove(0);
        (row.last_finished, row.last_success)
    };
    assert_eq!(last().await, (Some(at(11)), Some(at(10))), "known even before the job is, and never moved back");
    commit(&*ledger, vec![finish(&runs[2], OutcomeCode::Skipped)]).await;
    assert_eq!(last().await, (Some(at(21)), Some(at(10))), "only `succeeded` is a success");
    commit(&*ledger, vec![Change::Job(state("a", 0))]).await;
    assert_eq!(last().await, (Some(at(21)), Some(at(10))), "the state of a job leaves it alone");
}

async fn the_watermark_never_moves_back(open: &Open<'_>) {
    let ledger = open().await;
    assert_eq!(load(&*ledger).await, Loaded::default(), "an empty ledger knows nothing");
    for seconds in [10, 4] {
        commit(&*ledger, vec![Change::Watermark(at(seconds))]).await;
        assert_eq!(load(&*ledger).await.watermark, Some(at(10)), "the watermark never moves back");
    }
}

async fn a_payload_goes_with_its_run(open: &Open<'_>) {
    let args = serde_json::json!({ "days": [1, -2, "ü\n\""], "dry": null });
    for payload in [payload(), Payload::with_args(payload(), args.clone()).ok(), Payload::with_args(None, args).ok()] {
        assert!(payload.is_some());
        a_payload_stays_as_it_is(open, payload).await;
    }
}

async fn a_payload_stays_as_it_is(open: &Open<'_>, payload: Option<Payload>) {
    let ledger = open().await;
    let bare = run("a", 0);
    let laden = Arc::new(Run { payload, ..Run::clone(&bare) });
    commit(&*ledger, vec![Change::Job(state("a", 0)), plan(&laden)]).await;
    assert_eq!(open_run(&*ledger).await.run, laden);
    commit(&*ledger, vec![take_back(&laden), plan(&bare)]).await;
    assert_eq!(open_run(&*ledger).await.run, bare, "what was taken back is gone with its payload");
    commit(&*ledger, vec![take_back(&bare), plan(&laden), take_back(&laden), plan(&laden)]).await;
    assert_eq!(open_run(&*ledger).await.run, laden);
    commit(&*ledger, vec![claim(&laden, 1, 1), again(&laden, OutcomeCode::Failed, 1)]).await;
    assert_eq!(open_run(&*ledger).await.run, laden, "a later attempt has it too");
    commit(&*ledger, vec![Change::Finish(Arc::new(end(&laden, OutcomeCode::Succeeded, 2)))]).await;
    let story = ledger.run(laden.id).await.expect("a run can be read").expect("the run is there");
    assert_eq!(story.row.run, laden, "and it stands in what is kept of the run");
    let rows = ledger.runs(RunFilter::default()).await.expect("runs can be read");
    assert_eq!(rows[0].run, bare, "but not in lists");
}

async fn changes_of_one_batch_follow_each_other(open: &Open<'_>) {
    let ledger = open().await;
    let (done, gone, waits) = (run("a", 0), run("a", 1), run("a", 2));
    let changes = vec![
        Change::Job(state("a", 0)),
        plan(&done),
        claim(&done, 1, 0),
        again(&done, OutcomeCode::Failed, 1),
        claim(&done, 2, 10),
        Change::Finish(Arc::new(end(&done, OutcomeCode::Succeeded, 2))),
        finish(&done, OutcomeCode::Failed),
        plan(&gone),
        take_back(&gone),
        finish(&gone, OutcomeCode::Succeeded),
        plan(&waits),
        claim(&waits, 1, 0),
        release(&waits),
    ];
    let committed = ledger.commit(changes).await.expect("a batch is kept");
    assert_eq!(committed.n_stale, 2, "each change finds what those before it left");
    let row = open_run(&*ledger).await;
    assert_eq!((row.run.id, row.claimed_at), (waits.id, None));
    let story = ledger.run(done.id).await.expect("a run can be read").expect("the run is there");
    assert_eq!(story.row.finish().map(|finish| finish.report.outcome.code), Some(OutcomeCode::Succeeded));
    assert_eq!(story.attempts.len(), 1);
    assert_eq!(ledger.run(gone.id).await.expect("a run can be read"), None);
}

async fn batches_follow_each_other_in_the_order_of_their_calls(open: &Open<'_>) {
    let ledger = open().await;
    let run = run("a", 0);
    // All are called before any is awaited, and then they are awaited the other way round.
    let first = ledger.commit(vec![plan(&run)]);
    let second = ledger.commit(vec![finish(&run, OutcomeCode::Succeeded)]);
    let third = ledger.commit(vec![finish(&run, OutcomeCode::Failed)]);
    let (third, second, first) = (third.await, second.await, first.await);
    let n_stale = |committed: Result<_, _>| {
        let committed: clockjack_schedule::ports::Committed = committed.expect("a batch is kept");
        committed.n_stale
    };
    assert_eq!((n_stale(first), n_stale(second), n_stale(third)), (0, 0, 1), "the order of the calls counts");
}
