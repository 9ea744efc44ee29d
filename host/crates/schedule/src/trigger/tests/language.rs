//! The language as tables: what each spelling fires at, how it is told, and what is refused with which words.

use super::{basis, read, read_in, slots, told};
use crate::trigger::{Trigger, TriggerContext};

/// One line per spelling: its first slots from the beginning of 2027 on, and the description below.
fn table(zone: &str, spellings: &[&str]) -> String {
    let row = |text: &&str| {
        let (trigger, diagnostics) = read_in(text, zone);
        match trigger {
            Some(trigger) => {
                let slots = slots(&trigger, "2026-12-31T23:00:00Z", 4).join(", ");
                let slots = if slots.is_empty() { "no slot".to_owned() } else { slots };
                format!("{text}\n  {}\n  {}\n", slots.replace("+00:00", ""), trigger.describe())
            }
            None => format!("{text}\n{}", told(text, &diagnostics)),
        }
    };
    spellings.iter().map(row).collect()
}

#[test]
fn cron_strings() {
    let told = table(
        "UTC",
        &[
            "cron: '30 2 * * mon-fri'",
            "cron: '*/5 * * * *'",
            "cron: '0 22-2 * * *'",
            "cron: '0 0 * * fri-mon'",
            "cron: '0 0 * * 5-7'",
            "cron: '0 0 * * 0-7'",
            "cron: '0 0 * * */2'",
            "cron: '0 9-17 * * mon-fri'",
            "cron: '*/5 8-10 * * *'",
            "cron: '10 */2 * * *'",
            "cron: '*/20 * * * * *'",
            "cron: '0 0 * * MONDAY'",
            "cron: '0 0 * * mon-fri/2'",
            "cron: '0 0 1 jan-dec/3 *'",
            "cron: '7/20 * * * *'",
            "cron: '0 0 13 * fri'",
            "cron: '0 0 13 * +fri'",
            "{cron: '0 0 13 * fri', day_rule: and}",
            "cron: '0 0 */2 * fri'",
            "cron: '0 0 L * ?'",
            "cron: '0 0 L-3 * *'",
            "cron: '0 0 LW * *'",
            "cron: '0 0 15W * *'",
            "cron: '0 0 * * 5L'",
            "cron: '0 0 * * friL'",
            "cron: '0 0 * * fri#3'",
            "cron: '0 0 29 2 *'",
            "cron: 'H H * * *'",
            "cron: 'H/15 * * * *'",
            "cron: 'H(0-15) H(1-4) * * *'",
            "cron: '15 30 2 * * *'",
            "cron: '0 0 0 1 1 ? 2027-2031/2'",
            "cron: '@hourly'",
            "cron: '@Daily'",
            "cron: '@weekly'",
            "cron: '@monthly'",
            "cron: '@yearly'",
        ],
    );
    expect_test::expect_file!["data/cron.txt"].assert_eq(&told);
}

#[test]
fn refused_cron_strings() {
    let told = table(
        "UTC",
        &[
            "cron: ''",
            "cron: '* * * *'",
            "cron: '30 2 * * * /usr/bin/backup --all now'",
            "cron: '60 * * * *'",
            "cron: '* 24 * * *'",
            "cron: '* * 0 * *'",
            "cron: '* * 32 * *'",
            "cron: '* * * 13 *'",
            "cron: '* * * * 8'",
            "cron: '0 0 1 1 * 2027'",
            "cron: '*/0 * * * *'",
            "cron: '*/60 * * * *'",
            "cron: '0 */24 * * *'",
            "cron: '5-8/4 * * * *'",
            "cron: '1,,2 * * * *'",
            "cron: '1,2, * * * *'",
            "cron: '1- * * * *'",
            "cron: '-1 * * * *'",
            "cron: '? * * * *'",
            "cron: '* * * * mondey'",
            "cron: '0 0 * * L'",
            "cron: '0 0 L-31 * *'",
            "cron: '0 0 32W * *'",
            "cron: '0 0 * * fri#6'",
            "cron: '0 0 30 2 *'",
            "cron: '0 0 0 1 1 * 2031-2027'",
            "cron: 'TZ=Europe/Berlin 0 0 * * *'",
            "cron: 'CRON_TZ=Europe/Berlin 0 0 * * *'",
            "cron: '@reboot'",
            "cron: '@every 5m'",
            "cron: '@dayly'",
            "cron: '@daily 5'",
            "cron: '１ * * * *'",
            "cron: 'H(5-2) * * * *'",
            "cron: 'HH * * * *'",
            "cron: 5",
            "cron: {}",
            "cron: {hours: 5}",
            "cron: {hour: [1, 2]}",
        ],
    );
    expect_test::expect_file!["data/cron-refused.txt"].assert_eq(&told);
}

