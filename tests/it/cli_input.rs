//! Hostile and careless command lines: wrong usage is exit code 2 with one clear sentence, nothing panics, and nothing
//! that a guest wrote reaches a terminal raw.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

use crate::{
    program::{CLOCKJACK, Clockjack, clockjack},
    scene::{Scene, guest, root},
};

#[track_caller]
fn misused(args: &[&str], words: &[&str]) {
    let ended = clockjack(args).ends_with(2);
    ended.is_no_crash();
    assert_eq!(ended.stdout, "", "{args:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "{args:?}: `{word}` in:\n{}", ended.stderr);
    }
}

#[test]
fn wrong_usage_is_exit_code_two() {
    let hostile = &guest("hostile");
    misused(&["frobnicate"], &["frobnicate"]);
    misused(&["exec"], &["PLUGIN"]);
    misused(&["next"], &["JOB"]);
    misused(&["next", "job", "--trigger", "every: 1s"], &["--trigger"]);
    misused(&["next", "--trigger", "every: 1s", "-n", "0"], &["0", "100000"]);
    misused(&["next", "--trigger", "every: 1s", "-n", "-3"], &["-3"]);
    misused(&["next", "--trigger", "every: 1s", "-n", "99999999999999999999"], &["-n"]);
    misused(&["next", "--trigger", "every: 1s", "-o", "xml"], &["xml", "json"]);
    misused(&["check", "--fil", "x"], &["--file"]);
    misused(&["exec", hostile, "spin", "--timeout", "5"], &["write `5s`"]);
    misused(&["exec", hostile, "spin", "--timeout=-5s"], &["-5s"]);
    misused(&["exec", hostile, "spin", "--memory", "64"], &["write `64MiB`"]);
    misused(&["exec", hostile, "spin", "--memory", "a lot"], &["a lot"]);
    misused(&["exec", hostile, "spin", "--cpu-time", "soon"], &["soon"]);
    misused(&["exec", hostile, "spin", "--fuel", "-1"], &["-1"]);
    misused(&["exec", hostile, "spin", "--dir", "/tmp"], &["HOST:GUEST:read"]);
    misused(&["exec", hostile, "spin", "--dir", "/tmp:relative:read"], &["begins with `/`"]);
    misused(&["exec", hostile, "spin", "--dir", "/tmp:/x:execute"], &["read_write"]);
    misused(&["exec", hostile, "spin", "--env", "NAME"], &["NAME=VALUE"]);
    misused(&["up", "--grace", "ten"], &["ten"]);
    misused(&["up", "--log-format", "xml"], &["text", "json"]);
}

#[test]
fn help_names_the_exit_codes() {
    let ended = clockjack(["--help"]).ends_with(0);
    for word in ["up", "check", "next", "exec", "inspect", "0 done", "3 the job failed"] {
        assert!(ended.stdout.contains(word), "{word}:\n{}", ended.stdout);
    }
    assert_eq!(ended.stderr, "");
    let nothing = clockjack::<&str>([]).ends_with(2);
    assert!(nothing.stderr.contains("Usage"), "{}", nothing.stderr);
}

#[test]
fn the_version_is_told() {
    assert_eq!(clockjack(["--version"]).ends_with(0).stdout.trim(), "clockjack 0.1.0");
    let verbose = clockjack(["--version", "--verbose"]).ends_with(0).stdout;
    assert!(verbose.contains("wasmtime 48."), "{verbose}");
}

