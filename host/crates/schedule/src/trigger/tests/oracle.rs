//! The answers of APScheduler 3.11.3 and 4.0.0a6, and the brute-force reference beside them, row by row.
//!
//! Every row of the file is either compared or listed in [`REASON`] with why it is not. Of the rows in which `and` hangs,
//! the slots before it are compared; those without any are refused by ours, since they never fire. The rows of kind
//! `misfire` are about policies, not triggers.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value as Json, json};

use super::{at, read_in, told};
use crate::trigger::{Basis, Trigger};

const ORACLE: &str = include_str!("data/apscheduler-oracle.jsonl");

/// Rows whose answer is not ours to give. Each is still read, and what ours gives instead is checked below.
const REASON: [(&str, &str); 10] = [
    ("v3.interval.010", "an interval of zero becomes a second there; ours is refused"),
    ("v3.date.009", "a date in the past is answered with a slot before the start; ours has none left"),
    ("v3.or.017", "the child of 02:30 runs at an instant that does not exist"),
    ("v3.or.029", "issue 640: the interval child loses its phase in a chain"),
    ("v3.or.030", "the date child disappears once another child has fired"),
    ("v3.jitter.009", "drifts with its jitter"),
    ("v3.jitter.014", "drifts with its jitter"),
    ("v4.crontab.007", "the step of `1-5/2` is silently dropped there"),
    ("v4.combine.017", "the interval child begins before the asked time there, and the cron child at it"),
    ("v4.dst-midnight.002", "1 April is lost, as in 3.x"),
];

fn rows() -> Vec<Json> {
    ORACLE.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text_of<'j>(row: &'j Json, key: &str) -> &'j str {
    row[key].as_str().unwrap_or_default()
}

/// A trigger of the oracle in our manifest's words.
fn ours(trigger: &Json, row: &Json) -> Json {
    let (kind, value) = trigger.as_object().unwrap().iter().next().unwrap();
    let mut map = Map::new();
    let mut inner = value.as_object().cloned().unwrap_or_default();
    if let Some(end) = inner.remove("end_date") {
        map.insert("end".to_owned(), end);
    }
    if let Some(jitter) = inner.remove("jitter") {
        map.insert("jitter".to_owned(), json!(format!("{jitter}s")));
    }
    let start = inner.remove("start_date");
    match kind.as_str() {
        "cron" => {
            map.extend(start.map(|start| ("start".to_owned(), start)));
            map.insert("cron".to_owned(), Json::Object(inner));
            map.insert("compat".to_owned(), json!("apscheduler"));
        }
        "crontab" if row["engine"] == "4.0.0a6" => {
            map.insert("cron".to_owned(), value.clone());
            map.insert("dst".to_owned(), json!({"gap": "skip", "fold": "both"}));
        }
        "crontab" => {
            map.insert("cron".to_owned(), value.clone());
            map.insert("compat".to_owned(), json!("apscheduler"));
        }
        "interval" => {
            // 4.x begins at once, 3.x has a start date in every row.
            map.insert("anchor".to_owned(), start.unwrap_or_else(|| row["start"].clone()));
            map.insert("every".to_owned(), Json::Object(inner));
        }
        "date" => {
            map.insert("at".to_owned(), value.clone());
        }
        "calendarinterval" => {
            let mut part = |key: &str| inner.remove(key).and_then(|n| n.as_i64()).unwrap_or(0);
            let time = format!("{:02}:{:02}:{:02}", part("hour"), part("minute"), part("second"));
            inner.insert("at".to_owned(), json!(time));
            inner.insert("from".to_owned(), start.unwrap());
            map.insert("calendar".to_owned(), Json::Object(inner));
            map.insert("dst".to_owned(), json!({"gap": "skip"}));
        }
        "or" | "and" => {
            let children = value.as_array().unwrap().iter().map(|child| ours(child, row)).collect();
            map.insert(if kind == "or" { "any" } else { "all" }.to_owned(), Json::Array(children));
        }
        _ => panic!("unknown kind {kind}"),
    }
    Json::Object(map)
}

fn read_row(row: &Json) -> (Option<Trigger>, String) {
    let text = ours(&row["trigger"], row).to_string();
    let zone = row["timezone"].as_str().unwrap_or("UTC");
    let (trigger, diagnostics) = read_in(&text, zone);
    (trigger, format!("{text}\n{}", told(&text, &diagnostics)))
}

