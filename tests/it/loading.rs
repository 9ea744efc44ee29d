//! Files of strangers, from the outside: bytes that are no plugin, bombs for the compiler, files that change meanwhile, and
//! a cache that somebody has touched. Each test is a row of the catalogue of attacks and is called after it.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value as Json;

use crate::{
    hosted::{Hosted, ends, wait, wait_next},
    program::{Clockjack, clockjack},
    scene::{Scene, guest},
};

/// A budget that tests have time for.
pub(crate) const BUDGET: &str = "host: { ceilings: { compile_cpu_time: 2s, compile_memory: 192MiB } }\n";

/// A manifest with all these files as plugins, and a job of another one that is good.
pub(crate) fn with_plugins<'a>(head: &str, files: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> Scene {
    let scene = Scene::new();
    let jobs = "jobs: { good: { plugin: good, every: 1h } }";
    let mut manifest = format!("version: 1\n{head}{jobs}\nplugins:\n  good: ./good.wasm\n");
    scene.put("good.wasm", component(""));
    for (name, bytes) in files {
        scene.put(&format!("{name}.wasm"), bytes);
        manifest.push_str(&format!("  {name}: ./{name}.wasm\n"));
    }
    scene.put("clockjack.yaml", manifest);
    scene
}

fn check(scene: &Scene) -> Clockjack {
    clockjack(["check", "-o", "json"]).folder(scene.folder())
}

/// What is found wrong, with its severity.
#[track_caller]
fn findings(scene: &Scene) -> Vec<Json> {
    let ended = check(scene).end();
    ended.is_no_crash();
    ended.json()["diagnostics"].as_array().cloned().unwrap_or_default()
}

/// The one thing that is wrong with one file.
#[track_caller]
fn refusal(head: &str, bytes: Vec<u8>) -> (String, String) {
    let findings = findings(&with_plugins(head, [("plugin", bytes)]));
    assert_eq!(findings.len(), 1, "{findings:#?}");
    let text = |key: &str| findings[0][key].as_str().unwrap_or_default().to_owned();
    assert!(!text("fix").is_empty(), "{findings:#?}");
    (text("code"), text("message"))
}

fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the test's text assembles")
}

