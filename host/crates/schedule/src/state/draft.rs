//! What one attempt has written to the state of its job, and what the attempt sees of it.

use std::{collections::BTreeMap, iter::Peekable, ops::Bound, sync::Arc};

use super::{Book, Entry, KEY_BYTES_MAX, KEYS_MAX, Pending, SharedBook, size_of_entry};

/// Most keys that one call lists.
const LISTED_MAX: usize = 1_000;

/// What one attempt has written. It reads what is kept through its own writes.
#[derive(Clone, Debug)]
pub struct Draft {
    book: SharedBook,
    /// The limit of the job's state: the sum of all keys and values in bytes.
    pub(super) bytes_max: u64,
    /// Which versions keys must still have; absent means that there must be no value.
    pub(super) conditions: BTreeMap<String, Option<u64>>,
    pub(super) writes: BTreeMap<String, Pending>,
    /// By how much the writes make the state larger or smaller.
    n_bytes: i64,
    n_keys: i64,
}

/// Why a call of an attempt did nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// The key is empty or too long.
    #[error("a key has 1 to {KEY_BYTES_MAX} bytes, and this one has {0}")]
    Key(usize),
    /// The state would be larger than this.
    #[error("the state of the job would have more than {0} bytes")]
    Quota(u64),
    /// There would be too many keys.
    #[error("the state of the job would have more than {KEYS_MAX} keys")]
    Keys,
    /// The key has this version now, or no value.
    #[error("the key has another version")]
    Conflict(Option<u64>),
}

impl PartialEq for Draft {
    /// Two drafts are equal when the same would be kept of them.
    fn eq(&self, other: &Self) -> bool {
        self.conditions == other.conditions && self.writes == other.writes
    }
}

impl Draft {
    /// An empty draft over a book, for a job whose state may have so many bytes.
    #[must_use]
    pub fn new(book: SharedBook, bytes_max: u64) -> Self {
        let (conditions, writes) = (BTreeMap::new(), BTreeMap::new());
        Self { book, bytes_max, conditions, writes, n_bytes: 0, n_keys: 0 }
    }

    /// The book that it is written for.
    #[must_use]
    pub fn book(&self) -> SharedBook {
        self.book.clone()
    }

