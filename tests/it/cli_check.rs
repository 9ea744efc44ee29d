//! `clockjack check` end to end: each `tests/cli/check/*.yaml` beside what the program says of it in `.out`.
//!
//! The program runs in a folder with the case and some plugins, good and bad, so that no path of the machine is in the
//! answer. Cases whose name ends in `_json` are asked for as JSON. `UPDATE_EXPECT=1` writes the answers anew.

use std::{fs, path::PathBuf};

use expect_test::expect_file;
use serde_json::Value as Json;

use crate::{
    program::{Ended, clockjack},
    scene::{Scene, guest, root},
};

/// What cases may name as plugins and folders.
fn scene() -> Scene {
    let scene = Scene::new();
    for name in ["typed", "hostile", "command"] {
        fs::copy(guest(name), scene.path(&format!("{name}.wasm"))).expect("a guest");
    }
    scene.put("text.wasm", "this is no component\n");
    scene.put("core.wasm", b"\0asm\x01\0\0\0");
    scene.put("empty.wasm", "");
    scene.put("nothing.wasm", b"\0asm\x0d\0\x01\0");
    // A section of 255 bytes, of which six are there: the words about it do not change with a guest.
    scene.put("truncated.wasm", b"\0asm\x0d\0\x01\0\x01\xff\x01\0asm\x01\0");
    let store = r#"(component (import "acme:store/keys@1.0.0" (instance (export "get" (func (param "key" string))))))"#;
    scene.put("imports.wasm", wat::parse_str(store).expect("a component"));
    fs::create_dir(scene.path("data")).expect("a folder");
    scene
}

fn cases() -> Vec<PathBuf> {
    let folder = root().join("tests/cli/check");
    let entries = fs::read_dir(folder).expect("the folder of cases").map(|entry| entry.expect("an entry").path());
    let mut cases: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    cases.sort();
    cases
}

fn check(scene: &Scene, args: &[&str]) -> Ended {
    let ended = clockjack(["check"]).args(args).folder(scene.folder()).end();
    ended.is_no_crash();
    ended
}

#[test]
fn cases_say_what_they_said() {
    let scene = scene();
    let cases = cases();
    assert!(20 < cases.len(), "the cases are found");
    for case in cases {
        let name = case.file_name().and_then(|name| name.to_str()).expect("a name");
        scene.put(name, fs::read(&case).expect("a case"));
        let format = if name.ends_with("_json.yaml") { ["-o", "json"].as_slice() } else { &[] };
        let Ended { code, stdout, stderr } = check(&scene, &[&["-f", name], format].concat());
        let code = code.expect("an exit code");
        let mut said = format!(
            "$ clockjack check -f {name}{}\n",
            format.iter().map(|word| format!(" {word}")).collect::<String>()
        );
        for text in [stdout.trim_end(), stderr.trim_end()].into_iter().filter(|text| !text.is_empty()) {
            said.push_str(&format!("{text}\n"));
        }
        said.push_str(&format!("exit {code}\n"));
        assert!(!said.contains(&scene.folder().display().to_string()), "the paths are as they were written: {said}");
        expect_file![case.with_extension("out")].assert_eq(&said);
    }
}

