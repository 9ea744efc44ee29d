//! What README.md shows is what the program does.

use std::fs;

use crate::{
    program::clockjack,
    scene::{Scene, root},
};

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).expect("a README")
}

/// The text of the first fenced block that contains some words.
#[track_caller]
fn block(words: &str) -> String {
    let text = readme();
    let mut blocks = text.split("\n```").skip(1).step_by(2);
    let block = blocks.find(|block| block.contains(words)).unwrap_or_else(|| panic!("no block with `{words}`"));
    block.split_once('\n').expect("a line that opens the block").1.to_owned()
}

#[test]
fn the_manifest_on_one_screen_is_right() {
    let scene = Scene::quickstart();
    fs::create_dir(scene.path("logs")).expect("a folder");
    scene.put("clockjack.yaml", block("morning-report:"));
    let ended = clockjack(["check"]).folder(scene.folder()).end();
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{}", ended.stdout);
    assert!(ended.stdout.contains("ok: 1 job, 1 plugin"), "{}", ended.stdout);
}

#[test]
fn the_function_that_is_run_at_once_says_what_is_shown() {
    let shown = block("clockjack exec");
    let command = shown.lines().next().expect("a command").strip_prefix("$ clockjack ").expect("a prompt").to_owned();
    let ended = clockjack(command.split(' ')).folder(&root()).ends_with(0);
    let said = format!("{}\n{}", ended.stderr, ended.stdout);
    // All lines but the last one, which tells the time that it took.
    let lines: Vec<_> = shown.lines().skip(1).collect();
    for line in &lines[..lines.len() - 1] {
        assert!(said.lines().any(|other| other == *line), "{line}\nis not in\n{said}");
    }
}

#[test]
fn the_trigger_that_is_asked_answers_what_is_shown() {
    let shown = block("clockjack next");
    let words =
        ["next", "--trigger", "{cron: \"30 2 * * *\", timezone: Europe/Berlin}", "--from", "2027-03-27", "-n", "3"];
    let command = format!("next --trigger '{}' --from 2027-03-27 -n 3", words[2]);
    assert!(shown.starts_with(&format!("$ clockjack {command}\n")), "{shown}");
    let ended = clockjack(words).ends_with(0);
    // How far away a slot is changes by the minute.
    let columns = |line: &str| {
        let columns: Vec<_> = line.split("  ").filter(|column| !column.is_empty()).map(str::trim).collect();
        columns
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != 2)
            .map(|(_, text)| (*text).to_owned())
            .collect::<Vec<_>>()
    };
    let expected: Vec<_> = shown.lines().skip(1).map(columns).collect();
    assert_eq!(ended.stdout.lines().map(columns).collect::<Vec<_>>(), expected);
}

#[test]
fn the_two_commands_are_those_that_are_checked() {
    let text = readme();
    assert!(text.contains("\n$ cargo test --workspace\n"), "the test command");
    let ci = fs::read_to_string(root().join(".ci/run")).expect("the checks of a change");
    assert!(ci.contains("cargo test --workspace"), "the same command");
    let (_, manifest) = text.split_once("cargo run --release -- up -f ").expect("the run command");
    assert!(root().join(manifest.lines().next().unwrap_or_default()).is_file());
}
