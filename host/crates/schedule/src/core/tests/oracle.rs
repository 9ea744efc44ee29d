//! APScheduler's answers about late slots: what was due, what ran, and where the schedule went on.

use std::num::NonZeroU32;

use serde_json::Value as Json;

use super::*;

const ORACLE: &str = include_str!("../../trigger/tests/data/apscheduler-oracle.jsonl");

fn instant(json: &Json) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(json.as_str().unwrap()).unwrap().to_utc()
}

/// The job of a row, and the core that is asked about it at the row's `now`.
fn decide(row: &Json) -> (Vec<Decision>, Core) {
    let start = row["trigger"]["interval"]["start_date"].as_str().unwrap();
    let seconds = &row["trigger"]["interval"]["seconds"];
    let policy = Policy {
        coalesce: if row["coalesce"] == true { Coalesce::Latest } else { Coalesce::All },
        misfire_grace: row["grace_s"].as_f64().map(Duration::from_secs_f64),
        max_backlog: NonZeroU32::MAX,
        overlap: Overlap::Allow,
        ..Policy::default()
    };
    let job = job("a", &format!("{{ every: {seconds}s, anchor: \"{start}\" }}"), policy);
    let from = instant(&row["next_run_time"]);
    let past = past(&job, from, from - TimeDelta::microseconds(1));
    let mut core = Core::default();
    core.handle(from, Input::Pools([(Default::default(), NonZeroU32::MAX)].into()));
    let now = instant(&row["now"]);
    let mut decisions = core.handle(now, Input::Add { job, past: Some(past) });
    decisions.extend(core.handle(now, Input::Tick));
    (decisions, core)
}

#[test]
fn late_slots_run_and_are_missed_as_there() {
    let rows = ORACLE.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
    let rows: Vec<_> = rows.filter(|row| row["kind"] == "misfire").collect();
    assert_eq!(rows.len(), 39);
    let mut differing = Vec::new();
    for row in &rows {
        let (decisions, core) = decide(row);
        let n_started = decisions.iter().filter(|decision| matches!(decision, Decision::Start(_))).count();
        let skipped = decisions.iter().filter_map(|decision| match decision {
            Decision::Skip(skip) => Some(skip.count),
            _ => None,
        });
        // Promise 1: whatever was due there has an answer here, run or skipped.
        let n_accounted = u64::try_from(n_started).unwrap() + skipped.sum::<u64>();
        assert_eq!(Some(n_accounted), row["due"].as_u64(), "{row}");
        assert_eq!(core.next_slot(&"a".parse().unwrap()), Some(instant(&row["next_after"])), "{row}");
        if u64::try_from(n_started).ok() != row["executed"].as_u64() {
            differing.push(format!("{} ran {n_started}, there {}", row["id"].as_str().unwrap(), row["executed"]));
        }
    }
    assert_eq!(differing, Vec::<String>::new());
}
