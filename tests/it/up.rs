//! `clockjack up` on the quickstart, as a newcomer sees it: effects on disk, each outcome, a log that programs can read.

use std::{collections::BTreeMap, fs};

use crate::{
    log::{Line, lines, of, runs},
    program::{CLOCKJACK, Clockjack, Ended, Running, clockjack},
    scene::{Scene, root},
};

/// The jobs of the quickstart.
const JOBS: [&str; 5] = ["summary", "heartbeat", "error-rate", "hungry", "endless"];

/// Runs the quickstart until each job has ended a run, which takes eleven seconds, and stops it.
fn played(scene: &Scene, mut running: Running) -> Ended {
    for job in JOBS {
        let has_ended = |line: &str| {
            let line = Line::read(line);
            line.text("job") == job && line.outcome().is_some()
        };
        if !running.log.iter().any(|line| has_ended(line)) {
            running.wait_for(&format!("end of `{job}`"), has_ended);
        }
    }
    assert!(scene.path("out/report.md").exists());
    running.signal("TERM");
    running.end()
}

#[test]
fn the_quickstart_shows_what_it_promises() {
    let scene = Scene::quickstart();
    // From another folder: relative paths start at the manifest's.
    let up = clockjack(["up", "-f", &scene.arg("clockjack.yaml"), "--log-format", "json"]).folder(&root());
    let ended = played(&scene, up.start());
    assert_eq!((ended.code, &*ended.stdout), (Some(0), ""), "{}", ended.stderr);
    let lines = lines(&ended.stderr);
    let runs = runs(&lines);
    for (job, outcome, word) in [
        ("summary", "succeeded", ""),
        ("heartbeat", "succeeded", ""),
        ("error-rate", "failed", "server errors"),
        ("hungry", "memory.limit", "16MiB"),
        ("endless", "timeout.wall", "1s"),
    ] {
        let runs = of(&runs, job);
        assert!(!runs.is_empty(), "{job}");
        for run in runs {
            assert_eq!(run.outcome, outcome, "{run:?}");
            assert!(run.reason.contains(word), "{run:?}");
        }
    }
    let first = of(&runs, "summary")[0];
    assert_eq!(first.cause, "start", "the summary does not wait for its first slot");
    assert!(first.output.contains("\"requests\""), "{first:?}");
    assert!(10 <= of(&runs, "heartbeat").len(), "a heartbeat every second");
    let slots: Vec<_> = of(&runs, "heartbeat").iter().map(|run| run.slot).collect();
    assert!(
        slots.windows(2).all(|pair| (pair[1] - pair[0]).num_milliseconds() == 1_000),
        "none is left out: {slots:?}"
    );
    for (message, n_min) in [("plugin loaded", 1), ("job added", 5), ("summary of a job", 5)] {
        let n = lines.iter().filter(|line| line.message == message).count();
        assert!(n_min <= n, "{n} lines `{message}`");
    }
    assert!(lines.iter().any(|line| line.message.starts_with("next wake-up in ")), "{}", ended.stderr);
    let last = lines.last().expect("a last line");
    assert!(last.message.starts_with("stopped after "), "{last:?}");
    assert_report(&scene);
}

/// The report against numbers that are counted here, in another way.
fn assert_report(scene: &Scene) {
    let text = scene.read("data/access.log");
    let mut paths: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut n_requests, mut n_server_errors) = (0, 0);
    for line in text.lines() {
        let quoted: Vec<_> = line.split('"').collect();
        let [_, request, numbers, ..] = quoted.as_slice() else { continue };
        let (words, numbers): (Vec<_>, Vec<_>) = (request.split(' ').collect(), numbers.split_whitespace().collect());
        let ([_, target, _, ..], [status, bytes]) = (words.as_slice(), numbers.as_slice()) else { continue };
        if !(*bytes == "-" || bytes.parse::<u64>().is_ok()) {
            continue;
        }
        n_requests += 1;
        n_server_errors += usize::from(status.starts_with('5'));
        *paths.entry(target.split('?').next().unwrap_or_default()).or_default() += 1;
    }
    let (path, n) = paths.into_iter().max_by_key(|(_, n)| *n).expect("a path");
    let report = scene.read("out/report.md");
    for line in [
        format!("- requests: {n_requests}"),
        format!("- malformed lines: {}", text.lines().filter(|line| !line.trim().is_empty()).count() - n_requests),
        format!("- 5xx server error: {n_server_errors}"),
        format!("| `{path}` | {n} |"),
    ] {
        assert!(report.lines().any(|written| written == line), "{line}:\n{report}");
    }
    let in_out: Vec<_> =
        fs::read_dir(scene.path("out")).expect("a folder").map(|entry| entry.expect("entry").path()).collect();
    assert_eq!(in_out, [scene.path("out/report.md")], "nothing else is written");
}

