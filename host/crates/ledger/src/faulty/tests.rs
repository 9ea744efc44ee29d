//! The script is followed to the letter.

use std::time::Duration;

use super::*;
use crate::{
    MemoryLedger,
    contract::{at, plan, run},
};

#[tokio::test(start_paused = true)]
async fn faults_come_when_the_script_says_so() {
    let script = [
        (2, Fault::Unavailable { n_commits: 2 }),
        (5, Fault::LostAnswer),
        (6, Fault::Delay(Duration::from_secs(3))),
        (8, Fault::Failed),
    ];
    let ledger = FaultyLedger::new(Arc::new(MemoryLedger::default()), script);
    let start = tokio::time::Instant::now();
    let mut told = Vec::new();
    for number in 1..=9 {
        let answer = match ledger.commit(vec![plan(&run("a", number))]).await {
            Ok(_) => "ok",
            Err(LedgerError::Unavailable(_)) => "unavailable",
            Err(LedgerError::Failed(_)) => "failed",
            Err(LedgerError::Damaged(_) | LedgerError::Refused(_)) => "other",
        };
        told.push(answer);
    }
    let wanted = ["ok", "unavailable", "unavailable", "ok", "unavailable", "ok", "ok", "failed", "failed"];
    assert_eq!(told, wanted);
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    assert_eq!(ledger.n_commits(), 9);
    let kept = ledger.runs(RunFilter::default()).await.unwrap();
    let slots: Vec<_> = kept.iter().map(|row| row.run.scheduled_for).collect();
    assert_eq!(slots, [7, 6, 5, 4, 1].map(at), "what lost its answer was kept");
}

#[tokio::test]
async fn without_a_script_it_keeps_the_contract() {
    let open = || Arc::new(FaultyLedger::new(Arc::new(MemoryLedger::default()), [])) as Arc<dyn Ledger>;
    crate::contract::check(|| Box::pin(std::future::ready(open()))).await;
}
