//! The task that puts what was told into the ledger, and takes out what is too old or too much.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use clockjack_schedule::ports::{Change, EventBatch, EventMark, Ledger, LedgerError};
use tokio_util::sync::CancellationToken;

use super::{Ahead, EventKind, Journal, RING_MAX, Told, replay};

/// How long events are gathered: so much later readers see them, and a twentieth of a second is as good as at once.
const GATHER: Duration = Duration::from_millis(50);

/// Longest text of one batch.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// How much may wait for a ledger that cannot be written.
const PENDING_BYTES_MAX: usize = 16 << 20;

/// How much is kept in the ledger, and how long.
const KEPT_BYTES_MAX: u64 = 64 << 20;
const KEPT_AGE_MAX: TimeDelta = TimeDelta::days(7);

/// By how much more than that before anything is taken out, so that not every write does.
const KEPT_BYTES_MORE: u64 = KEPT_BYTES_MAX / 16;

/// How long after a refusal of the ledger the next try comes.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// How often a host that stops still tries.
const LAST_TRIES: u32 = 5;

/// By how much numbers jump after a crash: more than a host can have told without having written it.
pub(super) const JUMP: u64 = 1 << 20;

/// The writer's task.
pub(in crate::shell) struct Writer {
    journal: Journal,
    ledger: Arc<dyn Ledger>,
    stop: CancellationToken,
    /// The number of the last event that was taken from the ring.
    after: u64,
    pending: VecDeque<Arc<EventBatch>>,
    /// What is in the ledger, oldest first.
    kept: VecDeque<EventMark>,
    n_kept_bytes: u64,
    /// The first and the last event that were thrown away, and that was not told yet.
    lost: Option<(u64, u64)>,
}

impl Writer {
    pub(in crate::shell) fn new(journal: Journal, ledger: Arc<dyn Ledger>, stop: CancellationToken) -> Self {
        let (pending, kept) = (VecDeque::new(), VecDeque::new());
        Self { journal, ledger, stop, after: 0, pending, kept, n_kept_bytes: 0, lost: None }
    }

    /// Writes until it is told to stop, and then what is left.
    pub(in crate::shell) async fn work(mut self) {
        if let Err(error) = self.begin().await {
            self.journal.hold();
            tracing::error!("events are not kept, and can be followed only while this host runs: {error}");
            return;
        }
        loop {
            if self.pending.is_empty() {
                tokio::select! {
                    () = self.news() => {}
                    () = self.stop.cancelled() => return self.finish().await,
                }
            }
            tokio::select! {
                () = tokio::time::sleep(GATHER) => {}
                () = self.stop.cancelled() => return self.finish().await,
            }
            self.take();
            if let Err(error) = self.write().await {
                self.journal.hold();
                tracing::error!("events are not kept any more: {error}");
                return;
            }
        }
    }

