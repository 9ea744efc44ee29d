//! Granted folders of a host that runs: what comes in their place, and which ones nobody is granted.

use std::fs;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::{Value as Json, json};

use crate::{
    hosted::{Hosted, ends, text, wait, wait_next},
    program::clockjack,
    scene::Scene,
};

/// A job in the host and one in a worker, which read one file of one folder.
const READERS: &str = "host: { roots: [./data] }\n\
    pools: { untrusted: { size: 2, isolation: process } }\n\
    x-reader: &reader { plugin: hostile, call: read-file, args: { path: /in/text }, every: 100ms }\n\
    defaults: { grants: { dirs: [{ host: ./data/sub, guest: /in }] } }\n\
    jobs:\n  \
      here: { <<: *reader }\n  \
      there: { <<: *reader, pool: untrusted }\n";

fn readers() -> Hosted {
    let hosted = Hosted::with(READERS);
    for folder in ["data", "data/sub", "data/next", "secret"] {
        fs::create_dir(hosted.scene.path(folder)).expect("a folder can be made");
    }
    hosted.scene.put("data/sub/text", "first");
    hosted.scene.put("data/next/text", "second");
    hosted.scene.put("secret/text", "not granted");
    hosted
}

fn output(hosted: &Hosted, run: &Json) -> Json {
    hosted.json(&["runs", "show", text(run, "id")])["output"].clone()
}

#[test]
fn a_link_in_the_place_of_a_granted_folder_is_not_followed() {
    let hosted = readers();
    let mut host = hosted.up(&[]).start();
    for job in ["here", "there"] {
        wait(&mut host, job, ends(job));
    }
    // A guest that may write above it takes the folder away, and puts a link there.
    for change in [["rename", "/data/sub", "/data/moved"], ["symbolic", "../secret", "/data/sub"]] {
        let [kind, from, to] = change;
        let [kind, from, to] = [format!("kind={kind}"), format!("from={from}"), format!("to={to}")];
        let link = ["exec", "hostile.wasm", "link", "-a", &kind, "-a", &from, "-a", &to];
        let link = clockjack(link).args(["--dir", "./data:/data:read_write"]).folder(hosted.scene.folder());
        let done = link.beside_nothing().end();
        assert_eq!(done.code, Some(0), "{}", done.stderr);
    }
    let is_link = fs::symlink_metadata(hosted.scene.path("data/sub")).is_ok_and(|data| data.is_symlink());
    assert!(is_link && hosted.scene.read("data/sub/text") == "not granted", "the link leads out");
    for job in ["here", "there"] {
        for _ in 0..2 {
            wait_next(&mut host, job, ends(job));
        }
    }
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
    for job in ["here", "there"] {
        let runs = hosted.ended(job);
        let (first, last) = (&runs[0], &runs[runs.len() - 1]);
        assert_eq!(
            (&first["outcome"], &last["outcome"]),
            (&json!("succeeded"), &json!("fs.denied")),
            "{job}: {last:#}"
        );
        let last = hosted.json(&["runs", "show", text(last, "id")]);
        let told = "is not the one that was checked when the manifest was loaded";
        assert!(last.to_string().contains(told), "{job}: {last:#}");
        assert!(runs.iter().all(|run| output(&hosted, run) != "not granted"), "{job}: {runs:#?}");
    }
}

#[test]
fn a_folder_that_was_replaced_by_another_one_is_seen_by_workers_too() {
    let hosted = readers();
    let mut host = hosted.up(&[]).start();
    for job in ["here", "there"] {
        wait(&mut host, job, ends(job));
    }
    // At once, so that no attempt finds nothing.
    let [sub, next] = ["data/sub", "data/next"].map(|folder| hosted.scene.path(folder));
    renameat_with(CWD, &sub, CWD, &next, RenameFlags::EXCHANGE).expect("two folders can change places");
    for job in ["here", "there"] {
        for _ in 0..3 {
            wait_next(&mut host, job, ends(job));
        }
    }
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
    for job in ["here", "there"] {
        let runs = hosted.ended(job);
        let last = &runs[runs.len() - 1];
        assert_eq!(output(&hosted, &runs[0]), "first", "{job}");
        assert_eq!((&last["outcome"], output(&hosted, last)), (&json!("succeeded"), json!("second")), "{job}");
    }
}

