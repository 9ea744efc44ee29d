//! What a person should know about a trigger: that it never fires, what a clock change does to it, why a slot is where
//! it is.

use chrono::{DateTime, Utc};

use super::{
    cron::{Cron, EARLIEST},
    dst::{Dst, Fold, Gap},
    instant::MICROS,
    pattern::{DAY, civil_date},
    rule::{Basis, Past, Rule, Trigger},
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Span},
    manifest::scalar::show_duration,
    zone::{FOR_EVER, Segment, Zone},
};

/// How far ahead clock changes are looked at: every zone that changes its clocks does so within a year, and the second
/// one shows whether it is a habit.
const LOOK_AHEAD: i64 = 2 * 366 * DAY;

/// How many slots are compared with the jitter.
const N_SLOTS_COMPARED: usize = 32;

/// What a clock change does to a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Touched {
    /// The local time that is left out or shown twice, and the one at which the new offset begins.
    pub(crate) local: i64,
    pub(crate) resumes: i64,
    pub(crate) effect: Effect,
}

/// How a trigger reacts to a clock change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    RunsAfterGap,
    NotAtAll,
    FirstOnly,
    SecondOnly,
    Twice,
}

/// Why a trigger has no slot, and what to do.
pub(crate) fn why_never(trigger: &Trigger, past: Past) -> (String, String) {
    let told = |message: &str, fix: &str| (format!("the trigger never fires: {message}"), fix.to_owned());
    let bare = Trigger { start: i64::MIN, end: i64::MAX, except: None, ..trigger.clone() };
    let fires = |trigger: &Trigger| trigger.next(EARLIEST * MICROS, &mut trigger.search(past)).is_some();
    let bounded = Trigger { start: trigger.start, end: trigger.end, ..bare.clone() };
    if fires(&bounded) {
        return told("`except` leaves out every slot", "leave out less");
    }
    if fires(&bare) {
        return told(
            "it has no slot between `start` and `end`",
            "widen them; both are inclusive, a date is its midnight",
        );
    }
    match &trigger.rule {
        Rule::Cron(cron) if cron.merged.is_none() && cron.pattern.next(0).is_some() => told(
            "the clock is always put forward over its time",
            "write `dst: {gap: run_after}`, or a time that exists on that day",
        ),
        Rule::Cron(_) => told(
            "no date fits all of its fields",
            "compare the day with the months (30 February, week 53 in June), and the years with today",
        ),
        Rule::At(_) => {
            told("the local time does not exist on that day", "write `dst: {gap: run_after}`, or a time that exists")
        }
        Rule::Calendar(_) => told("no step lands on a date that exists", "write `overflow: clamp`, or another day"),
        Rule::Every(_) => told("its first slot lies after the year 9999", "write an earlier anchor"),
        Rule::Any(_) => told("none of its triggers fires", "mend one of them"),
        Rule::All(_) => told(
            "its triggers have no slot in common",
            "compare their hours and anchors; slots are compared by the exact instant",
        ),
    }
}

impl Trigger {
    /// Tells what is probably not meant: a trigger that fires no more, or twice or not at all on the day of a clock
    /// change within two years, or less often than its jitter.
    pub fn warnings(&self, now: DateTime<Utc>, basis: &Basis, span: Span, diagnostics: &mut Diagnostics) {
        let Some(next) = self.next_from(now, basis) else {
            let (message, fix) = match self.first_from(EARLIEST * MICROS, basis) {
                None => why_never(self, basis.into()),
                Some(_) => ("the trigger fires no more: all its slots are past".to_owned(), "remove it".to_owned()),
            };
            let ended = self.first_from(EARLIEST * MICROS, basis).is_some();
            let make = if ended { Diagnostic::warning } else { Diagnostic::error };
            diagnostics.push(make("trigger.never", span, message).fix(fix));
            return;
        };
        self.warn_of_clock_changes(now.timestamp(), basis, span, diagnostics);
        self.warn_of_jitter(next, basis, span, diagnostics);
    }

    fn warn_of_clock_changes(&self, now: i64, basis: &Basis, span: Span, diagnostics: &mut Diagnostics) {
        for leaf in self.leaves() {
            let mut told_gap = false;
            let mut told_fold = false;
            for touched in leaf.touched(now, basis) {
                let (day, time) = (date_of(touched.local), time_of(touched.local));
                let zone = leaf.zone.name();
                let (told, what, fix) = match touched.effect {
                    Effect::NotAtAll => (
                        &mut told_gap,
                        format!("does not run on {day}, when {time} does not exist in {zone}"),
                        format!("write `dst: {{gap: run_after}}` to run at {} then", time_of(touched.resumes)),
                    ),
                    Effect::Twice => (
                        &mut told_fold,
                        format!("runs twice on {day}, when {time} happens twice in {zone}"),
                        "write `dst: {fold: first}` to run once".to_owned(),
                    ),
                    Effect::RunsAfterGap | Effect::FirstOnly | Effect::SecondOnly => continue,
                };
                if !std::mem::replace(told, true) {
                    let fix = format!("{fix}; or write `timezone: UTC`, or an hour that no clock change touches");
                    diagnostics.push(Diagnostic::warning("trigger.dst", span, format!("the trigger {what}")).fix(fix));
                }
            }
        }
    }

