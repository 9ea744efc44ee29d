//! Rules that no compiler checks: module docs, file length, where serde may stand, who may depend on whom, and words
//! that must not be left behind.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    program::clockjack,
    scene::{guest, root},
};

/// Longest file, tests left out.
const LINES_MAX: usize = 500;

/// A file of the repository with its path from the root.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.starts_with("tests/") || self.path.ends_with("/tests.rs")
    }

    /// The lines before an inline module of tests.
    fn lines_without_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.text.find("\n#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        let lines = if self.is_test() { "" } else { &self.text[..end] };
        lines.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// Every file, but what tools and runs put there.
fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && !path.is_symlink() {
                if ![".git", "target", "out", "node_modules"].contains(&name) {
                    folders.push(path);
                }
            } else if name != ".git" {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).expect("a path below the root").display().to_string()
}

/// The files with one of these endings.
fn sources(endings: &[&str]) -> Vec<Source> {
    let has_ending = |path: &PathBuf| path.extension().is_some_and(|ending| endings.iter().any(|e| ending == *e));
    let read = |path: PathBuf| {
        let text = fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Source { path: relative(&path), text: text.expect("a readable file") }
    };
    let sources: Vec<_> = files().into_iter().filter(has_ending).map(read).collect();
    assert!(!sources.is_empty(), "no {endings:?} found");
    sources
}

#[track_caller]
fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = sources(&["rs"]).into_iter().filter(|source| !source.text.starts_with("//! "));
    assert_none(&silent.map(|source| format!("{}: does not begin with `//! `", source.path)).collect::<Vec<_>>());
}

#[test]
fn no_file_is_too_long() {
    let sources = sources(&["rs"]);
    let lengths = sources.iter().map(|source| {
        let n_tests = if source.is_test() { source.text.lines().count() } else { 0 };
        (source, n_tests.max(source.lines_without_tests().count()))
    });
    let long = lengths.filter(|(_, n_lines)| LINES_MAX < *n_lines);
    assert_none(
        &long.map(|(source, n)| format!("{}: {n} lines; at most {LINES_MAX}", source.path)).collect::<Vec<_>>(),
    );
}

#[test]
fn serde_stands_only_where_text_comes_in_or_goes_out() {
    let may_derive = |path: &str| {
        let in_ledger = path.starts_with("host/crates/ledger/") && path.ends_with("/codec.rs");
        // Both ends of a line between two processes of one program: nothing that a person writes or keeps.
        let on_a_line = path == "host/crates/sandbox/src/worker/wire.rs";
        in_ledger
            || on_a_line
            || path == "host/crates/schedule/src/manifest/raw.rs"
            || path.starts_with("host/src/api/view")
    };
    let may_implement = |path: &str| may_derive(path) || path == "host/crates/schedule/src/manifest/parse.rs";
    let mut faults = Vec::new();
    for source in sources(&["rs"]).iter().filter(|source| source.path.starts_with("host/")) {
        for (number, line) in source.lines_without_tests() {
            let names = line.contains("Serialize") || line.contains("Deserialize");
            let derives = line.contains("derive(") && names || line.contains("#[serde");
            let implements = line.trim_start().starts_with("impl") && names;
            if derives && !may_derive(&source.path) || implements && !may_implement(&source.path) {
                faults.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn two_files_of_the_host_are_unsafe() {
    // Compiled code cannot be checked, and inherited descriptors have no owner; see there.
    let may_be = ["host/crates/sandbox/src/trusted.rs", "host/crates/sandbox/src/worker/inherited.rs"];
    let mut faults = Vec::new();
    for source in
        sources(&["rs"]).iter().filter(|source| source.path.starts_with("host/") && !may_be.contains(&&*source.path))
    {
        let lines = source.lines_without_tests().filter(|(_, line)| !line.trim_start().starts_with("//"));
        let is_unsafe = |line: &str| ["unsafe {", "unsafe fn", "unsafe impl"].iter().any(|word| line.contains(word));
        let found = lines.filter(|(_, line)| is_unsafe(line));
        faults.extend(found.map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim())));
    }
    assert_none(&faults);
}

/// Our packages with the names of what they depend on, tests left out.
fn packages() -> BTreeMap<String, Vec<String>> {
    let manifests = sources(&["toml"]).into_iter().filter(|source| source.path.ends_with("Cargo.toml"));
    let mut packages = BTreeMap::new();
    for source in manifests {
        let mut section = String::new();
        let (mut name, mut dependencies) = (None, Vec::new());
        for line in source.text.lines().map(str::trim) {
            if let Some(header) = line.strip_prefix('[') {
                section = header.trim_end_matches(']').to_owned();
                // `[dependencies.tokio]` and `[target.'cfg(unix)'.dependencies.rustix]`
                if let Some((_, dependency)) = section.split_once("dependencies.") {
                    dependencies.push(dependency.to_owned());
                }
            } else if let Some((key, value)) = line.split_once('=') {
                let key = key.trim().split('.').next().unwrap_or_default();
                match section.as_str() {
                    "package" if key == "name" => name = Some(value.trim().trim_matches('"').to_owned()),
                    _ if section.ends_with("dependencies")
                        && !section.starts_with("workspace")
                        && !section.starts_with("dev-")
                        && !line.starts_with('#') =>
                    {
                        dependencies.push(key.to_owned());
                    }
                    _ => {}
                }
            }
        }
        if let Some(name) = name {
            packages.insert(name, dependencies);
        }
    }
    packages
}

#[test]
fn dependencies_point_one_way() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("clockjack", ["clockjack-ledger", "clockjack-sandbox", "clockjack-schedule"].as_slice()),
        ("clockjack-sandbox", &["clockjack-schedule"]),
        ("clockjack-ledger", &["clockjack-schedule"]),
        ("clockjack-schedule", &[]),
        ("clockjack-fuzz", &["clockjack-schedule"]),
        ("clockjack-sdk", &["clockjack-sdk-macros"]),
        ("clockjack-sdk-macros", &[]),
    ]);
    let packages = packages();
    for name in allowed.keys() {
        assert!(packages.contains_key(*name), "{name} is among {:?}", packages.keys());
    }
    let mut faults = Vec::new();
    for (package, dependencies) in &packages {
        // Every other package is a guest: it knows the SDK.
        let allowed = allowed.get(package.as_str()).copied().unwrap_or(&["clockjack-sdk"]);
        let ours = dependencies.iter().filter(|dependency| dependency.starts_with("clockjack"));
        let unwanted = ours.filter(|dependency| !allowed.contains(&dependency.as_str()));
        faults.extend(unwanted.map(|dependency| format!("{package} depends on {dependency}")));
    }
    assert_none(&faults);
}

