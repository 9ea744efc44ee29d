//! Ledgers that cannot be: each refusal says what, where, why and what to do, before anything runs.

use std::fs;

use crate::{
    program::{Clockjack, clockjack},
    scene::Scene,
};

fn scene() -> Scene {
    Scene::with("jobs: { beat: { plugin: ./typed.wasm, call: nothing, every: 1s, run_on_start: true } }\n", &["typed"])
}

fn up(scene: &Scene, args: &[&str]) -> Clockjack {
    clockjack(["up", "--for", "1s"]).args(args).folder(scene.folder())
}

/// That a host with this ledger is refused in one line that has all these words, and that nothing ran.
#[track_caller]
fn refused(scene: &Scene, ledger: &str, words: &[&str]) -> String {
    let ended = up(scene, &["--ledger", ledger]).ends_with(4);
    assert!(!ended.stderr.contains("running"), "{}", ended.stderr);
    let line = ended.stderr.lines().find(|line| line.contains("not started: ")).unwrap_or_default().to_owned();
    for word in words {
        assert!(line.contains(word), "`{word}` is missing: {}", ended.stderr);
    }
    line
}

#[test]
fn a_ledger_that_cannot_be_kept_says_why_and_what_to_do() {
    let scene = scene();
    scene.put("file", "a file, and no folder");
    refused(&scene, "sqlite:file/below/state.db", &["`file/below/state.db`", "Not a directory", "give another path"]);
    refused(&scene, "sqlite:/proc/nowhere/state.db", &["`/proc/nowhere/state.db`", "give another path"]);
    fs::create_dir(scene.path("folder")).expect("a folder");
    refused(&scene, "sqlite:folder", &["`", "folder`", "it is a directory", "name a file in it", "folder/state.db"]);
    scene.put("text.db", "this is no ledger, and neither a database. ".repeat(200));
    refused(
        &scene,
        "sqlite:text.db",
        &["text.db`", "does not begin as an SQLite database does", "it is another file", "another path"],
    );
    assert!(scene.read("text.db").starts_with("this is no ledger"), "nobody's file is written to");
}

#[test]
fn another_programs_database_is_left_alone() {
    let scene = scene();
    let made = Clockjack::of("python3")
        .args(["-c", "import sqlite3; c = sqlite3.connect('other.db'); c.execute('create table t (x)'); c.commit()"])
        .folder(scene.folder())
        .end();
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let before = fs::read(scene.path("other.db")).expect("a file");
    refused(
        &scene,
        "sqlite:other.db",
        &["other.db`", "is an SQLite database", "no ledger of Clockjack's", "give another path"],
    );
    assert_eq!(fs::read(scene.path("other.db")).expect("a file"), before);
    let read = clockjack(["runs", "--ledger", "sqlite:other.db"]).folder(scene.folder()).ends_with(4);
    assert!(read.stderr.contains("no ledger of Clockjack's"), "{}", read.stderr);
}

#[test]
fn a_ledger_is_written_as_one_of_the_forms() {
    let scene = scene();
    for (url, words) in [
        ("state.db", &["does not say what kind of store", "`sqlite:state.db`", "`memory:`"][..]),
        ("postgres://me:secret@host/db", &["`postgres:`", "not supported by this version yet", "`sqlite:PATH`"]),
        ("sqlite:", &["names no file", "`sqlite:state.db`"]),
        ("sqlite:folder/", &["is a folder", "`sqlite:folder/state.db`"]),
        ("", &["`sqlite:PATH`"]),
    ] {
        for command in ["up", "runs"] {
            let ended = clockjack([command, "--ledger", url]).folder(scene.folder()).ends_with(2);
            for word in words {
                assert!(ended.stderr.contains(word), "{command} {url}: `{word}` is missing: {}", ended.stderr);
            }
            let shown = ended.stderr.matches("secret").count();
            assert!(
                url.is_empty() || shown <= 1,
                "a password is repeated no more than the shell did: {}",
                ended.stderr
            );
        }
    }
}

/// Without a home there is no state directory, which is told with what to do instead; a ledger that is named needs none.
#[test]
fn no_state_directory_needs_a_word_from_the_user() {
    let scene = scene();
    let without = |args: &[&str]| {
        let shell = "unset XDG_STATE_HOME HOME; exec \"$@\"";
        Clockjack::of("sh").args(["-c", shell, "sh", crate::program::CLOCKJACK]).args(args).folder(scene.folder())
    };
    let ended = without(&["up", "--for", "1s"]).ends_with(4);
    for word in
        ["not started", "no state directory", "`HOME`", "`--ledger sqlite:PATH`", "`--ledger memory:`", "`stores: {"]
    {
        assert!(ended.stderr.contains(word), "`{word}` is missing: {}", ended.stderr);
    }
    let ended = without(&["runs"]).ends_with(4);
    assert!(ended.stderr.contains("`--ledger sqlite:PATH`"), "{}", ended.stderr);
    without(&["up", "--for", "1s", "--ledger", "memory:"]).ends_with(0);
    scene.put(
        "clockjack.yaml",
        format!("version: 1\nstores: {{ default: \"sqlite:here.db\" }}\n{}", scene.read("clockjack.yaml")),
    );
    without(&["up", "--for", "1s"]).ends_with(0);
    assert!(scene.path("here.db").exists());
}
