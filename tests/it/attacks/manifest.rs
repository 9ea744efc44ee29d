//! The manifest: rows A79 to A85.

use std::fmt::Write as _;

use crate::{
    program::{Clockjack, Ended, clockjack},
    scene::Scene,
};

/// What `check` may take of memory beside its engine's reservation, in KiB: more than any manifest of its size needs.
const DATA_KIB_MAX: u32 = 400 << 10;

/// `check` under a bound of memory and of processor time, which ends the process where it is met.
fn check(scene: &Scene) -> Clockjack {
    let line = format!("ulimit -d {DATA_KIB_MAX} && ulimit -t 20 && exec \"$0\" check -o json");
    Clockjack::of("sh").args(["-c", &line, crate::program::CLOCKJACK]).folder(scene.folder())
}

#[track_caller]
fn is_refused(text: impl AsRef<[u8]>, codes: &[&str]) -> Ended {
    let scene = Scene::new();
    scene.put("clockjack.yaml", [b"version: 1\n", text.as_ref()].concat());
    scene.put("idle.wasm", wat::parse_str(super::CANARY).expect("text"));
    let ended = check(&scene).end();
    ended.is_no_crash();
    assert_eq!(ended.code, Some(1), "{}\n{}", ended.stdout, ended.stderr);
    let findings = ended.json();
    let first = &findings["diagnostics"][0];
    assert!(codes.iter().any(|code| first["code"] == *code), "{codes:?}: {first:#}");
    assert!(first["message"].as_str().is_some_and(|message| !message.is_empty()), "{first:#}");
    ended
}

