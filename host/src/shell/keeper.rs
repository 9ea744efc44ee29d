//! The keeper: commits until the ledger has it. A ledger that cannot be written for a while holds everything up that
//! depends on it, and nothing else; what it holds up is repeated as it was, which the ledger's contract allows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use clockjack_schedule::ports::{Change, Clock, Committed, Ledger, LedgerError};
use tokio_util::sync::CancellationToken;

use super::{Bus, Event};

/// How long after a refusal the first retry comes, and how long it is between the later ones.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(1);

/// How often a host that stops still tries.
const LAST_TRIES: u32 = 5;

/// From when on a commit is called slow.
const SLOW: Duration = Duration::from_secs(2);

/// Commits for one task.
#[derive(Clone)]
pub(super) struct Keeper {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) bus: Bus,
    pub(super) stop: CancellationToken,
    /// How many commits are held up.
    pub(super) n_held: Arc<AtomicUsize>,
}

impl Keeper {
    /// Keeps a batch, however long it takes.
    ///
    /// # Errors
    /// When the ledger failed for good, or the host stops while it cannot be written.
    pub(super) async fn commit(&self, changes: Vec<Change>) -> Result<Committed, LedgerError> {
        let (began, n_changes) = (self.clock.monotonic(), changes.len());
        let (mut wait, mut n_last_tries, mut held) = (RETRY_FIRST, 0, None);
        loop {
            let result = self.ledger.commit(changes.clone()).await;
            let took = self.clock.monotonic().saturating_sub(began);
            let why = match result {
                Err(LedgerError::Unavailable(why)) => why,
                Ok(mut committed) => {
                    if held.is_some() {
                        // Of a batch that is repeated a part may have been kept before.
                        committed.n_stale = 0;
                        committed.stale_states.clear();
                    }
                    self.tell_end(held, took);
                    self.bus.meter().committed(n_changes, took);
                    return Ok(committed);
                }
                Err(error) => return Err(error),
            };
            held.get_or_insert_with(|| self.hold(&why));
            if self.stop.is_cancelled() {
                n_last_tries += 1;
                if LAST_TRIES <= n_last_tries {
                    return Err(LedgerError::Unavailable(why));
                }
            }
            tokio::time::sleep(wait).await;
            wait = (2 * wait).min(RETRY_MAX);
        }
    }

    /// Waits until no commit of another task is held up, or the host stops: where the ends of runs cannot be written down,
    /// none may begin, for after a crash it would begin again.
    pub(super) async fn free(&self) {
        while 0 < self.n_held.load(SeqCst) && !self.stop.is_cancelled() {
            tokio::time::sleep(RETRY_FIRST).await;
        }
    }

    /// Tells that the ledger holds the host up, unless that was told.
    fn hold(&self, why: &str) -> Held {
        if self.n_held.fetch_add(1, SeqCst) == 0 {
            self.bus.publish(Event::LedgerHeld { why: why.to_owned() });
        }
        Held { n_held: Arc::clone(&self.n_held) }
    }

    fn tell_end(&self, held: Option<Held>, took: Duration) {
        if let Some(held) = held {
            drop(held);
            if self.n_held.load(SeqCst) == 0 {
                self.bus.publish(Event::LedgerBack { after: took });
            }
        } else if SLOW <= took {
            self.bus.publish(Event::LedgerSlow { took });
        }
    }
}

/// A commit that is held up, for as long as this lives.
struct Held {
    n_held: Arc<AtomicUsize>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.n_held.fetch_sub(1, SeqCst);
    }
}
