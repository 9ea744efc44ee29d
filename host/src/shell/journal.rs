//! The journal: all that was told, in one order, each event with its number.
//!
//! Whoever publishes appends to a ring in memory, under one lock, and goes on. A writer puts what is in the ring into the
//! ledger, a few times in a second; readers take from the ring, or from the ledger where they come from further back.
//! Numbers only grow, over restarts too. They may leave some out: after a crash the next life begins with numbers that
//! the one before cannot have given to anybody.
//!
//! Readers see an event when it is in the ledger, a moment after it was told: what somebody has seen no crash takes back, and
//! nothing is told twice. Only while the ledger cannot be written they see what is in the ring alone.
//!
//! A reader that was as far as the newest event and then falls behind the ring is dropped: it does not read.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
};

use chrono::{DateTime, SubsecRound as _, Utc};
use clockjack_schedule::ports::{Clock, Ledger};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

mod back;
mod filter;
mod kind;
mod reader;
mod replay;
#[cfg(test)]
mod tests;
mod text;
mod told;
mod writer;

pub use self::{
    back::Beginning,
    filter::{EventFilter, KindPattern, UnknownKind},
    kind::{About, EventKind},
    reader::{Line, Reader, Seen},
};
pub(super) use self::{told::Told, writer::Writer};

/// How many events are in memory: a quarter of a second of the most that a host tells, and hours of one that has little
/// to do. A reader may lag behind by as many.
const RING_MAX: usize = 16_384;

/// From how many events at once on those that say that attempts wait and begin are not kept: 5,000 in a second.
const BUSY: usize = 250;

/// How many readers there may be at once, those of logs included: each costs as much as the slowest of them can make it.
pub const READERS_MAX: usize = 32;

/// All that was told. Clones are the same journal.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    ring: Mutex<Ring>,
    news: Notify,
    /// How many wait for news; while there are none, telling wakes nobody.
    n_waiting: AtomicUsize,
    seats: Arc<Semaphore>,
    /// Whether more is told than is kept of it.
    is_busy: AtomicBool,
}

/// The newest events.
struct Ring {
    told: VecDeque<Arc<Told>>,
    /// The number of the first of them.
    first: u64,
    /// Whether the numbers are final: what the ledger has is known.
    is_open: bool,
    /// Up to which number everything is in the ledger.
    kept: u64,
    /// The ledger cannot be written: readers see what is not in it.
    is_held: bool,
}

impl Ring {
    /// The number of the last event that readers see.
    fn last_seen(&self) -> u64 {
        if self.is_held { self.next() - 1 } else { self.kept.min(self.next() - 1) }
    }

    /// The number of the next event.
    fn next(&self) -> u64 {
        self.first.saturating_add(u64::try_from(self.told.len()).unwrap_or(u64::MAX))
    }

    fn push(&mut self, told: Told) -> Option<Arc<Told>> {
        self.told.push_back(Arc::new(told));
        if self.told.len() <= RING_MAX {
            return None;
        }
        self.first += 1;
        self.told.pop_front()
    }
}

/// What there is in the ring after a number.
enum Ahead {
    /// These, the first of them with this number; none where nothing was told since.
    Told(u64, Vec<Arc<Told>>),
    /// Some of it is not in the ring any more; what is, begins with this number.
    Behind(u64),
}

