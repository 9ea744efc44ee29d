//! What runs beside what: `overlap`, the places of pools and who gets them first.

use chrono::{DateTime, Utc};
use serde_json::Value as Json;

use crate::hosted::{Hosted, at, begins, each, ends, list, text, wait, wait_next};

/// From the start to the end of a run.
fn span(run: &Json) -> (DateTime<Utc>, DateTime<Utc>) {
    (at(run, "started_at"), at(run, "finished_at"))
}

/// Most of these runs that went on at one instant.
fn n_at_once(runs: &[Json]) -> usize {
    let spans: Vec<_> = runs.iter().map(span).collect();
    let at = |instant| spans.iter().filter(|(start, end)| *start <= instant && instant < *end).count();
    spans.iter().map(|(start, _)| at(*start)).max().unwrap_or_default()
}

#[test]
fn slots_that_meet_a_run_do_what_the_job_says() {
    let hosted = Hosted::with(
        "
jobs:
  queue: { plugin: hostile, call: sleep-ms, args: { ms: 500 }, every: 200ms, overlap: queue, max_backlog: 2 }
  replace: { plugin: hostile, call: sleep-ms, args: { ms: 120000 }, every: 700ms, overlap: replace, timeout: 5m }
  allow: { plugin: hostile, call: sleep-ms, args: { ms: 900 }, every: 200ms, overlap: allow }
  two: { plugin: hostile, call: sleep-ms, args: { ms: 900 }, every: 200ms, max_instances: 2 }
",
    );
    hosted.up(&["--for", "4s", "--grace", "2s"]).ends_with(0);
    let queue = hosted.ended("queue");
    assert!(4 <= queue.len() && queue.iter().all(|run| run["outcome"] == "succeeded"), "{queue:#?}");
    assert_eq!(n_at_once(&queue), 1);
    assert!(
        queue.windows(2).all(|pair| span(&pair[0]).1 <= span(&pair[1]).0),
        "in the order of their slots: {queue:#?}"
    );
    let waited = queue.iter().filter(|run| at(run, "due_at") + chrono::TimeDelta::milliseconds(200) < span(run).0);
    assert!(2 <= waited.count(), "slots wait for their turn: {queue:#?}");
    let skips = hosted.skips("queue");
    assert!(!skips.is_empty() && skips.iter().all(|skip| skip["reason"] == "overlapping"), "only two wait: {skips:#?}");

    let replaced = hosted.ended("replace");
    assert!(3 <= replaced.len() && each(&replaced, "outcome").iter().all(|code| *code == "cancelled"), "{replaced:#?}");
    for run in &replaced {
        assert!(text(run, "error").contains("newer slot"), "{run:#}");
    }
    assert_eq!(n_at_once(&replaced), 1);
    // The host stopped during the newest one, which the next host goes on with.
    // On a slow machine that one may still have waited for the end of the one before it.
    let runs = hosted.runs("replace");
    let open = runs.iter().find(|run| run["state"] != "ended").expect("one that has not ended");
    let cut = hosted.json(&["runs", "show", text(open, "id")]);
    let attempts = list(&cut["attempt_list"]);
    let wanted = if open["state"] == "planned" { vec![] } else { vec!["interrupted"] };
    assert_eq!(each(&attempts, "outcome"), wanted, "{cut:#}");

    let (allow, two) = (hosted.ended("allow"), hosted.ended("two"));
    assert!(3 <= n_at_once(&allow) && hosted.skips("allow").is_empty(), "{}: {allow:#?}", n_at_once(&allow));
    assert_eq!(n_at_once(&two), 2, "{two:#?}");
    assert!(!hosted.skips("two").is_empty());
}

#[test]
fn places_of_a_pool_go_to_the_highest_priority_first() {
    let hosted = Hosted::with(
        "
pools: { single: { size: 1 }, pair: { size: 2 } }
defaults: { run_on_start: true }
jobs:
  a-low: { plugin: hostile, call: sleep-ms, args: { ms: 150 }, every: 1h, pool: single, priority: -5 }
  b-none: { plugin: hostile, call: sleep-ms, args: { ms: 150 }, every: 1h, pool: single }
  c-high: { plugin: hostile, call: sleep-ms, args: { ms: 150 }, every: 1h, pool: single, priority: 10 }
  d-top: { plugin: hostile, call: sleep-ms, args: { ms: 150 }, every: 1h, pool: single, priority: 1000 }
  e-pair: { plugin: hostile, call: sleep-ms, args: { ms: 700 }, every: 1h, pool: pair }
  f-pair: { plugin: hostile, call: sleep-ms, args: { ms: 700 }, every: 1h, pool: pair }
  g-pair: { plugin: hostile, call: sleep-ms, args: { ms: 10 }, every: 1h, pool: pair, priority: -1 }
  h-free: { plugin: typed, call: nothing, every: 1h }
",
    );
    let mut host = hosted.up(&[]).start();
    for job in ["a-low", "b-none", "c-high", "d-top", "e-pair", "f-pair", "g-pair", "h-free"] {
        wait(&mut host, job, ends(job));
    }
    drop(host);
    let single: Vec<_> = ["d-top", "c-high", "b-none", "a-low"].map(|job| hosted.only(job)).into();
    assert!(single.windows(2).all(|pair| span(&pair[0]).1 <= span(&pair[1]).0), "{single:#?}");
    let pair: Vec<_> = ["e-pair", "f-pair", "g-pair"].map(|job| hosted.only(job)).into();
    assert_eq!(n_at_once(&pair), 2, "{pair:#?}");
    let first_end = span(&pair[0]).1.min(span(&pair[1]).1);
    assert!(first_end <= span(&pair[2]).0, "the third waits for a place: {pair:#?}");
    let free = hosted.only("h-free");
    assert!(span(&free).0 < span(&single[3]).0, "another pool does not wait: {free:#}");
}

/// A larger pool after a reload lets what waits begin.
#[test]
fn a_pool_grows_while_the_host_runs() {
    let jobs = |size: u32| {
        format!(
            "pools: {{ heavy: {{ size: {size} }} }}
defaults: {{ run_on_start: true, timeout: 5m, pool: heavy }}
jobs:
  one: {{ plugin: hostile, call: sleep-ms, args: {{ ms: 290000 }}, every: 1h, priority: 1 }}
  two: {{ plugin: typed, call: nothing, every: 1h }}
"
        )
    };
    let hosted = Hosted::with(&jobs(1));
    let mut host = hosted.up(&[]).start();
    wait(&mut host, "the first one", begins("one"));
    let waiting = list(&hosted.json(&["why", "two"]));
    assert!(text(&waiting[0], "explanation").contains("`heavy`, which has 1 place"), "{waiting:#?}");
    hosted.put(&jobs(2));
    host.signal("HUP");
    wait_next(&mut host, "the second one", ends("two"));
}
