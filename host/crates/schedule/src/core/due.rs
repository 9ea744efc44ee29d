//! The runs that will be due, in the order in which they will be.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{Index, entry::Pending};
use crate::{
    id::{JobId, RunId},
    run::Run,
};

/// When a run is due, with a number that keeps runs of one instant in the order of their planning.
pub(super) type DueKey = (DateTime<Utc>, u64);

/// The runs that will be due.
#[derive(Debug, Default)]
pub(super) struct Due {
    runs: BTreeMap<DueKey, (Index, Pending)>,
    next_number: u64,
}

impl Due {
    /// Puts a run in its place.
    pub(super) fn insert(&mut self, at: DateTime<Utc>, index: Index, pending: Pending) -> DueKey {
        let key = (at, self.next_number);
        self.next_number += 1;
        self.runs.insert(key, (index, pending));
        key
    }

    /// Takes the first run, if it is due.
    pub(super) fn pop(&mut self, now: DateTime<Utc>) -> Option<(DueKey, Index, Pending)> {
        let first = self.runs.first_entry().filter(|first| first.key().0 <= now)?;
        let (key, (index, pending)) = first.remove_entry();
        Some((key, index, pending))
    }

    pub(super) fn remove(&mut self, key: DueKey) -> Option<Pending> {
        self.runs.remove(&key).map(|(_, pending)| pending)
    }

    pub(super) fn get(&self, key: DueKey) -> Option<&Run> {
        self.runs.get(&key).map(|(_, pending)| &*pending.run)
    }

    /// Where a run stands; a walk over all.
    pub(super) fn find(&self, run: RunId) -> Option<(DueKey, Index)> {
        self.runs.iter().find(|(_, (_, pending))| pending.run.id == run).map(|(key, (index, _))| (*key, *index))
    }

    /// The first instant.
    pub(super) fn next(&self) -> Option<DateTime<Utc>> {
        self.runs.keys().next().map(|(at, _)| *at)
    }

    /// The first run.
    pub(super) fn first(&self) -> Option<(DateTime<Utc>, &JobId)> {
        self.runs.iter().next().map(|((at, _), (_, pending))| (*at, &pending.run.job))
    }
}