/// Both forms of the answer are the same findings in the same order, and the fields are those of the contract.
#[test]
fn json_says_the_same_as_text() {
    let scene = scene();
    for case in cases() {
        let name = case.file_name().and_then(|name| name.to_str()).expect("a name");
        scene.put(name, fs::read(&case).expect("a case"));
        let (text, json) = (check(&scene, &["-f", name]), check(&scene, &["-f", name, "-o", "json"]));
        assert_eq!((text.code, &*json.stderr), (json.code, ""), "{name}");
        let view = json.json();
        assert_eq!(view["ok"], json.code == Some(0), "{name}");
        let findings = view["diagnostics"].as_array().expect("a list");
        let titles = findings.iter().map(|found| {
            for field in ["line", "column", "end_line", "end_column"] {
                assert!(found[field].as_u64().is_some_and(|number| 0 < number), "{name}: {found}");
            }
            let text = |field: &str| found[field].as_str().unwrap_or_else(|| panic!("{name}: {field}: {found}"));
            format!("{}[{}]: {}", text("severity"), text("code"), text("message"))
        });
        let told = text.stderr.lines().filter(|line| line.starts_with("error[") || line.starts_with("warning["));
        // A title of several lines is told by its first one.
        let titles = titles.map(|title| title.lines().next().unwrap_or_default().to_owned());
        assert_eq!(told.map(str::to_owned).collect::<Vec<_>>(), titles.collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn a_manifest_that_is_too_large_is_refused_unread() {
    let scene = scene();
    let comment = format!("# {}\n", "x".repeat(100));
    scene.put("large.yaml", format!("version: 1\n{}", comment.repeat(3_000)));
    let ended = check(&scene, &["-f", "large.yaml"]);
    assert_eq!(ended.code, Some(1));
    for word in ["`large.yaml`", "manifest.too_large", "262144"] {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
}

#[test]
fn bombs_are_refused_quickly() {
    let scene = scene();
    let laughs = (1..30).map(|n| format!("x-{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(", ")));
    scene.put("laughs.yaml", format!("version: 1\nx-0: &a0 [1]\n{}jobs: {{}}\n", laughs.collect::<String>()));
    scene.put("deep.yaml", format!("version: 1\njobs: {}\n", "[".repeat(100_000)));
    scene.put("keys.yaml", format!("version: 1\njobs:\n{}", "  a: { every: 1h }\n".repeat(12_000)));
    for name in ["laughs.yaml", "deep.yaml", "keys.yaml"] {
        let began = crate::program::now();
        let ended = check(&scene, &["-f", name]);
        assert_eq!(ended.code, Some(1), "{name}");
        assert!(ended.stderr.len() < 2_000_000, "{name}: {} bytes", ended.stderr.len());
        assert!(began.elapsed().as_secs() < 20, "{name}: {:?}", began.elapsed());
    }
}

#[test]
fn what_is_no_manifest_is_told() {
    let scene = scene();
    fs::create_dir(scene.path("hollow")).expect("a folder");
    for (args, words) in [
        (vec![], "`clockjack.yaml` cannot be read"),
        (vec!["-f", "absent.yaml"], "`absent.yaml` cannot be read"),
        (vec!["-f", "hollow"], "`hollow` holds no `.yaml` file"),
        (vec!["-f", "typed.wasm"], "no UTF-8 text"),
        (vec!["-f", "/dev/zero"], "no regular file"),
    ] {
        let ended = check(&scene, &args);
        assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{args:?}");
        assert!(ended.stderr.contains(words), "{args:?}: {}", ended.stderr);
    }
}

#[test]
fn a_folder_of_manifests_and_includes() {
    let scene = scene();
    fs::create_dir(scene.path("conf.d")).expect("a folder");
    let job =
        |id: &str| format!("version: 1\njobs: {{ {id}: {{ plugin: ../typed.wasm, call: nothing, every: 1h }} }}\n");
    scene.put("conf.d/a.yaml", job("first"));
    scene.put("conf.d/b.yaml", job("second"));
    scene.put("clockjack.yaml", "version: 1\ninclude: [conf.d/*.yaml]\n");
    for args in [["-o", "json"].as_slice(), &["-o", "json", "-f", "conf.d"]] {
        let view = check(&scene, args).json();
        let jobs: Vec<_> =
            view["jobs"].as_array().into_iter().flatten().filter_map(|job| job["job"].as_str()).collect();
        assert_eq!((&view["ok"], jobs), (&Json::Bool(true), vec!["first", "second"]), "{view}");
    }
    scene.put("conf.d/c.yaml", job("first"));
    let ended = check(&scene, &[]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("`first`") && ended.stderr.contains("c.yaml"), "{}", ended.stderr);
}

#[test]
fn the_quickstart_is_right() {
    let manifest = root().join("examples/quickstart/clockjack.yaml").display().to_string();
    let ended = clockjack(["check", "-f", &manifest]).ends_with(0);
    assert!(ended.stdout.ends_with("ok: 5 jobs, 1 plugin\n"), "{}", ended.stdout);
}