    fn warn_of_jitter(&self, first: DateTime<Utc>, basis: &Basis, span: Span, diagnostics: &mut Diagnostics) {
        let Some(jitter) = self.largest_jitter() else {
            return;
        };
        let slots: Vec<i64> =
            self.slots_from(first, basis).take(N_SLOTS_COMPARED).map(|slot| slot.timestamp_micros()).collect();
        let Some(closest) = slots.windows(2).map(|pair| pair[1] - pair[0]).min() else {
            return;
        };
        if closest < jitter {
            let show = |micros: i64| show_duration(std::time::Duration::from_micros(micros.unsigned_abs()));
            let message = format!(
                "the jitter of {} is larger than the {} between two slots, which bounds it",
                show(jitter),
                show(closest)
            );
            let fix = format!("write `jitter: {}` or less, or run less often", show(closest / 2));
            diagnostics.push(Diagnostic::warning("trigger.jitter", span, message).fix(fix));
        }
    }

    fn largest_jitter(&self) -> Option<i64> {
        self.leaves_and_nodes().filter_map(|trigger| trigger.jitter).map(|jitter| jitter.max_micros).max()
    }

    /// What a person wonders about a slot: that it stands in for a local time that does not exist, or is one of two.
    #[must_use]
    pub fn note(&self, slot: DateTime<Utc>, basis: &Basis) -> Option<String> {
        let at = slot.timestamp();
        let owner = self
            .leaves()
            .filter(|leaf| matches!(leaf.rule, Rule::Cron(_) | Rule::Calendar(_)))
            .find(|leaf| leaf.first_from(slot.timestamp_micros(), basis) == Some(slot.timestamp_micros()))?;
        let zone = owner.zone.name();
        let segment = owner.zone.segment(at);
        if at == segment.start
            && let Some(touched) = owner.touched_by(&segment, basis)
            && touched.effect == Effect::RunsAfterGap
        {
            let (time, day, now) = (time_of(touched.local), date_of(touched.local), time_of(touched.resumes));
            return Some(format!("{time} does not exist in {zone} on {day}; runs at {now}"));
        }
        let local = at + segment.offset;
        match owner.zone.resolve(local) {
            crate::zone::Local::Twice(first, _) if first == at => Some(format!("first of two {}", time_of(local))),
            crate::zone::Local::Twice(_, _) => Some(format!("second of two {}", time_of(local))),
            crate::zone::Local::Once(_) | crate::zone::Local::Gap(_) => None,
        }
    }

    /// The clock changes within two years that fall on a time that the trigger names; for leaves only.
    pub(crate) fn touched<'t>(&'t self, now: i64, basis: &'t Basis) -> impl Iterator<Item = Touched> + 't {
        let mut segment = self.zone.segment(now);
        std::iter::from_fn(move || {
            loop {
                if FOR_EVER <= segment.end || now + LOOK_AHEAD < segment.end {
                    return None;
                }
                segment = self.zone.segment(segment.end);
                if let Some(touched) = self.touched_by(&segment, basis) {
                    return Some(touched);
                }
            }
        })
    }

    /// What the clock change at the beginning of a stretch does to a leaf.
    fn touched_by(&self, segment: &Segment, basis: &Basis) -> Option<Touched> {
        let (old, new) = (segment.start + segment.before, segment.start + segment.offset);
        let (low, high) = (old.min(new), old.max(new));
        let (local, dst) = match &self.rule {
            // Who names no hour waits for none.
            Rule::Cron(cron) if cron.any_hour => return None,
            Rule::Cron(cron) => (first_local(cron, low, high)?, cron.dst),
            Rule::Calendar(calendar) => {
                let local = calendar.local_within(low, high, &Past::from(basis))?;
                (local, calendar.dst)
            }
            Rule::Every(_) | Rule::At(_) | Rule::Any(_) | Rule::All(_) => return None,
        };
        let Dst { gap, fold } = dst;
        let effect = match (old < new, gap, fold) {
            (true, Gap::RunAfter, _) => Effect::RunsAfterGap,
            (true, Gap::Skip, _) => Effect::NotAtAll,
            (false, _, Fold::First) => Effect::FirstOnly,
            (false, _, Fold::Second) => Effect::SecondOnly,
            (false, _, Fold::Both) => Effect::Twice,
        };
        Some(Touched { local, resumes: new, effect })
    }

    /// This trigger and all inside it.
    pub(crate) fn leaves_and_nodes(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        let children: &[Self] = match &self.rule {
            Rule::Any(children) => children,
            Rule::All(all) => &all.children,
            Rule::Cron(_) | Rule::Every(_) | Rule::Calendar(_) | Rule::At(_) => &[],
        };
        Box::new(std::iter::once(self).chain(children.iter().flat_map(Self::leaves_and_nodes)))
    }

    fn leaves(&self) -> impl Iterator<Item = &Self> {
        self.leaves_and_nodes().filter(|trigger| !matches!(trigger.rule, Rule::Any(_) | Rule::All(_)))
    }
}

fn first_local(cron: &Cron, low: i64, high: i64) -> Option<i64> {
    cron.pattern.meets(low, high).then(|| cron.pattern.next(low)).flatten()
}

/// A local time as `02:30`, or `02:30:15` where there are seconds.
pub(crate) fn time_of(local: i64) -> String {
    let second = local.rem_euclid(DAY);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    if second == 0 { format!("{hour:02}:{minute:02}") } else { format!("{hour:02}:{minute:02}:{second:02}") }
}

/// The date of a local time as `2027-03-28`.
pub(crate) fn date_of(local: i64) -> String {
    civil_date(local.div_euclid(DAY)).map_or_else(String::new, |date| date.to_string())
}

/// An instant as the clock on the wall shows it.
pub(crate) fn wall_clock(micros: i64, zone: &Zone) -> String {
    let second = micros.div_euclid(MICROS);
    let local = second + zone.offset_at(second);
    format!("{} {}", date_of(local), time_of(local))
}
