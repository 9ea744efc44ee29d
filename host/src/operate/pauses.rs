//! Pauses with a note and an end: kept as documents, ended in time also after a restart, and forgotten once their job has
//! gone on by whatever way.
//!
//! Whether a job is paused is the core's business and stands in the job's own row. What is kept here is why and until when.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use clockjack_schedule::{
    core::{Input, ResumeFrom},
    id::JobId,
    ports::{Change, Document, DocumentKind, JobFilter, JobRow, Ledger, LedgerError},
};
use serde_json::{Value as Json, json};
use tokio::sync::{
    Notify,
    broadcast::{Receiver, error::RecvError},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::OperateParts;
use crate::{cli::rfc3339, shell::Event};

/// Under which name the pause of the whole host is kept.
const ALL: &str = "paused";

/// Longest sleep: the wall clock may be set.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// How long nothing is done where no pause is known; a new one is told at once.
const IDLE: Duration = Duration::from_secs(3_600);

/// How long a note is kept whose job is not paused: the pause may still be on its way into the record.
const STRAY_TIME: TimeDelta = TimeDelta::minutes(1);

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

/// What requests reach the task through.
#[derive(Clone, Debug)]
pub struct Pauses {
    changed: Arc<Notify>,
}

impl Pauses {
    /// Keeps why something is about to be paused.
    ///
    /// # Errors
    /// When the ledger cannot be written; then nothing is to be paused.
    pub async fn keep(ledger: &dyn Ledger, whose: &Whose, note: &PauseNote) -> Result<(), LedgerError> {
        ledger.commit(vec![Change::Document(Arc::new(note.document(whose)))]).await.map(drop)
    }

    /// Forgets why something was paused.
    ///
    /// # Errors
    /// When the ledger cannot be written; the task forgets it later.
    pub async fn forget(ledger: &dyn Ledger, whose: &Whose) -> Result<(), LedgerError> {
        ledger.commit(vec![Change::DocumentGone { kind: whose.kind(), key: whose.key() }]).await.map(drop)
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

    /// Says that something was paused or goes on.
    pub fn changed(&self) {
        self.changed.notify_one();
    }
}

/// The task.
struct Task {
    parts: OperateParts,
    changed: Arc<Notify>,
    stop: CancellationToken,
}

pub(super) fn task(parts: OperateParts, stop: CancellationToken) -> (Pauses, impl Future<Output = ()> + Send) {
    let changed = Arc::new(Notify::new());
    let task = Task { parts, changed: Arc::clone(&changed), stop };
    (Pauses { changed }, task.work())
}

impl Task {
    async fn work(self) {
        let mut known = Vec::new();
        let mut is_stale = true;
        loop {
            let events = self.parts.host.bus().listen();
            if let Err(error) = self.look(&mut known, is_stale).await {
                warn!("what is kept of pauses cannot be looked after now: {error}");
            }
            let wait = self.wait(&known);
            is_stale = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = self.changed.notified() => true,
                () = job_changed(events, known.is_empty()) => true,
                () = tokio::time::sleep(wait) => false,
            };
        }
    }

    fn wait(&self, known: &[(Whose, PauseNote)]) -> Duration {
        let next = known.iter().filter_map(|(_, note)| note.until).min();
        let now = self.parts.clock.now();
        next.map_or(IDLE, |until| until.signed_duration_since(now).to_std().unwrap_or_default().min(SLEEP_MAX))
    }

    /// Ends what is over, and forgets what has ended otherwise.
    async fn look(&self, known: &mut Vec<(Whose, PauseNote)>, is_stale: bool) -> Result<(), LedgerError> {
        let ledger = &*self.parts.ledger;
        if is_stale {
            *known = notes(ledger).await?;
            self.forget_strays(known).await?;
        }
        let now = self.parts.clock.now();
        let over: Vec<_> = known.extract_if(.., |(_, note)| note.until.is_some_and(|until| until <= now)).collect();
        for (whose, note) in over {
            let from = ResumeFrom::Now;
            let input = match &whose {
                Whose::Job(job) => Input::Resume { job: job.clone(), from },
                Whose::All => Input::ResumeAll { from },
            };
            self.parts.host.send(vec![input]).await;
            if self.parts.host.settle().await.is_err() {
                // The host stops; the next one ends the pause.
                return Ok(());
            }
            Pauses::forget(ledger, &whose).await?;
            let (job, note) = (whose.key(), note.note.unwrap_or_default());
            match whose {
                Whose::Job(_) => info!(job = &*job, note, "the pause of this job is over"),
                Whose::All => {
                    self.parts.host.publish(Event::Resumed { by: None });
                    info!(note, "the pause of the host is over");
                }
            }
        }
        Ok(())
    }

    /// Forgets notes of jobs that went on by another way: a manifest that says so, or the end of the job.
    async fn forget_strays(&self, known: &mut Vec<(Whose, PauseNote)>) -> Result<(), LedgerError> {
        let before = self.parts.clock.now() - STRAY_TIME;
        let may_be_stray = |note: &PauseNote| note.at < before;
        if !known.iter().any(|(whose, note)| *whose != Whose::All && may_be_stray(note)) {
            return Ok(());
        }
        let only = known.iter().filter_map(|(whose, _)| match whose {
            Whose::Job(job) => Some(job.clone()),
            Whose::All => None,
        });
        let filter = JobFilter { only: Some(only.collect()), ..JobFilter::default() };
        let states = self.parts.ledger.jobs(filter).await?.into_iter().map(|story| story.row.state);
        let paused = states.filter(|state| state.paused && state.removed_at.is_none());
        let paused: BTreeSet<JobId> = paused.map(|state| state.job).collect();
        let is_stray = |whose: &Whose| matches!(whose, Whose::Job(job) if !paused.contains(job));
        for (whose, _) in known.extract_if(.., |(whose, note)| is_stray(whose) && may_be_stray(note)) {
            Pauses::forget(&*self.parts.ledger, &whose).await?;
        }
        Ok(())
    }
}

/// Waits until a job has changed or is gone; for ever where no pause is known.
async fn job_changed(mut events: Receiver<Event>, is_idle: bool) {
    if is_idle {
        drop(events);
        return std::future::pending().await;
    }
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
            until: Some(at + TimeDelta::hours(2)),
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
