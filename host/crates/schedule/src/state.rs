//! What a job remembers from run to run: keys, values and versions, and the rules by which attempts change them.
//!
//! A [`Book`] is what a job remembers; a [`Draft`] is what one attempt has written and nobody else sees yet. When the
//! attempt succeeds, the book [settles](SharedBook::settle) the draft: it looks at its conditions once more and makes a
//! [`StateChange`] of it, which the ledger keeps together with the success. Only what is kept can be read by others.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    future::ready,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    id::JobId,
    manifest::scalar::show_size,
    ports::{KeepError, PortFuture, States},
};

mod draft;

pub use draft::{Draft, DraftError};

/// Longest key, in bytes: room for a path or a digest, and short enough to be shown.
pub const KEY_BYTES_MAX: usize = 256;

/// Most keys of one job: a book is in memory as a whole while a run of its job uses it.
pub const KEYS_MAX: usize = 10_000;

/// A value with its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What was written.
    pub value: Arc<[u8]>,
    /// Grows with each write of the job, and never comes back.
    pub version: u64,
}

/// What the ledger keeps of a job's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The greatest version that was ever kept for the job, deleted keys included.
    pub version: u64,
    /// The values.
    pub entries: BTreeMap<String, Entry>,
}

/// Writes to the state of a job, which are kept together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// The greatest version among them. A ledger that has seen it, or a later one, keeps nothing of the change.
    pub version: u64,
    /// Each key at most once.
    pub writes: Vec<StateWrite>,
}

/// One key that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateWrite {
    /// Which.
    pub key: String,
    /// The version of this write.
    pub version: u64,
    /// What it holds from now on; absent where it is deleted.
    pub value: Option<Arc<[u8]>>,
}

/// Why a draft cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A condition of the draft does not hold any more.
    #[error(
        "another run of the job wrote what this attempt had looked at in its state, so that nothing of this attempt's was kept"
    )]
    Conflict {
        /// The key.
        key: String,
        /// Its version now; absent where there is none.
        version: Option<u64>,
    },
    /// The state would be larger than the limit, which other runs had used up meanwhile.
    #[error(
        "the job's state would have more than {}, so that nothing of this attempt's was kept (`limits.state`)",
        show_size(*bytes_max)
    )]
    Quota {
        /// The limit.
        bytes_max: u64,
    },
    /// There would be too many keys.
    #[error("the job's state would have more than {KEYS_MAX} keys, so that nothing of this attempt's was kept")]
    Keys,
}

/// A write that was not kept yet.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pending {
    version: u64,
    value: Option<Arc<[u8]>>,
}

/// What a job remembers.
#[derive(Debug, Default)]
struct Book {
    /// What the ledger has.
    kept: BTreeMap<String, Entry>,
    /// What is on its way to the ledger.
    pending: BTreeMap<String, Pending>,
    /// Keys and values of both together.
    n_bytes: u64,
    n_keys: usize,
    /// The greatest version on its way to the ledger, or in it.
    settled: u64,
    /// The greatest version that was given to any attempt. Those of attempts that failed never come to the ledger.
    given: u64,
}

/// How much an entry counts.
fn size_of_entry(key: &str, value: &[u8]) -> u64 {
    u64::try_from(key.len() + value.len()).unwrap_or(u64::MAX)
}

impl Book {
    fn new(kept: Kept) -> Self {
        let mut book = Self { kept: kept.entries, settled: kept.version, given: kept.version, ..Self::default() };
        book.measure();
        book
    }

    /// The value of a key once everything on its way has arrived.
    fn settled(&self, key: &str) -> Option<(u64, &[u8])> {
        match self.pending.get(key) {
            Some(pending) => Some((pending.version, pending.value.as_deref()?)),
            None => self.kept.get(key).map(|entry| (entry.version, &*entry.value)),
        }
    }

    /// Measures everything anew.
    fn measure(&mut self) {
        let untouched = self.kept.iter().filter(|(key, _)| !self.pending.contains_key(*key));
        let untouched = untouched.map(|(key, entry)| size_of_entry(key, &entry.value));
        let written =
            self.pending.iter().filter_map(|(key, pending)| Some(size_of_entry(key, pending.value.as_ref()?)));
        let sizes: Vec<u64> = untouched.chain(written).collect();
        (self.n_bytes, self.n_keys) = (sizes.iter().sum(), sizes.len());
    }

    fn next_version(&mut self) -> u64 {
        self.given += 1;
        self.given
    }

