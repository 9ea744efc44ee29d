//! `after`: runs that follow the end of another job's run, at its slot and with its name as their cause.

use serde_json::json;

use crate::hosted::{Hosted, ends, text, wait};

const MANIFEST: &str = "
jobs:
  fetch: { plugin: typed, call: nothing, every: 1h, run_on_start: true }
  render: { plugin: typed, call: facts, after: fetch }
  publish: { plugin: typed, call: nothing, after: { job: render } }
  broken:
    plugin: typed
    call: refuse
    every: 1h
    run_on_start: true
    retry: { attempts: 2, backoff: 1ms }
  rescue: { plugin: typed, call: nothing, after: { job: broken, on: failure } }
  never: { plugin: typed, call: nothing, after: [broken, { job: fetch, on: failure }, { job: empty, on: failure }] }
  empty: { plugin: hostile, call: fail, args: { kind: skipped, message: empty }, every: 1h, run_on_start: true }
  always:
    plugin: typed
    call: nothing
    after: [{ job: fetch, on: always }, { job: broken, on: always }, { job: empty, on: always }]
    overlap: queue
";

#[test]
fn runs_follow_the_ends_that_they_wait_for() {
    let hosted = Hosted::with(MANIFEST);
    let mut host = hosted.up(&[]).start();
    for job in ["publish", "rescue", "empty"] {
        wait(&mut host, job, ends(job));
    }
    wait(&mut host, "the last of three", |line| ends("always")(line) && hosted.ended("always").len() == 3);
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
    let fetched = hosted.only("fetch");
    for (job, cause) in [("render", "upstream fetch"), ("publish", "upstream render")] {
        let run = hosted.only(job);
        assert_eq!((&run["cause"], &run["outcome"]), (&json!(cause), &json!("succeeded")), "{run:#}");
        assert_eq!(run["scheduled_for"], fetched["scheduled_for"], "the slot goes down the chain");
    }
    let rendered = hosted.only("render");
    assert_eq!(rendered["output"]["cause"], json!({ "upstream": "fetch" }), "{rendered:#}");
    // One run for a run, however many attempts that had, and after the last of them.
    let (broken, rescue) = (hosted.only("broken"), hosted.only("rescue"));
    assert_eq!((&broken["attempts"], &rescue["cause"]), (&json!(2), &json!("upstream broken")));
    assert_eq!(rescue["scheduled_for"], broken["scheduled_for"]);
    assert!(text(&broken, "finished_at") <= text(&rescue, "started_at"), "{rescue:#}");
    assert!(hosted.runs("never").is_empty(), "{:#?}", hosted.runs("never"));
    let mut causes: Vec<_> = hosted.ended("always").iter().map(|run| text(run, "cause").to_owned()).collect();
    causes.sort();
    assert_eq!(causes, ["upstream broken", "upstream empty", "upstream fetch"]);
    let why = hosted.json(&["why", "publish", "--at", text(&fetched, "scheduled_for")]);
    assert!(text(&why[0], "explanation").contains("a run of `render` had ended (`after`)"), "{why:#}");
    // Another start of the host is no end of anything.
    hosted.up_for("500ms");
    assert_eq!(hosted.ended("publish").len(), 1);
}