#[test]
fn the_other_kinds() {
    let told = table(
        "Europe/Berlin",
        &[
            "cron: {month: '6-8,11-12', day: '3rd fri', hour: '0-3'}",
            "cron: {week: 53}",
            "cron: {day: '1st mon,last fri,13', hour: 18}",
            "{cron: '0 9 * * 0', compat: apscheduler}",
            "every: 90s",
            "{every: {days: 4, hours: 3}, anchor: 2026-01-01T00:00Z}",
            "{every: PT1H30M, anchor: 2026-12-31}",
            "{every: 0.5s}",
            "{every: 500ms, start: 2027-02-01, end: 2027-02-01T00:00:01}",
            "{every: 10m, mode: fixed_delay}",
            "{every: {hours: 1, anchor: '2027-01-01 00:20'}, jitter: 5m}",
            "calendar: {months: 1, at: '09:00'}",
            "calendar: {months: 1, from: 2027-01-31}",
            "calendar: {months: 1, from: 2027-01-31, overflow: clamp}",
            "calendar: {months: 3, day: last, at: '18:00'}",
            "calendar: {months: 1, day: 30, from: 2027-01-01}",
            "calendar: {weeks: 2, at: '07:30', from: 2027-01-04}",
            "calendar: {years: 1, from: 2024-02-29}",
            "calendar: {months: 1, days: 1, from: 2024-01-31}",
            "at: 2027-12-24T18:00:00",
            "at: ['2027-12-24T18:00[America/New_York]', 2027-06-01, 2027-03-28T02:30]",
            "{at: 2027-10-31T02:30, dst: {fold: both}}",
            "any: [{cron: '0 6 * * mon-fri'}, {cron: '0 10 * * sat,sun'}]",
            "[{every: 6h, anchor: 2026-01-01T00:00Z}, {at: 2027-01-01T02:30:30Z}]",
            "all: [{cron: '0 0 L * *'}, {cron: '0 0 * * mon-fri'}]",
            "all: [{every: 4h, anchor: 2026-01-01T00:00Z}, {every: 6h, anchor: 2026-01-01T02:00Z}]",
            "all: [{calendar: {weeks: 2, from: 2027-01-04}}, {cron: '0 0 1-7 * *'}]",
            "{cron: '0 9 * * *', except: [weekends, 2027-01-04..2027-01-06, holidays]}",
            "{every: 1h, anchor: 2026-01-01T00:00Z, except: [nights]}",
            "{cron: '0 9 * * *', except: {cron: '0 9 1-30 * *'}}",
            "{cron: '30 2 * * *', timezone: America/New_York, start: 2027-03-13, end: 2027-03-15}",
            "{cron: '* * * * * *', except: [{cron: '* * * * * thu-sat'}, {cron: '* * 0-7 * * *'}]}",
            "{every: 1s, anchor: 2026-01-01, except: [{cron: '* * * 1-15 * *'}]}",
        ],
    );
    expect_test::expect_file!["data/kinds.txt"].assert_eq(&told);
}

