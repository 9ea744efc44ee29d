//! What an example expects of its jobs, in `expected.json`: a list of checks.
//!
//! `{ "job": …, "with": […], "outcome": …, "output": …, "logs": […], "stdout": …, "error": … }` runs the job once with
//! `clockjack exec`, with the further arguments of `with`. `outcome`, `output` and `stdout` are what they say exactly; each
//! text of `logs` stands in a message, in this order; `error` stands in the error; with `"differs": true` a second run
//! gives another output.
//!
//! `{ "up": "5s", "long": "60s", "jobs": { "JOB": { "outputs": [first, second] } } }` runs the whole manifest on a fresh
//! ledger for that time. Every job runs, and every run succeeds; the first runs of a job give these outputs.

use std::path::Path;

use serde_json::{Map, Value as Json};

use crate::{Example, host};

/// More runs than any example makes.
const RUNS_MAX: &str = "10000";

/// Holds an example against what it expects. How many checks that were, or everything that is wrong.
pub(crate) fn compare(example: &Example, long: bool) -> Result<usize, String> {
    let folder = &example.folder;
    let checked = host::clockjack(folder, &["check"]);
    if checked.code != Some(0) {
        return Err(format!("clockjack check: {:?}\n{}{}", checked.code, checked.stdout, checked.stderr));
    }
    let text = std::fs::read_to_string(folder.join("expected.json")).map_err(|e| format!("expected.json: {e}"))?;
    let checks: Vec<Map<String, Json>> = serde_json::from_str(&text).map_err(|e| format!("expected.json: {e}"))?;
    if checks.is_empty() {
        return Err("expected.json: there is no check".to_owned());
    }
    let wrong: Vec<_> = checks.iter().filter_map(|check| compare_one(folder, check, long).err()).collect();
    if wrong.is_empty() { Ok(checks.len()) } else { Err(wrong.join("\n")) }
}

fn compare_one(folder: &Path, check: &Map<String, Json>, long: bool) -> Result<(), String> {
    if check.contains_key("up") { compare_up(folder, check, long) } else { compare_exec(folder, check) }
}

fn text<'a>(check: &'a Map<String, Json>, key: &str) -> Result<&'a str, String> {
    check.get(key).and_then(Json::as_str).ok_or_else(|| format!("expected.json: a check needs the text `{key}`"))
}

fn compare_exec(folder: &Path, check: &Map<String, Json>) -> Result<(), String> {
    let job = text(check, "job")?;
    let mut args = vec!["exec", "--job", job, "-o", "json"];
    args.extend(check.get("with").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str));
    let got = host::json(folder, &args)?;
    let mut wrong = Vec::new();
    for (key, expected) in check {
        let is_equal = match key.as_str() {
            "job" | "with" => true,
            "outcome" | "output" | "stdout" => got[key] == *expected,
            "error" => got[key].as_str().zip(expected.as_str()).is_some_and(|(got, part)| got.contains(part)),
            "logs" => has_in_order(&got["logs"], expected),
            "differs" => (got["output"] != host::json(folder, &args)?["output"]) == (*expected == Json::Bool(true)),
            _ => return Err(format!("expected.json: unknown key `{key}`")),
        };
        if !is_equal {
            wrong.push(format!(
                "job {job}: {key}: expected {expected}\n  got {}",
                if key == "differs" { &got["output"] } else { &got[key] }
            ));
        }
    }
    if check.len() < 2 {
        wrong.push(format!("expected.json: the check of {job} compares nothing"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// Whether each text stands in the message of a line, in this order.
fn has_in_order(lines: &Json, texts: &Json) -> bool {
    let mut messages = lines.as_array().into_iter().flatten().filter_map(|line| line["message"].as_str());
    let Some(texts) = texts.as_array() else { return false };
    texts.iter().all(|part| part.as_str().is_some_and(|part| messages.any(|message| message.contains(part))))
}

fn compare_up(folder: &Path, check: &Map<String, Json>, long: bool) -> Result<(), String> {
    let time = text(check, if long && check.contains_key("long") { "long" } else { "up" })?;
    let known = ["up", "long", "jobs"];
    if let Some(key) = check.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("expected.json: unknown key `{key}` beside `up`"));
    }
    let scratch = tempfile::tempdir().map_err(|error| format!("no folder for a ledger: {error}"))?;
    let ledger = format!("sqlite:{}", scratch.path().join("ledger.db").display());
    let ended = host::clockjack(folder, &["up", "--for", time, "--ledger", &ledger]);
    if ended.code != Some(0) {
        return Err(format!("clockjack up ended with {:?}\n{}", ended.code, ended.stderr));
    }
    let jobs = check.get("jobs").and_then(Json::as_object).ok_or("expected.json: `up` needs a map `jobs`")?;
    let mut wrong = Vec::new();
    for (job, expected) in jobs {
        let runs = host::json(folder, &["runs", "--job", job, "-n", RUNS_MAX, "--ledger", &ledger, "-o", "json"])?;
        let ended = |run: &&Json| run["state"] == "ended";
        // The list begins with the newest.
        let runs: Vec<&Json> = runs.as_array().into_iter().flatten().filter(ended).rev().collect();
        if runs.is_empty() {
            wrong.push(format!("job {job} did not run within {time}"));
        }
        wrong.extend(runs.iter().filter(|run| run["outcome"] != "succeeded").map(|run| format!("job {job}: {run}")));
        let outputs = expected["outputs"].as_array().cloned().unwrap_or_default();
        if runs.len() < outputs.len() {
            wrong.push(format!("job {job}: {} runs within {time}, fewer than outputs expected", runs.len()));
        }
        for (run, output) in runs.iter().zip(outputs) {
            let id = run["id"].as_str().unwrap_or_default();
            let shown = host::json(folder, &["runs", "show", id, "--ledger", &ledger, "-o", "json"])?;
            if shown["output"] != output {
                wrong.push(format!("job {job}, slot {}: expected {output}\n  got {}", run["due_at"], shown["output"]));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("{}\n{}", wrong.join("\n"), ended.stderr)) }
}
