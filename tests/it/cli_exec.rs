//! `clockjack exec -o json`: the contract of its result, field by field, and what it does with a manifest's job.

use serde_json::{Value as Json, json};

use crate::{
    program::{Ended, clockjack},
    scene::{Scene, guest, root},
};

/// Runs a function of a guest and reads what `exec` printed. The exit code has to fit the outcome.
#[track_caller]
pub(crate) fn exec(name: &str, args: &[&str]) -> Json {
    let plugin = guest(name);
    let ended = clockjack(["exec", "-o", "json", &plugin]).args(args).end();
    result(&ended)
}

/// The result that was printed; the exit code has to fit it.
#[track_caller]
pub(crate) fn result(ended: &Ended) -> Json {
    ended.is_no_crash();
    let result = ended.json();
    let code = match result["outcome"].as_str() {
        Some("succeeded" | "skipped") => 0,
        Some(_) => 3,
        None => 1,
    };
    assert_eq!(ended.code, Some(code), "{result}");
    assert_eq!(ended.stderr, "", "with -o json everything is in the object");
    result
}

#[track_caller]
fn assert_text(result: &Json, key: &str) {
    assert!(result[key].is_string(), "`{key}` is text: {result}");
}

/// The fields that other programs rely on, and their types.
#[track_caller]
fn assert_contract(result: &Json) {
    let object = result.as_object().expect("an object");
    let fields = "outcome output error attempts duration_ms memory_peak_bytes fuel_used stdout stderr logs";
    for field in fields.split(' ') {
        assert!(object.contains_key(field), "`{field}` is there even where it is null: {result}");
    }
    for field in ["outcome", "stdout", "stderr"] {
        assert_text(result, field);
    }
    let error = &result["error"];
    assert!(if result["outcome"] == "succeeded" { error.is_null() } else { error.is_string() }, "{result}");
    assert_eq!(result["attempts"], 1, "{result}");
    assert!(result["duration_ms"].as_f64().is_some_and(|ms| 0.0 < ms), "{result}");
    assert!(result["memory_peak_bytes"].is_u64(), "{result}");
    assert!(result["fuel_used"].is_null() || result["fuel_used"].is_u64(), "{result}");
    for line in result["logs"].as_array().expect("`logs` is a list") {
        for field in ["at", "level", "message"] {
            assert_text(line, field);
        }
        assert!(line["fields"].is_object(), "{line}");
    }
}

#[test]
fn success_has_every_field() {
    let result = exec("hostile", &["grow", "--arg", "mib=3"]);
    assert_contract(&result);
    assert_eq!(result["outcome"], "succeeded");
    assert_eq!(result["output"], 3);
    assert_eq!(result["error"], Json::Null);
    assert_eq!(result["fuel_used"], Json::Null, "instructions are counted only when they are limited");
    let peak = result["memory_peak_bytes"].as_u64().unwrap_or_default();
    assert!((3 << 20..8 << 20).contains(&peak), "three MiB and what the runtime needs: {peak}");
}

#[test]
fn failure_keeps_the_value_of_the_error() {
    let result = exec("typed", &["divide", "--arg", "dividend=7", "--arg", "divisor=0"]);
    assert_contract(&result);
    assert_eq!(result["outcome"], "failed");
    assert_eq!(result["output"], "cannot divide 7 by 0");
    assert_eq!(result["error"], "cannot divide 7 by 0");
    let result = exec("typed", &["divide", "--arg", "dividend=7", "--arg", "divisor=-2"]);
    assert_eq!((&result["outcome"], &result["output"]), (&json!("succeeded"), &json!(-3)));
    let result = exec("typed", &["refuse"]);
    assert_contract(&result);
    assert_eq!((&result["outcome"], &result["output"]), (&json!("failed"), &Json::Null));
}

#[test]
fn the_error_says_what_is_to_happen() {
    for (kind, outcome, output) in [
        ("permanent", "failed", json!({"permanent": "why"})),
        ("retry", "failed", json!({"retry": "why"})),
        ("retry-after", "failed", json!({"retry-after": [1000, "why"]})),
        ("skipped", "skipped", json!({"skipped": "why"})),
        ("none", "succeeded", Json::Null),
    ] {
        let result = exec("hostile", &["fail", "-a", &format!("kind={kind}"), "-a", "message=why"]);
        assert_contract(&result);
        assert_eq!((&result["outcome"], &result["output"]), (&json!(outcome), &output), "{kind}");
        let error = result["error"].as_str().unwrap_or_default();
        assert_eq!(error.contains("why"), outcome != "succeeded", "{kind}: {error}");
    }
}

#[test]
fn logs_and_the_facts_of_the_attempt_reach_both_sides() {
    let result = exec("typed", &["facts", "--timeout", "30s"]);
    assert_contract(&result);
    assert_eq!(result["progress"], "1 of 1: told");
    let facts = &result["output"];
    assert_eq!((&facts["attempt"], &facts["max-attempts"]), (&json!(1), &json!(1)));
    assert_eq!(facts["cause"], "manual");
    assert_eq!(facts["time-zone"], "UTC");
    let millis = |name: &str| facts[name].as_u64().unwrap_or_else(|| panic!("{name}: {facts}"));
    assert!(millis("scheduled-for") <= millis("started-at"), "{facts}");
    assert_eq!(millis("deadline") - millis("started-at"), 30_000, "{facts}");
    assert!((25_000..=30_000).contains(&millis("time-left")), "{facts}");
    let log = &result["logs"][0];
    assert_eq!((&log["level"], &log["message"]), (&json!("info"), &json!("told the facts")));
    assert_eq!(log["fields"], json!({"job": facts["job"], "attempt": "1"}));
}

