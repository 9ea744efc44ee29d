//! What can be asked of a file, on connections of its own: readers neither wait for the writer nor make it wait.

use std::{collections::HashMap, sync::Arc};

use clockjack_schedule::{
    id::{JobId, RunId},
    ports::{
        Document, DocumentKind, EventBatch, EventMark, GenerationRow, JobFilter, JobStory, KeepOf, LedgerError, Loaded,
        LogLine, OpenRun, Report, RunFilter, RunPhase, RunPlace, RunRow, RunState, RunStory, SkipFilter, SkipPlace,
    },
    run::Skip,
    state::Kept,
};
use sqlx::{
    SqliteConnection,
    sqlite::{SqlitePool, SqlitePoolOptions},
};

use super::{
    connection::{connect_options, rows},
    fault::{Fault, Faults},
    jobs::{jobs, load},
    sql,
    writer::Doomed,
};
use crate::codec::{self, Belongings, Fields, LAST_ATTEMPT, Part, Undecodable, Value};

/// How many may read at once.
const READERS_MAX: u32 = 2;

/// The readers of one file.
pub(super) struct Reads {
    pool: SqlitePool,
    faults: Arc<Faults>,
}

impl Reads {
    /// Readers that connect when they are needed.
    pub(super) fn new(faults: Arc<Faults>) -> Self {
        // A connection that cannot write moves nothing out of the WAL either when it ends.
        let options = connect_options(faults.path()).read_only(true);
        let pool = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(options);
        Self { pool, faults }
    }

    /// Waits until no reader has the file open.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    /// Everything that one question reads is of one moment.
    async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, Fault>,
    ) -> Result<T, LedgerError> {
        self.faults.check()?;
        let answer = async {
            // Dropped in the middle, it ends by itself.
            let mut moment = self.pool.begin().await?;
            let answer = question(&mut moment).await?;
            moment.rollback().await?;
            Ok(answer)
        };
        answer.await.map_err(|fault: Fault| self.faults.told(&fault))
    }

    /// The same for what one statement answers: it is of one moment by itself, and each further one would be another turn
    /// of the connection's thread.
    async fn ask_once<T>(
        &self,
        question: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, Fault>,
    ) -> Result<T, LedgerError> {
        self.faults.check()?;
        let answer = async {
            let mut reader = self.pool.acquire().await?;
            question(&mut reader).await
        };
        answer.await.map_err(|fault: Fault| self.faults.told(&fault))
    }

    pub(super) async fn load(&self) -> Result<Loaded, LedgerError> {
        self.ask(async |sqlite| load(sqlite).await).await
    }

    pub(super) async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobStory>, LedgerError> {
        self.ask(async |sqlite| jobs(sqlite, filter).await).await
    }

    pub(super) async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunRow>, LedgerError> {
        self.ask_once(async |sqlite| runs(sqlite, filter).await).await
    }

    pub(super) async fn run(&self, id: RunId) -> Result<Option<RunStory>, LedgerError> {
        self.ask(async |sqlite| story(sqlite, id).await).await
    }

    pub(super) async fn generations(&self) -> Result<Vec<GenerationRow>, LedgerError> {
        self.ask_once(async |sqlite| all(sqlite, sql::GENERATIONS, Vec::new(), codec::read_generation).await).await
    }

    pub(super) async fn documents(&self, kind: DocumentKind) -> Result<Vec<Document>, LedgerError> {
        let kind = vec![kind.as_str().into()];
        self.ask_once(async |sqlite| all(sqlite, sql::DOCUMENTS, kind, codec::read_document).await).await
    }

    pub(super) async fn events(&self, after: u64, n_max: usize) -> Result<Vec<EventBatch>, LedgerError> {
        let wanted = vec![after.into(), limit(n_max)];
        self.ask_once(async |sqlite| all(sqlite, sql::EVENTS, wanted, codec::read_events).await).await
    }

    pub(super) async fn event_marks(&self) -> Result<Vec<EventMark>, LedgerError> {
        self.ask_once(async |sqlite| all(sqlite, sql::EVENT_MARKS, Vec::new(), codec::read_event_mark).await).await
    }

    pub(super) async fn state(&self, job: &JobId) -> Result<Kept, LedgerError> {
        self.ask(async |sqlite| state(sqlite, job).await).await
    }

    pub(super) async fn skips(&self, filter: &SkipFilter) -> Result<Vec<Skip>, LedgerError> {
        self.ask_once(async |sqlite| skips(sqlite, filter).await).await
    }

    /// What of a job is older or more than is to be kept, oldest first, at most so many rows.
    pub(super) async fn doomed(&self, keep: &KeepOf, n_max: usize) -> Result<Doomed, LedgerError> {
        self.ask(async |sqlite| doomed(sqlite, keep, n_max).await).await
    }
}