#[test]
fn the_other_kinds_refused() {
    let told = table(
        "Europe/Berlin",
        &[
            "'0 0 * * *'",
            "5m",
            "{}",
            "{timezone: UTC}",
            "{cron: '0 0 * * *', every: 5m}",
            "{cron: '0 0 * * *', timezone: Berlin}",
            "every: 30",
            "every: 0s",
            "every: 10us",
            "every: -5m",
            "every: {}",
            "every: {days: -1}",
            "every: {day: 1}",
            "{every: 5m, mode: fixed}",
            "{every: 5m, anchor: yesterday}",
            "calendar: {at: '09:00'}",
            "calendar: {months: 1, at: '9:00'}",
            "calendar: {months: 1, at: '25:00'}",
            "calendar: {weeks: 1, day: last}",
            "calendar: {months: 12, from: 2027-02-29}",
            "calendar: {months: 12, day: 30, from: 2027-02-01}",
            "at: 2024-06-31",
            "at: 2027-02-29",
            "at: tomorrow",
            "at: 2027-01-01T10:00+01:00[America/New_York]",
            "at: 2027-01-01T10:00[Mars/Olympus]",
            "at: []",
            "at: 5",
            "{at: 2027-03-28T02:30, dst: {gap: skip}}",
            "any: []",
            "any: {cron: '0 0 * * *'}",
            "all: [{cron: '0 2 * * *'}, {cron: '0 3 * * *'}]",
            "{timezone: UTC, all: [{cron: '0 2 * * *'}, {cron: '0 3 * * *'}]}",
            "all: [{every: 2h, anchor: 2026-01-01T00:00Z}, {every: 2h, anchor: 2026-01-01T01:00Z}]",
            "{cron: '0 0 * * *', except: [{cron: '0 0 * * *'}]}",
            "{cron: '0 0 * * sat', except: [weekends]}",
            "{cron: '0 0 * * *', except: [holiday]}",
            "{cron: '0 0 * * *', except: [2027-01-06..2027-01-04]}",
            "{cron: '0 0 * * *', except: [5]}",
            "{cron: '0 0 * * *', start: 2027-02-01, end: 2027-01-01}",
            "{cron: '0 0 1 1 *', start: 2027-02-01, end: 2027-03-01}",
            "{cron: '0 0 * * *', jitter: 5}",
            "{cron: '0 0 * * *', dst: {gap: shift}}",
            "{cron: '0 0 * * *', time_zone: UTC}",
            "{cron: {week: 53, month: 6}}",
            "{cron: '30 2 29 2 *', compat: apscheduler, start: 2027-01-01, end: 2028-01-01}",
        ],
    );
    expect_test::expect_file!["data/kinds-refused.txt"].assert_eq(&told);
}

#[test]
fn clock_changes() {
    let spring = |text: &str| {
        let trigger = read_in(text, "Europe/Berlin").0.unwrap();
        let told = |from: &str, n: usize| {
            let rows = trigger.slots_from(super::at(from), &basis()).take(n).map(|slot| {
                let local = slots(&trigger, &slot.to_rfc3339(), 1).concat();
                let note = trigger.note(slot, &basis()).map_or(String::new(), |note| format!("  # {note}"));
                format!("  {local}{note}\n")
            });
            rows.collect::<String>()
        };
        let described = trigger.describe_from(super::at("2027-01-01T00:00:00Z"), &basis());
        format!("{text}\n{described}\n{}  --\n{}", told("2027-03-27T22:30:00Z", 4), told("2027-10-30T22:00:00Z", 4))
    };
    let told = [
        "cron: '30 2 * * *'",
        "{cron: '30 2 * * *', dst: {gap: skip, fold: both}}",
        "{cron: '30 2 * * *', dst: {fold: second}}",
        "cron: '*/30 2 * * *'",
        "cron: '0 * * * *'",
        "cron: '0,15,30,45 2,3 * * *'",
        "{cron: {hour: 2, minute: 30}}",
        "{cron: {hour: 2, minute: 30}, compat: apscheduler}",
        "{every: 1h, anchor: 2027-01-01}",
        "calendar: {days: 1, at: '02:30', from: 2027-01-01}",
        "{calendar: {days: 1, at: '02:30', from: 2027-01-01}, dst: {gap: skip, fold: both}}",
    ]
    .map(spring)
    .concat();
    expect_test::expect_file!["data/clock-changes.txt"].assert_eq(&told);
}

