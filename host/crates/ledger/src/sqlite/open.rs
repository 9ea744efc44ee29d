//! From a path to a ledger that can be trusted, or to a refusal that says what to do.

use std::{num::NonZeroU32, path::Path};

use clockjack_schedule::ports::LedgerError;

use super::{
    connection::Connection,
    fault::{Fault, Faults, damaged},
    owner, sql, wal,
};

/// Up to this size every index is compared with its table when a file is opened, which takes about 0.3 s; larger files
/// are checked page by page only.
const THOROUGH_CHECK_BYTES_MAX: u64 = 64 << 20;

/// The first version without the bug that corrupts a WAL when it is reset.
const SQLITE_MIN: (u32, u32, u32) = (3, 51, 3);

/// Opens the connection that writes. The lock is held by the caller.
pub(super) async fn open_writer(faults: &Faults, pages_max: Option<NonZeroU32>) -> Result<Connection, LedgerError> {
    let path = faults.path();
    let told = |fault: Fault| faults.told(&fault);
    owner::check_kind(path)?;
    wal::inspect(path)?;
    if !path.exists() {
        let said = |error| LedgerError::Unavailable(format!("`{}`: {error}", path.display()));
        owner::create(path).map_err(said)?;
    }
    let mut connection = Connection::open(path).await.map_err(told)?;
    check_library(&mut connection).await.map_err(told)??;
    // Nothing is written before it is clear that the file is ours.
    let version = version_of(&mut connection, path).await.map_err(told)??;
    if version != 0 {
        check_pages(&mut connection, path).await.map_err(told)??;
    }
    set_up(&mut connection, pages_max).await.map_err(told)?;
    migrate(&mut connection, version).await.map_err(told)?;
    Ok(connection)
}

/// Fails unless a reader can make sense of the file as it is.
pub(super) async fn check_reader(connection: &mut Connection, faults: &Faults) -> Result<(), LedgerError> {
    let path = faults.path();
    let told = |fault: Fault| faults.told(&fault);
    check_library(connection).await.map_err(told)??;
    let version = version_of(connection, path).await.map_err(told)??;
    if version != sql::SCHEMA_VERSION {
        return Err(LedgerError::Refused(format!(
            "the ledger `{}` has schema version {version}, and this build reads {}: start a host of this build on it \
             once, which brings it up to date",
            path.display(),
            sql::SCHEMA_VERSION
        )));
    }
    Ok(())
}

/// A failed statement, or what its answer means.
type Checked<T> = Result<Result<T, LedgerError>, Fault>;

async fn check_library(connection: &mut Connection) -> Checked<()> {
    let rows = connection.rows("SELECT sqlite_version()").await?;
    let text = match rows.first().and_then(|row| row.first()) {
        Some(crate::codec::Value::Text(text)) => text.clone(),
        Some(_) | None => String::new(),
    };
    let mut numbers = text.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
    let mut next = || numbers.next().unwrap_or_default();
    if SQLITE_MIN <= (next(), next(), next()) {
        return Ok(Ok(()));
    }
    Ok(Err(LedgerError::Refused(format!(
        "SQLite {text} can corrupt a ledger; 3.51.3 or later is needed: build with the bundled one"
    ))))
}

async fn version_of(connection: &mut Connection, path: &Path) -> Checked<i64> {
    let application = connection.number("PRAGMA application_id").await?;
    let version = connection.number("PRAGMA user_version").await?;
    let n_tables = connection.number("SELECT count(*) FROM sqlite_schema").await?;
    let path_shown = path.display();
    if application == 0 && version == 0 && n_tables == 0 {
        return Ok(Ok(0));
    }
    if application != sql::APPLICATION_ID {
        return Ok(Err(LedgerError::Refused(format!(
            "`{path_shown}` is an SQLite database, and no ledger of Clockjack's: give another path"
        ))));
    }
    if sql::SCHEMA_VERSION < version {
        return Ok(Err(LedgerError::Refused(format!(
            "the ledger `{path_shown}` has schema version {version}, and this build knows up to {}: use the newer build \
             that made it, or give another path",
            sql::SCHEMA_VERSION
        ))));
    }
    if version < 1 {
        return Ok(Err(damaged(path, &format!("its schema version is {version}, and it has {n_tables} tables"))));
    }
    Ok(Ok(version))
}

async fn check_pages(connection: &mut Connection, path: &Path) -> Checked<()> {
    let n_pages = connection.number("PRAGMA page_count").await?;
    let n_bytes = n_pages.saturating_mul(connection.number("PRAGMA page_size").await?);
    let is_small = u64::try_from(n_bytes).is_ok_and(|n_bytes| n_bytes <= THOROUGH_CHECK_BYTES_MAX);
    let check = if is_small { "PRAGMA integrity_check(1)" } else { "PRAGMA quick_check(1)" };
    let rows = connection.rows(check).await?;
    match rows.first().and_then(|row| row.first()) {
        Some(crate::codec::Value::Text(text)) if text == "ok" => Ok(Ok(())),
        Some(answer) => Ok(Err(damaged(path, &format!("its pages do not fit together: {answer:?}")))),
        None => Ok(Err(damaged(path, "its pages cannot be checked"))),
    }
}

async fn set_up(connection: &mut Connection, pages_max: Option<NonZeroU32>) -> Result<(), Fault> {
    // Only a new file takes it. The runs of a batch belong to many jobs, so that most of what a commit writes is one page
    // of an index per run: small pages, though not so small that the row of a run needs two.
    connection.run("PRAGMA page_size = 2048").await?;
    connection.run("PRAGMA journal_mode = WAL").await?;
    // Every commit waits for the disk: a claim that is lost after it was acknowledged would run a slot twice.
    connection.run("PRAGMA synchronous = FULL").await?;
    // The writer checkpoints itself, so that a failed fsync there is not swallowed.
    connection.run("PRAGMA wal_autocheckpoint = 0").await?;
    connection.run("PRAGMA cache_size = -16384").await?;
    if let Some(pages_max) = pages_max {
        connection.run_script(format!("PRAGMA max_page_count = {pages_max}")).await?;
    }
    Ok(())
}

async fn migrate(connection: &mut Connection, version: i64) -> Result<(), Fault> {
    for (number, schema) in (1_i64..).zip(sql::SCHEMAS).filter(|(number, _)| version < *number) {
        let application = sql::APPLICATION_ID;
        let begin = "BEGIN IMMEDIATE; ";
        let end = format!("; PRAGMA application_id = {application}; PRAGMA user_version = {number}; COMMIT");
        if let Err(fault) = connection.run_script([begin, schema, &end].concat()).await {
            // Nothing of a step is kept; that this fails too changes nothing.
            let _rolled_back = connection.run("ROLLBACK").await;
            return Err(fault);
        }
    }
    Ok(())
}
