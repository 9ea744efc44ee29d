//! Every statement in SQLite's dialect, and nothing else: another database gets a file like this one.

use std::{collections::HashMap, sync::Arc};

/// Marks the file as ours: the letters `CJLG`.
pub(super) const APPLICATION_ID: i64 = 0x434a_4c47;

/// The number of the newest schema that this build knows.
pub(super) const SCHEMA_VERSION: i64 = SCHEMAS.len() as i64;

/// What each version adds to the one before it. What was released once is never edited.
pub(super) const SCHEMAS: [&str; 5] = [
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
];

/// Rows of one statement: few sizes, so that each is prepared once, and fine enough that few are needed.
const CHUNKS: [usize; 9] = [256, 128, 64, 32, 16, 8, 4, 2, 1];

/// A run's columns in `run`.
const RUN: &str = "id, job, slot, due_at, cause, started_at, finished_at, duration_ns, n_attempts, code, message, \
                   cpu_ns, memory_bytes, generation, digest, extra, checksum";

/// A run's columns in `open`.
const OPEN: &str =
    "id, job, slot, due_at, cause, n_attempts, n_interrupted, retry_at, checksum, claimed_at, claimed_copy";

/// How many columns `open` has less than `run`.
const OPEN_PADDING: &str = "NULL, NULL, NULL, NULL, NULL, NULL";

/// Which of the two a row came from.
pub(super) const FROM_OPEN: i64 = 0;

/// How many columns of a listed row, the first one left out, belong to `open`.
pub(super) const N_OPEN_COLUMNS: usize = 11;

pub(super) const OPEN_ROWS: &str = "SELECT id, job, slot, due_at, cause, n_attempts, n_interrupted, retry_at, checksum, \
     claimed_at, claimed_copy FROM open ORDER BY job, slot, id";
pub(super) const OPEN_ROW: &str = "SELECT id, job, slot, due_at, cause, n_attempts, n_interrupted, retry_at, checksum, \
     claimed_at, claimed_copy FROM open WHERE id = ?";
pub(super) const RUN_ROW: &str = "SELECT id, job, slot, due_at, cause, started_at, finished_at, duration_ns, \
     n_attempts, code, message, cpu_ns, memory_bytes, generation, digest, extra, checksum FROM run WHERE id = ?";
pub(super) const NEWEST_RUN: &str = "SELECT max(id) FROM run";
pub(super) const JOBS: &str = "SELECT id, first_seen, decided_until, paused, paused_in_manifest, trigger_hash, \
     removed_at, checksum FROM job ORDER BY id";
pub(super) const LASTS: &str = "SELECT job, job_checksum, finished_at, success_at, checksum FROM last";
/// What is known of jobs whose ids are in an array as JSON.
pub(super) const LASTS_OF: &str = "SELECT job, job_checksum, finished_at, success_at, checksum FROM last \
     WHERE job IN (SELECT value FROM json_each(?))";
pub(super) const OPEN_ROWS_OF: &str = "SELECT id, job, slot, due_at, cause, n_attempts, n_interrupted, retry_at, \
     checksum, claimed_at, claimed_copy FROM open WHERE job IN (SELECT value FROM json_each(?)) ORDER BY job, slot, id";
/// Of runs whose ids are in an array as JSON, in hexadecimal digits.
pub(super) const PAYLOADS_OF: &str =
    "SELECT run, text, checksum FROM payload WHERE run IN (SELECT unhex(value) FROM json_each(?))";
/// Of each the run of the newest slot that has ended.
pub(super) const NEWEST_RUNS_OF: &str = "SELECT 1 AS source, id, job, slot, due_at, cause, started_at, finished_at, \
     duration_ns, n_attempts, code, message, cpu_ns, memory_bytes, generation, digest, extra, checksum FROM run \
     WHERE id IN (SELECT (SELECT id FROM run WHERE job = wanted.value ORDER BY slot DESC, id DESC LIMIT 1) \
     FROM json_each(?) AS wanted)";
pub(super) const MARK: &str = "SELECT id, at, checksum FROM watermark";
pub(super) const STATE: &str = "SELECT job, key, version, value, checksum FROM state WHERE job = ?";
pub(super) const STATE_VERSION: &str = "SELECT job, version, checksum FROM state_version WHERE job = ?";
pub(super) const STATE_VERSIONS: &str = "SELECT job, version, checksum FROM state_version";
pub(super) const GENERATIONS: &str = "SELECT plugin, number, digest, n_bytes, source, since, cause, approved, unproven, \
     left_at, left_because, checksum FROM generation ORDER BY plugin, number";
pub(super) const DOCUMENTS: &str =
    "SELECT kind, key, revision, at, text, checksum FROM document WHERE kind = ? ORDER BY key";
pub(super) const EVENTS: &str =
    "SELECT last, first, at, text, checksum FROM event WHERE ? < last ORDER BY last LIMIT ?";
