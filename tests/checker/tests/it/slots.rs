//! The generator of slots.

use clockjack_checker::{SECOND, show, slots};
use expect_test::{Expect, expect};

#[track_caller]
fn check(expression: &str, from: i64, seconds: i64, expected: Expect) {
    let slots = slots::cron(expression, from * SECOND, (from + seconds) * SECOND);
    let told: Vec<_> = slots.iter().flatten().take(4).map(|slot| show(*slot).replace(".000000Z", "")).collect();
    let n_slots = slots.map_or("none".to_owned(), |slots| slots.len().to_string());
    expected.assert_eq(&format!("{n_slots}: {}", told.join(" ")));
}

#[test]
fn every_counts_from_its_anchor() {
    assert_eq!(slots::every(3, 1, 0, 2_500_000), [3, 1_000_003, 2_000_003]);
    assert_eq!(slots::every(0, 2, 2_000_001, 6_000_001), [4_000_000, 6_000_000]);
    assert_eq!(slots::every(9_000_000, 2, 0, 5_000_000), []);
}

#[test]
fn cron_fields() {
    // 2026-09-01 is a Tuesday.
    let from = 1_788_220_800;
    let day = 24 * 3_600;
    check(
        "0 12 * * *",
        from,
        30 * day,
        expect!["30: 2026-09-01T12:00:00 2026-09-02T12:00:00 2026-09-03T12:00:00 2026-09-04T12:00:00"],
    );
    check(
        "*/20 8-9 * * *",
        from,
        day,
        expect!["6: 2026-09-01T08:00:00 2026-09-01T08:20:00 2026-09-01T08:40:00 2026-09-01T09:00:00"],
    );
    check(
        "5,10 0 1 * *",
        from,
        60 * day,
        expect!["4: 2026-09-01T00:05:00 2026-09-01T00:10:00 2026-10-01T00:05:00 2026-10-01T00:10:00"],
    );
    check(
        "0 0 13 * 5",
        from,
        30 * day,
        expect!["5: 2026-09-04T00:00:00 2026-09-11T00:00:00 2026-09-13T00:00:00 2026-09-18T00:00:00"],
    );
    check(
        "0 0 * * 7",
        from,
        30 * day,
        expect!["4: 2026-09-06T00:00:00 2026-09-13T00:00:00 2026-09-20T00:00:00 2026-09-27T00:00:00"],
    );
    check("0 0 29 2 *", from, 3 * 365 * day, expect!["1: 2028-02-29T00:00:00"]);
    check(
        "*/30 * * * * *",
        from,
        120,
        expect!["4: 2026-09-01T00:00:00 2026-09-01T00:00:30 2026-09-01T00:01:00 2026-09-01T00:01:30"],
    );
    check("15/20 0 0 * * *", from, day, expect!["3: 2026-09-01T00:00:15 2026-09-01T00:00:35 2026-09-01T00:00:55"]);
    check("60 * * * *", from, day, expect!["none: "]);
    check("* * * *", from, day, expect!["none: "]);
}
