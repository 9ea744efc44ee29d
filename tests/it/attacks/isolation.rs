//! Isolation between jobs, and of the host from all of them: rows A38 to A52.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::Value as Json;

use super::Attack;
use crate::{
    program::clockjack,
    scene::{Scene, guest},
};

/// What no guest may ever see.
const OUTSIDE: &str = "0ut5ide-of-all-grants";

/// A folder to be granted, with a file in it, beside one that is not.
fn folders(scene: &Scene) {
    for folder in ["data", "outside", "data/inner"] {
        fs::create_dir(scene.path(folder)).expect("a folder can be made");
    }
    scene.put("data/file", "inside");
    scene.put("outside/secret", OUTSIDE);
}

fn grant(mode: &str) -> String {
    format!("grants: {{ dirs: [{{ host: ./data, guest: /data, mode: {mode} }}] }}")
}

/// A function of the guest that does what one may not, in a folder that it was granted.
fn hostile(call: &str, mode: &str, args: &str) -> Attack {
    Attack::guest("hostile", call).job(&grant(mode)).job(&format!("args: {args}")).prepare(folders)
}

/// Runs a function once and gives back its whole result.
fn exec(scene: &Scene, args: &[&str]) -> Json {
    let plugin = guest("hostile");
    let mut all = vec!["exec", &plugin];
    all.extend_from_slice(args);
    let ended = clockjack(all).args(["-o", "json"]).folder(scene.folder()).end();
    ended.is_no_crash();
    ended.json()
}

#[test]
fn a38_paths_that_lead_out() {
    hostile("read-file", "read", "{ path: /data/../outside/secret }").ends("fs.denied", &["grants.dirs"]);
    let scene = Scene::new();
    folders(&scene);
    let long = format!("/data/{}", "x".repeat(4_096));
    let outside = scene.arg("outside/secret");
    let paths = [
        "/data/../outside/secret",
        "/data/inner/../../outside/secret",
        "/data/./../outside/secret",
        "/data//../outside/secret",
        "/data/inner/../../../../../../../etc/passwd",
        "/etc/passwd",
        "../outside/secret",
        outside.as_str(),
        "/data/file\0/../secret",
        "/data/\u{202e}",
        long.as_str(),
    ];
    let list = serde_json::to_string(&paths).expect("texts");
    let result = exec(&scene, &["probe", "--arg", &format!("paths={list}"), "--dir", "./data:/data:read"]);
    assert_eq!(result["outcome"], "succeeded", "{result:#}");
    let answers = result["output"].as_array().expect("a list");
    assert_eq!(answers.len(), paths.len());
    for (path, answer) in paths.iter().zip(answers) {
        assert!(answer.as_str().is_some_and(|answer| answer.starts_with("refused: ")), "{path}: {answer}");
    }
}

#[test]
fn a39_symbolic_links_out() {
    let linked = |scene: &Scene| {
        symlink("../outside/secret", scene.path("data/link")).expect("a link can be made");
        symlink(scene.path("outside"), scene.path("data/folder")).expect("a link can be made");
        symlink("link", scene.path("data/chain")).expect("a link can be made");
        symlink("loop", scene.path("data/loop")).expect("a link can be made");
    };
    hostile("read-file", "read", "{ path: /data/link }")
        .prepare(linked)
        .ends("fs.denied", &["/data/link", "grants.dirs"]);
    hostile("read-file", "read", "{ path: /data/chain }").prepare(linked).ends("fs.denied", &["grants.dirs"]);
    hostile("read-file", "read", "{ path: /data/folder/secret }").prepare(linked).ends("fs.denied", &["grants.dirs"]);
    let scene = Scene::new();
    folders(&scene);
    linked(&scene);
    let paths = r#"paths=["/data/link", "/data/chain", "/data/folder/secret", "/data/loop", "/data/folder/../link"]"#;
    let result = exec(&scene, &["probe", "--arg", paths, "--dir", "./data:/data:read_write"]);
    assert!(!result.to_string().contains(OUTSIDE), "{result:#}");
    // One that the guest makes itself leads nowhere either.
    let make = ["link", "--arg", "kind=symbolic", "--arg", "from=../outside/secret", "--arg", "to=/data/own"];
    exec(&scene, &[make.as_slice(), &["--dir", "./data:/data:read_write"]].concat());
    let result = exec(&scene, &["read-file", "--arg", "path=/data/own", "--dir", "./data:/data:read_write"]);
    assert_ne!(result["outcome"], "succeeded", "{result:#}");
    assert!(!result.to_string().contains(OUTSIDE), "{result:#}");
}