/// Everything that a statement finds.
async fn all<T>(
    sqlite: &mut SqliteConnection,
    sql: &str,
    values: Vec<Value>,
    read: impl Fn(Vec<Value>) -> Result<T, Undecodable>,
) -> Result<Vec<T>, Fault> {
    let rows = rows(sqlite, sql.to_owned(), values).await?;
    Ok(rows.into_iter().map(read).collect::<Result<_, _>>()?)
}

async fn state(sqlite: &mut SqliteConnection, job: &JobId) -> Result<Kept, Fault> {
    let versions = rows(sqlite, sql::STATE_VERSION.to_owned(), vec![job.into()]).await?;
    let Some(version) = versions.into_iter().next() else { return Ok(Kept::default()) };
    let (_, version) = codec::read_state_version(version)?;
    let entries = rows(sqlite, sql::STATE.to_owned(), vec![job.into()]).await?;
    let entries = entries.into_iter().map(codec::read_state).collect::<Result<_, _>>()?;
    Ok(Kept { version, entries })
}

/// Nothing has come of it yet.
const UNTOUCHED: &str = "claimed_at IS NULL AND retry_at IS NULL AND n_attempts = 0";

/// An attempt of it has ended, and the next one has not begun.
const BETWEEN_ATTEMPTS: &str = "claimed_at IS NULL AND (retry_at IS NOT NULL OR n_attempts <> 0)";

async fn runs(sqlite: &mut SqliteConnection, filter: &RunFilter) -> Result<Vec<RunRow>, Fault> {
    let mut wanted = Wanted::default();
    wanted.add("job = ?", filter.job.as_ref().map(Value::from));
    wanted.add("slot >= ?", filter.since.map(Value::from));
    wanted.add("slot < ?", filter.until.map(Value::from));
    if let Some(RunPlace { slot, job, run }) = &filter.beyond {
        wanted.conditions.push("(slot, job, id) < (?, ?, ?)");
        wanted.values.extend([(*slot).into(), job.into(), (*run).into()]);
    }
    let from = match (filter.outcome, filter.phase) {
        (Some(_), None | Some(RunPhase::Ended)) => sql::From::Ended("code = ?"),
        // Only what has ended has an outcome.
        (Some(_), Some(_)) => return Ok(Vec::new()),
        (None, Some(RunPhase::Ended)) => sql::From::Ended("1 = 1"),
        (None, Some(RunPhase::Running)) => sql::From::Open("claimed_at IS NOT NULL"),
        (None, Some(RunPhase::Planned)) => sql::From::Open(UNTOUCHED),
        (None, Some(RunPhase::Retrying)) => sql::From::Open(BETWEEN_ATTEMPTS),
        (None, None) => sql::From::Both,
    };
    let sql = sql::runs(&wanted.condition(), from);
    let mut values = wanted.values;
    values.extend(filter.outcome.map(|code| Value::from(code.as_str())));
    values.push(limit(filter.n_max));
    if from == sql::From::Both {
        values = [values.clone(), values, vec![limit(filter.n_max)]].concat();
    }
    rows(sqlite, sql, values).await?.into_iter().map(|row| listed(row).map_err(Fault::from)).collect()
}

