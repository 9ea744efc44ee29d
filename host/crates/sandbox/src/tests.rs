//! The sandbox against guests written as text: what each does, and the outcome that it must have.

mod adapted;
mod bad_values;
mod calls;
mod commands;
mod lockdown;
mod programs;
mod versions;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, LazyLock},
    time::Duration,
};

use chrono::DateTime;
use clockjack_schedule::{
    id::{JobId, PoolName, RunId, StoreName},
    job::{Arguments, Grants, Job, Limits, Policy, Setup},
    outcome::OutcomeCode,
    ports::{Attempt, Report, StateAccess},
    run::{Cause, Run},
    state::Unkept,
    stop::Stop,
    zone::Zone,
};
use expect_test::{Expect, expect};

use crate::{Allocation, Call, EngineSettings, Facts, Imports, LoadError, Plugin, Prepared, Recipe, Sandbox};

mod egress;
mod generations;
mod limits;
mod remember;
mod secrets;
mod share;
mod standard;

static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| {
    Sandbox::new(EngineSettings {
        n_slots: 16,
        memory_bytes_max: 1 << 30,
        table_elements_max: 1_000_000,
        scratch: std::env::temp_dir(),
        compile: crate::CompileSettings::default(),
    })
    .unwrap()
});

fn facts() -> Facts {
    let job: JobId = "test".parse().unwrap();
    let slot = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let (id, cause, payload) = (RunId::of_slot(&job, slot), Cause::Schedule, None);
    let run = Run { id, job, scheduled_for: slot, due_at: slot, cause, payload };
    let attempt = Attempt::only(Arc::new(run), slot);
    Facts { attempt, zone: "UTC".into(), labels: Arc::new(BTreeMap::new()), is_traced: false }
}

fn load(wat: &str, metered: bool) -> Result<Arc<Plugin>, LoadError> {
    let bytes = wat::parse_str(wat).expect("the test's text assembles");
    Plugin::from_bytes(&SANDBOX, &bytes, None, metered).map(Arc::new)
}

