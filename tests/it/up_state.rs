//! What jobs remember moves exactly with the success of their runs: through crashes, beside each other, and never without
//! the grant.

use std::fs;

use serde_json::Value as Json;

use crate::{
    hosted::{Hosted, ends, text, wait, wait_next},
    scene::{guest, root},
};

/// A folder with the guest that remembers, and a manifest with these jobs.
fn remembering(jobs: &str) -> Hosted {
    let hosted = Hosted::with(jobs);
    let text = fs::read_to_string(root().join("tests/guests/remember.wat")).expect("the guest's text can be read");
    hosted.scene.put("remember.wasm", wat::parse_str(text).expect("the guest's text assembles"));
    hosted
}

/// What a run returned.
#[track_caller]
fn output(hosted: &Hosted, run: &Json) -> Json {
    hosted.json(&["runs", "show", text(run, "id")])["output"].clone()
}

/// That the job has counted each of its successes once: the greatest number that it returned, and how many there are.
#[track_caller]
fn assert_counted(hosted: &Hosted, job: &str) -> u64 {
    let succeeded: Vec<_> = hosted.ended(job).into_iter().filter(|run| run["outcome"] == "succeeded").collect();
    let n_succeeded = u64::try_from(succeeded.len()).expect("few runs");
    let last = succeeded.iter().max_by_key(|run| text(run, "finished_at").to_owned()).expect("some run succeeded");
    assert_eq!(output(hosted, last), n_succeeded, "{succeeded:#?}");
    n_succeeded
}

#[test]
fn a_killed_host_loses_a_success_and_its_state_together() {
    let hosted =
        remembering("jobs: { count: { plugin: ./remember.wasm, call: count, every: 20ms, grants: { state: true } } }");
    let mut n_before = 0;
    for _ in 0..3 {
        let mut host = hosted.up(&[]).start();
        for _ in 0..5 {
            wait_next(&mut host, "the end of a run", ends("count"));
        }
        host.signal("KILL");
        drop(host);
        let n_now = assert_counted(&hosted, "count");
        assert!(n_before < n_now, "{n_before} and then {n_now}");
        n_before = n_now;
    }
    hosted.up_for("300ms");
    assert!(n_before < assert_counted(&hosted, "count"));
}

#[test]
fn attempts_beside_each_other_lose_no_increment() {
    // This guest sleeps between reading and writing, and asks for secrets, too.
    let hosted = Hosted::with(
        "secrets: { note: { file: ./note } }\n\
         jobs: { count: { plugin: ./state.wasm, call: count-carefully, args: { sleep-ms: 250 }, every: 200ms, \
         overlap: allow, max_instances: 2, retry: { attempts: 100, backoff: 10ms }, \
         grants: { state: true, secrets: [note] } } }",
    );
    fs::copy(guest("state"), hosted.scene.path("state.wasm")).expect("a guest can be copied");
    hosted.scene.put("note", "nobody asks for it");
    hosted.up_for("2s");
    assert!(0 < assert_counted(&hosted, "count"));
    let met = hosted.ended("count").into_iter().find(|run| run["attempts"] != 1).expect("some of them met");
    let story = hosted.json(&["runs", "show", text(&met, "id")]);
    // Whether it saw the conflict itself or the host did, the attempt has failed and the run was tried again.
    assert_eq!(
        (&story["attempt_list"][0]["outcome"], &story["outcome"]),
        (&"failed".into(), &"succeeded".into()),
        "{story:#}"
    );
}

#[test]
fn a_checkpoint_outlives_its_run_and_the_rest_does_not() {
    let job = |call: &str| {
        format!(
            "jobs: {{ steps: {{ plugin: ./remember.wasm, call: {call}, every: 1h, run_on_start: true, \
             grants: {{ state: true }} }} }}"
        )
    };
    let hosted = remembering(&job("checkpoint-and-trap"));
    let mut host = hosted.up(&[]).start();
    wait(&mut host, "the end of the run", ends("steps"));
    host.signal("KILL");
    drop(host);
    assert_eq!(hosted.only("steps")["outcome"], "trap.unreachable");
    // Another function of the same job goes on from there.
    let counting = job("count").replace("every: 1h, run_on_start: true", "every: 100ms");
    hosted.put(&counting);
    let mut host = hosted.up(&[]).start();
    wait(&mut host, "the end of a run", ends("steps"));
    drop(host);
    let first = hosted.ended("steps").into_iter().find(|run| run["outcome"] == "succeeded").expect("it counted");
    assert_eq!(output(&hosted, &first), 2, "one was kept by the checkpoint, the other one was lost with the run");
}

#[test]
fn without_the_grant_nothing_starts_and_the_key_is_named() {
    let hosted = remembering("jobs: { count: { plugin: ./remember.wasm, call: count, every: 1h } }");
    let ended = hosted.up(&[]).ends_with(1);
    assert!(ended.stderr.contains("load.import"), "{}", ended.stderr);
    assert!(ended.stderr.contains("which needs the grant `state`"), "{}", ended.stderr);
    assert!(ended.stderr.contains("add `grants: { state: true }`"), "{}", ended.stderr);
}

#[test]
fn a_single_run_begins_with_nothing_and_leaves_nothing() {
    let hosted =
        remembering("jobs: { count: { plugin: ./remember.wasm, call: count, every: 1h, grants: { state: true } } }");
    for _ in 0..2 {
        let exec = ["exec", "--file", "clockjack.yaml", "--job", "count", "-o", "json"];
        let ended = crate::program::clockjack(exec).folder(hosted.scene.folder()).ends_with(0);
        assert_eq!(ended.json()["output"], 1);
    }
    let plugin = hosted.scene.arg("remember.wasm");
    let refused = crate::program::clockjack(["exec", plugin.as_str(), "count"]).ends_with(1);
    assert!(refused.stderr.contains("needs the grant `state`"), "{}", refused.stderr);
    crate::program::clockjack(["exec", plugin.as_str(), "count", "--state"]).ends_with(0);
}
