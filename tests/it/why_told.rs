//! `clockjack why JOB --at T`: what became of one slot, after each situation was made with a host.

use chrono::TimeDelta;
use serde_json::{Value as Json, json};

use crate::hosted::{Hosted, at, begins, ends, list, text, wait};

/// What is said of the slot at an instant.
#[track_caller]
fn why(hosted: &Hosted, job: &str, slot: &Json) -> Json {
    let told = list(&hosted.json(&["why", job, "--at", slot.as_str().expect("an instant")]));
    assert_eq!(told.len(), 1, "{told:#?}");
    told[0].clone()
}

/// The word for a slot, and that the words for people have all of these.
#[track_caller]
fn says(told: &Json, disposition: &str, reason: Option<&str>, words: &[&str]) {
    assert_eq!((&told["disposition"], &told["reason"]), (&json!(disposition), &json!(reason)), "{told:#}");
    for word in words {
        assert!(text(told, "explanation").contains(word), "`{word}` is missing: {told:#}");
    }
}

#[test]
fn every_fate_of_a_slot_is_explained() {
    let hosted = Hosted::with(
        "
jobs:
  latest: { plugin: typed, call: nothing, every: 100ms }
  strict: { plugin: typed, call: nothing, every: 100ms, misfire_grace: 500ms }
  slow: { plugin: hostile, call: sleep-ms, args: { ms: 120000 }, every: 300ms, timeout: 5m }
  rare: { plugin: typed, call: nothing, at: 2099-01-01 }
  once: { plugin: typed, call: refuse, every: 1h, run_on_start: true }
",
    );
    let mut host = hosted.up(&["--grace", "50ms"]).start();
    for job in ["latest", "strict", "once"] {
        wait(&mut host, job, ends(job));
    }
    wait(&mut host, "slow", begins("slow"));
    wait(&mut host, "a skip", |line| line.text("job") == "slow" && line.message == "skipped: overlapping");

    // While the host runs: what goes on, what is in its way, what lies ahead.
    let going = hosted.runs("slow")[0].clone();
    says(&why(&hosted, "slow", &going["scheduled_for"]), "running", None, &["attempt 1 began", "goes on"]);
    let skip = &hosted.skips("slow")[0];
    let overlapping = why(&hosted, "slow", &skip["first"]);
    says(
        &overlapping,
        "skipped",
        Some("overlapping"),
        &["was still going", "`max_instances` (1 now)", "`overlap: queue`"],
    );
    assert_eq!(overlapping["by"], going["id"], "{overlapping:#}");
    let ahead = json!((at(&hosted.job("latest"), "next") + TimeDelta::milliseconds(1_500)).to_rfc3339());
    says(&why(&hosted, "latest", &ahead), "planned", None, &["it begins at"]);
    says(&why(&hosted, "rare", &json!("2099-01-01T00:00:00Z")), "undecided", None, &["it lies ahead"]);
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));

    let ran = hosted.ended("latest")[0].clone();
    says(&why(&hosted, "latest", &ran["scheduled_for"]), "ran", None, &["it ran and succeeded"]);
    let failed = why(&hosted, "once", &hosted.only("once")["scheduled_for"]);
    says(&failed, "ran", None, &["it ran and failed", "`run_on_start`", "`retry.attempts` is 1", "clockjack logs"]);
    let between = json!((at(&ran, "scheduled_for") + TimeDelta::milliseconds(50)).to_rfc3339());
    says(&why(&hosted, "latest", &between), "no_slot", None, &["the one before is", "the one after"]);

    // What passed while no host ran.
    hosted.pass_two_seconds();
    let mut host = hosted.up(&[]).start();
    wait(&mut host, "a catch-up", |line| {
        line.text("job") == "latest" && line.text("cause").starts_with("catch-up of ")
    });
    wait(&mut host, "its end", ends("latest"));
    wait(&mut host, "what is too late", |line| line.text("job") == "strict" && line.message.contains("misfired"));
    drop(host);
    let runs = hosted.ended("latest");
    let catch_up = runs.iter().find(|run| text(run, "cause").starts_with("catch-up of ")).expect("a catch-up");
    let told = why(&hosted, "latest", &catch_up["scheduled_for"]);
    says(&told, "ran", None, &["slots were late together", "`coalesce: latest`"]);
    let skips = hosted.skips("latest");
    let coalesced = skips.iter().find(|skip| skip["reason"] == "coalesced").expect("a coalesced slot");
    let told = why(&hosted, "latest", &coalesced["first"]);
    says(&told, "skipped", Some("coalesced"), &[text(catch_up, "id"), "`coalesce: all` runs each"]);
    assert_eq!(told["by"], catch_up["id"]);
    let skips = hosted.skips("strict");
    let misfired = skips.iter().find(|skip| skip["reason"] == "misfired").expect("a misfired slot");
    let told = why(&hosted, "strict", &misfired["first"]);
    says(&told, "skipped", Some("misfired"), &["`misfire_grace` (500ms now)", "The host was not running"]);
    let table = hosted.read(&["why", "strict", "--at", text(misfired, "first")]).ends_with(0);
    assert!(table.stdout.contains("skipped: misfired"), "{}", table.stdout);
}
