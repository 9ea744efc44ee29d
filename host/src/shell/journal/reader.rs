//! One who reads the journal: from the ledger what is further back, from the ring what is new, without a gap between.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use clockjack_schedule::ports::{EventBatch, Ledger, LedgerError};
use serde_json::Value as Json;

use super::{Ahead, EventFilter, EventKind, Journal, Told};

/// How many events are taken from the ring at once.
const TAKEN_MAX: usize = 256;

/// How many batches are read from the ledger at once: few at first, for each may have a mebibyte; more where they are small.
const BATCHES_MIN: usize = 4;
const BATCHES_MAX: usize = 1_024;

/// How much is read from the ledger at once, about.
const READ_BYTES: usize = 1 << 20;

/// How long until the ledger is asked again for what is on its way to it.
const ON_ITS_WAY: Duration = Duration::from_millis(50);

/// An event for a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number.
    pub id: u64,
    /// Its kind, in a word.
    pub kind: Arc<str>,
    /// The whole of it: JSON in one line.
    pub text: Arc<str>,
}

/// What a reader sees next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// An event.
    Event(Line),
    /// What the reader asked for is not kept any more, or never was: it begins with this number.
    Gap {
        /// The number of the first event that is kept.
        first: u64,
    },
    /// The host has ended, and nothing more comes. Who comes back to the next one misses nothing.
    Ended,
    /// The reader was too slow; nothing more comes. It may come back with the number of the last event that it saw.
    Dropped,
}

/// One who reads the journal. It costs the host memory for what it has taken and not read yet, and no time of a run.
pub struct Reader {
    journal: Journal,
    ledger: Arc<dyn Ledger>,
    filter: EventFilter,
    /// The number of the last event that was looked at.
    after: u64,
    /// It was as far as the newest event.
    is_live: bool,
    /// It has not been looked yet whether what it asks for is still there.
    is_new: bool,
    waiting: VecDeque<Seen>,
    is_dropped: bool,
    /// How many batches are read next.
    n_batches: usize,
    /// How far who wants no more than there is reads: to what was the newest event when it began.
    end: Option<u64>,
}

impl Reader {
    pub(super) fn new(journal: Journal, ledger: Arc<dyn Ledger>, filter: EventFilter, after: u64) -> Self {
        let waiting = VecDeque::new();
        let n_batches = BATCHES_MIN;
        Self {
            journal,
            ledger,
            filter,
            after,
            is_live: false,
            is_new: true,
            waiting,
            is_dropped: false,
            n_batches,
            end: None,
        }
    }

    /// The number of the last event that it has looked at: where the next reader of the same begins.
    #[must_use]
    pub fn after(&self) -> u64 {
        match self.waiting.front() {
            Some(Seen::Event(line)) => line.id.saturating_sub(1),
            Some(Seen::Gap { .. } | Seen::Ended | Seen::Dropped) | None => self.after,
        }
    }

    /// What comes next, however long that takes; nothing more after it was dropped. Cancel-safe.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn next(&mut self) -> Result<Option<Seen>, LedgerError> {
        loop {
            if let Some(seen) = self.take() {
                return Ok(Some(seen));
            }
            if self.is_dropped {
                return Ok(None);
            }
            if self.look().await? {
                self.is_live = true;
                self.journal.changed(self.after).await;
            }
        }
    }

    /// What there is now; nothing where it has seen everything. What is on its way to the ledger is waited for.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn kept(&mut self) -> Result<Option<Seen>, LedgerError> {
        loop {
            if let Some(seen) = self.take() {
                return Ok(Some(seen));
            }
            let newest = self.journal.opened().await;
            let end = *self.end.get_or_insert(newest);
            if self.is_dropped || self.look().await? && end <= self.after {
                return Ok(None);
            }
            if self.waiting.is_empty() && self.after < end {
                tokio::select! {
                    () = self.journal.changed(self.after) => {}
                    // What is only in the ledger is looked for again.
                    () = tokio::time::sleep(ON_ITS_WAY) => {}
                }
            }
        }
    }

    fn take(&mut self) -> Option<Seen> {
        self.waiting.pop_front()
    }

    /// Looks for more; answers whether it has seen everything.
    async fn look(&mut self) -> Result<bool, LedgerError> {
        if self.is_new && self.journal.is_open() {
            self.look_for_gap().await?;
            self.is_new = false;
        }
        match self.journal.ahead(self.after, TAKEN_MAX) {
            Ahead::Told(first, told) => {
                let has_seen_all = told.is_empty();
                for (id, told) in (first..).zip(told) {
                    self.after = id;
                    if self.filter.fits(&told) {
                        self.waiting.push_back(Seen::Event(line(id, &told)));
                    }
                    if told.kind == EventKind::SchedulerStopped {
                        self.waiting.push_back(Seen::Ended);
                    }
                }
                Ok(has_seen_all)
            }
            Ahead::Behind(_) if self.is_live => {
                self.is_dropped = true;
                self.waiting.push_back(Seen::Dropped);
                Ok(false)
            }
            Ahead::Behind(_) => {
                let batches = self.ledger.events(self.after, self.n_batches).await?;
                let n_bytes: usize = batches.iter().map(|batch| batch.text.len()).sum();
                self.n_batches = if n_bytes < READ_BYTES { 2 * self.n_batches } else { self.n_batches / 2 };
                self.n_batches = self.n_batches.clamp(BATCHES_MIN, BATCHES_MAX);
                if batches.is_empty() {
                    tokio::time::sleep(ON_ITS_WAY).await;
                }
                batches.iter().for_each(|batch| self.take_batch(batch));
                Ok(false)
            }
        }
    }

    fn take_batch(&mut self, batch: &EventBatch) {
        for text in batch.text.lines() {
            let Ok(event) = serde_json::from_str::<Json>(text) else { continue };
            let id = event["id"].as_u64().unwrap_or_default();
            if self.after < id && self.filter.fits_json(&event) {
                let kind = event["type"].as_str().unwrap_or_default().into();
                self.waiting.push_back(Seen::Event(Line { id, kind, text: text.into() }));
            }
        }
        // Of what a batch stands for, not everything may be kept.
        self.after = self.after.max(batch.last);
    }

    /// Whether what was asked for is gone, or comes from another ledger.
    async fn look_for_gap(&mut self) -> Result<(), LedgerError> {
        let newest = self.journal.newest().unwrap_or_default();
        let oldest = match self.ledger.events(0, 1).await?.first() {
            Some(batch) => batch.first,
            None => match self.journal.ahead(0, 1) {
                Ahead::Behind(first) | Ahead::Told(first, _) => first,
            },
        };
        let is_unknown = newest < self.after;
        // Who asks for everything does not miss what came before.
        if is_unknown || 0 < self.after && self.after.saturating_add(1) < oldest {
            self.after = oldest.saturating_sub(1);
            self.waiting.push_back(Seen::Gap { first: oldest });
        }
        Ok(())
    }
}

fn line(id: u64, told: &Told) -> Line {
    Line { id, kind: told.kind.as_str().into(), text: told.text(id) }
}
