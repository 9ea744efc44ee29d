//! Backfills: slots of the past that are made up for, a few at a time, whatever happens to the host meanwhile.
//!
//! Which slots is decided once, when the backfill is asked for, and kept beside it. Each slot is a run whose id follows
//! from the backfill and the slot, so that whoever asks for it again after a crash asks for the same run. What is counted
//! is what the ledger says of the runs, oldest first; a restart counts on from there.

mod going;
mod task;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::JobId,
    ports::{Document, DocumentKind, Ledger, LedgerError, RunFilter, RunPlace},
};
use tokio::sync::{mpsc, oneshot};

pub(in crate::operate) use self::task::task;
use super::range::RangeError;
use crate::{
    api::view::operate::{Backfill, BackfillPlan},
    shell::HostHandle,
};

/// How many backfills may go on at once.
const GOING_MAX: usize = 32;

/// How many rows are read at once to see which slots have a run.
const PAGE: usize = 1_000;

/// How many slots a plan shows.
const SAMPLE: usize = 10;

/// What the slots of a backfill are kept under, behind its id.
const SLOTS_KEY: &str = "/slots";

/// What somebody wants to be made up for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Of which job.
    pub job: JobId,
    /// The first instant of the range.
    pub from: DateTime<Utc>,
    /// The end of the range.
    pub to: DateTime<Utc>,
    /// Only so many slots, the oldest ones.
    pub max: Option<usize>,
    /// How many of its runs go on at once.
    pub at_once: u32,
    /// Also slots that have a run already.
    pub again: bool,
    /// Who asks.
    pub by: Option<String>,
}

/// Why nothing is made up for.
#[derive(Debug, thiserror::Error)]
pub enum BackfillError {
    /// The host has no such job any more.
    #[error("the job is gone")]
    Gone,
    /// The range has no such slots.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// Too many go on.
    #[error("{GOING_MAX} backfills go on already")]
    Busy,
    /// It has ended.
    #[error("it has ended as {0}")]
    Ended(String),
    /// There is none of that id.
    #[error("there is no such backfill")]
    Unknown,
    /// The record cannot be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

enum Order {
    Plan(Wanted, oneshot::Sender<Result<BackfillPlan, BackfillError>>),
    Begin(String, Wanted, oneshot::Sender<Result<Backfill, BackfillError>>),
    Cancel(String, oneshot::Sender<Result<Backfill, BackfillError>>),
}

/// What requests reach the task through. Clones reach the same one.
#[derive(Clone, Debug)]
pub struct Backfills {
    orders: mpsc::Sender<Order>,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plan(wanted, _) => write!(f, "Plan({})", wanted.job),
            Self::Begin(id, ..) => write!(f, "Begin({id})"),
            Self::Cancel(id, _) => write!(f, "Cancel({id})"),
        }
    }
}

impl Backfills {
    /// What a backfill would do.
    ///
    /// # Errors
    /// When it would do nothing, or nobody knows what.
    pub async fn plan(&self, wanted: Wanted) -> Result<BackfillPlan, BackfillError> {
        let (done, answer) = oneshot::channel();
        drop(self.orders.send(Order::Plan(wanted, done)).await);
        answer.await.unwrap_or_else(|_closed| Err(stopping()))
    }

    /// Begins a backfill under an id: asking again under the same id asks for the same one.
    ///
    /// # Errors
    /// When there is nothing to do, too much goes on, or the ledger cannot be read or written.
    pub async fn begin(&self, id: String, wanted: Wanted) -> Result<Backfill, BackfillError> {
        let (done, answer) = oneshot::channel();
        drop(self.orders.send(Order::Begin(id, wanted, done)).await);
        answer.await.unwrap_or_else(|_closed| Err(stopping()))
    }

    /// Ends a backfill. Runs of it that go on finish.
    ///
    /// # Errors
    /// When there is none of that id or it has ended.
    pub async fn cancel(&self, id: &str) -> Result<Backfill, BackfillError> {
        let (done, answer) = oneshot::channel();
        drop(self.orders.send(Order::Cancel(id.to_owned(), done)).await);
        answer.await.unwrap_or_else(|_closed| Err(stopping()))
    }

    /// All that go on, and those that ended last: the newest first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn list(ledger: &dyn Ledger) -> Result<Vec<Backfill>, LedgerError> {
        let documents = ledger.documents(DocumentKind::Backfill).await?;
        let mut all: Vec<_> = documents.iter().filter_map(read).collect();
        all.sort_by(|a, b| (&b.created_at, &b.id).cmp(&(&a.created_at, &a.id)));
        Ok(all)
    }
}

const RUNNING: &str = "running";
const DONE: &str = "done";
const CANCELLED: &str = "cancelled";

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

pub(in crate::operate) fn stopping() -> BackfillError {
    LedgerError::Unavailable("the host stops".to_owned()).into()
}

/// Keeps the history of jobs whose backfills an earlier life of the host left: what became of their runs stands there.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) async fn hold(ledger: &dyn Ledger, host: &HostHandle) -> Result<(), LedgerError> {
    for left in Backfills::list(ledger).await?.iter().filter(|backfill| backfill.state == RUNNING) {
        if let Ok(job) = left.job.parse() {
            host.history().hold(&job, &left.id).await;
        }
    }
    Ok(())
}

/// Which instants of a range are those of a run.
async fn slots_with_runs(
    ledger: &dyn Ledger,
    job: &JobId,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
) -> Result<BTreeSet<DateTime<Utc>>, LedgerError> {
    let mut taken = BTreeSet::new();
    let (job, mut beyond) = (Some(job.clone()), None);
    loop {
        let filter = RunFilter {
            job: job.clone(),
            since: Some(from),
            until: Some(to),
            beyond,
            n_max: PAGE,
            ..RunFilter::default()
        };
        let rows = ledger.runs(filter).await?;
        taken.extend(rows.iter().map(|row| row.run.scheduled_for));
        match rows.last().filter(|_| rows.len() == PAGE) {
            Some(last) => beyond = Some(RunPlace::of(&last.run)),
            None => return Ok(taken),
        }
    }
}

fn read(document: &Document) -> Option<Backfill> {
    if document.key.ends_with(SLOTS_KEY) {
        return None;
    }
    serde_json::from_str(&document.text).ok()
}
