//! Pauses with a note and an end: kept as documents, ended in time also after a restart, and forgotten once their job has
//! gone on by whatever way.
//!
//! Whether a job is paused is the core's business and stands in the job's own row. What is kept here is why and until when.
//! The two are written one after the other, by one task, so that whoever asks at the same time as others gets one order.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    core::{Input, ResumeFrom},
    id::JobId,
    ports::{Change, Document, DocumentKind, JobFilter, JobRow, Ledger, LedgerError},
};
use serde_json::{Value as Json, json};
use tokio::sync::{
    broadcast::{Receiver, error::RecvError},
    mpsc, oneshot,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::OperateParts;
use crate::{
    cli::rfc3339,
    shell::{Asker, Event, HostHandle, Pausing},
};

/// Under which name the pause of the whole host is kept.
const ALL: &str = "paused";

/// Longest sleep: the wall clock may be set.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// How long nothing is done where no pause has an end.
const IDLE: Duration = Duration::from_secs(3_600);

/// How many orders may wait.
const ORDERS_MAX: usize = 64;

/// What is kept of a pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PauseNote {
    /// Why, in the words of who asked.
    pub note: Option<String>,
    /// When it ends by itself.
    pub until: Option<DateTime<Utc>>,
    /// Who asked, where that is known.
    pub by: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
}

/// Of what a pause is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// Of one job.
    Job(JobId),
    /// Of the whole host.
    All,
}

impl Whose {
    fn kind(&self) -> DocumentKind {
        match self {
            Self::Job(_) => DocumentKind::Pause,
            Self::All => DocumentKind::Host,
        }
    }

    fn key(&self) -> Arc<str> {
        match self {
            Self::Job(job) => job.as_str().into(),
            Self::All => ALL.into(),
        }
    }
}

impl PauseNote {
    /// A note as it is kept.
    #[must_use]
    pub fn document(&self, whose: &Whose) -> Document {
        let text = json!({
            "note": self.note,
            "until": self.until.map(rfc3339),
            "by": self.by,
            "at": rfc3339(self.at),
            "all": *whose == Whose::All,
        });
        let revision = u64::try_from(self.at.timestamp_micros()).unwrap_or_default();
        Document { kind: whose.kind(), key: whose.key(), revision, at: self.at, text: text.to_string().into() }
    }

    /// A note that was kept. What cannot be read is a pause without a note.
    #[must_use]
    pub fn read(document: &Document) -> Self {
        let json: Json = serde_json::from_str(&document.text).unwrap_or_default();
        let text = |key: &str| json[key].as_str().map(str::to_owned);
        let until = text("until").and_then(|until| until.parse().ok());
        Self { note: text("note"), until, by: text("by"), at: document.at }
    }

    /// Who asked for it and why, for whoever listens.
    #[must_use]
    fn asker(&self) -> Asker {
        let Self { note, until, by, .. } = self;
        Asker { note: note.as_deref().map(Into::into), until: *until, by: by.as_deref().map(Into::into) }
    }

    /// What is said of it beside the word `paused`.
    #[must_use]
    pub fn told(&self) -> String {
        let by = self.by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
        let until = self.until.map_or_else(String::new, |until| format!(" until {}", rfc3339(until)));
        let note = self.note.as_ref().map_or_else(String::new, |note| format!(": {note}"));
        format!("{by}{until}{note}")
    }
}

/// Why a job is paused, where somebody said so.
#[must_use]
pub fn pause_of<'n>(notes: &'n BTreeMap<Whose, PauseNote>, row: Option<&JobRow>) -> Option<&'n PauseNote> {
    let state = &row?.state;
    let whose = if state.paused_with_all { Whose::All } else { Whose::Job(state.job.clone()) };
    notes.get(&whose).filter(|_| state.paused)
}

/// What is kept of all pauses.
async fn notes(ledger: &dyn Ledger) -> Result<Vec<(Whose, PauseNote)>, LedgerError> {
    let of_jobs = ledger.documents(DocumentKind::Pause).await?;
    let of_host = ledger.documents(DocumentKind::Host).await?;
    let jobs = of_jobs.iter().filter_map(|document| {
        // Names are checked before they are kept.
        Some((Whose::Job(document.key.parse().ok()?), PauseNote::read(document)))
    });
    let all = of_host.iter().filter(|document| &*document.key == ALL);
    Ok(jobs.chain(all.map(|document| (Whose::All, PauseNote::read(document)))).collect())
}

/// What is to be done about a pause.
enum Order {
    Pause(Whose, PauseNote, oneshot::Sender<Result<(), LedgerError>>),
    Resume(Whose, ResumeFrom, Option<String>, oneshot::Sender<Result<(), LedgerError>>),
}

