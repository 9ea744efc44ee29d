//! Properties of random triggers: order, bounds, splitting, union and intersection, and that hostile text and trees
//! end in a diagnostic, not in a panic or a hang.

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::{at, basis, read_in};
use crate::{
    diagnostic::{Diagnostics, Span},
    trigger::Trigger,
};

const ZONES: [&str; 6] =
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca"];

/// One cron field: a wildcard, a value, a range, a step, a list.
fn field(low: u32, high: u32) -> impl Strategy<Value = String> {
    let value = low..=high;
    prop_oneof![
        4 => Just("*".to_owned()),
        3 => value.clone().prop_map(|a| a.to_string()),
        2 => (value.clone(), value.clone()).prop_map(|(a, b)| format!("{a}-{b}")),
        2 => (1..=(high - low)).prop_map(|step| format!("*/{step}")),
        1 => proptest::collection::vec(value, 1..4)
            .prop_map(|values| values.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
    ]
}

fn day() -> impl Strategy<Value = String> {
    prop_oneof![6 => field(1, 31), 1 => Just("L".to_owned()), 1 => Just("LW".to_owned()), 1 => Just("15W".to_owned())]
}

fn weekday() -> impl Strategy<Value = String> {
    prop_oneof![6 => field(0, 7), 1 => Just("fri#2".to_owned()), 1 => Just("monL".to_owned()), 1 => Just("+2".to_owned())]
}

fn cron() -> impl Strategy<Value = String> {
    let dst = prop_oneof![
        3 => Just(""),
        1 => Just(", dst: {gap: skip, fold: both}"),
        1 => Just(", dst: {gap: run_after, fold: second}"),
        1 => Just(", dst: {gap: run_after, fold: both}"),
    ];
    let zone = proptest::sample::select(&ZONES[..]);
    (field(0, 59), field(0, 23), day(), field(1, 12), weekday(), dst, zone).prop_map(
        |(minute, hour, day, month, weekday, dst, zone)| {
            format!("{{cron: '{minute} {hour} {day} {month} {weekday}', timezone: {zone}{dst}}}")
        },
    )
}

fn leaf() -> impl Strategy<Value = String> {
    prop_oneof![
        5 => cron(),
        2 => (1..5_000_u32, 0..1_000_u32).prop_map(|(minutes, shift)| {
            format!("{{every: {minutes}m, anchor: 2026-01-01T00:{:02}Z}}", shift % 60)
        }),
        1 => (1..40_u32).prop_map(|hours| format!("{{every: {hours}h}}")),
        1 => (1..4_u32, 0..24_u32).prop_map(|(months, hour)| {
            format!("{{calendar: {{months: {months}, from: 2026-01-31, at: '{hour:02}:30'}}, timezone: Europe/Berlin}}")
        }),
        1 => (1..20_u32).prop_map(|days| format!("{{calendar: {{days: {days}, from: 2026-01-31}}, timezone: UTC}}")),
        1 => (1..28_u32, 0..24_u32).prop_map(|(day, hour)| format!("{{at: 2026-03-{day:02}T{hour:02}:00Z}}")),
    ]
}

/// Exceptions that leave out long stretches, and single slots now and then.
fn dense() -> impl Strategy<Value = String> {
    let some = prop_oneof![2 => Just("*".to_owned()), 1 => field(0, 23)];
    let dst = prop_oneof![Just(""), Just(", dst: {fold: first}"), Just(", dst: {fold: second}")];
    let long = (some.clone(), some, weekday(), proptest::sample::select(&ZONES[..3]), dst).prop_map(
        |(minute, hour, weekday, zone, dst)| {
            format!("{{cron: '{minute} {hour} * * {weekday}', timezone: {zone}{dst}}}")
        },
    );
    prop_oneof![4 => long, 1 => leaf()]
}

fn tree() -> impl Strategy<Value = String> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        let some = proptest::collection::vec(inner.clone(), 1..4).prop_map(|children| children.join(", "));
        prop_oneof![
            some.clone().prop_map(|children| format!("{{any: [{children}]}}")),
            some.prop_map(|children| format!("{{all: [{children}]}}")),
            (inner, leaf()).prop_map(|(kept, left_out)| {
                format!("{{any: [{kept}], except: [weekends, 2026-03-10..2026-03-12, {left_out}]}}")
            }),
        ]
    })
}

fn instant() -> impl Strategy<Value = DateTime<Utc>> {
    // A year around both clock changes of 2026, to the microsecond.
    (0..365 * 86_400_i64 * 1_000_000).prop_map(|micros| at("2026-01-05T00:00:00Z") + TimeDelta::microseconds(micros))
}

fn some(text: &str) -> Option<Trigger> {
    read_in(text, "UTC").0
}

