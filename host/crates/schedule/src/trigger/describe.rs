//! Triggers in plain English: `At 02:30, Monday to Friday, Europe/Berlin`.
//!
//! The words are made from what was compiled, not from what was written, so they say what will happen.

use std::time::Duration;

use chrono::{DateTime, Datelike, Utc};

use super::{
    calendar::{Calendar, Landing, Overflow},
    check::{Effect, Touched, time_of, wall_clock},
    cron::Cron,
    days::{ALL_WEEKDAYS, DaySet, bits, bits_of},
    every::{Every, Mode},
    pattern::{ALL_WEEKS, DAY, DayRule, Pattern, TimeSet, YEAR_MAX, civil_date},
    rule::{Basis, Rule, Trigger},
    words::{MONTHS, WEEKDAYS},
};
use crate::manifest::scalar::show_duration;

/// Most times of day that are listed one by one.
const TIMES_LISTED_MAX: usize = 6;

/// Most instants and children that are listed.
const ITEMS_LISTED_MAX: usize = 4;

const ORDINALS: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];

impl Trigger {
    /// The trigger in plain English.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut told = match &self.rule {
            Rule::Cron(cron) => cron_in_words(cron),
            Rule::Every(every) => every_in_words(every, self),
            Rule::Calendar(calendar) => calendar_in_words(calendar),
            Rule::At(instants) => at_in_words(instants, self),
            Rule::Any(children) => format!("Any of: {}", children_in_words(children)),
            Rule::All(all) => format!("All of: {}", children_in_words(&all.children)),
        };
        if self.start != i64::MIN && !matches!(self.rule, Rule::At(_)) {
            told.push_str(&format!("; from {}", wall_clock(self.start, &self.zone)));
        }
        if self.end != i64::MAX {
            told.push_str(&format!("; until {}", wall_clock(self.end, &self.zone)));
        }
        if let Some(except) = &self.except {
            let mut left_out = Vec::new();
            if except.weekdays != 0 {
                left_out.push(listed(bits(except.weekdays.into()).map(|day| weekday_name(day).to_owned()).collect()));
            }
            let n_dates: i64 = except.dates.iter().map(|(first, last)| last - first + 1).sum();
            match n_dates {
                0 => {}
                1 => left_out.extend(except.dates.first().and_then(|(day, _)| civil_date(*day)).map(|d| d.to_string())),
                _ => left_out.push(format!("{n_dates} dates")),
            }
            left_out.extend(except.triggers.iter().take(ITEMS_LISTED_MAX).map(|trigger| lower(&trigger.describe())));
            if ITEMS_LISTED_MAX < except.triggers.len() {
                left_out.push(format!("{} more", except.triggers.len() - ITEMS_LISTED_MAX));
            }
            told.push_str(&format!("; except {}", listed(left_out)));
        }
        if let Some(jitter) = self.jitter {
            told.push_str(&format!("; up to {} later", show_duration(micros(jitter.max_micros))));
        }
        told
    }

    /// The trigger in plain English, with what the next clock change does to it.
    ///
    /// `At 02:30, Monday to Sunday, Europe/Berlin; runs at 03:00 on 28 March 2027, when 02:30 does not exist`
    #[must_use]
    pub fn describe_from(&self, now: DateTime<Utc>, basis: &Basis) -> String {
        let mut told = self.describe();
        let mut touched = self.leaves_and_nodes().flat_map(|leaf| leaf.touched(now.timestamp(), basis));
        let matters = |touched: &Touched| match touched.effect {
            Effect::RunsAfterGap | Effect::NotAtAll | Effect::Twice => true,
            Effect::FirstOnly | Effect::SecondOnly => false,
        };
        if let Some(touched) = touched.find(matters) {
            told.push_str(&format!("; {}", touched_in_words(&touched)));
        }
        told
    }
}

fn touched_in_words(touched: &Touched) -> String {
    let (time, day) = (time_of(touched.local), long_date(touched.local));
    match touched.effect {
        Effect::RunsAfterGap => {
            format!("runs at {} on {day}, when {time} does not exist", time_of(touched.resumes))
        }
        Effect::NotAtAll => format!("does not run on {day}, when {time} does not exist"),
        Effect::Twice => format!("runs twice on {day}, when {time} happens twice"),
        Effect::FirstOnly => format!("runs the first time on {day}, when {time} happens twice"),
        Effect::SecondOnly => format!("runs the second time on {day}, when {time} happens twice"),
    }
}