#[test]
fn a40_slashes_behind_links() {
    let scene = Scene::new();
    folders(&scene);
    symlink("../outside", scene.path("data/out")).expect("a link can be made");
    symlink("../outside/secret", scene.path("data/link")).expect("a link can be made");
    let paths =
        r#"paths=["/data/out/secret", "/data/out//secret", "/data/out/./secret", "/data/link/", "/data/link/."]"#;
    let result = exec(&scene, &["probe", "--arg", paths, "--dir", "./data:/data:read_write"]);
    assert!(!result.to_string().contains(OUTSIDE), "{result:#}");
    for to in ["/data/out/", "/data/out/moved", "/data/../moved"] {
        let to = format!("to={to}");
        let rename = ["link", "--arg", "kind=rename", "--arg", "from=/data/inner/", "--arg", &to];
        let result = exec(&scene, &[rename.as_slice(), &["--dir", "./data:/data:read_write"]].concat());
        assert_ne!(result["outcome"], "succeeded", "{to}: {result:#}");
    }
    assert!(!scene.path("outside/moved").exists() && !scene.path("moved").exists());
}

#[test]
fn a41_changes_in_a_folder_that_is_for_reading() {
    for kind in ["truncate", "times", "write"] {
        let args = format!("{{ kind: {kind}, path: /data/file }}");
        let fought = hostile("change", "read", &args).ends("fs.denied", &["/data", "grants.dirs"]);
        assert_eq!(fought.scene.read("data/file"), "inside");
        let modified = fs::metadata(fought.scene.path("data/file")).and_then(|data| data.modified()).expect("a time");
        assert!(modified.elapsed().is_ok_and(|age| age.as_secs() < 3_600), "{modified:?}");
    }
    hostile("write-file", "read", "{ path: /data/new, text: x }").ends("fs.denied", &["/data/new"]);
}

#[test]
fn a42_links_from_one_folder_into_another() {
    let scene = Scene::new();
    folders(&scene);
    fs::create_dir(scene.path("fixed")).expect("a folder can be made");
    scene.put("fixed/file", "fixed");
    let dirs = ["--dir", "./data:/data:read_write", "--dir", "./fixed:/fixed:read"];
    for (kind, from, to) in [
        ("hard", "/fixed/file", "/data/own"),
        ("hard", "/data/file", "/fixed/own"),
        ("rename", "/fixed/file", "/data/own"),
        ("rename", "/data/file", "/fixed/file"),
        ("symbolic", "/data/file", "/fixed/own"),
    ] {
        let (kind, from, to) = (format!("kind={kind}"), format!("from={from}"), format!("to={to}"));
        let result = exec(&scene, &[["link", "-a", &kind, "-a", &from, "-a", &to].as_slice(), &dirs].concat());
        assert_eq!(result["outcome"], "fs.denied", "{kind} {from} {to}: {result:#}");
    }
    assert_eq!((scene.read("fixed/file").as_str(), scene.read("data/file").as_str()), ("fixed", "inside"));
    assert_eq!(fs::read_dir(scene.path("fixed")).expect("a folder").count(), 1);
}