#[test]
fn fuel_is_counted_when_it_is_limited() {
    let result = exec("hostile", &["grow", "--arg", "mib=1", "--fuel", "100000000"]);
    assert_contract(&result);
    assert_eq!(result["outcome"], "succeeded");
    let used = result["fuel_used"].as_u64().unwrap_or_default();
    assert!((1..100_000_000).contains(&used), "{used}");
    let again = exec("hostile", &["grow", "--arg", "mib=1", "--fuel", "100000000"]);
    assert_eq!(again["fuel_used"].as_u64(), Some(used), "the same work takes the same fuel");
}

#[test]
fn a_command_gets_words_variables_and_no_input() {
    let ended = clockjack(["exec", "-o", "json", "--env", "GREETING=good day", &guest("command")])
        .args(["--", "first", "two words", "--flag"])
        .env("LEAKED", "secret")
        .stdin(b"not for guests")
        .end();
    let result = result(&ended);
    assert_contract(&result);
    assert_eq!(result["outcome"], "succeeded");
    let stdout = result["stdout"].as_str().unwrap_or_default();
    for line in ["arg first", "arg two words", "arg --flag", "env GREETING=good day", "env CLOCKJACK_JOB=exec"] {
        assert!(stdout.lines().any(|printed| printed == line), "{line}:\n{stdout}");
    }
    assert!(!stdout.contains("LEAKED") && !stdout.contains("PATH="), "{stdout}");
    assert!(stdout.ends_with("stdin \n"), "the terminal's input is not the guest's: {stdout}");
    assert_eq!(result["stderr"], "exit 0\n");
}

#[test]
fn a_command_that_ends_with_another_code_has_failed() {
    let result = exec("command", &["--", "--exit=3"]);
    assert_contract(&result);
    assert_eq!(result["outcome"], "failed");
    assert_eq!(result["stderr"], "exit 3\n");
    assert!(result["error"].as_str().is_some_and(|error| !error.is_empty()), "{result}");
}

const MANIFEST: &str = "
version: 1
plugins: { hostile: { source: hostile.wasm } }
jobs:
  reader:
    plugin: hostile
    call: read-file
    args: { path: /in/hello.txt }
    every: 1h
    grants: { dirs: [{ host: in, guest: /in, mode: read }] }
  hungry:
    plugin: hostile
    call: grow
    args: { mib: 50 }
    every: 1h
    limits: { memory: 8MiB }
  sees:
    plugin: hostile
    call: env
    every: 1h
    grants: { env: { FROM_JOB: \"yes\" } }
";

fn scene() -> Scene {
    let scene = Scene::with(MANIFEST, &["hostile"]);
    std::fs::create_dir(scene.path("in")).expect("a folder");
    scene.put("in/hello.txt", "hello\n");
    scene
}

#[test]
fn a_job_of_a_manifest_brings_its_arguments_limits_and_grants() {
    let scene = scene();
    let manifest = scene.arg("clockjack.yaml");
    let run = |job: &str, more: &[&str]| {
        // From another folder: relative paths start at the manifest's.
        let command = clockjack(["exec", "-o", "json", "-f", &manifest, "--job", job]).args(more);
        result(&command.folder(&root()).end())
    };
    let read = run("reader", &[]);
    assert_contract(&read);
    assert_eq!((&read["outcome"], &read["output"]), (&json!("succeeded"), &json!("hello\n")));
    assert_eq!(run("hungry", &[])["outcome"], "memory.limit");
    assert_eq!(run("sees", &[])["output"], json!([["FROM_JOB", "yes"]]));

    let other = run("reader", &["--arg", "path=/in/absent.txt"]);
    assert_eq!(other["outcome"], "failed", "an argument of the command line wins: {other}");
    let more = run("hungry", &["--memory", "64MiB", "--arg", "mib=20"]);
    assert_eq!((&more["outcome"], &more["output"]), (&json!("succeeded"), &json!(20)));
    let both = run("sees", &["--env", "MORE=too"]);
    assert_eq!(both["output"], json!([["FROM_JOB", "yes"], ["MORE", "too"]]));
}

#[test]
fn the_manifest_of_this_folder_is_the_default() {
    let scene = scene();
    let ended = clockjack(["exec", "-o", "json", "--job", "reader"]).folder(scene.folder()).ends_with(0);
    assert_eq!(ended.json()["output"], "hello\n");
}

#[test]
fn for_people_the_guests_words_are_data_and_ours_are_talk() {
    let ended = clockjack(["exec", &guest("hostile"), "print", "--arg", "bytes=64"]).ends_with(0);
    assert_eq!(ended.stdout, format!("{}\n", "x".repeat(63)));
    assert!(ended.stderr.contains("succeeded in "), "{}", ended.stderr);
    let ended = clockjack(["exec", &guest("hostile"), "grow", "--arg", "mib=2"]).ends_with(0);
    assert_eq!(ended.stdout, "2\n");
}
