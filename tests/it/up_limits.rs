//! Memory that all attempts share, what runs used, and the limits that are proposed from it.

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};

use crate::{hosted::Hosted, log::instant, program::clockjack, scene::Scene};

/// The figures of one limit in an advice.
#[track_caller]
fn figure<'j>(advice: &'j Json, limit: &str) -> &'j Json {
    let mut figures = advice["figures"].as_array().into_iter().flatten();
    figures.find(|figure| figure["limit"] == limit).unwrap_or_else(|| panic!("no `{limit}` in {advice}"))
}

fn at(run: &Json, key: &str) -> DateTime<Utc> {
    instant(run[key].as_str().unwrap_or_else(|| panic!("no `{key}` in {run}")))
}

#[test]
fn attempts_wait_until_their_memory_is_free() {
    const JOBS: usize = 10;
    let job = |n: usize| {
        format!("  a{n}: {{ plugin: hostile, call: sleep-ms, args: {{ ms: 400 }}, every: 1h, run_on_start: true }}\n")
    };
    let jobs: String = (0..JOBS).map(job).collect();
    let hosted = Hosted::with(&format!(
        "host: {{ memory: 128MiB }}\ndefaults: {{ limits: {{ memory: 64MiB }} }}\njobs:\n{jobs}"
    ));
    // Five rounds of 0.4 s; what has not ended by then ends within the grace.
    hosted.up(&["--for", "8s", "--grace", "30s"]).ends_with(0);
    let runs: Vec<Json> = (0..JOBS).flat_map(|n| hosted.runs(&format!("a{n}"))).collect();
    assert_eq!(runs.len(), JOBS);
    assert!(runs.iter().all(|run| run["outcome"] == "succeeded"), "{runs:?}");
    let n_beside = |run: &Json| {
        let start = at(run, "started_at");
        runs.iter().filter(|other| at(other, "started_at") <= start && start < at(other, "finished_at")).count()
    };
    let most = runs.iter().map(n_beside).max();
    assert_eq!(most, Some(2), "two attempts of 64 MiB fit into 128 MiB");
}

#[test]
fn a_job_that_could_never_have_its_memory_is_refused() {
    let scene = Scene::with(
        "version: 1
host: { memory: 128MiB }
jobs: { large: { plugin: ./typed.wasm, call: nothing, every: 1h, limits: { memory: 256MiB } } }
",
        &["typed"],
    );
    let told = clockjack(["check", "-o", "json"]).folder(scene.folder()).ends_with(1).json();
    let finding = &told["diagnostics"][0];
    assert_eq!((&finding["code"], &finding["line"]), (&json!("manifest.ceiling"), &json!(3)));
    assert_eq!(
        finding["message"],
        "job `large`: `memory` of 256MiB is more than the 128MiB of all attempts together (`host.memory`)"
    );
}

#[test]
fn a45_directories_are_granted_below_the_roots_only() {
    let manifest = |host: &str, dir: &str| {
        format!(
            "version: 1
{host}
jobs:
  reader: {{ plugin: ./typed.wasm, call: nothing, every: 1h, grants: {{ dirs: [{{ host: {dir}, guest: /in }}] }} }}
"
        )
    };
    let scene = Scene::with("", &["typed"]);
    for folder in ["data", "data/in", "beside"] {
        std::fs::create_dir(scene.path(folder)).expect("a folder");
    }
    std::os::unix::fs::symlink(scene.path("beside"), scene.path("data/link")).expect("a link");
    let told = |host: &str, dir: &str, code: i32| {
        scene.put("clockjack.yaml", manifest(host, dir));
        clockjack(["check", "-o", "json"]).folder(scene.folder()).ends_with(code).json()
    };
    let roots = "host: { roots: [./data] }";
    for (host, dir, granted) in [
        (roots, "./data", true),
        (roots, "./data/in", true),
        (roots, "./beside", false),
        (roots, "./data/../beside", false),
        (roots, "./data/link", false),
        ("", "./beside", true),
        ("", "/etc", false),
        ("", "/", false),
        ("host: { roots: [/etc] }", "/etc", true),
    ] {
        let told = told(host, dir, i32::from(!granted));
        let finding = &told["diagnostics"][0];
        if granted {
            assert_eq!(told["ok"], true, "{host} {dir}: {told}");
        } else {
            assert_eq!(finding["code"], "manifest.denied", "{host} {dir}: {told}");
            assert!(finding["message"].as_str().is_some_and(|text| text.contains("may not be granted")), "{told}");
            assert!(finding["fix"].as_str().is_some_and(|text| text.contains("host.roots")), "{told}");
        }
    }
}

#[test]
fn limits_are_proposed_from_what_runs_used() {
    let hosted = Hosted::with(
        "jobs:
  prints: { plugin: hostile, call: print, args: { bytes: 5000 }, every: 250ms }
  floods: { plugin: hostile, call: flood-log, args: { lines: 30, bytes: 10 }, every: 250ms, limits: { logs: { lines: 20 } } }
  seldom: { plugin: typed, call: nothing, every: 1h, run_on_start: true }
",
    );
    hosted.up_for("4s");
    let run = hosted.json(&["runs", "show", "floods@latest"]);
    assert_eq!((&run["usage"]["log_lines"], &run["logs_dropped"]), (&json!(30), &json!(10)), "{run}");
    assert!(run["usage"]["host_calls"].as_u64().is_some_and(|n| 30 <= n), "{run}");

    let advice = hosted.json(&["runs", "advise", "prints"]);
    let output = figure(&advice, "output");
    assert_eq!((&output["p50"], &output["max"], &output["proposal"]), (&json!(5_000), &json!(5_000), &json!(8_192)));
    assert_eq!((&output["now"], &output["hits"]), (&json!(1 << 20), &json!(0)));
    assert_eq!(advice["proposal"]["limits"]["output"], "8KiB");
    assert!(advice["figures"].as_array().is_some_and(|all| all.iter().all(|one| one["limit"] != "files")), "{advice}");
    let logs = hosted.json(&["runs", "advise", "floods"]);
    let lines = figure(&logs, "logs.lines");
    assert_eq!((&lines["now"], &lines["max"], &lines["proposal"]), (&json!(20), &json!(30), &json!(50)));
    assert_eq!(lines["hits"], logs["runs"], "each run met that limit");

    // What is proposed can be pasted.
    let told = hosted.read(&["runs", "advise", "floods"]).ends_with(0);
    let (_, yaml) = told.stdout.split_once("\n\n").expect("a table and the proposal");
    let indented: String = yaml.lines().map(|line| format!("    {line}\n")).collect();
    hosted.put(&format!("jobs:\n  floods:\n    plugin: hostile\n    call: flood-log\n    args: {{ lines: 30, bytes: 10 }}\n    every: 1h\n{indented}"));
    clockjack(["check"]).folder(hosted.scene.folder()).ends_with(0);

    let told = hosted.read(&["runs", "advise", "seldom"]).ends_with(1);
    assert!(told.stderr.contains("with fewer than 5 there is nothing to go by"), "{}", told.stderr);
}