    /// Finds out what the ledger has, gives the numbers, and tells what a crash kept from being told.
    async fn begin(&mut self) -> Result<(), LedgerError> {
        let life = self.journal.now();
        let marks = loop {
            match self.ledger.event_marks().await {
                Err(LedgerError::Unavailable(_)) if !self.stop.is_cancelled() => {
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                marks => break marks?,
            }
        };
        let last = replay::last_life(&*self.ledger, &marks).await?;
        self.n_kept_bytes = marks.iter().map(|mark| mark.n_bytes).fold(0, u64::saturating_add);
        self.kept = marks.into();
        let number = last.as_ref().map_or(0, |last| last.number + if last.has_crashed { JUMP } else { 0 });
        self.after = number;
        self.journal.open(number);
        if let Some(last) = last.filter(|last| last.has_crashed) {
            let untold = replay::untold(&*self.ledger, &last, life).await?;
            let now = self.journal.now();
            let untold = untold.iter().map(|(run, finish)| Told::finished(run, finish, now, true));
            self.journal.tell_all(untold);
        }
        Ok(())
    }

    /// Waits until something is told.
    async fn news(&self) {
        if tokio::time::timeout(GATHER, self.journal.told_more(self.after)).await.is_err() {
            // What comes after a pause is told in full.
            self.journal.is_busy(0);
            self.journal.told_more(self.after).await;
        }
    }

    /// Takes what was told since the last time.
    fn take(&mut self) {
        let told = loop {
            match self.journal.told(self.after, RING_MAX) {
                Ahead::Told(_, told) => break told,
                Ahead::Behind(first) => {
                    self.lose(self.after.saturating_add(1), first - 1);
                    self.after = first - 1;
                }
            }
        };
        let is_busy = self.journal.is_busy(told.len());
        let (mut text, mut first) = (String::new(), self.after.saturating_add(1));
        let mut at = None;
        for told in told {
            self.after += 1;
            at = Some(told.at);
            if is_busy && matches!(told.kind, EventKind::RunQueued | EventKind::RunStarted) {
                continue;
            }
            told.write(self.after, &mut text);
            text.push('\n');
            if BATCH_BYTES_MAX <= text.len() {
                self.put(first, told.at, std::mem::take(&mut text));
                first = self.after.saturating_add(1);
            }
        }
        if let Some(at) = at.filter(|_| !text.is_empty()) {
            self.put(first, at, text);
        }
    }

    fn put(&mut self, first: u64, at: DateTime<Utc>, text: String) {
        self.pending.push_back(Arc::new(EventBatch { first, last: self.after, at, text: text.into() }));
        let mut n_bytes: usize = self.pending.iter().map(|batch| batch.text.len()).sum();
        while PENDING_BYTES_MAX < n_bytes
            && let Some(oldest) = self.pending.pop_front()
        {
            n_bytes -= oldest.text.len();
            self.lose(oldest.first, oldest.last);
        }
    }

    fn lose(&mut self, first: u64, last: u64) {
        let (known_first, known_last) = self.lost.unwrap_or((first, last));
        self.lost = Some((known_first.min(first), known_last.max(last)));
    }

    /// Writes what waits, as much as the ledger takes now.
    async fn write(&mut self) -> Result<(), LedgerError> {
        while let Some(batch) = self.pending.front() {
            let mark = EventMark {
                last: batch.last,
                at: batch.at,
                n_bytes: u64::try_from(batch.text.len()).unwrap_or(u64::MAX),
            };
            let mut changes = vec![Change::Events(Arc::clone(batch))];
            let too_old = self.too_old(mark);
            changes.extend(too_old.map(|until| Change::EventsGone { until }));
            match self.ledger.commit(changes).await {
                Ok(_) => {
                    self.pending.pop_front();
                    while let Some(gone) =
                        self.kept.pop_front_if(|kept| too_old.is_some_and(|until| kept.last <= until))
                    {
                        self.n_kept_bytes = self.n_kept_bytes.saturating_sub(gone.n_bytes);
                    }
                    self.n_kept_bytes = self.n_kept_bytes.saturating_add(mark.n_bytes);
                    self.kept.push_back(mark);
                }
                // The ring and what waits have room for a while.
                Err(LedgerError::Unavailable(_)) => {
                    self.journal.hold();
                    tokio::time::sleep(RETRY_AFTER).await;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        self.journal.keep(self.after);
        if let Some((first, last)) = self.lost.take() {
            tracing::warn!(
                first,
                last,
                "events are missing from the journal: the ledger could not be written for too long"
            );
            self.journal.tell(Told::lost(first, last, self.journal.now()));
        }
        Ok(())
    }

    /// Up to which number events go when this one comes. The newest batch stays: the next life counts on from it.
    fn too_old(&self, new: EventMark) -> Option<u64> {
        let n_bytes = self.n_kept_bytes.saturating_add(new.n_bytes);
        let since = new.at.checked_sub_signed(KEPT_AGE_MAX).unwrap_or(DateTime::UNIX_EPOCH);
        let oldest = self.kept.front()?;
        if n_bytes <= KEPT_BYTES_MAX + KEPT_BYTES_MORE && since <= oldest.at {
            return None;
        }
        let mut n_bytes_left = n_bytes;
        let mut until = None;
        for kept in &self.kept {
            if n_bytes_left <= KEPT_BYTES_MAX && since <= kept.at {
                break;
            }
            n_bytes_left = n_bytes_left.saturating_sub(kept.n_bytes);
            until = Some(kept.last);
        }
        until
    }

    /// The last write of a host that stops.
    async fn finish(mut self) {
        for _ in 0..LAST_TRIES {
            self.take();
            if self.write().await.is_err() || self.pending.is_empty() && self.journal.newest() == Some(self.after) {
                return;
            }
        }
        tracing::warn!("the last events of this host are not kept: the ledger cannot be written");
    }
}
