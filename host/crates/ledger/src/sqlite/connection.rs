//! One connection: values in, values out.

use std::{path::Path, time::Duration};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection as _, Decode, Row, Sqlite, SqliteConnection, TypeInfo, ValueRef,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteRow},
};

use super::{
    fault::Fault,
    sql::{Statements, Write},
};
use crate::codec::{Undecodable, Value};

/// How long to wait for somebody else's lock. Nobody holds one for long: there is one writer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How many prepared statements are kept; [`Write`] has 24 shapes of 9 sizes.
const STATEMENTS_MAX: usize = 256;

/// How many rows a statement may be ahead of whoever waits for them. Where it has to stop, two threads wake each other in
/// turn, and under load each waking takes milliseconds. No page has more.
const ROWS_AHEAD: usize = 2_048;

/// What every connection is opened with.
pub(super) fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(false)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(STATEMENTS_MAX)
        .row_buffer_size(ROWS_AHEAD)
        .pragma("temp_store", "MEMORY")
        .pragma("mmap_size", "0")
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .disable_statement_logging()
}

/// The connection that writes.
pub(super) struct Connection {
    sqlite: SqliteConnection,
    statements: Statements,
}

impl Connection {
    pub(super) async fn open(path: &Path) -> Result<Self, Fault> {
        let sqlite = connect_options(path).connect().await?;
        Ok(Self { sqlite, statements: Statements::default() })
    }

    /// A connection that can write nothing, not even when it ends.
    pub(super) async fn open_to_read(path: &Path) -> Result<Self, Fault> {
        let sqlite = connect_options(path).read_only(true).connect().await?;
        Ok(Self { sqlite, statements: Statements::default() })
    }

    /// Runs a statement that has no arguments and no rows of interest.
    pub(super) async fn run(&mut self, sql: &'static str) -> Result<(), Fault> {
        sqlx::query(sql).execute(&mut self.sqlite).await?;
        Ok(())
    }

    /// Runs statements that are not kept prepared.
    pub(super) async fn run_script(&mut self, sql: String) -> Result<(), Fault> {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.sqlite).await?;
        Ok(())
    }

    /// The rows of a statement.
    pub(super) async fn rows(&mut self, sql: &'static str) -> Result<Vec<Vec<Value>>, Fault> {
        rows(&mut self.sqlite, sql.to_owned(), Vec::new()).await
    }

    /// The only number of the only row.
    pub(super) async fn number(&mut self, sql: &'static str) -> Result<i64, Fault> {
        match self.rows(sql).await?.first().and_then(|row| row.first()) {
            Some(Value::Int(number)) => Ok(*number),
            Some(Value::Null | Value::Text(_) | Value::Blob(_)) | None => {
                Err(Undecodable(format!("`{sql}` gave no number")).into())
            }
        }
    }

    /// Writes rows, each of as many columns as the statement has. `fixed` goes before the rows of each chunk.
    pub(super) async fn write(&mut self, write: Write, fixed: &[Value], values: Vec<Value>) -> Result<(), Fault> {
        self.chunks(write, fixed, values).await?;
        Ok(())
    }

    /// The same, with what the statements answer.
    pub(super) async fn chunks(
        &mut self,
        write: Write,
        fixed: &[Value],
        values: Vec<Value>,
    ) -> Result<Vec<Vec<Value>>, Fault> {
        let n_columns = write.n_columns();
        let mut n_rows = values.len() / n_columns;
        let mut values = values.into_iter();
        let mut answers = Vec::new();
        while 0 < n_rows {
            let (n_chunk, text) = self.statements.chunk(write, n_rows);
            let arguments = arguments(fixed.iter().cloned().chain(values.by_ref().take(n_chunk * n_columns)))?;
            let query = sqlx::query_with(AssertSqlSafe(text), arguments);
            for row in query.fetch_all(&mut self.sqlite).await? {
                answers.push(values_of(&row)?);
            }
            n_rows -= n_chunk;
        }
        Ok(answers)
    }

    /// Ends it; what is still to be moved from the WAL is moved.
    pub(super) async fn close(self) -> Result<(), Fault> {
        Ok(self.sqlite.close().await?)
    }
}

/// The rows of a statement with arguments.
pub(super) async fn rows(
    sqlite: &mut SqliteConnection,
    sql: String,
    values: Vec<Value>,
) -> Result<Vec<Vec<Value>>, Fault> {
    let query = sqlx::query_with(AssertSqlSafe(sql), arguments(values.into_iter())?);
    let rows = query.fetch_all(sqlite).await?;
    Ok(rows.iter().map(values_of).collect::<Result<_, _>>()?)
}

fn arguments(values: impl Iterator<Item = Value>) -> Result<SqliteArguments, Fault> {
    use sqlx::Arguments as _;

    let mut arguments = SqliteArguments::default();
    arguments.reserve(values.size_hint().0, 0);
    for value in values {
        let added = match value {
            Value::Null => arguments.add(None::<i64>),
            Value::Int(number) => arguments.add(number),
            Value::Text(text) => arguments.add(text),
            Value::Blob(bytes) => arguments.add(bytes),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn values_of(row: &SqliteRow) -> Result<Vec<Value>, Undecodable> {
    (0..row.len()).map(|index| value_of(row, index)).collect()
}

fn value_of(row: &SqliteRow, index: usize) -> Result<Value, Undecodable> {
    let said = |error: &dyn std::fmt::Display| Undecodable(format!("column {index}: {error}"));
    let value = row.try_get_raw(index).map_err(|error| said(&error))?;
    if value.is_null() {
        return Ok(Value::Null);
    }
    let decoded = match value.type_info().name() {
        "INTEGER" => <i64 as Decode<'_, Sqlite>>::decode(value).map(Value::Int),
        "TEXT" => <String as Decode<'_, Sqlite>>::decode(value).map(Value::Text),
        "BLOB" => <Vec<u8> as Decode<'_, Sqlite>>::decode(value).map(Value::Blob),
        other => return Err(said(&format!("a value of type {other}"))),
    };
    decoded.map_err(|error| said(&error))
}
