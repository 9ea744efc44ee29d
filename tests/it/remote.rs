//! Commands that read, where the ledger lives in the memory of its host: the host is asked, and says the same.

use serde_json::Value as Json;

use crate::{
    hosted::{Hosted, ends, wait},
    operate::until,
    program::{Clockjack, clockjack},
};

const JOBS: &str = "jobs:
  beat: { plugin: typed, call: nothing, every: 100ms }
  later: { plugin: typed, call: nothing, every: 5h, paused: true }
";

fn names(json: &Json) -> Vec<String> {
    json.as_object().expect("a map").keys().cloned().collect()
}

#[test]
fn a_host_that_keeps_all_in_memory_is_asked() {
    let hosted = Hosted::with(JOBS);
    let ask = |args: &[&str]| -> Clockjack { clockjack(args).folder(hosted.scene.folder()).beside_nothing() };
    let nobody = ask(&["runs", "-o", "json"]).end();
    assert_ne!(nobody.code, Some(0), "without a host there is nothing to read");
    let mut host = ask(&["up", "--no-watch", "--log-format", "json", "--ledger", "memory:"]).start();
    wait(&mut host, "beat", ends("beat"));

    let jobs = ask(&["jobs", "-o", "json"]).ends_with(0).json();
    let states: Vec<_> = jobs.as_array().expect("a list").iter().map(|job| (&job["job"], &job["state"])).collect();
    assert_eq!(states, [(&Json::from("beat"), &Json::from("active")), (&"later".into(), &"paused".into())]);
    let table = ask(&["jobs"]).ends_with(0).stdout;
    assert!(table.starts_with("JOB") && table.contains("later"), "{table}");
    let one = ask(&["jobs", "later", "-o", "json"]).ends_with(0).json();
    assert_eq!((one.as_array().map(Vec::len), &one[0]["job"]), (Some(1), &"later".into()));
    let unknown = ask(&["jobs", "latr"]).ends_with(1).stderr;
    assert!(unknown.contains("did you mean `later`?"), "{unknown}");

    let runs = ask(&["runs", "--job", "beat", "-n", "1", "--outcome", "succeeded", "-o", "json"]).ends_with(0).json();
    let id = runs[0]["id"].as_str().expect("an id").to_owned();
    let shown = ask(&["runs", "show", &id, "-o", "json"]).ends_with(0).json();
    assert_eq!((&shown["id"], &shown["outcome"]), (&runs[0]["id"], &"succeeded".into()));
    assert!(ask(&["runs", "show", &id]).ends_with(0).stdout.contains("succeeded"));
    let logs = ask(&["logs", &id, "-o", "json"]).ends_with(0).json();
    assert_eq!((&logs["run"], &logs["outcome"]), (&shown["id"], &"succeeded".into()));

    let rest = ask(&["runs", "--job", "beat", "--before", &id, "-o", "json"]).ends_with(0).json();
    let is_before = |run: &Json| run["scheduled_for"].as_str() < runs[0]["scheduled_for"].as_str();
    assert!(rest.as_array().expect("a list").iter().all(is_before), "{rest:#}");
    let skipped = || ask(&["runs", "--job", "beat", "--skips", "-o", "json"]).ends_with(0).json();
    until("slots of a pause are told", || {
        ask(&["pause", "beat"]).ends_with(0);
        ask(&["resume", "beat"]).ends_with(0);
        skipped().as_array().expect("a list").iter().any(|row| row["reason"] == "paused")
    });
    let no_job = ask(&["runs", "--skips"]).ends_with(1).stderr;
    assert!(no_job.contains("--job"), "{no_job}");

    hosted
        .scene
        .put("made.yaml", "jobs: { made: { plugin: typed, call: nothing, cron: '0 4 * * *', timezone: Asia/Tokyo } }");
    ask(&["apply", "made.yaml"]).ends_with(0);
    let next = ask(&["next", "made", "-n", "2", "--from", "2027-01-15 00:00", "-o", "json"]).ends_with(0).json();
    assert_eq!(next, serde_json::json!(["2027-01-14T19:00:00Z", "2027-01-15T19:00:00Z"]), "from midnight in Tokyo");
    let next = ask(&["next", "made", "-n", "1001"]).ends_with(0).stdout;
    assert_eq!(next.lines().filter(|line| line.contains("+09:00")).count(), 1_001, "{next}");
    assert!(ask(&["next", "mode"]).ends_with(1).stderr.contains("no job `mode`"));

    let status = ask(&["status"]).ends_with(0).stdout;
    assert!(status.contains("3 (2 active, 1 paused)") && status.contains("memory:"), "{status}");
    let scheduler = ask(&["status", "-o", "json"]).ends_with(0).json();
    assert_eq!(scheduler["pid"], host.id());
    drop(host);

    // The same names as from a file.
    let mut host = hosted.up(&[]).start();
    wait(&mut host, "beat", ends("beat"));
    let read = |args: &[&str]| ask(args).args(["--ledger", &format!("sqlite:{}", hosted.scene.arg("state.db"))]);
    let of_file = read(&["runs", "--job", "beat", "-n", "1", "-o", "json"]).ends_with(0).json();
    assert_eq!(names(&of_file[0]), names(&runs[0]));
    assert_eq!(names(&read(&["logs", "beat@latest", "-o", "json"]).ends_with(0).json()), names(&logs));
    let of_file = read(&["jobs", "beat", "-o", "json"]).ends_with(0).json();
    let missing: Vec<_> = names(&of_file[0]).into_iter().filter(|name| jobs[0].get(name).is_none()).collect();
    assert_eq!(missing, Vec::<String>::new());
}
