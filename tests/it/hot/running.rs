//! What becomes of attempts that go on when their plugin is replaced, and on which code a run is tried again.

use std::fs;

use serde_json::{Value as Json, json};

use super::{answers, replace, told, traps};
use crate::{
    hosted::{Hosted, begins, ends, list, text, wait, wait_next},
    program::Running,
    scene::guest,
};

/// The same component with other bytes: a custom section more.
fn tagged(tag: u8) -> Vec<u8> {
    let bytes = fs::read(guest("hostile")).expect("a guest");
    [bytes.as_slice(), &[0, 3, 1, b't', tag]].concat()
}

/// A host whose job `long` sleeps for so long in `hostile.wasm`.
fn sleeper(keys: &str, ms: u32) -> (Hosted, Running) {
    let hosted = Hosted::with(&format!(
        "jobs:\n  long: {{ plugin: hostile, call: sleep-ms, args: {{ ms: {ms} }}, every: 24h, run_on_start: true, timeout: 4m{keys} }}\n"
    ));
    let mut host = hosted.up_watching(&[]).start();
    wait(&mut host, "the run", begins("long"));
    (hosted, host)
}

/// The attempts of the first run of a job: number, outcome, generation.
fn attempts(hosted: &Hosted, job: &str) -> Vec<(Json, Json, Json)> {
    let run = hosted.json(&["runs", "show", text(&hosted.runs(job)[0], "id")]);
    let attempts = list(&run["attempt_list"]);
    attempts.iter().map(|it| (it["number"].clone(), it["outcome"].clone(), it["generation"].clone())).collect()
}

#[test]
fn by_default_what_goes_on_finishes_on_the_code_with_which_it_began() {
    let (hosted, mut host) = sleeper("", 4_000);
    replace(&hosted, "hostile.wasm", &tagged(1));
    told(&mut host, "plugin.replaced");
    wait_next(&mut host, "its end", ends("long"));
    assert_eq!(attempts(&hosted, "long"), [(json!(1), json!("succeeded"), json!(1))]);
}

#[test]
fn it_may_be_cancelled() {
    let (hosted, mut host) = sleeper(", on_reload: cancel, retry: { attempts: 3 }", 200_000);
    replace(&hosted, "hostile.wasm", &tagged(1));
    let line = wait_next(&mut host, "its end", ends("long"));
    assert_eq!(line.outcome(), Some("cancelled"), "{line:?}");
    assert!(line.text("reason").contains("on_reload: cancel"), "{line:?}");
}

#[test]
fn it_may_have_time_to_drain() {
    let (hosted, mut host) = sleeper(", on_reload: { mode: drain, deadline: 1s }", 200_000);
    replace(&hosted, "hostile.wasm", &tagged(1));
    told(&mut host, "plugin.replaced");
    let line = wait_next(&mut host, "its end", ends("long"));
    assert_eq!(line.outcome(), Some("cancelled"), "{line:?}");
}

/// As often as it is replaced: that counts as no failure.
#[test]
fn it_may_begin_again_on_the_new_code() {
    let (hosted, mut host) = sleeper(", on_reload: replace", 6_000);
    for tag in 1..=3 {
        replace(&hosted, "hostile.wasm", &tagged(tag));
        wait_next(&mut host, "another attempt", begins("long"));
    }
    let line = wait_next(&mut host, "its end", ends("long"));
    assert_eq!(line.outcome(), Some("succeeded"), "{line:?}");
    let attempts = attempts(&hosted, "long");
    assert_eq!(attempts.last(), Some(&(json!(4), json!("succeeded"), json!(4))), "{attempts:?}");
    assert!(attempts[..3].iter().all(|(_, outcome, _)| outcome == "interrupted"), "{attempts:?}");
}

#[test]
fn a_run_is_tried_again_on_the_code_that_the_job_names() {
    for (keys, outcome, generation) in [("", "succeeded", 2), (", retry_on: same", "trap.unreachable", 1)] {
        let hosted = Hosted::with("");
        hosted.scene.put("p.wasm", traps(1));
        let job = format!(
            "once: {{ plugin: p, call: answer, every: 24h, run_on_start: true, retry: {{ attempts: 2, backoff: 4s, jitter: 0% }}{keys} }}"
        );
        replace(
            &hosted,
            "clockjack.yaml",
            format!("version: 1\nplugins: {{ p: ./p.wasm }}\njobs: {{ {job} }}\n").as_bytes(),
        );
        let mut host = hosted.up_watching(&[]).start();
        wait(&mut host, "a failure", |line| line.message.contains("tried again"));
        replace(&hosted, "p.wasm", &answers(2));
        told(&mut host, "plugin.replaced");
        wait(&mut host, "the end", ends("once"));
        let attempts = attempts(&hosted, "once");
        assert_eq!(attempts.len(), 2, "{attempts:?}");
        assert_eq!((&attempts[1].1, &attempts[1].2), (&json!(outcome), &json!(generation)), "{keys}: {attempts:?}");
    }
}
