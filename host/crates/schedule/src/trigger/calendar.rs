//! Wall-clock steps from a date: every second month on the 31st at nine, whatever the clocks do in between.

use chrono::{Datelike, NaiveDate, TimeDelta};

use super::{
    cron::EARLIEST,
    dst::Dst,
    instant::MICROS,
    pattern::{DAY, YEAR_MAX, civil_date},
    rule::Past,
};
use crate::zone::{OFFSET_MAX, Zone};

/// What becomes of a date that does not exist, such as 31 April.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// No slot.
    Skip,
    /// The last day of that month.
    Clamp,
}

/// Which day of the month a step of months or years lands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Landing {
    /// The day of the start date.
    Same,
    /// A day by its number.
    Day(u32),
    /// The last day.
    Last,
}

/// A compiled `calendar:` trigger.
///
/// With months alone (a year is twelve), step `k` is `k` times the step after the start, so a skipped date changes
/// nothing later. With days alone it is the same. Months and days together are counted from the slot before, and
/// dates that do not exist are stepped over in months before the days are added, as APScheduler does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Calendar {
    pub(crate) zone: Zone,
    /// Where steps are counted from; absent means the local date when the job was first seen.
    pub(crate) from: Option<NaiveDate>,
    /// Seconds of the day.
    pub(crate) at: i64,
    pub(crate) months: i64,
    pub(crate) days: i64,
    pub(crate) landing: Landing,
    pub(crate) overflow: Overflow,
    pub(crate) dst: Dst,
}

impl Calendar {
    /// The first slot at or after an instant, in microseconds.
    pub(crate) fn next(&self, at: i64, past: &Past) -> Option<i64> {
        let start = self.start(past)?;
        let at = at.div_euclid(MICROS) + i64::from(at.rem_euclid(MICROS) != 0);
        let at = at.max(EARLIEST);
        // The slot is not on an earlier date than the one that any clock on earth shows.
        let not_before = civil_date((at - OFFSET_MAX).div_euclid(DAY))?;
        let mut dates = self.dates(start, not_before);
        dates.find_map(|date| self.instants(date).find(|slot| at <= *slot)).map(|slot| slot * MICROS)
    }

    /// How many steps of a search an answer costs: months and days together are walked from the start.
    pub(crate) fn cost(&self, at: i64, past: &Past) -> u32 {
        // A step along the calendar is about a 32nd of a search in a pattern.
        const STEPS_PER_COST: i64 = 32;
        if self.months == 0 || self.days == 0 || self.overflow == Overflow::Clamp {
            return 1;
        }
        let start = self.start(past).map_or(0, |start| i64::from(start.to_epoch_days()));
        let days = at.div_euclid(MICROS * DAY).saturating_sub(start).clamp(0, 10_000 * 366);
        u32::try_from(days / (28 * self.months) / STEPS_PER_COST).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// The local time of a slot that lies from one local time on and before another one, whether it exists or not.
    pub(crate) fn local_within(&self, low: i64, high: i64, past: &Past) -> Option<i64> {
        let start = self.start(past)?;
        let date = self.dates(start, civil_date(low.div_euclid(DAY))?).next()?;
        let local = i64::from(date.to_epoch_days()) * DAY + self.at;
        (low <= local && local < high).then_some(local)
    }

    fn start(&self, past: &Past) -> Option<NaiveDate> {
        self.from.or_else(|| {
            let seen = past.first_seen.div_euclid(MICROS);
            civil_date((seen + self.zone.offset_at(seen)).div_euclid(DAY))
        })
    }

    fn instants(&self, date: NaiveDate) -> impl Iterator<Item = i64> + use<> {
        self.dst.instants(&self.zone, i64::from(date.to_epoch_days()) * DAY + self.at)
    }

    /// The dates at or after `not_before`, one after the other.
    fn dates(&self, start: NaiveDate, not_before: NaiveDate) -> impl Iterator<Item = NaiveDate> {
        let mut step = self.steps_before(start, not_before);
        let mut previous: Option<NaiveDate> = None;
        std::iter::from_fn(move || {
            loop {
                let date = if self.months == 0 || self.days == 0 || self.overflow == Overflow::Clamp {
                    let date = self.date_of_step(start, step)?;
                    step += 1;
                    date
                } else {
                    let date = match previous {
                        None => Some(start),
                        Some(previous) => self.step_from(previous),
                    };
                    previous = date;
                    Some(date?)
                };
                if let Some(date) = date.filter(|date| not_before.max(start) <= *date) {
                    return Some(date);
                }
            }
        })
    }

    /// How many steps surely lie before a date.
    fn steps_before(&self, start: NaiveDate, not_before: NaiveDate) -> i64 {
        let days = i64::from(not_before.to_epoch_days()) - i64::from(start.to_epoch_days());
        // No step of months is longer than 31 days times their number.
        (days / (self.months * 31 + self.days).max(1) - 1).max(0)
    }

    /// The date of a step counted from the start: nothing inside where it does not exist, nothing at all where the
    /// years end.
    fn date_of_step(&self, start: NaiveDate, step: i64) -> Option<Option<NaiveDate>> {
        let month = self.month_after(start, step.checked_mul(self.months)?)?;
        let Some(date) = self.land(start, month) else {
            return Some(None);
        };
        let date = date.checked_add_signed(TimeDelta::try_days(step.checked_mul(self.days)?)?)?;
        (date.year() <= YEAR_MAX).then_some(Some(date))
    }

    fn step_from(&self, previous: NaiveDate) -> Option<NaiveDate> {
        let mut months = self.months;
        loop {
            let month = self.month_after(previous, months)?;
            if let Some(date) = self.land(previous, month) {
                return date.checked_add_signed(TimeDelta::try_days(self.days)?).filter(|date| date.year() <= YEAR_MAX);
            }
            months += self.months;
        }
    }

    /// The first day of the month that lies some months after the one of a date.
    fn month_after(&self, date: NaiveDate, months: i64) -> Option<NaiveDate> {
        let month = (i64::from(date.year()) * 12 + i64::from(date.month0())).checked_add(months)?;
        let year = i32::try_from(month.div_euclid(12)).ok().filter(|year| *year <= YEAR_MAX)?;
        NaiveDate::from_ymd_opt(year, u32::try_from(month.rem_euclid(12)).ok()? + 1, 1)
    }

    fn land(&self, start: NaiveDate, month: NaiveDate) -> Option<NaiveDate> {
        let last = u32::from(month.num_days_in_month());
        let day = match self.landing {
            Landing::Same => start.day(),
            Landing::Day(day) => day,
            Landing::Last => last,
        };
        match self.overflow {
            Overflow::Skip => month.with_day(day),
            Overflow::Clamp => month.with_day(day.min(last)),
        }
    }
}
