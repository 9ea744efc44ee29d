//! Programs of WASI preview 1: core modules that run as they are.

use super::*;

/// A program with the usual imports, a memory and the given functions.
fn program(module: &str) -> String {
    format!(
        r#"(module
             (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
             (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "environ_sizes_get" (func $env_sizes (param i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "environ_get" (func $env (param i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
             (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
             (memory (export "memory") 2)
             {module})"#
    )
}

fn start(body: &str) -> String {
    program(&format!("(func (export \"_start\") {body})"))
}

/// Writes `size` bytes from 8192 on to a stream.
const SAY: &str = "(func $say (param $stream i32) (param $size i32)
    (i32.store (i32.const 0) (i32.const 8192)) (i32.store (i32.const 4) (local.get $size))
    (drop (call $write (local.get $stream) (i32.const 0) (i32.const 1) (i32.const 8))))";

#[tokio::test]
async fn every_exit_code_survives() {
    let mut told = Vec::new();
    for body in [
        "",
        "(call $exit (i32.const 0))",
        "(call $exit (i32.const 3))",
        "(call $exit (i32.const 130))",
        "(call $exit (i32.const -1))",
    ] {
        let report = run_with(&start(body), quick()).await;
        let output = report.outcome.output.map(|output| output.to_string()).unwrap_or_default();
        told.push(format!("{}: {}{output}", report.outcome.code, report.outcome.message));
    }
    expect![[r#"
        succeeded: {"exit_code":0}
        succeeded: {"exit_code":0}
        failed: the command ended with exit code 3{"exit_code":3}
        failed: the command ended with exit code 130{"exit_code":130}
        failed: the command ended with exit code 255{"exit_code":255}"#]]
    .assert_eq(&told.join("\n"));
}

#[tokio::test]
async fn a_program_has_the_bounds_of_any_guest() {
    let cpu = "timeout.cpu: the guest used up its processor time of 50ms (`limits.cpu_time`)";
    let told = async |wat: &str, limits: Limits| {
        let outcome = run_with(wat, limits).await.outcome;
        format!("{}: {}", outcome.code, outcome.message)
    };
    assert_eq!(told(&start("(loop (br 0))"), quick()).await, cpu);
    let in_start = program("(func $s (loop (br 0))) (start $s) (func (export \"_start\"))");
    check(&in_start, quick(), expect!["timeout.cpu: while it was being instantiated: the guest used up its processor time of 50ms (`limits.cpu_time`)"]).await;
    let growing = start("(loop (drop (memory.grow (i32.const 16))) (br 0))");
    check(
        &growing,
        Limits { memory_bytes_max: 4 << 20, ..quick() },
        expect!["memory.limit: the guest asked for 4.1MiB of memory in all; its limit is 4MiB (`limits.memory`)"],
    )
    .await;
    let fuel = Limits { fuel: Some(10_000), ..quick() };
    check(
        &start("(loop (br 0))"),
        fuel,
        expect!["fuel: the guest used up its fuel of 10000 instructions (`limits.fuel`)"],
    )
    .await;
    check(
        &start("unreachable"),
        quick(),
        expect!["trap.unreachable: wasm trap: wasm `unreachable` instruction executed"],
    )
    .await;
    let deep = program("(func $deep (export \"_start\") (call $deep))");
    check(
        &deep,
        quick(),
        expect!["stack.overflow: the guest's call stack was exhausted; it has 512KiB, and no key changes that"],
    )
    .await;
    // A clock subscription at 0: relative, an hour. The guest sleeps in a host call, where no tick reaches it.
    let asleep = start(
        "(i64.store (i32.const 24) (i64.const 3600000000000)) (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))",
    );
    let short = Limits { timeout: Duration::from_millis(50), ..Limits::default() };
    check(&asleep, short, expect!["timeout.wall: the attempt took longer than its timeout of 50ms (`timeout`)"]).await;
    let greedy = start("(drop (call $random (i32.const 0) (i32.const 131072)))");
    check(
        &greedy,
        quick(),
        expect![
            "hostcall.limit: the guest asked for more than 64KiB of random bytes in one call, and no key changes that"
        ],
    )
    .await;
}

#[tokio::test]
async fn a_program_sees_its_words_and_the_facts_of_its_attempt() {
    // Sizes at 16 and 20, pointers at 1024, text at 8192.
    let wat = program(&format!(
        "{SAY} (func (export \"_start\")
            (drop (call $args_sizes (i32.const 16) (i32.const 20))) (drop (call $args (i32.const 1024) (i32.const 8192)))
            (call $say (i32.const 1) (i32.load (i32.const 20)))
            (drop (call $env_sizes (i32.const 16) (i32.const 20))) (drop (call $env (i32.const 1024) (i32.const 8192)))
            (call $say (i32.const 2) (i32.load (i32.const 20))))"
    ));
    let plugin = load(&wat, false).unwrap();
    let grants = Grants { env: [("MODE".to_owned(), "dry".to_owned())].into(), ..Grants::default() };
    let args = Arguments::Listed(vec!["--days".into(), 30.into()]);
    let call =
        Call::prepare(&plugin, None, &args, &quick(), &grants).map_err(|problems| format!("{problems:?}")).unwrap();
    let report = SANDBOX.run(&call, facts()).await;
    assert_eq!(report.outcome.code, OutcomeCode::Succeeded, "{}", report.outcome.message);
    assert_eq!(report.stdout.text, "job\0--days\x0030\0");
    expect![[r#"
        MODE=dry
        CLOCKJACK_RUN_ID=01a3185c-5000-8a31-9d23-80922c154783
        CLOCKJACK_JOB=test
        CLOCKJACK_ATTEMPT=1
        CLOCKJACK_MAX_ATTEMPTS=1
        CLOCKJACK_CAUSE=schedule
        CLOCKJACK_SCHEDULED_FOR=2027-01-15T08:00:00Z
        CLOCKJACK_STARTED_AT=2027-01-15T08:00:00Z
        CLOCKJACK_DEADLINE=2027-01-15T08:00:05Z
        CLOCKJACK_TIME_ZONE=UTC
    "#]]
    .assert_eq(&report.stderr.text.replace('\0', "\n"));
}

#[tokio::test]
async fn a_program_that_is_asked_to_stop_is_stopped() {
    let plugin = load(&start("(loop (br 0))"), false).unwrap();
    let limits = Limits { timeout: Duration::from_secs(30), cpu_time: Duration::from_secs(30), ..Limits::default() };
    let call = Call::prepare(&plugin, None, &Arguments::None, &limits, &Grants::default()).map_err(drop).unwrap();
    let facts = facts();
    let stop = facts.attempt.stop.clone();
    let (report, ()) = tokio::join!(SANDBOX.run(&call, facts), async { stop.request() });
    assert_eq!(report.outcome.code, OutcomeCode::Cancelled);
}

#[test]
fn what_is_no_program_for_this_host_is_refused_with_the_names() {
    let told = |wat: &str| match load(wat, false) {
        Ok(plugin) => format!("{:?} {} {:?}", plugin.form, plugin.functions[0].name, plugin.imports),
        Err(error) => format!("{}: {}; {}", error.code, error.message, error.fix),
    };
    let foreign = |module: &str, name: &str| {
        format!("(module (import \"{module}\" \"{name}\" (func)) (func (export \"_start\")))")
    };
    let many: String = (0..11).map(|n| format!("(import \"env\" \"f{n}\" (func))")).collect();
    let cases = [
        start(""),
        foreign("env", "emscripten_sleep"),
        foreign("wasi_unstable", "fd_write"),
        foreign("clockjack:job/log@0.1.0", "log"),
        "(module (import \"wasi\" \"thread-spawn\" (func (param i32) (result i32))) (func (export \"_start\")))"
            .to_owned(),
        format!("(module {many} (func (export \"_start\")))"),
        foreign("wasi_snapshot_preview1", "fd_shout"),
        foreign("wasi_snapshot_preview1", "proc_exit"),
        "(module (func (export \"_start\") (param i32)))".to_owned(),
        "(module (func (export \"run\")))".to_owned(),
        "(module (memory 1) (global (export \"_start\") i32 (i32.const 0)))".to_owned(),
        "(module (memory i64 1) (func (export \"_start\")))".to_owned(),
        "(module (memory 65536) (func (export \"_start\")))".to_owned(),
    ];
    expect![[r#"
        Program _start ["wasi_snapshot_preview1"]
        load.import: the program imports `env.emscripten_sleep`, and a WASI preview-1 program gets nothing but `wasi_snapshot_preview1`; link what is missing into the program, or build it as a component for `wasm32-wasip2`
        load.import: the program imports `wasi_unstable.fd_write`, and a WASI preview-1 program gets nothing but `wasi_snapshot_preview1`; rebuild it with a toolchain that makes `wasm32-wasip1`; `wasi_unstable` is the draft before preview 1
        load.import: the program imports `clockjack:job/log@0.1.0.log`, and a WASI preview-1 program gets nothing but `wasi_snapshot_preview1`; build it for `wasm32-wasip2`, which makes a component that may import interfaces
        load.import: the program imports `wasi.thread-spawn`, and a WASI preview-1 program gets nothing but `wasi_snapshot_preview1`; build it without threads: for `wasm32-wasip1`, and not for `wasm32-wasip1-threads` or WASIX
        load.import: the program imports `env.f0`, `env.f1`, `env.f2`, `env.f3`, `env.f4`, `env.f5`, `env.f6`, `env.f7` and 3 more, and a WASI preview-1 program gets nothing but `wasi_snapshot_preview1`; link what is missing into the program, or build it as a component for `wasm32-wasip2`
        load.import: the program does not fit WASI preview 1: unknown import: `wasi_snapshot_preview1::fd_shout` has not been defined; build it for `wasm32-wasip1` with a current toolchain
        load.import: the program does not fit WASI preview 1: incompatible import type for `wasi_snapshot_preview1::proc_exit`: types incompatible: expected type `(func)`, found type `(func (param i32))`; build it for `wasm32-wasip1` with a current toolchain
        load.type: the program's `_start` takes parameters or returns something; build it for `wasm32-wasip1`, where `_start` takes and returns nothing
        load.invalid: the file is a core module without a `_start` function and without a WIT world; build it as a program with `main`, or link the object that `wit-bindgen` generates beside the bindings (`*_component_type.o`), or build it for `wasm32-wasip2`
        load.invalid: the file is a core module without a `_start` function and without a WIT world; build it as a program with `main`, or link the object that `wit-bindgen` generates beside the bindings (`*_component_type.o`), or build it for `wasm32-wasip2`
        load.feature: the program uses a feature that is off here: failed to parse WebAssembly module: memory64 must be enabled for 64-bit memories (at offset 0x15); build without that feature, for example with `-C target-cpu=mvp` plus what your toolchain needs
        memory.limit: the program declares more than a job may have: module memory does not fit in pooling allocator requirements: memory index 0 is unsupported in this pooling allocator configuration: memory has a minimum byte size of 4294967296 which exceeds the limit of 0x40000000 bytes; build it with less; no job may raise `limits.memory` that far"#]].assert_eq(&cases.map(|wat| told(&wat)).join("\n"));
}

#[test]
fn a_damaged_program_is_refused_and_never_a_panic() {
    let whole =
        wat::parse_str(program(&format!("{SAY} (func (export \"_start\") (call $say (i32.const 1) (i32.const 9)))")))
            .unwrap();
    for end in 9..whole.len() {
        drop(Plugin::from_bytes(&SANDBOX, &whole[..end], None, false));
    }
    for place in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[place] ^= 0x55;
        drop(Plugin::from_bytes(&SANDBOX, &flipped, None, false));
    }
}

#[tokio::test]
async fn there_are_no_sockets() {
    let wat = "(module
        (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
        (import \"wasi_snapshot_preview1\" \"sock_accept\" (func $accept (param i32 i32 i32) (result i32)))
        (import \"wasi_snapshot_preview1\" \"sock_recv\" (func $recv (param i32 i32 i32 i32 i32 i32) (result i32)))
        (import \"wasi_snapshot_preview1\" \"sock_send\" (func $send (param i32 i32 i32 i32 i32) (result i32)))
        (import \"wasi_snapshot_preview1\" \"sock_shutdown\" (func $shutdown (param i32 i32) (result i32)))
        (memory (export \"memory\") 1)
        (func (export \"_start\") (call $exit (i32.add (i32.add
            (call $accept (i32.const 3) (i32.const 0) (i32.const 0)) (call $shutdown (i32.const 3) (i32.const 0)))
            (i32.add (call $recv (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
            (call $send (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))))))";
    let report = run_with(wat, quick()).await;
    // Four times 57, preview 1's `notsock`.
    assert_eq!(report.outcome.output, Some(serde_json::json!({ "exit_code": 4 * 57 })), "{}", report.outcome.message);
}
