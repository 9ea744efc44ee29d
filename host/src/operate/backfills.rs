//! Backfills: slots of the past that are made up for, a few at a time, whatever happens to the host meanwhile.
//!
//! Which slots is decided once, when the backfill is asked for, and kept beside it. Each slot is a run whose id follows
//! from the backfill and the slot, so that whoever asks for it again after a crash asks for the same run. What is counted
//! is what the ledger says of the runs, oldest first; a restart counts on from there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    core::Input,
    id::{JobId, RunId},
    outcome::OutcomeCode,
    ports::{Change, Document, DocumentKind, Ledger, LedgerError, RunFilter, RunPlace, SkipFilter},
    run::Cause,
    trigger::Basis,
};
use tokio::sync::{
    broadcast::{Receiver, error::RecvError},
    mpsc, oneshot,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    OperateParts,
    range::{RangeError, slots_of},
};
use crate::{
    api::view::operate::{Backfill, BackfillPlan},
    cli::rfc3339,
    shell::Event,
};

/// How many orders may wait.
const ORDERS_MAX: usize = 64;

/// How many backfills may go on at once.
const GOING_MAX: usize = 32;

/// How many backfills that have ended are remembered.
const ENDED_MAX: usize = 100;

/// How often it is looked at what goes on, beside whenever a run ends.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

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
    Begin(Box<Backfill>, Vec<DateTime<Utc>>, oneshot::Sender<Result<(), BackfillError>>),
    Cancel(String, oneshot::Sender<Result<Backfill, BackfillError>>),
}

/// What requests reach the task through. Clones reach the same one.
#[derive(Clone, Debug)]
pub struct Backfills {
    orders: mpsc::Sender<Order>,
    parts: Arc<PartsOf>,
}

struct PartsOf(OperateParts);

impl std::fmt::Debug for PartsOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OperateParts")
    }
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Begin(backfill, ..) => write!(f, "Begin({})", backfill.id),
            Self::Cancel(id, _) => write!(f, "Cancel({id})"),
        }
    }
}

impl Backfills {
    /// What a backfill would do.
    ///
    /// # Errors
    /// When it would do nothing, or nobody knows what.
    pub async fn plan(&self, wanted: &Wanted) -> Result<BackfillPlan, BackfillError> {
        let (slots, n_left_out) = self.slots(wanted).await?;
        Ok(BackfillPlan {
            job: wanted.job.to_string(),
            slots: count(slots.len()),
            left_out: n_left_out,
            first: slots.first().copied().map(rfc3339),
            last: slots.last().copied().map(rfc3339),
            sample: slots.iter().take(SAMPLE).copied().map(rfc3339).collect(),
        })
    }

    /// Begins a backfill under an id: asking again under the same id asks for the same one.
    ///
    /// # Errors
    /// When there is nothing to do, too much goes on, or the ledger cannot be read or written.
    pub async fn begin(&self, id: String, wanted: Wanted) -> Result<Backfill, BackfillError> {
        let (slots, left_out) = self.slots(&wanted).await?;
        let Wanted { job, from, to, at_once, by, .. } = wanted;
        let now = self.parts.0.clock.now();
        let backfill = Backfill {
            id,
            job: job.to_string(),
            state: RUNNING.to_owned(),
            from: rfc3339(from),
            to: rfc3339(to),
            at_once,
            created_at: rfc3339(now),
            by,
            slots: count(slots.len()),
            left_out,
            cursor: slots.first().copied().map(rfc3339),
            ..Backfill::default()
        };
        let (done, answer) = oneshot::channel();
        drop(self.orders.send(Order::Begin(Box::new(backfill.clone()), slots, done)).await);
        answer.await.unwrap_or_else(|_closed| Err(stopping()))?;
        Ok(backfill)
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

    /// The slots that a wish is about, and how many are left out because they have a run.
    async fn slots(&self, wanted: &Wanted) -> Result<(Vec<DateTime<Utc>>, u64), BackfillError> {
        let OperateParts { clock, ledger, host } = &self.parts.0;
        let known = host.definition(&wanted.job).await.ok_or(BackfillError::Gone)?;
        let basis = Basis { first_seen: known.first_seen, last_finished: None };
        let range = (wanted.from, wanted.to);
        let mut slots = slots_of(&known.job, &basis, range, wanted.max, clock.now())?;
        if wanted.again {
            return Ok((slots, 0));
        }
        let taken = slots_with_runs(&**ledger, &wanted.job, range).await?;
        let n_all = slots.len();
        slots.retain(|slot| !taken.contains(slot));
        let n_left_out = count(n_all - slots.len());
        Ok((slots, n_left_out))
    }
}

const RUNNING: &str = "running";
const DONE: &str = "done";
const CANCELLED: &str = "cancelled";

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn stopping() -> BackfillError {
    LedgerError::Unavailable("the host stops".to_owned()).into()
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
        let (since, until) = (Some(from), Some(to));
        let filter = RunFilter { job: job.clone(), since, until, beyond, n_max: PAGE, ..RunFilter::default() };
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

/// How a slot was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    Succeeded,
    Failed,
    Skipped,
}

/// A backfill that goes on.
struct Going {
    job: JobId,
    told: Backfill,
    slots: Vec<DateTime<Utc>>,
    /// The first slot that was not asked for in this life of the host.
    next: usize,
    /// Its runs that were asked for and have not ended, with the place of their slot.
    open: BTreeMap<RunId, usize>,
    /// Slots that are settled behind one that is not.
    ahead: BTreeMap<usize, Settled>,
    /// The document is not what is known.
    is_new: bool,
}

impl Going {
    fn new(told: Backfill, slots: Vec<DateTime<Utc>>) -> Option<Self> {
        let job = told.job.parse().ok()?;
        let next = usize::try_from(told.settled).ok()?;
        let (open, ahead) = (BTreeMap::new(), BTreeMap::new());
        Some(Self { job, told, slots, next, open, ahead, is_new: false })
    }