/// What requests reach the task through. Clones reach the same one.
#[derive(Clone, Debug)]
pub struct Pauses {
    orders: mpsc::Sender<Order>,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pause(whose, ..) => write!(f, "Pause({whose:?})"),
            Self::Resume(whose, ..) => write!(f, "Resume({whose:?})"),
        }
    }
}

impl Pauses {
    /// Pauses something, and keeps why and until when. It is done as a whole, also where nobody waits for it any more.
    ///
    /// # Errors
    /// When the ledger cannot be written, or the host stops.
    pub async fn pause(&self, whose: Whose, note: PauseNote) -> Result<(), LedgerError> {
        let (done, answer) = oneshot::channel();
        drop(self.orders.send(Order::Pause(whose, note, done)).await);
        answer.await.unwrap_or_else(|_closed| Err(stopping()))
    }

    /// Lets something go on that was paused, and forgets why it was. It is done as a whole, as a pause is.
    ///
    /// # Errors
    /// When the ledger cannot be written, or the host stops.
    pub async fn resume(&self, whose: Whose, from: ResumeFrom, by: Option<String>) -> Result<(), LedgerError> {
        let (done, answer) = oneshot::channel();
        drop(self.orders.send(Order::Resume(whose, from, by, done)).await);
        answer.await.unwrap_or_else(|_closed| Err(stopping()))
    }

    /// Why something is paused.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn of(ledger: &dyn Ledger, whose: &Whose) -> Result<Option<PauseNote>, LedgerError> {
        let documents = ledger.documents(whose.kind()).await?;
        Ok(documents.iter().find(|document| document.key == whose.key()).map(PauseNote::read))
    }

    /// Why anything is paused.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn all(ledger: &dyn Ledger) -> Result<Vec<(Whose, PauseNote)>, LedgerError> {
        notes(ledger).await
    }
}

fn stopping() -> LedgerError {
    LedgerError::Unavailable("the host stops".to_owned())
}

/// Pauses something: its note first, so that a crash between the two leaves no pause of which nobody knows the end. A
/// note without a pause is forgotten; that of the whole host is the pause, for whoever starts next.
pub(super) async fn pause(
    ledger: &dyn Ledger,
    host: &HostHandle,
    whose: &Whose,
    note: &PauseNote,
    is_news: bool,
) -> Result<(), LedgerError> {
    ledger.commit(vec![Change::Document(Arc::new(note.document(whose)))]).await?;
    let input = match whose {
        Whose::Job(job) => Input::Pause(job.clone()),
        Whose::All => Input::PauseAll,
    };
    host.pauses(Pausing { input, asker: note.asker(), is_news }).await
}

/// The task: nobody else pauses or resumes for a person, or writes what is kept of it. So two wishes that come at once are
/// one after the other, in whole.
struct Task {
    parts: OperateParts,
    orders: mpsc::Receiver<Order>,
    /// What is kept.
    known: BTreeMap<Whose, PauseNote>,
    /// Of those, what is over; only that it is forgotten could not be kept.
    over: BTreeSet<Whose>,
    /// `known` is to be read again.
    is_stale: bool,
    stop: CancellationToken,
}

pub(super) fn task(parts: OperateParts, stop: CancellationToken) -> (Pauses, impl Future<Output = ()> + Send) {
    let (orders, taken) = mpsc::channel(ORDERS_MAX);
    let (known, over) = (BTreeMap::new(), BTreeSet::new());
    let task = Task { parts, orders: taken, known, over, is_stale: true, stop };
    (Pauses { orders }, task.work())
}

