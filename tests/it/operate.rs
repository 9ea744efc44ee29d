//! A running host is operated: paused with a note, resumed, asked to make up for the past, and ended.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value as Json, json};

use crate::{
    hosted::{Hosted, at, begins, ends, text, wait},
    program::{Clockjack, Running, clockjack, now},
};

const JOBS: &str = "jobs:
  beat: { plugin: typed, call: nothing, every: 200ms }
  minutely: { plugin: hostile, call: sleep-ms, args: { ms: 150 }, cron: \"* * * * *\" }
  echo: { plugin: typed, call: echo-u8, args: { value: 7 }, every: 1h }
  busy: { plugin: hostile, call: spin, timeout: 15m, limits: { cpu_time: 10m }, every: 1h }
  nap: { plugin: hostile, call: sleep-ms, args: { ms: 600000 }, timeout: 15m, every: 1h }
";

fn ask(hosted: &Hosted, args: &[&str]) -> Clockjack {
    clockjack(args).folder(hosted.scene.folder()).beside_nothing()
}

#[track_caller]
fn told(hosted: &Hosted, args: &[&str]) -> Json {
    ask(hosted, args).args(["-o", "json"]).ends_with(0).json()
}

/// Polls until something is so; generous, for a busy machine.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..600 {
        if is_so() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
    panic!("{what} never was so");
}

#[track_caller]
fn up(hosted: &Hosted, args: &[&str]) -> Running {
    let mut host = hosted.up(args).start();
    wait(&mut host, "a socket", |line| line.message.starts_with("commands talk to this host"));
    host
}

#[test]
fn a_pause_says_why_outlives_its_host_and_ends_in_time() {
    let hosted = Hosted::with(JOBS);
    let host = up(&hosted, &["--paused"]);
    until("nothing starts", || hosted.job("beat")["paused_with_all"] == true);
    told(&hosted, &["resume", "--all"]);
    until("beat runs", || !hosted.ended("beat").is_empty());
    let paused = told(&hosted, &["pause", "beat", "--note", "the database moves", "--for", "8s"]);
    let until_then = at(&paused["pause"], "until");
    assert_eq!(paused["pause"]["note"], "the database moves");
    let shown = hosted.read(&["jobs", "beat"]).ends_with(0).stdout;
    assert!(shown.contains("paused by socket:") && shown.contains(": the database moves"), "{shown}");
    drop(host);
    let host = up(&hosted, &[]);
    assert_eq!(hosted.job("beat")["pause"]["note"], "the database moves", "a kill does not end a pause");
    until("beat goes on", || hosted.job("beat")["paused"] == false);
    until("a run after the pause", || hosted.runs("beat").iter().any(|run| until_then < at(run, "scheduled_for")));
    let paused_at = at(&paused["pause"], "at");
    // What began before the pause may end in it, and one slot may be planned while it begins.
    let in_between = |run: &Json| {
        paused_at + TimeDelta::seconds(1) < at(run, "scheduled_for") && at(run, "scheduled_for") < until_then
    };
    assert!(!hosted.runs("beat").iter().any(in_between), "nothing runs in a pause: {:#?}", hosted.runs("beat"));
    let skipped = hosted.skips("beat").iter().any(|skip| skip["reason"] == "paused" && paused_at < at(skip, "last"));
    assert!(skipped, "the slots of the pause are told");
    told(&hosted, &["pause", "--all", "--note", "everything stops"]);
    let why = hosted.read(&["why", "beat", "-n", "100"]).ends_with(0).stdout;
    assert!(why.contains("It is paused by socket:") && why.contains(": everything stops"), "{why}");
    told(&hosted, &["resume", "--all", "--from", "last"]);
    drop(host);
}

