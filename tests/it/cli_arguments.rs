//! `check` points at the very argument that is wrong, however deep it stands, and says what to write.

use serde_json::Value as Json;

use crate::{program::clockjack, scene::Scene};

/// Line and column of a mark in a text, from 1.
fn place(text: &str, mark: &str) -> (u64, u64) {
    let at = text.find(mark).unwrap_or_else(|| panic!("{mark} in {text}"));
    let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let n_lines = text[..at].matches('\n').count() + 1;
    let number = |n: usize| u64::try_from(n).expect("a small number");
    (number(n_lines), number(text[line_start..at].chars().count() + 1))
}

/// What `check` says of a job: one finding, at the mark.
#[track_caller]
fn tells(job: &str, mark: &str, words: &[&str]) {
    let text = format!(
        "version: 1\nplugins: {{ typed: ./typed.wasm, command: ./command.wasm }}\njobs:\n  a:\n    every: 1h\n{job}\n"
    );
    let scene = Scene::with(&text, &["typed", "command"]);
    let view = clockjack(["check", "-o", "json"]).folder(scene.folder()).ends_with(1).json();
    let findings: Vec<&Json> = view["diagnostics"].as_array().into_iter().flatten().collect();
    assert_eq!(findings.len(), 1, "{job}: {view:#}");
    let found = findings[0];
    let told =
        format!("{} | {}", found["message"].as_str().unwrap_or_default(), found["fix"].as_str().unwrap_or_default());
    for word in words {
        assert!(told.contains(word), "`{word}` in {told}");
    }
    let (line, column) = place(&text, mark);
    assert_eq!((found["line"].as_u64(), found["column"].as_u64()), (Some(line), Some(column)), "{told}");
}

#[test]
fn wrong_arguments_are_pointed_at() {
    let typed = |call: &str, args: &str| format!("    plugin: typed\n    call: {call}\n    args:\n{args}");
    tells(
        &typed(
            "echo-items",
            "      value:\n        - { name: bolt, count: 3 }\n        - name: nut\n          cuont: 3",
        ),
        "cuont",
        &["args.value[1].cuont: unknown field `cuont`; did you mean `count`?"],
    );
    tells(
        &typed("echo-items", "      value:\n        - { name: bolt, count: 70000 }"),
        "70000",
        &["args.value[0].count: 70000 is out of range for u16, which holds 0 to 65535"],
    );
    tells(
        &typed("echo-variant", "      value:\n        gift:\n          name: Ada\n          initials: [A, LL]"),
        "LL]",
        &["args.value.gift.initials[1]: expected char, found `\"LL\"`"],
    );
    tells(
        &typed("echo-variant", "      value:\n        gfit: 1"),
        "gfit",
        &["unknown case `gfit`; did you mean `gift`?"],
    );
    tells(
        &typed("echo-flags", "      value: [fragile, insurd]"),
        "insurd",
        &["args.value[1]: expected one of fragile, this-side-up, insured", "did you mean `insured`?"],
    );
    tells(&typed("echo-u64", "      value: 18446744073709551616"), "18446744073709551616", &["out of range for u64"]);
    tells(&typed("echo-option", "      vlaue: x"), "vlaue", &["has no parameter `vlaue`", "did you mean `value`?"]);
    tells(
        &typed("divide", "      dividend: 1"),
        "dividend: 1",
        &["the argument `divisor` of `divide` is missing; it is a s64"],
    );
    tells(&typed("echo-bytes", "      value: AQL"), "AQL", &["base64"]);
    tells(
        &typed("echo-bytes", "      value: { file: absent.bin }"),
        "absent.bin",
        &["args.value.file: ", "absent.bin"],
    );
}

#[test]
fn templates_that_cannot_fit_are_pointed_at() {
    let typed =
        |call: &str, value: &str| format!("    plugin: typed\n    call: {call}\n    args: {{ value: {value} }}");
    for (call, value, mark, words) in [
        ("echo-string", "\"at ${run.schedule_for}\"", "${run.sch", "did you mean `${run.scheduled_for}`?"),
        ("echo-string", "\"${payloads.x}\"", "${payloads", "did you mean `${payload.x}`?"),
        ("echo-items", "[{ name: \"${payload.}\", count: 1 }]", "${payload.}", "is no path into the payload"),
        ("echo-u32", "\"${run.id}\"", "\"${run", "args.value: `${run.id}` is text; expected u32"),
        (
            "echo-items",
            "[{ name: a, count: \"${run.job}\" }]",
            "\"${run",
            "args.value[0].count: `${run.job}` is text; expected u16",
        ),
        ("echo-u32", "\"1${payload.n}\"", "\"1$", "write the template alone"),
        ("echo-u32", "\"${run.scheduled_for}\"", "\"${run", "milliseconds since 1970 in a u64, s64 or f64"),
        ("echo-u64", "\"${run.last_success}\"", "\"${run", "is nothing before the first success"),
        ("echo-u8", "\"${payload.n:-many}\"", "\"${payload", "expected u8, found `\"many\"`"),
        ("echo-bytes", "{ file: \"${payload.path}\" }", "\"${payload", "the path of a file holds no template"),
    ] {
        tells(&typed(call, value), mark, &[words]);
    }
    tells("    plugin: command\n    args: [--of, \"${run.idd}\"]", "${run.idd}", &["did you mean `${run.id}`?"]);
    let elsewhere = "    plugin: typed\n    call: nothing\n    description: \"of ${run.id}\"";
    tells(elsewhere, "${run.id}", &["is known only when a job fires", "it may stand in `args` and `stdin` of a job"]);
}
