//! What is counted and what is refused, against guests that try. Names begin with the row of the attack catalogue.

use std::{fs, path::Path};

use clockjack_schedule::{
    counts::Counts,
    job::{DirGrant, DirMode},
    ports::LogLevel,
};
use serde_json::{Value as Json, json};

use super::*;

fn counted(counts: Counts) -> Limits {
    // Time enough for the slowest machine: what is counted ends the guest.
    Limits { counts, cpu_time: Duration::from_secs(20), ..Limits::default() }
}

fn told(report: &Report) -> String {
    format!("{}: {}", report.outcome.code, report.outcome.message)
}

/// A program of preview 1 with the functions for files, clocks and ends. Paths stand in its memory one after another.
fn program(paths: &[&str], body: &str) -> String {
    let mut data = String::new();
    for (index, path) in paths.iter().enumerate() {
        data.push_str(&format!("(data (i32.const {}) \"{path}\")", 1_024 + 256 * index));
    }
    format!(
        r#"(module
             (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
             (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
             (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "fd_pwrite" (func $fd_pwrite (param i32 i32 i32 i64 i32) (result i32)))
             (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
             (import "wasi_snapshot_preview1" "fd_filestat_set_size" (func $set_size (param i32 i64) (result i32)))
             (import "wasi_snapshot_preview1" "path_open"
               (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "path_symlink" (func $symlink (param i32 i32 i32 i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "path_link" (func $link (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "path_rename" (func $rename (param i32 i32 i32 i32 i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
             (memory (export "memory") 32)
             {data}
             ;; Opens the path with that number and length, following links, for reading and writing if it is to be made.
             (func $open (param $dir i32) (param $path i32) (param $len i32) (param $make i32) (result i32)
               (call $path_open (local.get $dir) (i32.const 1)
                 (i32.add (i32.const 1024) (i32.mul (i32.const 256) (local.get $path))) (local.get $len)
                 (local.get $make) (select (i64.const 66) (i64.const 2) (local.get $make)) (i64.const 0) (i32.const 0)
                 (i32.const 16)))
             (func $opened (result i32) (i32.load (i32.const 16)))
             ;; Writes so many bytes of its memory.
             (func $write (param $fd i32) (param $size i32) (result i32)
               (i32.store (i32.const 0) (i32.const 65536)) (i32.store (i32.const 4) (local.get $size))
               (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
             (func $write_at (param $fd i32) (param $size i32) (param $offset i64) (result i32)
               (i32.store (i32.const 0) (i32.const 65536)) (i32.store (i32.const 4) (local.get $size))
               (call $fd_pwrite (local.get $fd) (i32.const 0) (i32.const 1) (local.get $offset) (i32.const 8)))
             ;; Ends with the answer of a function as exit code.
             (func $end (param $errno i32) (call $exit (local.get $errno)))
             (func (export "_start") {body}))"#
    )
}

fn dir(host: &Path, guest: &str, mode: DirMode) -> DirGrant {
    DirGrant { index: 0, host: host.to_path_buf(), guest: guest.to_owned(), mode }
}

async fn run_in(wat: &str, limits: &Limits, dirs: Vec<DirGrant>) -> Report {
    let plugin = load(wat, limits.fuel.is_some()).unwrap();
    let grants = Grants { dirs, ..Grants::default() };
    let call = Call::prepare(&plugin, None, &Arguments::None, limits, &grants).map_err(|p| format!("{p:?}")).unwrap();
    SANDBOX.run(&call, facts()).await
}

/// A function of the hostile guest, which is a component of WASI 0.2.
async fn hostile(function: &str, args: Json, limits: &Limits, dirs: Vec<DirGrant>) -> Report {
    static HOSTILE: LazyLock<Arc<Plugin>> = LazyLock::new(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/guests/hostile.wasm");
        Arc::new(Plugin::load(&SANDBOX, &path, None, false).unwrap())
    });
    let Json::Object(args) = args else { panic!("arguments are a map") };
    let grants = Grants { dirs, ..Grants::default() };
    let call = Call::prepare(&HOSTILE, Some(function), &Arguments::Named(args), limits, &grants);
    SANDBOX.run(&call.map_err(|p| format!("{p:?}")).unwrap(), facts()).await
}

#[tokio::test]
async fn a05_filling_memory_costs_fuel_by_the_byte() {
    let fill = |size: u32| {
        format!("(memory 256) (func (export \"run\") (memory.fill (i32.const 0) (i32.const 1) (i32.const {size})))")
    };
    let fuel = async |size| {
        let limits = Limits { fuel: Some(1_000_000), ..quick() };
        run_with(&component(&fill(size)), limits).await
    };
    let (small, large) = (fuel(1_000).await, fuel(500_000).await);
    assert!(1_000 <= small.fuel_used.unwrap() && small.fuel_used.unwrap() < 1_100, "{:?}", small.fuel_used);
    assert!(500_000 <= large.fuel_used.unwrap() && large.fuel_used.unwrap() < 500_100, "{:?}", large.fuel_used);
    assert_eq!(fuel(16 << 20).await.outcome.code, OutcomeCode::Fuel);
}

/// A component that asks for the time, again and again.
fn asking(body: &str) -> String {
    format!(
        r#"(component
             (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock (export "now" (func (result u64)))))
             (core func $now (canon lower (func $clock "now")))
             (core module $m (import "" "now" (func $now (result i64))) (func (export "run") (local $n i32) {body}))
             (core instance $i (instantiate $m (with "" (instance (export "now" (func $now))))))
             (func (export "run") (canon lift (core func $i "run"))))"#
    )
}

fn times(n: u32, call: &str) -> String {
    format!(
        "(loop (drop {call}) (local.set $n (i32.add (local.get $n) (i32.const 1)))
           (br_if 0 (i32.lt_u (local.get $n) (i32.const {n}))))"
    )
}

#[tokio::test]
async fn a06_calls_into_the_host_are_counted() {
    let limits = || counted(Counts { host_calls_max: 1_000, ..Counts::default() });
    let expected = "hostcall.limit: the guest called the host more than 1000 times (`limits.host_calls`)";
    assert_eq!(told(&run_with(&asking("(loop (drop (call $now)) (br 0))"), limits()).await), expected);
    // One that is quicker than the tick is told, too.
    assert_eq!(told(&run_with(&asking(&times(1_001, "(call $now)")), limits()).await), expected);
    let enough = run_with(&asking(&times(1_000, "(call $now)")), limits()).await;
    assert_eq!((enough.outcome.code, enough.usage.host_calls), (OutcomeCode::Succeeded, 1_000));
    let clock = "(call $clock (i32.const 1) (i64.const 1) (i32.const 64))";
    let endless = program(&[], &format!("(loop (drop {clock}) (br 0))"));
    assert_eq!(told(&run_with(&endless, limits()).await), expected);
    let quick_one = program(&[], &format!("(local $n i32) {} (call $exit (i32.const 3))", times(1_001, clock)));
    assert_eq!(told(&run_with(&quick_one, limits()).await), expected);
}

#[tokio::test]
async fn an_instantiation_has_a_limit_of_its_own() {
    let in_start = component("(func $s (loop (br 0))) (start $s) (func (export \"run\"))");
    let limits = Limits { startup: Some(Duration::from_millis(50)), ..counted(Counts::default()) };
    let report = run_with(&in_start, limits.clone()).await;
    assert_eq!(
        told(&report),
        "timeout.wall: while it was being instantiated: the guest took longer than its 50ms (`limits.startup`)"
    );
    let started = component("(func (export \"run\"))");
    assert_eq!(run_with(&started, limits).await.outcome.code, OutcomeCode::Succeeded);
}

#[test]
fn a17_garbage_collection_is_refused_when_the_component_is_loaded() {
    let bomb = component("(type $s (struct (field i64))) (func (export \"run\") (drop (struct.new_default $s)))");
    let error = load(&bomb, false).map(drop).unwrap_err();
    assert_eq!(error.code.to_string(), "load.feature", "{}", error.message);
}

#[tokio::test]
async fn a26_a27_resources_that_are_never_given_back_meet_their_limit() {
    let forgetful = r#"(component
        (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type (sub resource)))))
        (alias export $poll "pollable" (type $pollable))
        (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
          (alias outer 1 $pollable (type $outer))
          (export "pollable" (type $p (eq $outer)))
          (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
        (core func $subscribe (canon lower (func $clock "subscribe-duration")))
        (core module $m (import "" "s" (func $s (param i64) (result i32)))
          (func (export "run") (loop (drop (call $s (i64.const 1))) (br 0))))
        (core instance $i (instantiate $m (with "" (instance (export "s" (func $subscribe))))))
        (func (export "run") (canon lift (core func $i "run"))))"#;
    let report = run_with(forgetful, counted(Counts::default())).await;
    assert_eq!(
        told(&report),
        "handles.limit: the guest holds more than 4096 handles, or more than 256 open files, streams and timers (`limits.handles`)"
    );
    let report = run_with(forgetful, counted(Counts { handles_max: 100, ..Counts::default() })).await;
    assert!(told(&report).contains("more than 100 handles"), "{}", told(&report));
    assert!(report.usage.host_calls < 400, "{:?}", report.usage);
}

#[tokio::test]
async fn a28_handles_of_the_guests_own_meet_their_limit() {
    let flood = r#"(component
        (type $r (resource (rep i32)))
        (core func $new (canon resource.new $r))
        (core module $m (import "" "new" (func $new (param i32) (result i32)))
          (func (export "run") (loop (drop (call $new (i32.const 1))) (br 0))))
        (core instance $i (instantiate $m (with "" (instance (export "new" (func $new))))))
        (func (export "run") (canon lift (core func $i "run"))))"#;
    let report = run_with(flood, counted(Counts { handles_max: 500, ..Counts::default() })).await;
    assert_eq!(report.outcome.code, OutcomeCode::HandlesLimit, "{}", told(&report));
    assert!(told(&report).contains("more than 500 handles"), "{}", told(&report));
}

#[tokio::test]
async fn a34_log_lines_are_kept_up_to_the_limit_and_counted_beyond() {
    let limits = counted(Counts { log_lines_max: 10, ..Counts::default() });
    let report = hostile("flood-log", json!({ "lines": 50, "bytes": 100 }), &limits, vec![]).await;
    assert_eq!((report.logs.len(), report.n_logs_dropped, report.usage.log_lines), (10, 40, 50), "{}", told(&report));
    assert!(5_000 <= report.usage.log_bytes);
    let limits = counted(Counts { log_bytes_max: 1_000, ..Counts::default() });
    let report = hostile("flood-log", json!({ "lines": 50, "bytes": 400 }), &limits, vec![]).await;
    assert!(report.logs.len() < 3, "{} lines", report.logs.len());
    assert_eq!(report.logs.len() as u64 + report.n_logs_dropped, 50);
}

#[tokio::test]
async fn a37_bytes_that_are_written_are_counted_and_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let dirs = || vec![dir(folder.path(), "/d", DirMode::ReadWrite)];
    let limits = counted(Counts { file_bytes_max: 1 << 20, ..Counts::default() });
    let expected = "fs.denied: the guest wrote more than 1MiB into files; holes count, too (`limits.file_bytes`)";
    let make = "(drop (call $open (i32.const 3) (i32.const 0) (i32.const 1) (i32.const 1)))";
    for (body, size_max) in [
        ("(loop (drop (call $write (call $opened) (i32.const 65536))) (br 0))", 1 << 20),
        // Nothing is written where the end of it would lie beyond.
        ("(drop (call $write_at (call $opened) (i32.const 1) (i64.const 1099511627776)))", 0),
        ("(drop (call $set_size (call $opened) (i64.const 1099511627776)))", 0),
    ] {
        let report = run_in(&program(&["f"], &format!("{make} {body}")), &limits, dirs()).await;
        assert_eq!(told(&report), expected, "{body}");
        let file = folder.path().join("f");
        assert_eq!(fs::metadata(&file).unwrap().len(), size_max, "{body}");
        fs::remove_file(file).unwrap();
    }
    // What is written over and over is written, too; what stdout gets is not.
    let again = times(9, "(call $write_at (call $opened) (i32.const 131072) (i64.const 0))");
    let over = format!("(local $n i32) {make} {again}");
    assert_eq!(told(&run_in(&program(&["f"], &over), &limits, dirs()).await), expected);
    let printing = format!("(local $n i32) {}", times(40, "(call $write (i32.const 1) (i32.const 65536))"));
    let report = run_in(&program(&[], &printing), &limits, dirs()).await;
    assert_eq!((report.outcome.code, report.usage.file_bytes_written), (OutcomeCode::Succeeded, 0));
    assert_eq!(report.usage.output_bytes, 40 * 65_536);
    // The same for components.
    let text = |n_bytes: usize| json!({ "path": "/d/g", "text": "x".repeat(n_bytes) });
    assert_eq!(told(&hostile("write-file", text((1 << 20) + 1), &limits, dirs()).await), expected);
    let report = hostile("write-file", text(1 << 20), &limits, dirs()).await;
    assert_eq!((report.outcome.code, report.usage.file_bytes_written), (OutcomeCode::Succeeded, 1 << 20));
    assert_eq!(report.usage.files_created, 0, "the file is there already");
}

#[tokio::test]
async fn a37_files_that_are_made_are_counted_and_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let dirs = || vec![dir(folder.path(), "/d", DirMode::ReadWrite)];
    let limits = counted(Counts { files_max: 3, ..Counts::default() });
    let paths = ["a", "b", "c", "d", "e"];
    let path = |n: usize| 1_024 + 256 * n;
    let mkdir = |n: usize| format!("(drop (call $mkdir (i32.const 3) (i32.const {}) (i32.const 1)))", path(n));
    let make = |n: usize| format!("(drop (call $open (i32.const 3) (i32.const {n}) (i32.const 1) (i32.const 1)))");
    let link = |n: usize| {
        format!(
            "(drop (call $symlink (i32.const {}) (i32.const 1) (i32.const 3) (i32.const {}) (i32.const 1)))",
            path(0),
            path(n)
        )
    };
    let all = [mkdir(0), make(1), link(2), mkdir(3)].concat();
    let report = run_in(&program(&paths, &all), &limits, dirs()).await;
    assert_eq!(told(&report), "fs.denied: the guest made more than 3 files, folders and links (`limits.files`)");
    assert!(folder.path().join("c").is_symlink() && !folder.path().join("d").exists());
    // What is there already, and what could not be made, was not made.
    let again = [mkdir(0), make(1), link(2), mkdir(0), make(1), make(4)].concat();
    let report = run_in(&program(&paths, &again), &limits, dirs()).await;
    assert_eq!((report.outcome.code, report.usage.files_created), (OutcomeCode::Succeeded, 1), "{}", told(&report));
    let none = counted(Counts { files_max: 0, ..Counts::default() });
    let report = hostile("write-file", json!({ "path": "/d/new", "text": "" }), &none, dirs()).await;
    assert_eq!(told(&report), "fs.denied: the guest made more than 0 files, folders and links (`limits.files`)");
}

/// A folder `in` with a file and links, beside one that is not granted.
fn scene() -> tempfile::TempDir {
    let scene = tempfile::tempdir().unwrap();
    for folder in ["in", "in/sub", "out"] {
        fs::create_dir(scene.path().join(folder)).unwrap();
    }
    fs::write(scene.path().join("in/a"), "kept").unwrap();
    fs::write(scene.path().join("out/secret"), "kept").unwrap();
    let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, scene.path().join(at)).unwrap();
    link("../out/secret", "in/relative");
    link(scene.path().join("out").to_str().unwrap(), "in/absolute");
    link("relative", "in/chain");
    link("loop", "in/loop");
    scene
}

#[tokio::test]
async fn a38_a39_a40_what_leads_out_of_a_directory_is_refused_and_named() {
    let scene = scene();
    let dirs = || vec![dir(&scene.path().join("in"), "/in", DirMode::ReadWrite)];
    let paths = ["../out/secret", "/etc/passwd", "sub/../../out", "relative", "absolute/secret", "chain", "absolute/"];
    for (index, path) in paths.iter().enumerate() {
        let body = format!(
            "(call $end (call $open (i32.const 3) (i32.const {index}) (i32.const {}) (i32.const 0)))",
            path.len()
        );
        let report = run_in(&program(&paths, &body), &counted(Counts::default()), dirs()).await;
        let start = format!("`open` of `/in/{path}` was refused: ");
        assert_eq!(report.outcome.code, OutcomeCode::FsDenied, "{path}: {}", told(&report));
        assert!(report.outcome.message.starts_with(&start), "{}", told(&report));
        assert!(report.outcome.message.contains("leads out of the granted directory `/in`"), "{}", told(&report));
        assert!(
            report.outcome.message.ends_with("; the guest said: the command ended with exit code 63"),
            "{}",
            told(&report)
        );
    }
    for path in ["/in/../out/secret", "/in/relative", "/in/absolute/secret"] {
        let report = hostile("read-file", json!({ "path": path }), &counted(Counts::default()), dirs()).await;
        assert_eq!(report.outcome.code, OutcomeCode::FsDenied, "{path}: {}", told(&report));
        assert!(report.outcome.message.contains("; the guest said: "), "{}", told(&report));
    }
    // A loop is an error of the path, and what is not granted at all is not there.
    for path in ["/in/loop", "/in/missing", "/elsewhere"] {
        let report = hostile("read-file", json!({ "path": path }), &counted(Counts::default()), dirs()).await;
        assert_eq!(report.outcome.code, OutcomeCode::Failed, "{path}: {}", told(&report));
    }
    assert_eq!(fs::read_to_string(scene.path().join("out/secret")).unwrap(), "kept");
}

#[tokio::test]
async fn a41_a42_a_directory_for_reading_stays_as_it_is() {
    let scene = scene();
    fs::create_dir(scene.path().join("rw")).unwrap();
    fs::write(scene.path().join("rw/mine"), "mine").unwrap();
    let dirs = || {
        vec![
            dir(&scene.path().join("in"), "/in", DirMode::Read),
            dir(&scene.path().join("rw"), "/rw", DirMode::ReadWrite),
        ]
    };
    let (a, new, mine) =
        ("(i32.const 1024) (i32.const 1)", "(i32.const 1280) (i32.const 3)", "(i32.const 1536) (i32.const 4)");
    for body in [
        "(call $end (call $open (i32.const 3) (i32.const 0) (i32.const 1) (i32.const 8)))".to_owned(),
        "(call $end (call $open (i32.const 3) (i32.const 1) (i32.const 3) (i32.const 1)))".to_owned(),
        format!("(call $end (call $mkdir (i32.const 3) {new}))"),
        format!("(call $end (call $unlink (i32.const 3) {a}))"),
        format!("(call $end (call $symlink {a} (i32.const 3) {new}))"),
        format!("(call $end (call $link (i32.const 4) (i32.const 0) {mine} (i32.const 3) {new}))"),
        format!("(call $end (call $rename (i32.const 4) {mine} (i32.const 3) {new}))"),
    ] {
        let report = run_in(&program(&["a", "new", "mine"], &body), &counted(Counts::default()), dirs()).await;
        assert_eq!(report.outcome.code, OutcomeCode::FsDenied, "{body}: {}", told(&report));
        let why = "the directory `/in` is granted with `mode: read` (`grants.dirs`)";
        assert!(report.outcome.message.contains(why), "{body}: {}", told(&report));
        assert_eq!(report.usage.files_created, 0, "{body}");
    }
    assert_eq!(fs::read_to_string(scene.path().join("in/a")).unwrap(), "kept");
    assert!(!scene.path().join("in/new").exists() && scene.path().join("rw/mine").exists());
    let report =
        hostile("write-file", json!({ "path": "/in/a", "text": "changed" }), &counted(Counts::default()), dirs()).await;
    assert!(
        told(&report).starts_with("fs.denied: `open` of `/in/a` was refused: the directory `/in` is granted"),
        "{}",
        told(&report)
    );
}

#[tokio::test]
async fn a44_pipes_and_devices_are_not_opened() {
    let scene = scene();
    let pipe = scene.path().join("in/pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o666.into(), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(scene.path().join("in/socket")).unwrap();
    let dirs = || vec![dir(&scene.path().join("in"), "/in", DirMode::ReadWrite)];
    let began = tokio::time::Instant::now();
    for name in ["pipe", "socket"] {
        let report =
            hostile("read-file", json!({ "path": format!("/in/{name}") }), &counted(Counts::default()), dirs()).await;
        let expected = format!("fs.denied: `open` of `/in/{name}` was refused: it is neither a file nor a directory");
        assert!(told(&report).starts_with(&expected), "{}", told(&report));
        let body =
            format!("(call $end (call $open (i32.const 3) (i32.const 0) (i32.const {}) (i32.const 0)))", name.len());
        let report = run_in(&program(&[name], &body), &counted(Counts::default()), dirs()).await;
        assert!(told(&report).starts_with(&expected), "{}", told(&report));
    }
    assert!(began.elapsed() < Limits::default().timeout, "nothing waited for the other end");
}

#[tokio::test]
async fn a_guest_that_lives_with_a_refusal_succeeds_and_the_host_says_so() {
    let scene = scene();
    let dirs = vec![dir(&scene.path().join("in"), "/in", DirMode::Read)];
    let body = "(drop (call $open (i32.const 3) (i32.const 0) (i32.const 13) (i32.const 0)))
        (drop (call $open (i32.const 3) (i32.const 0) (i32.const 13) (i32.const 0)))";
    let report = run_in(&program(&["../out/secret"], body), &counted(Counts::default()), dirs).await;
    assert_eq!(report.outcome.code, OutcomeCode::Succeeded);
    let [line] = report.logs.as_slice() else { panic!("one line: {:?}", report.logs) };
    assert_eq!(line.level, LogLevel::Warn);
    assert_eq!(
        line.message,
        "`open` of `/in/../out/secret` was refused: it leads out of the granted directory `/in` (`grants.dirs`) (the first of 2 refusals)"
    );
}

#[tokio::test]
async fn a46_a48_nothing_is_there_but_what_was_granted_and_nothing_stays() {
    let report = hostile("env", json!({}), &counted(Counts::default()), vec![]).await;
    assert_eq!(report.outcome.output, Some(json!([])));
    // The first run writes all over its memory and its global; the second one would see it.
    let marking = "(memory 4) (global $g (mut i32) (i32.const 0))
        (func (export \"run\") (local $n i32)
          (if (global.get $g) (then unreachable))
          (loop (if (i32.load (local.get $n)) (then unreachable))
            (local.set $n (i32.add (local.get $n) (i32.const 4))) (br_if 0 (i32.lt_u (local.get $n) (i32.const 262144))))
          (global.set $g (i32.const 1))
          (memory.fill (i32.const 0) (i32.const 170) (i32.const 262144)))";
    let marking = component(marking);
    for _ in 0..100 {
        let report = run_with(&marking, counted(Counts::default())).await;
        assert_eq!(report.outcome.code, OutcomeCode::Succeeded, "{}", told(&report));
    }
}

#[tokio::test]
async fn a49_a_place_of_the_pool_that_another_one_had() {
    // Two jobs take turns: each finds zeros in its memory and nothing in its table, and leaves both full.
    let guest = |global: u32| {
        component(&format!(
            "(memory 4) (global $g (mut i32) (i32.const {global})) (table $t 64 funcref) (elem declare func $f) (func $f)
             (func (export \"run\") (local $at i32)
               (if (i32.ne (global.get $g) (i32.const {global})) (then unreachable))
               (global.set $g (i32.const -1))
               (loop $next
                 (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then unreachable))
                 (local.set $at (i32.add (local.get $at) (i32.const 8)))
                 (br_if $next (i32.lt_u (local.get $at) (i32.const 262144))))
               (memory.fill (i32.const 0) (i32.const 0xaa) (i32.const 262144))
               (local.set $at (i32.const 0))
               (loop $next
                 (if (i32.eqz (ref.is_null (table.get $t (local.get $at)))) (then unreachable))
                 (table.set $t (local.get $at) (ref.func $f))
                 (local.set $at (i32.add (local.get $at) (i32.const 1)))
                 (br_if $next (i32.lt_u (local.get $at) (i32.const 64)))))"
        ))
    };
    let calls = [1, 2].map(|global| {
        let plugin = load(&guest(global), false).unwrap();
        Call::prepare(&plugin, None, &Arguments::None, &Limits::default(), &Grants::default())
            .map_err(|problems| format!("{problems:?}"))
            .unwrap()
    });
    for round in 0..5_000 {
        for call in &calls {
            let report = SANDBOX.run(call, facts()).await;
            assert_eq!(report.outcome.code, OutcomeCode::Succeeded, "round {round}: {}", report.outcome.message);
        }
    }
}
