//! Cron strings of five, six or seven fields: what Vixie cron, Quartz and Jenkins accept, with strict errors.
//!
//! Decisions where those differ. Sunday is 0 and 7, as in Vixie cron (Quartz counts from Sunday = 1; names are the same
//! everywhere). With both day fields restricted either of them is enough, and a field that begins with `*` or `?` does
//! not count as restricted. Ranges wrap. A step may not be larger than its range, which other readers take for "once".
//! A lone `L` as the day of the week, which Quartz reads as Saturday and others as "last", is refused.

use super::{
    days::DaySet,
    fault::{Fault, shown},
    pattern::{ALL_WEEKS, DayRule, Pattern, TimeSet, Years},
    terms::{Field, Piece, Values, YEAR_ITEMS_MAX, bad_step, not_a_value},
    words::Spelling,
};
use crate::id::fnv1a;

/// A pattern with what the policy for clock changes needs to know of its spelling.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parsed {
    pub(crate) pattern: Pattern,
    /// Whether the hour is a wildcard or a step.
    pub(crate) any_hour: bool,
    /// Whether the minute is a wildcard or a step.
    pub(crate) any_minute: bool,
}

/// One field read.
#[derive(Clone, Debug, Default)]
struct Read {
    values: Values,
    days: DaySet,
    /// Begins with `*` or `?`.
    starred: bool,
    /// Holds a wildcard or an open step.
    any: bool,
}

const DAY_FIELDS_5: [Field; 5] = [Field::Minute, Field::Hour, Field::Day, Field::Month, Field::Weekday];

/// Reads a cron string; `job` is hashed for `H`.
pub(crate) fn parse(text: &str, job: &str, both_days: bool) -> Result<Parsed, Fault> {
    let whole = Piece { text, start: 0 };
    if let Some(fault) = whole.non_ascii() {
        return Err(fault);
    }
    let words: Vec<Piece<'_>> = whole.words().take(9).collect();
    let Some(first) = words.first() else {
        return Err(whole.fault("the cron string is empty").fix("write five fields, such as `30 2 * * mon-fri`"));
    };
    if first.text.starts_with('@') {
        return macro_of(*first, words.get(1).copied(), job);
    }
    if let Some((name, zone)) = first.text.split_once('=') {
        return Err(assignment(*first, name, zone));
    }
    fields_of(&words, whole, job, both_days)
}

fn fields_of(words: &[Piece<'_>], whole: Piece<'_>, job: &str, both_days: bool) -> Result<Parsed, Fault> {
    let (second, five, year) = match words {
        [_, _, _, _, _] => (None, words, None),
        [second, five @ ..] if five.len() == 5 => (Some(*second), five, None),
        [second, five @ .., year] if five.len() == 5 => (Some(*second), five, Some(*year)),
        _ => return Err(wrong_count(words, whole)),
    };
    let mut plus = false;
    let mut read = |field: Field, piece: Piece<'_>| {
        let mut piece = piece;
        if field == Field::Weekday && piece.text.starts_with('+') {
            (plus, piece) = (true, Piece { text: &piece.text[1..], start: piece.start + 1 });
        }
        read_field(piece, field, job)
    };
    let second = second.map(|piece| read(Field::Second, piece)).transpose()?;
    let mut fields = [(); 5].map(|()| Read::default());
    for ((slot, piece), field) in fields.iter_mut().zip(five).zip(DAY_FIELDS_5) {
        *slot = read(field, *piece)?;
    }
    let year = year.map(|piece| read(Field::Year, piece)).transpose()?;
    let [minute, hour, day, month, weekday] = fields;
    let both = both_days || plus || day.starred || weekday.starred;
    let time = TimeSet {
        hours: u32::try_from(hour.values.mask).expect("hours end at bit 23"),
        minutes: minute.values.mask,
        seconds: second.map_or(1, |second| second.values.mask),
    };
    let pattern = Pattern {
        time,
        weeks: ALL_WEEKS,
        years: years(year.unwrap_or_default().values),
        also: None,
        day: day.days,
        weekday: weekday.days,
        months: u16::try_from(month.values.mask).expect("months end at bit 12"),
        rule: if both { DayRule::Both } else { DayRule::Either },
    };
    Ok(Parsed { pattern, any_hour: hour.any, any_minute: minute.any })
}

/// The ranges of years; none where every year is meant.
pub(crate) fn years(values: Values) -> Box<[Years]> {
    if values.is_full(Field::Year) {
        return Box::default();
    }
    let small = |year: u32| i32::try_from(year).expect("years end at 9999");
    let mut years: Vec<Years> = values
        .years
        .into_iter()
        .map(|(first, last, step)| Years { first: small(first), last: small(last), step: small(step) })
        .collect();
    years.sort_unstable();
    years.dedup();
    years.into()
}