#[test]
fn huge_arguments_are_taken_or_refused_but_do_not_break_it() {
    // Linux takes 128 KiB in one argument.
    let text = "x".repeat(120_000);
    let ended = clockjack(["exec", "-o", "json", &guest("typed"), "echo-string", "-a", &format!("value={text}")]).end();
    ended.is_no_crash();
    assert_eq!(ended.json()["output"], *text);
    for value in ["[".repeat(120_000), "{a: ".repeat(30_000), "-".repeat(120_000), "&a [*a, *a]".repeat(10_000)] {
        let arg = format!("value={value}");
        let ended = clockjack(["exec", "-o", "json", &guest("typed"), "echo-lists", "-a", &arg]).ends_with(1);
        ended.is_no_crash();
        assert!(ended.stdout.len() < 10_000, "a message does not repeat it all: {} bytes", ended.stdout.len());
    }
    for trigger in ["[".repeat(120_000), "{any: [".repeat(15_000), format!("cron: \"{}\"", "*,".repeat(50_000))] {
        let ended = clockjack(["next", "--trigger", &trigger]).ends_with(1);
        ended.is_no_crash();
        assert!(ended.stderr.len() < 20_000, "{} bytes", ended.stderr.len());
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let bad = OsStr::from_bytes(b"value=\xff\xfe");
    let ended = clockjack(["exec", &guest("typed"), "echo-string", "-a"]).args([bad]).ends_with(2);
    ended.is_no_crash();
    let ended = clockjack(["next", "--trigger"]).args([OsStr::from_bytes(b"every: \xff")]).ends_with(2);
    ended.is_no_crash();
    // A path may be any bytes.
    let ended = clockjack(["exec", "-o", "json"]).args([OsStr::from_bytes(b"/absent/\xff.wasm")]).ends_with(1);
    ended.is_no_crash();
    assert_eq!(ended.json()["error"]["code"], "load.not_found");
    let scene = Scene::new();
    scene.put("clockjack.yaml", b"version: 1\njobs: {a\xff: 1}\n");
    let ended = clockjack(["check"]).folder(scene.folder()).ends_with(1);
    assert!(ended.stderr.contains("no UTF-8 text"), "{}", ended.stderr);
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let trigger = "cron: \"* * * * *\"";
    for args in [vec!["next", "--trigger", trigger, "-n", "50000"], vec!["next", "--help"], vec!["--version"]] {
        let ended = clockjack(&args).reads_only(10).ends_with(0);
        ended.is_no_crash();
        assert_eq!((ended.stdout.len(), &*ended.stderr), (10, ""), "{args:?}");
    }
}

/// Data that was not written is no data: a script must not take it for an empty answer.
#[test]
fn data_that_cannot_be_written_is_a_failure_of_the_host() {
    let script = format!("exec '{CLOCKJACK}' \"$@\" >/dev/full");
    let typed = guest("typed");
    let missing = clockjack(["exec", "-o", "json", "absent.wasm"]).ends_with(1);
    assert_eq!(missing.json()["error"]["code"], "load.not_found");
    for args in [
        &["next", "--trigger", "every: 1s"][..],
        &["next", "--trigger", "every: 1s", "-o", "json"],
        &["--version"],
        &["inspect", &typed],
        &["exec", &typed, "nothing", "-o", "json"],
        &["exec", &typed, "echo-string", "--arg", "value=x"],
        &["exec", "-o", "json", "absent.wasm"],
    ] {
        let ended = Clockjack::of("sh").args(["-c", &script, "sh"]).args(args).ends_with(4);
        assert!(ended.stderr.contains("error: failed to write to stdout: No space left"), "{args:?}: {}", ended.stderr);
    }
}

#[test]
fn closed_streams_are_no_fault() {
    let script = format!("exec '{CLOCKJACK}' \"$@\" >&- 2>&- <&-");
    let shell = |args: &[&str]| Clockjack::of("sh").args(["-c", &script, "sh"]).args(args).end();
    assert_eq!(shell(&["next", "--trigger", "every: 1s"]).code, Some(0));
    assert_eq!(shell(&["next", "--trigger", "every: 0s"]).code, Some(1));
    assert_eq!(shell(&["exec", &guest("hostile"), "grow", "-a", "mib=1"]).code, Some(0));
}

#[test]
fn what_a_guest_wrote_reaches_the_terminal_harmless() {
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31mred\r\u{8}gone";
    let run = |args: &[&str]| {
        let ended = clockjack(["exec"]).args(args).env("CLICOLOR_FORCE", "1").end();
        ended.is_no_crash();
        for text in [&ended.stdout, &ended.stderr] {
            let raw = text.chars().find(|c| c.is_control() && !['\n', '\t'].contains(c));
            assert_eq!(raw, None, "{args:?}: {text:?}");
        }
        format!("{}{}", ended.stdout, ended.stderr)
    };
    let argument = format!("message={evil}");
    let shown = run(&[&guest("hostile"), "panic", "-a", &argument]);
    assert!(shown.contains("owned") && shown.contains("gone"), "it is shown, not swallowed: {shown}");
    run(&[&guest("hostile"), "fail", "-a", "kind=permanent", "-a", &argument]);
    run(&[&guest("typed"), "echo-string", "-a", &format!("value={evil}")]);
    run(&[&guest("command"), "--", evil]);
    run(&[&guest("hostile"), evil]);
    run(&[&format!("/absent/{evil}.wasm")]);
}

#[test]
fn control_characters_in_manifests_reach_the_terminal_harmless() {
    let scene = Scene::new();
    scene.put("clockjack.yaml", "version: 1\njobs: { \"a\\e[31mb\": { plugin: ./x.wasm, every: 1h } }\n");
    let ended = clockjack(["check"]).folder(scene.folder()).ends_with(1);
    assert!(!ended.stderr.contains('\u{1b}'), "{:?}", ended.stderr);
    let ended = clockjack(["next", "--trigger", "every: \"\u{1b}[31m5\u{7}\""]).ends_with(1);
    assert!(!ended.stderr.contains(['\u{1b}', '\u{7}']), "{:?}", ended.stderr);
}

#[test]
fn inspect_shows_what_there_is() {
    let page = clockjack(["inspect", &guest("typed")]).ends_with(0).stdout;
    for line in ["echo-option-of-option(value: option<option<u32>>) -> option<option<u32>>", "nothing()"] {
        assert!(page.contains(line), "{line}:\n{page}");
    }
    let view = clockjack(["inspect", &guest("hostile"), "-o", "json"]).ends_with(0).json();
    let grow = view["exports"].as_array().and_then(|exports| exports.iter().find(|export| export["name"] == "grow"));
    let grow = grow.expect("`grow` is exported");
    assert_eq!(grow["kind"], "function");
    assert_eq!(grow["parameters"], serde_json::json!([{"name": "mib", "type": "u32"}]));
    assert_eq!(grow["result"], "u32");
    // The runtime of a Rust guest begins with more than a MiB of stack and data.
    assert!(view["memory_bytes_min"].as_u64().is_some_and(|bytes| 1 << 20 <= bytes), "{}", view["memory_bytes_min"]);
    let imports = view["imports"].as_array().expect("a list");
    assert!(imports.iter().any(|import| import == "clockjack:job/log@0.1.0"), "{imports:?}");
    let command = clockjack(["inspect", &guest("command"), "-o", "json"]).ends_with(0).json();
    assert_eq!(command["exports"][0]["kind"], "command");
    let refused = clockjack(["inspect", &root().join("README.md").display().to_string(), "-o", "json"]).ends_with(1);
    assert!(refused.json()["error"]["code"].as_str().is_some_and(|code| code.starts_with("load.")));
}