/// A row of either table: the first column says of which.
pub(super) fn listed(mut row: Vec<Value>) -> Result<RunRow, Undecodable> {
    if row.is_empty() {
        return Err(Undecodable("a run has no columns".to_owned()));
    }
    let mut columns = row.split_off(1);
    if row[0] != Value::Int(sql::FROM_OPEN) {
        return codec::read_run(columns).map(|(row, _)| row);
    }
    columns.truncate(sql::N_OPEN_COLUMNS);
    codec::read_open(columns).map(open_row)
}

fn open_row(open: OpenRun) -> RunRow {
    let OpenRun { run, n_attempts, n_interrupted: _, claimed_at, retry_at } = open;
    RunRow { run, state: RunState::Open { n_attempts, claimed_at, retry_at } }
}

async fn story(sqlite: &mut SqliteConnection, id: RunId) -> Result<Option<RunStory>, Fault> {
    let key = || vec![Value::from(id)];
    let (mut row, belongings) = match rows(sqlite, sql::OPEN_ROW.to_owned(), key()).await?.pop() {
        Some(row) => {
            let open = codec::read_open(row)?;
            let n_earlier = usize::try_from(open.n_attempts).unwrap_or(usize::MAX);
            (open_row(open), Belongings { n_earlier, ..Belongings::default() })
        }
        None => match rows(sqlite, sql::RUN_ROW.to_owned(), key()).await?.pop() {
            Some(row) => codec::read_run(row)?,
            None => return Ok(None),
        },
    };
    if let Some(values) = rows(sqlite, sql::PAYLOAD.to_owned(), key()).await?.pop() {
        Arc::make_mut(&mut row.run).payload = Some(codec::read_payload(values)?.1);
    }
    let mut pieces = Pieces::default();
    for values in rows(sqlite, sql::PARTS.to_owned(), key()).await? {
        let (attempt, part) = codec::read_part(values)?;
        pieces.parts.entry(attempt).or_default().push(part);
    }
    for values in rows(sqlite, sql::LOGS.to_owned(), key()).await? {
        let (attempt, line) = codec::read_log(values)?;
        pieces.logs.entry(attempt).or_default().push(line);
    }
    let mut attempts = Vec::new();
    for values in rows(sqlite, sql::ATTEMPTS.to_owned(), key()).await? {
        let (mut finish, belongings) = codec::read_attempt(values, &row.run.job)?;
        pieces.place(finish.n_attempts, belongings, &mut finish.report)?;
        attempts.push(finish);
    }
    if attempts.len() != belongings.n_earlier {
        return Err(missing(attempts.len(), belongings.n_earlier, "attempts").into());
    }
    if let RunState::Ended(finish) = &mut row.state {
        pieces.place(LAST_ATTEMPT, belongings, &mut Arc::make_mut(finish).report)?;
    }
    Ok(Some(RunStory { row, attempts }))
}

/// What the attempts of a run wrote and logged, by the number of the attempt.
#[derive(Default)]
struct Pieces {
    parts: HashMap<u32, Vec<Part>>,
    logs: HashMap<u32, Vec<LogLine>>,
}

impl Pieces {
    /// Puts what belongs to an attempt into its report, unless something of it is missing.
    fn place(&mut self, attempt: u32, wanted: Belongings, report: &mut Report) -> Result<(), Undecodable> {
        let parts = self.parts.remove(&attempt).unwrap_or_default();
        let logs = self.logs.remove(&attempt).unwrap_or_default();
        if parts.len() != wanted.n_parts {
            return Err(missing(parts.len(), wanted.n_parts, "parts of a report"));
        }
        if logs.len() != wanted.n_logs {
            return Err(missing(logs.len(), wanted.n_logs, "log lines"));
        }
        parts.into_iter().for_each(|part| part.place(report));
        report.logs = logs;
        Ok(())
    }
}

