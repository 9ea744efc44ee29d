//! The SQLite ledger keeps the contract, and what is its own: its file.

use std::{path::Path, sync::Arc};

use clockjack_schedule::ports::{Ledger, LedgerError};

use super::{Owner, SqliteLedger, SqliteOptions};
use crate::{
    MemoryLedger,
    contract::{self, refinement},
};

fn options() -> SqliteOptions {
    SqliteOptions { owner: Owner { what: "the tests".to_owned(), since: contract::at(0) }, pages_max: None }
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
    for seed in 1..=20 {
        let directory = tempfile::tempdir().unwrap();
        let ledger = opened(&directory.path().join("state.db")).await;
        refinement::check(&MemoryLedger::default(), &ledger, seed, 60).await;
    }
}