pub(super) const EVENT_MARKS: &str = "SELECT last, at, length(CAST(text AS BLOB)) FROM event ORDER BY last";
pub(super) const ATTEMPTS: &str = "SELECT run, number, started_at, finished_at, duration_ns, n_attempts, code, message, \
     cpu_ns, memory_bytes, generation, digest, extra, checksum FROM attempt WHERE run = ? ORDER BY number";
pub(super) const PARTS: &str =
    "SELECT run, attempt, name, text, n_bytes, n_bytes_dropped, checksum FROM part WHERE run = ?";
pub(super) const LOGS: &str =
    "SELECT run, attempt, number, at, level, message, fields, checksum FROM log WHERE run = ? ORDER BY attempt, number";
pub(super) const OPEN_PAYLOADS: &str = "SELECT run, text, checksum FROM payload WHERE run IN (SELECT id FROM open)";
pub(super) const PAYLOAD: &str = "SELECT run, text, checksum FROM payload WHERE run = ?";
pub(super) const OLDEST_KEPT_RUN: &str =
    "SELECT slot, id FROM run WHERE job = ? ORDER BY slot DESC, id DESC LIMIT 1 OFFSET ?";
pub(super) const RUNS_TO_PRUNE: &str =
    "SELECT id FROM run WHERE job = ? AND (slot, id) < (?, ?) ORDER BY slot, id LIMIT ?";
pub(super) const OLDEST_KEPT_SKIP: &str = "SELECT last, first, run, reason FROM skip WHERE job = ? \
     ORDER BY last DESC, first DESC, run DESC, reason DESC LIMIT 1 OFFSET ?";
pub(super) const SKIPS_TO_PRUNE: &str = "SELECT last, job, first, run, reason FROM skip WHERE job = ? \
     AND (last, first, run, reason) < (?, ?, ?, ?) ORDER BY last, first, run, reason LIMIT ?";

/// From which table runs are read, and under which further condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Both,
    Ended(&'static str),
    Open(&'static str),
}

/// The newest of the runs that fit. `wanted` is a condition that holds for both tables.
pub(super) fn runs(wanted: &str, from: From) -> String {
    let ended = |ended| format!("SELECT 1 AS source, {RUN} FROM run WHERE {wanted} AND {ended} {NEWEST_FIRST}");
    match from {
        From::Ended(condition) => ended(condition),
        From::Open(condition) => open_runs(wanted, condition),
        // Each side is cut by itself.
        From::Both => format!(
            "SELECT * FROM ({}) UNION ALL SELECT * FROM ({}) {NEWEST_FIRST}",
            ended("1 = 1"),
            open_runs(wanted, "1 = 1")
        ),
    }
}

const NEWEST_FIRST: &str = "ORDER BY slot DESC, job DESC, id DESC LIMIT ?";

/// Open runs are sorted by no index, for they come and go all the time, and there may be tens of thousands. Ids follow
/// time, so whoever goes through them backwards meets the newest slots first and compares the others with these alone; a
/// subquery without a limit would lose its order.
fn open_runs(wanted: &str, condition: &str) -> String {
    format!(
        "SELECT {FROM_OPEN} AS source, {OPEN}, {OPEN_PADDING} FROM open WHERE id IN (SELECT id FROM (SELECT slot, job, \
         id FROM open WHERE {wanted} AND {condition} ORDER BY id DESC LIMIT -1) {NEWEST_FIRST}) \
         ORDER BY slot DESC, job DESC, id DESC"
    )
}

/// The jobs that fit.
pub(super) fn jobs(wanted: &str) -> String {
    format!(
        "SELECT id, first_seen, decided_until, paused, paused_in_manifest, trigger_hash, removed_at, checksum FROM job \
         WHERE {wanted} ORDER BY id LIMIT ?"
    )
}

/// The skips that fit.
pub(super) fn skips(wanted: &str) -> String {
    format!(
        "SELECT last, job, first, run, reason, count, at, by_run, checksum FROM skip WHERE {wanted} \
         ORDER BY last DESC, job DESC, first DESC, run DESC, reason DESC LIMIT ?"
    )
}

/// A statement that writes many rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Write {
    PutOpen,
    PutPayload,
    ClaimOpen,
    DeleteOpen,
    InsertRun,
    InsertAttempt,
    InsertPart,
    InsertLog,
    InsertSkip,
    PutJob,
    PutLast,
    PutWatermark,
    PutState,
    DeleteState,
    PutStateVersion,
    PutGeneration,
    /// Those of these plugins beyond the so many newest.
    DeleteOldGenerations,
    PutDocument,
    DeleteDocument,
    PutEvents,
    /// Those up to this number.
    DeleteEvents,
    DeleteRun,
    DeletePayload,
    DeleteAttempt,
    DeletePart,
    DeleteLog,
    DeleteSkip,
    /// Not a write: which of these runs have ended.
    Ended,
}

/// What stands before the rows, how many columns a row has, and what stands after the rows.
struct Shape {
    head: &'static str,
    n_columns: usize,
    tail: &'static str,
}

