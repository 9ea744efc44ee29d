//! The SQLite ledger keeps the contract, and what is its own: its file.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use clockjack_schedule::{
    outcome::OutcomeCode,
    ports::{Change, GenerationRow, Ledger, LedgerError, Left, Report, Usage},
    run::SkipReason,
};
use tempfile::TempDir;

use super::{Owner, SqliteLedger, SqliteOptions};
use crate::{
    MemoryLedger,
    contract::{self, at, claim, finish, full_report, generation, plan, refinement, run, skip, state},
};

mod damage;
mod files;
mod full;

/// The seeds of the random tests; another one is tried by editing it here.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=20;

fn options() -> SqliteOptions {
    SqliteOptions { owner: Owner { what: "the tests".to_owned(), since: at(0) }, pages_max: None }
}

async fn opened(path: &Path) -> SqliteLedger {
    SqliteLedger::open(path, options()).await.unwrap()
}

async fn refusal(path: &Path) -> LedgerError {
    match SqliteLedger::open(path, options()).await {
        Ok(_) => panic!("`{}` was opened", path.display()),
        Err(error) => error,
    }
}

/// A place for a file, and the path of the file.
fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    (directory, path)
}

/// Batches that leave something in every table, and nothing that the first version did not know.
fn batches() -> Vec<Vec<Change>> {
    let mut batches = vec![["a", "b", "c"].map(|id| Change::Job(state(id, 0))).to_vec()];
    for seconds in 0..30 {
        let id = ["a", "b", "c"][usize::try_from(seconds % 3).unwrap()];
        let run = run(id, seconds);
        let mut changes = vec![plan(&run), claim(&run, 1, 0), Change::Watermark(at(seconds))];
        if seconds % 5 == 0 {
            changes.push(contract::again(&run, OutcomeCode::Interrupted, 1));
        }
        if seconds % 4 != 0 {
            let mut finish = contract::end(&run, OutcomeCode::Succeeded, 2);
            if seconds % 2 == 0 {
                finish.report = Report { usage: Usage::default(), ..full_report(OutcomeCode::Succeeded, 2) };
            }
            changes.push(Change::Finish(Arc::new(finish)));
        }
        changes.push(Change::Skip(skip(id, seconds + 100, seconds + 105, SkipReason::Misfired)));
        batches.push(changes);
    }
    batches
}

/// What the fourth version added.
fn generations() -> Vec<Change> {
    let left = Some(Left { at: at(7), because: "a person".into() });
    let rows = (1..=9).map(|number| GenerationRow { left: left.clone(), ..generation("a", number, 0) });
    rows.chain([generation("b", 1, 3)]).map(|row| Change::Generation(Arc::new(row))).collect()
}

/// A file beside another one, with what belongs to it.
fn copy(path: &Path, to: &Path) {
    for suffix in ["", "-wal"] {
        let with = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        let _not_there = fs::remove_file(with(to));
        if with(path).exists() {
            fs::copy(with(path), with(to)).unwrap();
        }
    }
}

#[tokio::test]
async fn passes_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0);
    contract::check(|| {
        number.set(number.get() + 1);
        let path = directory.path().join(format!("{}.db", number.get()));
        Box::pin(async move { Arc::new(opened(&path).await) as Arc<dyn Ledger> })
    })
    .await;
}

#[tokio::test]
async fn answers_as_the_model_does() {
    for seed in SEEDS {
        println!("seed {seed}");
        let (_directory, path) = place();
        refinement::check(&MemoryLedger::default(), &opened(&path).await, seed, 60).await;
    }
}

#[tokio::test]
async fn what_was_kept_is_there_after_a_drop_and_after_a_close() {
    let (_directory, path) = place();
    let ledger = opened(&path).await;
    for batch in batches() {
        ledger.commit(batch).await.unwrap();
    }
    ledger.commit(generations()).await.unwrap();
    let before = refinement::seen(&ledger).await;
    assert_eq!(before.generations.len(), 10);
    drop(ledger);
    let ledger = opened(&path).await;
    assert_eq!(refinement::seen(&ledger).await, before);
    ledger.close().await.unwrap();
    assert!(ledger.commit(vec![]).await.is_err(), "nothing may be called after the end");
    drop(ledger);
    let names = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut left: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().map(|e| names(&e.unwrap().path())).collect();
    left.sort();
    assert_eq!(left, ["state.db", "state.db.lock"], "everything stands in one file");
    assert_eq!(refinement::seen(&opened(&path).await).await, before);
}

#[tokio::test]
async fn many_callers_at_once_are_all_answered() {
    let (_directory, path) = place();
    let ledger = opened(&path).await;
    let runs: Vec<_> = (0..300).map(|seconds| run("a", seconds)).collect();
    let plans: Vec<_> = runs.iter().map(|run| ledger.commit(vec![plan(run)])).collect();
    let ends: Vec<_> = runs.iter().map(|run| ledger.commit(vec![finish(run, OutcomeCode::Failed)])).collect();
    for answer in plans.into_iter().chain(ends) {
        assert_eq!(answer.await.unwrap().n_stale, 0);
    }
    assert_eq!(ledger.runs(Default::default()).await.unwrap().len(), 300);
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_its_batch_whole() {
    let (_directory, path) = place();
    let ledger = opened(&path).await;
    for seconds in 0..50 {
        drop(ledger.commit(vec![plan(&run("a", seconds)), plan(&run("b", seconds))]));
    }
    ledger.commit(vec![]).await.unwrap();
    assert_eq!(ledger.runs(Default::default()).await.unwrap().len(), 100);
}
