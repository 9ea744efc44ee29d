//! Tests of the trigger engine through its public face: manifest text in, slots, words and diagnostics out.

mod differential;
mod language;
mod oracle;
mod properties;
mod walker;

use chrono::{DateTime, Utc};

use super::{Basis, Calendars, Trigger, TriggerContext};
use crate::{
    diagnostic::{Diagnostics, Source},
    manifest::parse::parse,
    zone::Zones,
};

/// The data is read once for all tests of a run.
pub(super) fn zones() -> &'static Zones {
    static ZONES: std::sync::OnceLock<Zones> = std::sync::OnceLock::new();
    ZONES.get_or_init(Zones::bundled)
}

pub(super) fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// A job that was first seen when 2026 began, at an instant that is on nobody's grid.
pub(super) fn basis() -> Basis {
    Basis { first_seen: at("2026-01-01T00:00:00.000007Z"), last_finished: None }
}

pub(super) fn read_in(text: &str, zone: &str) -> (Option<Trigger>, Diagnostics) {
    let (node, mut diagnostics) = parse(0, text);
    let zone = zones().get(zone).unwrap();
    let holidays = "{holidays: [2026-12-25, 2026-12-31..2027-01-02], nights: [{cron: '0 0-5 * * *'}]}";
    let none = TriggerContext::new(zones(), &zone, "report");
    let calendars = Calendars::read(&parse(0, holidays).0.unwrap(), none, &mut Diagnostics::default()).unwrap();
    let context = TriggerContext { calendars: &calendars, ..none };
    let trigger = node.and_then(|node| Trigger::read(&node, context, &mut diagnostics));
    (trigger, diagnostics)
}

pub(super) fn read(text: &str) -> Trigger {
    let (trigger, diagnostics) = read_in(text, "UTC");
    trigger.unwrap_or_else(|| panic!("{text}: {:?}", diagnostics.all()))
}

/// The diagnostics of a text, with line and column.
pub(super) fn told(text: &str, diagnostics: &Diagnostics) -> String {
    let sources = [Source::new("--trigger", text)];
    let lines = diagnostics.all().iter().map(|diagnostic| {
        let (_, column) = diagnostic.span.position(&sources);
        let place = text.get(diagnostic.span.start..diagnostic.span.end).unwrap_or("?");
        format!("  {column} `{place}` {diagnostic}\n")
    });
    lines.collect()
}

/// The first slots from an instant on, as the clock in the trigger's zone shows them.
pub(super) fn slots(trigger: &Trigger, from: &str, n: usize) -> Vec<String> {
    let jiff_zone = jiff::tz::TimeZone::get(trigger.zone.name()).unwrap_or(jiff::tz::TimeZone::UTC);
    let show = |slot: DateTime<Utc>| {
        let slot = jiff::Timestamp::from_microsecond(slot.timestamp_micros()).unwrap();
        slot.to_zoned(jiff_zone.clone()).strftime("%a %Y-%m-%d %H:%M:%S%.f%:z").to_string()
    };
    trigger.slots_from(at(from), &basis()).take(n).map(show).collect()
}
