//! SIGHUP: the manifest is read again while the host runs, all of it or nothing, and what did not change goes on as if
//! nothing had happened.

use chrono::TimeDelta;
use serde_json::json;

use crate::{
    hosted::{Hosted, assert_no_gap, at, each, ends, list, text, wait, wait_next},
    log::Line,
    program::Running,
};

const EVERY: TimeDelta = TimeDelta::milliseconds(100);

const STEADY: &str = "  steady: { plugin: typed, call: nothing, every: 100ms }\n";

/// Asks for a reload and waits for the answer.
fn reload(host: &mut Running, answer: &str) -> Line {
    host.signal("HUP");
    let line = wait_next(host, answer, |line| line.message.contains("reloaded"));
    assert!(line.message.starts_with(answer), "{}", host.log.join("\n"));
    line
}

#[test]
fn jobs_come_change_and_go_while_others_go_on() {
    let hosted = Hosted::with(&format!(
        "jobs:\n{STEADY}  moody: {{ plugin: typed, call: nothing, every: 1h }}\n  short: {{ plugin: typed, call: nothing, every: 100ms }}\n"
    ));
    let mut host = hosted.up(&[]).start();
    wait(&mut host, "short", ends("short"));
    wait(&mut host, "steady", ends("steady"));
    let (seen, seen_moody) = (hosted.job("steady")["first_seen"].clone(), hosted.job("moody")["first_seen"].clone());
    // One more, one less, one otherwise.
    let new = "  new: { plugin: typed, call: echo-string, args: { value: one }, every: 100ms }\n";
    let moody = "  moody: { plugin: typed, call: nothing, every: 150ms }\n";
    hosted.put(&format!("jobs:\n{STEADY}{new}{moody}"));
    reload(&mut host, "manifest reloaded");
    let told = |host: &Running, job: &str, word: &str| {
        host.log
            .iter()
            .map(|line| Line::read(line))
            .any(|line| line.text("job") == job && line.message.starts_with(word))
    };
    wait(&mut host, "the new one", ends("new"));
    wait(&mut host, "the changed one", ends("moody"));
    assert!(
        told(&host, "new", "job added") && told(&host, "moody", "job changed") && told(&host, "short", "job removed")
    );
    let short = hosted.job("short");
    assert_eq!((&short["state"], &short["next"]), (&json!("removed"), &json!(null)), "{short:#}");
    let history = hosted.ended("short");
    assert!(!history.is_empty(), "its history stays");
    assert_eq!(hosted.job("moody")["first_seen"], seen_moody, "another trigger counts from the same anchor");
    // Other arguments for the next run, and the one that was removed begins anew.
    hosted.put(&format!(
        "jobs:\n{STEADY}{}{moody}  short: {{ plugin: typed, call: nothing, every: 1h }}\n",
        new.replace("one", "two")
    ));
    reload(&mut host, "manifest reloaded");
    wait_next(&mut host, "other arguments", |line| ends("new")(line) && line.text("output") == "\"two\"");
    let back = hosted.job("short");
    assert_eq!(back["state"], "active");
    assert!(at(&short, "removed_at") <= at(&back, "first_seen"), "{back:#}");
    assert_eq!(hosted.ended("short"), history, "its history stays, and it waits for its first hour");
    wait_next(&mut host, "steady", ends("steady"));
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
    assert_eq!(hosted.job("steady")["first_seen"], seen);
    let slots = hosted.slots("steady", EVERY);
    assert_no_gap(&slots, EVERY);
    assert!(slots.values().all(|told| told == "succeeded" || told == "overlapping"), "{slots:#?}");
    let new: Vec<_> = hosted.ended("new");
    let shown = list(&hosted.json(&["runs", "show", text(&new[0], "id")])["attempt_list"]);
    assert_eq!(shown[0]["output"], "one");
}