/// A component with one exported function, lifted from the core function `run` of a module.
fn component(module: &str) -> String {
    format!(
        "(component (core module $m {module}) (core instance $i (instantiate $m))
           (func (export \"run\") (canon lift (core func $i \"run\"))))"
    )
}

/// A job as a manifest would have it, with other bounds than the default ones.
fn job(id: &str, limits: Limits, grants: Grants) -> Arc<Job> {
    let setup = Setup {
        plugin: "p".parse().unwrap(),
        call: None,
        args: Arguments::None,
        command: None,
        after: Vec::new(),
        zone: Zone::utc(),
        policy: Policy::default(),
        pool: PoolName::default(),
        store: StoreName::default(),
        limits,
        grants,
        notify: Arc::default(),
        description: None,
        labels: BTreeMap::new(),
    };
    Arc::new(Job { id: id.parse().unwrap(), trigger: None, trigger_hash: 0, setup: Arc::new(setup) })
}

/// What a job runs, of a generation of its plugin.
fn prepared(job: &Arc<Job>, plugin: &Arc<Plugin>, generation: u32) -> Prepared {
    let folder = Path::new("");
    let call = Recipe::of(job, folder).prepare(plugin, Imports::Granted);
    let call = call.map_err(|problems| format!("{problems:?}")).unwrap();
    Prepared::new(Arc::clone(job), folder.into(), Arc::new(call), generation, None)
}

async fn run_with(wat: &str, limits: Limits) -> Report {
    let plugin = load(wat, limits.fuel.is_some()).unwrap();
    let call = Call::prepare(&plugin, None, &Arguments::None, &limits, &Grants::default())
        .map_err(|problems| format!("{problems:?}"))
        .unwrap();
    SANDBOX.run(&call, facts()).await
}

async fn check(wat: &str, limits: Limits, expected: Expect) {
    let report = run_with(wat, limits).await;
    expected.assert_eq(&format!("{}: {}", report.outcome.code, report.outcome.message));
}

fn quick() -> Limits {
    Limits { timeout: Duration::from_secs(5), cpu_time: Duration::from_millis(50), ..Limits::default() }
}

#[test]
fn instances_come_from_the_pool() {
    assert_eq!(SANDBOX.allocation(), Allocation::Pooling);
}

#[tokio::test]
async fn a_function_that_returns_succeeded() {
    let report = run_with(&component("(func (export \"run\"))"), Limits::default()).await;
    assert_eq!(report.outcome.code, OutcomeCode::Succeeded);
    assert_eq!(report.outcome.output, None);
    assert_eq!(report.digest.len(), 64);
}

#[tokio::test]
async fn a_busy_guest_is_stopped_wherever_it_loops() {
    let looping = "(func (export \"run\") (loop (br 0)))";
    check(
        &component(looping),
        quick(),
        expect!["timeout.cpu: the guest used up its processor time of 50ms (`limits.cpu_time`)"],
    )
    .await;
    let in_start = "(func $s (loop (br 0))) (start $s) (func (export \"run\"))";
    check(&component(in_start), quick(), expect!["timeout.cpu: while it was being instantiated: the guest used up its processor time of 50ms (`limits.cpu_time`)"]).await;
    let wall = Limits { timeout: Duration::from_millis(50), ..Limits::default() };
    check(
        &component(looping),
        wall.clone(),
        expect!["timeout.wall: the attempt took longer than its timeout of 50ms (`timeout`)"],
    )
    .await;
    check(
        &component(in_start),
        wall,
        expect!["timeout.wall: the attempt took longer than its timeout of 50ms (`timeout`)"],
    )
    .await;
    let filling = "(memory 256) (func (export \"run\") (loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 16777216)) (br 0)))";
    check(
        &component(filling),
        quick(),
        expect!["timeout.cpu: the guest used up its processor time of 50ms (`limits.cpu_time`)"],
    )
    .await;
    let post_return = "(component (core module $m (func (export \"run\")) (func (export \"post\") (loop (br 0)))) (core instance $i (instantiate $m))
        (func (export \"run\") (canon lift (core func $i \"run\") (post-return (core func $i \"post\")))))";
    check(
        post_return,
        quick(),
        expect!["timeout.cpu: the guest used up its processor time of 50ms (`limits.cpu_time`)"],
    )
    .await;
}

#[tokio::test]
async fn the_overshoot_of_a_limit_is_small() {
    let looping = component("(func (export \"run\") (loop (br 0)))");
    let report = run_with(&looping, Limits { cpu_time: Duration::from_millis(100), ..Limits::default() }).await;
    assert_eq!(report.outcome.code, OutcomeCode::TimeoutCpu);
    assert!(Duration::from_millis(100) <= report.cpu_time, "{:?}", report.cpu_time);
    // A tick is 2 ms. The first one is timed with the wall clock, in which a busy machine may do something else.
    assert!(report.cpu_time < Duration::from_millis(200), "{:?}", report.cpu_time);
}

#[tokio::test]
async fn fuel_ends_a_guest_at_the_same_instruction_each_time() {
    let looping = component("(func (export \"run\") (loop (br 0)))");
    let limits = Limits { fuel: Some(10_000), ..quick() };
    check(&looping, limits.clone(), expect!["fuel: the guest used up its fuel of 10000 instructions (`limits.fuel`)"])
        .await;
    assert_eq!(run_with(&looping, limits).await.fuel_used, Some(10_000));
    let enough = Limits { fuel: Some(10_000), ..quick() };
    let report = run_with(&component("(func (export \"run\"))"), enough).await;
    assert!(report.fuel_used.unwrap() < 100, "{:?}", report.fuel_used);
}

#[tokio::test]
async fn memory_is_one_sum() {
    let limits = || Limits { memory_bytes_max: 4 << 20, ..quick() };
    let growing = "(memory 1) (func (export \"run\") (loop (drop (memory.grow (i32.const 16))) (br 0)))";
    check(
        &component(growing),
        limits(),
        expect!["memory.limit: the guest asked for 4.1MiB of memory in all; its limit is 4MiB (`limits.memory`)"],
    )
    .await;
    let report = run_with(&component(growing), limits()).await;
    assert_eq!(report.memory_peak_bytes, (4 << 20) - (15 << 16));
    let n_instances = 12;
    let instances: String = (0..n_instances).map(|n| format!("(core instance $i{n} (instantiate $m))")).collect();
    let many = format!(
        "(component (core module $m (memory 8) (func (export \"run\"))) {instances}
           (func (export \"run\") (canon lift (core func $i0 \"run\"))))"
    );
    check(&many, limits(), expect!["memory.limit: while it was being instantiated: the guest asked for 4.5MiB of memory in all; its limit is 4MiB (`limits.memory`)"]).await;
}

#[tokio::test]
async fn tables_and_instances_are_bounded() {
    let growing =
        "(table 1 funcref) (func (export \"run\") (loop (drop (table.grow (ref.null func) (i32.const 5000))) (br 0)))";
    check(&component(growing), quick(), expect!["table.limit: the guest asked for 100001 table elements in all; its limit is 100000 (`limits.table_elements`)"]).await;
    let instances: String = (0..40).map(|n| format!("(core instance $i{n} (instantiate $m))")).collect();
    let many = format!(
        "(component (core module $m (func (export \"run\"))) {instances}
           (func (export \"run\") (canon lift (core func $i0 \"run\"))))"
    );
    check(&many, Limits { instances_max: 10, ..quick() }, expect!["instance.limit: while it was being instantiated: the component has more parts than a job may have: 10 core instances (`limits.instances`), 16 memories, 32 tables"]).await;
}

#[tokio::test]
async fn traps_have_their_names() {
    check(
        &component("(func (export \"run\") unreachable)"),
        quick(),
        expect!["trap.unreachable: wasm trap: wasm `unreachable` instruction executed"],
    )
    .await;
    check(
        &component("(func $deep (export \"run\") (call $deep))"),
        quick(),
        expect!["stack.overflow: the guest's call stack was exhausted; it has 512KiB, and no key changes that"],
    )
    .await;
    check(
        &component("(func (export \"run\") (drop (i32.div_s (i32.const 1) (i32.const 0))))"),
        quick(),
        expect!["trap.division_by_zero: wasm trap: integer divide by zero"],
    )
    .await;
    check(
        &component("(memory 1) (func (export \"run\") (drop (i32.load (i32.const -1))))"),
        quick(),
        expect!["trap.memory_out_of_bounds: wasm trap: out of bounds memory access"],
    )
    .await;
    check(
        &component(
            "(table 1 funcref) (type $t (func)) (func (export \"run\") (call_indirect (type $t) (i32.const 0)))",
        ),
        quick(),
        expect!["trap.indirect_call_to_null: wasm trap: uninitialized element"],
    )
    .await;
    check(
        &component(
            "(table 1 funcref) (type $t (func)) (func (export \"run\") (call_indirect (type $t) (i32.const 7)))",
        ),
        quick(),
        expect!["trap.table_out_of_bounds: wasm trap: undefined element: out of bounds table access"],
    )
    .await;
    check(
        &component("(func (export \"run\") (drop (i32.trunc_f64_s (f64.const nan))))"),
        quick(),
        expect!["trap.bad_conversion: wasm trap: invalid conversion to integer"],
    )
    .await;
}

/// A component whose function gives back what a core function writes to memory.
fn returning(ty: &str, data: &str) -> String {
    format!(
        "(component (core module $m (memory (export \"mem\") 1) {data} (func (export \"run\") (result i32) (i32.const 0)))
           (core instance $i (instantiate $m))
           (type $r {ty})
           (func (export \"run\") (result $r) (canon lift (core func $i \"run\") (memory (core memory $i \"mem\")))))"
    )
}

#[tokio::test]
async fn values_that_break_the_rules_are_traps_without_cost() {
    let huge = returning("(list u8)", "(data (i32.const 0) \"\\00\\00\\00\\00\\ff\\ff\\ff\\ff\")");
    check(&huge, quick(), expect!["trap.abi: list pointer/length out of bounds of memory"]).await;
    let not_utf8 = returning("string", "(data (i32.const 0) \"\\08\\00\\00\\00\\02\\00\\00\\00\\ff\\fe\")");
    check(&not_utf8, quick(), expect!["trap.abi: invalid utf-8 sequence of 1 bytes from index 0"]).await;
    let discriminant = returning("(option u32)", "(data (i32.const 0) \"\\07\")");
    check(&discriminant, quick(), expect!["trap.abi: discriminant 7 out of range [0..2)"]).await;
}

#[tokio::test]
async fn a_request_to_stop_ends_a_busy_guest() {
    let plugin = load(&component("(func (export \"run\") (loop (br 0)))"), false).unwrap();
    let call = Call::prepare(&plugin, None, &Arguments::None, &Limits::default(), &Grants::default())
        .map_err(|p| format!("{p:?}"))
        .unwrap();
    let facts = facts();
    let stop = facts.attempt.stop.clone();
    let stopper = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        stop.request();
    };
    let (report, ()) = tokio::join!(SANDBOX.run(&call, facts), stopper);
    assert_eq!(report.outcome.code, OutcomeCode::Cancelled);
    assert!(report.cpu_time < Duration::from_secs(1));
}

#[tokio::test]
async fn a12_a_future_that_is_dropped_at_any_moment() {
    let plugin = load(&component("(memory 16) (func (export \"run\") (loop (br 0)))"), false).unwrap();
    let call = Call::prepare(&plugin, None, &Arguments::None, &Limits::default(), &Grants::default())
        .map_err(|p| format!("{p:?}"))
        .unwrap();
    // Four times as many as there are slots: a slot that is not given back is missed.
    for step in 0..64 {
        let limit = Duration::from_micros(step * 137);
        assert!(tokio::time::timeout(limit, SANDBOX.run(&call, facts())).await.is_err());
    }
    let report = run_with(&component("(func (export \"run\"))"), quick()).await;
    assert_eq!(report.outcome.code, OutcomeCode::Succeeded);
}

#[test]
fn what_is_no_component_is_told_apart() {
    let told = |bytes: &[u8]| match Plugin::from_bytes(&SANDBOX, bytes, None, false) {
        Ok(_) => "loaded".to_owned(),
        Err(error) => format!("{}: {}; {}", error.code, error.message, error.fix),
    };
    let whole = wat::parse_str(component("(func (export \"run\"))")).unwrap();
    let cases: [&[u8]; 8] = [
        b"",
        b"\0asm\x01\0\0\0",
        b"\x7fELF\x02\x01\x01\0",
        b"(module)",
        b"#!/bin/sh\n",
        b"\0asm\x63\0\0\0",
        &whole[..whole.len() - 7],
        &whole[..8],
    ];
    expect![[r#"
        load.invalid: the file is empty; build the plugin again
        load.invalid: the file is a core module without a `_start` function and without a WIT world; build it as a program with `main`, or link the object that `wit-bindgen` generates beside the bindings (`*_component_type.o`), or build it for `wasm32-wasip2`
        load.invalid: the file is native code; precompiled code is never loaded; name the `.wasm` file that it was made from
        load.invalid: the file is WebAssembly text; assemble it first, for example with `wasm-tools parse`
        load.invalid: the file is no WebAssembly component; name a `.wasm` file that was built for `wasm32-wasip2` or `wasm32-wasip1`
        load.invalid: the file is WebAssembly of an unknown version, or it is truncated; build the plugin again with a current toolchain
        load.invalid: the file is no valid component: failed to parse WebAssembly module: unexpected end-of-file (at offset 0x63); build the plugin again; the file may be truncated
        loaded"#]].assert_eq(&cases.map(told).join("\n"));
}

#[test]
fn truncation_anywhere_is_refused_and_never_a_panic() {
    let whole = wat::parse_str(component("(memory 1) (func (export \"run\"))")).unwrap();
    for end in 9..whole.len() {
        // A prefix may happen to be a smaller component; what matters is that there is an answer.
        drop(Plugin::from_bytes(&SANDBOX, &whole[..end], None, false));
    }
    for place in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[place] ^= 0x55;
        drop(Plugin::from_bytes(&SANDBOX, &flipped, None, false));
    }
}

#[test]
fn features_digests_and_imports_are_refused_with_their_names() {
    let told = |wat: &str| match load(wat, false) {
        Ok(_) => "loaded".to_owned(),
        Err(error) => format!("{}: {}; {}", error.code, error.message, error.fix),
    };
    let cases = [
        component("(memory i64 1) (func (export \"run\"))"),
        component("(memory 1 1 shared) (func (export \"run\"))"),
        component("(table 20000000 funcref) (func (export \"run\"))"),
        component("(memory 65536) (func (export \"run\"))"),
        "(component (import \"acme:db/query@1.0.0\" (instance (export \"ask\" (func)))))".to_owned(),
        "(component (import \"wasi:http/incoming-handler@0.2.3\" (instance (export \"handle\" (func)))))".to_owned(),
        "(component (import \"clockjack:job/run@0.2.0\" (instance (export \"heartbeat\" (func)))))".to_owned(),
        "(component (import \"clockjack:job/run@0.1.0\" (instance (export \"heartbeat\" (func (param \"x\" u32))))))"
            .to_owned(),
        "(component (import \"wasi:cli/stdin@0.3.0\" (instance (export \"get-stdin\" (func)))))".to_owned(),
    ];
    expect![[r#"
        load.feature: the component uses a feature that is off here: failed to parse WebAssembly module: memory64 must be enabled for 64-bit memories (at offset 0x1f); build without that feature, for example with `-C target-cpu=mvp` plus what your toolchain needs
        load.feature: the component uses a feature that is off here: failed to parse WebAssembly module: threads must be enabled for shared memories (at offset 0x1f); build without that feature, for example with `-C target-cpu=mvp` plus what your toolchain needs
        table.limit: the component declares more than a job may have: module table does not fit in pooling allocator requirements: table index 0 has a minimum element size of 20000000 which exceeds the limit of 1000001; build it with less; no job may raise `limits.table_elements` that far
        memory.limit: the component declares more than a job may have: module memory does not fit in pooling allocator requirements: memory index 0 is unsupported in this pooling allocator configuration: memory has a minimum byte size of 4294967296 which exceeds the limit of 0x40000000 bytes; build it with less; no job may raise `limits.memory` that far
        load.import: the component imports `acme:db/query@1.0.0`, which this host does not have; compose the component with one that exports `acme:db/query@1.0.0`, or build it without that import
        load.import: the component imports `wasi:http/incoming-handler@0.2.3`: it wants to be called by HTTP, which no job is; build it without that import; requests to others go through `wasi:http/outgoing-handler`
        load.import: the component was built for `clockjack:job@0.2.0`, of which it imports `run`, and this host has `clockjack:job@0.1.0`; upgrade this host to one with `clockjack:job@0.2.0`, or build it with the SDK or the `wit/` folder of `clockjack:job@0.1.0`
        load.type: an import has another type than this host's: component imports instance `clockjack:job/run@0.1.0`, but a matching implementation was not found in the linker: instance export `heartbeat` has the wrong type: type mismatch with parameters: expected 0-tuple, found 1-tuple; build the component against WASI 0.2 and the `wit/` folder of this host
        load.import: the component imports `wasi:cli/stdin@0.3.0`, which this host does not have; build it for WASI 0.2 (`wasm32-wasip2`); WASI 0.3 is still experimental in the engine"#]].assert_eq(&cases.map(|wat| told(&wat)).join("\n"));
    let bytes = wat::parse_str(component("(func (export \"run\"))")).unwrap();
    let error = Plugin::from_bytes(&SANDBOX, &bytes, Some(&"0".repeat(64)), false).map(|_| ()).unwrap_err();
    assert_eq!(error.code.to_string(), "load.digest");
}

#[test]
fn parts_with_memories_of_their_own_may_call_each_other() {
    let parts = r#"(component
        (component $inner
            (core module $m (memory (export "mem") 1) (func (export "f") (param i32 i32))
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0)))
            (core instance $i (instantiate $m))
            (func (export "f") (param "text" string) (canon lift (core func $i "f")
                (memory (core memory $i "mem")) (realloc (core func $i "realloc")))))
        (component $outer
            (import "f" (func $f (param "text" string)))
            (core module $libc (memory (export "mem") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0)))
            (core instance $libc (instantiate $libc))
            (core func $f' (canon lower (func $f)
                (memory (core memory $libc "mem")) (realloc (core func $libc "realloc"))))
            (core module $m (import "" "f" (func $f (param i32 i32)))
                (func (export "run") (call $f (i32.const 0) (i32.const 4))))
            (core instance $i (instantiate $m (with "" (instance (export "f" (func $f'))))))
            (func (export "run") (canon lift (core func $i "run"))))
        (instance $inner (instantiate $inner))
        (instance $outer (instantiate $outer (with "f" (func $inner "f"))))
        (export "run" (func $outer "run")))"#;
    let plugin = load(parts, false).unwrap_or_else(|error| panic!("{}", error.message));
    assert!(plugin.find(Some("run")).is_some());
}