/// The log for people: times, levels, jobs; no JSON and no control characters.
#[test]
fn the_log_for_people() {
    let scene = Scene::with(
        "version: 1
plugins: { typed: { source: ./typed.wasm } }
jobs:
  good: { plugin: typed, call: echo-string, args: { value: hello }, every: 1h, run_on_start: true }
  bad: { plugin: typed, call: divide, args: { dividend: 1, divisor: 0 }, every: 1h, run_on_start: true }
  evil: { plugin: typed, call: echo-string, args: { value: \"\\e[2Jgone\" }, every: 1h, run_on_start: true }
",
        &["typed"],
    );
    let ended = clockjack(["up", "--for", "2s"]).folder(scene.folder()).ends_with(0);
    let log = &ended.stderr;
    assert!(!log.contains(|c: char| c.is_control() && c != '\n'), "{log:?}");
    for words in [
        "INFO  clockjack 0.1.0",
        "plugin loaded  plugin typed",
        "INFO  good           job added  trigger ",
        "next wake-up in ",
        "INFO  good           running",
        "INFO  good           succeeded in ",
        "WARN  bad            failed after ",
        "cannot divide 1 by 0",
        "output \"hello\"",
        "stopping; a second signal does not wait",
        "stopped after ",
        "1 succeeded",
        "1 failed",
    ] {
        assert!(log.contains(words), "{words}:\n{log}");
    }
    let is_timed = |line: &str| line.as_bytes().get(8) == Some(&b'.') && line.as_bytes().get(12) == Some(&b'Z');
    assert!(log.lines().take_while(|line| !line.is_empty()).all(is_timed), "{log}");
}

#[test]
fn a_bad_manifest_starts_nothing() {
    let scene = Scene::with(
        "version: 1
plugins: { hostile: { source: ./hostile.wasm } }
jobs:
  writer:
    plugin: hostile
    call: write-file
    args: { path: /out/trace, text: ran }
    every: 1s
    run_on_start: true
    grants: { dirs: [{ host: ./out, guest: /out, mode: read_write }] }
  broken: { plugin: hostile, call: grow, args: { mib: lots }, every: 1s }
",
        &["hostile"],
    );
    fs::create_dir(scene.path("out")).expect("a folder can be made");
    let ended = clockjack(["up", "--for", "5s"]).folder(scene.folder()).ends_with(1);
    ended.is_no_crash();
    assert!(ended.stderr.contains("args.mib"), "{}", ended.stderr);
    assert!(ended.stderr.contains("not started: 1 error"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("running") && !scene.path("out/trace").exists(), "{}", ended.stderr);
    let ended = clockjack(["up", "--log-format", "json"]).folder(scene.folder()).ends_with(1);
    let lines = lines(&ended.stderr);
    let finding = lines.iter().find(|line| line.text("code") == "load.type").expect("the finding is a line of the log");
    assert!(finding.message.contains("args.mib") && finding.text("file") == "clockjack.yaml", "{finding:?}");
    let ended = clockjack(["up", "-f", "absent.yaml"]).folder(scene.folder()).ends_with(1);
    assert!(ended.stderr.contains("`absent.yaml` cannot be read"), "{}", ended.stderr);
}

/// A slot that meets its own job's run is skipped, and nothing about it is silent.
#[test]
fn slots_that_do_not_run_are_told() {
    let scene = Scene::with(
        "version: 1
jobs: { slow: { plugin: ./hostile.wasm, call: sleep-ms, args: { ms: 700 }, every: 250ms } }
",
        &["hostile"],
    );
    let ended = clockjack(["up", "--for", "3s", "--log-format", "json"]).folder(scene.folder()).ends_with(0);
    let lines = lines(&ended.stderr);
    let runs = runs(&lines);
    assert!(2 <= runs.len() && runs.iter().all(|run| run.outcome == "succeeded"), "{runs:?}");
    let skips = lines.iter().filter(|line| line.message.starts_with("skipped"));
    let n_skipped = skips.inspect(|line| assert_eq!(line.message, "skipped: overlapping")).count();
    let slots = (runs[runs.len() - 1].slot - runs[0].slot).num_milliseconds() / 250 + 1;
    assert!(runs.len() + n_skipped >= slots.try_into().unwrap_or(usize::MAX), "{slots} slots: {}", ended.stderr);
    let summary = lines.iter().find(|line| line.message == "summary of a job").expect("a summary");
    assert_eq!(summary.text("runs"), format!("{} succeeded", runs.len()));
    assert_eq!(summary.text("skips"), format!("{n_skipped} overlapping"));
}

/// A reader of the log that goes away, or a full disk under it, does not end the host.
#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    for stderr in ["2>/dev/full", "2>&-", "2>&1 | head -n 1"] {
        let scene = Scene::with(
            "version: 1
plugins: { hostile: { source: ./hostile.wasm } }
jobs:
  writer:
    plugin: hostile
    call: write-file
    args: { path: /out/trace, text: ran }
    every: 1s
    grants: { dirs: [{ host: ./out, guest: /out, mode: read_write }] }
",
            &["hostile"],
        );
        fs::create_dir(scene.path("out")).expect("a folder can be made");
        // The exit code goes through a file, because that of a pipe is its reader's.
        let script = format!("{{ '{CLOCKJACK}' up --for 3s; echo $? >code; }} {stderr}");
        Clockjack::of("sh").args(["-c", &script]).folder(scene.folder()).ends_with(0);
        assert_eq!((&*scene.read("code"), &*scene.read("out/trace")), ("0\n", "ran"), "{stderr}");
    }
}

/// Where the address space for a pool of instances cannot be had, they come one by one, and the log says so.
#[test]
fn a_small_address_space_is_enough() {
    let scene =
        Scene::with("version: 1\njobs: { beat: { plugin: ./typed.wasm, call: nothing, every: 500ms } }\n", &["typed"]);
    let script = format!("ulimit -v 16000000; exec '{CLOCKJACK}' up --for 2s --log-format json");
    let ended = Clockjack::of("sh").args(["-c", &script]).folder(scene.folder()).ends_with(0);
    let lines = lines(&ended.stderr);
    assert!(lines.iter().any(|line| line.message.contains("one by one")), "{}", ended.stderr);
    let runs = runs(&lines);
    assert!(2 <= runs.len() && runs.iter().all(|run| run.outcome == "succeeded"), "{runs:?}");
}

#[test]
fn a_second_host_on_one_ledger_is_refused_and_told_who_has_it() {
    let scene =
        Scene::with("version: 1\njobs: { beat: { plugin: ./typed.wasm, call: nothing, every: 500ms } }\n", &["typed"]);
    let up = || clockjack(["up", "--for", "3s", "--log-format", "json"]).folder(scene.folder());
    let mut first = up().start();
    first.wait_for("a run", |line| line.contains("running"));
    let second = up().beside_nothing().start().end();
    assert_eq!(second.code, Some(4), "{}", second.stderr);
    for told in ["not started", "ledger.db", "clockjack up -f clockjack.yaml", "since"] {
        assert!(second.stderr.contains(told), "`{told}` is missing: {}", second.stderr);
    }
    let first = first.end();
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert!(runs(&lines(&first.stderr)).iter().all(|run| run.outcome == "succeeded"));
    // Once the first one is gone, its ledger is free.
    up().ends_with(0);
}