fn missing(n_found: usize, n_wanted: usize, what: &str) -> Undecodable {
    Undecodable(format!("{n_found} {what} are there, and {n_wanted} were kept"))
}
async fn skips(sqlite: &mut SqliteConnection, filter: &SkipFilter) -> Result<Vec<Skip>, Fault> {
    let mut wanted = Wanted::default();
    wanted.add("job = ?", filter.job.as_ref().map(Value::from));
    wanted.add("last >= ?", filter.since.map(Value::from));
    wanted.add("first < ?", filter.until.map(Value::from));
    if let Some(SkipPlace { last, job, first, run, reason }) = &filter.beyond {
        wanted.conditions.push("(last, job, first, run, reason) < (?, ?, ?, ?, ?)");
        let run = run.map_or(Value::Blob(Vec::new()), Value::from);
        wanted.values.extend([(*last).into(), job.into(), (*first).into(), run, (*reason).into()]);
    }
    let sql = sql::skips(&wanted.condition());
    wanted.values.push(limit(filter.n_max));
    let rows = rows(sqlite, sql, wanted.values).await?;
    Ok(rows.into_iter().map(codec::read_skip).collect::<Result<_, _>>()?)
}

async fn doomed(sqlite: &mut SqliteConnection, keep: &KeepOf, n_max: usize) -> Result<Doomed, Fault> {
    let since = codec::micros(keep.since);
    let job = || Value::from(&keep.job);
    let n_kept = || vec![job(), Value::Int(i64::from(keep.n_max.get()) - 1)];
    // What goes is a beginning of the order, so one comparison with one place finds it: with the first slot that is
    // young enough, or with the last row that is among the newest, whichever comes later.
    let oldest = rows(sqlite, sql::OLDEST_KEPT_RUN.to_owned(), n_kept()).await?.pop();
    let empty = || Value::Blob(Vec::new());
    let place = later(oldest, vec![Value::Int(since), empty()])?;
    let values = [vec![job()], place, vec![limit_of(n_max)]].concat();
    let runs: Vec<_> = rows(sqlite, sql::RUNS_TO_PRUNE.to_owned(), values).await?.concat();
    let oldest = rows(sqlite, sql::OLDEST_KEPT_SKIP.to_owned(), n_kept()).await?.pop();
    let place = later(oldest, vec![Value::Int(since), Value::Int(i64::MIN), empty(), Value::from("")])?;
    let values = [vec![job()], place, vec![limit_of(n_max - runs.len())]].concat();
    let skips = rows(sqlite, sql::SKIPS_TO_PRUNE.to_owned(), values).await?.concat();
    Ok(Doomed { runs, skips })
}

/// The later of two places in a history, each of which begins with an instant.
fn later(oldest: Option<Vec<Value>>, since: Vec<Value>) -> Result<Vec<Value>, Undecodable> {
    let Some(oldest) = oldest else { return Ok(since) };
    let instant = |place: &[Value]| Fields::new(place.to_vec()).int();
    Ok(if instant(&oldest)? < instant(&since)? { since } else { oldest })
}

/// Conditions and their arguments.
#[derive(Default)]
pub(super) struct Wanted {
    conditions: Vec<&'static str>,
    pub(super) values: Vec<Value>,
}

impl Wanted {
    pub(super) fn add(&mut self, condition: &'static str, value: Option<Value>) {
        if let Some(value) = value {
            self.conditions.push(condition);
            self.values.push(value);
        }
    }

    pub(super) fn condition(&self) -> String {
        if self.conditions.is_empty() { "1 = 1".to_owned() } else { self.conditions.join(" AND ") }
    }
}

/// A bound of zero is none.
pub(super) fn limit(n_max: usize) -> Value {
    if n_max == 0 { limit_of(usize::MAX) } else { limit_of(n_max) }
}

fn limit_of(n_max: usize) -> Value {
    Value::Int(i64::try_from(n_max).unwrap_or(i64::MAX))
}