    fn settle(&mut self, draft: &Draft) -> Result<StateChange, Refusal> {
        for (key, expected) in &draft.conditions {
            let version = self.settled(key).map(|(version, _)| version);
            if version != *expected {
                return Err(Refusal::Conflict { key: key.clone(), version });
            }
        }
        let (mut n_bytes, mut n_keys) = (self.n_bytes, self.n_keys);
        for (key, write) in &draft.writes {
            if let Some((_, before)) = self.settled(key) {
                n_bytes -= size_of_entry(key, before);
                n_keys -= 1;
            }
            if let Some(value) = &write.value {
                n_bytes += size_of_entry(key, value);
                n_keys += 1;
            }
        }
        // Where the limit was lowered, what is less than before is still kept.
        if draft.bytes_max < n_bytes && self.n_bytes < n_bytes {
            return Err(Refusal::Quota { bytes_max: draft.bytes_max });
        }
        if KEYS_MAX < n_keys && self.n_keys < n_keys {
            return Err(Refusal::Keys);
        }
        // The versions that the attempt saw hold, unless another one that began later was kept before it.
        let in_order = draft.writes.values().all(|write| self.settled < write.version);
        let mut writes = Vec::with_capacity(draft.writes.len());
        for (key, write) in &draft.writes {
            let version = if in_order { write.version } else { self.next_version() };
            self.settled = self.settled.max(version);
            self.pending.insert(key.clone(), Pending { version, value: write.value.clone() });
            writes.push(StateWrite { key: key.clone(), version, value: write.value.clone() });
        }
        (self.n_bytes, self.n_keys) = (n_bytes, n_keys);
        Ok(StateChange { version: self.settled, writes })
    }

    /// Takes back what of a change is still on its way.
    fn take(&mut self, change: &StateChange) {
        for write in &change.writes {
            if self.pending.get(&write.key).is_some_and(|pending| pending.version == write.version) {
                self.pending.remove(&write.key);
            }
        }
    }

    fn arrived(&mut self, change: &StateChange) {
        self.take(change);
        for StateWrite { key, version, value } in &change.writes {
            match value {
                Some(value) => {
                    self.kept.insert(key.clone(), Entry { value: Arc::clone(value), version: *version });
                }
                None => {
                    self.kept.remove(key);
                }
            }
        }
    }
}

/// What a job remembers, shared by its attempts and by whoever keeps it. Clones are the same book.
#[derive(Clone, Default)]
pub struct SharedBook(Arc<Mutex<Book>>);

impl fmt::Debug for SharedBook {
    /// Values are the job's own business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBook").field("n_keys", &self.lock().n_keys).finish_non_exhaustive()
    }
}

impl SharedBook {
    /// A book with what the ledger has.
    #[must_use]
    pub fn new(kept: Kept) -> Self {
        Self(Arc::new(Mutex::new(Book::new(kept))))
    }

    /// Looks at the conditions of a draft, and puts its writes on their way to the ledger. What became of them is then
    /// told with [`SharedBook::arrived`] or [`SharedBook::lost`]. Changes go to the ledger in the order in which they
    /// were settled.
    ///
    /// # Errors
    /// When the draft cannot be kept; then nothing of it is.
    pub fn settle(&self, draft: &Draft) -> Result<StateChange, Refusal> {
        self.lock().settle(draft)
    }

    /// The ledger has a change: everybody sees it from now on.
    pub fn arrived(&self, change: &StateChange) {
        self.lock().arrived(change);
    }

    /// The ledger did not take a change. `kept` is what it has, where that is known. No version is given a second time.
    pub fn lost(&self, change: &StateChange, kept: Option<Kept>) {
        let mut book = self.lock();
        book.take(change);
        if let Some(kept) = kept {
            book.settled = book.settled.max(kept.version);
            book.given = book.given.max(kept.version);
            book.kept = kept.entries;
        }
        book.measure();
    }

    /// Whether two are the same book.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A reference that does not keep the book in memory.
    #[must_use]
    pub fn downgrade(&self) -> WeakBook {
        WeakBook(Arc::downgrade(&self.0))
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        // Nothing panics between two changes that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A book, if anybody still uses it.
#[derive(Clone, Debug, Default)]
pub struct WeakBook(std::sync::Weak<Mutex<Book>>);

impl WeakBook {
    /// The book, if it is still in memory.
    #[must_use]
    pub fn upgrade(&self) -> Option<SharedBook> {
        self.0.upgrade().map(SharedBook)
    }

    /// Whether anybody still uses it.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        0 < self.0.strong_count()
    }
}

/// State that begins empty and goes with the process: for single runs without a host, and for tests.
#[derive(Debug, Default)]
pub struct Unkept {
    books: Mutex<HashMap<JobId, SharedBook>>,
}

impl States for Unkept {
    fn open(&self, job: &JobId) -> PortFuture<'static, Result<SharedBook, String>> {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        Box::pin(ready(Ok(books.entry(job.clone()).or_default().clone())))
    }

    fn keep(&self, _job: &JobId, draft: Draft) -> PortFuture<'static, Result<(), KeepError>> {
        let book = draft.book();
        let kept = book.settle(&draft).map(|change| book.arrived(&change));
        Box::pin(ready(kept.map_err(KeepError::Refused)))
    }
}

#[cfg(test)]
mod tests;
