//! No guest makes another one late: a heartbeat stays on its slots beside loops that never end.
//!
//! The bounds are on the median over a few seconds, and a machine that is busy with other things gets a few tries; what
//! is looked for, a guest that holds a worker or the trigger loop, makes every beat late by hundreds of milliseconds.

use std::thread::available_parallelism;

use chrono::TimeDelta;

use crate::{
    log::{Run, lines, of, runs},
    program::{alone, clockjack},
    scene::Scene,
};

/// How often a busy machine may try again.
const TRIES: usize = 5;

/// How late a beat may be in the median: far less than a loop would hold it up, and far more than a busy machine does.
const LATENESS_MS: i64 = 150;

/// Plays a manifest, as often as it takes until `fault` finds none.
#[track_caller]
fn play(manifest: &str, time: &str, fault: impl Fn(&[Run]) -> Option<String>) {
    let scene = Scene::with(manifest, &["hostile", "typed"]);
    let _alone = alone();
    let mut faults = Vec::new();
    for _ in 0..TRIES {
        let up = clockjack(["up", "--for", time, "--log-format", "json"]).folder(scene.folder()).beside_nothing();
        let ended = up.ends_with(0);
        match fault(&runs(&lines(&ended.stderr))) {
            None => return,
            Some(fault) => faults.push(fault),
        }
    }
    panic!("{TRIES} tries: {faults:#?}");
}

/// The median lateness of a job that had to run at each slot of its grid and to succeed.
fn median_lateness(runs: &[Run], job: &str, period_ms: i64, n_min: usize) -> Result<TimeDelta, String> {
    let runs = of(runs, job);
    if runs.len() < n_min || runs.iter().any(|run| run.outcome != "succeeded") {
        return Err(format!("{} runs of {job}: {runs:?}", runs.len()));
    }
    if runs.windows(2).any(|pair| (pair[1].slot - pair[0].slot).num_milliseconds() != period_ms) {
        return Err(format!("a slot of {job} was left out: {runs:?}"));
    }
    let mut lateness: Vec<_> = runs.iter().map(|run| run.lateness()).collect();
    lateness.sort();
    Ok(lateness[lateness.len() / 2])
}

fn late(runs: &[Run], period_ms: i64, n_min: usize) -> Option<String> {
    match median_lateness(runs, "heartbeat", period_ms, n_min) {
        Ok(median) if median < TimeDelta::milliseconds(LATENESS_MS) => None,
        Ok(median) => Some(format!("the heartbeat is late by {median} in the median")),
        Err(fault) => Some(fault),
    }
}

#[test]
fn a_loop_ends_in_time_and_its_neighbour_is_on_time() {
    let manifest = "
version: 1
plugins: { hostile: { source: ./hostile.wasm }, typed: { source: ./typed.wasm } }
jobs:
  heartbeat: { plugin: typed, call: nothing, every: 1s }
  loop: { plugin: hostile, call: spin, every: 2s, run_on_start: true, timeout: 1s }
";
    play(manifest, "8s", |runs| {
        let loops = of(runs, "loop");
        if loops.len() < 3 {
            return Some(format!("only {} loops ran: {loops:?}", loops.len()));
        }
        let ends_late = |run: &&&Run| TimeDelta::milliseconds(1_300) < run.took();
        assert!(loops.iter().all(|run| run.outcome.starts_with("timeout.")), "{loops:?}");
        let slow = loops.iter().find(ends_late);
        slow.map(|run| format!("{run:?} took {}", run.took())).or_else(|| late(runs, 1_000, 6))
    });
}

#[test]
fn four_loops_on_each_core_do_not_make_the_heartbeat_late() {
    let n_loops = 4 * available_parallelism().map_or(2, usize::from);
    let mut manifest = "
version: 1
plugins: { hostile: { source: ./hostile.wasm }, typed: { source: ./typed.wasm } }
jobs:
  heartbeat: { plugin: typed, call: nothing, every: 250ms }
"
    .to_owned();
    for n in 0..n_loops {
        manifest.push_str(&format!(
            "  loop-{n}: {{ plugin: hostile, call: spin, every: 1h, run_on_start: true, timeout: 5s }}\n"
        ));
    }
    play(&manifest, "5s", |runs| {
        for n in 0..n_loops {
            let job = format!("loop-{n}");
            let loops = of(runs, &job);
            assert!(loops.len() == 1 && loops[0].outcome.starts_with("timeout."), "{loops:?}");
        }
        late(runs, 250, 14)
    });
}
