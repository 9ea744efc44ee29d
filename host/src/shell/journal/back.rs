//! Where a reader begins who knows no number: at an instant, or with the last events that fit.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use clockjack_schedule::ports::{EventMark, Ledger, LedgerError};
use serde_json::Value as Json;

use super::{EventFilter, Journal, Told};

/// How much is read from the ledger at once, about.
const READ_BYTES: u64 = 1 << 20;

/// How much of the journal is looked through for the last events that fit: a quarter of what is kept.
const BACK_BYTES_MAX: u64 = 16 << 20;

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// The number of the event before.
    pub after: u64,
    /// The number of the first event that was looked at, where there are more before it and fewer fit than were wanted.
    pub looked_back_to: Option<u64>,
}

/// The last events that fit, counted from the newest one on.
struct Last<'f> {
    filter: &'f EventFilter,
    n_left: u64,
    /// The number before the oldest one that was counted.
    after: u64,
}

impl Journal {
    /// The number of an event behind which everything stands that was told at an instant or later.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn since(&self, ledger: &dyn Ledger, since: DateTime<Utc>) -> Result<u64, LedgerError> {
        self.opened().await;
        let marks = ledger.event_marks().await?;
        Ok(last_before(&marks, n_before(&marks, since)))
    }

    /// Where the last `n` events begin that fit. It looks back from the newest one only so far as that costs little.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn last(&self, ledger: &dyn Ledger, filter: &EventFilter, n: u64) -> Result<Beginning, LedgerError> {
        self.look_back(ledger, filter, n, BACK_BYTES_MAX).await
    }

    pub(super) async fn look_back(
        &self,
        ledger: &dyn Ledger,
        filter: &EventFilter,
        n: u64,
        bytes_max: u64,
    ) -> Result<Beginning, LedgerError> {
        let mut last = Last { filter, n_left: n, after: self.opened().await };
        let (first, told) = self.in_memory();
        last.count_told(first, &told);
        if last.n_left == 0 {
            return Ok(Beginning { after: last.after, looked_back_to: None });
        }
        let mut marks = ledger.event_marks().await?;
        // The last batch of what is not in the ring may have some that are.
        marks.truncate(marks.iter().position(|mark| first <= mark.last).map_or(marks.len(), |at| at + 1));
        let looked_back_to = last.count_kept(ledger, &marks, first, bytes_max).await?;
        Ok(Beginning { after: last.after, looked_back_to })
    }
}

impl Last<'_> {
    fn count(&mut self, id: u64) {
        self.n_left -= 1;
        self.after = id.saturating_sub(1);
    }

    /// Counts those of the ring, the first of which has a number.
    fn count_told(&mut self, first: u64, told: &[Arc<Told>]) {
        let numbered: Vec<_> = (first..).zip(told).collect();
        for (id, _) in numbered.into_iter().rev().filter(|(_, told)| self.filter.fits(told)) {
            if self.n_left == 0 {
                return;
            }
            self.count(id);
        }
    }

    /// Counts those of the ledger before a number; answers where it gave up.
    async fn count_kept(
        &mut self,
        ledger: &dyn Ledger,
        marks: &[EventMark],
        until: u64,
        bytes_max: u64,
    ) -> Result<Option<u64>, LedgerError> {
        let floor = self.filter.since.map_or(0, |since| n_before(marks, since));
        let (mut end, mut n_read) = (marks.len(), 0);
        while floor < end && 0 < self.n_left {
            if bytes_max <= n_read {
                return Ok(Some(last_before(marks, end).saturating_add(1)));
            }
            let (mut begin, mut n_bytes) = (end, 0);
            let n_bytes_max = READ_BYTES.min(bytes_max - n_read);
            while floor < begin && (begin == end || n_bytes + marks[begin - 1].n_bytes <= n_bytes_max) {
                begin -= 1;
                n_bytes += marks[begin].n_bytes;
            }
            let batches = ledger.events(last_before(marks, begin), end - begin).await?;
            let lines = batches.iter().rev().flat_map(|batch| batch.text.lines().rev());
            self.count_lines(lines, until);
            n_read += n_bytes;
            end = begin;
        }
        Ok(None)
    }

    /// Counts those of some lines, the newest first.
    fn count_lines<'l>(&mut self, lines: impl Iterator<Item = &'l str>, until: u64) {
        for event in lines.filter_map(|text| serde_json::from_str::<Json>(text).ok()) {
            let id = event["id"].as_u64().unwrap_or_default();
            if self.n_left == 0 {
                return;
            }
            if id < until && self.filter.fits_json(&event) {
                self.count(id);
            }
        }
    }
}

/// How many batches hold nothing that was told at an instant or later. The clock may have been set back meanwhile.
fn n_before(marks: &[EventMark], since: DateTime<Utc>) -> usize {
    marks.iter().position(|mark| since <= mark.at).unwrap_or(marks.len())
}

/// The number of the last event of so many batches.
fn last_before(marks: &[EventMark], n_batches: usize) -> u64 {
    n_batches.checked_sub(1).map_or(0, |at| marks[at].last)
}