fn long_date(local: i64) -> String {
    civil_date(local.div_euclid(DAY))
        .map_or_else(String::new, |date| format!("{} {} {}", date.day(), month_name(date.month()), date.year()))
}

fn micros(micros: i64) -> Duration {
    Duration::from_micros(micros.unsigned_abs())
}

fn month_name(month: u32) -> &'static str {
    usize::try_from(month).ok().and_then(|month| MONTHS.get(month.checked_sub(1)?)).copied().unwrap_or("")
}

fn weekday_name(weekday: u32) -> &'static str {
    usize::try_from(weekday).ok().and_then(|weekday| WEEKDAYS.get(weekday)).copied().unwrap_or("")
}

/// With a small first letter, for the middle of a sentence.
fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// `a, b and c`.
fn listed(mut items: Vec<String>) -> String {
    let Some(last) = items.pop() else {
        return String::new();
    };
    if items.is_empty() { last } else { format!("{} and {last}", items.join(", ")) }
}

/// Numbers with runs of three and more as ranges.
fn runs(values: impl Iterator<Item = u32>, name: impl Fn(u32) -> String) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for value in values {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == value => *last = value,
            Some(_) | None => ranges.push((value, value)),
        }
    }
    let mut items = Vec::new();
    for (first, last) in ranges {
        match last - first {
            0 => items.push(name(first)),
            1 => items.extend([name(first), name(last)]),
            _ => items.push(format!("{} to {}", name(first), name(last))),
        }
    }
    listed(items)
}

/// The step of a mask that goes from its field's start to its end in equal steps.
fn step_of(mask: u64, n_values: u32) -> Option<u32> {
    let mut values = bits_of(mask);
    let (first, second) = (values.next()?, values.next()?);
    let step = second - first;
    let all = (0..n_values).step_by(usize::try_from(step).ok()?);
    (first == 0 && 1 < step && bits_of(mask).eq(all)).then_some(step)
}

fn cron_in_words(cron: &Cron) -> String {
    let mut pattern = &cron.pattern;
    let mut days = Vec::new();
    loop {
        days.extend(days_in_words(pattern));
        match &pattern.also {
            Some(also) => pattern = also,
            None => break,
        }
    }
    let mut told = times_in_words(cron.pattern.time);
    if days.is_empty() && told.starts_with("At ") && told.contains(':') {
        days.push("every day".to_owned());
    }
    for part in days {
        told.push_str(", ");
        told.push_str(&part);
    }
    format!("{told}, {}", cron.zone.name())
}