#[test]
fn warnings() {
    let row = |text: &str| {
        let (trigger, mut diagnostics) = read_in(text, "Europe/Berlin");
        let span = crate::diagnostic::Span { source: 0, start: 0, end: text.len() };
        trigger.unwrap().warnings(super::at("2026-11-21T12:00:00Z"), &basis(), span, &mut diagnostics);
        format!("{text}\n{}", diagnostics.into_iter().map(|d| format!("  {d}\n")).collect::<String>())
    };
    let told = [
        "cron: '30 2 * * *'",
        "cron: '*/10 2 * * *'",
        "{cron: '30 2 * * *', compat: apscheduler}",
        "{cron: '30 2 * * *', dst: {fold: both}}",
        "{cron: '0 2 * * sat', compat: apscheduler}",
        "{calendar: {days: 1, at: '02:30'}, dst: {gap: skip}}",
        "at: 2024-01-01",
        "{cron: '0 0 * * *', end: 2026-01-31}",
        "{cron: '* * * * *', jitter: 150s}",
        "{every: 1h, jitter: 5m}",
        "all: [{every: 1h}, {cron: '0 0 * * *'}]",
    ]
    .map(row)
    .concat();
    expect_test::expect_file!["data/warnings.txt"].assert_eq(&told);
}

#[test]
fn jitter_is_stable_bounded_and_leaves_the_slot_alone() {
    let trigger = read("{cron: '* * * * *', jitter: 150s}");
    let delays: Vec<_> = trigger
        .slots_from(super::at("2027-01-01T00:00:00Z"), &basis())
        .take(200)
        .map(|slot| trigger.start_delay(slot, &basis()))
        .collect();
    assert!(delays.iter().all(|delay| delay.as_secs() < 60));
    assert!(delays.iter().any(|delay| 50 < delay.as_secs()) && delays.iter().any(|delay| delay.as_secs() < 10));
    let again = read("{cron: '* * * * *', jitter: 150s}");
    let first = again.next_from(super::at("2027-01-01T00:00:00Z"), &basis()).unwrap();
    assert_eq!(again.start_delay(first, &basis()), delays[0]);
    assert_eq!(read("every: 1m").start_delay(first, &basis()), std::time::Duration::ZERO);
    let child = read("any: [{cron: '0 0 * * *'}, {cron: '30 0 * * *', jitter: 1h}]");
    assert_eq!(child.start_delay(super::at("2027-01-01T00:00:00Z"), &basis()), std::time::Duration::ZERO);
    assert_ne!(child.start_delay(super::at("2027-01-01T00:30:00Z"), &basis()), std::time::Duration::ZERO);
}

#[test]
fn a_fixed_delay_counts_from_the_end_of_the_last_run() {
    let trigger = read("{every: 10m, mode: fixed_delay}");
    let next = |basis| trigger.next_after(super::at("2026-01-01T00:05:00Z"), &basis).unwrap().to_rfc3339();
    assert_eq!(next(basis()), "2026-01-01T00:10:00.000007+00:00");
    let finished = |at| super::Basis { last_finished: Some(super::at(at)), ..basis() };
    assert_eq!(next(finished("2026-01-01T00:13:00Z")), "2026-01-01T00:23:00+00:00");
    assert!(trigger.waits_for_finish());
    // A slot that was passed over is followed by others, so that a skipped one does not end the job.
    let after = trigger.next_after(super::at("2026-01-01T00:23:00Z"), &finished("2026-01-01T00:13:00Z")).unwrap();
    assert_eq!(after.to_rfc3339(), "2026-01-01T00:33:00+00:00");
}