/// The slots from an instant on and before another one, at most so many.
fn between(trigger: &Trigger, from: DateTime<Utc>, to: DateTime<Utc>, n: usize) -> Vec<DateTime<Utc>> {
    trigger.slots_from(from, &basis()).take_while(|slot| *slot < to).take(n).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, max_global_rejects: 160, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn slots_increase_and_never_lie_before(text in tree(), from in instant()) {
        let trigger = some(&text);
        prop_assume!(trigger.is_some());
        let trigger = trigger.unwrap();
        let mut after = from;
        for _ in 0..30 {
            let Some(slot) = trigger.next_after(after, &basis()) else { break };
            prop_assert!(after < slot, "{text}: {slot} is not after {after}");
            prop_assert_eq!(trigger.next_from(slot, &basis()), Some(slot), "{} has no slot at its slot", text);
            let delay = trigger.start_delay(slot, &basis());
            prop_assert!(delay.is_zero());
            after = slot;
        }
    }

    #[test]
    fn a_stretch_is_the_sum_of_its_parts(text in tree(), mut cuts in [instant(), instant(), instant()]) {
        let trigger = some(&text);
        prop_assume!(trigger.is_some());
        let trigger = trigger.unwrap();
        cuts.sort();
        let [a, _, c] = cuts;
        let c = c.min(a + TimeDelta::days(20));
        let b = cuts[1].min(c);
        let parts = [between(&trigger, a, b, 3_000), between(&trigger, b, c, 3_000)].concat();
        let whole = between(&trigger, a, c, 6_000);
        if whole.len() < 3_000 {
            prop_assert_eq!(parts, whole, "{}", text);
        }
    }

    #[test]
    fn except_is_the_difference(kept in leaf(), left_out in dense(), from in instant()) {
        let (mine, theirs) = (some(&kept), some(&left_out));
        prop_assume!(mine.is_some() && theirs.is_some());
        let to = from + TimeDelta::days(8);
        let (mine, theirs) = (mine.unwrap(), theirs.unwrap());
        let expected: Vec<_> = between(&mine, from, to, 20_000)
            .into_iter()
            .filter(|slot| theirs.next_from(*slot, &basis()) != Some(*slot))
            .collect();
        // The text of a leaf ends in a brace.
        let without = some(&format!("{}, except: [{left_out}]}}", &kept[..kept.len() - 1]));
        match without {
            Some(without) => prop_assert_eq!(between(&without, from, to, 20_000), expected, "{} {}", kept, left_out),
            None => prop_assert!(expected.is_empty(), "{kept} {left_out}"),
        }
    }

    #[test]
    fn any_is_the_union_and_all_the_intersection(mine in leaf(), theirs in leaf(), from in instant()) {
        let (Some(left), Some(right)) = (some(&mine), some(&theirs)) else { return Ok(()) };
        let to = from + TimeDelta::days(20);
        let (ours, others) = (between(&left, from, to, 40_000), between(&right, from, to, 40_000));
        let mut union = [ours.clone(), others.clone()].concat();
        union.sort();
        union.dedup();
        let any = some(&format!("{{any: [{mine}, {theirs}]}}")).unwrap();
        prop_assert_eq!(between(&any, from, to, 80_000), union);
        let both: Vec<_> = ours.iter().filter(|slot| others.binary_search(slot).is_ok()).copied().collect();
        match some(&format!("{{all: [{mine}, {theirs}]}}")) {
            Some(all) => prop_assert_eq!(between(&all, from, to, 80_000), both, "{} {}", mine, theirs),
            None => prop_assert!(both.is_empty(), "{mine} {theirs}: {both:?}"),
        }
    }

    #[test]
    fn a_backlog_has_the_first_the_last_and_the_number(text in leaf(), from in instant(), hours in 1..2_000_i64) {
        let trigger = some(&text);
        prop_assume!(trigger.is_some());
        let trigger = trigger.unwrap();
        let until = from + TimeDelta::hours(hours);
        let slots = between(&trigger, from + TimeDelta::microseconds(1), until + TimeDelta::microseconds(1), 200_000);
        match trigger.backlog(from, until, &basis(), 1_000_000) {
            None => prop_assert!(slots.is_empty()),
            Some(backlog) => {
                prop_assert_eq!((Some(&backlog.first), Some(&backlog.last)), (slots.first(), slots.last()));
                prop_assert!(backlog.exact);
                prop_assert_eq!(usize::try_from(backlog.count).unwrap(), slots.len(), "{}", text);
            }
        }
    }

    #[test]
    fn every_question_has_an_answer(text in tree(), from in instant()) {
        let trigger = some(&text);
        prop_assume!(trigger.is_some());
        let trigger = trigger.unwrap();
        let mut told = Diagnostics::default();
        trigger.warnings(from, &basis(), Span::default(), &mut told);
        prop_assert!(told.all().iter().all(|told| told.fix.is_some()));
        prop_assert!(!trigger.describe_from(from, &basis()).is_empty());
        let jittered = some(&format!("{{any: [{text}], jitter: 30m}}")).unwrap();
        for slot in between(&trigger, from, from + TimeDelta::days(3), 50) {
            let _ = trigger.note(slot, &basis());
            let delay = jittered.start_delay(slot, &basis());
            prop_assert!(delay.as_secs() <= 1_800);
            if let Some(next) = trigger.next_after(slot, &basis()) {
                prop_assert!(slot + TimeDelta::from_std(delay).unwrap() < next);
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[-0-9*/,?LWH#+@a-zA-Z() ]{0,40}|.{0,60}") {
        let (trigger, diagnostics) = read_in(&serde_json::json!({ "cron": text }).to_string(), "Europe/Berlin");
        prop_assert!(trigger.is_some() || diagnostics.has_errors());
        for key in ["minute", "hour", "day", "day_of_week", "month", "week", "year"] {
            let (trigger, diagnostics) = read_in(&serde_json::json!({ "cron": { key: text } }).to_string(), "UTC");
            prop_assert!(trigger.is_some() || diagnostics.has_errors());
        }
        for key in ["at", "every"] {
            let (trigger, diagnostics) = read_in(&serde_json::json!({ key: text }).to_string(), "UTC");
            prop_assert!(trigger.is_some() || diagnostics.has_errors());
        }
    }
}

#[test]
fn hostile_text_of_64_kib_ends_quickly() {
    let n = 64 * 1024;
    let texts = [
        "1,".repeat(n / 2),
        "*/1,".repeat(n / 4),
        "*".repeat(n),
        "9".repeat(n),
        " ".repeat(n),
        "\u{0661}".repeat(n / 2),
        "H(0-15),".repeat(n / 8),
        "fri#3,".repeat(n / 6),
        "L-3,".repeat(n / 4),
        "-".repeat(n),
        "@".repeat(n),
        "TZ=".repeat(n / 3),
        "* ".repeat(n / 2),
        format!("0 0 0 1 1 * {}", "1970-9999/7,".repeat(n / 12)),
        format!("0 0 0 1 1 * {}2026", "1970-9999/7,".repeat(127)),
        format!("{} * * * *", "1-59,".repeat(n / 6)),
        format!("* * {} * *", "15W,".repeat(n / 4)),
        "[".repeat(n),
        "2026-12-24T".repeat(n / 11),
    ];
    let started = started();
    for text in &texts {
        for key in ["cron", "every", "at", "timezone"] {
            let _ = read_in(&serde_json::json!({ key: text }).to_string(), "UTC");
        }
        let _ =
            read_in(&serde_json::json!({ "cron": { "minute": text, "day": text, "year": text } }).to_string(), "UTC");
        let _ = read_in(&serde_json::json!({ "cron": "0 0 * * *", "except": [text] }).to_string(), "UTC");
        let _ = read_in(&serde_json::json!({ "cron": text, "compat": "apscheduler" }).to_string(), "UTC");
    }
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[expect(clippy::disallowed_methods, reason = "a hang is a matter of real time")]
fn started() -> Instant {
    Instant::now()
}

/// Trees whose search is as long as it gets: each answer within milliseconds, whether there is one or not.
#[test]
fn hostile_trees_end_quickly() {
    let many = |n: usize, text: &str| vec![text; n].join(", ");
    let nested = |depth: usize| format!("{}{{every: 1s}}{}", "{any: [".repeat(depth), "]}".repeat(depth));
    let coprime = (0..40).map(|n| format!("{{every: {}ms, anchor: 2026-01-01T00:00Z}}", 1_009 + 2 * n));
    let texts = [
        format!("all: [{}]", many(900, "{every: 1ms, anchor: 2026-01-01T00:00Z}")),
        format!("any: [{}]", many(1_001, "{cron: '0 0 * * *'}")),
        format!("all: [{}]", coprime.collect::<Vec<_>>().join(", ")),
        "all: [{cron: '* * * * * *', timezone: Europe/Berlin}, {cron: '0 0 29 2 mon'}, {every: 7m}]".to_owned(),
        "{every: 1ms, except: [{every: 1ms}]}".to_owned(),
        "{cron: '* * * * * *', except: [{cron: '* 0-58 * * * *'}, {cron: '* 59 * * * *'}]}".to_owned(),
        "all: [{cron: '0 0 29 2 *'}, {cron: '0 0 * * *', timezone: Asia/Kathmandu}]".to_owned(),
        "all: [{every: 1001s}, {cron: '0 0 1 1 *'}, {calendar: {months: 7, days: 3}}]".to_owned(),
        "all: [{any: [{every: 3s}, {every: 5s}]}, {any: [{cron: '0 0 31 1 *'}]}, {at: 2027-01-31T00:00:01}]".to_owned(),
        "calendar: {months: 1, days: 1, from: 1970-01-31}".to_owned(),
        "all: [{calendar: {months: 1, days: 1, from: 1970-01-31}}, {every: 7m}]".to_owned(),
        nested(16),
        nested(17),
        nested(28),
    ];
    for text in texts {
        let started = started();
        let trigger = read_in(&text, "Europe/Berlin").0;
        if let Some(trigger) = trigger {
            let far = at("9998-06-01T00:00:00Z");
            for from in [at("2026-11-21T00:00:00Z"), far, DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
                let _ = trigger.next_after(from, &basis());
                let _ = trigger.next_from(from, &basis());
            }
            let _ = trigger.describe_from(at("2026-11-21T00:00:00Z"), &basis());
        }
        let (elapsed, shown) = (started.elapsed(), text.chars().take(60).collect::<String>());
        assert!(elapsed.as_millis() < 1_500, "{shown}: {elapsed:?}");
    }
}
