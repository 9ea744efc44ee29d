//! What goes, what stays, and in which order.

use std::{num::NonZeroU32, sync::Arc};

use clockjack_schedule::{
    outcome::OutcomeCode,
    ports::{Change, KeepOf, Ledger, Pruned, RunFilter, SkipFilter},
    run::SkipReason,
};

use super::{Open, at, commit, end, finish, full_report, job, plan, run, skip};

pub(super) async fn check(open: &Open<'_>) {
    what_is_too_old_goes(open).await;
    what_is_too_much_goes(open).await;
    one_call_removes_no_more_than_it_may(open).await;
    what_was_written_goes_with_its_run(open).await;
}

fn keep(id: &str, since: i64, n_max: u32) -> KeepOf {
    KeepOf { job: job(id), since: at(since), n_max: NonZeroU32::new(n_max).expect("the suite keeps something") }
}

/// The seconds of the slots of the runs and of the skips that are left.
async fn left(ledger: &dyn Ledger) -> (Vec<i64>, Vec<i64>) {
    let seconds = |slot: chrono::DateTime<chrono::Utc>| slot.signed_duration_since(at(0)).num_seconds();
    let runs = ledger.runs(RunFilter::default()).await.expect("runs can be read");
    let skips = ledger.skips(SkipFilter::default()).await.expect("skips can be read");
    (
        runs.iter().map(|row| seconds(row.run.scheduled_for)).collect(),
        skips.iter().map(|skip| seconds(skip.last)).collect(),
    )
}

/// Runs of `a` at 0 to 5 of which that at 1 has not ended, one of `b` at 0, and skips of `a` at 10 to 13.
async fn filled(open: &Open<'_>) -> Arc<dyn Ledger> {
    let ledger = open().await;
    for seconds in 0..6 {
        let run = run("a", seconds);
        commit(&*ledger, vec![plan(&run)]).await;
        if seconds != 1 {
            commit(&*ledger, vec![finish(&run, OutcomeCode::Failed)]).await;
        }
    }
    let other = run("b", 0);
    commit(&*ledger, vec![plan(&other), finish(&other, OutcomeCode::Failed)]).await;
    let skips = (10..14).map(|seconds| Change::Skip(skip("a", seconds, seconds, SkipReason::Misfired)));
    commit(&*ledger, skips.collect()).await;
    ledger
}

async fn prune(ledger: &dyn Ledger, keep: Vec<KeepOf>, n_max: usize) -> Pruned {
    ledger.prune(keep, n_max).await.expect("a ledger can be pruned")
}

async fn what_is_too_old_goes(open: &Open<'_>) {
    let ledger = filled(open).await;
    let pruned = prune(&*ledger, vec![keep("a", 3, 100)], 100).await;
    assert_eq!(pruned, Pruned { n_runs: 2, n_skips: 0, has_more: false });
    assert_eq!(left(&*ledger).await, (vec![5, 4, 3, 1, 0], vec![13, 12, 11, 10]), "unfinished runs stay");
    let pruned = prune(&*ledger, vec![keep("a", 12, 100), keep("c", 100, 1)], 100).await;
    assert_eq!(pruned, Pruned { n_runs: 3, n_skips: 2, has_more: false });
    assert_eq!(left(&*ledger).await, (vec![1, 0], vec![13, 12]), "of the jobs that are named only");
}

async fn what_is_too_much_goes(open: &Open<'_>) {
    let ledger = filled(open).await;
    let pruned = prune(&*ledger, vec![keep("a", 0, 3)], 100).await;
    assert_eq!(pruned, Pruned { n_runs: 2, n_skips: 1, has_more: false });
    assert_eq!(left(&*ledger).await, (vec![5, 4, 3, 1, 0], vec![13, 12, 11]), "the newest stay");
    let pruned = prune(&*ledger, vec![keep("a", 5, 2)], 100).await;
    assert_eq!(pruned, Pruned { n_runs: 2, n_skips: 1, has_more: false });
    assert_eq!(left(&*ledger).await, (vec![5, 1, 0], vec![13, 12]), "whichever bound is reached first");
    assert_eq!(prune(&*ledger, vec![keep("a", 5, 2)], 100).await, Pruned::default(), "and no more");
}

async fn one_call_removes_no_more_than_it_may(open: &Open<'_>) {
    let ledger = filled(open).await;
    let keep = || vec![keep("a", 12, 100), keep("b", 0, 1)];
    assert_eq!(prune(&*ledger, keep(), 3).await, Pruned { n_runs: 3, n_skips: 0, has_more: true });
    assert_eq!(left(&*ledger).await, (vec![5, 4, 1, 0], vec![13, 12, 11, 10]), "the oldest go first");
    assert_eq!(prune(&*ledger, keep(), 3).await, Pruned { n_runs: 2, n_skips: 1, has_more: true });
    assert_eq!(prune(&*ledger, keep(), 1).await, Pruned { n_runs: 0, n_skips: 1, has_more: false });
    assert_eq!(left(&*ledger).await, (vec![1, 0], vec![13, 12]));
}

async fn what_was_written_goes_with_its_run(open: &Open<'_>) {
    let ledger = open().await;
    let run = run("a", 0);
    let mut last = end(&run, OutcomeCode::Failed, 1);
    last.report = full_report(OutcomeCode::Failed, 1);
    commit(&*ledger, vec![plan(&run), Change::Finish(Arc::new(last))]).await;
    prune(&*ledger, vec![keep("a", 1, 1)], 10).await;
    assert_eq!(ledger.run(run.id).await.expect("a run can be read"), None);
    // The same slot once more finds nothing of the old one.
    ledger.commit(vec![plan(&run), finish(&run, OutcomeCode::Succeeded)]).await.expect("a batch is kept");
    let story = ledger.run(run.id).await.expect("a run can be read").expect("the run is there");
    assert_eq!(story.row.finish(), Some(&end(&run, OutcomeCode::Succeeded, 1)));
}