    /// The same slot of the same backfill is the same run, however often it is asked for.
    fn run(&self, place: usize) -> RunId {
        let slot = self.slots[place].timestamp_micros();
        RunId::of_key(&self.job, &format!("backfill:{}:{slot}", self.told.id))
    }

    fn goes_on(&self) -> bool {
        self.told.state == RUNNING
    }

    fn settle(&mut self, place: usize, how: Settled) {
        self.ahead.insert(place, how);
        while let Some(how) = usize::try_from(self.told.settled).ok().and_then(|first| self.ahead.remove(&first)) {
            self.told.settled += 1;
            let counted = match how {
                Settled::Succeeded => &mut self.told.succeeded,
                Settled::Failed => &mut self.told.failed,
                Settled::Skipped => &mut self.told.skipped,
            };
            *counted += 1;
        }
        let first = usize::try_from(self.told.settled).unwrap_or(usize::MAX);
        self.told.cursor = self.slots.get(first).copied().map(rfc3339);
        self.is_new = true;
    }

    fn end(&mut self, state: &str, reason: Option<String>, now: DateTime<Utc>) {
        state.clone_into(&mut self.told.state);
        self.told.reason = reason;
        self.told.finished_at = Some(rfc3339(now));
        self.is_new = true;
    }

    fn document(&self, at: DateTime<Utc>) -> Result<Change, LedgerError> {
        let text = serde_json::to_string(&self.told).map_err(|error| LedgerError::Unavailable(error.to_string()))?;
        Ok(document(&self.told.id, text, at))
    }

    fn slots_document(&self, at: DateTime<Utc>) -> Change {
        let slots: Vec<_> = self.slots.iter().map(DateTime::timestamp_micros).collect();
        document(&format!("{}{SLOTS_KEY}", self.told.id), serde_json::json!(slots).to_string(), at)
    }
}

fn document(key: &str, text: String, at: DateTime<Utc>) -> Change {
    let revision = u64::try_from(at.timestamp_micros()).unwrap_or_default();
    Change::Document(Arc::new(Document {
        kind: DocumentKind::Backfill,
        key: key.into(),
        revision,
        at,
        text: text.into(),
    }))
}

fn gone(key: String) -> Change {
    Change::DocumentGone { kind: DocumentKind::Backfill, key: key.into() }
}

/// The task.
struct Task {
    parts: OperateParts,
    orders: mpsc::Receiver<Order>,
    going: Vec<Going>,
    is_loaded: bool,
    stop: CancellationToken,
}

pub(super) fn task(parts: OperateParts, stop: CancellationToken) -> (Backfills, impl Future<Output = ()> + Send) {
    let (orders, taken) = mpsc::channel(ORDERS_MAX);
    let task = Task { parts: parts.clone(), orders: taken, going: Vec::new(), is_loaded: false, stop };
    (Backfills { orders, parts: Arc::new(PartsOf(parts)) }, task.work())
}

impl Task {
    async fn work(mut self) {
        loop {
            // Before the look, so that no end falls between the two.
            let events = self.parts.host.bus().listen();
            if let Err(error) = self.look().await {
                warn!("backfills do not go on for now: {error}");
            }
            let runs: BTreeSet<RunId> = self.going.iter().flat_map(|going| going.open.keys().copied()).collect();
            let is_idle = self.is_loaded && self.going.is_empty();
            let order = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                order = self.orders.recv() => order,
                () = one_ended(events, &runs) => None,
                () = tokio::time::sleep(LOOK_INTERVAL), if !is_idle => None,
            };
            match order {
                Some(Order::Begin(backfill, slots, done)) => drop(done.send(self.begin(*backfill, slots).await)),
                Some(Order::Cancel(id, done)) => drop(done.send(self.cancel(&id).await)),
                None => {}
            }
        }
    }

