//! APScheduler's cron fields: `{month: "6-8,11-12", day: "3rd fri", hour: "0-3"}`, read strictly.
//!
//! The language is APScheduler 3's, and what that one accepts by accident is refused: steps on names (silently dropped
//! there), trailing words, blanks around a value, digits of other scripts, `007`, ranges of one value. Weekday 0 is
//! Monday, ranges do not wrap, all fields must hold.

use super::{
    crontext::{Parsed, low_bits, weekday_bits, years},
    days::DaySet,
    fault::{Fault, shown},
    pattern::{ALL_WEEKS, DayRule, Pattern, TimeSet},
    terms::{Field, Piece, Values, YEAR_ITEMS_MAX, bad_step, not_a_value},
    words::{self, Spelling, WEEKDAYS},
};

/// The fields in the order of their significance, with their keys.
pub(crate) const FIELDS: [(&str, Field); 8] = [
    ("year", Field::Year),
    ("month", Field::Month),
    ("day", Field::Day),
    ("week", Field::Week),
    ("day_of_week", Field::Weekday),
    ("hour", Field::Hour),
    ("minute", Field::Minute),
    ("second", Field::Second),
];

/// One field read, or filled in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Read {
    values: Values,
    days: DaySet,
    any: bool,
}

impl Read {
    fn every(field: Field) -> Self {
        let (low, high) = field.range();
        let mut read = Self { any: true, ..Self::default() };
        read.values.add(field, low, high, 1);
        read.finish(field)
    }

    fn lowest(field: Field) -> Self {
        let low = field.range().0;
        let mut read = Self::default();
        read.values.add(field, low, low, 1);
        read.finish(field)
    }

    fn finish(mut self, field: Field) -> Self {
        match field {
            Field::Day => self.days.days |= low_bits(self.values.mask),
            Field::Weekday => self.days.weekdays |= weekday_bits(self.values.mask),
            Field::Year | Field::Month | Field::Week | Field::Hour | Field::Minute | Field::Second => {}
        }
        self
    }
}

/// Puts the fields together: unset ones above the least significant set one are wildcards, those below are lowest.
pub(crate) fn assemble(fields: [Option<Read>; 8]) -> Parsed {
    let least = fields.iter().rposition(Option::is_some).unwrap_or(0);
    let mut index = 0;
    let [year, month, day, week, weekday, hour, minute, second] = fields.map(|read| {
        let (_, field) = FIELDS[index];
        let below = least < index && !matches!(field, Field::Week | Field::Weekday);
        index += 1;
        read.unwrap_or_else(|| if below { Read::lowest(field) } else { Read::every(field) })
    });
    let pattern = Pattern {
        time: TimeSet { hours: low_bits(hour.values.mask), minutes: minute.values.mask, seconds: second.values.mask },
        weeks: week.values.mask & ALL_WEEKS,
        years: years(year.values),
        also: None,
        day: day.days,
        weekday: weekday.days,
        months: u16::try_from(month.values.mask).expect("months end at bit 12"),
        rule: DayRule::Both,
    };
    Parsed { pattern, any_hour: hour.any, any_minute: minute.any }
}

/// Reads five fields as APScheduler's `from_crontab` does: its own language in crontab's order, 0 is Monday.
pub(crate) fn parse_crontab(text: &str) -> Result<Parsed, Fault> {
    let whole = Piece { text, start: 0 };
    if let Some(fault) = whole.non_ascii() {
        return Err(fault);
    }
    let words: Vec<Piece<'_>> = whole.words().take(6).collect();
    let [minute, hour, day, month, weekday] = words[..] else {
        let told = match words.len() {
            1 => "1 field".to_owned(),
            6 => "more than 5 fields".to_owned(),
            n => format!("{n} fields"),
        };
        return Err(whole
            .fault(format!("{told}; with `compat: apscheduler` a cron string has 5"))
            .fix("write minute, hour, day, month, day of the week; or leave out `compat`"));
    };
    let read = |piece: Piece<'_>, field: Field| parse_field(piece, field).map_err(explain_crontab).map(Some);
    Ok(assemble([
        None,
        read(month, Field::Month)?,
        read(day, Field::Day)?,
        None,
        read(weekday, Field::Weekday)?,
        read(hour, Field::Hour)?,
        read(minute, Field::Minute)?,
        None,
    ]))
}

/// Most faults here come from people who copied `compat` along with a real crontab line.
fn explain_crontab(fault: Fault) -> Fault {
    let fix = fault.fix.as_deref().unwrap_or("write it as APScheduler does");
    let fix = format!("{fix}; or leave out `compat: apscheduler` for the rules of cron");
    fault.fix(fix)
}

/// Reads one field.
pub(crate) fn parse_field(piece: Piece<'_>, field: Field) -> Result<Read, Fault> {
    if let Some(fault) = piece.non_ascii() {
        return Err(fault);
    }
    if piece.text.trim() != piece.text {
        return Err(piece.fault("blanks around the value").fix(format!("write `{}`", shown(piece.text.trim()))));
    }
    let mut read = Read::default();
    let mut n_items = 0;
    for item in piece.split(',') {
        n_items += 1;
        if field == Field::Year && YEAR_ITEMS_MAX < n_items {
            return Err(item.fault(format!("more than {YEAR_ITEMS_MAX} years in one list")).fix("write ranges"));
        }
        let item = trimmed(item);
        if field == Field::Day
            && let Some(days) = day_in_words(item)?
        {
            read.days = read.days.union(&days);
            continue;
        }
        read.any |= parse_item(item, field, &mut read.values)?;
    }
    Ok(read.finish(field))
}

