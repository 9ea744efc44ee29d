//! One transaction: what the fold says becomes rows, or nothing does.

use std::{collections::BTreeSet, num::NonZeroU32, sync::Arc};

use clockjack_schedule::{
    id::RunId,
    ports::{Change, Committed, GENERATIONS_MAX},
};

use super::{
    connection::Connection,
    fault::Fault,
    fold::{Effects, Mirror, doubtful, fold},
    sql::{self, Write},
    writer::Doomed,
};
use crate::{
    codec::{self, Fields, LAST_ATTEMPT, Value},
    crash::crash_point,
};

/// After about this many pages in the WAL they are moved into the file: 32 MiB.
const WAL_PAGES_MAX: usize = 16_384;

/// How many pages a transaction touches beside those of its rows.
const PAGES_PER_COMMIT: usize = 4;

/// How large a page is.
const PAGE_BYTES: usize = 2_048;

/// How many pages a written row touches at most, roughly: its own, and one in each index.
const PAGES_PER_ROW: usize = 2;

/// The tables as their only writer sees them.
pub(super) struct Tables {
    connection: Connection,
    /// Absent before the first transaction, and after one that failed: what it said may be wrong then.
    mirror: Option<Mirror>,
    /// How many pages are in the WAL at most, roughly.
    n_wal_pages: usize,
}

impl Tables {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, mirror: None, n_wal_pages: 0 }
    }

    /// Keeps batches, all or none.
    pub(super) async fn commit(&mut self, batches: Vec<Vec<Change>>) -> Result<Vec<Committed>, Fault> {
        crash_point!("ledger::before_begin");
        self.connection.run("BEGIN IMMEDIATE").await?;
        let done = self.commit_within(batches).await;
        if done.is_err() {
            self.roll_back().await;
        }
        done
    }

    async fn commit_within(&mut self, batches: Vec<Vec<Change>>) -> Result<Vec<Committed>, Fault> {
        let mut mirror = match self.mirror.take() {
            Some(mirror) => mirror,
            None => load_mirror(&mut self.connection).await?,
        };
        let doubtful = doubtful(&mirror, &batches);
        let ended = self.ended(doubtful).await?;
        let (effects, committed) = fold(&mut mirror, batches, ended);
        self.write(&mirror, effects).await?;
        crash_point!("ledger::before_commit");
        self.connection.run("COMMIT").await?;
        crash_point!("ledger::after_commit");
        self.mirror = Some(mirror);
        self.n_wal_pages += PAGES_PER_COMMIT;
        Ok(committed)
    }

    async fn roll_back(&mut self) {
        self.mirror = None;
        // It fails where SQLite has rolled back by itself, which comes to the same.
        let _rolled_back = self.connection.run("ROLLBACK").await;
    }

    /// Which of these runs have ended.
    async fn ended(&mut self, ids: Vec<RunId>) -> Result<Vec<RunId>, Fault> {
        let ids = ids.into_iter().map(Value::from).collect();
        let rows = self.connection.chunks(Write::Ended, &[], ids).await?;
        Ok(rows.into_iter().map(|row| Fields::new(row).run_id()).collect::<Result<_, _>>()?)
    }

    async fn write(&mut self, mirror: &Mirror, mut effects: Effects) -> Result<(), Fault> {
        let open = effects.open_changes(mirror);
        let forgotten: Vec<Value> = effects.forgotten.drain(..).map(Value::from).collect();
        for table in [Write::DeleteAttempt, Write::DeletePart, Write::DeleteLog] {
            self.rows(table, forgotten.clone()).await?;
        }
        self.rows(Write::DeletePayload, effects.payloads_gone.drain(..).map(Value::from).collect()).await?;
        self.rows(Write::PutPayload, all(&effects.payloads, |values, run| codec::payload_values(values, run))).await?;
        self.rows(Write::DeleteOpen, open.gone.into_iter().map(Value::from).collect()).await?;
        self.rows(Write::PutOpen, all(&open.put, codec::open_values)).await?;
        for (at, ids) in open.claimed {
            let ids: Vec<_> = ids.into_iter().map(Value::from).collect();
            self.n_wal_pages += 1;
            self.connection.write(Write::ClaimOpen, &[at.into(), at.into()], ids).await?;
        }
        crash_point!("ledger::after_insert");
        self.write_history(&mut effects).await?;
        self.rows(Write::PutJob, all(effects.jobs.values(), codec::job_values)).await?;
        let lasts = all(&effects.lasts, |values, (job, (finished, success))| {
            codec::last_values(values, job, *finished, *success);
        });
        self.rows(Write::PutLast, lasts).await?;
        self.write_states(&effects).await?;
        self.write_generations(&effects).await?;
        self.write_documents(&effects).await?;
        self.rows(Write::PutWatermark, all(effects.watermark, codec::mark_values)).await
    }

    async fn write_states(&mut self, effects: &Effects) -> Result<(), Fault> {
        if effects.states.is_empty() {
            return Ok(());
        }
        let (mut put, mut gone, mut versions) = (Vec::new(), Vec::new(), Vec::new());
        let mut n_bytes = 0;
        for (job, state) in &effects.states {
            codec::state_version_values(&mut versions, job, state.version);
            for write in state.writes.values() {
                n_bytes += write.value.as_ref().map_or(0, |value| value.len());
                codec::state_values(&mut put, &mut gone, job, write);
            }
        }
        self.n_wal_pages += n_bytes / PAGE_BYTES;
        self.rows(Write::DeleteState, gone).await?;
        self.rows(Write::PutState, put).await?;
        self.rows(Write::PutStateVersion, versions).await
    }

    async fn write_generations(&mut self, effects: &Effects) -> Result<(), Fault> {
        let rows = all(effects.generations.values(), |values, row| codec::generation_values(values, row));
        self.rows(Write::PutGeneration, rows).await?;
        let plugins: BTreeSet<_> = effects.generations.keys().map(|(plugin, _)| plugin).collect();
        let n_kept = Value::from(GENERATIONS_MAX as u64);
        self.connection
            .write(Write::DeleteOldGenerations, &[n_kept], all(plugins, |values, plugin| values.push(plugin.into())))
            .await
    }

    async fn write_documents(&mut self, effects: &Effects) -> Result<(), Fault> {
        let (mut put, mut gone) = (Vec::new(), Vec::new());
        let mut n_bytes = 0;
        for ((kind, key), document) in &effects.documents {
            match document {
                Some(document) => {
                    n_bytes += document.text.len();
                    codec::document_values(&mut put, document);
                }
                None => codec::document_key(&mut gone, *kind, key),
            }
        }
        self.rows(Write::DeleteDocument, gone).await?;
        self.rows(Write::PutDocument, put).await?;
        self.rows(Write::DeleteEvents, all(effects.events_gone, |values, until| values.push(until.into()))).await?;
        n_bytes += effects.events.values().map(|batch| batch.text.len()).sum::<usize>();
        self.n_wal_pages += n_bytes / PAGE_BYTES;
        self.rows(Write::PutEvents, all(effects.events.values(), |values, batch| codec::event_values(values, batch)))
            .await
    }

    async fn write_history(&mut self, effects: &mut Effects) -> Result<(), Fault> {
        effects.ended.sort_unstable_by_key(|ended| ended.run.id);
        let runs = all(&effects.ended, |values, ended| {
            codec::run_values(values, &ended.run, &ended.finish, ended.n_earlier);
        });
        self.rows(Write::InsertRun, runs).await?;
        self.rows(Write::InsertAttempt, all(&effects.attempts, codec::attempt_values)).await?;
        let earlier = effects.attempts.iter().map(|finish| (finish, finish.n_attempts));
        let last = effects.ended.iter().map(|ended| (&*ended.finish, LAST_ATTEMPT));
        let (mut parts, mut logs) = (Vec::new(), Vec::new());
        for (finish, attempt) in earlier.chain(last) {
            codec::part_values(&mut parts, finish, attempt);
            codec::log_values(&mut logs, finish, attempt);
        }
        self.rows(Write::InsertPart, parts).await?;
        self.rows(Write::InsertLog, logs).await?;
        self.rows(Write::InsertSkip, all(&effects.skips, codec::skip_values)).await
    }

    async fn rows(&mut self, write: Write, values: Vec<Value>) -> Result<(), Fault> {
        self.n_wal_pages += PAGES_PER_ROW * values.len() / write.n_columns();
        self.connection.write(write, &[], values).await
    }

    /// Removes rows of history, all or none.
    pub(super) async fn forget(&mut self, doomed: Doomed) -> Result<(), Fault> {
        self.connection.run("BEGIN IMMEDIATE").await?;
        let done = self.forget_within(doomed).await;
        if done.is_err() {
            self.roll_back().await;
        }
        done
    }

    async fn forget_within(&mut self, doomed: Doomed) -> Result<(), Fault> {
        for table in [Write::DeleteAttempt, Write::DeletePart, Write::DeleteLog, Write::DeletePayload, Write::DeleteRun]
        {
            self.rows(table, doomed.runs.clone()).await?;
        }
        self.rows(Write::DeleteSkip, doomed.skips).await?;
        self.connection.run("COMMIT").await
    }

    /// Bounds the size of the file.
    pub(super) async fn limit_pages(&mut self, pages_max: NonZeroU32) -> Result<(), Fault> {
        self.connection.run_script(format!("PRAGMA max_page_count = {pages_max}")).await
    }

    /// Moves pages from the WAL into the file when they have become many.
    pub(super) async fn checkpoint_if_due(&mut self) -> Result<(), Fault> {
        if self.n_wal_pages < WAL_PAGES_MAX {
            return Ok(());
        }
        self.n_wal_pages = 0;
        self.connection.run("PRAGMA wal_checkpoint(PASSIVE)").await
    }

    /// Moves all pages into the file and ends.
    pub(super) async fn close(mut self) -> Result<(), Fault> {
        let moved = self.connection.run("PRAGMA wal_checkpoint(TRUNCATE)").await;
        let closed = self.connection.close().await;
        moved.and(closed)
    }
}

