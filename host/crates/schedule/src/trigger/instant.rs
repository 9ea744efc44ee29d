//! Instants and local times as people write them: RFC 3339, RFC 9557, or local with a zone from elsewhere.
//!
//! `2026-12-24`, `2026-12-24T18:00`, `2026-12-24 18:00:00.5`, `2026-12-24T18:00Z`, `2026-12-24T18:00+01:00`,
//! `2026-12-24T18:00[Europe/Berlin]`. A date alone means its midnight, as in APScheduler, also where it ends a range.

use chrono::{DateTime, NaiveDate, Utc};

use super::{
    dst::Dst,
    fault::{Fault, shown},
    pattern::{DAY, YEAR_MAX, YEAR_MIN},
    words::MONTHS,
};
use crate::zone::{Zone, Zones};

pub(crate) const MICROS: i64 = 1_000_000;

/// A date and perhaps a time, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) date: NaiveDate,
    /// Microseconds of the day.
    pub(crate) time: Option<i64>,
    /// Seconds east of UTC.
    offset: Option<i64>,
    /// The zone in brackets, and where it stands.
    zone: Option<(String, usize, usize)>,
}

/// Reads the instant that a text means, with `zone` for local times: the first one of a time that happens twice, the
/// first moment after the gap for one that does not exist.
///
/// ```
/// use clockjack_schedule::{trigger::parse_instant, zone::Zones};
///
/// let zones = Zones::bundled();
/// let berlin = zones.get("Europe/Berlin").unwrap();
/// let at = |text| parse_instant(text, &berlin, &zones).map(|at| at.to_rfc3339());
/// assert_eq!(at("2026-12-24T18:00").unwrap(), "2026-12-24T17:00:00+00:00");
/// assert_eq!(at("2026-12-24T18:00Z").unwrap(), "2026-12-24T18:00:00+00:00");
/// assert!(at("2026-06-31").unwrap_err().contains("June has 30 days"));
/// ```
///
/// # Errors
/// Says what is wrong and what to write instead.
pub fn parse_instant(text: &str, zone: &Zone, zones: &Zones) -> Result<DateTime<Utc>, String> {
    let told = |fault: Fault| match fault.fix {
        Some(fix) => format!("{}; {fix}", fault.message),
        None => fault.message,
    };
    let instants = Written::parse(text).and_then(|written| written.instants(zone, Dst::FIXED_TIME, zones));
    let first = instants.map_err(told)?.first().copied();
    first.and_then(DateTime::from_timestamp_micros).ok_or_else(|| format!("`{}` is no instant", shown(text)))
}

impl Written {
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let mut reader = Reader { text, at: 0 };
        let date = reader.date()?;
        let time = match reader.peek() {
            Some(b'T' | b't' | b' ') => {
                reader.at += 1;
                Some(reader.time()?)
            }
            Some(_) | None => None,
        };
        let offset = if time.is_some() { reader.offset()? } else { None };
        let zone = reader.bracketed_zone()?;
        if reader.at < text.len() {
            let rest = Fault::new(reader.at, text.len(), format!("`{}` is left over", shown(&text[reader.at..])));
            return Err(rest.fix("write a date and a time such as `2026-12-24T18:00` or `2026-12-24T18:00:00+01:00`"));
        }
        Ok(Self { date, time, offset, zone })
    }

    /// The instants in microseconds: several where the policy wants both of a time that happens twice, none where it
    /// leaves out a time that does not exist.
    pub(crate) fn instants(&self, zone: &Zone, dst: Dst, zones: &Zones) -> Result<Vec<i64>, Fault> {
        let local = i64::from(self.date.to_epoch_days()) * DAY * MICROS + self.time.unwrap_or(0);
        let (seconds, fraction) = (local.div_euclid(MICROS), local.rem_euclid(MICROS));
        let named = match &self.zone {
            None => None,
            Some((name, start, end)) => Some(zones.get(name).map_err(|problem| Fault::new(*start, *end, problem))?),
        };
        if let Some(offset) = self.offset {
            let at = seconds - offset;
            if let (Some(named), Some((name, start, end))) = (&named, &self.zone)
                && named.offset_at(at) != offset
            {
                let hours = show_offset(named.offset_at(at));
                return Err(Fault::new(
                    *start,
                    *end,
                    format!("the offset does not fit {name}, which has {hours} then"),
                )
                .fix("leave out the offset or the zone"));
            }
            return Ok(vec![at * MICROS + fraction]);
        }
        let zone = named.as_ref().unwrap_or(zone);
        let mut instants: Vec<i64> = dst.instants(zone, seconds).map(|at| at * MICROS + fraction).collect();
        // After a gap the first valid moment is a whole second.
        if let [only] = &mut *instants
            && zone.offset_at(only.div_euclid(MICROS)) + only.div_euclid(MICROS) != seconds
        {
            *only -= fraction;
        }
        Ok(instants)
    }
}

/// An offset as RFC 3339 writes it.
pub(crate) fn show_offset(seconds: i64) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.abs() / 60;
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

/// Reads a time of day such as `09:00` or `23:59:59.5`, in microseconds.
pub(crate) fn parse_time(text: &str) -> Result<i64, Fault> {
    let mut reader = Reader { text, at: 0 };
    let time = reader.time()?;
    if reader.at < text.len() {
        let message = format!("`{}` is left over after the time", shown(&text[reader.at..]));
        return Err(Fault::new(reader.at, text.len(), message).fix("write a time such as `09:00` or `09:00:30`"));
    }
    Ok(time)
}

