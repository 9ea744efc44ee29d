//! What is read of jobs: all of them at the start of a host, some of them for whoever asks.

use std::{collections::HashMap, sync::Arc};

use clockjack_schedule::{
    id::{JobId, RunId},
    payload::Payload,
    ports::{JobFilter, JobRow, JobStory, Loaded, OpenRun, RunRow},
};
use sqlx::SqliteConnection;

use super::{
    connection::rows,
    fault::Fault,
    reads::{Wanted, limit, listed},
    sql,
};
use crate::codec::{self, Last, Undecodable, Value};

pub(super) async fn load(sqlite: &mut SqliteConnection) -> Result<Loaded, Fault> {
    let mut beside = Beside {
        lasts: rows(sqlite, sql::LASTS.to_owned(), Vec::new()).await?,
        payloads: rows(sqlite, sql::OPEN_PAYLOADS.to_owned(), Vec::new()).await?,
        open: rows(sqlite, sql::OPEN_ROWS.to_owned(), Vec::new()).await?,
    }
    .read()?;
    let jobs = rows(sqlite, sql::JOBS.to_owned(), Vec::new()).await?;
    let jobs = jobs.into_iter().map(|row| beside.job(row)).collect::<Result<_, _>>()?;
    let mark = rows(sqlite, sql::MARK.to_owned(), Vec::new()).await?.pop();
    let watermark = mark.map(codec::read_mark).transpose()?;
    Ok(Loaded { jobs, watermark })
}

pub(super) async fn jobs(sqlite: &mut SqliteConnection, filter: &JobFilter) -> Result<Vec<JobStory>, Fault> {
    let mut wanted = Wanted::default();
    let only = filter.only.as_ref().map(|only| array(only.iter().map(JobId::as_str)));
    wanted.add("id IN (SELECT value FROM json_each(?))", only);
    wanted.add("? < id", filter.beyond.as_ref().map(Value::from));
    let sql = sql::jobs(&wanted.condition());
    wanted.values.push(limit(filter.n_max));
    let jobs = rows(sqlite, sql, wanted.values).await?;
    // Everything else is read of these alone.
    let ids: Vec<JobId> =
        jobs.iter().map(|row| codec::read_job(row.clone()).map(|state| state.job)).collect::<Result<_, _>>()?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids = || vec![array(ids.iter().map(JobId::as_str))];
    // No index sorts open runs by job, so all of them are looked at; once is enough.
    let open = rows(sqlite, sql::OPEN_ROWS_OF.to_owned(), ids()).await?;
    let lasts = rows(sqlite, sql::LASTS_OF.to_owned(), ids()).await?;
    let mut beside = Beside { lasts, payloads: payloads(sqlite, &open).await?, open }.read()?;
    let mut newest: HashMap<JobId, RunRow> = HashMap::new();
    for row in rows(sqlite, sql::NEWEST_RUNS_OF.to_owned(), ids()).await? {
        let row = listed(row)?;
        newest.insert(row.run.job.clone(), row);
    }
    let story = |row| {
        let row = beside.job(row)?;
        let last = newest.remove(&row.state.job);
        Ok(JobStory { row, last })
    };
    jobs.into_iter().map(story).collect()
}

/// What came with the wishes for some open runs.
async fn payloads(sqlite: &mut SqliteConnection, open: &[Vec<Value>]) -> Result<Vec<Vec<Value>>, Fault> {
    if open.is_empty() {
        return Ok(Vec::new());
    }
    let ids =
        open.iter().map(|row| codec::read_open(row.clone()).map(|open| format!("{:032x}", open.run.id.as_u128())));
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    rows(sqlite, sql::PAYLOADS_OF.to_owned(), vec![array(ids.iter().map(String::as_str))]).await
}

/// Ids as an array of JSON.
fn array<'i>(ids: impl Iterator<Item = &'i str>) -> Value {
    Value::Text(serde_json::Value::from(ids.collect::<Vec<_>>()).to_string())
}

/// What stands in other tables, as it was read.
struct Beside {
    lasts: Vec<Vec<Value>>,
    payloads: Vec<Vec<Value>>,
    open: Vec<Vec<Value>>,
}

/// The same by job.
struct ByJob {
    lasts: HashMap<JobId, Last>,
    open: HashMap<JobId, Vec<OpenRun>>,
}

impl Beside {
    fn read(self) -> Result<ByJob, Undecodable> {
        let lasts = self.lasts.into_iter().map(|row| codec::read_last(row).map(|last| (last.0.clone(), last)));
        let payloads = self.payloads.into_iter().map(codec::read_payload);
        let mut payloads: HashMap<RunId, Payload> = payloads.collect::<Result<_, _>>()?;
        let mut open: HashMap<JobId, Vec<OpenRun>> = HashMap::new();
        for row in self.open {
            let mut row = codec::read_open(row)?;
            if let Some(payload) = payloads.remove(&row.run.id) {
                Arc::make_mut(&mut row.run).payload = Some(payload);
            }
            open.entry(row.run.job.clone()).or_default().push(row);
        }
        Ok(ByJob { lasts: lasts.collect::<Result<_, _>>()?, open })
    }
}

impl ByJob {
    /// A job with what belongs to it.
    fn job(&mut self, row: Vec<Value>) -> Result<JobRow, Undecodable> {
        let state = codec::read_job(row)?;
        let last = self.lasts.get(&state.job);
        let (last_finished, last_success) = (last.map(|last| last.1), last.and_then(|last| last.2));
        let open = self.open.remove(&state.job).unwrap_or_default();
        Ok(JobRow { state, last_finished, last_success, open })
    }
}
