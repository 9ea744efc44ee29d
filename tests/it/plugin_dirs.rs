//! Directories of plugins: what is dropped into one is deployed, and what is wrong with one thing there stays its own.

use std::fs;

use serde_json::Value as Json;

use crate::{
    hosted::{begins, ends, list, wait},
    log::Line,
    program::clockjack,
    scene::{Scene, guest},
};

const MANIFEST: &str = "version: 1\nplugins: { dropped: ./plugins.d }\n";

/// A folder with a manifest and a directory of plugins, in which there is nothing.
fn scene(manifest: &str) -> Scene {
    let scene = Scene::with(manifest, &[]);
    fs::create_dir(scene.path("plugins.d")).expect("a folder");
    scene
}

/// Drops a component into the directory, with a sidecar where there are jobs.
fn put(scene: &Scene, name: &str, jobs: &str) {
    fs::copy(guest("typed"), scene.path(&format!("plugins.d/{name}.wasm"))).expect("a guest can be copied");
    if !jobs.is_empty() {
        scene.put(&format!("plugins.d/{name}.yaml"), format!("version: 1\njobs: {{ {jobs} }}\n"));
    }
}

fn check(scene: &Scene) -> Json {
    clockjack(["check", "-o", "json"]).folder(scene.folder()).end().json()
}

/// What was found: the file and the code of each finding.
fn found(view: &Json) -> Vec<String> {
    let shown = |finding: &Json| {
        let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        format!("{} {}", text("file"), text("code"))
    };
    list(&view["diagnostics"]).iter().map(shown).collect()
}

