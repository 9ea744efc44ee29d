//! Instants as requests say them: RFC 3339 and nothing else, within the years that it can write.

use std::fmt;

use chrono::{DateTime, Datelike as _, Utc};

/// How an instant is written.
pub(super) const FORM: &str = "write it with its offset, such as `2027-01-15T08:00:00Z`";

/// The years that an answer can say as RFC 3339, in UTC.
const YEAR_MIN: i32 = 1;
pub(super) const YEAR_MAX: i32 = 9999;

/// Why a text is no instant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoInstant {
    /// It is written otherwise.
    Form(chrono::ParseError),
    /// It lies too far away.
    Year(i32),
}

impl fmt::Display for NoInstant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(error) => error.fmt(f),
            Self::Year(year) => {
                write!(f, "in UTC it is of the year {year}, and only {YEAR_MIN} to {YEAR_MAX} are taken")
            }
        }
    }
}

/// Reads an instant. Every place where a request says one reads it here: what lies beyond these years is in no answer, and
/// nothing that calculates with it has to fear the end of all time.
pub(super) fn read(text: &str) -> Result<DateTime<Utc>, NoInstant> {
    let at = DateTime::parse_from_rfc3339(text).map_err(NoInstant::Form)?.to_utc();
    if (YEAR_MIN..=YEAR_MAX).contains(&at.year()) { Ok(at) } else { Err(NoInstant::Year(at.year())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_rfc_3339_of_years_that_it_can_write() {
        for text in ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2027-01-15t08:00:00+01:00"] {
            assert!(read(text).is_ok(), "{text}");
        }
        for text in [
            "-262143-01-01T00:00:00Z",
            "+262142-12-31T23:59:59Z",
            "2026-11-23 10:00:00 +0000",
            "2027-01-15T08:00:00",
            "2027-01-15",
            "now",
            "",
        ] {
            assert!(matches!(read(text), Err(NoInstant::Form(_))), "{text}: {:?}", read(text));
        }
        for (text, year) in
            [("9999-12-31T23:59:59-01:00", 10_000), ("0000-06-01T00:00:00Z", 0), ("0001-01-01T00:00:00+01:00", 0)]
        {
            assert_eq!(read(text), Err(NoInstant::Year(year)), "{text}");
        }
    }
}