impl Write {
    fn shape(self) -> Shape {
        let shape = |head, n_columns, tail| Shape { head, n_columns, tail };
        match self {
            Self::PutOpen => shape("INSERT OR REPLACE INTO open VALUES ", 11, ""),
            Self::PutPayload => shape("INSERT OR REPLACE INTO payload VALUES ", 3, ""),
            Self::ClaimOpen => shape("UPDATE open SET claimed_at = ?, claimed_copy = ? WHERE id IN (", 1, ")"),
            Self::DeleteOpen => shape("DELETE FROM open WHERE id IN (", 1, ")"),
            Self::InsertRun => shape("INSERT INTO run VALUES ", 17, ""),
            Self::InsertAttempt => shape("INSERT INTO attempt VALUES ", 14, ""),
            Self::InsertPart => shape("INSERT INTO part VALUES ", 7, ""),
            Self::InsertLog => shape("INSERT INTO log VALUES ", 8, ""),
            Self::InsertSkip => shape("INSERT OR IGNORE INTO skip VALUES ", 9, ""),
            Self::PutJob => shape("INSERT OR REPLACE INTO job VALUES ", 8, ""),
            Self::PutLast => shape("INSERT INTO last VALUES ", 5, PUT_LAST),
            Self::PutWatermark => shape("INSERT OR REPLACE INTO watermark VALUES ", 3, ""),
            Self::PutState => shape("INSERT OR REPLACE INTO state VALUES ", 5, ""),
            Self::DeleteState => shape("DELETE FROM state WHERE (job, key) IN (VALUES ", 2, ")"),
            Self::PutStateVersion => shape("INSERT OR REPLACE INTO state_version VALUES ", 3, ""),
            Self::PutGeneration => shape("INSERT OR REPLACE INTO generation VALUES ", 12, ""),
            Self::DeleteOldGenerations => shape(DELETE_OLD_GENERATIONS, 1, "))"),
            Self::PutDocument => shape("INSERT OR REPLACE INTO document VALUES ", 6, ""),
            Self::DeleteDocument => shape("DELETE FROM document WHERE (kind, key) IN (VALUES ", 2, ")"),
            Self::PutEvents => shape("INSERT OR REPLACE INTO event VALUES ", 5, ""),
            Self::DeleteEvents => shape("DELETE FROM event WHERE last <= (", 1, ")"),
            Self::DeleteRun => shape("DELETE FROM run WHERE id IN (", 1, ")"),
            Self::DeletePayload => shape("DELETE FROM payload WHERE run IN (", 1, ")"),
            Self::DeleteAttempt => shape("DELETE FROM attempt WHERE run IN (", 1, ")"),
            Self::DeletePart => shape("DELETE FROM part WHERE run IN (", 1, ")"),
            Self::DeleteLog => shape("DELETE FROM log WHERE run IN (", 1, ")"),
            Self::DeleteSkip => shape("DELETE FROM skip WHERE (last, job, first, run, reason) IN (VALUES ", 5, ")"),
            Self::Ended => shape("SELECT id FROM run WHERE id IN (", 1, ")"),
        }
    }

    /// How many columns one row has.
    pub(super) fn n_columns(self) -> usize {
        self.shape().n_columns
    }

    fn text(self, n_rows: usize) -> String {
        let Shape { head, n_columns, tail } = self.shape();
        let row = match n_columns {
            1 => "?".to_owned(),
            n => format!("(?{})", ",?".repeat(n - 1)),
        };
        let mut text = String::with_capacity(head.len() + n_rows * (row.len() + 1) + tail.len());
        text.push_str(head);
        for index in 0..n_rows {
            text.push_str(if index == 0 { "" } else { "," });
            text.push_str(&row);
        }
        text.push_str(tail);
        text
    }
}

const DELETE_OLD_GENERATIONS: &str = "DELETE FROM generation WHERE (plugin, number) IN (SELECT plugin, number FROM \
     (SELECT plugin, number, row_number() OVER (PARTITION BY plugin ORDER BY number DESC) AS place FROM generation) \
     WHERE ? < place AND plugin IN (";

/// Later instants win, and the checksum follows (`codec::last_values` says how it is made).
const PUT_LAST: &str = " ON CONFLICT(job) DO UPDATE SET \
     finished_at = max(finished_at, excluded.finished_at), \
     success_at = max(coalesce(success_at, excluded.success_at), coalesce(excluded.success_at, success_at)), \
     checksum = max(finished_at, excluded.finished_at) % 1000000007 + 3 * (coalesce(max(coalesce(success_at, \
     excluded.success_at), coalesce(excluded.success_at, success_at)), 0) % 1000000007)";

/// The texts of [`Write`]s, each made once.
#[derive(Default)]
pub(super) struct Statements {
    texts: HashMap<(Write, usize), Arc<str>>,
}

impl Statements {
    /// The largest chunk that is not larger than `n_rows`, which is at least one, and its statement.
    pub(super) fn chunk(&mut self, write: Write, n_rows: usize) -> (usize, Arc<str>) {
        let n_rows = CHUNKS.into_iter().find(|size| *size <= n_rows).unwrap_or(1);
        let text = self.texts.entry((write, n_rows)).or_insert_with(|| write.text(n_rows).into());
        (n_rows, Arc::clone(text))
    }
}