    async fn begin(&mut self, told: Backfill, slots: Vec<DateTime<Utc>>) -> Result<(), BackfillError> {
        self.load().await?;
        if self.going.iter().any(|going| going.told.id == told.id) {
            return Ok(());
        }
        if GOING_MAX <= self.going.len() {
            return Err(BackfillError::Busy);
        }
        let Some(going) = Going::new(told, slots) else { return Err(BackfillError::Gone) };
        let at = self.parts.clock.now();
        // Both or neither: a backfill without its slots would be none.
        self.parts.ledger.commit(vec![going.slots_document(at), going.document(at)?]).await?;
        let (job, slots) = (going.told.job.as_str(), going.told.slots);
        info!(job, backfill = going.told.id, slots, "slots of the past are made up for");
        self.going.push(going);
        Ok(())
    }

    async fn cancel(&mut self, id: &str) -> Result<Backfill, BackfillError> {
        self.load().await?;
        let now = self.parts.clock.now();
        let Some(going) = self.going.iter_mut().find(|going| going.told.id == id && going.goes_on()) else {
            let known = Backfills::list(&*self.parts.ledger).await?.into_iter().find(|backfill| backfill.id == id);
            return Err(known.map_or(BackfillError::Unknown, |known| BackfillError::Ended(known.state)));
        };
        going.end(CANCELLED, Some("cancelled on request".to_owned()), now);
        let told = going.told.clone();
        self.keep().await?;
        Ok(told)
    }

    /// Takes back what an earlier life of the host left.
    async fn load(&mut self) -> Result<(), LedgerError> {
        if self.is_loaded {
            return Ok(());
        }
        let documents = self.parts.ledger.documents(DocumentKind::Backfill).await?;
        for told in documents.iter().filter_map(read).filter(|told| told.state == RUNNING) {
            let key = format!("{}{SLOTS_KEY}", told.id);
            let slots = documents.iter().find(|document| *document.key == *key);
            let slots: Option<Vec<i64>> = slots.and_then(|document| serde_json::from_str(&document.text).ok());
            let slots: Vec<_> =
                slots.unwrap_or_default().into_iter().filter_map(DateTime::from_timestamp_micros).collect();
            self.going.extend(Going::new(told, slots));
        }
        self.is_loaded = true;
        Ok(())
    }

    /// Settles what has ended, and asks for what comes next.
    async fn look(&mut self) -> Result<(), LedgerError> {
        self.load().await?;
        for going in &mut self.going {
            settle_ended(&*self.parts.ledger, going).await?;
            if going.goes_on() {
                go_on(&self.parts, going).await?;
            }
        }
        self.keep().await
    }