fn ids(jobs: &Json) -> Vec<String> {
    list(jobs).iter().map(|job| job["job"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn what_is_dropped_is_deployed() {
    let scene = scene(
        "version: 1\ndefaults: { labels: { team: ops } }\nplugins: ./plugins.d\n\
         jobs: { here: { plugin: lib, call: nothing, every: 200ms } }\n",
    );
    put(
        &scene,
        "billing",
        "invoices: { call: echo-string, args: { value: paid }, every: 200ms }, after: { call: nothing, after: invoices }",
    );
    put(&scene, "lib", "");
    put(&scene, "shop.v2", "shop: { plugin: billing, call: nothing, every: 1h }");
    // What is neither is not spoken of.
    scene.put("plugins.d/README.md", "What is here.");
    scene.put("plugins.d/billing.wasm.part", "half of it");
    fs::create_dir(scene.path("plugins.d/deep.wasm")).expect("a folder");
    let view = check(&scene);
    assert_eq!((&view["ok"], found(&view).len()), (&Json::Bool(true), 0), "{view:#}");
    assert_eq!(ids(&view["jobs"]), ["after", "here", "invoices", "shop"]);
    let plugins: Vec<_> =
        list(&view["jobs"]).iter().map(|job| job["plugin"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(plugins, ["billing", "lib", "billing", "billing"]);
    let mut host = clockjack(["up", "--ledger", "memory:", "--log-format", "json"]).folder(scene.folder()).start();
    for job in ["here", "invoices", "after"] {
        wait(&mut host, job, ends(job));
    }
    wait(&mut host, "the output", |line| line.text("job") == "invoices" && line.text("output") == "\"paid\"");
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
}

#[test]
fn what_is_wrong_stays_its_own_fault() {
    let scene = scene(&format!("{MANIFEST}jobs: {{ here: {{ plugin: lib, call: nothing, every: 200ms }} }}\n"));
    put(&scene, "good", "good: { call: nothing, every: 200ms }");
    put(&scene, "lib", "");
    put(&scene, "call", "call: { call: nothin, every: 1h }");
    put(&scene, "clash", "here: { call: nothing, every: 1h }");
    put(&scene, "keys", "keys: { call: nothing, evry: 1h }");
    put(&scene, "user", "user: { plugin: bomb, call: nothing, every: 1h }");
    put(&scene, "bomb", "bomb: { call: nothing, every: 1h }");
    scene.put("plugins.d/bomb.wasm", "no component");
    scene.put("plugins.d/lonely.yaml", "jobs: { lonely: { every: 1h } }\n");
    put(&scene, "not a name", "");
    // All of it is told to whoever asks, and that it is not right.
    let ended = clockjack(["check", "-o", "json"]).folder(scene.folder()).ends_with(1);
    let told = found(&ended.json());
    let wanted = [
        "clockjack.yaml manifest.no_effect",
        "plugins.d/bomb.yaml load.invalid",
        "plugins.d/call.yaml load.type",
        "plugins.d/clash.yaml manifest.duplicate_job",
        "plugins.d/keys.yaml manifest.unknown_key",
        "plugins.d/lonely.yaml manifest.sidecar",
    ];
    assert_eq!(told, wanted);
    // The host starts without them.
    let mut host =
        clockjack(["up", "--ledger", "sqlite:state.db", "--log-format", "json"]).folder(scene.folder()).start();
    for job in ["here", "good"] {
        wait(&mut host, job, ends(job));
    }
    let lines: Vec<_> = host.log.iter().map(|line| Line::read(line)).collect();
    let mut left: Vec<_> =
        lines.iter().filter(|line| line.message.starts_with("left out")).map(|line| line.text("plugin")).collect();
    left.sort_unstable();
    assert_eq!(left, ["bomb", "call", "clash", "keys", "lonely", "user"]);
    let codes: Vec<_> = lines.iter().map(|line| line.text("code")).filter(|code| !code.is_empty()).collect();
    assert!(codes.contains(&"load.invalid") && codes.contains(&"manifest.unknown_plugin"), "{codes:?}");
    for job in ["bomb", "call", "keys", "lonely", "user"] {
        assert!(!lines.iter().any(begins(job)), "{job}");
    }
    host.signal("TERM");
    assert_eq!(host.end().code, Some(0));
    // Whoever asks for one job is not bothered with the faults of others.
    clockjack(["exec", "--job", "good"]).folder(scene.folder()).ends_with(0);
    let ended = clockjack(["exec", "--job", "keys"]).folder(scene.folder()).ends_with(1);
    assert!(ended.stderr.contains("plugins.d/keys.yaml"), "{}", ended.stderr);
    let ended = clockjack(["jobs", "--ledger", "sqlite:state.db"]).folder(scene.folder()).ends_with(0);
    assert!(ended.stdout.contains("good") && ended.stderr.contains("note:"), "{}{}", ended.stdout, ended.stderr);
}

#[test]
fn directories_that_are_none_are_told() {
    let scene = scene("");
    scene.put("tool.wasm", "");
    for (plugins, code, words) in [
        ("./absent", "manifest.path", "no directory of plugins at `absent`"),
        ("{ a: ./absent/ }", "manifest.path", "no directory of plugins at `absent`"),
        ("{ a: { directory: ./tool.wasm } }", "manifest.path", "`tool.wasm` is a file"),
        ("{ a: ./plugins.d, b: ./plugins.d/../plugins.d }", "manifest.path", "is named twice"),
    ] {
        scene.put("clockjack.yaml", format!("version: 1\nplugins: {plugins}\n"));
        let view = check(&scene);
        assert_eq!(found(&view), [format!("clockjack.yaml {code}")], "{plugins}: {view:#}");
        assert!(view["diagnostics"][0]["message"].as_str().is_some_and(|text| text.contains(words)), "{view:#}");
    }
    // An empty one is right: something may be dropped into it.
    scene.put("clockjack.yaml", MANIFEST);
    let view = check(&scene);
    assert_eq!((&view["ok"], found(&view).len()), (&Json::Bool(true), 0), "{view:#}");
    clockjack(["up", "--ledger", "memory:", "--for", "100ms"]).folder(scene.folder()).ends_with(0);
}

#[test]
fn a_directory_may_be_where_the_manifest_is() {
    let scene = Scene::with("version: 1\nplugins: .\n", &["typed"]);
    scene.put("typed.yaml", "jobs: { typed: { call: nothing, every: 1h } }\n");
    let view = check(&scene);
    assert_eq!((&view["ok"], ids(&view["jobs"])), (&Json::Bool(true), vec!["typed".to_owned()]), "{view:#}");
}

#[test]
fn a_directory_with_too_many_components_is_refused() {
    let scene = scene(MANIFEST);
    for number in 0..=1_000 {
        scene.put(&format!("plugins.d/p{number}.wasm"), "");
    }
    let view = check(&scene);
    assert_eq!(found(&view), ["clockjack.yaml manifest.too_large"], "{view:#}");
    assert!(view["diagnostics"][0]["message"].as_str().is_some_and(|text| text.contains("1000")), "{view:#}");
}

#[test]
fn only_pinned_components_are_run_when_that_is_asked_for() {
    let scene = scene(MANIFEST);
    put(&scene, "pinned", "pinned: { call: nothing, every: 100ms }");
    clockjack(["lock"]).folder(scene.folder()).ends_with(0);
    put(&scene, "stranger", "stranger: { call: nothing, every: 100ms }");
    let args = ["up", "--locked", "--ledger", "memory:", "--log-format", "json"];
    let mut host = clockjack(args).folder(scene.folder()).start();
    wait(&mut host, "the pinned one", ends("pinned"));
    let left = |line: &Line| line.message.starts_with("left out") && line.text("plugin") == "stranger";
    assert!(host.log.iter().any(|line| left(&Line::read(line))), "{}", host.log.join("\n"));
    host.signal("TERM");
    let ended = host.end();
    assert!(ended.code == Some(0) && !ended.stderr.contains("\"job\":\"stranger\""), "{}", ended.stderr);
}