    /// Whether there is nothing to keep and nothing to look at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty() && self.writes.is_empty()
    }

    /// Takes everything out, and leaves an empty draft over the same book.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let empty = Self::new(self.book.clone(), self.bytes_max);
        std::mem::replace(self, empty)
    }

    /// The value of a key.
    ///
    /// # Errors
    /// When the key is empty or too long.
    pub fn get(&self, key: &str) -> Result<Option<Entry>, DraftError> {
        check(key)?;
        Ok(self.seen(&self.book.lock(), key))
    }

    /// Writes a value, whatever was there before.
    ///
    /// # Errors
    /// When the key is empty or too long, or the state would be larger than its limit; then nothing changes.
    pub fn set(&mut self, key: &str, value: Vec<u8>) -> Result<(), DraftError> {
        check(key)?;
        self.write(key, Some(value.into()))
    }

    /// Writes a value if the key has this version, or none where none is expected.
    ///
    /// # Errors
    /// As `set`, and when the key has another version.
    pub fn compare_and_set(&mut self, key: &str, expected: Option<u64>, value: Vec<u8>) -> Result<(), DraftError> {
        check(key)?;
        let version = self.seen(&self.book.lock(), key).map(|entry| entry.version);
        if version != expected {
            return Err(DraftError::Conflict(version));
        }
        let is_own = self.writes.contains_key(key);
        self.write(key, Some(value.into()))?;
        // A version of this attempt's own says nothing about what others wrote.
        if !is_own {
            self.conditions.entry(key.to_owned()).or_insert(expected);
        }
        Ok(())
    }

    /// Deletes a value, if there is one.
    ///
    /// # Errors
    /// When the key is empty or too long.
    pub fn delete(&mut self, key: &str) -> Result<(), DraftError> {
        check(key)?;
        self.write(key, None)
    }

    /// The keys that begin with `prefix` and come after `after`, in the order of their bytes, at most `n_max` and never
    /// more than a thousand.
    #[must_use]
    pub fn list(&self, prefix: &str, after: Option<&str>, n_max: usize) -> Vec<String> {
        let book = self.book.lock();
        // What comes after `after` begins there, and what begins with the prefix is not before it.
        let start = match after {
            Some(after) if prefix <= after => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix),
        };
        let range = (start, Bound::Unbounded);
        let mut kept = book.kept.range::<str, _>(range).map(|(key, _)| key.as_str()).peekable();
        let mut own = self.writes.range::<str, _>(range).map(|(key, write)| (key.as_str(), write)).peekable();
        let merged = std::iter::from_fn(|| next_of(&mut kept, &mut own));
        let fitting = merged.take_while(|(key, _)| key.starts_with(prefix)).filter(|(_, is_there)| *is_there);
        fitting.take(n_max.min(LISTED_MAX)).map(|(key, _)| key.to_owned()).collect()
    }

    /// The value of a key as this attempt sees it.
    fn seen(&self, book: &Book, key: &str) -> Option<Entry> {
        match self.writes.get(key) {
            Some(write) => Some(Entry { version: write.version, value: Arc::clone(write.value.as_ref()?) }),
            None => book.kept.get(key).cloned(),
        }
    }

    fn write(&mut self, key: &str, value: Option<Arc<[u8]>>) -> Result<(), DraftError> {
        let mut book = self.book.lock();
        let before = self.seen(&book, key).map(|entry| size_of_entry(key, &entry.value));
        let after = value.as_ref().map(|value| size_of_entry(key, value));
        let n_bytes = self.n_bytes.saturating_add(signed(after)).saturating_sub(signed(before));
        let n_keys = self.n_keys + i64::from(after.is_some()) - i64::from(before.is_some());
        let is_more = self.n_bytes < n_bytes;
        if is_more && signed(Some(self.bytes_max)) < signed(Some(book.n_bytes)).saturating_add(n_bytes) {
            return Err(DraftError::Quota(self.bytes_max));
        }
        let keys = |n_keys: usize| i64::try_from(n_keys).unwrap_or(i64::MAX);
        let is_full = self.n_keys < n_keys && keys(KEYS_MAX) < keys(book.n_keys).saturating_add(n_keys);
        // Deleted keys and conditions take memory, too.
        if is_full || 4 * KEYS_MAX <= self.writes.len() + self.conditions.len() {
            return Err(DraftError::Keys);
        }
        (self.n_bytes, self.n_keys) = (n_bytes, n_keys);
        if value.is_none() && !book.kept.contains_key(key) && !book.pending.contains_key(key) {
            // Nothing of the key is anywhere else.
            self.writes.remove(key);
            return Ok(());
        }
        let version = book.next_version();
        drop(book);
        self.writes.insert(key.to_owned(), Pending { version, value });
        Ok(())
    }
}

fn check(key: &str) -> Result<(), DraftError> {
    if key.is_empty() || KEY_BYTES_MAX < key.len() { Err(DraftError::Key(key.len())) } else { Ok(()) }
}

fn signed(n_bytes: Option<u64>) -> i64 {
    i64::try_from(n_bytes.unwrap_or_default()).unwrap_or(i64::MAX)
}

/// The next key of two ordered sequences, and whether it has a value. The second one decides where both have it.
fn next_of<'k>(
    kept: &mut Peekable<impl Iterator<Item = &'k str>>,
    own: &mut Peekable<impl Iterator<Item = (&'k str, &'k Pending)>>,
) -> Option<(&'k str, bool)> {
    match (kept.peek(), own.peek()) {
        (Some(first), Some((second, _))) if first < second => Some((kept.next()?, true)),
        (Some(_), None) => Some((kept.next()?, true)),
        (first, Some((second, _))) => {
            if first.is_some_and(|first| first == second) {
                kept.next();
            }
            own.next().map(|(key, write)| (key, write.value.is_some()))
        }
        (None, None) => None,
    }
}