/// Whatever is wrong with the new text or the new plugin: it is told with its place, and nothing changes.
#[test]
fn what_is_broken_leaves_everything_as_it_was() {
    let jobs = |more: &str| format!("jobs:\n{STEADY}{more}");
    let hosted = Hosted::with(&jobs("  extra: { plugin: ./extra.wasm, call: nothing, every: 100ms }\n"));
    let good = hosted.scene.read("clockjack.yaml");
    std::fs::copy(hosted.scene.path("typed.wasm"), hosted.scene.path("extra.wasm")).expect("a copy");
    let mut host = hosted.up(&[]).start();
    wait(&mut host, "extra", ends("extra"));
    let plugin = hosted.scene.path("extra.wasm");
    let cases: [(&str, &str, &str); 5] = [
        ("manifest.unknown_key", "  new: { plugin: typed, call: nothing, evry: 1s }\n", "did you mean `every`?"),
        ("manifest.syntax", "  new: { plugin: typed, call: nothing\n", ""),
        ("load.type", "  new: { plugin: typed, call: nothin, every: 1s }\n", "nothing"),
        ("load.not_found", "  new: { plugin: ./absent.wasm, call: nothing, every: 1s }\n", ""),
        ("trigger.value", "  steady2: { plugin: typed, call: nothing, every: 0s }\n", ""),
    ];
    for (code, more, fix) in cases {
        hosted.put(&jobs(more));
        let n_before = host.log.len();
        reload(&mut host, "not reloaded, the jobs stay as they are: ");
        let since: Vec<_> = host.log[n_before..].iter().map(|line| Line::read(line)).collect();
        let finding = since.iter().find(|line| line.text("code") == code);
        let finding = finding.unwrap_or_else(|| panic!("no {code}: {since:#?}"));
        assert_eq!((finding.text("file"), finding.number("line").is_some()), ("clockjack.yaml", true), "{finding:?}");
        assert!(finding.text("fix").contains(fix), "{finding:?}");
        wait_next(&mut host, "extra goes on", ends("extra"));
    }
    hosted.scene.put("clockjack.yaml", good.replace("jobs:", "stores: { default: \"memory:\" }\njobs:"));
    assert!(reload(&mut host, "not reloaded").message.contains("`stores`"));
    std::fs::remove_file(hosted.scene.path("clockjack.yaml")).expect("it is there");
    reload(&mut host, "not reloaded, the jobs stay as they are: 1 error");
    hosted.scene.put("clockjack.yaml", &good);
    // A file that cannot be used changes nothing of the manifest; the old code stays.
    std::fs::write(&plugin, "no component").expect("a file");
    reload(&mut host, "manifest reloaded");
    let refused =
        host.log.iter().rev().map(|line| Line::read(line)).find(|line| line.text("event") == "plugin.refused");
    assert!(refused.is_some_and(|line| line.message.contains("load.invalid")), "{}", host.log.join("\n"));
    wait_next(&mut host, "extra goes on", ends("extra"));
    std::fs::copy(hosted.scene.path("typed.wasm"), &plugin).expect("a copy");
    reload(&mut host, "manifest reloaded");
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
    for job in ["steady", "extra"] {
        let slots = hosted.slots(job, EVERY);
        assert_no_gap(&slots, EVERY);
        assert!(slots.values().all(|told| told == "succeeded" || told == "overlapping"), "{job}: {slots:#?}");
    }
    assert_eq!(each(&list(&hosted.json(&["jobs"])), "job"), ["extra", "steady"], "nothing else was ever known");
}

#[test]
fn a_wish_that_comes_while_plugins_are_compiled_is_met_after_the_start() {
    let hosted = Hosted::with(&format!("jobs:\n{STEADY}"));
    let mut host = hosted.up(&[]).env("CLOCKJACK_CACHE", "off").start();
    wait(&mut host, "the version", |line| line.message.starts_with("clockjack "));
    host.signal("HUP");
    wait(&mut host, "a reload", |line| line.message == "manifest reloaded");
    let is_at = |words: &str| host.log.iter().position(|line| Line::read(line).message.contains(words));
    assert!(is_at("plugins compiled") < is_at("manifest reloaded"), "{}", host.log.join("\n"));
    wait(&mut host, "steady", ends("steady"));
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
}

/// What a host is made for at its start it keeps: a manifest that asks for more changes nothing, and the runs go on.
#[test]
fn what_the_host_was_not_made_for_needs_a_restart() {
    let jobs =
        |memory: &str| format!("jobs:\n{}", STEADY.replace(" }", &format!(", limits: {{ memory: {memory} }} }}")));
    let hosted = Hosted::with(&format!("host: {{ memory: 128MiB }}\n{}", jobs("64MiB")));
    let mut host = hosted.up(&[]).start();
    wait(&mut host, "steady", ends("steady"));
    for (keys, memory, words) in [
        ("pools: { more: { size: 65 } }\n", "64MiB", "`pools` has 129 places together"),
        ("host: { ceilings: { memory: 2GiB } }\n", "64MiB", "`host.ceilings.memory` is 2GiB"),
        ("host: { memory: 1GiB }\n", "256MiB", "job `steady`: `memory` of 256MiB is more than the 128MiB"),
    ] {
        hosted.put(&format!("{keys}{}", jobs(memory)));
        let told = reload(&mut host, "not reloaded, the jobs stay as they are: ").message;
        assert!(told.contains(words) && told.ends_with("which needs a restart"), "{told}");
        let next = wait_next(&mut host, "steady goes on", ends("steady"));
        assert_eq!(next.text("outcome"), "succeeded");
    }
    hosted.put(&format!("host: {{ memory: 1GiB }}\n{}", jobs("128MiB")));
    reload(&mut host, "manifest reloaded");
    wait_next(&mut host, "steady goes on", ends("steady"));
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
}
