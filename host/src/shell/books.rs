//! The books: what jobs remember, in memory while runs of them use it.
//!
//! A book is read from the ledger when the first attempt asks for it, and goes with the last one. One process owns a
//! ledger and the recorder alone changes books, in the order in which the ledger gets the changes, so that what a book
//! says is what the ledger has. A run that uses no state costs nothing here.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use clockjack_schedule::{
    id::{JobId, RunId},
    outcome::{Outcome, OutcomeCode},
    ports::{Change, Finish, KeepError, Ledger, LedgerError, PortFuture, States},
    state::{Draft, SharedBook, StateChange, WeakBook},
};
use tokio::sync::{mpsc, oneshot};

/// How many attempts may wait for their writes to be kept: as many as there are places.
pub(super) const FLUSHES_MAX: usize = 1_024;

/// How often an attempt that waits looks whether the ledger can be written at all.
const LOOK: Duration = Duration::from_millis(50);

/// What jobs remember, over a ledger.
pub(super) struct Books {
    ledger: Arc<dyn Ledger>,
    places: Mutex<HashMap<JobId, Arc<Place>>>,
    flushes: mpsc::Sender<Flush>,
    /// How many commits the ledger holds up.
    n_held: Arc<AtomicUsize>,
}

/// Where the book of a job is, if it is in memory. Whoever reads it from the ledger holds the lock.
type Place = tokio::sync::Mutex<WeakBook>;

impl Books {
    pub(super) fn new(ledger: Arc<dyn Ledger>, flushes: mpsc::Sender<Flush>, n_held: Arc<AtomicUsize>) -> Self {
        Self { ledger, places: Mutex::default(), flushes, n_held }
    }

    fn place(&self, job: &JobId) -> Arc<Place> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(places.entry(job.clone()).or_default())
    }
}

impl States for Books {
    fn open(&self, job: &JobId) -> PortFuture<'static, Result<SharedBook, String>> {
        let (place, ledger, job) = (self.place(job), Arc::clone(&self.ledger), job.clone());
        Box::pin(async move {
            let mut place = place.lock().await;
            if let Some(book) = place.upgrade() {
                return Ok(book);
            }
            let kept = ledger.state(&job).await.map_err(|error| format!("the job's state cannot be read: {error}"))?;
            let book = SharedBook::new(kept);
            *place = book.downgrade();
            Ok(book)
        })
    }

    fn keep(&self, job: &JobId, draft: Draft) -> PortFuture<'static, Result<(), KeepError>> {
        let draft = Arc::new(Mutex::new(Some(draft)));
        let (done, answer) = oneshot::channel();
        let flush = Flush { job: job.clone(), draft: Arc::clone(&draft), done };
        let (is_sent, n_held) = (self.flushes.try_send(flush).is_ok(), Arc::clone(&self.n_held));
        Box::pin(async move {
            let unavailable = |why: &str| Err(KeepError::Unavailable(why.to_owned()));
            if !is_sent {
                return unavailable("the host stops, or too many wait for its ledger");
            }
            tokio::pin!(answer);
            loop {
                tokio::select! {
                    answer = &mut answer => return answer.unwrap_or_else(|_gone| unavailable("the host stops")),
                    () = tokio::time::sleep(LOOK) => {}
                }
                // What the recorder has begun to keep is waited for: whether it was kept is then known.
                let is_held = 0 < n_held.load(SeqCst);
                if is_held && draft.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
                    return unavailable("the ledger cannot be written now");
                }
            }
        })
    }
}

/// Writes that are to be kept while their run goes on.
pub(super) struct Flush {
    job: JobId,
    /// Taken by whoever decides what becomes of it: the recorder, or the attempt that does not wait any longer.
    draft: Arc<Mutex<Option<Draft>>>,
    done: oneshot::Sender<Result<(), KeepError>>,
}

/// Writes that are on their way to the ledger with the end of their run.
pub(super) struct Settled {
    run: RunId,
    book: SharedBook,
    change: StateChange,
}

impl Settled {
    /// The ledger has the end of the run, or found that it came too late.
    pub(super) fn conclude(self, stale: &[RunId]) {
        if stale.contains(&self.run) { self.book.lost(&self.change, None) } else { self.book.arrived(&self.change) }
    }
}

/// Settles what an attempt that succeeded wrote. Where that cannot be kept, the attempt has failed.
pub(super) fn settle(finish: &mut Finish) -> Option<Settled> {
    let draft = finish.report.state.take()?;
    if finish.report.outcome.code != OutcomeCode::Succeeded {
        return None;
    }
    let book = draft.book();
    match book.settle(&draft) {
        Ok(change) => {
            finish.state = Some(Box::new(change.clone()));
            Some(Settled { run: finish.run, book, change })
        }
        Err(refusal) => {
            finish.report.outcome = Outcome::ended(OutcomeCode::Failed, refusal.to_string());
            None
        }
    }
}

/// Keeps writes while their runs go on: all that wait, in one batch, which is tried once.
///
/// # Errors
/// When the ledger failed for good.
pub(super) async fn keep(ledger: &dyn Ledger, flushes: Vec<Flush>) -> Result<(), LedgerError> {
    let (mut changes, mut waiting) = (Vec::new(), Vec::new());
    for Flush { job, draft, done } in flushes {
        // Who asked is gone: the attempt was cut, and the next one may have written already.
        if done.is_closed() {
            continue;
        }
        let Some(draft) = draft.lock().unwrap_or_else(PoisonError::into_inner).take() else { continue };
        let book = draft.book();
        match book.settle(&draft) {
            Ok(change) => {
                changes.push(Change::State { job: job.clone(), change: Arc::new(change.clone()) });
                waiting.push((job, book, change, done));
            }
            Err(refusal) => drop(done.send(Err(KeepError::Refused(refusal)))),
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    match ledger.commit(changes).await {
        Ok(_) => {
            for (_, book, change, done) in waiting {
                book.arrived(&change);
                drop(done.send(Ok(())));
            }
            Ok(())
        }
        Err(error) => {
            let why = error.to_string();
            for (job, book, change, done) in waiting {
                // Where it can be read, it says whether something was kept all the same.
                let kept = ledger.state(&job).await.ok();
                let is_there = kept.as_ref().is_some_and(|kept| change.version <= kept.version);
                book.lost(&change, kept);
                drop(done.send(if is_there { Ok(()) } else { Err(KeepError::Unavailable(why.clone())) }));
            }
            if matches!(error, LedgerError::Unavailable(_)) { Ok(()) } else { Err(error) }
        }
    }
}

#[cfg(test)]
mod tests;
