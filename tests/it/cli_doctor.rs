//! What helps around the program: `doctor`, completions, manual pages.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use serde_json::Value as Json;

use crate::{hosted::Hosted, program::clockjack, scene::Scene};

/// A check by its name.
#[track_caller]
fn check(told: &Json, name: &str) -> (String, String) {
    let checks = told["checks"].as_array().expect("a list");
    let found = checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("no `{name}` in {told}"));
    (found["verdict"].as_str().unwrap_or_default().to_owned(), found["message"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn the_doctor_looks_at_the_machine_and_at_the_manifest() {
    let stores = "stores: { default: \"sqlite:state.db\" }\njobs: { a: { plugin: typed, call: nothing, every: 1h } }\n";
    let hosted = Hosted::with(stores);
    let doctor = |args: &[&str]| clockjack(["doctor"]).args(args).folder(hosted.scene.folder());
    let told = doctor(&["-o", "json"]).ends_with(0).json();
    for name in ["version", "zones", "clock", "memory", "open_files", "disk.space", "disk.sync", "ledger.folder"] {
        assert_ne!(check(&told, name).0, "fail", "{told}");
    }
    assert_eq!(check(&told, "plugins"), ("ok".to_owned(), "3 of 3 load".to_owned()));
    assert!(check(&told, "ledger").1.contains("is not there yet"), "{told}");
    assert!(check(&told, "host").1.contains("no host of this manifest runs"), "{told}");
    assert!(!hosted.scene.path("state.db").exists(), "it changes nothing");

    // A host that runs is found, and its ledger is read.
    let mut host = clockjack(["up", "--no-watch"]).folder(hosted.scene.folder()).start();
    host.wait_for("its job", |line| line.contains("job added"));
    let told = doctor(&["-o", "json"]).ends_with(0).json();
    assert!(check(&told, "host").1.starts_with(&format!("process {} ", host.id())), "{told}");
    assert!(check(&told, "ledger").1.contains("1 jobs"), "{told}");
    drop(host);

    // Tokens that others may read count for nothing.
    hosted.put(&format!("api: {{ tokens: ./tokens }}\n{stores}"));
    hosted.scene.put("tokens", "");
    fs::set_permissions(hosted.scene.path("tokens"), fs::Permissions::from_mode(0o644)).expect("a mode");
    let (verdict, message) = check(&doctor(&["-o", "json"]).ends_with(1).json(), "api.tokens");
    assert!(verdict == "fail" && message.contains("mode 644"), "{message}");
    fs::set_permissions(hosted.scene.path("tokens"), fs::Permissions::from_mode(0o600)).expect("a mode");
    let told = doctor(&["-o", "json"]).ends_with(0).json();
    assert_eq!((check(&told, "api.tokens").0, check(&told, "api.tls").0), ("ok".to_owned(), "ok".to_owned()));

    // What is wrong is told with what to do, and ends with 1.
    fs::write(hosted.scene.path("typed.wasm"), "no component").expect("a file");
    hosted.put(&format!("secrets: {{ key: {{ env: NOBODY_SETS_THIS }} }}\n{stores}"));
    let told = doctor(&["-o", "json"]).ends_with(1).json();
    assert_eq!(told["ok"], false);
    assert_eq!(check(&told, "plugins").0, "fail", "{told}");
    let table = doctor(&[]).ends_with(1).stdout;
    assert!(table.lines().any(|line| line.starts_with("fail  plugins")), "{table}");
}

#[test]
fn completions_are_read_by_the_shell() {
    let script = clockjack(["completions", "bash"]).ends_with(0).stdout;
    let scene = Scene::new();
    scene.put("clockjack.bash", &script);
    let asks = "source clockjack.bash && complete -p clockjack && COMP_WORDS=(clockjack plug) COMP_CWORD=1 && \
                _clockjack clockjack plug clockjack && echo ${COMPREPLY[@]}";
    let ended =
        Command::new("bash").args(["--norc", "-c", asks]).current_dir(scene.folder()).output().expect("a shell");
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(told.contains("_clockjack") && told.lines().last() == Some("plugins"), "{told}");
    for shell in ["zsh", "fish", "powershell", "elvish"] {
        assert!(clockjack(["completions", shell]).ends_with(0).stdout.contains("plugins"), "{shell}");
    }
}

#[test]
fn there_is_a_page_for_each_command() {
    let page = clockjack(["man", "plugins", "approve"]).ends_with(0).stdout;
    assert!(page.contains(".TH CLOCKJACK-PLUGINS-APPROVE 1"), "{page}");
    let unknown = clockjack(["man", "aprove"]).ends_with(1).stderr;
    assert!(unknown.contains("there is no command `aprove`"), "{unknown}");
    let scene = Scene::new();
    clockjack(["man", "--dir", "pages"]).folder(scene.folder()).ends_with(0);
    let help = clockjack(["--help"]).ends_with(0).stdout;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<_> = commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    for name in names.iter().filter(|name| !name.is_empty() && **name != "help") {
        assert!(scene.path(&format!("pages/clockjack-{name}.1")).is_file(), "{name}");
    }
    assert!(20 < names.len(), "{names:?}");
}
