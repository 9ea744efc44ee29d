//! Manifests that mean harm: never a panic, and an answer in little time.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Case, answer};
use crate::manifest::parse::SOURCE_BYTES_MAX;

const SEED: &str = r#"version: 1
include: [conf.d/*.yaml]
defaults: { timezone: UTC, timeout: 1m, limits: { memory: 64MiB }, grants: { env: { A: "${B:-x}" } }, labels: { a: b } }
plugins: { ops: { source: ./ops.wasm, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 } }
host: { ceilings: { memory: 1GiB } }
pools: { heavy: { size: 2 } }
stores: { default: 'sqlite:state.db', scratch: 'memory:' }
x-base: &base { plugin: ops, every: 5s }
jobs:
  one: { <<: *base, call: purge, args: { days: 30 }, overlap: queue, max_backlog: 3 }
  zwei-ü: { <<: *base, grants: { dirs: [{ host: ./in, guest: /in, mode: read_write }] } }
  four: { <<: *base, retry: { attempts: 3, jitter: 20%, on: [trap, failed] }, keep: { age: 1d }, pool: heavy, store: scratch }
  five: { plugin: ops, after: [four, { job: one, on: failure }], delivery: at_most_once, priority: 5 }
  "three": { plugin: ./x.wasm, triggers: [{ every: 1h }], misfire_grace: 5m, coalesce: true }
"#;

proptest! {
    // No files beside the source: the failing input is in the message.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gets_an_answer(text in "\\PC{0,200}") {
        answer(&text);
    }

    #[test]
    fn any_bytes_get_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        answer(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_mutation_gets_an_answer(cuts in cuts()) {
        let case = Case::read(&mutated(SEED, cuts));
        let (manifest, diagnostics) = case.resolve();
        prop_assert_eq!(manifest.is_none(), diagnostics.has_errors());
        for d in diagnostics.all() {
            prop_assert!(case.sources[d.span.source].text.get(d.span.start..d.span.end).is_some(), "{:?}", d);
        }
    }
}

type Cuts = Vec<(prop::sample::Index, usize, String)>;

fn cuts() -> impl Strategy<Value = Cuts> {
    proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..12, "[\\PC\n\t]{0,4}"), 1..6)
}

fn mutated(text: &str, cuts: Cuts) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for (at, length, insert) in cuts {
        let at = at.index(text.len());
        let end = (at + length).min(text.len());
        text.splice(at..end, insert.chars());
    }
    text.into_iter().collect()
}

/// A manifest with a directory of plugins; what follows is the sidecar of a component in it.
const BESIDE: &str = "version: 1
defaults: { timeout: 1m, labels: { a: b } }
plugins: { ops: ./ops.wasm, dropped: ./d/ }
pools: { heavy: { size: 2 } }
stores: { default: 'sqlite:state.db', scratch: 'memory:' }
jobs: { main: { plugin: ops, every: 1h }, next: { plugin: ops, after: main } }
#% unit: d/dropped.yaml
";

/// Whatever a sidecar says, it is its own fault, and the jobs of the manifest are what they were.
fn stands_for_itself(sidecar: &str) -> Result<(), String> {
    let (alone, _) = Case::read(BESIDE).resolve_partial();
    let case = Case::read(&format!("{BESIDE}{sidecar}"));
    let (manifest, diagnostics) = case.resolve_partial();
    if let Some(stray) = diagnostics.all().iter().find(|found| found.span.source != 1) {
        return Err(format!("{stray}"));
    }
    let is_same = |(id, job)| manifest.jobs.get(id) == Some(job);
    let is_kept = alone.plugins.iter().all(|(name, plugin)| manifest.plugins.get(name) == Some(plugin));
    if alone.jobs.iter().all(is_same) && is_kept { Ok(()) } else { Err(format!("{:?}", manifest.jobs.keys())) }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sidecar_stands_for_itself(cuts in cuts()) {
        let text = SEED.replace("one:", "main:").replace("five:", "dropped:").replace("plugin: ops, every", "every");
        prop_assert_eq!(stands_for_itself(&mutated(&text, cuts)), Ok(()));
    }
}

#[test]
fn every_golden_manifest_stands_for_itself_as_a_sidecar() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/manifests");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    for file in files.filter(|file| file.extension().is_some_and(|ending| ending == "yaml")) {
        let text = std::fs::read_to_string(&file).unwrap();
        let first = text.split("#% ").next().unwrap();
        assert_eq!(stands_for_itself(first), Ok(()), "{}", file.display());
    }
}

/// Many times a piece, up to the largest source.
fn filled(begin: &str, piece: impl Fn(usize) -> String) -> String {
    let mut text = begin.to_owned();
    for index in 0.. {
        let piece = piece(index);
        if SOURCE_BYTES_MAX < text.len() + piece.len() {
            break;
        }
        text += &piece;
    }
    text
}

#[test]
fn hostile_manifests_are_answered_in_little_time() {
    let names: String = (0..10_000).map(|i| format!("A{i}: b, ")).collect();
    let fat_defaults = filled(&format!("version: 1\ndefaults: {{ grants: {{ env: {{ {names} }} }} }}\njobs:\n"), |i| {
        format!("  j{i}: {{ plugin: ./a.wasm, every: 1s }}\n")
    });
    let names: String = (0..80).map(|i| format!("A{i}: b, ")).collect();
    let allowed_defaults =
        filled(&format!("version: 1\ndefaults: {{ grants: {{ env: {{ {names} }} }} }}\njobs:\n"), |i| {
            format!("  j{i}: {{ plugin: ./a.wasm, every: 1s }}\n")
        });
    let cases = [
        ("unknown keys of one map", filled("jobs:\n  a:\n", |i| format!("    k{i}: 1\n"))),
        (
            "unknown keys of many jobs",
            filled("jobs:\n", |i| format!("  j{i}: {{ plugin: ./a.wasm, every: 1s, max_instance: 2 }}\n")),
        ),
        ("unknown top keys", filled("", |i| format!("job{i}: 1\n"))),
        ("many right jobs", filled("jobs:\n", |i| format!("  j{i}: {{ plugin: ./a.wasm, every: 1s }}\n"))),
        ("many files", filled("jobs:\n", |i| format!("  j{i}: {{ plugin: ./{i}/a.wasm, every: 1s }}\n"))),
        ("fat defaults", fat_defaults),
        ("allowed defaults", allowed_defaults),
        (
            "merge keys",
            filled("x-a: &a { plugin: ./a.wasm, every: 1s, bad: 1, worse: 2 }\njobs:\n", |i| {
                format!("  j{i}: {{ <<: *a }}\n")
            }),
        ),
        ("one long key", format!("jobs:\n  ? {}\n  : 1\n", "k".repeat(250_000))),
        ("one long value", format!("jobs:\n  a: {{ plugin: ./a.wasm, every: {} }}\n", "1".repeat(250_000))),
        (
            "one long word",
            format!("jobs:\n  a: {{ plugin: ./a.wasm, every: 1s, overlap: {} }}\n", "skip".repeat(60_000)),
        ),
        ("one long plugin", format!("jobs:\n  a: {{ plugin: {}, every: 1s }}\n", "p".repeat(250_000))),
        ("unset variables", format!("jobs:\n  a: {}\n", "${A}".repeat(60_000))),
        ("open variables", format!("jobs:\n  a: {}\n", "${A".repeat(80_000))),
        ("many unset variables", filled("jobs:\n", |i| format!("  j{i}: ${{A}}\n"))),
        (
            "unknown plugins",
            filled("version: 1\nplugins: { ops: a.wasm }\njobs:\n", |i| {
                format!("  j{i}: {{ plugin: opsi{i}, every: 1s }}\n")
            }),
        ),
        (
            "guest paths",
            filled("jobs:\n  a:\n    plugin: ./a.wasm\n    every: 1s\n    grants:\n      dirs:\n", |i| {
                format!("        - {{ host: a, guest: /{i} }}\n")
            }),
        ),
        (
            "labels",
            filled("jobs:\n  a:\n    plugin: ./a.wasm\n    every: 1s\n    labels:\n", |i| format!("      k{i}: v\n")),
        ),
        ("backticks", format!("jobs:\n  a: {{ plugin: '{}', every: 1s }}\n", "`".repeat(250_000))),
        ("list of lists", format!("jobs: [{}]\n", "[],".repeat(80_000))),
    ];
    assert_answered_quickly(&cases);
}

#[test]
fn hostile_references_are_answered_in_little_time() {
    let cases = [
        (
            "unknown jobs, pools and stores",
            filled("jobs:\n", |i| {
                format!("  job{i}: {{ plugin: ./a.wasm, after: [jop{i}, jpb{i}], pool: p{i}, store: s{i} }}\n")
            }),
        ),
        (
            "a chain of all jobs",
            filled("jobs:\n  j0: { plugin: ./a.wasm, every: 1s }\n", |i| {
                format!("  j{}: {{ plugin: ./a.wasm, after: j{i} }}\n", i + 1)
            }),
        ),
        (
            "a circle of all jobs",
            filled("jobs:\n", |i| format!("  j{i}: {{ plugin: ./a.wasm, after: [j{}, j0, j1, j2, j3] }}\n", i + 1)),
        ),
        ("one long after", filled("jobs:\n  a:\n    plugin: ./a.wasm\n    after:\n", |i| format!("    - a{i}\n"))),
        (
            "many pools",
            filled("jobs: { a: { plugin: ./a.wasm, every: 1s, pool: x } }\nversion: 1\npools:\n", |i| {
                format!("  p{i}: {{ size: 1 }}\n")
            }),
        ),
        (
            "many stores",
            filled("jobs: { a: { plugin: ./a.wasm, every: 1s } }\nversion: 1\nstores:\n", |i| {
                format!("  s{i}: sqlite:{i}.db\n")
            }),
        ),
    ];
    assert_answered_quickly(&cases);
}

#[track_caller]
fn assert_answered_quickly(cases: &[(&str, String)]) {
    // A manifest of the same size without any harm in it, in the same run: what a machine takes says nothing by itself.
    let harmless = filled("jobs:\n", |i| format!("  j{i}: {{ plugin: ./a.wasm, every: 1s }}\n"));
    let allowed = 12 * (0..5).map(|_| time_of(&harmless)).min().unwrap();
    for (name, text) in cases {
        assert!(text.len() <= SOURCE_BYTES_MAX + 100, "{name}: {}", text.len());
        // Other tests run beside this one: the quickest of a few tries is what the work takes.
        let took = (0..5).map(|_| time_of(text)).min().unwrap();
        assert!(took < allowed, "{name} took {took:?}, and {allowed:?} is twelve times a harmless one");
    }
}

#[expect(clippy::disallowed_methods, reason = "the test is about time")]
fn time_of(text: &str) -> Duration {
    let begin = Instant::now();
    let answer = Case::read(text).resolve();
    let took = begin.elapsed();
    drop(answer);
    took
}
