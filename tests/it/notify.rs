//! Notifications: who wants to know of runs is told, in order, signed, also after a crash; and a channel can be tried.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use serde_json::{Value as Json, json};
use sha2::Sha256;

use crate::{
    hosted::{Hosted, begins, ends, text, wait, wait_next},
    log::Line,
    notify_receiver::{Message, Told},
    program::{Running, clockjack},
};

/// A job that goes well as soon as its file is there, and one that no host may start in time.
fn jobs(notify: &str) -> String {
    format!(
        "
jobs:
  flaky:
    plugin: hostile
    call: read-file
    args: {{ path: /data/there }}
    grants: {{ dirs: [{{ host: ./data, guest: /data, mode: read }}] }}
    every: 1h
    notify: {notify}
"
    )
}

fn hosted(rest: &str) -> Hosted {
    let hosted = Hosted::with(rest);
    std::fs::create_dir(hosted.scene.path("data")).expect("a folder can be made");
    hosted
}

/// Starts the job by hand and waits for the end of the run; its id.
#[track_caller]
fn run(hosted: &Hosted, host: &mut Running) -> String {
    let run = clockjack(["run", "flaky", "-o", "json"]).folder(hosted.scene.folder()).beside_nothing().ends_with(0);
    let id = text(&run.json(), "id").to_owned();
    let ended = ends("flaky");
    wait(host, "the end of the run", |line| ended(line) && line.text("run") == id);
    id
}

/// Waits until commands are answered.
#[track_caller]
fn ready(host: &mut Running) {
    wait(host, "a socket", |line| line.message.starts_with("commands talk to this host"));
}

/// That the signature is the one of Standard Webhooks.
#[track_caller]
fn assert_signed(message: &Message, key: &[u8]) {
    let (id, at) = (message.header("webhook-id"), message.header("webhook-timestamp"));
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key will do");
    mac.update(format!("{id}.{at}.{}", message.body).as_bytes());
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(message.header("webhook-signature"), signature, "{message:?}");
    assert!(at.parse::<u64>().is_ok_and(|at| 1_700_000_000 < at), "{message:?}");
    assert_eq!(message.json()["id"], id);
}