fn times_in_words(time: TimeSet) -> String {
    let n_times = time.hours.count_ones() * time.minutes.count_ones() * time.seconds.count_ones();
    if usize::try_from(n_times).is_ok_and(|n_times| n_times <= TIMES_LISTED_MAX) {
        let mut times = Vec::new();
        for hour in bits(time.hours) {
            for minute in bits_of(time.minutes) {
                times.extend(
                    bits_of(time.seconds).map(|second| time_of(i64::from(hour * 3_600 + minute * 60 + second))),
                );
            }
        }
        return format!("At {}", listed(times));
    }
    if let Some(told) = stretch_in_words(time) {
        return told;
    }
    let every_minute = time.minutes == (1 << 60) - 1;
    let every_hour = time.hours == (1 << 24) - 1;
    let seconds = match step_of(time.seconds, 60) {
        _ if time.seconds == 1 => None,
        _ if time.seconds == (1 << 60) - 1 => Some("every second".to_owned()),
        Some(step) => Some(format!("every {step} seconds")),
        None => Some(format!("at second {}", runs(bits_of(time.seconds), |n| n.to_string()))),
    };
    let minutes = match step_of(time.minutes, 60) {
        _ if every_minute && seconds.is_some() => None,
        _ if every_minute => Some("every minute".to_owned()),
        _ if time.minutes == 1 && every_hour && seconds.is_none() => return "Every hour".to_owned(),
        Some(step) => Some(format!("every {step} minutes")),
        None => Some(format!("at minute {}", runs(bits_of(time.minutes), |n| n.to_string()))),
    };
    let hours = match step_of(time.hours.into(), 24) {
        _ if every_hour && every_minute => None,
        _ if every_hour => step_of(time.minutes, 60).is_none().then(|| "of every hour".to_owned()),
        Some(step) => Some(format!("of every {}", ordinal_number(step) + " hour")),
        None => Some(format!("during the hours {}", runs(bits(time.hours), |n| n.to_string()))),
    };
    let sentence = [seconds, minutes, hours].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let mut chars = sentence.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// `Every 5 minutes from 09:00 to 17:55`: minutes in equal steps, through hours that follow on each other.
fn stretch_in_words(time: TimeSet) -> Option<String> {
    let (first, last) = (bits(time.hours).next()?, bits(time.hours).last()?);
    let one_run = bits(time.hours).eq(first..=last) && first < last && last - first < 23;
    let period = match (time.minutes.count_ones(), step_of(time.minutes, 60)) {
        (1, _) => "hour".to_owned(),
        (60, _) => "minute".to_owned(),
        (_, step) => format!("{} minutes", step?),
    };
    let minute = |minute: Option<u32>| i64::from(minute.unwrap_or(0)) * 60;
    let from = i64::from(first) * 3_600 + minute(bits_of(time.minutes).next());
    let to = i64::from(last) * 3_600 + minute(bits_of(time.minutes).last());
    (one_run && time.seconds == 1).then(|| format!("Every {period} from {} to {}", time_of(from), time_of(to)))
}

fn ordinal_number(n: u32) -> String {
    let ending = match (n % 10, n % 100) {
        (1, 1) | (1, 21..) => "st",
        (2, 2) | (2, 22..) => "nd",
        (3, 3) | (3, 23..) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}

fn days_in_words(pattern: &Pattern) -> Vec<String> {
    let mut told = Vec::new();
    let (day, weekday) = (&pattern.day, &pattern.weekday);
    match (day.is_every_day(), weekday.is_every_day(), pattern.rule) {
        (true, true, _) => {}
        (_, _, DayRule::Either) => told.push(format!("{} or {}", set_in_words(day), set_in_words(weekday))),
        (false, true, DayRule::Both) => told.push(set_in_words(day)),
        (true, false, DayRule::Both) => told.push(set_in_words(weekday)),
        (false, false, DayRule::Both) => {
            told.push(format!("{} if that is {}", set_in_words(day), set_in_words(weekday)));
        }
    }
    if pattern.months != 0b1_1111_1111_1110 {
        told.push(format!("in {}", runs(bits(pattern.months.into()), |month| month_name(month).to_owned())));
    }
    if pattern.weeks != ALL_WEEKS {
        told.push(format!("in ISO week {}", runs(bits_of(pattern.weeks), |week| week.to_string())));
    }
    if !pattern.years.is_empty() {
        let years = pattern.years.iter().take(ITEMS_LISTED_MAX).map(|years| {
            match (years.first == years.last, years.last == YEAR_MAX, years.step) {
                (true, _, _) => years.first.to_string(),
                (false, true, 1) => format!("{} and later", years.first),
                (false, true, step) => format!("every {step} years from {}", years.first),
                (false, false, 1) => format!("{} to {}", years.first, years.last),
                (false, false, step) => format!("every {step} years from {} to {}", years.first, years.last),
            }
        });
        let stepped = pattern.years.iter().any(|years| years.step != 1 && years.first != years.last);
        let years = listed(years.collect());
        told.push(if stepped { years } else { format!("in {years}") });
    }
    told
}

fn set_in_words(set: &DaySet) -> String {
    let mut told = Vec::new();
    if set.weekdays != 0 {
        told.push(weekdays_in_words(set.weekdays));
    }
    if set.days != 0 {
        told.push(format!("on day {} of the month", runs(bits(set.days), |day| day.to_string())));
    }
    for before in bits(set.from_last) {
        told.push(match before {
            0 => "on the last day of the month".to_owned(),
            1 => "1 day before the last of the month".to_owned(),
            _ => format!("{before} days before the last of the month"),
        });
    }
    for day in bits(set.nearest) {
        told.push(format!("on the working day nearest to the {}", ordinal_number(day)));
    }
    if set.nearest_last {
        told.push("on the last working day of the month".to_owned());
    }
    for (weekdays, ordinal) in set.nth.iter().zip(ORDINALS) {
        told.extend(bits((*weekdays).into()).map(|day| format!("on the {ordinal} {} of the month", weekday_name(day))));
    }
    told.extend(bits(set.last.into()).map(|day| format!("on the last {} of the month", weekday_name(day))));
    listed(told)
}

/// `Monday to Friday`; a run over the end of the week is one run: `Saturday to Monday`.
fn weekdays_in_words(weekdays: u8) -> String {
    if weekdays == ALL_WEEKDAYS {
        return "every day".to_owned();
    }
    // Begin after a day that is missing, so that a run over Sunday stays whole; Monday first where it can be.
    let missing = (0..7).rev().find(|day| weekdays >> day & 1 == 0).unwrap_or(6);
    let begin = if weekdays & 1 == 1 && weekdays >> 6 & 1 == 0 { 0 } else { missing + 1 };
    let days = (begin..begin + 7).filter(|day| weekdays >> (day % 7) & 1 == 1);
    runs(days, |day| weekday_name(day % 7).to_owned())
}

fn every_in_words(every: &Every, trigger: &Trigger) -> String {
    let period = show_duration(micros(every.period));
    match (every.mode, every.anchor) {
        (Mode::FixedRate, None) => format!("Every {period} since the job was first seen"),
        (Mode::FixedRate, Some(anchor)) if anchor == trigger.start => format!("Every {period}"),
        (Mode::FixedRate, Some(anchor)) => {
            format!("Every {period}, counted from {} {}", wall_clock(anchor, &trigger.zone), trigger.zone.name())
        }
        (Mode::FixedDelay, _) => format!("{period} after the end of the last run"),
    }
}

fn calendar_in_words(calendar: &Calendar) -> String {
    let mut steps = Vec::new();
    let mut step = |n: i64, unit: &str| match n {
        0 => {}
        1 => steps.push(unit.to_owned()),
        _ => steps.push(format!("{n} {unit}s")),
    };
    let (years, months) = if calendar.months % 12 == 0 { (calendar.months / 12, 0) } else { (0, calendar.months) };
    let (weeks, days) = if calendar.days % 7 == 0 { (calendar.days / 7, 0) } else { (0, calendar.days) };
    step(years, "year");
    step(months, "month");
    step(weeks, "week");
    step(days, "day");
    let landing = match calendar.landing {
        Landing::Same => String::new(),
        Landing::Day(day) => format!(" on day {day}"),
        Landing::Last => " on the last day".to_owned(),
    };
    let from = calendar.from.map_or_else(|| "the day the job was first seen".to_owned(), |date| date.to_string());
    let overflow = match calendar.overflow {
        Overflow::Skip => "",
        Overflow::Clamp => ", or the last day of a shorter month",
    };
    let (time, zone) = (time_of(calendar.at), calendar.zone.name());
    format!("Every {}{landing} at {time}, counted from {from}{overflow}, {zone}", listed(steps))
}

fn at_in_words(instants: &[i64], trigger: &Trigger) -> String {
    let mut told: Vec<String> =
        instants.iter().take(ITEMS_LISTED_MAX).map(|at| wall_clock(*at, &trigger.zone)).collect();
    if ITEMS_LISTED_MAX < instants.len() {
        told.push(format!("{} more times", instants.len() - ITEMS_LISTED_MAX));
    }
    format!("Once at {}, {}", listed(told), trigger.zone.name())
}

fn children_in_words(children: &[Trigger]) -> String {
    let mut told: Vec<String> = children.iter().take(ITEMS_LISTED_MAX).map(|child| lower(&child.describe())).collect();
    if ITEMS_LISTED_MAX < children.len() {
        told.push(format!("{} more", children.len() - ITEMS_LISTED_MAX));
    }
    told.join(" | ")
}
