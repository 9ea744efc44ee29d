//! The undecided slots of a job up to an instant, without making a list of them all.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

use super::entry::Entry;
use crate::{
    id::JobId,
    run::{Skip, SkipReason},
};

/// A run of consecutive slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) first: DateTime<Utc>,
    pub(super) last: DateTime<Utc>,
    pub(super) count: u64,
}

impl Gap {
    fn of(slot: DateTime<Utc>) -> Self {
        Self { first: slot, last: slot, count: 1 }
    }

    /// Two neighbouring gaps as one.
    fn joined(self, later: Self) -> Self {
        Self { first: self.first, last: later.last, count: self.count + later.count }
    }

    pub(super) fn skip(self, job: &JobId, reason: SkipReason) -> Skip {
        Skip { job: job.clone(), run: None, first: self.first, last: self.last, count: self.count, reason }
    }
}

/// The undecided slots of a job up to an instant.
pub(super) struct Backlog {
    /// The slots before the newest ones, summarised.
    pub(super) older: Option<Gap>,
    /// The newest slots, oldest first.
    pub(super) newest: VecDeque<DateTime<Utc>>,
    /// The first slot after the instant.
    pub(super) next: Option<DateTime<Utc>>,
}

/// Walks the undecided slots up to and including `until`; the newest `n_newest` are kept, the others counted.
pub(super) fn collect(entry: &Entry, until: DateTime<Utc>, n_newest: usize) -> Backlog {
    let mut backlog = Backlog { older: None, newest: VecDeque::new(), next: entry.next };
    while let Some(slot) = backlog.next.filter(|slot| *slot <= until) {
        backlog.newest.push_back(slot);
        if n_newest < backlog.newest.len() {
            let counted = backlog.newest.pop_front().map(Gap::of);
            backlog.older = join(backlog.older, counted);
        }
        backlog.next = entry.slot_after(slot);
    }
    backlog
}

/// Two neighbouring gaps as one.
pub(super) fn join(earlier: Option<Gap>, later: Option<Gap>) -> Option<Gap> {
    match (earlier, later) {
        (Some(earlier), Some(later)) => Some(earlier.joined(later)),
        (gap, None) | (None, gap) => gap,
    }
}

/// Counts the undecided slots before an instant, and moves the entry past them.
pub(super) fn pass(entry: &mut Entry, before: DateTime<Utc>) -> Option<Gap> {
    let mut gap = None;
    while let Some(slot) = entry.next.filter(|slot| *slot < before) {
        gap = join(gap, Some(Gap::of(slot)));
        entry.next = entry.slot_after(slot);
    }
    gap
}
