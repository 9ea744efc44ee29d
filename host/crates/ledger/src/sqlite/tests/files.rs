//! Which files are opened, by whom, and what the others are told.

use clockjack_schedule::state::{StateChange, StateWrite};

use super::*;
use crate::SqliteReader;

async fn reader_refusal(path: &Path) -> String {
    match SqliteReader::open(path).await {
        Ok(_) => panic!("`{}` was opened", path.display()),
        Err(error) => error.to_string(),
    }
}

/// Makes an SQLite file that is not ours, or not of this version.
async fn make(path: &Path, script: &str) {
    fs::write(path, "").unwrap();
    let mut connection = super::super::connection::Connection::open(path).await.unwrap();
    connection.run_script(script.to_owned()).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_second_opener_learns_who_has_the_file() {
    let (directory, path) = place();
    let ledger = opened(&path).await;
    let mut names = vec![path.clone(), directory.path().join("./x/../state.db")];
    fs::create_dir(directory.path().join("x")).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&path, directory.path().join("link.db")).unwrap();
        std::os::unix::fs::symlink(directory.path(), directory.path().join("linked")).unwrap();
        names.extend([directory.path().join("link.db"), directory.path().join("linked/state.db")]);
    }
    for name in names {
        let LedgerError::Refused(told) = refusal(&name).await else { panic!("{}", name.display()) };
        for word in
            [&*format!("process {}", std::process::id()), "the tests", "2027-01-15T08:00:00Z", "state.db", "stop"]
        {
            assert!(told.contains(word), "`{word}` in {told}");
        }
    }
    ledger.commit(batches().remove(0)).await.unwrap();
    drop(ledger);
    assert_eq!(opened(&path).await.load().await.unwrap().jobs.len(), 3, "the lock is gone with its holder");
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;

    let (directory, _) = place();
    let path = directory.path().join("deep/er/state.db");
    let _ledger = opened(&path).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for name in ["state.db", "state.db-wal", "state.db.lock"] {
        assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_reader_sees_what_the_host_acknowledged() {
    let (directory, path) = place();
    let ledger = opened(&path).await;
    let reader = SqliteReader::open(&path).await.unwrap();
    for batch in batches() {
        ledger.commit(batch).await.unwrap();
        assert_eq!(reader.load().await.unwrap(), ledger.load().await.unwrap());
    }
    let seen = refinement::seen(&ledger).await;
    assert_eq!(refinement::seen(&reader).await, seen);
    assert!(reader.commit(vec![]).await.is_err());
    assert!(reader.prune(vec![], 1).await.is_err());
    // A host that has died left its WAL behind.
    let left = directory.path().join("left.db");
    copy(&path, &left);
    assert_eq!(refinement::seen(&SqliteReader::open(&left).await.unwrap()).await, seen);
    // A host that has ended left one file.
    ledger.close().await.unwrap();
    drop(ledger);
    assert_eq!(refinement::seen(&SqliteReader::open(&path).await.unwrap()).await, seen);
    assert_eq!(refinement::seen(&opened(&path).await).await, seen, "readers are in nobody's way");
}

#[tokio::test]
async fn a_reader_makes_no_file() {
    let (_directory, path) = place();
    let told = reader_refusal(&path).await;
    assert!(told.starts_with("no ledger at `") && told.ends_with("state.db`; has a host run with it?"), "{told}");
    assert!(!path.exists());
    fs::write(&path, "").unwrap();
    let told = reader_refusal(&path).await;
    assert!(told.contains("state.db"), "{told}");
}

#[tokio::test]
async fn a_file_of_a_newer_build_is_refused_and_left_alone() {
    let (_directory, path) = place();
    let script = format!("PRAGMA application_id = {}; PRAGMA user_version = 99; CREATE TABLE x (y)", 0x434a_4c47);
    make(&path, &script).await;
    let before = fs::read(&path).unwrap();
    let told = refusal(&path).await.to_string();
    for word in ["state.db", "version 99", "up to 5", "newer build"] {
        assert!(told.contains(word), "`{word}` in {told}");
    }
    assert!(reader_refusal(&path).await.contains("version 99"));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_file_of_somebody_else_is_refused_and_left_alone() {
    let (_directory, path) = place();
    make(&path, "CREATE TABLE run (id)").await;
    let before = fs::read(&path).unwrap();
    let told = refusal(&path).await.to_string();
    assert!(told.contains("state.db") && told.contains("no ledger of Clockjack's"), "{told}");
    assert_eq!(fs::read(&path).unwrap(), before);
    fs::write(&path, "jobs: {}\n".repeat(100)).unwrap();
    assert!(matches!(refusal(&path).await, LedgerError::Damaged(_)));
    assert_eq!(fs::read_to_string(&path).unwrap(), "jobs: {}\n".repeat(100));
}

#[tokio::test]
async fn only_a_regular_file_with_one_name_is_opened() {
    let (directory, path) = place();
    let told = refusal(directory.path()).await.to_string();
    assert!(told.contains("it is a directory"), "{told}");
    drop(opened(&path).await);
    fs::hard_link(&path, directory.path().join("second.db")).unwrap();
    let told = refusal(&path).await.to_string();
    assert!(told.contains("several names"), "{told}");
}

#[tokio::test]
async fn an_empty_file_is_new_unless_a_wal_lies_beside_it() {
    let (directory, path) = place();
    fs::write(&path, "").unwrap();
    let ledger = opened(&path).await;
    ledger.commit(batches().remove(0)).await.unwrap();
    let lost = directory.path().join("lost.db");
    copy(&path, &lost);
    for is_there in [true, false] {
        if is_there {
            fs::write(&lost, "").unwrap();
        } else {
            fs::remove_file(&lost).unwrap();
        }
        let LedgerError::Damaged(told) = refusal(&lost).await else { panic!("it was taken for new") };
        assert!(told.contains("lost.db") && told.contains("WAL is still there"), "{told}");
    }
}

#[tokio::test]
async fn a_ledger_that_was_emptied_is_not_begun_anew() {
    let (_directory, path) = place();
    let ledger = opened(&path).await;
    ledger.commit(batches().remove(0)).await.unwrap();
    ledger.close().await.unwrap();
    drop(ledger);
    fs::write(&path, "").unwrap();
    for _ in 0..2 {
        let LedgerError::Damaged(told) = refusal(&path).await else { panic!("it was taken for new") };
        assert!(told.contains("is empty") && told.contains(".lock"), "{told}");
        assert_eq!(fs::metadata(&path).unwrap().len(), 0, "it stays as it is");
    }
    // Whoever wants to begin anew removes it.
    fs::remove_file(&path).unwrap();
    opened(&path).await;
}

/// A file as the first release wrote it: its schema, and rows with their checksums.
#[tokio::test]
async fn a_file_of_version_1_is_opened() {
    let (_directory, path) = place();
    make(&path, include_str!("version_1.sql")).await;
    let ledger = opened(&path).await;
    let (_elsewhere, fresh) = place();
    let wanted = opened(&fresh).await;
    for batch in batches() {
        wanted.commit(batch).await.unwrap();
    }
    assert_eq!(refinement::seen(&ledger).await, refinement::seen(&wanted).await);
    // What later versions added works in it as in a new one.
    let value = Some(b"value"[..].into());
    let change = StateChange { version: 1, writes: vec![StateWrite { key: "key".to_owned(), version: 1, value }] };
    let change = Change::State { job: contract::job("a"), change: Arc::new(change) };
    for ledger in [&ledger, &wanted] {
        ledger.commit([vec![change.clone()], generations()].concat()).await.unwrap();
    }
    assert_eq!(refinement::seen(&ledger).await, refinement::seen(&wanted).await);
}
