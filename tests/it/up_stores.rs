//! `stores`: jobs are recorded where they say, and what is kept there is what the next host knows.

use crate::{
    hosted::{Hosted, each, list},
    program::clockjack,
};

const MANIFEST: &str = "
stores: { default: \"sqlite:kept.db\", other: \"sqlite:folder/other.db\", scratch: \"memory:\" }
defaults: { run_on_start: true }
jobs:
  kept: { plugin: typed, call: nothing, every: 1h }
  beside: { plugin: typed, call: nothing, every: 1h, store: other }
  lost: { plugin: typed, call: nothing, every: 1h, store: scratch }
";

#[test]
fn each_job_is_recorded_in_its_store() {
    let hosted = Hosted::with(MANIFEST);
    let folder = hosted.scene.folder();
    let up = |args: &[&str]| {
        let ended = clockjack(["up", "--for", "1s", "--log-format", "json"]).args(args).folder(folder).ends_with(0);
        ["kept", "beside", "lost"].map(|job| {
            let is_start = |line: &str| line.contains("\"running\"") && line.contains(&format!("\"job\":\"{job}\""));
            ended.stderr.lines().filter(|line| is_start(line)).count()
        })
    };
    let read = |args: &[&str]| clockjack(args).args(["-o", "json"]).folder(folder).ends_with(0);
    assert_eq!(up(&[]), [1, 1, 1]);
    // What was in memory is seen for the first time again.
    assert_eq!(up(&[]), [0, 0, 1]);
    let runs = read(&["runs"]);
    let mut jobs = list(&runs.json());
    jobs.sort_by_key(|run| run["job"].to_string());
    assert_eq!(each(&jobs, "job"), ["beside", "kept"]);
    assert!(runs.stderr.contains("`scratch` is not shown") || runs.stderr.contains("`scratch`"), "{}", runs.stderr);
    let jobs = list(&read(&["jobs"]).json());
    assert_eq!(
        (each(&jobs, "job"), each(&jobs, "store")),
        (vec!["beside", "kept", "lost"], vec!["other", "default", "scratch"])
    );
    assert!(hosted.scene.path("kept.db").exists() && hosted.scene.path("folder/other.db").exists());
    // Another default beside the same other stores.
    assert_eq!(up(&["--ledger", "sqlite:override.db"]), [1, 0, 1]);
    assert_eq!(list(&read(&["runs", "--job", "kept"]).json()).len(), 1, "the default of the manifest has one");
    let overridden = list(&read(&["runs", "--ledger", "sqlite:override.db"]).json());
    assert_eq!(overridden.len(), 2, "{overridden:#?}");
    assert_eq!(up(&["--ledger", "memory:"]), [1, 0, 1]);
    let none = clockjack(["runs", "--job", "lost"]).folder(folder).ends_with(0);
    assert_eq!(none.stdout, "", "{}", none.stderr);
}
