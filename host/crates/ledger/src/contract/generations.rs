//! Which code came into force: by plugin and number, bounded, and apart from all that jobs leave behind.

use std::sync::Arc;

use clockjack_schedule::ports::{Change, GENERATIONS_MAX, GenerationRow, Ledger, Left};

use super::{Open, at, commit, generation, plan, run, skip, state};

pub(super) async fn check(open: &Open<'_>) {
    generations_are_told_by_plugin_and_number(open).await;
    a_row_takes_the_place_of_the_one_before(open).await;
    the_newest_of_each_plugin_are_kept(open).await;
    generations_belong_to_no_job(open).await;
}

fn change(row: &GenerationRow) -> Change {
    Change::Generation(Arc::new(row.clone()))
}

async fn generations(ledger: &dyn Ledger) -> Vec<GenerationRow> {
    ledger.generations().await.expect("generations can be read")
}

async fn generations_are_told_by_plugin_and_number(open: &Open<'_>) {
    let ledger = open().await;
    assert_eq!(generations(&*ledger).await, [], "at first there are none");
    let rows = [generation("b", 1, 9), generation("a", 10, 0), generation("a", 9, 5), generation("ab", u32::MAX, 0)];
    commit(&*ledger, rows[..2].iter().map(change).collect()).await;
    commit(&*ledger, rows[2..].iter().map(change).collect()).await;
    let [b_1, a_10, a_9, ab] = rows;
    assert_eq!(generations(&*ledger).await, [a_9, a_10, ab, b_1], "by plugin, then by number, not by time");
}

async fn a_row_takes_the_place_of_the_one_before(open: &Open<'_>) {
    let ledger = open().await;
    let first = generation("a", 1, 0);
    let approved = GenerationRow { approved: true, cause: "approved".into(), ..generation("a", 2, 5) };
    let on_trial = GenerationRow { unproven: true, ..approved.clone() };
    commit(&*ledger, vec![change(&first), change(&on_trial)]).await;
    assert_eq!(generations(&*ledger).await, [first.clone(), on_trial], "every field is kept");
    commit(&*ledger, vec![change(&approved)]).await;
    let because = "7 of its first 9 runs failed: \u{fc}\0".into();
    let taken_back = GenerationRow { left: Some(Left { at: at(9), because }), ..approved.clone() };
    commit(&*ledger, vec![change(&taken_back)]).await;
    assert_eq!(generations(&*ledger).await, [first.clone(), taken_back.clone()], "the last word counts");
    commit(&*ledger, vec![change(&first), change(&taken_back), change(&approved)]).await;
    assert_eq!(generations(&*ledger).await, [first, approved], "also within a batch");
}

async fn the_newest_of_each_plugin_are_kept(open: &Open<'_>) {
    let ledger = open().await;
    let n_kept = u32::try_from(GENERATIONS_MAX).expect("a small number");
    let other = generation("b", 1, 0);
    commit(&*ledger, vec![change(&other)]).await;
    let rows: Vec<_> = (1..=n_kept + 7).map(|number| generation("a", number, i64::from(number))).collect();
    // In several batches, and the newest ones first: the numbers say what is old, not the order.
    for batch in rows.chunks(30).rev() {
        commit(&*ledger, batch.iter().map(change).collect()).await;
    }
    let wanted: Vec<_> = rows[7..].iter().chain([&other]).cloned().collect();
    assert_eq!(generations(&*ledger).await, wanted, "the greatest numbers of each plugin");
    commit(&*ledger, vec![change(&generation("a", n_kept + 8, 0))]).await;
    let numbers: Vec<_> = generations(&*ledger).await.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (9..=n_kept + 8).chain([1]).collect::<Vec<_>>(), "one comes, one goes");
}

async fn generations_belong_to_no_job(open: &Open<'_>) {
    let ledger = open().await;
    let row = generation("a", 1, 0);
    let batch = vec![
        Change::Job(state("a", 0)),
        plan(&run("a", 0)),
        change(&row),
        Change::Skip(skip("a", 5, 9, clockjack_schedule::run::SkipReason::Misfired)),
        Change::Watermark(at(9)),
    ];
    commit(&*ledger, batch).await;
    assert_eq!(generations(&*ledger).await, [row], "a job of the same name changes nothing");
    let loaded = ledger.load().await.expect("a ledger can be loaded");
    assert_eq!((loaded.jobs.len(), loaded.watermark), (1, Some(at(9))), "and the rest of the batch is kept");
    let keep =
        clockjack_schedule::ports::KeepOf { job: super::job("a"), since: at(1_000), n_max: std::num::NonZeroU32::MIN };
    ledger.prune(vec![keep], 100).await.expect("a ledger can be pruned");
    assert_eq!(generations(&*ledger).await.len(), 1, "pruning is of the history of jobs");
}
