//! `clockjack status`: how a running host is, on one screen.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use clap::Args;
use clockjack_schedule::ports::Clock as _;
use serde_json::Value as Json;

use super::{
    Exit, Output, asked,
    client::{self, Client, HostArgs, Said, instant},
    print, rows,
};
use crate::clock::SystemClock;

/// How many coming slots are shown.
const N_NEXT: usize = 5;

/// Most jobs that are looked through for what comes next.
const JOBS_MAX: usize = 20_000;

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    host: HostArgs,
}

pub(super) fn run(args: &StatusArgs) -> anyhow::Result<Exit> {
    let output = args.host.output.output;
    client::talk(output, async || {
        let client = Client::of(&args.host);
        let scheduler = client.get("/scheduler").await?;
        if output == Output::Json {
            return Said::json(&scheduler);
        }
        let plugins = client.get("/plugins").await?;
        let jobs = asked::items(&client, "/jobs", JOBS_MAX).await?;
        Ok(Said::done(print::plain(&page(&scheduler, &jobs, &plugins["items"], SystemClock.now()))))
    })
}

fn page(scheduler: &Json, jobs: &[Json], plugins: &Json, now: DateTime<Utc>) -> String {
    let text = |key: &str| scheduler[key].as_str().unwrap_or_default();
    let started: Option<DateTime<Utc>> = text("started_at").parse().ok();
    let since = started.map_or_else(String::new, |at| format!(" for {}", rows::span(rows::distance(now, at))));
    let state = scheduler["state"].as_str().unwrap_or("running");
    let files = scheduler["files"].as_array().into_iter().flatten().filter_map(Json::as_str).collect::<Vec<_>>();
    let manifest = if files.is_empty() { rows::NONE.to_owned() } else { files.join(", ") };
    let mut lines = vec![
        (
            "state",
            format!("{state}{}{since}; process {}, clockjack {}", paused(scheduler), scheduler["pid"], text("version")),
        ),
        (
            "manifest",
            format!("{manifest}{}", said(scheduler["manifest_ok"] == false, " (what was read last is refused)")),
        ),
        (
            "ledger",
            format!(
                "{}{}",
                text("ledger"),
                said(scheduler["ledger_held"] == true, " (cannot be written: nothing starts)")
            ),
        ),
        ("jobs", told_jobs(jobs)),
        ("plugins", told_plugins(plugins)),
    ];
    for (index, pool) in scheduler["pools"].as_array().into_iter().flatten().enumerate() {
        lines.push((if index == 0 { "pools" } else { "" }, told_pool(pool)));
    }
    for (index, (at, job)) in coming(jobs).into_iter().take(N_NEXT).enumerate() {
        lines.push((if index == 0 { "next" } else { "" }, format!("{}  {job}", instant(at))));
    }
    lines.iter().map(|(name, value)| format!("{name:<9} {value}").trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn said(is_so: bool, words: &'static str) -> &'static str {
    if is_so { words } else { "" }
}

/// Why a host is paused, where somebody said it.
fn paused(scheduler: &Json) -> String {
    scheduler["pause"]["note"].as_str().map_or_else(String::new, |note| format!(" ({note})"))
}

/// How full a pool is, such as `heavy: 2 of 2 places taken, 5 runs wait`.
fn told_pool(pool: &Json) -> String {
    let number = |key: &str| pool[key].as_u64().unwrap_or_default();
    let waiting = match number("waiting") {
        0 => String::new(),
        1 => ", 1 run waits".to_owned(),
        n => format!(", {n} runs wait"),
    };
    let name = pool["pool"].as_str().unwrap_or_default();
    let kind = said(pool["isolation"] == "process", ", in processes of their own");
    format!("{name}: {} of {} places taken{waiting}{kind}", number("running"), number("size"))
}

/// How many jobs there are in each state, and how many of their runs go on.
fn told_jobs(jobs: &[Json]) -> String {
    let n_running: u64 = jobs.iter().filter_map(|job| job["running"].as_u64()).sum();
    format!(
        "{}; {} under way",
        counted(jobs.iter().filter_map(|job| job["state"].as_str())),
        rows::plural(n_running, "run")
    )
}

/// How many plugins run, and how many have a file that does not.
fn told_plugins(plugins: &Json) -> String {
    let plugins = plugins.as_array().map_or(plugins["items"].as_array(), Some).cloned().unwrap_or_default();
    let states = plugins.iter().map(|plugin| match plugin["candidate"]["state"].as_str() {
        Some(state) => state,
        None if plugin["canary"].is_object() => "on trial",
        None => "in force",
    });
    counted(states)
}

/// How many there are of each word, such as `5 (4 active, 1 paused)`.
fn counted<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    words.for_each(|word| *counts.entry(word).or_default() += 1);
    let n_all: usize = counts.values().sum();
    let parts: Vec<_> = counts.iter().map(|(word, n)| format!("{n} {}", word.replace('_', " "))).collect();
    if parts.is_empty() { "none".to_owned() } else { format!("{n_all} ({})", parts.join(", ")) }
}

/// What comes next, the soonest first.
fn coming(jobs: &[Json]) -> Vec<(&str, &str)> {
    let mut slots: Vec<_> = jobs.iter().filter_map(|job| Some((job["next"].as_str()?, job["job"].as_str()?))).collect();
    slots.sort_by_key(|(at, job)| (at.parse::<DateTime<Utc>>().ok(), *job));
    slots
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_host_is_told_on_one_screen() {
        let scheduler = json!({ "version": "0.1.0", "pid": 7, "started_at": "2027-01-15T10:00:00Z", "state": "running",
            "files": ["clockjack.yaml"], "ledger": "sqlite:state.db", "pause": null, "manifest_ok": false, "ledger_held": true,
            "pools": [
                { "pool": "default", "size": 64, "running": 2, "waiting": 0, "isolation": "none" },
                { "pool": "heavy", "size": 2, "running": 2, "waiting": 5, "isolation": "process" },
            ] });
        let jobs = [
            json!({ "job": "a", "state": "active", "next": "2027-01-15T13:00:00Z", "running": 2 }),
            json!({ "job": "b", "state": "active", "next": "2027-01-15T12:30:00Z", "running": 0 }),
            json!({ "job": "c\u{1b}[2J", "state": "not_in_the_manifest", "next": null, "running": 0 }),
        ];
        let plugins = json!([
            { "name": "p", "candidate": null, "canary": null },
            { "name": "q", "candidate": { "state": "held" }, "canary": null },
        ]);
        let now = "2027-01-15T12:05:00Z".parse().unwrap();
        expect![[r"
            state     running for 2h 5m; process 7, clockjack 0.1.0
            manifest  clockjack.yaml (what was read last is refused)
            ledger    sqlite:state.db (cannot be written: nothing starts)
            jobs      3 (2 active, 1 not in the manifest); 2 runs under way
            plugins   2 (1 held, 1 in force)
            pools     default: 2 of 64 places taken
                      heavy: 2 of 2 places taken, 5 runs wait, in processes of their own
            next      2027-01-15 12:30:00Z  b
                      2027-01-15 13:00:00Z  a"]]
        .assert_eq(&page(&scheduler, &jobs, &plugins, now));
        assert_eq!(told_jobs(&[]), "none; 0 runs under way");
    }
}
