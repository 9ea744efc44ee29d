//! How the host ends: the first signal drains, the second one does not wait, and every run that had begun has an end.

use std::time::Duration;

use crate::{
    log::{Line, Run, lines, runs},
    program::{Running, clockjack, now},
    scene::Scene,
};

/// One job that begins at once.
fn scene(call: &str) -> Scene {
    let manifest = format!(
        "version: 1
plugins: {{ hostile: {{ source: ./hostile.wasm }} }}
jobs:
  only: {{ plugin: hostile, {call}, every: 1h, run_on_start: true, timeout: 5m, limits: {{ cpu_time: 5m }} }}
"
    );
    Scene::with(&manifest, &["hostile"])
}

/// Starts the host and waits until its job runs.
fn up(scene: &Scene, args: &[&str]) -> Running {
    let mut running = clockjack(["up", "--log-format", "json"]).args(args).folder(scene.folder()).start();
    running.wait_for("start of the run", |line| Line::read(line).message == "running");
    running
}

/// Waits for the end and gives the one run.
#[track_caller]
fn only_run(running: Running) -> Run {
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let lines = lines(&ended.stderr);
    let summary = lines.iter().find(|line| line.message == "summary of a job").expect("a summary");
    let mut runs = runs(&lines);
    assert_eq!(runs.len(), 1, "{runs:?}");
    let run = runs.remove(0);
    assert!(run.ended.is_some(), "{run:?}");
    assert_eq!(summary.text("runs"), format!("1 {}", run.outcome));
    run
}

#[test]
fn the_first_signal_lets_runs_finish() {
    for signal in ["TERM", "INT"] {
        let scene = scene("call: sleep-ms, args: { ms: 1500 }");
        let mut running = up(&scene, &[]);
        running.signal(signal);
        let line = Line::read(&running.wait_for("word of the stop", |line| line.contains("stopping")));
        assert!(line.message.starts_with("stopping"), "{line:?}");
        assert_eq!(only_run(running).outcome, "succeeded", "SIG{signal}");
    }
}

#[test]
fn the_second_signal_does_not_wait() {
    for call in ["call: sleep-ms, args: { ms: 200000 }", "call: spin"] {
        let scene = scene(call);
        let mut running = up(&scene, &["--grace", "5m"]);
        running.signal("TERM");
        running.wait_for("word of the stop", |line| line.contains("stopping"));
        let began = now();
        running.signal("TERM");
        let run = only_run(running);
        assert_eq!(run.outcome, "interrupted", "{call}: {run:?}");
        assert!(run.reason.contains("the host stopped"), "{run:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{call}: {:?}", began.elapsed());
    }
}

#[test]
fn a_guest_that_asks_can_end_in_good_order() {
    let scene = scene("call: wait-for-cancel");
    let mut running = up(&scene, &["--grace", "5m"]);
    running.signal("TERM");
    running.wait_for("word of the stop", |line| line.contains("stopping"));
    running.signal("TERM");
    assert_eq!(only_run(running).outcome, "succeeded");
}

#[test]
fn grace_has_an_end() {
    let scene = scene("call: spin");
    let running = up(&scene, &["--grace", "300ms"]);
    let began = now();
    running.signal("TERM");
    assert_eq!(only_run(running).outcome, "interrupted");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn an_idle_host_ends_at_once() {
    let scene = Scene::with(
        "version: 1\njobs: { rare: { plugin: ./typed.wasm, call: nothing, at: 2099-01-01 } }\n",
        &["typed"],
    );
    let mut running = clockjack(["up", "--log-format", "json"]).folder(scene.folder()).start();
    running.wait_for("the job", |line| Line::read(line).message == "job added");
    let began = now();
    running.signal("TERM");
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let lines = lines(&ended.stderr);
    assert!(lines.last().is_some_and(|line| line.message.contains(": 0 runs, 0 slots skipped")), "{lines:?}");
}

#[test]
fn nothing_new_begins_while_it_drains() {
    let scene = Scene::with(
        "version: 1
plugins: { hostile: { source: ./hostile.wasm }, typed: { source: ./typed.wasm } }
jobs:
  long: { plugin: hostile, call: sleep-ms, args: { ms: 2500 }, every: 1h, run_on_start: true }
  beat: { plugin: typed, call: nothing, every: 200ms }
",
        &["hostile", "typed"],
    );
    let mut running = clockjack(["up", "--log-format", "json"]).folder(scene.folder()).start();
    running.wait_for("a beat", |line| {
        let line = Line::read(line);
        line.text("job") == "beat" && line.outcome() == Some("succeeded")
    });
    running.signal("TERM");
    let stopping = Line::read(&running.wait_for("word of the stop", |line| line.contains("stopping"))).at;
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let runs = runs(&lines(&ended.stderr));
    assert!(runs.iter().all(|run| run.outcome == "succeeded"), "{runs:?}");
    // Twelve more slots come while it drains. The one that began at that very moment may be told a moment later.
    let late = runs.iter().filter(|run| run.started.is_some_and(|started| stopping < started));
    assert!(late.count() <= 1, "{runs:?}");
}
