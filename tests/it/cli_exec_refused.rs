//! What `exec` refuses before anything runs: files that are no plugin, functions that are not there, arguments that do
//! not fit. Each as `{"error": {"code", "message", "fix"}}` with exit code 1.

use std::fs::{self, File};

use serde_json::Value as Json;

use crate::{
    cli_exec::result,
    program::clockjack,
    scene::{Scene, guest},
};

/// The error of a refused call, with every field in its place.
#[track_caller]
fn refused(args: &[&str], code: &str) -> Json {
    let result = result(&clockjack(["exec", "-o", "json"]).args(args).end());
    let error = &result["error"];
    assert_eq!(error["code"], code, "{result}");
    for field in ["message", "fix"] {
        assert!(error[field].as_str().is_some_and(|text| !text.is_empty()), "`{field}`: {result}");
    }
    assert!(result.get("outcome").is_none(), "nothing ran: {result}");
    error.clone()
}

#[track_caller]
fn assert_says(error: &Json, field: &str, words: &[&str]) {
    let text = error[field].as_str().unwrap_or_default();
    for word in words {
        assert!(text.contains(word), "`{word}` in {field}: {error}");
    }
}

#[test]
fn files_that_are_no_component() {
    let scene = Scene::new();
    let whole = fs::read(guest("hostile")).expect("a guest");
    scene.put("truncated.wasm", &whole[..whole.len() / 3]);
    scene.put("one-byte-less.wasm", &whole[..whole.len() - 1]);
    scene.put("text.wasm", "not WebAssembly at all\n");
    scene.put("wat.wasm", "(component)\n");
    scene.put("core.wasm", b"\0asm\x01\0\0\0");
    scene.put("garbage.wasm", [b"\0asm\x0d\0\x01\0".as_slice(), &[0xa5; 4_096]].concat());
    scene.put("empty.wasm", "");
    fs::copy(env!("CARGO_BIN_EXE_clockjack"), scene.path("elf.wasm")).expect("an ELF file");
    fs::create_dir(scene.path("folder.wasm")).expect("a folder");
    for (name, words) in [
        ("truncated.wasm", "no valid component"),
        ("one-byte-less.wasm", "no valid component"),
        ("text.wasm", "no WebAssembly component"),
        ("wat.wasm", "text"),
        ("core.wasm", "core module without a `_start` function and without a WIT world"),
        ("garbage.wasm", "no valid component"),
        ("empty.wasm", "empty"),
        ("folder.wasm", "folder"),
    ] {
        assert_says(&refused(&[&scene.arg(name), "f"], "load.invalid"), "message", &[words]);
    }
    // The program itself is larger than any plugin, or native code: either way it is refused.
    let elf = clockjack(["exec", "-o", "json", &scene.arg("elf.wasm")]).ends_with(1).json();
    assert!(["load.invalid", "load.too_large"].iter().any(|code| elf["error"]["code"] == **code), "{elf}");
}

#[test]
fn native_code_is_never_loaded() {
    let scene = Scene::new();
    scene.put("native.wasm", [b"\x7fELF\x02\x01\x01\0".as_slice(), &[0; 4_096]].concat());
    assert_says(&refused(&[&scene.arg("native.wasm")], "load.invalid"), "message", &["native code"]);
}

#[test]
fn a_file_that_is_missing() {
    let scene = Scene::new();
    let path = scene.arg("absent.wasm");
    assert_says(&refused(&[&path, "f"], "load.not_found"), "message", &[&path]);
}

#[test]
fn a_file_that_is_too_large_is_not_even_read() {
    let scene = Scene::new();
    let file = File::create(scene.path("large.wasm")).expect("a file");
    file.set_len(65 << 20).expect("a sparse file");
    assert_says(&refused(&[&scene.arg("large.wasm"), "f"], "load.too_large"), "message", &["65MiB", "64MiB"]);
}

#[test]
fn a_pipe_does_not_hang_it() {
    assert_says(&refused(&["/dev/zero"], "load.invalid"), "message", &["no regular file"]);
}

#[test]
fn a_component_without_functions() {
    let scene = Scene::new();
    scene.put("nothing.wasm", b"\0asm\x0d\0\x01\0");
    assert_says(&refused(&[&scene.arg("nothing.wasm")], "load.type"), "message", &["exports no function"]);
}

#[test]
fn a_function_that_does_not_exist() {
    let hostile = guest("hostile");
    let error = refused(&[&hostile, "slep-ms"], "load.type");
    assert_says(&error, "message", &["`slep-ms`"]);
    assert_says(&error, "fix", &["did you mean `sleep-ms`"]);
    // In the spelling of the source language.
    assert_says(&refused(&[&hostile, "sleep_ms"], "load.type"), "fix", &["sleep-ms"]);
    // Nothing is near: what there is.
    assert_says(&refused(&[&hostile, "zzzzzzzz"], "load.type"), "fix", &["`spin`", "`grow`"]);
    // None is named, and there are several.
    assert_says(&refused(&[&hostile], "load.type"), "fix", &["spin"]);
}