#[test]
fn failures_and_recoveries_are_told_signed_and_in_order() {
    let (hook, checks) = (Told::new(), Told::new());
    let hosted = hosted("");
    hosted.scene.put("hc", checks.url("/ping/5b1f-token"));
    hosted.put(&format!(
        "
secrets: {{ key: {{ env: HOOK_KEY }}, hc: {{ file: ./hc }} }}
notifications:
  ops: {{ webhook: {{ url: \"{}\", secret: key, headers: {{ x-team: blue }} }}, private: true }}
  hc: {{ healthchecks: {{ secret: hc }}, private: true }}
  desk: {{ command: [sh, -c, 'cat > desk.json; echo \"$CLOCKJACK_TYPE $CLOCKJACK_JOB\" > desk.txt'], on: recovery }}
{}",
        hook.url("/hook?v=1"),
        jobs("{ ops: { on: [failure, recovery] }, hc:, desk: }"),
    ));
    let mut host = hosted.up(&[]).env("HOOK_KEY", "whsec_c2VjcmV0IG9mIHRoZSBob29r").start();
    ready(&mut host);
    // Who cannot be reached now is told later, and nothing else waits for that.
    hook.answers(503);
    let failed = run(&hosted, &mut host);
    let start = checks.next();
    assert_eq!(start.line, format!("POST /ping/5b1f-token/start?rid={failed}"));
    let fail = checks.next();
    assert_eq!(fail.line, format!("POST /ping/5b1f-token/fail?rid={failed}"));
    assert!(fail.body.starts_with("run.failure: flaky\noutcome: failed\nerror: "), "{}", fail.body);
    assert_eq!(hook.next().status, 503);
    wait(&mut host, "a retry", |line| line.message.starts_with("a notice has not arrived and is sent again in"));
    hosted.scene.put("data/there", "yes");
    let done = run(&hosted, &mut host);
    hook.answers(200);
    let (failure, recovery) = (hook.next_taken(), hook.next_taken());
    for (message, kind, id, outcome, failures) in
        [(&failure, "run.failure", &failed, "failed", 1), (&recovery, "run.recovery", &done, "succeeded", 1)]
    {
        assert_eq!(message.line, "POST /hook?v=1");
        assert_eq!((message.header("content-type"), message.header("x-team")), ("application/json", "blue"));
        assert_signed(message, b"secret of the hook");
        let json = message.json();
        assert_eq!((&json["type"], &json["run"]), (&json!(kind), &json!(id)), "{json:#}");
        assert_eq!((&json["job"], &json["outcome"]), (&json!("flaky"), &json!(outcome)));
        assert_eq!((&json["consecutive_failures"], &json["attempts"]), (&json!(failures), &json!(1)));
        assert_eq!(json["error"].is_null(), outcome == "succeeded", "{json:#}");
    }
    assert_eq!(checks.next().line, format!("POST /ping/5b1f-token/start?rid={done}"));
    assert_eq!(checks.next().line, format!("POST /ping/5b1f-token?rid={done}"));
    host.signal("TERM");
    let ended = host.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // A URL that is a secret is told nowhere.
    assert!(!ended.stderr.contains("5b1f-token"), "{}", ended.stderr);
    assert_eq!(hosted.scene.read("desk.txt"), "run.recovery flaky\n");
    let desk: Json = serde_json::from_str(&hosted.scene.read("desk.json")).expect("it is JSON");
    assert_eq!(desk["run"], json!(done));
}

#[test]
fn what_was_not_delivered_when_the_host_died_is_delivered_by_the_next_one() {
    let hook = Told::new();
    let hosted = hosted("");
    let channel = format!("ops: {{ webhook: \"{}\", private: true }}", hook.url("/"));
    hosted.put(&format!("\nnotifications: {{ {channel} }}\n{}", jobs("ops")));
    hook.answers(503);
    let mut host = hosted.up(&[]).start();
    ready(&mut host);
    let failed = run(&hosted, &mut host);
    let first = hook.next();
    wait(&mut host, "a retry", |line| line.message.starts_with("a notice has not arrived"));
    host.signal("KILL");
    host.end();
    hook.answers(200);
    let mut host = hosted.up(&[]).start();
    let told = hook.next_taken();
    assert_eq!(told.json()["run"], json!(failed));
    assert_eq!(told.header("webhook-id"), first.header("webhook-id"), "a receiver can tell that it has it already");
    // That the job had failed is known, too.
    ready(&mut host);
    hosted.scene.put("data/there", "yes");
    run(&hosted, &mut host);
    assert_eq!(hook.next_taken().json()["type"], "run.recovery");
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
}

#[test]
fn a_reload_puts_channels_in_force_and_what_goes_on_for_long_is_told() {
    let (before, after) = (Told::new(), Told::new());
    let hosted = hosted("");
    let manifest = |url: &str, job: &str| {
        format!(
            "\nnotifications: {{ ops: {{ webhook: \"{url}\", private: true, on: [{{ too_long: 300ms }}] }} }}
jobs:
  {job}: {{ plugin: hostile, call: sleep-ms, args: {{ ms: 600000 }}, timeout: 15m, every: 1h, run_on_start: true, notify: ops }}
"
        )
    };
    hosted.put(&manifest(&before.url("/"), "nap"));
    let mut host = hosted.up(&[]).start();
    wait(&mut host, "nap", begins("nap"));
    let told = before.next().json();
    assert_eq!((text(&told, "type"), text(&told, "job")), ("run.too_long", "nap"));
    assert!(told["running_ms"].as_u64().is_some_and(|ms| 300 <= ms), "{told:#}");
    hosted.put(&manifest(&after.url("/"), "other"));
    host.signal("HUP");
    wait_next(&mut host, "the other job", begins("other"));
    let told = after.next().json();
    assert_eq!((text(&told, "type"), text(&told, "job")), ("run.too_long", "other"));
    drop(host);
}

/// Each start has its end: also where somebody cancels the run, and where its job is gone by then.
#[test]
fn a_start_has_an_end_although_its_run_was_cancelled_and_its_job_is_gone() {
    let checks = Told::new();
    let hosted = hosted("");
    let manifest = |job: &str| {
        format!(
            "\nnotifications: {{ hc: {{ healthchecks: \"{}\", private: true }} }}
jobs:
  {job}: {{ plugin: hostile, call: sleep-ms, args: {{ ms: 600000 }}, timeout: 15m, every: 1h, notify: hc }}
",
            checks.url("/ping")
        )
    };
    hosted.put(&manifest("nap"));
    let mut host = hosted.up(&[]).start();
    ready(&mut host);
    let ask = |args: &[&str]| clockjack(args).folder(hosted.scene.folder()).beside_nothing().ends_with(0);
    let run = text(&ask(&["run", "nap", "-o", "json"]).json(), "id").to_owned();
    assert_eq!(checks.next().line, format!("POST /ping/start?rid={run}"));
    hosted.put(&manifest("other"));
    ask(&["reload"]);
    ask(&["cancel", &run]);
    let end = checks.next();
    assert_eq!(end.line, format!("POST /ping?rid={run}"));
    assert!(end.body.starts_with("run.cancelled: nap\noutcome: cancelled"), "{}", end.body);
    drop(host);
}

/// A program lies beside the manifest that names it, wherever the host was started.
#[test]
fn a_command_that_is_not_there_is_found_out_beforehand() {
    let hosted = Hosted::with(
        "
notifications: { desk: { command: [./page.sh, --quiet] } }
jobs: { a: { plugin: typed, call: nothing, every: 1h, notify: [desk] } }
",
    );
    let file = hosted.scene.path("clockjack.yaml");
    let file = file.to_str().expect("a path");
    let ask = |args: &[&str]| clockjack(args.iter().copied().chain(["-f", file])).folder(&std::env::temp_dir());
    let found = ask(&["check"]).ends_with(0).stderr;
    assert!(found.contains("manifest.file") && found.contains("page.sh` is not there"), "{found}");
    let told = ask(&["doctor"]).ends_with(1).stdout;
    assert!(told.lines().any(|line| line.starts_with("fail  notifications")), "{told}");
    hosted.scene.put("page.sh", "#!/bin/sh\ncat > told.json\n");
    let script = hosted.scene.path("page.sh");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    assert!(!ask(&["check"]).ends_with(0).stderr.contains("manifest.file"));
    ask(&["notify", "test"]).ends_with(0);
    assert!(hosted.scene.read("told.json").contains("\"type\":\"test\""));
}

#[test]
fn channels_are_listed_and_tried_without_a_host() {
    let hook = Told::new();
    let hosted = Hosted::with(&format!(
        "
notifications:
  ops: {{ webhook: \"{}\", private: true }}
  nobody: {{ webhook: \"http://127.0.0.1:9/\", private: true }}
  desk: {{ command: [sh, -c, 'echo oh no >&2; exit 3'] }}
jobs: {{ a: {{ plugin: typed, call: nothing, every: 1h, notify: [ops] }} }}
",
        hook.url("/secret-path")
    ));
    let notify = |args: &[&str]| clockjack(["notify"].iter().chain(args)).folder(hosted.scene.folder());
    let list = notify(&["list", "-o", "json"]).ends_with(0).json();
    assert_eq!(list[2]["name"], "ops");
    assert_eq!(list[2]["on"], json!(["failure", "recovery", "missed"]));
    assert_eq!(list[2]["jobs"], json!(["a"]));
    let shown = notify(&["list"]).ends_with(0).stdout;
    assert!(shown.contains("ops") && !shown.contains("secret-path"), "{shown}");
    let told = notify(&["test", "ops", "-o", "json"]).ends_with(0).json();
    assert_eq!((&told[0]["result"], &told[0]["answer"]), (&json!("told"), &json!("status 200")));
    let message = hook.next();
    assert_eq!((message.line.as_str(), text(&message.json(), "type")), ("POST /secret-path", "test"));
    assert_eq!(told[0]["sent"], message.json());
    let all = notify(&["test", "-o", "json"]).ends_with(1).json();
    let answers: Vec<_> = (0..3).map(|n| text(&all[n], "answer").to_owned()).collect();
    assert!(answers[0].contains("exit status: 3: oh no"), "{answers:?}");
    assert!(answers[1].starts_with("no connection with `127.0.0.1`"), "{answers:?}");
    let unknown = notify(&["test", "opps"]).ends_with(1).stderr;
    assert!(unknown.contains("no channel is named") && unknown.contains("did you mean `ops`?"), "{unknown}");
}

/// That nothing of the log of a host is an error.
#[track_caller]
fn assert_calm(log: &[String]) {
    let errors: Vec<_> = log.iter().filter(|line| Line::read(line).text("level") == "ERROR").collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn what_is_refused_for_good_is_given_up_and_told_and_runs_go_on() {
    let hook = Told::new();
    let hosted = hosted("");
    let channel = format!("ops: {{ webhook: \"{}\", private: true }}", hook.url("/"));
    hosted.put(&format!("\nnotifications: {{ {channel} }}\n{}", jobs("ops")));
    let mut host = hosted.up(&[]).start();
    ready(&mut host);
    assert_calm(&host.log);
    hook.answers(410);
    run(&hosted, &mut host);
    assert_eq!(hook.next().status, 410);
    wait(&mut host, "it is given up", |line| line.message.starts_with("a notice was given up: status 410"));
    hook.answers(200);
    run(&hosted, &mut host);
    let next = hook.next().json();
    assert_eq!((text(&next, "type"), &next["consecutive_failures"]), ("run.failure", &json!(2)));
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
}
