//! `keep`: history beyond what a job keeps goes while the host runs, and firing does not notice.

use chrono::TimeDelta;
use serde_json::json;

use crate::{
    hosted::{Hosted, at, list, text},
    log::{lines, runs},
};

#[test]
fn history_is_pruned_and_firing_is_not_delayed() {
    let hosted = Hosted::with(
        "
jobs:
  few: { plugin: typed, call: nothing, every: 50ms, overlap: queue, max_backlog: 1000, keep: { count: 5 } }
  all: { plugin: typed, call: nothing, every: 100ms, overlap: queue, max_backlog: 1000 }
",
    );
    // The first round comes after five seconds.
    let ended = hosted.up_for("7s");
    let lines = lines(&ended.stderr);
    let ran = runs(&lines);
    let (few, all) = (hosted.ended("few"), hosted.ended("all"));
    let n_ran = |job: &str| ran.iter().filter(|run| run.job == job).count();
    assert!(100 < n_ran("few"), "{}", n_ran("few"));
    // What came in the two seconds after the round is still there.
    assert!((5..=80).contains(&few.len()), "{} of {}", few.len(), n_ran("few"));
    assert_eq!(all.len(), n_ran("all"), "another job keeps its own");
    assert!(ran.iter().all(|run| run.outcome == "succeeded"), "{ran:?}");
    let skipped: Vec<_> = lines.iter().filter(|line| line.message.starts_with("skipped")).collect();
    assert!(skipped.is_empty(), "{skipped:?}");
    let latest = ran.iter().map(crate::log::Run::lateness).max().unwrap_or_default();
    assert!(latest < TimeDelta::seconds(1), "{latest}");
    // The anchor and the count of the last success are no history.
    let first = at(&hosted.job("few"), "first_seen") + TimeDelta::milliseconds(50);
    let why = list(&hosted.json(&["why", "few", "--at", &first.to_rfc3339()]));
    assert_eq!(why[0]["disposition"], json!("forgotten"), "{why:#?}");
    assert!(text(&why[0], "explanation").contains("at most 5 runs (`keep`)"), "{why:#?}");
    // The next host prunes what this one left.
    hosted.up_for("6s");
    assert!(hosted.ended("few").len() <= 60, "{}", hosted.ended("few").len());
}
