//! Days of the calendar, as file names have them.

/// A day, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(i64);

impl Date {
    /// The first date in a text, written as `2026-11-21`.
    pub fn within(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        (0..bytes.len().saturating_sub(9)).find_map(|start| Self::parse(&bytes[start..start + 10]))
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let number = |range: std::ops::Range<usize>| -> Option<i64> {
            text[range]
                .iter()
                .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
        };
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let written_so = text[4] == b'-' && text[7] == b'-';
        (written_so && (1..=12).contains(&month) && (1..=31).contains(&day)).then(|| Self(days(year, month, day)))
    }

    /// The number of the day.
    pub fn day(self) -> i64 {
        self.0
    }

    /// The number of the week that begins on a Monday.
    pub fn week(self) -> i64 {
        (self.0 + 3).div_euclid(7)
    }

    /// The number of the month.
    pub fn month(self) -> i64 {
        // Years that begin in March end with the day that only leap years have.
        let days = self.0 + 719_468;
        let era = days.div_euclid(146_097);
        let day = days.rem_euclid(146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let month = (5 * (day - (365 * year + year / 4 - year / 100)) + 2) / 153;
        (era * 400 + year) * 12 + month
    }
}

/// Days since 1970-01-01.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let day = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year * 365 + year / 4 - year / 100 + day - 719_468
}