#[test]
fn the_core_is_pure() {
    let outside = "tokio tokio-util futures futures-util async-trait async-std smol mio rustix libc rand getrandom \
                   fastrand uuid wasmtime wasmtime-wasi sqlx rusqlite axum hyper reqwest notify tempfile tracing log anyhow";
    let packages = packages();
    let dependencies = &packages["clockjack-schedule"];
    assert!(dependencies.iter().any(|dependency| dependency == "chrono"), "{dependencies:?}");
    let unwanted = dependencies.iter().filter(|dependency| outside.split_whitespace().any(|word| word == **dependency));
    let mut faults: Vec<_> = unwanted.map(|dependency| format!("clockjack-schedule depends on {dependency}")).collect();
    let words = [
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "::now()",
        "async fn",
        ".await;",
        ".await?",
        ".await.",
    ];
    for source in sources(&["rs"]).iter().filter(|source| source.path.starts_with("host/crates/schedule/src/")) {
        for (number, line) in source.lines_without_tests().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            if words.iter().any(|word| line.contains(word)) {
                faults.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn the_tests_know_only_the_program() {
    for source in sources(&["rs"]).iter().filter(|source| source.path.starts_with("tests/it/")) {
        for word in [concat!("clockjack", "_"), concat!("clockjack", "::")] {
            let names = source.text.lines().any(|line| line.trim_start().starts_with("use ") && line.contains(word));
            assert!(!names, "{} uses one of our crates", source.path);
        }
    }
}

/// Functions of the test guests that no test names are dead weight, or a test that was forgotten.
#[test]
fn every_function_of_the_guests_is_called() {
    let tests = sources(&["rs"]).into_iter().filter(|source| source.path.starts_with("tests/it/"));
    let tests: String = tests.map(|source| source.text).collect();
    let mut faults = Vec::new();
    for name in ["hostile", "typed"] {
        let view = clockjack(["inspect", &guest(name), "-o", "json"]).ends_with(0).json();
        let exports = view["exports"].as_array().expect("a list");
        assert!(10 < exports.len(), "{view}");
        for function in exports.iter().filter_map(|export| export["name"].as_str()) {
            // `echo("u8", …)` and `"echo-u8"` are the same function.
            let short = function.strip_prefix("echo-").unwrap_or(function);
            let names = [format!("\"{function}\""), format!("\"{short}\""), format!("call: {function}")];
            if !names.iter().any(|name| tests.contains(name)) {
                faults.push(format!("no test calls `{function}` of {name}"));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn the_version_of_the_engine_is_the_one_that_is_built_in() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("a lock file");
    let (_, after) = lock.split_once("name = \"wasmtime\"\nversion = \"").expect("wasmtime is locked");
    let locked = after.split('"').next().expect("a version");
    let code = fs::read_to_string(root().join("host/crates/sandbox/src/lib.rs")).expect("the sandbox");
    let told = format!("ENGINE_VERSION: &str = \"{locked}\"");
    assert!(
        code.contains(&told),
        "Cargo.lock has wasmtime {locked}; the constant in sandbox/src/lib.rs has another one"
    );
}

#[test]
fn nothing_is_left_behind() {
    // Put together here, so that this file does not find itself.
    let words = [concat!("FIX", "ME"), concat!("XX", "X"), concat!("todo", "!("), concat!("unimpl", "emented!(")];
    let places = [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/")];
    let text = ["rs", "toml", "lock", "md", "yaml", "yml", "sh", "wit", "out", "err", "ok", "py", "json", "txt"];
    let mut faults = Vec::new();
    for source in sources(&text) {
        let all = words.iter().filter(|_| source.path.ends_with(".rs")).chain(&places);
        let found = all.filter(|word| source.text.contains(**word));
        faults.extend(found.map(|word| format!("{}: `{word}`", source.path)));
    }
    // What the examples build here is not committed, but for one.
    let is_built_here = |source: &Source| source.path.starts_with("examples/") && !source.path.contains("/quickstart/");
    for source in sources(&["wasm"]).into_iter().filter(|source| !is_built_here(source)) {
        let found = places.iter().filter(|place| source.text.contains(**place));
        faults.extend(found.map(|place| format!("{}: `{place}`", source.path)));
    }
    assert_none(&faults);
}
