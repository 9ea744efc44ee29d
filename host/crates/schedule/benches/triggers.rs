//! How long the next slot takes, beside the crates `cron` and `croner` in the same run.
//!
//! `cargo bench -p clockjack-schedule`; under `cargo test` (no `--bench` argument) each case runs a few times only.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use clockjack_schedule::{
    diagnostic::Diagnostics,
    manifest::parse::parse,
    trigger::{Basis, Trigger, TriggerContext},
    zone::{Zone, Zones},
};

/// One case: our text, the same for `cron` (six fields, Sunday = 1) and `croner`, where they can say it.
struct Case {
    name: &'static str,
    ours: &'static str,
    cron: Option<&'static str>,
    croner: Option<&'static str>,
}

const BERLIN: &str = "Europe/Berlin";

const CASES: [Case; 12] = [
    Case { name: "*/5 * * * *", ours: "cron: '*/5 * * * *'", cron: Some("0 */5 * * * *"), croner: Some("*/5 * * * *") },
    Case {
        name: "30 2 * * 1-5",
        ours: "cron: '30 2 * * 1-5'",
        cron: Some("0 30 2 * * 2-6"),
        croner: Some("30 2 * * 1-5"),
    },
    Case { name: "last Friday", ours: "cron: '0 0 * * friL'", cron: None, croner: Some("0 0 * * friL") },
    Case { name: "29 February", ours: "cron: '0 0 29 2 *'", cron: Some("0 0 0 29 2 *"), croner: Some("0 0 29 2 *") },
    Case {
        name: "30 February (never)",
        ours: "cron: '0 0 30 2 *'",
        cron: Some("0 0 0 30 2 *"),
        croner: Some("0 0 30 2 *"),
    },
    Case { name: "week 53, June (never)", ours: "cron: {week: 53, month: 6}", cron: None, croner: None },
    Case {
        name: "all of 2 (never)",
        ours: "{timezone: UTC, all: [{cron: '0 2 * * *'}, {cron: '0 3 * * *'}]}",
        cron: None,
        croner: None,
    },
    Case { name: "field map, week 53", ours: "cron: {week: 53}", cron: None, croner: None },
    Case { name: "every 90s", ours: "{every: 90s, anchor: 2026-01-01}", cron: None, croner: None },
    Case { name: "calendar, 31st", ours: "calendar: {months: 1, from: 2026-01-31}", cron: None, croner: None },
    Case {
        name: "any of 3",
        ours: "[{cron: '0 6 * * 1-5'}, {cron: '0 9 * * 6'}, {every: 7h}]",
        cron: None,
        croner: None,
    },
    Case { name: "all of 2", ours: "all: [{cron: '0 0 L * *'}, {cron: '0 0 * * 1-5'}]", cron: None, croner: None },
];

fn main() {
    let full = std::env::args().any(|argument| argument == "--bench");
    let n = if full { 20_000 } else { 3 };
    let zones = Zones::bundled();
    let berlin = zones.get(BERLIN).expect("the zone is in the bundled data");
    let header = ["case", "ours", "cron", "croner", "cron/ours", "croner/ours"];
    row(&header.map(str::to_owned));
    for case in &CASES {
        let ours = ours(case.ours, &zones, &berlin, n);
        let cron = case.cron.and_then(|text| cron(text, n.min(2_000)));
        let croner = case.croner.and_then(|text| croner(text, n.min(2_000)));
        let ratio = |theirs: Option<Duration>| {
            theirs.map_or("-".to_owned(), |theirs| format!("{:.0}x", theirs.as_secs_f64() / ours.as_secs_f64()))
        };
        let shown = |time: Option<Duration>| time.map_or("-".to_owned(), micros);
        row(&[case.name.to_owned(), micros(ours), shown(cron), shown(croner), ratio(cron), ratio(croner)]);
    }
}

#[expect(clippy::print_stdout, reason = "a bench reports on standard output")]
fn row(cells: &[String; 6]) {
    let [name, ours, cron, croner, cron_ratio, croner_ratio] = cells;
    println!("{name:<22} {ours:>12} {cron:>12} {croner:>12} {cron_ratio:>12} {croner_ratio:>12}");
}

fn micros(time: Duration) -> String {
    format!("{:.3} us", time.as_secs_f64() * 1e6)
}

/// Instants all over a year, so that no answer is the one before.
fn instant(n: u32) -> DateTime<Utc> {
    let start = DateTime::from_timestamp(1_795_000_000, 0).expect("a date in 2026");
    start + TimeDelta::seconds(i64::from(n.wrapping_mul(2_654_435_761) % (365 * 86_400)))
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn time(n: u32, mut work: impl FnMut(DateTime<Utc>)) -> Duration {
    let started = Instant::now();
    (0..n).for_each(|n| work(instant(n)));
    started.elapsed() / n
}

fn read(text: &str, zones: &Zones, zone: &Zone) -> Option<Trigger> {
    let node = parse(0, text).0.expect("the cases are YAML");
    Trigger::read(&node, TriggerContext::new(zones, zone, "bench"), &mut Diagnostics::default())
}

/// A trigger that never fires is refused when it is read, so there the reading is what is measured.
fn ours(text: &str, zones: &Zones, zone: &Zone, n: u32) -> Duration {
    let basis = Basis { first_seen: instant(0), last_finished: None };
    let Some(trigger) = read(text, zones, zone) else {
        return time(n.min(500), |_| assert!(black_box(read(text, zones, zone)).is_none()));
    };
    time(n, |after| {
        black_box(trigger.next_after(black_box(after), &basis));
    })
}

/// `cron` has no zone data of its own here: UTC, which is its fastest case.
fn cron(text: &str, n: u32) -> Option<Duration> {
    let schedule: cron::Schedule = text.parse().ok()?;
    Some(time(n, |after| {
        black_box(schedule.after(&black_box(after)).next());
    }))
}

/// In UTC as well.
fn croner(text: &str, n: u32) -> Option<Duration> {
    let pattern: croner::Cron = text.parse().ok()?;
    Some(time(n, |after| {
        let _ = black_box(pattern.find_next_occurrence(&black_box(after), false));
    }))
}
