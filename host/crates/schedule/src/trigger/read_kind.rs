//! What each kind of trigger holds: the values under `cron`, `every`, `calendar` and `at`.

use std::time::Duration;

use super::{
    calendar::{Calendar, Landing, Overflow},
    cron::Cron,
    crontext::{self, Parsed},
    dst::Dst,
    every::{Every, Mode, PERIOD_MICROS_MIN},
    fieldmap,
    instant::{MICROS, parse_date, parse_time},
    pattern::{DAY, civil_date},
    read::Reader,
    terms::Piece,
};
use crate::{
    diagnostic::Diagnostic,
    manifest::{
        fields::{self, Fields},
        node::{Node, Value},
        scalar::{self, DURATION_MAX},
    },
};

/// Whose rules a cron trigger follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compat {
    Vixie,
    Apscheduler,
}

/// Reads the value of `cron:`, with `compat` and `day_rule` beside it.
///
/// The policy for clock changes follows the spelling, as in Vixie cron: with a wildcard or an open step (`*`, `*/n`,
/// `a/n`, `H/n`) in the hour or the minute, slots follow elapsed time; otherwise the trigger names a fixed time, also
/// where it lists all hours one by one. `compat: apscheduler` always follows the clock on the wall: nothing in a gap,
/// both times in a fold. A written `dst` wins over either.
pub(crate) fn cron(reader: &mut Reader<'_>, fields: &mut Fields<'_>, node: &Node) -> Option<Cron> {
    let words = [("vixie", Compat::Vixie), ("apscheduler", Compat::Apscheduler)];
    let compat = fields.get("compat").map(|node| fields::one_of(node, &words, reader.diagnostics));
    let compat = compat.unwrap_or(Some(Compat::Vixie))?;
    let day_rule = fields.get("day_rule");
    let both_days = match day_rule {
        None => false,
        Some(node) => fields::one_of(node, &[("and", true), ("or", false)], reader.diagnostics)?,
    };
    let parsed = match &node.value {
        Value::Text(text) => {
            let parsed = match compat {
                Compat::Vixie => crontext::parse(text, reader.context.job, both_days),
                Compat::Apscheduler => fieldmap::parse_crontab(text),
            };
            match parsed {
                Ok(parsed) => parsed,
                Err(fault) => return reader.diagnostics.reject(fault.on("trigger.syntax", node)),
            }
        }
        Value::Map(_) => field_map(reader, node)?,
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) => {
            let message = format!("`cron` holds text or a map of fields, not {}", node.kind());
            return reader.reject_with("trigger.value", node.span, message, "write `cron: \"30 2 * * mon-fri\"`");
        }
    };
    let default = match compat {
        Compat::Apscheduler => Dst::ELAPSED,
        Compat::Vixie if parsed.any_hour || parsed.any_minute => Dst::ELAPSED,
        Compat::Vixie => Dst::FIXED_TIME,
    };
    let dst = reader.dst.or(default);
    Some(Cron { pattern: parsed.pattern, zone: reader.zone.clone(), dst, any_hour: parsed.any_hour, merged: None })
}