impl Task {
    async fn work(mut self) {
        let mut events = None;
        loop {
            if let Err(error) = self.look(&mut events).await {
                warn!("what is kept of pauses cannot be looked after now: {error}");
            }
            let wait = self.wait();
            let order = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                Some(order) = self.orders.recv() => Some(order),
                () = job_changed(events.as_mut()) => {
                    self.is_stale = true;
                    None
                }
                () = tokio::time::sleep(wait) => None,
            };
            match order {
                Some(Order::Pause(whose, note, done)) => drop(done.send(self.pause(whose, note).await)),
                Some(Order::Resume(whose, from, by, done)) => drop(done.send(self.resume(&whose, from, by).await)),
                None => {}
            }
        }
    }

    fn wait(&self) -> Duration {
        // What could not be done now is tried again, but not at once.
        if self.is_stale || !self.over.is_empty() || self.parts.host.is_over() {
            return SLEEP_MAX;
        }
        let next = self.known.values().filter_map(|note| note.until).min();
        let now = self.parts.clock.now();
        next.map_or(IDLE, |until| until.signed_duration_since(now).to_std().unwrap_or_default().min(SLEEP_MAX))
    }

    async fn pause(&mut self, whose: Whose, note: PauseNote) -> Result<(), LedgerError> {
        let is_news = self.known.get(&whose).is_none_or(|known| (&known.note, known.until) != (&note.note, note.until));
        // Until it is known to be done, what is kept may be either.
        self.is_stale = true;
        pause(&*self.parts.ledger, &self.parts.host, &whose, &note, is_news).await?;
        self.over.remove(&whose);
        self.known.insert(whose, note);
        Ok(())
    }

    /// Lets something go on, and then forgets its note: a crash between the two leaves a note without a pause.
    async fn resume(&mut self, whose: &Whose, from: ResumeFrom, by: Option<String>) -> Result<(), LedgerError> {
        let input = match whose {
            Whose::Job(job) => Input::Resume { job: job.clone(), from },
            Whose::All => Input::ResumeAll { from },
        };
        let asker = Asker { by: by.map(Into::into), ..Asker::default() };
        self.parts.host.pauses(Pausing { input, asker, is_news: false }).await?;
        self.over.insert(whose.clone());
        self.forget(whose).await
    }

    async fn forget(&mut self, whose: &Whose) -> Result<(), LedgerError> {
        let gone = Change::DocumentGone { kind: whose.kind(), key: whose.key() };
        self.parts.ledger.commit(vec![gone]).await?;
        self.over.remove(whose);
        self.known.remove(whose);
        Ok(())
    }

    /// Ends what is over, and forgets what has ended otherwise.
    async fn look(&mut self, events: &mut Option<Receiver<Event>>) -> Result<(), LedgerError> {
        for whose in self.over.clone() {
            self.forget(&whose).await?;
        }
        if self.is_stale {
            // Before it is read, so that nothing falls between the two.
            *events = Some(self.parts.host.bus().listen());
            self.known = notes(&*self.parts.ledger).await?.into_iter().collect();
            self.forget_strays().await?;
            self.is_stale = false;
        }
        if self.known.is_empty() {
            *events = None;
        }
        let now = self.parts.clock.now();
        let is_over = |note: &PauseNote| note.until.filter(|until| *until <= now);
        let over = self.known.iter().filter_map(|(whose, note)| Some((whose.clone(), is_over(note)?, note.clone())));
        for (whose, until, note) in over.collect::<Vec<_>>() {
            // It ended then, whenever that is seen: slots from then on have nothing to do with it.
            let ended = self.resume(&whose, ResumeFrom::At(until), None).await;
            if ended.is_err() && self.parts.host.is_over() {
                // The next host ends the pause.
                return Ok(());
            }
            ended?;
            let (job, note) = (whose.key(), note.note.unwrap_or_default());
            match whose {
                Whose::Job(_) => info!(job = &*job, note, "the pause of this job is over"),
                Whose::All => info!(note, "the pause of the host is over"),
            }
        }
        Ok(())
    }

    /// Forgets notes of jobs that went on by another way: a manifest that says so, the end of the job, or a crash before
    /// its pause or before its note was forgotten.
    async fn forget_strays(&mut self) -> Result<(), LedgerError> {
        let only = self.known.keys().filter_map(|whose| match whose {
            Whose::Job(job) => Some(job.clone()),
            Whose::All => None,
        });
        let only: Vec<_> = only.collect();
        if only.is_empty() {
            return Ok(());
        }
        let filter = JobFilter { only: Some(only.clone()), ..JobFilter::default() };
        let states = self.parts.ledger.jobs(filter).await?.into_iter().map(|story| story.row.state);
        let paused = states.filter(|state| state.paused && state.removed_at.is_none());
        let paused: BTreeSet<JobId> = paused.map(|state| state.job).collect();
        for job in only.into_iter().filter(|job| !paused.contains(job)) {
            self.forget(&Whose::Job(job)).await?;
        }
        Ok(())
    }
}

/// Waits until a job has changed or is gone; for ever where no pause is known.
async fn job_changed(events: Option<&mut Receiver<Event>>) {
    let Some(events) = events else { return std::future::pending().await };
    loop {
        match events.recv().await {
            Ok(Event::JobChanged { .. } | Event::JobRemoved(_)) | Err(RecvError::Lagged(_)) => return,
            Ok(_) => {}
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_read_back_and_say_what_they_are() {
        let at: DateTime<Utc> = "2027-01-15T12:00:00Z".parse().unwrap();
        let note = PauseNote {
            note: Some("the database moves".to_owned()),
            until: Some(at + chrono::TimeDelta::hours(2)),
            by: Some("ops".to_owned()),
            at,
        };
        let whose = Whose::Job("report".parse().unwrap());
        assert_eq!(PauseNote::read(&note.document(&whose)), note);
        assert_eq!(note.told(), " by ops until 2027-01-15T14:00:00Z: the database moves");
        let bare = PauseNote { note: None, until: None, by: None, at };
        assert_eq!(PauseNote::read(&bare.document(&Whose::All)), bare);
        assert_eq!(bare.told(), "");
        let damaged = Document { text: "{".into(), ..bare.document(&Whose::All) };
        assert_eq!(PauseNote::read(&damaged), bare);
    }
}
