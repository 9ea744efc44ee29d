//! What was told: by the guests, in their files, and by the ledger, through the program itself.

use std::{fs, path::Path};

use chrono::DateTime;
use clockjack_checker::{Attempt, Cause, History, Micros, Run, Said, Skip, Up, Witness};
use serde_json::Value as Json;

use crate::{fleet::MS, process::ask};

/// More rows than any job here has, and as many as the program prints.
const ROWS_MAX: &str = "100000";

/// The files that the guests left.
pub(crate) fn witnesses(folder: &Path, up: &[Up]) -> Vec<Witness> {
    let entries = fs::read_dir(folder).expect("the folder of the guests");
    let mut witnesses: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let end = fs::read_to_string(&path).expect("a file of a guest");
            witness(&name, &end, up).unwrap_or_else(|| panic!("`{name}` says `{end}`"))
        })
        .collect();
    witnesses.sort_by_key(|witness| witness.start);
    witnesses
}

fn witness(name: &str, text: &str, up: &[Up]) -> Option<Witness> {
    let [job, slot, run, attempt, cause, start] = name.split('~').collect::<Vec<_>>().try_into().ok()?;
    let start = start.parse().ok()?;
    let (end, said) = match text.trim_end().split_once(' ') {
        None if text.is_empty() => (None, Said::Failed),
        None => return None,
        Some((end, "succeeded")) => (Some(end.parse().ok()?), Said::Succeeded),
        Some((end, "failed")) => (Some(end.parse().ok()?), Said::Failed),
        Some(_) => return None,
    };
    Some(Witness {
        run: run.to_owned(),
        job: job.to_owned(),
        slot: slot.parse::<Micros>().ok()? * MS,
        attempt: attempt.parse().ok()?,
        host: up.partition_point(|up| up.span.from <= start).saturating_sub(1),
        start,
        end,
        said,
        cause: Some(cause.to_owned()),
    })
}

/// All runs and skips, asked for as a user would: of each job, so that no answer is cut.
pub(crate) fn history(folder: &Path, jobs: &[&str], reading: &[&str]) -> History {
    let mut history = History::default();
    for job in jobs {
        let rows = json(folder, &[&["runs", "--skips", "--job", job, "-n", ROWS_MAX], reading].concat());
        rows.as_array().expect("a list").iter().for_each(|row| add(&mut history, folder, row, reading));
    }
    history
}

fn add(history: &mut History, folder: &Path, row: &Json, reading: &[&str]) {
    if row["state"] == "skipped" {
        return history.skips.push(skip(row));
    }
    // Of one attempt the row tells all.
    let is_whole = row["state"] == "ended" && row["attempts"].as_u64() == Some(1);
    let id = text(row, "id");
    let attempts = if is_whole {
        vec![attempt(row, 1)]
    } else {
        let story = json(folder, &[&["runs", "show", id.as_str()], reading].concat());
        let ended = story["attempt_list"].as_array().expect("a list").iter();
        let ended = ended.filter(|attempt| !attempt["outcome"].is_null());
        ended.map(|one| attempt(one, number(one, "number"))).collect()
    };
    history.runs.push(run(row, attempts));
}

fn json(folder: &Path, args: &[&str]) -> Json {
    let answer = ask(folder, &[args, &["-o", "json"]].concat()).answer();
    serde_json::from_slice(&answer).unwrap_or_else(|error| panic!("{args:?}: {error}"))
}

fn run(row: &Json, attempts: Vec<Attempt>) -> Run {
    let cause = text(row, "cause");
    let cause = match cause.split_once(' ') {
        None if cause == "schedule" => Cause::Schedule,
        Some(("catch-up", of)) => {
            let n_slots = of.strip_prefix("of ").and_then(|n_slots| n_slots.parse().ok());
            Cause::CatchUp(n_slots.expect("a number of slots"))
        }
        Some(("upstream", job)) => Cause::Upstream(job.to_owned()),
        _ => panic!("nobody asked for a run, and yet its cause is `{cause}`"),
    };
    Run {
        id: text(row, "id"),
        job: text(row, "job"),
        slot: instant(row, "scheduled_for").expect("a slot"),
        cause,
        outcome: row["outcome"].as_str().map(str::to_owned),
        n_attempts: u32::try_from(attempts.len()).expect("few attempts"),
        started: instant(row, "started_at"),
        finished: instant(row, "finished_at"),
        attempts,
    }
}

fn attempt(row: &Json, number: u32) -> Attempt {
    Attempt {
        number,
        outcome: text(row, "outcome"),
        started: instant(row, "started_at"),
        finished: instant(row, "finished_at").expect("the end of an attempt"),
    }
}

fn skip(row: &Json) -> Skip {
    let id = |key: &str| row[key].as_str().map(str::to_owned);
    Skip {
        job: text(row, "job"),
        run: id("run"),
        first: instant(row, "first").expect("a slot"),
        last: instant(row, "last").expect("a slot"),
        count: u64::from(number(row, "count")),
        reason: text(row, "reason"),
        at: instant(row, "decided_at").expect("an instant"),
        by: id("by"),
    }
}

fn text(row: &Json, key: &str) -> String {
    row[key].as_str().unwrap_or_else(|| panic!("no `{key}` in {row}")).to_owned()
}

fn number(row: &Json, key: &str) -> u32 {
    let number = row[key].as_u64().and_then(|number| u32::try_from(number).ok());
    number.unwrap_or_else(|| panic!("no `{key}` in {row}"))
}

fn instant(row: &Json, key: &str) -> Option<Micros> {
    let text = row[key].as_str()?;
    let parsed = DateTime::parse_from_rfc3339(text).unwrap_or_else(|error| panic!("`{text}`: {error}"));
    Some(parsed.timestamp_micros())
}
