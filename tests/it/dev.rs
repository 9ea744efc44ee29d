//! `clockjack dev`: what is saved is built, loaded and run; what is broken leaves the rest as it is.

use std::fs;

use crate::{
    program::{Running, clockjack},
    scene::Scene,
};

const MANIFEST: &str = "
version: 1
plugins: { typed: { source: ./typed.wasm, build: { run: sh make.sh, folder: ./source } } }
jobs:
  divide: { plugin: typed, call: divide, args: { dividend: 6, divisor: 2 }, every: 1h }
";

/// A custom section: another file of the same meaning.
const SECTION: &[u8] = b"\x00\x05\x04test";

/// Waits for lines that may come in any order.
#[track_caller]
fn wait_for_all(dev: &mut Running, words: &[&str]) {
    let from = dev.log.len();
    for word in words {
        if !dev.log[from..].iter().any(|line| line.contains(word)) {
            dev.wait_for(word, |line| line.contains(word));
        }
    }
}

#[test]
fn a_save_is_built_loaded_and_run() {
    let scene = Scene::with(MANIFEST, &["typed"]);
    fs::create_dir(scene.path("source")).expect("a folder");
    fs::rename(scene.path("typed.wasm"), scene.path("source/typed.in")).expect("a component");
    scene.put("source/make.sh", "cat typed.in section >../typed.wasm");
    scene.put("source/section", "");
    let mut dev = clockjack(["dev"]).folder(scene.folder()).start();
    // The component is not there before the first build.
    wait_for_all(&mut dev, &["dev: building: sh make.sh", "dev: running `divide`", "dev: watching"]);
    fs::write(scene.path("source/section"), SECTION).expect("a file");
    wait_for_all(&mut dev, &["dev: built in", "dev: running `divide`", "manifest reloaded"]);
    // A build that fails is told, and nothing else happens.
    scene.put("source/make.sh", "echo no rule to make it >&2; exit 3");
    wait_for_all(&mut dev, &["no rule to make it", "dev: the build ended with exit status: 3"]);
    // So is a component that cannot be loaded.
    scene.put("source/make.sh", "cat section >../typed.wasm");
    wait_for_all(&mut dev, &["load.invalid", "its new file is refused"]);
    // And a manifest that is wrong.
    scene.put("source/make.sh", "cat typed.in section >../typed.wasm");
    wait_for_all(&mut dev, &["dev: running `divide`", "manifest reloaded"]);
    scene.put("clockjack.yaml", MANIFEST.replace("divisor: 2", "divisor: two"));
    wait_for_all(&mut dev, &["args.divisor"]);
    dev.signal("TERM");
    let ended = dev.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.matches('3').count() >= 2, "the results are shown: {}", ended.stdout);
}

#[test]
fn without_a_manifest_it_says_what_to_do() {
    let ended = clockjack(["dev"]).folder(Scene::new().folder()).ends_with(1);
    assert!(ended.stderr.contains("name a manifest with `-f`"), "{}", ended.stderr);
}

/// What a build writes among its sources begins no build for ever.
#[test]
fn a_file_that_the_build_writes_is_left_alone() {
    let manifest = MANIFEST.replace("run: sh make.sh", "run: date +%N >stamp && cp typed.in ../typed.wasm");
    let scene = Scene::with(&manifest, &["typed"]);
    fs::create_dir(scene.path("source")).expect("a folder");
    fs::rename(scene.path("typed.wasm"), scene.path("source/typed.in")).expect("a component");
    let mut dev = clockjack(["dev", "--no-schedule"]).folder(scene.folder()).start();
    wait_for_all(&mut dev, &["dev: watching"]);
    scene.put("source/note", "a save");
    wait_for_all(&mut dev, &["dev: `source/stamp` is written by the build and no more watched"]);
    dev.signal("TERM");
    assert_eq!(dev.end().code, Some(0));
}
