//! A set of civil times as bit masks, and the next member of it. Knows nothing of zones or instants.
//!
//! A civil time is counted in seconds as though the clock on the wall showed UTC. The next member is found by bit
//! scans within the day and month by month across days, never second by second.

use chrono::{Datelike, NaiveDate};

use super::days::{DaySet, MonthShape};

/// Last year of any trigger, as in APScheduler and ISO 8601.
pub(crate) const YEAR_MAX: i32 = 9999;

/// First year of any trigger.
pub(crate) const YEAR_MIN: i32 = 1970;

/// The Gregorian calendar repeats after so many years: what does not happen within them never happens.
const CYCLE_YEARS: i32 = 400;

pub(crate) const DAY: i64 = 86_400;

/// ISO weeks 1 to 53.
pub(crate) const ALL_WEEKS: u64 = (1 << 54) - 2;

/// Times of day: hours times minutes times seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeSet {
    /// Bits 0 to 23.
    pub(crate) hours: u32,
    /// Bits 0 to 59.
    pub(crate) minutes: u64,
    /// Bits 0 to 59.
    pub(crate) seconds: u64,
}

/// How the two day fields go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DayRule {
    /// A day that either of them names.
    Either,
    /// A day that both of them name.
    Both,
}

/// Years from `first` to `last` in steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Years {
    pub(crate) first: i32,
    pub(crate) last: i32,
    pub(crate) step: i32,
}

/// A set of civil times.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pattern {
    pub(crate) time: TimeSet,
    /// ISO weeks, bits 1 to 53.
    pub(crate) weeks: u64,
    /// Which years; empty means every year.
    pub(crate) years: Box<[Years]>,
    /// Days of further patterns that must hold too, where several were merged into one.
    pub(crate) also: Option<Box<Pattern>>,
    /// The day-of-month field.
    pub(crate) day: DaySet,
    /// The day-of-week field.
    pub(crate) weekday: DaySet,
    /// Bits 1 to 12.
    pub(crate) months: u16,
    pub(crate) rule: DayRule,
}

impl TimeSet {
    /// Every second of the day.
    pub(crate) const ALL: Self = Self { hours: (1 << 24) - 1, minutes: (1 << 60) - 1, seconds: (1 << 60) - 1 };

    pub(crate) fn is_empty(self) -> bool {
        self.hours == 0 || self.minutes == 0 || self.seconds == 0
    }

    /// The first time at or after a second of the day.
    fn next(self, second_of_day: u32) -> Option<u32> {
        let (hour, minute, second) = (second_of_day / 3_600, second_of_day / 60 % 60, second_of_day % 60);
        if self.hours >> hour & 1 == 1 {
            if self.minutes >> minute & 1 == 1 && self.seconds >> second != 0 {
                return Some(second_of_day + (self.seconds >> second).trailing_zeros());
            }
            let later = self.minutes >> (minute + 1);
            if later != 0 {
                return Some(hour * 3_600 + (minute + 1 + later.trailing_zeros()) * 60 + self.seconds.trailing_zeros());
            }
        }
        let later = self.hours >> (hour + 1);
        (later != 0).then(|| {
            let hour = hour + 1 + later.trailing_zeros();
            hour * 3_600 + self.minutes.trailing_zeros() * 60 + self.seconds.trailing_zeros()
        })
    }

    fn first(self) -> u32 {
        self.hours.trailing_zeros() * 3_600 + self.minutes.trailing_zeros() * 60 + self.seconds.trailing_zeros()
    }

    fn and(self, other: Self) -> Self {
        Self {
            hours: self.hours & other.hours,
            minutes: self.minutes & other.minutes,
            seconds: self.seconds & other.seconds,
        }
    }
}

impl Years {
    fn next(&self, year: i32) -> Option<i32> {
        if year <= self.first {
            return Some(self.first);
        }
        let behind = (year - self.first) % self.step;
        let next = if behind == 0 { year } else { year + self.step - behind };
        (next <= self.last).then_some(next)
    }
}

impl Pattern {
    /// The first member at or after a civil time; none where there is none in the years that triggers know.
    pub(crate) fn next(&self, local: i64) -> Option<i64> {
        if self.time.is_empty() {
            return None;
        }
        let (day, second) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        let date = civil_date(day)?;
        let mut from = (date.year(), date.month(), date.day());
        if self.holds_on(date) {
            let second = u32::try_from(second).expect("a second of the day is below 86,400");
            if let Some(second) = self.time.next(second) {
                return Some(day * DAY + i64::from(second));
            }
            from.2 += 1;
        }
        self.next_day(from).map(|day| day * DAY + i64::from(self.time.first()))
    }

    /// Whether a civil time from `low` on and before `high` is a member. Looks at the days of the range only.
    pub(crate) fn meets(&self, low: i64, high: i64) -> bool {
        let mut low = low;
        while low < high {
            let day = low.div_euclid(DAY);
            let second = u32::try_from(low.rem_euclid(DAY)).expect("a second of the day is below 86,400");
            if civil_date(day).is_some_and(|date| self.holds_on(date))
                && !self.time.is_empty()
                && self.time.next(second).is_some_and(|second| day * DAY + i64::from(second) < high)
            {
                return true;
            }
            low = (day + 1) * DAY;
        }
        false
    }