    /// Writes down what is new, and lets go of what has ended.
    async fn keep(&mut self) -> Result<(), LedgerError> {
        let at = self.parts.clock.now();
        let mut changes = Vec::new();
        for going in self.going.iter().filter(|going| going.is_new) {
            changes.push(going.document(at)?);
            if !going.goes_on() {
                changes.push(gone(format!("{}{SLOTS_KEY}", going.told.id)));
            }
        }
        let has_ended = self.going.iter().any(|going| !going.goes_on());
        if changes.is_empty() && !has_ended {
            return Ok(());
        }
        self.parts.ledger.commit(changes).await?;
        self.going.iter_mut().for_each(|going| going.is_new = false);
        if !has_ended {
            return Ok(());
        }
        for ended in self.going.extract_if(.., |going| !going.goes_on()) {
            let Backfill { job, id, state, succeeded, failed, skipped, .. } = ended.told;
            info!(job, backfill = id, state, succeeded, failed, skipped, "a backfill has ended");
        }
        let ended =
            Backfills::list(&*self.parts.ledger).await?.into_iter().filter(|backfill| backfill.state != RUNNING);
        let too_many: Vec<_> = ended.skip(ENDED_MAX).map(|backfill| gone(backfill.id)).collect();
        if too_many.is_empty() { Ok(()) } else { self.parts.ledger.commit(too_many).await.map(drop) }
    }
}

/// Looks what became of the runs that were asked for.
async fn settle_ended(ledger: &dyn Ledger, going: &mut Going) -> Result<(), LedgerError> {
    let open: Vec<_> = going.open.iter().map(|(run, place)| (*run, *place)).collect();
    for (run, place) in open {
        let how = match ledger.run(run).await? {
            Some(story) => match story.row.finish().map(|finish| finish.report.outcome.code) {
                Some(OutcomeCode::Succeeded) => Settled::Succeeded,
                Some(_) => Settled::Failed,
                None => continue,
            },
            None if is_skipped(ledger, &going.job, run, going.slots[place]).await? => Settled::Skipped,
            None => {
                // Nothing came of it, because its job was paused: it is asked for again.
                going.open.remove(&run);
                going.next = going.next.min(place);
                continue;
            }
        };
        going.open.remove(&run);
        going.settle(place, how);
    }
    Ok(())
}

async fn is_skipped(ledger: &dyn Ledger, job: &JobId, run: RunId, slot: DateTime<Utc>) -> Result<bool, LedgerError> {
    let until = slot.checked_add_signed(chrono::TimeDelta::microseconds(1));
    let filter = SkipFilter { job: Some(job.clone()), since: Some(slot), until, ..SkipFilter::default() };
    Ok(ledger.skips(filter).await?.iter().any(|skip| skip.run == Some(run)))
}

/// Asks for the next runs, as many as may go on at once.
async fn go_on(parts: &OperateParts, going: &mut Going) -> Result<(), LedgerError> {
    if going.slots.len() <= going.next && going.open.is_empty() {
        // What was settled ahead of a hole has closed it by now.
        going.end(DONE, None, parts.clock.now());
        return Ok(());
    }
    let Some(known) = parts.host.definition(&going.job).await else {
        if parts.host.is_over() {
            return Ok(());
        }
        going.end(CANCELLED, Some("the job was removed".to_owned()), parts.clock.now());
        return Ok(());
    };
    if known.is_paused {
        return Ok(());
    }
    let at_once = usize::try_from(going.told.at_once.max(1)).unwrap_or(1);
    let mut inputs = Vec::new();
    while going.open.len() < at_once && going.next < going.slots.len() {
        let place = going.next;
        going.next += 1;
        if going.ahead.contains_key(&place) || going.open.values().any(|open| *open == place) {
            continue;
        }
        let run = going.run(place);
        going.open.insert(run, place);
        // An earlier life of the host may have asked for it; its end is seen with the next look.
        if parts.ledger.run(run).await?.is_some() {
            continue;
        }
        let (job, scheduled_for) = (going.job.clone(), Some(going.slots[place]));
        inputs.push(Input::Fire { job, run, cause: Cause::Backfill, payload: None, scheduled_for });
    }
    if !inputs.is_empty() {
        parts.host.send(inputs).await;
        parts.host.settle().await?;
    }
    Ok(())
}

/// Waits until one of these runs has ended; for ever where there are none.
async fn one_ended(mut events: Receiver<Event>, runs: &BTreeSet<RunId>) {
    if runs.is_empty() {
        drop(events);
        return std::future::pending().await;
    }
    loop {
        match events.recv().await {
            Ok(Event::RunFinished { run, .. }) if runs.contains(&run.id) => return,
            Ok(Event::RunCut { cut, .. }) if runs.contains(&cut.run.id) => return,
            Ok(Event::Skipped(skip)) if skip.run.is_some_and(|run| runs.contains(&run)) => return,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}
