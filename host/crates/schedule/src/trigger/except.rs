//! What is left out: dates, ranges of dates, weekdays, and the slots of other triggers.
//!
//! Dates and weekdays are those of the zone of the trigger that is restricted. Another trigger leaves out exactly the
//! instants at which it would fire.

use super::{
    instant::MICROS,
    pattern::DAY,
    rule::{Search, Trigger},
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
    pub(crate) fn excluded_until(&self, slot: i64, zone: &Zone, search: &mut Search) -> Option<i64> {
        let second = slot.div_euclid(MICROS);
        let day = (second + zone.offset_at(second)).div_euclid(DAY);
        if let Some(last) = self.last_day_left_out(day) {
            let midnight = match zone.resolve((last + 1) * DAY) {
                Local::Once(at) | Local::Gap(at) | Local::Twice(at, _) => at * MICROS,
            };
            return Some(midnight.max(slot + 1));
        }
        let fires = |trigger: &Trigger, search: &mut Search| trigger.next(slot, search) == Some(slot);
        self.triggers.iter().any(|trigger| fires(trigger, search)).then_some(slot + 1)
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
