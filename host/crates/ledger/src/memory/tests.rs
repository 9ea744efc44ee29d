//! The memory ledger keeps the contract and its own bounds.

use std::sync::Arc;

use super::*;

#[tokio::test]
async fn passes_the_contract() {
    crate::contract::check(|| Box::pin(ready(Arc::new(MemoryLedger::default()) as Arc<dyn Ledger>))).await;
}

#[tokio::test]
async fn what_guests_write_is_bounded_in_bytes() {
    let ledger = MemoryLedger::default();
    let n_runs = 2 * FINISHED_BYTES_MAX / (8 << 20);
    for number in 0..n_runs {
        let run = crate::contract::run("a", i64::try_from(number).unwrap());
        let mut finish = crate::contract::finish(&run, OutcomeCode::Succeeded);
        if let Change::Finish(finish) = &mut finish {
            Arc::make_mut(finish).report.stdout.text = "x".repeat(8 << 20);
        }
        ledger.commit(vec![Change::Plan(Arc::clone(&run)), finish]).await.unwrap();
    }
    assert_eq!(ledger.runs(RunFilter::default()).await.unwrap().len(), n_runs / 2);
}

#[tokio::test]
async fn the_oldest_finished_runs_make_place() {
    let ledger = MemoryLedger::default();
    let n_runs = FINISHED_RUNS_MAX + 10;
    for chunk in 0..n_runs / 10 {
        let mut changes = Vec::new();
        for number in 0..10 {
            let run = crate::contract::run("a", i64::try_from(chunk * 10 + number).unwrap());
            changes.push(Change::Plan(Arc::clone(&run)));
            changes.push(crate::contract::finish(&run, OutcomeCode::Succeeded));
        }
        ledger.commit(changes).await.unwrap();
    }
    let rows = ledger.runs(RunFilter::default()).await.unwrap();
    assert_eq!(rows.len(), FINISHED_RUNS_MAX);
    assert_eq!(rows.last().unwrap().run.id, crate::contract::run("a", 10).id);
}
