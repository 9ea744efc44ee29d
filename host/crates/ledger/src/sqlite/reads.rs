//! What can be asked of a file, on connections of its own: readers neither wait for the writer nor make it wait.

use std::{collections::HashMap, sync::Arc};

use clockjack_schedule::{
    id::{JobId, RunId},
    ports::{
        Finish, JobRow, KeepOf, LedgerError, Loaded, LogLine, OpenRun, RunFilter, RunRow, RunState, RunStory,
        SkipFilter,
    },
    run::Skip,
};
use sqlx::{
    SqliteConnection,
    sqlite::{SqlitePool, SqlitePoolOptions},
};

use super::{
    connection::{connect_options, rows},
    fault::{Fault, Faults},
    sql,
    writer::Doomed,
};
use crate::codec::{self, Fields, LAST_ATTEMPT, Part, Undecodable, Value};

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

    pub(super) async fn load(&self) -> Result<Loaded, LedgerError> {
        self.ask(async |sqlite| load(sqlite).await).await
    }

    pub(super) async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunRow>, LedgerError> {
        self.ask(async |sqlite| runs(sqlite, filter).await).await
    }

    pub(super) async fn run(&self, id: RunId) -> Result<Option<RunStory>, LedgerError> {
        self.ask(async |sqlite| story(sqlite, id).await).await
    }

    pub(super) async fn skips(&self, filter: &SkipFilter) -> Result<Vec<Skip>, LedgerError> {
        self.ask(async |sqlite| skips(sqlite, filter).await).await
    }

    /// What of a job is older or more than is to be kept, oldest first, at most so many rows.
    pub(super) async fn doomed(&self, keep: &KeepOf, n_max: usize) -> Result<Doomed, LedgerError> {
        self.ask(async |sqlite| doomed(sqlite, keep, n_max).await).await
    }
}

async fn load(sqlite: &mut SqliteConnection) -> Result<Loaded, Fault> {
    let mut lasts = HashMap::new();
    for row in rows(sqlite, sql::LASTS.to_owned(), Vec::new()).await? {
        let (job, finished, success) = codec::read_last(row)?;
        lasts.insert(job, (finished, success));
    }
    let mut open: HashMap<JobId, Vec<OpenRun>> = HashMap::new();
    for row in rows(sqlite, sql::OPEN_ROWS.to_owned(), Vec::new()).await? {
        let row = codec::read_open(row)?;
        open.entry(row.run.job.clone()).or_default().push(row);
    }
    let mut jobs = Vec::new();
    for row in rows(sqlite, sql::JOBS.to_owned(), Vec::new()).await? {
        let state = codec::read_job(row)?;
        let last = lasts.get(&state.job);
        let (last_finished, last_success) = (last.map(|last| last.0), last.and_then(|last| last.1));
        let open = open.remove(&state.job).unwrap_or_default();
        jobs.push(JobRow { state, last_finished, last_success, open });
    }
    let mark = rows(sqlite, sql::MARK.to_owned(), Vec::new()).await?.pop();
    let watermark = mark.map(codec::read_mark).transpose()?;
    Ok(Loaded { jobs, watermark })
}

async fn runs(sqlite: &mut SqliteConnection, filter: &RunFilter) -> Result<Vec<RunRow>, Fault> {
    let mut wanted = Wanted::default();
    wanted.add("job = ?", filter.job.as_ref().map(Value::from));
    wanted.add("slot >= ?", filter.since.map(Value::from));
    wanted.add("slot < ?", filter.until.map(Value::from));
    if let Some(beyond) = filter.beyond {
        // The place of a run never changes, so that it may be looked up first.
        let place = rows(sqlite, sql::PLACE.to_owned(), vec![beyond.into()]).await?.pop();
        let Some(place) = place else { return Ok(Vec::new()) };
        wanted.conditions.push("(slot, job, id) < (?, ?, ?)");
        wanted.values.extend(place);
        wanted.values.push(beyond.into());
    }
    let ended = filter.outcome.is_some().then_some("code = ?");
    let sql = sql::runs(&wanted.condition(), ended);
    let mut values = wanted.values.clone();
    values.extend(match filter.outcome {
        Some(code) => vec![code.as_str().into()],
        None => wanted.values,
    });
    values.push(limit(filter.n_max));
    rows(sqlite, sql, values).await?.into_iter().map(|row| listed(row).map_err(Fault::from)).collect()
}