#[test]
fn a_backlog_is_counted_without_a_list() {
    let row = |text: &str, from: &str, until: &str| {
        let trigger = read_in(text, "Europe/Berlin").0.unwrap();
        let (from, until) = (super::at(from), super::at(until));
        let backlog = trigger.backlog(from, until, &basis(), 100);
        let told = backlog.map_or("none".to_owned(), |backlog| {
            let exact = if backlog.exact { "" } else { " and more" };
            format!("{} to {}: {}{exact}", backlog.first, backlog.last, backlog.count)
        });
        if let Some(backlog) = backlog {
            let walked: Vec<_> = trigger.slots_from(from, &basis()).take_while(|slot| *slot <= until).collect();
            let walked = &walked[usize::from(walked[0] == from)..];
            assert_eq!((backlog.first, backlog.last), (walked[0], walked[walked.len() - 1]), "{text}");
            let counted = usize::try_from(backlog.count).unwrap();
            assert!(if backlog.exact { counted == walked.len() } else { counted <= walked.len() }, "{text}");
        }
        format!("{text}: {told}\n")
    };
    let (from, until) = ("2027-03-01T00:00:00Z", "2027-04-03T12:00:00Z");
    let told = [
        row("{every: 1s, anchor: 2027-01-01}", from, until),
        row("cron: '*/7 * * * * *'", from, until),
        row("cron: '30 2 * * *'", from, until),
        row("cron: '*/20 1-3 * * mon,wed'", from, until),
        row("cron: '0 0 1 1 *'", from, until),
        row("{cron: '* * * * *', except: [weekends]}", from, until),
        row("any: [{cron: '*/5 * * * *'}, {cron: '*/7 * * * *'}]", from, until),
        row("at: [2027-03-02, 2027-03-03, 2028-01-01]", from, until),
        row("calendar: {days: 2, from: 2027-01-01}", from, until),
    ]
    .concat();
    expect_test::expect_file!["data/backlog.txt"].assert_eq(&told);
}

/// Until 1984 Casablanca had the time of UTC, so that the exception leaves out every slot for 14 years.
#[test]
fn a_late_first_slot_is_not_taken_for_never() {
    let text = "{cron: '0-2 * * * 0', timezone: Africa/Casablanca, except: [{cron: '* * * * 7', timezone: UTC}]}";
    assert_eq!(slots(&read(text), "2026-03-21T00:00:00Z", 1), ["Sun 2026-03-29 00:00:00+01:00"]);
}

#[test]
fn triggers_are_small() {
    assert!(size_of::<crate::trigger::cron::Cron>() < 200, "{}", size_of::<crate::trigger::cron::Cron>());
    assert!(size_of::<Trigger>() <= 104, "{}", size_of::<Trigger>());
}

#[test]
fn equal_meanings_are_equal_triggers() {
    assert_eq!(read("cron: '0 0 * * mon-fri'"), read("cron: '0 0 * * 1-5'"));
    assert_ne!(read("cron: '0 0 * * mon-fri'"), read("{cron: '0 0 * * 1-5', timezone: Europe/Berlin}"));
    let utc = crate::zone::Zone::utc();
    let other_job = TriggerContext::new(super::zones(), &utc, "other");
    let node = crate::manifest::parse::parse(0, "cron: 'H H * * *'").0.unwrap();
    let theirs = Trigger::read(&node, other_job, &mut crate::diagnostic::Diagnostics::default()).unwrap();
    assert_ne!(theirs, read("cron: 'H H * * *'"));
}

#[test]
fn slots_end_with_the_year_9999() {
    let basis = basis();
    for text in ["{every: 1h}", "{cron: '0 20 * * *', timezone: America/New_York}"] {
        let trigger = read(text);
        let slots: Vec<_> = trigger.slots_from(super::at("9999-12-31T20:30:00Z"), &basis).collect();
        assert!(slots.iter().all(|slot| slot.to_rfc3339().starts_with("9999-12-31T")), "{text}: {slots:?}");
        assert_eq!(trigger.next_after(super::at("9999-12-31T23:59:59.999999Z"), &basis), None, "{text}");
    }
}
