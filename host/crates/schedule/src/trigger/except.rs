//! What is left out: dates, ranges of dates, weekdays, and the slots of other triggers.
//!
//! Dates and weekdays are those of the zone of the trigger that is restricted. Another trigger leaves out exactly the
//! instants at which it would fire.

use super::{
    cron::Cron,
    dst::Fold,
    instant::MICROS,
    pattern::DAY,
    pattern::TimeSet,
    rule::{Rule, Search, Trigger},
};
use crate::zone::{Local, Zone};

/// A set of instants at which nothing fires.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Except {
    /// First and last day since 1970 of each range; sorted, and no two touch.
    pub(crate) dates: Vec<(i64, i64)>,
    /// Bit 0 is Monday.
    pub(crate) weekdays: u8,
    /// Exactly the slots of these.
    pub(crate) triggers: Vec<Trigger>,
}

impl Except {
    /// Whether nothing is left out.
    pub(crate) fn is_empty(&self) -> bool {
        self.dates.is_empty() && self.weekdays == 0 && self.triggers.is_empty()
    }

    /// Takes over what another set leaves out.
    pub(crate) fn add(&mut self, other: &Self) {
        self.dates.extend_from_slice(&other.dates);
        self.weekdays |= other.weekdays;
        self.triggers.extend_from_slice(&other.triggers);
    }

    /// Puts the ranges in order and joins those that touch.
    pub(crate) fn sort(&mut self) {
        self.dates.sort_unstable();
        let mut joined: Vec<(i64, i64)> = Vec::with_capacity(self.dates.len());
        for (first, last) in self.dates.drain(..) {
            match joined.last_mut() {
                Some(previous) if first <= previous.1 + 1 => previous.1 = previous.1.max(last),
                Some(_) | None => joined.push((first, last)),
            }
        }
        self.dates = joined;
    }

    /// For a slot that is left out: an instant after it up to which everything is left out, too.
    pub(crate) fn excluded_until(&self, slot: i64, rule: &Rule, zone: &Zone, search: &mut Search) -> Option<i64> {
        let second = slot.div_euclid(MICROS);
        let day = (second + zone.offset_at(second)).div_euclid(DAY);
        if let Some(last) = self.last_day_left_out(day) {
            let midnight = match zone.resolve((last + 1) * DAY) {
                Local::Once(at) | Local::Gap(at) | Local::Twice(at, _) => at * MICROS,
            };
            return Some(midnight.max(slot + 1));
        }
        let owner = self.triggers.iter().find(|trigger| trigger.next(slot, search) == Some(slot))?;
        Some(left_out_until(owner, slot, rule))
    }

    fn last_day_left_out(&self, day: i64) -> Option<i64> {
        let after = self.dates.partition_point(|(first, _)| *first <= day);
        let range = after.checked_sub(1).and_then(|index| self.dates.get(index)).filter(|(_, last)| day <= *last);
        if let Some((_, last)) = range {
            return Some(*last);
        }
        // 1970 began on a Thursday.
        let weekday = (day + 3).rem_euclid(7);
        (self.weekdays >> weekday & 1 == 1).then_some(day)
    }
}

/// Up to when a trigger that leaves out a slot leaves out all slots of a rule, so that `every: 1s` steps over a night
/// at once and not second by second.
fn left_out_until(owner: &Trigger, slot: i64, rule: &Rule) -> i64 {
    let Rule::Cron(cron) = &owner.rule else {
        return slot + 1;
    };
    // Where the second of two times is meant, a stretch may end before the clock is put back.
    let times = times_of(rule, slot, cron).filter(|_| owner.except.is_none() && cron.dst.fold != Fold::Second);
    let Some(times) = times else {
        return slot + 1;
    };
    let second = slot.div_euclid(MICROS);
    let segment = cron.zone.segment(second);
    let until = end_of_run(cron.pattern.time, times, second + segment.offset) - segment.offset;
    (until.min(segment.end) * MICROS).min(owner.end.saturating_add(1)).max(slot + 1)
}

/// The times of day at which a rule has slots, as the clock of an exception shows them.
fn times_of(rule: &Rule, slot: i64, exception: &Cron) -> Option<TimeSet> {
    match rule {
        Rule::Cron(cron) if cron.merged.is_none() && cron.zone == exception.zone => {
            // A slot after a gap stands at a time that the pattern need not name.
            let named = TimeSet { minutes: cron.pattern.time.minutes | 1, ..cron.pattern.time };
            Some(TimeSet { hours: TimeSet::ALL.hours, seconds: named.seconds | 1, ..named })
        }
        Rule::Every(every) if every.period % MICROS == 0 && slot % MICROS == 0 => Some(TimeSet::ALL),
        Rule::Cron(_) | Rule::Every(_) | Rule::Calendar(_) | Rule::At(_) | Rule::Any(_) | Rule::All(_) => None,
    }
}

/// The local time up to which all of `times` belong to `left_out`, from a time on that does.
fn end_of_run(left_out: TimeSet, times: TimeSet, local: i64) -> i64 {
    let (hour, minute) = (local.div_euclid(3_600), local.div_euclid(60));
    if times.seconds & !left_out.seconds != 0 {
        return local + 1;
    }
    if times.minutes & !left_out.minutes != 0 {
        let n_minutes = (left_out.minutes >> minute.rem_euclid(60)).trailing_ones();
        return (minute + i64::from(n_minutes)) * 60;
    }
    let n_hours = (left_out.hours >> hour.rem_euclid(24)).trailing_ones();
    (hour + i64::from(n_hours)) * 3_600
}
