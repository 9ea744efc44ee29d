//! Memory, values, handles and output: rows A13 to A36.

use super::{Attack, cpu::with_clock};
use crate::{program::clockjack, scene::Scene};

/// A component whose function gives back what a core function has written to memory.
fn returning(ty: &str, n_pages: u32, core: &str) -> String {
    format!(
        "(component (core module $m (memory (export \"m\") {n_pages}) {core})
           (core instance $i (instantiate $m)) (type $r {ty})
           (func (export \"run\") (result $r) (canon lift (core func $i \"run\") (memory (core memory $i \"m\")))))"
    )
}

/// What a plain result looks like: a pointer and a length at zero.
fn fixed(ty: &str, data: &str) -> String {
    returning(ty, 1, &format!("(data (i32.const 0) \"{data}\") (func (export \"run\") (result i32) (i32.const 0))"))
}

#[test]
fn a13_memory_grows_until_it_is_refused() {
    let growing = "(memory 1) (func (export \"run\") (loop (drop (memory.grow (i32.const 16))) (br 0)))";
    Attack::module(growing).job("limits: { memory: 4MiB }").ends("memory.limit", &["4MiB", "`limits.memory`"]);
    let declared = "(memory 128) (func (export \"run\"))";
    Attack::module(declared)
        .job("limits: { memory: 4MiB }")
        .refused_as("memory.limit", &["8MiB", "4MiB", "limits: { memory"]);
}

#[test]
fn a14_forty_instances_with_a_memory_each() {
    let many = |n: u32, pages: u32| {
        let instances: String = (0..n).map(|n| format!("(core instance $i{n} (instantiate $m))")).collect();
        format!(
            "(component (core module $m (memory {pages}) (func (export \"run\"))) {instances}
            (func (export \"run\") (canon lift (core func $i0 \"run\"))))"
        )
    };
    Attack::wat(&many(12, 1024)).ends("memory.limit", &["64MiB", "`limits.memory`"]);
    Attack::wat(&many(40, 1024)).refused_as("instance.limit", &["memories"]);
}

#[test]
fn a15_tables_without_bound() {
    let growing = "(table 1 funcref) (func (export \"run\")
        (loop (drop (table.grow (ref.null func) (i32.const 5000))) (br 0)))";
    Attack::module(growing).ends("table.limit", &["100000", "`limits.table_elements`"]);
    let tables = "(table 10000000 funcref)".repeat(50);
    Attack::module(&format!("{tables} (func (export \"run\"))")).refused_as("instance.limit", &["tables"]);
    Attack::module("(table 10000000 funcref) (func (export \"run\"))")
        .refused_as("table.limit", &["limits.table_elements"]);
}

#[test]
fn a16_instances_that_double() {
    let mut text = "(component $c0 (core module $m) (core instance (instantiate $m)))".to_owned();
    for depth in 1..=9 {
        let inner = depth - 1;
        text = format!(
            "(component $c{depth} {text} (instance (instantiate $c{inner})) (instance (instantiate $c{inner})))"
        );
    }
    let text = format!(
        "(component {text} (instance (instantiate $c9)) (core module $m (func (export \"run\")))
           (core instance $i (instantiate $m)) (func (export \"run\") (canon lift (core func $i \"run\"))))"
    );
    Attack::wat(&text).refused_as("instance.limit", &["instances"]);
}

#[test]
fn a17_garbage_collection() {
    let module = "(type $a (array (mut i8))) (func (export \"run\") (loop (drop (array.new_default $a (i32.const 1000000))) (br 0)))";
    Attack::module(module).refused_as("load.feature", &["gc"]);
}

#[test]
fn a18_shared_memory() {
    Attack::module("(memory 1 1 shared) (func (export \"run\"))").refused_as("load.feature", &["threads"]);
}

#[test]
fn a19_a_list_of_all_there_is() {
    let huge = fixed("(list u8)", "\\00\\00\\00\\00\\ff\\ff\\ff\\ff");
    Attack::wat(&huge).ends("trap.abi", &["out of bounds"]);
}

#[test]
fn a20_lists_that_are_one_list() {
    // 131,072 items, each of which is the same list of one MiB.
    let core = "(func (export \"run\") (result i32) (local $at i32)
        (local.set $at (i32.const 16))
        (loop $next
          (i32.store (local.get $at) (i32.const 0))
          (i32.store offset=4 (local.get $at) (i32.const 1048576))
          (local.set $at (i32.add (local.get $at) (i32.const 8)))
          (br_if $next (i32.lt_u (local.get $at) (i32.const 1048592))))
        (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 131072))
        (i32.const 0))";
    Attack::wat(&returning("(list (list u8))", 32, core)).ends("hostcall.limit", &["16MiB"]);
}

#[test]
fn a21_many_flags_with_long_names() {
    let names: String = (0..32).map(|n| format!(" \"{}{n}\"", "flag-with-a-very-long-name-".repeat(3))).collect();
    let text = format!(
        "(component (core module $m (memory (export \"m\") 16)
             (func (export \"run\") (result i32) (memory.fill (i32.const 16) (i32.const 255) (i32.const 400000))
               (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 100000)) (i32.const 0)))
           (core instance $i (instantiate $m)) (type $f (flags{names})) (export $g \"f\" (type $f))
           (func (export \"run\") (result (list $g)) (canon lift (core func $i \"run\") (memory (core memory $i \"m\")))))"
    );
    Attack::wat(&text).ends("hostcall.limit", &["16MiB"]);
}

#[test]
fn a22_values_that_break_the_rules() {
    let cases = [
        (fixed("string", "\\08\\00\\00\\00\\02\\00\\00\\00\\ff\\fe"), "utf-8"),
        (fixed("string", "\\08\\00\\00\\00\\03\\00\\00\\00\\ed\\a0\\80"), "utf-8"),
        (fixed("(tuple char char)", "\\00\\00\\11\\00"), "char"),
        (fixed("(option u32)", "\\07"), "discriminant"),
        (fixed("(list u32)", "\\01\\00\\00\\00\\01\\00\\00\\00"), "aligned"),
    ];
    for (text, word) in cases {
        Attack::wat(&text).ends("trap.abi", &[word]);
    }
}

/// What a guest imports to log.
const LOG: &str = "(import \"clockjack:job/log@0.1.0\" (instance $log
        (type $l (enum \"trace\" \"debug\" \"info\" \"warn\" \"error\")) (export \"level\" (type $level (eq $l)))
        (export \"log\" (func (param \"level\" $level) (param \"message\" string) (param \"fields\" (list (tuple string string)))))))
    (core module $libc (memory (export \"m\") 2049) (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 0)))
    (core instance $libc (instantiate $libc))
    (core func $say (canon lower (func $log \"log\") (memory (core memory $libc \"m\")) (realloc (core func $libc \"realloc\"))))
    (core module $m (import \"h\" \"say\" (func $say (param i32 i32 i32 i32 i32)))";

fn logging(body: &str) -> String {
    format!(
        "(component {LOG} {body})
           (core instance $i (instantiate $m (with \"h\" (instance (export \"say\" (func $say))))))
           (func (export \"run\") (canon lift (core func $i \"run\"))))"
    )
}

#[test]
fn a23_a_log_line_of_128_mib() {
    let text = logging(
        "(func (export \"run\") (loop (call $say (i32.const 2) (i32.const 0) (i32.const 134217728) (i32.const 0) (i32.const 0)) (br 0)))",
    );
    Attack::wat(&text).job("limits: { memory: 256MiB }").ends("hostcall.limit", &["16MiB"]);
}

#[test]
fn a24_more_random_bytes_than_there_are() {
    let text = "(component
        (import \"wasi:random/random@0.2.0\" (instance $random (export \"get-random-bytes\" (func (param \"len\" u64) (result (list u8))))))
        (core module $libc (memory (export \"m\") 1) (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 8)))
        (core instance $libc (instantiate $libc))
        (core func $get (canon lower (func $random \"get-random-bytes\") (memory (core memory $libc \"m\")) (realloc (core func $libc \"realloc\"))))
        (core module $m (import \"h\" \"get\" (func $get (param i64 i32))) (func (export \"run\") (call $get (i64.const 4294967296) (i32.const 0))))
        (core instance $i (instantiate $m (with \"h\" (instance (export \"get\" (func $get))))))
        (func (export \"run\") (canon lift (core func $i \"run\"))))";
    Attack::wat(text).ends("hostcall.limit", &["64KiB"]);
}

#[test]
fn a27_pollables_that_nobody_drops() {
    let module = "(func (export \"run\") (loop (drop (call $subscribe (i64.const 1000000000))) (br 0)))";
    Attack::wat(&with_clock(module)).ends("handles.limit", &["`limits.handles`"]);
}

/// A component that makes resources of its own, in a loop.
fn resources(body: &str) -> String {
    format!(
        "(component (type $r (resource (rep i32)))
           (core func $new (canon resource.new $r)) (core func $drop (canon resource.drop $r))
           (core module $m (import \"r\" \"new\" (func $new (param i32) (result i32))) (import \"r\" \"drop\" (func $drop (param i32)))
             (func (export \"run\") {body}))
           (core instance $i (instantiate $m (with \"r\" (instance (export \"new\" (func $new)) (export \"drop\" (func $drop))))))
           (func (export \"run\") (canon lift (core func $i \"run\"))))"
    )
}

#[test]
fn a28_resources_of_its_own_without_end() {
    Attack::wat(&resources("(loop (drop (call $new (i32.const 1))) (br 0))"))
        .ends("handles.limit", &["`limits.handles`"]);
}

#[test]
fn a30_tasks_streams_and_futures() {
    let text = "(component (core module $m (func (export \"run\") (result i32) (i32.const 0))
             (func (export \"cb\") (param i32 i32 i32) (result i32) (i32.const 0)))
        (core instance $i (instantiate $m))
        (func (export \"run\") async (canon lift (core func $i \"run\") async (callback (core func $i \"cb\")))))";
    Attack::wat(text).refused_as("load.feature", &["async"]);
}

/// A component that polls a list in which one pollable stands so many times: each is a loan.
fn polling(n_times: u32) -> String {
    let text = "(component $C
        (import \"wasi:io/poll@0.2.0\" (instance $poll (export \"pollable\" (type $p (sub resource)))
            (export \"poll\" (func (param \"in\" (list (borrow $p))) (result (list u32))))))
        (alias export $poll \"pollable\" (type $pollable))
        (import \"wasi:clocks/monotonic-clock@0.2.0\" (instance $clock
            (alias outer $C $pollable (type $p0)) (export \"pollable\" (type $p1 (eq $p0)))
            (export \"subscribe-duration\" (func (param \"when\" u64) (result (own $p1))))))
        (core module $libc (memory (export \"m\") 128) (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 4194304)))
        (core instance $libc (instantiate $libc))
        (core func $poll (canon lower (func $poll \"poll\") (memory (core memory $libc \"m\")) (realloc (core func $libc \"realloc\"))))
        (core func $subscribe (canon lower (func $clock \"subscribe-duration\")))
        (core module $m (import \"h\" \"poll\" (func $poll (param i32 i32 i32))) (import \"h\" \"subscribe\" (func $subscribe (param i64) (result i32)))
            (import \"h\" \"m\" (memory 128))
            (func (export \"run\") (local $p i32) (local $at i32)
                (local.set $p (call $subscribe (i64.const 0)))
                (loop $next (i32.store (local.get $at) (local.get $p))
                    (local.set $at (i32.add (local.get $at) (i32.const 4)))
                    (br_if $next (i32.lt_u (local.get $at) (i32.const END))))
                (loop $again (call $poll (i32.const 0) (i32.const COUNT) (i32.const 8000000)) (br $again))))
        (core instance $i (instantiate $m (with \"h\" (instance (export \"poll\" (func $poll)) (export \"subscribe\" (func $subscribe))
            (export \"m\" (memory $libc \"m\"))))))
        (func (export \"run\") (canon lift (core func $i \"run\"))))";
    text.replace("COUNT", &n_times.to_string()).replace("END", &(4 * n_times).to_string())
}

#[test]
fn a29_a_loan_of_many_handles_at_once() {
    Attack::wat(&polling(5_000)).ends("handles.limit", &["`limits.handles`"]);
    Attack::wat(&polling(100))
        .job("limits: { cpu_time: 200ms, host_calls: 500 }")
        .ends("hostcall.limit", &["`limits.host_calls`"]);
}

#[test]
fn a31_a_poll_on_a_million() {
    Attack::wat(&polling(1_000_000)).ends("handles.limit", &["`limits.handles`"]);
}

#[test]
fn a32_more_input_than_anybody_reads() {
    let scene = Scene::new();
    scene.put(
        "idle.wasm",
        wat::parse_str("(module (func (export \"_start\")) (memory (export \"memory\") 1))").expect("text"),
    );
    let file = std::fs::File::create(scene.path("huge")).expect("a file can be made");
    file.set_len(10 << 30).expect("a sparse file can be made");
    let ended = clockjack(["exec", "idle.wasm", "--stdin", "@huge", "-o", "json"]).folder(scene.folder()).end();
    ended.is_no_crash();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let told = ended.json()["error"].to_string();
    assert!(told.contains("load.too_large") && told.contains("huge") && told.contains("4MiB"), "{told}");
}

#[test]
fn a33_output_without_end() {
    let fought = Attack::guest("hostile", "print")
        .job("args: { bytes: 20000000 }, limits: { output: 256KiB, cpu_time: 30s }")
        .every("1500ms")
        .ends("succeeded", &[]);
    let run = fought.shown();
    let kept = run["stdout"].as_str().expect("text").len();
    assert!(kept < (256 << 10) + 100, "{kept} bytes were kept");
    assert_eq!(run["stdout_bytes"], 20_000_000, "{}", run["stdout_bytes"]);
}

#[test]
fn a34_log_lines_without_end() {
    let fought = Attack::guest("hostile", "flood-log").job("args: { lines: 100000, bytes: 10 }").ends("succeeded", &[]);
    let run = fought.shown();
    assert_eq!(run["logs"].as_array().map(Vec::len), Some(1_000));
    assert_eq!(run["logs_dropped"], 99_000, "{}", run["logs_dropped"]);
}

#[test]
fn a35_a_reader_of_the_log_that_stops_reading() {
    // The log is the one live stream that a host has. Its reader goes to sleep with a full pipe; the jobs go on.
    let scene = Scene::new();
    scene.put("hostile.wasm", std::fs::read(crate::scene::guest("hostile")).expect("a guest"));
    scene.put("canary.wasm", wat::parse_str(super::CANARY).expect("the canary assembles"));
    scene.put(
        "clockjack.yaml",
        "version: 1\njobs:\n  canary: { plugin: ./canary.wasm, every: 100ms }\n  \
         loud: { plugin: ./hostile.wasm, call: fail, args: { kind: retry, message: LONG }, every: 20ms, overlap: allow }\n"
            .replace("LONG", &"x".repeat(1_500)),
    );
    let ledger = format!("sqlite:{}", scene.arg("state.db"));
    let mut host = std::process::Command::new(crate::program::CLOCKJACK)
        .args(["up", "--for", "6s", "--ledger", &ledger, "--log-format", "json"])
        .current_dir(scene.folder())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    // Nothing is read until the host has ended by itself.
    let ended = host.wait().expect("the host ends");
    assert!(ended.success(), "{ended}");
    let told = clockjack(["runs", "--job", "canary", "--outcome", "succeeded", "-n", "1000", "-o", "json"]);
    let told = told.args(["--ledger", &ledger]).folder(scene.folder()).ends_with(0).json();
    let n_runs = told.as_array().map_or(0, Vec::len);
    assert!(40 < n_runs, "{n_runs} runs of the canary in six seconds");
}

#[test]
fn a36_a_result_of_a_hundred_mib() {
    let deep = fixed("(list u8)", "\\00\\00\\00\\00\\00\\00\\01\\00");
    let run = Attack::wat(&deep).job("limits: { output: 1KiB }").ends("succeeded", &[]).shown();
    let note = run["note"].as_str().unwrap_or_default();
    assert!(run["output"].is_null() && note.contains("was not kept") && note.contains("`limits.output`"), "{run:#}");
    let large = "(func (export \"run\") (result i32) (i32.store (i32.const 4) (i32.const 104857600)) (i32.const 0))";
    Attack::wat(&returning("(list u8)", 1_601, large))
        .job("limits: { memory: 128MiB }")
        .ends("hostcall.limit", &["16MiB"]);
}

#[test]
fn a37_a_folder_that_is_filled() {
    let grant = "grants: { dirs: [{ host: ./data, guest: /data, mode: read_write }] }";
    let fill = |args: &str, limits: &str| {
        Attack::guest("hostile", "fill")
            .job(grant)
            .job(&format!("args: {args}, limits: {{ cpu_time: 20s, {limits} }}"))
            .prepare(|scene| std::fs::create_dir(scene.path("data")).expect("a folder can be made"))
    };
    let large = fill("{ folder: /data, files: 1, bytes: 50000000, sparse: false }", "file_bytes: 1MiB");
    let fought = large.ends("fs.denied", &["1MiB", "`limits.file_bytes`"]);
    let written = std::fs::metadata(fought.scene.path("data/0")).expect("it was begun").len();
    assert!(written <= 1 << 20, "{written} bytes");
    let hole = fill("{ folder: /data, files: 1, bytes: 1000000000000, sparse: true }", "file_bytes: 1MiB");
    hole.ends("fs.denied", &["1MiB", "`limits.file_bytes`"]);
    let many = fill("{ folder: /data, files: 100000, bytes: 1, sparse: false }", "files: 100");
    let fought = many.ends("fs.denied", &["100", "`limits.files`"]);
    // Each run makes as many more as it may; what is there already it only opens.
    let n_files = std::fs::read_dir(fought.scene.path("data")).expect("a folder").count();
    assert!(n_files <= 100 * (fought.attacks.len() + 1), "{n_files} files by {} runs", fought.attacks.len());
    Attack::guest("hostile", "deepen")
        .job(grant)
        .job("args: { folder: /data, levels: 10000 }, limits: { files: 100 }")
        .prepare(|scene| std::fs::create_dir(scene.path("data")).expect("a folder can be made"))
        .ends("fs.denied", &["`limits.files`"]);
}
