//! New bytes behind a plugin: what fits replaces, what does not leaves everything as it was.

use std::{fs, os::unix::fs::symlink};

use super::{all_succeeded, answers, gives, pass, put, replace, scene, told};
use crate::hosted::{list, text};

#[test]
fn a_new_file_is_the_next_generation_and_every_run_says_which() {
    let hosted = scene("", "");
    let mut host = hosted.up_watching(&[]).start();
    gives(&mut host, 1);
    replace(&hosted, "p.wasm", &answers(2));
    let line = told(&mut host, "plugin.replaced");
    assert_eq!((line.number("before"), line.number("generation")), (Some(1.0), Some(2.0)), "{line:?}");
    gives(&mut host, 2);
    // Written in place, too.
    hosted.scene.put("p.wasm", answers(3));
    gives(&mut host, 3);
    all_succeeded(&hosted, host);
    let runs = hosted.ended("beat");
    let generation = |output: u32| {
        let shown = runs.iter().map(|run| hosted.json(&["runs", "show", text(run, "id")]));
        let found = shown.into_iter().find(|run| run["output"] == output).expect("there is one");
        (found["generation"].clone(), text(&found, "digest").to_owned())
    };
    let (first, last) = (generation(1), generation(3));
    assert_eq!((&first.0, &last.0), (&1.into(), &3.into()));
    assert_ne!(first.1, last.1);
    // Numbers go on in another life of the host, and the same bytes are the same generation.
    let mut host = hosted.up_watching(&[]).start();
    gives(&mut host, 3);
    replace(&hosted, "p.wasm", &answers(4));
    assert_eq!(told(&mut host, "plugin.replaced").number("generation"), Some(4.0));
    all_succeeded(&hosted, host);
}

#[test]
fn a_touch_changes_nothing() {
    let hosted = scene("", "");
    let mut host = hosted.up_watching(&[]).start();
    gives(&mut host, 1);
    replace(&hosted, "p.wasm", &answers(1));
    let manifest = hosted.scene.read("clockjack.yaml");
    replace(&hosted, "clockjack.yaml", manifest.as_bytes());
    pass(1_000);
    replace(&hosted, "p.wasm", &answers(2));
    gives(&mut host, 2);
    let events: Vec<_> = host.log.iter().filter(|line| line.contains("\"event\"")).collect();
    assert_eq!(events.len(), 1, "{events:#?}");
    all_succeeded(&hosted, host);
}

#[test]
fn whatever_is_wrong_with_a_file_leaves_the_old_code_in_force() {
    let hosted = scene("", "");
    let mut host = hosted.up_watching(&[]).start();
    gives(&mut host, 1);
    let other = wat::parse_str("(component)").expect("a component");
    let whole = answers(9);
    for (bytes, code) in [
        (b"no component".as_slice(), "load.invalid"),
        (&whole[..whole.len() / 2], "load.invalid"),
        (&other, "load.type"),
        (
            &wat::parse_str("(component (import \"acme:x/y\" (instance (export \"f\" (func)))))").expect("one"),
            "load.import",
        ),
        (b"", "load.invalid"),
    ] {
        hosted.scene.put("p.wasm", bytes);
        let line = told(&mut host, "plugin.refused");
        assert!(line.message.contains(code) && line.message.contains("generation 1 stays"), "{line:?}");
        assert!(!line.text("fix").is_empty(), "{line:?}");
        gives(&mut host, 1);
    }
    fs::remove_file(hosted.scene.path("p.wasm")).expect("it is there");
    assert!(told(&mut host, "plugin.refused").message.contains("load.not_found"));
    gives(&mut host, 1);
    fs::create_dir(hosted.scene.path("p.wasm")).expect("a folder");
    assert!(told(&mut host, "plugin.refused").message.contains("load.invalid"));
    fs::remove_dir(hosted.scene.path("p.wasm")).expect("it is there");
    replace(&hosted, "p.wasm", &answers(2));
    gives(&mut host, 2);
    all_succeeded(&hosted, host);
}

#[test]
fn a_link_that_leads_elsewhere_is_another_file() {
    let hosted = scene("", "");
    for (name, number) in [("one", 1), ("two", 2)] {
        fs::create_dir(hosted.scene.path(name)).expect("a folder");
        hosted.scene.put(&format!("{name}/p.wasm"), answers(number));
    }
    // As Kubernetes mounts what may change: the file is a link through a folder that is a link.
    let link = |target: &str| {
        symlink(target, hosted.scene.path("..new")).expect("a link");
        fs::rename(hosted.scene.path("..new"), hosted.scene.path("..data")).expect("it can be renamed");
    };
    link("one");
    fs::remove_file(hosted.scene.path("p.wasm")).expect("it is there");
    symlink("..data/p.wasm", hosted.scene.path("p.wasm")).expect("a link");
    let mut host = hosted.up_watching(&[]).start();
    gives(&mut host, 1);
    link("two");
    gives(&mut host, 2);
    all_succeeded(&hosted, host);
}

/// What only fits together is put in force together, whichever of the two is written first.
#[test]
fn a_manifest_and_its_plugin_may_change_at_once() {
    let with_argument = |number: u32| {
        let text = format!(
            r#"(component
                (core module $m (func (export "answer") (param i32) (result i32) local.get 0 i32.const {number} i32.add))
                (core instance $i (instantiate $m))
                (func (export "answer") (param "more" u32) (result u32) (canon lift (core func $i "answer"))))"#
        );
        wat::parse_str(text).expect("a component")
    };
    let hosted = scene("", "");
    let mut host = hosted.up_watching(&[]).start();
    gives(&mut host, 1);
    // The plugin first: its job lacks an argument.
    replace(&hosted, "p.wasm", &with_argument(10));
    assert!(told(&mut host, "plugin.refused").message.contains("load.type"));
    gives(&mut host, 1);
    put(&hosted, "", ", args: { more: 5 }");
    gives(&mut host, 15);
    // The manifest first: the old code takes what the new one does not.
    put(&hosted, "", "");
    let line = told(&mut host, "manifest.refused");
    assert!(line.message.contains("the jobs stay as they are"), "{line:?}");
    gives(&mut host, 15);
    replace(&hosted, "p.wasm", &answers(2));
    gives(&mut host, 2);
    all_succeeded(&hosted, host);
    let history = list(&hosted.json(&["runs", "--job", "beat", "-n", "100000"]));
    assert!(history.iter().all(|run| run["state"] != "ended" || run["outcome"] == "succeeded"));
}

#[test]
fn without_watching_only_a_wish_counts() {
    let hosted = scene("", "");
    let mut host = hosted.up(&[]).start();
    gives(&mut host, 1);
    replace(&hosted, "p.wasm", &answers(2));
    pass(1_000);
    gives(&mut host, 1);
    host.signal("HUP");
    gives(&mut host, 2);
    all_succeeded(&hosted, host);
}