fn field_map(reader: &mut Reader<'_>, node: &Node) -> Option<Parsed> {
    let n_errors = reader.diagnostics.n_errors();
    let mut map = Fields::open(node, "`cron`", reader.diagnostics)?;
    let mut read = [(); 8].map(|()| None);
    for (slot, (key, field)) in read.iter_mut().zip(fieldmap::FIELDS) {
        let Some(node) = map.get(key) else {
            continue;
        };
        let digits;
        let text = match &node.value {
            Value::Text(text) => text.as_str(),
            Value::Int(number) => {
                digits = number.to_string();
                &digits
            }
            Value::Null | Value::Bool(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => {
                let message = format!("`{key}` holds a number or text, not {}", node.kind());
                reader.diagnostics.push(
                    Diagnostic::error("trigger.value", node.span, message)
                        .fix(format!("write {}, lists as text: \"1,15\"", field.expected())),
                );
                continue;
            }
        };
        match fieldmap::parse_field(Piece { text, start: 0 }, field) {
            Ok(field) => *slot = Some(field),
            Err(fault) => reader.diagnostics.push(fault.on("trigger.syntax", node)),
        }
    }
    map.finish(reader.diagnostics);
    if n_errors < reader.diagnostics.n_errors() {
        return None;
    }
    if read.iter().all(Option::is_none) {
        let fix = "write at least one field, such as `{hour: 3, minute: 30}`; every second is `{second: \"*\"}`";
        return reader.reject_with("trigger.value", node.span, "the map of fields is empty", fix);
    }
    Some(fieldmap::assemble(read))
}

/// Reads the value of `every:`, with `anchor` and `mode` beside or inside it. Where no anchor is written, a `start`
/// is one, as in APScheduler.
pub(crate) fn every(
    reader: &mut Reader<'_>,
    fields: &mut Fields<'_>,
    node: &Node,
    start: Option<i64>,
) -> Option<Every> {
    let (mut anchor, mut mode) = (fields.get("anchor"), fields.get("mode"));
    let period = if node.as_map().is_some() {
        let mut map = Fields::open(node, "`every`", reader.diagnostics)?;
        let period = sum_of_units(reader, &mut map);
        (anchor, mode) = (map.get("anchor").or(anchor), map.get("mode").or(mode));
        map.finish(reader.diagnostics);
        period
    } else {
        scalar::duration(node, reader.diagnostics)
    };
    let anchor = anchor.map(|node| reader.instant(node));
    let words = [("fixed_rate", Mode::FixedRate), ("fixed_delay", Mode::FixedDelay)];
    let mode = mode.map_or(Some(Mode::FixedRate), |node| fields::one_of(node, &words, reader.diagnostics))?;
    let period = period_micros(reader, period?, node)?;
    let anchor = match anchor {
        None => start,
        Some(anchor) => Some(anchor?),
    };
    Some(Every { period, anchor, mode })
}

fn period_micros(reader: &mut Reader<'_>, period: Duration, node: &Node) -> Option<i64> {
    let shortest = Duration::from_micros(PERIOD_MICROS_MIN.unsigned_abs());
    let problem = if period.is_zero() {
        "a period must be longer than zero".to_owned()
    } else if period < shortest {
        format!("a period is at least {}", scalar::show_duration(shortest))
    } else if DURATION_MAX < period {
        "a period is at most a century".to_owned()
    } else if !period.subsec_nanos().is_multiple_of(1_000) {
        "a period is counted in whole microseconds".to_owned()
    } else {
        return i64::try_from(period.as_micros()).ok();
    };
    reader.reject_with("trigger.value", node.span, problem, "write a period such as `500ms`, `30s` or `1h 30m`")
}

/// `{days: 4, hours: 3}`: units may be left out, numbers may have fractions.
fn sum_of_units(reader: &mut Reader<'_>, map: &mut Fields<'_>) -> Option<Duration> {
    const UNITS: [(&str, u64); 6] = [
        ("weeks", 7 * 86_400_000),
        ("days", 86_400_000),
        ("hours", 3_600_000),
        ("minutes", 60_000),
        ("seconds", 1_000),
        ("milliseconds", 1),
    ];
    let mut sum = Some(Duration::ZERO);
    let mut n_units = 0;
    for (key, millis) in UNITS {
        let Some(node) = map.get(key) else {
            continue;
        };
        n_units += 1;
        let unit = Duration::from_millis(millis);
        let part = match &node.value {
            Value::Int(number) => u32::try_from(*number).ok().and_then(|number| unit.checked_mul(number)),
            Value::Float(number) => Duration::try_from_secs_f64(number * unit.as_secs_f64())
                .ok()
                .map(|exact| Duration::from_nanos_u128(exact.as_nanos().div_ceil(1_000).saturating_mul(1_000))),
            Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => None,
        };
        let part = part.filter(|part| *part <= DURATION_MAX);
        if part.is_none() {
            let message = format!("`{key}` is a number of {key} from 0 to a century, not {}", shown_value(node));
            reader.diagnostics.push(Diagnostic::error("trigger.value", node.span, message));
        }
        sum = sum.zip(part).and_then(|(sum, part)| sum.checked_add(part));
    }
    if n_units == 0 {
        let fix = "write `{hours: 6}`, or `every: 6h`";
        return reader.reject_with("trigger.value", map.span(), "the period is empty", fix);
    }
    sum
}

fn shown_value(node: &Node) -> String {
    match &node.value {
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => node.kind().to_owned(),
    }
}

/// Reads the value of `calendar:`. Where no `from` is written, the date of a `start` is it.
pub(crate) fn calendar(reader: &mut Reader<'_>, node: &Node, start: Option<i64>) -> Option<Calendar> {
    const STEPS_MAX: i64 = 10_000;
    let n_errors = reader.diagnostics.n_errors();
    let mut map = Fields::open(node, "`calendar`", reader.diagnostics)?;
    let mut step = |key: &'static str, reader: &mut Reader<'_>| {
        let node = map.get(key)?;
        fields::integer(node, 0..=STEPS_MAX, reader.diagnostics)
    };
    let units = ["years", "months", "weeks", "days"].map(|key| step(key, reader).unwrap_or(0));
    let at = map.get("at").map_or(Some(0), |node| time_of_day(reader, node));
    let from = map.get("from").map(|node| date(reader, node));
    let landing = map.get("day").map_or(Some(Landing::Same), |node| landing(reader, node));
    let words = [("skip", Overflow::Skip), ("clamp", Overflow::Clamp)];
    let overflow = map.get("overflow").map_or(Some(Overflow::Skip), |n| fields::one_of(n, &words, reader.diagnostics));
    map.finish(reader.diagnostics);
    if n_errors < reader.diagnostics.n_errors() {
        return None;
    }
    let [years, months, weeks, days] = units;
    let (months, days) = (years * 12 + months, weeks * 7 + days);
    if months == 0 && days == 0 {
        let fix = "write at least one of years, months, weeks, days, as in `{months: 1, at: \"09:00\"}`";
        return reader.reject_with("trigger.value", node.span, "a calendar step is at least a day", fix);
    }
    let landing = landing?;
    if landing != Landing::Same && (months == 0 || days != 0) {
        let fix = "leave out `day`, or step by months or years alone";
        return reader.reject_with("trigger.value", node.span, "`day` does not go with steps of days or weeks", fix);
    }
    let zone = reader.zone.clone();
    let local_date = |at: i64| {
        let second = at.div_euclid(MICROS);
        civil_date((second + zone.offset_at(second)).div_euclid(DAY))
    };
    let from = match from {
        Some(from) => Some(from?),
        None => start.and_then(local_date),
    };
    let (at, overflow, dst) = (at?, overflow?, reader.dst.or(Dst::FIXED_TIME));
    Some(Calendar { zone, from, at, months, days, landing, overflow, dst })
}

fn time_of_day(reader: &mut Reader<'_>, node: &Node) -> Option<i64> {
    let Some(text) = node.as_text() else {
        let message = format!("expected a time of day in quotes, found {}", node.kind());
        return reader.reject_with("trigger.value", node.span, message, "write `at: \"09:00\"`");
    };
    match parse_time(text) {
        Ok(micros) if micros % MICROS == 0 => Some(micros / MICROS),
        Ok(_) => {
            reader.reject_with("trigger.value", node.span, "a time of day has whole seconds", "write \"09:00:30\"")
        }
        Err(fault) => reader.diagnostics.reject(fault.on("trigger.syntax", node)),
    }
}

fn date(reader: &mut Reader<'_>, node: &Node) -> Option<chrono::NaiveDate> {
    let text = fields::text(node, reader.diagnostics)?;
    match parse_date(text) {
        Ok(date) => Some(date),
        Err(fault) => reader.diagnostics.reject(fault.on("trigger.syntax", node)),
    }
}

fn landing(reader: &mut Reader<'_>, node: &Node) -> Option<Landing> {
    match &node.value {
        Value::Text(text) if text == "last" => Some(Landing::Last),
        Value::Int(day) if (1..=31).contains(day) => u32::try_from(*day).ok().map(Landing::Day),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::List(_)
        | Value::Map(_) => reader.reject("trigger.value", node.span, "`day` is a number from 1 to 31, or `last`"),
    }
}

/// Reads the value of `at:`: one instant or a list of them, in microseconds, sorted.
pub(crate) fn at(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<i64>> {
    let dst = reader.dst.or(Dst::FIXED_TIME);
    let items = node.as_one_or_many();
    if items.is_empty() {
        return reader.reject_with("trigger.value", node.span, "the list of instants is empty", "write at least one");
    }
    let read: Vec<Option<Vec<i64>>> = items.iter().map(|item| reader.instants(item, dst)).collect();
    let mut instants: Vec<i64> = read.into_iter().collect::<Option<Vec<_>>>()?.concat();
    instants.sort_unstable();
    instants.dedup();
    Some(instants)
}
