//! The same patterns asked of the crates `cron` and `croner`, in UTC, where their meanings are ours.
//!
//! Left out, because they differ on purpose: with `cron`, five fields, numbers for weekdays (Sunday is 1 there), the
//! rule for two day fields (both there, so ours is asked with `day_rule: and`), clock changes. With `croner`, ranges
//! that wrap, `L-3`, and day fields of which one begins with `*` and both restrict.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::{at, basis, read};

const NAMES: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A field in the words that all three know.
fn field(low: u32, high: u32) -> impl Strategy<Value = String> {
    let value = low..=high;
    let range = (value.clone(), value.clone()).prop_filter("a range of two", |(a, b)| a < b);
    prop_oneof![
        3 => Just("*".to_owned()),
        3 => value.clone().prop_map(|a| a.to_string()),
        2 => range.clone().prop_map(|(a, b)| format!("{a}-{b}")),
        1 => (range, 1..4_u32).prop_map(|((a, b), step)| format!("{a}-{b}/{}", step.min(b - a))),
        2 => (2..=(high - low) / 2).prop_map(|step| format!("*/{step}")),
        1 => proptest::collection::vec(value, 1..4)
            .prop_map(|values| values.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
    ]
}

fn weekday_names() -> impl Strategy<Value = String> {
    let one = proptest::sample::select(&NAMES[..]);
    prop_oneof![
        2 => Just("*".to_owned()),
        1 => one.clone().prop_map(str::to_owned),
        1 => proptest::collection::vec(one, 1..4).prop_map(|names| names.join(",")),
        1 => (1..4_usize, 4..7_usize).prop_map(|(a, b)| format!("{}-{}", NAMES[a], NAMES[b])),
    ]
}

/// Day fields for croner: what only one of them can say, or both with plain numbers.
fn day_fields() -> impl Strategy<Value = (String, String)> {
    let special = prop_oneof![
        Just("L".to_owned()),
        Just("LW".to_owned()),
        (1..=28_u32).prop_map(|day| format!("{day}W")),
        field(1, 31),
    ];
    let weekday = prop_oneof![
        (0..7_u32, 1..6_u32).prop_map(|(day, nth)| format!("{day}#{nth}")),
        (0..7_u32).prop_map(|day| format!("{day}L")),
        field(0, 7),
        weekday_names(),
    ];
    prop_oneof![
        special.prop_map(|day| (day, "*".to_owned())),
        weekday.prop_map(|weekday| ("*".to_owned(), weekday)),
        (1..=31_u32, 0..=7_u32).prop_map(|(day, weekday)| (day.to_string(), weekday.to_string())),
    ]
}

fn instant() -> impl Strategy<Value = DateTime<Utc>> {
    (0..30 * 366 * 86_400_i64).prop_map(|second| at("2020-01-01T00:00:00Z") + chrono::TimeDelta::seconds(second))
}

/// The next slots of ours, up to the year 2090, which `cron` ends with.
fn ours(text: &str, after: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let Some(trigger) = super::read_in(text, "UTC").0 else { return Vec::new() };
    let next = |after: &DateTime<Utc>| trigger.next_after(*after, &basis());
    let slots = std::iter::successors(next(&after), next);
    slots.take(8).take_while(|slot| *slot < at("2090-01-01T00:00:00Z")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, max_global_rejects: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ours_is_cron(
        fields in (field(0, 59), field(0, 59), field(0, 23), field(1, 31), field(1, 12), weekday_names()),
        after in instant(),
    ) {
        let (second, minute, hour, day, month, weekday) = fields;
        let text = format!("{second} {minute} {hour} {day} {month} {weekday}");
        let theirs = cron::Schedule::from_str(&text);
        prop_assume!(theirs.is_ok());
        let theirs = theirs.unwrap();
        let theirs: Vec<_> = theirs.after(&after).take(8).take_while(|slot| *slot < at("2090-01-01T00:00:00Z")).collect();
        prop_assert_eq!(ours(&format!("{{cron: '{text}', day_rule: and}}"), after), theirs, "{}", text);
    }

    #[test]
    fn ours_is_croner(
        fields in (field(0, 59), field(0, 23), field(1, 12)),
        days in day_fields(),
        after in instant(),
    ) {
        let ((minute, hour, month), (day, weekday)) = (fields, days);
        let text = format!("{minute} {hour} {day} {month} {weekday}");
        let pattern = croner::Cron::from_str(&text);
        prop_assume!(pattern.is_ok());
        let pattern = pattern.unwrap();
        let next = |after: &DateTime<Utc>| pattern.find_next_occurrence(after, false).ok();
        let theirs: Vec<_> = std::iter::successors(next(&after), next)
            .take(8)
            .take_while(|slot| *slot < at("2090-01-01T00:00:00Z"))
            .collect();
        let ours = ours(&format!("cron: '{text}'"), after);
        // croner gives up its search some years ahead.
        prop_assert_eq!(&ours[..theirs.len().min(ours.len())], &theirs[..], "{}", text);
    }
}

#[test]
fn where_ours_differs_on_purpose() {
    let after = at("2027-03-01T00:00:00Z");
    let first = |text: &str| read(text).next_after(after, &basis()).unwrap().to_rfc3339();
    let cron = |text: &str| cron::Schedule::from_str(text).unwrap().after(&after).next().unwrap().to_rfc3339();
    // 1 is Monday here and Sunday there.
    assert_eq!(first("cron: '0 0 0 * * 1'"), "2027-03-08T00:00:00+00:00");
    assert_eq!(cron("0 0 0 * * 1"), "2027-03-07T00:00:00+00:00");
    // Either day field is enough here, both must hold there.
    assert_eq!(first("cron: '0 0 0 13 * fri'"), "2027-03-05T00:00:00+00:00");
    assert_eq!(cron("0 0 0 13 * fri"), "2027-08-13T00:00:00+00:00");
}