/// A component with one function, from a core module that has a function `run`.
pub(crate) fn component(module: &str) -> Vec<u8> {
    wasm(&format!(
        "(component (core module $m {module} (func (export \"run\"))) (core instance $i (instantiate $m))
           (func (export \"run\") (canon lift (core func $i \"run\"))))"
    ))
}

/// Nested loops over many locals: the time of the optimising allocator of registers grows with the square of both.
pub(crate) fn loops(n_loops: usize, n_locals: usize) -> Vec<u8> {
    let locals = "i64 ".repeat(n_locals);
    let uses: String =
        (0..n_locals).map(|n| format!("(local.set {n} (i64.add (local.get {n}) (i64.const 1)))")).collect();
    let open = "(loop ".repeat(n_loops);
    let close = "(br_if 0 (i64.eqz (local.get 0))))".repeat(n_loops);
    component(&format!("(func (local {locals}) {open} {uses} {close})"))
}

/// Very many functions, each of which is little.
pub(crate) fn functions(n: usize) -> Vec<u8> {
    component(&"(func (param i32) (result i32) (i32.add (local.get 0) (i32.const 7)))".repeat(n))
}

#[test]
fn a66_random_truncated_and_flipped_bytes_are_refused_without_a_panic() {
    let whole = wasm(
        "(component (core module $m (memory (export \"mem\") 1) (data (i32.const 0) \"0123456789abcdef\")
             (func (export \"run\") (param i32 i32) (result i32) (local i64) (loop (br_if 0 (local.get 0))) (i32.const 8))
             (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 16)))
           (core instance $i (instantiate $m))
           (func (export \"run\") (param \"name\" string) (result (list u8)) (canon lift (core func $i \"run\")
             (memory (core memory $i \"mem\")) (realloc (core func $i \"realloc\")))))",
    );
    // A small generator with a known beginning: the same bytes in each run.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    let mut variants: Vec<Vec<u8>> = (0..whole.len()).step_by(64).map(|end| whole[..end].to_vec()).collect();
    let larger = fs::read(guest("typed")).expect("a guest");
    variants.extend((1..40).map(|n| larger[..n * 64].to_vec()));
    for head in [whole[..8].to_vec(), b"\0asm\x01\0\0\0".to_vec(), Vec::new()] {
        variants.extend((0..30).map(|n| [head.clone(), (0..n * 17).map(|_| random()).collect()].concat()));
    }
    while variants.len() < 320 {
        let mut flipped = whole.clone();
        let place = 8 + usize::from(random()) * (whole.len() - 8) / 256;
        flipped[place] ^= 1 << (random() % 8);
        variants.push(flipped);
    }
    let names: Vec<String> = (0..variants.len()).map(|n| format!("v{n}")).collect();
    let scene = with_plugins("", names.iter().map(String::as_str).zip(variants));
    let findings = findings(&scene);
    assert!(200 < findings.len(), "{}", findings.len());
    for finding in &findings {
        let code = finding["code"].as_str().unwrap_or_default();
        assert!(
            ["load.invalid", "load.feature", "load.import", "load.type", "memory.limit"].contains(&code),
            "{finding}"
        );
        assert!(finding["message"].as_str().is_some_and(|message| message.len() < 3_000), "{finding}");
    }
}

#[test]
fn a67_what_is_no_component_is_told_apart() {
    let engine = wasmtime::Engine::default();
    let native = engine.precompile_component(&component("")).expect("it compiles");
    let cases = [
        ("empty", Vec::new()),
        ("core", b"\0asm\x01\0\0\0".to_vec()),
        ("reactor", wasm("(module (func (export \"_initialize\")))")),
        ("foreign", wasm("(module (import \"env\" \"f\" (func)) (func (export \"_start\")))")),
        ("text", b"(component)\n".to_vec()),
        ("prose", b"not WebAssembly at all\n".to_vec()),
        ("later", b"\0asm\x63\0\0\0".to_vec()),
        ("elf", native),
        ("half", component("")[..40].to_vec()),
    ];
    let scene = with_plugins("", cases);
    let pipe = Command::new("mkfifo").arg(scene.path("pipe.wasm")).status();
    assert!(pipe.is_ok_and(|status| status.success()), "a pipe");
    let more = "  pipe: ./pipe.wasm\n  device: /dev/zero\n";
    scene.put("clockjack.yaml", scene.read("clockjack.yaml") + more);
    let findings = findings(&scene);
    let told: BTreeSet<String> = findings
        .iter()
        .map(|finding| {
            let message = finding["message"].as_str().unwrap_or_default();
            message.split_once("`: ").map_or(message, |(_, message)| message).to_owned()
        })
        .collect();
    // The module without anything and the reactor are the same mistake.
    assert_eq!((findings.len(), told.len()), (11, 10), "{told:#?}");
    for words in ["is a pipe", "is a device", "native code", "WebAssembly text", "is empty"] {
        assert!(told.iter().any(|message| message.contains(words)), "{words}: {told:#?}");
    }
    // A WIT package is a component that does nothing: no job can be made of it.
    let package = "(component (type $w (component (type (instance (export \"f\" (func)))) (export \"a:b/c\" (instance (type 0)))))
                     (export \"w\" (type $w)))";
    let scene = with_plugins("", [("package", wasm(package))]);
    scene.put("clockjack.yaml", "version: 1\njobs: { j: { plugin: ./package.wasm, every: 1h } }\n");
    let ended = check(&scene).ends_with(1).json();
    assert_eq!(ended["diagnostics"][0]["code"], "load.type", "{ended}");
}

#[test]
fn a68_a_sparse_giant_is_not_read() {
    let scene = with_plugins("", [("giant", Vec::new())]);
    File::create(scene.path("giant.wasm")).and_then(|file| file.set_len(100 << 30)).expect("a sparse file");
    let found = findings(&scene);
    assert_eq!(found[0]["code"], "load.too_large", "{found:#?}");
    let message = found[0]["message"].as_str().unwrap_or_default();
    assert!(message.contains("100GiB") && message.contains("64MiB"), "{message}");
}

#[test]
fn a69_names_of_strangers_are_cut_and_harmless() {
    let evil = format!("\\1b]0;owned\\07\\e2\\80\\ae<script>{}", "x".repeat(50_000));
    let long = format!("a{}", "b".repeat(50_000));
    let harmless = |text: &str| !text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}');
    for bytes in [
        wasm(&format!("(module (import \"{evil}\" \"{evil}\" (func)) (func (export \"_start\")))")),
        wasm(&format!("(component (import \"{long}\" (func)))")),
    ] {
        let (code, message) = refusal("", bytes);
        assert_eq!(code, "load.import", "{}", message.len());
        assert!(message.len() < 4_000 && harmless(&message), "{} {}", message.len(), message.escape_debug());
    }
    // Many custom sections with such names, in what is fine otherwise; and a function with a long name.
    let sections = format!("(@custom \"{evil}\" \"x\")").repeat(50);
    let scene = with_plugins("", [("plugin", component(&sections))]);
    assert_eq!(findings(&scene), Vec::<Json>::new());
    let named = wasm(&format!(
        "(component (core module $m (func (export \"run\"))) (core instance $i (instantiate $m))
           (func (export \"{long}\") (canon lift (core func $i \"run\"))))"
    ));
    scene.put("plugin.wasm", named);
    let page = clockjack(["inspect", &scene.arg("plugin.wasm")]).ends_with(0).stdout;
    assert!(page.len() < 4_000 && harmless(&page), "{}", page.len());
    scene.put("clockjack.yaml", "version: 1\njobs: { j: { plugin: ./plugin.wasm, call: other, every: 1h } }\n");
    let ended = check(&scene).ends_with(1);
    assert!(ended.stdout.len() < 6_000, "{}", ended.stdout.len());
}

#[test]
fn a70_a_compile_cpu_bomb_runs_slowly_or_not_at_all() {
    // What only the optimisations cannot bear runs without them.
    let scene = with_plugins(BUDGET, [("bomb", loops(200, 1_000))]);
    let found = findings(&scene);
    assert_eq!((found.len(), &found[0]["code"]), (1, &"load.slow".into()), "{found:#?}");
    // What costs too much either way does not.
    let tight = "host: { ceilings: { compile_cpu_time: 1s } }\n";
    let (code, message) = refusal(tight, functions(150_000));
    assert_eq!(code, "load.budget", "{message}");
    assert!(message.contains("budget of 1s of processor time (`host.ceilings`)"), "{message}");
}

#[test]
fn a71_a_compile_memory_bomb_ends_only_its_child() {
    let segments = format!("(memory 1) {}", "(data (i32.const 0) \"x\")".repeat(90_000));
    let head = "host: { ceilings: { compile_memory: 32MiB } }\n";
    let scene = with_plugins(head, [("functions", functions(100_000)), ("segments", component(&segments))]);
    let mut running = check(&scene).start();
    let peak = running.memory_peak();
    let ended = running.end();
    ended.is_no_crash();
    let found = ended.json()["diagnostics"].as_array().cloned().unwrap_or_default();
    let of = |name: &str| {
        found
            .iter()
            .find(|f| f["message"].as_str().is_some_and(|message| message.contains(&format!("plugin `{name}`"))))
    };
    let functions = of("functions").expect("it is refused");
    assert_eq!(functions["code"], "load.budget", "{functions}");
    let message = functions["message"].as_str().unwrap_or_default();
    assert!(message.contains("budget of 32MiB of memory (`host.ceilings`)"), "{message}");
    if let Some(segments) = of("segments") {
        assert!(["load.budget", "load.invalid"].iter().any(|code| segments["code"] == **code), "{segments}");
    }
    // The process that a host would be holds the file, and not what the compiler made of it.
    assert!(0 < peak && peak < 300 << 20, "{peak}");
}

#[test]
fn a_larger_budget_counts_from_the_next_reload_on() {
    let hosted = Hosted::with("jobs: { steady: { plugin: ./good.wasm, every: 100ms } }\n");
    hosted.scene.put("good.wasm", component(""));
    hosted.scene.put("large.wasm", functions(30_000));
    let manifest = |jobs: &str, memory: &str| {
        let ceilings = format!("host: {{ ceilings: {{ compile_memory: {memory} }} }}");
        hosted.scene.put("clockjack.yaml", format!("version: 1\n{ceilings}\njobs:\n{jobs}"));
    };
    let steady = "  steady: { plugin: ./good.wasm, every: 100ms }\n";
    let both = format!("{steady}  large: {{ plugin: ./large.wasm, every: 1h }}\n");
    manifest(steady, "16MiB");
    let mut host = hosted.up(&[]).start();
    wait(&mut host, "a run", ends("steady"));
    for (memory, answer) in [("16MiB", "not reloaded"), ("16MiB", "not reloaded"), ("1GiB", "manifest reloaded")] {
        manifest(&both, memory);
        host.signal("HUP");
        let line = wait_next(&mut host, "an answer", |line| line.message.contains("reloaded"));
        assert!(line.message.starts_with(answer), "{memory}: {}", host.log.join("\n"));
    }
}

/// Components in components, deeper than any text may nest.
fn nested(depth: usize) -> Vec<u8> {
    let mut whole = b"\0asm\x0d\0\x01\0".to_vec();
    for _ in 0..depth {
        let mut section = vec![4];
        let mut length = whole.len();
        while 0x7f < length {
            section.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
            length >>= 7;
        }
        section.push(u8::try_from(length).expect("seven bits"));
        whole = [b"\0asm\x0d\0\x01\0".as_slice(), &section, &whole].concat();
    }
    whole
}

#[test]
fn a72_nesting_doubling_and_huge_tables_of_branches_are_refused() {
    let mut doubling = "(component (type $t0 (tuple u8 u8))".to_owned();
    (1..30).for_each(|n| doubling.push_str(&format!("(type $t{n} (tuple $t{} $t{}))", n - 1, n - 1)));
    let branches = format!("(func (block (br_table {} (i32.const 0))))", "0 ".repeat(65_522));
    let imports: String = (0..1_500).map(|n| format!("(import \"i{n}\" (func))")).collect();
    for (name, bytes, codes) in [
        ("doubling", wasm(&(doubling + ")")), ["load.invalid", "load.type"]),
        ("branches", component(&branches), ["load.invalid", "load.feature"]),
        ("imports", wasm(&format!("(component {imports})")), ["load.import", "load.invalid"]),
    ] {
        let (code, message) = refusal(BUDGET, bytes);
        assert!(codes.contains(&code.as_str()), "{name}: {code}: {message}");
        assert!(message.len() < 4_000, "{name}: {}", message.len());
    }
    // Components that only lie in each other cost the engine nothing, so they are as good as an empty one.
    assert_eq!(findings(&with_plugins(BUDGET, [("nested", nested(2_000))])), Vec::<Json>::new());
}

/// The processes that a process has started and that are there now.
fn children(parent: u32) -> usize {
    let stat = |path: PathBuf| fs::read_to_string(path.join("stat")).unwrap_or_default();
    let processes = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok).map(|entry| stat(entry.path()));
    // `12 (name) S 1 …`: what follows the name is the state and the parent. One that is gone already does not count.
    let is_child = |stat: &String| {
        let mut words = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        words.next() != Some("Z") && words.next().and_then(|word| word.parse().ok()) == Some(parent)
    };
    processes.filter(is_child).count()
}

#[test]
fn a73_many_bombs_are_compiled_one_at_a_time() {
    let head = "host: { ceilings: { compile_cpu_time: 2s, compile_memory: 16MiB } }\n";
    let names: Vec<String> = (0..12).map(|n| format!("bomb{n}")).collect();
    // Each of them is another file.
    let bombs = names.iter().enumerate().map(|(n, name)| (name.as_str(), functions(30_000 + n)));
    let scene = with_plugins(head, bombs);
    let mut running = check(&scene).start();
    let mut most = 0;
    while running.goes_on() {
        most = most.max(children(running.id()));
    }
    let ended = running.end();
    let found = ended.json()["diagnostics"].as_array().cloned().unwrap_or_default();
    assert_eq!(found.len(), 12, "the good one is none of them");
    assert!(found.iter().all(|finding| finding["code"] == "load.budget"), "{:#}", found[0]);
    assert_eq!(most, 1);
}

#[test]
fn a74_imports_that_are_not_there_are_named() {
    for (text, code, words) in [
        ("(import \"acme:x/y@1.0.0\" (instance (export \"f\" (func))))", "load.import", "`acme:x/y@1.0.0`"),
        (
            "(import \"wasi:random/random@0.2.0\" (instance (export \"get-random-u64\" (func (result string)))))",
            "load.type",
            "wasi:random/random@0.2.0",
        ),
        ("(import \"clockjack:job/log@9.0.0\" (instance (export \"write\" (func))))", "load.", "clockjack:job"),
        ("(import \"wasi:cli/environment@0.3.0\" (instance (export \"f\" (func))))", "load.import", "0.3.0"),
    ] {
        let (found, message) = refusal("", wasm(&format!("(component {text})")));
        assert!(found.starts_with(code) && message.contains(words), "{found}: {message}");
    }
}

#[test]
fn a75_a_half_written_file_leaves_what_runs_as_it_is() {
    let hosted = Hosted::with("jobs: { steady: { plugin: typed, call: nothing, every: 100ms } }\n");
    let mut host = hosted.up(&[]).start();
    wait(&mut host, "a run", ends("steady"));
    let whole = fs::read(hosted.scene.path("typed.wasm")).expect("a guest");
    hosted.scene.put("typed.wasm", &whole[..whole.len() / 2]);
    host.signal("HUP");
    wait_next(&mut host, "an answer", |line| line.message == "manifest reloaded");
    assert!(host.log.iter().any(|line| line.contains("stays: load.invalid")), "{}", host.log.join("\n"));
    wait_next(&mut host, "a run of the old code", ends("steady"));
    // A pinned file that is replaced by a valid one is not run either.
    hosted.scene.put("typed.wasm", component(""));
    let pin = "jobs: { steady: { plugin: pinned, call: nothing, every: 100ms } }\n";
    let digest = clockjack(["inspect", "-o", "json", &guest("typed")]).beside_nothing().ends_with(0).json();
    let pinned = digest["sha256"].as_str().unwrap_or_default();
    hosted.scene.put(
        "clockjack.yaml",
        format!("version: 1\nplugins: {{ pinned: {{ source: ./typed.wasm, sha256: {pinned} }} }}\n{pin}"),
    );
    host.signal("HUP");
    let line = wait_next(&mut host, "an answer", |line| line.message.contains("reloaded"));
    assert!(line.message.starts_with("not reloaded"), "{}", line.message);
    assert!(host.log.iter().any(|line| line.contains("load.digest")), "{}", host.log.join("\n"));
    // Whole again, it is taken.
    hosted.scene.put("typed.wasm", &whole);
    host.signal("HUP");
    let line = wait_next(&mut host, "an answer", |line| line.message.contains("reloaded"));
    assert!(line.message.starts_with("manifest reloaded"), "{}", host.log.join("\n"));
}

#[test]
fn a76_planted_native_code_is_never_loaded() {
    let native = wasmtime::Engine::default().precompile_component(&component("")).expect("it compiles");
    let (code, message) = refusal("", native.clone());
    assert_eq!(code, "load.invalid");
    assert!(message.contains("native code"), "{message}");
    // Beside the file and under every name that a cache could have, it changes nothing.
    let scene = with_plugins("", [("plugin", component(""))]);
    for name in ["plugin.cwasm", "plugin.wasm.cwasm", "plugin.code"] {
        scene.put(name, &native);
    }
    assert_eq!(findings(&scene), Vec::<Json>::new());
}

/// The entries of a cache.
fn entries(cache: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cache.join("clockjack")).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "code")).collect()
}

#[test]
fn a77_a_tampered_cache_is_told_and_made_again() {
    let hosted = Hosted::with("jobs: { once: { plugin: typed, call: nothing, every: 100ms } }\n");
    let cache = hosted.scene.path("cache");
    let up = || hosted.up(&[]).env("XDG_CACHE_HOME", &cache);
    let mut host = up().start();
    wait(&mut host, "a run", ends("once"));
    drop(host);
    let kept = entries(&cache);
    assert_eq!(kept.len(), 3, "the three plugins of the manifest: {kept:?}");
    let whole: Vec<_> = kept.iter().map(|path| fs::read(path).expect("an entry")).collect();
    for (path, bytes) in kept.iter().zip(&whole) {
        let mut changed = bytes.clone();
        let place = changed.len() / 2;
        changed[place] ^= 1;
        fs::write(path, changed).expect("an entry can be written");
    }
    let mut host = up().start();
    wait_next(&mut host, "a warning", |line| line.message.contains("compiled code is not used and made again"));
    wait(&mut host, "a run", ends("once"));
    drop(host);
    for (path, bytes) in kept.iter().zip(&whole) {
        let again = fs::read(path).expect("it was made again");
        assert_eq!(again[..48].len(), bytes[..48].len());
        assert!(again == *bytes || again.len() == bytes.len(), "{}", path.display());
    }
    // What is as it was left is used.
    let ended = up().args(["--for", "300ms"]).ends_with(0);
    assert!(!ended.stderr.contains("made again"), "{}", ended.stderr);
}

#[test]
fn a78_other_bytes_unsigned_bytes_and_older_bytes_are_refused() {
    let folder = |scene: &Scene| scene.folder().to_path_buf();
    let sign = |path: &Path, pair: &minisign::KeyPair, time: u64| {
        let bytes = File::open(path).expect("a file");
        let comment = format!("timestamp:{time}\tfile:plugin.wasm");
        let signed = minisign::sign(Some(&pair.pk), &pair.sk, bytes, Some(&comment), None).expect("a signature");
        fs::write(path.with_added_extension("minisig"), signed.into_string()).expect("a file");
    };
    let pair = || minisign::KeyPair::generate_unencrypted_keypair().expect("keys");
    let (trusted, stranger) = (pair(), pair());
    let scene = Scene::new();
    fs::create_dir(folder(&scene).join("plugins")).expect("a folder");
    let (old, new) = (component(""), component("(memory 1)"));
    scene.put("plugins/plugin.wasm", &new);
    let plugin = scene.path("plugins/plugin.wasm");
    let manifest = format!(
        "version: 1\nhost: {{ trusted_keys: [{{ folder: ./plugins, keys: [\"{}\"] }}] }}\nplugins: {{ p: ./plugins/plugin.wasm }}\n\
         jobs: {{ j: {{ plugin: p, every: 1h }} }}\n",
        trusted.pk.to_base64()
    );
    scene.put("clockjack.yaml", manifest);
    let code = |args: &[&str]| {
        let ended = clockjack(["check", "-o", "json"]).args(args).folder(scene.folder()).end();
        let json = ended.json();
        json["diagnostics"][0]["code"].as_str().unwrap_or("ok").to_owned()
    };
    assert_eq!(code(&[]), "load.signature", "no signature");
    sign(&plugin, &stranger, 2_000);
    assert_eq!(code(&[]), "load.signature", "of a stranger");
    sign(&plugin, &trusted, 2_000);
    assert_eq!(code(&[]), "ok");
    assert_eq!(code(&["--locked"]), "load.digest", "no pin yet");
    clockjack(["lock"]).folder(scene.folder()).ends_with(0);
    assert_eq!(code(&["--locked"]), "ok");
    let exec = |args: &[&str]| clockjack(["exec", "--job", "j", "-o", "json"]).args(args).folder(scene.folder()).end();
    assert_eq!(exec(&["--locked"]).code, Some(0));
    // What the command line names in place of the job's file is pinned by nothing.
    for job in [&["--job", "j"][..], &[]] {
        let args = [job, &["plugins/plugin.wasm", "-o", "json", "--locked"]].concat();
        let refused = clockjack(["exec"].iter().chain(&args)).folder(scene.folder()).ends_with(1).json();
        assert_eq!(refused["error"]["code"], "load.digest", "{refused}");
    }
    // Another file under the old signature, then an older file that was signed well.
    scene.put("plugins/plugin.wasm", &old);
    assert_eq!(code(&[]), "load.signature", "the signature is of other bytes");
    sign(&plugin, &trusted, 1_000);
    assert_eq!(code(&[]), "ok", "nobody asked for the pins");
    assert_eq!(code(&["--locked"]), "load.digest", "older bytes");
    let refused = exec(&["--locked"]);
    assert_eq!((refused.code, &refused.json()["error"]["code"]), (Some(1), &"load.digest".into()));
    // A link into the folder, and one out of it, are no way around.
    std::os::unix::fs::symlink(&plugin, scene.path("link.wasm")).expect("a link");
    fs::remove_file(scene.path("plugins/plugin.wasm.minisig")).expect("the signature");
    scene.put("clockjack.yaml", scene.read("clockjack.yaml").replace("p: ./plugins/plugin.wasm", "p: ./link.wasm"));
    assert_eq!(code(&[]), "load.signature", "through a link");
    // A file without a manifest, signed by a key that is named on the command line.
    let run = |key: &minisign::KeyPair| {
        clockjack(["exec", "-o", "json", &scene.arg("plugins/plugin.wasm"), "--trusted-key", &key.pk.to_base64()]).end()
    };
    sign(&plugin, &trusted, 1_000);
    assert_eq!(run(&trusted).code, Some(0));
    assert_eq!(run(&stranger).json()["error"]["code"], "load.signature");
}