fn wrong_count(words: &[Piece<'_>], whole: Piece<'_>) -> Fault {
    let message = match words.len() {
        1 => "1 field; a cron string has 5, 6 or 7".to_owned(),
        n @ 0..=4 => format!("{n} fields; a cron string has 5, 6 or 7"),
        8 => "8 fields; a cron string has 5, 6 or 7".to_owned(),
        _ => "more than 8 fields; a cron string has 5, 6 or 7".to_owned(),
    };
    let start = words.get(7).map_or(whole.start, |eighth| eighth.start);
    Fault::new(start, whole.end(), message).fix(
        "write minute, hour, day of the month, month, day of the week; a sixth field before them is the second, a \
         seventh after them the year; what a crontab line runs goes into `call:`",
    )
}

fn assignment(word: Piece<'_>, name: &str, zone: &str) -> Fault {
    let zone = shown(zone);
    if name.eq_ignore_ascii_case("TZ") || name.eq_ignore_ascii_case("CRON_TZ") {
        return word
            .fault(format!("`{}=` does not belong into the cron string", shown(name)))
            .fix(format!("write `timezone: {zone}` beside `cron:`"));
    }
    word.fault(format!("`{}` is not a cron field", shown(word.text))).fix("write five fields, such as `30 2 * * *`")
}

fn macro_of(word: Piece<'_>, next: Option<Piece<'_>>, job: &str) -> Result<Parsed, Fault> {
    let fields = match word.text.to_ascii_lowercase().as_str() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        "@reboot" => {
            return Err(word
                .fault("`@reboot` is not a time")
                .fix("write `run_on_start: true` on the job instead of this trigger"));
        }
        "@every" => {
            let period = next.map_or("5m".to_owned(), |period| shown(period.text));
            return Err(word.fault("`@every` is a trigger of its own").fix(format!("write `every: {period}`")));
        }
        _ => {
            const KNOWN: [&str; 7] = ["@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"];
            let fault = word.fault(format!("`{}` is not known", shown(word.text)));
            return Err(match crate::diagnostic::did_you_mean(&shown(word.text), KNOWN) {
                Some(near) => fault.fix(format!("did you mean `{near}`?")),
                None => fault.fix(format!("write one of {}", KNOWN.join(", "))),
            });
        }
    };
    match next {
        None => parse(fields, job, false),
        Some(next) => Err(next.fault(format!("nothing may follow `{}`", word.text)).fix("remove it")),
    }
}

fn read_field(piece: Piece<'_>, field: Field, job: &str) -> Result<Read, Fault> {
    let mut read = Read { starred: piece.text.starts_with(['*', '?']), ..Read::default() };
    let mut n_items = 0;
    for item in piece.split(',') {
        n_items += 1;
        if field == Field::Year && YEAR_ITEMS_MAX < n_items {
            return Err(item.fault(format!("more than {YEAR_ITEMS_MAX} years in one list")).fix("write ranges"));
        }
        let special = match field {
            Field::Day => special_day(item)?,
            Field::Weekday => special_weekday(item)?,
            Field::Year | Field::Month | Field::Week | Field::Hour | Field::Minute | Field::Second => None,
        };
        match special {
            Some(days) => read.days = read.days.union(&days),
            None => read.any |= read_item(item, field, job, &mut read.values)?,
        }
    }
    match field {
        Field::Day => read.days.days |= low_bits(read.values.mask),
        Field::Weekday => read.days.weekdays |= weekday_bits(read.values.mask),
        Field::Year | Field::Month | Field::Week | Field::Hour | Field::Minute | Field::Second => {}
    }
    Ok(read)
}

/// Bits 0 to 31.
pub(crate) fn low_bits(mask: u64) -> u32 {
    u32::try_from(mask & u64::from(u32::MAX)).expect("masked to 32 bits")
}

/// Bits 0 to 6.
pub(crate) fn weekday_bits(mask: u64) -> u8 {
    u8::try_from(mask & 0x7f).expect("masked to 7 bits")
}