#[test]
fn a72_types_whose_words_would_fill_a_memory() {
    // Forty thousand records with one field, whose name has fifty thousand letters, in fifty kilobytes.
    let of = |ty: &str| format!("(tuple {})", format!("{ty} ").repeat(200));
    let (name, inner, outer) = ("x".repeat(50_000), of("$r"), of("$inner"));
    let text = format!(
        "(component
           (core module $m (memory (export \"m\") 1) (func (export \"run\") (param i32))
             (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 0)))
           (core instance $i (instantiate $m))
           (type $named (record (field \"{name}\" u8))) (export $r \"r\" (type $named))
           (type $inner {inner}) (type $outer {outer})
           (func (export \"run\") (param \"all\" $outer)
             (canon lift (core func $i \"run\") (memory (core memory $i \"m\")) (realloc (core func $i \"realloc\")))))"
    );
    let scene = Scene::new();
    scene.put("wordy.wasm", wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}")));
    scene.put("clockjack.yaml", "version: 1\njobs: { a: { plugin: ./wordy.wasm, every: 1h } }\n");
    let ended = check(&scene).ends_with(1);
    let told = &ended.json()["diagnostics"][0];
    assert_eq!(told["code"], "load.type", "{told:#}");
    assert!(told.to_string().len() < 10_000, "{} bytes", told.to_string().len());
    let line = format!("ulimit -d {DATA_KIB_MAX} && ulimit -t 20 && exec \"$0\" inspect wordy.wasm");
    let inspect = Clockjack::of("sh").args(["-c", &line, crate::program::CLOCKJACK]).folder(scene.folder());
    assert!(inspect.ends_with(0).stdout.len() < 10_000);
}

#[test]
fn a79_yaml_that_explodes() {
    let mut aliases = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for depth in 1..9 {
        let before = depth - 1;
        let list = format!("*a{before}, ").repeat(9);
        writeln!(aliases, "a{depth}: &a{depth} [{}]", list.trim_end_matches(", ")).expect("text");
    }
    is_refused(&aliases, &["manifest.too_complex", "manifest.alias", "manifest.syntax"]);
    is_refused(format!("x: {}", "[".repeat(200_000)), &["manifest.too_complex"]);
    let mut anchors = "x:\n- ".to_owned();
    for n in 0..200_000 {
        write!(anchors, "&a{n} 1\n- ").expect("text");
    }
    is_refused(&anchors, &["manifest.too_large", "manifest.too_complex"]);
    is_refused(format!("x-text: {}\n", "y".repeat(5_000_000)), &["manifest.too_large"]);
    is_refused("---\nversion: 1\n".repeat(1_024), &["manifest.syntax", "manifest.too_complex"]);
}

#[test]
fn a80_yaml_that_means_something_else() {
    let job = "plugin: ./idle.wasm, every: 1m";
    is_refused(format!("jobs: {{ a: {{ {job} }}, a: {{ {job} }} }}"), &["manifest.duplicate_key"]);
    is_refused(format!("jobs: {{ a: {{ {job}, evrey: 2m }} }}"), &["manifest.unknown_key"]);
    is_refused(
        format!("x-b: &b {{ grants: {{ state: maybe }} }}\njobs: {{ a: {{ <<: *b, {job} }} }}"),
        &["manifest.type", "manifest.value", "manifest.unknown_key", "manifest.syntax"],
    );
    is_refused(format!("jobs: {{ a: {{ {job}, paused: yes }} }}"), &["manifest.type", "manifest.value"]);
    is_refused(format!("jobs: {{ a: {{ {job}, priority: 0o17x }} }}"), &["manifest.type", "manifest.value"]);
    is_refused("jobs:\n\ta: { plugin: ./idle.wasm, every: 1m }\n", &["manifest.syntax"]);
    is_refused(format!("jobs: {{ \"a\u{202e}b\": {{ {job} }} }}"), &["manifest.name"]);
    is_refused(format!("jobs: {{ \"a\\0b\": {{ {job} }} }}"), &["manifest.name", "manifest.syntax"]);
    is_refused(b"jobs: { a: \xff\xfe }", &["manifest.unreadable", "manifest.syntax"]);
}

#[test]
fn a81_paths_that_lead_elsewhere() {
    let dirs = |host: &str| {
        format!(
            "jobs: {{ a: {{ plugin: ./idle.wasm, every: 1m, grants: {{ dirs: [{{ host: \"{host}\", guest: /d }}] }} }} }}"
        )
    };
    is_refused(dirs("a\\0b"), &["manifest.path"]);
    is_refused(
        "include: [\"/proc/self/mem\"]\njobs: { a: { plugin: ./idle.wasm, every: 1m } }",
        &["manifest.unreadable", "manifest.too_large"],
    );
    is_refused(
        "include: [/dev/zero]\njobs: { a: { plugin: ./idle.wasm, every: 1m } }",
        &["manifest.unreadable", "manifest.too_large"],
    );
    is_refused("jobs: { a: { plugin: /dev/zero, every: 1m } }", &["load.invalid"]);
    is_refused(format!("host: {{ roots: [./inside] }}\n{}", dirs("/tmp")), &["manifest.denied"]);
}

#[test]
fn a82_triggers_that_make_no_sense() {
    let job = |trigger: &str| format!("jobs: {{ a: {{ plugin: ./idle.wasm, {trigger} }} }}");
    for (trigger, codes) in [
        ("every: 0s", ["trigger.value", "manifest.duration"]),
        ("every: -5s", ["trigger.value", "manifest.duration"]),
        ("every: 1ns", ["trigger.value", "manifest.duration"]),
        ("cron: \"0 0 30 2 *\"", ["trigger.never", "trigger.never"]),
        ("triggers: [{ every: 1h, start: 2030-01-01, end: 2029-01-01 }]", ["trigger.value", "trigger.never"]),
        ("cron: \"* * * * *\", timezone: ../../etc/passwd", ["manifest.timezone", "trigger.zone"]),
        ("cron: \"* * * * *\", timezone: \"Europe/Berlin\\0\"", ["manifest.timezone", "trigger.zone"]),
    ] {
        is_refused(job(trigger), &codes);
    }
    // What lay in the past when it was written may be meant: it is told, and harms nobody.
    let scene = Scene::new();
    scene.put("clockjack.yaml", job("at: 1999-01-01T00:00:00"));
    scene.put("idle.wasm", wat::parse_str(super::CANARY).expect("text"));
    let told = check(&scene).ends_with(0).json();
    assert_eq!(told["diagnostics"][0]["code"], "trigger.never", "{told:#}");
}

#[test]
fn a83_more_than_anybody_writes() {
    let mut jobs = "jobs:\n".to_owned();
    for n in 0..100_000 {
        writeln!(jobs, "  j{n}: {{ plugin: ./idle.wasm, every: 1m }}").expect("text");
    }
    is_refused(&jobs, &["manifest.too_large", "manifest.too_many_jobs", "manifest.too_complex"]);
    // A thousand triggers are many, and within the bounds of one file.
    let scene = Scene::new();
    let triggers = "{ every: 1h }, ".repeat(1_000);
    scene.put("idle.wasm", wat::parse_str(super::CANARY).expect("text"));
    scene.put("clockjack.yaml", format!("jobs: {{ a: {{ plugin: ./idle.wasm, triggers: [{triggers}] }} }}"));
    check(&scene).ends_with(0);
    let nested = format!("{}{{ every: 1h }}{}", "{ any: [".repeat(1_000), "] }".repeat(1_000));
    is_refused(format!("jobs: {{ a: {{ plugin: ./idle.wasm, triggers: [{nested}] }} }}"), &["manifest.too_complex"]);
    let nested = format!("{}{{ every: 1h }}{}", "{ any: [".repeat(17), "] }".repeat(17));
    is_refused(
        format!("jobs: {{ a: {{ plugin: ./idle.wasm, triggers: [{nested}] }} }}"),
        &["trigger.value", "manifest.too_complex"],
    );
}

#[test]
fn a84_more_than_the_host_allows() {
    let job = |keys: &str| {
        format!(
            "host: {{ ceilings: {{ memory: 32MiB, timeout: 1m }} }}\njobs: {{ a: {{ plugin: ./idle.wasm, every: 1m, {keys} }} }}"
        )
    };
    let told = is_refused(job("limits: { memory: 64MiB }"), &["manifest.ceiling"]);
    assert!(told.stdout.contains("host.ceilings.memory") && told.stdout.contains("32MiB"), "{}", told.stdout);
    is_refused(job("timeout: 2m"), &["manifest.ceiling"]);
    // Without a word of the host, too.
    let told = is_refused(
        "jobs: { a: { plugin: ./idle.wasm, every: 1m, limits: { memory: 100GiB } } }",
        &["manifest.ceiling"],
    );
    assert!(told.stdout.contains("1GiB"), "{}", told.stdout);
}

#[test]
fn a84_settings_of_the_host_in_an_included_file() {
    let scene = Scene::new();
    let job = "jobs: { a: { plugin: ./idle.wasm, every: 1m, limits: { memory: 64MiB } } }";
    scene.put("idle.wasm", wat::parse_str(super::CANARY).expect("text"));
    scene.put("clockjack.yaml", "version: 1\ninclude: [tenant.yaml]\n");
    scene.put("tenant.yaml", format!("version: 1\nhost: {{ ceilings: {{ memory: 100GiB }} }}\n{job}\n"));
    let ended = check(&scene).ends_with(1);
    let told = ended.json()["diagnostics"][0].to_string();
    assert!(told.contains("manifest.denied") && told.contains("tenant.yaml") && told.contains("-f"), "{told}");
    scene.put("tenant.yaml", format!("version: 1\n{job}\n"));
    check(&scene).ends_with(0);
}

#[test]
fn a85_variables_that_are_not_there_and_that_nest() {
    let job = |value: &str| format!("jobs: {{ a: {{ plugin: ./idle.wasm, every: 1m, description: \"{value}\" }} }}");
    is_refused(job("${NOT_THERE}"), &["manifest.variable"]);
    is_refused(job("${A:-${B:-${C}}}"), &["manifest.variable"]);
    is_refused(job("${secrets.api-key}"), &["manifest.variable"]);
    // A value is not read again.
    let scene = Scene::new();
    scene.put("clockjack.yaml", job("${OUTER}"));
    scene.put("idle.wasm", wat::parse_str(super::CANARY).expect("text"));
    clockjack(["check"]).env("OUTER", "${INNER}").folder(scene.folder()).ends_with(0);
}
