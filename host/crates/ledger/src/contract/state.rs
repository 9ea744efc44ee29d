//! What jobs remember: it moves with the ends of runs, only forward, and never comes back.

use std::sync::Arc;

use clockjack_schedule::{
    outcome::OutcomeCode,
    ports::{Change, Ledger},
    run::Run,
    state::{Entry, Kept, StateChange, StateWrite},
};

use super::{Open, again, claim, commit, end, job, plan, run};

pub(super) async fn check(open: &Open<'_>) {
    state_is_kept_by_job(open).await;
    state_comes_with_the_end_of_its_run(open).await;
    a_stale_end_leaves_the_state_alone(open).await;
    what_came_too_late_undoes_nothing(open).await;
    changes_of_one_batch_follow_each_other(open).await;
}

/// Writes with their versions; without a value they delete.
pub(super) fn change(writes: &[(&str, u64, Option<&[u8]>)]) -> StateChange {
    let write = |(key, version, value): &(&str, u64, Option<&[u8]>)| StateWrite {
        key: (*key).to_owned(),
        version: *version,
        value: value.map(Arc::from),
    };
    let version = writes.iter().map(|(_, version, _)| *version).max().unwrap_or_default();
    StateChange { version, writes: writes.iter().map(write).collect() }
}

fn write(id: &str, writes: &[(&str, u64, Option<&[u8]>)]) -> Change {
    Change::State { job: job(id), change: Arc::new(change(writes)) }
}

fn finish_with(run: &Run, number: u32, writes: &[(&str, u64, Option<&[u8]>)]) -> Change {
    let mut finish = end(run, OutcomeCode::Succeeded, number);
    finish.state = Some(Box::new(change(writes)));
    Change::Finish(Arc::new(finish))
}

fn kept(version: u64, entries: &[(&str, u64, &[u8])]) -> Kept {
    let entry = |(key, version, value): &(&str, u64, &[u8])| {
        ((*key).to_owned(), Entry { version: *version, value: Arc::from(*value) })
    };
    Kept { version, entries: entries.iter().map(entry).collect() }
}

async fn state(ledger: &dyn Ledger, id: &str) -> Kept {
    ledger.state(&job(id)).await.expect("the state of a job can be read")
}

async fn state_is_kept_by_job(open: &Open<'_>) {
    let ledger = open().await;
    assert_eq!(state(&*ledger, "a").await, Kept::default(), "a job that never wrote has no state");
    let (all, none): (Vec<u8>, &[u8]) = ((0..=255).collect(), b"");
    commit(&*ledger, vec![write("a", &[("k", 1, Some(&all)), ("\u{fc}\0", 2, Some(none))])]).await;
    commit(&*ledger, vec![write("b", &[("k", 7, Some(b"b"))])]).await;
    assert_eq!(
        state(&*ledger, "a").await,
        kept(2, &[("k", 1, &all), ("\u{fc}\0", 2, none)]),
        "any bytes, none included"
    );
    assert_eq!(state(&*ledger, "b").await, kept(7, &[("k", 7, b"b")]), "each job has its own");
    commit(&*ledger, vec![write("a", &[("k", 3, None), ("gone", 4, None)])]).await;
    assert_eq!(
        state(&*ledger, "a").await,
        kept(4, &[("\u{fc}\0", 2, none)]),
        "a deleted key leaves its version behind"
    );
}

async fn state_comes_with_the_end_of_its_run(open: &Open<'_>) {
    let ledger = open().await;
    let run = run("a", 0);
    commit(&*ledger, vec![plan(&run), claim(&run, 1, 0), again(&run, OutcomeCode::Failed, 1)]).await;
    assert_eq!(state(&*ledger, "a").await, Kept::default(), "an attempt that failed writes nothing");
    let committed = ledger.commit(vec![finish_with(&run, 2, &[("k", 1, Some(b"1"))])]).await.expect("a batch is kept");
    assert_eq!((committed.n_stale, committed.stale_states), (0, Vec::new()), "the first end counts");
    assert_eq!(state(&*ledger, "a").await, kept(1, &[("k", 1, b"1")]), "the end brings its state");
    let story = ledger.run(run.id).await.expect("a run can be read").expect("the run is there");
    assert_eq!(story.row.finish().and_then(|finish| finish.state.clone()), None, "an end does not give it back");
}

async fn a_stale_end_leaves_the_state_alone(open: &Open<'_>) {
    let ledger = open().await;
    let (first, unknown) = (run("a", 0), run("a", 5));
    commit(&*ledger, vec![plan(&first), finish_with(&first, 1, &[("k", 1, Some(b"1"))])]).await;
    let late = [finish_with(&first, 1, &[("k", 2, Some(b"2"))]), finish_with(&unknown, 1, &[("k", 3, Some(b"3"))])];
    let committed = commit(&*ledger, late.to_vec()).await;
    assert_eq!(committed.n_stale, 2, "both come too late");
    assert_eq!(committed.stale_states, [first.id, unknown.id], "and it is told whose state was dropped");
    assert_eq!(state(&*ledger, "a").await, kept(1, &[("k", 1, b"1")]), "a stale end writes nothing");
}

async fn what_came_too_late_undoes_nothing(open: &Open<'_>) {
    let ledger = open().await;
    commit(&*ledger, vec![write("a", &[("k", 4, Some(b"4")), ("l", 5, Some(b"5"))])]).await;
    commit(&*ledger, vec![write("a", &[("l", 6, None)])]).await;
    for old in [write("a", &[("k", 3, Some(b"3"))]), write("a", &[("l", 6, Some(b"6"))])] {
        commit(&*ledger, vec![old]).await;
        assert_eq!(state(&*ledger, "a").await, kept(6, &[("k", 4, b"4")]), "versions only grow, also of deleted keys");
    }
}

async fn changes_of_one_batch_follow_each_other(open: &Open<'_>) {
    let ledger = open().await;
    let (first, second) = (run("a", 0), run("a", 1));
    let batch = vec![
        plan(&first),
        plan(&second),
        finish_with(&first, 1, &[("k", 1, Some(b"1")), ("l", 2, Some(b"2"))]),
        write("a", &[("k", 3, None), ("m", 4, Some(b"4"))]),
        finish_with(&second, 1, &[("k", 5, Some(b"5")), ("m", 6, None)]),
    ];
    commit(&*ledger, batch).await;
    assert_eq!(state(&*ledger, "a").await, kept(6, &[("k", 5, b"5"), ("l", 2, b"2")]), "in their order");
}