async fn load_mirror(connection: &mut Connection) -> Result<Mirror, Fault> {
    let mut mirror = Mirror::default();
    for row in connection.rows(sql::OPEN_ROWS).await? {
        let open = codec::read_open(row)?;
        mirror.open.insert(open.run.id, open);
    }
    for row in connection.rows(sql::OPEN_PAYLOADS).await? {
        let (run, payload) = codec::read_payload(row)?;
        if let Some(open) = mirror.open.get_mut(&run) {
            Arc::make_mut(&mut open.run).payload = Some(payload);
        }
    }
    if let Some(row) = connection.rows(sql::MARK).await?.pop() {
        mirror.watermark = Some(codec::read_mark(row)?);
    }
    for row in connection.rows(sql::STATE_VERSIONS).await? {
        let (job, version) = codec::read_state_version(row)?;
        mirror.state_versions.insert(job, version);
    }
    if let Some(row) = connection.rows(sql::NEWEST_RUN).await?.pop() {
        mirror.newest = Fields::new(row).maybe_run_id()?;
    }
    Ok(mirror)
}

/// The rows of many.
fn all<T>(many: impl IntoIterator<Item = T>, push: impl Fn(&mut Vec<Value>, T)) -> Vec<Value> {
    let mut values = Vec::new();
    many.into_iter().for_each(|one| push(&mut values, one));
    values
}