#[expect(clippy::cast_possible_truncation, reason = "seconds of our era in microseconds")]
fn instants(row: &Json, key: &str) -> Vec<i64> {
    row[key].as_array().unwrap().iter().map(|at| (at.as_f64().unwrap() * 1e6).round() as i64).collect()
}

fn micros(slots: impl Iterator<Item = DateTime<Utc>>) -> Vec<i64> {
    slots.map(|slot| slot.timestamp_micros()).collect()
}

/// What differs in a row, if anything does.
fn compare(row: &Json) -> Result<(), String> {
    let id = text_of(row, "id");
    let (trigger, problem) = read_row(row);
    let wanted = if row["agrees"] == json!(false) { "ref_utc" } else { "utc" };
    let mut wanted = instants(row, wanted);
    let Some(trigger) = trigger else {
        let never = problem.contains("[trigger.never]");
        return if wanted.is_empty() && never { Ok(()) } else { Err(format!("{id} is refused: {problem}")) };
    };
    let basis = Basis { first_seen: at(text_of(row, "start")), last_finished: None };
    // 4.x begins with the start date of its trigger, whatever the time.
    let first = wanted.first().and_then(|first| DateTime::from_timestamp_micros(*first));
    let from = first.filter(|_| row["engine"] == "4.0.0a6").unwrap_or(basis.first_seen).min(basis.first_seen);
    if let Some(fraction) = row["jitter_fraction"].as_f64() {
        // The random number was fixed at 0, a half or 1.
        let jitter = trigger.jitter.unwrap().max_micros;
        let fixed = if fraction == 0.0 {
            0
        } else if fraction == 0.5 {
            jitter / 2
        } else {
            jitter
        };
        for slot in &mut wanted {
            *slot -= fixed;
        }
        for slot in trigger.slots_from(from, &basis).take(10) {
            assert!(trigger.start_delay(slot, &basis).as_micros() <= jitter.unsigned_abs().into(), "{id}");
        }
    }
    let n = wanted.len() + usize::from(row["ended"] == json!(true));
    let found = micros(trigger.slots_from(from, &basis).take(n));
    if found == wanted { Ok(()) } else { Err(format!("{id} {problem}  wanted {wanted:?}\n  found  {found:?}")) }
}

#[test]
fn every_answer_is_given_but_for_those_with_a_reason() {
    let rows: Vec<_> = rows().into_iter().filter(|row| row["kind"] == "case").collect();
    let excused = |row: &Json| REASON.iter().any(|(id, _)| *id == text_of(row, "id"));
    let (excused, compared): (Vec<_>, Vec<_>) = rows.iter().partition(|row| excused(row));
    let wrong: Vec<_> = compared.iter().filter_map(|row| compare(row).err()).collect();
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), compared.len(), wrong.join("\n"));
    assert_eq!(excused.len(), REASON.len());
    let needless: Vec<_> = excused.iter().filter(|row| compare(row).is_ok()).map(|row| text_of(row, "id")).collect();
    assert_eq!(needless, [""; 0], "these need no excuse");
    assert_eq!(compared.len(), 291);
}

#[test]
fn what_is_refused_there_or_accepted_by_accident_is_refused_with_a_column() {
    let mut table = String::new();
    for row in rows().iter().filter(|row| row["kind"] == "invalid" || row["kind"] == "lenient") {
        let (trigger, problem) = read_row(row);
        assert_eq!(trigger, None, "{}", text_of(row, "id"));
        table.push_str(&format!("{} {problem}", text_of(row, "id")));
    }
    expect_test::expect_file!["data/refused.txt"].assert_eq(&table);
}

/// What ours gives where the oracle is excused.
#[test]
fn where_the_oracle_is_wrong_ours_is_right() {
    let rows = rows();
    let mut table = String::new();
    for (id, reason) in REASON {
        let row = rows.iter().find(|row| row["id"] == id).unwrap();
        let (trigger, problem) = read_row(row);
        table.push_str(&format!("{id}: {reason}\n"));
        let Some(trigger) = trigger else {
            table.push_str(problem.lines().nth(1).unwrap());
            table.push('\n');
            continue;
        };
        table.push_str(&format!("  {}\n", super::slots(&trigger, text_of(row, "start"), 5).join(", ")));
    }
    expect_test::expect_file!["data/excused.txt"].assert_eq(&table);
}
