//! A brute-force walker: for every zone that changed its clocks between 2000 and 2037, and each such change, what the
//! clock on the wall showed is written down minute by minute, and every time that fits is looked for in it. It shares
//! no code with the engine: offsets come from jiff, fields from its civil times, policies from how often a time was shown.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::DateTime;
use jiff::{
    Timestamp,
    civil::DateTime as Civil,
    tz::{TimeZone, TimeZoneDatabase},
};

use super::{basis, read_in, zones};

/// One trigger under test: how it is written, whether a wall time fits, and the policy.
struct Case {
    text: &'static str,
    fits: fn(Civil) -> bool,
    gap_runs_after: bool,
    fold: Fold,
}

#[derive(Clone, Copy)]
enum Fold {
    First,
    Second,
    Both,
}

const CASES: [Case; 8] = [
    Case {
        text: "cron: '30 2 * * *'",
        fits: |t| t.hour() == 2 && t.minute() == 30,
        gap_runs_after: true,
        fold: Fold::First,
    },
    Case {
        text: "{cron: '30 2 * * *', dst: {gap: skip, fold: second}}",
        fits: |t| t.hour() == 2 && t.minute() == 30,
        gap_runs_after: false,
        fold: Fold::Second,
    },
    Case { text: "cron: '*/15 * * * *'", fits: |t| t.minute() % 15 == 0, gap_runs_after: false, fold: Fold::Both },
    Case {
        text: "cron: '0,20,40 0-3,23 * * *'",
        fits: |t| t.minute() % 20 == 0 && (t.hour() < 4 || t.hour() == 23),
        gap_runs_after: true,
        fold: Fold::First,
    },
    Case {
        text: "{cron: '0,20,40 0-3,23 * * *', dst: {fold: second}}",
        fits: |t| t.minute() % 20 == 0 && (t.hour() < 4 || t.hour() == 23),
        gap_runs_after: true,
        fold: Fold::Second,
    },
    Case {
        text: "{cron: {hour: '*/3', minute: 5}, compat: apscheduler}",
        fits: |t| t.hour() % 3 == 0 && t.minute() == 5,
        gap_runs_after: false,
        fold: Fold::Both,
    },
    Case {
        text: "cron: '0 0 * * sun'",
        fits: |t| t.hour() == 0 && t.minute() == 0 && t.weekday() == jiff::civil::Weekday::Sunday,
        gap_runs_after: true,
        fold: Fold::First,
    },
    Case {
        text: "{calendar: {days: 1, at: '02:30', from: 1999-12-01}}",
        fits: |t| t.hour() == 2 && t.minute() == 30,
        gap_runs_after: true,
        fold: Fold::First,
    },
];

const MINUTE: i64 = 60;

/// What the clock on the wall shows at each minute of a stretch, both in seconds.
struct Clock {
    shown: Vec<(i64, i64)>,
    /// The instants at which each time was shown.
    when: HashMap<i64, Vec<i64>>,
}

impl Clock {
    fn new(zone: &TimeZone, from: i64, to: i64) -> Self {
        let minutes = (from / MINUTE..to / MINUTE).map(|minute| minute * MINUTE);
        let offset = |at| i64::from(zone.to_offset(Timestamp::from_second(at).unwrap()).seconds());
        let shown: Vec<_> = minutes.map(|at| (at, at + offset(at))).collect();
        let mut when: HashMap<i64, Vec<i64>> = HashMap::new();
        for (at, wall) in &shown {
            when.entry(*wall).or_default().push(*at);
        }
        Self { shown, when }
    }

    /// The slots: each time that fits is looked for on the clock, and the policy decides where it is missing or double.
    fn slots(&self, case: &Case) -> BTreeSet<i64> {
        let mut slots = BTreeSet::new();
        let walls = self.shown.iter().map(|(_, wall)| *wall);
        let (low, high) = (walls.clone().min().unwrap(), walls.max().unwrap());
        for wall in (low / MINUTE..=high / MINUTE).map(|minute| minute * MINUTE) {
            if !(case.fits)(jiff::tz::Offset::UTC.to_datetime(Timestamp::from_second(wall).unwrap())) {
                continue;
            }
            match (self.when.get(&wall).map(Vec::as_slice), case.fold) {
                (Some([first, ..]), Fold::First) => slots.extend([*first]),
                (Some([.., last]), Fold::Second) => slots.extend([*last]),
                (Some(all), Fold::Both) => slots.extend(all),
                (Some([]), _) => unreachable!(),
                (None, _) if case.gap_runs_after => {
                    let jump = self.shown.windows(2).find(|pair| pair[0].1 < wall && wall < pair[1].1);
                    slots.extend(jump.map(|pair| pair[1].0));
                }
                (None, _) => {}
            }
        }
        slots
    }
}

/// The clock changes of each zone, zones with the same ones together.
fn groups() -> BTreeMap<Vec<(i64, i32)>, Vec<String>> {
    let first: i64 = "2000-01-01T00:00:00Z".parse::<Timestamp>().unwrap().as_second();
    let last: i64 = "2038-01-01T00:00:00Z".parse::<Timestamp>().unwrap().as_second();
    let mut groups: BTreeMap<Vec<(i64, i32)>, Vec<String>> = BTreeMap::new();
    for name in zones().names() {
        let zone = TimeZoneDatabase::bundled().get(&name).unwrap();
        let mut key = vec![(0, zone.to_offset(Timestamp::from_second(first).unwrap()).seconds())];
        let changes = zone.following(Timestamp::from_second(first).unwrap());
        let changes = changes.map(|change| (change.timestamp().as_second(), change.offset().seconds()));
        for (at, offset) in changes.take_while(|(at, _)| *at < last) {
            if key.last().unwrap().1 != offset {
                key.push((at, offset));
            }
        }
        if 1 < key.len() {
            groups.entry(key).or_default().push(name);
        }
    }
    groups
}

#[test]
fn every_clock_change_of_every_zone_from_2000_to_2037() {
    let groups = groups();
    let mut n_changes = 0;
    for (changes, names) in &groups {
        let name = &names[0];
        let zone = TimeZoneDatabase::bundled().get(name).unwrap();
        let triggers = CASES.map(|case| (read_in(case.text, name).0.unwrap(), case));
        for (at, _) in &changes[1..] {
            let (from, to) = (at - 30 * 3_600, at + 30 * 3_600);
            // What is asked lies inside what is known, so that no time seems to be missing at the edge.
            let clock = Clock::new(&zone, from - 30 * 3_600, to + 30 * 3_600);
            for (trigger, case) in &triggers {
                n_changes += 1;
                let expected = clock.slots(case).into_iter().filter(|slot| (from..to).contains(slot));
                let expected: Vec<i64> = expected.collect();
                let start = DateTime::from_timestamp(from, 0).unwrap();
                let found: Vec<i64> = trigger
                    .slots_from(start, &basis())
                    .map(|slot| slot.timestamp())
                    .take_while(|slot| *slot < to)
                    .collect();
                assert_eq!(found, expected, "{} in {name} around {at}", case.text);
                // Asked from any instant, the answer is the same.
                for probe in (from..to).step_by(37 * 60) {
                    let next = trigger.next_from(DateTime::from_timestamp(probe, 0).unwrap(), &basis()).unwrap();
                    let expected = expected.iter().find(|slot| probe <= **slot);
                    assert!(expected.is_none_or(|slot| *slot == next.timestamp()), "{} in {name} {probe}", case.text);
                }
            }
        }
    }
    assert!(100 < groups.len() && 20_000 < n_changes, "{} groups, {n_changes} changes", groups.len());
}
