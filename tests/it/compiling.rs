//! The process in which plugins are compiled: what it holds, what it may cost, and where its code is kept.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    loading::{BUDGET, component, functions, loops, with_plugins},
    program::{CLOCKJACK, Clockjack, clockjack},
};

/// A process that compiles, by its number.
fn compiler(parent: u32) -> Option<PathBuf> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    let mut folders = children.split_whitespace().map(|child| Path::new("/proc").join(child));
    folders
        .find(|path| fs::read(path.join("cmdline")).is_ok_and(|words| words.windows(13).any(|w| w == b"compile-guest")))
}

#[test]
fn the_process_that_compiles_holds_nothing_of_whoever_started_the_host() {
    let scene = with_plugins(BUDGET, [("bomb", loops(200, 1_000))]);
    scene.put("open.txt", "not meant for it");
    let script = "exec 9<open.txt; exec \"$0\" check -o json";
    // What another test has compiled is of no use here.
    let running = Clockjack::of("sh").args(["-c", script, CLOCKJACK]).env("CLOCKJACK_CACHE", "off");
    let mut running = running.folder(scene.folder()).start();
    let (mut n_seen, mut is_bare) = (0, false);
    while running.goes_on() {
        let Some(child) = compiler(running.id()) else { continue };
        let status = fs::read_to_string(child.join("status")).unwrap_or_default();
        let has_none =
            status.lines().any(|line| line.strip_prefix("CapPrm:").is_some_and(|set| set.trim() == "0000000000000000"));
        n_seen += 1;
        // It closes them first.
        is_bare |= has_none && !child.join("fd/9").exists() && child.join("fd/0").exists();
    }
    running.end().is_no_crash();
    assert!(0 < n_seen && is_bare, "seen {n_seen} times");
}

#[test]
fn a_process_that_compiles_ends_where_its_host_is_gone() {
    let order = |host: u32| format!("plain,on-demand,full,20,1073741824,100000000,false,{host}");
    let ended = clockjack(["compile-guest", &order(1)]).stdin(&component("")).end();
    assert!(ended.code != Some(0) && ended.stderr.contains("the host is gone"), "{ended:?}");
    let ended = clockjack(["compile-guest", &order(std::process::id())]).stdin(&component("")).end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn exec_of_a_job_keeps_to_the_budget_of_its_host() {
    let head = "host: { ceilings: { compile_cpu_time: 1s } }\n";
    let scene = with_plugins(head, [("bomb", functions(150_000))]);
    scene.put("clockjack.yaml", scene.read("clockjack.yaml").replace("plugin: good", "plugin: bomb"));
    let exec = clockjack(["exec", "--job", "good", "-o", "json"]).env("CLOCKJACK_CACHE", "off");
    let refused = exec.folder(scene.folder()).ends_with(1).json();
    assert_eq!(refused["error"]["code"], "load.budget", "{refused}");
    let message = refused["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("budget of 1s of processor time (`host.ceilings`)"), "{message}");
}

#[test]
fn the_cache_is_where_it_was_named_or_told_to_be_missing() {
    let scene = with_plugins("", []);
    let up = || clockjack(["up", "--ledger", "memory:", "--for", "10ms"]).folder(scene.folder());
    let n_kept = |folder: &str| {
        let entries = fs::read_dir(scene.path(folder)).into_iter().flatten().filter_map(Result::ok);
        entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "code")).count()
    };
    up().env("CLOCKJACK_CACHE", "near").ends_with(0);
    assert_eq!(n_kept("near"), 1, "a relative folder");
    let two = format!("{}:{}", scene.arg("first"), scene.arg("second"));
    up().env("CACHE_DIRECTORY", two).ends_with(0);
    assert_eq!(n_kept("first/code"), 1, "the first of two");
    let told = |off: &str| {
        let ended = up().env("XDG_CACHE_HOME", "").env("CLOCKJACK_CACHE", off).ends_with(0);
        ended.stderr.contains("compiled plugins are not kept")
    };
    assert!(told("") && !told("off"));
}
