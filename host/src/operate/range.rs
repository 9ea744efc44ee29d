//! Which slots of the past a range has.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use clockjack_schedule::{
    job::Job,
    trigger::{Basis, Trigger},
};

/// Most slots of one backfill: a week of minutes. More of them are a second backfill.
pub const SLOTS_MAX: usize = 10_000;

/// Most runs of one backfill that go on at once.
pub const AT_ONCE_MAX: u32 = 64;

/// Why a range has no slots that can be made up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// The job follows other jobs only, or is run by hand only.
    #[error("it has no trigger, and so no slots")]
    NoTrigger,
    /// Its slots are known only as they come.
    #[error("its slots count from the end of its last run (`mode: fixed_delay`), so none of the past is known")]
    FixedDelay,
    /// The range ends before it begins.
    #[error("`to` is not after `from`")]
    Empty,
    /// The range has slots that are still to come.
    #[error("`to` lies ahead: slots that are still to come run by themselves")]
    Ahead,
    /// The range has too many slots.
    #[error("the range has more than {SLOTS_MAX} slots to make up for")]
    TooMany,
}

/// The trigger of a job, where its slots of a range can be made up for.
///
/// # Errors
/// When they cannot.
pub(super) fn trigger_for(
    job: &Job,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    now: DateTime<Utc>,
) -> Result<&Trigger, RangeError> {
    let trigger = job.trigger.as_ref().ok_or(RangeError::NoTrigger)?;
    if trigger.waits_for_finish() {
        return Err(RangeError::FixedDelay);
    }
    if to <= from {
        return Err(RangeError::Empty);
    }
    if now < to { Err(RangeError::Ahead) } else { Ok(trigger) }
}

/// The slots of a range but those that are taken, oldest first, and how many were left out; `max` slots where that is
/// said, and then nothing is said of what lies behind them.
///
/// # Errors
/// When there are too many.
pub(super) fn slots_of(
    trigger: &Trigger,
    basis: &Basis,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    max: Option<usize>,
    taken: &BTreeSet<DateTime<Utc>>,
) -> Result<(Vec<DateTime<Utc>>, usize), RangeError> {
    let n_max = max.unwrap_or(SLOTS_MAX).min(SLOTS_MAX);
    let (mut slots, mut n_left_out) = (Vec::new(), 0);
    for slot in trigger.slots_from(from, basis).take_while(|slot| *slot < to) {
        if taken.contains(&slot) {
            n_left_out += 1;
        } else if slots.len() < n_max {
            slots.push(slot);
        } else if max.is_some() {
            break;
        } else {
            return Err(RangeError::TooMany);
        }
    }
    Ok((slots, n_left_out))
}
