//! What was missed, summed up: a per-second job that slept a month is three numbers, not a list.

use chrono::{DateTime, Utc};

use super::{
    instant::MICROS,
    rule::{Basis, Past, Rule, Trigger},
};

/// The slots of a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// The first slot.
    pub first: DateTime<Utc>,
    /// The last slot.
    pub last: DateTime<Utc>,
    /// How many there are; at least that many where it is not exact.
    pub count: u64,
    /// Whether `count` was counted to the end.
    pub exact: bool,
}

impl Trigger {
    /// The slots after one instant and up to another one, which is inside; none where there is none.
    ///
    /// `first` and `last` are always exact. Fixed grids are counted by division, patterns in one zone day by day;
    /// whatever is left is walked slot by slot, and the count stops at `cap`.
    #[must_use]
    pub fn backlog(&self, after: DateTime<Utc>, until: DateTime<Utc>, basis: &Basis, cap: u64) -> Option<Backlog> {
        let (from, until) = (after.timestamp_micros().checked_add(1)?, until.timestamp_micros());
        let first = self.first_from(from, basis).filter(|first| *first <= until)?;
        let last = self.last_until(first, until, basis);
        let counted = self.count_without_walking(first, last, &Past::from(basis));
        let (count, exact) =
            counted.map_or_else(|| self.count_by_walking(first, last, basis, cap), |count| (count, true));
        let at = DateTime::from_timestamp_micros;
        Some(Backlog { first: at(first)?, last: at(last)?, count, exact })
    }

    /// The last slot up to an instant, by bisection: from an instant on, the first slot is inside or it is not.
    fn last_until(&self, first: i64, until: i64, basis: &Basis) -> i64 {
        let (mut last, mut beyond) = (first, until);
        while last < beyond {
            let middle = last + (beyond - last + 1) / 2;
            match self.first_from(middle, basis) {
                Some(slot) if slot <= until => last = slot,
                Some(_) | None => beyond = middle - 1,
            }
        }
        last
    }

    fn count_without_walking(&self, first: i64, last: i64, past: &Past) -> Option<u64> {
        if self.except.is_some() {
            return None;
        }
        match &self.rule {
            Rule::Every(every) => Some(every.count(first, last, past)),
            Rule::Cron(cron) => cron.count(first.div_euclid(MICROS), last.div_euclid(MICROS)),
            Rule::At(instants) => {
                let (low, high) =
                    (instants.partition_point(|at| *at < first), instants.partition_point(|at| *at <= last));
                u64::try_from(high - low).ok()
            }
            Rule::Calendar(_) | Rule::Any(_) | Rule::All(_) => None,
        }
    }

    fn count_by_walking(&self, first: i64, last: i64, basis: &Basis, cap: u64) -> (u64, bool) {
        let mut count = 1;
        let mut at = first;
        while at < last {
            if cap <= count {
                return (count, false);
            }
            match self.first_from(at + 1, basis) {
                Some(slot) => at = slot,
                None => break,
            }
            count += 1;
        }
        (count, true)
    }
}