/// A large backfill is killed in the middle: each slot is made up for once, and live slots are not held up.
#[test]
fn slots_of_the_past_are_made_up_for_once_whatever_happens() {
    let hosted = Hosted::with(JOBS);
    let mut host = up(&hosted, &[]);
    wait(&mut host, "beat", begins("beat"));
    let now: DateTime<Utc> = at(&hosted.job("beat"), "first_seen");
    let stamp = |back: i64| (now - TimeDelta::minutes(back)).to_rfc3339();
    let range = ["backfill", "minutely", "--from", &stamp(40), "--to", &stamp(0)];
    let plan = ask(&hosted, &range).args(["--dry-run", "-o", "json"]).ends_with(0).json();
    assert_eq!((&plan["slots"], &plan["left_out"]), (&json!(40), &json!(0)), "{plan:#}");
    let begun = ask(&hosted, &range).args(["--at-once", "2", "-o", "json"]).ends_with(0).json();
    let id = text(&begun, "id").to_owned();
    let made_up = || hosted.ended("minutely").iter().filter(|run| run["cause"] == "backfill").count();
    until("some of it", || 4 <= made_up());
    drop(host);
    let host = up(&hosted, &[]);
    let done = || told(&hosted, &["backfills", &id]);
    until("the rest of it", || done()["state"] == "done");
    let backfill = done();
    assert_eq!((&backfill["settled"], &backfill["skipped"]), (&json!(40), &json!(0)), "{backfill:#}");
    let mut slots: Vec<_> = hosted
        .ended("minutely")
        .iter()
        .filter(|run| run["cause"] == "backfill")
        .map(|run| at(run, "scheduled_for"))
        .collect();
    slots.sort_unstable();
    slots.dedup();
    assert_eq!((made_up(), slots.len()), (40, 40), "each slot once");
    let overlapping = hosted.skips("minutely").iter().filter(|skip| skip["reason"] == "overlapping").count();
    assert_eq!(overlapping, 0, "no live slot was held up");
    drop(host);
}

#[test]
fn a_run_has_arguments_of_its_own_that_are_checked() {
    let hosted = Hosted::with(JOBS);
    let host = up(&hosted, &[]);
    let run = told(&hosted, &["run", "echo", "--wait", "--arg", "value=9"]);
    assert_eq!((&run["output"], &run["args"]), (&json!(9), &json!({ "value": 9 })), "{run:#}");
    assert_eq!(told(&hosted, &["run", "echo", "--wait"])["output"], 7, "the job's own arguments stay");
    for (arg, words) in [("value=900", "args.value: "), ("valeu=9", "there is no such parameter; there are: value")] {
        let refused = ask(&hosted, &["run", "echo", "--arg", arg]).ends_with(1).stderr;
        assert!(refused.contains(words), "{refused}");
    }
    drop(host);
}

/// Cancelled runs end soon, those that compute and those that wait. How soon on an idle machine is told, and asserted only
/// with much room.
#[test]
fn a_cancelled_run_ends_soon() {
    let hosted = Hosted::with(JOBS);
    let mut host = up(&hosted, &[]);
    for job in ["busy", "nap"] {
        let id = text(&told(&hosted, &["run", job]), "id").to_owned();
        wait(&mut host, job, begins(job));
        let began = now();
        told(&hosted, &["cancel", &id]);
        wait(&mut host, "its end", ends(job));
        let took = began.elapsed();
        println!("{job}: its end was told {} ms after the command began", took.as_millis());
        assert!(took < Duration::from_secs(10), "{job} took {took:?}");
        assert_eq!(hosted.only(job)["outcome"], "cancelled");
    }
    drop(host);
}

/// While a host ends, it is read from, and nothing is changed; who asked for the end waits for it.
#[test]
fn a_host_ends_when_it_is_asked_to() {
    let hosted = Hosted::with(JOBS);
    let mut host = up(&hosted, &[]);
    told(&hosted, &["run", "nap"]);
    wait(&mut host, "nap", begins("nap"));
    let waiting = ask(&hosted, &["shutdown", "--wait", "5m", "-o", "json"]).start();
    until("it ends", || ask(&hosted, &["pause", "beat"]).end().stderr.contains("the host ends"));
    assert_eq!(told(&hosted, &["backfills"]), json!([]), "it is read from");
    ask(&hosted, &["shutdown", "--now"]).ends_with(0);
    let ended = waiting.end();
    assert_eq!((ended.code, &ended.json()["stopped"]), (Some(0), &json!(true)), "{}", ended.stderr);
    assert_eq!(host.end().code, Some(0));
    assert_eq!(hosted.runs("nap")[0]["attempts"], 1, "it was cut, and goes on with the next host");
}
