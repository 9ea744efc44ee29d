//! An independent generator of slots: slow, and simple enough to be right by inspection.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, Timelike};

use crate::time::{Micros, SECOND};

/// The slots of `every: N seconds` from an anchor, the anchor included, within `from..until`.
#[must_use]
pub fn every(anchor: Micros, seconds: u32, from: Micros, until: Micros) -> Vec<Micros> {
    let period = i64::from(seconds.max(1)) * SECOND;
    let n_before = from.max(anchor).saturating_sub(anchor).saturating_add(period - 1) / period;
    let mut slots = Vec::new();
    let mut slot = anchor + n_before * period;
    while slot < until {
        slots.push(slot);
        slot += period;
    }
    slots
}

/// The slots of a cron expression in UTC within `from..until`: 5 fields (minute first) or 6 (second first) of numbers,
/// lists, ranges, steps and `*`. Sunday is 0 and 7. None if the expression is not of that kind.
///
/// It looks at every second, or with 5 fields at every minute.
#[must_use]
pub fn cron(expression: &str, from: Micros, until: Micros) -> Option<Vec<Micros>> {
    let mut fields: Vec<&str> = expression.split_whitespace().collect();
    let step = if fields.len() == 5 { 60 * SECOND } else { SECOND };
    if fields.len() == 5 {
        fields.insert(0, "0");
    }
    let [second, minute, hour, day, month, weekday] = fields.as_slice() else { return None };
    let any_day = day.starts_with('*');
    let any_weekday = weekday.starts_with('*');
    let seconds = values(second, 0, 59)?;
    let minutes = values(minute, 0, 59)?;
    let hours = values(hour, 0, 23)?;
    let days = values(day, 1, 31)?;
    let months = values(month, 1, 12)?;
    let weekdays: BTreeSet<u32> = values(weekday, 0, 7)?.into_iter().map(|weekday| weekday % 7).collect();
    let fits = |time: DateTime<chrono::Utc>| {
        let is_day = days.contains(&time.day());
        let is_weekday = weekdays.contains(&time.weekday().num_days_from_sunday());
        // Two restrictions are joined by "or"; with one of them, or none, the other is always met.
        let is_date = if any_day || any_weekday { is_day && is_weekday } else { is_day || is_weekday };
        is_date
            && months.contains(&time.month())
            && hours.contains(&time.hour())
            && minutes.contains(&time.minute())
            && seconds.contains(&time.second())
    };
    let mut slots = Vec::new();
    let mut instant = from.div_euclid(step) * step;
    while instant < until {
        if from <= instant && DateTime::from_timestamp_micros(instant).is_some_and(fits) {
            slots.push(instant);
        }
        instant += step;
    }
    Some(slots)
}

/// The numbers that a field names.
fn values(field: &str, low: u32, high: u32) -> Option<BTreeSet<u32>> {
    let mut all = BTreeSet::new();
    for item in field.split(',') {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<usize>().ok().filter(|step| 0 < *step)?)),
            None => (item, None),
        };
        let (first, last) = match (range, range.split_once('-')) {
            ("*", _) => (low, high),
            (_, Some((first, last))) => (first.parse().ok()?, last.parse().ok()?),
            // `5/10` begins at 5 and has no other end than that of the field.
            (_, None) => {
                let first = range.parse().ok()?;
                (first, if step.is_some() { high } else { first })
            }
        };
        if first < low || high < last || last < first {
            return None;
        }
        all.extend((first..=last).step_by(step.unwrap_or(1)));
    }
    Some(all)
}