/// Reads a date such as `2026-12-24`.
pub(crate) fn parse_date(text: &str) -> Result<NaiveDate, Fault> {
    let mut reader = Reader { text, at: 0 };
    let date = reader.date()?;
    if reader.at < text.len() {
        let message = format!("`{}` is left over after the date", shown(&text[reader.at..]));
        return Err(Fault::new(reader.at, text.len(), message).fix("write a date such as `2026-12-24`"));
    }
    Ok(date)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn date(&mut self) -> Result<NaiveDate, Fault> {
        const SHAPE: &str = "a date such as `2026-12-24`";
        let year = self.number(4, YEAR_MIN.into(), YEAR_MAX.into(), "year", SHAPE)?;
        self.expect(b'-', SHAPE)?;
        let month = self.number(2, 1, 12, "month", SHAPE)?;
        self.expect(b'-', SHAPE)?;
        let start = self.at;
        let day = self.number(2, 1, 31, "day", SHAPE)?;
        let small = |n: i64| u32::try_from(n).unwrap_or_default();
        let found = NaiveDate::from_ymd_opt(i32::try_from(year).unwrap_or_default(), small(month), small(day));
        found.ok_or_else(|| {
            let month = usize::try_from(month).unwrap_or(1);
            // A day up to 31 is missing from February and from the months of 30 days only.
            let (name, n_days) = (MONTHS[month - 1], if month == 2 { 28 } else { 30 });
            let leap = if month == 2 && day == 29 { format!(" in {year}") } else { String::new() };
            let n_days = if month == 2 && day != 29 { "at most 29".to_owned() } else { n_days.to_string() };
            Fault::new(start, self.at, format!("day {day} does not exist: {name} has {n_days} days{leap}"))
        })
    }

    fn time(&mut self) -> Result<i64, Fault> {
        const SHAPE: &str = "a time such as `18:00` or `18:00:30`";
        let hour = self.number(2, 0, 23, "hour", SHAPE)?;
        self.expect(b':', SHAPE)?;
        let minute = self.number(2, 0, 59, "minute", SHAPE)?;
        let mut micros = (hour * 3_600 + minute * 60) * MICROS;
        if self.accept(b':') {
            micros += self.number(2, 0, 59, "second", SHAPE)? * MICROS;
            if self.accept(b'.') {
                micros += self.fraction()?;
            }
        }
        Ok(micros)
    }

    fn fraction(&mut self) -> Result<i64, Fault> {
        let start = self.at;
        let (mut micros, mut unit) = (0, MICROS / 10);
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            micros += i64::from(digit - b'0') * unit;
            unit /= 10;
            self.at += 1;
        }
        let n_digits = self.at - start;
        if n_digits == 0 || 9 < n_digits {
            return Err(Fault::new(start, self.at.max(start + 1), "a fraction of a second has one to nine digits"));
        }
        Ok(micros)
    }

    fn offset(&mut self) -> Result<Option<i64>, Fault> {
        const SHAPE: &str = "an offset such as `+01:00`";
        let sign = match self.peek() {
            Some(b'Z' | b'z') => {
                self.at += 1;
                return Ok(Some(0));
            }
            Some(b'+') => 1,
            Some(b'-') => -1,
            Some(_) | None => return Ok(None),
        };
        self.at += 1;
        let hours = self.number(2, 0, 23, "hour of the offset", SHAPE)?;
        self.expect(b':', SHAPE)?;
        let minutes = self.number(2, 0, 59, "minute of the offset", SHAPE)?;
        Ok(Some(sign * (hours * 3_600 + minutes * 60)))
    }

    fn bracketed_zone(&mut self) -> Result<Option<(String, usize, usize)>, Fault> {
        if !self.accept(b'[') {
            return Ok(None);
        }
        let start = self.at;
        let Some(length) = self.text[start..].find(']') else {
            return Err(Fault::new(start - 1, self.text.len(), "the `[` is never closed")
                .fix("write the zone as in `2026-12-24T18:00[Europe/Berlin]`"));
        };
        self.at = start + length + 1;
        Ok(Some((self.text[start..start + length].to_owned(), start, start + length)))
    }

    fn expect(&mut self, byte: u8, shape: &str) -> Result<(), Fault> {
        if self.accept(byte) {
            return Ok(());
        }
        Err(self.unexpected(&format!("expected `{}`", char::from(byte)), shape))
    }

    fn number(&mut self, n_digits: usize, low: i64, high: i64, what: &str, shape: &str) -> Result<i64, Fault> {
        let digits = self.text.as_bytes().get(self.at..self.at + n_digits);
        let Some(digits) = digits.filter(|digits| digits.iter().all(u8::is_ascii_digit)) else {
            return Err(self.unexpected(&format!("expected the {what} in {n_digits} digits"), shape));
        };
        let number = digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
        self.at += n_digits;
        if (low..=high).contains(&number) {
            return Ok(number);
        }
        let message = format!("{what} {number} is out of range: {low} to {high}");
        Err(Fault::new(self.at - n_digits, self.at, message))
    }

    fn unexpected(&self, expected: &str, shape: &str) -> Fault {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let found = rest.chars().next().map_or("the end".to_owned(), |c| format!("`{}`", c.escape_debug()));
        let end = self.at + rest.chars().next().map_or(0, char::len_utf8);
        Fault::new(self.at, end, format!("{expected}, found {found}")).fix(format!("write {shape}"))
    }
}
