//! Processor time, wall time and the call stack: rows A01 to A12.

use std::thread::available_parallelism;

use chrono::TimeDelta;

use super::{Attack, component};
use crate::{
    log::{lines, of, runs},
    program::clockjack,
    scene::Scene,
};

/// A budget that each loop uses up at once.
const CPU: &str = "limits: { cpu_time: 100ms }";
const CPU_TOLD: [&str; 2] = ["100ms", "`limits.cpu_time`"];

/// Wall time within which a loop with that budget ends, however busy the machine is with other tests.
const SOON: TimeDelta = TimeDelta::milliseconds(2_000);

/// What a guest imports to sleep.
const CLOCK: &str = r#"
    (import "wasi:io/poll@0.2.0" (instance $poll
        (export "pollable" (type $p (sub resource)))
        (export "[method]pollable.block" (func (param "self" (borrow $p))))))
    (alias export $poll "pollable" (type $pollable))
    (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
        (export "now" (func (result u64)))
        (alias outer $C $pollable (type $p0))
        (export "pollable" (type $p1 (eq $p0)))
        (export "subscribe-duration" (func (param "when" u64) (result (own $p1))))))
    (core func $block (canon lower (func $poll "[method]pollable.block")))
    (core func $now (canon lower (func $clock "now")))
    (core func $subscribe (canon lower (func $clock "subscribe-duration")))
    (core func $drop (canon resource.drop $pollable))
    (core instance $imports
        (export "block" (func $block)) (export "now" (func $now))
        (export "subscribe" (func $subscribe)) (export "drop" (func $drop)))"#;