#[test]
fn an_argument_of_the_wrong_type_names_parameter_and_type() {
    let typed = guest("typed");
    for (function, value, found) in [
        ("echo-bool", "7", "bool"),
        ("echo-u8", "256", "u8"),
        ("echo-u8", "-1", "u8"),
        ("echo-s8", "128", "s8"),
        ("echo-u32", "4294967296", "u32"),
        ("echo-u64", "-1", "u64"),
        ("echo-u64", "1.5", "u64"),
        ("echo-s64", "text", "s64"),
        ("echo-f64", "text", "f64"),
        ("echo-f32", "1e39", "f32"),
        ("echo-char", "two", "char"),
        ("echo-numbers", "7", "list<f64>"),
        ("echo-tuple", "[1, a]", "tuple<s32, string, bool>"),
        ("echo-result", "7", "result<u32, string>"),
    ] {
        let error = refused(&[&typed, function, "--arg", &format!("value={value}")], "load.type");
        assert_says(&error, "message", &["args.value"]);
        let whole = format!("{} {}", error["message"], error["fix"]);
        assert!(whole.contains(found), "`{found}`: {error}");
    }
}

#[test]
fn a_wrong_part_is_named_by_its_path() {
    let typed = guest("typed");
    for (function, value, path, words) in [
        ("echo-numbers", "[1, 2, x]", "args.value[2]", "f64"),
        ("echo-lists", "[[a], [b, 7]]", "args.value[1][1]", "string"),
        ("echo-items", "[{name: bolt, count: 70000}]", "args.value[0].count", "65535"),
        ("echo-items", "[{name: bolt, cuont: 7}]", "args.value[0]", "count"),
        ("echo-enum", "low-ish", "args.value", "low"),
        ("echo-flags", "[fragil]", "args.value[0]", "fragile"),
        ("echo-variant", "{dayz: 3}", "args.value", "days"),
        ("echo-variant", "{days: x}", "args.value.days", "u32"),
        ("echo-result", "{ok: x}", "args.value.ok", "u32"),
    ] {
        let error = refused(&[&typed, function, "--arg", &format!("value={value}")], "load.type");
        assert_says(&error, "message", &[path]);
        let whole = format!("{} {}", error["message"], error["fix"]);
        assert!(whole.contains(words), "`{words}`: {error}");
    }
}

#[test]
fn arguments_that_are_missing_or_unknown_are_all_told() {
    let hostile = guest("hostile");
    let error = refused(&[&hostile, "grow"], "load.type");
    assert_says(&error, "message", &["`mib`", "`grow`", "u32"]);
    let all = clockjack(["exec", "-o", "json", &hostile, "fail", "-a", "kund=retry"]).ends_with(1).json();
    let errors = all["errors"].as_array().expect("all of them");
    let messages: Vec<_> = errors.iter().filter_map(|error| error["message"].as_str()).collect();
    for word in ["`kund`", "`kind`", "`message`"] {
        assert!(messages.iter().any(|message| message.contains(word)), "{word}: {messages:?}");
    }
    assert!(all.to_string().contains("did you mean `kind`"), "{all}");
}

#[test]
fn a_directory_to_be_granted_has_to_exist() {
    let scene = Scene::new();
    let dir = format!("{}:/in:read", scene.arg("absent"));
    assert_says(&refused(&[&guest("hostile"), "spin", "--dir", &dir], "load.not_found"), "message", &["absent"]);
}

#[test]
fn people_get_the_same_as_text() {
    let ended = clockjack(["exec", &guest("hostile"), "slep-ms"]).ends_with(1);
    assert_eq!(ended.stdout, "", "there is no data");
    assert_eq!(
        ended.stderr,
        "error[load.type]: the plugin exports no function `slep-ms`\n  = fix: did you mean `sleep-ms`?"
    );
}

#[test]
fn a_manifest_that_is_wrong_stops_it() {
    let scene = Scene::with(
        "version: 1\nplugins: { h: { source: hostile.wasm } }\njobs: { a: { plugin: h, call: spin, every: 0s } }\n",
        &["hostile"],
    );
    let run = |job: &str| clockjack(["exec", "--job", job]).folder(scene.folder()).ends_with(1);
    assert!(run("a").stderr.contains("error[trigger.value]"), "{}", run("a").stderr);
    scene.put("clockjack.yaml", scene.read("clockjack.yaml").replace("0s", "1h").replace("a:", "nightly:"));
    let ended = run("nightli");
    assert!(ended.stderr.contains("did you mean `nightly`"), "{}", ended.stderr);
}

/// Programs get an object on stdout for every reason for which nothing was run.
#[test]
fn a_manifest_or_job_that_is_wrong_is_told_to_programs_too() {
    let scene = Scene::with("", &["hostile"]);
    let refused = |file: &str, job: &str| {
        let args = ["exec", "-o", "json", "-f", file, "--job", job];
        let ended = clockjack(args).folder(scene.folder()).ends_with(1);
        assert_eq!(ended.stderr, "", "talk is for people");
        ended.json()
    };
    let absent = refused("absent.yaml", "a");
    assert_says(&absent["error"], "message", &["`absent.yaml` cannot be read"]);
    assert_says(&absent["error"], "fix", &["-f"]);
    assert_eq!(absent["error"]["code"], "manifest.unreadable");
    let job = "{ plugin: ./hostile.wasm, call: spin, every: 0s, timeout: 0 }";
    scene.put("bad.yaml", format!("jobs:\n  a: {job}\n"));
    let bad = refused("bad.yaml", "a");
    assert_eq!((&bad["error"]["file"], &bad["error"]["line"]), (&"bad.yaml".into(), &2.into()), "{bad:#}");
    assert_eq!(bad["errors"].as_array().map(Vec::len), Some(2), "{bad:#}");
    scene.put("good.yaml", "jobs: { nightly: { plugin: ./hostile.wasm, call: spin, every: 1h } }\n");
    let unknown = refused("good.yaml", "nightli");
    assert_eq!(unknown["error"]["code"], "manifest.unknown_job");
    assert_says(&unknown["error"], "fix", &["did you mean `nightly`?"]);
}
