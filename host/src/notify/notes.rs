//! What is known of a job for its next notice: how many of its runs have failed one after the other, and up to where its
//! history has been looked at.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, Utc};
use clockjack_schedule::{id::RunId, notify, outcome::OutcomeCode};
use serde_json::{Value as Json, json};

/// A note about a job.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Note {
    /// How many runs have failed one after the other.
    pub(super) failures: u32,
    /// Runs that ended until here have been looked at.
    pub(super) seen: DateTime<Utc>,
    /// Skips that were decided until here have been looked at.
    pub(super) skips_seen: DateTime<Utc>,
    /// Runs that were read from the ledger, and whose events may still come.
    pub(super) read: HashSet<RunId>,
    /// Grows with each version in the ledger.
    pub(super) revision: u64,
    /// Whether the ledger has an older version.
    pub(super) is_dirty: bool,
}

impl Note {
    /// A note about a job of which nothing is known: what happened before now is nobody's news.
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self { failures: 0, seen: now, skips_seen: now, read: HashSet::new(), revision: 0, is_dirty: true }
    }

    /// A run has ended. Gives the failures before it; none where it was counted before.
    pub(super) fn ended(&mut self, run: RunId, code: OutcomeCode, at: DateTime<Utc>) -> Option<u32> {
        if self.read.remove(&run) {
            return None;
        }
        let before = self.failures;
        self.failures = notify::next_failures(before, code);
        self.seen = self.seen.max(at);
        self.is_dirty = true;
        Some(before)
    }

    /// Slots were skipped. Whether that is news.
    pub(super) fn skipped(&mut self, at: DateTime<Utc>) -> bool {
        // One decision may skip slots for several reasons, so the same instant is news, too.
        let is_news = self.skips_seen <= at;
        if is_news {
            self.skips_seen = at;
            self.is_dirty = true;
        }
        is_news
    }

    /// As it is kept in the ledger.
    pub(super) fn to_text(&self) -> Arc<str> {
        let micros = |at: DateTime<Utc>| at.timestamp_micros();
        json!({ "failures": self.failures, "seen": micros(self.seen), "skips_seen": micros(self.skips_seen) })
            .to_string()
            .into()
    }

    /// As it was kept.
    pub(super) fn from_text(text: &str, revision: u64) -> Option<Self> {
        let json: Json = serde_json::from_str(text).ok()?;
        let at = |name: &str| DateTime::from_timestamp_micros(json.get(name)?.as_i64()?);
        let failures = json.get("failures")?.as_u64()?.try_into().ok()?;
        let (seen, skips_seen) = (at("seen")?, at("skips_seen")?);
        Some(Self { failures, seen, skips_seen, read: HashSet::new(), revision, is_dirty: false })
    }
}