/// A component with the clock, around a body of the function `run` and of whatever else a module has.
pub(super) fn with_clock(module: &str) -> String {
    format!(
        "(component $C {CLOCK}
           (core module $m
             (import \"host\" \"block\" (func $block (param i32))) (import \"host\" \"now\" (func $now (result i64)))
             (import \"host\" \"subscribe\" (func $subscribe (param i64) (result i32)))
             (import \"host\" \"drop\" (func $drop (param i32)))
             {module})
           (core instance $i (instantiate $m (with \"host\" (instance $imports))))
           (func (export \"run\") (canon lift (core func $i \"run\"))))"
    )
}

#[test]
fn a01_an_endless_loop() {
    let fought = Attack::module("(func (export \"run\") (loop (br 0)))").job(CPU).ends("timeout.cpu", &CPU_TOLD);
    assert!(fought.longest() < SOON, "{}", fought.longest());
}

#[test]
fn a02_an_endless_loop_while_it_is_instantiated() {
    let module = "(func $s (loop (br 0))) (start $s) (func (export \"run\"))";
    let fought = Attack::module(module).job(CPU).ends("timeout.cpu", &["while it was being instantiated", CPU_TOLD[1]]);
    assert!(fought.longest() < SOON, "{}", fought.longest());
}

#[test]
fn a03_loops_in_what_the_engine_calls() {
    let post_return = "(component
        (core module $m (func (export \"run\")) (func (export \"post\") (loop (br 0)))) (core instance $i (instantiate $m))
        (func (export \"run\") (canon lift (core func $i \"run\") (post-return (core func $i \"post\")))))";
    Attack::wat(post_return).job(CPU).ends("timeout.cpu", &CPU_TOLD);
    let realloc = "(component
        (core module $m (memory (export \"m\") 1) (func (export \"run\") (param i32 i32))
          (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (loop (br 0)) (unreachable)))
        (core instance $i (instantiate $m))
        (func (export \"run\") (param \"text\" string)
          (canon lift (core func $i \"run\") (memory (core memory $i \"m\")) (realloc (core func $i \"realloc\")))))";
    Attack::wat(realloc).job(CPU).job("args: { text: hello }").ends("timeout.cpu", &CPU_TOLD);
    let destructor = "(component
        (core module $d (func (export \"gone\") (param i32) (loop (br 0)))) (core instance $d (instantiate $d))
        (type $r (resource (rep i32) (dtor (core func $d \"gone\"))))
        (core func $new (canon resource.new $r)) (core func $drop (canon resource.drop $r))
        (core module $m (import \"r\" \"new\" (func $new (param i32) (result i32))) (import \"r\" \"drop\" (func $drop (param i32)))
          (func (export \"run\") (call $drop (call $new (i32.const 7)))))
        (core instance $i (instantiate $m (with \"r\" (instance (export \"new\" (func $new)) (export \"drop\" (func $drop))))))
        (func (export \"run\") (canon lift (core func $i \"run\"))))";
    Attack::wat(destructor).job(CPU).ends("timeout.cpu", &CPU_TOLD);
}

#[test]
fn a04_loops_without_a_loop() {
    // Calls through a table, each of which comes back: no backward branch but the one around them.
    let calls = "(type $t (func (param i32))) (table 1 1 funcref) (elem (i32.const 0) $f)
        (func $f (type $t) (if (local.get 0) (then
            (call_indirect (type $t) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0))
            (call_indirect (type $t) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0)))))
        (func (export \"run\") (call_indirect (type $t) (i32.const 60) (i32.const 0)))";
    Attack::module(calls).job(CPU).ends("timeout.cpu", &CPU_TOLD);
    Attack::module(calls).job("limits: { fuel: 1000000 }").ends("fuel", &["1000000", "`limits.fuel`"]);
    let tail = "(func $f (return_call $f)) (func (export \"run\") (call $f))";
    Attack::module(tail).refused_as("load.feature", &["tail calls"]);
    let reference = "(type $t (func)) (func (export \"run\") (call_ref $t (ref.null $t)))";
    Attack::module(reference).refused_as("load.feature", &["feature"]);
    let exception = "(tag $e) (func (export \"run\") (block (try_table (catch_all 0) (throw $e))))";
    Attack::module(exception).refused_as("load.feature", &["exceptions"]);
}

#[test]
fn a05_bulk_operations_over_all_of_a_memory() {
    let module = "(memory 1024) (func (export \"run\")
        (loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 67108864)) (br 0)))";
    let fought = Attack::module(module).job(CPU).ends("timeout.cpu", &CPU_TOLD);
    // One operation cannot be interrupted; one over 64 MiB takes a fraction of a second.
    assert!(fought.longest() < SOON, "{}", fought.longest());
    let module = "(memory 512) (func (export \"run\")
        (loop (memory.copy (i32.const 0) (i32.const 16777216) (i32.const 16777216)) (br 0)))";
    Attack::module(module).job(CPU).ends("timeout.cpu", &CPU_TOLD);
    let module = "(table 100000 funcref) (func (export \"run\")
        (loop (table.fill (i32.const 0) (ref.null func) (i32.const 100000)) (br 0)))";
    Attack::module(module).job(CPU).ends("timeout.cpu", &CPU_TOLD);
}

#[test]
fn a07_sleep_that_never_ends() {
    let module = "(func (export \"run\") (call $block (call $subscribe (i64.const 1152921504606846976))))";
    let fought = Attack::wat(&with_clock(module)).job("timeout: 200ms").ends("timeout.wall", &["200ms", "`timeout`"]);
    assert!(fought.longest() < SOON, "{}", fought.longest());
}

#[test]
fn a08_four_loops_on_each_core() {
    let n_loops = 4 * available_parallelism().map_or(2, usize::from);
    let loops: String = (0..n_loops)
        .map(|n| format!("\n  loop-{n}: {{ plugin: ./loop.wasm, every: 1h, run_on_start: true, timeout: 4s, limits: {{ cpu_time: 4s }} }}"))
        .collect();
    // The row itself is the canary's: it stays on its slots beside them. A second job shows that others come to their turn.
    let looping = wat::parse_str(component("(func (export \"run\") (loop (br 0)))")).expect("the loop assembles");
    let scene = Scene::new();
    scene.put("loop.wasm", looping);
    scene.put("canary.wasm", wat::parse_str(super::CANARY).expect("the canary assembles"));
    scene.put(
        "clockjack.yaml",
        format!("version: 1\njobs:\n  canary: {{ plugin: ./canary.wasm, every: 100ms }}\n  other: {{ plugin: ./canary.wasm, every: 250ms }}{loops}\n"),
    );
    let mut faults = Vec::new();
    for _ in 0..super::TRIES {
        let _alone = crate::program::alone();
        let up = clockjack(["up", "--for", "5s", "--log-format", "json"]).folder(scene.folder()).beside_nothing();
        let ended = up.ends_with(0);
        let runs = runs(&lines(&ended.stderr));
        for n in 0..n_loops {
            let loops = of(&runs, &format!("loop-{n}"));
            assert!(loops.len() == 1 && loops[0].outcome.starts_with("timeout."), "{loops:?}");
        }
        let mut lateness: Vec<_> = ["canary", "other"]
            .iter()
            .flat_map(|job| of(&runs, job))
            .filter(|run| run.started.is_some())
            .map(crate::log::Run::lateness)
            .collect();
        lateness.sort();
        assert!(50 < lateness.len(), "{} starts", lateness.len());
        let p99 = lateness[(lateness.len() - 1) * 99 / 100];
        if p99 < super::LATENESS_MAX {
            return;
        }
        faults.push(p99);
    }
    panic!("p99 of lateness: {faults:?}");
}

#[test]
fn a09_recursion_without_end() {
    Attack::module("(func $f (export \"run\") (call $f))").ends("stack.overflow", &["512KiB"]);
}

#[test]
fn a10_the_way_back_in_is_closed() {
    // While the engine asks a guest for memory, the guest may not leave it.
    let text = "(component
        (import \"clockjack:job/run@0.1.0\" (instance $run (export \"random-seed\" (func (result u64)))))
        (core func $seed (canon lower (func $run \"random-seed\")))
        (core module $m (import \"h\" \"seed\" (func $seed (result i64))) (memory (export \"m\") 1)
          (func (export \"run\") (param i32 i32))
          (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (drop (call $seed)) (i32.const 0)))
        (core instance $i (instantiate $m (with \"h\" (instance (export \"seed\" (func $seed))))))
        (func (export \"run\") (param \"text\" string)
          (canon lift (core func $i \"run\") (memory (core memory $i \"m\")) (realloc (core func $i \"realloc\")))))";
    Attack::wat(text).job("args: { text: hello }").ends("trap.abi", &["cannot leave component instance"]);
}

#[test]
fn a11_large_frames_at_the_edge_of_the_stack() {
    let locals = "i64 ".repeat(20_000);
    let module = format!(
        "(func $f (param i32) (local {locals}) (drop (call $now)) (call $f (i32.add (local.get 0) (i32.const 1)))
           (local.set 20000 (i64.const 1)))
         (func (export \"run\") (call $f (i32.const 0)))"
    );
    Attack::wat(&with_clock(&module)).ends("stack.overflow", &["512KiB"]);
}