    /// Whether a date is one of the pattern's days.
    pub(crate) fn holds_on(&self, date: NaiveDate) -> bool {
        self.mask(date.year(), date.month()).0 >> date.day() & 1 == 1
            && self.next_year(date.year()) == Some(date.year())
    }

    /// The first day of the pattern from a date on, in days since 1970. The day of `from` may lie past its month.
    fn next_day(&self, from: (i32, u32, u32)) -> Option<i64> {
        let (first_year, mut month, first_day) = from;
        let mut year = self.next_year(first_year)?;
        let mut not_before = u32::MAX.checked_shl(first_day).unwrap_or(0);
        if year != first_year {
            (month, not_before) = (1, u32::MAX);
        }
        let last_year = if self.years.is_empty() { year.saturating_add(CYCLE_YEARS) } else { YEAR_MAX };
        while year <= last_year.min(YEAR_MAX) {
            while month <= 12 {
                let (mask, first_of_month) = self.mask(year, month);
                let days = mask & not_before;
                if days != 0 {
                    return Some(first_of_month + i64::from(days.trailing_zeros()) - 1);
                }
                (month, not_before) = (month + 1, u32::MAX);
            }
            (year, month) = (self.next_year(year + 1)?, 1);
        }
        None
    }

    /// The first year of the pattern at or after a year.
    fn next_year(&self, year: i32) -> Option<i32> {
        let year = year.max(YEAR_MIN);
        let mine = if self.years.is_empty() {
            Some(year).filter(|year| *year <= YEAR_MAX)
        } else {
            self.years.iter().filter_map(|years| years.next(year)).min()
        };
        let Some(also) = &self.also else {
            return mine;
        };
        let mut year = mine?;
        loop {
            let theirs = also.next_year(year)?;
            if theirs == year {
                return Some(year);
            }
            year = if self.years.is_empty() {
                theirs
            } else {
                self.years.iter().filter_map(|years| years.next(theirs)).min()?
            };
        }
    }

    /// The days of one month as bits, and the number of its first day since 1970.
    fn mask(&self, year: i32, month: u32) -> (u32, i64) {
        if self.months >> month & 1 == 0 {
            return (0, 0);
        }
        let Some(first) = NaiveDate::from_ymd_opt(year, month, 1) else {
            return (0, 0);
        };
        let shape = MonthShape {
            n_days: u32::from(first.num_days_in_month()),
            first_weekday: first.weekday().num_days_from_monday(),
        };
        let mut mask = match self.rule {
            DayRule::Both => self.day.mask(shape) & self.weekday.mask(shape),
            DayRule::Either => self.day.mask(shape) | self.weekday.mask(shape),
        };
        if self.weeks != ALL_WEEKS && mask != 0 {
            mask &= self.week_mask(first, shape);
        }
        if let Some(also) = &self.also {
            mask &= also.mask(year, month).0;
        }
        (mask, i64::from(first.to_epoch_days()))
    }

    fn week_mask(&self, first: NaiveDate, shape: MonthShape) -> u32 {
        let mut mask = 0;
        let mut day = 1;
        while day <= shape.n_days {
            // The week of a day holds up to the next Sunday.
            let until = (day + 6 - (shape.first_weekday + day - 1) % 7).min(shape.n_days);
            let week = first.with_day(day).map_or(0, |date| date.iso_week().week());
            if self.weeks >> week & 1 == 1 {
                mask |= u32::MAX << day & u32::MAX >> (31 - until);
            }
            day = until + 1;
        }
        mask
    }

    /// The civil times that belong to both patterns.
    pub(crate) fn and(&self, other: &Self) -> Self {
        let mut merged = other.clone();
        let time = self.time.and(other.time);
        merged.also = Some(Box::new(match &other.also {
            None => self.clone(),
            Some(also) => self.and(also),
        }));
        merged.time = time;
        merged.months &= self.months;
        merged.weeks &= self.weeks;
        merged
    }

    /// How many members lie from one civil time on and before another one of the same day.
    pub(crate) fn n_until(&self, low: i64, high: i64) -> u64 {
        let mut count = 0;
        let mut at = low;
        while self.meets(at, high) {
            at = match self.next(at) {
                Some(found) => found + 1,
                None => break,
            };
            count += 1;
        }
        count
    }

    /// How many days of the pattern lie from one day on and before another one, both counted from 1970.
    pub(crate) fn n_days(&self, from: i64, to: i64) -> u64 {
        let mut count = 0;
        let mut day = from;
        while day < to
            && let Some(date) = civil_date(day)
        {
            let end = (day - i64::from(date.day0()) + i64::from(date.num_days_in_month())).min(to);
            let in_years = self.next_year(date.year()) == Some(date.year());
            let mask = if in_years { self.mask(date.year(), date.month()).0 } else { 0 };
            let n_days = u32::try_from(end - day).expect("at most a month");
            let wanted = mask >> date.day() & (u32::MAX >> (32 - n_days));
            count += u64::from(wanted.count_ones());
            day = end;
        }
        count
    }

    /// How many members a day of the pattern has.
    pub(crate) fn n_per_day(&self) -> u64 {
        let ones = |mask: u64| u64::from(mask.count_ones());
        ones(self.time.hours.into()) * ones(self.time.minutes) * ones(self.time.seconds)
    }
}

/// The date of a day counted from 1970.
pub(crate) fn civil_date(day: i64) -> Option<NaiveDate> {
    i32::try_from(day).ok().and_then(NaiveDate::from_epoch_days)
}