/// Reads `*`, `a`, `a-b`, `H`, `H(a-b)`, each with an optional step; says whether it is a wildcard or an open step.
fn read_item(item: Piece<'_>, field: Field, job: &str, values: &mut Values) -> Result<bool, Fault> {
    let (base, step) = item.split_once('/');
    let (low, high) = field.range();
    let in_day_field = matches!(field, Field::Day | Field::Weekday);
    if base.text == "?" && !in_day_field {
        let fix = "`?` stands in the day fields only; write `*`";
        return Err(base.fault(format!("`?` may not stand for the {}", field.name())).fix(fix));
    }
    if base.text == "*" || base.text == "?" {
        add_open(values, field, (low, high), read_step(step, high - low, field)?);
        return Ok(true);
    }
    if base.text.starts_with(['H', 'h']) && field.named(base.text, Spelling::ShortOrFull).is_none() {
        return hashed(base, step, field, job, values);
    }
    let (first, last) = base.split_once('-');
    let from = value(first, field)?;
    let Some(last) = last else {
        let step_by = read_step(step, high - low, field)?;
        match step {
            // Steps go on to the end of the week as cron counts it, which is Saturday.
            Some(_) if field == Field::Weekday => add_open(values, field, ((from + 1) % 7, high), step_by),
            Some(_) => add_open(values, field, (from, high), step_by),
            None => values.add(field, from, from, 1),
        }
        return Ok(step.is_some());
    };
    let to = value(last, field)?;
    wrapped(base, (from, to), step, field, values)?;
    Ok(false)
}

/// Adds the values from one on in steps. Days of the week count from Sunday here, as cron's numbers do.
fn add_open(values: &mut Values, field: Field, (from, high): (u32, u32), step: u32) {
    if field != Field::Weekday {
        values.add(field, from, high, step);
        return;
    }
    let mut sunday_based = Values::default();
    sunday_based.add(field, from, high, step);
    values.mask |= (sunday_based.mask >> 1 | sunday_based.mask << 6) & 0x7f;
}

/// Adds `a-b`, which runs over the end of the field where `b` is less than `a`.
fn wrapped(
    base: Piece<'_>,
    (from, to): (u32, u32),
    step: Option<Piece<'_>>,
    field: Field,
    values: &mut Values,
) -> Result<(), Fault> {
    let (low, high) = field.range();
    let size = high - low + 1;
    if to < from && field == Field::Year {
        return Err(base.fault(format!("the years run backwards from {from} to {to}")).fix("write the earlier first"));
    }
    let length = match (field, base.text) {
        // From Sunday to Sunday: the one range whose ends are the same day and that means the whole week.
        (Field::Weekday, "0-7") => 6,
        _ if from <= to => to - from,
        _ => to + size - from,
    };
    let step = read_step(step, length, field)?;
    if field == Field::Year {
        values.add(field, from, to, step);
        return Ok(());
    }
    let mut done = 0;
    while done <= length {
        values.mask |= 1 << ((from - low + done) % size + low);
        done += step;
    }
    Ok(())
}

fn read_step(step: Option<Piece<'_>>, widest: u32, field: Field) -> Result<u32, Fault> {
    let Some(step) = step else {
        return Ok(1);
    };
    match step.number() {
        Some(number) if number != 0 && number <= widest => Ok(number),
        Some(_) | None => Err(bad_step(step, widest, field)),
    }
}

/// A number or a name. Weekdays are turned here from cron's numbers, in which Sunday is 0 and 7, to Monday = 0.
fn value(piece: Piece<'_>, field: Field) -> Result<u32, Fault> {
    if let Some(named) = field.named(piece.text, Spelling::ShortOrFull) {
        return Ok(named);
    }
    let (low, high) = field.range();
    let number = piece.number().filter(|_| piece.text.len() <= 4);
    match number {
        Some(number @ 1..=7) if field == Field::Weekday => Ok(number - 1),
        Some(0) if field == Field::Weekday => Ok(6),
        Some(number) if field != Field::Weekday && (low..=high).contains(&number) => Ok(number),
        Some(_) if field == Field::Weekday => Err(piece
            .fault(format!("{} is out of range for the day of the week: 0 to 7, Sunday is both", shown(piece.text)))
            .fix("write a name such as `mon`; a year needs seven fields, of which the first is the second")),
        Some(_) | None => Err(misread(piece, field)),
    }
}

fn misread(piece: Piece<'_>, field: Field) -> Fault {
    let fault = not_a_value(piece, field);
    if piece.text.starts_with(['+', '-']) || piece.text.contains(['#', 'L', 'W']) {
        return fault;
    }
    let names: &[&str] = match field {
        Field::Month => &super::words::MONTHS,
        Field::Weekday => &super::words::WEEKDAYS,
        Field::Year | Field::Day | Field::Week | Field::Hour | Field::Minute | Field::Second => &[],
    };
    match crate::diagnostic::did_you_mean(&shown(piece.text), names.iter().copied()) {
        Some(near) if piece.number().is_none() => Fault { fix: Some(format!("did you mean `{near}`?")), ..fault },
        Some(_) | None => fault,
    }
}