#[test]
fn a_link_that_a_guest_may_have_made_is_not_followed_at_load() {
    let scene = Scene::with("", &["typed"]);
    for folder in ["data", "data/real", "secret"] {
        fs::create_dir(scene.path(folder)).expect("a folder can be made");
    }
    std::os::unix::fs::symlink("../secret", scene.path("data/sub")).expect("a link can be made");
    std::os::unix::fs::symlink("real", scene.path("data/inside")).expect("a link can be made");
    for (mode, dir, granted) in [
        ("read_write", "./data/sub", false),
        ("read_write", "./data/inside", true),
        ("read_write", "./data/real", true),
        // Where no guest can make links, a person did.
        ("read", "./data/sub", true),
    ] {
        let job = |dir: &str, mode: &str| {
            let dirs = format!("[{{ host: {dir}, guest: /in, mode: {mode} }}]");
            format!("{{ plugin: ./typed.wasm, call: nothing, every: 1h, grants: {{ dirs: {dirs} }} }}")
        };
        let (writer, reader) = (job("./data", mode), job(dir, "read"));
        scene.put("clockjack.yaml", format!("version: 1\njobs:\n  writer: {writer}\n  reader: {reader}\n"));
        let check = clockjack(["check", "-o", "json"]).folder(scene.folder());
        let told = check.ends_with(i32::from(!granted)).json();
        let finding = &told["diagnostics"][0];
        let is_refused = finding["code"] == "manifest.denied" && finding["line"] == 4;
        assert!(granted || is_refused, "{mode} {dir}: {told}");
    }
}

/// A manifest with one job that was granted one folder.
fn granting(host: &str, dir: &str, mode: &str) -> String {
    format!(
        "version: 1\n{host}\njobs: {{ a: {{ plugin: ./typed.wasm, call: nothing, every: 1h, \
         grants: {{ dirs: [{{ host: {dir}, guest: /in, mode: {mode} }}] }} }} }}\n"
    )
}

#[test]
fn nobody_is_granted_what_the_host_keeps_or_runs() {
    let scene = Scene::with("", &["typed"]);
    fs::create_dir(scene.path("out")).expect("a folder can be made");
    let roots = "host: { roots: [.] }";
    for (variable, host, dir, mode, why) in [
        ("", "", ".", "read", ""),
        ("", "", "./out", "read_write", ""),
        ("", "", ".", "read_write", "can change what the host runs"),
        ("", roots, ".", "read_write", ""),
        // What is not there yet will be.
        ("XDG_STATE_HOME", "", ".", "read", "the host keeps its own state"),
        ("XDG_STATE_HOME", roots, ".", "read", ""),
        ("XDG_CACHE_HOME", "", ".", "read", "the host keeps compiled code"),
        ("XDG_CACHE_HOME", roots, ".", "read", "the host keeps compiled code"),
    ] {
        scene.put("clockjack.yaml", granting(host, dir, mode));
        let check = clockjack(["check", "-o", "json"]).folder(scene.folder());
        let later = scene.path("later");
        let check = if variable.is_empty() { check } else { check.env(variable, &later) };
        let told = check.ends_with(i32::from(!why.is_empty())).json();
        let message = told["diagnostics"][0]["message"].as_str().unwrap_or_default();
        assert!(message.contains(why), "{variable} {host} {dir} {mode}: {told}");
        drop(fs::remove_dir_all(&later));
    }
}

#[test]
fn the_ledger_of_the_command_line_is_the_hosts_own_too() {
    let scene = Scene::with(&granting("", "./data", "read_write"), &["typed"]);
    for folder in ["data", "other"] {
        fs::create_dir(scene.path(folder)).expect("a folder can be made");
    }
    let up = || clockjack(["up", "--ledger", "sqlite:data/x.db", "--log-format", "json"]).folder(scene.folder());
    let ended = up().args(["--for", "1s"]).ends_with(1);
    assert!(ended.stderr.contains("the host keeps its own state"), "{}", ended.stderr);
    // A reload grants it as little as the start.
    scene.put("clockjack.yaml", granting("", "./other", "read_write"));
    let mut host = up().start();
    host.wait_for("the first wake-up", |line| line.contains("next wake-up"));
    scene.put("clockjack.yaml", granting("", "./data", "read_write"));
    host.signal("HUP");
    wait_next(&mut host, "the answer", |line| line.message.contains("not reloaded"));
    assert!(host.log.join("\n").contains("the host keeps its own state"), "{}", host.log.join("\n"));
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
}
