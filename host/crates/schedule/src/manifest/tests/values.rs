//! What the golden files cannot show: places, partial results, differences.

use std::path::Path;

use super::{Case, show_findings};
use crate::{
    id::{PoolName, StoreName},
    manifest::{diff::diff, directories::outline, interpolate::Lookup},
};

const TWO_JOBS: &str = "\
version: 1
plugins:
  ops: ./ops.wasm
jobs:
  purge:
    plugin: ops
    call: purge
    args: { days: 30, filters: [{ op: eq }] }
    every: 1h
  tidy.up:
    plugin: ./tidy.wasm
    every: 2h
";

#[test]
fn spans_lead_back_to_the_words() {
    let case = Case::read(TWO_JOBS);
    let manifest = case.resolve().0.unwrap();
    let at = |span: crate::diagnostic::Span| &TWO_JOBS[span.start..span.end];
    let purge = "purge".parse().unwrap();
    let tidy = "tidy.up".parse().unwrap();
    let paths = ["args.days", "call", "plugin", "args.filters[0].op", "args.weeks", "args.days.x", "grants.dirs", ""];
    let told: Vec<_> = paths.map(|path| format!("{path} -> {}", at(manifest.job_span(&purge, path)))).into();
    expect_test::expect![[r#"
        args.days -> 30
        call -> purge
        plugin -> ops
        args.filters[0].op -> eq
        args.weeks -> args
        args.days.x -> 30
        grants.dirs -> purge
         -> purge"#]]
    .assert_eq(&told.join("\n"));
    assert_eq!(at(manifest.job_key_span(&purge, "args.days")), "days");
    assert_eq!(at(manifest.job_span(&tidy, "call")), "tidy.up");
    assert_eq!(at(manifest.plugin_span(&"ops".parse().unwrap(), "source")), "./ops.wasm");
    assert_eq!(at(manifest.plugin_span(&"tidy".parse().unwrap(), "source")), "./tidy.wasm");
    assert_eq!(manifest.job_span(&"none".parse().unwrap(), "call"), crate::diagnostic::Span::default());
}

#[test]
fn the_place_of_a_store_leads_back_to_the_words() {
    let text = format!("{TWO_JOBS}stores: {{ default: 'memory:' }}\n");
    let manifest = Case::read(&text).resolve().0.unwrap();
    let span = manifest.store_span(&StoreName::default());
    assert_eq!(&text[span.start..span.end], "'memory:'");
    assert_eq!(manifest.store_span(&"none".parse().unwrap()), crate::diagnostic::Span::default());
}

#[test]
fn a_job_in_a_circle_is_broken_and_the_others_stay() {
    let text = TWO_JOBS.replace("every: 2h", "after: tidy.up");
    let (manifest, diagnostics) = Case::read(&text).resolve_partial();
    assert_eq!(diagnostics.n_errors(), 1);
    assert_eq!(manifest.jobs.keys().map(ToString::to_string).collect::<Vec<_>>(), ["purge"]);
    assert_eq!(manifest.broken.iter().map(|job| job.id.to_string()).collect::<Vec<_>>(), ["tidy.up"]);
}

#[test]
fn every_manifest_has_the_default_pool() {
    let pools = Case::read(TWO_JOBS).resolve().0.unwrap().pools;
    assert_eq!(pools.into_iter().collect::<Vec<_>>(), [(PoolName::default(), 64.try_into().unwrap())]);
}

#[test]
fn a_partial_manifest_holds_what_is_right() {
    let case = Case::read(&TWO_JOBS.replace("every: 1h", "evry: 1h"));
    assert!(case.resolve().0.is_none());
    let (manifest, diagnostics) = case.resolve_partial();
    assert_eq!(diagnostics.n_errors(), 1, "{}", show_findings(&diagnostics, &case.sources));
    assert_eq!(manifest.jobs.keys().map(ToString::to_string).collect::<Vec<_>>(), ["tidy.up"]);
    assert_eq!(manifest.plugins.len(), 2);
}

#[test]
fn differences_are_told_by_value() {
    let read = |text: &str| Case::read(text).resolve().0.unwrap();
    let old = read(TWO_JOBS);
    assert!(diff(&old, &read(&format!("# a comment\n{TWO_JOBS}"))).is_empty());
    let new = TWO_JOBS.replace("days: 30", "days: 31").replace("./tidy.wasm", "./neat.wasm")
        + "  new: { plugin: ops, every: 1s }\n";
    let changes = diff(&old, &read(&new));
    assert!(!changes.is_empty());
    expect_test::expect![[r#"
        Diff {
            jobs: Changes {
                added: [
                    JobId(
                        "new",
                    ),
                ],
                changed: [
                    JobId(
                        "purge",
                    ),
                    JobId(
                        "tidy.up",
                    ),
                ],
                removed: [],
                untouched: [],
            },
            plugins: Changes {
                added: [
                    PluginName(
                        "neat",
                    ),
                ],
                changed: [],
                removed: [
                    PluginName(
                        "tidy",
                    ),
                ],
                untouched: [
                    PluginName(
                        "ops",
                    ),
                ],
            },
            pools: Changes {
                added: [],
                changed: [],
                removed: [],
                untouched: [
                    PoolName(
                        "default",
                    ),
                ],
            },
            stores: Changes {
                added: [],
                changed: [],
                removed: [],
                untouched: [],
            },
            channels: Changes {
                added: [],
                changed: [],
                removed: [],
                untouched: [],
            },
        }
    "#]]
    .assert_debug_eq(&changes);
}

#[test]
fn what_is_in_no_manifest_any_more_is_gone() {
    let gone = diff(&Case::read(TWO_JOBS).resolve().0.unwrap(), &Default::default());
    assert_eq!((gone.jobs.removed.len(), gone.plugins.removed.len()), (2, 2));
}

#[test]
fn a_changed_channel_is_no_change_of_the_jobs_that_name_it() {
    let read = |url: &str, notify: &str| {
        let channel = format!("notifications: {{ ops: {{ webhook: \"{url}\" }} }}");
        let jobs = format!("jobs: {{ a: {{ plugin: ./a.wasm, every: 1h, notify: {notify} }} }}");
        Case::read(&format!("version: 1\n{channel}\n{jobs}\n")).resolve().0.unwrap()
    };
    let old = read("https://a.dev", "ops");
    let changes = diff(&old, &read("https://b.dev", "ops"));
    assert_eq!((changes.channels.changed.len(), changes.jobs.is_empty(), changes.is_empty()), (1, true, false));
    let changes = diff(&old, &read("https://a.dev", "{ ops: { on: failure } }"));
    assert_eq!((changes.channels.is_empty(), changes.jobs.changed.len()), (true, 1));
}

#[test]
fn pools_and_stores_count_as_differences() {
    let read = |text: &str| Case::read(text).resolve().0.unwrap();
    let old = read(TWO_JOBS);
    let (before, after) =
        ("pools: { a: { size: 1 }, b: { size: 1 } }\n", "pools: { b: { size: 2 }, c: { size: 1 } }\n");
    let pools = diff(&read(&(TWO_JOBS.to_owned() + before)), &read(&(TWO_JOBS.to_owned() + after))).pools;
    let names = |names: &[PoolName]| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let told = [&pools.added, &pools.changed, &pools.removed, &pools.untouched].map(|list| names(list));
    assert_eq!(told, ["c", "b", "a", "default"]);
    let isolated = read(&format!("{TWO_JOBS}pools: {{ default: {{ size: 64, isolation: process }} }}\n"));
    assert_eq!(diff(&old, &isolated).pools.changed, [PoolName::default()]);
    let moved = read(&format!("{TWO_JOBS}stores: {{ default: 'memory:' }}\n"));
    assert_eq!(diff(&old, &moved).stores.added, [StoreName::default()]);
    assert!(!diff(&old, &moved).is_empty() && diff(&moved, &moved).is_empty());
}

#[test]
fn includes_are_known_before_the_rest_is_read() {
    let variables: Lookup<'_> = &|_| Some("conf.d".to_owned());
    let source = crate::diagnostic::Source::new("m.yaml", "include: ['${DIR}/*.yaml', b.yaml]\njobs: 5\n");
    let found = outline(0, &source, Path::new("site"), variables);
    let patterns: Vec<_> = found.includes.into_iter().map(|include| include.pattern).collect();
    assert_eq!(patterns, ["conf.d/*.yaml", "b.yaml"]);
}

#[test]
fn paths_that_may_be_directories_are_known_before_the_rest_is_read() {
    let places = |text: &str| -> Vec<String> {
        let source = crate::diagnostic::Source::new("m.yaml", text);
        let variables: Lookup<'_> = &|_| Some("dropped".to_owned());
        let places = outline(0, &source, Path::new("site"), variables).directories;
        places.iter().map(|place| format!("{} {}", place.path.display(), place.is_certain)).collect()
    };
    let map = "plugins:\n  a: ./a.wasm\n  b: { source: b }\n  c: { directory: ./c, source: d }\n  e: '${DIR}/'\n  \
               f: oci://host/repo:1\n  g: 5\n  h: { source: ../h/ }\n";
    assert_eq!(places(map), ["site/b false", "site/c true", "site/dropped true", "site/../h true"]);
    assert_eq!(places("plugins: ./plugins.d"), ["site/plugins.d true"]);
    assert_eq!(places("plugins: [./a.d, /b.d]"), ["site/a.d true", "/b.d true"]);
    assert_eq!(places("plugins: [./a.wasm, {}]"), [""; 0]);
}

#[test]
fn a_directory_may_be_empty_and_a_manifest_may_not() {
    let n_errors = |text: &str| Case::read(text).resolve().1.n_errors();
    for plugins in ["./plugins.d", "[./a.d, ./b.d]", "{ a: { directory: ./a.d } }", "{ a: ./a.d/ }"] {
        assert_eq!(n_errors(&format!("version: 1\nplugins: {plugins}\n")), 0, "{plugins}");
    }
    for plugins in ["{}", "[]", "{ a: ./a.wasm }"] {
        assert_eq!(n_errors(&format!("version: 1\nplugins: {plugins}\n")), 1, "{plugins}");
    }
}

#[test]
fn what_is_said_of_a_component_of_a_directory_stands_in_its_own_source() {
    let text = "version: 1\nplugins: ./d\n#% component: d/a.wasm\n#% unit: d/b.yaml\njobs: { b: { every: 1h } }\n";
    let manifest = Case::read(text).resolve().0.unwrap();
    for (name, source) in [("a", 1), ("b", 2)] {
        assert_eq!(manifest.plugin_span(&name.parse().unwrap(), "source").source, source, "{name}");
        assert_eq!(manifest.plugin_span(&name.parse().unwrap(), "sha256").source, source, "{name}");
    }
    assert_eq!(manifest.job_folder(&"b".parse().unwrap()), Path::new("d"));
}

#[test]
fn the_name_of_a_file_does_not_depend_on_the_order() {
    let names = |text: &str| -> Vec<String> {
        let manifest = Case::read(text).resolve().0.unwrap();
        manifest.plugins.values().map(|plugin| format!("{} {}", plugin.name, plugin.source)).collect()
    };
    let one = "jobs:\n  a: { plugin: x/run.wasm, every: 1s }\n  b: { plugin: ./y/run.wasm, every: 1s }\n";
    let other = "jobs:\n  b: { plugin: y/run.wasm, every: 1s }\n  a: { plugin: ./x/run.wasm, every: 1s }\n";
    assert_eq!(names(one), names(other));
    expect_test::expect![[r#"
        [
            "run-9b41fc34 y/run.wasm",
            "run-f554861e x/run.wasm",
        ]
    "#]]
    .assert_debug_eq(&names(one));
}