/// `H`, `H(a-b)`, `H/n`, `H(a-b)/n`: a value that the job's id picks, the same one always.
fn hashed(
    base: Piece<'_>,
    step: Option<Piece<'_>>,
    field: Field,
    job: &str,
    values: &mut Values,
) -> Result<bool, Fault> {
    let (mut low, mut high) = match field {
        // Every month has these days.
        Field::Day => (1, 28),
        Field::Year => return Err(base.fault("`H` cannot pick a year").fix("write the year")),
        Field::Month | Field::Week | Field::Weekday | Field::Hour | Field::Minute | Field::Second => field.range(),
    };
    let rest = Piece { text: &base.text[1..], start: base.start + 1 };
    if !rest.text.is_empty() {
        let inner = rest.text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
        let Some((first, Some(last))) = inner.map(|text| Piece { text, start: rest.start + 1 }.split_once('-')) else {
            return Err(base
                .fault(format!("`{}` is not a {}", shown(base.text), field.name()))
                .fix("write `H`, `H(0-15)` or `H/15` for a value that the job's id picks"));
        };
        (low, high) = (value(first, field)?, value(last, field)?);
        if high < low {
            return Err(rest.fault("the range runs backwards").fix("write the lower value first"));
        }
        high = high.min(field.range().1);
    }
    let has_step = step.is_some();
    let width = if has_step { read_step(step, high - low, field)? } else { high - low + 1 };
    // Fields of one job are hashed apart, so that `H H` does not always pick equal shares.
    let picked = fnv1a(job.as_bytes(), u64::from(field.range().1) << 8 | u64::from(field == Field::Second));
    let picked = low + u32::try_from(picked % u64::from(width)).expect("less than the width of a field");
    values.add(field, picked, if has_step { high } else { picked }, width);
    Ok(has_step)
}

/// `L`, `L-3`, `LW`, `15W`.
fn special_day(item: Piece<'_>) -> Result<Option<DaySet>, Fault> {
    let upper = item.text.to_ascii_uppercase();
    let piece_after = |n_bytes: usize| Piece { text: &item.text[n_bytes..], start: item.start + n_bytes };
    let none = DaySet::default();
    if upper == "L" {
        return Ok(Some(DaySet { from_last: 1, ..none }));
    }
    if upper == "LW" || upper == "WL" {
        return Ok(Some(DaySet { nearest_last: true, ..none }));
    }
    if upper.starts_with("L-") {
        let before = piece_after(2);
        return match before.number() {
            Some(n_days @ 1..=30) => Ok(Some(DaySet { from_last: 1 << n_days, ..none })),
            Some(_) | None => {
                Err(before.fault("after `L-` stands a number of days from 1 to 30").fix("write `L-3`, for example"))
            }
        };
    }
    if let Some(day) = upper.strip_suffix('W') {
        let day = Piece { text: &item.text[..day.len()], ..item };
        return match day.number() {
            Some(day @ 1..=31) => Ok(Some(DaySet { nearest: 1 << day, ..none })),
            Some(_) | None => Err(item
                .fault(format!("`{}` is not a nearest working day", shown(item.text)))
                .fix("write one day before the `W`, as in `15W`")),
        };
    }
    Ok(None)
}

/// `fri#3`, `5#3`, `friL`, `5L`.
fn special_weekday(item: Piece<'_>) -> Result<Option<DaySet>, Fault> {
    let none = DaySet::default();
    let bit = |weekday: u32| weekday_bits(1 << (weekday % 7));
    if let (weekday, Some(nth)) = item.split_once('#') {
        let weekday = bit(value(weekday, Field::Weekday)?);
        return match nth.number() {
            Some(number @ 1..=5) if nth.text.len() == 1 => {
                let mut days = none;
                let index = usize::try_from(number - 1).expect("0 to 4");
                days.nth[index] = weekday;
                Ok(Some(days))
            }
            _ if nth.text.eq_ignore_ascii_case("L") => Ok(Some(DaySet { last: weekday, ..none })),
            Some(_) | None => Err(nth
                .fault("after `#` stands which one of the month: 1 to 5")
                .fix("write `fri#3` for the third Friday, `friL` for the last one")),
        };
    }
    let Some(name) = item.text.strip_suffix(['L', 'l']) else {
        return Ok(None);
    };
    if name.is_empty() {
        return Err(item
            .fault("a lone `L` as the day of the week means different days in different programs")
            .fix("write `sat` for Saturdays, or `friL` for the last Friday of the month"));
    }
    let weekday = Piece { text: name, ..item };
    Ok(Some(DaySet { last: bit(value(weekday, Field::Weekday)?), ..none }))
}
