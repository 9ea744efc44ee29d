//! The undecided slots of a job up to an instant, without making a list of them all.

use chrono::{DateTime, TimeDelta, Utc};

use super::entry::Entry;
use crate::{
    id::JobId,
    run::{Skip, SkipReason},
    trigger::Backlog,
};

/// Up to how many slots are counted one by one, where division does not help; a tenth of a second.
const WALK_MAX: u64 = 2_000_000;

/// A run of consecutive slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) first: DateTime<Utc>,
    pub(super) last: DateTime<Utc>,
    pub(super) count: u64,
}

impl Gap {
    pub(super) fn skip(self, job: &JobId, reason: SkipReason, at: DateTime<Utc>) -> Skip {
        Skip {
            job: job.clone(),
            run: None,
            first: self.first,
            last: self.last,
            count: self.count,
            reason,
            at,
            by: None,
        }
    }
}

/// The undecided slots up to and including an instant.
pub(super) fn until(entry: &Entry, until: DateTime<Utc>) -> Option<Gap> {
    between(entry, entry.next? - TimeDelta::microseconds(1), until)
}

/// The slots after one instant and up to another one.
fn between(entry: &Entry, after: DateTime<Utc>, until: DateTime<Utc>) -> Option<Gap> {
    let trigger = entry.job.trigger.as_ref()?;
    let Backlog { first, last, count, .. } = trigger.backlog(after, until, &entry.basis, WALK_MAX)?;
    Some(Gap { first, last, count })
}

/// Takes the undecided slots up to and including an instant: the entry goes on after it.
pub(super) fn take(entry: &mut Entry, until_instant: DateTime<Utc>) -> Option<Gap> {
    let gap = until(entry, until_instant)?;
    entry.next = entry.slot_after(gap.last);
    entry.decided_until = entry.decided_until.max(gap.last);
    Some(gap)
}

/// Splits the newest `n_newest` slots off a gap: what is left of it, and they, oldest first.
pub(super) fn split(entry: &Entry, gap: Gap, n_newest: usize) -> (Option<Gap>, Vec<DateTime<Utc>>) {
    let n_wanted = u64::try_from(n_newest).unwrap_or(u64::MAX);
    if n_wanted == 0 {
        return (Some(gap), Vec::new());
    }
    let after = if gap.count <= n_wanted { gap.first - TimeDelta::microseconds(1) } else { edge(entry, gap, n_wanted) };
    let mut newest = Vec::new();
    let mut slot = entry.slot_after(after);
    while let Some(at) = slot.filter(|at| *at <= gap.last) {
        newest.push(at);
        slot = entry.slot_after(at);
    }
    let Some(first_kept) = newest.first().copied().filter(|first| gap.first < *first) else { return (None, newest) };
    let n_kept = u64::try_from(newest.len()).unwrap_or_default();
    let older = between(entry, gap.first - TimeDelta::microseconds(1), first_kept - TimeDelta::microseconds(1));
    // The count of the whole is the one that was counted first; the parts add up to it.
    (older.map(|older| Gap { count: gap.count.saturating_sub(n_kept), ..older }), newest)
}

/// An instant after which exactly `n` slots of the gap lie, by bisection.
fn edge(entry: &Entry, gap: Gap, n: u64) -> DateTime<Utc> {
    let Some(trigger) = entry.job.trigger.as_ref() else { return gap.last };
    let n_after = |micros: i64| {
        let after = DateTime::from_timestamp_micros(micros).unwrap_or(gap.last);
        trigger.backlog(after, gap.last, &entry.basis, n + 1).map_or(0, |backlog| backlog.count)
    };
    // After `few` there are at most n, after `many` there are more.
    let (mut many, mut few) = (gap.first.timestamp_micros() - 1, gap.last.timestamp_micros());
    // Short steps back first: the edge is near the end, and counting a short stretch is cheap.
    let mut step = 1_000_000;
    while many < few - step && n_after(few - step) <= n {
        few -= step;
        step *= 2;
    }
    many = many.max(few - step);
    while many + 1 < few {
        let middle = many + (few - many) / 2;
        if n_after(middle) <= n { few = middle } else { many = middle }
    }
    DateTime::from_timestamp_micros(few).unwrap_or(gap.last)
}
