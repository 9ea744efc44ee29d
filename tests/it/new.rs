//! `clockjack new`: what it writes, and what it refuses. That its projects build and run is shown beside the examples.

use std::fs;

use crate::{program::clockjack, scene::Scene};

const LANGUAGES: [&str; 6] = ["rust", "js", "ts", "python", "go", "c"];

#[test]
fn each_language_gets_a_whole_project() {
    let scene = Scene::new();
    for lang in LANGUAGES {
        let name = format!("nightly-{lang}");
        let made = clockjack(["new", "--lang", lang, &name]).folder(scene.folder()).ends_with(0);
        assert!(made.stdout.contains("clockjack exec --job hello"), "{}", made.stdout);
        for path in ["clockjack.yaml", "build.sh", "test.sh", "README.md", ".gitignore", ".editorconfig", ".vscode"] {
            assert!(scene.path(&name).join(path).exists(), "{lang} has no {path}");
        }
        let readme = fs::read_to_string(scene.path(&name).join("README.md")).expect("a text");
        assert!(readme.starts_with(&format!("# {name}\n")) && readme.lines().count() <= 20, "{readme}");
        let left = clockjack(["new", "--lang", lang, &name]).folder(scene.folder()).ends_with(1);
        assert!(left.stderr.contains("is not empty"), "{}", left.stderr);
        nothing_is_left_open(&scene.path(&name));
    }
}

/// No placeholder of a template is left, and scripts can be run.
#[track_caller]
fn nothing_is_left_open(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if !path.ends_with("clockjack-sdk") {
                nothing_is_left_open(&path);
            }
            continue;
        }
        let text = String::from_utf8_lossy(&fs::read(&path).expect("a file")).into_owned();
        for word in ["name", "snake", "language", "tools", "files", "unit_tests", "extension", "schema"] {
            assert!(!text.contains(&format!("{{{{{word}}}}}")), "{} has a {word} to be filled in", path.display());
        }
        if path.extension().is_some_and(|extension| extension == "sh") {
            assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o111, 0o111, "{}", path.display());
        }
    }
}

#[test]
fn names_that_no_tool_would_take_are_refused() {
    let scene = Scene::new();
    for name in ["Nightly", "1st", "a--b", "a_b", "a-1", "-x", "é", &"a".repeat(65)] {
        let refused = clockjack(["new", "--lang", "rust", "--", name]).folder(scene.folder()).ends_with(1);
        assert!(refused.stderr.contains("such as `nightly-report`"), "{}", refused.stderr);
    }
    clockjack(["new", "--lang", "cobol", "nightly"]).folder(scene.folder()).ends_with(2);
    assert_eq!(fs::read_dir(scene.folder()).expect("a folder").count(), 0);
}