/// A row of either table: the first column says of which.
fn listed(mut row: Vec<Value>) -> Result<RunRow, Undecodable> {
    if row.is_empty() {
        return Err(Undecodable("a run has no columns".to_owned()));
    }
    let mut columns = row.split_off(1);
    if row[0] != Value::Int(sql::FROM_OPEN) {
        return codec::read_run(columns);
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
    let row = match rows(sqlite, sql::OPEN_ROW.to_owned(), key()).await?.pop() {
        Some(row) => Some(codec::read_open(row).map(open_row)?),
        None => rows(sqlite, sql::RUN_ROW.to_owned(), key()).await?.pop().map(codec::read_run).transpose()?,
    };
    let Some(mut row) = row else { return Ok(None) };
    let mut attempts = Vec::new();
    for values in rows(sqlite, sql::ATTEMPTS.to_owned(), key()).await? {
        attempts.push(codec::read_attempt(values, &row.run.job)?);
    }
    let parts = rows(sqlite, sql::PARTS.to_owned(), key()).await?;
    let logs = rows(sqlite, sql::LOGS.to_owned(), key()).await?;
    let last = match &mut row.state {
        RunState::Open { .. } => None,
        RunState::Ended(finish) => Some(Arc::make_mut(finish)),
    };
    complete(last, &mut attempts, parts, logs)?;
    Ok(Some(RunStory { row, attempts }))
}

/// Puts what attempts wrote and logged where it belongs.
fn complete(
    mut last: Option<&mut Finish>,
    attempts: &mut [Finish],
    parts: Vec<Vec<Value>>,
    logs: Vec<Vec<Value>>,
) -> Result<(), Undecodable> {
    let parts = parts.into_iter().map(|row| codec::read_part(row).map(|(attempt, part)| (attempt, Piece::Part(part))));
    let logs = logs.into_iter().map(|row| codec::read_log(row).map(|(attempt, line)| (attempt, Piece::Line(line))));
    for piece in parts.chain(logs) {
        let (attempt, piece) = piece?;
        let finish = match attempt {
            LAST_ATTEMPT => last.as_deref_mut(),
            number => attempts.iter_mut().find(|finish| finish.n_attempts == number),
        };
        let report = &mut finish.ok_or_else(|| Undecodable(format!("attempt {attempt} is not there")))?.report;
        match piece {
            Piece::Part(part) => part.place(report),
            Piece::Line(line) => report.logs.push(line),
        }
    }
    Ok(())
}

enum Piece {
    Part(Part),
    Line(LogLine),
}

async fn skips(sqlite: &mut SqliteConnection, filter: &SkipFilter) -> Result<Vec<Skip>, Fault> {
    let mut wanted = Wanted::default();
    wanted.add("job = ?", filter.job.as_ref().map(Value::from));
    wanted.add("last >= ?", filter.since.map(Value::from));
    wanted.add("first < ?", filter.until.map(Value::from));
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
struct Wanted {
    conditions: Vec<&'static str>,
    values: Vec<Value>,
}

impl Wanted {
    fn add(&mut self, condition: &'static str, value: Option<Value>) {
        if let Some(value) = value {
            self.conditions.push(condition);
            self.values.push(value);
        }
    }

    fn condition(&self) -> String {
        if self.conditions.is_empty() { "1 = 1".to_owned() } else { self.conditions.join(" AND ") }
    }
}

/// A bound of zero is none.
fn limit(n_max: usize) -> Value {
    if n_max == 0 { limit_of(usize::MAX) } else { limit_of(n_max) }
}

fn limit_of(n_max: usize) -> Value {
    Value::Int(i64::try_from(n_max).unwrap_or(i64::MAX))
}