#[test]
fn a43_a_folder_that_becomes_a_link_meanwhile() {
    static DONE: AtomicBool = AtomicBool::new(false);
    let scene = Scene::new();
    folders(&scene);
    scene.put("data/inner/secret", "inside");
    let (inner, kept) = (scene.path("data/inner"), scene.path("data/kept"));
    let swapper = thread::spawn(move || {
        let mut n_swaps = 0_u32;
        while !DONE.load(Ordering::Relaxed) {
            fs::rename(&inner, &kept).expect("it is a folder");
            symlink("../outside", &inner).expect("nothing has its name");
            fs::remove_file(&inner).expect("it is a link");
            fs::rename(&kept, &inner).expect("nothing has its name");
            n_swaps += 1;
        }
        n_swaps
    });
    let read =
        ["read-often", "-a", "path=/data/inner/secret", "-a", "times=100000", "--timeout", "60s", "--cpu-time", "60s"];
    let result = exec(&scene, &[read.as_slice(), &["--dir", "./data:/data:read"]].concat());
    DONE.store(true, Ordering::Relaxed);
    let n_swaps = swapper.join().expect("the swapper ended");
    assert_eq!(result["outcome"], "succeeded", "{result:#}");
    assert!(100 < n_swaps, "{n_swaps} swaps");
    assert_eq!(result["output"], serde_json::json!(["inside"]), "after {n_swaps} swaps");
}

#[test]
fn a46_the_environment_of_the_host() {
    let scene = Scene::new();
    let plugin = guest("hostile");
    let ended = clockjack(["exec", &plugin, "env", "--env", "OWN=1", "-o", "json"])
        .env("HOST_SECRET", OUTSIDE)
        .folder(scene.folder())
        .ends_with(0);
    assert_eq!(ended.json()["output"], serde_json::json!([["OWN", "1"]]));
    assert!(!ended.stdout.contains(OUTSIDE));
}

/// A module that writes to its global, its memory and its table, and traps where it finds what an earlier one wrote.
const REMAINS: &str =
    "(memory 64) (global $g (mut i32) (i32.const 0)) (table $t 100 funcref) (elem declare func $f) (func $f)
    (func (export \"run\") (local $at i32)
      (if (global.get $g) (then unreachable))
      (global.set $g (i32.const 7))
      (loop $next
        (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then unreachable))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br_if $next (i32.lt_u (local.get $at) (i32.const 4194304))))
      (memory.fill (i32.const 0) (i32.const 0xaa) (i32.const 4194304))
      (local.set $at (i32.const 0))
      (loop $next
        (if (i32.eqz (ref.is_null (table.get $t (local.get $at)))) (then unreachable))
        (table.set $t (local.get $at) (ref.func $f))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br_if $next (i32.lt_u (local.get $at) (i32.const 100)))))";

#[test]
fn a48_what_an_earlier_run_left() {
    Attack::module(REMAINS).every("100ms").ends("succeeded", &[]);
}

#[test]
fn a50_a_handle_that_is_another_ones() {
    let text = "(component $C
        (import \"wasi:io/poll@0.2.0\" (instance $poll (export \"pollable\" (type $p (sub resource)))
            (export \"[method]pollable.block\" (func (param \"self\" (borrow $p))))))
        (core func $block (canon lower (func $poll \"[method]pollable.block\")))
        (core module $m (import \"h\" \"block\" (func $block (param i32))) (func (export \"run\") (call $block (i32.const 1))))
        (core instance $i (instantiate $m (with \"h\" (instance (export \"block\" (func $block))))))
        (func (export \"run\") (canon lift (core func $i \"run\"))))";
    Attack::wat(text).ends("trap.abi", &["handle index"]);
}

#[test]
fn a52_scratch_folders_are_apart() {
    // A program writes its name into `/out` and lists it; no run sees what another one wrote, and nothing is left.
    let scene = Scene::new();
    let temporary = scene.path("temporary");
    fs::create_dir(&temporary).expect("a folder can be made");
    let plugin = guest("command");
    for _ in 0..2 {
        let ended = clockjack(["exec", &plugin, "-o", "json", "--", "out", "list"])
            .env("TMPDIR", &temporary)
            .folder(scene.folder())
            .end();
        ended.is_no_crash();
    }
    for entry in fs::read_dir(&temporary).expect("a folder").filter_map(Result::ok) {
        let mode = entry.metadata().expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "{:?}", entry.path());
    }
}
