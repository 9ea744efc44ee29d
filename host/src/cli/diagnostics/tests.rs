//! How findings look, for people and for programs.

use clockjack_schedule::diagnostic::{Diagnostic, Source, Span};

use super::{Look, render, summary, to_json};

fn draw(text: &str, words: &str, diagnostic: impl Fn(Span) -> Diagnostic) -> String {
    let start = text.find(words).unwrap();
    let span = Span { source: 0, start, end: start + words.len() };
    render(&[diagnostic(span)], &[Source::new("jobs.yaml", text)], Look::Plain)
}

fn unknown(span: Span) -> Diagnostic {
    Diagnostic::error("manifest.unknown_key", span, "unknown key `max_instance` in job `nightly-report`")
        .fix("did you mean `max_instances`?")
}

#[test]
fn the_caret_stands_under_the_words() {
    let text = format!("{}    max_instance: 2\n    every: 5s\n", "#\n".repeat(40));
    expect_test::expect![[r#"
        error[manifest.unknown_key]: unknown key `max_instance` in job `nightly-report`
          --> jobs.yaml:41:5
           |
        41 |     max_instance: 2
           |     ^^^^^^^^^^^^ did you mean `max_instances`?

    "#]]
    .assert_eq(&draw(&text, "max_instance", unknown));
}

#[test]
fn long_and_many_lined_fixes_get_lines_of_their_own() {
    let empty = |span| {
        Diagnostic::error("manifest.empty", span, "the manifest has no jobs")
            .fix("the shortest one is:\njobs:\n  hello: { plugin: ./hello.wasm, every: 1m }")
    };
    expect_test::expect![[r#"
        error[manifest.empty]: the manifest has no jobs
         --> jobs.yaml:1:1
          |
        1 |
          | ^
          |
          = help: the shortest one is:
                  jobs:
                    hello: { plugin: ./hello.wasm, every: 1m }

    "#]]
    .assert_eq(&draw("", "", empty));
    let both = |span| Diagnostic::warning("manifest.x", span, "something").label("here").fix("do better");
    expect_test::expect![[r#"
        warning[manifest.x]: something
         --> jobs.yaml:2:1
          |
        2 | b: 2
          | ^ here
          |
          = help: do better

    "#]]
    .assert_eq(&draw("a: 1\nb: 2\n", "b", both));
}

#[test]
fn any_line_can_be_shown() {
    let long = format!("a: {} wrong: 1, {}", "x".repeat(100_000), "y".repeat(100_000));
    expect_test::expect![[r#"
        error[manifest.unknown_key]: unknown key `max_instance` in job `nightly-report`
         --> jobs.yaml:1:100005
          |
         ::: 
        1 | …xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx wrong: 1, yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy…
          |                                          ^^^^^ did you mean `max_instances`?

    "#]].assert_eq(&draw(&long, "wrong", unknown));
    let endless = format!("a: {}", "x".repeat(100_000));
    expect_test::expect![[r#"
        error[manifest.unknown_key]: unknown key `max_instance` in job `nightly-report`
         --> jobs.yaml:1:4
          |
        1 | a: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
          |    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ did you mean `max_instances`?

    "#]].assert_eq(&draw(&endless, &endless[3..], unknown));
    expect_test::expect![[r#"
        error[manifest.unknown_key]: unknown key `max_instance` in job `nightly-report`
         --> jobs.yaml:1:13
          |
        1 | größe: 東京 🚀    bad
          |                   ^^^ did you mean `max_instances`?

    "#]]
    .assert_eq(&draw("größe: 東京 🚀\tbad\r\nnext: 1\r\n", "bad", unknown));
    expect_test::expect![[r#"
        error[manifest.unknown_key]: unknown key `max_instance` in job `nightly-report`
         --> jobs.yaml:2:3
          |
        2 |   b: 1
          |   ^^^^ did you mean `max_instances`?

    "#]]
    .assert_eq(&draw("a:\n  b: 1\n  c: 2\nd: 3\n", "b: 1\n  c: 2", unknown));
    expect_test::expect![[r#"
        error[manifest.unknown_key]: unknown key `max_instance` in job `nightly-report`
         --> jobs.yaml:1:5
          |
        1 | a: �evil␇
          |     ^^^^ did you mean `max_instances`?

    "#]]
    .assert_eq(&draw("a: \u{202e}evil\u{7}\n", "evil", unknown));
}

#[test]
fn without_a_source_the_words_are_left() {
    let nowhere = unknown(Span { source: 7, start: 3, end: 9 });
    expect_test::expect![[r#"
        error[manifest.unknown_key]: unknown key `max_instance` in job `nightly-report`
         |
         = help: did you mean `max_instances`?

    "#]]
    .assert_eq(&render(std::slice::from_ref(&nowhere), &[], Look::Plain));
    assert_eq!(to_json(&[nowhere], &[])[0]["file"], serde_json::Value::Null);
}

#[test]
fn colours_are_asked_for() {
    let sources = [Source::new("jobs.yaml", "max_instance: 2\n")];
    let found = [unknown(Span { source: 0, start: 0, end: 12 })];
    assert!(render(&found, &sources, Look::Coloured).contains('\u{1b}'));
    assert!(!render(&found, &sources, Look::Plain).contains('\u{1b}'));
}

#[test]
fn programs_get_places_and_texts() {
    let sources = [Source::new("jobs.yaml", "a: 1\nö: [b,\n  c]\n")];
    let found = [unknown(Span { source: 0, start: 9, end: 16 }), Diagnostic::warning("w", Span::default(), "m")];
    let json = serde_json::to_string_pretty(&to_json(&found, &sources)).unwrap();
    expect_test::expect![[r#"
        [
          {
            "file": "jobs.yaml",
            "line": 2,
            "column": 4,
            "end_line": 3,
            "end_column": 4,
            "severity": "error",
            "code": "manifest.unknown_key",
            "message": "unknown key `max_instance` in job `nightly-report`",
            "fix": "did you mean `max_instances`?"
          },
          {
            "file": "jobs.yaml",
            "line": 1,
            "column": 1,
            "end_line": 1,
            "end_column": 1,
            "severity": "warning",
            "code": "w",
            "message": "m",
            "fix": null
          }
        ]"#]]
    .assert_eq(&json);
    assert_eq!(summary(&found), "1 error, 1 warning");
}

#[test]
fn no_span_is_too_strange() {
    for text in ["", "\n", "\r\n", "a", "ö\nü", "東\r\n京🚀", "a\n\n", "\t\u{0}\u{feff}\u{300}"] {
        let sources = [Source::new("m", text)];
        for start in 0..text.len() + 3 {
            for end in 0..text.len() + 3 {
                let found = [unknown(Span { source: 0, start, end })];
                assert!(!render(&found, &sources, Look::Plain).is_empty());
                assert!(!render(&found, &sources, Look::Coloured).is_empty());
                assert!(to_json(&found, &sources).is_array());
            }
        }
    }
}