/// Blanks may stand around commas.
fn trimmed(item: Piece<'_>) -> Piece<'_> {
    let text = item.text.trim_start_matches(' ');
    Piece { text: text.trim_end_matches(' '), start: item.start + item.text.len() - text.len() }
}

/// Reads `*`, `*/a`, `a`, `a-b`, `a-b/c`, `a/c`; says whether it is a wildcard or an open step.
fn parse_item(item: Piece<'_>, field: Field, values: &mut Values) -> Result<bool, Fault> {
    let (low, high) = field.range();
    let (base, step) = item.split_once('/');
    if base.text == "*" {
        values.add(field, low, high, parse_step(step, high - low, field)?);
        return Ok(true);
    }
    let (first, last) = base.split_once('-');
    let from = value(first, field)?;
    let to = last.map(|last| value(last, field)).transpose()?;
    let named = first.number().is_none() || last.is_some_and(|last| last.number().is_none());
    if named && let Some(step) = step {
        let dropped = Piece { text: &item.text[base.text.len()..], start: base.end() };
        let to = to.unwrap_or(high);
        return Err(dropped
            .fault("a step does not go with names here: APScheduler would drop it silently")
            .fix(format!("write numbers: `{from}-{to}/{}`", shown(step.text))));
    }
    match to {
        None => {
            let step_by = parse_step(step, high - low, field)?;
            values.add(field, from, if step.is_some() { high } else { from }, step_by);
            Ok(step.is_some())
        }
        Some(to) if to < from => {
            let range = |from: u32, to: u32| {
                let (from, to) = (field.value_name(from), field.value_name(to));
                if from == to { from } else { format!("{from}-{to}") }
            };
            let fix = format!("write two items: `{},{}`", range(from, high), range(low, to));
            Err(base.fault(format!("the range `{}` runs backwards", shown(base.text))).fix(fix))
        }
        Some(to) if to == from => {
            let fix = format!("write `{}`", shown(first.text));
            Err(base.fault(format!("the range `{}` holds one value", shown(base.text))).fix(fix))
        }
        Some(to) => {
            values.add(field, from, to, parse_step(step, to - from, field)?);
            Ok(false)
        }
    }
}

fn parse_step(step: Option<Piece<'_>>, widest: u32, field: Field) -> Result<u32, Fault> {
    let Some(step) = step else {
        return Ok(1);
    };
    match step.number() {
        Some(number) if number != 0 && number <= widest && !step.text.starts_with('0') => Ok(number),
        Some(_) | None => Err(bad_step(step, widest, field)),
    }
}

fn value(piece: Piece<'_>, field: Field) -> Result<u32, Fault> {
    if let Some(named) = field.named(piece.text, Spelling::Short) {
        return Ok(named);
    }
    if let Some(full) = field.named(piece.text, Spelling::ShortOrFull) {
        let names: &[&str] = if field == Field::Month { &words::MONTHS } else { &WEEKDAYS };
        let index = usize::try_from(full).unwrap_or_default() - usize::from(field == Field::Month);
        return Err(not_a_value(piece, field).fix(format!("write `{}`", names[index][..3].to_lowercase())));
    }
    let (low, high) = field.range();
    let Some(number) = piece.number() else {
        return Err(not_a_value(piece, field));
    };
    if 2 < piece.text.len() && piece.text.starts_with('0') {
        return Err(piece
            .fault(format!("`{}` has zeros too many", shown(piece.text)))
            .fix(format!("write `{number}`")));
    }
    if !(low..=high).contains(&number) {
        let fault = not_a_value(piece, field);
        let sunday = field == Field::Weekday && number == 7;
        return Err(if sunday { fault.fix("write `sun`: 0 is Monday here, 6 is Sunday") } else { fault });
    }
    Ok(number)
}

/// `last`, `last fri`, `3rd fri`.
fn day_in_words(item: Piece<'_>) -> Result<Option<DaySet>, Fault> {
    const NTH: [&str; 5] = ["1st", "2nd", "3rd", "4th", "5th"];
    let none = DaySet::default();
    if item.text.eq_ignore_ascii_case("last") {
        return Ok(Some(DaySet { from_last: 1, ..none }));
    }
    let (which, weekday) = item.split_once(' ');
    let Some(weekday) = weekday else {
        let looks_like = item.text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("last"));
        if looks_like {
            let message = format!("`{}` is not a day", shown(item.text));
            return Err(item.fault(message).fix("write `last` for the last day, `last fri` for the last Friday"));
        }
        return Ok(None);
    };
    let Some(named) = Field::Weekday.named(weekday.text, Spelling::Short) else {
        return Err(weekday
            .fault(format!("`{}` is not a weekday", shown(weekday.text)))
            .fix(format!("write one of {} after one blank", words::short_names(&WEEKDAYS))));
    };
    let bit = weekday_bits(1 << named);
    if which.text.eq_ignore_ascii_case("last") {
        return Ok(Some(DaySet { last: bit, ..none }));
    }
    let Some(nth) = NTH.iter().position(|nth| which.text.eq_ignore_ascii_case(nth)) else {
        return Err(which
            .fault(format!("`{}` is not which one of the month", shown(which.text)))
            .fix("write 1st, 2nd, 3rd, 4th, 5th or last"));
    };
    let mut days = none;
    days.nth[nth] = bit;
    Ok(Some(days))
}
