//! Which slots of the past a range has.

use chrono::{DateTime, Utc};
use clockjack_schedule::{job::Job, trigger::Basis};

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
    #[error("the range has more than {SLOTS_MAX} slots")]
    TooMany,
}

/// The slots of a job in a range, oldest first; `max` of them where that is said.
///
/// # Errors
/// When the job or the range has none that can be made up for.
pub fn slots_of(
    job: &Job,
    basis: &Basis,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    max: Option<usize>,
    now: DateTime<Utc>,
) -> Result<Vec<DateTime<Utc>>, RangeError> {
    let trigger = job.trigger.as_ref().ok_or(RangeError::NoTrigger)?;
    if trigger.waits_for_finish() {
        return Err(RangeError::FixedDelay);
    }
    if to <= from {
        return Err(RangeError::Empty);
    }
    if now < to {
        return Err(RangeError::Ahead);
    }
    let slots = trigger.slots_from(from, basis).take_while(|slot| *slot < to);
    let slots: Vec<_> = slots.take(max.unwrap_or(SLOTS_MAX + 1).min(SLOTS_MAX + 1)).collect();
    if SLOTS_MAX < slots.len() { Err(RangeError::TooMany) } else { Ok(slots) }
}
