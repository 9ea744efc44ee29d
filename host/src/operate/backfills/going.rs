//! One backfill that goes on: which of its slots are settled, which are open, what comes next.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    id::{JobId, RunId},
    ports::{Change, Document, DocumentKind, LedgerError},
};

use super::{RUNNING, SLOTS_KEY};
use crate::{api::view::operate::Backfill, cli::rfc3339};

/// How a slot was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Succeeded,
    Failed,
    Skipped,
}

/// A backfill that goes on.
pub(super) struct Going {
    pub(super) job: JobId,
    pub(super) told: Backfill,
    pub(super) slots: Vec<DateTime<Utc>>,
    /// The first slot that was not asked for in this life of the host.
    pub(super) next: usize,
    /// Its runs that were asked for and have not ended, with the place of their slot.
    pub(super) open: BTreeMap<RunId, usize>,
    /// Slots that are settled behind one that is not.
    pub(super) ahead: BTreeMap<usize, Settled>,
    /// The document is not what is known.
    pub(super) is_new: bool,
}

impl Going {
    pub(super) fn new(told: Backfill, slots: Vec<DateTime<Utc>>) -> Option<Self> {
        let job = told.job.parse().ok()?;
        let next = usize::try_from(told.settled).ok()?;
        let (open, ahead) = (BTreeMap::new(), BTreeMap::new());
        Some(Self { job, told, slots, next, open, ahead, is_new: false })
    }

    /// The same slot of the same backfill is the same run, however often it is asked for.
    pub(super) fn run(&self, place: usize) -> RunId {
        let slot = self.slots[place].timestamp_micros();
        RunId::of_key(&self.job, &format!("backfill:{}:{slot}", self.told.id))
    }

    /// The slots of which not all is decided.
    pub(super) fn unsettled(&self) -> impl Iterator<Item = DateTime<Utc>> {
        let n_settled = usize::try_from(self.told.settled).unwrap_or(usize::MAX);
        self.slots.iter().skip(n_settled).copied()
    }

    pub(super) fn goes_on(&self) -> bool {
        self.told.state == RUNNING
    }

    pub(super) fn settle(&mut self, place: usize, how: Settled) {
        self.ahead.insert(place, how);
        while let Some(how) = usize::try_from(self.told.settled).ok().and_then(|first| self.ahead.remove(&first)) {
            self.told.settled += 1;
            let counted = match how {
                Settled::Succeeded => &mut self.told.succeeded,
                Settled::Failed => &mut self.told.failed,
                Settled::Skipped => &mut self.told.skipped,
            };
            *counted += 1;
        }
        let first = usize::try_from(self.told.settled).unwrap_or(usize::MAX);
        self.told.cursor = self.slots.get(first).copied().map(rfc3339);
        self.is_new = true;
    }

    pub(super) fn end(&mut self, state: &str, reason: Option<String>, now: DateTime<Utc>) {
        state.clone_into(&mut self.told.state);
        self.told.reason = reason;
        self.told.finished_at = Some(rfc3339(now));
        self.is_new = true;
    }

    pub(super) fn document(&self, at: DateTime<Utc>) -> Result<Change, LedgerError> {
        let text = serde_json::to_string(&self.told).map_err(|error| LedgerError::Unavailable(error.to_string()))?;
        Ok(document(&self.told.id, text, at))
    }

    pub(super) fn slots_document(&self, at: DateTime<Utc>) -> Change {
        let slots: Vec<_> = self.slots.iter().map(DateTime::timestamp_micros).collect();
        document(&format!("{}{SLOTS_KEY}", self.told.id), serde_json::json!(slots).to_string(), at)
    }
}

fn document(key: &str, text: String, at: DateTime<Utc>) -> Change {
    let revision = u64::try_from(at.timestamp_micros()).unwrap_or_default();
    Change::Document(Arc::new(Document {
        kind: DocumentKind::Backfill,
        key: key.into(),
        revision,
        at,
        text: text.into(),
    }))
}

pub(super) fn gone(key: String) -> Change {
    Change::DocumentGone { kind: DocumentKind::Backfill, key: key.into() }
}
