//! Sets of days within a month: numbers, counted from the end, weekdays, the n-th weekday, the nearest working day.
//!
//! A set becomes a bit mask of one month (bit 1 is the first day) by a few shifts, for whichever month is asked.

/// Bits 1 to 31.
pub(crate) const ALL_DAYS: u32 = 0xffff_fffe;

/// Bits 0 (Monday) to 6 (Sunday).
pub(crate) const ALL_WEEKDAYS: u8 = 0x7f;

/// A set of days, as one field of a trigger names them. The union of its parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DaySet {
    /// Days of the month, bits 1 to 31.
    pub(crate) days: u32,
    /// Days before the last day, bit 0 is the last day itself.
    pub(crate) from_last: u32,
    /// The working day nearest to a day of the month, bits 1 to 31.
    pub(crate) nearest: u32,
    /// Weekdays, bit 0 is Monday.
    pub(crate) weekdays: u8,
    /// The first to fifth of some weekdays.
    pub(crate) nth: [u8; 5],
    /// The last of some weekdays.
    pub(crate) last: u8,
    /// The last working day.
    pub(crate) nearest_last: bool,
}

/// What a month looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MonthShape {
    /// 28 to 31.
    pub(crate) n_days: u32,
    /// Weekday of the first, 0 is Monday.
    pub(crate) first_weekday: u32,
}

impl MonthShape {
    fn valid(self) -> u32 {
        ALL_DAYS & (u32::MAX >> (31 - self.n_days))
    }

    /// The days that fall on some weekdays.
    fn on_weekdays(self, weekdays: u8) -> u32 {
        let turned = self.turned(weekdays);
        (turned | turned << 7 | turned << 14 | turned << 21 | turned << 28) << 1 & self.valid()
    }

    /// The weekdays in the order in which the month meets them: bit 0 is the weekday of the first.
    fn turned(self, weekdays: u8) -> u32 {
        let twice = u32::from(weekdays) | u32::from(weekdays) << 7;
        twice >> self.first_weekday & u32::from(ALL_WEEKDAYS)
    }

    fn weekday(self, day: u32) -> u32 {
        (self.first_weekday + day - 1) % 7
    }

    /// The working day nearest to a day without leaving the month; a day that the month lacks has none.
    fn nearest_working_day(self, day: u32) -> u32 {
        match self.weekday(day) {
            5 if day == 1 => 3,
            5 => day - 1,
            6 if day == self.n_days => day - 2,
            6 => day + 1,
            _ => day,
        }
    }
}

impl DaySet {
    /// Whether the set holds every day of every month.
    pub(crate) fn is_every_day(&self) -> bool {
        self.days == ALL_DAYS || self.weekdays == ALL_WEEKDAYS
    }

    /// The days of one month.
    pub(crate) fn mask(&self, month: MonthShape) -> u32 {
        let valid = month.valid();
        if self.is_every_day() {
            return valid;
        }
        let mut mask = self.days & valid;
        if self.weekdays != 0 {
            mask |= month.on_weekdays(self.weekdays);
        }
        if self.last != 0 {
            mask |= month.on_weekdays(self.last) & !(u32::MAX >> (31 - (month.n_days - 7)));
        }
        for (weekdays, week) in self.nth.iter().zip(0..) {
            mask |= month.turned(*weekdays) << (7 * week) << 1;
        }
        for before in bits(self.from_last) {
            mask |= month.n_days.checked_sub(before).map_or(0, |day| 1 << day);
        }
        for day in bits(self.nearest & valid) {
            mask |= 1 << month.nearest_working_day(day);
        }
        if self.nearest_last {
            mask |= 1 << month.nearest_working_day(month.n_days);
        }
        mask & valid
    }

    /// Both sets together.
    pub(crate) fn union(mut self, other: &Self) -> Self {
        self.days |= other.days;
        self.from_last |= other.from_last;
        self.nearest |= other.nearest;
        self.weekdays |= other.weekdays;
        self.last |= other.last;
        self.nearest_last |= other.nearest_last;
        for (mine, theirs) in self.nth.iter_mut().zip(other.nth) {
            *mine |= theirs;
        }
        self
    }
}

/// The numbers of the bits that are set, from low to high.
pub(crate) fn bits(mask: u32) -> impl Iterator<Item = u32> {
    bits_of(u64::from(mask))
}

/// The numbers of the bits that are set, from low to high.
pub(crate) fn bits_of(mut mask: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let low = (mask != 0).then(|| mask.trailing_zeros())?;
        mask &= mask - 1;
        Some(low)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// February 2027 begins on a Monday and has 28 days; May 2027 begins on a Saturday and ends on a Monday.
    #[test]
    fn masks_of_two_months() {
        let february = MonthShape { n_days: 28, first_weekday: 0 };
        let may = MonthShape { n_days: 31, first_weekday: 5 };
        let told = |set: DaySet| {
            let days = |month| bits(set.mask(month)).map(|day| day.to_string()).collect::<Vec<_>>().join(" ");
            format!("{} | {}", days(february), days(may))
        };
        let none = DaySet::default();
        let rows = [
            ("monday", told(DaySet { weekdays: 1, ..none })),
            ("29th 30th", told(DaySet { days: 3 << 29, ..none })),
            ("last, 3 before", told(DaySet { from_last: 0b1001, ..none })),
            ("5th saturday", told(DaySet { nth: [0, 0, 0, 0, 1 << 5], ..none })),
            ("1st monday", told(DaySet { nth: [1, 0, 0, 0, 0], ..none })),
            ("last sunday", told(DaySet { last: 1 << 6, ..none })),
            ("1W 15W 31W", told(DaySet { nearest: 1 << 1 | 1 << 15 | 1 << 31, ..none })),
            ("LW", told(DaySet { nearest_last: true, ..none })),
        ];
        let table: String = rows.map(|(name, days)| format!("{name}: {days}\n")).concat();
        expect_test::expect![[r#"
            monday: 1 8 15 22 | 3 10 17 24 31
            29th 30th:  | 29 30
            last, 3 before: 25 28 | 28 31
            5th saturday:  | 29
            1st monday: 1 | 3
            last sunday: 28 | 30
            1W 15W 31W: 1 15 | 3 14 31
            LW: 26 | 31
        "#]]
        .assert_eq(&table);
    }
}