impl Journal {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let ring = Mutex::new(Ring { told: VecDeque::new(), first: 1, is_open: false, kept: 0, is_held: false });
        let seats = Arc::new(Semaphore::new(READERS_MAX));
        let (n_waiting, is_busy) = (AtomicUsize::new(0), AtomicBool::new(false));
        let shared = Shared { clock, ring, news: Notify::new(), n_waiting, seats, is_busy };
        Self { shared: Arc::new(shared) }
    }

    /// The time at which something is told.
    pub(super) fn now(&self) -> DateTime<Utc> {
        // As exact as what the ledger keeps.
        self.shared.clock.now().trunc_subsecs(6)
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.shared.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is worth telling that so many attempts wait or begin at once: under load that is not kept, so that only
    /// readers who are there could see it.
    pub(super) fn wants_starts(&self, n_starts: usize) -> bool {
        let is_busy = BUSY < n_starts || self.shared.is_busy.load(Relaxed);
        !is_busy || self.shared.seats.available_permits() < READERS_MAX
    }

    /// Whether more is told now than is kept of it, from how many events the writer finds.
    fn is_busy(&self, n_told: usize) -> bool {
        // Of each run that is not told in full only one event of three is left.
        let n_max = if self.shared.is_busy.load(Relaxed) { BUSY / 3 } else { BUSY };
        self.shared.is_busy.store(n_max < n_told, Relaxed);
        n_max < n_told
    }

    /// Appends an event.
    pub(super) fn tell(&self, told: Told) {
        self.tell_all(std::iter::once(told));
    }

    /// Appends events.
    pub(super) fn tell_all(&self, told: impl Iterator<Item = Told>) {
        let mut ring = self.ring();
        let gone: Vec<_> = told.filter_map(|told| ring.push(told)).collect();
        drop(ring);
        // Freeing them keeps nobody else waiting.
        drop(gone);
        self.wake();
    }

    fn wake(&self) {
        if 0 < self.shared.n_waiting.load(SeqCst) {
            self.shared.news.notify_waiters();
        }
    }

    /// Makes the numbers final: they go on after this one.
    fn open(&self, last: u64) {
        let mut ring = self.ring();
        ring.first = ring.first.saturating_add(last);
        ring.is_open = true;
        ring.kept = last;
        drop(ring);
        self.wake();
    }

    /// Everything up to this number is in the ledger, as far as it is kept at all.
    fn keep(&self, last: u64) {
        let mut ring = self.ring();
        (ring.kept, ring.is_held) = (last, false);
        drop(ring);
        self.wake();
    }

    /// The ledger cannot be written now.
    fn hold(&self) {
        self.ring().is_held = true;
        self.wake();
    }

    /// Up to `n_max` events after a number that readers see.
    fn ahead(&self, after: u64, n_max: usize) -> Ahead {
        let n_seen = usize::try_from(self.ring().last_seen().saturating_sub(after)).unwrap_or(usize::MAX);
        self.told(after, n_max.min(n_seen))
    }

    /// Up to `n_max` events after a number.
    fn told(&self, after: u64, n_max: usize) -> Ahead {
        let ring = self.ring();
        if !ring.is_open {
            return Ahead::Told(after.saturating_add(1), Vec::new());
        }
        let wanted = after.saturating_add(1);
        if wanted < ring.first {
            return Ahead::Behind(ring.first);
        }
        let skipped = usize::try_from(wanted - ring.first).unwrap_or(usize::MAX);
        Ahead::Told(wanted, ring.told.iter().skip(skipped).take(n_max).cloned().collect())
    }

    /// The whole ring, what is on its way to the ledger included, and the number of the first of it.
    fn in_memory(&self) -> (u64, Vec<Arc<Told>>) {
        let ring = self.ring();
        (ring.first, ring.told.iter().cloned().collect())
    }

    /// Whether the numbers are final.
    fn is_open(&self) -> bool {
        self.ring().is_open
    }

    /// Waits until readers see an event after a number, or the numbers are final. Cancel-safe.
    async fn changed(&self, after: u64) {
        self.until(|ring| after < ring.last_seen()).await;
    }

    /// Waits until there is an event after a number. Cancel-safe.
    async fn told_more(&self, after: u64) {
        self.until(|ring| after.saturating_add(1) < ring.next()).await;
    }

    async fn until(&self, fits: impl Fn(&Ring) -> bool) {
        let _waiting = Waiting::new(&self.shared.n_waiting);
        let was_open = self.is_open();
        loop {
            let news = self.shared.news.notified();
            tokio::pin!(news);
            // From here on news are heard; what was told before is seen in the ring.
            news.as_mut().enable();
            let (is_open, fits) = {
                let ring = self.ring();
                (ring.is_open, ring.is_open && fits(&ring))
            };
            if is_open != was_open || fits {
                return;
            }
            news.await;
        }
    }

    /// The number of the newest event; absent until numbers are final.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        let ring = self.ring();
        ring.is_open.then(|| ring.next() - 1)
    }

    /// Waits until numbers are final, and says which the newest event has.
    pub async fn opened(&self) -> u64 {
        loop {
            if let Some(newest) = self.newest() {
                return newest;
            }
            self.changed(0).await;
        }
    }

    /// A seat for one more reader; none where there are [`READERS_MAX`].
    #[must_use]
    pub fn seat(&self) -> Option<Seat> {
        Arc::clone(&self.shared.seats).try_acquire_owned().ok().map(|permit| Seat { _permit: permit })
    }

    /// Reads what is told after a number.
    #[must_use]
    pub fn reader(&self, ledger: Arc<dyn Ledger>, filter: EventFilter, after: u64) -> Reader {
        Reader::new(self.clone(), ledger, filter, after)
    }
}

/// The right of a reader to be there.
#[derive(Debug)]
pub struct Seat {
    _permit: OwnedSemaphorePermit,
}

/// Counts one who waits, for as long as this lives.
struct Waiting<'n>(&'n AtomicUsize);

impl<'n> Waiting<'n> {
    fn new(n_waiting: &'n AtomicUsize) -> Self {
        n_waiting.fetch_add(1, SeqCst);
        Self(n_waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}
