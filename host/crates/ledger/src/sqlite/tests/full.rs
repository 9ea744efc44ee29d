//! A disk that takes no more, and a file that may not be written.

use std::num::NonZeroU32;

use super::*;

/// `max_page_count` is SQLite's own way to say that the disk is full, with the same code.
#[tokio::test]
async fn a_full_disk_keeps_nothing_and_the_same_batch_is_kept_when_there_is_place() {
    let (_directory, path) = place();
    let pages_max = NonZeroU32::new(40);
    let ledger = SqliteLedger::open(&path, SqliteOptions { pages_max, ..options() }).await.unwrap();
    let model = MemoryLedger::default();
    let mut n_unavailable = 0;
    for number in 0..40 {
        let changes: Vec<_> = (0..40).map(|second| plan(&run("a", 40 * number + second))).collect();
        while let Err(error) = ledger.commit(changes.clone()).await {
            assert!(matches!(&error, LedgerError::Unavailable(told) if told.contains("state.db")), "{error}");
            assert_eq!(refinement::seen(&ledger).await, refinement::seen(&model).await, "nothing of it is kept");
            n_unavailable += 1;
            ledger.limit_pages(NonZeroU32::new(40 + 5 * n_unavailable).unwrap()).await.unwrap();
        }
        model.commit(changes).await.unwrap();
    }
    assert!(2 < n_unavailable, "{n_unavailable}");
    assert_eq!(refinement::seen(&ledger).await, refinement::seen(&model).await);
    drop(ledger);
    assert_eq!(refinement::seen(&opened(&path).await).await, refinement::seen(&model).await);
}

/// Permissions do not bind root, as whom tests may run; then there is nothing to see here.
#[cfg(unix)]
#[tokio::test]
async fn a_directory_that_may_not_be_written_is_told() {
    use std::os::unix::fs::PermissionsExt as _;

    let (directory, path) = place();
    let locked = directory.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(locked.join("probe"), "").is_err() {
        let error = refusal(&locked.join("state.db")).await;
        assert!(matches!(&error, LedgerError::Unavailable(told) if told.contains("locked/state.db")), "{error}");
    }
    // A file in the place of the directory stops root too.
    fs::write(&path, "").unwrap();
    let error = refusal(&path.join("state.db")).await;
    assert!(matches!(&error, LedgerError::Refused(told) if told.contains("state.db/state.db")), "{error}");
}
