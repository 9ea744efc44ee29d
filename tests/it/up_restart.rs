//! A host that is started again knows what the one before it knew: when jobs were first seen, what ran, what is overdue,
//! what a crash cut, and what was paused.

use chrono::TimeDelta;
use serde_json::json;

use crate::hosted::{Hosted, assert_no_gap, at, begins, each, ends, list, text, wait, wait_next};

const EVERY: TimeDelta = TimeDelta::milliseconds(200);

const SHORT: TimeDelta = TimeDelta::milliseconds(50);

#[test]
fn a_killed_host_leaves_no_slot_without_its_row() {
    let hosted = Hosted::with("jobs: { beat: { plugin: typed, call: nothing, every: 50ms, run_on_start: true } }");
    let (mut before, mut first_seen, mut n_catch_ups) = (Vec::new(), None, 0);
    for life in 1..=3 {
        let mut host = hosted.up(&[]).start();
        // What it has to catch up with, and slots that come while it runs.
        for _ in 0..4 {
            wait_next(&mut host, "the end of a slot", ends("beat"));
        }
        host.signal("KILL");
        drop(host);
        let now = hosted.ended("beat");
        let seen = at(&hosted.job("beat"), "first_seen");
        assert_eq!(*first_seen.get_or_insert(seen), seen, "the anchor stays");
        for run in &before {
            assert!(now.contains(run), "life {life} changed {run:#} of\n{now:#?}");
        }
        n_catch_ups += now.iter().filter(|run| text(run, "cause").starts_with("catch-up of ")).count();
        assert_eq!(now.iter().filter(|run| run["cause"] == "start").count(), 1, "`run_on_start` is for the first time");
        before = now;
        if life == 2 {
            hosted.pass_two_seconds();
        }
    }
    assert!(0 < n_catch_ups, "slots passed while no host ran: {before:#?}");
    // What the last kill cut is told by the next host.
    hosted.up_for("500ms");
    let mut slots = hosted.slots("beat", SHORT);
    slots.remove(&first_seen.expect("three lives"));
    assert_no_gap(&slots, SHORT);
    assert!(slots.values().any(|told| told == "coalesced"), "{slots:#?}");
}

#[test]
fn slots_of_a_pause_between_two_starts_are_told() {
    let hosted = Hosted::with("");
    let put = |paused: bool| {
        hosted.put(&format!("jobs: {{ beat: {{ plugin: typed, call: nothing, every: 200ms, paused: {paused} }} }}"));
    };
    put(false);
    hosted.up_for("1s");
    let n_before = hosted.ended("beat").len();
    assert!(0 < n_before && hosted.skips("beat").is_empty());
    put(true);
    hosted.up_for("1s");
    assert_eq!(hosted.job("beat")["state"], "paused");
    assert_eq!(hosted.ended("beat").len(), n_before, "nothing runs while it is paused");
    // Another start while it is paused, from a manifest that says the same, changes nothing.
    hosted.up_for("300ms");
    put(false);
    hosted.up_for("1s");
    assert_eq!(hosted.job("beat")["state"], "active");
    let slots = hosted.slots("beat", EVERY);
    assert_no_gap(&slots, EVERY);
    let told: Vec<_> = slots.values().map(String::as_str).collect();
    let n_paused = told.iter().filter(|told| **told == "paused").count();
    assert!(5 <= n_paused, "more than a second of pause: {told:?}");
    let (first, last) =
        (told.iter().position(|told| *told == "paused"), told.iter().rposition(|told| *told == "paused"));
    assert_eq!(last.zip(first).map(|(last, first)| last - first + 1), Some(n_paused), "one pause: {told:?}");
    assert!(told[last.unwrap_or_default()..].contains(&"succeeded"), "it goes on after the pause: {told:?}");
    let why = list(&hosted.json(&["why", "beat", "--at", text(&hosted.skips("beat")[0], "last")]));
    assert_eq!((&why[0]["reason"], &why[0]["disposition"]), (&json!("paused"), &json!("skipped")));
}

#[test]
fn what_a_crash_cut_is_tried_again_or_lost_as_the_job_says() {
    let jobs = |ms: u32| {
        format!(
            "defaults: {{ run_on_start: true, timeout: 5m }}
jobs:
  again: {{ plugin: hostile, call: sleep-ms, args: {{ ms: {ms} }}, every: 1h }}
  once: {{ plugin: hostile, call: sleep-ms, args: {{ ms: {ms} }}, every: 1h, delivery: at_most_once }}
  after-once: {{ plugin: typed, call: nothing, after: {{ job: once, on: failure }}, run_on_start: false }}
"
        )
    };
    let hosted = Hosted::with(&jobs(120_000));
    let mut host = hosted.up(&[]).start();
    wait(&mut host, "both runs", begins("again"));
    wait(&mut host, "both runs", begins("once"));
    host.signal("KILL");
    drop(host);
    let cut = hosted.runs("again")[0].clone();
    assert_eq!((&cut["state"], &cut["attempts"]), (&json!("running"), &json!(1)), "nobody has told its end: {cut:#}");
    hosted.put(&jobs(1));
    let mut host = hosted.up(&[]).start();
    wait(&mut host, "the second attempt", ends("again"));
    wait(&mut host, "the follower", ends("after-once"));
    drop(host);
    let again = hosted.only("again");
    assert_eq!((&again["id"], &again["outcome"], &again["attempts"]), (&cut["id"], &json!("succeeded"), &json!(2)));
    let attempts = list(&again["attempt_list"]);
    assert_eq!(each(&attempts, "outcome"), ["interrupted", "succeeded"]);
    assert_eq!(attempts[0]["started_at"], cut["started_at"], "{again:#}");
    assert!(text(&attempts[0], "error").contains("tried again"), "{again:#}");
    let once = hosted.only("once");
    assert_eq!((&once["outcome"], &once["attempts"]), (&json!("lost"), &json!(1)), "{once:#}");
    assert!(text(&once, "error").contains("at_most_once"), "{once:#}");
    assert_eq!(hosted.only("after-once")["cause"], "upstream once");
    assert_eq!(hosted.only("after-once")["scheduled_for"], once["scheduled_for"]);
}
